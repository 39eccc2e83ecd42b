//! Upgrades of a MASTER in a row, under load: `cargo run --release -p vipward-netns-tests --example upgrades [N]`.
//!
//! Two directors with adverts every second, two web servers behind the MASTER's relay, and a client that opens a new
//! connection every millisecond. Exit status 1 when a request fails, the BACKUP notices anything, or an advert is late by
//! so much that it could have.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};
use vipward_lab::{Entered, enter};
use vipward_netns_tests::upgrading::Working;
use vipward_netns_tests::vipward;

/// The BACKUP's Master_Down_Interval (RFC 9568 6.1) at priority 100: three adverts and 156/256 of a second.
const MASTER_DOWN: Duration = Duration::from_millis(3609);

fn main() -> ExitCode {
    if std::env::var_os("VIPWARD_COMMAND").is_none() {
        // Once more with the built command in the environment; the lab can't build.
        let Ok(this) = std::env::current_exe() else { return ExitCode::FAILURE };
        let status = Command::new(this).args(std::env::args_os().skip(1)).env("VIPWARD_COMMAND", vipward()).status();
        return if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let result = match enter() {
        Ok(Entered::Outside(code)) => return code,
        Ok(Entered::Inside) => measure(),
        Err(reason) => Err(reason.to_string()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("upgrades: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<bool, String> {
    let wanted: usize = match std::env::args().nth(1) {
        None => 100,
        Some(word) => word.parse().map_err(|_| format!("a number of upgrades, not `{word}`"))?,
    };
    let working = Working::start("1", Duration::from_millis(1))?;
    let said = working.backup.lines(0).len();
    let (since, began) = ((Instant::now(), SystemTime::now()), Instant::now());
    let mut took = Vec::new();
    for round in 1..=wanted {
        let start = Instant::now();
        let (content, text) = working.upgrade().map_err(|error| error.to_string())?;
        if !content {
            return Err(format!("upgrade {round}: {text}{}", working.master.output()));
        }
        took.push(start.elapsed());
    }
    let lasted = began.elapsed();
    let seen = working.seen_since(since);
    let noticed = working.backup.lines(said).into_iter().filter(|line| line.text.contains("VI_1")).count();
    took.sort();
    let (median, longest) = (took.get(took.len() / 2).copied(), took.last().copied());
    println!("upgrades of the MASTER                 {wanted} in {:.1} s", lasted.as_secs_f64());
    println!(
        "one upgrade, median and longest        {:.0?}, {:.0?}",
        median.unwrap_or_default(),
        longest.unwrap_or_default()
    );
    println!(
        "requests, each over a new connection   {} ({:.0} a second)",
        seen.asked,
        seen.asked as f64 / lasted.as_secs_f64()
    );
    println!("requests that failed                   {}", seen.failed.len());
    println!(
        "longest time between two adverts       {:.3} s (the BACKUP waits {:.3} s)",
        seen.longest_gap.as_secs_f64(),
        MASTER_DOWN.as_secs_f64()
    );
    println!("farewells and adverts of others        {}", seen.strange_adverts);
    println!("lines of the BACKUP about the router   {noticed}");
    for why in seen.failed.iter().take(5) {
        println!("    failed: {why}");
    }
    let unnoticed = seen.failed.is_empty() && seen.strange_adverts == 0 && noticed == 0;
    Ok(unnoticed && seen.longest_gap < MASTER_DOWN && working.in_place())
}
