//! Explores the election and prints a row for each exploration: `docs/exhaustive.md`. Anything but rows is a rule that
//! broke, with its timeline.
//!
//! `cargo run --release -p vipward-core --example exhaustive -- [--depth FAULTS] [--three FAULTS] [--max-states N]
//! [--only WORDS]`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // A test that takes long.
#![allow(clippy::disallowed_types)] // It measures how long it takes.

#[path = "../tests/exhaustive/model/mod.rs"]
#[allow(dead_code)] // Only the tests plant faults.
mod model;

use model::liveness::{self, Bounded};
use model::search::{Outcome, explore};
use model::setup::{self, Setup, seconds};
use model::timeline::replay;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    let number = |name: &str, default: usize| value(name).map_or(default, |text| text.parse().expect(name));
    let max_states = number("--max-states", 5_000_000);
    let (depth, three) = (number("--depth", 60), number("--three", 5));
    let only = value("--only").map_or("", String::as_str);

    println!("| directors | faults | states | steps | asked | settles | no MASTER | several | time |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut broken = false;
    for (setups, depth) in [(setup::two(), depth), (setup::three_prompt(), depth), (setup::three(), three)] {
        for setup in setups.iter().filter(|setup| setup.name.contains(only)) {
            let started = Instant::now();
            match row(setup, u8::try_from(depth).expect("at most 255 faults"), max_states) {
                Ok(row) => println!("| {} | {row} | {:.1} s |", setup.name, started.elapsed().as_secs_f64()),
                Err(problem) => {
                    broken = true;
                    println!("{}: {problem}", setup.name);
                }
            }
        }
    }
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn row(setup: &Setup, depth: u8, max_states: usize) -> Result<String, String> {
    let told = |rule: String, steps: &[_]| format!("{rule}\n{}", replay(setup, steps).unwrap_or_else(|why| why));
    let explored = match explore(setup, depth, max_states) {
        Outcome::Explored(explored) => explored,
        Outcome::Broken(found) => return Err(told(found.rule, &found.steps)),
        Outcome::TooMany(states) => return Err(format!("more than {states} states")),
    };
    let worst = liveness::check(setup, &explored).map_err(|found| told(found.rule, &found.steps))?;
    let faults = if explored.complete { "any".to_owned() } else { format!("{depth}") };
    let of = |Bounded { at_worst, bound }| format!("{:.3} of {:.3}", seconds(at_worst), seconds(bound));
    let (states, steps, (_, asked)) = (explored.nodes.len(), explored.transitions, explored.asked);
    let [settles, nobody, several] = [worst.settles, worst.nobody, worst.several].map(of);
    Ok(format!("{faults} | {states} | {steps} | {asked} | {settles} | {nobody} | {several}"))
}
