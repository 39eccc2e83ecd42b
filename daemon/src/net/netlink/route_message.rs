//! What stands in rtnetlink's messages about routes.

use crate::net::links::Links;
use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags,
    RoutePreference, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vipward_core::interface::Family;
use vipward_core::route::{Hop, Metric, Placed, Preference, Route, RouteKey, RouteKind};

/// Which route a message is about; none: no route of a table, or one that this program never puts in.
pub fn key_of(message: &RouteMessage) -> Option<RouteKey> {
    let header = &message.header;
    let nothing: IpAddr = match header.address_family {
        AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
        AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    if header.flags.contains(RouteFlags::Cloned) || header.source_prefix_length != 0 {
        return None;
    }
    let (mut destination, mut table, mut metric) = (nothing, u32::from(header.table), 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => destination = (*address).into(),
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => destination = (*address).into(),
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => metric = *number,
            // The rest does not tell routes apart.
            _ => {}
        }
    }
    Some(RouteKey {
        table,
        destination,
        prefix_len: header.destination_prefix_length,
        tos: header.tos,
        metric,
        protocol: header.protocol.into(),
    })
}

/// What takes a route out, wherever it leads.
pub fn removal(key: &RouteKey) -> RouteMessage {
    let mut message = begin(key);
    // Any.
    message.header.scope = RouteScope::NoWhere;
    message.header.kind = RouteType::Unspec;
    message
}

/// How it is put in, so that what somebody else has put there stays as it is. IPv4 has several routes of one destination and
/// metric in an order; IPv6 would make one route of two hops out of theirs and ours.
pub fn flags(route: &Route) -> u16 {
    match (route.key.family(), route.placed) {
        (Family::V6, _) | (Family::V4, Placed::Alone) => NLM_F_CREATE | NLM_F_EXCL,
        (Family::V4, Placed::First) => NLM_F_CREATE,
        (Family::V4, Placed::Last) => NLM_F_CREATE | NLM_F_APPEND,
    }
}

/// Whether the kernel's word that it exists means that just this route is there.
pub fn exists_is_good(route: &Route) -> bool {
    route.key.family() == Family::V4 && route.placed != Placed::Alone
}

/// What puts it in. An interface that is not there is an error.
pub fn addition(links: &Links, route: &Route) -> Result<RouteMessage, String> {
    let mut message = begin(&route.key);
    message.header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Local => RouteType::Local,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
        RouteKind::Throw => RouteType::Throw,
    };
    // As keepalived: `global`, also of what is on the link.
    let usual = if route.kind == RouteKind::Local { RouteScope::Host } else { RouteScope::Universe };
    message.header.scope = route.scope.map_or(usual, RouteScope::from);
    let attributes = &mut message.attributes;
    if let Some(source) = route.source {
        attributes.push(RouteAttribute::PrefSource(source.into()));
    }
    if !route.metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics(route)));
    }
    if let Some(preference) = route.preference {
        attributes.push(RouteAttribute::Preference(match preference {
            Preference::Low => RoutePreference::Low,
            Preference::Medium => RoutePreference::Medium,
            Preference::High => RoutePreference::High,
        }));
    }
    match route.hops.as_slice() {
        [] => {}
        [hop] => {
            if hop.onlink {
                message.header.flags |= RouteFlags::Onlink;
            }
            if let Some(via) = hop.via {
                attributes.push(gateway(&route.key, via));
            }
            if let Some(interface) = &hop.interface {
                attributes.push(RouteAttribute::Oif(links.index(interface)?));
            }
        }
        several => {
            let hops: Result<_, String> = several.iter().map(|hop| next_hop(links, &route.key, hop)).collect();
            attributes.push(RouteAttribute::MultiPath(hops?));
        }
    }
    Ok(message)
}

fn begin(key: &RouteKey) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = match key.family() {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    message.header.destination_prefix_length = key.prefix_len;
    message.header.tos = key.tos;
    message.header.protocol = RouteProtocol::from(key.protocol);
    // The number stands in an attribute, where it has room.
    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
    message.attributes.push(RouteAttribute::Table(key.table));
    if key.prefix_len != 0 {
        message.attributes.push(RouteAttribute::Destination(key.destination.into()));
    }
    if key.metric != 0 {
        message.attributes.push(RouteAttribute::Priority(key.metric));
    }
    message
}

fn gateway(key: &RouteKey, via: IpAddr) -> RouteAttribute {
    match (key.family(), via) {
        (Family::V4, IpAddr::V6(via)) => RouteAttribute::Via(RouteVia::Inet6(via)),
        (Family::V4, IpAddr::V4(_)) | (Family::V6, _) => RouteAttribute::Gateway(via.into()),
    }
}

fn next_hop(links: &Links, key: &RouteKey, hop: &Hop) -> Result<RouteNextHop, String> {
    let mut next = RouteNextHop::default();
    if hop.onlink {
        next.flags |= RouteNextHopFlags::Onlink;
    }
    // It has one less.
    next.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    if let Some(interface) = &hop.interface {
        next.interface_index = links.index(interface)?;
    }
    next.attributes.extend(hop.via.map(|via| gateway(key, via)));
    Ok(next)
}

fn metrics(route: &Route) -> Vec<RouteMetric> {
    let locked = route.locked.iter().fold(0, |locked, metric| locked | 1 << number(*metric));
    let lock = (locked != 0).then_some(RouteMetric::Lock(locked));
    let metrics = route.metrics.iter().map(|(metric, value)| match metric {
        Metric::Mtu => RouteMetric::Mtu(*value),
        Metric::Window => RouteMetric::Window(*value),
        Metric::Ssthresh => RouteMetric::SsThresh(*value),
        Metric::Cwnd => RouteMetric::Cwnd(*value),
        Metric::Advmss => RouteMetric::Advmss(*value),
        Metric::Reordering => RouteMetric::Reordering(*value),
        Metric::Hoplimit => RouteMetric::Hoplimit(*value),
        Metric::Initcwnd => RouteMetric::InitCwnd(*value),
        Metric::Features => RouteMetric::Features(*value),
        Metric::Initrwnd => RouteMetric::InitRwnd(*value),
        Metric::Quickack => RouteMetric::QuickAck(*value),
        Metric::FastopenNoCookie => RouteMetric::FastopenNoCookie(*value),
    });
    lock.into_iter().chain(metrics).collect()
}

/// `RTAX_*`.
fn number(metric: Metric) -> u32 {
    match metric {
        Metric::Mtu => 2,
        Metric::Window => 3,
        Metric::Ssthresh => 6,
        Metric::Cwnd => 7,
        Metric::Advmss => 8,
        Metric::Reordering => 9,
        Metric::Hoplimit => 10,
        Metric::Initcwnd => 11,
        Metric::Features => 12,
        Metric::Initrwnd => 14,
        Metric::Quickack => 15,
        Metric::FastopenNoCookie => 17,
    }
}
