//! `elect`: whose turn it is when nobody holds a lease, and the best candidate does not take it.
//!
//! A candidate that dies without a word stays in the list until the service ends its session. Meanwhile a lease that is
//! free would stay so: everybody waits for the dead one. So each better candidate has [`TURN`] to take it, and then it is
//! the next one's turn. Whoever takes a lease out of turn does not give way to those that it passed over, until their
//! sessions are surely over or they make a new claim.

use crate::lease::LeaseKey;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long each better candidate may leave a lease free: to take it costs milliseconds, to find another server a second.
pub const TURN: Duration = Duration::from_secs(3);

/// Leases that are known to be free, and candidates that left one free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vacancies {
    free: BTreeMap<LeaseKey, Free>,
    passed: BTreeMap<LeaseKey, Passed>,
}

/// A lease that nobody held at `since`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Free {
    since: Instant,
    /// When it is our turn; none: while there is no claim of ours among the candidates.
    turn: Option<Instant>,
    /// It is.
    ours: bool,
}

/// Candidates, by their numbers, that left a lease free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Passed {
    sequences: BTreeSet<i64>,
    until: Instant,
}

impl Vacancies {
    /// The service said that nobody holds it.
    pub fn free(&mut self, key: LeaseKey, now: Instant) {
        self.free.entry(key).or_insert(Free { since: now, turn: None, ours: false });
    }

    /// Somebody holds it, or it is not known any more.
    pub fn taken(&mut self, key: &str) {
        self.free.remove(key);
    }

    /// Another one holds it: whom we were about to pass over has left nothing free.
    pub fn taken_by_another(&mut self, key: &str) {
        self.taken(key);
        self.passed.remove(key);
    }

    /// So many candidates are better than ours.
    pub fn ranked(&mut self, key: &str, better: Option<usize>, now: Instant) {
        if let Some(free) = self.free.get_mut(key) {
            let turns = better.map(|better| TURN.saturating_mul(u32::try_from(better).unwrap_or(u32::MAX)));
            free.turn = turns.map(|turns| free.since + turns);
            free.ours = free.turn.is_some_and(|turn| turn <= now);
        }
    }

    /// It is free, and all better candidates have had their turn.
    pub fn our_turn(&self, key: &str) -> bool {
        self.free.get(key).is_some_and(|free| free.ours)
    }

    /// Ours takes it, and these better ones have left it free.
    pub fn pass_over(&mut self, key: LeaseKey, sequences: BTreeSet<i64>, until: Instant) {
        self.passed.insert(key, Passed { sequences, until });
    }

    /// Whether the holder need not give way to the candidate with this number.
    pub fn is_passed_over(&self, key: &str, sequence: i64) -> bool {
        self.passed.get(key).is_some_and(|passed| passed.sequences.contains(&sequence))
    }

    /// When [`Self::look`] has something to find.
    pub fn next(&self) -> Option<Instant> {
        let turns = self.free.values().filter(|free| !free.ours).filter_map(|free| free.turn);
        turns.chain(self.passed.values().map(|passed| passed.until)).min()
    }

    /// Looks at the clock. True: it is our turn somewhere, or those that were passed over are heard again.
    pub fn look(&mut self, now: Instant) -> bool {
        let before = self.passed.len();
        self.passed.retain(|_, passed| passed.until > now);
        let mut news = self.passed.len() != before;
        for free in self.free.values_mut().filter(|free| !free.ours) {
            free.ours = free.turn.is_some_and(|turn| turn <= now);
            news |= free.ours;
        }
        news
    }

    /// The session is over.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn each_better_candidate_has_its_turn() {
        let mut vacancies = Vacancies::default();
        vacancies.ranked("V", Some(2), at(1_000));
        assert!(!vacancies.our_turn("V"), "not known to be free");
        vacancies.free("V".into(), at(1_000));
        assert!(!vacancies.look(at(60_000)), "not known who is better");
        vacancies.ranked("V", Some(2), at(1_000));
        assert_eq!(vacancies.next(), Some(at(7_000)));
        assert!(!vacancies.look(at(6_999)) && !vacancies.our_turn("V"));
        assert!(vacancies.look(at(7_000)) && vacancies.our_turn("V"));
        assert!(!vacancies.look(at(7_000)) && vacancies.next().is_none(), "told once");
        vacancies.taken("V");
        assert!(!vacancies.our_turn("V"));
    }

    #[test]
    fn the_turns_count_from_the_first_word_of_it() {
        let mut vacancies = Vacancies::default();
        vacancies.free("V".into(), at(1_000));
        vacancies.free("V".into(), at(5_000));
        vacancies.ranked("V", Some(1), at(5_000));
        assert!(vacancies.our_turn("V"));
    }

    #[test]
    fn those_passed_over_are_heard_again_after_a_while_or_with_a_new_claim() {
        let mut vacancies = Vacancies::default();
        vacancies.pass_over("V".into(), BTreeSet::from([3, 4]), at(9_000));
        assert!(vacancies.is_passed_over("V", 3) && !vacancies.is_passed_over("V", 5));
        assert!(!vacancies.look(at(8_999)));
        assert_eq!(vacancies.next(), Some(at(9_000)));
        assert!(vacancies.look(at(9_000)) && !vacancies.is_passed_over("V", 3));
        vacancies.pass_over("V".into(), BTreeSet::from([3]), at(19_000));
        vacancies.taken("V");
        assert!(vacancies.is_passed_over("V", 3), "we have taken it");
        vacancies.taken_by_another("V");
        assert!(!vacancies.is_passed_over("V", 3));
    }
}
