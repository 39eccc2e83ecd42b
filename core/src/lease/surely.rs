//! Until when a session, and with it each of its leases, is surely ours: arithmetic on our own clock.
//!
//! A director counts from the instant at which it *asked* a question that was answered, and lets go in order one session
//! timeout later, less what its kernel may keep an address for ([`may_hold_until`]). Nobody else may have the lease before
//! two things are so: the service has ended the session, and [`held_for`] has passed since the holder's last sign of life
//! ([`super::lives`]). The second makes it safe however the service counts: a leader that stood still, or a follower that
//! was cut off before it passed on whom it heard, ends sessions earlier than their owners can know.

use crate::time::{Duration, Instant};

/// How long an address may outlive its last renewal, whatever becomes of this process: the kernel's lifetime of 2 s,
/// which it counts in whole seconds and looks at once a second, and a quarter of a second for a renewal that was decided
/// at one instant and carried out at a later one.
pub const KERNEL_HOLDS: Duration = Duration::from_millis(3_250);

/// The shortest session timeout: it [`bears`] 4.25 s, more than a ZooKeeper ensemble needs to replace a leader that is
/// dead (well below a second) or frozen (`syncLimit` ticks and half a second: 3.5 s with 3 ticks of a second).
pub const SHORTEST_SESSION: Duration = Duration::from_secs(8);

/// The session timeout that is asked for if `session_timeout` says nothing: it [`bears`] 16.25 s, more than Debian's
/// example `zoo.cfg` needs to replace a frozen leader (`syncLimit` 5 ticks of 2 s, half a second for the election, up to
/// 4 s to find a server again, for the frozen one still takes connections).
pub const DEFAULT_SESSION: Duration = Duration::from_secs(20);

/// How often the service is asked. Each answer is a write of the ensemble.
pub const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long after its last sign of life a director with this session timeout has no address by a lease any more, by
/// anybody's clock: two clocks that are 500 ppm off each differ by little more than a thousandth.
pub fn held_for(timeout: Duration) -> Duration {
    timeout + timeout / 900
}

/// The last instant at which an address may be added or renewed on the strength of the answer to a question asked at
/// `asked_at`: from then on the kernel would keep it too long, should this process not run again.
pub fn may_hold_until(asked_at: Instant, timeout: Duration) -> Instant {
    asked_at + timeout.saturating_sub(KERNEL_HOLDS)
}

/// For how long the service may fail to answer before a holder lets go: longer than a change of the ensemble's leader and
/// one round trip, or those take addresses away.
pub fn bears(timeout: Duration) -> Duration {
    timeout.saturating_sub(KERNEL_HOLDS).saturating_sub(ASK_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long the election of another leader takes, and to find a server that follows it.
    const ELECTION: Duration = Duration::from_millis(500);
    const FOUND_AGAIN: Duration = Duration::from_millis(4_000);

    /// `tickTime` and `syncLimit`: Debian's example `zoo.cfg`, and the one of docs/zookeeper.md.
    #[test]
    fn a_frozen_leader_is_replaced_before_a_holder_lets_go() {
        let noticed = |tick: u64, sync_limit: u32| Duration::from_millis(tick) * sync_limit;
        assert!(noticed(2000, 5) + ELECTION + FOUND_AGAIN < bears(DEFAULT_SESSION));
        assert!(noticed(1000, 3) + ELECTION < bears(SHORTEST_SESSION));
        // With room for a client that was connected to the frozen one.
        assert!(noticed(1000, 3) + ELECTION + FOUND_AGAIN < bears(Duration::from_secs(12)));
    }

    #[test]
    fn what_is_borne_is_counted_from_the_question_before() {
        let asked = Instant::from_millis(10_000);
        for timeout in [SHORTEST_SESSION, DEFAULT_SESSION] {
            assert_eq!(asked + ASK_EVERY + bears(timeout), may_hold_until(asked, timeout));
        }
    }

    #[test]
    fn whoever_waits_by_a_faster_clock_waits_long_enough() {
        for seconds in [8, 16, 3_600] {
            let timeout = Duration::from_secs(seconds);
            // It lets go by a clock that is 500 ppm slow, the other one counts by one that is 500 ppm fast.
            assert!(timeout * 10_005 / 9_995 < held_for(timeout), "{timeout:?}");
        }
    }
}
