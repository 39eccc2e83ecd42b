//! What goes wrong with connections, into the log: of each service and kind one line at once, the rest as a sum once a
//! minute. Whoever floods a service does not flood the log.

use super::room::Full;
use crate::system::quiet::{LOOK, Quiet, say};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use vipward_core::check::Shortage;
use vipward_core::decision::LogLevel;
use vipward_core::ipvs::ServiceKey;
use vipward_core::time::Instant;

/// What a connection was cut for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overdue {
    Idle,
    HalfClosed,
    Stalled,
}

/// One kind of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complaint {
    Full(Full),
    /// Nothing can be accepted.
    Accepting(String),
    /// A real server can't be reached for want of something here.
    Connecting(Shortage),
    Cut(Overdue),
}

impl Complaint {
    fn level(&self) -> LogLevel {
        match self {
            Self::Accepting(_) | Self::Connecting(_) => LogLevel::Error,
            Self::Full(_) | Self::Cut(Overdue::Stalled) => LogLevel::Warning,
            Self::Cut(Overdue::Idle | Overdue::HalfClosed) => LogLevel::Info,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Full(_) => 0,
            Self::Accepting(_) => 1,
            Self::Connecting(_) => 2,
            Self::Cut(Overdue::Idle) => 3,
            Self::Cut(Overdue::HalfClosed) => 4,
            Self::Cut(Overdue::Stalled) => 5,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(Full::Own(connections)) => {
                write!(f, "{connections} connections, as many as `connections` allows: new ones wait to be accepted")
            }
            Self::Full(Full::Shared(connections)) => write!(
                f,
                "{connections} connections, and the descriptors of this process (RLIMIT_NOFILE) are enough for no more \
                 beside other services and probes: new ones wait to be accepted"
            ),
            Self::Accepting(error) => write!(f, "nothing can be accepted: {error}"),
            Self::Connecting(shortage) => write!(f, "a real server can't be connected to: {shortage}"),
            Self::Cut(Overdue::Idle) => f.write_str("a connection was cut: no byte within idle_timeout"),
            Self::Cut(Overdue::HalfClosed) => {
                f.write_str("a connection that one side had ended was cut: no byte within half_close_timeout")
            }
            Self::Cut(Overdue::Stalled) => {
                f.write_str("a connection was cut: one side took nothing of what waited for it within stall_timeout")
            }
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<Quiet<(ServiceKey, u8)>>);

impl Complaints {
    pub fn tell(&self, key: ServiceKey, complaint: &Complaint, now: Instant) {
        let level = complaint.level();
        let line = format!("{key}: {complaint}");
        let mut quiet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet.admits((key, complaint.kind()), 1, now, || (level, line.clone())) {
            say(level, &line);
        }
    }

    fn sums(&self, now: Instant) {
        for (level, line) in self.0.lock().unwrap_or_else(PoisonError::into_inner).due(now) {
            say(level, &line);
        }
    }
}

/// Tells the sums until the relay is gone.
pub async fn tell_sums(state: Weak<super::State>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(state): Option<Arc<super::State>> = state.upgrade() else { return };
        state.complaints.sums(state.now());
    }
}
