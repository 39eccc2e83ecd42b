//! A case in real time: machines in namespaces, the built daemon, clients that ask.

use super::catalogue::Calibrated;
use super::impair::Ways;
use super::machines::Running;
use super::model::{Phase, instant, later, phase};
use super::network::Machines;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};
use vipward_core::interface::{AddressKey, InterfaceName};
use vipward_lab::client::{Client, Sample};
use vipward_lab::kept::Kept;
use vipward_lab::wait_for;
use vipward_lab::watch::{Watch, What as Saw};
use vipward_lab::web::Server;
use vipward_sim::drill::Row;
use vipward_sim::runner::{Run, seen_by_clients};
use vipward_sim::scenario::{Action, Listener, NodeId, NodeKind, Scenario};
use vipward_sim::trace::{Break, Entry, Outcome, Request, What};

/// A loaded machine may be this late with an advert, and nobody minds.
const SOON: Duration = Duration::from_secs(60);

/// When it all began, by both clocks.
#[derive(Clone, Copy)]
struct Origin {
    monotonic: Instant,
    wall: SystemTime,
}

impl Origin {
    fn of_wall(&self, at: SystemTime) -> Duration {
        at.duration_since(self.wall).unwrap_or_default()
    }
}

/// Plays a case once; what came of it, and what the daemons logged. To be called on a thread that [`vipward_lab::apart`]
/// made.
///
/// # Errors
/// What could not be played, in words.
pub fn play(calibrated: &Calibrated) -> Result<(Row, String), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let phase = phase(&calibrated.case)?;
    played(calibrated, phase, folder.path()).map_err(|error| format!("{}: {error}", calibrated.name()))
}

fn played(calibrated: &Calibrated, phase: Option<Phase>, folder: &Path) -> io::Result<(Row, String)> {
    let case = &calibrated.case;
    let scenario = &*case.scenario;
    let machines = Machines::build(scenario)?;
    let mut watches = BTreeMap::new();
    for (id, _) in scenario.directors() {
        watches.insert(id, Watch::start(machines.node(id))?);
    }
    let mut running = Running::new(&machines, scenario, folder)?;
    let origin = Origin { monotonic: Instant::now(), wall: SystemTime::now() };
    for (id, plan) in scenario.directors() {
        if plan.starts {
            running.start(id)?;
        }
    }
    let (mut clients, mut keepers) = (Vec::new(), Vec::new());
    let mut waiting: Vec<_> = scenario.ids().filter_map(|id| Some((id, client(scenario, id)?))).collect();
    waiting.sort_by_key(|(_, plan)| plan.from);
    for (id, plan) in waiting {
        sleep_until(origin.monotonic + plan.from);
        // One after the other, as in the model: a request between two of them would have both on one real server.
        for number in 0..plan.keeps {
            let keeper = Kept::start(machines.node(id), plan.target, plan.every, plan.timeout)?;
            if !super::model::cold(case) {
                keeper.tried(plan.timeout);
            }
            keepers.push(((id, number), keeper));
        }
        clients.push((id, Client::start(machines.node(id), plan.target, plan.every, plan.timeout)?));
    }
    let shift = shift(scenario, phase, &watches, origin)?;
    let mut ways = Ways::default();
    let mut struck = None;
    for moment in moments(scenario) {
        sleep_until(origin.monotonic + moment.0 + shift);
        struck.get_or_insert_with(|| origin.monotonic.elapsed());
        act(&moment.1, scenario, &machines, &mut running, &mut ways)?;
    }
    sleep_until(origin.monotonic + scenario.duration + shift);
    let changes = running.role_changes(origin.monotonic + struck.unwrap_or_else(|| case.at.since_origin()));
    let mut neighbours = BTreeMap::new();
    let mut requests = Vec::new();
    for (id, _) in &clients {
        let id = *id;
        let Some(plan) = self::client(scenario, id) else { continue };
        let target = plan.target.ip();
        // Behind a router the router is who believes.
        let asker = scenario.ids().find(|it| matches!(scenario.node(*it).kind, NodeKind::Router));
        let asker = if near(scenario, id, target) { Some(id) } else { asker };
        if let Some(asker) = asker
            && let Some(holder) = machines.neighbour(asker, target)?
        {
            neighbours.insert((asker, target), holder);
        }
    }
    for (id, client) in clients {
        let Some(plan) = self::client(scenario, id) else { continue };
        // The last ones may still be under way.
        sleep_until(origin.monotonic + scenario.duration + shift + plan.timeout);
        requests.extend(client.samples().iter().map(|sample| request(scenario, id, sample, origin)));
    }
    let end = case.scenario.duration + shift;
    requests.retain(|request| request.ended.since_origin() < end);
    let mut breaks = Vec::new();
    for (whose, keeper) in keepers {
        breaks.extend(keeper.breaks().iter().map(|it| broke(whose, it, origin)));
    }
    breaks.retain(|it| it.at.since_origin() < end);
    let trace = trace(&watches, origin, end);
    let late = later(case, struck.map_or(shift, |struck| struck.saturating_sub(case.at.since_origin())));
    let told = format!("{}{}", told(&requests), told_breaks(&breaks));
    let run = concluded(late.scenario.clone(), trace, (requests, breaks), neighbours);
    let mut row = Row::of(&late, run);
    row.role_changes = changes;
    Ok((row, format!("{}{}{told}", running.logs(), packets(scenario, &watches, origin))))
}

/// Requests that people would notice, for whoever looks for a reason.
fn told(requests: &[Request]) -> String {
    let noticed = requests.iter().filter(|it| !it.outcome.good() || it.ended.since(it.started) > NOTICED);
    let line = |it: &Request| {
        let (at, took) = (it.started.since_origin().as_secs_f64(), it.ended.since(it.started).as_secs_f64());
        format!("{at:10.6} a request of {took:.3} s: {:?}\n", it.outcome)
    };
    noticed.map(line).collect()
}

/// Likewise.
fn told_breaks(breaks: &[Break]) -> String {
    let line =
        |it: &Break| format!("{:10.6} a kept connection breaks: {}\n", it.at.since_origin().as_secs_f64(), it.cause);
    breaks.iter().map(line).collect()
}

fn broke((client, number): (NodeId, u32), it: &vipward_lab::kept::Break, origin: Origin) -> Break {
    let at = |moment: Instant| instant(moment.saturating_duration_since(origin.monotonic));
    Break { client, number, at: at(it.at), cause: it.cause.clone(), through: None, again: it.again.map(at) }
}

/// How long a request may take until it is told.
const NOTICED: Duration = Duration::from_millis(200);

/// What the directors sent, for whoever looks for a reason.
fn packets(scenario: &Scenario, watches: &BTreeMap<NodeId, Watch>, origin: Origin) -> String {
    let mut sent: Vec<(Duration, String)> = Vec::new();
    for (id, watch) in watches {
        let name = &scenario.node(*id).name;
        for one in watch.seen() {
            let text = match one.what {
                Saw::Advert { vrid, priority, sent: true, .. } => format!("advert, vrid {vrid}, priority {priority}"),
                Saw::Arp { sender, target, sent: true } if sender == target => format!("announces {sender}"),
                Saw::Address { address, present } if address.address.is_ipv4() => {
                    format!("{} {}", if present { "has" } else { "has no more" }, address.address)
                }
                _ => continue, // what comes in was sent by somebody
            };
            sent.push((origin.of_wall(one.at), format!("{name}: {text}")));
        }
    }
    sent.sort();
    sent.into_iter().map(|(at, text)| format!("{:10.6} {text}\n", at.as_secs_f64())).collect()
}

fn client(scenario: &Scenario, id: NodeId) -> Option<&vipward_sim::scenario::ClientPlan> {
    match &scenario.node(id).kind {
        NodeKind::Client(plan) => Some(plan),
        NodeKind::Director(_) | NodeKind::RealServer(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
    }
}

/// Whether the address is in a network of this node.
fn near(scenario: &Scenario, id: NodeId, address: IpAddr) -> bool {
    let (IpAddr::V4(there), mut ports) = (address, scenario.node(id).ports.iter()) else { return false };
    ports.any(|port| match port.address {
        Some((IpAddr::V4(own), len)) => {
            let mask = u32::MAX.checked_shl(u32::from(32_u8.saturating_sub(len))).unwrap_or(0);
            (u32::from(own) & mask) == (u32::from(there) & mask)
        }
        _ => false,
    })
}

fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// How much later than planned the first step comes, so that it strikes at the phase of the model.
fn shift(
    scenario: &Scenario,
    phase: Option<Phase>,
    watches: &BTreeMap<NodeId, Watch>,
    origin: Origin,
) -> io::Result<Duration> {
    let (Some(phase), Some(first)) = (phase, scenario.steps.first()) else { return Ok(Duration::ZERO) };
    let planned = first.at.since_origin();
    let from = planned.saturating_sub(phase.after);
    sleep_until(origin.monotonic + from);
    let Some(watch) = watches.get(&phase.director) else { return Ok(Duration::ZERO) };
    let advert = wait_for(SOON, || {
        watch.seen().iter().find_map(|one| match one.what {
            Saw::Advert { vrid, sent: true, .. } if vrid == phase.vrid && origin.of_wall(one.at) >= from => {
                Some(origin.of_wall(one.at))
            }
            _ => None, // everything else goes by
        })
    });
    let advert = advert.ok_or_else(|| io::Error::other("the director that should be MASTER does not advertise"))?;
    Ok((advert + phase.after).saturating_sub(planned))
}

/// Steps in the order of time, a flapping service taken apart.
fn moments(scenario: &Scenario) -> Vec<(Duration, Action)> {
    let mut moments = Vec::new();
    for step in &scenario.steps {
        let at = step.at.since_origin();
        match &step.action {
            Action::Flap { who, every, times } => {
                for turn in 0..*times {
                    moments.push((at + *every * (2 * turn), Action::Down(*who)));
                    moments.push((at + *every * (2 * turn + 1), Action::Up(*who)));
                }
            }
            action => moments.push((at, action.clone())),
        }
    }
    moments.sort_by_key(|(at, _)| *at);
    moments
}

fn act(
    action: &Action,
    scenario: &Scenario,
    machines: &Machines,
    running: &mut Running<'_>,
    ways: &mut Ways,
) -> io::Result<()> {
    let up = |who: Listener, running: &mut Running<'_>, change: &dyn Fn(&Server)| running.serve(who, Some(change));
    match action {
        Action::Kill(id) => running.kill(*id),
        Action::PowerOff(id) => running.power_off(*id)?,
        Action::Stop(id) => running.stop(*id),
        Action::Start(id) => running.start(*id)?,
        Action::Freeze(id) => running.freeze(*id, true),
        Action::Resume(id) => running.freeze(*id, false),
        Action::Unplug { node, interface } => {
            machines.plug(*node, interface.as_ref().map(InterfaceName::as_str), false)?;
        }
        Action::Plug { node, interface } => {
            machines.plug(*node, interface.as_ref().map(InterfaceName::as_str), true)?;
        }
        Action::Impair { from, to, both, impairment } => ways.impair(machines, *from, *to, *both, *impairment)?,
        Action::Heal(heal) => ways.heal(machines, *heal)?,
        Action::DropGarp(segment) => ways.drop_garp(machines, scenario, *segment)?,
        Action::Down(who) => running.serve(*who, None)?,
        Action::Up(who) => up(*who, running, &|server| {
            server.delay(Duration::ZERO);
            server.answer_with(200);
        })?,
        Action::Slow { who, by } => up(*who, running, &|server| server.delay(*by))?,
        Action::Status { who, code } => up(*who, running, &|server| server.answer_with(*code))?,
        Action::Hang(who) => up(*who, running, &|server| server.delay(SOON * 60))?,
        Action::File { file, node, holds } => running.write_number(*node, file, *holds)?,
        Action::Process { process, node, runs } => running.run_tracked(*node, process, *runs)?,
        Action::Script { script, node, exits } => {
            let NodeKind::Director(plan) = &scenario.node(*node).kind else { return Ok(()) };
            match plan.tracks.get(script) {
                // What it looks at fails it.
                Some(_) => return Err(io::Error::other(format!("{script} fails with its service only"))),
                None => running.flag(*node, *exits != 0)?,
            }
        }
        other => return Err(io::Error::other(format!("{other:?} can't be played in namespaces"))),
    }
    Ok(())
}

/// Whether [`play`] can play it, and if not, why.
pub(super) fn playable(scenario: &Scenario) -> Result<(), String> {
    for step in &scenario.steps {
        if let Action::Script { script, node, .. } = &step.action
            && let NodeKind::Director(plan) = &scenario.node(*node).kind
            && plan.tracks.contains_key(script)
        {
            return Err(format!("{script} fails with its service only, which is a case of its own"));
        }
    }
    Ok(())
}

fn request(scenario: &Scenario, client: NodeId, sample: &Sample, origin: Origin) -> Request {
    let since = |at: Instant| instant(at.saturating_duration_since(origin.monotonic));
    let outcome = match &sample.answer {
        Ok(body) => {
            let by = body.strip_prefix('n').and_then(|number| number.parse().ok());
            match by.filter(|at| *at < scenario.nodes.len()) {
                Some(by) => Outcome::Answered { by: NodeId(by), status: 200 },
                None => Outcome::Refused { cause: format!("a stranger answers: {body}") },
            }
        }
        Err(error) => match error.strip_prefix("status ").and_then(|code| code.parse().ok()) {
            // It does not tell who it is.
            Some(status) => Outcome::Answered { by: client, status },
            None if error.starts_with("no answer") => Outcome::TimedOut { cause: error.clone() },
            None => Outcome::Refused { cause: error.clone() },
        },
    };
    Request { client, started: since(sample.asked), ended: since(sample.done), outcome }
}

/// What the kernels of the directors said about addresses.
fn trace(watches: &BTreeMap<NodeId, Watch>, origin: Origin, end: Duration) -> Vec<Entry> {
    let mut trace = Vec::new();
    for (id, watch) in watches {
        let mut held = std::collections::BTreeSet::new();
        for one in watch.seen() {
            let Saw::Address { address, present } = one.what else { continue };
            let at = origin.of_wall(one.at);
            let key = AddressKey {
                interface: InterfaceName::new(&address.interface),
                address: address.address,
                prefix_len: address.prefix_len,
            };
            // A renewal is told like a new one.
            let news = if present { held.insert(key.clone()) } else { held.remove(&key) };
            if news && at < end {
                let what = if present { What::AddressAdded(key) } else { What::AddressRemoved(key) };
                trace.push(Entry { at: instant(at), node: Some(*id), what });
            }
        }
    }
    trace.sort_by_key(|entry| entry.at);
    trace
}

fn concluded(
    scenario: std::sync::Arc<Scenario>,
    trace: Vec<Entry>,
    (mut requests, breaks): (Vec<Request>, Vec<Break>),
    neighbours: BTreeMap<(NodeId, IpAddr), NodeId>,
) -> Run {
    requests.sort_by_key(|request| request.ended);
    let (outages, troubles) = seen_by_clients(&scenario, &requests);
    Run { seed: 0, scenario, trace, requests, breaks, outages, troubles, violations: Vec::new(), neighbours }
}
