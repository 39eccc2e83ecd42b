//! Bounded role changes per minute: a virtual router that keeps changing its role serves nobody.
//!
//! Six in any minute may come by themselves, and each step of the scenario may cause four more: a takeover and the way
//! back. Where packets are lost, whoever loses three adverts in a row is right to take over, and to go back at the fourth:
//! with a hundred adverts a second that is many times a minute. So three lost adverts buy two changes, and so do three
//! that jitter held up. A forged advert that a director has to believe is as good as a step.
//!
//! A virtual router that needs a lease goes to FAULT, BACKUP and MASTER with each loss of the quorum service. That may happen
//! three times in a minute: after the second loss the service has to be of use for one and a half session timeouts, after
//! the third for as long as [`vipward_core::coordination::LONGEST_TRIAL`].

use super::Invariant;
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::quantity::Role;
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::BOUNDED_ROLE_CHANGES;

const MINUTE: Duration = Duration::from_secs(60);
const BY_ITSELF: usize = 6;
/// Of these, as many as may be in a minute.
const PER_SERVICE_LOST: usize = 3;
const SERVICE_LOST: usize = 3;
const PER_STEP: usize = 4;
/// Adverts in a row that make a BACKUP a MASTER for a while (`down_timer_adverts`).
const IN_A_ROW: u64 = 3;

#[derive(Default)]
pub struct BoundedRoleChanges {
    seen: usize,
    /// When each step was.
    steps: Vec<Instant>,
    changes: BTreeMap<(NodeId, Arc<str>), VecDeque<Change>>,
    lost: BTreeMap<(NodeId, Arc<str>), u64>,
    forged: BTreeMap<(NodeId, Arc<str>), u64>,
    reported: BTreeSet<(NodeId, Arc<str>)>,
}

/// One change.
struct Change {
    at: Instant,
    /// Adverts to this director that had been lost at the change before it.
    lost_before: u64,
    /// Forged adverts that had been believed by then.
    forged_before: u64,
    /// The quorum service was of no use any more.
    service_lost: bool,
}

impl Invariant for BoundedRoleChanges {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        let new = world.trace.get(self.seen..).unwrap_or_default();
        // A director's service that flaps goes on with its step.
        let step = |it: &What| {
            let flaps = matches!(it, What::ServerUp { port: Some(_) } | What::ServerDown { port: Some(_) });
            flaps || matches!(it, What::Step { .. })
        };
        self.steps.extend(new.iter().filter(|it| step(&it.what)).map(|it| it.at));
        for entry in new {
            let (Some(id), What::Decided(Decision::RoleChanged { router, vrid, from, to, cause })) =
                (entry.node, &entry.what)
            else {
                continue;
            };
            if *from == Role::Init {
                continue;
            }
            let key = (id, router.clone());
            let changes = self.changes.entry(key.clone()).or_default();
            let lost = lost_by(world, id);
            let lost_before = self.lost.insert(key.clone(), lost).unwrap_or(0);
            let service_lost = *to == Role::Fault && matches!(cause, RoleCause::NoQuorum { .. });
            let forged = world.forged.get(&vrid.get()).map_or(0, |forged| forged.believed);
            let forged_before = self.forged.insert(key.clone(), forged).unwrap_or(0);
            changes.push_back(Change { at: entry.at, lost_before, forged_before, service_lost });
            changes.retain(|change| entry.at.since(change.at) < MINUTE);
            let lost = lost.saturating_sub(changes.front().map_or(0, |change| change.lost_before));
            let forged = forged.saturating_sub(changes.front().map_or(0, |change| change.forged_before));
            let forged = usize::try_from(forged).unwrap_or(usize::MAX);
            let by_loss = usize::try_from(lost * 2 / IN_A_ROW).unwrap_or(usize::MAX);
            let steps = self.steps.iter().filter(|step| entry.at.since(**step) < MINUTE);
            let services_lost = changes.iter().filter(|change| change.service_lost).count();
            let by_itself = BY_ITSELF.max(PER_SERVICE_LOST * services_lost.min(SERVICE_LOST));
            let caused = PER_STEP.saturating_mul(steps.count().saturating_add(forged));
            let allowed = by_itself.saturating_add(caused).saturating_add(by_loss);
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

fn lost_by(world: &World, id: NodeId) -> u64 {
    let adverts = world.lost_adverts.iter().chain(&world.late_adverts);
    adverts.filter(|((_, to), _)| *to == id).map(|(_, lost)| lost).sum()
}
