//! A sync group is MASTER as a whole or not at all (`vrrp_sync_group`): at no instant is one of its virtual routers MASTER on a
//! director and another one not.

use super::Invariant;
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vipward_core::decision::Decision;
use vipward_core::quantity::Role;
use vipward_core::time::Instant;

pub const NAME: &str = crate::scenario::invariant::GROUP_WHOLE;

#[derive(Default)]
pub struct GroupWhole {
    seen: usize,
    /// What each virtual router said last, and when.
    roles: BTreeMap<(NodeId, Arc<str>), (Role, Instant)>,
    /// Groups that are broken now, and were reported.
    broken: BTreeSet<(NodeId, Arc<str>)>,
}

impl Invariant for GroupWhole {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        if world.trace.len() == self.seen {
            return Vec::new();
        }
        for entry in world.trace.iter().skip(self.seen) {
            let (Some(id), What::Decided(decision)) = (entry.node, &entry.what) else { continue };
            let (router, role) = match decision {
                Decision::RoleChanged { router, to, .. } => (router, *to),
                Decision::RoleInherited { router, role, .. } => (router, *role),
                // Nothing else says which role a router has.
                _ => continue,
            };
            self.roles.insert((id, router.clone()), (role, entry.at));
        }
        self.seen = world.trace.len();
        let mut broken = Vec::new();
        for (id, _) in world.plan().directors() {
            let Some(director) = world.director(id).filter(|it| it.running() && !it.upgrading()) else { continue };
            for group in director.config.iter().flat_map(|config| &config.groups) {
                // What another process said does not count.
                let said = |name: &Arc<str>| self.roles.get(&(id, name.clone())).copied();
                let role = |name| said(name).filter(|(_, at)| *at >= director.process_since).map(|(role, _)| role);
                let (masters, others): (Vec<&Arc<str>>, Vec<&Arc<str>>) =
                    group.members.iter().partition(|name| role(*name) == Some(Role::Master));
                let key = (id, group.name.clone());
                match (masters.first(), others.first()) {
                    (Some(master), Some(other)) => {
                        if self.broken.insert(key) {
                            broken.push(format!(
                                "{}'s sync group {} is in two: {master} is MASTER, {other} is not",
                                world.name(id),
                                group.name
                            ));
                        }
                    }
                    (Some(_) | None, None) | (None, Some(_)) => {
                        self.broken.remove(&key);
                    }
                }
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::tests::{EventRun, electors};
    use crate::scenario::NodeKind;
    use crate::testing::LB1;
    use vipward_core::config::SyncGroup;

    #[test]
    fn a_group_of_which_one_member_is_master() {
        let mut scenario = electors();
        for node in &mut scenario.nodes {
            let NodeKind::Director(director) = &mut node.kind else { continue };
            let mut config = director.config.config.as_deref().unwrap().clone();
            config.groups.push(SyncGroup {
                name: "G".into(),
                members: vec!["VI_1".into(), "VI_2".into()],
                notify: Default::default(),
                places: Default::default(),
            });
            director.config.config = Some(Arc::new(config));
        }
        let mut run = EventRun::new(scenario);
        run.role(LB1, Role::Init, Role::Backup);
        run.until(1_000);
        assert_eq!(run.broken_by(NAME), [""; 0]);
        run.role(LB1, Role::Backup, Role::Master);
        run.until(1_001);
        assert_eq!(run.broken_by(NAME), ["lb1's sync group G is in two: VI_1 is MASTER, VI_2 is not"]);
    }
}
