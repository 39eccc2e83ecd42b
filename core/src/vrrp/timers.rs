//! When each virtual router wants to be woken, so that a director with hundreds of them looks only at those that are due.

use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The next instant of each of a row of things.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Timers {
    due: BTreeSet<(Instant, usize)>,
    of: Vec<Option<Instant>>,
}

impl Timers {
    /// Forgets everything; `len` things.
    pub fn reset(&mut self, len: usize) {
        self.due.clear();
        self.of.clear();
        self.of.resize(len, None);
    }

    /// Sets, moves or stops one.
    pub fn set(&mut self, index: usize, at: Option<Instant>) {
        let Some(slot) = self.of.get_mut(index) else { return };
        if *slot == at {
            return;
        }
        if let Some(before) = slot.take() {
            self.due.remove(&(before, index));
        }
        if let Some(at) = at {
            self.due.insert((at, index));
        }
        *slot = at;
    }

    /// When one is due.
    pub fn at(&self, index: usize) -> Option<Instant> {
        self.of.get(index).copied().flatten()
    }

    /// The earliest.
    pub fn next(&self) -> Option<(Instant, usize)> {
        self.due.first().copied()
    }

    /// Those due at `now` or before, earliest first.
    pub fn expired(&self, now: Instant) -> Vec<usize> {
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, index)| *index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_timer_fires_once_at_its_new_instant() {
        let at = Instant::from_millis;
        let mut timers = Timers::default();
        timers.reset(3);
        timers.set(0, Some(at(30)));
        timers.set(1, Some(at(10)));
        timers.set(2, Some(at(20)));
        timers.set(1, Some(at(40)));
        timers.set(9, Some(at(1)));
        assert_eq!(timers.next(), Some((at(20), 2)));
        assert_eq!(timers.expired(at(19)), [0; 0]);
        assert_eq!(timers.expired(at(30)), [2, 0]);
        timers.set(2, None);
        assert_eq!(timers.expired(at(40)), [0, 1]);
        timers.reset(1);
        assert_eq!(timers.next(), None);
    }
}
