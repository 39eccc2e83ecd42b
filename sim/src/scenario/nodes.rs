//! The nodes: directors with their configurations, real servers, clients, segments.

use super::model::*;
use super::read::{Reader, Table, Value};
use super::words::{self, Key, names};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use vipward_core::config;
use vipward_core::interface::InterfaceName;
use vipward_core::settings;
use vipward_core::text::{Diagnostic, Span};
use vipward_core::time::Duration;

impl Reader<'_> {
    /// The tables `[kind.NAME]`, in order.
    pub(super) fn named<'t>(&mut self, top: &Table<'t>, kind: &str, known: &'static [Key]) -> Vec<(String, Table<'t>)> {
        let known = names(known);
        let Some(value) = top.get(kind) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(self.of_value(value), format!("expected tables `[{kind}.NAME]`"), "");
            return Vec::new();
        };
        let outer = self.any_table(table, self.of_value(value));
        let mut named = Vec::new();
        for (name, range, value) in outer.words {
            let head = self.span(range);
            let Some(table) = value.get_ref().as_table() else {
                self.wrong(head, format!("expected a table `[{kind}.{name}]`"), "");
                continue;
            };
            // A word that is an address would mean that address to turmoil.
            if name.is_empty() || name == "router" || name.parse::<std::net::IpAddr>().is_ok() {
                self.wrong(head, format!("a node can't be called `{name}`"), "");
            }
            if kind != "segment"
                && let Some(first) = self.heads.insert(name.clone(), head)
            {
                let message = format!("two nodes are called `{name}`");
                self.error(Diagnostic::error("name-twice", message).at(head, "again here").also(first, "first here"));
            }
            let table = self.table(table, head, &known);
            named.push((name, table));
        }
        named
    }

    pub(super) fn read_segments(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "segment", words::SEGMENT) {
            let delay = self.duration(&table, "delay").unwrap_or_default();
            let loss = self.share(&table, "lose").unwrap_or_default();
            self.segments.push(SegmentPlan { name: name.into(), delay, loss });
        }
    }

    pub(super) fn read_routed(&mut self, top: &Table<'_>) -> Vec<SegmentId> {
        let Some(value) = top.get("routed") else { return Vec::new() };
        let mut routed = Vec::new();
        for value in self.list(value) {
            if let Some(name) = self.text(value, "the name of a segment") {
                let span = self.of_value(value);
                routed.extend(self.segment_named(name, span));
            }
        }
        routed
    }

    pub(super) fn add_router(&mut self, routed: &[SegmentId]) {
        if routed.is_empty() {
            return;
        }
        let ports = routed.iter().enumerate().map(|(at, segment)| {
            let network = self.nodes.iter().flat_map(|node| &node.ports).find(|port| port.segment == *segment);
            PortPlan {
                interface: InterfaceName::new(&format!("port{at}")),
                segment: *segment,
                address: network.and_then(|port| port.address),
            }
        });
        let ports = ports.collect();
        self.nodes.push(NodePlan { name: "router".into(), ports, kind: NodeKind::Router });
    }

    pub(super) fn read_directors(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "director", words::DIRECTOR) {
            let mut ports = Vec::new();
            match table.get("interfaces").map(|value| (value, value.get_ref().as_table())) {
                Some((value, Some(interfaces))) => {
                    for (interface, _, value) in self.any_table(interfaces, self.of_value(value)).words {
                        for value in self.list(value) {
                            ports.extend(self.port(&interface, value));
                        }
                    }
                }
                Some((value, None)) => {
                    self.wrong(self.of_value(value), "expected interfaces", "`interfaces.eth0 = \"ADDRESS/LEN\"`");
                }
                None => self.missing(table.span, "interfaces", "which interfaces does this director have?"),
            }
            let config = match table.get("config") {
                Some(value) => self.config(value, &table, None, &name),
                None => {
                    self.missing(table.span, "config", "which configuration file does this director run?");
                    None
                }
            };
            let listens = self.ports(&table, "listens").unwrap_or_default();
            let tracks = self.tracks(&table, config.as_ref().and_then(|file| file.config.as_deref()), &listens);
            let starts = self.boolean(&table, "starts").unwrap_or(true);
            let config =
                config.unwrap_or(ConfigFile { path: PathBuf::new(), config: None, codes: Vec::new(), settings: None });
            let dataplane = self.dataplane(&table).unwrap_or_default();
            let drift_ppm = self.drift(&table).unwrap_or_default();
            let loopback = self.loopback(&table);
            let kind =
                NodeKind::Director(DirectorPlan { config, listens, loopback, tracks, starts, dataplane, drift_ppm });
            self.nodes.push(NodePlan { name: name.into(), ports, kind });
        }
    }

    /// `200ppm`, `-35ppm`: no crystal is worse than a thousandth.
    fn drift(&mut self, table: &Table<'_>) -> Option<i32> {
        let value = table.get("drift")?;
        let text = self.text(value, "a drift like \"-200ppm\"")?;
        let drift = text.strip_suffix("ppm").and_then(|number| number.trim().parse().ok());
        let drift = drift.filter(|ppm: &i32| (-1000..=1000).contains(ppm));
        if drift.is_none() {
            let message = format!("`{text}` is not a drift between -1000ppm and 1000ppm");
            self.wrong(self.of_value(value), message, "write \"200ppm\"");
        }
        drift
    }

    pub(super) fn dataplane(&mut self, table: &Table<'_>) -> Option<Dataplane> {
        let value = table.get("dataplane")?;
        match self.text(value, "a dataplane")? {
            "ipvs" => Some(Dataplane::Ipvs),
            "relay" => Some(Dataplane::Relay),
            other => {
                self.wrong(self.of_value(value), format!("unknown dataplane `{other}`"), "ipvs or relay");
                None
            }
        }
    }

    /// Reads a configuration and its settings: those of `settings` or, for a `reload` without, of `before`, else what is
    /// beside the configuration. Its mistakes are the scenario's own, unless `mistakes` names their codes.
    pub(super) fn config(
        &mut self,
        value: &Value<'_>,
        table: &Table<'_>,
        before: Option<PathBuf>,
        node: &str,
    ) -> Option<ConfigFile> {
        let written = self.text(value, "a file name")?.to_owned();
        let place = self.of_value(value);
        let named = self.named_mistakes(table);
        let options = config::Options { config_id: node.to_owned(), ..config::Options::default() };
        let path = self.folder.join(&written);
        let loaded = config::load(&mut self.sources, self.files, &path, &options);
        let settings = match table.get("settings") {
            Some(value) => Some(PathBuf::from(self.text(value, "a file name")?)),
            None => before,
        };
        let given = settings.as_ref().map(|settings| self.folder.join(settings));
        let (read, mut said) = settings::load(&mut self.sources, self.files, &path, given.as_deref());
        let mut config = loaded.best_effort().clone();
        said.extend(read.unwrap_or_default().complete(&mut config, node));
        let found: Vec<Diagnostic> = loaded.diagnostics.into_iter().chain(said).collect();
        let codes = found.iter().map(|found| found.code.to_owned()).collect();
        self.mistakes(found, named, place, &format!("`{written}`"));
        Some(ConfigFile { path: PathBuf::from(written), config: Some(Arc::new(config)), codes, settings })
    }

    /// The mistakes between the directors' files are the scenario's own as well, unless its `mistakes` names them.
    pub(super) fn check_cluster(&mut self, top: &Table<'_>) -> Vec<String> {
        let nodes: Vec<(Arc<str>, Arc<config::Config>)> = self
            .nodes
            .iter()
            .filter_map(|node| match &node.kind {
                NodeKind::Director(director) => Some((node.name.clone(), director.config.config.clone()?)),
                NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
            })
            .collect();
        let cluster: Vec<config::cluster::Node<'_>> =
            nodes.iter().map(|(name, config)| config::cluster::Node { name, config }).collect();
        let found = config::cluster::check(&cluster);
        let codes = found.iter().map(|found| found.code.to_owned()).collect();
        let named = self.named_mistakes(top);
        self.mistakes(found, named, top.span, "the cluster");
        codes
    }

    /// `mistakes`: codes, with their places.
    fn named_mistakes(&mut self, table: &Table<'_>) -> Option<Vec<(String, Span)>> {
        let listed = self.list(table.get("mistakes")?);
        Some(
            listed
                .into_iter()
                .filter_map(|code| Some((self.text(code, "a code")?.to_owned(), self.of_value(code))))
                .collect(),
        )
    }

    /// Named mistakes must have been made; errors that nobody named make the scenario useless.
    fn mistakes(&mut self, found: Vec<Diagnostic>, named: Option<Vec<(String, Span)>>, place: Span, whose: &str) {
        let codes: Vec<String> = found.iter().map(|found| found.code.to_owned()).collect();
        for (code, span) in named.iter().flatten().filter(|(code, _)| !codes.contains(code)) {
            let message = format!("{whose} has no mistake `{code}`");
            let found = format!("found were: {}", unique(&codes).join(", "));
            self.error(Diagnostic::error("mistake-not-made", message).at(*span, "").note(found));
        }
        let unnamed =
            |found: &Diagnostic| found.is_error() && !named.iter().flatten().any(|(code, _)| code == found.code);
        let unnamed: Vec<Diagnostic> = found.into_iter().filter(unnamed).collect();
        if unnamed.is_empty() {
            return;
        }
        let mut left: Vec<String> = unnamed.iter().map(|found| format!("{:?}", found.code)).collect();
        left = unique(&left);
        let unplaced = unnamed.iter().any(|found| found.labels.is_empty());
        // What has no place in the file itself (it can't be read) is about the line that names it.
        let placed = unnamed.into_iter().map(|found| if found.labels.is_empty() { found.at(place, "") } else { found });
        self.diagnostics.extend(placed);
        if unplaced {
            self.failed = true;
            return;
        }
        self.error(
            Diagnostic::error("config-mistakes", format!("{whose} has mistakes that nobody named")).at(place, "").help(
                format!("mend them, or write `mistakes = [{}]` to run what could be understood", left.join(", ")),
            ),
        );
    }

    pub(super) fn read_servers(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "real_server", words::REAL_SERVER) {
            let ports = self.only_port(&table);
            let loopback = self.loopback(&table);
            let kind = NodeKind::RealServer(ServerPlan {
                listens: self.ports(&table, "listens").unwrap_or_else(|| vec![80]),
                loopback,
                gateway: table.get("gateway").and_then(|value| self.parsed(value, "an address")),
                tunnel: self.boolean(&table, "tunnel").unwrap_or(false),
            });
            self.nodes.push(NodePlan { name: name.into(), ports, kind });
        }
    }

    fn loopback(&mut self, table: &Table<'_>) -> Vec<IpAddr> {
        let listed = table.get("loopback").map(|value| self.list(value)).unwrap_or_default();
        listed.into_iter().filter_map(|value| self.parsed(value, "an address")).collect()
    }

    pub(super) fn read_quorum(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "quorum", words::QUORUM) {
            if self.nodes.iter().any(|node| matches!(node.kind, NodeKind::Quorum(_))) {
                self.wrong(table.span, "there is a quorum service already", "one stands for the whole ensemble");
            }
            let ports = self.only_port(&table);
            let tick = self.duration(&table, "tick").filter(|tick| !tick.is_zero()).unwrap_or(Duration::from_secs(2));
            let drift_ppm = self.drift(&table).unwrap_or_default();
            let kind = NodeKind::Quorum(QuorumPlan { tick, drift_ppm });
            self.nodes.push(NodePlan { name: name.into(), ports, kind });
        }
    }

    pub(super) fn read_clients(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "client", words::CLIENT) {
            let ports = self.only_port(&table);
            let target = match table.get("asks") {
                Some(value) => self.parsed(value, "an address with a port, like 192.0.2.1:80"),
                None => {
                    self.missing(table.span, "asks", "whom does this client ask?");
                    None
                }
            };
            let every = self.duration(&table, "every").unwrap_or(Duration::from_millis(100));
            if every.is_zero() {
                self.wrong(table.span, "a client can't ask all the time", "`every` must be at least 1ms");
            }
            let kind = NodeKind::Client(ClientPlan {
                target: target.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
                every,
                timeout: self.duration(&table, "timeout").unwrap_or(Duration::from_secs(1)),
                from: self.duration(&table, "from").unwrap_or_default(),
                keeps: self.integer(&table, "keeps").unwrap_or(0),
            });
            self.nodes.push(NodePlan { name: name.into(), ports, kind });
        }
    }

    pub(super) fn only_port(&mut self, table: &Table<'_>) -> Vec<PortPlan> {
        match table.get("address") {
            Some(value) => self.port("eth0", value).into_iter().collect(),
            None => {
                self.missing(table.span, "address", "where is it?");
                Vec::new()
            }
        }
    }
}

fn unique(codes: &[String]) -> Vec<String> {
    let mut codes = codes.to_vec();
    codes.sort();
    codes.dedup();
    codes
}
