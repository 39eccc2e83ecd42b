//! Messages that could come every second, let through once a minute.

use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// The shortest time between two reports of one kind.
pub const QUIET: Duration = Duration::from_secs(60);

/// Lets one thing through a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    quiet_until: Option<Instant>,
    last: Instant,
}

impl Limit {
    /// True the first time, and then at most once in [`QUIET`].
    pub fn admits(&mut self, now: Instant) -> bool {
        self.admits_anew(now, Duration::MAX)
    }

    /// The same, but what comes after a `pause` is a new story, and told.
    pub fn admits_anew(&mut self, now: Instant, pause: Duration) -> bool {
        let admits = self.quiet_until.is_none_or(|until| until <= now || now.since(self.last) > pause);
        self.last = now;
        if admits {
            self.quiet_until = Some(now + QUIET);
        }
        admits
    }
}
