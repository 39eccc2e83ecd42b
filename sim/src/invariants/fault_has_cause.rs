//! No director stays in FAULT when nothing is wrong with it any more.
//!
//! `address-served` asks of every director that could take an address that it does, and takes one that says FAULT at its
//! word; `settles` does, too. Here that word is compared with the world: a virtual router is in FAULT while a link that it
//! needs has no carrier, while it has no address to send from, or while something that it tracks with weight 0 says no.
//! When all of that is over it leaves FAULT at once, or when a tracked script has said so `rise` times.
//!
//! Routers that leases decide about are left out: who has no quorum is in FAULT as well, and `settles` bounds that.

use super::{Invariant, MARGIN, MOMENT, by_the_slowest_clock, secs};
use crate::scenario::NodeId;
use crate::trace::What;
use crate::world::{Node, World};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::command::ScriptOutcome;
use vipward_core::config::{Config, Reading, TrackerId, VirtualRouterConfig, Weighed};
use vipward_core::decision::Decision;
use vipward_core::interface::{Family, InterfaceName, is_link_local};
use vipward_core::quantity::Role;
use vipward_core::time::{Duration, Instant};

pub const NAME: &str = crate::scenario::invariant::FAULT_HAS_CAUSE;

#[derive(Default)]
pub struct FaultHasCause {
    version: Option<u64>,
    seen: usize,
    /// Virtual routers that said FAULT last.
    faulty: BTreeSet<(NodeId, Arc<str>)>,
    /// Those of them without a cause.
    idle: BTreeMap<(NodeId, Arc<str>), Idle>,
    due: Option<Instant>,
}

/// A virtual router in FAULT without a cause.
#[derive(Clone, Copy)]
struct Idle {
    since: Instant,
    allowed: Duration,
    reported: bool,
}

impl Invariant for FaultHasCause {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let changed = self.version.replace(world.version) != Some(world.version);
        if !changed && self.due.is_none_or(|at| at > world.now()) {
            return Vec::new();
        }
        self.follow(world);
        self.judge(world);
        let mut broken = Vec::new();
        for ((id, router), idle) in self.idle.iter_mut().filter(|(_, idle)| !idle.reported) {
            if world.now().since(idle.since) > idle.allowed {
                idle.reported = true;
                broken.push(format!(
                    "{}'s {router} stays in FAULT though its links and all that it tracks are well since {} s; {} is \
                     allowed",
                    world.name(*id),
                    idle.since,
                    secs(idle.allowed)
                ));
            }
        }
        let open = self.idle.values().filter(|idle| !idle.reported);
        self.due = open.map(|idle| idle.since + idle.allowed + MOMENT).min();
        broken
    }

    fn next(&self, _world: &World) -> Option<Instant> {
        self.due
    }
}

impl FaultHasCause {
    fn follow(&mut self, world: &World) {
        for entry in world.trace.iter().skip(self.seen) {
            let (Some(id), What::Decided(decision)) = (entry.node, &entry.what) else { continue };
            let (router, role) = match decision {
                Decision::RoleChanged { router, to, .. } => (router, *to),
                Decision::RoleInherited { router, role, .. } => (router, *role),
                // Nothing else says which role a router has.
                _ => continue,
            };
            let router = (id, router.clone());
            match role {
                Role::Fault => self.faulty.insert(router),
                Role::Init | Role::Backup | Role::Master => self.faulty.remove(&router),
            };
        }
        self.seen = world.trace.len();
    }

    fn judge(&mut self, world: &World) {
        let before = std::mem::take(&mut self.idle);
        let layout = world.layout();
        for key in &self.faulty {
            let (id, name) = (key.0, &key.1);
            let Some(director) = world.director(id).filter(|it| it.running() && !it.upgrading()) else { continue };
            let (Some(config), Some(router)) = (&director.config, layout.router(id, name)) else { continue };
            // What keeps one member of a sync group in FAULT keeps all of them.
            let group = config.group_of(name).into_iter().flat_map(|group| &group.members);
            let mut members = group.filter_map(|name| layout.router(id, name));
            if config.coordinates(name)
                || !well(world, id, config, router)
                || !members.all(|member| well(world, id, config, member))
            {
                continue;
            }
            let new = Idle { since: world.now(), allowed: Duration::ZERO, reported: false };
            let known = before.get(key).copied().unwrap_or(new);
            // A reload or a restart asks every script anew.
            let since = known.since.max(world.node(id).disturbed).max(director.process_since);
            let allowed = by_the_slowest_clock(world, until_heard(config, router)) + MARGIN;
            self.idle.insert(key.clone(), Idle { since, allowed, ..known });
        }
    }
}

/// Nothing that may put this router into FAULT is so now.
fn well(world: &World, id: NodeId, config: &Config, router: &VirtualRouterConfig) -> bool {
    let node = world.node(id);
    let held = router.addresses.iter().chain(&router.excluded).map(|address| &address.interface);
    let mut needed = router.interfaces.tracked.iter().chain(held);
    let source = match router.source {
        Some(source) => {
            let statics = world.director(id).is_some_and(|director| director.kernel.addresses.holds(source));
            node.own(source) || (statics && config.statics.addresses.iter().any(|it| it.address == source))
        }
        None => has_address(node, router),
    };
    source && needed.all(|interface| up(node, interface)) && tracked(world, id, config, router)
}

/// The kernel has such an interface, and it has a carrier.
fn up(node: &Node, interface: &InterfaceName) -> bool {
    node.ports.iter().any(|port| port.interface == *interface && node.runs(port))
}

/// Its interface has an address from which its adverts can be sent.
fn has_address(node: &Node, router: &VirtualRouterConfig) -> bool {
    let mut ports = node.ports.iter().filter(|port| port.interface == router.interfaces.sent_from);
    let sends = |own: IpAddr| match router.family {
        Family::V4 => own.is_ipv4(),
        Family::V6 => is_link_local(own),
    };
    ports.any(|port| port.address.is_some_and(|(own, _)| sends(own)))
}

/// Nothing that it tracks with weight 0 says no.
fn tracked(world: &World, id: NodeId, config: &Config, router: &VirtualRouterConfig) -> bool {
    router.tracking.list.iter().all(|tracked| {
        let reading = match &tracked.what {
            TrackerId::Interface(interface) => Reading::of(up(world.node(id), interface)),
            TrackerId::File(name) => Reading::Number(world.file_number(id, name)),
            TrackerId::Process(name) => match config.processes.get(name) {
                Some(process) => Reading::of(process.suits(world.process_count(id, name))),
                None => Reading::Unknown,
            },
            TrackerId::Script(name) => match config.scripts.get(name) {
                Some(script) => Reading::of(world.script_outcome(id, &script.command) == ScriptOutcome::Exited(0)),
                None => Reading::Unknown,
            },
        };
        matches!(tracked.weight.weigh(reading, Reading::Unknown), Weighed::Adds(_))
    })
}

/// How long its slowest script or process needs to say that something is well, or not.
fn until_heard(config: &Config, router: &VirtualRouterConfig) -> Duration {
    let scripts = router.tracking.scripts().filter_map(|name| config.scripts.get(name));
    let each = scripts.map(|script| script.interval * (script.rise.max(script.fall) + 1) + script.timeout);
    let processes = router.tracking.processes().filter_map(|name| config.processes.get(name));
    let delays = processes.map(|process| process.fork_delay.max(process.terminate_delay));
    each.chain(delays).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::tests::{EventRun, electors};
    use crate::scenario::{Action, Checks, Listener, NodeKind, Scenario};
    use crate::testing::LB1;
    use vipward_core::command::Command;
    use vipward_core::config::{Tracked, VrrpScript};

    /// lb1 tracks a script that looks at its port 80 once a second, with weight 0.
    fn tracking() -> Scenario {
        let mut scenario = electors();
        let NodeKind::Director(director) = &mut scenario.nodes[0].kind else { panic!("lb1 is the first") };
        director.listens = vec![80];
        director.tracks.insert("chk".into(), Checks { port: 80, asks: false });
        let mut config = director.config.config.as_deref().unwrap().clone();
        let second = Duration::from_secs(1);
        let script = VrrpScript {
            name: "chk".into(),
            command: Command { argv: vec!["chk".into()], user: None },
            interval: second,
            timeout: second,
            weight: Default::default(),
            rise: 2,
            fall: 1,
            init_fail: false,
            places: Default::default(),
        };
        config.scripts.insert("chk".into(), script);
        let tracked = Tracked { what: TrackerId::Script("chk".into()), weight: Default::default() };
        config.routers[0].tracking.list.push(tracked);
        director.config.config = Some(Arc::new(config));
        scenario
    }

    fn interface() -> Option<InterfaceName> {
        Some(InterfaceName::new("eth0"))
    }

    #[test]
    fn a_director_that_stays_in_fault_when_its_link_is_back() {
        let mut run = EventRun::new(electors());
        run.until(1_000);
        run.world.act(&Action::Unplug { node: LB1, interface: interface() });
        run.role(LB1, Role::Backup, Role::Fault);
        run.until(20_000);
        assert_eq!(run.broken_by(NAME), [""; 0], "its link is down");
        run.world.act(&Action::Plug { node: LB1, interface: interface() });
        run.until(20_100);
        assert_eq!(run.broken_by(NAME), [""; 0]);
        run.until(20_200);
        let text = "lb1's VI_1 stays in FAULT though its links and all that it tracks are well since 20.001 s; 0.100 s is \
                    allowed";
        assert_eq!(run.broken_by(NAME), [text]);
    }

    #[test]
    fn a_director_that_leaves_fault_when_its_link_is_back() {
        let mut run = EventRun::new(electors());
        run.world.act(&Action::Unplug { node: LB1, interface: interface() });
        run.role(LB1, Role::Init, Role::Fault);
        run.until(5_000);
        run.world.act(&Action::Plug { node: LB1, interface: interface() });
        run.role(LB1, Role::Fault, Role::Backup);
        run.until(20_000);
        assert_eq!(run.broken_by(NAME), [""; 0]);
    }

    #[test]
    fn a_script_that_is_well_again_may_say_so_as_often_as_it_has_to() {
        let mut run = EventRun::new(tracking());
        let service = Listener { node: LB1, port: Some(80) };
        run.world.act(&Action::Down(service));
        run.role(LB1, Role::Backup, Role::Fault);
        run.until(20_000);
        assert_eq!(run.broken_by(NAME), [""; 0], "its service is down");
        run.world.act(&Action::Up(service));
        // Twice, at an interval of a second, and one may have begun just before; a run may take a second.
        run.until(24_100);
        assert_eq!(run.broken_by(NAME), [""; 0]);
        run.until(24_200);
        assert_eq!(run.broken_by(NAME).len(), 1);
    }

    #[test]
    fn nobody_blames_a_director_that_does_not_run() {
        let mut run = EventRun::new(electors());
        run.role(LB1, Role::Init, Role::Fault);
        run.world.act(&Action::Freeze(LB1));
        run.until(20_000);
        assert_eq!(run.broken_by(NAME), [""; 0]);
        run.world.act(&Action::Resume(LB1));
        run.until(20_100);
        assert_eq!(run.broken_by(NAME), [""; 0]);
        run.until(20_200);
        assert_eq!(run.broken_by(NAME).len(), 1);
    }
}
