//! `[vip] lifetime`: a director that runs never loses an address to the kernel, and one that does not holds none for longer
//! than the lifetime and the second within which Linux looks at it.
//!
//! How it stopped running is no matter: killed, frozen, both hands of a stuck clock. Without `lifetime` an address stays, as
//! keepalived leaves it.

use super::{Invariant, MARGIN, MOMENT, secs};
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::{Director, Process, World};
use std::collections::{BTreeMap, BTreeSet};
use vipward_core::config::LIFETIME;
use vipward_core::interface::AddressKey;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::lifetime::RENEW;

pub const NAME: &str = crate::scenario::invariant::LIFETIME;

/// What a director that does not run may keep its addresses for.
const LONGEST: Duration = LIFETIME.saturating_add(Duration::from_secs(1)).saturating_add(MARGIN);

/// A director that has just been woken renews within so much.
const AWAKE: Duration = RENEW.saturating_add(MARGIN);

#[derive(Default)]
pub struct Lifetime {
    seen: usize,
    /// Whether the addresses of a director had a lifetime when it last ran.
    finite: BTreeMap<NodeId, bool>,
    reported: BTreeSet<(NodeId, Instant)>,
}

impl Invariant for Lifetime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        for entry in world.trace.iter().skip(self.seen) {
            let (What::AddressExpired(key), Some(id)) = (&entry.what, entry.node) else { continue };
            let ran = world.director(id).filter(|it| it.running()).map(|it| entry.at.since(it.process_since));
            if let Some(ran) = ran.filter(|ran| *ran > AWAKE) {
                let name = world.name(id);
                broken.push(format!("the kernel takes {key} off {name}, which has been running for {}", secs(ran)));
            }
        }
        self.seen = world.trace.len();
        for (id, director) in world.directors() {
            if let Some(config) = director.config.as_ref().filter(|_| director.running()) {
                *self.finite.entry(id).or_default() = config.vip.lifetime;
            } else if let Some(until) = self.until(world, id, director)
                && world.now() > until
                && self.reported.insert((id, director.process_since))
            {
                let held = finite(director).map(|key| key.address.to_string());
                broken.push(format!(
                    "{} does not run since {} s and still holds {}",
                    world.name(id),
                    director.process_since,
                    held.collect::<Vec<_>>().join(", ")
                ));
            }
        }
        broken
    }

    fn next(&self, world: &World) -> Option<Instant> {
        let open = world.directors().filter(|(id, it)| !self.reported.contains(&(*id, it.process_since)));
        open.filter_map(|(id, director)| self.until(world, id, director)).map(|until| until + MOMENT).min()
    }
}

/// What it holds, its static addresses aside: those are permanent.
fn finite(director: &Director) -> impl Iterator<Item = &AddressKey> {
    let of_file = director.file.config.iter().flat_map(|config| &config.statics.addresses);
    let statics: BTreeSet<AddressKey> = of_file.map(|address| address.key()).collect();
    director.kernel.addresses.keys().filter(move |key| !statics.contains(*key))
}

impl Lifetime {
    /// Until when a director that does not run may hold what it still holds.
    fn until(&self, world: &World, id: NodeId, director: &Director) -> Option<Instant> {
        let still = match director.process {
            Process::Running => false,
            Process::Absent | Process::Frozen => world.node(id).power && finite(director).next().is_some(),
        };
        (still && self.finite.get(&id) == Some(&true)).then(|| director.process_since + LONGEST)
    }
}
