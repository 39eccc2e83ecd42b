//! The one shape that both machines have.
//!
//! Each machine has events, effects and an estate of its own ([`crate::vrrp`], [`crate::balancer`]); what both are told and
//! can ask for stands here once, in [`Input`] and [`Output`].

mod input;
mod last_will;
mod outbox;

pub use input::{Input, ToBoth};
pub use last_will::{LastWill, LeavesWill};
pub use outbox::{Effect, Lane, Outbox, Output};

use crate::time::Instant;

/// What a machine is told.
pub type InputOf<M> = Input<<M as Machine>::Event, <M as Machine>::Effect, <M as Machine>::Estate>;

/// What it asks for.
pub type OutboxOf<M> = Outbox<<M as Machine>::Effect>;

/// A pure state machine. [`crate::vrrp::Election`] and [`crate::balancer::Balancer`] are the two.
///
/// The same events with the same instants give the same effects, always: a recorded stream of events is a test.
pub trait Machine {
    /// What can happen to this machine alone.
    type Event: 'static;
    /// What only this machine can ask for.
    type Effect: Effect + 'static;
    /// What it leaves to its successor.
    type Estate: 'static;

    /// The only way in. `now` never decreases from call to call. The effects are to be carried out in order.
    fn handle(&mut self, input: InputOf<Self>, now: Instant) -> OutboxOf<Self>;

    /// When [`Input::Wakeup`] is due next, and why; `None` when only the outside can change anything. An instant in the
    /// past means: at once. Waking earlier than this, or for nothing, is harmless.
    fn next_wakeup(&self) -> Option<(Instant, Reason)>;

    /// What a successor can go on with; `None` before the first configuration and after [`Input::Stop`].
    fn estate(&self, now: Instant) -> Option<Self::Estate>;
}

impl<M: Machine + ?Sized> Machine for Box<M> {
    type Event = M::Event;
    type Effect = M::Effect;
    type Estate = M::Estate;

    fn handle(&mut self, input: InputOf<M>, now: Instant) -> OutboxOf<M> {
        (**self).handle(input, now)
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        (**self).next_wakeup()
    }

    fn estate(&self, now: Instant) -> Option<M::Estate> {
        (**self).estate(now)
    }
}

/// A machine to which the same can happen as to `K`, and that asks for the same: `K`, or what is wrapped around it.
pub trait Like<K: Machine>: Machine<Event = K::Event, Effect = K::Effect, Estate = K::Estate> {}

impl<K, M> Like<K> for M
where
    K: Machine,
    M: Machine<Event = K::Event, Effect = K::Effect, Estate = K::Estate> + ?Sized,
{
}

/// What a machine waits for. For people who read a timeline; nothing decides by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Adver_Timer (RFC 9568 6.2): a MASTER's next advert.
    Advertise,
    /// Master_Down_Timer, Active_Down_Timer in RFC 9568 6.2: a BACKUP has heard nobody.
    MasterDown,
    /// `preempt_delay` is over.
    Preempt,
    /// A burst of gratuitous ARP goes on (`garp_master_delay`, `garp_master_refresh`).
    Announce,
    /// A tracked script is due (`interval`).
    Script,
    /// A checker's next probe (`delay_loop`, `delay_before_retry`, `warmup`).
    Probe,
    /// An effect failed and is tried again.
    Retry,
    /// Time to read the kernel's tables and compare.
    Reread,
    /// A copy of the estate is due ([`crate::estate::Kept`]).
    Keep,
    /// Addresses' lifetimes are renewed (`[vip] lifetime`).
    Renew,
    /// The quorum service is asked whether the session lives, or what its answers were good for is over.
    Lease,
    /// Counters of ignored packets are reported, at most once a minute each.
    Report,
    /// The supervisor must hear that the driver loop turns.
    Heartbeat,
    /// A tracked process has been gone, or there, for long enough.
    Process,
    /// A drained real server is taken out (`vipward drain --limit`).
    Drain,
    /// The next step of a slow start (`[slow_start]`).
    SlowStart,
}
