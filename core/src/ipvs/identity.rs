//! What a virtual server is called: in decisions, estates and probes, and to whoever hears of its quorum.

use super::table::{Protocol, ServiceKey};
use crate::interface::Family;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// A virtual server's identity, from the configuration; not its address. What it is to IPVS, one entry or several,
/// [`crate::config::VirtualServer::keys`] says. Health belongs to the virtual server, however many entries it has.
///
/// It is in the name of every probe, so it is cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub enum VirtualServerId {
    /// `virtual_server IP PORT` with its `protocol`, `virtual_server fwmark MARK`.
    Entry(ServiceKey),
    /// `virtual_server group NAME`: one for each protocol. A group of marks needs none.
    Group { group: GroupName, protocol: Option<Protocol> },
}

impl VirtualServerId {
    /// The one with this entry and no other.
    pub fn of_entry(key: ServiceKey) -> Self {
        Self::Entry(key)
    }

    /// The entries of a virtual server of which only the identity is known, as estates of the first version have it.
    pub fn keys(&self) -> Vec<ServiceKey> {
        match self {
            Self::Entry(key) => vec![*key],
            // Its members are in the configuration only; whoever writes it down writes them beside it.
            Self::Group { .. } => Vec::new(),
        }
    }

    /// Whether it is meant by this name: as it is shown, by its address alone, or `group NAME` of either protocol.
    pub fn is_called(&self, name: &str) -> bool {
        let group = match self {
            Self::Entry(_) => false,
            Self::Group { group, .. } => name.strip_prefix("group ") == Some(group.as_str()),
        };
        group || self.place() == name || self.to_string() == name
    }

    /// Its address, and without one its name.
    pub fn place(&self) -> String {
        match self {
            Self::Entry(ServiceKey::Address { address, .. }) => address.to_string(),
            Self::Entry(ServiceKey::Mark { .. }) | Self::Group { .. } => self.to_string(),
        }
    }
}

impl fmt::Display for VirtualServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(key) => key.fmt(f),
            Self::Group { group, protocol: Some(protocol) } => write!(f, "{protocol} group {group}"),
            Self::Group { group, protocol: None } => write!(f, "group {group}"),
        }
    }
}

/// The name of a `virtual_server_group`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct GroupName {
    /// Zeros behind the name.
    bytes: [u8; Self::LONGEST],
    length: u8,
}

impl GroupName {
    /// In bytes. It has a bound so that identities can be copied.
    pub const LONGEST: usize = 47;

    /// None: it is too long.
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; Self::LONGEST];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { bytes, length: u8::try_from(name.len()).ok()? })
    }

    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for GroupName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name).ok_or("the name of a group is too long")
    }
}

/// Entries and identities as they are written down. The first version had addresses only, and wrote `protocol` and
/// `address` beside each other; what came later has words of its own.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Written {
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
}

impl From<ServiceKey> for Written {
    fn from(key: ServiceKey) -> Self {
        match key {
            ServiceKey::Address { protocol, address } => {
                Self { protocol: Some(protocol), address: Some(address), ..Self::default() }
            }
            ServiceKey::Mark { mark, family } => Self { mark: Some(mark), family: Some(family), ..Self::default() },
        }
    }
}

impl TryFrom<Written> for ServiceKey {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written { protocol: Some(protocol), address: Some(address), .. } => Ok(Self::Address { protocol, address }),
            Written { mark: Some(mark), family: Some(family), .. } => Ok(Self::Mark { mark, family }),
            Written { .. } => Err("neither an address with its protocol nor a mark with its family"),
        }
    }
}

impl From<VirtualServerId> for Written {
    fn from(id: VirtualServerId) -> Self {
        match id {
            VirtualServerId::Entry(key) => key.into(),
            VirtualServerId::Group { group, protocol } => Self { group: Some(group), protocol, ..Self::default() },
        }
    }
}

impl TryFrom<Written> for VirtualServerId {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written.group {
            Some(group) => Ok(Self::Group { group, protocol: written.protocol }),
            None => written.try_into().map(Self::Entry),
        }
    }
}
