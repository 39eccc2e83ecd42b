//! Failed effects, told without a flood: a kernel that refuses forty thousand operations says the same each time.

use super::kernel::REREAD;
use crate::decision::Decision;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// How many are told one by one within [`REREAD`]; the others are counted, and the sum is told after it.
const MAX_TOLD: u32 = 8;

/// What was told, and what was not yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failures {
    since: Option<Instant>,
    told: u32,
    untold: u32,
    last: Option<(String, Duration)>,
}

impl Failures {
    /// An effect failed.
    pub fn tell(&mut self, what: String, error: &str, retry_in: Duration, now: Instant) -> Option<Decision> {
        self.since.get_or_insert(now);
        if self.told < MAX_TOLD {
            self.told += 1;
            return Some(Decision::EffectFailed { what, error: error.to_owned(), retry_in });
        }
        self.untold = self.untold.saturating_add(1);
        self.last = Some((error.to_owned(), retry_in));
        None
    }

    /// The sum of what was not told, once its time is over.
    pub fn sum(&mut self, now: Instant) -> Option<Decision> {
        if now < self.since? + REREAD {
            return None;
        }
        let Self { untold, last, .. } = std::mem::take(self);
        let (error, retry_in) = last?;
        Some(Decision::EffectFailed { what: format!("{untold} more"), error, retry_in })
    }
}
