//! No address unowned longer than the RFC allows while a healthy director can take it.
//!
//! A running director that is not in FAULT, is on the network and hears no owner of its address takes it after its
//! Master_Down_Interval (RFC 9568 6.1): `down_timer_adverts` intervals and Skew_Time, which is less than one interval
//! (one second in version 2). A farewell (priority 0) that it hears meanwhile, as a supervisor sends it for its dead worker,
//! sets that to Skew_Time from there (6.4.2), and a forged advert that it has to believe to all of it, by the interval that
//! is believed.

use super::changes::{Changed, Changes};
use super::{Invariant, MARGIN, MOMENT, by_the_slowest_clock, secs};
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::{Layout, World};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::interface::Family;
use vipward_core::quantity::{Role, Version};
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::ADDRESS_SERVED;

#[derive(Default)]
pub struct AddressServed {
    unserved: Book,
    changes: Changes,
    /// When the first of those that are not reported is unserved for too long.
    due: Option<Instant>,
    seen: usize,
    /// When the last farewell of each virtual router left.
    farewells: BTreeMap<(u8, Family), Instant>,
}

type Book = BTreeMap<(NodeId, IpAddr), Unserved>;

/// A director that could take an address.
#[derive(Clone, Copy)]
struct Unserved {
    since: Instant,
    allowed: Duration,
    reported: bool,
}

impl Invariant for AddressServed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        for entry in world.trace.iter().skip(self.seen) {
            if let What::Advert { vrid, priority: 0, destination } = entry.what {
                self.farewells.insert((vrid, Family::of(destination)), entry.at);
                self.changes.forget();
            }
        }
        self.seen = world.trace.len();
        let looked = self.look(world);
        let mut broken = Vec::new();
        if !looked && self.due.is_none_or(|at| at > world.now()) {
            return broken;
        }
        for ((id, address), unserved) in self.unserved.iter_mut().filter(|(_, unserved)| !unserved.reported) {
            if world.now().since(unserved.since) > unserved.allowed {
                unserved.reported = true;
                broken.push(format!(
                    "nobody that {} hears holds {address} since {} s, and it does not take it; {} is allowed",
                    world.name(*id),
                    unserved.since,
                    secs(unserved.allowed)
                ));
            }
        }
        let open = self.unserved.values().filter(|unserved| !unserved.reported);
        self.due = open.map(|unserved| unserved.since + unserved.allowed + MOMENT).min();
        broken
    }

    fn next(&self, _world: &World) -> Option<Instant> {
        self.due
    }
}

impl AddressServed {
    /// Who could take what now. False: nothing is new.
    fn look(&mut self, world: &World) -> bool {
        let changed = self.changes.since(world);
        let layout = world.layout();
        let mut ways = Ways { world, open: BTreeMap::new() };
        match changed {
            Changed::Nothing => return false,
            Changed::Addresses(addresses) => {
                let ids: Vec<NodeId> = world.directors().map(|(id, _)| id).collect();
                for address in addresses {
                    let known = ids.iter().filter_map(|id| self.unserved.remove_entry(&(*id, address)));
                    let before = known.collect();
                    self.judge(&mut ways, &layout, address, &before);
                }
            }
            Changed::Everything => {
                let before = std::mem::take(&mut self.unserved);
                for address in layout.addresses() {
                    self.judge(&mut ways, &layout, address, &before);
                }
            }
        }
        true
    }

    fn judge(&mut self, ways: &mut Ways<'_>, layout: &Layout, address: IpAddr, before: &Book) {
        let world = ways.world;
        for (id, router) in layout.naming(address) {
            let Some(director) = world.director(id).filter(|it| it.running() && world.node(id).on_network()) else {
                continue;
            };
            if ways.served(id, address) || director.roles.get(&router.name) == Some(&Role::Fault) {
                continue;
            }
            // A lease may have to end first, which `settles` bounds.
            if director.config.iter().any(|it| it.coordinates(&router.name)) {
                continue;
            }
            // A sync group takes over when no member hears anybody any more: what one of them hears, all wait for.
            let group = director.config.iter().find_map(|config| config.group_of(&router.name));
            let members = group.into_iter().flat_map(|group| &group.members).filter_map(|name| layout.router(id, name));
            let members: Vec<&VirtualRouterConfig> = members.collect();
            let mut all = members.iter().flat_map(|member| &member.addresses);
            if all.any(|other| ways.served(id, other.address)) {
                continue;
            }
            let key = |router: &VirtualRouterConfig| (router.vrid.get(), router.family);
            let own = key(router);
            let vrids: BTreeSet<(u8, Family)> = members.iter().map(|member| key(member)).chain([own]).collect();
            let interval = layout.longest_interval(address);
            let allowed = allowed(world, router, interval);
            let new = Unserved { since: world.now(), allowed, reported: false };
            let since = before.get(&(id, address)).copied().unwrap_or(new);
            let farewells = vrids.iter().filter_map(|vrid| self.farewells.get(vrid));
            let farewell = farewells.filter(|at| **at >= since.since).max();
            let again = farewell.map(|at| at.since(since.since) + after_a_farewell(world, router, interval));
            let forged = vrids.iter().filter_map(|(vrid, _)| world.forged.get(vrid)).map(|forged| forged.until);
            let fooled = forged.filter(|until| *until >= since.since).max();
            let fooled = fooled.map(|until| until.since(since.since) + MARGIN + world.slowest);
            let allowed = allowed.max(again.unwrap_or_default()).max(fooled.unwrap_or_default());
            self.unserved.insert((id, address), Unserved { allowed, ..since });
        }
    }
}

/// The ways between directors, each looked up once.
struct Ways<'w> {
    world: &'w World,
    open: BTreeMap<(NodeId, NodeId), bool>,
}

impl Ways<'_> {
    /// Some running director holds the address, and `id` hears it.
    fn served(&mut self, id: NodeId, address: IpAddr) -> bool {
        let world = self.world;
        let open = &mut self.open;
        let mut open = |from, to| *open.entry((from, to)).or_insert_with(|| world.route(from, to).is_some());
        world.owners(address).any(|owner| {
            world.director(owner).is_some_and(|director| director.running()) && (owner == id || open(owner, id))
        })
    }
}

fn allowed(world: &World, router: &VirtualRouterConfig, interval: Duration) -> Duration {
    by_the_slowest_clock(world, interval * u32::from(router.adverts.down_timer))
        + after_a_farewell(world, router, interval)
}

/// `interval`: the slowest pace at which somebody advertises the address.
fn after_a_farewell(world: &World, router: &VirtualRouterConfig, interval: Duration) -> Duration {
    let skew = match router.version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    // The last advert may have been on its way for that long when its sender was gone.
    by_the_slowest_clock(world, skew) + MARGIN + world.slowest
}
