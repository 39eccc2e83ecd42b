//! A director's supervisor: the production's own, in the world. It runs where the scenario has something for it to do.

use super::{Half, Process, World};
use crate::scenario::{Action, NodeId, Scenario};
use crate::trace::What;
use vipward_core::machine::{Input, LastWill, ToBoth};
use vipward_core::supervisor::{
    Beginning, Effect, End, Event, HEARTBEAT, Look, NOTES, Order, Report, Saying, Supervisor, ThreadState, WAITS,
    WorkerId,
};
use vipward_core::time::{Duration, Instant};

/// `SIGKILL`.
const KILLED: End = End::Killed(9);

/// The first process of a director.
#[derive(Debug)]
pub struct Supervised {
    supervisor: Supervisor,
    /// The worker that it started last.
    worker: Option<WorkerId>,
    /// The one that takes over from it.
    successor: Option<WorkerId>,
    /// It does not run (`freeze`).
    frozen: bool,
    /// The worker alone does not run (`hang_worker`).
    pub(super) hung: bool,
    /// The worker alone gets no processor (`starve_worker`): since when, until when.
    starved: Option<(Instant, Instant)>,
}

impl Supervised {
    fn runs(&self) -> bool {
        !self.hung && self.starved.is_none()
    }
}

/// Whether the scenario does anything to workers alone.
pub fn wanted(plan: &Scenario) -> bool {
    plan.steps
        .iter()
        .any(|step| matches!(step.action, Action::KillWorker(_) | Action::HangWorker(_) | Action::StarveWorker { .. }))
}

impl World {
    /// Whether directors have supervisors here.
    pub fn supervises(&self) -> bool {
        self.supervises
    }

    /// A supervisor begins, and begins with a worker.
    pub(super) fn start_supervisor(&mut self, id: NodeId) {
        if let Some(director) = self.director_mut(id) {
            let supervisor = Supervisor::default();
            director.supervised = Some(Supervised {
                supervisor,
                worker: None,
                successor: None,
                frozen: false,
                hung: false,
                starved: None,
            });
            self.supervise(id, Event::Wakeup);
        }
    }

    /// What the worker of this incarnation has to tell.
    pub fn reported(&mut self, id: NodeId, incarnation: u64, report: Report) {
        let director = self.director(id).filter(|director| director.incarnation == incarnation);
        if let Some(worker) = director.and_then(|director| director.supervised.as_ref()?.worker) {
            self.supervise(id, Event::Reported { worker, report });
        }
    }

    /// SIGKILL for the worker alone.
    pub(super) fn kill_worker(&mut self, id: NodeId) {
        self.end(id);
        self.worker_ended(id, KILLED);
    }

    pub(super) fn worker_ended(&mut self, id: NodeId, end: End) {
        let supervised = self.director(id).and_then(|director| director.supervised.as_ref());
        if let Some(worker) = supervised.and_then(|supervised| supervised.worker) {
            self.supervise(id, Event::Ended { worker, end });
        }
    }

    /// The machines have handed over.
    pub(super) fn worker_handed_over(&mut self, id: NodeId) {
        let supervised = self.director(id).and_then(|director| director.supervised.as_ref());
        if let Some(worker) = supervised.and_then(|supervised| supervised.worker) {
            self.supervise(id, Event::Reported { worker, report: Report::HandedOver });
        }
    }

    /// A new process acts.
    pub(super) fn successor_took_over(&mut self, id: NodeId) {
        let supervised = self.director_mut(id).and_then(|director| director.supervised.as_mut());
        if let Some(supervised) = supervised
            && let Some(worker) = supervised.successor.take()
        {
            supervised.worker = Some(worker);
            self.supervise(id, Event::Reported { worker, report: Report::TookOver });
        }
    }

    /// The worker stands still, and its supervisor does not.
    pub(super) fn hang_worker(&mut self, id: NodeId) {
        self.set_frozen(id, true);
        if let Some(supervised) = self.director_mut(id).and_then(|director| director.supervised.as_mut()) {
            supervised.hung = true;
        }
    }

    /// The worker is runnable and has no processor; its supervisor has one.
    pub(super) fn starve_worker(&mut self, id: NodeId, lasts: Duration) {
        let now = self.now;
        let Some(director) = self.director_mut(id) else { return };
        // One that is frozen as a whole has not run for longer.
        let silent = if director.process == Process::Frozen { director.process_since } else { now };
        let Some(supervised) = director.supervised.as_mut() else { return };
        let until = supervised.starved.map_or(now, |(_, until)| until).max(now + lasts);
        supervised.starved = Some((supervised.starved.map_or(silent, |(since, _)| since), until));
        self.set_frozen(id, true);
    }

    /// When the first starved worker has a processor again.
    pub(super) fn next_fed(&self) -> Option<Instant> {
        self.directors().filter_map(|(_, director)| Some(director.supervised.as_ref()?.starved?.1)).min()
    }

    /// Lets workers run that have a processor again.
    pub(super) fn feed_starved(&mut self) {
        let now = self.now;
        for id in self.director_ids() {
            let supervised = self.director_mut(id).and_then(|director| director.supervised.as_mut());
            let Some(supervised) = supervised.filter(|it| it.starved.is_some_and(|(_, until)| until <= now)) else {
                continue;
            };
            supervised.starved = None;
            if !supervised.frozen && !supervised.hung {
                self.last_step = now;
                self.set_frozen(id, false);
                self.shake();
            }
        }
    }

    /// Freezes or thaws the supervisor. True if its worker is to follow: one that hangs goes on hanging.
    pub(super) fn freeze_supervisor(&mut self, id: NodeId, frozen: bool) -> bool {
        match self.director_mut(id).and_then(|director| director.supervised.as_mut()) {
            Some(supervised) => {
                supervised.frozen = frozen;
                supervised.runs()
            }
            None => true,
        }
    }

    /// Everything on the user side of this director stops, its services too, or goes on.
    pub(super) fn stand_still(&mut self, id: NodeId, still: bool) {
        if let Some(director) = self.director_mut(id) {
            director.still = still;
        }
    }

    pub(super) fn stands_still(&self, id: NodeId) -> bool {
        self.director(id).is_some_and(|director| director.still)
    }

    /// Gives every supervisor whose time has come its turn.
    pub(super) fn advance_supervisors(&mut self) {
        for id in self.director_ids() {
            while self.supervisor_due(id).is_some_and(|at| at <= self.now) {
                self.supervise(id, Event::Wakeup);
            }
        }
    }

    /// When the first supervisor has something to do.
    pub(super) fn next_supervisor(&self) -> Option<Instant> {
        self.directors().filter_map(|(id, _)| self.supervisor_due(id)).min()
    }

    fn supervisor_due(&self, id: NodeId) -> Option<Instant> {
        let supervised = self.director(id)?.supervised.as_ref().filter(|supervised| !supervised.frozen)?;
        Some(self.now + self.until(id, supervised.supervisor.next_wakeup()?))
    }

    pub(super) fn supervise(&mut self, id: NodeId, event: Event) {
        let now = self.local_time(id);
        let Some(supervised) = self.director_mut(id).and_then(|director| director.supervised.as_mut()) else { return };
        let effects = supervised.supervisor.handle(event, now);
        let impatient = |saying: &Saying| matches!(saying, Saying::StoppedAtOnce | Saying::DoesNotStop { .. });
        let wanted = effects.iter().any(|effect| matches!(effect, Effect::Say(saying) if impatient(saying)));
        for effect in effects {
            match effect {
                Effect::Start(worker, Beginning::Successor) => {
                    self.supervise(id, Event::Reported { worker, report: Report::Prepared { notes: NOTES } });
                }
                Effect::Start(worker, Beginning::Usual | Beginning::AfterFarewell) => {
                    if let Some(supervised) = self.director_mut(id).and_then(|director| director.supervised.as_mut()) {
                        (supervised.worker, supervised.hung, supervised.starved) = (Some(worker), false, None);
                    }
                    self.start_worker(id);
                    // Nothing here can keep it from being ready.
                    self.supervise(id, Event::Reported { worker, report: Report::Ready });
                }
                Effect::Tell { order: Order::Stop, .. } => self.tell(id, &ToBoth::Stop),
                Effect::Look(worker) => {
                    // What is silent here hangs, unless it has no processor: nothing else keeps a worker from running
                    // while its supervisor does.
                    let supervised = self.director(id).and_then(|director| director.supervised.as_ref());
                    let starved = supervised.is_some_and(|supervised| !supervised.hung && supervised.starved.is_some());
                    let state = if starved { ThreadState::Runnable } else { ThreadState::Sleeping };
                    let look = Some(Look { state, ran: Duration::ZERO });
                    self.supervise(id, Event::Looked { worker, look });
                }
                Effect::Kill(worker) => {
                    let supervised = self.director(id).and_then(|director| director.supervised.as_ref());
                    // Others have handed over, and only carry connections until they end.
                    let (old, new) = supervised.map(|it| (it.worker, it.successor)).unwrap_or_default();
                    if new == Some(worker) {
                        self.end_successor(id);
                        self.supervise(id, Event::Ended { worker, end: KILLED });
                    } else if old == Some(worker) {
                        if !wanted {
                            self.judge_kill(id);
                        }
                        self.end(id);
                    }
                }
                Effect::Farewell(last_will) => self.farewell(id, &last_will),
                Effect::Say(saying) => self.note(Some(id), What::Supervisor(saying)),
                Effect::Exit(_) => {
                    if let Some(director) = self.director_mut(id) {
                        director.supervised = None;
                    }
                }
                // A reload goes straight to the worker here, and nobody records or manages services.
                Effect::Tell { order: Order::Reload { .. }, .. }
                | Effect::KeepEvidence { .. }
                | Effect::ServiceState(_) => {}
                Effect::Introduce { successor, .. } => {
                    if let Some(supervised) = self.director_mut(id).and_then(|director| director.supervised.as_mut()) {
                        supervised.successor = Some(successor);
                    }
                    self.hand_over(id);
                }
                Effect::Tell { order: Order::TakeBack, .. } => self.tell(id, &ToBoth::TakeBack),
                // These are of descriptors, connections and programs, which are not modelled.
                Effect::Tell { order: Order::HandOver | Order::Inherit | Order::Retire | Order::Status, .. }
                | Effect::Answer { .. }
                | Effect::HandClient { .. }
                | Effect::Renew => {}
            }
        }
    }

    /// It has taken nothing over yet; the old one may go on.
    fn end_successor(&mut self, id: NodeId) {
        if let Some(director) = self.director_mut(id) {
            director.upgrade = None;
            director.stopped.clear();
            // Who has not run since has not heard of it.
            director.mail.election.retain(|input| *input != Input::HandOver);
            director.mail.balancer.retain(|input| *input != Input::HandOver);
            if let Some(supervised) = &mut director.supervised {
                supervised.successor = None;
            }
        }
    }

    /// Who neither hangs nor has waited for as long as anybody may would have gone on by itself.
    fn judge_kill(&mut self, id: NodeId) {
        let Some(supervised) = self.director(id).and_then(|director| director.supervised.as_ref()) else { return };
        let waited = supervised.starved.map_or(Duration::ZERO, |(since, _)| self.now.since(since));
        // Its last word may be almost a heartbeat older.
        if !supervised.hung && waited + HEARTBEAT * 2 < WAITS {
            let why = match waited.as_millis() {
                0 => "it does not hang".to_owned(),
                waited => format!("it has waited for a processor for {waited} ms only"),
            };
            self.killed_alive.push((id, why));
        }
    }

    fn farewell(&mut self, id: NodeId, last_will: &LastWill) {
        // The roles in the state file are given away.
        if let Some(director) = self.director_mut(id) {
            director.stored.remove(&Half::Election);
        }
        for datagram in &last_will.datagrams {
            // A cable that is out refuses it, and then there is nobody to tell.
            let Ok(envelope) = self.send_advert(id, datagram) else { continue };
            for to in self.recipients(&envelope) {
                if self.hears(to, datagram.destination) {
                    self.carried(to, envelope.clone());
                }
            }
        }
        for rule in &last_will.rules {
            self.remove_rule(id, rule);
        }
        for route in &last_will.routes {
            self.remove_route(id, route);
        }
        for address in &last_will.addresses {
            // Gone already is as good.
            let _ = self.remove_address(id, address);
        }
    }
}
