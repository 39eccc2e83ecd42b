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
//! Each state owns exactly its own timers. The arrows are proposals ([`Proposal`]): the router says which role it wants and
//! why, and the Election lets it enter one ([`VirtualRouter::enter`]), after what stands above a single router.
//!
//! The order of effects is part of the contract. Taking over: the advert first (rivals fall silent), then the addresses,
//! then the announcements, then what people and scripts are told. Giving up: priority 0 first, then the addresses. A peer
//! that hears it waits at least Skew_Time, which is 4 ms at 1 s adverts and longer than the removal takes; removing
//! first would add exactly that time to the outage, and a kernel that is slow at it would cost the whole
//! Master_Down_Interval.

mod backup;
mod checks;
mod lease;
mod master;
mod role;
mod state;
mod take_up;
mod wire;

pub use checks::LEARNED;
pub use role::{Proposal, Proposed};
pub use state::{Backup, Heard, Master, State};

use super::announce::To;
use super::book::{AddressBook, Holder};
use super::intervals::{master_down_interval, skew_time};
use super::packet::Advert;
use crate::config::{InitialState, Transport, VirtualRouterConfig};
use crate::datagram::Datagram;
use crate::decision::{Decision, IgnoreReason, PriorityCause, RoleCause};
use crate::interface::{InterfaceAddress, InterfaceName};
use crate::lease::{Mode, Part};
use crate::limit::{Allowance, Limit};
use crate::machine::LastWill;
use crate::machine::Reason;
use crate::quantity::{AdvertInterval, Priority, Role};
use crate::route::{Route, VirtualRule};
use crate::time::{Duration, Instant};
use crate::vrrp::Outbox;
use crate::vrrp::notify::{self, Told};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// What makes a router MASTER, and what gives it the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecidedBy {
    /// Adverts, for both.
    Adverts,
    /// Adverts make it MASTER, and its lease gives it the addresses ([`VirtualRouter::allow`]).
    Fenced,
    /// Its lease, for both : no advert is sent or heard.
    Elected,
}

impl DecidedBy {
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
    Well { source: IpAddr },
    /// A tracked script with weight 0 has not ended yet: nothing changes until it does.
    Unknown { source: IpAddr },
    /// It can't.
    Faulty(RoleCause),
}

/// What a router may touch while it handles one event.
pub struct Context<'a> {
    pub now: Instant,
    pub out: &'a mut Outbox,
    pub book: &'a mut AddressBook,
    /// The role that the router wants to have since this event.
    pub proposal: Option<Proposal>,
    /// A MASTER yields to one of the same priority and the greater address. False: another member of its sync group decides.
    pub yields_to_equal: bool,
}

impl<'a> Context<'a> {
    pub fn new(now: Instant, out: &'a mut Outbox, book: &'a mut AddressBook) -> Self {
        Self { now, out, book, proposal: None, yields_to_equal: true }
    }

    fn propose(&mut self, proposal: Proposal) {
        self.proposal = Some(proposal);
    }

    fn decide(&mut self, decision: Decision) {
        self.out.decide(decision);
    }
}

/// One virtual router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VirtualRouter {
    id: u32,
    config: VirtualRouterConfig,
    decided_by: DecidedBy,
    state: State,
    /// The configured one, and what tracked scripts make of it.
    priority: Priority,
    /// Where adverts come from. `None` until it was well for the first time.
    source: Option<IpAddr>,
    /// `virtual_ipaddress` as an advert lists it.
    advertised: Vec<u8>,
    /// All that moves: `virtual_ipaddress` and `virtual_ipaddress_excluded`.
    addresses: Arc<[InterfaceAddress]>,
    /// `virtual_routes`.
    #[serde(default)]
    routes: Arc<[Route]>,
    /// `virtual_rules`.
    #[serde(default)]
    rules: Arc<[VirtualRule]>,
    /// Other interfaces than the one where adverts are heard, on which some of them are.
    held_on: BTreeSet<InterfaceName>,
    /// The adverts of a MASTER, one for each destination, ready to send.
    adverts: Vec<Datagram>,
    limits: Limits,
    /// The last interval other than ours, and whose it is; and the last that is not believed at once.
    told_interval: Option<(IpAddr, AdvertInterval)>,
    unsure_interval: Option<(IpAddr, AdvertInterval)>,
    /// Peers whose checksum leaves the pseudo header out; by multicast one stands for all.
    plain_checksum: BTreeSet<IpAddr>,
    rival: Option<master::Rival>,
    /// `auth_type AH`: the newest sequence number that was sent or heard.
    #[serde(default)]
    sequence: u32,
    /// When it became MASTER last, in this process.
    master_since: Instant,
}

/// Warnings that a peer could cause every second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Limits {
    addresses: Limit,
    interval: Limit,
    owner: Limit,
    checksum: Limit,
    /// Scripts that hear of a lower priority.
    #[serde(default)]
    lower: Allowance,
}

impl VirtualRouter {
    /// In Initialize. `id` tells it from every other router of this director, also from an earlier one of its name.
    pub fn new(id: u32, config: VirtualRouterConfig, priority: Priority, decided_by: DecidedBy) -> Self {
        let mut router = Self {
            id,
            config,
            decided_by,
            state: State::Init,
            priority,
            source: None,
            advertised: Vec::new(),
            addresses: Arc::default(),
            routes: Arc::default(),
            rules: Arc::default(),
            held_on: BTreeSet::new(),
            adverts: Vec::new(),
            limits: Limits::default(),
            told_interval: None,
            unsure_interval: None,
            plain_checksum: BTreeSet::new(),
            rival: None,
            sequence: 0,
            master_since: Instant::ZERO,
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

    pub fn decided_by(&self) -> DecidedBy {
        self.decided_by
    }

    /// MASTER, and in possession of the addresses.
    pub fn holds(&self) -> bool {
        matches!(&self.state, State::Master(master) if master.holds)
    }

    /// The last interval that was not believed at once, and whose it is.
    pub fn unsure_interval(&self) -> Option<(IpAddr, AdvertInterval)> {
        self.unsure_interval
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
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// The newest sequence number of `auth_type AH`.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// `virtual_ipaddress` and `virtual_ipaddress_excluded`.
    pub fn addresses(&self) -> &[InterfaceAddress] {
        &self.addresses
    }

    /// `virtual_routes`.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// `virtual_rules`.
    pub fn rules(&self) -> &[VirtualRule] {
        &self.rules
    }

    /// The interfaces of its addresses, the one aside where adverts are heard: their links must be up as well.
    pub fn held_on(&self) -> &BTreeSet<InterfaceName> {
        &self.held_on
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
            State::Backup(backup) => match self.decided_by {
                DecidedBy::Adverts | DecidedBy::Fenced => Some((backup.down_at, Reason::MasterDown)),
                DecidedBy::Elected => backup.preempt_at.map(|at| (at, Reason::Preempt)),
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
        match self.decided_by {
            DecidedBy::Adverts | DecidedBy::Fenced => true,
            DecidedBy::Elected => false,
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
                    ctx.propose(Proposal::backup(RoleCause::Overslept { silent, interval }));
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
                    ctx.propose(Proposal::master(cause));
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
            Transport::Multicast { group } => destination == *group,
            Transport::Unicast { .. } => !destination.is_multicast(),
        }
    }

    /// The checks of RFC 9568 7.1 and RFC 3768 7.1 that need a configuration, then the election. `advert` is what `datagram`
    /// carries.
    pub fn hear(
        &mut self,
        advert: &Advert<'_>,
        datagram: &Datagram,
        ctx: &mut Context<'_>,
    ) -> Result<(), IgnoreReason> {
        let &Datagram { source, destination, .. } = datagram;
        if matches!(self.state, State::Init | State::Fault) || !self.adverts_count() {
            return Ok(());
        }
        if self.source == Some(source) {
            return Err(IgnoreReason::LoopedBack);
        }
        self.check(advert, source, destination)?;
        let sequence = self.fresh(datagram)?;
        self.compare_addresses(advert.addresses, source, ctx)?;
        self.sequence = sequence;
        self.compare_interval(advert, source, ctx);
        self.compare_owner(advert, source, ctx);
        self.learn_checksum(Advert::checksum_is_plain(datagram.message()), source, ctx);
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
                    ctx.propose(Proposal::fault(cause));
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
                ctx.propose(if owner { Proposal::master(RoleCause::Owner) } else { Proposal::backup(cause) });
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
            notify::priority_changed(&self.config.notify, &self.config.name, self.role(), priority, ctx.out);
        }
    }

    /// A BACKUP that waits no longer for a MASTER.
    pub fn is_due(&self, now: Instant) -> bool {
        matches!(&self.state, State::Backup(backup) if backup.down_at <= now)
    }

    /// True if a reload from `old` to `new` keeps the router what it is. Another interface or VRID is another router.
    pub fn same_router(old: &VirtualRouterConfig, new: &VirtualRouterConfig) -> bool {
        let (before, after) = (&old.interfaces, &new.interfaces);
        before.heard_on == after.heard_on
            && before.sent_from == after.sent_from
            && (old.family, old.vrid) == (new.family, new.vrid)
    }

    /// Takes a changed configuration in place: the role stays, timers that run go on, a MASTER moves its addresses.
    pub fn reconfigure(&mut self, config: VirtualRouterConfig, ctx: &mut Context<'_>) {
        let before = std::mem::replace(&mut self.config, config);
        self.plain_checksum.clear();
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
        self.want_all(ctx);
        let new: Vec<_> = self.addresses.iter().filter(|vip| !had.contains(&vip.key())).cloned().collect();
        ctx.book.announce(self.holder(), new.iter(), self.config.announcements.repeat);
    }

    /// Says goodbye, if MASTER: an advert of priority 0 (RFC 9568 6.4.3, Shutdown).
    pub fn resign(&mut self, ctx: &mut Context<'_>) {
        if let State::Master(_) = self.state {
            let goodbye = self.build_adverts(0);
            self.say(goodbye, ctx);
        }
    }

    /// What a MASTER that is stopped would say and give back.
    pub fn last_will(&self, book: &AddressBook) -> Option<LastWill> {
        let State::Master(_) = self.state else { return None };
        let (datagrams, _) = self.sealed(self.build_adverts(0));
        let (addresses, routes) = (book.ours(self.addresses.iter()), book.routes.ours(self.routes.iter()));
        Some(LastWill { datagrams, addresses, routes, rules: book.rules.ours(self.rules.iter()) })
    }

    /// Gives everything back. [`Self::resign`] comes first. Scripts hear `STOP` when the daemon ends, and `FAULT` or
    /// `DELETED` when a reload took this router away, as from keepalived.
    pub fn stop(&mut self, cause: RoleCause, ctx: &mut Context<'_>) {
        let from = self.role();
        self.leave(ctx);
        if from != Role::Init {
            self.state = State::Init;
            let told = if cause == RoleCause::Stop { Told::Role(Role::Init) } else { Told::Gone };
            self.changed(from, cause, told, ctx);
        }
    }

    fn master_down_interval(&self, active: AdvertInterval) -> Duration {
        master_down_interval(self.config.version, self.priority, active, self.config.adverts.down_timer)
    }
}
