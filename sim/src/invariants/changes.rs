//! What is new since an invariant last looked: a takeover of thousands of addresses is judged by what moved.

use crate::scenario::NodeId;
use crate::trace::{Entry, What};
use crate::world::World;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::decision::Decision;
use vipward_core::quantity::Role;
use vipward_core::time::Duration;

/// How far an invariant has looked.
#[derive(Default)]
pub(super) struct Changes {
    version: Option<u64>,
    ground: Option<(u64, Duration)>,
    seen: usize,
}

pub(super) enum Changed {
    Nothing,
    /// Who holds these.
    Addresses(BTreeSet<IpAddr>),
    /// Whatever there is may be different.
    Everything,
}

impl Changes {
    /// Everything counts as new at the next look that finds anything.
    pub fn forget(&mut self) {
        (self.version, self.ground) = (None, None);
    }

    pub fn since(&mut self, world: &World) -> Changed {
        let new = world.trace.get(self.seen..).unwrap_or_default();
        self.seen = world.trace.len();
        if self.version.replace(world.version) == Some(world.version) {
            return Changed::Nothing;
        }
        let ground = (world.ground, world.slowest);
        // What follows from a session of the quorum service changes with time alone.
        if self.ground.replace(ground) != Some(ground) || world.quorum_node().is_some() {
            return Changed::Everything;
        }
        let mut addresses = BTreeSet::new();
        for entry in new {
            touched(world, entry, &mut addresses);
        }
        Changed::Addresses(addresses)
    }
}

fn touched(world: &World, entry: &Entry, addresses: &mut BTreeSet<IpAddr>) {
    match &entry.what {
        What::AddressAdded(key) | What::AddressRemoved(key) | What::AddressExpired(key) => {
            addresses.insert(key.address);
        }
        What::Decided(Decision::RoleChanged { router, from, to, .. }) if *from == Role::Fault || *to == Role::Fault => {
            all_of(world, entry.node, router, addresses);
        }
        What::Decided(Decision::RoleInherited { router, .. }) => all_of(world, entry.node, router, addresses),
        // Nothing else says who holds an address or could.
        _ => {}
    }
}

fn all_of(world: &World, id: Option<NodeId>, router: &Arc<str>, addresses: &mut BTreeSet<IpAddr>) {
    let layout = world.layout();
    let router = id.and_then(|id| layout.router(id, router));
    addresses.extend(router.into_iter().flat_map(|it| it.addresses.iter().map(|address| address.address)));
}
