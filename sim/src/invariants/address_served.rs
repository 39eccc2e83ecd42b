//! No address unowned longer than the RFC allows while a healthy director can take it.
//!
//! A running director that is not in FAULT, is on the network and hears no owner of its address takes it after its
//! Master_Down_Interval (RFC 9568 6.1): `down_timer_adverts` intervals and Skew_Time, which is less than one interval
//! (one second in version 2). A farewell (priority 0) that it hears meanwhile, as a supervisor sends it for its dead worker,
//! sets that to Skew_Time from there (6.4.2).

use super::one_owner::longest_interval;
use super::{Invariant, MARGIN, MOMENT, by_the_slowest_clock, secs};
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::World;
use std::collections::BTreeMap;
use std::net::IpAddr;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::quantity::{Role, Version};
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::ADDRESS_SERVED;

#[derive(Default)]
pub struct AddressServed {
    unserved: BTreeMap<(NodeId, IpAddr), Unserved>,
    version: Option<u64>,
    seen: usize,
    /// When the last farewell of each virtual router left.
    farewells: BTreeMap<u8, Instant>,
}

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
            if let What::Advert { vrid, priority: 0, .. } = entry.what {
                self.farewells.insert(vrid, entry.at);
                self.version = None;
            }
        }
        self.seen = world.trace.len();
        if self.version.replace(world.version) != Some(world.version) {
            self.look(world);
        }
        let mut broken = Vec::new();
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
        broken
    }

    fn next(&self, _world: &World) -> Option<Instant> {
        let open = self.unserved.values().filter(|unserved| !unserved.reported);
        open.map(|unserved| unserved.since + unserved.allowed + MOMENT).min()
    }
}

impl AddressServed {
    /// Who could take what now.
    fn look(&mut self, world: &World) {
        let mut unserved = BTreeMap::new();
        for (id, director) in world.directors() {
            let routers = director.config.iter().flat_map(|config| &config.routers);
            for router in routers.filter(|_| director.running() && world.node(id).on_network()) {
                let role = director.roles.get(&router.name).copied().unwrap_or(Role::Init);
                // A lease may have to end first, which `settles` bounds.
                if role == Role::Fault || director.config.iter().any(|it| it.coordinates(&router.name)) {
                    continue;
                }
                let addresses = router.addresses.iter().map(|address| address.address);
                for address in addresses.filter(|address| !served(world, id, *address)) {
                    let allowed = allowed(world, router, address);
                    let new = Unserved { since: world.now(), allowed, reported: false };
                    let since = self.unserved.get(&(id, address)).copied().unwrap_or(new);
                    let farewell = self.farewells.get(&router.vrid.get()).filter(|at| **at >= since.since);
                    let again = farewell.map(|at| at.since(since.since) + after_a_farewell(world, router, address));
                    unserved
                        .insert((id, address), Unserved { allowed: allowed.max(again.unwrap_or_default()), ..since });
                }
            }
        }
        self.unserved = unserved;
    }
}

/// Some running director holds the address, and `id` hears it.
fn served(world: &World, id: NodeId, address: IpAddr) -> bool {
    world.owners(address).into_iter().any(|owner| {
        world.director(owner).is_some_and(|director| director.running())
            && (owner == id || world.route(owner, id).is_some())
    })
}

fn allowed(world: &World, router: &VirtualRouterConfig, address: IpAddr) -> Duration {
    let adverts = longest_interval(world, address) * u32::from(router.adverts.down_timer);
    by_the_slowest_clock(world, adverts) + after_a_farewell(world, router, address)
}

fn after_a_farewell(world: &World, router: &VirtualRouterConfig, address: IpAddr) -> Duration {
    let skew = match router.version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => longest_interval(world, address),
    };
    // The last advert may have been on its way for that long when its sender was gone.
    by_the_slowest_clock(world, skew) + MARGIN + world.slowest
}
