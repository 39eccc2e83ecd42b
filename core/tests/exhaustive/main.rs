//! The election, model-checked: `docs/exhaustive.md`.
//!
//! What takes longer than a test may is run by `cargo run --release -p vipward-core --example exhaustive`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // All of it is tests.

#[allow(dead_code)] // The example reads more of what was found.
mod model;

use model::liveness;
use model::search::{Explored, Outcome, explore};
use model::setup::{self, Director, Planted, Setup};
use model::timeline::replay;
use vipward_core::quantity::Version;

/// Explores, and fails with a timeline if anything is broken.
#[track_caller]
fn holds(setup: &Setup, depth: u8) -> Explored {
    let told = |rule: &str, steps: &[_]| panic!("{}: {rule}\n{}", setup.name, replay(setup, steps).unwrap());
    let explored = match explore(setup, depth, 500_000) {
        Outcome::Explored(explored) => explored,
        Outcome::Broken(found) => told(&found.rule, &found.steps),
        Outcome::TooMany(states) => panic!("{}: more than {states} states", setup.name),
    };
    match liveness::check(setup, &explored) {
        Ok(_) => explored,
        Err(found) => told(&found.rule, &found.steps),
    }
}

/// The rule that is found broken, and the timeline that shows it.
#[track_caller]
fn breaks(setup: &Setup, depth: u8) -> (String, String) {
    let found = match explore(setup, depth, 500_000) {
        Outcome::Broken(found) => found,
        Outcome::Explored(explored) => liveness::check(setup, &explored).expect_err("the planted fault is found"),
        Outcome::TooMany(states) => panic!("more than {states} states"),
    };
    let timeline = replay(setup, &found.steps).unwrap();
    println!("{}\n{timeline}", found.rule);
    (found.rule, timeline)
}

#[test]
fn two_directors_in_every_order_of_any_number_of_faults() {
    for name in ["unequal", "equal", "unequal, nopreempt", "only the better nopreempt"] {
        let setups = setup::two();
        let setup = setups.iter().find(|setup| setup.name == name).unwrap();
        let explored = holds(setup, 60);
        assert!(explored.complete, "{name}: {:?}", explored.layers);
        assert!(explored.nodes.len() > 3_000, "{name}: {}", explored.nodes.len());
        // The bounds are not idle: they are reached, so that smaller ones would fail.
        let worst = liveness::check(setup, &explored).unwrap();
        assert_eq!(worst.nobody.at_worst, worst.nobody.bound, "{name}");
        assert_eq!(worst.several.at_worst, worst.several.bound, "{name}");
    }
}

#[test]
fn two_directors_of_every_kind() {
    for setup in setup::two() {
        holds(&setup, 5);
    }
}

#[test]
fn three_directors() {
    for setup in setup::three().into_iter().chain(setup::three_prompt()) {
        holds(&setup, 3);
    }
}

/// A state of the search is a few numbers. A machine that has lived through the whole path is in that very state.
#[test]
fn nothing_that_matters_is_forgotten_between_two_steps() {
    for setup in setup::two() {
        let Outcome::Explored(explored) = explore(&setup, 6, 500_000) else { panic!("{}", setup.name) };
        let last = u32::try_from(explored.nodes.len()).unwrap();
        for place in (1..last).rev().step_by(199) {
            replay(&setup, &explored.path(place)).unwrap();
        }
    }
}

// Faults planted between the machine and its world: the checker can fail.

fn pair(a: Director, b: Director, planted: Planted) -> Setup {
    Setup::new("planted", Version::V3, &[a, b]).planted(planted)
}

#[test]
fn a_reversed_tie_break_is_found() {
    let equal = Director::of(128);
    let (rule, timeline) = breaks(&pair(equal, equal, Planted::TieBreakReversed), 6);
    assert_eq!(rule, "a MASTER yields to a worse one");
    insta::assert_snapshot!("reversed_tie_break", timeline);
}

#[test]
fn an_ignored_priority_0_is_found() {
    let (rule, _) = breaks(&pair(Director::of(192), Director::of(128), Planted::PriorityZeroIgnored), 6);
    assert!(rule.starts_with("it should be BACKUP 0.500 and is BACKUP 3.500"), "{rule}");
}

#[test]
fn an_address_that_is_kept_is_found() {
    let (rule, _) = breaks(&pair(Director::of(192), Director::of(128), Planted::AddressKept), 6);
    assert!(rule == "a BACKUP holds the VIP" || rule == "stopped, and the VIP is still there", "{rule}");
}

#[test]
fn adverts_that_are_withheld_are_found() {
    let setup = pair(Director::of(192), Director::of(128), Planted::AdvertsWithheld);
    let (rule, _) = breaks(&setup, 6);
    assert_eq!(rule, "it should send [Advert] and sends []");
}

/// By what happens between the directors alone: nobody knows what the machine should have done.
#[test]
fn a_cluster_that_does_not_settle_is_found() {
    let (better, other) = (Director::of(192), Director::of(128));
    let (rule, timeline) = breaks(&pair(better, other, Planted::AdvertsWithheld).without_rules(), 6);
    assert!(rule.starts_with("several MASTERs for ever"), "{rule}");
    insta::assert_snapshot!("withheld_adverts", timeline);
    let (rule, _) = breaks(&pair(better, other, Planted::NeverPreempts).without_rules(), 6);
    assert!(rule.starts_with("not settled for ever"), "{rule}");
}
