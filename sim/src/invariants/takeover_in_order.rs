//! A BACKUP takes over when no MASTER lives, and the best one does.
//!
//! On a network where nothing was lost or changed for longer than anybody waits: nobody takes over from a MASTER with the
//! better claim that is alive and heard (RFC 9568 6.4.2), also not one that was frozen meanwhile, for the adverts are in
//! its queue; and of several BACKUPs the one with the highest priority is first, for that is what Skew_Time is for (6.1).
//! Whoever hears priority 0 waits for Skew_Time alone. And a MASTER yields to the better claim only.

use super::settles::{master_down, parts, priority};
use super::{Invariant, MARGIN, MOMENT};
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::{Director, RouterKey, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::interface::Family;
use vipward_core::quantity::{Priority, Role};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::intervals;

pub const NAME: &str = crate::scenario::invariant::TAKEOVER_IN_ORDER;

/// Two that wake so close to each other may both be first: a packet's way, two steps of the simulator.
const CLOSE: Duration = Duration::from_millis(5);

#[derive(Default)]
pub struct TakeoverInOrder {
    seen: usize,
    resigned: BTreeMap<RouterKey, Farewell>,
}

/// A MASTER said goodbye.
struct Farewell {
    by: NodeId,
    at: Instant,
    /// Until then one of these must have taken over, if any of them still can.
    until: Instant,
    waiting: Vec<NodeId>,
}

impl Invariant for TakeoverInOrder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        for entry in world.trace.iter().skip(self.seen) {
            let Some(id) = entry.node else { continue };
            match &entry.what {
                What::Decided(Decision::RoleChanged {
                    router, from: Role::Backup, to: Role::Master, cause, ..
                }) => {
                    broken.extend(out_of_order(world, id, router, cause));
                }
                What::Decided(Decision::RoleChanged {
                    router, from: Role::Master, to: Role::Backup, cause, ..
                }) => {
                    broken.extend(yields_to_a_lesser(world, id, router, cause));
                }
                What::Advert { vrid, priority: 0, destination } => {
                    self.resigns(world, id, *vrid, Family::of(*destination));
                }
                _ => {}
            }
        }
        self.seen = world.trace.len();
        let due: Vec<RouterKey> =
            self.resigned.iter().filter(|(_, farewell)| farewell.until < world.now()).map(|(key, _)| *key).collect();
        for key in due {
            let Some(Farewell { by, at: since, waiting, .. }) = self.resigned.remove(&key) else { continue };
            let layout = world.layout();
            let parts = parts(world, &layout, key);
            let taken = parts.iter().any(|(_, _, role)| *role == Role::Master);
            let touched = world.last_step > since || parts.iter().any(|(id, ..)| world.node(*id).disturbed > since);
            // Who left its role meanwhile, in FAULT or by a claim of its own, waits anew.
            let waits_still = |(id, router, _): &(NodeId, &VirtualRouterConfig, Role)| {
                let in_role = world.director(*id).and_then(|director| director.role_since.get(&router.name));
                waiting.contains(id) && in_role.is_some_and(|in_role| *in_role <= since)
            };
            let somebody = parts.iter().any(waits_still);
            if !taken && somebody && !touched && !world.impaired() {
                let waited = super::secs(world.now().since(since));
                broken.push(format!(
                    "{} said goodbye for virtual router {} at {since} s, and after {waited} nobody has taken it",
                    world.name(by),
                    key.0
                ));
            }
        }
        broken
    }

    fn next(&self, _world: &World) -> Option<Instant> {
        self.resigned.values().map(|farewell| farewell.until + MOMENT).min()
    }
}

impl TakeoverInOrder {
    fn resigns(&mut self, world: &World, id: NodeId, vrid: u8, family: Family) {
        let layout = world.layout();
        for key in layout.keys(vrid, family).filter(|key| world.on_segment(id, key.1)) {
            let parts = parts(world, &layout, key);
            let waits = parts.iter().filter(|(other, router, role)| {
                let long = patience(world, router);
                let fooled = forged_since(world, router, long);
                let steady = steady(world, *other, &router.name, long) && calm(world, long);
                *other != id && *role == Role::Backup && steady && !fooled
            });
            let interval = parts.iter().map(|(_, router, _)| router.adverts.interval).max();
            let skews: Vec<_> = waits
                .filter_map(|(other, router, _)| {
                    let effective = Priority::new(priority(world, *other, router))?;
                    Some((*other, intervals::skew_time(router.version, effective, interval?)))
                })
                .collect();
            if let Some(longest) = skews.iter().map(|(_, skew)| *skew).max() {
                let at = world.now();
                let waiting = skews.iter().map(|(other, _)| *other).collect();
                self.resigned.insert(key, Farewell { by: id, at, until: at + longest + MARGIN, waiting });
            }
        }
    }
}

fn out_of_order(world: &World, id: NodeId, name: &Arc<str>, cause: &RoleCause) -> Option<String> {
    let down = match cause {
        RoleCause::MasterDown { .. } => true,
        RoleCause::MasterStopped { .. } => false,
        _ => return None,
    };
    let layout = world.layout();
    let router = layout.router(id, name)?;
    let key = layout.key_of(id, name)?;
    let long = patience(world, router);
    if forged_since(world, router, long) || !calm(world, long) || world.now().since(world.node(id).disturbed) < long {
        return None;
    }
    let ours = priority(world, id, router);
    let others = parts(world, &layout, key).into_iter().filter(|(other, ..)| *other != id);
    for (other, theirs, role) in others.filter(|(other, it, _)| steady(world, *other, &it.name, long)) {
        let claim = priority(world, other, theirs);
        match role {
            Role::Master if down && (claim >= ours || !router.preempts()) => {
                return Some(format!(
                    "{} takes virtual router {} over with priority {ours} though {} lives, is heard and has {claim}",
                    world.name(id),
                    key.0,
                    world.name(other)
                ));
            }
            Role::Backup
                if claim > ours
                    && awake(world, id, long)
                    && same_long(world, id, name, long)
                    && !upgraded_since(world, id, long) =>
            {
                let step = (router.adverts.interval.duration() / 256).min(Duration::from_secs(1) / 256);
                let apart = step * u32::from(claim - ours);
                if apart > CLOSE + long / 500 {
                    return Some(format!(
                        "{} takes virtual router {} over with priority {ours} before {} does, which has {claim}",
                        world.name(id),
                        key.0,
                        world.name(other)
                    ));
                }
            }
            Role::Master | Role::Backup | Role::Init | Role::Fault => {}
        }
    }
    None
}

/// A MASTER yields to the better claim: the higher priority, of equal ones the greater address (RFC 9568 6.4.3).
fn yields_to_a_lesser(world: &World, id: NodeId, name: &Arc<str>, cause: &RoleCause) -> Option<String> {
    let source = match cause {
        RoleCause::HigherPriority { source, .. } | RoleCause::SamePriorityGreaterAddress { source, .. } => *source,
        _ => return None,
    };
    let layout = world.layout();
    let rival = world.holder_of_own(source)?;
    let (ours, theirs) = (layout.router(id, name)?, layout.router(rival, name)?);
    let port = world.node(id).ports.iter().find(|port| port.interface == ours.interfaces.heard_on)?;
    let (own, _) = port.address?;
    // What it said may be older than what it is.
    let long = patience(world, ours);
    if forged_since(world, ours, long)
        || !same_long(world, id, name, long)
        || !same_long(world, rival, &theirs.name, long)
    {
        return None;
    }
    let (claim, rivals) = ((priority(world, id, ours), own), (priority(world, rival, theirs), source));
    (claim > rivals).then(|| {
        format!(
            "{} with priority {} and {own} yields virtual router {} to {} with {} and {source}",
            world.name(id),
            claim.0,
            ours.vrid,
            world.name(rival),
            rivals.0
        )
    })
}

/// Longer than anybody waits for anything.
fn patience(world: &World, router: &VirtualRouterConfig) -> Duration {
    master_down(world, router, router.adverts.interval.duration()) * 2
        + router.preemption.delay
        + Duration::from_secs(1)
        + world.slowest
}

/// Somebody was told what no director said, and had to believe it.
fn forged_since(world: &World, router: &VirtualRouterConfig, long: Duration) -> bool {
    world.forged.get(&router.vrid.get()).is_some_and(|forged| world.now().since(forged.until) < long)
}

/// Nobody touched the ways for that long.
fn calm(world: &World, long: Duration) -> bool {
    !world.impaired() && world.now().since(world.last_impairment) >= long
}

/// It runs, and has been what it is for that long.
fn steady(world: &World, id: NodeId, router: &Arc<str>, long: Duration) -> bool {
    let now = world.now();
    let same = |director: &Director| {
        let since = director.role_since.get(router).is_some_and(|since| now.since(*since) >= long);
        let priority = director.priorities.get(router).is_some_and(|(_, since)| now.since(*since) >= long);
        since && priority
    };
    now.since(world.node(id).disturbed) >= long && awake(world, id, long) && world.director(id).is_some_and(same)
}

fn awake(world: &World, id: NodeId, long: Duration) -> bool {
    world.director(id).is_some_and(|director| world.now().since(director.process_since) >= long)
}

/// An advert that arrives between the end of its old process and the beginning of the new one is heard by neither
/// (docs/upgrade.md): its timer may be over an interval early.
fn upgraded_since(world: &World, id: NodeId, long: Duration) -> bool {
    world.takeovers.iter().any(|takeover| takeover.node == id && world.now().since(takeover.ended) < long)
}

/// Its priority is as old.
fn same_long(world: &World, id: NodeId, router: &Arc<str>, long: Duration) -> bool {
    let since = world.director(id).and_then(|director| director.priorities.get(router).map(|(_, since)| *since));
    since.is_some_and(|since| world.now().since(since) >= long)
}
