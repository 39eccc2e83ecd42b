//! Directors that are real servers of each other, by direct routing: the packet keeps the virtual address, so that the kernel
//! of the one that gets it looks into its own IPVS table, which may send it back.

use super::cluster::Node;
use super::{Config, RealServer, VirtualServer};
use crate::ipvs::{Forwarding, ServiceKey};
use crate::text::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Each pair of directors once, with the share of connections that is lost.
pub(super) fn check(nodes: &[Node<'_>], found: &mut Vec<Diagnostic>) {
    for (at, a) in nodes.iter().enumerate() {
        for b in nodes.iter().skip(at + 1) {
            let (own_a, own_b) = (own(a.config), own(b.config));
            let of_b: BTreeMap<ServiceKey, &VirtualServer> =
                b.config.services.iter().flat_map(|back| back.keys().into_iter().map(move |key| (key, back))).collect();
            let looped = a.config.services.iter().filter_map(|there| {
                let to_b = member(there, &own_b)?;
                let (key, back) = there.keys().into_iter().find_map(|key| Some((key, *of_b.get(&key)?)))?;
                Some((there, to_b, back, member(back, &own_a)?, key))
            });
            let looped: Vec<_> = looped.collect();
            let Some((there, to_b, back, to_a, key)) = looped.first() else { continue };
            let lost = share(there, to_b) * share(back, to_a) / 1_000_000;
            let message = format!(
                "{} and {} are real servers of each other: about {} % of the connections to {} are lost",
                a.name,
                b.name,
                lost.max(1),
                key.address().map_or_else(|| key.to_string(), |address| address.to_string())
            );
            let mut finding = Diagnostic::warning("director-loop", message)
                .at(to_b.places.of(""), format!("{}: this is {}, and gets {} %", a.name, b.name, share(there, to_b) / 100))
                .also(
                    to_a.places.of(""),
                    format!("{}: its own table sends {} % of those back to {}", b.name, share(back, to_a) / 100, a.name),
                )
                .note("with `lb_kind DR` a packet keeps the virtual address: the kernel of the BACKUP balances it once more")
                .help(
                    "`lb_kind NAT` and `vipward run --dataplane relay` connect to the other director's own address, which \
                     no table catches; with IPVS the real servers must be other machines than the directors",
                );
            let more = looped.len() - 1;
            if more > 0 {
                finding = finding.note(format!("and so for {more} more"));
            }
            found.push(finding);
        }
    }
}

/// What a file says of its node's own addresses.
fn own(config: &Config) -> BTreeSet<IpAddr> {
    let sources = config.routers.iter().filter_map(|router| router.source);
    sources.chain(config.statics.addresses.iter().map(|address| address.address)).collect()
}

/// The real server of a service that is a director with these addresses.
fn member<'a>(service: &'a VirtualServer, own: &BTreeSet<IpAddr>) -> Option<&'a RealServer> {
    let mut servers =
        service.real_servers.iter().filter(|server| server.forwarding == Forwarding::Dr && server.weight > 0);
    servers.find(|server| own.contains(&server.address.ip()))
}

/// Hundredths of a per cent of a service's connections that this real server gets, by its weight.
fn share(service: &VirtualServer, server: &RealServer) -> u64 {
    let all: u64 = service.real_servers.iter().map(|server| u64::from(server.weight)).sum();
    (u64::from(server.weight) * 10_000).checked_div(all).unwrap_or(0)
}
