//! One virtual router on all its nodes, as nothing but numbers, and what an election makes of every outcome of what they
//! track.
//!
//! The rules are RFC 9568 6.4 as the Election carries them out: a MASTER keeps the addresses until it is in FAULT or hears
//! a higher priority from a node that preempts; an equal one takes nothing over.

use crate::config::tracking::{Reading, Weighed};
use crate::config::{TrackWeight, VirtualRouterConfig};
use crate::quantity::Priority;

/// Trackers of one node, or of all nodes where there are three or more, up to which every combination of outcomes is looked
/// at: 4096 of them.
pub const MOST: usize = 12;

/// One virtual router on all its nodes. Two that are equal have the same claims.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Situation {
    pub nodes: Vec<Numbers>,
}

/// One virtual router on one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Numbers {
    /// As configured.
    pub priority: Priority,
    pub preempts: bool,
    pub trackers: Vec<Weight>,
}

/// What one tracked thing does on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight {
    /// The same number on two nodes: the same name.
    pub what: usize,
    pub weight: TrackWeight,
}

/// Trackers of one node that fail, by their places: bit 0 is the first.
pub type Failed = u64;

impl Numbers {
    pub fn of(router: &VirtualRouterConfig, trackers: Vec<Weight>) -> Self {
        Self { priority: router.priority, preempts: router.preempts(), trackers }
    }

    /// The effective priority while these fail; `None`: FAULT.
    pub fn while_fails(&self, fails: impl Fn(usize) -> bool) -> Option<Priority> {
        let weighed = |(place, Weight { weight, .. }): (usize, &Weight)| {
            let reading = if fails(place) { weight.failure() } else { weight.success() };
            weight.weigh(reading, Reading::Unknown)
        };
        let weighed = || self.trackers.iter().enumerate().map(weighed);
        let fault = weighed().any(|weighed| weighed == Weighed::Fault);
        (!fault).then(|| self.priority.weighed(weighed()))
    }

    /// While all is well: never FAULT.
    pub fn well(&self) -> Priority {
        self.while_fails(|_| false).unwrap_or(self.priority)
    }

    /// The places of trackers with a weight that counts.
    pub fn weighted(&self) -> impl Iterator<Item = usize> {
        let counts = self.priority != Priority::OWNER;
        let places = self.trackers.iter().enumerate();
        places.filter(move |(_, it)| counts && it.weight.weight != 0).map(|(place, _)| place)
    }

    /// Where it tracks this one.
    pub fn place_of(&self, what: usize) -> Option<usize> {
        self.trackers.iter().position(|it| it.what == what)
    }

    /// Each combination of these places that fail, none of them first. More than [`MOST`] places: each alone, and all; of
    /// the first 64, as more have no bit.
    pub fn combinations(places: &[usize]) -> Vec<Failed> {
        let bit = |place: &usize| 1u64.checked_shl(u32::try_from(*place).unwrap_or(u32::MAX)).unwrap_or(0);
        if places.len() <= MOST {
            let mut all = vec![0];
            for place in places {
                let with: Vec<Failed> = all.iter().map(|failed| failed | bit(place)).collect();
                all.extend(with);
            }
            all.sort_by_key(|failed| failed.count_ones());
            return all;
        }
        let every = places.iter().fold(0, |all, place| all | bit(place));
        std::iter::once(0).chain(places.iter().map(bit)).chain([every]).collect()
    }
}

/// Whether this place is among those that fail.
pub fn has(failed: Failed, place: usize) -> bool {
    u32::try_from(place).ok().and_then(|place| failed.checked_shr(place)).is_some_and(|rest| rest & 1 == 1)
}

impl Situation {
    /// The greatest priority among the well nodes beside this one of those for which it holds, and whose it is.
    pub fn best_peer(&self, node: usize, holds: impl Fn(&Numbers) -> bool) -> Option<(Priority, usize)> {
        let peers = self.nodes.iter().enumerate().filter(|(place, peer)| *place != node && holds(peer));
        // Of equal ones the first.
        peers.map(|(place, peer)| (peer.well(), place)).max_by_key(|(priority, place)| (*priority, usize::MAX - place))
    }

    /// Whether a MASTER on this node with this priority stays, when every other node is well.
    pub fn stays(&self, node: usize, priority: Option<Priority>) -> bool {
        let Some(priority) = priority else { return false };
        self.best_peer(node, |peer| peer.preempts).is_none_or(|(theirs, _)| theirs <= priority)
    }

    /// The nodes that may be MASTER while all is well. More than one where priorities are equal, or by `nopreempt`.
    pub fn masters(&self) -> Vec<usize> {
        let stays = |(place, node): (usize, &Numbers)| self.stays(place, Some(node.well())).then_some(place);
        self.nodes.iter().enumerate().filter_map(stays).collect()
    }

    /// Whether the failure of one tracker takes the addresses from this node while all else is well.
    pub fn moves(&self, node: usize, tracker: usize) -> bool {
        let priority = self.nodes.get(node).and_then(|it| it.while_fails(|place| place == tracker));
        !self.stays(node, priority)
    }

    /// The same with another weight of this tracker on this node, and on every node that tracks it with the same weight: one
    /// line in a file that was copied.
    pub fn with_weight(&self, node: usize, tracker: usize, weight: TrackWeight) -> Self {
        let mut other = self.clone();
        let old = self.nodes.get(node).and_then(|it| it.trackers.get(tracker)).copied();
        let same = other.nodes.iter_mut().flat_map(|it| &mut it.trackers).filter(|it| Some(**it) == old);
        same.for_each(|it| it.weight = weight);
        other
    }
}
