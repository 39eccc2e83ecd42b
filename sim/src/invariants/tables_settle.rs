//! Kernel tables equal the desired ones once quiet.
//!
//! What is desired is worked out anew here, from configuration and decisions, by other code than the reconcilers: a
//! MASTER's addresses and nobody else's; live real servers, or the sorry server where quorum is lost. After an orderly
//! stop nothing is left. Quiet: nobody decided or changed anything for three seconds.

use super::Invariant;
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::{Director, Process, World};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vipward_core::config::Config;
use vipward_core::decision::Decision;
use vipward_core::interface::InterfaceName;
use vipward_core::ipvs::{Forwarding, ServiceKey, VirtualServerId};
use vipward_core::quantity::Role;
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::TABLES_SETTLE;

const QUIET: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct TablesSettle {
    seen: usize,
    judged: Option<Instant>,
    down: BTreeSet<(NodeId, VirtualServerId, SocketAddr)>,
    no_quorum: BTreeSet<(NodeId, VirtualServerId)>,
    /// Directors that ended in order and did not start again.
    stopped: BTreeSet<NodeId>,
    configs: BTreeMap<NodeId, Arc<Config>>,
}

impl Invariant for TablesSettle {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        self.forget_what_left(world);
        self.follow(world);
        let quiet = world.now().since(world.last_change) >= QUIET;
        if !quiet || self.judged == Some(world.last_change) {
            return Vec::new();
        }
        self.judged = Some(world.last_change);
        let mut broken = Vec::new();
        for (id, director) in world.directors() {
            match director.process {
                Process::Running => {
                    broken.extend(self.addresses(world, id, director));
                    broken.extend(self.services(world, id, director));
                }
                Process::Absent if self.stopped.contains(&id) => broken.extend(left_behind(world, id, director)),
                Process::Absent | Process::Frozen => {}
            }
        }
        broken
    }

    fn next(&self, world: &World) -> Option<Instant> {
        (self.judged != Some(world.last_change)).then(|| world.last_change + QUIET)
    }
}

impl TablesSettle {
    /// A real server that a reload took away is forgotten, verdict and all: if it comes back, it starts anew.
    fn forget_what_left(&mut self, world: &World) {
        for (id, director) in world.directors() {
            let Some(config) = &director.config else { continue };
            if self.configs.get(&id).is_some_and(|known| Arc::ptr_eq(known, config)) {
                continue;
            }
            self.configs.insert(id, config.clone());
            let service = |called: &VirtualServerId| config.services.iter().find(|service| service.id() == *called);
            self.no_quorum.retain(|(node, called)| *node != id || service(called).is_some());
            self.down.retain(|(node, called, server)| {
                let named = || service(called)?.real_servers.iter().find(|it| it.address == *server);
                *node != id || named().is_some()
            });
        }
    }

    fn follow(&mut self, world: &World) {
        for entry in world.trace.iter().skip(self.seen) {
            let Some(id) = entry.node else { continue };
            match &entry.what {
                What::Started => {
                    self.stopped.remove(&id);
                    self.down.retain(|(node, ..)| *node != id);
                    self.no_quorum.retain(|(node, _)| *node != id);
                }
                What::Stopped => {
                    self.stopped.insert(id);
                }
                What::Decided(
                    Decision::ServerDown { service, server, .. } | Decision::ServerStartsDown { service, server },
                ) => {
                    self.down.insert((id, *service, *server));
                }
                What::Decided(Decision::VerdictsInherited { down, without_quorum, .. }) => {
                    self.down.retain(|(node, ..)| *node != id);
                    self.down.extend(down.iter().map(|(service, server)| (id, *service, *server)));
                    self.no_quorum.retain(|(node, _)| *node != id);
                    self.no_quorum.extend(without_quorum.iter().map(|service| (id, *service)));
                }
                What::Decided(Decision::ServerUp { service, server }) => {
                    self.down.remove(&(id, *service, *server));
                }
                What::Decided(Decision::QuorumLost { service, .. }) => {
                    self.no_quorum.insert((id, *service));
                }
                What::Decided(Decision::QuorumGained { service, .. }) => {
                    self.no_quorum.remove(&(id, *service));
                }
                // Nothing else says what the tables should be.
                _ => {}
            }
        }
        self.seen = world.trace.len();
    }

    fn addresses(&self, world: &World, id: NodeId, director: &Director) -> Option<String> {
        let routers = director.config.iter().flat_map(|config| &config.routers);
        let masters = routers.filter(|router| director.roles.get(&router.name) == Some(&Role::Master));
        let has = |name: &InterfaceName| world.node(id).ports.iter().any(|port| port.interface == *name);
        let statics = director.config.iter().flat_map(|config| &config.statics.addresses);
        let moving = masters.flat_map(|router| router.addresses.iter().chain(&router.excluded));
        let wanted = moving.chain(statics.filter(|it| has(&it.interface)));
        let wanted: BTreeSet<IpAddr> = wanted.map(|it| it.address).collect();
        let held: BTreeSet<IpAddr> =
            director.kernel.addresses.iter().filter(|(_, held)| held.ours).map(|(key, _)| key.address).collect();
        let missing = wanted.iter().filter(|it| !held.contains(it) && !world.node(id).own(**it));
        let extra: Vec<String> = held.difference(&wanted).map(ToString::to_string).collect();
        // A MASTER by adverts whose lease another one has, or that can't ask for it, is right to lack them.
        let leased = |address: &IpAddr| {
            let config = director.config.iter();
            config
                .flat_map(|it| it.routers.iter().filter(|router| it.coordinates(&router.name)))
                .any(|router| router.addresses.iter().chain(&router.excluded).any(|it| it.address == *address))
        };
        let missing: Vec<String> = missing.filter(|it| !leased(it)).map(ToString::to_string).collect();
        differs(world.name(id), "addresses", &missing, &extra)
    }

    fn services(&self, world: &World, id: NodeId, director: &Director) -> Option<String> {
        let mut wanted: BTreeMap<ServiceKey, BTreeSet<SocketAddr>> = BTreeMap::new();
        for service in director.config.iter().flat_map(|config| &config.services) {
            let no_quorum = self.no_quorum.contains(&(id, service.id()));
            let destinations: Vec<(SocketAddr, Forwarding)> = match service.sorry_server.as_ref().filter(|_| no_quorum)
            {
                Some(sorry) => vec![(sorry.address, sorry.forwarding)],
                None => service
                    .real_servers
                    .iter()
                    .filter(|server| director.weight(service.id(), server) > 0)
                    .filter(|server| !self.down.contains(&(id, service.id(), server.address)))
                    .map(|server| (server.address, server.forwarding))
                    .collect(),
            };
            for key in service.keys() {
                let at = destinations.iter().map(|(server, forwarding)| forwarding.destination(*server, &key));
                wanted.insert(key, at.collect());
            }
        }
        let services = director.kernel.ipvs.services.iter();
        let held: BTreeMap<ServiceKey, BTreeSet<SocketAddr>> = services
            .map(|(key, entry)| {
                let live = entry.destinations.iter().filter(|(_, destination)| destination.weight > 0);
                (*key, live.map(|(address, _)| *address).collect())
            })
            .collect();
        let list = |table: &BTreeMap<ServiceKey, BTreeSet<SocketAddr>>| -> BTreeSet<String> {
            let services = table.keys().map(ToString::to_string);
            let pairs = table.iter().flat_map(|(at, to)| to.iter().map(move |to| format!("{at} -> {to}")));
            services.chain(pairs).collect()
        };
        let (wanted, held) = (list(&wanted), list(&held));
        let missing: Vec<String> = wanted.difference(&held).cloned().collect();
        let extra: Vec<String> = held.difference(&wanted).cloned().collect();
        differs(world.name(id), "IPVS table", &missing, &extra)
    }
}

fn left_behind(world: &World, id: NodeId, director: &Director) -> Option<String> {
    let ours = director.kernel.addresses.iter().filter(|(_, held)| held.ours);
    let addresses = ours.map(|(key, _)| key.address.to_string());
    let services = director.kernel.ipvs.services.keys().map(ToString::to_string);
    let extra: Vec<String> = addresses.chain(services).collect();
    differs(world.name(id), "kernel after its orderly stop", &[], &extra)
}

fn differs(name: &str, what: &str, missing: &[String], extra: &[String]) -> Option<String> {
    if missing.is_empty() && extra.is_empty() {
        return None;
    }
    let mut text = format!("{name}'s {what} stays wrong:");
    if !missing.is_empty() {
        text.push_str(&format!(" lacks {}", missing.join(", ")));
    }
    if !extra.is_empty() {
        text.push_str(&format!("{} still has {}", if missing.is_empty() { "" } else { ";" }, extra.join(", ")));
    }
    Some(text)
}
