//! A busy machine, a neighbour, a cheap packet: what each costs a pair of directors, vipward beside keepalived:
//! `cargo run --release -p vipward-netns-tests --example hostile [WORD]...`; only cases whose description has every word.
//!
//! Two directors with VRRPv2 and adverts every second. Each case is played once for each daemon. Exit status 1 when the VIP
//! was without an owner, or had two, for longer than keepalived's was.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use vipward_lab::apart;
use vipward_netns_tests::hostile::{ALL, Cost, Hostile, play};
use vipward_netns_tests::{Daemon, Need, example, met};

/// What two measurements of one thing may differ by.
const NOISE: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    example("hostile", measure)
}

fn seconds(time: Duration) -> String {
    if time.is_zero() { "0".to_owned() } else { format!("{:.2} s", time.as_secs_f64()) }
}

fn row(case: Hostile, daemon: Daemon, cost: &Cost) {
    let Cost { nobody, two, frames, lines, ended_in } = cost;
    let end = ended_in.map(|took| format!(", SIGTERM {}", seconds(took))).unwrap_or_default();
    println!("| {case} | {daemon} | {} | {} | {frames} | {lines}{end} |", seconds(*nobody), seconds(*two));
}

fn measure() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut daemons = vec![Daemon::Vipward];
    if met("hostile", Need::Keepalived) {
        daemons.push(Daemon::Keepalived);
    }
    let mut worse = Vec::new();
    println!("| case | daemon | nobody | two owners | frames | lines of log |\n|---|---|---|---|---|---|");
    for case in ALL.into_iter().filter(|case| words.iter().all(|word| case.to_string().contains(word.as_str()))) {
        if case == Hostile::Starved && !met("hostile", Need::RealTime) {
            continue;
        }
        let mut costs = Vec::new();
        for daemon in &daemons {
            let cost = apart(|| play(case, *daemon).map_err(|error| error.to_string()))??;
            row(case, *daemon, &cost);
            costs.push(cost);
        }
        if let [ours, theirs] = costs.as_slice()
            && (ours.nobody > theirs.nobody + NOISE || ours.two > theirs.two + NOISE)
        {
            worse.push(case.to_string());
        }
    }
    if worse.is_empty() { Ok(()) } else { Err(format!("worse than keepalived: {}", worse.join("; ")).into()) }
}
