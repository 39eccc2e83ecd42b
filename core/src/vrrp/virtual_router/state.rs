//! What a virtual router is, and what it knows and waits for as that.

use crate::limit::Allowance;
use crate::quantity::AdvertInterval;
use crate::time::{Duration, Instant};
use crate::vrrp::announce::Announcements;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// RFC 9568 6.4, and FAULT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Initialize: not started, stopped, or waiting for what a tracked script says first.
    Init,
    Backup(Backup),
    Master(Master),
    Fault,
}

/// What a BACKUP knows and waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Master_Down_Timer, Active_Down_Timer in RFC 9568.
    pub down_at: Instant,
    /// What it was set to.
    pub waits: Duration,
    /// Active_Adver_Interval: the MASTER's, once heard.
    pub active_interval: AdvertInterval,
    pub heard: Heard,
    /// `preempt_delay`: until then a MASTER of lower priority is left in peace.
    pub preempt_at: Option<Instant>,
    /// The timer was already set anew once because it was long overdue.
    pub slept: bool,
}

/// The last that a BACKUP heard; the cause when it takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    Nobody,
    /// A MASTER to which we yield.
    Active {
        source: IpAddr,
        at: Instant,
    },
    /// Its priority 0.
    Stopped {
        source: IpAddr,
        skew: Duration,
    },
    /// A MASTER that is about to be preempted.
    Lower {
        source: IpAddr,
        priority: u8,
    },
}

/// What a MASTER does by the clock. Written in estates, as [`Backup`] is: whatever is added needs a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// Adver_Timer.
    pub advertise_at: Instant,
    /// When the last advert left: the others count from then.
    pub last_advert: Instant,
    pub announcements: Announcements,
    /// It has the addresses. Always so by VRRP alone; by a lease only while that is surely its own.
    #[serde(default)]
    pub holds: bool,
    /// Since when another one has the lease; said already: that it has, and that it goes on without the quorum service.
    #[serde(default)]
    pub held_since: Option<Instant>,
    #[serde(default)]
    pub told_held: bool,
    #[serde(default)]
    pub told_kept: bool,
    /// Adverts that answer those of other MASTERs.
    #[serde(default)]
    pub answers: Allowance,
}
