//! The machine that elects: it brings events to the virtual routers that they concern.
//!
//! At start it waits until links, addresses and configuration have all been told, in whatever order, and takes off what
//! a killed predecessor left behind before it listens, so that a director that comes back never answers for an address
//! that another one holds by now.

mod coordinate;
pub mod estate;
mod failures;
mod reload;

use self::coordinate::follow;
use self::estate::ElectionEstate;
use self::failures::Retry;
use super::addresses::AddressBook;
use super::counters::IgnoredAdverts;
use super::lifetime::Renewals;
use super::packet::{Advert, TTL};
use super::timers::Timers;
use super::tracker::{self, ScriptTracker, Scripts, Verdict};
use super::virtual_router::{Context, Standing, VirtualRouter};
use super::{Effect, Event, Input, Outbox};
use crate::command::ScriptId;
use crate::command::ScriptOutcome;
use crate::config::{Config, TrackWeight, TrackedScript};
use crate::coordination::{Concerned, Leases};
use crate::datagram::Datagram;
use crate::decision::{IgnoreReason, PriorityCause, RoleCause};
use crate::interface::{InterfaceName, Link, ObservedAddress};
use crate::limit::Limit;
use crate::machine::{LastWill, LeavesWill};
use crate::machine::{Machine, Reason};
use crate::quantity::{AdvertInterval, Priority, Vrid};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// How often the kernel's addresses are read and compared, should a notification have been lost.
pub const REREAD: Duration = Duration::from_secs(10);

/// The virtual routers of one director: [`Machine`] for VRRP.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Election {
    phase: Phase,
    /// What a predecessor left, until the first configuration says what of it fits.
    inherited: Option<ElectionEstate>,
    links: BTreeMap<InterfaceName, bool>,
    book: AddressBook,
    renewals: Renewals,
    config: Arc<Config>,
    routers: Vec<VirtualRouter>,
    next_id: u32,
    /// Places in `routers`. Several may share a VRID, in different multicast groups or with different peers.
    index: BTreeMap<(InterfaceName, Vrid), Vec<usize>>,
    timers: Timers,
    scripts: Scripts,
    listening: BTreeSet<Listener>,
    retries: BTreeMap<Retry, Instant>,
    reread_at: Option<Instant>,
    leases: Leases,
    ignored: IgnoredAdverts,
    complaints: BTreeMap<String, Limit>,
    /// Counts what may change the last will and is not in `book`.
    #[serde(skip)]
    revision: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Phase {
    /// Not everything has been told yet.
    Starting {
        links_read: bool,
        addresses_read: bool,
        config: Option<Arc<Config>>,
    },
    Running,
    Stopped,
    /// It is over, and goes on elsewhere.
    HandedOver,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Starting { links_read: false, addresses_read: false, config: None }
    }
}

/// An interface, and the multicast group if there is one.
type Listener = (InterfaceName, Option<IpAddr>);

impl Machine for Election {
    type Event = Event;
    type Effect = Effect;
    type Estate = ElectionEstate;

    fn handle(&mut self, input: Input, now: Instant) -> Outbox {
        let mut out = Outbox::default();
        match self.phase {
            Phase::HandedOver if input == Input::TakeBack => {
                self.take_back(now, &mut out);
            }
            Phase::Stopped | Phase::HandedOver => return out,
            Phase::Starting { .. } => {}
            Phase::Running => {
                // Before anything else is done or heard: what nobody may rely on any more is given up.
                self.check_session(now, &mut out);
                self.check_overslept(now, &mut out);
            }
        }
        match input {
            Input::ConfigLoaded { config, seed: _ } => self.config_loaded(config, now, &mut out),
            Input::Event(event) => self.happened(event, now, &mut out),
            // Nothing of what a Balancer tells decides about a role.
            Input::News(_) => {}
            Input::Failed { effect, error } => self.effect_failed(*effect, error, now, &mut out),
            Input::Wakeup => self.wakeup(now, &mut out),
            Input::Stop => self.stop(now, &mut out),
            Input::HandOver => {
                if let Phase::Running = self.phase {
                    self.hand_over(now, &mut out);
                }
            }
            Input::Inherited(estate) => {
                if let Phase::Starting { .. } = &self.phase {
                    self.inherited = Some(estate);
                }
            }
            // Done above, or too late.
            Input::TakeBack => {}
        }
        self.check_session(now, &mut out);
        self.renewals.follow(&mut self.book, self.config.vip.lease, now);
        // A router that had its addresses and lost them again within one event announces nothing.
        out.retain_announcements(|effect| match effect {
            Effect::Announce { interface, address } => self.book.holds(interface, *address),
            _ => true, // In that lane there is nothing else.
        });
        out
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        let Phase::Running = self.phase else { return None };
        let router = self.timers.next().and_then(|(_, place)| self.routers.get(place)?.next());
        let script = self.scripts.values().filter_map(ScriptTracker::next).min().map(|at| (at, Reason::Script));
        let retry = self.retries.values().copied().chain(self.book.retry_at()).min().map(|at| (at, Reason::Retry));
        let reread = self.reread_at.map(|at| (at, Reason::Reread));
        let report = self.ignored.next().map(|at| (at, Reason::Report));
        let lease = self.leases.next().map(|at| (at, Reason::Lease));
        let renew = self.renewals.next().map(|at| (at, Reason::Renew));
        router.into_iter().chain(script).chain(retry).chain(reread).chain(report).chain(renew).chain(lease).min()
    }

    fn estate(&self, now: Instant) -> Option<ElectionEstate> {
        self.bequeath(now)
    }
}

impl LeavesWill for Election {
    fn revision(&self) -> u64 {
        self.revision.wrapping_add(self.book.revision())
    }

    /// A share for each MASTER, numbered by its id.
    fn last_will(&self) -> BTreeMap<u32, LastWill> {
        let shares = self.routers.iter().filter_map(|router| Some((router.id(), router.last_will(&self.book)?)));
        shares.collect()
    }
}

impl Election {
    /// The virtual routers, in the order of the file.
    pub fn routers(&self) -> &[VirtualRouter] {
        &self.routers
    }

    /// How many packets were ignored: by router (none: nobody's) and [`IgnoreReason::word`].
    pub fn ignored(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &str, u64)> {
        self.ignored.totals()
    }

    fn happened(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        match event {
            Event::AdvertReceived(datagram) => self.advert_received(&datagram, now, out),
            Event::LinksRead(links) => self.links_read(links, now, out),
            Event::LinkChanged(link) => self.link_changed(link, now, out),
            Event::LinkGone(interface) => {
                self.links.remove(&interface);
                self.assess(Some(&interface), now, out);
            }
            Event::AddressesRead(addresses) => self.addresses_read(addresses, now, out),
            Event::AddressChanged { address, present } => {
                let interface = address.key.interface.clone();
                if self.book.changed(address, present) {
                    self.addresses_changed(Some(&interface), now, out);
                }
            }
            Event::ScriptFinished { script, outcome } => self.script_finished(&script, &outcome, now, out),
            Event::Lease(said) => {
                let concerned = self.leases.hear(said, now, out);
                self.coordinate(&concerned, now, out);
            }
        }
    }

    // Start, reload, stop.

    fn config_loaded(&mut self, new: Arc<Config>, now: Instant, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Starting { config, .. } => {
                *config = Some(new);
                self.start_if_complete(now, out);
            }
            Phase::Running => self.load(new, now, out),
            Phase::Stopped | Phase::HandedOver => {}
        }
    }

    fn start_if_complete(&mut self, now: Instant, out: &mut Outbox) {
        if let Phase::Starting { links_read: true, addresses_read: true, config } = &mut self.phase
            && let Some(config) = config.take()
        {
            self.phase = Phase::Running;
            self.load(config, now, out);
        }
    }

    /// All say goodbye before any gives up its addresses: the last peer should not wait for the first one's kernel.
    fn stop(&mut self, now: Instant, out: &mut Outbox) {
        let mut ctx = Context { now, out, book: &mut self.book };
        self.routers.iter_mut().for_each(|router| router.resign(&mut ctx));
        // All at once: what two of them share, and what could not be added so far, must not be added on the way out.
        self.routers.iter().for_each(|router| ctx.book.release(router.id()));
        ctx.book.settle(now, ctx.out);
        self.routers.iter_mut().for_each(|router| router.stop(RoleCause::Stop, &mut ctx));
        // Last: what is not gone by now is not given back.
        self.leases.stop(out);
        self.phase = Phase::Stopped;
    }

    // Adverts.

    fn advert_received(&mut self, datagram: &Datagram, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        if let Err((place, reason)) = self.hear(datagram, now, out) {
            let router = place.and_then(|place| self.routers.get(place)).map(VirtualRouter::name);
            self.ignored.count(router, datagram.source, reason, now, out);
        }
    }

    fn hear(
        &mut self,
        datagram: &Datagram,
        now: Instant,
        out: &mut Outbox,
    ) -> Result<(), (Option<usize>, IgnoreReason)> {
        let place = datagram.payload.get(1).and_then(|vrid| self.find(datagram, Vrid::new(*vrid)?));
        let ignored = |reason| (place, reason);

        let &Datagram { source, destination, ttl, .. } = datagram;
        let (IpAddr::V4(source), IpAddr::V4(to)) = (source, destination) else {
            return Err(ignored(IgnoreReason::WrongDestination { destination }));
        };
        // RFC 9568 5.1.1.3. Unicast peers may be farther away, and keepalived lets them.
        if to.is_multicast() && ttl != TTL {
            return Err(ignored(IgnoreReason::WrongTtl { ttl }));
        }
        let advert = Advert::decode(&datagram.payload, source, to).map_err(ignored)?;
        let place = place.ok_or((None, IgnoreReason::UnknownVrid { vrid: advert.vrid.get() }))?;
        self.with_router(place, now, out, |router, ctx| router.hear(&advert, source, destination, ctx))
            .unwrap_or(Ok(()))
            .map_err(|reason| (Some(place), reason))
    }

    /// The router for a packet: of those with its VRID on its interface, the one in its group, else the first.
    fn find(&self, datagram: &Datagram, vrid: Vrid) -> Option<usize> {
        let places = self.index.get(&(datagram.interface.clone(), vrid))?;
        let takes = |place: &&usize| self.routers.get(**place).is_some_and(|router| router.takes(datagram.destination));
        places.iter().find(takes).or(places.first()).copied()
    }

    // Links, addresses, scripts.

    fn links_read(&mut self, links: Vec<Link>, now: Instant, out: &mut Outbox) {
        let before = std::mem::replace(&mut self.links, links.into_iter().map(|l| (l.name, l.running)).collect());
        if let Phase::Starting { links_read, .. } = &mut self.phase {
            *links_read = true;
            self.start_if_complete(now, out);
            return;
        }
        let new: Vec<InterfaceName> = self.links.keys().filter(|name| !before.contains_key(name)).cloned().collect();
        new.iter().for_each(|interface| self.listen_again(interface, out));
        self.assess(None, now, out);
    }

    fn link_changed(&mut self, link: Link, now: Instant, out: &mut Outbox) {
        let Link { name, running } = link;
        if self.links.insert(name.clone(), running).is_none() {
            self.listen_again(&name, out);
        }
        self.assess(Some(&name), now, out);
    }

    /// Membership in a group is lost with the interface.
    fn listen_again(&mut self, appeared: &InterfaceName, out: &mut Outbox) {
        let listeners = self.listening.iter().filter(|(interface, _)| interface == appeared).cloned();
        out.extend(listeners.map(|(interface, group)| Effect::Listen { interface, group }));
    }

    fn addresses_read(&mut self, addresses: Vec<ObservedAddress>, now: Instant, out: &mut Outbox) {
        self.book.read(addresses);
        if let Phase::Starting { addresses_read, .. } = &mut self.phase {
            *addresses_read = true;
            self.start_if_complete(now, out);
            return;
        }
        self.addresses_changed(None, now, out);
    }

    fn addresses_changed(&mut self, interface: Option<&InterfaceName>, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        // First who still wants what: a MASTER that lost its own address too puts nothing back.
        self.assess(interface, now, out);
        self.book.settle(now, out);
        self.note_foreign(out);
    }

    /// An address owner's VIPs are its own addresses by definition.
    fn note_foreign(&mut self, out: &mut Outbox) {
        let shared = self.routers.iter().filter(|router| router.config().priority != Priority::OWNER);
        self.book.note_foreign(shared.flat_map(VirtualRouter::addresses), out);
    }

    fn script_finished(&mut self, name: &ScriptId, outcome: &ScriptOutcome, now: Instant, out: &mut Outbox) {
        let Some(script) = self.scripts.get_mut(name) else { return };
        if !script.finished(outcome, out) {
            return;
        }
        let up = script.up() == Some(true);
        for place in 0..self.routers.len() {
            let Some(config) = self.routers.get(place).map(VirtualRouter::config) else { continue };
            let Some(TrackedScript { weight: TrackWeight { weight, .. }, .. }) =
                config.track_scripts.iter().find(|tracked| tracked.script == *name)
            else {
                continue;
            };
            let cause = PriorityCause::Script { script: name.clone(), up, weight: *weight };
            let priority = tracker::effective_priority(config, &self.scripts);
            self.with_router(place, now, out, |router, ctx| router.set_priority(priority, cause, ctx));
            self.assess_one(place, now, out);
        }
    }

    /// Tells routers how they stand: those on one interface, or all.
    fn assess(&mut self, interface: Option<&InterfaceName>, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        for place in 0..self.routers.len() {
            let concerned = |router: &VirtualRouter| interface.is_none_or(|name| router.config().interface == *name);
            if self.routers.get(place).is_some_and(concerned) {
                self.assess_one(place, now, out);
            }
        }
    }

    fn assess_one(&mut self, place: usize, now: Instant, out: &mut Outbox) {
        if let Some(standing) = self.routers.get(place).map(|router| self.standing(router, now)) {
            self.with_router(place, now, out, |router, ctx| router.assess(standing, ctx));
        }
    }

    fn standing(&self, router: &VirtualRouter, now: Instant) -> Standing {
        let config = router.config();
        let interface = config.interface.clone();
        match self.links.get(&interface) {
            None => return Standing::Faulty(RoleCause::LinkGone { interface }),
            Some(false) if !config.dont_track_primary => {
                return Standing::Faulty(RoleCause::LinkDown { interface });
            }
            Some(_) => {}
        }
        let configured = config.source.and_then(|source| match source {
            IpAddr::V4(source) => Some(source),
            IpAddr::V6(_) => None,
        });
        // An owner sends from the address that it owns; anybody else's VIP is no address of its own.
        let except = if config.priority == Priority::OWNER { &[] } else { router.addresses() };
        let Some(source) = configured.or_else(|| self.book.primary(&interface, except)) else {
            return Standing::Faulty(RoleCause::NoSourceAddress { interface });
        };
        let mut unknown = false;
        for TrackedScript { script, weight } in &config.track_scripts {
            match tracker::verdict(self.scripts.get(script), *weight) {
                Verdict::Fault => return Standing::Faulty(RoleCause::ScriptDown { script: script.clone() }),
                Verdict::Unknown => unknown = true,
                Verdict::Adds(_) => {}
            }
        }
        if let Some(standing) = self.quorum_standing(router, source, now) {
            return standing;
        }
        if unknown { Standing::Unknown { source } } else { Standing::Well { source } }
    }

    // Time.

    fn check_overslept(&mut self, now: Instant, out: &mut Outbox) {
        // Nobody ran since the first of all timers was due: what one router's timer tells, it tells of all of them. What
        // they should have heard meanwhile may lie behind a hundred other packets, or found the socket's buffer full.
        if let Some((due, _)) = self.timers.next().filter(|(at, _)| *at < now) {
            let slept = now.since(due);
            let all = slept > AdvertInterval::SHORTEST.duration();
            let places = if all { (0..self.routers.len()).collect() } else { self.timers.expired(now) };
            for place in places {
                self.with_router(place, now, out, |router, ctx| router.check_overslept(slept, ctx));
            }
        }
    }

    fn wakeup(&mut self, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        for place in self.timers.expired(now) {
            self.with_router(place, now, out, VirtualRouter::wake);
        }
        if self.leases.next().is_some_and(|at| at <= now) {
            self.leases.wake(now, out);
            self.coordinate(&Concerned::All, now, out);
        }
        self.renewals.wake(&mut self.book, now, out);
        self.scripts.values_mut().for_each(|script| script.wake(now, out));
        if self.book.retry_at().is_some_and(|at| at <= now) {
            self.book.settle(now, out);
        }
        self.retry(now, out);
        self.ignored.wake(now, out);
        // Last: the answer must know of everything above.
        if self.reread_at.is_some_and(|at| at <= now) {
            self.reread_at = Some(now + REREAD);
            out.push(Effect::ReadAddresses);
        }
    }

    fn with_router<R>(
        &mut self,
        place: usize,
        now: Instant,
        out: &mut Outbox,
        f: impl FnOnce(&mut VirtualRouter, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let router = self.routers.get_mut(place)?;
        let source = router.source();
        let result = f(router, &mut Context { now, out, book: &mut self.book });
        self.revision += u64::from(router.source() != source);
        follow(router, &mut self.leases, &mut self.book, now, out);
        self.timers.set(place, router.next().map(|(at, _)| at));
        Some(result)
    }
}
