//! Time as a value. Core never asks what time it is; `now` comes in as an [`Instant`] with every event.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
pub use std::time::Duration;

/// A monotonic clock that goes on while the machine is suspended (`CLOCK_BOOTTIME`): part of [`crate::seam`].
pub trait Clock {
    fn now(&self) -> Instant;
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}

/// A point in time: nanoseconds since an origin that the runner chooses (the start of a simulation, the boot of a
/// machine). Only differences mean anything. Covers about 584 years.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the origin; saturates.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The duration from the origin to this instant.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// Saturates at the end of time instead of wrapping: a timer that far away never fires, which is what is meant.
impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Saturates at the origin.
impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Seconds and milliseconds, as timelines show it: `12.345`. Precision can be asked for: `{:.6}`.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(3).min(9);
        let fraction = format!("{:09}", self.0 % 1_000_000_000);
        write!(f, "{}", self.0 / 1_000_000_000)?;
        if digits > 0 { write!(f, ".{}", &fraction[..digits]) } else { Ok(()) }
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:.9}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_seconds_with_the_asked_precision() {
        let at = Instant::from_nanos(12_345_678_901);
        assert_eq!(at.to_string(), "12.345");
        assert_eq!(format!("{at:.0}"), "12");
        assert_eq!(format!("{at:?}"), "12.345678901s");
    }

    #[test]
    fn saturates_at_both_ends() {
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::from_nanos(u64::MAX) + Duration::from_secs(1), Instant::from_nanos(u64::MAX));
        assert_eq!(Instant::ZERO.since(Instant::from_millis(5)), Duration::ZERO);
    }
}
