//! Services and destinations as attributes of IPVS's messages, and back.

use super::message::{Attribute, DestAttribute, ServiceAttribute, address, union};
use std::net::{Ipv4Addr, SocketAddr};
use vipward_core::interface::Family;
use vipward_core::ipvs::{
    Destination, Forwarding, Persistence, Protocol, Scheduler, Service, ServiceFlags, ServiceKey, TunnelChecksum,
};

/// `IP_VS_SVC_F_PERSISTENT`.
const PERSISTENT: u32 = 1;

/// `IP_VS_CONN_F_TUNNEL_TYPE_*`; 0 is IPIP.
const GUE: u8 = 1;
const GRE: u8 = 2;

/// `IP_VS_TUNNEL_ENCAP_FLAG_*`.
const CHECKSUM: u16 = 1;
const REMOTE_CHECKSUM: u16 = 2;

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
            (Family::V6, Some(persistence)) => u32::from(persistence.prefix).to_ne_bytes(),
            (Family::V6, None) => 128u32.to_ne_bytes(),
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
        let engine = service.persistence_engine.as_ref();
        attributes.extend(engine.map(|name| ServiceAttribute::PersistenceEngine(name.to_string())));
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
                Forwarding::Tun | Forwarding::Gue { .. } | Forwarding::Gre { .. } => 2,
                Forwarding::Dr => 3,
            }),
            DestAttribute::Weight(destination.weight),
            DestAttribute::UpperThreshold(destination.upper_threshold),
            DestAttribute::LowerThreshold(destination.lower_threshold),
        ]);
        // A kernel before 5.2 knows no types, and its tunnels are IPIP.
        let tunnel = match destination.forwarding {
            Forwarding::Nat | Forwarding::Dr | Forwarding::Tun => None,
            Forwarding::Gue { port, checksum } => Some((GUE, port, checksum)),
            Forwarding::Gre { checksum: true } => Some((GRE, 0, TunnelChecksum::Present)),
            Forwarding::Gre { checksum: false } => Some((GRE, 0, TunnelChecksum::Absent)),
        };
        if let Some((kind, port, checksum)) = tunnel {
            let flags = match checksum {
                TunnelChecksum::Absent => 0,
                TunnelChecksum::Present => CHECKSUM,
                TunnelChecksum::Remote => REMOTE_CHECKSUM,
            };
            attributes.extend([
                DestAttribute::TunnelType(kind),
                DestAttribute::TunnelPort(port),
                DestAttribute::TunnelFlags(flags),
            ]);
        }
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
    let (mut named, mut engine) = (ServiceFlags::default(), None);
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
            A::PersistenceEngine(name) => engine = Some(name.as_str().into()),
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
    let each = Persistence::each_client(timeout);
    let persistence = match key.family() {
        Family::V4 => Persistence { netmask: Ipv4Addr::from(netmask), ..each },
        // A prefix length, of 128 bits at most.
        Family::V6 => Persistence { prefix: u8::try_from(u32::from_ne_bytes(netmask)).unwrap_or(u8::MAX), ..each },
    };
    let persistence = persistent.then_some(persistence);
    let scheduler = Scheduler(scheduler.into());
    Some((key, Service { scheduler, persistence, flags: named, persistence_engine: engine }))
}

pub fn destination_of(service: &ServiceKey, attributes: &[DestAttribute]) -> Option<(SocketAddr, Destination)> {
    use DestAttribute as A;
    // Kernels before 3.18 do not tell the family: it is the service's.
    let mut family = number(service.family());
    let (mut bytes, mut port, mut method) = (None, None, 0);
    let (mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0);
    // IPIP, if the kernel does not tell.
    let (mut tunnel, mut tunnel_port, mut tunnel_flags) = (0, 0, 0);
    for attribute in attributes {
        match attribute {
            A::Address(value) => bytes = Some(*value),
            A::Port(value) => port = Some(*value),
            A::Forwarding(value) => method = value & FORWARDING_BITS,
            A::Weight(value) => weight = *value,
            A::UpperThreshold(value) => upper_threshold = *value,
            A::LowerThreshold(value) => lower_threshold = *value,
            A::Family(value) => family = *value,
            A::TunnelType(value) => tunnel = *value,
            A::TunnelPort(value) => tunnel_port = *value,
            A::TunnelFlags(value) => tunnel_flags = *value,
            A::ActiveConnections(_) | A::InactiveConnections(_) | A::Other(_) => {}
        }
    }
    let forwarding = match method {
        0 => Forwarding::Nat,
        2 => tunnel_of(tunnel, tunnel_port, tunnel_flags),
        3 => Forwarding::Dr,
        // 1: the director itself, 4: past IPVS. Nobody asks for those, and as NAT they show up as not what was wanted.
        _ => Forwarding::Nat,
    };
    let at = SocketAddr::new(address(family, bytes?)?, port?);
    Some((at, Destination { weight, forwarding, upper_threshold, lower_threshold }))
}

/// The connections of a destination that it still has to carry. The kernel counts a TCP connection as active from the end of
/// its handshake to its first FIN; of datagrams, and behind a mark of whatever it is, an entry that is not over yet is all
/// that there is.
pub fn connections_of(service: &ServiceKey, attributes: &[DestAttribute]) -> u32 {
    use DestAttribute as A;
    let (mut active, mut inactive) = (0_u32, 0);
    for attribute in attributes {
        match attribute {
            A::ActiveConnections(value) => active = *value,
            A::InactiveConnections(value) => inactive = *value,
            // What else it is, [`destination_of`] reads.
            _ => {}
        }
    }
    match service.protocol() {
        Some(Protocol::Tcp | Protocol::Sctp) => active,
        Some(Protocol::Udp) | None => active.saturating_add(inactive),
    }
}

fn tunnel_of(kind: u8, port: u16, flags: u16) -> Forwarding {
    let checksum = match flags {
        0 => TunnelChecksum::Absent,
        flags if flags & REMOTE_CHECKSUM != 0 => TunnelChecksum::Remote,
        _ => TunnelChecksum::Present,
    };
    match kind {
        GUE => Forwarding::Gue { port, checksum },
        GRE => Forwarding::Gre { checksum: checksum != TunnelChecksum::Absent },
        // IPIP, and what newer kernels may have, which nobody asks for.
        _ => Forwarding::Tun,
    }
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
        let checksum =
            prop_oneof![Just(TunnelChecksum::Absent), Just(TunnelChecksum::Present), Just(TunnelChecksum::Remote),];
        let forwarding = prop_oneof![
            Just(Forwarding::Nat),
            Just(Forwarding::Dr),
            Just(Forwarding::Tun),
            any::<bool>().prop_map(|checksum| Forwarding::Gre { checksum }),
            (1..=u16::MAX, checksum).prop_map(|(port, checksum)| Forwarding::Gue { port, checksum }),
        ];
        (forwarding, any::<(u32, u32, u32)>()).prop_map(|(forwarding, (weight, upper_threshold, lower_threshold))| {
            Destination { weight, forwarding, upper_threshold, lower_threshold }
        })
    }

    proptest! {
        #[test]
        fn a_service_is_read_as_it_was_written(key in any_key(), name in "[a-z]{1,8}", persistence: Option<(u32, u32)>, bits: u32, engine in proptest::option::of("[a-z]{1,8}")) {
            let persistence = persistence.map(|(timeout_secs, mask)| {
                Persistence { timeout_secs, netmask: Ipv4Addr::from(mask), prefix: (mask % 129) as u8 }.of(key.family())
            });
            let flags = ServiceFlags::from_bits(bits);
            let service = Service { scheduler: Scheduler(name.as_str().into()), persistence, flags, persistence_engine: engine.map(|it| it.as_str().into()) };
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
