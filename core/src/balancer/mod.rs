//! The Balancer: virtual servers, the health of their real servers, and the IPVS table that follows from both.
//!
//! The third of three layers, and the only place where `health` and `ipvs` meet:
//! - [`service`]: one virtual server; from verdicts to the destinations that it wants. It is known by what the
//!   configuration calls it ([`crate::ipvs::VirtualServerId`]).
//! - [`kernel`]: what the kernel's table is known to hold, and whose services are ours. To it a virtual server is one or
//!   several entries.
//! - this file: events in, effects out; timers; reload.
//!
//! Costs, with n checkers in all: a verdict is O(log n) and the size of its own virtual server; a configuration or a
//! table read back is linear.

mod carrier;
pub mod drain;
mod effect;
pub mod estate;
mod event;
pub mod failures;
mod files;
pub mod kernel;
mod member;
pub mod notify;
pub mod queue;
pub mod settings;
pub mod slow_start;
mod status;
mod suspend;
mod unasked;
pub mod virtual_server;

use crate::check::{ProbeId, Verdict};
use crate::config::{Config, VirtualServer};
use crate::decision::Decision;
use crate::door::News;
use crate::health::{Outcome, warmup};
use crate::ipvs::{Op, Table, VirtualServerId};
use crate::machine::{InputOf, LastWill, LeavesWill, Machine, OutboxOf, Reason};
use crate::time::{Duration, Instant};
use drain::Drained;
use estate::{BalancerEstate, VirtualServerEstate};
use failures::Failures;
use files::Files;
use kernel::Kernel;
use member::TakenUp;
use queue::{CheckerPlace, ProbeQueue};
use serde::{Deserialize, Serialize};
use settings::LiveSettings;
use slow_start::Rising;
use std::collections::BTreeMap;
use std::sync::Arc;
use suspend::Suspension;
use unasked::Unasked;
use virtual_server::LiveVirtualServer;

pub use carrier::Carrier;
pub use effect::Effect;
pub use event::Event;

/// What a Balancer is told.
pub type Input = InputOf<Balancer>;

/// What it asks for.
pub type Outbox = OutboxOf<Balancer>;

/// How many probes one turn starts at most: with `warmup 0` thousands may be due at once, and a turn stays short.
pub const MAX_STARTS: usize = 256;

/// How long after an effect failed it is tried again. Table operations that go on failing wait longer each time, up to
/// [`kernel::REREAD`].
pub const RETRY: Duration = Duration::from_secs(1);

/// How many names a [`Decision::ConfigApplied`] lists of each kind before it only counts.
const MAX_NAMES: usize = 20;

/// The machine for virtual servers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Balancer {
    config: Arc<Config>,
    services: BTreeMap<VirtualServerId, LiveVirtualServer>,
    queue: ProbeQueue,
    kernel: Kernel,
    failures: Failures,
    #[serde(default)]
    unasked: Unasked,
    #[serde(default)]
    suspension: Suspension,
    #[serde(default)]
    files: Files,
    #[serde(default)]
    settings: LiveSettings,
    #[serde(default)]
    drained: Drained,
    #[serde(default)]
    rising: Rising,
    /// What spreads first probes.
    #[serde(default)]
    seed: u64,
    /// Of all probes ever started.
    attempts: u64,
    #[serde(default)]
    carrier: Carrier,
    /// What a predecessor left, until the first configuration says what of it fits.
    inherited: Option<BalancerEstate>,
    life: Life,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Life {
    /// No configuration yet.
    #[default]
    Starting,
    Running,
    /// It is over: [`Input::Stop`] or [`Input::HandOver`].
    Stopped,
    HandedOver,
}

/// A successor takes the table up as it is: there is nothing to give back in its name.
impl LeavesWill for Balancer {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        Vec::new()
    }
}

impl Machine for Balancer {
    type Event = Event;
    type Effect = Effect;
    type Estate = BalancerEstate;

    fn handle(&mut self, input: Input, now: Instant) -> Outbox {
        let mut effects = Outbox::default();
        match self.life {
            Life::Starting | Life::Running => {}
            Life::HandedOver if input == Input::TakeBack => {
                self.life = Life::Running;
                self.forget_attempts(now);
                return effects;
            }
            Life::Stopped | Life::HandedOver => return effects,
        }
        match input {
            Input::ConfigLoaded { config, seed } => self.load(config, seed, now, &mut effects),
            Input::Event(Event::IpvsRead(table)) => self.compare(&table, now, &mut effects),
            Input::Event(Event::CarriedBy(carrier)) => {
                self.carrier = carrier;
                return effects;
            }
            Input::Event(Event::ProbeFinished { probe, verdict }) => self.judge(probe, verdict, now, &mut effects),
            Input::Event(Event::Ordered { number, order }) => self.obey(number, &order, now, &mut effects),
            Input::News(News::AddressHere { address, here }) => self.address_here(address, here, now, &mut effects),
            Input::News(News::FileNumber { file, number }) => self.file_number(&file, number, now, &mut effects),
            Input::News(News::RoleChanged { router, role }) => {
                effects.extend(self.settings.role_changed(router, role).into_iter().map(Effect::SetIpvs));
            }
            // Nothing else of what an Election tells decides about a real server.
            Input::News(_) => {}
            Input::Failed { effect, error } => self.failed(&effect, &error, now, &mut effects),
            Input::Stop => {
                self.stop(&mut effects);
                return effects;
            }
            Input::HandOver => {
                if self.life == Life::Running {
                    self.life = Life::HandedOver;
                }
                return effects;
            }
            Input::Inherited(estate) => {
                if self.life == Life::Starting {
                    self.inherited = Some(estate);
                }
            }
            Input::Wakeup | Input::TakeBack => {}
        }
        effects.decide(self.failures.sum(now));
        effects.decide(self.unasked.over(now));
        self.end_drains(now, &mut effects);
        self.rise(now, &mut effects);
        self.start_probes(now, &mut effects);
        // Last: the answer must show what the operations before it did.
        if self.kernel.wants_read(self.settings.wanted(), now) {
            self.settings.asked();
            effects.push(Effect::ReadIpvs);
        }
        effects
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        match self.life {
            Life::Starting | Life::Running => {}
            Life::Stopped | Life::HandedOver => return None,
        }
        let probe = self.queue.next().map(|at| (at, Reason::Probe));
        let drain = self.next_drain().map(|at| (at, Reason::Drain));
        let rise = self.next_rise().map(|at| (at, Reason::SlowStart));
        [probe, self.kernel.next_read(), drain, rise].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn estate(&self, now: Instant) -> Option<BalancerEstate> {
        match self.life {
            Life::Starting | Life::Stopped => None,
            Life::Running | Life::HandedOver => Some(self.bequeath(now)),
        }
    }
}

impl Balancer {
    /// The table that is wanted now.
    pub fn desired(&self) -> Table {
        Table { services: self.services.values().flat_map(LiveVirtualServer::entries).collect(), ..Table::default() }
    }

    /// What the carrier can serve of a configuration.
    fn served<'a>(&self, config: &'a Config) -> BTreeMap<VirtualServerId, &'a VirtualServer> {
        let mut servers = by_id(config);
        servers.retain(|_, server| self.carrier.lacks(server).is_none());
        servers
    }

    fn load(&mut self, config: Arc<Config>, seed: u64, now: Instant, effects: &mut Outbox) {
        let before = self.served(&self.config);
        let after = self.served(&config);
        for server in &config.services {
            let service = server.id();
            effects.decide(self.carrier.lacks(server).map(|why| Decision::ServiceNotServed { service, why }));
        }
        for lacking in self.carrier.lacks_settings(&config) {
            effects.decide(lacking);
        }
        if let Some(applied) = difference(&before, &after) {
            effects.decide(applied);
        }
        let inherited = self.inherited.take();
        let mut taken_up = TakenUp::default();
        if let Some(estate) = &inherited {
            self.attempts = estate.attempts;
            self.files.numbers.clone_from(&estate.files);
            self.settings.inherit(estate.settings);
            self.kernel.inherit(estate.services.iter().flat_map(VirtualServerEstate::keys), now);
        }
        let left: BTreeMap<VirtualServerId, &VirtualServerEstate> =
            inherited.iter().flat_map(|estate| &estate.services).map(|left| (left.service, left)).collect();
        self.seed = seed;
        self.suspension.load(&config);
        self.files.load(&config);
        let mut old = std::mem::take(&mut self.services);
        self.rising.clear();
        for (id, server) in after {
            let mut service = match old.remove(&id) {
                Some(service) => service.reload(server, &self.files.numbers, seed, now, effects),
                None => {
                    let (left, numbers) = (left.get(&id).copied(), &self.files.numbers);
                    LiveVirtualServer::new(server, left, numbers, seed, now, &mut taken_up, effects)
                }
            };
            if self.suspension.holds(server) {
                effects.extend(service.suspend(now).into_iter().map(Effect::CancelProbe));
            } else if service.resume() {
                service.watch_again(id, seed, now);
            }
            service.start_slowly(config.slow_start.of(&id), now);
            self.rising.extend(id, service.rising());
            self.services.insert(id, service);
        }
        for (id, service) in &old {
            effects.extend(service.attempts_under_way().map(Effect::CancelProbe));
            service.tell_all_removed(*id, effects);
        }
        if inherited.is_some() {
            effects.decide(taken_up.decision());
        }
        if config.global.rs_init_notifies && self.life == Life::Starting && inherited.is_none() {
            self.services.iter().for_each(|(id, service)| service.tell_start(*id, effects));
        }
        let can = self.carrier == Carrier::Ipvs;
        effects.extend(self.settings.load(&config, can).into_iter().map(Effect::SetIpvs));
        if self.settings.must_look() {
            self.kernel.read_soon(now);
        }
        self.config = config;
        self.life = Life::Running;
        self.find_drained(inherited.is_some(), now, effects);
        self.queue = ProbeQueue::default();
        for (id, service) in &self.services {
            service.fill(*id, &mut self.queue);
        }
        self.kernel.own(&self.services.values().flat_map(LiveVirtualServer::keys).copied().collect(), now);
        let ops = self.kernel.reconcile(&self.desired());
        effects.extend(ops.into_iter().map(Effect::Ipvs));
    }

    fn compare(&mut self, table: &Table, now: Instant, effects: &mut Outbox) {
        self.count_connections(table);
        let settings = self.settings.compare(table.settings.as_ref());
        let repair = self.kernel.compare(table, &self.desired(), settings.changes.is_empty(), now);
        let uninvited = repair.uninvited + settings.uninvited;
        if uninvited > 0 {
            effects.decide(Decision::TableRepaired { changes: uninvited });
        }
        effects.extend(settings.changes.into_iter().map(Effect::SetIpvs));
        effects.extend(repair.ops.into_iter().map(Effect::Ipvs));
        self.end_drains(now, effects);
        self.look_again(now);
    }

    fn judge(&mut self, probe: ProbeId, verdict: Verdict, now: Instant, effects: &mut Outbox) {
        let Some(service) = self.services.get_mut(&probe.service) else { return };
        let Some(position) = service.waiting_for(probe) else { return };
        let (was_up, weight) = (service.is_up(probe.server), service.weight(probe.server));
        let Some(outcome) = service.finish(probe, position, verdict, now) else { return };
        let place = CheckerPlace { service: probe.service, server: probe.server, checker: position };
        self.queue.push(service.due(probe.server, position), place);

        let is_up = service.is_up(probe.server);
        if let Outcome::NotAsked(shortage) = outcome {
            effects.decide(self.unasked.note(probe.service, probe.server, shortage, now));
            return;
        }
        let said = said(outcome, probe.service, probe.server, was_up, is_up);
        let why = said.as_ref().filter(|_| was_up != is_up).map(ToString::to_string).unwrap_or_default();
        effects.decide(said);
        let (from, to) = (weight, service.weight(probe.server));
        if from != to {
            let (service, server) = (probe.service, probe.server);
            effects.decide(Decision::WeightChanged { service, server, from, to, file: None });
        }
        if was_up != is_up {
            let kind = service.checker_word(probe.server, position);
            service.tell_server(probe.service, probe.server, kind, is_up, &why, effects);
            service.begin_rise(probe.service, probe.server, was_up, now, effects);
            self.rising.extend(probe.service, service.rising().filter(|server| *server == probe.server));
        }
        if was_up != is_up || from != to {
            Self::settle(&mut self.kernel, probe.service, service, now, effects);
        }
    }

    /// A real server of it is up or down now, or has another weight.
    fn settle(
        kernel: &mut Kernel,
        id: VirtualServerId,
        service: &mut LiveVirtualServer,
        now: Instant,
        effects: &mut Outbox,
    ) {
        service.update_quorum(id, effects);
        for (key, desired) in service.entries() {
            let ops = kernel.reconcile_service(key, &desired, now);
            effects.extend(ops.into_iter().map(Effect::Ipvs));
        }
    }

    fn failed(&mut self, effect: &Effect, error: &str, now: Instant, effects: &mut Outbox) {
        let (what, retry_in) = match effect {
            Effect::Ipvs(op) => (op.to_string(), self.kernel.refused(op, now)),
            Effect::ReadIpvs => ("reading the IPVS table".to_owned(), self.kernel.unreadable(now)),
            Effect::StartProbe { id, .. } => {
                if !self.postpone(*id, now + RETRY) {
                    return;
                }
                (format!("starting a probe of {}", id.server), RETRY)
            }
            Effect::SetIpvs(setting) => {
                let first = self.settings.refused();
                (setting.to_string(), if first { self.kernel.unreadable(now) } else { self.kernel.read_later(now) })
            }
            // Nothing to try again.
            Effect::CancelProbe(_) | Effect::Answer { .. } => return,
        };
        effects.decide(self.failures.tell(what, error, retry_in, now));
    }

    fn postpone(&mut self, probe: ProbeId, again: Instant) -> bool {
        let Some(service) = self.services.get_mut(&probe.service) else { return false };
        let Some(position) = service.waiting_for(probe) else { return false };
        service.postpone(probe, position, again);
        let place = CheckerPlace { service: probe.service, server: probe.server, checker: position };
        self.queue.push(Some(again), place);
        true
    }

    /// Attempts that are under way are lost: they are due again.
    fn forget_attempts(&mut self, now: Instant) {
        let lost: Vec<ProbeId> = self.services.values().flat_map(LiveVirtualServer::attempts_under_way).collect();
        for probe in lost {
            self.postpone(probe, now);
        }
    }

    fn start_probes(&mut self, now: Instant, effects: &mut Outbox) {
        for _ in 0..MAX_STARTS {
            let Some(place) = self.queue.pop_due(now) else { return };
            let CheckerPlace { service, server, checker } = place;
            let id = ProbeId { service, server, checker, attempt: self.attempts };
            let probe = self.services.get_mut(&service).and_then(|service| service.begin(id, now));
            if let Some(mut probe) = probe {
                if probe.kind.guarded() {
                    probe.random = warmup::random(self.seed, id);
                }
                self.attempts += 1;
                effects.push(Effect::StartProbe { id, probe });
            }
        }
    }

    /// keepalived takes its services with it, so that a director that is stopped on purpose answers nobody.
    fn stop(&mut self, effects: &mut Outbox) {
        for (id, service) in &self.services {
            effects.extend(service.attempts_under_way().map(Effect::CancelProbe));
            if service.tells_stop() {
                service.tell_end(*id, effects);
            }
        }
        effects.extend(self.settings.leave().into_iter().map(Effect::SetIpvs));
        effects.extend(self.kernel.leave().map(|key| Effect::Ipvs(Op::RemoveService { key })));
        *self = Self { life: Life::Stopped, attempts: self.attempts, ..Self::default() };
    }
}

/// Of two virtual servers with one identity the first counts; the reader reports the second.
fn by_id(config: &Config) -> BTreeMap<VirtualServerId, &VirtualServer> {
    let mut servers = BTreeMap::new();
    for server in &config.services {
        servers.entry(server.id()).or_insert(server);
    }
    servers
}

/// What a configuration changed; `None`: nothing.
fn difference(
    before: &BTreeMap<VirtualServerId, &VirtualServer>,
    after: &BTreeMap<VirtualServerId, &VirtualServer>,
) -> Option<Decision> {
    let added = after.keys().filter(|id| !before.contains_key(id));
    let removed = before.keys().filter(|id| !after.contains_key(id));
    let changed = after.iter().filter(|(id, server)| before.get(id).is_some_and(|old| old != *server));
    let [added, removed, changed] = [names(added), names(removed), names(changed.map(|(id, _)| id))];
    let some = !(added.is_empty() && removed.is_empty() && changed.is_empty());
    some.then_some(Decision::ConfigApplied { added, removed, changed })
}

fn names<'a>(ids: impl Iterator<Item = &'a VirtualServerId>) -> Vec<String> {
    let mut ids = ids.map(|id| format!("virtual_server {id}"));
    let mut names: Vec<String> = ids.by_ref().take(MAX_NAMES).collect();
    let more = ids.count();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

/// What an outcome is to people.
fn said(
    outcome: Outcome,
    service: VirtualServerId,
    server: std::net::SocketAddr,
    was_up: bool,
    is_up: bool,
) -> Option<Decision> {
    match outcome {
        // Told by the episode.
        Outcome::NotAsked(_) => None,
        Outcome::Passed | Outcome::StillDown => None,
        Outcome::Forgiven { failure, tries_left } => {
            Some(Decision::ProbeFailed { service, server, failure, tries_left })
        }
        Outcome::Fell(failure) if was_up => Some(Decision::ServerDown { service, server, failure }),
        // Another checker had it down already.
        Outcome::Fell(failure) => Some(Decision::ProbeFailed { service, server, failure, tries_left: 0 }),
        // Another checker may still hold it down.
        Outcome::Rose => is_up.then_some(Decision::ServerUp { service, server }),
    }
}
