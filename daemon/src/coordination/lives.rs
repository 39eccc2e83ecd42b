//! Until when another director may have addresses on the strength of its lease.
//!
//! ZooKeeper's word that a session is over is not enough to go by. A director counts from its last answered question,
//! which is a write; the leader, who ends sessions, counts from what followers report to it twice a tick. A follower that
//! is cut off just after it passed on a write, or a leader that stood still for a while, and the session ends sooner than
//! the director may think. Core's margin covers that for the ticks that ZooKeeper recommends. Here it is covered for all
//! of them: whoever takes a lease over hears every sign of life of the others, and the dead one's time counts from the
//! last one that was heard, by our own clock.
//!
//! What is heard was written before, so the end that is reckoned here is never too early. Mostly it is past already when
//! ZooKeeper ends the session, a third of the timeout later than the director let go: then nobody waits.

use crate::coordination::tree::Holder;
use std::collections::BTreeMap;
use vipward_core::time::{Duration, Instant};

/// How long a session is remembered: longer than sessions last, or somebody waits too long, which is only slow.
const MEMORY: Duration = Duration::from_secs(300);

/// When each session last gave a sign of life, as far as we can know: never earlier than it did.
#[derive(Debug, Default)]
pub struct Lives {
    heard: BTreeMap<i64, Instant>,
}

impl Lives {
    /// A sign of life was heard.
    pub fn heard(&mut self, session: i64, now: Instant) {
        self.heard.insert(session, now);
    }

    /// We were cut off and may have missed signs of life: each may just have given one.
    pub fn missed(&mut self, now: Instant) {
        self.heard.values_mut().for_each(|heard| *heard = now);
    }

    /// When this one has surely let go. One that we have never heard of may have given a sign of life just now.
    pub fn over(&mut self, holder: &Holder, now: Instant) -> Instant {
        *self.heard.entry(holder.session).or_insert(now) + holder.holds()
    }

    /// Forgets those that were not heard of for long. One that lives is heard soon again.
    pub fn forget(&mut self, now: Instant) {
        self.heard.retain(|_, heard| now.since(*heard) < MEMORY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Duration = Duration::from_secs(4);

    fn holder(session: i64) -> Holder {
        Holder { director: "lb1".into(), session, holds_ms: 4000, place: None }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_holder_has_let_go_some_time_after_the_last_sign_of_life_that_was_heard() {
        let mut lives = Lives::default();
        lives.heard(1, at(1000));
        lives.heard(1, at(1700));
        assert_eq!(lives.over(&holder(1), at(5000)), at(5700));
    }

    #[test]
    fn one_that_was_never_heard_of_counts_from_the_first_time_that_it_is_asked_about() {
        let mut lives = Lives::default();
        assert_eq!(lives.over(&holder(1), at(1000)), at(1000) + HOLDS);
        assert_eq!(lives.over(&holder(1), at(4999)), at(1000) + HOLDS, "asking is no sign of life");
    }

    #[test]
    fn what_was_missed_may_have_been_a_sign_of_life() {
        let mut lives = Lives::default();
        lives.heard(1, at(1000));
        lives.missed(at(3000));
        assert_eq!(lives.over(&holder(1), at(3000)), at(3000) + HOLDS);
    }

    #[test]
    fn who_was_forgotten_counts_as_never_heard_of() {
        let mut lives = Lives::default();
        lives.heard(1, at(0));
        lives.forget(at(1000));
        assert_eq!(lives.over(&holder(1), at(1000)), at(0) + HOLDS);
        let much_later = at(0) + MEMORY;
        lives.forget(much_later);
        assert_eq!(lives.over(&holder(1), much_later), much_later + HOLDS);
    }
}
