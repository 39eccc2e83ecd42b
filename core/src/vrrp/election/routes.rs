//! Routes and policy rules, of the MASTERs and static ones: what must change, and when the kernel is asked for them.
//!
//! Linux takes routes out with an interface that goes down and with the address that they name as their source, and does not
//! tell of all of them. So it is asked soon after anything of that kind. A host may have a million other routes: it is never
//! asked while nobody wants any.

use super::{Election, Phase, REREAD};
use crate::decision::Decision;
use crate::route::{Route, RouteKey, Rule};
use crate::time::{Duration, Instant};
use crate::vrrp::book::{ItemChange, RETRY};
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};

/// How soon after a link or an address has changed: one question for a burst of them.
const SOON: Duration = Duration::from_millis(20);

/// Readings of the kernel's routes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Asked {
    due: Option<Instant>,
    /// Routes were changed since the kernel was asked: its answer is of before.
    stale: bool,
}

impl Asked {
    pub fn next(&self) -> Option<Instant> {
        self.due
    }

    fn by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }
}

/// Routes and rules to be put in, and whether each was there before.
#[derive(Default)]
pub(super) struct Additions {
    routes: Vec<(Route, bool)>,
    rules: Vec<(Rule, bool)>,
}

impl Election {
    /// Takes out what must go, and tells what is to be put in when the addresses are there.
    pub(super) fn remove_routes(&mut self, now: Instant, most: usize, out: &mut Outbox) -> Additions {
        // Addresses that have their turn later: so have the routes.
        let most = if self.book.waiting() > most { 0 } else { most };
        let mut additions = Additions::default();
        // A rule may lead into a table of routes.
        for change in self.book.rules.settle(now, most) {
            self.routes.stale = true;
            match change {
                ItemChange::Remove { key, left_behind } => {
                    self.routes.by(now + RETRY);
                    out.push(Effect::RemoveRule(key.clone()));
                    out.decide(left_behind.then_some(Decision::RuleLeftoverRemoved { rule: key }));
                }
                ItemChange::Add { item, restored } => additions.rules.push((item.rule, restored)),
            }
        }
        for change in self.book.routes.settle(now, most) {
            self.routes.stale = true;
            match change {
                ItemChange::Remove { key, left_behind } => {
                    // Whether it is gone: what comes back later is another one's.
                    self.routes.by(now + RETRY);
                    out.push(Effect::RemoveRoute(key.clone()));
                    out.decide(left_behind.then_some(Decision::RouteLeftoverRemoved { route: key }));
                }
                ItemChange::Add { item, restored } => additions.routes.push((item, restored)),
            }
        }
        additions
    }

    pub(super) fn add_routes(&mut self, additions: Additions, out: &mut Outbox) {
        for (route, restored) in additions.routes {
            out.push(Effect::AddRoute(route.clone()));
            out.decide(restored.then_some(Decision::RouteRestored { route }));
        }
        for (rule, restored) in additions.rules {
            out.push(Effect::AddRule(rule.clone()));
            out.decide(restored.then_some(Decision::RuleRestored { rule }));
        }
    }

    /// A link or an address changed: routes may have gone with it, and others may be let in.
    pub(super) fn look_at_routes(&mut self, now: Instant) {
        if !self.is_idle() {
            self.routes.by(now + SOON);
            self.book.routes.try_again();
            self.book.rules.try_again();
        }
    }

    /// The configuration wants routes, or a predecessor had some.
    pub(super) fn routes_configured(&mut self, left: bool, now: Instant) {
        let statics = &self.config.statics;
        let wanted = left
            || !statics.routes.is_empty()
            || !statics.rules.is_empty()
            || self.config.routers.iter().any(|router| !router.routes.is_empty() || !router.rules.is_empty());
        if wanted && !self.book.routes.has_begun() {
            self.routes.by(now);
        }
    }

    /// Asks if it is time.
    pub(super) fn ask_for_routes(&mut self, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        if self.routes.due.is_some_and(|due| due <= now) {
            self.routes = Asked::default();
            out.push(Effect::ReadRoutes);
        }
        // Should an answer or a notification be lost.
        if self.routes.due.is_none() && !self.is_idle() {
            self.routes.due = Some(now + REREAD);
        }
    }

    fn is_idle(&self) -> bool {
        self.book.routes.is_idle() && self.book.rules.is_idle()
    }

    pub(super) fn routes_read(&mut self, routes: Vec<RouteKey>, rules: Vec<Rule>, now: Instant) {
        if self.routes.stale {
            self.routes.by(now + SOON);
        } else {
            self.book.routes.read(routes.into_iter().collect(), self.neighbours);
            self.book.rules.read(rules.into_iter().collect(), self.neighbours);
        }
    }

    pub(super) fn reread_routes(&mut self, at: Instant) {
        self.routes.by(at);
    }
}
