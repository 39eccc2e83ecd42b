//! `expect`: what must hold.

use super::model::*;
use super::read::{Reader, Table, Value};
use super::values::{is_any, is_client, is_director, is_server, keeps_some};
use super::words::{self, nearest};
use std::net::{IpAddr, SocketAddr};
use vipward_core::config;
use vipward_core::quantity::Role;
use vipward_core::time::Instant;

impl Reader<'_> {
    pub(super) fn read_expectations(&mut self, top: &Table<'_>) -> Vec<Expectation> {
        let mut expectations = Vec::new();
        for (table, verb) in self.lines(top, "expect", words::EXPECT, &["at", "from", "until"]) {
            let at = self.duration(&table, "at");
            let (from, until) = (self.duration(&table, "from").or(at), self.duration(&table, "until").or(at));
            let window = Window {
                from: Instant::ZERO + from.unwrap_or_default(),
                until: until.map_or(END, |until| Instant::ZERO + until),
            };
            if window.until < window.from {
                self.wrong(table.span, "this window ends before it begins", "");
            }
            let state = matches!(verb.word, "owner" | "role" | "destinations");
            if state && from.is_none() && until.is_none() {
                self.missing(table.span, "at", "when? `at`, or `from` and `until`");
                continue;
            }
            let what = table.get(verb.word).and_then(|value| self.expect(verb.word, value, &table, window));
            if let Some(what) = what {
                expectations.push(Expectation { what, span: table.span });
            }
        }
        expectations
    }

    pub(super) fn expect(
        &mut self,
        verb: &str,
        value: &Value<'_>,
        table: &Table<'_>,
        window: Window,
    ) -> Option<Expect> {
        match verb {
            "owner" => {
                let owners = if value.get_ref().as_str() == Some("none") {
                    Vec::new()
                } else {
                    self.nodes_of(value, "director", is_director)
                };
                let address = match table.get("address") {
                    Some(value) => self.parsed(value, "an address")?,
                    None => self.only_address(table)?,
                };
                Some(Expect::Owner { address, owners, window })
            }
            "role" => {
                let text = self.text(value, "a role")?;
                let role = match text {
                    "INIT" => Role::Init,
                    "BACKUP" => Role::Backup,
                    "MASTER" => Role::Master,
                    "FAULT" => Role::Fault,
                    _ => {
                        self.wrong(
                            self.of_value(value),
                            format!("`{text}` is no role"),
                            "INIT, BACKUP, MASTER or FAULT",
                        );
                        return None;
                    }
                };
                let node = self.node_of(table, "of", "director", is_director)?;
                Some(Expect::Role { node, router: self.string(table, "router").map(Into::into), role, window })
            }
            "role_changes" => {
                let node = self.node_of(table, "of", "director", is_director)?;
                let count = self.count(value)?;
                Some(Expect::RoleChanges { node, router: self.string(table, "router").map(Into::into), count, window })
            }
            "destinations" => {
                let listed = self.list(value);
                let mut destinations = Vec::new();
                for value in listed {
                    destinations.extend(self.destination(value, table));
                }
                destinations.sort_unstable();
                let node = self.node_of(table, "on", "director", is_director)?;
                let service = match table.get("of") {
                    Some(value) => self.parsed(value, "a service like 192.0.2.1:80")?,
                    None => self.only_service(table)?,
                };
                Some(Expect::Destinations { service, node, destinations, window })
            }
            "longest_outage" => {
                let client = self.node_of(table, "of", "client", is_client)?;
                Some(Expect::LongestOutage { client, most: self.duration(table, verb)?, window })
            }
            "failed_share" => {
                let client = self.node_of(table, "of", "client", is_client)?;
                Some(Expect::FailedShare { client, most: self.share(table, verb)?, window })
            }
            "served_by" => {
                let client = self.node_of(table, "of", "client", is_client)?;
                Some(Expect::ServedBy { client, servers: self.nodes_of(value, "node", is_any), window })
            }
            "broken_connections" => {
                let client = self.node_of(table, "of", "client that keeps connections", keeps_some)?;
                Some(Expect::BrokenConnections { client, count: self.count(value)?, window })
            }
            "decision" | "mail" => {
                let text = self.text(value, "a part of a decision or a subject")?.to_owned();
                let node = match table.get("by") {
                    Some(value) => Some(self.node(value, "director", is_director)?),
                    None => None,
                };
                let count = match table.get("times") {
                    Some(value) => self.count(value)?,
                    None => Count { least: 1, most: u64::MAX },
                };
                Some(match verb {
                    "mail" => Expect::Mail { text, node, window, count },
                    _ => Expect::Decision { text, node, window, count },
                })
            }
            "violation" => {
                let name = self.text(value, "the name of an invariant")?;
                if !super::invariant::ALL.contains(&name) {
                    let names: Vec<String> = super::invariant::ALL.iter().map(ToString::to_string).collect();
                    let near = nearest(name, super::invariant::ALL.iter().copied());
                    self.no_such("invariant", name, self.of_value(value), near, &names);
                    return None;
                }
                let naming = table.get("naming").map(|value| self.list(value)).unwrap_or_default();
                let naming =
                    naming.into_iter().filter_map(|value| self.text(value, "text").map(str::to_owned)).collect();
                Some(Expect::Violation { invariant: name.into(), naming })
            }
            "diagnostic" => {
                let code = self.text(value, "the code of a diagnostic")?;
                let node = match table.get("of") {
                    Some(value) => Some(self.node(value, "director", is_director)?),
                    None => None,
                };
                Some(Expect::Diagnostic { code: code.into(), node })
            }
            // Every word of the table `EXPECT` has its arm above.
            _ => None,
        }
    }

    /// A destination as `ADDRESS:PORT`, or the name of a real server, which then has its first port.
    pub(super) fn destination(&mut self, value: &Value<'_>, _table: &Table<'_>) -> Option<SocketAddr> {
        let text = self.text(value, "a real server")?;
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let id = self.node(value, "real server", is_server)?;
        let node = self.nodes.get(id.0)?;
        let NodeKind::RealServer(server) = &node.kind else { return None };
        let (address, _) = node.ports.first()?.address?;
        Some(SocketAddr::new(address, server.listens.first().copied().unwrap_or(80)))
    }

    pub(super) fn nodes_of(&mut self, value: &Value<'_>, kind: &str, fits: fn(&NodeKind) -> bool) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> =
            self.list(value).into_iter().filter_map(|value| self.node(value, kind, fits)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    pub(super) fn count(&mut self, value: &Value<'_>) -> Option<Count> {
        if let Some(text) = value.get_ref().as_str() {
            let parsed = match text.split_whitespace().collect::<Vec<_>>()[..] {
                ["at", "most", n] => n.parse().ok().map(|most| Count { least: 0, most }),
                ["at", "least", n] => n.parse().ok().map(|least| Count { least, most: u64::MAX }),
                _ => None,
            };
            if parsed.is_none() {
                self.wrong(self.of_value(value), "expected 2, \"at most 2\" or \"at least 2\"", "");
            }
            return parsed;
        }
        self.whole(value).map(|n| Count { least: n, most: n })
    }

    /// The virtual address, when the configurations name only one.
    pub(super) fn only_address(&mut self, table: &Table<'_>) -> Option<IpAddr> {
        let mut all: Vec<IpAddr> = self
            .configs()
            .flat_map(|config| &config.routers)
            .flat_map(|router| router.addresses.iter().map(|address| address.address))
            .collect();
        all.sort_unstable();
        all.dedup();
        match all[..] {
            [address] => Some(address),
            _ => {
                let listed: Vec<String> = all.iter().map(ToString::to_string).collect();
                self.missing(table.span, "address", &format!("which one? The directors have {}", listed.join(", ")));
                None
            }
        }
    }

    pub(super) fn only_service(&mut self, table: &Table<'_>) -> Option<SocketAddr> {
        let mut all: Vec<SocketAddr> =
            self.configs().flat_map(|config| config.services.iter().flat_map(|it| it.entries.addresses())).collect();
        all.sort_unstable();
        all.dedup();
        match all[..] {
            [service] => Some(service),
            _ => {
                self.missing(table.span, "of", "which service?");
                None
            }
        }
    }

    pub(super) fn configs(&self) -> impl Iterator<Item = &config::Config> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Director(director) => director.config.config.as_deref(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
        })
    }
}

/// Stands for the end of the run until it is known.
const END: Instant = Instant::from_nanos(u64::MAX);

pub(super) fn clamp(what: &mut Expect, end: Instant) {
    match what {
        Expect::Owner { window, .. }
        | Expect::Role { window, .. }
        | Expect::RoleChanges { window, .. }
        | Expect::Destinations { window, .. }
        | Expect::LongestOutage { window, .. }
        | Expect::FailedShare { window, .. }
        | Expect::ServedBy { window, .. }
        | Expect::BrokenConnections { window, .. }
        | Expect::Mail { window, .. }
        | Expect::Decision { window, .. } => window.until = window.until.min(end),
        Expect::Violation { .. } | Expect::Diagnostic { .. } => {}
    }
}
