//! `virtual_routes` and `virtual_rules` are in the kernel of a director while it is MASTER of their virtual router, and only
//! then; static addresses, routes and rules are there as long as it runs.

use super::{Invariant, MARGIN, secs};
use crate::scenario::NodeId;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vipward_core::config::{Statics, VirtualRouterConfig};
use vipward_core::interface::{InterfaceAddress, InterfaceName};
use vipward_core::quantity::Role;
use vipward_core::route::{RouteKey, Rule};
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::ROUTES_OF_MASTER;

/// What is refused is tried again after a second, and what is taken out again and again comes back as late.
const MISSING: Duration = Duration::from_millis(1_500);

#[derive(Default)]
pub struct RoutesOfMaster {
    /// Since when it has not been as it should be, and whether that was told.
    wrong: BTreeMap<(NodeId, String), (Instant, bool)>,
}

impl RoutesOfMaster {
    /// What is not as it should be: the route, and whether it is there.
    fn look(world: &World) -> BTreeMap<(NodeId, String), bool> {
        let mut wrong = BTreeMap::new();
        for (id, director) in world.directors().filter(|(_, it)| it.running() && !it.upgrading()) {
            let Some(config) = &director.config else { continue };
            let has_none = |router: &VirtualRouterConfig| router.routes.is_empty() && router.rules.is_empty();
            let kernel = &director.kernel;
            let none_there = kernel.routes.is_empty() && kernel.rules.is_empty();
            if none_there && config.statics.is_empty() && config.routers.iter().all(has_none) {
                continue;
            }
            let role = |name: &Arc<str>| director.roles.get(name).copied();
            // A lease may be what a MASTER waits for.
            let holds = |router: &VirtualRouterConfig| {
                router.addresses.iter().any(|address| director.kernel.addresses.contains(&address.key()))
            };
            let of = |router: &VirtualRouterConfig, no_track: bool| -> Vec<String> {
                let routes = router.routes.iter().filter(|it| it.no_track == no_track).map(|it| route(&it.key));
                routes
                    .chain(router.rules.iter().filter(|it| it.no_track == no_track).map(|it| rule(&it.rule)))
                    .collect()
            };
            let masters =
                config.routers.iter().filter(|router| role(&router.name) == Some(Role::Master) && holds(router));
            let mut wanted: BTreeSet<String> = masters.flat_map(|router| of(router, false)).collect();
            let mut left_alone: BTreeSet<String> = config.routers.iter().flat_map(|router| of(router, true)).collect();
            let mut there: BTreeSet<String> =
                kernel.routes.keys().map(route).chain(kernel.rules.iter().map(rule)).collect();
            let Statics { addresses, routes, rules, tracked: _, places: _ } = &config.statics;
            let has = |name: &InterfaceName| world.node(id).ports.iter().any(|port| port.interface == *name);
            for it in addresses.iter().filter(|it| has(&it.interface)) {
                wanted.insert(address(it));
                let holds = kernel.addresses.contains(&it.key()) || world.node(id).own(it.address);
                there.extend(holds.then(|| address(it)));
            }
            for it in routes.iter().filter(|it| it.interfaces().all(has)) {
                if it.no_track { &mut left_alone } else { &mut wanted }.insert(route(&it.key));
            }
            for it in rules {
                if it.no_track { &mut left_alone } else { &mut wanted }.insert(rule(&it.rule));
            }
            for what in there.difference(&wanted).filter(|what| !left_alone.contains(*what)) {
                wrong.insert((id, what.clone()), true);
            }
            for what in wanted.difference(&there) {
                wrong.insert((id, what.clone()), false);
            }
        }
        wrong
    }
}

fn address(address: &InterfaceAddress) -> String {
    format!("static address {address}")
}

fn route(key: &RouteKey) -> String {
    format!("route {key}")
}

fn rule(rule: &Rule) -> String {
    format!("rule {rule}")
}

impl Invariant for RoutesOfMaster {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let (now, wrong) = (world.now(), Self::look(world));
        self.wrong.retain(|key, _| wrong.contains_key(key));
        let mut broken = Vec::new();
        for ((id, thing), there) in wrong {
            let began = world.director(id).map_or(now, |director| director.process_since);
            let (since, told) = self.wrong.entry((id, thing.clone())).or_insert((now, false));
            let (for_so_long, allowed) = (now.since((*since).max(began)), if there { MARGIN } else { MISSING });
            if for_so_long > allowed && !*told {
                *told = true;
                let what = if there { "has the {} and is not MASTER" } else { "runs, or is MASTER, without the {}" };
                let what = what.replace("{}", &thing);
                broken.push(format!("{} {what}, for {} now", world.name(id), secs(for_so_long)));
            }
        }
        broken
    }

    fn next(&self, world: &World) -> Option<Instant> {
        let waiting = self.wrong.iter().filter(|(_, (_, told))| !told);
        waiting
            .map(|((id, _), (since, _))| {
                let began = world.director(*id).map_or(*since, |director| director.process_since);
                let since = (*since).max(began);
                // Twice at most.
                let first = since + MARGIN + super::MOMENT;
                if first > world.now() { first } else { since + MISSING + super::MOMENT }
            })
            .filter(|at| *at > world.now())
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::tests::{EventRun, electors};
    use crate::scenario::NodeKind;
    use crate::testing::LB1;
    use vipward_core::route::{Route, RouteKind};

    #[test]
    fn a_route_of_a_director_that_is_not_master() {
        let route = Route::new(RouteKey::to([203, 0, 113, 0].into(), 24), RouteKind::Blackhole, Vec::new());
        let mut scenario = electors();
        for node in &mut scenario.nodes {
            let NodeKind::Director(director) = &mut node.kind else { continue };
            let mut config = director.config.config.as_deref().unwrap().clone();
            config.routers[0].routes.push(route.clone());
            director.config.config = Some(Arc::new(config));
        }
        let mut run = EventRun::new(scenario);
        run.role(LB1, Role::Init, Role::Backup);
        run.until(1_000);
        run.world.add_route(LB1, &route).unwrap();
        run.until(1_100);
        assert_eq!(run.broken_by(NAME), [""; 0]);
        run.until(1_200);
        assert_eq!(run.broken_by(NAME).len(), 1, "{:?}", run.broken_by(NAME));
        assert!(run.broken_by(NAME)[0].starts_with("lb1 has the route 203.0.113.0/24 and is not MASTER"));
    }
}
