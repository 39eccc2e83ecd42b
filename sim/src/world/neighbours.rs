//! Neighbour caches: who a host believes holds an address.
//!
//! Rules, after Linux: an entry is believed for 15 to 45 s after it was last confirmed, even when its holder is long dead: each
//! host draws its own time, half to one and a half times `base_reachable_time`. The next packet still goes there, and for 5 s
//! more (`delay_first_probe_time`); then its holder is asked three times, a second each, and stays if it answers. Else
//! everybody is asked. A connection that goes on confirms the entry, so that hosts that talk to each other ask seldom. A gratuitous
//! ARP changes an entry that is there and makes none (`arp_accept = 0`); an address that is being asked for has an entry: what
//! waits for it is sent at once. If several answer, the nearest counts; of equally near ones the first in the order of
//! the nodes if all are directors, else who comes first is chance. An unsolicited neighbour advertisement does to an IPv6
//! entry what gratuitous ARP does (`accept_untracked_na = 0`).

use super::World;
use super::node::State;
use crate::scenario::{NodeId, SegmentId};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::net::IpAddr;
use vipward_core::time::{Duration, Instant};

/// How long an entry is believed, in the mean (`base_reachable_time`).
const REACHABLE: Duration = Duration::from_secs(30);

/// How long one that is used after that is believed before its holder is asked (`delay_first_probe_time`).
const DELAY: Duration = Duration::from_secs(5);

/// How long its holder is asked (`ucast_solicit`, three times, `retrans_time`, a second each).
const PROBES: Duration = Duration::from_secs(3);

/// How long a host can believe a holder that is gone and says nothing.
pub(crate) const LONGEST_BELIEF: Duration = REACHABLE
    .saturating_mul(3)
    .saturating_add(DELAY.saturating_mul(2))
    .saturating_add(PROBES.saturating_mul(2))
    .checked_div(2)
    .unwrap();

/// How long a host asks for an address before it gives up (`mcast_solicit`, three times, `retrans_time`, a second each).
const ASKS: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    pub holder: NodeId,
    pub confirmed: Instant,
    /// When a packet was first sent there after it was not believed any more.
    doubted: Option<Instant>,
}

impl Neighbour {
    fn new(holder: NodeId, now: Instant) -> Self {
        Self { holder, confirmed: now, doubted: None }
    }
}

impl World {
    /// Some switch lets no gratuitous ARP through.
    pub fn drops_garp(&self) -> bool {
        !self.drops_garp.is_empty()
    }

    pub(super) fn neighbour(&self, asker: NodeId, address: IpAddr) -> Option<Neighbour> {
        self.neighbours.get(&address)?.get(&asker).copied()
    }

    /// What every host has in its cache, old entries too.
    pub(crate) fn believed(&self) -> BTreeMap<(NodeId, IpAddr), NodeId> {
        let each = |(address, known): (&IpAddr, &BTreeMap<NodeId, Neighbour>)| {
            let address = *address;
            known.iter().map(move |(asker, entry)| ((*asker, address), entry.holder)).collect::<Vec<_>>()
        };
        self.neighbours.iter().flat_map(each).collect()
    }

    /// Who `asker` sends a packet for `address` to.
    pub(super) fn resolve(&mut self, asker: NodeId, address: IpAddr, segment: SegmentId) -> Option<NodeId> {
        let known = self.neighbour(asker, address);
        let answers =
            |world: &Self, id: NodeId| world.answers_arp(id, address) && world.link(asker, id, segment).is_some();
        let mut asked = None;
        if let Some(entry) = known {
            let now = self.now;
            if now.since(entry.confirmed) < self.believes(asker) {
                return Some(entry.holder);
            }
            let doubted = entry.doubted.unwrap_or(now);
            let probed = now.since(doubted) >= DELAY;
            asked = Some(entry.holder).filter(|id| probed && answers(self, *id));
            if asked.is_none() && now.since(doubted) < DELAY + PROBES {
                if let Some(entry) = self.neighbours.get_mut(&address).and_then(|known| known.get_mut(&asker)) {
                    entry.doubted = Some(doubted);
                }
                return Some(entry.holder);
            }
        }
        let holder = asked.or_else(|| {
            let holders: Vec<(Duration, NodeId)> = self
                .ids()
                .filter(|id| *id != asker && answers(self, *id))
                .filter_map(|id| self.link(id, asker, segment).map(|back| (back.delay, id)))
                .collect();
            self.first_to_answer(asker, &holders)
        });
        match holder {
            Some(holder) => {
                let entry = Neighbour::new(holder, self.now);
                self.neighbours.entry(address).or_default().insert(asker, entry);
            }
            None => {
                if let Some(known) = self.neighbours.get_mut(&address) {
                    known.remove(&asker);
                }
                let (now, asked) = (self.now, self.asked_for.entry((address, asker)).or_insert(self.now));
                if now.since(*asked) >= ASKS {
                    *asked = now;
                }
            }
        }
        if holder.is_some() {
            self.asked_for.remove(&(address, asker));
        }
        holder
    }

    /// The nearest of those who answer a question. Among equally near ones chance decides if a host of them is no director, else
    /// their order.
    fn first_to_answer(&self, asker: NodeId, holders: &[(Duration, NodeId)]) -> Option<NodeId> {
        let nearest = holders.iter().min()?.0;
        let mut equal = holders.iter().filter(|(delay, _)| *delay == nearest).map(|(_, id)| *id);
        if equal.clone().all(|id| self.director(id).is_some()) {
            return equal.min();
        }
        let first = self.chance(asker, self.now.as_nanos()).random_range(0..equal.clone().count());
        equal.nth(first)
    }

    /// What a host draws by itself; `about` tells its draws apart.
    pub(super) fn chance(&self, asker: NodeId, about: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003) ^ (asker.0 as u64) << 16 ^ about)
    }

    /// How long this host believes an entry that nobody confirms.
    fn believes(&self, asker: NodeId) -> Duration {
        let mut dice = self.chance(asker, 0);
        REACHABLE * dice.random_range(500..1500) / 1000
    }

    /// Whether it asks for an address that nobody answers for.
    pub(super) fn asks_for(&self, asker: NodeId, address: IpAddr) -> bool {
        self.asked_for.contains_key(&(address, asker))
    }

    /// An answer came from there: the entry is good.
    pub(super) fn confirm(&mut self, asker: NodeId, address: IpAddr, holder: NodeId) {
        let now = self.now;
        if let Some(entry) = self.neighbours.get_mut(&address).and_then(|known| known.get_mut(&asker))
            && entry.holder == holder
        {
            *entry = Neighbour::new(holder, now);
        }
    }

    /// A gratuitous ARP for `address` by `from`: whoever hears it and has an entry, changes it.
    pub(super) fn gratuitous_arp(&mut self, from: NodeId, address: IpAddr, segment: SegmentId) {
        if self.drops_garp.contains(&segment) {
            return;
        }
        let known = self.neighbours.get(&address).into_iter().flat_map(|known| known.keys().copied());
        let asking =
            self.asked_for.iter().filter(|((asked, _), since)| *asked == address && self.now.since(**since) < ASKS);
        let mut askers: Vec<NodeId> = known.chain(asking.map(|((_, id), _)| *id)).filter(|id| *id != from).collect();
        askers.sort();
        askers.dedup();
        for id in askers {
            let Some(quality) = self.link(from, id, segment) else { continue };
            if self.send(from, id, quality).is_ok() {
                let entry = Neighbour::new(from, self.now);
                self.neighbours.entry(address).or_default().insert(id, entry);
                if let Some(since) = self.asked_for.remove(&(address, id)) {
                    self.send_what_waits(address, since);
                }
            }
        }
    }

    /// Linux answers for every address that it has, on whichever interface (`arp_ignore = 0`), daemon or not.
    fn answers_arp(&self, id: NodeId, address: IpAddr) -> bool {
        let node = self.node(id);
        // The router's own addresses only say which networks it joins.
        let router = self.router() == Some(id);
        node.on_network()
            && !router
            && (node.own(address)
                || match &node.state {
                    State::Director(director) => director.kernel.addresses.holds(address),
                    State::Server(_) | State::Other => false,
                })
    }
}
