//! Bounded role changes per minute: a virtual router that keeps changing its role serves nobody.
//!
//! Six in any minute may come by themselves (a lossy network), and each step of the scenario may cause four more: a
//! takeover and the way back.

use super::Invariant;
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use vipward_core::decision::Decision;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::Role;

pub const NAME: &str = "bounded-role-changes";

const MINUTE: Duration = Duration::from_secs(60);
const BY_ITSELF: usize = 6;
const PER_STEP: usize = 4;

#[derive(Default)]
pub struct BoundedRoleChanges {
    seen: usize,
    changes: BTreeMap<(NodeId, Arc<str>), VecDeque<Instant>>,
    reported: BTreeSet<(NodeId, Arc<str>)>,
}

impl Invariant for BoundedRoleChanges {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        for entry in world.trace.iter().skip(self.seen) {
            let (Some(id), What::Decided(Decision::RoleChanged { router, from, .. })) = (entry.node, &entry.what)
            else {
                continue;
            };
            if *from == Role::Init {
                continue;
            }
            let key = (id, router.clone());
            let changes = self.changes.entry(key.clone()).or_default();
            changes.push_back(entry.at);
            changes.retain(|at| entry.at.since(*at) < MINUTE);
            let steps = world
                .trace
                .iter()
                .filter(|other| matches!(other.what, What::Step { .. }) && entry.at.since(other.at) < MINUTE);
            let allowed = BY_ITSELF + PER_STEP * steps.count();
            if changes.len() > allowed && self.reported.insert(key) {
                broken.push(format!(
                    "{}'s {router} changed its role {} times within a minute; {allowed} are allowed",
                    world.name(id),
                    changes.len()
                ));
            }
        }
        self.seen = world.trace.len();
        broken
    }
}
