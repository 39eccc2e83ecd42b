//! Sync groups under random faults: directors on two segments, of `scenarios/sync-group.toml`.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use std::path::Path;
use std::sync::Arc;
use vipward_core::estate::ElectionEstate;
use vipward_core::machine::{Input, LastWill, LeavesWill, Machine, Reason};
use vipward_core::time::Instant;
use vipward_core::vrrp::{self, Effect, Election, Event};
use vipward_sim::explore::{Case, Clusters, Given};
use vipward_sim::runner::events::{GuardedMachine, Make, Product};
use vipward_sim::scenario::NodeId;

const SEEDS: u64 = 60;

fn clusters() -> Clusters {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/sync-group.toml");
    Clusters::Given(Given::read(&path).unwrap())
}

#[test]
fn a_group_stays_whole_under_random_faults() {
    for seed in 1..=SEEDS {
        let case = Case::draw(seed, 600, &clusters()).unwrap();
        let broken = case.run(&Product).unwrap();
        assert!(broken.is_none(), "seed {seed}: {broken:?}");
    }
}

/// The group is not in the configuration that the machine hears of.
struct Forgotten;

impl Make for Forgotten {
    fn election(&self, _: NodeId) -> Box<dyn GuardedMachine<Election>> {
        Box::new(Alone(Election::default()))
    }
}

struct Alone(Election);

impl Machine for Alone {
    type Event = Event;
    type Effect = Effect;
    type Estate = ElectionEstate;

    fn handle(&mut self, mut input: vrrp::Input, now: Instant) -> vrrp::Outbox {
        if let Input::ConfigLoaded { config, .. } = &mut input {
            Arc::make_mut(config).groups.clear();
        }
        self.0.handle(input, now)
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.0.next_wakeup()
    }

    fn estate(&self, now: Instant) -> Option<ElectionEstate> {
        self.0.estate(now)
    }
}

impl LeavesWill for Alone {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        self.0.changed_shares()
    }
}

#[test]
fn a_group_that_is_forgotten_is_found() {
    let found = (1..=10).find_map(|seed| {
        let broken = Case::draw(seed, 600, &clusters()).unwrap().run(&Forgotten).unwrap()?;
        Some((seed, broken.invariant))
    });
    assert_eq!(found.map(|(_, invariant)| invariant), Some("group-whole"), "{found:?}");
}
