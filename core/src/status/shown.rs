//! A machine that can be asked how it is.

use super::history::History;
use crate::machine::{Input, InputOf, LastWill, LeavesWill, Machine, OutboxOf, Reason};
use crate::time::Instant;

/// A machine that has something to show.
pub trait Shows: Machine {
    /// What it answers.
    type Status;
    /// What is read off its events and decisions.
    type Seen: Default;

    /// Reads what the machine is about to be told.
    fn hears(seen: &mut Self::Seen, input: &InputOf<Self>, now: Instant);

    /// Reads what it asked for.
    fn asks_for(seen: &mut Self::Seen, outbox: &OutboxOf<Self>, now: Instant);

    /// How it is now.
    fn status(&self, seen: &Self::Seen, history: &History, now: Instant) -> Self::Status;
}

/// Who asks. Neither call makes the machine wait.
pub trait Audience<S> {
    /// Somebody waits for an answer.
    fn waits(&self) -> bool;
    /// It is there.
    fn tell(&mut self, status: S);
}

/// Wraps a machine and answers whoever asks.
///
/// Who asks raises his flag and wakes the machine ([`Input::Wakeup`]); that one goes no further. The machine would not mind
/// it, but a question is no event, and no record needs to have it.
#[derive(Debug)]
pub struct Shown<M: Shows, A> {
    machine: M,
    audience: A,
    seen: M::Seen,
    history: History,
}

impl<M: Shows, A: Audience<M::Status>> Shown<M, A> {
    pub fn new(machine: M, audience: A) -> Self {
        Self { machine, audience, seen: M::Seen::default(), history: History::default() }
    }

    fn answer(&mut self, now: Instant) {
        let status = self.machine.status(&self.seen, &self.history, now);
        self.audience.tell(status);
    }
}

impl<M: Shows, A: Audience<M::Status>> Machine for Shown<M, A> {
    type Event = M::Event;
    type Effect = M::Effect;
    type Estate = M::Estate;

    fn handle(&mut self, input: InputOf<M>, now: Instant) -> OutboxOf<M> {
        let asked = self.audience.waits();
        if let Input::Wakeup = input {
            // Also one that comes when an event before it has answered already. What is due comes again.
            let idle = self.machine.next_wakeup().is_none_or(|(at, _)| at > now);
            if asked {
                self.answer(now);
            }
            if asked || idle {
                return OutboxOf::<M>::default();
            }
        }
        M::hears(&mut self.seen, &input, now);
        let outbox = self.machine.handle(input, now);
        M::asks_for(&mut self.seen, &outbox, now);
        outbox.decisions().for_each(|decision| self.history.take(decision, now));
        if asked {
            self.answer(now);
        }
        outbox
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.machine.next_wakeup()
    }

    fn estate(&self, now: Instant) -> Option<M::Estate> {
        self.machine.estate(now)
    }
}

impl<M: Shows + LeavesWill, A> LeavesWill for Shown<M, A> {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        self.machine.changed_shares()
    }
}
