//! Which checker is due when: an ordered queue, so that the next one is found without looking at all of them.

use crate::ipvs::VirtualServerId;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Where a checker stands in the configuration of now. A reload fills the queue anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CheckerPlace {
    pub service: VirtualServerId,
    pub server: SocketAddr,
    /// Position among the real server's checkers.
    pub checker: u32,
}

/// Every checker without an attempt under way, exactly once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProbeQueue(BTreeSet<(Instant, CheckerPlace)>);

impl ProbeQueue {
    /// Queues a checker; one that is not due at any time has an attempt under way.
    pub fn push(&mut self, due: Option<Instant>, place: CheckerPlace) {
        self.0.extend(due.map(|at| (at, place)));
    }

    /// Takes a checker out.
    pub fn remove(&mut self, due: Option<Instant>, place: CheckerPlace) {
        if let Some(at) = due {
            self.0.remove(&(at, place));
        }
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the next one, if it is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<CheckerPlace> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, place)| place)
    }
}
