//! What virtual routers track, and what that does to them.
//!
//! A tracker is an identity ([`TrackerId`]), a [`Reading`], and its users with their weights. Where readings come from is a
//! matter of its kind, which has a file of its own here: scripts are run, interfaces are told by the kernel. Everything
//! else is the same for all kinds.

pub mod interface;
pub mod script;

use crate::config::{TrackWeight, Tracked, TrackerId, VirtualRouterConfig};
use crate::decision::{PriorityCause, RoleCause};
use crate::quantity::Priority;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is known of a tracked thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// It has not said anything yet.
    #[default]
    Unknown,
    Up,
    Down,
}

impl Reading {
    pub fn of(up: bool) -> Self {
        if up { Self::Up } else { Self::Down }
    }
}

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
            match self.verdict(what, *weight) {
                Verdict::Fault => return Tracks::Faulty(RoleCause::Tracked { what: what.clone(), up: weight.reverse }),
                Verdict::Unknown => standing = Tracks::Unknown,
                Verdict::Adds(_) => {}
            }
        }
        standing
    }

    /// A router's effective priority: 1..=254, unless it is the address owner, whose 255 nothing changes.
    pub fn priority(&self, router: &VirtualRouterConfig) -> Priority {
        if router.priority == Priority::OWNER {
            return Priority::OWNER;
        }
        let added: i32 = router
            .tracking
            .list
            .iter()
            .map(|Tracked { what, weight }| match self.verdict(what, *weight) {
                Verdict::Adds(added) => i32::from(added),
                Verdict::Fault | Verdict::Unknown => 0,
            })
            .sum();
        let priority = (i32::from(router.priority.get()) + added).clamp(1, 254);
        u8::try_from(priority).ok().and_then(Priority::new).unwrap_or(router.priority)
    }

    /// Why the effective priority is not the configured one: the first that adds to it, or takes from it.
    pub fn first_cause(&self, router: &VirtualRouterConfig) -> Option<PriorityCause> {
        router.tracking.list.iter().find_map(|tracked| match self.verdict(&tracked.what, tracked.weight) {
            Verdict::Adds(0) | Verdict::Fault | Verdict::Unknown => None,
            Verdict::Adds(_) => Some(self.cause(tracked)),
        })
    }

    /// What a reading of this one says about a priority.
    pub fn cause(&self, Tracked { what, weight }: &Tracked) -> PriorityCause {
        let up = self.reading(what) == Reading::Up;
        PriorityCause::Tracked { what: what.clone(), up, weight: weight.weight }
    }

    fn verdict(&self, what: &TrackerId, weight: TrackWeight) -> Verdict {
        let Some(tracker) = self.all.get(what) else { return Verdict::Adds(0) };
        Verdict::of(tracker.reading, tracker.presumed, weight)
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

/// What one reading means for one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Weight 0, and it says no: FAULT.
    Fault,
    /// Weight 0, and nothing is known.
    Unknown,
    /// This is added to the priority.
    Adds(i16),
}

impl Verdict {
    /// A positive weight is added while it is up, a negative one while it is down; `reverse` turns the change round
    /// (keepalived 2.2.7: `weight 20 reverse` takes 20 off while it is up). Weight 0: down means FAULT, reversed: up does.
    fn of(reading: Reading, presumed: Reading, TrackWeight { weight, reverse }: TrackWeight) -> Self {
        let up = |reading| match reading {
            Reading::Unknown => None,
            Reading::Up => Some(true),
            Reading::Down => Some(false),
        };
        match (weight, up(reading)) {
            (0, None) => Self::Unknown,
            (0, Some(up)) if up == reverse => Self::Fault,
            (0, Some(_)) => Self::Adds(0),
            (weight, known) => {
                let counts = known.or(up(presumed)).is_some_and(|up| up == (weight > 0));
                let added = if counts { weight } else { 0 };
                Self::Adds(if reverse { -added } else { added })
            }
        }
    }
}
