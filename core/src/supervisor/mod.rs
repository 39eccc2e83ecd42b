//! The supervisor of a director's worker: it starts it, listens to it, speaks for it when it is dead, starts it again.
//!
//! It knows three things of its worker: the last sign of life, the last will, and how it ended. It knows nothing of VRRP
//! and of configurations: a last will is datagrams that are ready to send, and addresses.
//!
//! ```text
//!                Start               Ready                 Stop
//!   (nobody) ───────────▶ starting ─────────▶ running ───────────▶ stopping ──▶ Exit
//!      ▲                     │ ended, after      │ ended, or silent
//!      │                     │ another was ready │ for too long
//!      └──── back-off ◀──────┴───────────────────┘
//!                                   farewell
//! ```

mod guarded;
mod message;
mod reload;
mod saying;
mod upgrade;
pub mod watch;

pub use guarded::{Guarded, ReportSink};
pub use message::{Beginning, Effect, End, Event, Order, Outcome, Report, ServiceState, WorkerId};
pub use saying::Saying;
pub use upgrade::{CARRY, HAND_OVER, NOTES, UpgradeFailure};
pub use watch::{Look, ThreadState, WAITS, Waits};

use crate::machine::LastWill;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use upgrade::Upgrade;
use watch::Doubt;

/// How often a worker shows that its driver loop turns.
pub const HEARTBEAT: Duration = Duration::from_millis(200);

/// A worker that says nothing for so long, and holds addresses, is killed if its thread is seen to hang ([`watch`]). Five
/// heartbeats; and short enough that the farewell (peers take over in Skew_Time) comes before the kernel takes addresses off
/// by itself, 1.5 to 2 s after the last turn of a loop: then nobody would have said anything to the peers.
pub const SILENCE: Duration = Duration::from_secs(1);

/// What a step may take in addition for each of its effects: a MASTER of 5,000 addresses takes over with 30,000 of them,
/// and has no turn before they are carried out. They take 5 to 30 µs each.
pub const PER_EFFECT: Duration = Duration::from_micros(100);

/// How long a worker may take to start.
pub const START: Duration = Duration::from_secs(30);

/// How long a worker may take to stop; it limits itself to 10 s.
pub const STOP: Duration = Duration::from_secs(12);

/// Pauses before a restart: the first, and the longest. Each is twice the one before.
pub const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// After so long a life the next pause is the first again.
pub const LONG_LIFE: Duration = Duration::from_secs(60);

/// A supervisor that comes so much too late to a deadline did not run: then neither did the worker, or its signs of life
/// are still under way, and the deadline says nothing about it.
pub const OVERSLEPT: Duration = Duration::from_millis(250);

/// Two requests to stop that come so soon after each other are one: a service manager and a terminal, or a signal to a
/// whole process group.
pub const ONE_STOP: Duration = Duration::from_secs(1);

/// How often a service manager hears that all is well, at most.
const FEED: Duration = Duration::from_secs(1);

/// The supervisor of one director. Its first [`Event::Wakeup`] is due at once.
#[derive(Debug, Serialize, Deserialize)]
pub struct Supervisor {
    worker: Option<Worker>,
    next_id: u32,
    /// A worker has been ready: the configuration was sound, the privileges are there.
    succeeded: bool,
    restart_at: Option<Instant>,
    pause: Duration,
    /// Set by the first [`Event::Stop`].
    stop_by: Option<Instant>,
    fed: Option<Instant>,
    upgrade: Option<Upgrade>,
    /// Workers that only carry their last connections, and until when they may.
    retired: BTreeMap<WorkerId, Instant>,
    /// Somebody spoke for the last worker.
    spoken: bool,
    /// The number of the last [`Order::Reload`].
    reloads: u32,
    /// Clients that wait for the verdict on the order of this number.
    waiting: Vec<(u64, u32)>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            worker: None,
            next_id: 0,
            succeeded: false,
            restart_at: Some(Instant::ZERO),
            pause: BACK_OFF.0,
            stop_by: None,
            fed: None,
            upgrade: None,
            retired: BTreeMap::new(),
            spoken: false,
            reloads: 0,
            waiting: Vec::new(),
        }
    }
}

/// A worker that has not ended, as far as is known.
#[derive(Debug, Serialize, Deserialize)]
struct Worker {
    id: WorkerId,
    started: Instant,
    ready: bool,
    /// The last sign of life; until it is ready, its start.
    heard: Instant,
    /// How long it may be silent from then on.
    patience: Duration,
    /// It has been silent for so long that it is looked at.
    doubt: Option<Doubt>,
    shares: BTreeMap<u32, LastWill>,
    record: Option<PathBuf>,
}

impl Supervisor {
    /// The only way in. `now` never decreases from call to call. Signs of life that are there already are to be brought
    /// before [`Event::Wakeup`].
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        if let Some(worker) = &mut self.worker
            && now.since(worker.due()) > OVERSLEPT
        {
            (worker.heard, worker.doubt) = (now, None);
        }
        if let Some(upgrade) = &mut self.upgrade
            && now.since(upgrade.until()) > OVERSLEPT
        {
            upgrade.postpone(now);
        }
        match event {
            Event::Reported { worker, report } => self.reported(worker, report, now, &mut out),
            Event::Ended { worker: id, end } => {
                self.retired.remove(&id);
                if self.is_heir(id) {
                    self.successor_ended(UpgradeFailure::Ended(end), now, &mut out);
                } else if let Some(worker) = self.worker.take_if(|worker| worker.id == id)
                    && let Some(worker) = self.lost_in_upgrade(worker, now, &mut out)
                {
                    let lived = now.since(worker.started);
                    // One that ends at its first start by itself has said why.
                    let unasked = self.stop_by.is_none() && (self.succeeded || matches!(end, End::Killed(_)));
                    let saying = unasked.then_some(Saying::Ended { end, lived });
                    self.lost(worker, Some(end), saying, now, &mut out);
                }
            }
            Event::Looked { worker, look } => self.looked(worker, look, now, &mut out),
            Event::NotStarted { worker: id, error } => {
                if self.is_heir(id) {
                    self.successor_ended(UpgradeFailure::NotStarted(error), now, &mut out);
                } else if let Some(worker) = self.worker.take_if(|worker| worker.id == id) {
                    self.lost(worker, None, Some(Saying::NotStarted { error }), now, &mut out);
                }
            }
            Event::NotUnderstood { worker: id } => {
                if self.is_heir(id) {
                    self.give_up(UpgradeFailure::NotUnderstood, now, &mut out);
                }
                // Another try would be of that version as well; whoever started this process can mend it.
                if self.worker.as_ref().is_some_and(|worker| worker.id == id) {
                    self.end_at_once(None, &mut out);
                }
            }
            Event::Stop => self.stop(now, &mut out),
            Event::Reload { client } => self.reload(client, &mut out),
            Event::Upgrade { client } => self.begin_upgrade(client, now, &mut out),
            Event::Status { client } => out.push(match &self.worker {
                Some(worker) => Effect::HandClient { client, worker: worker.id },
                None => Effect::Answer { client, answer: Err(UpgradeFailure::NoWorker) },
            }),
            Event::Wakeup => self.wakeup(now, &mut out),
        }
        if let Some(Effect::Exit(_)) = out.last() {
            let exit = out.pop();
            self.no_verdict(&UpgradeFailure::Stopping, &mut out);
            out.extend(exit);
            let rest = self.retired.keys().copied().chain(self.upgrade.as_ref().map(|upgrade| upgrade.successor.id));
            let last = out.len() - 1;
            out.splice(last..last, rest.map(Effect::Kill));
        }
        out
    }

    /// When [`Event::Wakeup`] is due next; an instant in the past means: at once.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let silent = self.worker.as_ref().filter(|worker| self.must_speak(worker));
        let silent = silent.map(Worker::due);
        let upgrade = self.upgrade.as_ref().map(Upgrade::until);
        let retired = self.retired.values().min().copied();
        [silent, self.restart_at, self.stop_by, upgrade, retired].into_iter().flatten().min()
    }

    /// Whether silence means anything. A worker that is stopping and has nothing to give back any more may do that in
    /// peace.
    fn must_speak(&self, worker: &Worker) -> bool {
        let hushed = self.upgrade.as_ref().is_some_and(Upgrade::hushes_worker);
        !hushed && (self.stop_by.is_none() || (worker.ready && !worker.shares.is_empty()))
    }

    fn is_heir(&self, id: WorkerId) -> bool {
        self.upgrade.as_ref().is_some_and(|upgrade| upgrade.successor.id == id)
    }

    fn reported(&mut self, id: WorkerId, report: Report, now: Instant, out: &mut Vec<Effect>) {
        if self.is_heir(id) {
            return self.successor_reported(report, now, out);
        }
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.id == id) else { return };
        worker.ready |= report == Report::Ready;
        if worker.ready {
            (worker.heard, worker.doubt) = (now, None);
        }
        match report {
            Report::Ready => {
                worker.patience = SILENCE;
                (self.succeeded, self.spoken) = (true, false);
                out.push(Effect::ServiceState(ServiceState::Ready));
            }
            Report::Alive { effects } => {
                if !worker.ready {
                    return;
                }
                worker.patience = SILENCE + PER_EFFECT * effects;
                if self.fed.is_none_or(|fed| now.since(fed) >= FEED) {
                    self.fed = Some(now);
                    out.push(Effect::ServiceState(ServiceState::Alive));
                }
            }
            Report::LastWill { .. } | Report::Records(_) => worker.learn(report),
            Report::Reloaded { number, refused } => self.reloaded(number, refused.as_deref(), out),
            Report::HandedOver => self.handed_over(now),
            // A successor's, and this one is none.
            Report::Prepared { .. } | Report::TookOver => {}
        }
    }

    fn stop(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.stop_waits(now, out) {
            return;
        }
        if self.stop_by.is_some_and(|by| now.since(by - STOP) < ONE_STOP) {
            return;
        }
        if self.stop_by.is_some() || self.upgrade.is_some() {
            return self.end_at_once(Some(Saying::StoppedAtOnce), out);
        }
        out.push(Effect::ServiceState(ServiceState::Stopping));
        self.no_verdict(&UpgradeFailure::Stopping, out);
        self.restart_at = None;
        match &self.worker {
            Some(worker) => {
                self.stop_by = Some(now + STOP);
                out.push(Effect::Tell { worker: worker.id, order: Order::Stop });
            }
            None => out.push(Effect::Exit(Outcome::Same(0))),
        }
    }

    fn wakeup(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.stop_by.is_some_and(|at| at <= now) {
            return self.end_at_once(Some(Saying::DoesNotStop { after: STOP }), out);
        }
        self.watch(now, out);
        self.upgrade_wakeup(now, out);
        while let Some((worker, _)) = self.retired.iter().find(|(_, until)| **until <= now) {
            let worker = *worker;
            self.retired.remove(&worker);
            out.push(Effect::Kill(worker));
            out.push(Effect::Say(Saying::CarriedTooLong { after: CARRY }));
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            let worker = self.new_worker(now);
            let beginning = if self.spoken { Beginning::AfterFarewell } else { Beginning::Usual };
            out.push(Effect::Start(worker.id, beginning));
            self.worker = Some(worker);
        }
    }

    fn new_worker(&mut self, now: Instant) -> Worker {
        let id = WorkerId(self.next_id);
        self.next_id += 1;
        let shares = BTreeMap::new();
        Worker { id, started: now, ready: false, heard: now, patience: START, doubt: None, shares, record: None }
    }

    /// The worker is no more. `end`: how it ended by itself; `saying`: what people are told of it, which takes a log that
    /// can be written, and so comes after the farewell.
    fn lost(&mut self, worker: Worker, end: Option<End>, saying: Option<Saying>, now: Instant, out: &mut Vec<Effect>) {
        let farewell = farewell(worker.shares, out);
        self.spoken |= farewell.is_some();
        out.extend(saying.into_iter().chain(farewell).map(Effect::Say));
        self.no_verdict(&UpgradeFailure::WorkerLost, out);
        if self.stop_by.is_some() {
            let outcome = match end {
                Some(End::Exited(status)) => Outcome::Same(status),
                Some(End::Killed(_)) | None => Outcome::Failed,
            };
            return out.push(Effect::Exit(outcome));
        }
        if let (false, Some(End::Exited(status))) = (self.succeeded, end) {
            // It has said what it lacks. That is not mended by trying again.
            return out.push(Effect::Exit(Outcome::Same(status)));
        }
        if let Some(record) = worker.record {
            out.push(Effect::KeepEvidence { record });
        }
        if now.since(worker.started) >= LONG_LIFE {
            self.pause = BACK_OFF.0;
        }
        let restart_in = self.pause;
        self.restart_at = Some(now + restart_in);
        self.pause = (self.pause * 2).min(BACK_OFF.1);
        out.push(Effect::Say(Saying::Restart { restart_in }));
        out.push(Effect::ServiceState(ServiceState::Down { restart_in }));
    }

    fn end_at_once(&mut self, saying: Option<Saying>, out: &mut Vec<Effect>) {
        let mut farewell_said = None;
        let orphaned = self.upgrade.as_mut().and_then(Upgrade::take_orphaned);
        if let Some(worker) = self.worker.take().or(orphaned) {
            out.push(Effect::Kill(worker.id));
            farewell_said = farewell(worker.shares, out);
        }
        out.extend(saying.into_iter().chain(farewell_said).map(Effect::Say));
        out.push(Effect::Exit(Outcome::Failed));
    }
}

impl Worker {
    /// When its silence is looked into, or what was asked about it is overdue.
    fn due(&self) -> Instant {
        match &self.doubt {
            Some(doubt) => doubt.due(),
            None if self.ready => self.heard + (self.patience - watch::AGAIN),
            None => self.heard + self.patience,
        }
    }

    /// What is to be done in its name, and where its record is.
    fn learn(&mut self, report: Report) {
        match report {
            Report::LastWill { share, first, part } => {
                if first && part.is_empty() {
                    self.shares.remove(&share);
                } else if first {
                    self.shares.insert(share, part);
                } else {
                    self.shares.entry(share).or_default().append(part);
                }
            }
            Report::Records(file) => self.record = Some(file),
            // Nothing that would be needed after its death.
            Report::Ready
            | Report::Alive { .. }
            | Report::Reloaded { .. }
            | Report::Prepared { .. }
            | Report::HandedOver
            | Report::TookOver => {}
        }
    }
}

/// Speaks for the dead, if there is anything to say.
fn farewell(shares: BTreeMap<u32, LastWill>, out: &mut Vec<Effect>) -> Option<Saying> {
    let mut whole = LastWill::default();
    shares.into_values().for_each(|share| whole.append(share));
    if whole.is_empty() {
        return None;
    }
    let saying = Saying::Farewell { datagrams: whole.datagrams.len(), addresses: whole.addresses.len() };
    out.push(Effect::Farewell(whole));
    Some(saying)
}
