//! What `[vip] lifetime` costs: a MASTER with one, a hundred and five thousand addresses at adverts of a second, with the lifetime and
//! without: `cargo run --release -p vipward-netns-tests --example lifetime_cost [ROUNDS [SECONDS]]`, 3 rounds of 10 s if nothing
//! is said. Prints; asserts nothing.
//!
//! Processor time is that of the daemon's threads (`/proc/PID/task/*/schedstat`), in which the kernel's work of a renewal is
//! counted, and that of the whole machine beside it, for what the kernel does later. Adverts are timed by the kernel where
//! lb2 hears them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Process, wait_for};
use vipward_netns_tests::{Pair, example};

const PATIENCE: Duration = Duration::from_secs(60);
/// At 100 ms a router of thousands does not settle: its gratuitous ARP takes longer than peers wait.
const ADVERT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    example("lifetime_cost", measure)
}

fn text(vips: u32) -> String {
    let mut text =
        "vrrp_instance VI_1 {\n    state BACKUP\n    interface eth0\n    version 3\n    virtual_router_id 51\n    \
                    priority 150\n    advert_int 1\n    virtual_ipaddress {\n        192.0.2.100/24\n    }\n"
            .to_owned();
    text.push_str("    virtual_ipaddress_excluded {\n");
    for n in 1..vips {
        let _ = writeln!(text, "        10.66.{}.{}/32", n / 250, n % 250 + 1);
    }
    text.push_str("    }\n}\n");
    text
}

/// One round.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Per cent of one core.
    daemon: f64,
    machine: f64,
    /// How much later than its interval an advert came: the median and the worst.
    late: Duration,
    latest: Duration,
    /// Bytes of the record a second.
    recorded: u64,
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(3), |rounds| rounds.parse())?;
    let seconds: u64 = std::env::args().nth(2).map_or(Ok(10), |seconds| seconds.parse())?;
    let pair = Pair::build()?;
    println!("adverts of 1 s; {rounds} rounds of {seconds} s, medians; CPU per cent of one core\n");
    println!(
        "{:>6}  {:<6}{:>10}{:>12}{:>16}{:>14}{:>16}",
        "VIPs", "lifetime", "daemon", "machine", "advert late", "latest", "record B/s"
    );
    for vips in [1, 100, 5_000] {
        let mut seen: [Vec<Seen>; 2] = Default::default();
        for _ in 0..rounds {
            // Turn by turn, so that whatever else the machine does hits both alike.
            for (lifetime, all) in [false, true].into_iter().zip(&mut seen) {
                all.push(round(&pair, vips, lifetime, Duration::from_secs(seconds))?);
            }
        }
        for (lifetime, all) in ["off", "on"].iter().zip(&mut seen) {
            let median = |of: &dyn Fn(&Seen) -> f64| {
                let mut values: Vec<f64> = all.iter().map(of).collect();
                values.sort_by(f64::total_cmp);
                values.get(values.len() / 2).copied().unwrap_or_default()
            };
            let millis = |time: Duration| time.as_secs_f64() * 1000.0;
            println!(
                "{vips:>6}  {lifetime:<6}{:>8.2} %{:>10.1} %{:>13.3} ms{:>11.3} ms{:>16.0}",
                median(&|seen| seen.daemon),
                median(&|seen| seen.machine),
                median(&|seen| millis(seen.late)),
                all.iter().map(|seen| millis(seen.latest)).fold(0.0, f64::max),
                median(&|seen| seen.recorded as f64),
            );
        }
    }
    Ok(())
}

fn round(pair: &Pair, vips: u32, lifetime: bool, time: Duration) -> Result<Seen, Box<dyn std::error::Error>> {
    pair.file("vipward.toml", &format!("[vip]\nlifetime = {lifetime}\n"))?;
    let (mut master, record) = pair.vipward_recorded(&pair.lb1, &text(vips))?;
    master.wait_for_line("-> MASTER", PATIENCE)?;
    let all = usize::try_from(vips)?;
    let held = || pair.lb1.addresses().map_or(0, |there| there.iter().filter(|it| it.protocol == 112).count());
    wait_for(PATIENCE, || (held() == all).then_some(())).ok_or("not all addresses come")?;
    // The second burst of gratuitous ARP comes 5 s after the first.
    std::thread::sleep(Duration::from_secs(7));
    let watch = Watch::start(&pair.lb2)?;
    let length = || std::fs::metadata(&record).map_or(0, |metadata| metadata.len());
    let (before, machine, size, began) = (ran(&master)?, busy()?, length(), Instant::now());
    std::thread::sleep(time);
    let took = began.elapsed().as_nanos() as f64;
    let share = |nanos: u64| nanos as f64 * 100.0 / took;
    let (daemon, machine) = (share(ran(&master)? - before), share(busy()? - machine));
    let recorded = (length() - size) / time.as_secs().max(1);
    let adverts: Vec<_> =
        watch.seen().into_iter().filter(|one| matches!(one.what, What::Advert { .. })).map(|one| one.at).collect();
    let mut late: Vec<Duration> = adverts
        .iter()
        .zip(adverts.iter().skip(1))
        .filter_map(|(one, next)| Some(next.duration_since(*one).ok()?.saturating_sub(ADVERT)))
        .collect();
    late.sort();
    if held() != all {
        return Err(format!("{} of {all} addresses are left", held()).into());
    }
    master.signal(vipward_lab::Signal::SIGTERM);
    master.wait(PATIENCE)?;
    let [middle, latest] = [late.get(late.len() / 2), late.last()].map(|found| found.copied().unwrap_or_default());
    Ok(Seen { daemon, machine, late: middle, latest, recorded })
}

/// Nanoseconds that the threads of a daemon's processes have run.
fn ran(process: &Process) -> std::io::Result<u64> {
    let mut sum = 0;
    for pid in process.children()?.into_iter().chain([process.pid()]) {
        for thread in std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(sum)
}

/// Nanoseconds that all processors were busy, in ticks of 10 ms (`/proc/stat`: user, nice, system, irq, softirq).
fn busy() -> std::io::Result<u64> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let ticks: u64 = [0, 1, 2, 5, 6].iter().filter_map(|place: &usize| fields.get(*place)).sum();
    Ok(ticks * 10_000_000)
}
