//! How long a backup takes to take over, vipward and keepalived side by side:
//! `cargo run --release -p vipward-netns-tests --example takeover [ROUNDS]`, 20 rounds if nothing is said.
//!
//! Measured is the time from the last advert that the backup's interface received (the kernel's time stamp) to the VIP
//! on that interface (the kernel's notification), less what the RFC's arithmetic asks for. Prints; asserts nothing.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Signal, wait_for};
use vipward_netns_tests::measure::{master_down, show, skew, takeover};
use vipward_netns_tests::{Daemon, Need, Pair, Router, VIP, example, met};

const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    example("takeover", measure)
}

/// One line of the table.
struct Setting {
    version: u8,
    advert_int: &'static str,
    advert_millis: u32,
    signal: Signal,
}

impl Setting {
    fn allowed(&self) -> Duration {
        match self.signal {
            Signal::SIGTERM => skew(self.version, 100, self.advert_millis),
            _ => master_down(self.version, 100, self.advert_millis), // SIGKILL is the only other one used here
        }
    }
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(20), |rounds| rounds.parse())?;
    let mut daemons = vec![Daemon::Vipward];
    if met("takeover", Need::Keepalived) {
        daemons.push(Daemon::Keepalived);
    }
    let pair = Pair::build()?;
    println!("{rounds} rounds each; beyond the protocol's own time: median (worst)\n");
    print!("{:<22}{:>13}", "", "protocol");
    daemons.iter().for_each(|daemon| print!("{daemon:>24}"));
    println!();
    for (version, advert_int, advert_millis) in [(2, "1", 1000), (3, "0.1", 100)] {
        for signal in [Signal::SIGKILL, Signal::SIGTERM] {
            let setting = Setting { version, advert_int, advert_millis, signal };
            let mut beyond = vec![Vec::new(); daemons.len()];
            for _ in 0..rounds {
                // Turn by turn, so that whatever else the machine does hits both alike.
                for (daemon, times) in daemons.iter().zip(&mut beyond) {
                    times.push(round(&pair, *daemon, &setting)?);
                }
            }
            print!("{:<22}{:>13}", format!("v{version} {advert_int} s {signal}"), show(setting.allowed()));
            for times in &mut beyond {
                times.sort_by(f64::total_cmp);
                let median = times.get(times.len() / 2).copied().unwrap_or_default();
                let worst = times.last().copied().unwrap_or_default();
                print!("{:>24}", format!("{median:+.2} ms ({worst:+.2})"));
            }
            println!();
        }
    }
    Ok(())
}

/// One takeover; milliseconds beyond what the protocol asks for.
fn round(pair: &Pair, daemon: Daemon, setting: &Setting) -> Result<f64, Box<dyn std::error::Error>> {
    let file = |router: Router| Router { version: setting.version, advert_int: setting.advert_int, ..router }.text();
    for node in [&pair.lb1, &pair.lb2] {
        if node.has(VIP) {
            node.remove_address("eth0", VIP)?;
        }
    }
    let watch = Watch::start(&pair.lb2)?;
    let master = daemon.start(pair, &pair.lb1, &file(Router::master()))?;
    wait_for(PATIENCE, || pair.lb1.has(VIP).then_some(())).ok_or("lb1 does not become MASTER")?;
    let backup = daemon.start(pair, &pair.lb2, &file(Router::backup()))?;
    // The backup must have been there for a while: three of its own adverts' time.
    let adverts = || watch.seen().iter().filter(|one| matches!(one.what, What::Advert { .. })).count();
    let before = adverts();
    wait_for(PATIENCE, || (adverts() >= before + 3).then_some(())).ok_or("lb1 does not advertise")?;
    let since = SystemTime::now();
    match setting.signal {
        Signal::SIGKILL => daemon.kill(master)?,
        signal => {
            master.signal(signal);
            master.wait(PATIENCE)?;
        }
    }
    let took = takeover(&watch, since, PATIENCE)?;
    daemon.kill(backup)?;
    Ok((took.as_secs_f64() - setting.allowed().as_secs_f64()) * 1000.0)
}
