//! One virtual server at work: its real servers with their checkers, its quorum, and the IPVS entries that they call for.

mod weighing;

use super::drain::Drain;
use super::estate::{RealServerEstate, VirtualServerEstate, keys_beside};
use super::member::{Member, TakenUp, weights};
use super::notify;
use super::queue::{CheckerPlace, ProbeQueue};
use crate::balancer::{Effect, Outbox};
use crate::check::{Probe, ProbeId, Verdict};
use crate::config::{SorryServer, UpDownScripts, VirtualServer};
use crate::decision::Decision;
use crate::door::News;
use crate::health::files::Numbers;
use crate::health::real_server::Place;
use crate::health::{Change, Checker, Outcome, Quorum};
use crate::ipvs::{Destination, Forwarding, Persistence, Service, ServiceEntry, ServiceKey, VirtualServerId};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// One virtual server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveVirtualServer {
    /// Its entries in the table; never empty, and all alike.
    keys: Vec<ServiceKey>,
    settings: Service,
    quorum: Quorum,
    /// `quorum` and `hysteresis` as written.
    nominal_quorum: u32,
    #[serde(default)]
    hysteresis: u32,
    /// How long one that comes back takes to have its whole weight; zero: no time.
    #[serde(default)]
    slow_start: Duration,
    sorry_server: Option<SorryServer>,
    /// `ha_suspend`, and its address is not here.
    #[serde(default)]
    suspended: bool,
    /// `quorum_up`, `quorum_down`.
    #[serde(default)]
    notify: Option<Arc<UpDownScripts>>,
    #[serde(default)]
    omega: bool,
    /// Of two real servers with one address the first counts; the reader reports the second.
    members: BTreeMap<SocketAddr, Member>,
}

/// One real server, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct LiveServer<'a> {
    pub address: SocketAddr,
    pub up: bool,
    pub forwarding: Forwarding,
    /// `weight`, as written.
    pub weight: u32,
    pub drain: Option<Drain>,
    pub checkers: &'a [Checker],
}

impl LiveVirtualServer {
    /// A virtual server that was not there before, unless a predecessor `left` it.
    pub fn new(
        server: &VirtualServer,
        left: Option<&VirtualServerEstate>,
        numbers: &Numbers,
        seed: u64,
        now: Instant,
        taken_up: &mut TakenUp,
        effects: &mut Outbox,
    ) -> Self {
        let known: BTreeMap<SocketAddr, &RealServerEstate> =
            left.iter().flat_map(|left| &left.servers).map(|server| (server.address, server)).collect();
        let mut members = BTreeMap::new();
        for real in &server.real_servers {
            members.entry(real.address).or_insert_with(|| {
                let place = Place { service: server.id(), server: real.address, seed };
                let member = match known.get(&real.address) {
                    Some(known) => taken_up.real_server(place, real, known, numbers, now),
                    None => Member::begin(place, real, numbers, now, effects),
                };
                taken_up.of += member.health.checkers.len();
                member
            });
        }
        let (live, total) = weights(&members);
        let mut quorum = Quorum::new(server.quorum, server.hysteresis, total, live);
        if let Some(left) = left.filter(|left| !left.servers.is_empty()) {
            quorum.take_up(left.quorum);
            let mut service = Self::of(server, quorum, members);
            service.update_quorum(server.id(), effects);
            if !service.quorum.is_up() {
                // Also if it was lost before: whoever listens knows nothing of it yet.
                effects.news(News::QuorumChanged { service: server.id(), quorum: false });
                taken_up.without_quorum.push(server.id());
            }
            return service;
        }
        let service = Self::of(server, quorum, members);
        if service.quorum.is_up() {
            notify::quorum(server.id(), service.notify.as_deref(), true, effects);
        } else if total > 0 || service.sorry_server.is_some() {
            // Nothing was there before, so no command hears of it, as in keepalived.
            service.say_quorum(server.id(), Change::Lost, effects);
            taken_up.without_quorum.push(server.id());
        }
        service
    }

    /// What a successor goes on with.
    pub fn estate(&self, service: VirtualServerId, now: Instant) -> VirtualServerEstate {
        let server = |(address, member): (&SocketAddr, &Member)| RealServerEstate {
            address: *address,
            checkers: member.health.checkers.iter().map(|checker| checker.estate(now)).collect(),
            drain: member.drain,
            rises: member.rises,
        };
        let servers = self.members.iter().map(server).collect();
        VirtualServerEstate { service, keys: keys_beside(service, &self.keys), quorum: self.quorum.is_up(), servers }
    }

    /// The same virtual server under a new configuration. What did not change goes on undisturbed.
    pub fn reload(
        mut self,
        server: &VirtualServer,
        numbers: &Numbers,
        seed: u64,
        now: Instant,
        effects: &mut Outbox,
    ) -> Self {
        let (mut members, mut changed) = (BTreeMap::new(), Vec::new());
        for real in &server.real_servers {
            let address = real.address;
            if members.contains_key(&address) {
                continue;
            }
            let place = Place { service: server.id(), server: address, seed };
            let member = match self.members.remove(&address) {
                None => Member::begin(place, real, numbers, now, effects),
                Some(old) => {
                    let was_up = old.is_up();
                    let (health, cancelled) = old.health.reload(place, &real.checkers, now);
                    effects.extend(cancelled.into_iter().map(Effect::CancelProbe));
                    let mut member = Member::new(real, health, numbers, old.drain);
                    member.go_on(old.rises, old.served);
                    if was_up != member.is_up() {
                        changed.push((address, was_up));
                        member.say(server.id(), address, effects);
                        notify::server(server.id(), address, real.notify.as_deref(), member.is_up(), effects);
                    }
                    member
                }
            };
            members.insert(address, member);
        }
        effects.extend(self.attempts_under_way().map(Effect::CancelProbe));
        // Those that are not configured any more.
        self.tell_removed(server.id(), effects);
        let mut quorum = self.quorum;
        quorum.set_limits(server.quorum, server.hysteresis, weights(&members).1);
        let mut service =
            Self { suspended: self.suspended, slow_start: self.slow_start, ..Self::of(server, quorum, members) };
        service.update_quorum(server.id(), effects);
        for (address, was_up) in changed {
            service.begin_rise(server.id(), address, was_up, now, effects);
        }
        service
    }

    fn of(server: &VirtualServer, quorum: Quorum, members: BTreeMap<SocketAddr, Member>) -> Self {
        let persistence = server.persistence_timeout.map(|timeout_secs| Persistence {
            timeout_secs,
            netmask: server.persistence_granularity,
            prefix: server.persistence_prefix,
        });
        let service = Service {
            scheduler: server.scheduler.clone(),
            persistence,
            flags: server.flags,
            persistence_engine: server.persistence_engine.clone(),
        };
        Self {
            keys: server.keys(),
            settings: service,
            quorum,
            nominal_quorum: server.quorum,
            hysteresis: server.hysteresis,
            slow_start: Duration::ZERO,
            sorry_server: server.sorry_server.clone(),
            suspended: false,
            notify: server.notify.clone(),
            omega: server.omega,
            members,
        }
    }

    /// Its entries in the table.
    pub fn keys(&self) -> &[ServiceKey] {
        &self.keys
    }

    /// Its entries in the table, each as it should be.
    pub fn entries(&self) -> impl Iterator<Item = (ServiceKey, ServiceEntry)> {
        let ServiceEntry { service, destinations } = self.desired();
        self.keys.iter().map(move |key| {
            // Of two real servers of one host the first counts where ports can't be told apart.
            let mut at = BTreeMap::new();
            for (server, destination) in &destinations {
                at.entry(destination.forwarding.destination(*server, key)).or_insert(*destination);
            }
            let persistence = service.persistence.map(|it| it.of(key.family()));
            (*key, ServiceEntry { service: Service { persistence, ..service.clone() }, destinations: at })
        })
    }

    /// What all its entries in the table should be, destinations by the addresses of real servers. Real servers that are down are out, or have weight 0 with
    /// `inhibit_on_failure`. Without quorum the same goes for all of them, if there is a `sorry_server` to answer
    /// instead; if not, those that are up do what they can. Drained ones have weight 0.
    pub fn desired(&self) -> ServiceEntry {
        let sorry_server = self.sorry_server.as_ref().filter(|_| !self.quorum.is_up());
        let mut destinations: BTreeMap<_, _> = self
            .members
            .iter()
            .filter_map(|(address, member)| {
                let serves = sorry_server.is_none() && member.is_up();
                // Without quorum too: what is drained last keeps its connections beside the sorry server.
                let stays = serves || member.inhibit_on_failure || member.lets_go_on();
                (stays && !member.is_out()).then(|| (*address, member.destination(!serves)))
            })
            .collect();
        if let Some(sorry) = self.sorry_server.as_ref().filter(|sorry| sorry_server.is_some() || sorry.inhibit) {
            let weight = u32::from(sorry_server.is_some());
            let destination =
                Destination { weight, forwarding: sorry.forwarding, upper_threshold: 0, lower_threshold: 0 };
            // A real server that is the sorry server too serves as what it is.
            if weight > 0 {
                destinations.insert(sorry.address, destination);
            } else {
                destinations.entry(sorry.address).or_insert(destination);
            }
        }
        ServiceEntry { service: self.settings.clone(), destinations }
    }

    /// The weights of the real servers that are up, and of all.
    pub fn weights(&self) -> (u64, u64) {
        weights(&self.members)
    }

    /// Whether there is quorum, and `quorum` as written.
    pub fn quorum(&self) -> (bool, u32) {
        (self.quorum.is_up(), self.nominal_quorum)
    }

    pub fn sorry_server(&self) -> Option<SocketAddr> {
        self.sorry_server.as_ref().map(|sorry| sorry.address)
    }

    /// Its real servers, by their addresses.
    pub fn servers(&self) -> impl Iterator<Item = LiveServer<'_>> {
        self.members.iter().map(|(address, member)| LiveServer {
            address: *address,
            up: member.is_up(),
            forwarding: member.forwarding,
            weight: member.weight.configured,
            drain: member.drain,
            checkers: &member.health.checkers,
        })
    }

    /// Takes the live weight of now into the quorum.
    pub fn update_quorum(&mut self, service: VirtualServerId, effects: &mut Outbox) {
        if let Some(change) = self.quorum.update(weights(&self.members).0) {
            self.tell_quorum(service, change, effects);
        }
    }

    fn tell_quorum(&self, service: VirtualServerId, change: Change, effects: &mut Outbox) {
        let why = self.say_quorum(service, change, effects);
        let (scripts, up) = (self.notify.as_deref(), change == Change::Gained);
        let (quorum, weight) = (u64::from(self.nominal_quorum), self.weights().0);
        let line = match (change, self.quorum.limits()) {
            (Change::Gained, (gain, _)) => {
                format!("Gained quorum {quorum}+{}={gain} <= {weight}", gain.saturating_sub(quorum))
            }
            (Change::Lost, (_, keep)) => {
                format!("Lost quorum {quorum}-{}={keep} > {weight}", quorum.saturating_sub(keep))
            }
        };
        notify::quorum(service, scripts, up, effects);
        notify::quorum_mail(service, scripts, up, (&line, &why), effects);
    }

    /// Returns what is said.
    fn say_quorum(&self, service: VirtualServerId, change: Change, effects: &mut Outbox) -> String {
        let (weight, _) = weights(&self.members);
        let quorum = self.nominal_quorum;
        effects.news(News::QuorumChanged { service, quorum: change == Change::Gained });
        let decision = match change {
            Change::Gained => Decision::QuorumGained { service, weight, quorum },
            Change::Lost => {
                let sorry_server = self.sorry_server.as_ref().map(|sorry| sorry.address);
                Decision::QuorumLost { service, weight, quorum, sorry_server }
            }
        };
        let said = decision.to_string();
        effects.decide(decision);
        said
    }

    /// The name of the checker at `position`.
    pub fn checker_word(&self, server: SocketAddr, position: u32) -> &'static str {
        let checkers = self.members.get(&server).map(|member| &member.health.checkers);
        let checker = usize::try_from(position).ok().and_then(|at| checkers?.get(at));
        checker.map_or("", |checker| checker.config().kind.word())
    }

    /// A tracked file holds this number. Whether that changes anything.
    pub fn file_number(
        &mut self,
        service: VirtualServerId,
        file: &Arc<str>,
        number: i64,
        now: Instant,
        effects: &mut Outbox,
    ) -> bool {
        let mut changed = Vec::new();
        for (server, member) in &mut self.members {
            let (was_up, from) = (member.is_up(), member.weight.effective());
            member.files.read(file, number);
            member.weight.tracked = member.files.adds();
            let (is_up, to) = (member.is_up(), member.weight.effective());
            let why = if was_up != is_up { member.say(service, *server, effects) } else { String::new() };
            if from != to {
                let file = Some((file.clone(), number));
                effects.decide(Decision::WeightChanged { service, server: *server, from, to, file });
            }
            if was_up != is_up || from != to {
                changed.push((*server, (was_up != is_up).then_some(is_up), why));
            }
        }
        for (server, up, why) in &changed {
            if let Some(up) = up {
                self.tell_server(service, *server, "FILE_CHECK", *up, why, effects);
                self.begin_rise(service, *server, !up, now, effects);
            }
        }
        !changed.is_empty()
    }

    /// Tells that a real server has come up or gone down by what a checker of this name found.
    pub fn tell_server(
        &self,
        service: VirtualServerId,
        server: SocketAddr,
        kind: &str,
        up: bool,
        why: &str,
        effects: &mut Outbox,
    ) {
        let Some(member) = self.members.get(&server) else { return };
        let line = format!("{} {} on service", kind.replace('_', " "), if up { "succeed" } else { "failed" });
        let scripts = member.notify.as_deref();
        notify::server(service, server, scripts, up, effects);
        notify::server_mail((service, server), scripts, up, (&line, why), effects);
    }

    /// `rs_init_notifies`: the real servers that begin up.
    pub fn tell_start(&self, service: VirtualServerId, effects: &mut Outbox) {
        for (address, member) in self.members.iter().filter(|(_, member)| member.is_up()) {
            notify::server(service, *address, member.notify.as_deref(), true, effects);
        }
    }

    /// `omega`: whether a stop is told as [`Self::tell_end`].
    pub fn tells_stop(&self) -> bool {
        self.omega
    }

    fn tell_servers_down(&self, service: VirtualServerId, effects: &mut Outbox) {
        for (address, member) in self.members.iter().filter(|(_, member)| member.is_up()) {
            notify::server(service, *address, member.notify.as_deref(), false, effects);
        }
    }

    /// What a new configuration has not any more.
    fn tell_removed(&self, service: VirtualServerId, effects: &mut Outbox) {
        self.tell_servers_down(service, effects);
        let said = ("Removing", "the configuration does not name it any more");
        for (address, member) in self.members.iter().filter(|(_, member)| member.is_up()) {
            notify::server_mail((service, *address), member.notify.as_deref(), false, said, effects);
        }
    }

    /// The same for all of it.
    pub fn tell_all_removed(&self, service: VirtualServerId, effects: &mut Outbox) {
        self.tell_removed(service, effects);
        self.tell_quorum_down(service, effects);
    }

    /// A stop, with `omega`: what was up is down.
    pub fn tell_end(&self, service: VirtualServerId, effects: &mut Outbox) {
        self.tell_servers_down(service, effects);
        self.tell_quorum_down(service, effects);
    }

    fn tell_quorum_down(&self, service: VirtualServerId, effects: &mut Outbox) {
        if self.quorum.is_up() {
            notify::quorum(service, self.notify.as_deref(), false, effects);
        }
    }

    /// What this real server's weight is, as the table has it unless it is out.
    pub fn weight(&self, server: SocketAddr) -> u32 {
        self.members.get(&server).map_or(0, |member| member.weight.effective())
    }

    /// Whether this real server may take connections.
    pub fn is_up(&self, server: SocketAddr) -> bool {
        self.members.get(&server).is_some_and(|member| member.is_up())
    }

    /// Position of the checker that waits for this attempt.
    pub fn waiting_for(&self, probe: ProbeId) -> Option<u32> {
        self.members.get(&probe.server)?.health.waiting_for(probe)
    }

    /// Starts an attempt of the checker that `id` names.
    pub fn begin(&mut self, id: ProbeId, now: Instant) -> Option<Probe> {
        self.checker_mut(id.server, id.checker)?.begin(id, now)
    }

    /// An attempt of the checker at `position` ended.
    pub fn finish(&mut self, id: ProbeId, position: u32, verdict: Verdict, now: Instant) -> Option<Outcome> {
        let outcome = self.checker_mut(id.server, position)?.finish(id, verdict, now);
        if let Some(member) = self.members.get_mut(&id.server) {
            member.weight.checker = member.health.answered(member.weight.configured);
        }
        outcome
    }

    /// An attempt of the checker at `position` could not be started.
    pub fn postpone(&mut self, id: ProbeId, position: u32, again: Instant) {
        if let Some(checker) = self.checker_mut(id.server, position) {
            checker.postpone(id, again);
        }
    }

    /// When that checker's next probe is due.
    pub fn due(&self, server: SocketAddr, position: u32) -> Option<Instant> {
        self.members.get(&server)?.health.checkers.get(usize::try_from(position).ok()?)?.due()
    }

    /// Queues every checker that waits, unless they are suspended.
    pub fn fill(&self, service: VirtualServerId, queue: &mut ProbeQueue) {
        if !self.suspended {
            self.checkers(service).for_each(|(place, checker)| queue.push(checker.due(), place));
        }
    }

    /// Takes every checker out of the queue.
    pub fn unqueue(&self, service: VirtualServerId, queue: &mut ProbeQueue) {
        self.checkers(service).for_each(|(place, checker)| queue.remove(checker.due(), place));
    }

    fn checkers(&self, service: VirtualServerId) -> impl Iterator<Item = (CheckerPlace, &Checker)> {
        self.members.iter().flat_map(move |(server, member)| {
            let place = move |checker| CheckerPlace { service, server: *server, checker };
            (0..).zip(&member.health.checkers).map(move |(at, checker)| (place(at), checker))
        })
    }

    /// No checks until [`Self::resume`]: returns the attempts that nobody waits for any more.
    pub fn suspend(&mut self, now: Instant) -> Vec<ProbeId> {
        self.suspended = true;
        let over: Vec<ProbeId> = self.attempts_under_way().collect();
        for checker in self.members.values_mut().flat_map(|member| &mut member.health.checkers) {
            if let Some(id) = checker.under_way() {
                checker.postpone(id, now);
            }
        }
        over
    }

    /// Checks go on. False: they were not suspended.
    pub fn resume(&mut self) -> bool {
        std::mem::take(&mut self.suspended)
    }

    /// After a suspension: nobody has watched the real servers.
    pub fn watch_again(&mut self, service: VirtualServerId, seed: u64, now: Instant) {
        for (server, member) in &mut self.members {
            member.health.watch_again(Place { service, server: *server, seed }, now);
        }
    }

    /// Whether its checks wait for its address (`ha_suspend`).
    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Attempts that have not ended.
    pub fn attempts_under_way(&self) -> impl Iterator<Item = ProbeId> {
        self.members.values().flat_map(|member| &member.health.checkers).filter_map(|checker| checker.under_way())
    }

    fn checker_mut(&mut self, server: SocketAddr, position: u32) -> Option<&mut Checker> {
        self.members.get_mut(&server)?.health.checkers.get_mut(usize::try_from(position).ok()?)
    }
}
