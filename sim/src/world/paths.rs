//! Which packets arrive.
//!
//! Rules: nodes on one segment hear each other. A router (`routed`) joins segments for everything that is not
//! multicast, ARP or IPVS direct routing. A packet needs power and a plugged cable at both ends and no cut on its way;
//! then it is lost with the greatest share of the segment and of the faults that fit its way, and late by their sum.

use super::World;
use super::faults::ImpairedPath;
use crate::scenario::{Impairment, NodeId, NodeKind, Party, SegmentId, Share};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::net::IpAddr;
use vipward_core::time::{Duration, Instant};

/// What a packet meets on an open way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    pub loss: Share,
    pub delay: Duration,
    /// Late by as much again, drawn anew for each packet.
    pub jitter: Duration,
    pub duplicate: Share,
}

impl Quality {
    /// Nothing is lost or late.
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }

    fn then(self, next: Self) -> Self {
        Self {
            loss: self.loss.max(next.loss),
            delay: self.delay + next.delay,
            jitter: self.jitter + next.jitter,
            duplicate: self.duplicate.max(next.duplicate),
        }
    }
}

/// Why a packet does not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// In words, with the names of nodes.
    NoWay(String),
    /// Drawn by lot.
    Chance,
}

impl World {
    /// The way between two nodes on one segment, in this direction; none when it is closed.
    pub fn link(&self, from: NodeId, to: NodeId, segment: SegmentId) -> Option<Quality> {
        let attached = |id| self.node(id).attached(segment);
        if from == to {
            return attached(from).then(Quality::default);
        }
        if !attached(from) || !attached(to) {
            return None;
        }
        let plan = self.plan.segments.get(segment.0)?;
        let mut quality = Quality { loss: plan.loss, delay: plan.delay, ..Quality::default() };
        for rule in self.rules.iter().filter(|rule| rule.fits(from, to, segment)) {
            match rule.impairment {
                Impairment::Cut => return None,
                Impairment::Lose(share) => quality.loss = quality.loss.max(share),
                Impairment::Delay(delay) => quality.delay += delay,
                Impairment::Jitter(jitter) => quality.jitter += jitter,
                Impairment::Duplicate(share) => quality.duplicate = quality.duplicate.max(share),
            }
        }
        Some(quality)
    }

    /// Some way is closed, lossy or slow, by a fault or by its plan.
    pub fn impaired(&self) -> bool {
        !self.rules.is_empty()
            || self.quorum_away()
            || self.plan.segments.iter().any(|segment| segment.loss > Share(0) || !segment.delay.is_zero())
    }

    /// The segments that two nodes share, in the order of the scenario.
    pub fn shared_segments(&self, a: NodeId, b: NodeId) -> Vec<SegmentId> {
        self.node(a).segments.iter().copied().filter(|segment| self.on_segment(b, *segment)).collect()
    }

    pub fn on_segment(&self, id: NodeId, segment: SegmentId) -> bool {
        self.node(id).segments.contains(&segment)
    }

    /// The way by IP: over a shared segment, else through the router.
    pub fn route(&self, from: NodeId, to: NodeId) -> Option<Quality> {
        let shared = self.shared_segments(from, to);
        if from == to || !shared.is_empty() {
            return shared.into_iter().find_map(|segment| self.link(from, to, segment));
        }
        let router = self.router()?;
        let hop = |a, b| self.shared_segments(a, b).into_iter().find_map(|segment| self.link(a, b, segment));
        Some(hop(from, router)?.then(hop(router, to)?))
    }

    /// The way through the router to the port that a node has on that segment.
    pub(super) fn routed(&self, from: NodeId, to: NodeId, segment: SegmentId) -> Option<Quality> {
        let router = self.router()?;
        let first = self.shared_segments(from, router).into_iter().find_map(|segment| self.link(from, router, segment));
        Some(first?.then(self.link(router, to, segment)?))
    }

    /// Both ways are open.
    pub fn reachable(&self, a: NodeId, b: NodeId) -> bool {
        self.route(a, b).is_some() && self.route(b, a).is_some()
    }

    pub(super) fn router(&self) -> Option<NodeId> {
        self.plan.nodes.iter().position(|node| matches!(node.kind, NodeKind::Router)).map(NodeId)
    }

    /// The segment on which `id` reaches `address` without a router: the first whose prefix holds it.
    pub(super) fn on_link(&self, id: NodeId, address: IpAddr) -> Option<SegmentId> {
        let node = self.node(id);
        node.ports
            .iter()
            .find(|port| port.address.is_some_and(|(own, len)| in_prefix(address, own, len)))
            .map(|port| port.segment)
    }

    /// Draws whether a packet is lost on its way, and if not, when it arrives.
    pub(super) fn send(&mut self, from: NodeId, to: NodeId, quality: Quality) -> Result<Instant, Lost> {
        if self.happens(from, to, quality.loss) {
            return Err(Lost::Chance);
        }
        let mut late = quality.delay;
        if !quality.jitter.is_zero() {
            let most = u64::try_from(quality.jitter.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            late += Duration::from_millis(self.dice(from, to).next_u64() % most);
        }
        self.slowest = self.slowest.max(late);
        Ok(self.now + late)
    }

    /// Draws by lot. What happens never costs no number.
    pub(super) fn happens(&mut self, from: NodeId, to: NodeId, share: Share) -> bool {
        share > Share(0) && self.dice(from, to).next_u32() % 1000 < u32::from(share.0)
    }

    fn dice(&mut self, from: NodeId, to: NodeId) -> &mut ChaCha8Rng {
        self.dice.entry((from, to)).or_insert_with(|| {
            let mut dice = ChaCha8Rng::seed_from_u64(self.seed);
            dice.set_stream(((from.0 as u64) << 32) | to.0 as u64);
            dice
        })
    }
}

impl World {
    /// Draws for one packet there and one back: how late the answer is.
    pub fn round_trip(&mut self, from: NodeId, to: NodeId) -> Result<Duration, Lost> {
        let mut late = Duration::ZERO;
        for (a, b) in [(from, to), (to, from)] {
            let quality = self
                .route(a, b)
                .ok_or_else(|| Lost::NoWay(format!("no way from {} to {}", self.name(a), self.name(b))))?;
            late += self.send(a, b, quality)?.since(self.now);
        }
        Ok(late)
    }
}

/// Whether `address` lies in the network of `own`/`len`.
pub(super) fn in_prefix(address: IpAddr, own: IpAddr, len: u8) -> bool {
    match (address, own) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let host = 32_u32.saturating_sub(u32::from(len));
            u32::from(a).checked_shr(host) == u32::from(b).checked_shr(host)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let host = 128_u32.saturating_sub(u32::from(len));
            u128::from(a).checked_shr(host) == u128::from(b).checked_shr(host)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

impl ImpairedPath {
    fn fits(&self, from: NodeId, to: NodeId, segment: SegmentId) -> bool {
        let party = |party, node| match party {
            Party::Any => true,
            Party::Node(id) => id == node,
            Party::Segment(id) => id == segment,
        };
        party(self.from, from) && party(self.to, to)
    }
}
