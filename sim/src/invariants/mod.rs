//! What must hold in every run, whatever the scenario is about. Each checker looks at the world after every step of
//! time and says what is broken: when, who, which address.

mod address_served;
mod bounded_role_changes;
mod changes;
mod connection_kept;
mod dead_destination;
mod fault_has_cause;
mod forgery_refused;
mod group_whole;
mod health_settles;
mod lease_taken;
mod lifetime;
mod one_holder;
mod one_owner;
mod quiet_announcements;
mod routes_of_master;
mod settles;
mod silent_after_stop;
mod tables_settle;
mod takeover_in_order;
#[cfg(test)]
mod tests;
mod upgrade_unnoticed;
mod worker_kept;

use crate::trace::{Entry, What};
use crate::world::World;
use vipward_core::time::{Duration, Instant};

/// One rule.
pub trait Invariant {
    /// As scenarios name it.
    fn name(&self) -> &'static str;

    /// Looks at the world; what is newly broken, in words that name nodes and addresses.
    fn observe(&mut self, world: &World) -> Vec<String>;

    /// When it has to look again although nothing changes.
    fn next(&self, _world: &World) -> Option<Instant> {
        None
    }
}

/// What a director may take beyond the protocol's own arithmetic: its turn, the simulator's millisecond steps.
const MARGIN: Duration = Duration::from_millis(100);

/// Beyond what is allowed by as little as can be.
const MOMENT: Duration = Duration::from_nanos(1);

/// How long a duration by the slowest director's clock may be, and a thousandth of it if any of them drifts at all.
fn by_the_slowest_clock(world: &World, duration: Duration) -> Duration {
    let drifts = world.plan().directors().any(|(_, director)| director.drift_ppm != 0);
    if drifts { duration + duration / 999 } else { duration }
}

/// One broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: Instant,
    pub invariant: &'static str,
    pub text: String,
}

/// All checkers of one run.
pub struct Watch {
    invariants: Vec<Box<dyn Invariant>>,
    pub violations: Vec<Violation>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            invariants: vec![
                Box::new(one_owner::OneOwner::default()),
                Box::new(one_holder::OneHolder::default()),
                Box::new(address_served::AddressServed::default()),
                Box::new(dead_destination::DeadDestination::default()),
                Box::new(tables_settle::TablesSettle::default()),
                Box::new(bounded_role_changes::BoundedRoleChanges::default()),
                Box::new(silent_after_stop::SilentAfterStop::default()),
                Box::new(settles::Settles::default()),
                Box::new(health_settles::HealthSettles::default()),
                Box::new(takeover_in_order::TakeoverInOrder::default()),
                Box::new(quiet_announcements::QuietAnnouncements::default()),
                Box::new(upgrade_unnoticed::UpgradeUnnoticed::default()),
                Box::new(lifetime::Lifetime::default()),
                Box::new(lease_taken::LeaseTaken::default()),
                Box::new(worker_kept::WorkerKept::default()),
                Box::new(forgery_refused::ForgeryRefused::default()),
                Box::new(fault_has_cause::FaultHasCause::default()),
                Box::new(group_whole::GroupWhole::default()),
                Box::new(routes_of_master::RoutesOfMaster::default()),
                Box::new(connection_kept::ConnectionKept::default()),
            ],
            violations: Vec::new(),
        }
    }
}

impl Watch {
    /// When something may break although nothing changes.
    pub fn next(&self, world: &World) -> Option<Instant> {
        self.invariants.iter().filter_map(|invariant| invariant.next(world)).min()
    }

    /// Looks once; what is broken goes into the record as well.
    pub fn observe(&mut self, world: &mut World) {
        for invariant in &mut self.invariants {
            for text in invariant.observe(world) {
                let (at, name) = (world.now(), invariant.name());
                world.trace.push(Entry {
                    at,
                    node: None,
                    what: What::Violated { invariant: name, text: text.clone() },
                });
                self.violations.push(Violation { at, invariant: name, text });
            }
        }
    }
}

/// Seconds to the millisecond.
fn secs(duration: Duration) -> String {
    format!("{}.{:03} s", duration.as_secs(), duration.subsec_millis())
}
