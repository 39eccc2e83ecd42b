//! An IP packet as adverts travel in.

use crate::interface::InterfaceName;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
    /// The VRRP message.
    pub payload: Bytes,
}
