//! Many seeds on many threads; what they give comes out in the order of the seeds, whoever is first.

use super::case::{Case, Clusters};
use super::covered::Covered;
use super::shrink::shrink;
use crate::invariants::Violation;
use crate::runner::events::Make;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The first seed.
    pub base: u64,
    pub seeds: u64,
    /// How long each run lasts, in simulated seconds.
    pub seconds: u64,
    pub jobs: usize,
    pub clusters: Clusters,
    /// After so many failures the sweep ends.
    pub most: usize,
}

/// What came out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many seeds came out.
    pub seeds: u64,
    /// What they went through.
    pub covered: Covered,
}

/// A seed that breaks an invariant.
#[derive(Clone, Debug)]
pub struct Found {
    pub seed: u64,
    /// As the seed draws it.
    pub violation: Violation,
    /// The small one.
    pub case: Case,
    pub shrunk: Violation,
}

impl Sweep {
    /// Runs all seeds. `found` gets each failure, shrunk, in the order of the seeds; `done` how many seeds are behind us,
    /// in the order in which they end. The error: a case that can't be run.
    pub fn run(
        &self,
        make: &dyn Make,
        mut done: impl FnMut(u64),
        mut found: impl FnMut(Found) -> Result<(), String>,
    ) -> Result<Swept, String> {
        let next = AtomicU64::new(0);
        let enough = AtomicBool::new(false);
        let (send, receive) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (send, next, enough) = (send.clone(), &next, &enough);
                scope.spawn(move || {
                    while !enough.load(Ordering::Relaxed) {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        if at >= self.seeds || send.send((at, self.one(self.base.wrapping_add(at), make))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(send);
            let (mut waiting, mut out, mut failures) = (BTreeMap::new(), 0, 0);
            let mut all = Covered::default();
            let mut result = Ok(());
            for (ended, (at, outcome)) in (1..).zip(receive) {
                done(ended);
                waiting.insert(at, outcome);
                while let Some(outcome) = waiting.remove(&out).filter(|_| failures < self.most && result.is_ok()) {
                    out += 1;
                    result = outcome.and_then(|(outcome, covered)| {
                        all.add(&covered);
                        match outcome {
                            Some(failure) => {
                                failures += 1;
                                found(failure)
                            }
                            None => Ok(()),
                        }
                    });
                }
                if failures >= self.most || result.is_err() {
                    enough.store(true, Ordering::Relaxed);
                }
            }
            result.map(|()| Swept { seeds: out, covered: all })
        })
    }

    fn one(&self, seed: u64, make: &dyn Make) -> Result<(Option<Found>, Covered), String> {
        let case = Case::draw(seed, self.seconds, &self.clusters)?;
        let (violation, covered) = case.run_covered(make).map_err(|error| format!("seed {seed}: {error}"))?;
        let found = violation.map(|violation| {
            let (case, shrunk) = shrink(case, violation.clone(), make);
            Found { seed, violation, case, shrunk }
        });
        Ok((found, covered))
    }
}
