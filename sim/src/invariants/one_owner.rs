//! At most one owner per address among directors that hear each other.
//!
//! Two MASTERs that hear each other are one MASTER after the next advert (RFC 9568 6.4.3), so they have one
//! Advertisement_Interval; one more for each advert that a fault swallows meanwhile. A director that does not run hears
//! nothing: what a killed daemon left in its kernel is not its claim any more.

use super::changes::{Changed, Changes};
use super::{Invariant, MARGIN, MOMENT, by_the_slowest_clock, secs};
use crate::scenario::NodeId;
use crate::world::{Layout, World};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::ONE_OWNER;

#[derive(Default)]
pub struct OneOwner {
    both: BTreeMap<(IpAddr, NodeId, NodeId), Both>,
    changes: Changes,
}

/// Two hold one address.
struct Both {
    since: Instant,
    lost_before: u64,
    reported: bool,
}

impl Invariant for OneOwner {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        match self.changes.since(world) {
            Changed::Nothing => {}
            Changed::Addresses(addresses) => {
                for address in addresses {
                    self.look(world, address, &mut BTreeMap::new());
                }
            }
            Changed::Everything => {
                let mut before = std::mem::take(&mut self.both);
                for address in world.layout().addresses() {
                    self.look(world, address, &mut before);
                }
            }
        }
        let mut broken = Vec::new();
        if self.both.is_empty() {
            return broken;
        }
        let mut patience = Patience::new(world);
        for ((address, a, b), both) in self.both.iter_mut().filter(|(_, both)| !both.reported) {
            let allowed = patience.allowed(*address, *a, *b, both);
            if world.now().since(both.since) > allowed {
                both.reported = true;
                broken.push(format!(
                    "{} and {} both hold {address} since {} s though they hear each other; {} is allowed",
                    world.name(*a),
                    world.name(*b),
                    both.since,
                    secs(allowed)
                ));
            }
        }
        broken
    }

    fn next(&self, world: &World) -> Option<Instant> {
        if self.both.is_empty() {
            return None;
        }
        let mut patience = Patience::new(world);
        let open = self.both.iter().filter(|(_, both)| !both.reported);
        open.map(|((address, a, b), both)| both.since + patience.allowed(*address, *a, *b, both) + MOMENT).min()
    }
}

/// How long two may hold one address; what is asked of two directors is asked once.
struct Patience<'w> {
    world: &'w World,
    layout: Rc<Layout>,
    pairs: BTreeMap<(NodeId, NodeId), (u64, Duration)>,
}

impl<'w> Patience<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, layout: world.layout(), pairs: BTreeMap::new() }
    }

    fn allowed(&mut self, address: IpAddr, a: NodeId, b: NodeId, both: &Both) -> Duration {
        let world = self.world;
        let (lost, delays) =
            *self.pairs.entry((a, b)).or_insert_with(|| (lost_between(world, a, b), delays(world, a, b)));
        let adverts = u32::try_from(lost.saturating_sub(both.lost_before)).unwrap_or(u32::MAX).saturating_add(1);
        let interval = self.layout.longest_interval(address);
        by_the_slowest_clock(world, interval.saturating_mul(adverts)) + MARGIN + delays
    }
}

impl OneOwner {
    /// Who holds the address together now; `before` has those that are not in the book.
    fn look(&mut self, world: &World, address: IpAddr, before: &mut BTreeMap<(IpAddr, NodeId, NodeId), Both>) {
        while let Some(key) = self.of(address) {
            before.extend(self.both.remove(&key).map(|both| (key, both)));
        }
        let judged = |id: &NodeId| world.director(*id).is_some_and(|it| it.running());
        let owners: Vec<NodeId> = world.owners(address).filter(judged).collect();
        for (at, a) in owners.iter().enumerate() {
            for b in owners.iter().skip(at + 1).filter(|b| hear(world, *a, **b)) {
                let key = (address, *a, *b);
                let new = || Both { since: world.now(), lost_before: lost_between(world, *a, *b), reported: false };
                self.both.insert(key, before.remove(&key).unwrap_or_else(new));
            }
        }
    }

    fn of(&self, address: IpAddr) -> Option<(IpAddr, NodeId, NodeId)> {
        let first = self.both.range((address, NodeId(0), NodeId(0))..).next();
        first.map(|(key, _)| *key).filter(|key| key.0 == address)
    }
}

/// Each hears the other on some segment.
fn hear(world: &World, a: NodeId, b: NodeId) -> bool {
    world
        .shared_segments(a, b)
        .into_iter()
        .any(|segment| world.link(a, b, segment).is_some() && world.link(b, a, segment).is_some())
}

/// What is on its way when a slow way is healed still comes late.
fn delays(world: &World, a: NodeId, b: NodeId) -> Duration {
    let ways = [(a, b), (b, a)].into_iter().filter_map(|(from, to)| world.route(from, to));
    ways.map(|way| way.delay + way.jitter).sum::<Duration>().max(world.slowest)
}

fn lost_between(world: &World, a: NodeId, b: NodeId) -> u64 {
    let lost = |key| world.lost_adverts.get(&key).copied().unwrap_or(0);
    lost((a, b)) + lost((b, a))
}
