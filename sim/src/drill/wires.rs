//! Which interfaces of the directors must be on one segment, as far as their files say.
//!
//! An address that two files hold can only be reached in one place, so the interfaces that carry it share a segment, and
//! so do those that carry its adverts. Files that share no address belong together when they share a VRID (on the same
//! interface or under the same name) and a network.

use super::files::DirectorFile;
use super::network::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use vipward_core::config::{Transport, VirtualRouterConfig};
use vipward_core::interface::InterfaceName;
use vipward_core::text::Diagnostic;

/// An interface of a director: its position among the files, and the name.
pub(super) type Port = (usize, InterfaceName);

/// The segments that virtual routers need, each with the ports on it, in the order of the files.
pub(super) struct Wires {
    pub segments: Vec<Vec<Port>>,
    /// Interfaces that are tracked or have a static address, and carry neither adverts nor a virtual address, in the order of
    /// the files: they are there and can fail, but where they lead the files do not say.
    pub elsewhere: Vec<Port>,
}

/// Joins what belongs together. `Err`: these files form no cluster, and why.
pub(super) fn wires(files: &[DirectorFile], findings: &mut Vec<Diagnostic>) -> Result<Wires, Diagnostic> {
    let mut join = Join::default();
    let mut by_address: BTreeMap<IpAddr, Vec<(usize, &VirtualRouterConfig, &InterfaceName)>> = BTreeMap::new();
    let mut by_vrid: BTreeMap<u8, Vec<(usize, &VirtualRouterConfig)>> = BTreeMap::new();
    for (at, router) in routers(files) {
        join.add((at, router.interfaces.heard_on.clone()));
        for address in router.addresses.iter().chain(&router.excluded) {
            join.add((at, address.interface.clone()));
            by_address.entry(address.address).or_default().push((at, router, &address.interface));
        }
        by_vrid.entry(router.vrid.get()).or_default().push((at, router));
    }
    let mut linked = BTreeSet::new();
    for holders in by_address.values() {
        let Some((first, rest)) = holders.split_first() else { continue };
        for other in rest.iter().filter(|other| other.0 != first.0) {
            join.join(&(first.0, first.2.clone()), &(other.0, other.2.clone()));
            join.join(&(first.0, first.1.interfaces.heard_on.clone()), &(other.0, other.1.interfaces.heard_on.clone()));
            linked.extend([first.0, other.0]);
        }
    }
    for members in by_vrid.values() {
        for (at, a) in members.iter().enumerate() {
            for b in members.iter().skip(at + 1).filter(|b| b.0 != a.0) {
                let alike = a.1.interfaces.heard_on == b.1.interfaces.heard_on || a.1.name == b.1.name;
                if alike && common_network(a.1, b.1) {
                    join.join(&(a.0, a.1.interfaces.heard_on.clone()), &(b.0, b.1.interfaces.heard_on.clone()));
                    linked.extend([a.0, b.0]);
                }
            }
        }
    }
    if linked.is_empty() {
        return Err(no_cluster(files, &by_vrid));
    }
    for (at, file) in files.iter().enumerate().filter(|(at, _)| !linked.contains(at)) {
        let message = format!("{} belongs to none of the others", file.name);
        let finding = Diagnostic::warning("stranger", message)
            .note("it shares no virtual address and no virtual router with another file: nobody takes over for it")
            .help("was this file meant for another cluster?");
        findings.push(point_at_routers(finding, files, at));
    }
    let tracked =
        routers(files).flat_map(|(at, router)| router.tracking.interfaces().map(move |name| (at, name.clone())));
    let statics = files.iter().enumerate().flat_map(|(at, file)| {
        file.config.statics.addresses.iter().map(move |address| (at, address.interface.clone()))
    });
    let elsewhere: BTreeSet<Port> = tracked.chain(statics).filter(|port| !join.known.contains_key(port)).collect();
    Ok(Wires { segments: join.classes(), elsewhere: elsewhere.into_iter().collect() })
}

pub(super) fn routers(files: &[DirectorFile]) -> impl Iterator<Item = (usize, &VirtualRouterConfig)> {
    files.iter().enumerate().flat_map(|(at, file)| file.config.routers.iter().map(move |router| (at, router)))
}

/// The networks that a virtual router's addresses and peers lie in; those of the addresses first.
pub(super) fn networks(router: &VirtualRouterConfig) -> impl Iterator<Item = Network> {
    let held = router.addresses.iter().chain(&router.excluded);
    held.map(|address| Network::of(address.address, address.prefix_len)).chain(speaking_networks(router))
}

/// The networks that its adverts travel in, as far as the file says.
pub(super) fn speaking_networks(router: &VirtualRouterConfig) -> impl Iterator<Item = Network> {
    let peers: &[IpAddr] = match &router.transport {
        Transport::Unicast { peers } => peers,
        Transport::Multicast { .. } => &[],
    };
    router.source.iter().chain(peers).map(|address| Network::around(*address))
}

fn common_network(a: &VirtualRouterConfig, b: &VirtualRouterConfig) -> bool {
    networks(a).any(|ours| networks(b).any(|theirs| ours.overlaps(theirs)))
}

fn no_cluster(files: &[DirectorFile], by_vrid: &BTreeMap<u8, Vec<(usize, &VirtualRouterConfig)>>) -> Diagnostic {
    let shared = by_vrid
        .iter()
        .find(|(_, members)| members.windows(2).any(|two| two.first().map(|it| it.0) != two.last().map(|it| it.0)));
    if let Some((vrid, members)) = shared {
        let message = format!("these files form no cluster: virtual router {vrid} has no segment in common");
        let mut finding = Diagnostic::error("no-common-segment", message);
        for (at, router) in members {
            let name = files.get(*at).map_or("", |file| &file.name);
            let where_to: Vec<String> = networks(router).map(|network| network.to_string()).collect();
            let place = router.places.of("virtual_ipaddress");
            finding = finding
                .at(place, format!("{name}: in {}", super::words::list(&where_to)))
                .also(router.places.of("interface"), format!("{name}: on {}", router.interfaces.heard_on));
        }
        return finding
            .note("adverts do not cross a router, and an address can be served on its own segment only")
            .help("write the same `virtual_ipaddress` on every director");
    }
    let message = "these files form no cluster: no two of them share a virtual_router_id or a virtual address";
    let mut finding = Diagnostic::error("no-cluster", message);
    for at in 0..files.len() {
        finding = point_at_routers(finding, files, at);
    }
    finding.help("every director of a cluster needs the same `virtual_router_id` and the same `virtual_ipaddress`")
}

/// Points at the first few virtual routers of a file, or at its beginning when it has none.
fn point_at_routers(mut finding: Diagnostic, files: &[DirectorFile], at: usize) -> Diagnostic {
    const SHOWN: usize = 4;
    let Some(file) = files.get(at) else { return finding };
    for router in file.config.routers.iter().take(SHOWN) {
        let text = format!("{}: virtual router {} (`{}`)", file.name, router.vrid, router.name);
        finding = finding.at(router.places.of("virtual_router_id"), text);
    }
    match (file.config.routers.is_empty(), file.head) {
        (true, Some(head)) => finding.at(head, format!("{}: no vrrp_instance in this file", file.name)),
        (true, None) => finding.note(format!("{}: no vrrp_instance in this file", file.name)),
        (false, _) => finding,
    }
}

/// Ports that are joined are on one segment.
#[derive(Default)]
struct Join {
    ports: Vec<Port>,
    known: BTreeMap<Port, usize>,
    class: Vec<usize>,
}

impl Join {
    fn add(&mut self, port: Port) -> usize {
        if let Some(at) = self.known.get(&port) {
            return *at;
        }
        let at = self.ports.len();
        self.class.push(at);
        self.ports.push(port.clone());
        self.known.insert(port, at);
        at
    }

    fn join(&mut self, a: &Port, b: &Port) {
        let (a, b) = (self.add(a.clone()), self.add(b.clone()));
        let (Some(a), Some(b)) = (self.class.get(a).copied(), self.class.get(b).copied()) else { return };
        let (keep, drop) = (a.min(b), a.max(b));
        self.class.iter_mut().filter(|class| **class == drop).for_each(|class| *class = keep);
    }

    fn classes(self) -> Vec<Vec<Port>> {
        let mut classes: BTreeMap<usize, Vec<Port>> = BTreeMap::new();
        for (port, class) in self.ports.into_iter().zip(self.class) {
            classes.entry(class).or_default().push(port);
        }
        classes.into_values().collect()
    }
}
