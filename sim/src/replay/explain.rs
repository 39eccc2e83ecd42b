//! What was the state at a moment, and by which chain of causes did a director come to a role?

use super::check::{Machines, Moment, walk};
use super::lane::{Lane, lanes};
use super::track::Track;
use super::words::{self, Words, decoded, utc};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::machine::{Input, Machine, Output, Reason};
use vipward_core::quantity::Role;
use vipward_core::record::{MachineName, Step, Taken};
use vipward_core::text::Sources;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::virtual_router::{Heard, State};
use vipward_core::vrrp::{Effect, Event};

/// Steps that [`at`] shows before and after its moment.
const AROUND: usize = 8;

/// The state of every director at `moment` of the common timeline, and what happened around it.
pub fn at(tracks: &[Track], moment: Instant) -> String {
    let mut text = String::new();
    for lane in lanes(tracks) {
        let Some(chain) = lane.at(moment) else {
            let spans = lane.chains.iter().map(|chain| format!("{} s to {} s", chain.span().0, chain.span().1));
            let spans: Vec<String> = spans.collect();
            let _ = writeln!(text, "{} at {moment} s: not recorded ({})\n", lane.name, spans.join(", "));
            continue;
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut states = BTreeMap::new();
        for track in chain.runs() {
            let (own, begins) = (track.own(moment), track.begins());
            let mut state = None;
            walk(track, |now| {
                if now.step.at() > own && state.is_none() {
                    state = Some((election(track, now.machines, own), balancer(track, now.machines)));
                }
                let prepares = track.run != chain.first.run && begins.is_none_or(|begins| now.step.at() < begins);
                if prepares || everyday(now) {
                    return;
                }
                let around = if now.step.at() <= own { &mut before } else { &mut after };
                around.push((track.common(now.step.at()), line(track, now)));
            });
            states.insert(track.run, state);
        }
        let acting = chain.acting(MachineName::Election, moment);
        let wall = utc(acting.epoch.saturating_add(acting.own(moment).as_nanos()));
        let _ = writeln!(text, "{} at {moment} s ({wall})", lane.name);
        let state = |machine| states.get(&chain.acting(machine, moment).run).and_then(Option::as_ref);
        match (state(MachineName::Election), state(MachineName::Balancer)) {
            (None, None) => text.push_str("  its record ends here\n"),
            (election, balancer) => {
                text.push_str(election.map_or("  election: its record ends here\n", |(election, _)| election));
                text.push_str(balancer.map_or("  balancer: its record ends here\n", |(_, balancer)| balancer));
            }
        }
        // Those of an earlier process may be later, if it went on.
        before.sort_by_key(|(at, _)| *at);
        after.sort_by_key(|(at, _)| *at);
        let _ = writeln!(text, "  before:");
        let skipped = before.len().saturating_sub(AROUND);
        before.iter().skip(skipped).for_each(|(_, line)| text.push_str(line));
        if !after.is_empty() {
            let _ = writeln!(text, "  after:");
        }
        after.iter().take(AROUND).for_each(|(_, line)| text.push_str(line));
        text.push('\n');
    }
    text
}

fn election(track: &Track, machines: &Machines, now: Instant) -> String {
    let mut text = String::new();
    let Some(election) = &machines.election else {
        return "  election: no state of it is recorded before this\n".to_owned();
    };
    for router in election.routers() {
        let _ = write!(text, "  {} {}, priority {}", router.name(), router.role(), router.priority());
        let _ = match router.state() {
            State::Init | State::Fault => Ok(()),
            State::Backup(backup) => {
                write!(text, "; {}; takes over at {} s", heard(track, backup.heard, now), track.common(backup.down_at))
            }
            State::Master(master) => write!(
                text,
                "; last advert at {} s, the next at {} s",
                track.common(master.last_advert),
                track.common(master.advertise_at)
            ),
        };
        text.push('\n');
    }
    wakeup(track, election.next_wakeup(), &mut text);
    text
}

fn balancer(track: &Track, machines: &Machines) -> String {
    let mut text = String::new();
    let Some(balancer) = &machines.balancer else {
        return "  balancer: no state of it is recorded before this\n".to_owned();
    };
    for (key, service) in balancer.desired().services {
        let servers: Vec<String> = service
            .destinations
            .iter()
            .map(|(address, destination)| format!("{address} weight {}", destination.weight))
            .collect();
        let servers = if servers.is_empty() { "nobody".to_owned() } else { servers.join(", ") };
        let _ = writeln!(text, "  {key}: {servers}");
    }
    wakeup(track, balancer.next_wakeup(), &mut text);
    text
}

fn heard(track: &Track, heard: Heard, now: Instant) -> String {
    match heard {
        Heard::Nobody => "has heard nobody".to_owned(),
        Heard::Active { source, at } => {
            format!("heard {source} at {} s, {} ms ago", track.common(at), now.since(at).as_millis())
        }
        Heard::Stopped { source, .. } => format!("{source} has stopped"),
        Heard::Lower { source, priority } => format!("about to preempt {source} with its priority {priority}"),
    }
}

fn wakeup(track: &Track, next: Option<(Instant, Reason)>, text: &mut String) {
    if let Some((at, reason)) = next {
        let _ = writeln!(text, "    next timer at {} s: {}", track.common(at), timer(reason));
    }
}

/// A timer in the RFC's words, where it has some.
fn timer(reason: Reason) -> &'static str {
    match reason {
        Reason::Advertise => "Adver_Timer",
        Reason::MasterDown => "Master_Down_Timer",
        Reason::Preempt => "preempt_delay",
        Reason::Announce => "gratuitous ARP",
        Reason::Script => "a tracked script",
        Reason::Process => "fork_delay or terminate_delay",
        Reason::Probe => "a probe",
        Reason::Retry => "another try of what failed",
        Reason::Reread => "a look at the kernel's tables",
        Reason::Keep => "a copy for the state file",
        Reason::Renew => "renewal of addresses",
        Reason::Lease => "a question to the quorum service",
        Reason::Report => "a report of ignored adverts",
        Reason::SlowStart => "the next step of a slow start",
        Reason::Drain => "the limit of a drain",
        Reason::Heartbeat => "a sign of life for the supervisor",
    }
}

/// What a step asked for, in words. Announcements come in bursts, renewals twice a second, and news say what the decision
/// beside them says: they would hide what happened.
fn told(step: &Step) -> Vec<String> {
    let hides = |effect: &Effect| matches!(effect, Effect::Announce { .. } | Effect::RenewAddresses { .. });
    match step {
        Step::Election(taken) => {
            let hidden = |output: &Output<Effect>| match output {
                Output::Effect(effect) => hides(effect),
                Output::News(_) => true,
                Output::Decide(_) | Output::Notify { .. } | Output::Mail(_) | Output::Fifo { .. } => false,
            };
            taken.output.iter().filter(|output| !hidden(output)).map(Words::in_words).collect()
        }
        Step::Balancer(taken) => {
            let told = taken.output.iter().filter(|output| !matches!(output, Output::News(_)));
            told.map(Words::in_words).collect()
        }
    }
}

/// Nothing but renewals.
fn everyday(now: &Moment<'_>) -> bool {
    let renews = |output: &Output<Effect>| matches!(output, Output::Effect(Effect::RenewAddresses { .. }));
    match now.step {
        Step::Election(step) => {
            step.input == Input::Wakeup && !step.output.is_empty() && step.output.iter().all(renews)
        }
        Step::Balancer(_) => false,
    }
}

/// A timer fired: when it was due, and which it was.
fn fired(now: &Moment<'_>) -> Option<(Instant, Reason)> {
    let wakes = match now.step {
        Step::Election(step) => step.input == Input::Wakeup,
        Step::Balancer(step) => step.input == Input::Wakeup,
    };
    now.due.filter(|_| wakes)
}

fn line(track: &Track, now: &Moment<'_>) -> String {
    let what = fired(now).map_or_else(|| words::told(now.step), |(_, reason)| timer(reason).to_owned());
    let mut text = format!("    {} s  {what}\n", track.common(now.step.at()));
    for told in told(now.step) {
        let _ = writeln!(text, "               -> {told}");
    }
    text
}

/// The chain of causes of every change to `role`, in the order of time.
pub fn why(tracks: &[Track], role: Role) -> String {
    let lanes = lanes(tracks);
    let mut chains: Vec<(Instant, String)> = Vec::new();
    for lane in &lanes {
        for chain in &lane.chains {
            let mut known = Known::default();
            for track in chain.runs() {
                walk(track, |now| {
                    for decision in now.step.decisions() {
                        if let Decision::RoleChanged { router, vrid, from, to, cause } = decision
                            && *to == role
                        {
                            let change = Change { router, vrid: vrid.get(), from: *from, to: *to, cause };
                            let at = track.common(now.step.at());
                            chains.push((at, causes(&lanes, track, &known, now, &change)));
                        }
                    }
                    known.learn(track, now.step);
                });
            }
        }
    }
    if chains.is_empty() {
        return format!("nobody became {role} in this record\n");
    }
    chains.sort_by_key(|(at, _)| *at);
    chains.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// What a director has done and heard so far. Instants are on the common timeline.
#[derive(Default)]
pub(super) struct Known {
    /// Of each virtual router: since when, what, why.
    pub(super) roles: BTreeMap<Arc<str>, (Instant, Role, String)>,
    /// The last advert by VRID and source: when, priority.
    adverts: BTreeMap<(u8, IpAddr), (Instant, u8)>,
}

impl Known {
    pub(super) fn learn(&mut self, track: &Track, step: &Step) {
        let at = track.common(step.at());
        for decision in step.decisions() {
            match decision {
                Decision::RoleChanged { router, to, cause, .. } => {
                    self.roles.insert(router.clone(), (at, *to, cause.to_string()));
                }
                // After an upgrade the reason is the one that it had before.
                Decision::RoleInherited { router, role, .. } => {
                    let goes_on =
                        track.before.is_some() && self.roles.get(router).is_some_and(|(_, was, _)| was == role);
                    if !goes_on {
                        let why = "taken up from the process before".to_owned();
                        self.roles.insert(router.clone(), (at, *role, why));
                    }
                }
                _ => {} // Nothing else changes a role.
            }
        }
        if let Step::Election(Taken { input: Input::Event(Event::AdvertReceived(advert)), .. }) = step
            && let Some((vrid, priority)) = decoded(advert)
        {
            self.adverts.insert((vrid, advert.source), (at, priority));
        }
    }
}

pub(super) struct Change<'a> {
    pub(super) router: &'a Arc<str>,
    pub(super) vrid: u8,
    pub(super) from: Role,
    pub(super) to: Role,
    pub(super) cause: &'a RoleCause,
}

pub(super) fn causes(
    lanes: &[Lane<'_>],
    track: &Track,
    known: &Known,
    now: &Moment<'_>,
    change: &Change<'_>,
) -> String {
    let Change { router, vrid, from, to, cause } = change;
    let at = now.step.at();
    let wall = utc(track.epoch.saturating_add(at.as_nanos()));
    let mut text = format!("{} s  {}: {router} {from} -> {to} ({wall})\n", track.common(at), track.name);
    let _ = writeln!(text, "    because {cause}");
    let _ = match fired(now) {
        Some((due, reason)) => writeln!(text, "    {} fired, {} late", timer(reason), micros(at.since(due))),
        None => writeln!(text, "    on {}", words::told(now.step)),
    };
    let common = track.common(at);
    for ((_, source), (heard, priority)) in known.adverts.iter().filter(|((heard, _), _)| heard == vrid) {
        let _ = writeln!(
            text,
            "    last advert of {source} at {heard} s, {} ms before: priority {priority}",
            common.since(*heard).as_millis()
        );
    }
    for other in lanes.iter().filter(|other| other.name != track.name) {
        let Some(chain) = other.chains.iter().rfind(|chain| chain.span().0 <= common) else { continue };
        let end = chain.span().1;
        if end <= common && !chain.last().stopped() {
            let _ = writeln!(text, "    the record of {} ends at {end} s without a stop", other.name);
        }
    }
    if let Some((since, was, why)) = known.roles.get(*router) {
        let _ = writeln!(text, "    {was} since {since} s: {why}");
    }
    let config = now.machines.election.iter().flat_map(|election| election.routers());
    if let Some(config) = config.map(|router| router.config()).find(|config| config.name == **router) {
        lines(&track.sources(at), config, &mut text);
    }
    text
}

/// The lines of the configuration that decide about roles.
fn lines(sources: &Sources, config: &VirtualRouterConfig, text: &mut String) {
    for word in ["priority", "advert_int", "nopreempt", "preempt_delay", "version"] {
        if config.places.has(word) {
            let span = config.places.of(word);
            let location = sources.location(span);
            let written = sources.text(span.file).lines().nth(location.line.saturating_sub(1) as usize);
            let written = written.unwrap_or_default().trim();
            let _ = writeln!(text, "    {}:{}: {written}", location.file, location.line);
        }
    }
}

fn micros(duration: Duration) -> String {
    format!("{}.{:03} ms", duration.as_millis(), duration.subsec_micros() % 1000)
}
