//! What a host, a neighbour or a cheap packet does to a pair of directors, and what it costs: the cases of the example
//! `hostile`, for vipward and for keepalived.

use crate::forge::{advert_v2, flood, send};
use crate::owners::{stretches, unserved_and_shared};
use crate::stall::starve;
use crate::{Daemon, Pair, Router, VIP};
use std::error::Error;
use std::fmt;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Process, Signal, wait_for};

/// A loaded machine may be this late.
const SOON: Duration = Duration::from_secs(60);

/// How long it is watched after the fault.
const REST: Duration = Duration::from_secs(12);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostile {
    Beside,
    Starved,
    Flood,
    OneAdvert,
    BlockedLog,
    Include,
    Deleted,
}

/// All of them, in the order of the table.
pub const ALL: [Hostile; 7] = [
    Hostile::Beside,
    Hostile::Starved,
    Hostile::Flood,
    Hostile::OneAdvert,
    Hostile::BlockedLog,
    Hostile::Include,
    Hostile::Deleted,
];

impl fmt::Display for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Beside => "a second director on the MASTER's host, other addresses, 5 s",
            Self::Starved => "no processor for the MASTER for 1.6 s",
            Self::Flood => "1,000 adverts a second of a lower priority, 100 VIPs, 6 s",
            Self::OneAdvert => "one advert of priority 254, interval 255 s",
            Self::BlockedLog => "a director whose log is a full pipe that nobody reads, then the other one stops",
            Self::Include => "a reload with an include of a pipe without a writer, then SIGTERM",
            Self::Deleted => "the VIP is deleted ten times a second for 5 s",
        })
    }
}

/// What it cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How long neither director had the VIP, and how long both had.
    pub nobody: Duration,
    pub two: Duration,
    /// Adverts and ARP packets that both sent.
    pub frames: usize,
    /// Lines of log of both.
    pub lines: usize,
    /// Until SIGTERM ended it, where that was part of the case.
    pub ended_in: Option<Duration>,
}

/// Two directors in their roles, watched.
struct Scene {
    daemon: Daemon,
    pair: Pair,
    watches: [Watch; 2],
    master: Process,
    backup: Process,
    since: SystemTime,
    lines_before: usize,
}

impl Scene {
    /// lb1 is MASTER and lb2 is not. `prepare`: what else is in the way of lb1's start.
    fn start(daemon: Daemon, texts: [&str; 2], blocked: bool) -> Result<Self, Box<dyn Error>> {
        let pair = Pair::build()?;
        let watches = [Watch::start(&pair.lb1)?, Watch::start(&pair.lb2)?];
        let master = if blocked { deaf(daemon, &pair, texts[0])? } else { daemon.start(&pair, &pair.lb1, texts[0])? };
        let took = wait_for(SOON, || pair.lb1.has(VIP).then_some(()));
        if took.is_none() && !blocked {
            return Err(format!("{daemon} does not become MASTER:\n{}", master.output()).into());
        }
        let backup = daemon.start(&pair, &pair.lb2, texts[1])?;
        std::thread::sleep(Duration::from_secs(5));
        let lines_before = master.lines(0).len() + backup.lines(0).len();
        Ok(Self { daemon, pair, watches, master, backup, since: SystemTime::now(), lines_before })
    }

    fn cost(&self, until: SystemTime) -> Cost {
        let [one, other] = [0, 1].map(|n| stretches(&self.watches[n], VIP));
        let (nobody, two) = unserved_and_shared(&one, &other, self.since, until);
        let sent = |what: &What| matches!(what, What::Advert { sent: true, .. } | What::Arp { sent: true, .. });
        let frames = self.watches.iter().flat_map(Watch::seen);
        let frames = frames.filter(|seen| seen.at >= self.since && seen.at < until && sent(&seen.what)).count();
        let lines = (self.master.lines(0).len() + self.backup.lines(0).len()).saturating_sub(self.lines_before);
        Cost { nobody, two, frames, lines, ended_in: None }
    }

    /// After the fault.
    fn rest(&self) -> Cost {
        std::thread::sleep(REST);
        self.cost(SystemTime::now())
    }
}

/// Plays one case.
///
/// # Errors
/// It could not be played.
pub fn play(case: Hostile, daemon: Daemon) -> Result<Cost, Box<dyn Error>> {
    let mut texts = [Router::master().text(), Router::backup().text()];
    let list: Vec<[u8; 4]> = (100..200).map(|host| [192, 0, 2, host]).collect();
    if case == Hostile::Flood {
        let mut addresses = String::new();
        for [a, b, c, d] in &list {
            let _ = writeln!(addresses, "        {a}.{b}.{c}.{d}/24");
        }
        texts = texts.map(|text| text.replace("        192.0.2.100/24\n", &addresses));
    }
    let [first, second] = &texts;
    let scene = Scene::start(daemon, [first, second], case == Hostile::BlockedLog)?;
    match case {
        Hostile::Beside => {
            let text = first.replace("virtual_router_id 51", "virtual_router_id 52").replace(".100/24", ".101/24");
            let neighbour = beside(daemon, &scene.pair, &text.replace("VI_1", "VI_2"))?;
            std::thread::sleep(Duration::from_secs(5));
            let mut cost = scene.cost(SystemTime::now());
            cost.lines += neighbour.lines(0).len();
            return Ok(cost);
        }
        Hostile::Starved => {
            for (processor, process) in [("1", &scene.master), ("0", &scene.backup)] {
                for pid in process.children()?.into_iter().chain([process.pid()]) {
                    Command::new("taskset").args(["-apc", processor, &pid.to_string()]).output()?;
                }
            }
            starve(Duration::from_millis(1600))?;
        }
        Hostile::Flood => {
            flood(&scene.pair.client, advert_v2(51, 50, 1, &list), 6_000, Duration::from_millis(1))?;
        }
        Hostile::OneAdvert => {
            send(&scene.pair.client, vec![(advert_v2(51, 254, 255, &[[192, 0, 2, 100]]), 255)])?;
        }
        // Then there is only lb1.
        Hostile::BlockedLog => scene.backup.signal(Signal::SIGTERM),
        Hostile::Include => return include(scene, first),
        Hostile::Deleted => {
            let mut loop_ = Command::new("sh");
            loop_
                .arg("-c")
                .arg("for i in $(seq 50); do ip addr del 192.0.2.100/24 dev eth0 2>/dev/null; sleep 0.1; done");
            scene.pair.lb1.output(loop_)?;
        }
    }
    Ok(scene.rest())
}

/// Reloads with an include that waits for ever, and ends it after a while.
fn include(scene: Scene, text: &str) -> Result<Cost, Box<dyn Error>> {
    let pipe = scene.pair.folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status()?;
    if !made.success() {
        return Err("no pipe could be made".into());
    }
    let text = format!("{text}include {}\n", pipe.display());
    scene.pair.file(&format!("lb1-{}.conf", scene.daemon), &text)?;
    scene.master.signal(Signal::SIGHUP);
    let mut cost = scene.rest();
    let asked = Instant::now();
    scene.master.signal(Signal::SIGTERM);
    let Scene { mut master, .. } = scene;
    let ended = wait_for(SOON, || (!master.running()).then_some(()));
    cost.ended_in = Some(if ended.is_some() { asked.elapsed() } else { SOON });
    Ok(cost)
}

/// One more director on lb1, with files of its own.
fn beside(daemon: Daemon, pair: &Pair, text: &str) -> Result<Process, Box<dyn Error>> {
    let file = pair.file(&format!("beside-{daemon}.conf"), text)?;
    let of = |name: &str| pair.folder.path().join(name);
    let mut command = match daemon {
        Daemon::Vipward => {
            let mut command = Command::new(crate::vipward());
            command.args(["run", "--dataplane", "relay", "--control"]).arg(of("beside.sock"));
            command.arg("--state").arg(of("state"));
            command
        }
        Daemon::Keepalived => {
            let mut command = Command::new(crate::program("keepalived").ok_or("there is no keepalived")?);
            command.args(["--dont-fork", "--log-console", "--log-detail", "--vrrp"]);
            command.arg("-p").arg(of("beside.pid")).arg("-r").arg(of("beside.vrrp.pid"));
            command
        }
    };
    command.arg("-f").arg(file);
    Ok(pair.lb1.spawn(command)?)
}

/// lb1's director, whose standard output and error are a pipe that is full from the start.
fn deaf(daemon: Daemon, pair: &Pair, text: &str) -> Result<Process, Box<dyn Error>> {
    let file = pair.file("deaf.conf", text)?;
    let of = |name: &str| pair.folder.path().join(name).display().to_string();
    let start = match daemon {
        Daemon::Vipward => format!(
            "{} run --dataplane relay --control {} --state {} -f {}",
            crate::vipward().display(),
            of("deaf.sock"),
            of("state"),
            file.display()
        ),
        Daemon::Keepalived => format!(
            "{} --dont-fork --log-console --log-detail --vrrp -p {} -r {} -f {}",
            crate::program("keepalived").ok_or("there is no keepalived")?.display(),
            of("deaf.pid"),
            of("deaf.vrrp.pid"),
            file.display()
        ),
    };
    let full = of("full");
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        "mkfifo {full}; sleep 600 <{full} & yes >{full} & yes=$!; sleep 1; kill $yes; exec {start} >{full} 2>&1"
    ));
    Ok(pair.lb1.spawn(command)?)
}
