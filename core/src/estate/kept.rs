//! A machine whose estate is kept up to date somewhere outside, for a successor that it can't hand it to.

use crate::machine::{InputOf, Machine, OutboxOf, Reason};
use crate::time::{Duration, Instant};

/// How old an Election's copy may be after a decision.
pub const ELECTION_PAUSE: Duration = Duration::from_millis(100);

/// How old it may be after nothing but adverts. A successor is MASTER only by an advert that is younger than about three
/// advert intervals: at adverts of less than 0.3 s a copy comes too late for that, and a thousand virtual routers that are
/// written down ten times a second cost more than their election.
pub const ADVERT_PAUSE: Duration = Duration::from_secs(1);

/// A Balancer's copy may have forty thousand checkers, and says nothing that time makes wrong so soon.
pub const BALANCER_PAUSE: Duration = Duration::from_secs(2);

/// Where copies go. It never makes the machine wait: what it does with a disk it does elsewhere.
pub trait Keeper<S> {
    fn keep(&mut self, estate: S);
}

/// Wraps a machine and hands on a copy of its estate after whatever changes it, but not more often than every `pause`.
///
/// What changes an estate shows in the effects: a decision, or an advert, from which a MASTER's successor counts.
#[derive(Debug)]
pub struct Kept<M, K> {
    machine: M,
    keeper: K,
    pause: Duration,
    last: Option<Instant>,
    /// When a change is due to be handed on.
    due: Option<Instant>,
}

impl<M: Machine, K: Keeper<M::Estate>> Kept<M, K> {
    pub fn new(machine: M, keeper: K, pause: Duration) -> Self {
        Self { machine, keeper, pause, last: None, due: None }
    }

    fn look(&mut self, effects: &OutboxOf<M>, now: Instant) {
        let decided = effects.decisions().next().is_some();
        if decided || effects.says() {
            let pause = if decided { self.pause } else { self.pause.max(ADVERT_PAUSE) };
            let earliest = self.last.map_or(now, |last| last + pause);
            self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
        }
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.last = Some(now);
            if let Some(estate) = self.machine.estate(now) {
                self.keeper.keep(estate);
            }
        }
    }
}

impl<M: Machine, K: Keeper<M::Estate>> Machine for Kept<M, K> {
    type Event = M::Event;
    type Effect = M::Effect;
    type Estate = M::Estate;

    fn handle(&mut self, input: InputOf<M>, now: Instant) -> OutboxOf<M> {
        let effects = self.machine.handle(input, now);
        self.look(&effects, now);
        effects
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        let due = self.due.map(|at| (at, Reason::Keep));
        due.into_iter().chain(self.machine.next_wakeup()).min_by_key(|(at, _)| *at)
    }

    fn estate(&self, now: Instant) -> Option<M::Estate> {
        self.machine.estate(now)
    }
}
