//! What a virtual server is called: in decisions, estates and probes, and to whoever hears of its quorum.

use super::table::ServiceKey;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A virtual server's identity, from the configuration; not its address. What it is to IPVS, one entry or several,
/// [`crate::config::VirtualServer::keys`] says. Health belongs to the virtual server, however many entries it has.
///
/// Written as the address that identifies it, which is all that identifies one today; a firewall mark or the name of a
/// group will be other things that this type can hold. It is in the name of every probe, so it is cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VirtualServerId(ServiceKey);

impl VirtualServerId {
    /// `virtual_server IP PORT` with its `protocol`.
    pub fn of_address(key: ServiceKey) -> Self {
        Self(key)
    }

    /// What identifies it, in mails as in keepalived's.
    pub fn key(&self) -> ServiceKey {
        self.0
    }

    /// The entries of a virtual server of which only the identity is known, as estates of the first version have it.
    pub fn keys(&self) -> Vec<ServiceKey> {
        vec![self.0]
    }
}

impl fmt::Display for VirtualServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
