//! A destination's weight, made of parts. Each part has one source and knows nothing of the others, so that a slow start, a
//! drain and a checker that answers with a weight need no special cases where the table is derived.

use serde::{Deserialize, Serialize};

/// The greatest that comes out, as the greatest that the configuration takes.
pub const MOST: u32 = 65_535;

/// The parts. Whatever they are, [`Weight::effective`] is what goes into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// `weight`.
    pub configured: u32,
    /// The sum of what tracked things add.
    pub tracked: i64,
    /// What the checkers make of the configured one.
    pub checker: Answered,
    /// How far a slow start is.
    pub ramp: Ramp,
    /// It takes no new connections and keeps those that it has: taken out by hand, or `inhibit_on_failure`.
    pub drained: bool,
}

/// What checkers say about the weight; how a kind means it, that kind says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answered {
    #[default]
    Nothing,
    /// In place of the configured one.
    Instead(u32),
    /// Added to the configured one.
    Added(i64),
}

/// A slow start: `done` of `of` parts of its time are over. None of none: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ramp {
    pub done: u32,
    pub of: u32,
}

impl Weight {
    /// The configured part alone.
    pub fn new(configured: u32) -> Self {
        Self { configured, tracked: 0, checker: Answered::Nothing, ramp: Ramp::default(), drained: false }
    }

    /// What goes into the table: 0 when drained; otherwise what configuration, checkers and tracked things come to, within
    /// 0 and [`MOST`], and of that during a slow start only so much as its time says, at least 1. A weight of 0 stays 0: it
    /// says that nobody is to be sent there, and a slow start does not change that.
    pub fn effective(&self) -> u32 {
        if self.drained { 0 } else { self.ramp.share(self.whole()) }
    }

    /// Without slow start and drain: what counts for the quorum.
    pub fn whole(&self) -> u32 {
        let Self { configured, tracked, checker, ramp: _, drained: _ } = *self;
        let base = match checker {
            Answered::Nothing => i64::from(configured),
            Answered::Instead(weight) => i64::from(weight),
            Answered::Added(more) => i64::from(configured).saturating_add(more),
        };
        let whole = base.saturating_add(tracked).clamp(0, i64::from(MOST));
        // Within 0 and MOST it always fits.
        u32::try_from(whole).unwrap_or(MOST)
    }
}

impl Ramp {
    /// From 1 at the begin to all of it at the end, and never less than before.
    fn share(self, whole: u32) -> u32 {
        if self.done >= self.of || whole <= 1 {
            return whole;
        }
        let rise = u64::from(whole - 1) * u64::from(self.done) / u64::from(self.of);
        u32::try_from(rise).map_or(whole, |rise| 1 + rise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered() -> impl Strategy<Value = Answered> {
        prop_oneof![
            Just(Answered::Nothing),
            any::<u32>().prop_map(Answered::Instead),
            any::<i64>().prop_map(Answered::Added),
            (-70_000..70_000_i64).prop_map(Answered::Added),
        ]
    }

    fn weight() -> impl Strategy<Value = Weight> {
        let tracked = prop_oneof![-600..600_i64, any::<i64>()];
        (0..=MOST, tracked, answered(), any::<(u32, u32)>(), any::<bool>()).prop_map(
            |(configured, tracked, checker, (done, of), drained)| Weight {
                configured,
                tracked,
                checker,
                ramp: Ramp { done, of },
                drained,
            },
        )
    }

    #[test]
    fn the_parts_one_by_one() {
        let ten = Weight::new(10);
        let of = |weight: Weight| weight.effective();
        assert_eq!(of(ten), 10);
        assert_eq!(of(Weight { tracked: -3, ..ten }), 7);
        assert_eq!(of(Weight { tracked: -30, ..ten }), 0, "not below 0");
        assert_eq!(of(Weight { checker: Answered::Instead(4), ..ten }), 4);
        assert_eq!(of(Weight { checker: Answered::Added(-4), ..ten }), 6);
        assert_eq!(of(Weight { checker: Answered::Instead(4), tracked: 2, ..ten }), 6);
        assert_eq!([0, 3, 5, 9, 10].map(|done| of(Weight { ramp: Ramp { done, of: 10 }, ..ten })), [1, 3, 5, 9, 10]);
        assert_eq!(of(Weight { ramp: Ramp { done: 5, of: 10 }, ..Weight::new(0) }), 0, "a ramp lifts nobody from 0");
        assert_eq!(of(Weight { drained: true, ..ten }), 0);
        assert_eq!(of(Weight::new(70_000)), MOST);
    }

    proptest! {
        #[test]
        fn drained_is_nothing_and_no_weight_is_above_the_most(weight in weight()) {
            prop_assert!(weight.effective() <= MOST);
            prop_assert_eq!(Weight { drained: true, ..weight }.effective(), 0);
        }

        #[test]
        fn without_other_parts_it_is_the_configured_one(configured in 0..=MOST) {
            prop_assert_eq!(Weight::new(configured).effective(), configured);
        }

        /// It begins at 1, never falls, and ends at all of it; and it leaves nobody out who has a weight.
        #[test]
        fn a_ramp_leads_from_1_to_the_whole(weight in weight(), of in 1..100_000_u32, steps in prop::array::uniform2(0..100_000_u32)) {
            let at = |done| Weight { ramp: Ramp { done, of }, drained: false, ..weight }.effective();
            let whole = Weight { ramp: Ramp::default(), drained: false, ..weight }.effective();
            prop_assert_eq!(at(0), whole.min(1));
            prop_assert_eq!(at(of), whole);
            let [one, other] = steps;
            let (earlier, later) = (at(one.min(other)), at(one.max(other)));
            prop_assert!(whole.min(1) <= earlier && earlier <= later && later <= whole);
        }

        #[test]
        fn a_checker_replaces_or_adds(configured in 0..=MOST, said in 0..=MOST, more in -70_000..70_000_i64) {
            let with = |checker| Weight { checker, ..Weight::new(configured) }.effective();
            prop_assert_eq!(with(Answered::Instead(said)), said);
            let sum = (i64::from(configured) + more).clamp(0, i64::from(MOST));
            prop_assert_eq!(i64::from(with(Answered::Added(more))), sum);
        }
    }
}
