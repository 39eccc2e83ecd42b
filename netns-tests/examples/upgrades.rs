//! Upgrades of a MASTER in a row, under load: `cargo run --release -p vipward-netns-tests --example upgrades [N]`.
//!
//! Two directors with adverts every second, two web servers behind the MASTER's relay, and a client that opens a new
//! connection every millisecond. Exit status 1 when a request fails, the BACKUP notices anything, or an advert is late by
//! so much that it could have.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use vipward_netns_tests::example;
use vipward_netns_tests::upgrading::Working;

/// The BACKUP's Master_Down_Interval (RFC 9568 6.1) at priority 100: three adverts and 156/256 of a second.
const MASTER_DOWN: Duration = Duration::from_millis(3609);

/// Between two upgrades: no divisor of the advert interval, so that they hit it everywhere.
const PAUSE: Duration = Duration::from_millis(70);

fn main() -> ExitCode {
    example("upgrades", measure)
}

fn measure() -> Result<(), Box<dyn Error>> {
    let wanted: u32 = std::env::args().nth(1).map_or(Ok(100), |upgrades| upgrades.parse())?;
    let working = Working::start("1", Duration::from_millis(1))?;
    let said = working.backup.lines(0).len();
    let (since, began) = ((Instant::now(), SystemTime::now()), Instant::now());
    let mut took = Vec::new();
    for round in 1..=wanted {
        let start = Instant::now();
        let (content, text) = working.upgrade()?;
        if !content {
            return Err(format!("upgrade {round}: {text}{}", working.master.output()).into());
        }
        took.push(start.elapsed());
        std::thread::sleep(PAUSE);
    }
    let lasted = began.elapsed();
    let seen = working.seen_since(since);
    let noticed = working.backup.lines(said).into_iter().filter(|line| line.text.contains("VI_1")).count();
    took.sort();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let longest = took.last().copied().unwrap_or_default();
    let a_second = seen.asked as f64 / lasted.as_secs_f64();
    println!("upgrades of the MASTER                 {wanted} in {:.1} s", lasted.as_secs_f64());
    println!("one upgrade, median and longest        {median:.0?}, {longest:.0?}");
    println!("requests, each over a new connection   {} ({a_second:.0} a second)", seen.asked);
    println!("requests that failed                   {}", seen.failed.len());
    println!("adverts, and longest time between two  {}, {:.0?}", seen.adverts, seen.longest_gap);
    println!("farewells and adverts of others        {}", seen.strange_adverts);
    println!("lines of the BACKUP about the router   {noticed}");
    for why in seen.failed.iter().take(5) {
        println!("    failed: {why}");
    }
    let unnoticed = seen.failed.is_empty() && seen.strange_adverts == 0 && noticed == 0;
    // Two adverts at least: without them no gap was seen.
    let on_time = seen.adverts >= 2 && seen.longest_gap < MASTER_DOWN;
    if unnoticed && on_time && working.in_place() { Ok(()) } else { Err("somebody noticed".into()) }
}
