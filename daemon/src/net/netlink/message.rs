//! What stands in rtnetlink's messages about links and addresses.

use crate::net::adverts::PROTOCOL;
use crate::net::links::{Interface, Links};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use std::net::IpAddr;
use vipward_core::interface::{AddressKey, InterfaceAddress, InterfaceName, Link, ObservedAddress, Scope};
use vipward_core::time::Duration;

/// `INFINITY_LIFE_TIME`.
const FOREVER: u32 = u32::MAX;

/// A bridge tells of its ports with link messages of its own family: the port left the bridge, not the machine.
pub fn is_port_news(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Bridge
}

pub fn interface(message: &LinkMessage) -> Option<(u32, Interface)> {
    if is_port_news(message) {
        return None;
    }
    let (mut name, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(InterfaceName::new(value)),
            LinkAttribute::Address(value) => mac = <[u8; 6]>::try_from(value.as_slice()).ok(),
            // A link has some sixty attributes more.
            _ => {}
        }
    }
    let running = message.header.flags.contains(LinkFlags::Up | LinkFlags::Running);
    Some((message.header.index, Interface { link: Link { name: name?, running }, mac }))
}

/// An address, and whether it may be used. Until duplicate address detection is over, and if it failed, nothing can be sent from
/// an IPv6 address (RFC 4862 5.4): it is as if it were not there.
pub fn observed(links: &Links, message: &AddressMessage) -> Option<(ObservedAddress, bool)> {
    let (mut local, mut address, mut ours, mut flags) = (None, None, false, AddressFlags::empty());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(value) => local = Some(*value),
            AddressAttribute::Address(value) => address = Some(*value),
            AddressAttribute::Flags(value) => flags = *value,
            AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            // The rest does not tell addresses apart.
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end's; IPv6 has no IFA_LOCAL.
    let key = AddressKey {
        interface: links.name(message.header.index)?,
        address: local.or(address)?,
        prefix_len: message.header.prefix_len,
    };
    let waits = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    Some((ObservedAddress { key, ours }, !waits && !flags.contains(AddressFlags::Dadfailed)))
}

/// What takes an address off.
pub fn removal(index: u32, key: &AddressKey) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(key.address);
    message.header.prefix_len = key.prefix_len;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(key.address), AddressAttribute::Address(key.address)];
    message
}

pub fn new_address(index: u32, address: &InterfaceAddress, lifetime: Option<Duration>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.address);
    message.header.prefix_len = address.prefix_len;
    message.header.index = index;
    message.header.scope = match address.scope {
        Scope::Global => AddressScope::Universe,
        Scope::Site => AddressScope::Site,
        Scope::Link => AddressScope::Link,
        Scope::Host => AddressScope::Host,
        Scope::Nowhere => AddressScope::Nowhere,
    };
    let attributes = &mut message.attributes;
    attributes.push(AddressAttribute::Local(address.address));
    attributes.push(AddressAttribute::Address(address.address));
    if let Some(broadcast) = address.broadcast {
        attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    if let Some(label) = &address.label {
        attributes.push(AddressAttribute::Label(label.to_string()));
    }
    // Both the same: an address is as good as any until it goes. But an IPv6 address that is no part of a network is for those
    // who come, and nothing that this host sends should have it as its source: deprecated from the beginning, as keepalived's.
    let lifetime = lifetime.filter(|_| !address.permanent);
    let seconds = lifetime.map_or(FOREVER, |lifetime| u32::try_from(lifetime.as_secs()).unwrap_or(FOREVER));
    let mut cache_info = CacheInfo::default();
    let alone = address.address.is_ipv6() && address.prefix_len == 128;
    (cache_info.ifa_valid, cache_info.ifa_preferred) = (seconds, if alone { 0 } else { seconds });
    attributes.push(AddressAttribute::CacheInfo(cache_info));
    let mut flags = AddressFlags::empty();
    if address.no_prefix_route {
        flags |= AddressFlags::Noprefixroute;
    }
    if address.address.is_ipv6() {
        // The old MASTER may hold it for a moment still: duplicate address detection would take it for another host's.
        flags |= AddressFlags::Nodad;
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    if !flags.is_empty() {
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    // Linux 5.18 and later keep it (IFA_PROTO); older ones ignore it, and then leftovers are not recognised.
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
    message
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
