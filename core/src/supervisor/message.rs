//! What a supervisor hears and asks for, and what it and its workers tell each other.

use super::Saying;
use super::upgrade::UpgradeFailure;
use super::watch::Look;
use crate::machine::LastWill;
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Tells a worker from its predecessors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

/// What a worker tells its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// It has all that it needs, and its configuration comes into force now.
    Ready,
    /// Its driver loop turns; so many effects are carried out before it turns again.
    Alive { effects: u32 },
    /// A share of what it would do if it stopped now. The `first` part of a share replaces what the share was, others add
    /// to it. Shares are numbered by whoever makes the last will.
    LastWill { share: u32, first: bool, part: LastWill },
    /// It records what it does into this file.
    Records(PathBuf),
    /// Its verdict on [`Order::Reload`] of this number and all before it. `refused`: why the running configuration stays,
    /// in one line.
    Reloaded { number: u32, refused: Option<String> },
    /// A successor has all that it needs but the estates. `notes`: its version's [`NOTES`].
    Prepared { notes: u32 },
    /// Its machines have ended, and their estates are on their way to the successor.
    HandedOver,
    /// A successor has the estates, and acts.
    TookOver,
}

/// What a supervisor tells its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// End in order.
    Stop,
    /// Read the configuration again. Each order has the next number.
    Reload { number: u32 },
    /// End the machines and give their estates to the successor at the other end of the line that comes with this.
    HandOver,
    /// Take up what comes over the line that comes with this.
    Inherit,
    /// Nobody took the estates: go on.
    TakeBack,
    /// The successor acts. Carry the connections that there are, and end with the last.
    Retire,
    /// Answer the client whose connection comes with this: how the director is, or what comes of the order that is still to be
    /// read from it.
    Status,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// What happens to a supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Reported {
        worker: WorkerId,
        report: Report,
    },
    Ended {
        worker: WorkerId,
        end: End,
    },
    /// What was seen of the worker's thread ([`Effect::Look`]). None: it could not be looked at.
    Looked {
        worker: WorkerId,
        look: Option<Look>,
    },
    /// It could not even be started.
    NotStarted {
        worker: WorkerId,
        error: String,
    },
    /// It says something that makes no sense: it is of another version.
    NotUnderstood {
        worker: WorkerId,
    },
    /// The operator wants an orderly end; the second time, one at once.
    Stop,
    /// The operator wants the configuration read again: by a signal, or as a `client` that waits for the verdict.
    Reload {
        client: Option<u64>,
    },
    /// The operator, `client`, wants what is on the disk now to run.
    Upgrade {
        client: u64,
    },
    /// Somebody, `client`, asks how the director is, or gives an order about real servers.
    Status {
        client: u64,
    },
    /// Time passed; see [`Supervisor::next_wakeup`].
    Wakeup,
}

/// What a supervisor wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Start(WorkerId, Beginning),
    /// Join these two by a line and tell them: [`Order::HandOver`], [`Order::Inherit`].
    Introduce {
        old: WorkerId,
        successor: WorkerId,
    },
    /// What became of an upgrade or a reload.
    Answer {
        client: u64,
        answer: Result<(), UpgradeFailure>,
    },
    /// Become the program that is on the disk now.
    Renew,
    /// Hand this client over to the worker, with [`Order::Status`]: it is the one who knows.
    HandClient {
        client: u64,
        worker: WorkerId,
    },
    Tell {
        worker: WorkerId,
        order: Order,
    },
    /// Look what the worker's thread does: [`Event::Looked`].
    Look(WorkerId),
    /// SIGKILL.
    Kill(WorkerId),
    /// Send the datagrams, then take the addresses off, in the name of a worker that can't any more.
    Farewell(LastWill),
    /// Keep what is recorded in this file: the next worker's record takes its place.
    KeepEvidence {
        record: PathBuf,
    },
    /// For the service manager.
    ServiceState(ServiceState),
    /// For the log.
    Say(Saying),
    /// End, with this status. The last effect of all.
    Exit(Outcome),
}

/// How a worker begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Beginning {
    /// By what the last one left in its state file, if it is the same director's.
    Usual,
    /// The last one's roles were given away by a farewell.
    AfterFarewell,
    /// It prepares, and waits for the estates.
    Successor,
}

/// What a service manager wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    Ready,
    Reloading,
    Stopping,
    /// Its watchdog can be content.
    Alive,
    /// No worker runs until then.
    Down {
        restart_in: Duration,
    },
}

/// A supervisor's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As from the worker, which has said why.
    Same(i32),
    Failed,
}
