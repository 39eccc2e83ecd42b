//! No client connection sent to a destination known dead for longer than its checker needs.
//!
//! A checker needs its `warmup` or `delay_loop` until it looks, then every try its `connect_timeout`, and
//! `delay_before_retry` between tries.

use super::{Invariant, MARGIN, secs};
use crate::scenario::NodeId;
use crate::trace::Dispatch;
use crate::world::World;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use vipward_core::check::Exchange;
use vipward_core::config::{CheckerConfig, RealServer};
use vipward_core::ipvs::{Protocol, ServiceKey, VirtualServerId};
use vipward_core::time::{Duration, Instant};

/// Nobody answers ARP: three tries of a second.
const ARP_GIVES_UP: Duration = Duration::from_secs(3);

pub const NAME: &str = crate::scenario::invariant::DEAD_DESTINATION;

#[derive(Default)]
pub struct DeadDestination {
    dead: BTreeMap<(NodeId, VirtualServerId, SocketAddr), Dead>,
    seen: usize,
    version: Option<u64>,
}

/// A destination that a running director could know to be dead.
#[derive(Clone, Copy)]
struct Dead {
    since: Instant,
    /// What its checkers need to see it.
    needed: Duration,
    reported: bool,
}

impl Invariant for DeadDestination {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        if self.version.replace(world.version) != Some(world.version) {
            self.look(world);
        }
        let mut broken = Vec::new();
        for dispatch in world.dispatches.iter().skip(self.seen) {
            let Some((service, server)) = sent_to(world, dispatch) else { continue };
            let key = (dispatch.director, service, server);
            let Some(dead) = self.dead.get_mut(&key).filter(|dead| !dead.reported) else { continue };
            if dispatch.at.since(dead.since) > dead.needed {
                dead.reported = true;
                broken.push(format!(
                    "{} sends {}'s connection to {}, dead since {} s; its checker needs {}",
                    world.name(dispatch.director),
                    world.name(dispatch.client),
                    dispatch.destination,
                    dead.since,
                    secs(dead.needed)
                ));
            }
        }
        self.seen = world.dispatches.len();
        broken
    }
}

impl DeadDestination {
    /// Who is dead now, for whom.
    fn look(&mut self, world: &World) {
        let mut dead = BTreeMap::new();
        for (id, director) in world.directors().filter(|(_, director)| director.running()) {
            let services = director.config.iter().flat_map(|config| &config.services);
            for service in services.filter(|service| director.checks(service)) {
                for server in service.real_servers.iter().filter(|server| !passes(world, id, server)) {
                    let key = (id, service.id(), server.address);
                    let needed = server.checkers.iter().map(time_to_notice).max().unwrap_or_default() + MARGIN * 2;
                    let new = Dead { since: world.now(), needed, reported: false };
                    dead.insert(key, self.dead.get(&key).copied().unwrap_or(new));
                }
            }
        }
        self.dead = dead;
    }
}

/// The virtual server and the real server that a destination of the table stands for.
fn sent_to(world: &World, dispatch: &Dispatch) -> Option<(VirtualServerId, SocketAddr)> {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: dispatch.service };
    let config = world.director(dispatch.director)?.config.as_ref()?;
    let service = config.services.iter().find(|service| service.entries.has_key(&key))?;
    let is_it = |real: &&RealServer| real.forwarding.destination(real.address, &key) == dispatch.destination;
    Some((service.id(), service.real_servers.iter().find(is_it)?.address))
}

fn passes(world: &World, director: NodeId, server: &RealServer) -> bool {
    files_say_so(world, director, server)
        && server.checkers.iter().all(|checker| answers_in_time(world, director, checker))
}

/// Whether no tracked file takes it out.
pub(super) fn files_say_so(world: &World, director: NodeId, server: &RealServer) -> bool {
    server.files.iter().all(|check| check.weight.weigh(world.file_number(director, &check.file)).is_some())
}

/// Whether an attempt that begins now passes.
pub(super) fn answers_in_time(world: &World, director: NodeId, checker: &CheckerConfig) -> bool {
    let Some(attempt) = checker.kind.attempts().next() else { return false };
    if let Some(command) = attempt.command() {
        return attempt.ended(&world.script_outcome(director, command)).is_ok();
    }
    let holder = world.holder_of_own(checker.target.ip());
    let accepts = |status| checker.kind.accepts(status);
    if attempt.sends() && attempt.overdue(Exchange::Datagram).is_ok() {
        // Only what comes back tells of a failure.
        return match holder {
            None => checker.connect_timeout < ARP_GIVES_UP,
            Some(target) => {
                !world.reachable(director, target)
                    || world.answers_probes(director, target, checker.target.port(), accepts)
            }
        };
    }
    let Some(target) = holder else { return false };
    if !attempt.connects() && !attempt.sends() {
        return world.reachable(director, target);
    }
    let slow = world.server(target).map_or(Duration::ZERO, |server| server.slow);
    let in_time = !attempt.asks() || slow < checker.kind.longest(checker.connect_timeout);
    in_time && world.answers_probes(director, target, checker.target.port(), accepts)
}

/// From the moment of death to the decision, at the longest.
pub(super) fn time_to_notice(checker: &CheckerConfig) -> Duration {
    let steps = u32::try_from(checker.kind.steps()).unwrap_or(u32::MAX);
    let attempt = checker.kind.longest(checker.connect_timeout);
    let tries = checker.retry.saturating_add(1);
    // A check that began while the server still lived may have passed; the next one comes after `delay_loop`.
    checker.delay_loop.max(checker.warmup)
        + attempt.saturating_mul(tries.saturating_add(1)).saturating_mul(steps)
        + checker.delay_before_retry.saturating_mul(checker.retry)
}
