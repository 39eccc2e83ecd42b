//! A machine under supervision: the same machine to its driver, and its supervisor hears that it lives and what it would
//! leave.

use super::{HEARTBEAT, Report};
use crate::machine::{Input, InputOf, LastWill, LeavesWill, Machine, Outbox, OutboxOf, Reason};
use crate::status::{History, Shows};
use crate::time::Instant;
use std::collections::BTreeMap;

/// A step with more effects than this is told of before they are carried out.
const LONG_STEP: usize = 64;

/// How often a machine that ends waits for room for what it has not told.
const LAST_TRIES: u32 = 100;

/// The way to the supervisor.
pub trait ReportSink {
    /// Takes a report whole, or refuses it at once when there is no room: a machine never waits for its supervisor.
    fn report(&mut self, report: Report) -> bool;

    /// Waits until what was taken is on its way, some milliseconds at most. False: not yet. For the last words of a machine
    /// that has nothing else to do any more.
    fn settle(&mut self) -> bool {
        true
    }
}

/// Wraps a machine.
#[derive(Debug)]
pub struct Guarded<M, S> {
    machine: M,
    reports: S,
    /// What the supervisor knows.
    told: BTreeMap<u32, LastWill>,
    /// What found no room.
    untold: BTreeMap<u32, LastWill>,
    next_heartbeat: Instant,
}

impl<M: LeavesWill, S: ReportSink> Guarded<M, S> {
    pub fn new(machine: M, reports: S) -> Self {
        Self { machine, reports, told: BTreeMap::new(), untold: BTreeMap::new(), next_heartbeat: Instant::ZERO }
    }

    /// Tells what has changed. What finds no room is told after the next step.
    fn tell_last_will(&mut self) {
        self.untold.extend(self.machine.changed_shares());
        while let Some((share, part)) = self.untold.pop_first() {
            let known = self.told.get(&share);
            if if part.is_empty() { known.is_none() } else { known == Some(&part) } {
                continue;
            }
            if !self.reports.report(Report::LastWill { share, first: true, part: part.clone() }) {
                self.untold.insert(share, part);
                return;
            }
            if part.is_empty() {
                self.told.remove(&share)
            } else {
                self.told.insert(share, part)
            };
        }
    }
}

impl<M: Machine + LeavesWill, S: ReportSink> Machine for Guarded<M, S> {
    type Event = M::Event;
    type Effect = M::Effect;
    type Estate = M::Estate;

    fn handle(&mut self, input: InputOf<M>, now: Instant) -> OutboxOf<M> {
        let last = input.is_last();
        // A heartbeat is no business of the machine's, nor of its record.
        let idle = matches!(input, Input::Wakeup) && self.machine.next_wakeup().is_none_or(|(at, _)| at > now);
        let effects = if idle { Outbox::default() } else { self.machine.handle(input, now) };
        // Before the effects are carried out: whoever dies among them leaves what he was about to put there.
        self.tell_last_will();
        for _ in 0..if last { LAST_TRIES } else { 0 } {
            if self.reports.settle() && self.untold.is_empty() {
                break;
            }
            self.tell_last_will();
        }
        if self.next_heartbeat <= now || effects.len() > LONG_STEP {
            self.reports.report(Report::Alive { effects: u32::try_from(effects.len()).unwrap_or(u32::MAX) });
            self.next_heartbeat = now + HEARTBEAT;
        }
        effects
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.machine.next_wakeup().into_iter().chain([(self.next_heartbeat, Reason::Heartbeat)]).min()
    }

    fn estate(&self, now: Instant) -> Option<M::Estate> {
        self.machine.estate(now)
    }
}

/// It shows what the machine inside shows.
impl<M: Shows + LeavesWill, S: ReportSink> Shows for Guarded<M, S> {
    type Status = M::Status;
    type Seen = M::Seen;

    fn hears(seen: &mut M::Seen, input: &InputOf<M>, now: Instant) {
        M::hears(seen, input, now);
    }

    fn asks_for(seen: &mut M::Seen, outbox: &OutboxOf<M>, now: Instant) {
        M::asks_for(seen, outbox, now);
    }

    fn status(&self, seen: &M::Seen, history: &History, now: Instant) -> M::Status {
        self.machine.status(seen, history, now)
    }
}
