//! What a running director answers when it is asked how it is: `vipward status`.
//!
//! A machine is asked between two events, and answers out of what it knows at that instant ([`Shows::status`]). What it does
//! not know itself, since when and why something is so, [`Shown`] reads off the events and decisions that go by, as the log
//! does, whether somebody asks or not: a few look-ups for each packet, probe and decision. Nothing here decides anything, and
//! nothing is recorded.
//!
//! Every time is an age or a wait in milliseconds, so an answer needs no clock of its own to be read.

mod balancer;
mod election;
mod history;
mod shown;

pub use balancer::{
    BalancerStatus, CheckerStatus, DrainStatus, QuorumStatus, RealServerStatus, ResultStatus, VirtualServerStatus,
};
pub use election::{
    AddressStatus, ElectionStatus, HeardStatus, IgnoredStatus, LeaseStatus, NextStatus, PacketCounts, RoleCounts,
    RouteStatus, RouterSettings, RouterStatus, RuleStatus, StaticsStatus, TrackedStatus, TrackerStatus,
};
pub use history::{DecisionStatus, History, KEPT};
pub use shown::{Audience, Shown, Shows};

use crate::mail::MailStatus;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// The version of the answer's form: it goes up when a field changes its meaning or goes away. New fields don't count.
pub const FORMAT: u32 = 1;

/// What both machines answer, and whose answer it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`FORMAT`].
    pub format: u32,
    /// The director's name (`-i`, or the host's).
    pub director: String,
    /// The program's version.
    pub version: String,
    /// The worker's process.
    pub pid: u32,
    /// For how long this worker has run. An upgrade or a death begins a new one.
    pub up_ms: u64,
    /// The file that it runs.
    pub file: String,
    /// `None`: the Election did not answer within [`Self::waited_ms`], and its roles are not known.
    pub election: Option<ElectionStatus>,
    /// `None`: the same of the Balancer.
    pub balancer: Option<BalancerStatus>,
    /// Mail that is sent, and that waits. Earlier versions say nothing of it.
    #[serde(default)]
    pub mail: Option<MailStatus>,
    /// How long the answer took to come together.
    pub waited_ms: u64,
}

/// Since when something is as it is, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub at: Instant,
    pub why: String,
}

/// Whole milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long ago that was.
pub fn age(at: Instant, now: Instant) -> u64 {
    millis(now.since(at))
}
