//! What a supervisor says to people.

use super::{End, UpgradeFailure, Waits};
use crate::decision::LogLevel;
use crate::time::Duration;
use std::fmt;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    /// The worker ended by itself.
    Ended {
        end: End,
        lived: Duration,
    },
    NotStarted {
        error: String,
    },
    /// It is killed for its silence. `ready`: it had started.
    Silent {
        silent: Duration,
        ready: bool,
        /// It did not even hang.
        waits: Option<Waits>,
    },
    /// It is silent and is not killed for it: it waits for the machine.
    Waits {
        silent: Duration,
        waits: Waits,
    },
    /// Its last will was carried out.
    Farewell {
        datagrams: usize,
        addresses: usize,
    },
    Restart {
        restart_in: Duration,
    },
    /// A new worker has taken over.
    Upgraded,
    NotUpgraded {
        why: UpgradeFailure,
    },
    /// The new version's supervisor can't go on where this one is.
    NotRenewed,
    /// A retired worker still had connections.
    CarriedTooLong {
        after: Duration,
    },
    StoppedAtOnce,
    DoesNotStop {
        after: Duration,
    },
}

impl Saying {
    pub fn level(&self) -> LogLevel {
        match self {
            Self::Upgraded => LogLevel::Info,
            Self::Waits { .. }
            | Self::Farewell { .. }
            | Self::Restart { .. }
            | Self::NotRenewed
            | Self::CarriedTooLong { .. } => LogLevel::Warning,
            Self::Ended { .. }
            | Self::NotStarted { .. }
            | Self::Silent { .. }
            | Self::NotUpgraded { .. }
            | Self::StoppedAtOnce
            | Self::DoesNotStop { .. } => LogLevel::Error,
        }
    }
}

impl fmt::Display for Saying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { end, lived } => write!(f, "the worker {end} after {:.1} s", lived.as_secs_f64()),
            Self::NotStarted { error } => write!(f, "the worker could not be started: {error}"),
            Self::Silent { silent, ready: true, waits: None } => {
                write!(f, "the worker hangs: not a word from it for {:.1} s; killed", silent.as_secs_f64())
            }
            Self::Silent { silent, ready: true, waits: Some(waits) } => {
                write!(
                    f,
                    "the worker has not run for {:.1} s, {waits}; killed, for the peers must know",
                    silent.as_secs_f64()
                )
            }
            Self::Waits { silent, waits } => write!(
                f,
                "the worker has not run for {:.1} s, {waits}: this machine is overloaded; waiting for it",
                silent.as_secs_f64()
            ),
            Self::Silent { silent, ready: false, .. } => {
                write!(f, "the worker was not ready after {:.0} s; killed", silent.as_secs_f64())
            }
            Self::Farewell { datagrams, addresses } => {
                write!(f, "in its name: farewells sent: {datagrams}, addresses taken off: {addresses}")
            }
            Self::Restart { restart_in } => write!(f, "the next worker starts in {:.1} s", restart_in.as_secs_f64()),
            Self::Upgraded => f.write_str("upgraded: a new worker has taken over"),
            Self::NotUpgraded { why } => write!(f, "not upgraded: {why}; all is as it was"),
            Self::NotRenewed => f.write_str(
                "the supervisor stays the old version's: the new one's can't go on where it is; a restart replaces it",
            ),
            Self::CarriedTooLong { after } => {
                write!(f, "connections of a retired worker went on for {} s: cut", after.as_secs())
            }
            Self::StoppedAtOnce => f.write_str("stopped at once, on the second signal"),
            Self::DoesNotStop { after } => write!(f, "the worker did not stop within {} s; killed", after.as_secs()),
        }
    }
}

/// `was killed by SIGSEGV`, `exited with status 1`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Killed(signal) => match NAMES.iter().find(|(number, _)| number == signal) {
                Some((_, name)) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {signal}"),
            },
        }
    }
}

/// signal(7): those numbers that are the same on every architecture that Linux names so.
const NAMES: &[(i32, &str)] = &[
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
];
