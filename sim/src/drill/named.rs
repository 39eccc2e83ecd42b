//! The addresses and machines that the directors' files name.

use super::files::DirectorFile;
use super::wires::routers;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use vipward_core::config::{Transport, VirtualServer};
use vipward_core::ipvs::Forwarding;

/// What all files together say about one machine behind the directors.
#[derive(Default)]
pub(super) struct Backend {
    pub listens: BTreeSet<u16>,
    pub loopback: BTreeSet<IpAddr>,
    pub tunnel: bool,
    pub nat: bool,
    /// A `real_server` names it, not only a `sorry_server` or a `connect_ip`.
    pub real: bool,
    /// The files that name it.
    pub named_by: BTreeSet<usize>,
}

pub(super) fn services(files: &[DirectorFile]) -> impl Iterator<Item = (usize, &VirtualServer)> {
    files.iter().enumerate().flat_map(|(at, file)| file.config.services.iter().map(move |service| (at, service)))
}

/// Every address that virtual routers hold.
pub(super) fn held(files: &[DirectorFile]) -> impl Iterator<Item = IpAddr> {
    routers(files).flat_map(|(_, router)| router.addresses.iter().chain(&router.excluded)).map(|it| it.address)
}

/// Every address that belongs to somebody by what the files say, machines behind the directors excepted.
pub(super) fn named_addresses(files: &[DirectorFile]) -> impl Iterator<Item = IpAddr> {
    let speakers = routers(files).flat_map(|(_, router)| {
        let peers: &[IpAddr] = match &router.transport {
            Transport::Unicast { peers } => peers,
            Transport::Multicast { .. } => &[],
        };
        router.source.iter().chain(peers).copied()
    });
    held(files).chain(speakers).chain(services(files).map(|(_, service)| service.key.address.ip()))
}

/// Every machine behind the directors; one that several lines name is there once.
pub(super) fn backends(files: &[DirectorFile]) -> BTreeMap<IpAddr, Backend> {
    let mut backends: BTreeMap<IpAddr, Backend> = BTreeMap::new();
    let mut add = |at: usize, service: &VirtualServer, address: SocketAddr, forwarding: Forwarding, real: bool| {
        let backend = backends.entry(address.ip()).or_default();
        backend.real |= real;
        backend.named_by.insert(at);
        let vip = service.key.address;
        backend.listens.insert(if address.port() == 0 { vip.port() } else { address.port() });
        match forwarding {
            Forwarding::Nat => backend.nat = true,
            Forwarding::Dr | Forwarding::Tun => {
                backend.listens.insert(vip.port());
                backend.loopback.insert(vip.ip());
                backend.tunnel |= forwarding == Forwarding::Tun;
            }
        }
    };
    for (at, service) in services(files) {
        for server in &service.real_servers {
            add(at, service, server.address, server.forwarding, true);
        }
        if let Some(sorry) = &service.sorry_server {
            add(at, service, sorry.address, sorry.forwarding, false);
        }
    }
    for (at, service) in services(files) {
        for checker in service.real_servers.iter().flat_map(|server| &server.checkers) {
            let backend = backends.entry(checker.target.ip()).or_default();
            backend.listens.insert(checker.target.port());
            backend.named_by.insert(at);
        }
    }
    backends
}
