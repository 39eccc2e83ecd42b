//! The decision stream: what a director decided, and why. Logs, timelines, `explain`, metrics and notifications all
//! read this one stream; its `Display` is the sentence that an operator reads at 3 a.m.

mod kind;
mod words;

pub use kind::Kind;

use crate::check::{Failure, Shortage};
use crate::config::{StaticItem, TrackWeight, TrackerId};
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName};
use crate::ipvs::VirtualServerId;
use crate::lease::Token;
use crate::quantity::{AdvertInterval, Role, Version, Vrid};
use crate::route::{Route, RouteKey, Rule};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How loud a decision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// As intended: a role taken over in order, a server that came back.
    Info,
    /// Service is degraded or a peer misbehaves; somebody should look in the morning.
    Warning,
    /// Somebody should look now.
    Error,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// A virtual router changed its role.
    RoleChanged {
        router: Arc<str>,
        vrid: Vrid,
        from: Role,
        to: Role,
        cause: RoleCause,
    },
    /// It goes on in the role in which a predecessor left it. `silent`: how long ago that one's last advert left, if it was
    /// MASTER. Nobody else notices, so scripts are not told.
    RoleInherited {
        router: Arc<str>,
        vrid: Vrid,
        role: Role,
        priority: u8,
        silent: Option<Duration>,
    },
    /// Its effective priority changed.
    PriorityChanged {
        router: Arc<str>,
        from: u8,
        to: u8,
        cause: PriorityCause,
    },
    /// Packets that were not taken as adverts: the first at once, then a sum at most once a minute for each reason.
    /// `router` is known when interface and VRID fit one of ours.
    AdvertsIgnored {
        router: Option<Arc<str>>,
        source: IpAddr,
        reason: IgnoreReason,
        count: u64,
    },
    /// A MASTER hears another one, which should yield to it: two MASTERs, until that one hears us.
    RivalMaster {
        router: Arc<str>,
        source: IpAddr,
        priority: u8,
    },
    /// It still does not after some of its intervals.
    RivalStays {
        router: Arc<str>,
        source: IpAddr,
        version: Version,
    },
    /// A peer's checksum of VRRPv3 over IPv4 leaves the pseudo header out (RFC 9568 5.2.8), so it is answered that way;
    /// `beside`: by multicast both forms are sent, since others may need the usual one.
    ChecksumLearned {
        router: Arc<str>,
        source: IpAddr,
        beside: bool,
    },
    /// A peer advertises other addresses than are configured here, but some of ours. It counts as alive all the same
    /// (RFC 9568 7.1 asks for a log line, no more); keepalived drops it and becomes MASTER beside it.
    AddressListDiffers {
        router: Arc<str>,
        source: IpAddr,
        missing: Vec<IpAddr>,
        extra: Vec<IpAddr>,
    },
    /// A peer has another `advert_int`. It counts as alive. In version 3 its interval is learned (RFC 9568 6.4.2; 7.1 asks
    /// for a log line). In version 2 it is learned too, but never more than a few times our own; by RFC 3768 7.1, which
    /// keepalived follows, it would be dropped and both would be MASTER.
    IntervalDiffers {
        router: Arc<str>,
        source: IpAddr,
        version: Version,
        theirs: AdvertInterval,
        ours: AdvertInterval,
    },
    /// Two routers say that they own the addresses (priority 255). The greater address wins; somebody must mend it.
    SecondOwner {
        router: Arc<str>,
        source: IpAddr,
    },
    /// Somebody else put a VIP on this director. It is left alone, so it stays whoever is MASTER.
    AddressNotOurs {
        address: AddressKey,
    },
    /// An address that a killed predecessor left behind is taken off.
    LeftoverRemoved {
        address: AddressKey,
    },
    /// An address of ours was taken off, by somebody or by the kernel at the end of its lifetime; it is put back.
    AddressRestored {
        address: InterfaceAddress,
    },
    /// A tracked script changed its state.
    ScriptChanged {
        script: Arc<str>,
        up: bool,
        why: String,
    },
    /// A checker's attempt failed; `tries_left` more before the real server is down.
    ProbeFailed {
        service: VirtualServerId,
        server: SocketAddr,
        failure: Failure,
        tries_left: u32,
    },
    /// A checker could not ask its real server for want of something here, the first of an episode; whatever can't be asked
    /// keeps its state.
    ProbeNotAsked {
        service: VirtualServerId,
        server: SocketAddr,
        shortage: Shortage,
    },
    /// Such an episode is over: for a minute every attempt could be made.
    ProbesAskedAgain {
        shortage: Shortage,
        times: u64,
        lasted: Duration,
    },
    /// All checkers of a real server pass.
    ServerUp {
        service: VirtualServerId,
        server: SocketAddr,
    },
    /// A checker has given a real server up.
    ServerDown {
        service: VirtualServerId,
        server: SocketAddr,
        failure: Failure,
    },
    /// `alpha`: a real server starts down.
    ServerStartsDown {
        service: VirtualServerId,
        server: SocketAddr,
    },
    /// Checkers go on where a predecessor left them: so many of all. By that these real servers are `down`, and these
    /// virtual servers have no quorum.
    VerdictsInherited {
        checkers: usize,
        of: usize,
        down: Vec<(VirtualServerId, SocketAddr)>,
        without_quorum: Vec<VirtualServerId>,
    },
    /// Live weight reached `quorum`.
    QuorumGained {
        service: VirtualServerId,
        weight: u64,
        quorum: u32,
    },
    /// Live weight fell below `quorum`; `sorry_server` says who answers instead.
    QuorumLost {
        service: VirtualServerId,
        weight: u64,
        quorum: u32,
        sorry_server: Option<SocketAddr>,
    },
    /// The kernel's table was not as wanted, though nobody here changed it; `changes` operations mend it.
    TableRepaired {
        changes: usize,
    },
    /// What the file asks of this virtual server can't be had on this host. The others are served.
    ServiceNotServed {
        service: VirtualServerId,
        why: String,
    },
    /// An effect could not be carried out; it is tried again.
    EffectFailed {
        what: String,
        error: String,
        retry_in: Duration,
    },
    /// The quorum service opened a session; after this many seconds without a word from us it ends.
    SessionOpened {
        timeout: Duration,
    },
    /// It grants none that lasts long enough: no lease can be relied on.
    SessionTooShort {
        timeout: Duration,
        least: Duration,
    },
    /// It says that our session is over.
    SessionLost,
    /// It can't be reached, or refuses us.
    ServiceUnreachable {
        reason: String,
    },
    /// It answers in the same session again, so long after [`Self::ServiceUnreachable`].
    ServiceAnswers {
        after: Duration,
    },
    /// A MASTER got its lease, and with it the addresses.
    LeaseGranted {
        router: Arc<str>,
        token: Token,
    },
    /// A MASTER has no addresses, because another director has its lease: two MASTERs that don't hear each other.
    LeaseHeld {
        router: Arc<str>,
        by: Arc<str>,
    },
    /// Somebody deleted our lease at the service.
    LeaseGone {
        router: Arc<str>,
    },
    /// A MASTER has its addresses although the quorum service can't be asked (`on_loss = "keep"`).
    KeptWithoutQuorum {
        router: Arc<str>,
    },
    /// A configuration came into force.
    ConfigApplied {
        added: Vec<String>,
        removed: Vec<String>,
        changed: Vec<String>,
    },
    /// Nobody takes this lease for so long: the quorum service has forgotten who held it.
    LeaseNotYet {
        router: Arc<str>,
        wait: Duration,
    },
    /// A checker says another weight for its real server (`misc_dynamic`), or this file with its number does (FILE_CHECK).
    WeightChanged {
        service: VirtualServerId,
        server: SocketAddr,
        from: u32,
        to: u32,
        #[serde(default)]
        file: Option<(Arc<str>, i64)>,
    },
    /// `ha_suspend`: the address of a virtual server is not here, or none of a group's, and nobody checks its real servers.
    ChecksSuspended {
        service: VirtualServerId,
        address: IpAddr,
    },
    /// It is here again, and they are checked.
    ChecksResumed {
        service: VirtualServerId,
    },
    /// Enough of a tracked process run, or too few or too many.
    ProcessChanged {
        process: Arc<str>,
        up: bool,
        why: String,
    },
    /// A route with our mark that nobody wants is taken out: a killed predecessor left it.
    RouteLeftoverRemoved {
        route: RouteKey,
    },
    /// A route of ours was taken out, by somebody or by the kernel with an interface or an address; it is put back.
    RouteRestored {
        route: Route,
    },
    /// The same of a policy rule.
    RuleLeftoverRemoved {
        rule: Rule,
    },
    RuleRestored {
        rule: Rule,
    },
    /// What the file asks of IPVS as a whole can't be had on this host.
    SettingNotServed {
        word: String,
        why: String,
    },
    /// An operator has drained a real server: it takes no new connections; `remove`: and is taken out when none is left, or
    /// after `limit`.
    ServerDrained {
        service: VirtualServerId,
        server: SocketAddr,
        remove: bool,
        limit: Option<Duration>,
    },
    /// It takes connections again.
    ServerUndrained {
        service: VirtualServerId,
        server: SocketAddr,
    },
    /// A drained real server is taken out, with so many active connections, as far as that is known.
    ServerTakenOut {
        service: VirtualServerId,
        server: SocketAddr,
        after: Duration,
        connections: Option<u32>,
    },
    /// Real servers that were drained before, and still are.
    DrainsInherited {
        servers: Vec<(VirtualServerId, SocketAddr)>,
    },
    /// What an operator asked for is not done.
    OrderRefused {
        order: String,
        why: String,
    },
    /// A real server that came back takes its share slowly (`[slow_start]`): until so much weight, for so long.
    SlowStart {
        service: VirtualServerId,
        server: SocketAddr,
        weight: u32,
        lasts: Duration,
    },
}

/// Why a role changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleCause {
    /// The configuration was loaded and the interface is up.
    Startup,
    /// Address owner: priority 255 (RFC 9568 6.4.1).
    Owner,
    /// No advert for the Master_Down_Interval (6.4.2). `last_heard`: the last MASTER and how long ago.
    MasterDown { interval: Duration, last_heard: Option<(IpAddr, Duration)> },
    /// The MASTER sent priority 0: it stopped (6.4.2); taken over after Skew_Time.
    MasterStopped { source: IpAddr, skew: Duration },
    /// The MASTER heard has a lower priority, and preempting is allowed.
    Preempts { source: IpAddr, theirs: u8, ours: u8 },
    /// Another MASTER has a higher priority (6.4.3).
    HigherPriority { source: IpAddr, theirs: u8, ours: u8 },
    /// Another MASTER has the same priority and the greater address (6.4.3).
    SamePriorityGreaterAddress { source: IpAddr, priority: u8, ours: IpAddr },
    /// This process did not run for longer than the others wait for it: suspend, pause, live migration.
    Overslept { silent: Duration, interval: Duration },
    /// The interface is down.
    LinkDown { interface: InterfaceName },
    /// The interface does not exist.
    LinkGone { interface: InterfaceName },
    /// The interface has no address to send from.
    NoSourceAddress { interface: InterfaceName },
    /// The address that it is to send from (`mcast_src_ip`, `unicast_src_ip`) is on no interface.
    SourceAddressGone { address: IpAddr },
    /// Something tracked with weight 0 is down; up, with `reverse`.
    Tracked { what: TrackerId, up: bool },
    /// Nothing proves that another director does not get the lease soon. `silent`: since a question was asked that was
    /// answered; none: never in this session.
    NoQuorum { silent: Option<Duration> },
    /// `elect`: the best candidate, and the lease is its own.
    Elected { token: Token },
    /// `elect`: a candidate with a higher priority preempts.
    Outranked { by: Arc<str>, theirs: u8, ours: u8 },
    /// `elect`: the lease is not ours any more.
    LeaseElsewhere { by: Option<Arc<str>> },
    /// `spread`: it belongs to other directors.
    SpreadElsewhere,
    /// What caused FAULT is over.
    Recovered,
    /// Reload changed what can't change while running.
    Reconfigured,
    /// Orderly stop.
    Stop,
    /// The quorum service grants sessions that are too short to hold an address by.
    SessionTooShort { timeout: Duration, least: Duration },
    /// The quorum service answers again, and another director holds the lease: it must answer for so long yet.
    QuorumOnTrial { remaining: Duration },
    /// Its sync group changes its role as a whole, since this member of it does.
    SyncGroup { group: Arc<str>, member: Arc<str> },
    /// The interface has no link-local address to send IPv6 adverts from, or none that may be used yet.
    NoLinkLocalAddress { interface: InterfaceName },
    /// A tracked file holds a number that means FAULT.
    FileHolds { file: Arc<str>, number: i64, weight: TrackWeight },
    /// A static address, route or rule whose `track_group` names this virtual router is away.
    StaticGone { what: StaticItem },
}

/// Why a priority changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PriorityCause {
    /// Something tracked went up or down.
    Tracked {
        what: TrackerId,
        up: bool,
        weight: i16,
    },
    Reload,
    /// A tracked file holds this number.
    FileHolds {
        file: Arc<str>,
        number: i64,
        weight: i16,
    },
}

/// Why a packet of protocol 112 was not taken as an advert. The order is the order of the checks (RFC 9568 7.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IgnoreReason {
    /// TTL or hop limit is not 255: it came over a router. Unicast peers may be farther away.
    WrongTtl {
        ttl: u8,
    },
    /// Shorter than its header or its own address count says.
    Truncated {
        len: usize,
        need: usize,
    },
    /// Neither version 2 nor 3.
    UnknownVersion {
        version: u8,
    },
    /// The other version than configured.
    VersionDiffers {
        theirs: u8,
        ours: u8,
    },
    /// Not an advertisement.
    UnknownType {
        kind: u8,
    },
    WrongChecksum,
    /// No virtual router with this VRID on this interface.
    UnknownVrid {
        vrid: u8,
    },
    /// Our own packet came back.
    LoopedBack,
    /// `auth_type` differs (VRRPv2).
    AuthTypeDiffers {
        theirs: u8,
        ours: u8,
    },
    /// `auth_pass` differs (VRRPv2).
    PasswordDiffers,
    /// None of its addresses is ours: another virtual router that happens to have the same VRID.
    AddressListDiffers,
    /// It lists no address at all (RFC 9568 5.2.5, erratum 8299).
    NoAddresses,
    /// It came by unicast, and multicast is configured, or the other way round.
    WrongDestination {
        destination: IpAddr,
    },
    /// The sender is not in `unicast_peer` (`check_unicast_src`).
    NotAPeer,
    /// An advert interval of zero.
    ZeroInterval,
    /// It has no authentication header of this key (`auth_type AH`).
    AuthenticationFailed,
    /// A packet with this sequence number, or a later one, was heard or sent already (`auth_type AH`).
    Replayed {
        sequence: u32,
        newest: u32,
    },
}

impl IgnoreReason {
    /// One word for the kind, whatever the numbers in it: counters and limits go by it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::WrongTtl { .. } => "wrong_ttl",
            Self::Truncated { .. } => "truncated",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::VersionDiffers { .. } => "version_differs",
            Self::UnknownType { .. } => "unknown_type",
            Self::WrongChecksum => "wrong_checksum",
            Self::UnknownVrid { .. } => "unknown_vrid",
            Self::LoopedBack => "looped_back",
            Self::AuthTypeDiffers { .. } => "auth_type_differs",
            Self::PasswordDiffers => "password_differs",
            Self::AddressListDiffers => "address_list_differs",
            Self::NoAddresses => "no_addresses",
            Self::WrongDestination { .. } => "wrong_destination",
            Self::NotAPeer => "not_a_peer",
            Self::ZeroInterval => "zero_interval",
            Self::AuthenticationFailed => "authentication_failed",
            Self::Replayed { .. } => "replayed",
        }
    }
}

impl Decision {
    /// How loud it is.
    pub fn level(&self) -> LogLevel {
        match self {
            Self::RoleChanged { to, cause, .. } => match (to, cause) {
                (Role::Fault, _) => LogLevel::Error,
                (
                    _,
                    RoleCause::LeaseElsewhere { .. }
                    | RoleCause::Overslept { .. }
                    | RoleCause::MasterDown { last_heard: Some(_), .. },
                ) => LogLevel::Warning,
                (Role::Init | Role::Backup | Role::Master, _) => LogLevel::Info,
            },
            Self::AdvertsIgnored { .. }
            | Self::RivalMaster { .. }
            | Self::RivalStays { .. }
            | Self::AddressListDiffers { .. }
            | Self::IntervalDiffers { .. }
            | Self::AddressNotOurs { .. }
            | Self::LeftoverRemoved { .. }
            | Self::AddressRestored { .. }
            | Self::RouteLeftoverRemoved { .. }
            | Self::RouteRestored { .. }
            | Self::RuleLeftoverRemoved { .. }
            | Self::RuleRestored { .. }
            | Self::ProbeFailed { .. }
            | Self::TableRepaired { .. }
            | Self::SessionLost
            | Self::ServiceUnreachable { .. }
            | Self::LeaseHeld { .. }
            | Self::LeaseGone { .. }
            | Self::KeptWithoutQuorum { .. } => LogLevel::Warning,
            Self::OrderRefused { .. } => LogLevel::Warning,
            // Somebody's connections were cut, as asked.
            Self::ServerTakenOut { connections, .. } => match connections {
                Some(0) => LogLevel::Info,
                Some(_) | None => LogLevel::Warning,
            },
            Self::ScriptChanged { up, .. } | Self::ProcessChanged { up, .. } => {
                if *up {
                    LogLevel::Info
                } else {
                    LogLevel::Warning
                }
            }
            // It says for how long.
            Self::LeaseNotYet { .. } | Self::ServerDown { .. } => LogLevel::Warning,
            Self::QuorumLost { .. }
            | Self::ServiceNotServed { .. }
            | Self::SettingNotServed { .. }
            | Self::ProbeNotAsked { .. }
            | Self::SecondOwner { .. }
            | Self::EffectFailed { .. }
            | Self::SessionTooShort { .. } => LogLevel::Error,
            Self::RoleInherited { .. }
            | Self::ChecksumLearned { .. }
            | Self::VerdictsInherited { .. }
            | Self::PriorityChanged { .. }
            | Self::SessionOpened { .. }
            | Self::ServiceAnswers { .. }
            | Self::LeaseGranted { .. }
            | Self::ProbesAskedAgain { .. }
            | Self::ServerUp { .. }
            | Self::WeightChanged { .. }
            | Self::ServerStartsDown { .. }
            | Self::QuorumGained { .. }
            | Self::ChecksSuspended { .. }
            | Self::ChecksResumed { .. }
            | Self::ServerDrained { .. }
            | Self::ServerUndrained { .. }
            | Self::DrainsInherited { .. }
            | Self::SlowStart { .. }
            | Self::ConfigApplied { .. } => LogLevel::Info,
        }
    }
}
