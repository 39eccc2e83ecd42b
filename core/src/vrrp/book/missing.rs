//! When what is wanted and is not there may be put there: the same for addresses, routes and policy rules.
//!
//! What somebody takes off is put back at once, and more slowly the more he insists. What the kernel refuses is tried again
//! after a while.

use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long until what could not be put there is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// How soon what vanishes again and again is put back: at once, then after this, and then each time after twice as long, up
/// to [`LONGEST_AWAY`]. Whoever insists on taking it off gets no storm.
pub const AWAY: Duration = Duration::from_millis(100);
/// See [`AWAY`].
pub const LONGEST_AWAY: Duration = Duration::from_secs(1);
/// What was left alone for so long is put back at once again.
pub const CALM: Duration = Duration::from_secs(10);

/// What was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Restored {
    at: Instant,
    /// How long the next time has to wait.
    away: Duration,
}

/// How something is put there that was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// It was there and vanished without our doing.
    pub restored: bool,
    /// It was refused before.
    pub retried: bool,
}

/// What is known of those that are missing, by their keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Missing<K: Ord> {
    /// It was there, and vanished without our doing.
    lost: BTreeSet<K>,
    restored: BTreeMap<K, Restored>,
    /// The kernel refused it; left alone until then.
    refused: BTreeMap<K, Instant>,
    /// What has to be looked at again, and when.
    due: BTreeSet<(Instant, K)>,
}

impl<K: Ord> Default for Missing<K> {
    fn default() -> Self {
        Self { lost: BTreeSet::new(), restored: BTreeMap::new(), refused: BTreeMap::new(), due: BTreeSet::new() }
    }
}

impl<K: Clone + Ord> Missing<K> {
    /// It vanished without our doing.
    pub fn lose(&mut self, key: K) {
        self.lost.insert(key);
    }

    /// Whether it vanished without our doing, and has not been put back.
    pub fn is_lost(&self, key: &K) -> bool {
        self.lost.contains(key)
    }

    /// Whether it may be put there now. If not, it is due when it may.
    pub fn may_be_put(&mut self, key: &K, now: Instant) -> bool {
        if self.refused.get(key).is_some_and(|at| *at > now) {
            return false;
        }
        let later = self.restored.get(key).map(|last| last.at + last.away).filter(|at| *at > now);
        match later {
            Some(later) if self.lost.contains(key) => {
                self.due.insert((later, key.clone()));
                false
            }
            Some(_) | None => true,
        }
    }

    /// It is put there.
    pub fn put(&mut self, key: &K, now: Instant) -> Put {
        let retried = self.forget_refusal(key);
        let restored = self.lost.remove(key);
        if restored {
            let last = self.restored.get(key).filter(|last| now.since(last.at) < CALM);
            let away = last.map_or(AWAY, |last| (last.away * 2).min(LONGEST_AWAY));
            self.restored.insert(key.clone(), Restored { at: now, away });
        }
        Put { restored, retried }
    }

    /// The kernel refused it: it is due after [`RETRY`].
    pub fn refuse(&mut self, key: K, now: Instant) {
        self.forget_refusal(&key);
        self.refused.insert(key.clone(), now + RETRY);
        self.due.insert((now + RETRY, key));
    }

    /// Nobody wants it any more.
    pub fn forget(&mut self, key: &K) {
        self.lost.remove(key);
        self.restored.remove(key);
        self.forget_refusal(key);
    }

    /// What was refused may be let in now: all of it, to be looked at again.
    pub fn forget_refusals(&mut self) -> Vec<K> {
        let refused: Vec<K> = self.refused.keys().cloned().collect();
        refused.iter().for_each(|key| _ = self.forget_refusal(key));
        refused
    }

    pub fn forget_refusal(&mut self, key: &K) -> bool {
        let Some(at) = self.refused.remove(key) else { return false };
        self.due.remove(&(at, key.clone()));
        true
    }

    /// What has to be looked at again by now.
    pub fn take_due(&mut self, now: Instant) -> Vec<K> {
        let mut due = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.due.pop_first().map(|(_, key)| key));
        }
        due
    }

    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }
}
