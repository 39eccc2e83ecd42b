//! The invariants are able to fail: each planted fault is found within a bounded number of seeds. How many it took is the
//! table in `docs/explorer.md`, which this test keeps true (`UPDATE_DOCS=1` writes it anew).

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

#[path = "explore/planted.rs"]
mod planted;

use planted::Fault;
use std::fmt::Write;
use std::path::Path;
use vipward_sim::explore::{Case, Clusters};
use vipward_sim::world::Half;

/// A fault that takes more seeds than this counts as not found.
const BOUND: u64 = 300;
/// Simulated seconds of each.
const SECONDS: u64 = 600;

const BEGIN: &str = "<!-- planted: begin -->\n";
const END: &str = "<!-- planted: end -->";

/// The first seed that finds it, and by which invariant.
fn hunt(fault: Fault) -> Option<(u64, &'static str)> {
    (1..=BOUND).find_map(|seed| {
        let case = Case::draw(seed, SECONDS, &Clusters::Any).unwrap();
        let broken = case.run(&|_, half: Half| fault.around(half)).unwrap();
        broken.map(|violation| (seed, violation.invariant))
    })
}

#[test]
fn every_planted_fault_is_found() {
    let hunts: Vec<_> = std::thread::scope(|scope| {
        let hunts: Vec<_> = Fault::ALL.map(|(fault, name)| (name, scope.spawn(move || hunt(fault)))).into();
        hunts.into_iter().map(|(name, hunt)| (name, hunt.join().unwrap())).collect()
    });
    let mut table = "| planted fault | seeds needed | found by |\n|---|---|---|\n".to_owned();
    for (name, found) in &hunts {
        let (seeds, invariant) = found.map_or(("none".to_owned(), "-"), |(seed, by)| (seed.to_string(), by));
        let _ = writeln!(table, "| {name} | {seeds} | {invariant} |");
    }
    assert!(hunts.iter().all(|(_, found)| found.is_some()), "not all within {BOUND} seeds:\n{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explorer.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (old, tail) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
    } else {
        assert_eq!(old, table, "docs/explorer.md is out of date: UPDATE_DOCS=1");
    }
}
