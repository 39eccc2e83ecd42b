//! The logic of leases is able to fail: each planted slip is found within a bounded number of seeds.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

#[path = "explore/hunt.rs"]
mod hunt;
#[path = "explore/slips.rs"]
mod slips;

use hunt::Hunt;
use slips::Slip;
use vipward_sim::explore::{Case, Clusters};
use vipward_sim::runner::events::Product;

/// Simulated seconds of each run.
const SECONDS: u64 = 120;

#[test]
fn every_planted_slip_is_found() {
    let hunt = Hunt { clusters: Clusters::Fenced, seconds: SECONDS, bound: 500, what: "planted slip", mark: "slips" };
    hunt.finds(&Slip::ALL);
}

/// The same seeds with the product's own machine.
#[test]
fn the_product_holds() {
    for seed in 1..=200 {
        let case = Case::draw(seed, SECONDS, &Clusters::Fenced).unwrap();
        assert_eq!(case.run(&Product).unwrap(), None, "seed {seed}");
    }
}
