//! What a director knows of its network interfaces, and what it puts on them.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The name of a network interface, as in `interface eth0`. At most 15 bytes on Linux; the configuration reader checks.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InterfaceName(Arc<str>);

/// By the text; one that is shared is not read.
impl Ord for InterfaceName {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for InterfaceName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl InterfaceName {
    /// Takes the name as it is.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The same, of a name that is shared with others.
    pub fn shared(name: Arc<str>) -> Self {
        Self(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// IPv4 or IPv6: the adverts of one virtual router travel in one of them, and list addresses of that one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    #[default]
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// How long an address is on the wire.
    pub const fn octets(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Of one segment only, and not to be told apart from the same one of another segment: `fe80::/10`. IPv4's are treated as any
/// other.
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// The state of one interface's link. Not there at all is [`crate::vrrp::Event::LinkGone`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub name: InterfaceName,
    /// Administratively up and with a carrier (`IFF_UP` and `IFF_RUNNING`).
    pub running: bool,
}

/// The scope of an address (`scope` in an address line; Linux `rt_scope`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    #[default]
    Global,
    Site,
    Link,
    Host,
    Nowhere,
}

impl Scope {
    /// As `ip address` writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Site => "site",
            Self::Link => "link",
            Self::Host => "host",
            Self::Nowhere => "nowhere",
        }
    }
}

/// An address to be put on an interface: one line of `virtual_ipaddress`, with `dev` filled in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InterfaceAddress {
    pub interface: InterfaceName,
    pub address: IpAddr,
    /// Prefix length: 0..=32 or 0..=128. A bare address in the file means 32 or 128, as in keepalived.
    pub prefix_len: u8,
    /// `brd`; IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// `label`, as ifconfig shows it (`eth0:1`). At most 15 bytes.
    pub label: Option<Arc<str>>,
    /// `scope`.
    pub scope: Scope,
    /// `noprefixroute`.
    pub no_prefix_route: bool,
    /// It has no lifetime, whatever `[vip]` says: it is this host's alone (`static_ipaddress`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

impl InterfaceAddress {
    /// What makes two addresses the same one to the kernel.
    pub fn key(&self) -> AddressKey {
        AddressKey { interface: self.interface.clone(), address: self.address, prefix_len: self.prefix_len }
    }

    /// As `ip address` writes it, an address of one host without its prefix length, as keepalived's dumps do.
    pub fn words(&self) -> String {
        let whole = match self.address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let mut words = self.address.to_string();
        if self.prefix_len != whole {
            words += &format!("/{}", self.prefix_len);
        }
        if let Some(broadcast) = self.broadcast {
            words += &format!(" brd {broadcast}");
        }
        words += &format!(" dev {} scope {}", self.interface, self.scope.word());
        if let Some(label) = &self.label {
            words += &format!(" label {label}");
        }
        words
    }

    /// The interface, where the address alone does not say which segment it is of.
    pub fn segment(&self) -> Option<&InterfaceName> {
        is_link_local(self.address).then_some(&self.interface)
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.address, self.prefix_len, self.interface)
    }
}

/// What makes two addresses the same one to the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AddressKey {
    pub interface: InterfaceName,
    pub address: IpAddr,
    pub prefix_len: u8,
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.address, self.prefix_len, self.interface)
    }
}

/// An address that the kernel says is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObservedAddress {
    pub key: AddressKey,
    /// It carries vipward's own protocol number: this daemon, or a predecessor that was killed, put it there.
    pub ours: bool,
}
