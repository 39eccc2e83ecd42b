//! The decision stream: what a director decided, and why. Logs, timelines, `explain`, metrics and notifications all
//! read this one stream; its `Display` is the sentence that an operator reads at 3 a.m.

use crate::check::Failure;
use crate::config::TrackerId;
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName};
use crate::ipvs::VirtualServerId;
use crate::lease::Token;
use crate::quantity::{AdvertInterval, Role, Vrid};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How loud a decision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
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
    RoleChanged { router: Arc<str>, vrid: Vrid, from: Role, to: Role, cause: RoleCause },
    /// It goes on in the role in which a predecessor left it. `silent`: how long ago that one's last advert left, if it was
    /// MASTER. Nobody else notices, so scripts are not told.
    RoleInherited { router: Arc<str>, vrid: Vrid, role: Role, priority: u8, silent: Option<Duration> },
    /// Its effective priority changed.
    PriorityChanged { router: Arc<str>, from: u8, to: u8, cause: PriorityCause },
    /// Packets that were not taken as adverts: the first at once, then a sum at most once a minute for each reason.
    /// `router` is known when interface and VRID fit one of ours.
    AdvertsIgnored { router: Option<Arc<str>>, source: IpAddr, reason: IgnoreReason, count: u64 },
    /// A MASTER hears another one, which yields to it: two masters, until that one hears us.
    RivalMaster { router: Arc<str>, source: IpAddr, priority: u8 },
    /// A peer advertises other addresses than are configured here, but some of ours. It counts as alive all the same
    /// (RFC 9568 7.1 asks for a log line, no more); keepalived drops it and becomes MASTER beside it.
    AddressListDiffers { router: Arc<str>, source: IpAddr, missing: Vec<IpAddr>, extra: Vec<IpAddr> },
    /// A VRRPv2 peer has another `advert_int`. It counts as alive and its interval is learned, as in version 3; by
    /// RFC 3768 7.1, which keepalived follows, it would be dropped and both would be MASTER.
    IntervalDiffers { router: Arc<str>, source: IpAddr, theirs: AdvertInterval, ours: AdvertInterval },
    /// Two routers say that they own the addresses (priority 255). The greater address wins; somebody must mend it.
    SecondOwner { router: Arc<str>, source: IpAddr },
    /// Somebody else put a VIP on this director. It is left alone, so it stays whoever is MASTER.
    AddressNotOurs { address: AddressKey },
    /// An address that a killed predecessor left behind is taken off.
    LeftoverRemoved { address: AddressKey },
    /// An address of ours was taken off, by somebody or by the kernel at the end of its lifetime; it is put back.
    AddressRestored { address: InterfaceAddress },
    /// A tracked script changed its state.
    ScriptChanged { script: Arc<str>, up: bool, why: String },
    /// A checker's attempt failed; `tries_left` more before the real server is down.
    ProbeFailed { service: VirtualServerId, server: SocketAddr, failure: Failure, tries_left: u32 },
    /// All checkers of a real server pass.
    ServerUp { service: VirtualServerId, server: SocketAddr },
    /// A checker has given a real server up.
    ServerDown { service: VirtualServerId, server: SocketAddr, failure: Failure },
    /// `alpha`: a real server starts down.
    ServerStartsDown { service: VirtualServerId, server: SocketAddr },
    /// Checkers go on where a predecessor left them: so many of all. By that these real servers are `down`, and these
    /// virtual servers have no quorum.
    VerdictsInherited {
        checkers: usize,
        of: usize,
        down: Vec<(VirtualServerId, SocketAddr)>,
        without_quorum: Vec<VirtualServerId>,
    },
    /// Live weight reached `quorum`.
    QuorumGained { service: VirtualServerId, weight: u64, quorum: u32 },
    /// Live weight fell below `quorum`; `sorry_server` says who answers instead.
    QuorumLost { service: VirtualServerId, weight: u64, quorum: u32, sorry_server: Option<SocketAddr> },
    /// The kernel's table was not as wanted, though nobody here changed it; `changes` operations mend it.
    TableRepaired { changes: usize },
    /// An effect could not be carried out; it is tried again.
    EffectFailed { what: String, error: String, retry_in: Duration },
    /// The quorum service opened a session; after this many seconds without a word from us it ends.
    SessionOpened { timeout: Duration },
    /// It grants none that lasts long enough: no lease can be relied on.
    SessionTooShort { timeout: Duration, least: Duration },
    /// It says that our session is over.
    SessionLost,
    /// It can't be reached, or refuses us.
    ServiceUnreachable { reason: String },
    /// It answers in the same session again, so long after [`Self::ServiceUnreachable`].
    ServiceAnswers { after: Duration },
    /// A MASTER got its lease, and with it the addresses.
    LeaseGranted { router: Arc<str>, token: Token },
    /// A MASTER has no addresses, because another director has its lease: two MASTERs that don't hear each other.
    LeaseHeld { router: Arc<str>, by: Arc<str> },
    /// Somebody deleted our lease at the service.
    LeaseGone { router: Arc<str> },
    /// A MASTER has its addresses although the quorum service can't be asked (`on_loss = "keep"`).
    KeptWithoutQuorum { router: Arc<str> },
    /// A configuration came into force.
    ConfigApplied { added: Vec<String>, removed: Vec<String>, changed: Vec<String> },
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
    /// It came by unicast, and multicast is configured, or the other way round.
    WrongDestination {
        destination: IpAddr,
    },
    /// The sender is not in `unicast_peer` (`check_unicast_src`).
    NotAPeer,
    /// An advert interval of zero.
    ZeroInterval,
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
            Self::WrongDestination { .. } => "wrong_destination",
            Self::NotAPeer => "not_a_peer",
            Self::ZeroInterval => "zero_interval",
        }
    }
}

impl Decision {
    /// How loud it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::RoleChanged { to, cause, .. } => match (to, cause) {
                (Role::Fault, _) => Severity::Error,
                (
                    _,
                    RoleCause::LeaseElsewhere { .. }
                    | RoleCause::Overslept { .. }
                    | RoleCause::MasterDown { last_heard: Some(_), .. },
                ) => Severity::Warning,
                (Role::Init | Role::Backup | Role::Master, _) => Severity::Info,
            },
            Self::AdvertsIgnored { .. }
            | Self::RivalMaster { .. }
            | Self::AddressListDiffers { .. }
            | Self::IntervalDiffers { .. }
            | Self::AddressNotOurs { .. }
            | Self::LeftoverRemoved { .. }
            | Self::AddressRestored { .. }
            | Self::ProbeFailed { .. }
            | Self::TableRepaired { .. }
            | Self::SessionLost
            | Self::ServiceUnreachable { .. }
            | Self::LeaseHeld { .. }
            | Self::LeaseGone { .. }
            | Self::KeptWithoutQuorum { .. } => Severity::Warning,
            Self::ScriptChanged { up, .. } => {
                if *up {
                    Severity::Info
                } else {
                    Severity::Warning
                }
            }
            Self::ServerDown { .. } => Severity::Warning,
            Self::QuorumLost { .. }
            | Self::SecondOwner { .. }
            | Self::EffectFailed { .. }
            | Self::SessionTooShort { .. } => Severity::Error,
            Self::RoleInherited { .. }
            | Self::VerdictsInherited { .. }
            | Self::PriorityChanged { .. }
            | Self::SessionOpened { .. }
            | Self::ServiceAnswers { .. }
            | Self::LeaseGranted { .. }
            | Self::ServerUp { .. }
            | Self::ServerStartsDown { .. }
            | Self::QuorumGained { .. }
            | Self::ConfigApplied { .. } => Severity::Info,
        }
    }
}

/// How many names one sentence has at most, where there may be thousands.
const MOST_NAMES: usize = 5;

fn up_or_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

/// Seconds to the millisecond: `3.609 s`.
struct Secs(Duration);

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0.as_secs(), self.0.subsec_millis())
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoleChanged { router, from, to, cause, .. } => write!(f, "{router}: {from} -> {to}: {cause}"),
            Self::RoleInherited { router, role, priority, silent, .. } => {
                write!(f, "{router}: goes on as {role} with priority {priority}")?;
                match silent {
                    Some(silent) => write!(f, "; the last advert left {} ago", Secs(*silent)),
                    None => Ok(()),
                }
            }
            Self::PriorityChanged { router, from, to, cause } => {
                write!(f, "{router}: priority {from} -> {to}: {cause}")
            }
            Self::AdvertsIgnored { router, source, reason, count } => {
                if let Some(router) = router {
                    write!(f, "{router}: ")?;
                }
                match count {
                    1 => write!(f, "ignored an advert from {source}: {reason}"),
                    n => write!(f, "ignored {n} adverts, the last from {source}: {reason}"),
                }
            }
            Self::RivalMaster { router, source, priority } => {
                write!(
                    f,
                    "{router}: {source} is MASTER too, with the lower claim (priority {priority}); announcing again"
                )
            }
            Self::AddressListDiffers { router, source, missing, extra } => {
                write!(f, "{router}: {source} advertises other addresses than configured here:")?;
                if !missing.is_empty() {
                    write!(f, " it lacks {}", list(missing))?;
                }
                if !extra.is_empty() {
                    write!(f, "{} it adds {}", if missing.is_empty() { "" } else { ";" }, list(extra))?;
                }
                Ok(())
            }
            Self::IntervalDiffers { router, source, theirs, ours } => write!(
                f,
                "{router}: {source} has advert_int {theirs}, configured here is {ours} (VRRPv2 needs them equal); \
                 counted as alive"
            ),
            Self::SecondOwner { router, source } => {
                write!(f, "{router}: {source} says that it is the address owner (priority 255) too: only one can be")
            }
            Self::AddressNotOurs { address } => {
                write!(f, "{address} was put there by somebody else: it stays there, whoever is MASTER")
            }
            Self::LeftoverRemoved { address } => write!(f, "{address} was left behind by an earlier run: taken off"),
            Self::AddressRestored { address } => {
                write!(f, "{address} was taken off, and not by this process: put back")
            }
            Self::ScriptChanged { script, up, why } => {
                write!(f, "script {script} is {}: {why}", up_or_down(*up))
            }
            Self::ProbeFailed { service, server, failure, tries_left } => match tries_left {
                0 => write!(f, "{service}: {server}: {failure}"),
                n => write!(f, "{service}: {server}: {failure}; {n} more {} before it is out", tries(*n)),
            },
            Self::ServerUp { service, server } => write!(f, "{service}: {server} is up: its checkers pass"),
            Self::ServerDown { service, server, failure } => write!(f, "{service}: {server} is down: {failure}"),
            Self::ServerStartsDown { service, server } => {
                write!(f, "{service}: {server} starts down: alpha, no probe has passed yet")
            }
            Self::VerdictsInherited { checkers, of, down, without_quorum } => {
                write!(f, "{checkers} of {of} checkers go on where they were left; down: ")?;
                let servers = down.iter().map(|(service, server)| format!("{server} of {service}"));
                few(f, servers)?;
                f.write_str("; without quorum: ")?;
                few(f, without_quorum.iter().map(ToString::to_string))
            }
            Self::QuorumGained { service, weight, quorum } => {
                write!(f, "{service}: quorum gained: live weight {weight} of {quorum}")
            }
            Self::QuorumLost { service, weight, quorum, sorry_server } => {
                write!(f, "{service}: quorum lost: live weight {weight} of {quorum}; ")?;
                match sorry_server {
                    Some(address) => write!(f, "sorry server {address} answers"),
                    None => f.write_str("nobody answers"),
                }
            }
            Self::TableRepaired { changes } => write!(
                f,
                "the IPVS table was changed by somebody else: {changes} {} to mend it",
                if *changes == 1 { "change" } else { "changes" }
            ),
            Self::EffectFailed { what, error, retry_in } => {
                write!(f, "{what} failed: {error}; next try in {}", Secs(*retry_in))
            }
            Self::SessionOpened { timeout } => {
                write!(f, "the quorum service opened a session of {}", Secs(*timeout))
            }
            Self::SessionTooShort { timeout, least } => write!(
                f,
                "the quorum service grants sessions of {} only, and {} are needed: no address is held by a lease; raise \
                 maxSessionTimeout there",
                Secs(*timeout),
                Secs(*least)
            ),
            Self::SessionLost => f.write_str("the quorum service ended our session: its leases are not ours any more"),
            Self::ServiceUnreachable { reason } => write!(f, "the quorum service can't be reached: {reason}"),
            Self::ServiceAnswers { after } => write!(f, "the quorum service answers again after {}", Secs(*after)),
            Self::LeaseGranted { router, token } => {
                write!(f, "{router}: the lease is granted (token {token}): it has the addresses")
            }
            Self::LeaseHeld { router, by } => {
                write!(f, "{router}: MASTER without addresses: {by} has the lease and is not heard here")
            }
            Self::LeaseGone { router } => {
                write!(f, "{router}: somebody deleted its lease at the quorum service; asking for it again")
            }
            Self::KeptWithoutQuorum { router } => write!(
                f,
                "{router}: has its addresses without the quorum service (on_loss keep): a director that is not heard \
                 may have them too"
            ),
            Self::ConfigApplied { added, removed, changed } => {
                f.write_str("configuration applied")?;
                for (word, names) in [("added", added), ("removed", removed), ("changed", changed)] {
                    if !names.is_empty() {
                        write!(f, "; {word} {}", names.join(", "))?;
                    }
                }
                Ok(())
            }
        }
    }
}

fn tries(n: u32) -> &'static str {
    if n == 1 { "try" } else { "tries" }
}

/// The first of many names.
fn few(f: &mut fmt::Formatter<'_>, mut names: impl Iterator<Item = String>) -> fmt::Result {
    let first: Vec<String> = names.by_ref().take(MOST_NAMES).collect();
    let more = names.count();
    f.write_str(if first.is_empty() { "none" } else { "" })?;
    f.write_str(&first.join(", "))?;
    if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for RoleCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Startup => f.write_str("started"),
            Self::Owner => f.write_str("address owner (priority 255)"),
            Self::MasterDown { interval, last_heard: Some((source, ago)) } => {
                write!(f, "nothing from {source} for {} (Master_Down_Interval {})", Secs(*ago), Secs(*interval))
            }
            Self::MasterDown { interval, last_heard: None } => {
                write!(f, "no MASTER heard in {} (Master_Down_Interval)", Secs(*interval))
            }
            Self::MasterStopped { source, skew } => {
                write!(f, "{source} stopped (priority 0); Skew_Time {} is over", Secs(*skew))
            }
            Self::Preempts { source, theirs, ours } => {
                write!(f, "preempts {source}: priority {ours} over {theirs}")
            }
            Self::HigherPriority { source, theirs, ours } => {
                write!(f, "{source} has the higher priority: {theirs} over {ours}")
            }
            Self::SamePriorityGreaterAddress { source, priority, ours } => {
                write!(f, "{source} has the same priority {priority} and the greater address than {ours}")
            }
            Self::Overslept { silent, interval } => write!(
                f,
                "did not run for {}, others wait only {}: one of them may be MASTER now",
                Secs(*silent),
                Secs(*interval)
            ),
            Self::LinkDown { interface } => write!(f, "{interface} is down"),
            Self::LinkGone { interface } => write!(f, "{interface} does not exist"),
            Self::NoSourceAddress { interface } => write!(f, "{interface} has no address of its own to send from"),
            Self::Tracked { what, up } => {
                write!(f, "{what} is {} and has weight 0{}", up_or_down(*up), if *up { " reverse" } else { "" })
            }
            Self::NoQuorum { silent: Some(silent) } => write!(
                f,
                "no answer from the quorum service to anything asked in the last {}: another director may get the lease",
                Secs(*silent)
            ),
            Self::NoQuorum { silent: None } => f.write_str("no session with the quorum service"),
            Self::Elected { token } => write!(f, "the best candidate, and the lease is granted (token {token})"),
            Self::Outranked { by, theirs, ours } => {
                write!(f, "{by} is the better candidate: priority {theirs} over {ours}")
            }
            Self::LeaseElsewhere { by: Some(by) } => write!(f, "{by} has the lease"),
            Self::LeaseElsewhere { by: None } => f.write_str("the lease is not ours any more"),
            Self::SpreadElsewhere => f.write_str("spread to another director"),
            Self::Recovered => f.write_str("the fault is over"),
            Self::Reconfigured => f.write_str("its configuration changed"),
            Self::Stop => f.write_str("stopped"),
        }
    }
}

impl fmt::Display for PriorityCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracked { what, up, weight } => write!(f, "{what} is {} (weight {weight})", up_or_down(*up)),
            Self::Reload => f.write_str("reload"),
        }
    }
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongTtl { ttl } => write!(f, "TTL {ttl} instead of 255: it came over a router"),
            Self::Truncated { len, need } => write!(f, "truncated: {len} bytes, {need} needed"),
            Self::UnknownVersion { version } => write!(f, "unknown VRRP version {version}"),
            Self::VersionDiffers { theirs, ours } => write!(f, "VRRP version {theirs}, configured is {ours}"),
            Self::UnknownType { kind } => write!(f, "unknown VRRP type {kind}"),
            Self::WrongChecksum => f.write_str("wrong checksum"),
            Self::UnknownVrid { vrid } => write!(f, "virtual_router_id {vrid} is not configured here"),
            Self::LoopedBack => f.write_str("own packet came back: does a switch or another host loop it?"),
            Self::AuthTypeDiffers { theirs, ours } => {
                write!(f, "authentication type {theirs}, configured is {ours} (0 none, 1 PASS, 2 AH)")
            }
            Self::PasswordDiffers => f.write_str("auth_pass differs"),
            Self::AddressListDiffers => f.write_str("none of its addresses is in virtual_ipaddress here"),
            Self::WrongDestination { destination } => {
                write!(f, "sent to {destination}: one side uses unicast_peer, the other multicast")
            }
            Self::NotAPeer => f.write_str("the sender is not in unicast_peer"),
            Self::ZeroInterval => f.write_str("advert interval 0"),
        }
    }
}
