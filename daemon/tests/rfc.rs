//! docs/rfc.md names a test for what the RFCs require: each of them exists, and the counts at its head are right.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows only functions marked #[test] as tests

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const LEDGER: &str = include_str!("../../docs/rfc.md");

fn path(named: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if named.contains('/') { root.join(named) } else { root.join("core/tests/election").join(named) }
}

#[test]
fn every_test_that_is_named_exists() {
    let named: Vec<(&str, &str)> = LEDGER.split('`').filter_map(|code| code.split_once(".rs::")).collect();
    assert!(named.len() > 100, "{}", named.len());
    for (file, test) in named {
        let file = path(&format!("{file}.rs"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let declared = format!("fn {test}(");
        let place = text.find(&declared).unwrap_or_else(|| panic!("no {test} in {}", file.display()));
        let before = text.get(..place).unwrap();
        let attributes = before.rsplit("\n\n").next().unwrap();
        assert!(attributes.contains("#[test]") || attributes.contains("#[tokio::test"), "{test} is no test");
    }
}

#[test]
fn the_counts_are_right() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let rows = LEDGER.lines().filter_map(|line| line.strip_prefix("| ")).map(|row| row.split(" | "));
    for mut row in
        rows.filter(|row| row.clone().next().is_some_and(|id| id.starts_with("9568-") || id.starts_with("3768-")))
    {
        *counts.entry(row.nth(1).unwrap()).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    let verdicts = ["met", "deviates", "not applicable", "open"];
    let of: Vec<String> = verdicts.iter().map(|verdict| format!("{} {verdict}", counts[verdict])).collect();
    let head = format!("{all} requirements: {}", of.join(", "));
    assert!(LEDGER.contains(&head), "{head}");
    assert_eq!(counts.len(), verdicts.len(), "{counts:?}");
}
