//! A machine under record: the same machine to its driver, and every step of it handed on.

use super::{Entry, Recordable, Taken, state_of};
use crate::machine::{InputOf, LastWill, LeavesWill, Machine, OutboxOf, Reason};
use crate::status::{History, Shows};
use crate::time::Instant;

/// Where entries go.
pub trait Recorder {
    /// Takes an entry, or refuses it at once when it has no room: a recorder never makes anybody wait.
    fn take(&mut self, entry: Entry) -> bool;

    /// Goes up whenever a new file begins, which then needs each machine's state.
    fn generation(&self) -> u64;
}

/// Wraps a machine. Its state is recorded before its first step, before the first step of each file, and after a gap.
#[derive(Debug)]
pub struct Recorded<M, R> {
    machine: M,
    recorder: R,
    /// The generation that has this machine's state; `None`: it must be written before anything else makes sense.
    known: Option<u64>,
    /// Steps that were refused since the last that was taken.
    lost: u64,
}

impl<M: Recordable, R: Recorder> Recorded<M, R> {
    pub fn new(machine: M, recorder: R) -> Self {
        Self { machine, recorder, known: None, lost: 0 }
    }

    /// The machine and what it was recorded with.
    pub fn into_parts(self) -> (M, R) {
        (self.machine, self.recorder)
    }

    /// Before a step: says what is missing, and writes the state where it is needed.
    fn prepare(&mut self, at: Instant) {
        if self.lost > 0 {
            if !self.recorder.take(Entry::Lost { machine: M::NAME, at, steps: self.lost }) {
                return;
            }
            self.lost = 0;
            self.known = None;
        }
        let generation = self.recorder.generation();
        if self.known != Some(generation)
            && let Ok(state) = state_of(&self.machine)
            && self.recorder.take(Entry::State { machine: M::NAME, at, state })
        {
            self.known = Some(generation);
        }
    }
}

impl<M, R: Recorder> Machine for Recorded<M, R>
where
    M: Recordable,
    InputOf<M>: Clone,
    OutboxOf<M>: Clone,
{
    type Event = M::Event;
    type Effect = M::Effect;
    type Estate = M::Estate;

    fn handle(&mut self, input: InputOf<M>, now: Instant) -> OutboxOf<M> {
        self.prepare(now);
        let heard = input.clone();
        let output = self.machine.handle(input, now);
        // Between a gap and the next state nothing could be checked; and what does not fit now is a part of the gap.
        let step = Taken { at: now, input: heard, output: output.clone() };
        if self.lost > 0 || !self.recorder.take(Entry::Step(M::step(step))) {
            self.lost += 1;
        }
        output
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.machine.next_wakeup()
    }

    fn estate(&self, now: Instant) -> Option<M::Estate> {
        self.machine.estate(now)
    }
}

/// It shows what the machine inside shows.
impl<M, R: Recorder> Shows for Recorded<M, R>
where
    M: Recordable + Shows,
    InputOf<M>: Clone,
    OutboxOf<M>: Clone,
{
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

impl<M: LeavesWill, R> LeavesWill for Recorded<M, R> {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        self.machine.changed_shares()
    }
}
