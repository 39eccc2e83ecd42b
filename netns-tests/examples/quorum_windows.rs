//! How long nobody has the VIP when it goes from one director to the other through a real ensemble of three:
//! `cargo run --release -p vipward-netns-tests --example quorum_windows [ROUNDS]`, 3 rounds if nothing is said.
//!
//! Measured are the kernels' notifications of both directors' addresses. Prints; asserts nothing.

use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};
use vipward_lab::{Process, Signal, signal, wait_for};
use vipward_netns_tests::owners::{Stretch, both, nobody, stretches};
use vipward_netns_tests::quorate::{ELECT, FENCE, Quorate, SESSION, SOON};
use vipward_netns_tests::{Need, VIP, example, met, vipward};

fn main() -> ExitCode {
    example("quorum_windows", measure)
}

/// What happens to lb1, which has the VIP.
#[derive(Clone, Copy)]
enum Fault {
    /// SIGTERM: an orderly stop.
    Stopped,
    /// `vipward upgrade`, by the same program: the session can't be handed over.
    Upgraded,
    /// SIGKILL to the worker; its supervisor lives.
    WorkerKilled,
    /// SIGKILL to both.
    Killed,
    /// SIGSTOP to both.
    Frozen,
    /// It hears neither lb2 nor the ensemble.
    Cut,
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(3), |rounds| rounds.parse())?;
    if !met("quorum_windows", Need::Zookeeper) {
        return Ok(());
    }
    let lab = Quorate::build(3);
    println!("{rounds} rounds each, session timeout {SESSION} s: median (worst)\n");
    println!("{:<26}{:>26}{:>26}{:>16}", "", "VIP there again after", "nobody had it for", "both had it");
    for (mode, more) in [("fence", FENCE), ("elect", ELECT)] {
        for (what, fault) in [
            ("stopped", Fault::Stopped),
            ("upgraded", Fault::Upgraded),
            ("worker killed", Fault::WorkerKilled),
            ("killed", Fault::Killed),
            ("frozen", Fault::Frozen),
            ("cut off", Fault::Cut),
        ] {
            let (mut after, mut gap, mut together) = (Vec::new(), Vec::new(), Duration::ZERO);
            for _ in 0..rounds {
                let round = round(&lab, more, fault)?;
                after.push(round.after);
                gap.push(round.nobody);
                together = together.max(round.both);
            }
            let name = format!("{mode}, {what}");
            println!("{name:<26}{:>26}{:>26}{:>16}", shown(&mut after), shown(&mut gap), seconds(together));
        }
    }
    Ok(())
}

struct Round {
    after: Duration,
    nobody: Duration,
    both: Duration,
}

fn round(lab: &Quorate, more: &str, fault: Fault) -> Result<Round, Box<dyn std::error::Error>> {
    let (first, second) = lab.both(more);
    let since = SystemTime::now();
    let mut first = Some(first);
    match fault {
        Fault::Stopped => {
            if let Some(first) = &first {
                first.signal(Signal::SIGTERM);
            }
        }
        Fault::Upgraded => {
            let mut command = Command::new(vipward());
            command.arg("upgrade").arg("--control").arg(lab.pair.control(&lab.pair.lb1));
            let output = lab.pair.lb1.output(command)?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
        }
        Fault::WorkerKilled => each(&first, |first| first.children(), Signal::SIGKILL)?,
        Fault::Killed => drop(first.take()),
        Fault::Frozen => each(&first, |first| Ok([vec![first.pid()], first.children()?].concat()), Signal::SIGSTOP)?,
        Fault::Cut => {
            lab.cut_from_ensemble(&lab.pair.lb1, true);
            lab.cut_directors(true);
        }
    }
    let (one, other) = (|| stretches(&lab.watch1, VIP), || stretches(&lab.watch2, VIP));
    // Where the worker alone died, its own successor may be the next.
    let next = || {
        let found = [one(), other()].into_iter().flatten().filter(|stretch| stretch.from > since);
        found.map(|stretch| stretch.from).min()
    };
    let got = wait_for(SOON, next).ok_or("nobody gets the VIP")?;
    let all: Vec<Stretch> = [one(), other()].concat();
    let again: Vec<Stretch> = all.iter().copied().filter(|stretch| stretch.from == got).collect();
    let before: Vec<Stretch> = all.iter().copied().filter(|stretch| stretch.from < since).collect();
    let last = before.iter().copied().max_by_key(|stretch| stretch.from);
    let result = Round {
        after: got.duration_since(since)?,
        nobody: nobody(last.as_slice(), &again, since).unwrap_or_default(),
        both: both(last.as_slice(), &again),
    };
    drop((first, second));
    lab.cut_directors(false);
    lab.cut_from_ensemble(&lab.pair.lb1, false);
    lab.nobody_has_it();
    Ok(result)
}

fn each(
    director: &Option<Process>,
    which: impl Fn(&Process) -> std::io::Result<Vec<u32>>,
    what: Signal,
) -> std::io::Result<()> {
    for pid in director.as_ref().map(which).transpose()?.unwrap_or_default() {
        signal(pid, what);
    }
    Ok(())
}

fn shown(times: &mut [Duration]) -> String {
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    format!("{} ({})", seconds(median), seconds(times.last().copied().unwrap_or_default()))
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
