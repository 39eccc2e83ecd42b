//! Services and destinations as attributes of IPVS's messages, and back.

use super::message::{Attribute, DestAttribute, ServiceAttribute, address, union};
use std::net::{Ipv4Addr, SocketAddr};
use vipward_core::interface::Family;
use vipward_core::ipvs::{
    Destination, Forwarding, Persistence, Protocol, Scheduler, Service, ServiceFlags, ServiceKey,
};

/// `IP_VS_SVC_F_PERSISTENT`.
const PERSISTENT: u32 = 1;

/// `IP_VS_CONN_F_FWD_MASK`.
const FORWARDING_BITS: u32 = 7;

/// Which service, and how it is to be; `None`: only which.
pub fn service_attribute(key: &ServiceKey, service: Option<&Service>) -> Attribute {
    let mut attributes = vec![ServiceAttribute::Family(number(key.family()))];
    match key {
        ServiceKey::Address { protocol, address } => {
            let protocol = match protocol {
                Protocol::Tcp => libc::IPPROTO_TCP,
                Protocol::Udp => libc::IPPROTO_UDP,
                Protocol::Sctp => libc::IPPROTO_SCTP,
            };
            attributes.extend([
                ServiceAttribute::Protocol(protocol as u16),
                ServiceAttribute::Address(union(address.ip()).1),
                ServiceAttribute::Port(address.port()),
            ]);
        }
        ServiceKey::Mark { mark, .. } => attributes.push(ServiceAttribute::FirewallMark(*mark)),
    }
    if let Some(service) = service {
        let netmask = match (key.family(), service.persistence) {
            (Family::V4, Some(persistence)) => persistence.netmask.octets(),
            (Family::V4, None) => [255; 4],
            // Each client by itself: the mask that a service of ours has is IPv4's.
            (Family::V6, _) => 128u32.to_ne_bytes(),
        };
        attributes.extend([
            ServiceAttribute::Scheduler(service.scheduler.0.to_string()),
            ServiceAttribute::Flags {
                flags: service.flags.bits() | if service.persistence.is_some() { PERSISTENT } else { 0 },
                mask: u32::MAX,
            },
            ServiceAttribute::Timeout(service.persistence.map_or(0, |persistence| persistence.timeout_secs)),
            ServiceAttribute::Netmask(netmask),
        ]);
    }
    Attribute::Service(attributes)
}

pub fn dest_attribute(at: SocketAddr, destination: Option<&Destination>) -> Attribute {
    let (family, bytes) = union(at.ip());
    let mut attributes =
        vec![DestAttribute::Family(family), DestAttribute::Address(bytes), DestAttribute::Port(at.port())];
    if let Some(destination) = destination {
        attributes.extend([
            DestAttribute::Forwarding(match destination.forwarding {
                Forwarding::Nat => 0,
                Forwarding::Tun => 2,
                Forwarding::Dr => 3,
            }),
            DestAttribute::Weight(destination.weight),
            DestAttribute::UpperThreshold(destination.upper_threshold),
            DestAttribute::LowerThreshold(destination.lower_threshold),
        ]);
    }
    Attribute::Dest(attributes)
}

fn number(family: Family) -> u16 {
    match family {
        Family::V4 => libc::AF_INET as u16,
        Family::V6 => libc::AF_INET6 as u16,
    }
}

/// `None` for families and protocols that we have no word for.
pub fn service_of(attributes: &[ServiceAttribute]) -> Option<(ServiceKey, Service)> {
    use ServiceAttribute as A;
    let (mut family, mut protocol, mut bytes, mut port, mut mark) = (None, None, None, None, 0);
    let (mut scheduler, mut persistent, mut timeout, mut netmask) = (String::new(), false, 0, [255; 4]);
    let mut named = ServiceFlags::default();
    for attribute in attributes {
        match attribute {
            A::Family(value) => family = Some(*value),
            A::Protocol(value) => protocol = Some(i32::from(*value)),
            A::Address(value) => bytes = Some(*value),
            A::Port(value) => port = Some(*value),
            A::FirewallMark(value) => mark = *value,
            A::Scheduler(name) => scheduler.clone_from(name),
            A::Flags { flags, .. } => {
                persistent = flags & PERSISTENT != 0;
                named = ServiceFlags::from_bits(*flags);
            }
            A::Timeout(value) => timeout = *value,
            A::Netmask(value) => netmask = *value,
            A::Other(_) => {}
        }
    }
    let key = if mark != 0 {
        let family = match i32::from(family?) {
            libc::AF_INET => Family::V4,
            libc::AF_INET6 => Family::V6,
            _ => return None,
        };
        ServiceKey::Mark { mark, family }
    } else {
        let protocol = match protocol? {
            libc::IPPROTO_TCP => Protocol::Tcp,
            libc::IPPROTO_UDP => Protocol::Udp,
            libc::IPPROTO_SCTP => Protocol::Sctp,
            _ => return None,
        };
        ServiceKey::Address { protocol, address: SocketAddr::new(address(family?, bytes?)?, port?) }
    };
    // The mask of an IPv6 service is a prefix length; ours is always the whole address.
    let netmask = if key.family() == Family::V4 { Ipv4Addr::from(netmask) } else { Ipv4Addr::BROADCAST };
    let persistence = persistent.then_some(Persistence { timeout_secs: timeout, netmask });
    Some((key, Service { scheduler: Scheduler(scheduler.into()), persistence, flags: named }))
}

pub fn destination_of(service: &ServiceKey, attributes: &[DestAttribute]) -> Option<(SocketAddr, Destination)> {
    use DestAttribute as A;
    // Kernels before 3.18 do not tell the family: it is the service's.
    let mut family = number(service.family());
    let (mut bytes, mut port, mut method) = (None, None, 0);
    let (mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0);
    for attribute in attributes {
        match attribute {
            A::Address(value) => bytes = Some(*value),
            A::Port(value) => port = Some(*value),
            A::Forwarding(value) => method = value & FORWARDING_BITS,
            A::Weight(value) => weight = *value,
            A::UpperThreshold(value) => upper_threshold = *value,
            A::LowerThreshold(value) => lower_threshold = *value,
            A::Family(value) => family = *value,
            A::Other(_) => {}
        }
    }
    let forwarding = match method {
        0 => Forwarding::Nat,
        2 => Forwarding::Tun,
        3 => Forwarding::Dr,
        // 1: the director itself, 4: past IPVS. Nobody asks for those, and as NAT they show up as not what was wanted.
        _ => Forwarding::Nat,
    };
    let at = SocketAddr::new(address(family, bytes?)?, port?);
    Some((at, Destination { weight, forwarding, upper_threshold, lower_threshold }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn any_key() -> impl Strategy<Value = ServiceKey> {
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
        let address = (protocol, any::<(IpAddr, u16)>())
            .prop_map(|(protocol, (ip, port))| ServiceKey::Address { protocol, address: SocketAddr::new(ip, port) })
            .boxed();
        let mark = (1..=u32::MAX, prop_oneof![Just(Family::V4), Just(Family::V6)]);
        prop_oneof![address, mark.prop_map(|(mark, family)| ServiceKey::Mark { mark, family })]
    }

    fn any_destination() -> impl Strategy<Value = Destination> {
        let forwarding = prop_oneof![Just(Forwarding::Nat), Just(Forwarding::Dr), Just(Forwarding::Tun)];
        (forwarding, any::<(u32, u32, u32)>()).prop_map(|(forwarding, (weight, upper_threshold, lower_threshold))| {
            Destination { weight, forwarding, upper_threshold, lower_threshold }
        })
    }

    proptest! {
        #[test]
        fn a_service_is_read_as_it_was_written(key in any_key(), name in "[a-z]{1,8}", persistence: Option<(u32, u32)>, bits: u32) {
            let persistence = persistence.map(|(timeout_secs, mask)| Persistence {
                timeout_secs,
                netmask: if key.family() == Family::V4 { Ipv4Addr::from(mask) } else { Ipv4Addr::BROADCAST },
            });
            let flags = ServiceFlags::from_bits(bits);
            let service = Service { scheduler: Scheduler(name.as_str().into()), persistence, flags };
            let Attribute::Service(attributes) = service_attribute(&key, Some(&service)) else { unreachable!() };
            prop_assert_eq!(service_of(&attributes), Some((key, service)));
        }

        #[test]
        fn a_destination_is_read_as_it_was_written(
            key in any_key(),
            at: (IpAddr, u16),
            destination in any_destination(),
        ) {
            let at = SocketAddr::new(at.0, at.1);
            let Attribute::Dest(attributes) = dest_attribute(at, Some(&destination)) else { unreachable!() };
            prop_assert_eq!(destination_of(&key, &attributes), Some((at, destination)));
        }
    }
}
