//! What `--record` costs: processor time of two daemons with 100 virtual routers at 100 ms adverts, one of them MASTER of
//! all, with and without: `cargo run --release -p vipward-netns-tests --example record_cost [ROUNDS [SECONDS]]`, 5 rounds
//! of 10 s if nothing is said.
//!
//! Measured is the time that all threads of a daemon ran (`/proc/PID/task/*/schedstat`). Prints; asserts nothing.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vipward_lab::{Node, Process, wait_for};
use vipward_netns_tests::{Pair, example};

const PATIENCE: Duration = Duration::from_secs(60);
const ROUTERS: u8 = 100;

fn main() -> ExitCode {
    example("record_cost", measure)
}

fn text(priority: u8) -> String {
    let mut text = String::new();
    for vrid in 1..=ROUTERS {
        let _ = write!(
            text,
            "vrrp_instance VI_{vrid} {{\n    state BACKUP\n    interface eth0\n    version 3\n    \
             virtual_router_id {vrid}\n    priority {priority}\n    advert_int 0.1\n    \
             virtual_ipaddress {{\n        10.77.0.{vrid}/24\n    }}\n}}\n"
        );
    }
    text
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(5), |rounds| rounds.parse())?;
    let seconds: u64 = std::env::args().nth(2).map_or(Ok(10), |seconds| seconds.parse())?;
    let pair = Pair::build()?;
    let mut used: [[Vec<f64>; 2]; 2] = Default::default();
    let mut bytes = 0;
    for _ in 0..rounds {
        // Turn by turn, so that whatever else the machine does hits both alike.
        for recording in [false, true] {
            let (shares, written) = round(&pair, recording, Duration::from_secs(seconds))?;
            for (all, share) in used.iter_mut().zip(shares) {
                if let Some(of) = all.get_mut(usize::from(recording)) {
                    of.push(share);
                }
            }
            bytes = bytes.max(written);
        }
    }
    println!(
        "{ROUTERS} virtual routers at 0.1 s, {rounds} rounds of {seconds} s; per cent of one core, median (range)\n"
    );
    println!("{:<10}{:>26}{:>26}{:>14}", "", "without", "with --record", "difference");
    for (name, all) in ["MASTER", "BACKUP"].iter().zip(&mut used) {
        let shown = all.each_mut().map(|shares| {
            shares.sort_by(f64::total_cmp);
            let median = shares.get(shares.len() / 2).copied().unwrap_or_default();
            let (least, most) =
                (shares.first().copied().unwrap_or_default(), shares.last().copied().unwrap_or_default());
            (median, format!("{median:.2} % ({least:.2} - {most:.2})"))
        });
        let [(without, first), (with, second)] = shown;
        println!("{name:<10}{first:>26}{second:>26}{:>14}", format!("{:+.2} %", with - without));
    }
    println!("\nrecorded by the MASTER: {} kB a second", bytes / seconds / 1000);
    Ok(())
}

/// The shares of one core that MASTER and BACKUP used, and what the MASTER recorded meanwhile.
fn round(pair: &Pair, recording: bool, time: Duration) -> Result<([f64; 2], u64), Box<dyn std::error::Error>> {
    let mut master = start(pair, &pair.lb1, 200, recording)?;
    let count = |master: &Process, part: &str| master.lines(0).iter().filter(|line| line.text.contains(part)).count();
    let all = usize::from(ROUTERS);
    let part = "-> MASTER";
    wait_for(PATIENCE, || (count(&master, part) == all).then_some(())).ok_or("lb1 does not become MASTER")?;
    let backup = start(pair, &pair.lb2, 100, recording)?;
    wait_for(PATIENCE, || (count(&backup, "-> BACKUP") == all).then_some(())).ok_or("lb2 does not become BACKUP")?;
    // The second burst of gratuitous ARP comes 5 s after the first.
    std::thread::sleep(Duration::from_secs(6));
    let record = pair.folder.path().join("lb1.pcapng");
    let length = || std::fs::metadata(&record).map_or(0, |metadata| metadata.len());
    let (before, size, began) = ([ran(master.pid())?, ran(backup.pid())?], length(), Instant::now());
    std::thread::sleep(time);
    let (after, took) = ([ran(master.pid())?, ran(backup.pid())?], began.elapsed().as_nanos() as f64);
    let written = length().saturating_sub(size);
    let [a, b] = [0, 1].map(|who: usize| {
        let (before, after) = (before.get(who).copied().unwrap_or(0), after.get(who).copied().unwrap_or(0));
        (after - before) as f64 * 100.0 / took
    });
    if !master.running() || count(&backup, part) > 0 {
        return Err("the election was not quiet".into());
    }
    for process in [master, backup] {
        process.signal(vipward_lab::Signal::SIGTERM);
        process.wait(PATIENCE)?;
    }
    Ok(([a, b], written))
}

fn start(pair: &Pair, node: &Node, priority: u8, recording: bool) -> std::io::Result<Process> {
    if recording {
        return Ok(pair.vipward_recorded(node, &text(priority))?.0);
    }
    pair.vipward_with(node, &text(priority))
}

/// Nanoseconds that the threads of a process have run.
fn ran(pid: u32) -> std::io::Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}
