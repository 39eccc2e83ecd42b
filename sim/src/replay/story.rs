//! Tracks become a timeline, in the look of a simulated run: one column a director.

use super::check::walk;
use super::lane::{Chain, Turn, lanes};
use super::track::Track;
use super::words::decoded;
use crate::runner::Run;
use crate::scenario::{ConfigFile, Dataplane, DirectorPlan, NodeId, NodeKind, NodePlan, Scenario};
use crate::trace::{Entry, What};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use vipward_core::datagram::Datagram;
use vipward_core::machine::{Input, Output};
use vipward_core::quantity::Role;
use vipward_core::record::{MachineName, Step};
use vipward_core::time::{Duration, Instant};
use vipward_core::{balancer, vrrp};

/// A director whose record ends so long before the others' was killed.
pub(super) const SILENT: Duration = Duration::from_secs(2);

/// Adverts of one peer that are farther apart are told twice.
const GAP: Duration = Duration::from_secs(3);

/// All tracks as one run; render it with [`crate::timeline::render`].
pub fn story(tracks: &[Track]) -> Run {
    let lanes = lanes(tracks);
    let end = end(tracks);
    let mut trace = Vec::new();
    for (node, lane) in lanes.iter().enumerate() {
        for (number, chain) in lane.chains.iter().enumerate() {
            let next = lane.chains.get(number + 1).map(|next| next.span().0);
            one(chain, NodeId(node), number == 0, next, end, &mut trace);
        }
    }
    trace.sort_by_key(|entry| entry.at);
    Run {
        scenario: Arc::new(Scenario {
            name: "replay".to_owned(),
            title: String::new(),
            seed: 0,
            duration: end.since_origin(),
            segments: Vec::new(),
            routed: Vec::new(),
            nodes: lanes.iter().map(|lane| node(lane.name)).collect(),
            codes: Vec::new(),
            steps: Vec::new(),
            expectations: Vec::new(),
        }),
        seed: 0,
        trace,
        requests: Vec::new(),
        breaks: Vec::new(),
        outages: Vec::new(),
        troubles: Vec::new(),
        violations: Vec::new(),
        neighbours: Default::default(),
    }
}

/// When the last of all steps was taken.
pub(super) fn end(tracks: &[Track]) -> Instant {
    tracks.iter().map(|track| track.common(track.span().1)).max().unwrap_or_default()
}

fn node(name: &str) -> NodePlan {
    let config = ConfigFile { path: PathBuf::new(), config: None, codes: Vec::new(), settings: None };
    let plan = DirectorPlan {
        config,
        listens: Vec::new(),
        loopback: Vec::new(),
        tracks: BTreeMap::new(),
        starts: false,
        drift_ppm: 0,
        dataplane: Dataplane::default(),
    };
    NodePlan { name: name.into(), ports: Vec::new(), kind: NodeKind::Director(plan) }
}

/// A chain of processes. `next`: when the next one of this director begins.
fn one(chain: &Chain<'_>, node: NodeId, first: bool, next: Option<Instant>, end: Instant, trace: &mut Vec<Entry>) {
    let mut hearing = Hearing::default();
    let mut own: Vec<Entry> = Vec::new();
    chain.runs().for_each(|run| life(chain, run, node, first, &mut hearing, &mut own));
    for (at, run) in chain.upgrades() {
        let version = if run.version == chain.first.version { String::new() } else { format!(" {}", run.version) };
        let text = format!("a new process{version} goes on where the one before it handed over");
        let step = Entry { at, node: Some(node), what: What::Step { word: "upgraded", text } };
        own.insert(own.iter().position(|entry| entry.at >= at).unwrap_or(own.len()), step);
    }
    let last = chain.span().1;
    let run = chain.last();
    let step =
        |word, text: &str| Entry { at: last, node: Some(node), what: What::Step { word, text: text.to_owned() } };
    if run.ends_with() == Some(Turn::HandsOver) {
        own.push(step("end", "handed over to a new process, which these files don't have"));
    } else if !chain.stopped() {
        let unreadable = run.faults.iter().any(|fault| fault.is_damage() && fault.resumed.is_none());
        let killed = next.is_some() || last + SILENT < end;
        own.push(if unreadable {
            step("end", "the record can't be read beyond this")
        } else if killed {
            step("KILLED", "the record ends here without a stop: killed, or no power")
        } else {
            step("end", "the record ends here")
        });
        if killed && !unreadable {
            own.push(Entry { at: last, node: Some(node), what: What::Ended { relay: false } });
        }
    }
    trace.extend(hearing.told(node));
    trace.append(&mut own);
}

/// One process of it, from when it acts.
fn life(chain: &Chain<'_>, track: &Track, node: NodeId, first: bool, hearing: &mut Hearing, own: &mut Vec<Entry>) {
    let begins = track.begins();
    let mut begun = false;
    walk(track, |moment| {
        let at = track.common(moment.step.at());
        let entry = |what| Entry { at, node: Some(node), what };
        // It prepares while another one acts.
        if track.run != chain.first.run && begins.is_none_or(|begins| moment.step.at() < begins) {
            return;
        }
        if !std::mem::replace(&mut begun, true) && track.before.is_none() {
            if track.whole {
                own.push(entry(What::Started));
            } else {
                let text = if first { "the record begins; the daemon ran before" } else { "the record goes on here" };
                own.push(entry(What::Step { word: "AWAKE", text: text.to_owned() }));
                for router in moment.machines.election.iter().flat_map(|election| election.routers()) {
                    let (router_name, role) = (router.name().clone(), router.role());
                    own.push(entry(What::Found { router: router_name, role }));
                    if role != Role::Master {
                        continue;
                    }
                    own.extend(router.addresses().iter().map(|held| entry(What::AddressAdded(held.key()))));
                }
            }
        }
        match Turn::of(moment.step) {
            Some(Turn::TakesBack) if moment.step.machine() == MachineName::Election => {
                let text = "the new process did not take over: the old one goes on".to_owned();
                own.push(entry(What::Step { word: "goes on", text }));
            }
            Some(_) | None => {}
        }
        match moment.step {
            Step::Election(step) => {
                match &step.input {
                    Input::Event(vrrp::Event::AdvertReceived(advert)) => hearing.hear(at, advert),
                    Input::Event(vrrp::Event::LinkChanged(link)) => {
                        let text = format!("{} is {}", link.name, if link.running { "up" } else { "down" });
                        own.push(entry(What::Step { word: "link", text }));
                    }
                    Input::Event(vrrp::Event::LinkGone(name)) => {
                        own.push(entry(What::Step { word: "link", text: format!("{name} is gone") }));
                    }
                    Input::Failed { effect, .. } => undo(own, voted(effect)),
                    _ => {} // Nothing that a timeline shows.
                }
                own.extend(step.output.iter().filter_map(|output| what(output, voted)).map(entry));
                if Turn::of(moment.step) == Some(Turn::Stops) {
                    own.push(entry(What::Stopped));
                }
            }
            Step::Balancer(step) => {
                if let Input::Failed { effect, .. } = &step.input {
                    undo(own, balanced(effect));
                }
                own.extend(step.output.iter().filter_map(|output| what(output, balanced)).map(entry));
            }
        }
    });
}

fn what<F>(output: &Output<F>, own: impl Fn(&F) -> Option<What>) -> Option<What> {
    match output {
        Output::Effect(effect) => own(effect),
        Output::Notify { command, .. } => Some(What::Notified { command: command.argv.join(" ") }),
        Output::Decide(decision) => Some(What::Decided(decision.clone())),
        Output::News(_) => None,
        Output::Fifo { path, line } => Some(What::WroteLine { path: path.to_string(), line: line.clone() }),
        Output::Mail(mail) => Some(What::Mailed { subject: mail.subject.clone() }),
    }
}

/// An Election's effect, as far as a timeline shows it.
fn voted(effect: &vrrp::Effect) -> Option<What> {
    Some(match effect {
        vrrp::Effect::SendAdvert(advert) => {
            let (vrid, priority) = decoded(advert)?;
            What::Advert { vrid, priority, destination: advert.destination }
        }
        vrrp::Effect::Announce { address, .. } => What::Announced { address: *address },
        vrrp::Effect::AddAddress(address) => What::AddressAdded(address.key()),
        vrrp::Effect::RemoveAddress(key) => What::AddressRemoved(key.clone()),
        vrrp::Effect::AddRoute(route) => What::RouteAdded(route.key.clone()),
        vrrp::Effect::RemoveRoute(key) => What::RouteRemoved(key.clone()),
        vrrp::Effect::AddRule(rule) => What::RuleAdded(rule.clone()),
        vrrp::Effect::RemoveRule(rule) => What::RuleRemoved(rule.clone()),
        vrrp::Effect::Listen { .. }
        | vrrp::Effect::StopListening { .. }
        | vrrp::Effect::RenewAddresses { .. }
        | vrrp::Effect::ReadAddresses
        | vrrp::Effect::RunScript { .. }
        | vrrp::Effect::Lease(_)
        | vrrp::Effect::WatchFiles(_)
        | vrrp::Effect::WatchProcesses(_)
        | vrrp::Effect::ReadRoutes => return None,
    })
}

/// A Balancer's.
fn balanced(effect: &balancer::Effect) -> Option<What> {
    match effect {
        balancer::Effect::Ipvs(op) => Some(What::Ipvs(op.clone())),
        balancer::Effect::SetIpvs(setting) => Some(What::SetIpvs(setting.clone())),
        balancer::Effect::ReadIpvs
        | balancer::Effect::StartProbe { .. }
        | balancer::Effect::CancelProbe(_)
        | balancer::Effect::Answer { .. } => None,
    }
}

/// What was asked for did not happen.
fn undo(entries: &mut Vec<Entry>, what: Option<What>) {
    if let Some(what) = what
        && let Some(at) = entries.iter().rposition(|entry| entry.what == what)
    {
        entries.remove(at);
    }
}

/// Adverts heard, told once for each run of like ones.
#[derive(Default)]
struct Hearing {
    runs: Vec<Heard>,
    open: BTreeMap<(u8, IpAddr), usize>,
}

struct Heard {
    vrid: u8,
    priority: u8,
    source: IpAddr,
    first: Instant,
    last: Instant,
    count: u64,
}

impl Hearing {
    fn hear(&mut self, at: Instant, advert: &Datagram) {
        let Some((vrid, priority)) = decoded(advert) else { return };
        let place = (vrid, advert.source);
        let open = self.open.get(&place).and_then(|at| self.runs.get_mut(*at));
        match open {
            Some(heard) if heard.priority == priority && at.since(heard.last) <= GAP => {
                heard.last = at;
                heard.count += 1;
            }
            Some(_) | None => {
                self.open.insert(place, self.runs.len());
                self.runs.push(Heard { vrid, priority, source: advert.source, first: at, last: at, count: 1 });
            }
        }
    }

    fn told(self, node: NodeId) -> impl Iterator<Item = Entry> {
        self.runs.into_iter().map(move |heard| {
            let Heard { vrid, priority, source, first, last, count } = heard;
            let count = match count {
                1 => "one advert".to_owned(),
                n => format!("{n} adverts until {last} s"),
            };
            let stops = if priority == 0 { " (stops)" } else { "" };
            let text = format!("from {source}: VRID {vrid}, priority {priority}{stops}: {count}");
            Entry { at: first, node: Some(node), what: What::Step { word: "hears", text } }
        })
    }
}
