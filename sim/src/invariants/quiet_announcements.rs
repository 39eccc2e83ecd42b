//! Who has nothing to say is silent: on a whole network where nothing has changed for longer than the second burst of
//! gratuitous ARP takes (`garp_master_delay`, `garp_lower_prio_delay`), nobody announces anything, except for
//! `garp_master_refresh`. A storm of announcements is an outage of its own: switches and hosts limit them.

use super::Invariant;
use crate::scenario::NodeId;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use vipward_core::time::Duration;

pub const NAME: &str = crate::scenario::invariant::QUIET_ANNOUNCEMENTS;

/// Beyond the delays themselves.
const AFTER: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct QuietAnnouncements {
    seen: usize,
    reported: BTreeSet<NodeId>,
}

impl Invariant for QuietAnnouncements {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        let new = world.announced.get(self.seen..).unwrap_or_default();
        let impaired = !new.is_empty() && world.impaired();
        let mut delays = BTreeMap::new();
        for (at, id, address) in new {
            let quiet = at.since(world.last_change.max(world.last_impairment));
            if impaired || quiet <= AFTER {
                continue;
            }
            let longest = *delays.entry(*id).or_insert_with(|| longest_delay(world, *id));
            if longest.is_none_or(|longest| quiet <= longest + AFTER) {
                continue;
            }
            if self.reported.insert(*id) {
                broken.push(format!(
                    "{} announces {address} though nothing has changed for {}",
                    world.name(*id),
                    super::secs(quiet)
                ));
            }
        }
        self.seen = world.announced.len();
        broken
    }
}

/// How long after a change announcements may come; none: for ever, by `garp_master_refresh`.
fn longest_delay(world: &World, id: NodeId) -> Option<Duration> {
    let director = world.director(id)?;
    let mut longest = Duration::ZERO;
    for router in director.config.iter().flat_map(|config| &config.routers) {
        if !router.announcements.refresh.is_zero() {
            return None;
        }
        // Two announcements may be one interval apart from the advert that causes them.
        longest = longest.max(router.announcements.delay).max(router.announcements.lower_prio_delay)
            + router.adverts.interval.duration();
    }
    Some(longest)
}
