//! Nobody notices an upgrade: roles go on, adverts leave when they are due, the IPVS table needs no change. And whoever goes
//! on as MASTER, after an upgrade or a crash, has sent an advert so lately that nobody can have taken over.
//!
//! Virtual routers that need a lease of the quorum service are not judged: a session ends with its process, and they stop in
//! order.

use super::{Invariant, MOMENT, by_the_slowest_clock, secs};
use crate::scenario::NodeId;
use crate::trace::{Entry, What};
use crate::world::{Takeover, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::decision::Decision;
use vipward_core::interface::Family;
use vipward_core::quantity::{Priority, Role};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::intervals;

pub const NAME: &str = crate::scenario::invariant::UPGRADE_UNNOTICED;

/// A director that was frozen between the two processes has waited longer than this, and that is noticed.
const LONGEST: Duration = Duration::from_millis(10);

/// Steps of the simulator between what is due and its effect.
const STEPS: Duration = Duration::from_millis(2);

#[derive(Default)]
pub struct UpgradeUnnoticed {
    seen: usize,
    takeovers: usize,
    /// Adverts that are due after an upgrade: until when, and from when on one counts.
    due: BTreeMap<(NodeId, u8, Family), (Instant, Instant)>,
}

impl Invariant for UpgradeUnnoticed {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        for takeover in world.takeovers.iter().skip(self.takeovers).filter(|it| it.ended.since(it.began) <= LONGEST) {
            self.expect_adverts(world, takeover);
        }
        self.takeovers = world.takeovers.len();
        for entry in world.trace.iter().skip(self.seen) {
            broken.extend(noticed(world, entry));
            broken.extend(too_old(world, entry));
        }
        self.seen = world.trace.len();
        let late: Vec<(NodeId, u8, Family)> =
            self.due.iter().filter(|(_, (until, _))| *until < world.now()).map(|(key, _)| *key).collect();
        for key in late {
            let (id, vrid, family) = key;
            let Some((until, since)) = self.due.remove(&key) else { continue };
            let sent = world.last_adverts.get(&key).is_some_and(|last| last.at >= since);
            let masters = routers(world, id).filter(|(_, role)| *role == Role::Master);
            if !sent && masters.into_iter().any(|(router, _)| (router.vrid.get(), router.family) == (vrid, family)) {
                broken.push(format!(
                    "{} was upgraded and sent no advert of virtual router {vrid} until {until} s, when it was due",
                    world.name(id)
                ));
            }
        }
        broken
    }

    fn next(&self, _world: &World) -> Option<Instant> {
        self.due.values().min().map(|(until, _)| *until + MOMENT)
    }
}

impl UpgradeUnnoticed {
    fn expect_adverts(&mut self, world: &World, takeover: &Takeover) {
        for (router, _) in routers(world, takeover.node).filter(|(it, _)| !leased(world, takeover.node, &it.name)) {
            let key = (takeover.node, router.vrid.get(), router.family);
            let was_master = takeover.roles.get(&router.name) == Some(&Role::Master);
            if let Some(last) = world.last_adverts.get(&key).filter(|_| was_master) {
                let interval = by_the_slowest_clock(world, router.adverts.interval.duration());
                let until = takeover.ended.max(last.at + interval) + STEPS;
                self.due.insert(key, (until, last.at + MOMENT));
            }
        }
    }
}

/// Running virtual routers with their roles.
fn routers(world: &World, id: NodeId) -> impl Iterator<Item = (&VirtualRouterConfig, Role)> {
    let director = world.director(id).filter(|director| director.running());
    let config = director.and_then(|director| director.config.as_ref());
    config.into_iter().flat_map(|config| &config.routers).filter_map(move |router| {
        let role = director?.roles.get(&router.name)?;
        Some((router, *role))
    })
}

/// What happened in the very instant in which a new process took over, and should not have.
fn noticed(world: &World, entry: &Entry) -> Option<String> {
    let id = entry.node?;
    let takeover = world.takeovers.iter().rev().find(|takeover| takeover.node == id)?;
    if takeover.ended != entry.at || takeover.ended.since(takeover.began) > LONGEST {
        return None;
    }
    match &entry.what {
        What::Decided(Decision::RoleChanged { router, from: Role::Init, to, .. }) if !leased(world, id, router) => {
            let before = takeover.roles.get(router).copied().filter(|before| *before != Role::Init)?;
            if before == Role::Fault && *to == Role::Backup && stepped_in(world, takeover) {
                return None;
            }
            Some(format!("{} was upgraded and its {router}, which was {before}, begins anew as {to}", world.name(id)))
        }
        // A reload between the two may ask for another table.
        What::Ipvs(op) if !reloaded(world, takeover) => {
            Some(format!("{} was upgraded and changes its IPVS table: {op}", world.name(id)))
        }
        _ => None,
    }
}

/// What was done to the machine between the two processes.
fn steps_between<'w>(world: &'w World, takeover: &Takeover) -> impl Iterator<Item = &'w What> {
    let (node, began) = (takeover.node, takeover.began);
    let during = world.trace.iter().rev().take_while(move |entry| entry.at >= began);
    during
        .filter(move |entry| entry.at > began && entry.node == Some(node))
        .map(|entry| &entry.what)
        .filter(|what| matches!(what, What::Step { .. }))
}

/// Something was: what was wrong may be over.
fn stepped_in(world: &World, takeover: &Takeover) -> bool {
    steps_between(world, takeover).next().is_some()
}

/// It has another configuration, which may ask for another table.
fn reloaded(world: &World, takeover: &Takeover) -> bool {
    steps_between(world, takeover).any(|what| matches!(what, What::Step { word: "RELOAD", .. }))
}

/// By RFC 9568 6.1 nobody waits a shorter time than the highest priority that is no owner's.
fn too_old(world: &World, entry: &Entry) -> Option<String> {
    let What::Decided(Decision::RoleInherited { router: name, role: Role::Master, .. }) = &entry.what else {
        return None;
    };
    let id = entry.node?;
    let router = of_name(world, id, name)?;
    // It may have sent one in this very instant.
    let last = world
        .last_adverts
        .get(&(id, router.vrid.get(), router.family))
        .and_then(|last| last.before(entry.at))
        .unwrap_or_default();
    let (version, interval, adverts) = (router.version, router.adverts.interval, router.adverts.down_timer);
    let patience = intervals::master_down_interval(version, Priority::new(254)?, interval, adverts);
    let silent = entry.at.since(last);
    (silent > by_the_slowest_clock(world, patience) + STEPS).then(|| {
        format!(
            "{} goes on as MASTER of {name} though its last advert left {} ago; others wait {}",
            world.name(id),
            secs(silent),
            secs(patience)
        )
    })
}

fn leased(world: &World, id: NodeId, name: &str) -> bool {
    let config = world.director(id).and_then(|director| director.config.as_ref());
    config.is_some_and(|config| config.coordinates(name))
}

fn of_name<'w>(world: &'w World, id: NodeId, name: &Arc<str>) -> Option<&'w VirtualRouterConfig> {
    let config = world.director(id)?.config.as_ref()?;
    config.routers.iter().find(|router| router.name == *name)
}
