//! The addresses and machines that the directors' files name.

use super::files::DirectorFile;
use super::wires::routers;
use super::words;
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
    held(files)
        .chain(speakers)
        .chain(services(files).flat_map(|(_, service)| service.entries.addresses().map(|address| address.ip())))
}

/// Every machine behind the directors; one that several lines name is there once.
pub(super) fn backends(files: &[DirectorFile]) -> BTreeMap<IpAddr, Backend> {
    let mut backends: BTreeMap<IpAddr, Backend> = BTreeMap::new();
    let mut add = |at: usize, service: &VirtualServer, address: SocketAddr, forwarding: Forwarding, real: bool| {
        let backend = backends.entry(address.ip()).or_default();
        backend.real |= real;
        backend.named_by.insert(at);
        backend.nat |= forwarding == Forwarding::Nat;
        backend.tunnel |= forwarding.tunnel().is_some();
        if address.port() != 0 {
            backend.listens.insert(address.port());
        }
        for vip in service.entries.addresses() {
            if address.port() == 0 || forwarding != Forwarding::Nat {
                backend.listens.insert(vip.port());
            }
            if forwarding != Forwarding::Nat {
                backend.loopback.insert(vip.ip());
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

/// Which virtual servers no client of a drill can ask.
pub(super) fn unasked_marks(files: &[DirectorFile]) -> Option<String> {
    let marks: BTreeSet<u32> = services(files).flat_map(|(_, service)| service.entries.marks()).collect();
    let marks: Vec<String> = marks.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = marks.iter().map(String::as_str).collect();
    let text = || {
        format!("nobody asks fwmark {}: which packets have a mark only the packet filter knows", words::list(&names))
    };
    (!names.is_empty()).then(text)
}
