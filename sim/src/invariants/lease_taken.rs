//! A lease that nobody holds is taken, while the quorum service answers and a director that could have it is well.
//!
//! Judged are virtual routers whose addresses nobody may have without the lease (`fence`, `elect`, both with `on_loss =
//! "release"`), and that no spreading leaves to others. Every director that runs with such a router reaches the service
//! without loss or delay. Of these one that is not in FAULT for a reason of its own has a connection again after
//! [`connected`] since that is so, or since the last step or start, and becomes MASTER after its Master_Down_Interval at the latest (RFC 9568 6.1), or, in `elect`, when all
//! the better candidates have had their turn ([`TURN`]). That the service failed a
//! short time ago is no reason to leave a lease free.

use super::settles::master_down;
use super::{Invariant, MARGIN, MOMENT, by_the_slowest_clock, secs};
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::{Director, Quality, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use vipward_core::config::Config;
use vipward_core::coordination::vacancy::TURN;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::lease::{Coordination, Mode, OnLoss, surely};
use vipward_core::quantity::Role;
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::LEASE_TAKEN;

/// Until a client that does not know yet that it lost its server has found one again, and a question is answered: the time
/// after which it gives a silent server up, two tries of a second, half a second apart, and the next question.
fn connected(coordination: &Coordination) -> Duration {
    coordination.service.session_timeout / 8 + Duration::from_secs(3) + surely::ASK_EVERY
}

#[derive(Default)]
pub struct LeaseTaken {
    seen: usize,
    /// By director and router: it is in FAULT because of the quorum service.
    by_quorum: BTreeMap<(NodeId, Arc<str>), bool>,
    /// By router: since when its lease is free although somebody could take it, how long that may be, and whether it is
    /// reported.
    free: BTreeMap<Arc<str>, (Instant, Duration, bool)>,
}

impl Invariant for LeaseTaken {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        if world.quorum_node().is_none() {
            return Vec::new();
        }
        for entry in world.trace.iter().skip(self.seen) {
            if let (Some(id), What::Decided(Decision::RoleChanged { router, cause, .. })) = (entry.node, &entry.what) {
                let by_quorum = matches!(
                    cause,
                    RoleCause::NoQuorum { .. } | RoleCause::QuorumOnTrial { .. } | RoleCause::SessionTooShort { .. }
                );
                self.by_quorum.insert((id, router.clone()), by_quorum);
            }
        }
        self.seen = world.trace.len();
        let now = world.now();
        let mut free = BTreeMap::new();
        for (router, allowed) in self.could_be_taken(world) {
            let (since, before, reported) = self.free.get(&router).copied().unwrap_or((now, allowed, false));
            // Whose session somebody ended, or who was upgraded, begins anew.
            let since = since.max(world.last_step).max(world.last_start);
            free.insert(router, (since, before.max(allowed), reported));
        }
        self.free = free;
        let mut broken = Vec::new();
        for (router, (since, allowed, reported)) in &mut self.free {
            if !*reported && now.since(*since) > *allowed {
                *reported = true;
                broken.push(format!(
                    "nobody takes the lease of {router}, which is free since {since} s while the quorum service answers; {} \
                     is allowed",
                    secs(*allowed)
                ));
            }
        }
        broken
    }

    fn next(&self, _world: &World) -> Option<Instant> {
        self.free
            .values()
            .filter(|(.., reported)| !reported)
            .map(|(since, allowed, _)| *since + *allowed + MOMENT)
            .min()
    }
}

impl LeaseTaken {
    /// The routers whose lease is free now although somebody could take it, and how long that may be.
    fn could_be_taken(&self, world: &World) -> BTreeMap<Arc<str>, Duration> {
        let mut found: BTreeMap<Arc<str>, Duration> = BTreeMap::new();
        let Some(zk) = world.quorum_node().filter(|_| !world.quorum_away()) else {
            return found;
        };
        let clean = |way: Option<Quality>| way.is_some_and(Quality::is_clean);
        let running: Vec<(NodeId, &Director, &Arc<Config>)> = world
            .directors()
            .filter(|(id, it)| it.running() && world.node(*id).on_network())
            .filter_map(|(id, it)| Some((id, it, it.config.as_ref()?)))
            .collect();
        if !running.iter().all(|(id, ..)| clean(world.route(*id, zk)) && clean(world.route(zk, *id))) {
            return found;
        }
        for (id, director, config) in running {
            let Some(coordination) = &config.coordination else { continue };
            for router in &config.routers {
                let part = coordination.routers.get(&router.name).filter(|it| it.on_loss == OnLoss::Release);
                let Some(part) = part else { continue };
                let spread = coordination.spread.iter().any(|group| group.routers.contains(&router.name));
                let could = match director.roles.get(&router.name) {
                    Some(Role::Backup | Role::Master) => true,
                    Some(Role::Fault) => self.by_quorum.get(&(id, router.name.clone())).copied().unwrap_or(false),
                    Some(Role::Init) | None => false,
                };
                // A MASTER that somebody forged is waited for like any other.
                let forged = world.forged.get(&router.vrid.get()).is_some_and(|forged| world.now() <= forged.until);
                if !spread && could && !forged && world.lease_is_free(&router.name) {
                    let others = u32::try_from(world.directors().count()).unwrap_or(u32::MAX).saturating_sub(1);
                    let down = match part.mode {
                        Mode::Elect => by_the_slowest_clock(world, TURN * others),
                        Mode::Fence | Mode::Off => master_down(world, router, router.adverts.interval.duration()),
                    };
                    let allowed = by_the_slowest_clock(world, connected(coordination)) + down + MARGIN;
                    let longest = found.entry(router.name.clone()).or_default();
                    *longest = allowed.max(*longest);
                }
            }
        }
        found
    }
}
