//! An IP packet as adverts travel in.

use crate::interface::InterfaceName;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// IP's protocol number of the authentication header (RFC 2402).
pub const AH: u8 = 51;
/// An IPv4 header without options.
pub const IPV4_HEADER: usize = 20;
/// An authentication header with 96 bits of HMAC.
pub const AH_HEADER: usize = 24;

/// An IP packet of protocol 112 without its header: what [`crate::vrrp::Event::AdvertReceived`] brings and
/// [`crate::vrrp::Effect::SendAdvert`] sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datagram {
    /// The interface that it came in by or leaves by.
    pub interface: InterfaceName,
    pub source: IpAddr,
    /// The multicast group, or one peer.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The VRRP message. With `auth_type AH` the whole IP packet: the authentication covers its header as well
    /// ([`Datagram::is_whole`]).
    pub payload: Bytes,
}

impl Datagram {
    /// Its payload is a whole IPv4 packet of protocol 51. A VRRP message can't be taken for one: it begins with its version.
    pub fn is_whole(&self) -> bool {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.source, self.destination) else { return false };
        let says = |at: usize, address: Ipv4Addr| self.payload.get(at..at + 4) == Some(&address.octets());
        self.payload.first() == Some(&0x45)
            && self.payload.get(8..10) == Some(&[self.ttl, AH])
            && says(12, source)
            && says(16, destination)
    }

    /// The VRRP message.
    pub fn message(&self) -> &[u8] {
        let from = if self.is_whole() { IPV4_HEADER + AH_HEADER } else { 0 };
        self.payload.get(from..).unwrap_or_default()
    }
}
