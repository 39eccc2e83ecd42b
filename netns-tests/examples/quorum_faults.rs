//! Directors that take leases, and faults of the ensemble, the network and each other, one after the other:
//! `cargo run --release -p vipward-netns-tests --example quorum_faults [SECONDS [SEED [documented|debian [FAULT]...]]]`; half of
//! the time in `fence`, half in `elect`, 300 s and seed 1 if nothing is said. `debian`: the servers have the times of Debian's
//! example `zoo.cfg` instead of those of docs/zookeeper.md. FAULT: as in the table; all of them if none is named.
//!
//! Exit status 1 when both directors had the VIP at one instant, or nobody had it for longer than the fault allows.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use vipward_netns_tests::measure::show;
use vipward_netns_tests::quorate::{ELECT, FENCE, Quorate};
use vipward_netns_tests::quorum_faults::{Fault, play};
use vipward_netns_tests::zookeeper::Timing;
use vipward_netns_tests::{Need, example, met};

fn main() -> ExitCode {
    example("quorum_faults", measure)
}

fn measure() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let lasts = Duration::from_secs(arguments.next().map_or(Ok(300), |seconds| seconds.parse())?);
    let seed: u64 = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let timing = match arguments.next().as_deref() {
        None | Some("documented") => Timing::DOCUMENTED,
        Some("debian") => Timing::DEBIAN,
        Some(other) => return Err(format!("`{other}`: `documented` or `debian` is expected").into()),
    };
    let wanted: Vec<String> = arguments.collect();
    let faults: Vec<Fault> =
        Fault::ALL.into_iter().filter(|it| wanted.is_empty() || wanted.iter().any(|name| name == it.name())).collect();
    if faults.is_empty() {
        return Err(format!("faults are: {}", Fault::ALL.map(Fault::name).join("; ")).into());
    }
    if !met("quorum_faults", Need::Zookeeper) {
        return Ok(());
    }
    let mut lab = Quorate::bare(3, timing);
    let mut wrong = 0;
    for (mode, more) in [("fence", FENCE), ("elect", ELECT)] {
        println!("{mode}, seed {seed}");
        let played = play(&mut lab, more, &faults, (timing, seed, lasts / 2))?;
        // Where the ensemble itself was away, what counts is the time after its return.
        println!("\n{:<32}{:>6}{:>22}{:>12}{:>12}", mode, "times", "longest without VIP", "of it count", "allowed");
        for (fault, outcome) in &played.outcomes {
            let mark = if outcome.too_long() { "  too long" } else { "" };
            let (gap, counted, allowed) = (show(outcome.gap), show(outcome.counted), show(outcome.allowed));
            println!("{:<32}{:>6}{gap:>22}{counted:>12}{allowed:>12}{mark}", fault.name(), outcome.times);
            wrong += usize::from(outcome.too_long());
        }
        let stuck: usize = played.outcomes.values().map(|outcome| outcome.stuck).sum();
        if stuck > 0 {
            println!("ZooKeeper had a leader and wrote nothing, until it was restarted: {stuck} times");
        }
        println!("both directors had it for         {}\n", show(played.both));
        wrong += usize::from(!played.both.is_zero());
        if wrong > 0 {
            println!("{}", played.log);
        }
    }
    if wrong == 0 { Ok(()) } else { Err(format!("{wrong} results are wrong").into()) }
}
