//! Whether an outage was there because nobody could ask the quorum service: told from what the directors decided.

use super::row::History;
use crate::runner::Run;
use crate::scenario::NodeId;
use crate::trace::{Outage, What};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::quantity::Role;
use vipward_core::time::Instant;

/// The reason in words, if at some instant of the outage nobody held the address, and every director that had begun its work
/// was without the service.
pub(super) fn because(run: &Run, outage: &Outage, address: IpAddr, history: &History) -> Option<String> {
    let end = outage.ended.unwrap_or(Instant::ZERO + run.scenario.duration);
    let until = history.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let empty = history.iter().zip(until).filter(|((_, held), _)| held.is_empty());
    let mut empty = empty.map(|((from, _), until)| ((*from).max(outage.began), until.min(end)));
    let routers = routers(run, address);
    let found = empty.any(|(from, until)| from < until && all_without(run, &routers, from, until));
    found.then(|| format!("nobody has {address} because the quorum service can't be asked"))
}

/// The virtual routers that hold an address, by name.
fn routers(run: &Run, address: IpAddr) -> BTreeSet<Arc<str>> {
    let configs = run.scenario.directors().filter_map(|(_, director)| director.config.config.as_ref());
    let routers = configs.flat_map(|config| &config.routers);
    let holds = routers.filter(|it| it.addresses.iter().chain(&it.excluded).any(|held| held.address == address));
    holds.map(|router| router.name.clone()).collect()
}

fn all_without(run: &Run, routers: &BTreeSet<Arc<str>>, from: Instant, until: Instant) -> bool {
    // Of each director that has begun: it is without the service.
    let mut without: BTreeMap<NodeId, bool> = BTreeMap::new();
    let mut in_init: BTreeMap<NodeId, bool> = BTreeMap::new();
    let all = |without: &BTreeMap<NodeId, bool>| !without.is_empty() && without.values().all(|it| *it);
    for entry in run.trace.iter().take_while(|entry| entry.at < until) {
        if entry.at > from && all(&without) {
            return true;
        }
        let (Some(id), What::Decided(decision)) = (entry.node, &entry.what) else { continue };
        match decision {
            Decision::RoleChanged { router, to, cause, .. } if routers.contains(router) => {
                in_init.insert(id, *to == Role::Init);
                without.insert(id, *to == Role::Fault && matches!(cause, RoleCause::NoQuorum { .. }));
            }
            Decision::ServiceUnreachable { .. } if in_init.get(&id).copied().unwrap_or(true) => {
                without.insert(id, true);
            }
            Decision::SessionOpened { .. } if in_init.get(&id).copied().unwrap_or(true) => {
                without.insert(id, false);
            }
            // Nothing else says whether it can ask.
            _ => {}
        }
    }
    all(&without)
}
