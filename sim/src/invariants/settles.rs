//! Liveness: after the last fault, and the last start of a daemon that followed from it, each virtual router finds its one
//! right owner, and stays there.
//!
//! Judged on whole networks only, and no sooner after that than RFC 9568 implies: whatever came last, somebody takes over
//! within one Master_Down_Interval (6.4.2); one who may preempt lets `preempt_delay` pass and takes over within another
//! one; the old owner yields at the next advert (6.4.3). A tracked script has its `interval` times `rise` or `fall` before
//! that. Whoever believed a forged advert waits for another MASTER of the interval that it named.
//!
//! Where leases decide, more comes on top: a session that nobody renews ends after its timeout, and a quorum service that
//! was of no use again and again has to prove itself first.
//!
//! The right owner holds all of the router's addresses, and nobody who would preempt it has the higher priority.

use super::{Invariant, MARGIN, by_the_slowest_clock};
use crate::scenario::NodeId;
use crate::world::{Director, Layout, RouterKey, World};
use std::collections::{BTreeMap, BTreeSet};
use vipward_core::config::VirtualRouterConfig;
use vipward_core::coordination::LONGEST_TRIAL;
use vipward_core::quantity::{Role, Version};
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::SETTLES;

/// The simulated client's tries to connect, until one is answered.
const CONNECT: Duration = Duration::from_secs(3);

#[derive(Default)]
pub struct Settles {
    version: Option<u64>,
    /// Of the last disturbance.
    due: Option<(Instant, Instant)>,
    judged: bool,
    reported: BTreeSet<RouterKey>,
}

impl Invariant for Settles {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let disturbed = disturbed(world);
        if self.due.map(|(since, _)| since) != Some(disturbed) {
            self.due = Some((disturbed, disturbed + bound(world)));
            self.reported.clear();
            self.judged = false;
        }
        let changed = self.version.replace(world.version) != Some(world.version);
        let due = self.due.is_some_and(|(_, at)| at <= world.now());
        if world.impaired() || !due || (self.judged && !changed) {
            return Vec::new();
        }
        // Who was dead then may have a configuration by now.
        let at = disturbed + bound(world);
        if at > world.now() {
            (self.due, self.judged) = (Some((disturbed, at)), false);
            return Vec::new();
        }
        self.judged = true;
        let mut broken = Vec::new();
        for (key, parts) in candidates(world) {
            if let Some(text) = unsettled(world, key, &parts)
                && self.reported.insert(key)
            {
                broken.push(text);
            }
        }
        broken
    }

    fn next(&self, world: &World) -> Option<Instant> {
        self.due.filter(|_| !self.judged && !world.impaired()).map(|(_, at)| at)
    }
}

fn disturbed(world: &World) -> Instant {
    world.last_step.max(world.last_start)
}

/// Who can hold a virtual router's addresses now: running, on the network, not in FAULT.
fn candidates(world: &World) -> BTreeMap<RouterKey, Vec<(NodeId, &VirtualRouterConfig, Role)>> {
    let mut candidates: BTreeMap<RouterKey, Vec<_>> = BTreeMap::new();
    let layout = world.layout();
    for (id, director) in world.directors().filter(|(id, it)| it.running() && world.node(*id).on_network()) {
        for router in director.config.iter().flat_map(|config| &config.routers) {
            let role = director.roles.get(&router.name).copied().unwrap_or(Role::Init);
            if let Some(key) = layout.key_of(id, &router.name).filter(|_| role != Role::Fault) {
                candidates.entry(key).or_default().push((id, router, role));
            }
        }
    }
    candidates
}

/// The same of one virtual router.
pub(super) fn parts<'l>(
    world: &World,
    layout: &'l Layout,
    key: RouterKey,
) -> Vec<(NodeId, &'l VirtualRouterConfig, Role)> {
    let part = |(id, router): (NodeId, &'l VirtualRouterConfig)| {
        let director = world.director(id).filter(|it| it.running() && world.node(id).on_network())?;
        let role = director.roles.get(&router.name).copied().unwrap_or(Role::Init);
        (role != Role::Fault).then_some((id, router, role))
    };
    layout.parts(key).filter_map(part).collect()
}

fn unsettled(world: &World, (vrid, ..): RouterKey, parts: &[(NodeId, &VirtualRouterConfig, Role)]) -> Option<String> {
    let since = secs_since(world);
    let owners: Vec<_> = parts.iter().filter(|(_, _, role)| *role == Role::Master).collect();
    let [(owner, config, _)] = owners[..] else {
        let roles: Vec<String> = parts.iter().map(|(id, _, role)| format!("{} {role}", world.name(*id))).collect();
        return Some(format!("virtual router {vrid} has {} owners {since}: {}", owners.len(), roles.join(", ")));
    };
    let priority = |id: NodeId, router: &VirtualRouterConfig| priority(world, id, router);
    let ours = priority(*owner, config);
    // Who of the living should have a router that is spread says a hash, not a priority.
    let outranks = |id: NodeId, it: &VirtualRouterConfig| it.preempts() && priority(id, it) > ours;
    if !spread(world, *owner, &config.name)
        && let Some((id, better, _)) = parts.iter().find(|(id, it, _)| outranks(*id, it))
    {
        let theirs = priority(*id, better);
        let (owner, id) = (world.name(*owner), world.name(*id));
        return Some(format!(
            "virtual router {vrid} is {owner}'s with priority {ours} {since}; {id} has {theirs} and does not preempt it"
        ));
    }
    let lacks = |director: &Director| {
        let held = |address| director.kernel.addresses.holds(address) || world.node(*owner).own(address);
        config.addresses.iter().map(|it| it.address).find(|address| !held(*address))
    };
    let missing = world.director(*owner).and_then(lacks)?;
    Some(format!("{} is MASTER of virtual router {vrid} and lacks {missing} {since}", world.name(*owner)))
}

fn spread(world: &World, id: NodeId, router: &str) -> bool {
    let config = world.director(id).and_then(|director| director.config.as_ref());
    let groups = config.and_then(|config| config.coordination.as_ref()).into_iter().flat_map(|it| &it.spread);
    groups.flat_map(|group| &group.routers).any(|it| **it == *router)
}

fn secs_since(world: &World) -> String {
    format!("{} after the last step or start", super::secs(world.now().since(disturbed(world))))
}

/// The effective priority.
pub(super) fn priority(world: &World, id: NodeId, router: &VirtualRouterConfig) -> u8 {
    let decided = world.director(id).and_then(|director| director.priorities.get(&router.name));
    decided.map_or(router.priority.get(), |(priority, _)| *priority)
}

/// Master_Down_Interval at the longest.
pub(super) fn master_down(world: &World, router: &VirtualRouterConfig, interval: Duration) -> Duration {
    let skew = match router.version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval,
    };
    by_the_slowest_clock(world, interval * u32::from(router.adverts.down_timer) + skew)
}

/// How long the slowest virtual router may take to settle.
pub(super) fn bound(world: &World) -> Duration {
    let configs = || world.directors().flat_map(|(_, director)| &director.config);
    let routers = || configs().flat_map(|config| &config.routers);
    let interval = routers().map(|router| router.adverts.interval.duration()).max().unwrap_or_default();
    let down = routers().map(|router| master_down(world, router, interval)).max().unwrap_or_default();
    let delay = routers().map(|router| router.preemption.delay).max().unwrap_or_default();
    let scripts = configs().flat_map(|config| config.scripts.values());
    let scripts = scripts.map(|script| script.interval * (script.rise.max(script.fall) + 1)).max().unwrap_or_default();
    let processes = configs().flat_map(|config| config.tracked_processes());
    let processes = processes.map(|process| process.fork_delay.max(process.terminate_delay)).max().unwrap_or_default();
    let forged = world.longest_forged;
    by_the_slowest_clock(world, scripts.max(processes) + down * 2 + delay + interval * 2 + leases(world) + forged)
        + world.slowest
        + MARGIN
}

/// What leases add: whoever was cut off asks for a new session, and that of one who died ends.
fn leases(world: &World) -> Duration {
    let configs = world.directors().filter_map(|(_, director)| director.config.as_ref()?.coordination.as_ref());
    let session = configs.map(|it| it.service.session_timeout).max();
    session.map_or(Duration::ZERO, |session| session + CONNECT + LONGEST_TRIAL)
}
