//! Looks for planted faults, and keeps the table of how many seeds each takes true in `docs/explorer.md`
//! (`UPDATE_DOCS=1` writes it anew).

use std::fmt::Write;
use std::path::Path;
use vipward_sim::explore::{Case, Clusters};
use vipward_sim::runner::events::{Make, Product};

/// Where faults are looked for, and what they are called.
pub struct Hunt {
    pub clusters: Clusters,
    /// Simulated seconds of each run.
    pub seconds: u64,
    /// A fault that takes more seeds than this counts as not found.
    pub bound: u64,
    /// The table's first column.
    pub what: &'static str,
    /// Where the table stands: between `<!-- mark: begin -->` and `<!-- mark: end -->`.
    pub mark: &'static str,
}

impl Hunt {
    /// Finds each of `faults`, which make machines out of the product's.
    pub fn finds<F: Make + Copy + Send>(&self, faults: &[(F, &str)]) {
        let found: Vec<_> = std::thread::scope(|scope| {
            let hunts: Vec<_> = faults.iter().map(|(fault, _)| scope.spawn(move || self.first(*fault))).collect();
            hunts.into_iter().map(|hunt| hunt.join().unwrap()).collect()
        });
        let mut table = format!("| {} | seeds needed | found by |\n|---|---|---|\n", self.what);
        for ((_, name), found) in faults.iter().zip(&found) {
            let (seeds, invariant) = found.map_or(("none".to_owned(), "-"), |(seed, by)| (seed.to_string(), by));
            let _ = writeln!(table, "| {name} | {seeds} | {invariant} |");
        }
        assert!(found.iter().all(Option::is_some), "not all within {} seeds:\n{table}", self.bound);
        self.stands(&table);
    }

    /// The first seed that finds it, and by which invariant.
    fn first(&self, fault: impl Make) -> Option<(u64, &'static str)> {
        (1..=self.bound).find_map(|seed| {
            let case = Case::draw(seed, self.seconds, &self.clusters).unwrap();
            let broken = case.run(&fault).unwrap();
            let found = broken.map(|violation| (seed, violation.invariant))?;
            // A complaint about the product itself finds no planted fault.
            case.run(&Product).unwrap().is_none().then_some(found)
        })
    }

    fn stands(&self, table: &str) {
        let (begin, end) = (format!("<!-- {}: begin -->\n", self.mark), format!("<!-- {}: end -->", self.mark));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explorer.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once(&begin).unwrap();
        let (old, tail) = rest.split_once(&end).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
        } else {
            assert_eq!(old, table, "docs/explorer.md is out of date: UPDATE_DOCS=1");
        }
    }
}
