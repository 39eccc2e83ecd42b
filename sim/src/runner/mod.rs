//! The turmoil runner: whole directors in the world. Both machines under the production driver, adverts over simulated
//! UDP, probes over simulated TCP to real servers that speak HTTP.
//!
//! turmoil has one address per host, no TTL, no ARP and no loss per direction; all of that is the [`World`]'s. What
//! turmoil gives is tasks, timers and streams as production has them. One step is 1 ms.

mod datagrams;
mod director;
pub mod events;
mod seam;
mod server;
mod tasks;

use crate::invariants::{Violation, Watch};
use crate::scenario::{Action, NodeId, NodeKind, Scenario};
use crate::trace::{Break, Entry, Outage, Request, Trouble, What, outages, troubles};
use crate::world::{Process, World};
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::Notify;
use vipward_core::time::{Duration, Instant};

/// One step of time.
const TICK: Duration = Duration::from_millis(1);

/// What a run gave. The same scenario and seed give the same `Run`, byte for byte.
#[derive(Debug)]
pub struct Run {
    pub scenario: Arc<Scenario>,
    pub seed: u64,
    /// In the order of time.
    pub trace: Vec<Entry>,
    pub requests: Vec<Request>,
    /// Connections that clients kept open and that broke.
    pub breaks: Vec<Break>,
    pub outages: Vec<Outage>,
    /// The same, with those joined that have less than two seconds between them.
    pub troubles: Vec<Trouble>,
    pub violations: Vec<Violation>,
    /// Who each host believes to hold an address, at the end.
    pub neighbours: BTreeMap<(NodeId, IpAddr), NodeId>,
}

/// What the tasks of one simulation share.
struct Shared {
    world: RefCell<World>,
    /// Where turmoil put each node.
    addresses: RefCell<Vec<Option<IpAddr>>>,
    /// And the services of directors that are checked. They outlive the daemon.
    services: RefCell<BTreeMap<NodeId, IpAddr>>,
    /// One for each node: something of it changed, look again.
    bells: Vec<Notify>,
}

impl Shared {
    fn world(&self) -> Ref<'_, World> {
        self.world.borrow()
    }

    fn world_mut(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }

    fn ring(&self, node: NodeId) {
        if let Some(bell) = self.bells.get(node.0) {
            bell.notify_waiters();
        }
    }

    async fn bell(&self, node: NodeId) {
        match self.bells.get(node.0) {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Where connections to this node's services go.
    fn server(&self, node: NodeId) -> Option<IpAddr> {
        self.services.borrow().get(&node).copied().or_else(|| self.address(node))
    }

    fn address(&self, node: NodeId) -> Option<IpAddr> {
        self.addresses.borrow().get(node.0).copied().flatten()
    }
}

/// Runs a scenario. `seed` replaces the scenario's own. The error is turmoil's: a task of the simulation broke.
pub fn run(scenario: &Arc<Scenario>, seed: Option<u64>) -> Result<Run, String> {
    let seed = seed.unwrap_or(scenario.seed);
    let shared = Rc::new(Shared {
        world: RefCell::new(World::new(scenario.clone(), seed)),
        addresses: RefCell::new(vec![None; scenario.nodes.len()]),
        services: RefCell::default(),
        bells: scenario.nodes.iter().map(|_| Notify::new()).collect(),
    });
    let mut sim = turmoil::Builder::new()
        .epoch(SystemTime::UNIX_EPOCH)
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::MAX)
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::ZERO)
        .udp_capacity(4096)
        .tcp_capacity(4096)
        .build();
    let mut hosts = Hosts { turmoil: &mut sim, started: vec![Cell::new(0); scenario.nodes.len()] };
    for (id, plan) in scenario.directors() {
        if plan.starts {
            shared.world_mut().start(id);
        }
    }
    for id in scenario.ids() {
        hosts.add(&shared, id);
    }
    let mut watch = Watch::default();
    let mut steps = scenario.steps.iter().peekable();
    let end = Instant::ZERO + scenario.duration;
    let mut now = Instant::ZERO;
    while now < end {
        now = now + TICK;
        shared.world_mut().advance(now);
        while let Some(step) = steps.next_if(|step| step.at <= now) {
            shared.world_mut().act(&step.action);
            hosts.wake_all(&shared);
        }
        hosts.follow(&shared);
        for id in scenario.ids() {
            let world = shared.world();
            let serves = world.server(id).is_some() || shared.services.borrow().contains_key(&id);
            let mail = world.has_mail(id) || serves;
            drop(world);
            if mail {
                shared.ring(id);
            }
        }
        hosts.turmoil.step().map_err(|error| format!("{} at {now} s: {error}", scenario.name))?;
        watch.observe(&mut shared.world_mut());
    }
    drop(hosts);
    drop(sim);
    let world = Rc::into_inner(shared).ok_or("a task outlives its simulation")?.world.into_inner();
    Ok(conclude(world, watch, seed))
}

/// The outages of every client, by themselves and joined ([`Trouble`]).
pub fn seen_by_clients(scenario: &Scenario, requests: &[Request]) -> (Vec<Outage>, Vec<Trouble>) {
    let end = Instant::ZERO + scenario.duration;
    let (mut all, mut joined) = (Vec::new(), Vec::new());
    for id in scenario.ids().filter(|id| matches!(scenario.node(*id).kind, NodeKind::Client(_))) {
        let own = outages(id, requests);
        joined.extend(troubles(&own, requests, end));
        all.extend(own);
    }
    (all, joined)
}

/// What a run that came to its end gave.
fn conclude(mut world: World, watch: Watch, seed: u64) -> Run {
    let scenario = world.plan().clone();
    let requests = std::mem::take(&mut world.requests);
    let breaks = std::mem::take(&mut world.breaks);
    let mut trace = std::mem::take(&mut world.trace);
    let (outages, troubles) = seen_by_clients(&scenario, &requests);
    for Trouble { client, began, ended, failed, asked, longest, cause } in troubles.iter().cloned() {
        trace.push(Entry { at: began, node: Some(client), what: What::TroubleBegan { cause } });
        if let Some(at) = ended {
            let what = What::TroubleEnded { lasted: at.since(began), failed, asked, longest };
            trace.push(Entry { at, node: Some(client), what });
        }
    }
    trace.sort_by_key(|entry| entry.at);
    let neighbours = world.believed();
    Run { scenario, seed, trace, requests, breaks, outages, troubles, violations: watch.violations, neighbours }
}

/// What turmoil calls a node: never its own name, which may be an address, and turmoil would take it for the host's.
fn host(id: NodeId) -> String {
    format!("node{}", id.0)
}

/// Whether a checker of anybody looks at a service of this director.
fn checked(scenario: &Scenario, id: NodeId) -> bool {
    let own = |ip: IpAddr| scenario.node(id).ports.iter().any(|port| port.address.is_some_and(|(own, _)| own == ip));
    let steps = scenario.steps.iter().filter_map(|step| match &step.action {
        Action::Reload { file, .. } => file.config.as_deref(),
        _ => None,
    });
    let configs = scenario.directors().filter_map(|(_, director)| director.config.config.as_deref()).chain(steps);
    let mut servers = configs.flat_map(|config| &config.services).flat_map(|service| &service.real_servers);
    servers.any(|server| server.checkers.iter().any(|checker| own(checker.target.ip())))
}

/// turmoil's hosts, and which daemon runs on each.
struct Hosts<'a, 's> {
    turmoil: &'a mut turmoil::Sim<'s>,
    /// Incarnations; 0: none.
    started: Vec<Cell<u64>>,
}

impl Hosts<'_, '_> {
    fn add(&mut self, shared: &Rc<Shared>, id: NodeId) {
        let scenario = shared.world().plan().clone();
        let plan = scenario.node(id);
        let name = host(id);
        let shared_here = shared.clone();
        match &plan.kind {
            NodeKind::Director(_) => {
                self.turmoil.host(name.as_str(), move || director::run(shared_here.clone(), id));
                if checked(&scenario, id) {
                    let services = format!("{name}-services");
                    let shared_here = shared.clone();
                    self.turmoil.host(services.as_str(), move || server::run(shared_here.clone(), id));
                    shared.services.borrow_mut().insert(id, self.turmoil.lookup(services.as_str()));
                }
            }
            NodeKind::RealServer(_) => {
                self.turmoil.host(name.as_str(), move || server::run(shared_here.clone(), id));
            }
            // Clients and the router are the world's own.
            NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => return,
        }
        let address = self.turmoil.lookup(name.as_str());
        if let Some(place) = shared.addresses.borrow_mut().get_mut(id.0) {
            *place = Some(address);
        }
        self.remember(shared, id);
    }

    fn remember(&self, shared: &Shared, id: NodeId) {
        if let (Some(started), Some(director)) = (self.started.get(id.0), shared.world().director(id)) {
            started.set(if director.process == Process::Absent { 0 } else { director.incarnation });
        }
    }

    /// Ends the tasks of daemons that are gone, starts those of new ones.
    fn follow(&mut self, shared: &Rc<Shared>) {
        let directors: Vec<_> = shared.world().directors().map(|(id, it)| (id, it.process, it.incarnation)).collect();
        for (id, process, incarnation) in directors {
            let runs = self.started.get(id.0).map_or(0, Cell::get);
            let wanted = if process == Process::Absent { 0 } else { incarnation };
            if runs == wanted {
                continue;
            }
            let name = host(id);
            if wanted == 0 {
                self.turmoil.crash(name.as_str())
            } else {
                self.turmoil.bounce(name.as_str())
            }
            if let Some(started) = self.started.get(id.0) {
                started.set(wanted);
            }
            self.wake_all(shared);
        }
    }

    /// Something happened: everybody looks again.
    fn wake_all(&self, shared: &Shared) {
        for bell in &shared.bells {
            bell.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Action;
    use crate::testing::{LB1, WEB1, at, pair};
    use crate::timeline;

    fn run(steps: Vec<crate::scenario::Step>) -> Run {
        let scenario = Scenario { steps, ..pair() };
        super::run(&Arc::new(scenario), None).unwrap()
    }

    #[test]
    fn a_killed_master_is_replaced_and_a_dead_server_leaves_the_table() {
        let run = run(vec![at(8.0, Action::Down(WEB1.into())), at(12.0, Action::Kill(LB1))]);
        println!("{}", timeline::render(&run));
        assert_eq!(run.violations, []);
    }
}
