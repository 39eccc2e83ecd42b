//! Random choices that are the same on every machine: whole numbers from ChaCha8, no floats.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One stream of choices.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// What is drawn from one `stream` of a seed moves nothing in another.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        dice.set_stream(stream);
        Self(dice)
    }

    /// 0..=`most`.
    pub fn up_to(&mut self, most: u64) -> u64 {
        match most.checked_add(1) {
            Some(count) => self.0.next_u64() % count,
            None => self.0.next_u64(),
        }
    }

    /// `least`..=`most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.up_to(most.saturating_sub(least))
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.up_to(n.saturating_sub(1)) == 0
    }

    /// One of a list; an entry that stands there twice is twice as likely.
    #[allow(
        clippy::indexing_slicing,
        reason = "the index is drawn below the length; an empty list is a slip in our code"
    )]
    pub fn among<T: Clone>(&mut self, list: &[T]) -> T {
        let most = u64::try_from(list.len().saturating_sub(1)).unwrap_or(0);
        list[usize::try_from(self.up_to(most)).unwrap_or(0)].clone()
    }

    /// From `least` to `most` so that each order of magnitude is as likely as another: milliseconds matter as much as
    /// minutes.
    pub fn stretched(&mut self, least: u64, most: u64) -> u64 {
        let doublings = u64::from((most / least.max(1)).max(1).ilog2());
        let low = least << self.up_to(doublings);
        self.between(low, low.saturating_mul(2)).min(most)
    }
}
