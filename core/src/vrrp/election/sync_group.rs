//! `vrrp_sync_group`: its members have one role. At the end of an event all of them are MASTER, or none is.
//!
//! - It takes over when every member would: each has waited for its Master_Down_Timer, or preempts (keepalived does so too).
//!   So a member that hears a MASTER it respects keeps the whole group BACKUP.
//! - As soon as one member yields, all do. Those that heard nobody better say priority 0.
//! - It takes part only while every member can: one that can't puts all of them in FAULT.
//! - Priority 0 that one member hears is heard by all: whoever stops being MASTER stops with all members.
//!
//! All members have one priority (`config/words/sync_group.rs`), so of two MASTERs of different priority the same one yields
//! on every segment. Of two with the same priority the greater address stays (RFC 9568 6.4.3), and that may be another one on
//! each segment: both would yield, and go on so for ever. So the first member on which the two hear each other decides, in an
//! order that is the same on all directors. A later one yields only to a rival that it has heard for an advert interval while
//! no earlier member heard one.

use super::Election;
use crate::config::{Config, InitialState, NotifyScripts};
use crate::decision::RoleCause;
use crate::interface::Family;
use crate::quantity::{Priority, Role, Vrid};
use crate::time::Instant;
use crate::vrrp::virtual_router::{Context, DecidedBy, Heard, Proposal, Proposed, Standing, State, VirtualRouter};
use crate::vrrp::{Outbox, notify};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The sync groups of one director.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    all: Vec<Group>,
    /// The group of a virtual router, by its place.
    of: BTreeMap<usize, usize>,
    /// Something happened to their members in this event.
    touched: BTreeSet<usize>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    name: Arc<str>,
    /// Places of virtual routers. The first that hears another MASTER of its priority decides which of the two stays.
    members: Vec<usize>,
    notify: NotifyScripts,
    /// What its scripts were told last.
    told: Role,
}

impl Groups {
    /// The name of the group that a virtual router is in, by its place.
    pub fn name_of(&self, place: usize) -> Option<&Arc<str>> {
        self.all.get(*self.of.get(&place)?).map(|group| &group.name)
    }

    pub(super) fn of(&self, place: usize) -> Option<usize> {
        self.of.get(&place).copied()
    }

    fn members(&self, group: usize) -> Vec<usize> {
        self.all.get(group).map(|group| group.members.clone()).unwrap_or_default()
    }

    /// Those of a configuration. What a group of the same name was told stays told. Leased virtual routers take no part: each
    /// of them is MASTER by a lease of its own.
    pub(super) fn load(&mut self, config: &Config, routers: &[VirtualRouter]) {
        let before = std::mem::take(self);
        let places: BTreeMap<&Arc<str>, usize> = routers
            .iter()
            .enumerate()
            .filter(|(_, router)| router.decided_by() == DecidedBy::Adverts)
            .map(|(place, router)| (router.name(), place))
            .collect();
        for group in &config.groups {
            let known = group.members.iter().filter_map(|name| places.get(name).copied());
            let mut members: Vec<usize> = known.filter(|place| !self.of.contains_key(place)).collect();
            members.sort_by_key(|place| routers.get(*place).map(rank));
            if members.is_empty() {
                continue;
            }
            let told = before.all.iter().find(|other| other.name == group.name).map_or(Role::Init, |other| other.told);
            self.of.extend(members.iter().map(|place| (*place, self.all.len())));
            self.touched.insert(self.all.len());
            self.all.push(Group { name: group.name.clone(), members, notify: group.notify.clone(), told });
        }
    }

    /// Whether this MASTER yields to a rival of its own priority with the greater address.
    pub(super) fn yields_to_equal(&self, place: usize, routers: &[VirtualRouter], now: Instant) -> bool {
        let Some(group) = self.of(place).and_then(|group| self.all.get(group)) else { return true };
        let earlier = || group.members.iter().take_while(|other| **other != place).filter_map(|at| routers.get(*at));
        if earlier().next().is_none() {
            return true;
        }
        let intervals = group.members.iter().filter_map(|at| Some(routers.get(*at)?.config().adverts.interval));
        let longest = intervals.max().map(|interval| interval.duration()).unwrap_or_default();
        let lasts = routers.get(place).and_then(|router| router.equal_rival(now));
        lasts.is_some_and(|since| now.since(since) >= longest)
            && earlier().all(|router| router.equal_rival(now).is_none())
    }
}

/// The order in which members decide: by what all directors of a virtual router have in common, not by names or interfaces.
fn rank(router: &VirtualRouter) -> (Vrid, Family, Option<IpAddr>) {
    let config = router.config();
    (config.vrid, config.family, config.addresses.iter().map(|vip| vip.address).min())
}

/// Whether it begins as MASTER ([`VirtualRouter::assess`]).
fn begins_as_master(router: &VirtualRouter) -> bool {
    router.priority() == Priority::OWNER && router.config().initial_state == InitialState::Master
}

impl Election {
    /// A member proposes a role: the whole group has it, or stays what it is.
    pub(super) fn dispose_group(
        &mut self,
        group: usize,
        place: usize,
        proposal: Proposal,
        now: Instant,
        out: &mut Outbox,
    ) {
        let members = self.groups.members(group);
        let cause = self.because_of(group, place);
        let (other, resigns) = match &proposal.to {
            Proposed::Master => {
                if !members.iter().all(|at| self.routers.get(*at).is_some_and(|router| router.is_due(now))) {
                    return;
                }
                (Proposal::master(cause), false)
            }
            // Who slept may not be MASTER any more: there is nothing to give up, and somebody who would hear it.
            Proposed::Backup { .. } => {
                let slept = matches!(proposal.cause, RoleCause::Overslept { .. });
                (Proposal::backup(cause), !slept)
            }
            Proposed::Fault => (Proposal::fault(cause), false),
        };
        self.member_enters(place, proposal, now, out);
        for at in members.into_iter().filter(|at| *at != place) {
            if resigns {
                self.resign_member(at, now, out);
            }
            self.member_enters(at, other.clone(), now, out);
        }
    }

    /// Tells the members how they stand, all at once: what one of them can't, none of them can.
    pub(super) fn assess_group(&mut self, group: usize, now: Instant, out: &mut Outbox) {
        let members = self.groups.members(group);
        let standings = members.iter().filter_map(|at| Some((*at, self.standing(self.routers.get(*at)?, now))));
        let standings: Vec<(usize, Standing)> = standings.collect();
        let faulty = standings.iter().find(|(_, standing)| matches!(standing, Standing::Faulty(_)));
        let faulty = faulty.map(|(at, _)| Standing::Faulty(self.because_of(group, *at)));
        let unknown = standings.iter().any(|(_, standing)| matches!(standing, Standing::Unknown { .. }));
        let owners = members.iter().all(|at| self.routers.get(*at).is_some_and(begins_as_master));
        for (at, own) in standings {
            let standing = match (own, &faulty) {
                (Standing::Faulty(cause), _) => Standing::Faulty(cause),
                (Standing::Well { .. } | Standing::Unknown { .. }, Some(faulty)) => faulty.clone(),
                (Standing::Well { source } | Standing::Unknown { source }, None) if unknown => {
                    Standing::Unknown { source }
                }
                (well, None) => well,
            };
            let Some(router) = self.routers.get_mut(at) else { continue };
            let mut ctx = Context::new(now, out, &mut self.book);
            router.assess(standing, &mut ctx);
            match ctx.proposal.take() {
                Some(Proposal { to: Proposed::Master, .. }) if !owners => {
                    let recovered = router.role() == Role::Fault;
                    let cause = if recovered { RoleCause::Recovered } else { RoleCause::Startup };
                    self.member_enters(at, Proposal::backup(cause), now, out);
                }
                Some(proposal) => self.member_enters(at, proposal, now, out),
                None => self.member_changed(at),
            }
        }
        self.schedule(group);
    }

    /// A member heard priority 0.
    pub(super) fn group_stopped(&mut self, place: usize, source: IpAddr, now: Instant) {
        let Some(group) = self.groups.of(place) else { return };
        for at in self.groups.members(group).into_iter().filter(|at| *at != place) {
            if let Some(router) = self.routers.get_mut(at) {
                router.hear_group_stop(source, now);
            }
        }
        self.schedule(group);
    }

    /// After a reload, or when a predecessor left them so, members may have different roles. A MASTER takes the others along,
    /// unless one of them hears a MASTER elsewhere: then it gives up.
    pub(super) fn align_groups(&mut self, now: Instant, out: &mut Outbox) {
        for group in 0..self.groups.all.len() {
            let members = self.groups.members(group);
            let all = || members.iter().filter_map(|at| Some((*at, self.routers.get(*at)?)));
            let masters: Vec<usize> =
                all().filter(|(_, router)| router.role() == Role::Master).map(|(at, _)| at).collect();
            let Some(first) = masters.first().copied().filter(|_| masters.len() < members.len()) else { continue };
            let yields = |router: &VirtualRouter| match router.state() {
                State::Backup(backup) => matches!(backup.heard, Heard::Active { .. }),
                State::Fault => true,
                State::Init => router.source().is_none(),
                State::Master(_) => false,
            };
            match all().find(|(_, router)| yields(router)).map(|(at, _)| at) {
                Some(reason) => {
                    let cause = self.because_of(group, reason);
                    for at in masters {
                        self.resign_member(at, now, out);
                        self.member_enters(at, Proposal::backup(cause.clone()), now, out);
                    }
                }
                None => {
                    let cause = self.because_of(group, first);
                    for at in members.into_iter().filter(|at| !masters.contains(at)) {
                        self.member_enters(at, Proposal::master(cause.clone()), now, out);
                    }
                }
            }
        }
        (0..self.groups.all.len()).for_each(|group| self.schedule(group));
    }

    /// A BACKUP alone has nothing to do when its timer is over: the group is woken by the last of them.
    pub(super) fn schedule(&mut self, group: usize) {
        let members = self.groups.members(group);
        let down = |at: usize| match self.routers.get(at)?.state() {
            State::Backup(backup) => Some((backup.down_at, at)),
            State::Init | State::Master(_) | State::Fault => None,
        };
        let all: Option<Vec<(Instant, usize)>> = members.iter().map(|at| down(*at)).collect();
        let last = all.and_then(|all| all.into_iter().max()).map(|(_, at)| at);
        for at in members {
            let Some(router) = self.routers.get(at) else { continue };
            let waits = router.role() == Role::Backup && last != Some(at);
            self.timers.set(at, if waits { None } else { router.next().map(|(due, _)| due) });
        }
    }

    /// What people are told by the groups' own scripts, when all members have entered their roles.
    pub(super) fn tell_groups(&mut self, out: &mut Outbox) {
        for at in std::mem::take(&mut self.groups.touched) {
            let Some(group) = self.groups.all.get_mut(at) else { continue };
            let mut roles = group.members.iter().filter_map(|at| self.routers.get(*at)).map(VirtualRouter::role);
            let Some(role) = roles.next().filter(|role| roles.all(|other| other == *role)) else { continue };
            if role != group.told {
                let begins = std::mem::replace(&mut group.told, role) == Role::Init;
                notify::group_changed(&group.notify, &group.name, role, begins, out);
            }
        }
    }

    /// The role that members have by now needs no telling: it is a predecessor's.
    pub(super) fn groups_taken_up(&mut self) {
        for group in &mut self.groups.all {
            let mut roles = group.members.iter().filter_map(|at| self.routers.get(*at)).map(VirtualRouter::role);
            if let Some(role) = roles.next().filter(|role| roles.all(|other| other == *role)) {
                group.told = role;
            }
        }
    }

    /// Members of a group of which one can't go on as the MASTER that it was, by what a predecessor left: none of them does.
    pub(super) fn broken_groups<'a>(
        &self,
        left: impl Fn(&VirtualRouter) -> Option<&'a State>,
        now: Instant,
    ) -> BTreeSet<usize> {
        let mut broken = BTreeSet::new();
        for (group, it) in self.groups.all.iter().enumerate() {
            let mut members = it.members.iter().filter_map(|at| self.routers.get(*at));
            if members.any(|router| left(router).is_some_and(|state| !router.goes_on(state, now))) {
                broken.insert(group);
            }
        }
        broken
    }

    pub(super) fn member_changed(&mut self, place: usize) {
        if let Some(router) = self.routers.get(place) {
            self.wills.insert(router.id());
        }
        self.groups.touched.extend(self.groups.of(place));
    }

    fn member_enters(&mut self, place: usize, proposal: Proposal, now: Instant, out: &mut Outbox) {
        let Some(router) = self.routers.get_mut(place) else { return };
        let same = match &proposal.to {
            Proposed::Master => Role::Master,
            Proposed::Backup { .. } => Role::Backup,
            Proposed::Fault => Role::Fault,
        };
        if router.role() != same {
            router.enter(proposal, true, &mut Context::new(now, out, &mut self.book));
        }
        self.member_changed(place);
    }

    fn resign_member(&mut self, place: usize, now: Instant, out: &mut Outbox) {
        if let Some(router) = self.routers.get_mut(place) {
            router.resign(&mut Context::new(now, out, &mut self.book));
        }
    }

    fn because_of(&self, group: usize, place: usize) -> RoleCause {
        let group = self.groups.all.get(group).map(|group| group.name.clone()).unwrap_or_default();
        let member = self.routers.get(place).map(|router| router.name().clone()).unwrap_or_default();
        RoleCause::SyncGroup { group, member }
    }
}
