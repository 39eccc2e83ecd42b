//! With `fence` and `elect` an address has one owner, always: whoever hears whom, whatever is frozen, killed or cut off,
//! and however the quorum service fails. Nothing is allowed for.
//!
//! A kernel that holds an address counts, also of a director that does not run. Meant are the addresses that every
//! director coordinates and releases when the service can't be asked; with `keep` the user chose two owners.

use super::Invariant;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use vipward_core::config::Config;
use vipward_core::lease::{Mode, OnLoss};

pub const NAME: &str = crate::scenario::invariant::ONE_HOLDER;

#[derive(Default)]
pub struct OneHolder {
    version: Option<u64>,
    /// Addresses that nobody may have without the lease, as of this ground.
    exclusive: (Option<u64>, BTreeSet<IpAddr>),
    reported: BTreeSet<IpAddr>,
}

impl Invariant for OneHolder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        if self.version.replace(world.version) == Some(world.version) {
            return Vec::new();
        }
        let mut broken = Vec::new();
        if self.exclusive.0.replace(world.ground) != Some(world.ground) {
            self.exclusive.1 = exclusive(world);
        }
        for address in &self.exclusive.1 {
            let owners: Vec<_> = world.owners(*address).collect();
            if owners.len() > 1 && self.reported.insert(*address) {
                let names: Vec<&str> = owners.iter().map(|id| world.name(*id)).collect();
                broken.push(format!("{} hold {address} at one instant", names.join(" and ")));
            }
        }
        broken
    }
}

/// Addresses that nobody may have without the lease. By the files: a daemon that is gone left its kernel behind.
fn exclusive(world: &World) -> BTreeSet<IpAddr> {
    let mut exclusive: BTreeMap<IpAddr, bool> = BTreeMap::new();
    for (_, director) in world.directors() {
        let Some(config) = director.config.as_ref().or(director.file.config.as_ref()) else { continue };
        for router in &config.routers {
            let fenced = released_on_loss(config, &router.name);
            for address in router.addresses.iter().chain(&router.excluded) {
                *exclusive.entry(address.address).or_insert(true) &= fenced;
            }
        }
    }
    exclusive.into_iter().filter(|(_, fenced)| *fenced).map(|(address, _)| address).collect()
}

fn released_on_loss(config: &Config, router: &str) -> bool {
    let part = config.coordination.as_ref().and_then(|it| it.routers.get(router));
    part.is_some_and(|part| match (part.mode, part.on_loss) {
        (Mode::Fence | Mode::Elect, OnLoss::Release) => true,
        (Mode::Fence | Mode::Elect, OnLoss::Keep) | (Mode::Off, _) => false,
    })
}
