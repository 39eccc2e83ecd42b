//! Until when another director may have addresses on the strength of its lease.
//!
//! The service's word that a session is over is not enough to go by. A director counts from its last answered question,
//! which is a write; ZooKeeper's leader, who ends sessions, counts from what followers report to it twice a tick. A follower
//! that is cut off just after it passed on a write, or a leader that stood still for a while, and the session ends sooner
//! than the director may think. So whoever takes a lease over hears every sign of life of the others, and the dead one's
//! time counts from the last one that was heard, by our own clock.
//!
//! What is heard was written before, and all of it was heard when the end of a session is: the end that is reckoned here is
//! never too early. Mostly it is past when the service ends the session: then nobody waits.

use super::Session;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// How long a session is remembered after its last sign of life.
const MEMORY: Duration = Duration::from_secs(300);

/// When each session last gave a sign of life, as far as we can know: never earlier than it did.
#[derive(Debug)]
pub struct Lives {
    heard: BTreeMap<Session, Instant>,
    /// Who is not among those had given its last sign of life by then: every later one was heard.
    others: Instant,
}

impl Lives {
    /// Nobody was heard of yet, and from `now` on every sign of life is.
    pub fn since(now: Instant) -> Self {
        Self { heard: BTreeMap::new(), others: now }
    }

    /// A sign of life was heard.
    pub fn heard(&mut self, session: Session, now: Instant) {
        self.heard.insert(session, now);
    }

    /// When a holder that keeps addresses for `holds` after its last sign of life ([`super::surely::held_for`]) has surely
    /// let go.
    pub fn over(&self, holder: Session, holds: Duration) -> Instant {
        *self.heard.get(&holder).unwrap_or(&self.others) + holds
    }

    /// Forgets those that were not heard of for long. One that lives is heard soon again.
    pub fn forget(&mut self, now: Instant) {
        let forgotten = self.heard.extract_if(.., |_, heard| now.since(*heard) >= MEMORY);
        self.others = forgotten.map(|(_, heard)| heard).fold(self.others, Instant::max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDS: Duration = Duration::from_secs(4);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_holder_has_let_go_some_time_after_the_last_sign_of_life_that_was_heard() {
        let mut lives = Lives::since(at(500));
        lives.heard(Session(1), at(1000));
        lives.heard(Session(1), at(1700));
        assert_eq!(lives.over(Session(1), HOLDS), at(1700) + HOLDS);
    }

    #[test]
    fn one_that_was_never_heard_of_may_have_given_a_sign_of_life_just_before_we_listened() {
        let mut lives = Lives::since(at(500));
        lives.heard(Session(2), at(1000));
        assert_eq!(lives.over(Session(1), HOLDS), at(500) + HOLDS);
    }

    #[test]
    fn who_was_forgotten_is_not_over_earlier_for_that() {
        let mut lives = Lives::since(at(0));
        lives.heard(Session(1), at(1000));
        lives.heard(Session(2), at(2000));
        let later = at(1500) + MEMORY;
        lives.forget(later);
        assert_eq!(lives.heard.keys().copied().collect::<Vec<_>>(), [Session(2)]);
        assert_eq!(lives.over(Session(1), HOLDS), at(1000) + HOLDS);
        assert_eq!(lives.over(Session(2), HOLDS), at(2000) + HOLDS);
    }
}
