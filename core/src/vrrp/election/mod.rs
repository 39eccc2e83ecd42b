//! The machine that elects: it brings events to the virtual routers that they concern.
//!
//! At start it waits until links, addresses and configuration have all been told, in whatever order, and takes off what
//! a killed predecessor left behind before it listens, so that a director that comes back never answers for an address
//! that another one holds by now.

mod around;
mod coordinate;
mod dispose;
pub mod estate;
mod failures;
mod reload;
mod routes;
mod settle;
mod statics;
mod status;
mod sync_group;

use self::coordinate::follow;
use self::dispose::dispose;
use self::estate::ElectionEstate;
use self::failures::Retry;
use self::routes::Asked;
use self::statics::TrackedStatics;
use self::sync_group::Groups;
use super::book::{AddressBook, Holder};
use super::counters::IgnoredAdverts;
use super::lifetime::Renewals;
use super::packet::{Advert, TTL};
use super::timers::Timers;
use super::track::Trackers;
use super::track::file::Files;
use super::track::process::ProcessTracker;
use super::track::script::ScriptTracker;
use super::virtual_router::{Context, VirtualRouter};
use super::{Effect, Event, Input, Outbox};
use crate::command::ScriptId;
use crate::config::Config;
use crate::coordination::{Concerned, Leases};
use crate::datagram::Datagram;
use crate::decision::{IgnoreReason, RoleCause};
use crate::interface::{Family, InterfaceName};
use crate::limit::Limit;
use crate::machine::{LastWill, LeavesWill};
use crate::machine::{Machine, Reason};
use crate::quantity::{AdvertInterval, Role, Vrid};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// How often the kernel's addresses are read and compared, should a notification have been lost.
pub const REREAD: Duration = Duration::from_secs(10);

/// While a timer is overdue, all routers are told at most so often that this director has slept.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The virtual routers of one director: [`Machine`] for VRRP.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Election {
    phase: Phase,
    /// What a predecessor left, until the first configuration says what of it fits.
    inherited: Option<ElectionEstate>,
    /// Other directors live on this host.
    neighbours: bool,
    links: BTreeMap<InterfaceName, bool>,
    book: AddressBook,
    renewals: Renewals,
    config: Arc<Config>,
    routers: Vec<VirtualRouter>,
    next_id: u32,
    /// Places in `routers`. Several may share a VRID, in different multicast groups or with different peers.
    index: BTreeMap<(InterfaceName, Family, Vrid), Vec<usize>>,
    timers: Timers,
    trackers: Trackers,
    scripts: BTreeMap<ScriptId, ScriptTracker>,
    #[serde(default)]
    files: Files,
    #[serde(default)]
    processes: BTreeMap<Arc<str>, ProcessTracker>,
    listening: BTreeSet<Listener>,
    retries: BTreeMap<Retry, Instant>,
    reread_at: Option<Instant>,
    leases: Leases,
    ignored: IgnoredAdverts,
    complaints: BTreeMap<String, Limit>,
    /// Of these virtual routers the last will may have changed, by their numbers.
    #[serde(skip)]
    wills: BTreeSet<u32>,
    /// Where each router is in `routers`, by its number.
    places: BTreeMap<u32, usize>,
    /// The shortest advert interval of all routers, their own and those that they have learned.
    shortest: Option<AdvertInterval>,
    /// When all routers were told last that this director had slept.
    looked_back: Option<Instant>,
    #[serde(default)]
    groups: Groups,
    #[serde(default)]
    routes: Asked,
    #[serde(default)]
    tracked_statics: TrackedStatics,
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
                // Whatever else waits, and however long it takes: what keeps addresses alive comes first.
                self.renewals.wake(&self.book, now, &mut out);
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
        self.tell_groups(&mut out);
        self.settle(now, &mut out);
        if self.track_statics(now, &mut out) {
            self.tell_groups(&mut out);
            self.settle(now, &mut out);
        }
        self.renewals.follow(&self.book, self.config.vip.lifetime, now);
        out
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        let Phase::Running = self.phase else { return None };
        let router = self.timers.next().and_then(|(_, place)| self.routers.get(place)?.next());
        let script = self.scripts.values().filter_map(ScriptTracker::next).min().map(|at| (at, Reason::Script));
        let process = self.processes.values().filter_map(ProcessTracker::next).min().map(|at| (at, Reason::Process));
        let retry = self.retries.values().copied().chain(self.book.next()).min().map(|at| (at, Reason::Retry));
        let reread = self.reread_at.map(|at| (at, Reason::Reread));
        let report = self.ignored.next().map(|at| (at, Reason::Report));
        let lease = self.leases.next().map(|at| (at, Reason::Lease));
        let renew = self.renewals.next().map(|at| (at, Reason::Renew));
        let announce = self.book.next_announcement().map(|at| (at, Reason::Announce));
        let routes = self.routes.next().map(|at| (at, Reason::Reread));
        let put_back = self.book.routes.next().into_iter().chain(self.book.rules.next()).min();
        let put_back = put_back.into_iter().chain(self.tracked_statics.next()).min();
        let put_back = put_back.map(|at| (at, Reason::Retry));
        router
            .into_iter()
            .chain(announce)
            .chain(put_back)
            .chain(routes)
            .chain(script)
            .chain(process)
            .chain(retry)
            .chain(reread)
            .chain(report)
            .chain(renew)
            .chain(lease)
            .min()
    }

    fn estate(&self, now: Instant) -> Option<ElectionEstate> {
        self.bequeath(now)
    }
}

impl LeavesWill for Election {
    /// A share for each MASTER, by its number.
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        let mut changed = std::mem::take(&mut self.wills);
        let holders = self.book.take_changed().into_iter().chain(self.book.routes.take_changed());
        let holders = holders.chain(self.book.rules.take_changed());
        changed.extend(holders.filter_map(|holder| match holder {
            Holder::Router(id) => Some(id),
            Holder::Static | Holder::Group(_) => None,
        }));
        let share = |id: u32| {
            let router = self.routers.get(*self.places.get(&id)?)?;
            router.last_will(&self.book)
        };
        changed.into_iter().map(|id| (id, share(id).unwrap_or_default())).collect()
    }
}

impl Election {
    /// The virtual routers, in the order of the file.
    pub fn routers(&self) -> &[VirtualRouter] {
        &self.routers
    }

    /// What [`Input::Stop`] would send and take off now: a share for each MASTER, by its number. The whole of what
    /// [`LeavesWill::changed_shares`] tells bit by bit.
    pub fn last_will(&self) -> BTreeMap<u32, LastWill> {
        let shares = self.routers.iter().filter_map(|router| Some((router.id(), router.last_will(&self.book)?)));
        shares.collect()
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
                self.interfaces_changed();
                self.look_at_routes(now);
                self.track_link(&interface, now, out);
                self.assess(Some(&interface), now, out);
            }
            Event::AddressesRead(addresses) => self.addresses_read(addresses, now, out),
            Event::NeighboursLive => self.neighbours = true,
            Event::AddressChanged { address, present } => {
                let interface = address.key.interface.clone();
                if self.book.observe(address, present) {
                    self.look_at_routes(now);
                    self.settle_statics(now, out);
                    self.addresses_changed(Some(&interface), now, out);
                }
            }
            Event::ScriptFinished { script, outcome } => self.script_finished(&script, &outcome, now, out),
            Event::Lease(said) => {
                let concerned = self.leases.hear(said, now, out);
                self.coordinate(&concerned, now, out);
            }
            Event::FilesRead(numbers) => self.files_read(&numbers, now, out),
            Event::ProcessesCounted(counts) => self.processes_counted(&counts, now, out),
            Event::RoutesRead { routes, rules } => self.routes_read(routes, rules, now),
            Event::RuleChanged { rule, present } => _ = self.book.rules.observe(*rule, present),
            Event::RouteChanged { route, present } => _ = self.book.routes.observe(route, present),
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
        let mut ctx = Context::new(now, out, &mut self.book);
        self.routers.iter_mut().for_each(|router| router.resign(&mut ctx));
        // All at once: what two of them share, and what could not be added so far, must not be added on the way out.
        self.routers.iter().for_each(|router| ctx.book.release(router.holder()));
        self.routers.iter_mut().for_each(|router| router.stop(RoleCause::Stop, &mut ctx));
        (0..self.routers.len()).for_each(|place| self.member_changed(place));
        // Last: what is not gone by now is not given back.
        self.leases.stop(out);
        self.phase = Phase::Stopped;
        // What moves goes first: it may need a static address, and that one may be in its way.
        self.change(now, 0, out);
        self.book.release(Holder::Static);
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
        let place = datagram.message().get(1).and_then(|vrid| self.find(datagram, Vrid::new(*vrid)?));
        let ignored = |reason| (place, reason);

        let &Datagram { source, destination, ttl, .. } = datagram;
        // RFC 9568 5.1.1.3. Unicast peers may be farther away, and keepalived lets them.
        if destination.is_multicast() && ttl != TTL {
            return Err(ignored(IgnoreReason::WrongTtl { ttl }));
        }
        let advert = Advert::decode(datagram.message(), source, destination).map_err(ignored)?;
        let place = place.ok_or((None, IgnoreReason::UnknownVrid { vrid: advert.vrid.get() }))?;
        self.look_back(place, now, out);
        let heard =
            self.with_router(place, now, out, |router, ctx| router.hear(&advert, datagram, ctx)).unwrap_or(Ok(()));
        if heard.is_ok() && advert.priority == 0 {
            self.group_stopped(place, source, now);
        }
        heard.map_err(|reason| (Some(place), reason))
    }

    /// The router for a packet: of those with its VRID on its interface, the one in its group, else the first.
    fn find(&self, datagram: &Datagram, vrid: Vrid) -> Option<usize> {
        let places = self.index.get(&(datagram.interface.clone(), Family::of(datagram.destination), vrid))?;
        let takes = |place: &&usize| self.routers.get(**place).is_some_and(|router| router.takes(datagram.destination));
        places.iter().find(takes).or(places.first()).copied()
    }

    // Time.

    fn check_overslept(&mut self, now: Instant, out: &mut Outbox) {
        // Nobody ran since the first of all timers was due: what one router's timer tells, it tells of all of them. What
        // they should have heard meanwhile may lie behind a hundred other packets, or found the socket's buffer full.
        // Not with each event: a thousand packets may be heard before that timer has its turn.
        let Some((due, _)) = self.timers.next().filter(|(at, _)| *at < now) else { return };
        let slept = now.since(due);
        let looked = self.looked_back.is_some_and(|at| now.since(at) < LOOK_AGAIN);
        if looked || self.shortest.is_none_or(|shortest| slept <= shortest.duration()) {
            return;
        }
        self.looked_back = Some(now);
        for place in 0..self.routers.len() {
            self.with_router(place, now, out, |router, ctx| router.check_overslept(slept, ctx));
        }
    }

    /// A MASTER whose own timer is overdue may be none any more: what came before it may have taken long.
    fn look_back(&mut self, place: usize, now: Instant, out: &mut Outbox) {
        if self.timers.at(place).is_some_and(|at| at < now) {
            self.with_router(place, now, out, |router, ctx| router.check_overslept(Duration::ZERO, ctx));
        }
    }

    fn wakeup(&mut self, now: Instant, out: &mut Outbox) {
        let Phase::Running = self.phase else { return };
        for place in self.timers.expired(now) {
            self.look_back(place, now, out);
            self.with_router(place, now, out, VirtualRouter::wake);
        }
        if self.leases.next().is_some_and(|at| at <= now) {
            self.leases.wake(now, out);
            self.coordinate(&Concerned::All, now, out);
        }
        self.scripts.values_mut().for_each(|script| script.wake(now, out));
        self.wake_processes(now, out);
        self.book.wake(now);
        if self.settle_statics(now, out) {
            self.assess(None, now, out);
        }
        self.book.routes.wake(now);
        self.book.rules.wake(now);
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
        let group = self.groups.of(place);
        let yields_to_equal = self.groups.yields_to_equal(place, &self.routers, now);
        let router = self.routers.get_mut(place)?;
        let before = (router.role(), router.source(), router.holds(), router.sequence());
        let mut ctx = Context { yields_to_equal, ..Context::new(now, out, &mut self.book) };
        let result = f(router, &mut ctx);
        let mut of_group = None;
        match (ctx.proposal.take(), group) {
            (Some(proposal), None) => dispose(router, proposal, &mut ctx),
            (proposal, _) => of_group = proposal,
        }
        follow(router, &mut self.leases, &mut self.book, now, out);
        self.timers.set(place, router.next().map(|(at, _)| at));
        if before != (router.role(), router.source(), router.holds(), router.sequence()) {
            self.wills.insert(router.id());
        }
        let interval = router.interval();
        self.shortest = Some(self.shortest.map_or(interval, |shortest| shortest.min(interval)));
        if let Some(group) = group {
            let stays = before.0 == Role::Master && of_group.is_none();
            if let Some(proposal) = of_group {
                self.dispose_group(group, place, proposal, now, out);
            }
            // A MASTER's own timers are its own.
            if !stays {
                self.schedule(group);
            }
        }
        Some(result)
    }
}
