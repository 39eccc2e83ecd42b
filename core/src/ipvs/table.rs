//! The IPVS table in Linux's own words (`ip_vs.h`): services and their destinations.

use super::forwarding::Forwarding;
use super::identity::Written;
use super::settings::Settings;
use crate::interface::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A service's transport protocol (`protocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// What makes two services the same one to IPVS: an address and port with their protocol, or a firewall mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub enum ServiceKey {
    Address {
        protocol: Protocol,
        address: SocketAddr,
    },
    /// Packets that a packet filter has marked so, whatever else they are.
    Mark {
        mark: u32,
        family: Family,
    },
}

impl ServiceKey {
    /// None: a mark has none.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Address { address, .. } => Some(*address),
            Self::Mark { .. } => None,
        }
    }

    /// None: a mark has none.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Address { protocol, .. } => Some(*protocol),
            Self::Mark { .. } => None,
        }
    }

    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(address.ip()),
            Self::Mark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, address } => write!(f, "{protocol} {address}"),
            Self::Mark { mark, family: Family::V4 } => write!(f, "fwmark {mark}"),
            Self::Mark { mark, family: Family::V6 } => write!(f, "fwmark {mark} inet6"),
        }
    }
}

/// A scheduler by the kernel's name (`lb_algo`, `lvs_sched`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scheduler(pub Arc<str>);

impl Scheduler {
    /// Those that IPVS has (keepalived.conf(5), `lvs_sched`).
    pub const KNOWN: [&'static str; 14] =
        ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"];
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub scheduler: Scheduler,
    /// Persistence in seconds and the mask that groups clients; none: off.
    pub persistence: Option<Persistence>,
    #[serde(default, skip_serializing_if = "ServiceFlags::is_empty")]
    pub flags: ServiceFlags,
    /// What tells clients apart where persistence is on, by the kernel's name (`persistence_engine`); none: their addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_engine: Option<Arc<str>>,
}

/// Flags of a service, as in Linux's `ip_vs.h`. Persistence is one of the kernel's too, and not among these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceFlags(u32);

impl ServiceFlags {
    /// `ops`: each packet of UDP is scheduled by itself.
    pub const ONE_PACKET: Self = Self(4);
    /// `flag-1`, `sh-fallback`, `mh-fallback`.
    pub const SCHEDULER_1: Self = Self(8);
    /// `flag-2`, `sh-port`, `mh-port`.
    pub const SCHEDULER_2: Self = Self(16);
    /// `flag-3`.
    pub const SCHEDULER_3: Self = Self(32);

    /// Those of these bits that have a name here.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & (Self::ONE_PACKET.0 | Self::SCHEDULER_1.0 | Self::SCHEDULER_2.0 | Self::SCHEDULER_3.0))
    }

    pub fn bits(self) -> u32 {
        self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// All that either of both has.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `persistence_timeout` and `persistence_granularity`: clients of one such network count as one. A service takes what is
/// of its own family, and the other one says: each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Persistence {
    pub timeout_secs: u32,
    /// IPv4's.
    pub netmask: Ipv4Addr,
    /// IPv6's, in bits.
    #[serde(default = "whole_address", skip_serializing_if = "is_whole_address")]
    pub prefix: u8,
}

impl Persistence {
    /// Each client by itself.
    pub fn each_client(timeout_secs: u32) -> Self {
        Self { timeout_secs, netmask: Ipv4Addr::BROADCAST, prefix: whole_address() }
    }

    /// What of it counts for a service of this family.
    #[must_use]
    pub fn of(self, family: Family) -> Self {
        match family {
            Family::V4 => Self { prefix: whole_address(), ..self },
            Family::V6 => Self { netmask: Ipv4Addr::BROADCAST, ..self },
        }
    }
}

/// The prefix of one IPv6 address.
pub fn whole_address() -> u8 {
    128
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub fn is_whole_address(prefix: &u8) -> bool {
    *prefix == whole_address()
}

/// A destination's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    pub weight: u32,
    pub forwarding: Forwarding,
    pub upper_threshold: u32,
    pub lower_threshold: u32,
}

/// A service with its destinations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEntry {
    pub service: Service,
    #[serde(with = "crate::ipvs::table::pairs")]
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// A whole IPVS table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    #[serde(with = "crate::ipvs::table::pairs")]
    pub services: BTreeMap<ServiceKey, ServiceEntry>,
    /// None: it is no kernel's, or nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Active connections of the destinations that have weight 0, where there are some. A table that is wanted has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "crate::ipvs::table::pairs")]
    pub connections: BTreeMap<(ServiceKey, SocketAddr), u32>,
}

/// One change to the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    AddService { key: ServiceKey, service: Service },
    EditService { key: ServiceKey, service: Service },
    RemoveService { key: ServiceKey },
    AddDestination { service: ServiceKey, address: SocketAddr, destination: Destination },
    EditDestination { service: ServiceKey, address: SocketAddr, destination: Destination },
    RemoveDestination { service: ServiceKey, address: SocketAddr },
}

impl Op {
    /// The service that it changes, or whose destination.
    pub fn service(&self) -> ServiceKey {
        match self {
            Self::AddService { key, .. } | Self::EditService { key, .. } | Self::RemoveService { key } => *key,
            Self::AddDestination { service, .. }
            | Self::EditDestination { service, .. }
            | Self::RemoveDestination { service, .. } => *service,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService { key, .. } => write!(f, "adding service {key}"),
            Self::EditService { key, .. } => write!(f, "changing service {key}"),
            Self::RemoveService { key } => write!(f, "removing service {key}"),
            Self::AddDestination { service, address, .. } => write!(f, "adding destination {address} to {service}"),
            Self::EditDestination { service, address, .. } => write!(f, "changing destination {address} of {service}"),
            Self::RemoveDestination { service, address } => write!(f, "removing destination {address} from {service}"),
        }
    }
}

/// Maps whose keys are structs, as lists of pairs: JSON knows only strings as keys.
pub mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(map)
    }

    pub fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Ok(Vec::<(K, V)>::deserialize(from)?.into_iter().collect())
    }
}
