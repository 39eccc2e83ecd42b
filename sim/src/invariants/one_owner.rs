//! At most one owner per address among directors that hear each other.
//!
//! Two MASTERs that hear each other are one MASTER after the next advert (RFC 9568 6.4.3), so they have one
//! Advertisement_Interval; one more for each advert that a fault swallows meanwhile. A director that does not run hears
//! nothing: what a killed daemon left in its kernel is not its claim any more. Nor is one judged whose session at the
//! quorum service somebody ended by hand ([`World::ended_by_hand`]).

use super::{Invariant, MARGIN, MOMENT, by_the_slowest_clock, interval, secs};
use crate::scenario::NodeId;
use crate::world::World;
use std::collections::BTreeMap;
use std::net::IpAddr;
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::ONE_OWNER;

#[derive(Default)]
pub struct OneOwner {
    both: BTreeMap<(IpAddr, NodeId, NodeId), Both>,
    version: Option<u64>,
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
        if self.version.replace(world.version) != Some(world.version) {
            self.look(world);
        }
        let mut broken = Vec::new();
        for ((address, a, b), both) in self.both.iter_mut().filter(|(_, both)| !both.reported) {
            let allowed = allowed(world, *address, *a, *b, both);
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
        let open = self.both.iter().filter(|(_, both)| !both.reported);
        open.map(|((address, a, b), both)| both.since + allowed(world, *address, *a, *b, both) + MOMENT).min()
    }
}

fn allowed(world: &World, address: IpAddr, a: NodeId, b: NodeId, both: &Both) -> Duration {
    let lost = lost_between(world, a, b).saturating_sub(both.lost_before);
    let adverts = u32::try_from(lost).unwrap_or(u32::MAX).saturating_add(1);
    by_the_slowest_clock(world, longest_interval(world, address).saturating_mul(adverts)) + MARGIN + delays(world, a, b)
}

impl OneOwner {
    /// Who holds what together now.
    fn look(&mut self, world: &World) {
        let mut both = BTreeMap::new();
        for address in world.virtual_addresses().into_keys() {
            let owners = world.owners(address).into_iter();
            let judged = |id: &NodeId| world.director(*id).is_some_and(|it| it.running()) && !world.ended_by_hand(*id);
            let owners: Vec<NodeId> = owners.filter(judged).collect();
            for (at, a) in owners.iter().enumerate() {
                for b in owners.iter().skip(at + 1).filter(|b| hear(world, *a, **b)) {
                    let key = (address, *a, *b);
                    let new = || Both { since: world.now(), lost_before: lost_between(world, *a, *b), reported: false };
                    both.insert(key, self.both.remove(&key).unwrap_or_else(new));
                }
            }
        }
        self.both = both;
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

/// The slowest pace at which somebody advertises the address.
pub(super) fn longest_interval(world: &World, address: IpAddr) -> Duration {
    world
        .directors()
        .flat_map(|(_, director)| director.config.iter().flat_map(|config| &config.routers))
        .filter(|router| router.addresses.iter().chain(&router.excluded).any(|it| it.address == address))
        .map(interval)
        .max()
        .unwrap_or_default()
}
