//! Decisions and their causes in words: what logs, timelines and messages print.

use super::{Decision, IgnoreReason, PriorityCause, RoleCause};
use crate::ipvs::VirtualServerId;
use crate::lease::surely;
use crate::quantity::Version;
use crate::time::Duration;
use std::fmt;
use std::net::IpAddr;

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
            Self::RivalStays { router, source, version } => {
                write!(
                    f,
                    "{router}: {source} is still MASTER beside this one: it does not hear our adverts, or drops them; "
                )?;
                f.write_str(match version {
                    Version::V2 => {
                        "compare advert_int, authentication and virtual_ipaddress on both, then look for a firewall or a \
                         switch that passes one direction only"
                    }
                    Version::V3 => {
                        "compare virtual_ipaddress and the form of the checksum (v3_checksum_as_v2) on both, then look for \
                         a firewall or a switch that passes one direction only"
                    }
                })
            }
            Self::ChecksumLearned { router, source, beside } => write!(
                f,
                "{router}: {source} leaves the pseudo header out of its checksum (RFC 9568): our adverts go out {}; \
                 v3_checksum_as_v2 on or off settles it",
                if *beside { "in both forms" } else { "to it in that form" }
            ),
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
            Self::IntervalDiffers { router, source, version, theirs, ours } => {
                write!(f, "{router}: {source} has advert_int {theirs}, configured here is {ours}")?;
                f.write_str(match version {
                    Version::V2 => " (VRRPv2 needs them equal); counted as alive",
                    Version::V3 => "; learned from it, as VRRPv3 does",
                })
            }
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
            Self::RouteLeftoverRemoved { route } => {
                write!(f, "the route {route} was left behind by an earlier run: taken out")
            }
            Self::RouteRestored { route } => {
                write!(f, "the route {route} was taken out, and not by this process: put back")
            }
            Self::RuleLeftoverRemoved { rule } => {
                write!(f, "the rule `{rule}` was left behind by an earlier run: taken out")
            }
            Self::RuleRestored { rule } => {
                write!(f, "the rule `{rule}` was taken out, and not by this process: put back")
            }
            Self::ScriptChanged { script, up, why } => {
                write!(f, "script {script} is {}: {why}", up_or_down(*up))
            }
            Self::ProcessChanged { process, up, why } => {
                write!(f, "track_process {process} is {}: {why}", up_or_down(*up))
            }
            Self::ProbeFailed { service, server, failure, tries_left } => match tries_left {
                0 => write!(f, "{service}: {server}: {failure}"),
                n => write!(f, "{service}: {server}: {failure}; {n} more {} before it is out", tries(*n)),
            },
            Self::ProbeNotAsked { service, server, shortage } => write!(
                f,
                "{service}: {server} could not be asked: {shortage}; real servers that can't be asked keep their state"
            ),
            Self::ProbesAskedAgain { shortage, times, lasted } => write!(
                f,
                "real servers are asked again; {times} {} within {} could not be made: {shortage}",
                if *times == 1 { "probe" } else { "probes" },
                Secs(*lasted)
            ),
            Self::WeightChanged { service, server, from, to, file } => {
                write!(f, "{service}: {server} has weight {to} from now on, and had {from}: ")?;
                match file {
                    Some((file, number)) => write!(f, "track_file {file} holds {number}"),
                    None => f.write_str("MISC_CHECK says so"),
                }
            }
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
            Self::ChecksSuspended { service, address } => match service {
                VirtualServerId::Entry(_) => {
                    write!(f, "{service}: not checked while this host has no {address} (ha_suspend)")
                }
                VirtualServerId::Group { .. } => {
                    write!(f, "{service}: not checked while this host has none of its addresses (ha_suspend)")
                }
            },
            Self::ChecksResumed { service } => match service {
                VirtualServerId::Entry(_) => write!(f, "{service}: its address is here: checked again"),
                VirtualServerId::Group { .. } => write!(f, "{service}: an address of it is here: checked again"),
            },
            Self::ServerDrained { service, server, remove, limit } => {
                write!(f, "{service}: {server} is drained: it takes no new connections")?;
                match (remove, limit) {
                    (false, _) => Ok(()),
                    (true, None) => f.write_str("; it is taken out when none is left"),
                    (true, Some(limit)) => {
                        write!(f, "; it is taken out when none is left, at the latest in {} s", limit.as_secs())
                    }
                }
            }
            Self::ServerUndrained { service, server } => {
                write!(f, "{service}: {server} is not drained any more: it takes connections again when it is up")
            }
            Self::ServerTakenOut { service, server, after, connections } => {
                write!(f, "{service}: {server} was drained {} ago and is taken out: ", Secs(*after))?;
                match connections {
                    Some(0) => f.write_str("no active connection is left"),
                    Some(1) => f.write_str("the limit is over; one active connection was left"),
                    Some(n) => write!(f, "the limit is over; {n} active connections were left"),
                    None => f.write_str("the limit is over; nobody knows whether connections were left"),
                }
            }
            Self::DrainsInherited { servers } => {
                f.write_str("still drained: ")?;
                few(f, servers.iter().map(|(service, server)| format!("{server} of {service}")))
            }
            Self::SlowStart { service, server, weight, lasts } => {
                write!(f, "{service}: the weight of {server} rises from 1 to {weight} within {} s", lasts.as_secs())
            }
            Self::OrderRefused { order, why } => write!(f, "not done: `{order}`: {why}"),
            Self::SettingNotServed { word, why } => write!(f, "`{word}` does nothing: it needs IPVS: {why}"),
            Self::ServiceNotServed { service, why } => write!(f, "virtual_server {service} is not served: {why}"),
            Self::TableRepaired { changes } => write!(
                f,
                "the IPVS table was changed by somebody else: {changes} {} to mend it",
                if *changes == 1 { "change" } else { "changes" }
            ),
            Self::EffectFailed { what, error, retry_in } => {
                write!(f, "{what} failed: {error}; next try in {}", Secs(*retry_in))
            }
            Self::SessionOpened { timeout } => {
                let bears = Secs(surely::bears(*timeout));
                write!(f, "the quorum service opened a session of {}; it may be silent for {bears}", Secs(*timeout))
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
            Self::LeaseNotYet { router, wait } => write!(
                f,
                "{router}: the tree at the quorum service is new, and a director that is cut off from it may still have the \
                 addresses: nobody takes the lease for {}",
                Secs(*wait)
            ),
            Self::KeptWithoutQuorum { router } => write!(
                f,
                "{router}: has its addresses without the quorum service (on_loss keep): a director that is not heard \
                 may have them too"
            ),
            Self::ConfigApplied { added, removed, changed } => {
                f.write_str("configuration applied")?;
                for (word, names) in [("added", added), ("removed", removed), ("changed", changed)] {
                    if !names.is_empty() {
                        write!(f, "; {word} ")?;
                        few(f, names.iter().cloned())?;
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
            Self::NoLinkLocalAddress { interface } => {
                write!(
                    f,
                    "{interface} has no link-local IPv6 address to send from, or none that is past duplicate address detection"
                )
            }
            Self::SourceAddressGone { address } => {
                write!(f, "{address}, which it is to send from, is on no interface of this host")
            }
            Self::Tracked { what, up } => {
                write!(f, "{what} is {} and has weight 0{}", up_or_down(*up), if *up { " reverse" } else { "" })
            }
            Self::StaticGone { what } => write!(f, "the static {what}, which it tracks, is not there"),
            Self::FileHolds { file, number, weight } => {
                let reverse = if weight.reverse { " reverse" } else { "" };
                write!(f, "track_file {file} holds {number} and has weight {}{reverse}", weight.weight)
            }
            Self::NoQuorum { silent: Some(silent) } => write!(
                f,
                "no answer from the quorum service to anything asked in the last {}: another director may get the lease",
                Secs(*silent)
            ),
            Self::NoQuorum { silent: None } => f.write_str("no session with the quorum service"),
            Self::SessionTooShort { timeout, least } => write!(
                f,
                "the quorum service grants sessions of {} only, and {} are needed",
                Secs(*timeout),
                Secs(*least)
            ),
            Self::QuorumOnTrial { remaining } => write!(
                f,
                "the quorum service failed a short time ago: taking part again in {} if it goes on answering, or as soon \
                 as nobody holds the lease",
                Secs(*remaining)
            ),
            Self::Elected { token } => write!(f, "the best candidate, and the lease is granted (token {token})"),
            Self::Outranked { by, theirs, ours } => {
                write!(f, "{by} is the better candidate: priority {theirs} over {ours}")
            }
            Self::LeaseElsewhere { by: Some(by) } => write!(f, "{by} has the lease"),
            Self::LeaseElsewhere { by: None } => f.write_str("the lease is not ours any more"),
            Self::SpreadElsewhere => f.write_str("spread to another director"),
            Self::Recovered => f.write_str("the fault is over"),
            Self::SyncGroup { group, member } => write!(f, "with {member}, in sync group {group}"),
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
            Self::FileHolds { file, number, weight } => write!(f, "track_file {file} holds {number} (weight {weight})"),
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
            Self::UnknownVrid { vrid } => write!(f, "virtual_router_id {vrid} is not configured on this interface"),
            Self::LoopedBack => f.write_str(
                "it comes from our own address: does another node send from the same one (unicast_src_ip, mcast_src_ip), or \
                 does a switch loop our packets back?",
            ),
            Self::AuthTypeDiffers { theirs, ours } => {
                write!(f, "authentication type {theirs}, configured is {ours} (0 none, 1 PASS, 2 AH)")
            }
            Self::PasswordDiffers => f.write_str("auth_pass differs"),
            Self::AddressListDiffers => f.write_str("none of its addresses is in virtual_ipaddress here"),
            Self::WrongDestination { destination } => {
                write!(f, "sent to {destination}: one side uses unicast_peer, the other multicast")
            }
            Self::NoAddresses => f.write_str("it lists no address"),
            Self::NotAPeer => f.write_str("the sender is not in unicast_peer"),
            Self::ZeroInterval => f.write_str("advert interval 0"),
            Self::AuthenticationFailed => {
                f.write_str("its authentication fails: another auth_pass, a packet that was changed on its way, or a forged one")
            }
            Self::Replayed { sequence, newest } => {
                write!(f, "its sequence number {sequence} is used: the newest is {newest}; an old packet came again, or two are MASTER")
            }
        }
    }
}
