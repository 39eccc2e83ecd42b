//! Segments, and who is on them.

use super::lives::{Director, Life};
use super::text::{file_name, quoted, settings};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use vipward_core::interface::{Family, InterfaceName};
use vipward_core::time::Instant;

/// Segments, and who is on them.
pub(super) struct Network {
    /// Network address and prefix length of each.
    pub(super) segments: Vec<(Ipv4Addr, u8)>,
    /// Real servers, with their ports; which segment.
    pub(super) servers: BTreeMap<Ipv4Addr, (BTreeSet<u16>, usize)>,
    /// Segments from here on are behind a router: no director is on them.
    pub(super) behind: usize,
}

impl Network {
    pub(super) fn of(directors: &[Director]) -> Result<Self, String> {
        let mut segments: Vec<(Ipv4Addr, u8)> = Vec::new();
        let mut own = BTreeSet::new();
        for director in directors {
            let configs = director.runs.iter().flat_map(|life| &life.configs);
            let mut routers = configs.flat_map(|(_, config, _)| &config.routers);
            // Link-local networks are the same on every segment: which interfaces share one is not known from addresses.
            if let Some(router) = routers.find(|router| router.family == Family::V6) {
                let (name, of) = (&router.name, &director.name);
                return Err(format!("{name} of {of} is IPv6: `replay` shows it, but makes no scenario of it yet"));
            }
            let addresses: Vec<_> = director.runs.iter().flat_map(|life| life.addresses.values()).collect();
            if addresses.is_empty() {
                return Err(format!("the record of {} does not say which addresses it has", director.name));
            }
            if director.config().is_none() {
                return Err(format!("the record of {} does not say which configuration it ran", director.name));
            }
            for (address, length) in addresses {
                own.insert(*address);
                let network = (masked(*address, *length), *length);
                if !segments.contains(&network) {
                    segments.push(network);
                }
            }
        }
        let behind = segments.len();
        let mut servers: BTreeMap<Ipv4Addr, (BTreeSet<u16>, usize)> = BTreeMap::new();
        let configs = directors.iter().flat_map(|director| &director.runs).flat_map(|life| &life.configs);
        let services = configs.flat_map(|(_, config, _)| &config.services);
        let addresses = services.flat_map(|service| {
            service.real_servers.iter().flat_map(|server| {
                std::iter::once(server.address).chain(server.checkers.iter().map(|checker| checker.target))
            })
        });
        for address in addresses {
            let IpAddr::V4(ip) = address.ip() else { continue };
            if own.contains(&ip) || ip.is_loopback() {
                continue;
            }
            let on = |(network, length): &(Ipv4Addr, u8)| masked(ip, *length) == *network;
            let segment = segments.iter().position(on).unwrap_or_else(|| {
                segments.push((masked(ip, 24), 24));
                segments.len() - 1
            });
            servers.entry(ip).or_insert((BTreeSet::new(), segment)).0.insert(address.port());
        }
        Ok(Self { segments, servers, behind })
    }

    pub(super) fn text(&self, directors: &[Director], folder: &str) -> String {
        let mut text = String::new();
        for (at, (network, length)) in self.segments.iter().enumerate() {
            let _ = writeln!(text, "\n# {network}/{length}\n[segment.{}]", segment(at));
        }
        for director in directors {
            let config = PathBuf::from(folder).join(file_name(&director.name, 0));
            let _ = writeln!(
                text,
                "\n[director.{}]\nconfig = {}\nsettings = {}",
                quoted(&director.name),
                quoted(&config.to_string_lossy()),
                quoted(&settings(folder, director.config()))
            );
            if director.runs.first().is_some_and(|life| life.began > Instant::ZERO) {
                text.push_str("starts = false\n");
            }
            let mut interfaces = BTreeMap::new();
            for life in &director.runs {
                for (interface, (address, length)) in &life.addresses {
                    interfaces.entry(interface.as_str()).or_insert((*address, *length));
                }
            }
            let known: BTreeSet<&str> = interfaces.keys().copied().collect();
            for (interface, (address, length)) in interfaces {
                let network = (masked(address, length), length);
                let at = self.segments.iter().position(|segment| *segment == network).unwrap_or_default();
                let port = format!("{address}/{length} on {}", segment(at));
                let _ = writeln!(text, "interfaces.{} = {}", quoted(interface), quoted(&port));
            }
            // What is tracked may have no address.
            let used: BTreeSet<&InterfaceName> = director.runs.iter().flat_map(Life::uses).collect();
            for name in used.into_iter().filter(|name| !known.contains(name.as_str())) {
                let _ =
                    writeln!(text, "interfaces.{} = {}", quoted(name.as_str()), quoted(&format!("on {}", segment(0))));
            }
        }
        for (address, (ports, at)) in &self.servers {
            let length = self.segments.get(*at).map_or(24, |(_, length)| *length);
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "\n[real_server.{}]\naddress = {}\nlistens = [{}]",
                server(*address),
                quoted(&format!("{address}/{length} on {}", segment(*at))),
                ports.join(", ")
            );
        }
        text
    }

    /// `routed`, a word of the file's top.
    pub(super) fn routed(&self) -> Option<String> {
        let names: Vec<String> = (0..self.segments.len()).map(|at| quoted(&segment(at))).collect();
        (self.behind < self.segments.len()).then(|| format!("routed = [{}]\n", names.join(", ")))
    }
}

pub(super) fn masked(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask)
}

fn segment(at: usize) -> String {
    format!("net{}", at + 1)
}

pub(super) fn server(address: Ipv4Addr) -> String {
    format!("rs-{}", address.to_string().replace('.', "-"))
}
