//! Until when a session, and with it each of its leases, is surely ours: arithmetic on our own clock.
//!
//! The service may give a lease to somebody else one session timeout after it last *heard* from us. It heard a question
//! no earlier than we asked it, so asked_at + timeout is a lower bound, less what [`margin`] stands for.

use crate::time::{Duration, Instant};

/// How long an address may outlive its last renewal, whatever becomes of this process: the kernel's lifetime of 2 s,
/// which it counts in whole seconds and looks at once a second, and a quarter of a second for a renewal that was decided
/// at one instant and carried out at a later one.
pub const KERNEL_HOLDS: Duration = Duration::from_millis(3_250);

/// The shortest session timeout: two thirds of it, less the time since the last question ([`ask_every`]) and
/// [`KERNEL_HOLDS`], leave a second and a half in which an answer may fail to come, as while the ensemble elects a leader.
pub const SHORTEST_SESSION: Duration = Duration::from_secs(8);

/// How much earlier than asked_at + timeout a session counts as lost: a third of the timeout.
///
/// - A quarter of the timeout: half of the ensemble's tick. A follower tells its leader, which is the one who counts, of the
///   sessions that it heard from twice a tick. ZooKeeper grants no session shorter than two ticks (`minSessionTimeout`).
/// - A fifteenth ([`ask_every`]): the last word that the follower passed on may be the one before.
/// - A thousandth: two clocks that each are 500 ppm off.
/// - The rest, a seventieth, is for the wire.
pub fn margin(timeout: Duration) -> Duration {
    timeout / 3
}

/// How often the service is asked.
pub fn ask_every(timeout: Duration) -> Duration {
    timeout / 15
}

/// Until when a session that was confirmed by the answer to a question asked at `asked_at` surely lives.
pub fn until(asked_at: Instant, timeout: Duration) -> Instant {
    asked_at + timeout.saturating_sub(margin(timeout))
}

/// The last instant at which an address may be added or renewed on the strength of it: from then on the kernel would
/// keep it too long, should this process not run again.
pub fn may_hold_until(asked_at: Instant, timeout: Duration) -> Instant {
    until(asked_at, timeout) - KERNEL_HOLDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each part of the margin, at its worst, fits.
    #[test]
    fn the_margin_covers_what_it_says() {
        for seconds in [8, 10, 30, 300] {
            let timeout = Duration::from_secs(seconds);
            let parts = timeout / 4 + ask_every(timeout) + timeout / 1000;
            assert!(parts + timeout / 100 < margin(timeout), "{timeout:?}");
        }
    }

    #[test]
    fn a_director_that_is_answered_promptly_never_lets_go() {
        let timeout = SHORTEST_SESSION;
        let asked = Instant::from_millis(10_000);
        let next_answer = asked + ask_every(timeout) + Duration::from_millis(1_500);
        assert!(next_answer < may_hold_until(asked, timeout));
    }
}
