//! What was the state at a moment, and by which chain of causes did a director come to a role?

use super::check::{Machines, Moment, walk};
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
use vipward_core::record::{Step, Taken};
use vipward_core::text::Sources;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::virtual_router::{Heard, State};
use vipward_core::vrrp::{Effect, Event};

/// Steps that [`at`] shows before and after its moment.
const AROUND: usize = 8;

/// The state of every director at `moment` of the common timeline, and what happened around it.
pub fn at(tracks: &[Track], moment: Instant) -> String {
    let mut text = String::new();
    for track in tracks {
        let (first, last) = track.span();
        let (first, last) = (track.common(first), track.common(last));
        if moment < first || last + Duration::from_secs(1) < moment {
            let _ = writeln!(text, "{} at {moment} s: not recorded ({first} s to {last} s)\n", track.name);
            continue;
        }
        let own = track.own(moment);
        let mut state = None;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        walk(track, |now| {
            if now.step.at() > own && state.is_none() {
                state = Some(describe(track, now.machines, own));
            }
            if everyday(now) {
                return;
            }
            if now.step.at() <= own {
                before.push(line(track, now));
            } else if after.len() < AROUND {
                after.push(line(track, now));
            }
        });
        let wall = utc(track.epoch.saturating_add(own.as_nanos()));
        let _ = writeln!(text, "{} at {moment} s ({wall})", track.name);
        let state = state.unwrap_or_else(|| "  its record ends here\n".to_owned());
        text.push_str(&state);
        let _ = writeln!(text, "  before:");
        let skipped = before.len().saturating_sub(AROUND);
        before.iter().skip(skipped).for_each(|line| text.push_str(line));
        if !after.is_empty() {
            let _ = writeln!(text, "  after:");
        }
        after.iter().for_each(|line| text.push_str(line));
        text.push('\n');
    }
    text
}

fn describe(track: &Track, machines: &Machines, now: Instant) -> String {
    let mut text = String::new();
    match &machines.election {
        None => text.push_str("  election: no state of it is recorded before this\n"),
        Some(election) => {
            for router in election.routers() {
                let _ = write!(text, "  {} {}, priority {}", router.name(), router.role(), router.priority());
                let _ = match router.state() {
                    State::Init | State::Fault => Ok(()),
                    State::Backup(backup) => write!(
                        text,
                        "; {}; takes over at {} s",
                        heard(track, backup.heard, now),
                        track.common(backup.down_at)
                    ),
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
        }
    }
    match &machines.balancer {
        None => text.push_str("  balancer: no state of it is recorded before this\n"),
        Some(balancer) => {
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
        }
    }
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
        Reason::Probe => "a probe",
        Reason::Retry => "another try of what failed",
        Reason::Reread => "a look at the kernel's tables",
        Reason::Keep => "a copy for the state file",
        Reason::Renew => "renewal of addresses",
        Reason::Lease => "a question to the quorum service",
        Reason::Report => "a report of ignored adverts",
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
                Output::Decide(_) | Output::Notify { .. } => false,
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
    let mut chains: Vec<(Instant, String)> = Vec::new();
    for track in tracks {
        let mut known = Known::default();
        walk(track, |now| {
            for decision in now.step.decisions() {
                if let Decision::RoleChanged { router, vrid, from, to, cause } = decision {
                    if *to == role {
                        let change = Change { router, vrid: vrid.get(), from: *from, to: *to, cause };
                        let at = track.common(now.step.at());
                        chains.push((at, chain(tracks, track, &known, now, &change)));
                    }
                    known.roles.insert(router.clone(), (now.step.at(), *to, cause.to_string()));
                }
                if let Decision::RoleInherited { router, role, .. } = decision {
                    let why = "taken up from the process before".to_owned();
                    known.roles.insert(router.clone(), (now.step.at(), *role, why));
                }
            }
            known.learn(now.step);
        });
    }
    if chains.is_empty() {
        return format!("nobody became {role} in this record\n");
    }
    chains.sort_by_key(|(at, _)| *at);
    chains.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// What a director has heard so far.
#[derive(Default)]
struct Known {
    /// Of each virtual router: since when, what, why.
    roles: BTreeMap<Arc<str>, (Instant, Role, String)>,
    /// The last advert by VRID and source: when, priority.
    adverts: BTreeMap<(u8, IpAddr), (Instant, u8)>,
}

impl Known {
    fn learn(&mut self, step: &Step) {
        if let Step::Election(Taken { at, input: Input::Event(Event::AdvertReceived(advert)), .. }) = step
            && let Some((vrid, priority)) = decoded(advert)
        {
            self.adverts.insert((vrid, advert.source), (*at, priority));
        }
    }
}

struct Change<'a> {
    router: &'a Arc<str>,
    vrid: u8,
    from: Role,
    to: Role,
    cause: &'a RoleCause,
}

fn chain(tracks: &[Track], track: &Track, known: &Known, now: &Moment<'_>, change: &Change<'_>) -> String {
    let Change { router, vrid, from, to, cause } = change;
    let at = now.step.at();
    let wall = utc(track.epoch.saturating_add(at.as_nanos()));
    let mut text = format!("{} s  {}: {router} {from} -> {to} ({wall})\n", track.common(at), track.name);
    let _ = writeln!(text, "    because {cause}");
    let _ = match fired(now) {
        Some((due, reason)) => writeln!(text, "    {} fired, {} late", timer(reason), micros(at.since(due))),
        None => writeln!(text, "    on {}", words::told(now.step)),
    };
    for ((_, source), (heard, priority)) in known.adverts.iter().filter(|((heard, _), _)| heard == vrid) {
        let _ = writeln!(
            text,
            "    last advert of {source} at {} s, {} ms before: priority {priority}",
            track.common(*heard),
            at.since(*heard).as_millis()
        );
    }
    for other in tracks.iter().filter(|other| other.name != track.name && !other.stopped()) {
        let end = other.common(other.span().1);
        let back = |later: &Track| {
            later.name == other.name && (end..=track.common(at)).contains(&later.common(later.span().0))
        };
        if end <= track.common(at) && !tracks.iter().any(back) {
            let _ = writeln!(text, "    the record of {} ends at {end} s without a stop", other.name);
        }
    }
    if let Some((since, was, why)) = known.roles.get(*router) {
        let _ = writeln!(text, "    {was} since {} s: {why}", track.common(*since));
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
