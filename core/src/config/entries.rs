//! What a virtual server is to IPVS: the entry of its address or mark, or the members of its `virtual_server_group`.

use crate::interface::Family;
use crate::ipvs::{GroupName, Protocol, ServiceKey, VirtualServerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What stands behind `virtual_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub enum Entries {
    /// `IP PORT`, `fwmark MARK`.
    One(ServiceKey),
    /// `group NAME`.
    Group {
        group: GroupName,
        /// None: all its members are marks.
        protocol: Option<Protocol>,
        /// In the order of the file.
        members: Vec<Member>,
    },
}

/// One line of a `virtual_server_group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Member {
    /// `IP PORT`, `IP-LAST PORT`, `IP/PREFIX PORT`: each address from the first to the last, both of one family.
    Range { first: IpAddr, last: IpAddr, port: u16 },
    /// `fwmark MARK`.
    Mark { mark: u32, family: Family },
}

impl From<ServiceKey> for Entries {
    fn from(key: ServiceKey) -> Self {
        Self::One(key)
    }
}

impl Entries {
    pub fn id(&self) -> VirtualServerId {
        match self {
            Self::One(key) => VirtualServerId::of_entry(*key),
            Self::Group { group, protocol, .. } => VirtualServerId::Group { group: *group, protocol: *protocol },
        }
    }

    /// All its entries in the table, each once.
    pub fn keys(&self) -> Vec<ServiceKey> {
        match self {
            Self::One(key) => vec![*key],
            Self::Group { protocol, members, .. } => {
                let mut seen = BTreeSet::new();
                let keys = members.iter().flat_map(|member| member.keys(*protocol));
                keys.filter(|key| seen.insert(*key)).collect()
            }
        }
    }

    /// None: it is about marks only.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::One(key) => key.protocol(),
            Self::Group { protocol, .. } => *protocol,
        }
    }

    /// Its addresses as ranges; marks have none.
    fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr, u16)> {
        let (one, members) = match self {
            Self::One(key) => (key.address().map(|address| (address.ip(), address.ip(), address.port())), &[][..]),
            Self::Group { members, .. } => (None, &members[..]),
        };
        one.into_iter().chain(members.iter().filter_map(|member| match member {
            Member::Range { first, last, port } => Some((*first, *last, *port)),
            Member::Mark { .. } => None,
        }))
    }

    /// Every address with its port.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let range = |(first, last, port)| addresses(first, last).map(move |ip| SocketAddr::new(ip, port));
        self.ranges().flat_map(range)
    }

    /// The first and the last address of each range: what is asked where asking all would be too much.
    pub fn ends(&self) -> Vec<SocketAddr> {
        let ends = |(first, last, port)| [first, last].map(|ip| SocketAddr::new(ip, port));
        let mut ends: Vec<SocketAddr> = self.ranges().flat_map(ends).collect();
        ends.dedup();
        ends
    }

    /// Whether it is served at this address.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.ranges().any(|(first, last, port)| port == address.port() && (first..=last).contains(&address.ip()))
    }

    /// Whether this address is one of its own, whatever the port.
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        self.ranges().any(|(first, last, _)| (first..=last).contains(&ip))
    }

    /// Whether it has this entry.
    pub fn has_key(&self, key: &ServiceKey) -> bool {
        match (self, key) {
            (Self::One(own), key) => own == key,
            (Self::Group { protocol, .. }, ServiceKey::Address { protocol: asked, address }) => {
                *protocol == Some(*asked) && self.is_at(*address)
            }
            (Self::Group { members, .. }, ServiceKey::Mark { mark, family }) => {
                members.contains(&Member::Mark { mark: *mark, family: *family })
            }
        }
    }

    /// Its marks.
    pub fn marks(&self) -> impl Iterator<Item = u32> {
        let (one, members) = match self {
            Self::One(ServiceKey::Mark { mark, .. }) => (Some(*mark), &[][..]),
            Self::One(ServiceKey::Address { .. }) => (None, &[][..]),
            Self::Group { members, .. } => (None, &members[..]),
        };
        one.into_iter().chain(members.iter().filter_map(|member| match member {
            Member::Range { .. } => None,
            Member::Mark { mark, .. } => Some(*mark),
        }))
    }
}

/// For people: a group with what is in it.
impl fmt::Display for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many members are named.
        const NAMED: usize = 8;
        self.id().fmt(f)?;
        let Self::Group { members, .. } = self else { return Ok(()) };
        for (at, member) in members.iter().take(NAMED).enumerate() {
            write!(f, "{}{member}", if at == 0 { " (" } else { ", " })?;
        }
        match members.len().checked_sub(NAMED + 1) {
            Some(more) => write!(f, " and {} more)", more + 1),
            None => f.write_str(")"),
        }
    }
}

impl Member {
    /// How many entries it is.
    pub fn count(&self) -> u128 {
        match self {
            Self::Range { first: IpAddr::V4(first), last: IpAddr::V4(last), .. } => {
                u128::from(u32::from(*last).saturating_sub(u32::from(*first))) + 1
            }
            Self::Range { first: IpAddr::V6(first), last: IpAddr::V6(last), .. } => {
                u128::from(*last).saturating_sub(u128::from(*first)).saturating_add(1)
            }
            // Of two families: nobody makes one.
            Self::Range { .. } => 0,
            Self::Mark { .. } => 1,
        }
    }

    fn keys(&self, protocol: Option<Protocol>) -> Vec<ServiceKey> {
        match (self, protocol) {
            (Self::Range { first, last, port }, Some(protocol)) => addresses(*first, *last)
                .map(|ip| ServiceKey::Address { protocol, address: SocketAddr::new(ip, *port) })
                .collect(),
            // The reader asks for one.
            (Self::Range { .. }, None) => Vec::new(),
            (Self::Mark { mark, family }, _) => vec![ServiceKey::Mark { mark: *mark, family: *family }],
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { first, last, port } if first == last => SocketAddr::new(*first, *port).fmt(f),
            Self::Range { first, last, port } => write!(f, "{first}-{last} {port}"),
            Self::Mark { mark, family } => ServiceKey::Mark { mark: *mark, family: *family }.fmt(f),
        }
    }
}

/// Every address from the first to the last; none if they are of two families.
fn addresses(first: IpAddr, last: IpAddr) -> impl Iterator<Item = IpAddr> {
    let (v4, v6) = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (Some(u32::from(first)..=u32::from(last)), None),
        (IpAddr::V6(first), IpAddr::V6(last)) => (None, Some(u128::from(first)..=u128::from(last))),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => (None, None),
    };
    let v4 = v4.into_iter().flatten().map(|bits| IpAddr::V4(Ipv4Addr::from(bits)));
    v4.chain(v6.into_iter().flatten().map(|bits| IpAddr::V6(Ipv6Addr::from(bits))))
}

/// As it is written down: one entry as the first version did, which had no groups. Not flattened out of a
/// [`VirtualServerId`]: what serde flattens forgets that a recording's format writes addresses as bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<Family>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Member>,
}

impl From<Entries> for Written {
    fn from(entries: Entries) -> Self {
        match entries {
            Entries::One(ServiceKey::Address { protocol, address }) => {
                Self { protocol: Some(protocol), address: Some(address), ..Self::default() }
            }
            Entries::One(ServiceKey::Mark { mark, family }) => {
                Self { mark: Some(mark), family: Some(family), ..Self::default() }
            }
            Entries::Group { group, protocol, members } => {
                Self { group: Some(group), protocol, members, ..Self::default() }
            }
        }
    }
}

impl TryFrom<Written> for Entries {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written { group: Some(group), protocol, members, .. } => Ok(Self::Group { group, protocol, members }),
            Written { protocol: Some(protocol), address: Some(address), .. } => {
                Ok(Self::One(ServiceKey::Address { protocol, address }))
            }
            Written { mark: Some(mark), family: Some(family), .. } => Ok(Self::One(ServiceKey::Mark { mark, family })),
            Written { .. } => Err("neither an address with its protocol, nor a mark with its family, nor a group"),
        }
    }
}
