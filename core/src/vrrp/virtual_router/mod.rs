//! One virtual router: RFC 9568 6.4 and RFC 3768 6.4 as a state machine, with keepalived's FAULT.
//!
//! ```text
//!            well, Startup              heard nobody for Master_Down_Interval,
//!   Init ───────────────────▶ Backup ── or its MASTER stopped and Skew_Time is over ──▶ Master
//!    ▲ │                       ▲  ▲                                                    │  │
//!    │ └─ faulty ─▶ Fault ─────┘  └── higher priority, or same and greater address; ───┘  │
//!    │               ▲   well         overslept                                           │
//!    └─ stop, ───────┴──── faulty ────────────────────────────────────────────────────────┘
//!       from anywhere
//! ```
//!
//! Each state owns exactly its own timers. One function leaves a state and one enters it, whatever is on the other side.
//!
//! The order of effects is part of the contract. Taking over: the advert first (rivals fall silent), then the addresses,
//! then the announcements, then what people and scripts are told. Giving up: priority 0 first, then the addresses. A peer
//! that hears it waits at least Skew_Time, which is 4 ms at 1 s adverts and longer than the removal takes; removing
//! first would add exactly that time to the outage, and a kernel that is slow at it would cost the whole
//! Master_Down_Interval.

mod backup;
mod checks;
mod master;
mod take_up;

use super::announce::{Announcements, To};
use super::book::{AddressBook, Holder};
use super::intervals::{master_down_interval, skew_time};
use super::notify;
use super::packet::{AddressList, Advert, Authentication, TTL};
use crate::config::{InitialState, Transport, VirtualRouterConfig};
use crate::datagram::Datagram;
use crate::decision::{Decision, IgnoreReason, PriorityCause, RoleCause};
use crate::door::News;
use crate::interface::InterfaceAddress;
use crate::lease::{DirectorName, Mode, Part};
use crate::limit::Limit;
use crate::machine::LastWill;
use crate::machine::Reason;
use crate::quantity::{AdvertInterval, Priority, Role, Version};
use crate::time::{Duration, Instant};
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// RFC 9568 6.4, and FAULT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Initialize: not started, stopped, or waiting for what a tracked script says first.
    Init,
    Backup(Backup),
    Master(Master),
    Fault,
}

/// What a BACKUP knows and waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Master_Down_Timer, Active_Down_Timer in RFC 9568.
    pub down_at: Instant,
    /// What it was set to.
    pub waits: Duration,
    /// Active_Adver_Interval: the MASTER's, once heard.
    pub active_interval: AdvertInterval,
    pub heard: Heard,
    /// `preempt_delay`: until then a MASTER of lower priority is left in peace.
    pub preempt_at: Option<Instant>,
    /// The timer was already set anew once because it was long overdue.
    pub slept: bool,
}

/// The last that a BACKUP heard; the cause when it takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    Nobody,
    /// A MASTER to which we yield.
    Active {
        source: Ipv4Addr,
        at: Instant,
    },
    /// Its priority 0.
    Stopped {
        source: Ipv4Addr,
        skew: Duration,
    },
    /// A MASTER that is about to be preempted.
    Lower {
        source: Ipv4Addr,
        priority: u8,
    },
}

/// What a MASTER does by the clock. Written in estates, as [`Backup`] is: whatever is added needs a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Master {
    /// Adver_Timer.
    pub advertise_at: Instant,
    /// When the last advert left: the others count from then.
    pub last_advert: Instant,
    pub announcements: Announcements,
    /// It has the addresses. Always so by VRRP alone; by a lease only while that is surely its own.
    #[serde(default)]
    pub holds: bool,
    /// Said already: that another one has the lease, and that it goes on without the quorum service.
    #[serde(default)]
    pub told_held: bool,
    #[serde(default)]
    pub told_kept: bool,
    /// The MASTER that was taken for dead, and how long a word from it means that it never was.
    pub presumed_dead: Option<(Ipv4Addr, Instant)>,
}

/// What makes a router MASTER, and what gives it the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// Adverts, for both.
    Adverts,
    /// Adverts make it MASTER, and its lease gives it the addresses ([`VirtualRouter::allow`]).
    Fenced,
    /// Its lease, for both ([`VirtualRouter::promote`]): no advert is sent or heard.
    Elected,
}

impl Rule {
    /// As `mode` of `[coordination]` says.
    pub fn of(part: Option<Part>) -> Self {
        match part.map(|part| part.mode) {
            None | Some(Mode::Off) => Self::Adverts,
            Some(Mode::Fence) => Self::Fenced,
            Some(Mode::Elect) => Self::Elected,
        }
    }
}

/// What the world around a router says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can take part, and sends from this address.
    Well { source: Ipv4Addr },
    /// A tracked script with weight 0 has not ended yet: nothing changes until it does.
    Unknown { source: Ipv4Addr },
    /// It can't.
    Faulty(RoleCause),
}

/// What a router may touch while it handles one event.
pub struct Context<'a> {
    pub now: Instant,
    pub out: &'a mut Outbox,
    pub book: &'a mut AddressBook,
}

impl Context<'_> {
    fn decide(&mut self, decision: Decision) {
        self.out.decide(decision);
    }
}

/// One virtual router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VirtualRouter {
    id: u32,
    config: VirtualRouterConfig,
    rule: Rule,
    state: State,
    /// The configured one, and what tracked scripts make of it.
    priority: Priority,
    /// Where adverts come from. `None` until it was well for the first time.
    source: Option<Ipv4Addr>,
    /// `virtual_ipaddress` as an advert lists it.
    advertised: Vec<u8>,
    /// All that moves: `virtual_ipaddress` and `virtual_ipaddress_excluded`.
    addresses: Arc<[InterfaceAddress]>,
    /// The adverts of a MASTER, one for each destination, ready to send.
    adverts: Vec<Datagram>,
    limits: Limits,
}

/// Warnings that a peer could cause every second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Limits {
    rival: Limit,
    addresses: Limit,
    interval: Limit,
    owner: Limit,
}

impl VirtualRouter {
    /// In Initialize. `id` tells it from every other router of this director, also from an earlier one of its name.
    pub fn new(id: u32, config: VirtualRouterConfig, priority: Priority, rule: Rule) -> Self {
        let mut router = Self {
            id,
            config,
            rule,
            state: State::Init,
            priority,
            source: None,
            advertised: Vec::new(),
            addresses: Arc::default(),
            adverts: Vec::new(),
            limits: Limits::default(),
        };
        router.prepare();
        router
    }

    /// Tells it from every other router of this director.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Who it is in the book.
    pub fn holder(&self) -> Holder {
        Holder::Router(self.id)
    }

    pub fn name(&self) -> &Arc<str> {
        &self.config.name
    }

    pub fn config(&self) -> &VirtualRouterConfig {
        &self.config
    }

    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// MASTER, and in possession of the addresses.
    pub fn holds(&self) -> bool {
        matches!(&self.state, State::Master(master) if master.holds)
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn role(&self) -> Role {
        match self.state {
            State::Init => Role::Init,
            State::Backup(_) => Role::Backup,
            State::Master(_) => Role::Master,
            State::Fault => Role::Fault,
        }
    }

    /// The effective priority.
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The address that it sends from.
    pub fn source(&self) -> Option<Ipv4Addr> {
        self.source
    }

    /// `virtual_ipaddress` and `virtual_ipaddress_excluded`.
    pub fn addresses(&self) -> &[InterfaceAddress] {
        &self.addresses
    }

    /// The shortest time between two adverts that it knows of: its own, and those of the MASTER that it hears.
    pub fn interval(&self) -> AdvertInterval {
        match &self.state {
            State::Backup(backup) => self.config.adverts.interval.min(backup.active_interval),
            State::Init | State::Master(_) | State::Fault => self.config.adverts.interval,
        }
    }

    /// When it wants to be woken, and why.
    pub fn next(&self) -> Option<(Instant, Reason)> {
        match &self.state {
            State::Init | State::Fault => None,
            State::Backup(backup) => match self.rule {
                Rule::Adverts | Rule::Fenced => Some((backup.down_at, Reason::MasterDown)),
                Rule::Elected => backup.preempt_at.map(|at| (at, Reason::Preempt)),
            },
            State::Master(master) => {
                let announce = master.announcements.next().map(|at| (at, Reason::Announce));
                let advertise = self.adverts_count().then_some((master.advertise_at, Reason::Advertise));
                announce.into_iter().chain(advertise).min()
            }
        }
    }

    /// Adverts are sent and heard.
    fn adverts_count(&self) -> bool {
        match self.rule {
            Rule::Adverts | Rule::Fenced => true,
            Rule::Elected => false,
        }
    }

    /// A router whose other directors must have given it up steps down before it does or hears anything else: suspend,
    /// a paused virtual machine, live migration. What it then hears from the queue decides.
    ///
    /// A BACKUP did not listen in its sleep; a MASTER that lives is heard within its interval, so it waits that long, if
    /// its timer does not run for longer anyway. Once only: a machine that is late every time must still take over when
    /// nobody else does. `slept`: for how long this director can't have run, by the first of its timers that is overdue.
    pub fn check_overslept(&mut self, slept: Duration, ctx: &mut Context<'_>) {
        if !self.adverts_count() {
            return;
        }
        match &mut self.state {
            State::Init | State::Fault => {}
            State::Backup(backup) => {
                let interval = backup.active_interval.duration();
                let waits = interval + skew_time(self.config.version, self.priority, backup.active_interval);
                if slept > interval && backup.down_at < ctx.now + waits && !backup.slept {
                    (backup.slept, backup.waits, backup.down_at) = (true, waits, ctx.now + waits);
                }
            }
            State::Master(master) => {
                let silent = ctx.now.since(master.last_advert);
                let interval = self.master_down_interval(self.config.adverts.interval);
                if silent > interval {
                    self.leave(ctx);
                    self.enter_backup(RoleCause::Overslept { silent, interval }, Heard::Nobody, Role::Master, ctx);
                }
            }
        }
    }

    /// Fires the timers that are due.
    pub fn wake(&mut self, ctx: &mut Context<'_>) {
        let adverts_count = self.adverts_count();
        match &mut self.state {
            State::Init | State::Fault => {}
            State::Backup(backup) if !adverts_count => {
                // From now on its claim preempts.
                backup.preempt_at = backup.preempt_at.filter(|at| *at > ctx.now);
            }
            State::Backup(backup) => {
                if backup.down_at <= ctx.now {
                    let cause = self.takeover_cause(ctx.now);
                    self.enter_master(cause, ctx);
                }
            }
            State::Master(master) => {
                if adverts_count && master.advertise_at <= ctx.now {
                    self.advertise(ctx);
                }
                if let State::Master(master) = &mut self.state
                    && master.holds
                {
                    let to = &mut To { holder: Holder::Router(self.id), book: ctx.book };
                    master.announcements.wake(&self.config.announcements, &self.addresses, ctx.now, to);
                }
            }
        }
    }

    /// Whether this packet is for this router: by multicast into its group, or by unicast.
    pub fn takes(&self, destination: IpAddr) -> bool {
        match &self.config.transport {
            Transport::Multicast { group } => destination == IpAddr::V4(*group),
            Transport::Unicast { .. } => !destination.is_multicast(),
        }
    }

    /// The checks of RFC 9568 7.1 and RFC 3768 7.1 that need a configuration, then the election.
    pub fn hear(
        &mut self,
        advert: &Advert<'_>,
        source: Ipv4Addr,
        destination: IpAddr,
        ctx: &mut Context<'_>,
    ) -> Result<(), IgnoreReason> {
        if matches!(self.state, State::Init | State::Fault) || !self.adverts_count() {
            return Ok(());
        }
        if self.source == Some(source) {
            return Err(IgnoreReason::LoopedBack);
        }
        self.check(advert, source, destination)?;
        self.compare_addresses(advert.addresses, source, ctx)?;
        self.compare_interval(advert, source, ctx);
        self.compare_owner(advert, source, ctx);
        match &self.state {
            State::Init | State::Fault => {}
            State::Backup(_) => self.hear_as_backup(advert, source, ctx.now),
            State::Master(_) => self.hear_as_master(advert, source, ctx),
        }
        Ok(())
    }

    /// The configuration, the scripts or the network say something new about it.
    pub fn assess(&mut self, standing: Standing, ctx: &mut Context<'_>) {
        let from = self.role();
        match standing {
            Standing::Faulty(cause) => {
                if from != Role::Fault {
                    let reachable = !matches!(cause, RoleCause::LinkDown { .. } | RoleCause::LinkGone { .. });
                    if reachable {
                        self.resign(ctx);
                    }
                    self.leave(ctx);
                    self.state = State::Fault;
                    self.changed(from, cause, ctx);
                }
            }
            Standing::Unknown { source } => self.send_from(source),
            Standing::Well { source } => {
                self.send_from(source);
                let cause = match from {
                    Role::Init => RoleCause::Startup,
                    Role::Fault => RoleCause::Recovered,
                    Role::Backup | Role::Master => return,
                };
                // RFC 9568 6.4.1 starts every owner as MASTER; keepalived only one that says `state MASTER`.
                let owner = self.priority == Priority::OWNER && self.config.initial_state == InitialState::Master;
                if owner && self.adverts_count() {
                    self.enter_master(RoleCause::Owner, ctx);
                } else {
                    self.enter_backup(cause, Heard::Nobody, from, ctx);
                }
            }
        }
    }

    /// Tracked scripts or a reload changed the effective priority. The next advert says so.
    pub fn set_priority(&mut self, priority: Priority, cause: PriorityCause, ctx: &mut Context<'_>) {
        if priority != self.priority {
            let from = std::mem::replace(&mut self.priority, priority);
            self.prepare_adverts();
            let (from, to) = (from.get(), priority.get());
            ctx.decide(Decision::PriorityChanged { router: self.config.name.clone(), from, to, cause });
        }
    }

    /// True if a reload from `old` to `new` keeps the router what it is. Another interface or VRID is another router.
    pub fn same_router(old: &VirtualRouterConfig, new: &VirtualRouterConfig) -> bool {
        old.interface == new.interface && old.vrid == new.vrid
    }

    /// Takes a changed configuration in place: the role stays, timers that run go on, a MASTER moves its addresses.
    pub fn reconfigure(&mut self, config: VirtualRouterConfig, ctx: &mut Context<'_>) {
        let before = std::mem::replace(&mut self.config, config);
        let had: BTreeSet<_> = self.addresses.iter().map(InterfaceAddress::key).collect();
        self.prepare();
        let State::Master(master) = &mut self.state else { return };
        // Those who learned the old interval must not wait longer than it for the news.
        master.advertise_at = master.advertise_at.min(ctx.now + self.config.adverts.interval.duration());
        if master.holds && before.announcements != self.config.announcements {
            master.announcements.reconfigure(&self.config.announcements, ctx.now);
        }
        if !master.holds {
            return;
        }
        ctx.book.want(self.holder(), self.addresses.clone());
        let new: Vec<_> = self.addresses.iter().filter(|vip| !had.contains(&vip.key())).cloned().collect();
        ctx.book.announce(self.holder(), new.iter(), self.config.announcements.repeat);
    }

    /// Says goodbye, if MASTER: an advert of priority 0 (RFC 9568 6.4.3, Shutdown).
    pub fn resign(&mut self, ctx: &mut Context<'_>) {
        if let State::Master(_) = self.state {
            let goodbye = self.build_adverts(0);
            ctx.out.extend(goodbye.into_iter().map(Effect::SendAdvert));
        }
    }

    /// What a MASTER that is stopped would say and give back.
    pub fn last_will(&self, book: &AddressBook) -> Option<LastWill> {
        let State::Master(_) = self.state else { return None };
        Some(LastWill { datagrams: self.build_adverts(0), addresses: book.ours(self.addresses.iter()) })
    }

    /// Gives everything back. [`Self::resign`] comes first. Scripts hear `STOP` when the daemon ends, and `FAULT` when
    /// a reload took this router away, as from keepalived.
    pub fn stop(&mut self, cause: RoleCause, ctx: &mut Context<'_>) {
        let from = self.role();
        self.leave(ctx);
        if from != Role::Init {
            self.state = State::Init;
            let told = if cause == RoleCause::Stop { Role::Init } else { Role::Fault };
            self.changed_as(from, cause, told, ctx);
        }
    }

    // Entry and exit.

    fn enter_backup(&mut self, cause: RoleCause, heard: Heard, from: Role, ctx: &mut Context<'_>) {
        let waits = self.master_down_interval(self.config.adverts.interval);
        self.state = State::Backup(Backup {
            down_at: ctx.now + waits,
            waits,
            active_interval: self.config.adverts.interval,
            heard,
            preempt_at: self.elected_delay(ctx.now),
            slept: false,
        });
        self.changed(from, cause, ctx);
    }

    /// Until when a candidate does not preempt. One that hears adverts counts from the first of a lower priority.
    fn elected_delay(&self, now: Instant) -> Option<Instant> {
        let delay = self.preempt_delay();
        (self.rule == Rule::Elected && !delay.is_zero()).then(|| now + delay)
    }

    fn enter_master(&mut self, cause: RoleCause, ctx: &mut Context<'_>) {
        let from = self.role();
        ctx.out.extend(self.adverts.iter().cloned().map(Effect::SendAdvert));
        let holds = self.rule == Rule::Adverts;
        let announcements = if holds { self.take_addresses(ctx) } else { Announcements::default() };
        let advertise_at = ctx.now + self.config.adverts.interval.duration();
        let presumed_dead = match &cause {
            RoleCause::MasterDown { last_heard: Some((IpAddr::V4(source), _)), interval } => {
                Some((*source, ctx.now + *interval))
            }
            _ => None, // Only a MASTER that fell silent can have been alive all the same.
        };
        self.state = State::Master(Master {
            advertise_at,
            last_advert: ctx.now,
            announcements,
            holds,
            told_held: false,
            told_kept: false,
            presumed_dead,
        });
        self.changed(from, cause, ctx);
    }

    fn take_addresses(&self, ctx: &mut Context<'_>) -> Announcements {
        ctx.book.want(self.holder(), self.addresses.clone());
        let to = &mut To { holder: self.holder(), book: ctx.book };
        Announcements::start(&self.config.announcements, &self.addresses, ctx.now, to)
    }

    // By lease.

    /// Whether its lease allows a MASTER the addresses, now. True if that changed something.
    pub fn allow(&mut self, allowed: bool, ctx: &mut Context<'_>) -> bool {
        if !matches!(&self.state, State::Master(master) if master.holds != allowed) {
            return false;
        }
        let announcements = if allowed {
            self.take_addresses(ctx)
        } else {
            ctx.book.release(self.holder());
            Announcements::default()
        };
        if let State::Master(master) = &mut self.state {
            (master.holds, master.announcements) = (allowed, announcements);
        }
        true
    }

    /// Another one has the lease of this MASTER: said once.
    pub fn tell_held(&mut self, by: &DirectorName, ctx: &mut Context<'_>) {
        if let State::Master(master) = &mut self.state
            && !std::mem::replace(&mut master.told_held, true)
        {
            ctx.decide(Decision::LeaseHeld { router: self.config.name.clone(), by: by.clone() });
        }
    }

    /// This MASTER has its addresses without a lease (`on_loss = "keep"`), or has one again: said once.
    pub fn tell_kept(&mut self, kept: bool, ctx: &mut Context<'_>) {
        if let State::Master(master) = &mut self.state
            && !std::mem::replace(&mut master.told_kept, kept)
            && kept
        {
            ctx.decide(Decision::KeptWithoutQuorum { router: self.config.name.clone() });
        }
    }

    /// A candidate has its lease.
    pub fn promote(&mut self, cause: RoleCause, ctx: &mut Context<'_>) {
        if let State::Backup(_) = self.state {
            self.enter_master(cause, ctx);
        }
    }

    /// Whether a candidate's claim says that it preempts: `preempt_delay` is over.
    pub fn claims_preemption(&self, now: Instant) -> bool {
        match &self.state {
            State::Backup(backup) => self.preempts() && backup.preempt_at.is_none_or(|at| at <= now),
            State::Master(_) => self.preempts(),
            State::Init | State::Fault => false,
        }
    }

    /// The lease of an elected MASTER goes to somebody else.
    pub fn demote(&mut self, cause: RoleCause, ctx: &mut Context<'_>) {
        if let State::Master(_) = self.state {
            self.leave(ctx);
            self.enter_backup(cause, Heard::Nobody, Role::Master, ctx);
        }
    }

    /// Leaves the state that it is in: only a MASTER has something to give back.
    fn leave(&mut self, ctx: &mut Context<'_>) {
        if let State::Master(_) = self.state {
            ctx.book.release(self.holder());
        }
    }

    /// Tells people and scripts.
    fn changed(&mut self, from: Role, cause: RoleCause, ctx: &mut Context<'_>) {
        self.changed_as(from, cause, self.role(), ctx);
    }

    fn changed_as(&mut self, from: Role, cause: RoleCause, told: Role, ctx: &mut Context<'_>) {
        let (router, vrid, to) = (self.config.name.clone(), self.config.vrid, self.role());
        ctx.out.news(News::RoleChanged { router: router.clone(), role: to });
        ctx.decide(Decision::RoleChanged { router, vrid, from, to, cause });
        notify::role_changed(&self.config.notify, &self.config.name, told, self.priority, ctx.out);
    }

    fn master_down_interval(&self, active: AdvertInterval) -> Duration {
        master_down_interval(self.config.version, self.priority, active, self.config.adverts.down_timer)
    }

    // What is sent.

    fn send_from(&mut self, source: Ipv4Addr) {
        if self.source != Some(source) {
            self.source = Some(source);
            self.prepare_adverts();
        }
    }

    fn prepare(&mut self) {
        self.addresses = self.config.addresses.iter().chain(&self.config.excluded).cloned().collect();
        self.advertised = self
            .config
            .addresses
            .iter()
            .filter_map(|vip| match vip.address {
                IpAddr::V4(address) => Some(address.octets()),
                IpAddr::V6(_) => None,
            })
            .take(usize::from(u8::MAX))
            .flatten()
            .collect();
        self.prepare_adverts();
    }

    fn prepare_adverts(&mut self) {
        self.adverts = self.build_adverts(self.priority.get());
    }

    fn authentication(&self) -> Authentication {
        match (self.config.version, self.config.password) {
            (Version::V2, Some(password)) => Authentication::Password(password),
            (Version::V2, None) | (Version::V3, _) => Authentication::None,
        }
    }

    fn build_adverts(&self, priority: u8) -> Vec<Datagram> {
        let Some(source) = self.source.filter(|_| self.adverts_count()) else { return Vec::new() };
        let advert = Advert {
            version: self.config.version,
            vrid: self.config.vrid,
            priority,
            interval: self.config.adverts.interval,
            authentication: self.authentication(),
            addresses: AddressList::from_wire(&self.advertised),
        };
        let to = |destination: Ipv4Addr, ttl| Datagram {
            interface: self.config.interface.clone(),
            source: source.into(),
            destination: destination.into(),
            ttl,
            payload: advert.encode((!self.config.adverts.v3_checksum_as_v2).then_some((source, destination))),
        };
        match &self.config.transport {
            Transport::Multicast { group } => vec![to(*group, TTL)],
            Transport::Unicast { peers } => peers
                .iter()
                .filter_map(|peer| match peer {
                    IpAddr::V4(peer) => Some(to(*peer, self.config.unicast_ttl)),
                    IpAddr::V6(_) => None,
                })
                .collect(),
        }
    }
}
