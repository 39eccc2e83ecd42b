//! What an Election leaves to its successor, and what that one takes up.

use super::{Election, Phase};
use crate::command::ScriptId;
use crate::decision::RoleCause;
use crate::interface::{Family, InterfaceAddress, InterfaceName};
use crate::quantity::{Role, Vrid};
use crate::route::{Route, VirtualRule};
use crate::time::Instant;
use crate::vrrp::Outbox;
use crate::vrrp::book::Holder;
use crate::vrrp::track::process::{ProcessEstate, ProcessTracker};
use crate::vrrp::virtual_router::{Context, DecidedBy, State, VirtualRouter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An Election's estate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ElectionEstate {
    /// The machine had ended when this was taken, and heard nothing more. False: a copy from its life, which may have
    /// missed what it heard later.
    pub handed_over: bool,
    pub routers: Vec<RouterEstate>,
    /// Addresses that it put on interfaces. Linux before 5.18 does not remember whose they are.
    pub addresses: Vec<InterfaceAddress>,
    pub scripts: Vec<ScriptEstate>,
    pub ignored: Vec<IgnoredEstate>,
    /// What tracked files held.
    pub files: BTreeMap<Arc<str>, i64>,
    /// What was known of tracked processes.
    pub processes: Vec<ProcessEstate>,
    /// Routes that it put in.
    pub routes: Vec<Route>,
    pub rules: Vec<VirtualRule>,
}

/// One virtual router's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterEstate {
    pub name: Arc<str>,
    pub interface: InterfaceName,
    pub vrid: Vrid,
    #[serde(default)]
    pub family: Family,
    pub state: State,
    /// The newest sequence number of `auth_type AH`.
    #[serde(default)]
    pub sequence: u32,
}

/// One tracked script's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptEstate {
    pub name: ScriptId,
    pub up: Option<bool>,
    /// Results in a row that contradict `up`.
    pub streak: u32,
    /// When it runs next.
    pub due: Instant,
}

/// How many packets were ignored for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredEstate {
    /// `None`: nobody's.
    pub router: Option<Arc<str>>,
    /// [`crate::decision::IgnoreReason::word`].
    pub reason: String,
    pub total: u64,
}

impl Election {
    pub(super) fn bequeath(&self, now: Instant) -> Option<ElectionEstate> {
        let handed_over = match self.phase {
            Phase::Starting { .. } | Phase::Stopped => return None,
            Phase::Running => false,
            Phase::HandedOver => true,
        };
        let router = |router: &VirtualRouter| RouterEstate {
            name: router.name().clone(),
            interface: router.config().interfaces.heard_on.clone(),
            vrid: router.config().vrid,
            family: router.config().family,
            state: router.state().clone(),
            sequence: router.sequence(),
        };
        Some(ElectionEstate {
            handed_over,
            routers: self
                .routers
                .iter()
                .filter(|router| router.decided_by() == DecidedBy::Adverts)
                .map(router)
                .collect(),
            addresses: self.book.applied().cloned().collect(),
            scripts: self.scripts.values().map(|script| script.estate(now)).collect(),
            ignored: self.ignored.estate(),
            files: self.files.numbers().clone(),
            processes: self.processes.values().map(ProcessTracker::estate).collect(),
            routes: self.book.routes.applied().cloned().collect(),
            rules: self.book.rules.applied().cloned().collect(),
        })
    }

    /// Ends without giving anything back, but for what can't be handed over: a lease is of a session, and that ends with
    /// this process. Routers that need one stop in order, so that another director has their addresses soon.
    pub(super) fn hand_over(&mut self, now: Instant, out: &mut Outbox) {
        let mut ctx = Context::new(now, out, &mut self.book);
        let mut leased: Vec<_> =
            self.routers.iter_mut().filter(|router| router.decided_by() != DecidedBy::Adverts).collect();
        leased.iter_mut().for_each(|router| router.resign(&mut ctx));
        leased.iter().for_each(|router| ctx.book.release(router.holder()));
        leased.iter_mut().for_each(|router| router.stop(RoleCause::Stop, &mut ctx));
        self.wills.extend(leased.iter().map(|router| router.id()));
        self.leases.stop(out);
        self.phase = Phase::HandedOver;
    }

    /// Goes on after that.
    pub(super) fn take_back(&mut self, now: Instant, out: &mut Outbox) {
        self.phase = Phase::Running;
        // What the successor said meanwhile, nobody knows.
        self.routers.iter_mut().for_each(|router| router.count_on(router.sequence(), false));
        self.wills.extend(self.routers.iter().map(VirtualRouter::id));
        self.scripts.values_mut().for_each(|script| script.forget_run(now));
        self.leases.load(self.config.coordination.clone(), now);
        // The answer to a question of before came to nobody.
        self.routes_configured(false, now);
        self.look_at_routes(now);
        self.assess(None, now, out);
        self.leases.wake(now, out);
    }

    /// Before priorities are computed: they depend on it. A script that a copy speaks of runs at once.
    pub(super) fn take_up_scripts(&mut self, estate: &ElectionEstate, now: Instant) {
        for known in &estate.scripts {
            if let Some(script) = self.scripts.get_mut(&known.name) {
                let due = if estate.handed_over { known.due } else { now };
                script.take_up(&ScriptEstate { due, ..known.clone() }, now);
            }
        }
    }

    /// The same of processes, until they are counted.
    pub(super) fn take_up_processes(&mut self, estate: &ElectionEstate) {
        for known in &estate.processes {
            if let Some(process) = self.processes.get_mut(&known.name) {
                process.take_up(known);
            }
        }
    }

    /// Roles. Nothing of the predecessor's is cleared away before all of them have said what they want.
    pub(super) fn take_up(&mut self, estate: ElectionEstate, now: Instant, out: &mut Outbox) {
        self.book.inherit(estate.addresses, estate.handed_over);
        self.routes_configured(!estate.routes.is_empty() || !estate.rules.is_empty(), now);
        self.book.rules.inherit(estate.rules, estate.handed_over);
        self.book.routes.inherit(estate.routes, estate.handed_over);
        self.ignored.take_up(estate.ignored);
        let left = |router: &VirtualRouter| {
            let config = router.config();
            estate.routers.iter().find(|left| {
                (&left.name, &left.interface, left.vrid, left.family)
                    == (&config.name, &config.interfaces.heard_on, config.vrid, config.family)
            })
        };
        let broken = self.broken_groups(|router| left(router).map(|left| &left.state), now);
        for place in 0..self.routers.len() {
            let Some(router) = self.routers.get(place) else { continue };
            let Some(left) = left(router) else { continue };
            let is_master = matches!(left.state, State::Master(_));
            if is_master && self.groups.of(place).is_some_and(|group| broken.contains(&group)) {
                continue;
            }
            if router.decided_by() != DecidedBy::Adverts {
                // Its lease is of a session that has ended.
                continue;
            }
            let standing = self.standing(router, now);
            let mut ctx = Context::new(now, out, &mut self.book);
            if let Some(router) = self.routers.get_mut(place) {
                router.count_on(left.sequence, estate.handed_over);
                router.take_up(&left.state, estate.handed_over, &standing, &mut ctx);
            }
        }
        self.groups_taken_up();
        // The neighbours know where those are that stayed.
        let masters = self.routers.iter().filter(|router| router.role() == Role::Master);
        let missing: Vec<(Holder, InterfaceAddress, u32)> = masters
            .flat_map(|router| {
                router
                    .addresses()
                    .iter()
                    .map(|vip| (router.holder(), vip.clone(), router.config().announcements.repeat))
            })
            .filter(|(_, vip, _)| !self.book.is_there(&vip.key()))
            .collect();
        for (holder, vip, rounds) in missing {
            self.book.announce(holder, std::iter::once(&vip), rounds);
        }
    }
}
