//! The seam on the simulator's side, the same for both runners: every effect ends in the [`World`]. What the runners do
//! differently is a [`Runner`].
//!
//! A frozen director's futures do not complete: its packets wait in the world's socket buffer and its timers wait for
//! it to run again, as for a process that SIGSTOP holds.

use crate::scenario::NodeId;
use crate::world::{Envelope, Half, Mail, Process, World};
use futures::future::LocalBoxFuture;
use std::cell::{Ref, RefMut};
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use vipward_core::balancer::{self, Balancer};
use vipward_core::check::{Probe, Verdict};
use vipward_core::command::Command;
use vipward_core::decision::Decision;
use vipward_core::door::News;
use vipward_core::driver::drive;
use vipward_core::estate::{Estate, Keeper, Kept};
use vipward_core::machine::{Like, Machine};
use vipward_core::seam::{self, Clock, Common, Done, Refusal, Source, WorkId};
use vipward_core::supervisor::{Report, ReportSink};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{self, Election};

/// How machines run in the world: as tasks over simulated sockets, or straight from a queue of events.
pub(super) trait Runner: Sized + 'static {
    fn world(&self) -> Ref<'_, World>;
    fn world_mut(&self) -> RefMut<'_, World>;
    /// Waits until then by the director's clock. Not for a director that is frozen meanwhile: that is the caller's.
    fn sleep_until(&self, id: NodeId, at: Instant) -> impl Future<Output = ()>;
    /// Waits until something of this node may have changed.
    fn bell(&self, id: NodeId) -> impl Future<Output = ()>;
    /// Something of this node has changed.
    fn ring(&self, id: NodeId);
    /// The daemon's socket is in this multicast group from now on.
    fn join(&self, group: IpAddr) -> Result<(), Refusal>;
    /// Puts an advert onto the wire.
    fn carry(&self, envelope: Envelope) -> Result<(), Refusal>;
    /// One attempt of a checker.
    fn probe(daemon: &Daemon<Self>, probe: Probe) -> LocalBoxFuture<'static, Verdict>;
}

/// Where one machine of one daemon lives.
pub(super) struct Daemon<R> {
    pub runner: Rc<R>,
    pub id: NodeId,
    pub half: Half,
    pub incarnation: u64,
}

impl<R> Clone for Daemon<R> {
    fn clone(&self) -> Self {
        Self { runner: self.runner.clone(), ..*self }
    }
}

impl<R: Runner> Daemon<R> {
    pub fn frozen(&self) -> bool {
        self.runner.world().director(self.id).is_some_and(|director| director.process == Process::Frozen)
    }

    pub async fn thawed(&self) {
        while self.frozen() {
            self.runner.bell(self.id).await;
        }
    }

    /// The world, for something that this machine does: if it still lives.
    pub async fn acts(&self, what: &str) -> Result<RefMut<'_, World>, Refusal> {
        self.thawed().await;
        let mut world = self.runner.world_mut();
        world.acts(self.id, self.half, self.incarnation, what)?;
        Ok(world)
    }

    /// What the host, or the other machine, has to tell.
    fn mail<I>(&self, take: impl FnOnce(&mut Mail) -> Option<I>) -> Option<I> {
        take(self.runner.world_mut().waiting_mail(self.id)?)
    }

    /// The next thing of any source.
    async fn hears<M: Machine>(&self) -> vipward_core::machine::InputOf<M>
    where
        Self: seam::World<M>,
    {
        loop {
            if self.runner.world().has_mail_for(self.id, self.half)
                && let Some(input) = Source::ALL.into_iter().find_map(|source| seam::World::<M>::waiting(self, source))
            {
                return input;
            }
            self.runner.bell(self.id).await;
        }
    }

    /// One machine's life.
    pub async fn lives<K, M>(self, machine: M, pause: Duration)
    where
        K: Machine,
        K::Estate: Into<Estate>,
        M: Like<K>,
        Self: seam::World<K>,
    {
        let mut machine = Kept::new(machine, self.clone(), pause);
        drive::<K, _, _>(&mut machine, Rc::new(self.clone())).await;
        let left = machine.estate(self.now());
        let mut world = self.runner.world_mut();
        match left {
            Some(estate) => world.handed_over(self.id, self.half, estate.into()),
            None => world.stopped(self.id, self.half),
        }
    }
}

/// Copies go into the world's state file.
impl<R: Runner, S: Into<Estate>> Keeper<S> for Daemon<R> {
    fn keep(&mut self, estate: S) {
        self.runner.world_mut().keep(self.id, self.half, estate.into());
    }
}

/// The way to the supervisor, which lives in the world.
impl<R: Runner> ReportSink for Daemon<R> {
    fn report(&mut self, report: Report) -> bool {
        self.runner.world_mut().reported(self.id, self.incarnation, report);
        true
    }
}

impl<R: Runner> Clock for Daemon<R> {
    fn now(&self) -> Instant {
        self.runner.world().local_time(self.id)
    }

    async fn sleep_until(&self, at: Instant) {
        loop {
            self.thawed().await;
            if self.now() >= at {
                return;
            }
            self.runner.sleep_until(self.id, at).await;
        }
    }
}

impl<R: Runner> Common for Daemon<R> {
    fn notify(&self, _queue: &str, command: &Command) {
        self.runner.world_mut().notified(self.id, command);
    }

    fn fifo(&self, path: &str, line: &str) {
        self.runner.world_mut().wrote_line(self.id, path, line);
    }

    fn mail(&self, mail: &vipward_core::mail::Mail) {
        self.runner.world_mut().mailed(self.id, mail);
    }

    fn record(&self, _now: Instant, decision: &Decision) {
        self.runner.world_mut().decided(self.id, decision);
    }

    fn news(&self, news: &News) {
        self.runner.world_mut().news(self.id, self.half, news);
        self.runner.ring(self.id);
    }
}

impl<R: Runner> seam::World<Election> for Daemon<R> {
    fn waiting(&self, source: Source) -> Option<vrrp::Input> {
        match source {
            Source::Host => self.mail(|mail| mail.election.pop_front()),
            Source::Lease => self.runner.world_mut().next_lease_event(self.id).map(|it| vrrp::Event::Lease(it).into()),
            Source::Packets => {
                self.runner.world_mut().next_advert(self.id).map(|it| vrrp::Event::AdvertReceived(it).into())
            }
        }
    }

    async fn next(&self) -> vrrp::Input {
        self.hears::<Election>().await
    }

    async fn carry_out(&self, effect: &vrrp::Effect) -> Result<Done<vrrp::Input>, Refusal> {
        let id = self.id;
        match effect {
            vrrp::Effect::Listen { interface, group } => {
                self.acts("listens for adverts").await?.listen(id, interface, *group)?;
                if let Some(group) = group {
                    self.runner.join(*group)?;
                }
            }
            vrrp::Effect::StopListening { interface, group } => {
                self.acts("stops listening").await?.stop_listening(id, interface, *group);
            }
            vrrp::Effect::SendAdvert(advert) => {
                let envelope = self.acts("sends an advert").await?.send_advert(id, advert)?;
                self.runner.carry(envelope)?;
            }
            vrrp::Effect::Announce { interface, address } => {
                self.acts("announces an address").await?.announce(id, interface, *address)?;
            }
            vrrp::Effect::AddAddress(address) => {
                self.acts("adds an address").await?.add_address(id, address)?;
                self.runner.ring(id);
            }
            vrrp::Effect::RemoveAddress(key) => {
                self.acts("removes an address").await?.remove_address(id, key)?;
                self.runner.ring(id);
            }
            vrrp::Effect::AddRoute(route) => {
                self.acts("puts a route in").await?.add_route(id, route)?;
            }
            vrrp::Effect::RemoveRoute(key) => {
                self.acts("takes a route out").await?.remove_route(id, key);
            }
            vrrp::Effect::AddRule(rule) => self.acts("puts a rule in").await?.add_rule(id, rule),
            vrrp::Effect::RemoveRule(rule) => self.acts("takes a rule out").await?.remove_rule(id, rule),
            vrrp::Effect::ReadRoutes => {
                let world = self.acts("reads the routes").await?;
                let (routes, rules) = (world.routes(id), world.rules(id));
                return Ok(Done::Answer(vrrp::Event::RoutesRead { routes, rules }.into()));
            }
            vrrp::Effect::RenewAddresses { addresses } => {
                self.acts("renews addresses").await?.renew_addresses(id, addresses)?;
            }
            vrrp::Effect::ReadAddresses => {
                let read = self.acts("reads the addresses").await?.addresses(id);
                return Ok(Done::Answer(vrrp::Event::AddressesRead(read).into()));
            }
            vrrp::Effect::RunScript { script, command, timeout: _ } => {
                let (daemon, script, command) = (self.clone(), script.clone(), command.clone());
                return Ok(Done::Begun(
                    None,
                    Box::pin(async move {
                        daemon.thawed().await;
                        let outcome = daemon.runner.world().script_outcome(id, &command);
                        vrrp::Event::ScriptFinished { script, outcome }.into()
                    }),
                ));
            }
            vrrp::Effect::WatchFiles(files) => {
                let numbers = self.acts("reads its tracked files").await?.file_numbers(id, files);
                return Ok(Done::Answer(vrrp::Event::FilesRead(numbers).into()));
            }
            vrrp::Effect::WatchProcesses(processes) => {
                let counts = self.acts("counts its tracked processes").await?.process_counts(id, processes);
                return Ok(Done::Answer(vrrp::Event::ProcessesCounted(counts).into()));
            }
            vrrp::Effect::Lease(op) => self.acts("asks the quorum service").await?.ask_quorum(id, op)?,
        }
        Ok(Done::Quietly)
    }
}

impl<R: Runner> seam::World<Balancer> for Daemon<R> {
    fn waiting(&self, source: Source) -> Option<balancer::Input> {
        match source {
            Source::Host => self.mail(|mail| mail.balancer.pop_front()),
            // It asks no quorum service and hears no packets.
            Source::Lease | Source::Packets => None,
        }
    }

    async fn next(&self) -> balancer::Input {
        self.hears::<Balancer>().await
    }

    async fn carry_out(&self, effect: &balancer::Effect) -> Result<Done<balancer::Input>, Refusal> {
        match effect {
            balancer::Effect::Ipvs(op) => self.acts("changes the IPVS table").await?.ipvs(self.id, op)?,
            balancer::Effect::SetIpvs(setting) => {
                self.acts("changes what IPVS has for all services").await?.set_ipvs(self.id, setting)?;
            }
            balancer::Effect::ReadIpvs => {
                let table = self.acts("reads the IPVS table").await?.ipvs_table(self.id);
                return Ok(Done::Answer(balancer::Event::IpvsRead(table).into()));
            }
            balancer::Effect::StartProbe { id, probe } => {
                let id = *id;
                let attempt = R::probe(self, probe.clone());
                let result = async move { balancer::Event::ProbeFinished { probe: id, verdict: attempt.await }.into() };
                return Ok(Done::Begun(Some(WorkId(id.attempt)), Box::pin(result)));
            }
            // The decision beside it says the same.
            balancer::Effect::Answer { .. } => {}
            balancer::Effect::CancelProbe(id) => return Ok(Done::Cancelled(WorkId(id.attempt))),
        }
        Ok(Done::Quietly)
    }
}
