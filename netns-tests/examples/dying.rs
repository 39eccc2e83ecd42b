//! What if … dies? The kill matrix with its times, vipward beside keepalived:
//! `cargo run --release -p vipward-netns-tests --example dying [WORD]...`; only cells whose description has every word.
//!
//! Each cell is measured once: two directors with VRRPv2 and adverts every second, a client that asks every 20 ms. Exit
//! status 1 when vipward does not keep what it promises.

use std::error::Error;
use std::process::ExitCode;
use vipward_netns_tests::dying::{Cell, cells, run, table};
use vipward_netns_tests::{Daemon, Need, example, met};

/// Cells at once: they wait most of the time.
const LANES: usize = 8;

fn main() -> ExitCode {
    example("dying", measure)
}

fn measure() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut wanted = cells(Daemon::Vipward);
    if met("dying", Need::Keepalived) {
        wanted.extend(cells(Daemon::Keepalived));
    }
    let named = |cell: &Cell| words.iter().all(|word| cell.to_string().contains(word.as_str()));
    wanted.retain(named);
    let results = run(&wanted, LANES);
    println!("{}", table(&results));
    if let Some(group) = results.iter().find_map(|(_, outcome)| outcome.as_ref().ok()).map(|outcome| outcome.group) {
        println!("cgroup: {group}");
    }
    let mut kept = true;
    for (cell, outcome) in results.iter().filter(|(cell, _)| cell.daemon == Daemon::Vipward) {
        if let Err(why) = outcome.as_ref().map_err(Clone::clone).and_then(|outcome| outcome.judge(cell)) {
            println!("not as promised: {cell}: {why}");
            kept = false;
        }
    }
    if kept { Ok(()) } else { Err("vipward did not keep what it promises".into()) }
}
