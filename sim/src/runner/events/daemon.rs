//! A daemon: its two machines, each with what a driver keeps for it.

use super::MakeMachine;
use super::probe::{Attempt, Progress};
use crate::scenario::NodeId;
use crate::world::{Half, World};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use vipward_core::command::ScriptId;
use vipward_core::command::ScriptOutcome;
use vipward_core::driver::{MAX_WAITING, may_ask};
use vipward_core::effect::Effect;
use vipward_core::estate::{BALANCER_PAUSE, ELECTION_PAUSE, Estate, Keeper, Kept};
use vipward_core::event::Event;
use vipward_core::machine::Machine;
use vipward_core::probe::ProbeId;
use vipward_core::supervisor::{Guarded, Report, ReportSink};
use vipward_core::time::Instant;

/// A machine that is not at rest after so many events of one instant never will be.
const MOST_AT_ONCE: u32 = 100_000;

pub(super) struct Daemon {
    id: NodeId,
    incarnation: u64,
    drivers: [Driver; 2],
}

impl Daemon {
    pub fn new(id: NodeId, incarnation: u64, make: MakeMachine<'_>, supervised: bool) -> Self {
        let reports = Post::default();
        let machine = |half, copy: &Copy| {
            let machine = make(id, half);
            let guarded = supervised && half == Half::Election;
            let machine: Box<dyn Machine> =
                if guarded { Box::new(Guarded::new(machine, reports.clone())) } else { machine };
            let pause = match half {
                Half::Election => ELECTION_PAUSE,
                Half::Balancer => BALANCER_PAUSE,
            };
            Kept::new(machine, copy.clone(), pause)
        };
        let driver = |half| {
            let copy = Copy::default();
            Driver {
                half,
                machine: machine(half, &copy),
                copy,
                reports: reports.clone(),
                answers: VecDeque::new(),
                attempts: Vec::new(),
                scripts: VecDeque::new(),
                now: Instant::ZERO,
                wakeup: Some(Instant::ZERO),
                wakes_at: Some(Instant::ZERO),
                stopped: false,
                still_there: false,
            }
        };
        Self { id, incarnation, drivers: [Half::Election, Half::Balancer].map(driver) }
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Does what is due now. `changed`: something of the world did, look at everything.
    pub fn turn(&mut self, world: &mut World, changed: bool) -> Result<(), &'static str> {
        for driver in &mut self.drivers {
            if world.director(self.id).is_some_and(|it| it.running()) {
                driver.turn(world, self.id, self.incarnation, changed)?;
            }
        }
        Ok(())
    }

    /// When something is due; a frozen one waits for nothing.
    pub fn next(&self, world: &World) -> Option<Instant> {
        let running = world.director(self.id).is_some_and(|it| it.running());
        if !running {
            return None;
        }
        if world.has_mail(self.id) {
            return Some(world.now());
        }
        self.drivers.iter().filter_map(Driver::next).min()
    }
}

/// Where a machine's copies go, for the world to take.
#[derive(Clone, Default)]
struct Copy(Rc<Cell<Option<Estate>>>);

impl Keeper for Copy {
    fn keep(&mut self, estate: Estate) {
        self.0.set(Some(estate));
    }
}

/// What a machine has to tell the supervisor, which lives in the world.
#[derive(Clone, Default)]
struct Post(Rc<RefCell<Vec<Report>>>);

impl ReportSink for Post {
    fn report(&mut self, report: Report) -> bool {
        self.0.borrow_mut().push(report);
        true
    }
}

/// One machine under the rules of [`vipward_core::driver`].
struct Driver {
    half: Half,
    machine: Kept<Box<dyn Machine>, Copy>,
    /// The last copy of its estate, if the world has not taken it yet.
    copy: Copy,
    reports: Post,
    /// Failed effects and tables read back.
    answers: VecDeque<Event>,
    attempts: Vec<(ProbeId, Attempt)>,
    scripts: VecDeque<(ScriptId, ScriptOutcome)>,
    /// By the director's own clock, as everything that a machine is told.
    now: Instant,
    wakeup: Option<Instant>,
    /// The same by the world's clock.
    wakes_at: Option<Instant>,
    stopped: bool,
    /// In this turn an address could not be removed.
    still_there: bool,
}

impl Driver {
    fn next(&self) -> Option<Instant> {
        let wakeup = self.wakes_at.filter(|_| !self.stopped);
        self.attempts.iter().filter_map(|(_, attempt)| attempt.due()).chain(wakeup).min()
    }

    fn turn(&mut self, world: &mut World, id: NodeId, incarnation: u64, changed: bool) -> Result<(), &'static str> {
        if self.stopped {
            return Ok(());
        }
        let idle = !changed
            && !world.has_mail_for(id, self.half)
            && self.wakes_at.is_none_or(|at| at > world.now())
            && !self.attempts.iter().any(|(_, attempt)| attempt.due().is_some_and(|at| at <= world.now()));
        if idle {
            return Ok(());
        }
        let local = world.local_time(id);
        let mut left = MOST_AT_ONCE;
        loop {
            for kind in [Waiting::Host, Waiting::Lease, Waiting::Packets, Waiting::Work] {
                for _ in 0..MAX_WAITING {
                    let Some(event) = self.waiting(kind, world, id) else { break };
                    left = left.checked_sub(1).ok_or("it never rests")?;
                    if self.step(event, world, id, incarnation) {
                        return Ok(());
                    }
                }
            }
            self.wakeup = self.machine.next_wakeup().map(|(at, _)| at);
            let more = !self.answers.is_empty() || world.has_mail_for(id, self.half) || !self.scripts.is_empty();
            if self.wakeup.is_some_and(|at| at <= local) {
                left = left.checked_sub(1).ok_or("it wants to be woken without end")?;
                self.step(Event::Wakeup, world, id, incarnation);
            } else if !more {
                self.wakes_at = self.wakeup.map(|at| world.now() + world.until(id, at));
                return Ok(());
            }
        }
    }

    fn waiting(&mut self, kind: Waiting, world: &mut World, id: NodeId) -> Option<Event> {
        self.answers.pop_front().or_else(|| match kind {
            Waiting::Host => world.next_event(id, self.half),
            Waiting::Lease if self.half == Half::Election => world.next_lease_event(id).map(Event::Lease),
            Waiting::Packets if self.half == Half::Election => world.next_advert(id).map(Event::AdvertReceived),
            Waiting::Lease | Waiting::Packets => None,
            Waiting::Work => self.work(world, id),
        })
    }

    /// Scripts and probes that have ended.
    fn work(&mut self, world: &mut World, id: NodeId) -> Option<Event> {
        if let Some((script, outcome)) = self.scripts.pop_front() {
            return Some(Event::ScriptFinished { script, outcome });
        }
        for place in 0..self.attempts.len() {
            let Some((probe, attempt)) = self.attempts.get_mut(place) else { break };
            if let Progress::Ended(verdict) = attempt.advance(world, id) {
                let probe = *probe;
                self.attempts.remove(place);
                return Some(Event::ProbeFinished { probe, verdict });
            }
        }
        None
    }

    /// One event through the machine, its effects into the world. True after its last one.
    fn step(&mut self, event: Event, world: &mut World, id: NodeId, incarnation: u64) -> bool {
        let last = matches!(event, Event::Stop | Event::HandOver);
        if event == Event::HandOver {
            for _ in 0..MAX_WAITING {
                let Some(waits) = self.waiting(Waiting::Packets, world, id) else { break };
                self.hear(waits, world, id, incarnation);
            }
        }
        self.hear(event, world, id, incarnation);
        if last {
            self.stopped = true;
            match self.machine.estate(self.now) {
                Some(estate) => world.handed_over(id, self.half, estate),
                None => world.stopped(id, self.half),
            }
        }
        last
    }

    fn hear(&mut self, event: Event, world: &mut World, id: NodeId, incarnation: u64) {
        self.now = self.now.max(world.local_time(id));
        self.still_there = false;
        let effects = self.machine.handle(event, self.now);
        for report in self.reports.0.take() {
            world.reported(id, incarnation, report);
        }
        for effect in effects {
            if let Err(failed) = self.carry_out(effect, world, id, incarnation) {
                self.answers.push_back(*failed);
            }
        }
        if let Some(estate) = self.copy.0.take() {
            world.keep(id, self.half, estate);
        }
    }

    fn carry_out(&mut self, effect: Effect, world: &mut World, id: NodeId, incarnation: u64) -> Result<(), Box<Event>> {
        let acts = |world: &mut World, what: &str| world.acts(id, self.half, incarnation, what);
        let done = match &effect {
            Effect::Listen { interface, group } => {
                acts(world, "listens for adverts").and_then(|()| world.listen(id, interface, *group))
            }
            Effect::StopListening { interface, group } => {
                acts(world, "stops listening").map(|()| world.stop_listening(id, interface, *group))
            }
            Effect::SendAdvert(advert) => {
                acts(world, "sends an advert").and_then(|()| world.send_advert(id, advert)).map(|envelope| {
                    for to in world.recipients(&envelope) {
                        if world.hears(to, advert.destination) {
                            world.carried(to, envelope.clone());
                        }
                    }
                })
            }
            Effect::Announce { interface, address } => {
                acts(world, "announces an address").and_then(|()| world.announce(id, interface, *address))
            }
            Effect::AddAddress(address) => acts(world, "adds an address").and_then(|()| world.add_address(id, address)),
            Effect::RenewAddresses { addresses } => {
                acts(world, "renews addresses").and_then(|()| world.renew_addresses(id, addresses))
            }
            Effect::RemoveAddress(key) => {
                let removed = acts(world, "removes an address").and_then(|()| world.remove_address(id, key));
                self.still_there |= removed.is_err();
                removed
            }
            Effect::ReadAddresses => acts(world, "reads the addresses").map(|()| {
                self.answers.push_back(Event::AddressesRead(world.addresses(id)));
            }),
            Effect::Ipvs(op) => acts(world, "changes the IPVS table").and_then(|()| world.ipvs(id, op)),
            Effect::ReadIpvs => acts(world, "reads the IPVS table").map(|()| {
                self.answers.push_back(Event::IpvsRead(world.ipvs_table(id)));
            }),
            Effect::StartProbe { id: probe, probe: what } => {
                // As in the driver a probe that can't begin has its verdict later, not a refusal.
                let _ = acts(world, "starts a probe");
                self.attempts.push((*probe, Attempt::new(what.clone(), world, id)));
                Ok(())
            }
            Effect::CancelProbe(probe) => {
                self.attempts.retain(|(other, _)| other != probe);
                Ok(())
            }
            Effect::RunScript { script, command, timeout: _ } => {
                let outcome = world.script_outcome(id, command);
                self.scripts.push_back((script.clone(), outcome));
                Ok(())
            }
            Effect::Notify { queue: _, command } => {
                world.notified(id, command);
                Ok(())
            }
            Effect::Lease(op) => may_ask(op, self.still_there)
                .and_then(|()| acts(world, "asks the quorum service"))
                .and_then(|()| world.ask_quorum(id, op)),
            Effect::Decide(decision) => {
                world.decided(id, decision);
                Ok(())
            }
        };
        done.map_err(|error| Box::new(Event::EffectFailed { effect: Box::new(effect), error }))
    }
}

#[derive(Clone, Copy)]
enum Waiting {
    Host,
    Lease,
    Packets,
    Work,
}
