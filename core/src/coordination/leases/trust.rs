//! Whether the quorum service is good enough to take part in elections by.

use super::Leases;
use crate::decision::RoleCause;
use crate::lease::surely;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// Whether the service is good enough to take part in elections by. A way that loses every third packet makes a session
/// usable and useless in turn, many times a minute; a router that followed would change its role as often. So after a loss
/// it must have been usable for a while without a break: half a session timeout, three times as long after the next, and
/// so on. This trial keeps a lease with a holder that works. It never keeps a lease free: where nobody holds it, the trial
/// of that router is over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Trust {
    /// [`Leases::usable`] when it was last looked at, and since when.
    pub(super) usable: bool,
    since: Instant,
    /// From then on, if it stays usable; `None`: it is trusted, if it is usable.
    pub(super) due: Option<Instant>,
    /// Losses in a row, without [`CALM`] between them.
    losses: u32,
}

/// After so long without a loss the next one is the first.
const CALM: Duration = Duration::from_secs(60);

/// The longest that a service has to prove itself.
pub const LONGEST_TRIAL: Duration = Duration::from_secs(30);

impl Leases {
    /// The session is usable, and has been for long enough to take part by, or nobody holds the lease of `key`.
    pub fn trusted(&self, key: &str, now: Instant) -> bool {
        self.usable(now) && (self.trust.due.is_none_or(|at| at <= now) || self.vacant.contains(key))
    }

    /// The session is usable, and not yet trusted.
    pub fn on_trial(&self, now: Instant) -> bool {
        self.usable(now) && self.trust.due.is_some_and(|at| at > now)
    }

    /// Looks at the clock: true if something that routers go by is not what it was.
    pub fn look(&mut self, now: Instant) -> bool {
        let turned = self.vacancies.look(now);
        self.look_at_trust(now) || turned
    }

    /// True if [`Self::usable`] or [`Self::trusted`] is not what it was.
    fn look_at_trust(&mut self, now: Instant) -> bool {
        let usable = self.usable(now);
        let trust = &mut self.trust;
        if usable == trust.usable {
            let ends = trust.due.is_some_and(|at| at <= now);
            trust.due = trust.due.filter(|at| *at > now);
            return ends;
        }
        let lasted = now.since(trust.since);
        (trust.usable, trust.since) = (usable, now);
        if usable {
            let timeout = self.session.as_ref().map_or(Duration::ZERO, |live| live.timeout);
            let times = 3_u32.saturating_pow(trust.losses.saturating_sub(1));
            let trial = (timeout / 2).saturating_mul(times).min(LONGEST_TRIAL);
            trust.due = (trust.losses > 0).then(|| now + trial);
        } else {
            trust.losses = if lasted >= CALM { 1 } else { trust.losses.saturating_add(1) };
            trust.due = None;
            self.vacant.clear();
        }
        true
    }

    /// A first answer is still waited for.
    pub fn patient(&self, now: Instant) -> bool {
        self.patient_until.is_some_and(|until| now < until)
    }

    /// Why the service is of no use now.
    pub fn why_unusable(&self, now: Instant) -> RoleCause {
        if let Some(timeout) = self.too_short {
            return RoleCause::SessionTooShort { timeout, least: surely::SHORTEST_SESSION };
        }
        if self.on_trial(now) {
            return RoleCause::QuorumOnTrial { remaining: self.trust.due.map_or(Duration::ZERO, |at| at.since(now)) };
        }
        let asked_at = self.session.as_ref().and_then(|live| live.asked_at);
        RoleCause::NoQuorum { silent: asked_at.map(|at| now.since(at)) }
    }
}
