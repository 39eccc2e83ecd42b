//! What of each director's runs a scenario needs.

use super::text::text_of;
use crate::replay::check::walk;
use crate::replay::lane::{Chain, Turn};
use crate::replay::track::Track;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use vipward_core::balancer::drain::order::Order;
use vipward_core::check::{Failure, ProbeId, ProbeKind, Verdict, misc};
use vipward_core::command::ScriptOutcome;
use vipward_core::config::{Config, LIFETIME};
use vipward_core::datagram::Datagram;
use vipward_core::decision::Decision;
use vipward_core::interface::InterfaceName;
use vipward_core::machine::Input;
use vipward_core::quantity::Role;
use vipward_core::record::Step;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::lifetime::RENEW;
use vipward_core::{balancer, vrrp};

/// A wakeup that comes so late means that the machine did not run.
const FROZEN: Duration = Duration::from_secs(1);

/// How the program of a checker ended, as a scenario says it; none: it was not run.
fn exit_status(verdict: &Verdict) -> Option<i32> {
    match verdict {
        Verdict::Passed => Some(0),
        Verdict::Weighs(weight) => Some(i32::try_from(*weight).unwrap_or(0).saturating_add(2)),
        Verdict::Failed(Failure::Misc(misc::Wrong::Exited(status))) => Some(*status),
        Verdict::Failed(_) => Some(1),
        Verdict::NotAsked(_) => None,
    }
}

/// One director, all its runs.
pub(super) struct Director {
    pub(super) name: String,
    pub(super) runs: Vec<Life>,
}

/// From a start to a stop or a death, upgrades in between: what of it a scenario needs. Instants are on the common timeline.
pub(super) struct Life {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) stopped: bool,
    /// It goes on in a process that these files don't have.
    pub(super) goes_on: bool,
    /// When it handed over to a new process.
    pub(super) upgrades: Vec<Instant>,
    /// Configurations, with their text.
    pub(super) configs: Vec<(Instant, Arc<Config>, String)>,
    pub(super) sent: Vec<(Instant, Datagram)>,
    pub(super) heard: Vec<(Instant, Datagram)>,
    /// From when until when it did not run.
    pub(super) frozen: Vec<(Instant, Instant)>,
    /// When a link of the configuration went down (false) or up.
    pub(super) links: Vec<(Instant, InterfaceName, bool)>,
    pub(super) scripts: Vec<(Instant, Arc<str>, i32)>,
    pub(super) files: Vec<(Instant, Arc<str>, i64)>,
    pub(super) processes: Vec<(Instant, Arc<str>, u32)>,
    pub(super) orders: Vec<(Instant, Order)>,
    pub(super) deleted: Vec<(Instant, IpAddr)>,
    pub(super) routes_deleted: Vec<(Instant, IpAddr, u8)>,
    pub(super) verdicts: Vec<(Instant, SocketAddr, bool, Verdict, Duration)>,
    /// Of each virtual router: since when, what.
    pub(super) roles: BTreeMap<Arc<str>, Vec<(Instant, Role)>>,
    /// Addresses that are not ours, by interface.
    pub(super) addresses: BTreeMap<String, (Ipv4Addr, u8)>,
    pub(super) interfaces: BTreeSet<String>,
}

impl Life {
    pub(super) fn of(chain: &Chain<'_>) -> Self {
        let (began, ended) = chain.span();
        let mut life = Self {
            began,
            ended,
            stopped: chain.stopped(),
            goes_on: chain.last().ends_with() == Some(Turn::HandsOver),
            upgrades: chain.upgrades().into_iter().map(|(at, run)| chain.handed_over(run, at)).collect(),
            configs: Vec::new(),
            sent: Vec::new(),
            heard: Vec::new(),
            frozen: Vec::new(),
            links: Vec::new(),
            scripts: Vec::new(),
            files: Vec::new(),
            processes: Vec::new(),
            orders: Vec::new(),
            deleted: Vec::new(),
            routes_deleted: Vec::new(),
            verdicts: Vec::new(),
            roles: BTreeMap::new(),
            addresses: BTreeMap::new(),
            interfaces: BTreeSet::new(),
        };
        chain.runs().for_each(|track| life.learn(track));
        life.in_order();
        life
    }

    /// Of a process that went on after another one there is more than fits behind what came first.
    fn in_order(&mut self) {
        self.configs.sort_by_key(|(at, ..)| *at);
        self.sent.sort_by_key(|(at, _)| *at);
        self.heard.sort_by_key(|(at, _)| *at);
        self.roles.values_mut().for_each(|roles| roles.sort_by_key(|(at, _)| *at));
        // A new process reads the file again, which may be as it was.
        self.configs.dedup_by(|next, before| next.2 == before.2);
    }

    fn learn(&mut self, track: &Track) {
        let life = self;
        let mut probes: BTreeMap<ProbeId, (Instant, ProbeKind, Duration)> = BTreeMap::new();
        let mut last = BTreeMap::new();
        walk(track, |now| {
            let at = track.common(now.step.at());
            let before = last.insert(now.step.machine(), at).unwrap_or(at);
            match now.step {
                Step::Election(step) => {
                    if let Some((due, _)) = now.due
                        && track.common(due) > before
                        && step.at.since(due) >= FROZEN
                    {
                        life.frozen.push((track.common(due), at));
                    }
                    life.told(track, at, &step.input);
                    for effect in step.output.effects() {
                        if let vrrp::Effect::SendAdvert(advert) = effect {
                            life.sent.push((at, advert.clone()));
                        }
                    }
                }
                Step::Balancer(step) => {
                    if let Input::Event(balancer::Event::Ordered { order, .. }) = &step.input {
                        life.orders.push((at, *order));
                    }
                    if let Input::Event(balancer::Event::ProbeFinished { probe, verdict }) = &step.input
                        && let Some((started, kind, timeout)) = probes.remove(probe)
                    {
                        match (kind.command(), exit_status(verdict)) {
                            (Some(command), Some(status)) => {
                                life.script(started, &command.argv.join(" ").into(), status);
                            }
                            (Some(_), None) => {}
                            (None, _) => {
                                life.verdicts.push((started, probe.server, kind.asks(), verdict.clone(), timeout));
                            }
                        }
                    }
                    for effect in step.output.effects() {
                        if let balancer::Effect::StartProbe { id, probe } = effect {
                            probes.insert(*id, (at, probe.kind.clone(), probe.timeout));
                        }
                    }
                }
            }
            for decision in now.step.decisions() {
                match decision {
                    Decision::RoleChanged { router, to, .. } | Decision::RoleInherited { router, role: to, .. } => {
                        life.roles.entry(router.clone()).or_default().push((at, *to));
                    }
                    // What a kernel took off in a director's sleep it takes off again.
                    Decision::AddressRestored { address } if !life.has_just_slept(at) => {
                        life.deleted.push((at, address.address));
                    }
                    Decision::RouteRestored { route } if !life.has_just_slept(at) => {
                        life.routes_deleted.push((at, route.key.destination, route.key.prefix_len));
                    }
                    _ => {} // Of no consequence for what a scenario says.
                }
            }
        });
    }

    fn told(&mut self, track: &Track, at: Instant, input: &vrrp::Input) {
        match input {
            Input::ConfigLoaded { config, .. } => {
                let text = text_of(track, track.own(at));
                self.configs.push((at, config.clone(), text));
            }
            Input::Event(event) => self.event(at, event),
            _ => {} // Of no consequence for what a scenario says.
        }
    }

    fn event(&mut self, at: Instant, event: &vrrp::Event) {
        match event {
            vrrp::Event::AdvertReceived(advert) => self.heard.push((at, advert.clone())),
            vrrp::Event::LinksRead(links) => self.interfaces.extend(links.iter().map(|link| link.name.to_string())),
            vrrp::Event::LinkChanged(link) => self.link(at, &link.name, link.running),
            vrrp::Event::LinkGone(name) => self.link(at, name, false),
            // A scenario has one director on each node.
            vrrp::Event::NeighboursLive => {}
            vrrp::Event::AddressesRead(addresses) => {
                for address in addresses.iter().filter(|address| !address.ours) {
                    if let IpAddr::V4(ip) = address.key.address
                        && !ip.is_loopback()
                    {
                        let interface = address.key.interface.to_string();
                        self.addresses.entry(interface).or_insert((ip, address.key.prefix_len));
                    }
                }
            }
            vrrp::Event::ScriptFinished { script, outcome } => {
                let status = match outcome {
                    ScriptOutcome::Exited(status) => *status,
                    ScriptOutcome::Killed(_)
                    | ScriptOutcome::TimedOut
                    | ScriptOutcome::NotStarted(_)
                    | ScriptOutcome::Short(_) => 1,
                };
                self.script(at, script, status);
            }
            vrrp::Event::FilesRead(numbers) => {
                for (file, number) in numbers {
                    let before = self.files.iter().rev().find(|(_, name, _)| name == file);
                    if before.map_or(0, |(_, _, number)| *number) != *number {
                        self.files.push((at, file.clone(), *number));
                    }
                }
            }
            vrrp::Event::ProcessesCounted(counts) => {
                for (process, count) in counts {
                    let before = self.processes.iter().rev().find(|(_, name, _)| name == process);
                    if before.is_none_or(|(_, _, before)| before != count) {
                        self.processes.push((at, process.clone(), *count));
                    }
                }
            }
            vrrp::Event::AddressChanged { .. }
            | vrrp::Event::Lease(_)
            | vrrp::Event::RoutesRead { .. }
            | vrrp::Event::RuleChanged { .. }
            | vrrp::Event::RouteChanged { .. } => {}
        }
    }

    /// This script ended so.
    fn script(&mut self, at: Instant, script: &Arc<str>, status: i32) {
        let before = self.scripts.iter().rev().find(|(_, name, _)| name == script);
        if before.map_or(0, |(_, _, status)| *status) != status {
            self.scripts.push((at, script.clone(), status));
        }
    }

    /// Whether an address may be gone because nobody renewed it.
    fn has_just_slept(&self, at: Instant) -> bool {
        let slept =
            |(from, until): &(Instant, Instant)| until.since(*from) + RENEW >= LIFETIME && at.since(*until) < RENEW;
        self.frozen.last().is_some_and(slept)
    }

    /// The interfaces on which virtual routers hear adverts.
    pub(super) fn heard_on(&self) -> BTreeSet<&InterfaceName> {
        let routers = self.configs.iter().flat_map(|(_, config, _)| &config.routers);
        routers.map(|router| &router.interfaces.heard_on).collect()
    }

    /// The interfaces whose links decide about roles and priorities.
    pub(super) fn uses(&self) -> BTreeSet<&InterfaceName> {
        let routers = self.configs.iter().flat_map(|(_, config, _)| &config.routers);
        let tracked = routers.flat_map(|router| router.interfaces.tracked.iter().chain(router.tracking.interfaces()));
        tracked.chain(self.heard_on()).collect()
    }

    fn link(&mut self, at: Instant, name: &InterfaceName, up: bool) {
        if self.uses().contains(name) {
            let before = self.links.iter().rev().find(|(_, other, _)| other == name).is_none_or(|(_, _, up)| *up);
            if before != up {
                self.links.push((at, name.clone(), up));
            }
        }
    }

    /// Whether it could hear an advert that was sent at `at`.
    pub(super) fn listens(&self, at: Instant) -> bool {
        let configured = self.configs.first().is_some_and(|(from, _, _)| *from < at);
        let frozen = self.frozen.iter().any(|(from, until)| *from <= at && at <= *until);
        let mut heard_on = self.heard_on().into_iter();
        let plugged = heard_on.all(|name| {
            let last = self.links.iter().rev().find(|(from, other, _)| *from <= at && other == name);
            last.is_none_or(|(_, _, up)| *up)
        });
        configured && !frozen && plugged && at < self.ended
    }
}

impl Director {
    pub(super) fn config(&self) -> Option<&Arc<Config>> {
        Some(&self.runs.first()?.configs.first()?.1)
    }

    /// The texts of all configurations, in order; the first is the one it starts with.
    pub(super) fn configs(&self) -> impl Iterator<Item = String> {
        self.runs.iter().flat_map(|life| life.configs.iter().map(|(_, _, text)| text.clone()))
    }
}
