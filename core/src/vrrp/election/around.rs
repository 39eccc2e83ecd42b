//! What the world around the virtual routers says: links, addresses, trackers.

use super::{Election, Phase};
use crate::command::{ScriptId, ScriptOutcome};
use crate::config::{Interfaces, TrackerId};
use crate::decision::RoleCause;
use crate::interface::{Family, InterfaceName, Link, ObservedAddress, is_link_local};
use crate::quantity::Priority;
use crate::time::Instant;
use crate::vrrp::track::{Reading, Tracks, interface};
use crate::vrrp::virtual_router::{Standing, VirtualRouter};
use crate::vrrp::{Effect, Outbox};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Election {
    pub(super) fn links_read(&mut self, links: Vec<Link>, now: Instant, out: &mut Outbox) {
        let before = std::mem::replace(&mut self.links, links.into_iter().map(|l| (l.name, l.running)).collect());
        if let Phase::Starting { links_read, .. } = &mut self.phase {
            *links_read = true;
            self.start_if_complete(now, out);
            return;
        }
        self.interfaces_changed();
        self.look_at_routes(now);
        self.settle_statics(now, out);
        let new: Vec<InterfaceName> = self.links.keys().filter(|name| !before.contains_key(name)).cloned().collect();
        new.iter().for_each(|interface| self.listen_again(interface, out));
        let tracked = self.trackers.ids().filter_map(|what| match what {
            TrackerId::Interface(name) => Some(name.clone()),
            TrackerId::Script(_) | TrackerId::File(_) | TrackerId::Process(_) => None,
        });
        for name in tracked.collect::<Vec<_>>() {
            self.track_link(&name, now, out);
        }
        self.assess(None, now, out);
    }

    pub(super) fn link_changed(&mut self, link: Link, now: Instant, out: &mut Outbox) {
        let Link { name, running } = link;
        if self.links.insert(name.clone(), running).is_none() {
            self.listen_again(&name, out);
            self.interfaces_changed();
        }
        self.look_at_routes(now);
        self.settle_statics(now, out);
        self.track_link(&name, now, out);
        self.assess(Some(&name), now, out);
    }

    /// Membership in a group is lost with the interface.
    fn listen_again(&mut self, appeared: &InterfaceName, out: &mut Outbox) {
        let listeners = self.listening.iter().filter(|(interface, _)| interface == appeared).cloned();
        out.extend(listeners.map(|(interface, group)| Effect::Listen { interface, group }));
    }

    pub(super) fn addresses_read(&mut self, addresses: Vec<ObservedAddress>, now: Instant, out: &mut Outbox) {
        self.book.read(addresses);
        if let Phase::Starting { addresses_read, .. } = &mut self.phase {
            *addresses_read = true;
            self.start_if_complete(now, out);
            return;
        }
        self.settle_statics(now, out);
        self.addresses_changed(None, now, out);
    }

    pub(super) fn addresses_changed(&mut self, interface: Option<&InterfaceName>, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        self.assess(interface, now, out);
    }

    pub(super) fn script_finished(&mut self, name: &ScriptId, outcome: &ScriptOutcome, now: Instant, out: &mut Outbox) {
        let Some(script) = self.scripts.get_mut(name) else { return };
        script.finished(outcome, out);
        let reading = script.reading();
        self.tracker_read(&TrackerId::Script(name.clone()), reading, now, out);
    }

    pub(super) fn files_read(&mut self, numbers: &[(Arc<str>, i64)], now: Instant, out: &mut Outbox) {
        for (name, number) in numbers {
            self.files.heard(name, *number);
            let reading = self.files.reading(name);
            self.tracker_read(&TrackerId::File(name.clone()), reading, now, out);
        }
    }

    pub(super) fn processes_counted(&mut self, counts: &[(Arc<str>, u32)], now: Instant, out: &mut Outbox) {
        for (name, count) in counts {
            let Some(process) = self.processes.get_mut(name) else { continue };
            process.counted(*count, now, out);
            let reading = process.reading();
            self.tracker_read(&TrackerId::Process(name.clone()), reading, now, out);
        }
    }

    /// Changes of numbers of processes count when they have lasted long enough.
    pub(super) fn wake_processes(&mut self, now: Instant, out: &mut Outbox) {
        let due = self.processes.iter().filter(|(_, process)| process.next().is_some_and(|at| at <= now));
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let Some(process) = self.processes.get_mut(&name) else { continue };
            process.wake(now, out);
            let reading = process.reading();
            self.tracker_read(&TrackerId::Process(name), reading, now, out);
        }
    }

    /// A tracker says something: to the priority of its users, or about how they stand.
    fn tracker_read(&mut self, what: &TrackerId, reading: Reading, now: Instant, out: &mut Outbox) {
        let places = self.trackers.read(what, reading);
        for place in places.iter().copied() {
            let Some(config) = self.routers.get(place).map(VirtualRouter::config) else { continue };
            let Some(tracked) = config.tracking.list.iter().find(|tracked| tracked.what == *what) else { continue };
            let (priority, cause) = (self.trackers.priority(config), self.trackers.cause(tracked));
            self.with_router(place, now, out, |router, ctx| router.set_priority(priority, cause, ctx));
            if self.groups.of(place).is_none() {
                self.assess_one(place, now, out);
            }
        }
        let groups: BTreeSet<usize> = places.iter().filter_map(|place| self.groups.of(*place)).collect();
        groups.into_iter().for_each(|group| self.assess_group(group, now, out));
    }

    /// What a link says to those that track it.
    pub(super) fn track_link(&mut self, name: &InterfaceName, now: Instant, out: &mut Outbox) {
        let reading = interface::reading(self.links.get(name).copied());
        self.tracker_read(&TrackerId::Interface(name.clone()), reading, now, out);
    }

    /// Tells routers how they stand: those on one interface, or all.
    pub(super) fn assess(&mut self, interface: Option<&InterfaceName>, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        let mut groups = BTreeSet::new();
        for place in 0..self.routers.len() {
            // A configured source may be on any interface.
            let concerned = |router: &VirtualRouter| {
                let config = router.config();
                interface.is_none_or(|name| {
                    config.interfaces.any_is(name) || router.held_on().contains(name) || config.source.is_some()
                })
            };
            // A group once, for all its members.
            let again = self.groups.of(place).is_some_and(|group| groups.contains(&group));
            if !again && self.routers.get(place).is_some_and(concerned) {
                groups.extend(self.groups.of(place));
                self.assess_one(place, now, out);
            }
        }
    }

    pub(super) fn assess_one(&mut self, place: usize, now: Instant, out: &mut Outbox) {
        if let Some(group) = self.groups.of(place) {
            self.assess_group(group, now, out);
        } else if let Some(standing) = self.routers.get(place).map(|router| self.standing(router, now)) {
            self.with_router(place, now, out, |router, ctx| router.assess(standing, ctx));
        }
    }

    pub(super) fn standing(&self, router: &VirtualRouter, now: Instant) -> Standing {
        let config = router.config();
        let Interfaces { heard_on, sent_from, tracked } = &config.interfaces;
        if let Some(gone) = [heard_on, sent_from].into_iter().find(|name| !self.links.contains_key(*name)) {
            return Standing::Faulty(RoleCause::LinkGone { interface: gone.clone() });
        }
        if let Some(down) = tracked.as_ref().filter(|name| self.links.get(*name) != Some(&true)) {
            return Standing::Faulty(RoleCause::LinkDown { interface: down.clone() });
        }
        // Nobody reaches an address on a dead link.
        for name in router.held_on() {
            let interface = name.clone();
            match self.links.get(name) {
                Some(true) => {}
                Some(false) => return Standing::Faulty(RoleCause::LinkDown { interface }),
                None => return Standing::Faulty(RoleCause::LinkGone { interface }),
            }
        }
        let in_family = |address| (Family::of(address) == config.family).then_some(address);
        // RFC 9568 5.1.2.1: from the interface's link-local address, as keepalived does; a configured one may be any.
        let sends = |address| in_family(address).filter(|it| it.is_ipv4() || is_link_local(*it));
        let configured = config.source.and_then(in_family);
        // Its adverts would not leave, and nobody would hear that it is MASTER.
        if let Some(address) = configured.filter(|address| !self.book.has(*address)) {
            return Standing::Faulty(RoleCause::SourceAddressGone { address });
        }
        // An owner sends from the address that it owns; anybody else's VIP is no address of its own.
        let except = if config.priority == Priority::OWNER { &[] } else { router.addresses() };
        let Some(source) = configured.or_else(|| self.book.primary(sent_from, except, sends)) else {
            let interface = sent_from.clone();
            return Standing::Faulty(match config.family {
                Family::V4 => RoleCause::NoSourceAddress { interface },
                Family::V6 => RoleCause::NoLinkLocalAddress { interface },
            });
        };
        let tracks = self.trackers.standing(config);
        if let Tracks::Faulty(cause) = tracks {
            return Standing::Faulty(cause);
        }
        let statics = self.statics_of(router.name());
        if let Tracks::Faulty(cause) = statics {
            return Standing::Faulty(cause);
        }
        if let Some(standing) = self.quorum_standing(router, source, now) {
            return standing;
        }
        if [tracks, statics].contains(&Tracks::Unknown) {
            Standing::Unknown { source }
        } else {
            Standing::Well { source }
        }
    }
}
