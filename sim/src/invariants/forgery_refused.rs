//! What nobody may believe moves nobody: no role changes by an advert that no director sent and that no configuration here
//! lets pass (another version, another password, no address in common, a TTL below 255 by multicast).

use super::Invariant;
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::World;
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::config::Config;
use vipward_core::decision::{Decision, RoleCause};

pub const NAME: &str = crate::scenario::invariant::FORGERY_REFUSED;

#[derive(Default)]
pub struct ForgeryRefused {
    seen: usize,
}

impl Invariant for ForgeryRefused {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let new = world.trace.get(self.seen..).unwrap_or_default();
        self.seen = world.trace.len();
        let moved = |id: Option<NodeId>, decision: &Decision| {
            let Decision::RoleChanged { router, vrid, cause, .. } = decision else { return None };
            let source = source(cause).filter(|source| nobodys(world, vrid.get(), *source))?;
            Some(told(world, id?, router, source))
        };
        new.iter()
            .filter_map(|entry| match &entry.what {
                What::Decided(decision) => moved(entry.node, decision),
                _ => None,
            })
            .collect()
    }
}

fn told(world: &World, id: NodeId, router: &Arc<str>, source: IpAddr) -> String {
    format!("{}'s {router} changes its role by an advert from {source}, which it must not believe", world.name(id))
}

/// Whose advert it was.
fn source(cause: &RoleCause) -> Option<IpAddr> {
    match cause {
        RoleCause::MasterDown { last_heard, .. } => last_heard.map(|(source, _)| source),
        RoleCause::MasterStopped { source, .. }
        | RoleCause::Preempts { source, .. }
        | RoleCause::HigherPriority { source, .. }
        | RoleCause::SamePriorityGreaterAddress { source, .. } => Some(*source),
        _ => None,
    }
}

/// No node has this address, and nothing that was forged with it had to be believed.
fn nobodys(world: &World, vrid: u8, source: IpAddr) -> bool {
    let had_to = world.forged.get(&vrid).is_some_and(|forged| forged.sources.contains(&source));
    let is_static = |config: &Arc<Config>| config.statics.addresses.iter().any(|it| it.address == source);
    // By the files: a killed director's kernel keeps it.
    let mut configs = world.plan().directors().flat_map(|(_, director)| &director.config.config);
    let known = world.holder_of_own(source).is_some() || configs.any(is_static);
    !had_to && !known
}
