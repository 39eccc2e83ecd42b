//! Liveness: what the kernel's table says of a real server is true, some time after it became true.
//!
//! A server that answers its checkers is in the table of every running director once they had time to see it, one that
//! does not is out, and without quorum there is the sorry server. Nothing of it is taken from what directors decided: it
//! is worked out from the state of the servers and the ways to them. A way that loses packets makes no true verdicts, so
//! it is not judged.

use super::dead_destination::{answers_in_time, files_say_so, time_to_notice};
use super::{Invariant, MARGIN, MOMENT, by_the_slowest_clock};
use crate::scenario::{NodeId, Share};
use crate::world::{Director, World};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use vipward_core::config::{CheckerConfig, Config, RealServer, VirtualServer};
use vipward_core::ipvs::{Forwarding, VirtualServerId};
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::HEALTH_SETTLES;

#[derive(Default)]
pub struct HealthSettles {
    version: Option<u64>,
    truths: BTreeMap<(NodeId, VirtualServerId, SocketAddr), Truth>,
    configs: BTreeMap<NodeId, (Arc<Config>, u64)>,
    /// Services to judge, and when.
    due: BTreeMap<(NodeId, VirtualServerId), Instant>,
    reported: BTreeSet<(NodeId, VirtualServerId)>,
}

/// Whether a server passes its checkers; none: that is a matter of luck, or nobody checks it (`ha_suspend`).
#[derive(Clone, Copy)]
struct Truth {
    passes: Option<bool>,
    since: Instant,
}

impl Invariant for HealthSettles {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        if self.version.replace(world.version) != Some(world.version) {
            self.look(world);
        }
        let mut broken = Vec::new();
        let due: Vec<_> = self.due.iter().filter(|(_, at)| **at < world.now()).map(|(key, _)| *key).collect();
        for key in due {
            self.due.remove(&key);
            if let Some(text) = self.wrong(world, key.0, key.1)
                && self.reported.insert(key)
            {
                broken.push(text);
            }
        }
        broken
    }

    fn next(&self, _world: &World) -> Option<Instant> {
        self.due.values().min().map(|at| *at + MOMENT)
    }
}

impl HealthSettles {
    fn look(&mut self, world: &World) {
        let mut truths = BTreeMap::new();
        self.due.clear();
        for (id, director) in world.directors() {
            // Between two processes of an upgrade nobody has read a file that came meanwhile.
            let works = director.running() && !director.upgrading();
            let Some(config) = director.config.as_ref().filter(|_| works) else {
                self.configs.remove(&id);
                continue;
            };
            let same = self
                .configs
                .get(&id)
                .is_some_and(|(old, incarnation)| Arc::ptr_eq(old, config) && *incarnation == director.incarnation);
            if !same {
                self.configs.insert(id, (config.clone(), director.incarnation));
                self.reported.retain(|(node, _)| *node != id);
            }
            for service in &config.services {
                let mut settled = Some(Instant::ZERO);
                for server in &service.real_servers {
                    let passes = if director.checks(service) { truth(world, id, server) } else { None };
                    let key = (id, service.id(), server.address);
                    let before = self.truths.get(&key).filter(|before| same && before.passes == passes);
                    let truth = Truth { passes, since: before.map_or(world.now(), |before| before.since) };
                    truths.insert(key, truth);
                    settled = settled.and_then(|at| Some(at.max(truth.since + time_to_see(world, server, passes?))));
                }
                if let Some(at) = settled {
                    self.due.insert((id, service.id()), at.max(world.now()));
                }
            }
        }
        self.truths = truths;
    }

    fn wrong(&self, world: &World, id: NodeId, called: VirtualServerId) -> Option<String> {
        let director = world.director(id)?;
        let service = director.config.as_ref()?.services.iter().find(|it| it.id() == called)?;
        if service.hysteresis > 0 {
            return None;
        }
        let wanted = self.wanted(id, director, service);
        let list = |set: &BTreeSet<SocketAddr>| match set.is_empty() {
            true => "nobody".to_owned(),
            false => set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        service.keys().iter().find_map(|key| {
            let wanted = wanted.iter().map(|(server, forwarding)| forwarding.destination(*server, key)).collect();
            let entry = director.kernel.ipvs.services.get(key);
            let held: BTreeSet<SocketAddr> = entry
                .into_iter()
                .flat_map(|entry| &entry.destinations)
                .filter(|(_, destination)| destination.weight > 0)
                .map(|(address, _)| *address)
                .collect();
            let place = VirtualServerId::of_entry(*key).place();
            (held != wanted).then(|| {
                format!("{}'s table sends {place} to {}; it should be {}", world.name(id), list(&held), list(&wanted))
            })
        })
    }

    fn wanted(&self, id: NodeId, director: &Director, service: &VirtualServer) -> Vec<(SocketAddr, Forwarding)> {
        let passes = |server: &&RealServer| {
            let truth = self.truths.get(&(id, service.id(), server.address));
            truth.is_some_and(|truth| truth.passes == Some(true))
        };
        let weigh = |server: &RealServer| u64::from(director.weight(service.id(), server));
        let live: u64 = service.real_servers.iter().filter(passes).map(weigh).sum();
        let counts = |server: &&RealServer| !director.drained.contains(&(service.id(), server.address));
        let total: u64 = service.real_servers.iter().filter(counts).map(|server| u64::from(server.weight)).sum();
        let quorum = u64::from(service.quorum).min(total).max(1);
        match service.sorry_server.as_ref().filter(|_| live < quorum) {
            Some(sorry) => vec![(sorry.address, sorry.forwarding)],
            None => {
                let live = service.real_servers.iter().filter(|server| weigh(server) > 0).filter(passes);
                live.map(|server| (server.address, server.forwarding)).collect()
            }
        }
    }
}

/// Whether every checker must pass; none when that is a matter of luck.
fn truth(world: &World, id: NodeId, server: &RealServer) -> Option<bool> {
    let mut all = files_say_so(world, id, server);
    for checker in &server.checkers {
        let target = world.holder_of_own(checker.target.ip());
        let slow = target.and_then(|target| world.server(target)).map_or(Duration::ZERO, |server| server.slow);
        let ways = target.map(|target| [world.route(id, target), world.route(target, id)]);
        for quality in ways.into_iter().flatten().flatten() {
            if quality.loss > Share(0) || !quality.jitter.is_zero() || !quality.delay.is_zero() {
                return None;
            }
        }
        if slow + MARGIN >= checker.connect_timeout && slow <= checker.connect_timeout + MARGIN {
            return None;
        }
        all &= answers_in_time(world, id, checker);
    }
    Some(all)
}

/// From the moment when it becomes true to the table, at the longest.
fn time_to_see(world: &World, server: &RealServer, passes: bool) -> Duration {
    let one = |checker: &CheckerConfig| {
        if passes { time_to_rise(checker) } else { time_to_notice(checker) }
    };
    by_the_slowest_clock(world, server.checkers.iter().map(one).max().unwrap_or_default()) + MARGIN * 2
}

/// An attempt that began before may still fail; then each step has to pass, a `delay_loop` apart.
fn time_to_rise(checker: &CheckerConfig) -> Duration {
    let steps = u32::try_from(checker.kind.steps()).unwrap_or(u32::MAX);
    let attempt = checker.kind.longest(checker.connect_timeout);
    let round = checker.delay_loop.max(checker.delay_before_retry) + attempt;
    checker.warmup + round.saturating_mul(steps.saturating_add(1))
}
