//! `[relay]`: the relay in user space, which carries virtual servers where the kernel has no IPVS.

use super::reader::{Key, Reader, Value};
use crate::config::Config;
use crate::text::{Diagnostic, Span};
use crate::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub const KEYS: &[&str] = &["connections", "idle_timeout", "half_close_timeout", "stall_timeout", "services"];

/// The same without `services`.
const SERVICE_KEYS: &[&str] = &["connections", "idle_timeout", "half_close_timeout", "stall_timeout"];

/// A million connections need two million descriptors.
const MOST_CONNECTIONS: u64 = 1_000_000;

/// A week: what is silent for longer has been forgotten.
const LONGEST_IDLE: u64 = 604_800;

/// A day.
const LONGEST_OTHER: u64 = 86_400;

/// What holds for each virtual server that the relay carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    /// For those that have no table of their own, and for what such a table leaves out.
    pub usual: RelayLimits,
    /// `[relay.services."ADDRESS:PORT"]`, by the virtual server's address.
    services: BTreeMap<SocketAddr, ServiceTable>,
}

/// One virtual server's limits. A connection has those that hold when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// `connections`, 1..=1000000: so many at a time. None: its share of what the relay can carry.
    pub connections: Option<u32>,
    /// `idle_timeout`, in seconds, 1..=604800, default 3600: how long no byte may move in either direction.
    pub idle: Duration,
    /// `half_close_timeout`, in seconds, 1..=86400, default 120: the same once one side has ended its half.
    pub half_close: Duration,
    /// `stall_timeout`, in seconds, 1..=86400, default 120: how long one side may take nothing of what waits for it.
    pub stall: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            connections: None,
            // IPVS forgets a connection after 900 s without a packet, but there a keepalive is one. Here it is no byte.
            idle: Duration::from_secs(3_600),
            // As IPVS forgets one of which it has seen a FIN.
            half_close: Duration::from_secs(120),
            stall: Duration::from_secs(120),
        }
    }
}

/// What a table says; none: what [`Relay::usual`] says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    connections: Option<u32>,
    idle: Option<Duration>,
    half_close: Option<Duration>,
    stall: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ServiceTable {
    place: Span,
    said: Said,
}

impl Relay {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        if key.get_ref() == "services" {
            for (name, value) in reader.table("relay.services", value).into_iter().flatten() {
                self.service(reader, name, value);
            }
            return;
        }
        let mut said = Said::default();
        said.read(reader, key, value, KEYS);
        self.usual = said.over(self.usual);
    }

    fn service(&mut self, reader: &mut Reader<'_>, name: &Key<'_>, value: &Value<'_>) {
        let Ok(address) = name.get_ref().parse::<SocketAddr>() else {
            let message = format!(
                "expected the address of a virtual server with its port, such as \"192.0.2.100:80\", found `{}`",
                name.get_ref()
            );
            return reader.wrong("bad-value", message, name.span());
        };
        let Some(table) = reader.table(&format!("relay.services.\"{address}\""), value) else { return };
        let mut said = Said::default();
        for (key, value) in table {
            said.read(reader, key, value, SERVICE_KEYS);
        }
        let place = reader.span(name.span());
        // One address can be written in two ways (IPv6).
        if self.services.insert(address, ServiceTable { place, said }).is_some() {
            reader.wrong("twice", format!("`{address}` has a table already"), name.span());
        }
    }

    /// What holds for the virtual server at this address.
    pub fn limits(&self, address: Option<SocketAddr>) -> RelayLimits {
        address.and_then(|address| self.services.get(&address)).map_or(self.usual, |table| table.said.over(self.usual))
    }

    /// Tables of virtual servers that `config` does not have. They do no harm, and several configurations may share one
    /// `vipward.toml`.
    pub(super) fn unknown_services(&self, config: &Config) -> Vec<Diagnostic> {
        let known = |address: &SocketAddr| config.services.iter().any(|service| service.entries.is_at(*address));
        let unknown = self.services.iter().filter(|(address, _)| !known(address));
        unknown
            .map(|(address, table)| {
                let message = format!("there is no `virtual_server {} {}`", address.ip(), address.port());
                Diagnostic::warning("unknown-service", message).at(table.place, "").note("its limits hold for nobody")
            })
            .collect()
    }
}

impl Said {
    fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>, known: &[&str]) {
        let mut seconds = |longest| reader.number(value, 1..=longest).map(Duration::from_secs);
        match key.get_ref().as_ref() {
            "connections" => {
                self.connections = reader.number(value, 1..=MOST_CONNECTIONS).and_then(|it| u32::try_from(it).ok());
            }
            "idle_timeout" => self.idle = seconds(LONGEST_IDLE),
            "half_close_timeout" => self.half_close = seconds(LONGEST_OTHER),
            "stall_timeout" => self.stall = seconds(LONGEST_OTHER),
            _ => reader.unknown(key, known),
        }
    }

    fn over(self, usual: RelayLimits) -> RelayLimits {
        RelayLimits {
            connections: self.connections.or(usual.connections),
            idle: self.idle.unwrap_or(usual.idle),
            half_close: self.half_close.unwrap_or(usual.half_close),
            stall: self.stall.unwrap_or(usual.stall),
        }
    }
}
