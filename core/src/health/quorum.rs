//! Quorum: is there enough live weight to serve (keepalived.conf(5): `quorum`, `hysteresis`)?
//!
//! Gained at `quorum` + `hysteresis`, lost below `quorum` - `hysteresis`; between the two limits it stays as it is. As in
//! keepalived a `quorum` above the sum of all weights counts as that sum, a `hysteresis` of `quorum` or more as one less.
//!
//! Unlike there the upper limit too is at most that sum. (In keepalived 2.2.7 two servers with quorum 2 and hysteresis 1
//! never have quorum, not even at start: the sorry server stays with both of them up.)

use serde::{Deserialize, Serialize};

/// The quorum of one virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    limits: Limits,
    up: bool,
}

/// How the quorum changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Gained,
    Lost,
}

/// Live weights. `keep` <= `gain`, and both are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Limits {
    /// Gained at this weight.
    gain: u64,
    /// Lost below this one.
    keep: u64,
}

impl Quorum {
    /// The quorum at start. `total`: the weights of all real servers; `live`: of those that are up.
    pub fn new(quorum: u32, hysteresis: u32, total: u64, live: u64) -> Self {
        let limits = Limits::new(quorum, hysteresis, total);
        Self { limits, up: live >= limits.gain }
    }

    /// New settings at a reload; the state stays until [`Quorum::update`].
    pub fn set_limits(&mut self, quorum: u32, hysteresis: u32, total: u64) {
        self.limits = Limits::new(quorum, hysteresis, total);
    }

    /// Goes on as a predecessor left it, until [`Quorum::update`].
    pub fn take_up(&mut self, up: bool) {
        self.up = up;
    }

    /// At which live weight it is gained, and below which it is lost.
    pub fn limits(&self) -> (u64, u64) {
        (self.limits.gain, self.limits.keep)
    }

    /// Whether it is there.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Takes the live weight; tells whether quorum was gained or lost by it.
    pub fn update(&mut self, live: u64) -> Option<Change> {
        if self.up && live < self.limits.keep {
            self.up = false;
            Some(Change::Lost)
        } else if !self.up && live >= self.limits.gain {
            self.up = true;
            Some(Change::Gained)
        } else {
            None
        }
    }
}

impl Limits {
    fn new(quorum: u32, hysteresis: u32, total: u64) -> Self {
        let quorum = u64::from(quorum).min(total).max(1);
        let hysteresis = u64::from(hysteresis).min(quorum - 1);
        Self { gain: (quorum + hysteresis).min(total).max(1), keep: quorum - hysteresis }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(quorum: u32, hysteresis: u32, total: u64) -> (u64, u64) {
        let Limits { gain, keep } = Limits::new(quorum, hysteresis, total);
        (gain, keep)
    }

    #[test]
    fn limits_as_keepalived_logs_them() {
        assert_eq!(limits(1, 0, 2), (1, 1), "the defaults");
        assert_eq!(limits(2, 1, 3), (3, 1), "Gained quorum 2+1=3 <= 3, Lost quorum 2-1=1 > 0");
        assert_eq!(limits(3, 1, 2), (2, 1), "quorum exceeds total weight of real servers 2, reducing quorum to 2");
        assert_eq!(limits(2, 3, 9), (3, 1), "hysteresis 3 >= quorum 2; setting hysteresis to 1");
        assert_eq!(limits(2, 1, 2), (2, 1), "keepalived asks for 3 here, which two servers never have");
        assert_eq!(limits(1, 0, 0), (1, 1), "no weight is no quorum");
    }

    proptest! {
        #[test]
        fn all_up_is_quorum_and_none_is_not(quorum: u32, hysteresis: u32, total in 1..u64::from(u32::MAX)) {
            let mut it = Quorum::new(quorum, hysteresis, total, total);
            prop_assert!(it.is_up());
            prop_assert_eq!(it.update(0), Some(Change::Lost));
            prop_assert_eq!(it.update(0), None);
            prop_assert_eq!(it.update(total), Some(Change::Gained));
        }

        /// Between the limits nothing changes, in whichever direction one goes.
        #[test]
        fn between_the_limits_it_stays(quorum in 1..50_u32, hysteresis in 0..50_u32, total in 0..100_u64) {
            let Limits { gain, keep } = Limits::new(quorum, hysteresis, total);
            prop_assert!(1 <= keep && keep <= gain);
            for up in [true, false] {
                for live in keep..gain {
                    let mut it = Quorum { limits: Limits { gain, keep }, up };
                    prop_assert_eq!(it.update(live), None);
                }
            }
        }
    }
}
