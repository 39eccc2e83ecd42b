//! When a MASTER's addresses are announced by gratuitous ARP (RFC 9568 6.4.1; keepalived's `garp_*`).
//!
//! A burst comes at once with the addresses, and another after `garp_master_delay`, for switches and hosts that missed
//! the first. `garp_master_refresh` repeats it for as long as the router is MASTER. An advert of a lower priority means
//! that another director has just announced the same addresses: then there are bursts again (`garp_lower_prio_*`).

pub mod queue;

use crate::config::Garp;
use crate::interface::InterfaceAddress;
use crate::limit::Allowance;
use crate::time::{Duration, Instant};
use crate::vrrp::book::{AddressBook, Holder};
use serde::{Deserialize, Serialize};

/// The timers of a MASTER's announcements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcements {
    /// The second burst, and how many rounds it has.
    again: Option<(Instant, u32)>,
    refresh_at: Option<Instant>,
    /// Bursts that lower priorities asked for.
    #[serde(default)]
    answers: Allowance,
    /// One that they asked for too soon.
    #[serde(default)]
    owed_at: Option<Instant>,
}

/// Lower priorities get a burst at most so often, after [`ANSWERS_AT_ONCE`] that come without delay. What is asked for too
/// soon comes late and once.
pub const ANSWERS_EVERY: Duration = Duration::from_millis(500);
/// See [`ANSWERS_EVERY`]: a healed network of four directors needs three.
pub const ANSWERS_AT_ONCE: u32 = 4;

impl Announcements {
    /// A new MASTER: the first burst.
    pub fn start(garp: &Garp, addresses: &[InterfaceAddress], now: Instant, to: &mut To<'_>) -> Self {
        to.burst(addresses, garp.repeat);
        Self {
            again: (!garp.delay.is_zero()).then(|| (now + garp.delay, garp.repeat)),
            refresh_at: (!garp.refresh.is_zero()).then(|| now + garp.refresh),
            ..Self::default()
        }
    }

    /// Another director thought that it was MASTER. A second burst that is already due stays where it is, so that a
    /// rival that never stops can't put it off for ever.
    pub fn lower_priority(&mut self, garp: &Garp, addresses: &[InterfaceAddress], now: Instant, to: &mut To<'_>) {
        self.answer(garp, addresses, now, to);
        if self.again.is_none() && !garp.lower_prio_delay.is_zero() {
            self.again = Some((now + garp.lower_prio_delay, garp.lower_prio_repeat));
        }
    }

    /// A burst for a lower priority, now or later.
    fn answer(&mut self, garp: &Garp, addresses: &[InterfaceAddress], now: Instant, to: &mut To<'_>) {
        if let Err(later) = self.answers.take(now, ANSWERS_EVERY, ANSWERS_AT_ONCE) {
            self.owed_at.get_or_insert(later);
            return;
        }
        self.owed_at = None;
        // Those of before, if they wait for their turn still, do as well.
        if to.book.announcing(to.holder) < 2 {
            to.burst(addresses, garp.lower_prio_repeat);
        }
    }

    /// Sends what is due.
    pub fn wake(&mut self, garp: &Garp, addresses: &[InterfaceAddress], now: Instant, to: &mut To<'_>) {
        if let Some((at, rounds)) = self.again
            && at <= now
        {
            to.burst(addresses, rounds);
            self.again = None;
        }
        if self.owed_at.is_some_and(|at| at <= now) {
            self.answer(garp, addresses, now, to);
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            to.burst(addresses, garp.refresh_repeat);
            self.refresh_at = (!garp.refresh.is_zero()).then(|| now + garp.refresh);
        }
    }

    /// The pace changed while MASTER.
    pub fn reconfigure(&mut self, garp: &Garp, now: Instant) {
        self.refresh_at = match (garp.refresh.is_zero(), self.refresh_at) {
            (true, _) => None,
            (false, None) => Some(now + garp.refresh),
            (false, Some(at)) => Some(at.min(now + garp.refresh)),
        };
    }

    /// When something is due.
    pub fn next(&self) -> Option<Instant> {
        self.again.map(|(at, _)| at).into_iter().chain(self.refresh_at).chain(self.owed_at).min()
    }
}

/// Where a router's announcements go, and in whose name.
pub struct To<'a> {
    pub holder: Holder,
    pub book: &'a mut AddressBook,
}

impl To<'_> {
    /// `rounds` times every address, as soon as their turn comes.
    pub fn burst(&mut self, addresses: &[InterfaceAddress], rounds: u32) {
        self.book.announce(self.holder, addresses.iter(), rounds);
    }
}
