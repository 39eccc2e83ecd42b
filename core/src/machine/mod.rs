//! The one shape that both machines have.

mod last_will;

pub use last_will::{LastWill, LeavesWill};

use crate::effect::Effect;
use crate::estate::Estate;
use crate::event::Event;
use crate::time::Instant;

/// A pure state machine. [`crate::vrrp::Election`] and [`crate::balancer::Balancer`] are the two.
///
/// The same events with the same instants give the same effects, always: a recorded stream of events is a test.
pub trait Machine {
    /// The only way in. `now` never decreases from call to call. The effects are to be carried out in order.
    fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect>;

    /// When [`Event::Wakeup`] is due next, and why; `None` when only the outside can change anything. An instant in the
    /// past means: at once. Waking earlier than this, or for nothing, is harmless.
    fn next_wakeup(&self) -> Option<(Instant, Reason)>;

    /// What a successor can go on with; `None` before the first configuration and after [`Event::Stop`].
    fn estate(&self, now: Instant) -> Option<Estate>;
}

impl<M: Machine + ?Sized> Machine for Box<M> {
    fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        (**self).handle(event, now)
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        (**self).next_wakeup()
    }

    fn estate(&self, now: Instant) -> Option<Estate> {
        (**self).estate(now)
    }
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
    /// Addresses' lifetimes are renewed (`[vip] lease`).
    Renew,
    /// The quorum service is asked whether the session lives, or what its answers were good for is over.
    Lease,
    /// Counters of ignored packets are reported, at most once a minute each.
    Report,
    /// The supervisor must hear that the driver loop turns.
    Heartbeat,
}
