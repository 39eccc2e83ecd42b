//! Messages that could come every second, let through once a minute; and answers that somebody could ask for without end.

use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// The shortest time between two reports of one kind.
pub const QUIET: Duration = Duration::from_secs(60);

/// Lets one thing through a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    quiet_until: Option<Instant>,
}

impl Limit {
    /// True the first time, and then at most once in [`QUIET`].
    pub fn admits(&mut self, now: Instant) -> bool {
        let admits = self.quiet_until.is_none_or(|until| until <= now);
        if admits {
            self.quiet_until = Some(now + QUIET);
        }
        admits
    }
}

/// Something that others can make this director do: some times at once, and then at a pace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allowance {
    /// Until when what was done would have taken at that pace.
    used_until: Instant,
}

impl Allowance {
    /// Takes one, if `at_once` of them were not used up; one comes back `every` so often. Else says from when there is one.
    pub fn take(&mut self, now: Instant, every: Duration, at_once: u32) -> Result<(), Instant> {
        let from = self.used_until.max(now);
        let most = every * at_once.saturating_sub(1);
        let ahead = from.since(now);
        if ahead > most {
            return Err(now + (ahead - most));
        }
        self.used_until = from + every;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_comes_back() {
        let at = Instant::from_millis;
        let mut allowance = Allowance::default();
        let mut take = |now| allowance.take(at(now), Duration::from_millis(100), 3);
        assert_eq!([take(1000), take(1000), take(1010)], [Ok(()); 3]);
        assert_eq!(take(1020), Err(at(1100)));
        assert_eq!(take(1100), Ok(()));
        assert_eq!(take(1100), Err(at(1200)));
        assert_eq!([take(9000), take(9000), take(9000)], [Ok(()); 3]);
        assert_eq!(take(9000), Err(at(9100)));
    }
}
