//! The event-queue runner: both machines of every director straight from one queue over the same [`World`], without
//! tasks, sockets and streams. It jumps from one instant at which something is due to the next.
//!
//! It takes time in the same steps of 1 ms as the turmoil runner and follows the rules of
//! [`vipward_core::driver`]: answers first, then what waits (host, packets, probes), then an expired timer. Probes are
//! modelled (`probe.rs`) instead of spoken. What both runners run they must tell alike: `sim/tests/explore_agree.rs`.

mod daemon;
mod probe;

use super::{Run, TICK, conclude};
use crate::invariants::Watch;
use crate::scenario::{NodeId, Scenario};
use crate::world::{Half, World};
use daemon::Daemon;
use std::sync::Arc;
use vipward_core::balancer::Balancer;
use vipward_core::machine::LeavesWill;
use vipward_core::machine::Machine;
use vipward_core::time::Instant;
use vipward_core::vrrp::Election;

/// Makes a director's machines. Whoever wants to look at their events and effects, or to spoil them, wraps the
/// product's own.
pub type MakeMachine<'a> = &'a (dyn Fn(NodeId, Half) -> Box<dyn GuardedMachine> + Sync);

/// A machine that can be put under a supervisor.
pub trait GuardedMachine: Machine + LeavesWill {}

impl<M: Machine + LeavesWill> GuardedMachine for M {}

/// The product's machines.
pub fn product(_: NodeId, half: Half) -> Box<dyn GuardedMachine> {
    match half {
        Half::Election => Box::new(Election::default()),
        Half::Balancer => Box::new(Balancer::default()),
    }
}

/// Runs a scenario. `seed` replaces the scenario's own. The error: a machine that never rests.
pub fn run(scenario: &Arc<Scenario>, seed: Option<u64>) -> Result<Run, String> {
    let mut run = EventRun::new(scenario, seed, &product);
    run.play()?;
    Ok(run.conclude())
}

/// One run under way.
pub struct EventRun<'a> {
    world: World,
    watch: Watch,
    daemons: Vec<(NodeId, Option<Daemon>)>,
    make: MakeMachine<'a>,
    seed: u64,
}

impl<'a> EventRun<'a> {
    pub fn new(scenario: &Arc<Scenario>, seed: Option<u64>, make: MakeMachine<'a>) -> Self {
        let seed = seed.unwrap_or(scenario.seed);
        let mut world = World::new(scenario.clone(), seed);
        for (id, plan) in scenario.directors() {
            if plan.starts {
                world.start(id);
            }
        }
        let daemons = scenario.directors().map(|(id, _)| (id, None)).collect();
        Self { world, watch: Watch::default(), daemons, make, seed }
    }

    /// Adverts and announcements stay out of the record: they are most of it, and a sweep reads none of them.
    pub fn leave_out_traffic(&mut self) {
        self.world.leave_out_traffic = true;
    }

    pub fn world(&self) -> &World {
        &self.world
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
        let scenario = self.world.plan().clone();
        let end = Instant::ZERO + scenario.duration;
        let mut steps = scenario.steps.iter().peekable();
        let mut now = TICK_ONE;
        let mut seen = self.world.version;
        while now <= end {
            self.world.advance(now);
            while let Some(step) = steps.next_if(|step| step.at <= now) {
                self.world.act(&step.action);
            }
            // Machines see nothing of it, but ways, ports and processes may have changed under what they wait for.
            let changed = std::mem::replace(&mut seen, self.world.version) != self.world.version;
            self.follow();
            for (id, daemon) in &mut self.daemons {
                if let Some(it) = daemon {
                    it.turn(&mut self.world, changed).map_err(|error| {
                        format!("{} at {now} s: {}: {error}", scenario.name, scenario.node(*id).name)
                    })?;
                }
            }
            self.watch.observe(&mut self.world);
            if enough(self) {
                break;
            }
            let due = self.daemons.iter().filter_map(|(_, daemon)| daemon.as_ref()?.next(&self.world));
            let next = due
                .chain(self.world.next_due())
                .chain(steps.peek().map(|step| step.at))
                .chain(self.watch.next(&self.world))
                .min();
            let Some(next) = next else { break };
            now = whole_tick(next).max(now + TICK);
        }
        if now > end {
            // The end is an instant as well.
            self.world.advance(end);
            self.watch.observe(&mut self.world);
        }
        Ok(())
    }

    /// Ends the machines of daemons that are gone and makes those of new ones.
    fn follow(&mut self) {
        for (id, daemon) in &mut self.daemons {
            let alive = self.world.director(*id).filter(|it| it.process != crate::world::Process::Absent);
            let incarnation = alive.map(|it| it.incarnation);
            if daemon.as_ref().map(Daemon::incarnation) != incarnation {
                *daemon =
                    incarnation.map(|incarnation| Daemon::new(*id, incarnation, self.make, self.world.supervises()));
            }
        }
    }

    pub fn conclude(self) -> Run {
        conclude(self.world, self.watch, self.seed)
    }
}

/// The first instant at which anything runs.
const TICK_ONE: Instant = Instant::from_millis(1);

/// Rounded up: nothing wakes early.
fn whole_tick(at: Instant) -> Instant {
    Instant::from_nanos(at.as_nanos().div_ceil(1_000_000).saturating_mul(1_000_000))
}
