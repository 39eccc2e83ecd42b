//! Static addresses, routes and policy rules: they are there as long as the director runs, before all that moves, and longer.
//!
//! A virtual router may send from a static address, or need its network. So static addresses are settled before anybody
//! looks at how virtual routers stand: what somebody takes off is back before a virtual router could miss it.

use super::{Election, Phase};
use crate::config::StaticItem;
use crate::decision::RoleCause;
use crate::interface::{InterfaceAddress, InterfaceName};
use crate::route::{Route, VirtualRule};
use crate::time::{Duration, Instant};
use crate::vrrp::Outbox;
use crate::vrrp::book::Holder;
use crate::vrrp::track::Tracks;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Election {
    /// Wants what the configuration says, where the interfaces that it names are there. An interface that is not there holds
    /// nothing; what belongs on it is wanted as soon as it appears.
    pub(super) fn want_statics(&mut self) {
        let statics = &self.config.statics;
        let there = |name: &InterfaceName| self.links.contains_key(name);
        let addresses = statics.addresses.iter().filter(|it| there(&it.interface));
        let addresses: Arc<[InterfaceAddress]> = addresses.cloned().collect();
        let routes: Arc<[Route]> = statics.routes.iter().filter(|it| it.interfaces().all(there)).cloned().collect();
        // A rule may name an interface that comes later: the kernel knows that.
        let rules: Arc<[VirtualRule]> = statics.rules.iter().cloned().collect();
        self.book.want(Holder::Static, addresses);
        self.book.routes.want(Holder::Static, routes);
        self.book.rules.want(Holder::Static, rules);
    }

    /// An interface appeared or went.
    pub(super) fn interfaces_changed(&mut self) {
        if !self.config.statics.is_empty() {
            self.want_statics();
        }
    }

    /// Puts static addresses on. Whether that changed anything.
    pub(super) fn settle_statics(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let changes = self.book.settle_statics(now);
        let any = !changes.is_empty();
        // One that had been refused is announced by nobody: it was nowhere before.
        Self::carry_out(changes, out);
        any
    }

    /// `track_group`: how tracked items stand when a configuration comes into force.
    pub(super) fn load_tracked_statics(&mut self) {
        let there = self.config.statics.tracked.iter().map(|it| self.static_there(&it.what)).collect();
        self.tracked_statics = TrackedStatics { there, back: BTreeMap::new() };
    }

    /// Looks whether something static that virtual routers track has come or gone, and tells them how they stand. What is put back at
    /// once was never away. Whether anything changed.
    pub(super) fn track_statics(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let Phase::Running = self.phase else { return false };
        let config = self.config.clone();
        let mut routers: BTreeSet<&Arc<str>> = BTreeSet::new();
        for (at, tracked) in config.statics.tracked.iter().enumerate() {
            let there = self.static_there(&tracked.what);
            if self.tracked_statics.take(at, there, now) {
                routers.extend(&tracked.routers);
            }
        }
        let concerned = |place: &usize| self.routers.get(*place).is_some_and(|it| routers.contains(it.name()));
        let places: Vec<usize> = (0..self.routers.len()).filter(concerned).collect();
        for place in &places {
            self.assess_one(*place, now, out);
        }
        !places.is_empty()
    }

    /// Whether it is there; none: the kernel has not been asked yet.
    fn static_there(&self, what: &StaticItem) -> Option<bool> {
        let book = &self.book;
        match what {
            StaticItem::Address(key) => Some(book.is_there(key)),
            StaticItem::Route(key) => book.routes.has_begun().then(|| book.routes.is_there(key)),
            StaticItem::Rule(rule) => book.rules.has_begun().then(|| book.rules.is_there(rule)),
        }
    }

    /// What the static items that a virtual router tracks make of it.
    pub(super) fn statics_of(&self, router: &Arc<str>) -> Tracks {
        let mut standing = Tracks::Well;
        let all = self.config.statics.tracked.iter().zip(&self.tracked_statics.there);
        for (it, there) in all.filter(|(it, _)| it.routers.contains(router)) {
            match there {
                Some(true) => {}
                Some(false) => return Tracks::Faulty(RoleCause::StaticGone { what: it.what.clone() }),
                None => standing = Tracks::Unknown,
            }
        }
        standing
    }
}

/// How static items with a `track_group` stand, by their places in the configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct TrackedStatics {
    /// None: the kernel has not been asked yet.
    there: Vec<Option<bool>>,
    /// These were away and have been put there again; until when they do not count yet. The kernel may refuse that, and then they
    /// were never back: a virtual router must not go to and fro with each try.
    back: BTreeMap<usize, Instant>,
}

/// How long an item that was away must be there until it counts.
const LASTS: Duration = Duration::from_millis(100);

impl TrackedStatics {
    /// What is known of one by now. Whether it counts as another state.
    fn take(&mut self, at: usize, is: Option<bool>, now: Instant) -> bool {
        let Some(there) = self.there.get_mut(at) else { return false };
        if (*there, is) == (Some(false), Some(true)) && *self.back.entry(at).or_insert(now + LASTS) > now {
            return false;
        }
        self.back.remove(&at);
        std::mem::replace(there, is) != is
    }

    /// When to look again.
    pub fn next(&self) -> Option<Instant> {
        self.back.values().min().copied()
    }
}
