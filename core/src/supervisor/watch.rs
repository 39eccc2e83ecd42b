//! A worker that is silent hangs, or it waits for a processor or for the kernel. Only the first is a reason to kill it: who is
//! killed for a stall of the machine loses its roles and its connections, and the next one would wait as well.
//!
//! The thread of its Election is looked at twice, [`AGAIN`] apart: what state it is in, and how long it has run so far. One
//! that sleeps and has not run hangs (a lock, a call that does not return), and so does one that was stopped, or that runs
//! all the time (a loop). One that could run but does not, or that the kernel holds, waits; peers notice nothing until
//! Master_Down_Interval is over, and the addresses have their lifetimes.

use super::{Effect, Saying, Supervisor, WorkerId};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Between two looks.
pub const AGAIN: Duration = Duration::from_millis(200);

/// When a look that was asked for counts as one that saw nothing.
const ANSWER: Duration = Duration::from_secs(1);

/// How long a worker that only waits may hold addresses. By then the kernel has taken them off (3 s after the last renewal
/// at the latest), and a farewell is better than that the peers wait for a long Master_Down_Interval.
pub const WAITS: Duration = Duration::from_secs(3);

/// How long one that hangs may do so while it holds nothing.
pub const IDLE: Duration = Duration::from_secs(10);

/// The same of one that only waits.
pub const IDLE_WAITS: Duration = Duration::from_secs(30);

/// What a thread does (proc(5), `state` of `/proc/PID/task/TID/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ThreadState {
    /// `R`: it runs, or could.
    Runnable,
    /// `D`: the kernel does something for it that can't be interrupted.
    Uninterruptible,
    /// `S`, `I`, and whatever else: it waits for something to happen.
    Sleeping,
    /// `T`, `t`: by SIGSTOP or a debugger.
    Stopped,
}

/// A thread at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    pub state: ThreadState,
    /// How long it has run since it began.
    pub ran: Duration,
}

/// What a worker waits for that only waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waits {
    Processor,
    Kernel,
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Processor => "it gets no processor",
            Self::Kernel => "the kernel holds it in a call",
        })
    }
}

/// What two looks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// One look says nothing yet, or it has just run.
    Nothing,
    /// It could not be looked at: then its silence is all that is known.
    Unknown,
    Hangs,
    Waits(Waits),
}

/// A silent worker is being looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    asked: Instant,
    answered: bool,
    /// The look before, and when it was.
    before: Option<(Instant, Look)>,
    /// People were told that it waits.
    pub told: bool,
}

impl Doubt {
    /// It is looked at (again).
    pub fn ask(&mut self, now: Instant) {
        (self.asked, self.answered) = (now, false);
    }

    pub fn is_unanswered(&self) -> bool {
        !self.answered
    }

    /// When the next look is due, or the answer to the last.
    pub fn due(&self) -> Instant {
        self.asked + if self.answered { AGAIN } else { ANSWER }
    }

    /// What was seen now, beside what was seen before.
    pub fn answered(&mut self, look: Option<Look>, now: Instant) -> Seen {
        self.answered = true;
        let Some(look) = look else { return Seen::Unknown };
        let before = self.before.replace((now, look));
        if look.state == ThreadState::Stopped {
            return Seen::Hangs;
        }
        let Some((at, before)) = before else { return Seen::Nothing };
        let (passed, ran) = (now.since(at), look.ran.saturating_sub(before.ran));
        match look.state {
            ThreadState::Stopped => Seen::Hangs,
            ThreadState::Uninterruptible => Seen::Waits(Waits::Kernel),
            // More than half of the time it had a processor, and did not come round.
            ThreadState::Runnable if ran * 2 > passed => Seen::Hangs,
            ThreadState::Runnable => Seen::Waits(Waits::Processor),
            ThreadState::Sleeping if ran.is_zero() && before.state == ThreadState::Sleeping => Seen::Hangs,
            ThreadState::Sleeping => Seen::Nothing,
        }
    }
}

/// After which silence a worker is killed of which this was seen. `patience`: its own, for one that holds something.
fn limit(seen: Seen, patience: Duration, holds: bool) -> Duration {
    match (seen, holds) {
        (Seen::Hangs | Seen::Unknown, true) => patience,
        (Seen::Hangs | Seen::Unknown, false) => patience.max(IDLE),
        (Seen::Nothing | Seen::Waits(_), true) => patience.max(WAITS),
        (Seen::Nothing | Seen::Waits(_), false) => patience.max(IDLE_WAITS),
    }
}

impl Supervisor {
    /// Looks after a worker that is silent.
    pub(super) fn watch(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(worker) = self.worker.as_ref().filter(|worker| self.must_speak(worker) && worker.due() <= now) else {
            return;
        };
        if !worker.ready {
            return self.kill_silent(None, now, out);
        }
        let (id, unanswered) = (worker.id, worker.doubt.as_ref().is_some_and(Doubt::is_unanswered));
        if unanswered {
            // As if nothing could be seen.
            return self.looked(id, None, now, out);
        }
        if let Some(worker) = &mut self.worker {
            worker.doubt.get_or_insert_default().ask(now);
            out.push(Effect::Look(id));
        }
    }

    /// What was seen of the worker says whether it hangs, or only waits.
    pub(super) fn looked(&mut self, id: WorkerId, look: Option<Look>, now: Instant, out: &mut Vec<Effect>) {
        let must_speak = self.worker.as_ref().is_some_and(|worker| self.must_speak(worker));
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.id == id && must_speak) else { return };
        let Some(doubt) = worker.doubt.as_mut().filter(|doubt| doubt.is_unanswered()) else { return };
        let seen = doubt.answered(look, now);
        let silent = now.since(worker.heard);
        if silent >= limit(seen, worker.patience, !worker.shares.is_empty()) {
            let waits = if let Seen::Waits(waits) = seen { Some(waits) } else { None };
            return self.kill_silent(waits, now, out);
        }
        if let Seen::Waits(waits) = seen
            && silent >= worker.patience
            && !std::mem::replace(&mut doubt.told, true)
        {
            out.push(Effect::Say(Saying::Waits { silent, waits }));
        }
    }

    fn kill_silent(&mut self, waits: Option<Waits>, now: Instant, out: &mut Vec<Effect>) {
        let Some(worker) = self.worker.take() else { return };
        let saying = Saying::Silent { silent: now.since(worker.heard), ready: worker.ready, waits };
        // First of all: a worker that came back to life would put on again what is taken off.
        out.push(Effect::Kill(worker.id));
        if let Some(worker) = self.lost_in_upgrade(worker, now, out) {
            self.lost(worker, None, Some(saying), now, out);
        }
    }
}
