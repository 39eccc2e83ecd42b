//! One cell: two directors, a client, a fault, and what comes of it.

use super::cgroup::Group;
use super::fault::Prey;
use super::{Cell, Must, Role};
use crate::Daemon;
use crate::pair::{Pair, VIP};
use crate::router::Router;
use nix::unistd::Pid;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};
use vipward_lab::client::{Client, outages};
use vipward_lab::watch::{Watch, What};
use vipward_lab::web::Server;
use vipward_lab::{Process, apart, wait_for};

/// The lifetime of a MASTER's addresses in the kernel.
pub const LIFETIME: Duration = Duration::from_secs(2);

/// How long a VIP may be where it should not be any more: its lifetime, and what a busy machine takes.
const BOUND: Duration = LIFETIME.saturating_add(Duration::from_secs(1));

/// A loaded machine may be this late, and no cell minds.
const SOON: Duration = Duration::from_secs(30);

/// How long it is watched: more than Master_Down_Interval, the lifetime, and a restart together.
const WATCHED: Duration = Duration::from_secs(7);

/// What came of one cell.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the fault until the VIP was off the side that suffered it. `None`: it stayed.
    pub off: Option<Duration>,
    /// Until it was on the other side. `None`: it never came.
    pub on: Option<Duration>,
    /// The longest time in which both had it.
    pub two_owners: Duration,
    /// The longest time in which the client had no answer.
    pub outage: Duration,
    pub failed: usize,
    pub asked: usize,
    /// How "all processes" was understood.
    pub group: &'static str,
}

/// Runs cells, so many at once, each in a network of its own.
pub fn run(cells: &[Cell], at_once: usize) -> Vec<(Cell, Result<Outcome, String>)> {
    let queue = Mutex::new(cells.iter().copied().enumerate());
    let done = Mutex::new(Vec::new());
    let lane = || {
        loop {
            let Some((place, cell)) = queue.lock().ok().and_then(|mut queue| queue.next()) else { return };
            let outcome = apart(|| play(&cell)).map_err(|error| error.to_string()).and_then(|outcome| outcome);
            if let Ok(mut done) = done.lock() {
                done.push((place, cell, outcome));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(lane);
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(place, ..)| *place);
    done.into_iter().map(|(_, cell, outcome)| (cell, outcome)).collect()
}

/// Both directors answer on this port of the VIP, whoever holds it, as the kernel's IPVS would.
const PORT: u16 = 8080;

struct Directors {
    pair: Pair,
    master: Process,
    backup: Process,
}

fn start(cell: &Cell) -> Result<Directors, String> {
    let pair = Pair::build().map_err(|error| error.to_string())?;
    // Whoever comes back leaves the VIP where it is: one cell, one move. The script lives as long as its director.
    let more = match cell.daemon {
        Daemon::Vipward => "nopreempt\n    notify_master \"/bin/sleep 1000\"\n    notify_backup \"/bin/sleep 1000\"",
        Daemon::Keepalived => "nopreempt",
    };
    let begin = |node, router: Router| {
        cell.daemon.start(&pair, node, &Router { more, ..router }.text()).map_err(|error| error.to_string())
    };
    let master = begin(&pair.lb1, Router::master())?;
    let holds = wait_for(SOON, || pair.lb1.has(VIP).then_some(()));
    holds.ok_or_else(|| format!("lb1 does not become MASTER: {}", master.output()))?;
    let backup = begin(&pair.lb2, Router::backup())?;
    Ok(Directors { pair, master, backup })
}

fn play(cell: &Cell) -> Result<Outcome, String> {
    let text = |error: std::io::Error| error.to_string();
    let Directors { pair, master, backup } = start(cell)?;
    let any = SocketAddr::from(([0, 0, 0, 0], PORT));
    let _web1 = Server::start(&pair.lb1, any).map_err(text)?;
    let _web2 = Server::start(&pair.lb2, any).map_err(text)?;
    let watches = (Watch::start(&pair.lb1).map_err(text)?, Watch::start(&pair.lb2).map_err(text)?);
    let target = SocketAddr::new(VIP, PORT);
    let client =
        Client::start(&pair.client, target, Duration::from_millis(20), Duration::from_secs(1)).map_err(text)?;
    let began = Instant::now();
    wait_for(SOON, || client.samples_since(began).iter().any(|one| one.answer.is_ok()).then_some(()))
        .ok_or("nobody answers on the VIP")?;
    // The BACKUP has heard the MASTER for a while.
    let adverts = || watches.1.seen().iter().filter(|one| matches!(one.what, What::Advert { sent: false, .. })).count();
    let before = adverts();
    wait_for(SOON, || (adverts() >= before + 2).then_some(())).ok_or("lb1 does not advertise")?;

    let process = match cell.role {
        Role::Master => &master,
        Role::Backup => &backup,
    };
    let first = Pid::from_raw(i32::try_from(process.pid()).unwrap_or_default());
    let worker = wait_for(SOON, || process.children().ok()?.first().copied()).ok_or("it has no worker")?;
    let worker = Pid::from_raw(i32::try_from(worker).unwrap_or_default());
    let group = Group::of(first).map_err(text)?;
    let asked_from = Instant::now();
    let prey = Prey { process, worker, group: &group };
    let (at, holds) = prey.suffer(cell.target, cell.fault).map_err(|error| format!("the fault itself: {error}"))?;
    std::thread::sleep(WATCHED);
    let end = SystemTime::now();

    let (sufferer, other) = match cell.role {
        Role::Master => (&watches.0, &watches.1),
        Role::Backup => (&watches.1, &watches.0),
    };
    let holds_at_first = |role| cell.role == role;
    let (sufferer_holds, other_holds) = (holds_at_first(Role::Master), holds_at_first(Role::Backup));
    let gone = changes(sufferer, sufferer_holds, at).into_iter().find(|(_, present)| !present).map(|(at, _)| at);
    let came = changes(other, other_holds, at).into_iter().find(|(_, present)| *present).map(|(at, _)| at);
    let since = |when: SystemTime| when.duration_since(at).unwrap_or_default();
    let samples = client.samples_since(asked_from);
    let outcome = Outcome {
        off: gone.map(since),
        on: came.map(since),
        two_owners: together(&spans(sufferer, sufferer_holds, at, end), &spans(other, other_holds, at, end)),
        outage: outages(&samples).iter().map(|one| one.length()).max().unwrap_or_default(),
        failed: samples.iter().filter(|one| one.answer.is_err()).count(),
        asked: samples.len(),
        group: group.kind(),
    };
    drop(holds);
    for process in [master, backup] {
        // One that stands still dies as well.
        cell.daemon.kill(process).map_err(text)?;
    }
    Ok(outcome)
}

/// When the VIP came and went from a moment before the fault on: what follows at once may carry an earlier time. `held`:
/// it was there at first.
fn changes(watch: &Watch, mut held: bool, fault: SystemTime) -> Vec<(SystemTime, bool)> {
    let from = fault.checked_sub(Duration::from_millis(500)).unwrap_or(fault);
    let seen = watch.seen().into_iter().filter(|one| one.at >= from);
    let changes = seen.filter_map(|one| match one.what {
        What::Address { address, present } if address.address == VIP => Some((one.at, present)),
        What::Address { .. } | What::Advert { .. } | What::Arp { .. } => None,
    });
    // A renewed lifetime is news of an address that is there.
    changes.filter(|(_, present)| std::mem::replace(&mut held, *present) != *present).collect()
}

/// When it held the VIP.
fn spans(watch: &Watch, mut held: bool, from: SystemTime, to: SystemTime) -> Vec<(SystemTime, SystemTime)> {
    let mut spans = Vec::new();
    let mut since = from;
    for (at, present) in changes(watch, held, from) {
        if present {
            since = at
        } else {
            spans.push((since, at))
        }
        held = present;
    }
    if held {
        spans.push((since, to));
    }
    spans
}

/// The longest time that both cover.
fn together(one: &[(SystemTime, SystemTime)], other: &[(SystemTime, SystemTime)]) -> Duration {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    let overlaps = pairs.filter_map(|(a, b)| a.1.min(b.1).duration_since(a.0.max(b.0)).ok());
    overlaps.max().unwrap_or_default()
}

impl Outcome {
    /// Whether it is what vipward promises; if not, why.
    pub fn judge(&self, cell: &Cell) -> Result<(), String> {
        if self.two_owners > BOUND {
            return Err(format!("two owners for {:?}", self.two_owners));
        }
        match cell.must() {
            Must::Stay => {
                if self.off.is_some() || self.on.is_some() {
                    return Err("the VIP moved".to_owned());
                }
                if self.failed > 0 {
                    return Err(format!("{} requests failed", self.failed));
                }
            }
            Must::Move => {
                let off = self.off.ok_or("the VIP stays on the dead side")?;
                if off > BOUND {
                    return Err(format!("the VIP was on the dead side for {off:?}"));
                }
                self.on.ok_or("nobody took the VIP")?;
            }
        }
        Ok(())
    }
}
