//! A machine under supervision: the same machine to its driver, and its supervisor hears that it lives and what it would
//! leave.

use super::{HEARTBEAT, Report, Testament};
use crate::effect::Effect;
use crate::estate::Estate;
use crate::event::Event;
use crate::machine::{Machine, Reason};
use crate::time::Instant;
use std::collections::BTreeMap;

/// A step with more effects than this is told of before they are carried out.
const LONG_STEP: usize = 64;

/// A machine that can say what it would leave.
pub trait Testator {
    /// Goes up whenever [`Self::testament`] may have changed. Asked after every step.
    fn revision(&self) -> u64;

    /// What [`Event::Stop`] would send and take off now, in shares that change one by one.
    fn testament(&self) -> BTreeMap<u32, Testament>;
}

impl<T: Testator + ?Sized> Testator for Box<T> {
    fn revision(&self) -> u64 {
        (**self).revision()
    }

    fn testament(&self) -> BTreeMap<u32, Testament> {
        (**self).testament()
    }
}

/// The way to the supervisor.
pub trait Superior {
    /// Takes a report whole, or refuses it at once when there is no room: a machine never waits for its supervisor.
    fn report(&mut self, report: Report) -> bool;
}

/// Wraps a machine.
#[derive(Debug)]
pub struct Guarded<M, S> {
    machine: M,
    superior: S,
    /// What the supervisor knows.
    told: BTreeMap<u32, Testament>,
    /// Of which revision all was told.
    revision: Option<u64>,
    next_heartbeat: Instant,
}

impl<M: Testator, S: Superior> Guarded<M, S> {
    pub fn new(machine: M, superior: S) -> Self {
        Self { machine, superior, told: BTreeMap::new(), revision: None, next_heartbeat: Instant::ZERO }
    }

    /// Tells what has changed. What finds no room is told after the next step.
    fn tell_testament(&mut self) {
        let revision = Some(self.machine.revision());
        if self.revision == revision {
            return;
        }
        let testament = self.machine.testament();
        let gone = self.told.keys().filter(|share| !testament.contains_key(share)).copied();
        let news: Vec<(u32, Testament)> = gone
            .map(|share| (share, Testament::default()))
            .chain(
                testament
                    .iter()
                    .filter(|(share, part)| self.told.get(share) != Some(part))
                    .map(|(share, part)| (*share, part.clone())),
            )
            .collect();
        for (share, part) in news {
            if !self.superior.report(Report::Testament { share, first: true, part: part.clone() }) {
                return;
            }
            if part.is_empty() {
                self.told.remove(&share)
            } else {
                self.told.insert(share, part)
            };
        }
        self.revision = revision;
    }
}

impl<M: Machine + Testator, S: Superior> Machine for Guarded<M, S> {
    fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        // A heartbeat is no business of the machine's, nor of its record.
        let idle = event == Event::Wakeup && self.machine.next_wakeup().is_none_or(|(at, _)| at > now);
        let effects = if idle { Vec::new() } else { self.machine.handle(event, now) };
        // Before the effects are carried out: whoever dies among them leaves what he was about to put there.
        self.tell_testament();
        if self.next_heartbeat <= now || effects.len() > LONG_STEP {
            self.superior.report(Report::Alive { effects: u32::try_from(effects.len()).unwrap_or(u32::MAX) });
            self.next_heartbeat = now + HEARTBEAT;
        }
        effects
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.machine.next_wakeup().into_iter().chain([(self.next_heartbeat, Reason::Heartbeat)]).min()
    }

    fn estate(&self, now: Instant) -> Option<Estate> {
        self.machine.estate(now)
    }
}
