//! An upgrade: a second worker, from the program that is on the disk now, takes over from the first.
//!
//! ```text
//!   Upgrade              Prepared               HandedOver            TookOver
//!  ─────────▶ Preparing ──────────▶ HandingOver ──────────▶ TakingOver ────────▶ it is the worker;
//!             successor ended,           successor ended, too long    successor ended, too long  the old one retires
//!             or too long:             │                       │
//!             all is as it was         └──▶ Reverting ◀────────┘
//!                                          the successor is dead: the old one takes back
//! ```
//!
//! Of the two at most one acts. Until the successor is prepared it has touched nothing; it begins to act when it has the
//! estates, and the old one gives them away when it has ended. Only when the successor is known to be dead does the old one
//! take them back. Until the successor says that it has taken over, the last will in force is the old one's: whoever dies in
//! between, somebody speaks for the addresses.

use super::{Beginning, Effect, End, Order, Report, SILENCE, START, Saying, ServiceState, Supervisor, Worker};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How long the old worker may take to end its machines and to give their estates away, and how long the successor until it
/// elects. Together less than the three advert intervals of a second for which peers wait. One that has a MASTER again keeps
/// its addresses by itself: as long as it gives signs of life, its virtual servers may take [`START`].
pub const HAND_OVER: Duration = Duration::from_secs(1);

/// How long a successor that was killed may take to be dead. One that is stuck in the kernel for longer can't act either.
const DYING: Duration = Duration::from_secs(1);

/// How long a retired worker may go on to carry the connections that it has.
pub const CARRY: Duration = Duration::from_secs(3600);

/// Version of what a supervisor writes down for the process that takes its place.
pub const NOTES: u32 = 4;

/// An upgrade under way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Upgrade {
    /// Who asked for it.
    client: u64,
    pub(super) successor: Worker,
    stage: Stage,
    until: Instant,
    /// The successor has a MASTER again: until when its virtual servers must be taken over.
    elects: Option<Instant>,
    /// [`NOTES`] of the successor's version.
    notes: u32,
    /// The old one died after it had handed over: its last will holds.
    orphaned: Option<Worker>,
    /// What the operator wanted meanwhile.
    reload: bool,
    stop: bool,
}

#[derive(Debug, Serialize, Deserialize)]
enum Stage {
    Preparing,
    HandingOver,
    TakingOver,
    Reverting(UpgradeFailure),
}

/// Why an upgrade or a reload came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpgradeFailure {
    /// Another one is under way.
    Busy,
    /// No worker runs that could hand over or read.
    NoWorker,
    Stopping,
    NotStarted(String),
    /// The new process ended by itself.
    Ended(End),
    /// It says something that makes no sense: it is of another version.
    NotUnderstood,
    NotPrepared,
    NotHandedOver,
    NotTakenOver,
    /// It elects, and its virtual servers are not taken over.
    NotWhole,
    /// The worker died meanwhile.
    WorkerLost,
    /// The configuration can't be run, for this reason: the running one stays.
    Refused(String),
}

impl fmt::Display for UpgradeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("another upgrade is under way"),
            Self::NoWorker => f.write_str("no worker runs now: it is being started again"),
            Self::Stopping => f.write_str("the director stops"),
            Self::NotStarted(error) => write!(f, "the new process could not be started: {error}"),
            Self::Ended(end) => {
                write!(f, "the new process {end}")?;
                match end {
                    End::Exited(2) => f.write_str(": the configuration has errors, which the log shows"),
                    End::Exited(3) => f.write_str(": it does not understand how it was started"),
                    End::Exited(_) | End::Killed(_) => Ok(()),
                }
            }
            Self::NotUnderstood => f.write_str(
                "the new process is of a version that can't take over while this one runs: a restart is needed",
            ),
            Self::NotPrepared => write!(f, "the new process was not ready within {} s", START.as_secs()),
            Self::NotHandedOver => write!(f, "the old process did not hand over within {} s", HAND_OVER.as_secs()),
            Self::NotTakenOver => write!(f, "the new process did not take over within {} s", HAND_OVER.as_secs()),
            Self::NotWhole => {
                write!(f, "the new process did not take its virtual servers over within {} s", START.as_secs())
            }
            Self::WorkerLost => f.write_str("the running process died meanwhile"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl Supervisor {
    pub(super) fn begin_upgrade(&mut self, client: u64, now: Instant, out: &mut Vec<Effect>) {
        let refused = match &self.worker {
            _ if self.stop_by.is_some() => Some(UpgradeFailure::Stopping),
            _ if self.upgrade.is_some() => Some(UpgradeFailure::Busy),
            Some(worker) if worker.ready => None,
            Some(_) | None => Some(UpgradeFailure::NoWorker),
        };
        if let Some(failure) = refused {
            return out.push(Effect::Answer { client, answer: Err(failure) });
        }
        let successor = self.new_worker(now);
        out.push(Effect::Start(successor.id, Beginning::Successor));
        self.upgrade = Some(Upgrade {
            client,
            successor,
            stage: Stage::Preparing,
            until: now + START,
            elects: None,
            notes: 0,
            orphaned: None,
            // Who waits for a verdict that the old one may not give any more.
            reload: !self.waiting.is_empty(),
            stop: false,
        });
    }

    /// The successor has something to tell.
    pub(super) fn successor_reported(&mut self, report: Report, now: Instant, out: &mut Vec<Effect>) {
        let Some(upgrade) = &mut self.upgrade else { return };
        match report {
            Report::Prepared { notes } => {
                if let (Stage::Preparing, Some(worker)) = (&upgrade.stage, &self.worker) {
                    upgrade.notes = notes;
                    upgrade.stage = Stage::HandingOver;
                    upgrade.until = now + HAND_OVER;
                    out.push(Effect::Introduce { old: worker.id, successor: upgrade.successor.id });
                }
            }
            Report::TookOver => match upgrade.stage {
                // The old one's own word may come later, on another line.
                Stage::HandingOver | Stage::TakingOver => self.succeed(now, out),
                Stage::Preparing | Stage::Reverting(_) => {}
            },
            Report::LastWill { .. } => {
                upgrade.successor.learn(report);
                if !upgrade.successor.shares.is_empty() {
                    upgrade.elects.get_or_insert(now + START);
                    upgrade.lives(now);
                }
            }
            Report::Records(_) => upgrade.successor.learn(report),
            Report::Alive { .. } => upgrade.lives(now),
            // What only a worker says.
            Report::Ready | Report::Reloaded { .. } | Report::HandedOver => {}
        }
    }

    /// The worker has ended its machines, and the successor can have all that it needs.
    pub(super) fn handed_over(&mut self, now: Instant) {
        if let Some(upgrade) = &mut self.upgrade
            && let Stage::HandingOver = upgrade.stage
        {
            upgrade.stage = Stage::TakingOver;
            upgrade.until = now + HAND_OVER;
        }
    }

    fn succeed(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(Upgrade { client, mut successor, notes, reload, stop, .. }) = self.upgrade.take() else { return };
        if let Some(old) = self.worker.take() {
            out.push(Effect::Tell { worker: old.id, order: Order::Retire });
            self.retired.insert(old.id, now + CARRY);
        }
        (successor.ready, successor.heard, successor.patience) = (true, now, SILENCE);
        self.worker = Some(successor);
        out.push(Effect::Answer { client, answer: Ok(()) });
        out.push(Effect::ServiceState(ServiceState::Ready));
        out.push(Effect::Say(Saying::Upgraded));
        if reload {
            self.tell_to_reload(out);
        }
        match (stop, notes) {
            (true, _) => self.stop(now, out),
            (false, NOTES) => out.push(Effect::Renew),
            (false, _) => out.push(Effect::Say(Saying::NotRenewed)),
        }
    }

    /// The successor can't go on.
    pub(super) fn give_up(&mut self, failure: UpgradeFailure, now: Instant, out: &mut Vec<Effect>) {
        let Some(upgrade) = &mut self.upgrade else { return };
        out.push(Effect::Kill(upgrade.successor.id));
        match upgrade.stage {
            Stage::Preparing | Stage::Reverting(_) => self.successor_ended(failure, now, out),
            // Not before it is dead does anybody else act.
            Stage::HandingOver | Stage::TakingOver => {
                upgrade.stage = Stage::Reverting(failure);
                upgrade.until = now + DYING;
            }
        }
    }

    /// The successor is dead, or has touched nothing.
    pub(super) fn successor_ended(&mut self, failure: UpgradeFailure, now: Instant, out: &mut Vec<Effect>) {
        let Some(Upgrade { client, stage, orphaned, reload, stop, .. }) = self.upgrade.take() else { return };
        let (failure, handed_over) = match stage {
            Stage::Preparing => (failure, false),
            Stage::HandingOver | Stage::TakingOver => (failure, true),
            Stage::Reverting(why) => (why, true),
        };
        if let (true, Some(worker)) = (handed_over, &mut self.worker) {
            (worker.heard, worker.patience) = (now, SILENCE);
            out.push(Effect::Tell { worker: worker.id, order: Order::TakeBack });
            if reload {
                self.tell_to_reload(out);
            }
        }
        out.push(Effect::Say(Saying::NotUpgraded { why: failure.clone() }));
        out.push(Effect::Answer { client, answer: Err(failure) });
        match (orphaned, stop) {
            (Some(orphaned), _) => self.lost(orphaned, None, None, now, out),
            (None, true) => self.stop(now, out),
            (None, false) => {}
        }
    }

    /// The worker is dead, and there may be an upgrade. Returns it if it is to be treated as any that is lost.
    pub(super) fn lost_in_upgrade(&mut self, worker: Worker, now: Instant, out: &mut Vec<Effect>) -> Option<Worker> {
        match self.upgrade.as_mut().map(|upgrade| (&upgrade.stage, &mut upgrade.orphaned)) {
            None => Some(worker),
            Some((Stage::TakingOver | Stage::Reverting(_), orphaned)) => {
                *orphaned = Some(worker);
                None
            }
            Some((Stage::Preparing | Stage::HandingOver, _)) => {
                let successor = self.upgrade.as_ref().map(|upgrade| upgrade.successor.id);
                out.extend(successor.map(Effect::Kill));
                if let Some(upgrade) = &mut self.upgrade {
                    upgrade.stage = Stage::Preparing;
                }
                self.successor_ended(UpgradeFailure::WorkerLost, now, out);
                Some(worker)
            }
        }
    }

    /// What is due of an upgrade.
    pub(super) fn upgrade_wakeup(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let failure = match &self.upgrade {
            Some(upgrade) if upgrade.until <= now => match &upgrade.stage {
                Stage::Preparing => UpgradeFailure::NotPrepared,
                Stage::HandingOver => UpgradeFailure::NotHandedOver,
                Stage::TakingOver if upgrade.elects.is_some_and(|by| by <= now) => UpgradeFailure::NotWhole,
                Stage::TakingOver => UpgradeFailure::NotTakenOver,
                Stage::Reverting(why) => why.clone(),
            },
            Some(_) | None => return,
        };
        self.give_up(failure, now, out);
    }

    /// An operator's stop: true if it has to wait for the end of an upgrade, which comes soon.
    pub(super) fn stop_waits(&mut self, now: Instant, out: &mut Vec<Effect>) -> bool {
        let Some(upgrade) = &mut self.upgrade else { return false };
        if let Stage::Preparing = upgrade.stage {
            self.give_up(UpgradeFailure::Stopping, now, out);
            return false;
        }
        !std::mem::replace(&mut upgrade.stop, true)
    }

    /// An operator's reload: true if the worker can't be told now.
    pub(super) fn reload_waits(&mut self) -> bool {
        let Some(upgrade) = &mut self.upgrade else { return false };
        // The successor may have read the file before it was changed.
        upgrade.reload = true;
        !matches!(upgrade.stage, Stage::Preparing)
    }
}

impl Upgrade {
    /// When it goes no further by itself.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// The successor gives a sign of life. Before it elects that says nothing.
    fn lives(&mut self, now: Instant) {
        if let (Stage::TakingOver, Some(by)) = (&self.stage, self.elects) {
            self.until = (now + HAND_OVER).min(by);
        }
    }

    /// The worker has been told to hand over: its silence means nothing.
    pub(super) fn hushes_worker(&self) -> bool {
        !matches!(self.stage, Stage::Preparing)
    }

    /// The worker that died after it had handed over.
    pub(super) fn take_orphaned(&mut self) -> Option<Worker> {
        self.orphaned.take()
    }

    /// The supervisor did not run meanwhile.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.until = now + HAND_OVER;
    }
}
