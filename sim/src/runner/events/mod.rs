//! The event-queue runner: both machines of every director straight from one queue over the same [`World`], without
//! tasks, sockets and streams. It jumps from one instant at which something is due to the next.
//!
//! It takes time in the same steps of 1 ms as the turmoil runner, and around each machine is the same
//! [`vipward_core::driver`]: a future that is polled by hand when something is due for it (`queue.rs`). Probes are
//! modelled (`probe.rs`) instead of spoken. What both runners run they must tell alike: `sim/tests/explore_agree.rs`.

mod daemon;
mod probe;
mod queue;

use super::{Run, TICK, conclude};
use crate::invariants::Watch;
use crate::scenario::{NodeId, Scenario};
use crate::world::{Process, World};
use daemon::Daemon;
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use vipward_core::balancer::Balancer;
use vipward_core::machine::{InputOf, LastWill, LeavesWill, Like, Machine, OutboxOf, Reason};
use vipward_core::time::Instant;
use vipward_core::vrrp::Election;

/// Makes a director's machines. Whoever wants to look at their events and effects, or to spoil them, wraps the
/// product's own.
pub trait Make: Sync {
    fn election(&self, _: NodeId) -> Box<dyn GuardedMachine<Election>> {
        Box::new(Election::default())
    }

    fn balancer(&self, _: NodeId) -> Box<dyn GuardedMachine<Balancer>> {
        Box::new(Balancer::default())
    }
}

/// A machine that can be put under a supervisor.
pub trait GuardedMachine<K: Machine>: Like<K> + LeavesWill {}

impl<K: Machine, M: Like<K> + LeavesWill> GuardedMachine<K> for M {}

/// The product's machines.
#[derive(Clone, Copy, Debug)]
pub struct Product;

impl Make for Product {}

/// A machine whose events are counted, so that one that never rests is noticed.
struct Restless<M> {
    machine: M,
    handled: Rc<Cell<u32>>,
}

impl<M: Machine> Machine for Restless<M> {
    type Event = M::Event;
    type Effect = M::Effect;
    type Estate = M::Estate;

    fn handle(&mut self, input: InputOf<M>, now: Instant) -> OutboxOf<M> {
        self.handled.set(self.handled.get().saturating_add(1));
        self.machine.handle(input, now)
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.machine.next_wakeup()
    }

    fn estate(&self, now: Instant) -> Option<M::Estate> {
        self.machine.estate(now)
    }
}

impl<M: LeavesWill> LeavesWill for Restless<M> {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        self.machine.changed_shares()
    }
}

/// Runs a scenario. `seed` replaces the scenario's own. The error: a machine that never rests.
pub fn run(scenario: &Arc<Scenario>, seed: Option<u64>) -> Result<Run, String> {
    let mut run = EventRun::new(scenario, seed, &Product);
    run.play()?;
    run.conclude()
}

/// One run under way.
pub struct EventRun<'a> {
    world: Rc<RefCell<World>>,
    watch: Watch,
    daemons: Vec<(NodeId, Option<Daemon>)>,
    make: &'a dyn Make,
    seed: u64,
}

impl<'a> EventRun<'a> {
    pub fn new(scenario: &Arc<Scenario>, seed: Option<u64>, make: &'a dyn Make) -> Self {
        let seed = seed.unwrap_or(scenario.seed);
        let mut world = World::new(scenario.clone(), seed);
        for (id, plan) in scenario.directors() {
            if plan.starts {
                world.start(id);
            }
        }
        let daemons = scenario.directors().map(|(id, _)| (id, None)).collect();
        Self { world: Rc::new(RefCell::new(world)), watch: Watch::default(), daemons, make, seed }
    }

    /// Adverts and announcements stay out of the record: they are most of it, and a sweep reads none of them.
    pub fn leave_out_traffic(&mut self) {
        self.world.borrow_mut().leave_out_traffic = true;
    }

    pub fn world(&self) -> Ref<'_, World> {
        self.world.borrow()
    }

    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// To the end of the scenario.
    pub fn play(&mut self) -> Result<(), String> {
        self.play_until(|_| false)
    }

    /// To the end of the scenario, or until `enough` says so after an instant.
    pub fn play_until(&mut self, enough: impl Fn(&Self) -> bool) -> Result<(), String> {
        let scenario = self.world.borrow().plan().clone();
        let end = Instant::ZERO + scenario.duration;
        let mut steps = scenario.steps.iter().peekable();
        let mut now = TICK_ONE;
        let mut seen = self.world.borrow().version;
        while now <= end {
            self.world.borrow_mut().advance(now);
            while let Some(step) = steps.next_if(|step| step.at <= now) {
                self.world.borrow_mut().act(&step.action);
            }
            // Machines see nothing of it, but ways, ports and processes may have changed under what they wait for.
            let version = self.world.borrow().version;
            let changed = std::mem::replace(&mut seen, version) != version;
            self.follow();
            for (id, daemon) in &mut self.daemons {
                if let Some(it) = daemon {
                    it.turn(changed).map_err(|error| {
                        format!("{} at {now} s: {}: {error}", scenario.name, scenario.node(*id).name)
                    })?;
                }
            }
            self.watch.observe(&mut self.world.borrow_mut());
            if enough(self) {
                break;
            }
            let due = self.daemons.iter().filter_map(|(_, daemon)| daemon.as_ref()?.next());
            let next = due
                .chain(self.world.borrow().next_due())
                .chain(steps.peek().map(|step| step.at))
                .chain(self.watch.next(&self.world.borrow()))
                .min();
            let Some(next) = next else { break };
            now = whole_tick(next).max(now + TICK);
        }
        if now > end {
            // The end is an instant as well.
            self.world.borrow_mut().advance(end);
            self.watch.observe(&mut self.world.borrow_mut());
        }
        Ok(())
    }

    /// Ends the machines of daemons that are gone and makes those of new ones.
    fn follow(&mut self) {
        for (id, daemon) in &mut self.daemons {
            let incarnation = {
                let world = self.world.borrow();
                let alive = world.director(*id).filter(|it| it.process != Process::Absent);
                alive.map(|it| it.incarnation)
            };
            if daemon.as_ref().map(Daemon::incarnation) != incarnation {
                *daemon = incarnation.map(|incarnation| Daemon::new(*id, incarnation, self.make, &self.world));
            }
        }
    }

    /// The error: something still holds the world, which nothing does.
    pub fn conclude(self) -> Result<Run, String> {
        let Self { world, watch, daemons, seed, .. } = self;
        drop(daemons);
        let world = Rc::into_inner(world).ok_or("a machine outlives its simulation")?;
        Ok(conclude(world.into_inner(), watch, seed))
    }
}

/// The first instant at which anything runs.
const TICK_ONE: Instant = Instant::from_millis(1);

/// Rounded up: nothing wakes early.
fn whole_tick(at: Instant) -> Instant {
    Instant::from_nanos(at.as_nanos().div_ceil(1_000_000).saturating_mul(1_000_000))
}
