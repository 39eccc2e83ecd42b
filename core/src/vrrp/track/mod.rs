//! What virtual routers track, and what that does to them.
//!
//! A tracker is an identity ([`TrackerId`]), a [`Reading`], and its users with their weights. Where readings come from is a
//! matter of its kind, which has a file of its own here: scripts are run, interfaces are told by the kernel, files are read,
//! processes are counted. Everything else is the same for all kinds.

pub mod file;
pub mod interface;
pub mod process;
pub mod script;

pub use crate::config::Reading;

use crate::config::{TrackWeight, Tracked, TrackerId, VirtualRouterConfig, Weighed};
use crate::decision::{PriorityCause, RoleCause};
use crate::quantity::Priority;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One tracked thing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tracker {
    reading: Reading,
    /// What a weight counts with while nothing is known.
    presumed: Reading,
    /// Places of the virtual routers that track it, each once.
    users: Vec<usize>,
}

/// All that any virtual router of this director tracks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Trackers {
    all: BTreeMap<TrackerId, Tracker>,
}

impl Trackers {
    /// Of these virtual routers, in their order. Readings of what is tracked still stay.
    pub fn load<'a>(&mut self, routers: impl Iterator<Item = &'a VirtualRouterConfig>) {
        let mut before = std::mem::take(&mut self.all);
        for (place, router) in routers.enumerate() {
            for Tracked { what, .. } in &router.tracking.list {
                let fresh = || Tracker { users: Vec::new(), ..before.remove(what).unwrap_or_default() };
                let users = &mut self.all.entry(what.clone()).or_insert_with(fresh).users;
                if users.last() != Some(&place) {
                    users.push(place);
                }
            }
        }
    }

    /// What is tracked.
    pub fn ids(&self) -> impl Iterator<Item = &TrackerId> {
        self.all.keys()
    }

    /// What a weight counts with as long as nothing is known.
    pub fn presume(&mut self, what: &TrackerId, presumed: Reading) {
        if let Some(tracker) = self.all.get_mut(what) {
            tracker.presumed = presumed;
        }
    }

    /// Takes a reading. The places of the virtual routers that it concerns: none if it says nothing new.
    pub fn read(&mut self, what: &TrackerId, reading: Reading) -> Vec<usize> {
        match self.all.get_mut(what) {
            Some(tracker) if tracker.reading != reading => {
                tracker.reading = reading;
                tracker.users.clone()
            }
            Some(_) | None => Vec::new(),
        }
    }

    pub fn reading(&self, what: &TrackerId) -> Reading {
        self.all.get(what).map_or(Reading::Unknown, |tracker| tracker.reading)
    }

    /// What everything that a router tracks makes of it.
    pub fn standing(&self, router: &VirtualRouterConfig) -> Tracks {
        let mut standing = Tracks::Well;
        for Tracked { what, weight } in &router.tracking.list {
            match self.weigh(what, *weight) {
                Weighed::Fault => {
                    return Tracks::Faulty(match (what, self.reading(what)) {
                        (TrackerId::File(file), Reading::Number(number)) => {
                            RoleCause::FileHolds { file: file.clone(), number, weight: *weight }
                        }
                        // All else is up or down.
                        _ => RoleCause::Tracked { what: what.clone(), up: weight.reverse },
                    });
                }
                Weighed::Unknown => standing = Tracks::Unknown,
                Weighed::Adds(_) => {}
            }
        }
        standing
    }

    /// A router's effective priority ([`Priority::weighed`]).
    pub fn priority(&self, router: &VirtualRouterConfig) -> Priority {
        let list = router.tracking.list.iter();
        router.priority.weighed(list.map(|Tracked { what, weight }| self.weigh(what, *weight)))
    }

    /// Why the effective priority is not the configured one: the first that adds to it, or takes from it.
    pub fn first_cause(&self, router: &VirtualRouterConfig) -> Option<PriorityCause> {
        router.tracking.list.iter().find_map(|tracked| match self.weigh(&tracked.what, tracked.weight) {
            Weighed::Adds(0) | Weighed::Fault | Weighed::Unknown => None,
            Weighed::Adds(_) => Some(self.cause(tracked)),
        })
    }

    /// What a reading of this one says about a priority.
    pub fn cause(&self, Tracked { what, weight }: &Tracked) -> PriorityCause {
        let reading = self.reading(what);
        if let (TrackerId::File(file), Reading::Number(number)) = (what, reading) {
            return PriorityCause::FileHolds { file: file.clone(), number, weight: weight.weight };
        }
        let up = reading == Reading::Up;
        PriorityCause::Tracked { what: what.clone(), up, weight: weight.weight }
    }

    /// What a reading of it means for a router with this weight.
    pub fn weigh(&self, what: &TrackerId, weight: TrackWeight) -> Weighed {
        let Some(tracker) = self.all.get(what) else { return Weighed::Adds(0) };
        weight.weigh(tracker.reading, tracker.presumed)
    }
}

/// What all that a virtual router tracks makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracks {
    Well,
    /// One with weight 0 has not said anything yet.
    Unknown,
    Faulty(RoleCause),
}
