//! The invariants are able to fail: each planted fault is found within a bounded number of seeds.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

#[path = "explore/hunt.rs"]
mod hunt;
#[path = "explore/planted.rs"]
mod planted;

use hunt::Hunt;
use planted::Fault;
use vipward_sim::explore::Clusters;

#[test]
fn every_planted_fault_is_found() {
    let hunt = Hunt { clusters: Clusters::Any, seconds: 600, bound: 300, what: "planted fault", mark: "planted" };
    hunt.finds(&Fault::ALL);
}
