//! Hundreds and thousands of virtual routers, vipward and keepalived side by side:
//! `cargo run --release -p vipward-netns-tests --example scale [SETTING...]`. Settings: `one`, `1000`, `250x20`,
//! `1000x5`; the last two at adverts of 0.1 s and of 1 s. All of them if none is named. `--vipward` leaves the peer out.
//!
//! Everything is seen from outside: addresses by asking the kernel every 10 ms, adverts by a packet socket with the
//! kernel's time stamps, processor time of all threads by `/proc`. Prints; asserts nothing.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use vipward_lab::{Node, Process, Signal, apart, wait_for};
use vipward_netns_tests::scale::{Adverts, Size, Wide, held, memory, ran, strip};
use vipward_netns_tests::{Daemon, Need, example, met};

/// After this a daemon is said not to settle.
const PATIENCE: Duration = Duration::from_secs(90);
/// Over which processor time is counted.
const WINDOW: Duration = Duration::from_secs(20);

const MASTER: u8 = 200;
const BACKUP: u8 = 100;

fn main() -> ExitCode {
    example("scale", measure)
}

fn settings() -> Vec<(&'static str, &'static str, Size)> {
    let size = |interfaces, routers, addresses, advert_millis| Size { interfaces, routers, addresses, advert_millis };
    vec![
        ("one", "1 x 1, 0.1 s", size(1, 1, 1, 100)),
        ("1000", "1000 x 1, 0.1 s", size(4, 250, 1, 100)),
        ("250x20", "250 x 20, 0.1 s", size(1, 250, 20, 100)),
        ("250x20", "250 x 20, 1 s", size(1, 250, 20, 1000)),
        ("1000x5", "1000 x 5, 0.1 s", size(4, 250, 5, 100)),
        ("1000x5", "1000 x 5, 1 s", size(4, 250, 5, 1000)),
    ]
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&String> = arguments.iter().filter(|word| !word.starts_with("--")).collect();
    let mut daemons = vec![Daemon::Vipward];
    if !arguments.iter().any(|word| word == "--vipward") && met("scale", Need::Keepalived) {
        daemons.push(Daemon::Keepalived);
    }
    println!(
        "{:<17}{:<11}{:>9}{:>9}{:>10}{:>9}{:>9}{:>10}{:>9}{:>9}{:>8}",
        "routers x VIPs",
        "daemon",
        "all up",
        "late",
        "CPU 20 s",
        "backup",
        "memory",
        "takeover",
        "late",
        "protocol",
        "strays"
    );
    for (name, title, size) in settings() {
        if !names.is_empty() && !names.iter().any(|wanted| *wanted == name) {
            continue;
        }
        apart(|| play(title, size, &daemons))??;
    }
    println!(
        "\nall up: from the start of the MASTER to its last address. late: the latest advert beyond its interval, from 1 s\n\
         after the first start to the kill, and on the peer for 5 s after its takeover. CPU: of all its threads in 20 s.\n\
         memory: Pss of both processes of the MASTER. takeover: from kill -9 to the last address on the peer; protocol:\n\
         Master_Down_Interval. strays: adverts that the peer sent before the kill; 0: it was never MASTER."
    );
    Ok(())
}

/// All daemons with one setting, in a network of its own.
fn play(title: &str, size: Size, daemons: &[Daemon]) -> std::io::Result<()> {
    let wide = Wide::build(size.interfaces)?;
    for daemon in daemons {
        match round(&wide, *daemon, size) {
            Ok(row) => println!("{title:<17}{daemon:<11}{row}"),
            Err(error) => println!("{title:<17}{daemon:<11}  {error}"),
        }
        for node in [&wide.lb1, &wide.lb2] {
            strip(node)?;
        }
        wide.clean()?;
    }
    Ok(())
}

fn all_there(node: &Node, size: Size) -> Option<()> {
    (held(node) == size.addresses()).then_some(())
}

fn round(wide: &Wide, daemon: Daemon, size: Size) -> Result<String, Box<dyn std::error::Error>> {
    let interval = Duration::from_millis(u64::from(size.advert_millis));
    let adverts = Adverts::watch(&wide.lb2)?;
    let (began, began_at) = (Instant::now(), SystemTime::now());
    let master = wide.start(daemon, &wide.lb1, &size.text(MASTER))?;
    wait_for(PATIENCE, || all_there(&wide.lb1, size)).ok_or_else(|| never(&master, "become MASTER", wide, size))?;
    let all_up = began.elapsed();
    let backup = wide.start(daemon, &wide.lb2, &size.text(BACKUP))?;
    // The second burst of gratuitous ARP comes 5 s after the first, and is part of what is measured below.
    std::thread::sleep(Duration::from_secs(8));
    let (before, other) = (ran(&master)?, ran(&backup)?);
    std::thread::sleep(WINDOW);
    let (cpu, other) = (ran(&master)?.saturating_sub(before), ran(&backup)?.saturating_sub(other));
    let memory = memory(&master)?;
    let strays = adverts.seen().iter().filter(|one| one.sent).count();
    if all_there(&wide.lb1, size).is_none() {
        return Err(never(&master, "stay MASTER", wide, size).into());
    }
    let killed = (Instant::now(), SystemTime::now());
    let late = adverts.latest(interval, false, began_at + Duration::from_secs(1), killed.1);
    daemon.kill(master)?;
    wait_for(PATIENCE, || all_there(&wide.lb2, size)).ok_or_else(|| never(&backup, "take over", wide, size))?;
    let takeover = killed.0.elapsed();
    std::thread::sleep(Duration::from_secs(5));
    let late_there = adverts.latest(interval, true, killed.1, SystemTime::now());
    let still = all_there(&wide.lb2, size).is_some();
    backup.signal(Signal::SIGTERM);
    let stopped = backup.wait(PATIENCE).is_ok();
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
    Ok(format!(
        "{:>9}{:>9}{:>10}{:>9}{:>9}{:>10}{:>9}{:>9}{:>8}{}{}",
        seconds(all_up),
        millis(late),
        seconds(cpu),
        seconds(other),
        format!("{:.1} MB", memory as f64 / 1024.0),
        seconds(takeover),
        millis(late_there),
        seconds(size.master_down(BACKUP)),
        strays,
        if still { "" } else { "  lost some again" },
        if stopped { "" } else { "  did not stop in order" },
    ))
}

fn never(process: &Process, what: &str, wide: &Wide, size: Size) -> String {
    let tail: Vec<String> = process.lines(0).into_iter().rev().take(3).map(|line| line.text).collect();
    let [one, two] = [held(&wide.lb1), held(&wide.lb2)];
    format!("did not {what} in time: {one} and {two} of {} addresses; last said: {tail:?}", size.addresses())
}
