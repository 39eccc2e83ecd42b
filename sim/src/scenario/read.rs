//! From TOML to a [`Scenario`]. Every mistake is reported, with its place, in the look of configuration mistakes.

use super::model::*;
use super::words::{self, Word, nearest};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vipward_core::config::{self, Diagnostic, FileId, Files, Sources, Span};
use vipward_core::interface::InterfaceName;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::Role;

/// What reading gave.
#[derive(Debug)]
pub struct Loaded {
    /// None when there is an error in the scenario, or one in a configuration that nobody named.
    pub scenario: Option<Scenario>,
    /// Mistakes, in the order in which they were found.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that they point into.
    pub sources: Sources,
}

/// The files that `path` means: itself, or every `*.toml` in the folder that is a scenario, in order.
pub fn scenario_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the scenario at `path` and the configurations that it names, by the production reader.
pub fn load(path: &Path) -> Loaded {
    let mut reader = Reader {
        sources: Sources::default(),
        file: FileId::default(),
        diagnostics: Vec::new(),
        folder: path.parent().map(Path::to_owned).unwrap_or_default(),
        failed: false,
        segments: Vec::new(),
        nodes: Vec::new(),
        heads: BTreeMap::new(),
    };
    let scenario = match std::fs::read_to_string(path) {
        Ok(text) => {
            reader.file = reader.sources.add(path.display().to_string(), text.clone());
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let scenario = reader.scenario(name, &text);
            Some(scenario).filter(|_| !reader.failed)
        }
        Err(error) => {
            reader
                .diagnostics
                .push(Diagnostic::error("unreadable-file", format!("can't read `{}`: {error}", path.display())));
            None
        }
    };
    Loaded { scenario, diagnostics: reader.diagnostics, sources: reader.sources }
}

/// The disk.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = glob::glob(pattern).into_iter().flatten().flatten().collect();
        found.sort();
        found
    }
}

type Value<'t> = Spanned<DeValue<'t>>;

struct Reader {
    sources: Sources,
    file: FileId,
    diagnostics: Vec<Diagnostic>,
    folder: PathBuf,
    /// Something was wrong that makes the scenario useless.
    failed: bool,
    segments: Vec<SegmentPlan>,
    nodes: Vec<NodePlan>,
    /// Where each node was written.
    heads: BTreeMap<String, Span>,
}

/// One table of the file, in the order in which its words were written.
struct Table<'t> {
    words: Vec<(String, Range<usize>, &'t Value<'t>)>,
    span: Span,
}

impl<'t> Table<'t> {
    fn get(&self, word: &str) -> Option<&'t Value<'t>> {
        self.words.iter().find(|(key, _, _)| key == word).map(|(_, _, value)| *value)
    }

    fn has(&self, word: &str) -> bool {
        self.get(word).is_some()
    }
}

impl Reader {
    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.failed |= diagnostic.is_error();
        self.diagnostics.push(diagnostic);
    }

    fn wrong(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>) {
        self.error(Diagnostic::error("bad-value", message).at(span, label));
    }

    fn scenario(&mut self, name: String, text: &str) -> Scenario {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let span = self.span(error.span().unwrap_or(0..0));
            self.error(Diagnostic::error("toml-syntax", error.message()).at(span, ""));
        }
        let top = self.table(root.get_ref(), self.span(0..0), words::TOP);
        self.read_segments(&top);
        self.read_directors(&top);
        self.read_servers(&top);
        self.read_clients(&top);
        let routed = self.read_routed(&top);
        let steps = self.read_steps(&top);
        let expectations = self.read_expectations(&top);
        let end = self.duration(&top, "duration");
        let last = steps.last().map_or(Instant::ZERO, |step| step.at);
        let duration = end.unwrap_or(last.since_origin() + Duration::from_secs(10));
        for late in steps.iter().filter(|step| step.at.since_origin() > duration) {
            let message = format!("this step comes after the end of the run at {} s", duration.as_secs_f32());
            self.error(Diagnostic::error("after-the-end", message).at(late.span, ""));
        }
        let mut scenario = Scenario {
            name,
            title: self.string(&top, "title").unwrap_or_default(),
            seed: self.integer(&top, "seed").unwrap_or(1),
            duration,
            segments: std::mem::take(&mut self.segments),
            routed,
            nodes: std::mem::take(&mut self.nodes),
            steps,
            expectations,
        };
        for expectation in &mut scenario.expectations {
            clamp(&mut expectation.what, Instant::ZERO + duration);
        }
        scenario
    }

    /// Takes the words of a table and reports those that are not known there.
    fn table<'t>(&mut self, table: &'t DeTable<'t>, span: Span, known: &[&'static str]) -> Table<'t> {
        let table = self.any_table(table, span);
        for (word, range, _) in &table.words {
            if !known.contains(&word.as_str()) {
                let span = self.span(range.clone());
                let near = nearest(word, known.iter().copied());
                self.unknown(span, word, near, known);
            }
        }
        table
    }

    fn any_table<'t>(&mut self, table: &'t DeTable<'t>, span: Span) -> Table<'t> {
        let mut words: Vec<_> =
            table.iter().map(|(key, value)| (key.get_ref().to_string(), key.span(), value)).collect();
        words.sort_by_key(|(_, range, _)| range.start);
        Table { words, span }
    }

    fn unknown(&mut self, span: Span, word: &str, near: Option<&str>, known: &[&'static str]) {
        let mut diagnostic = Diagnostic::error("unknown-word", format!("unknown word `{word}`"));
        diagnostic = match near {
            Some(near) => diagnostic.at(span, format!("did you mean `{near}`?")),
            None => diagnostic.at(span, "").note(format!("known here: {}", known.join(", "))),
        };
        self.error(diagnostic);
    }

    fn missing(&mut self, span: Span, word: &str, what: &str) {
        self.error(Diagnostic::error("missing-word", format!("`{word}` is missing")).at(span, what));
    }

    // Values.

    fn of_value(&self, value: &Value<'_>) -> Span {
        self.span(value.span())
    }

    fn text<'t>(&mut self, value: &'t Value<'t>, what: &str) -> Option<&'t str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            let found = value.get_ref().type_str();
            self.wrong(self.of_value(value), format!("expected {what} in quotes, found {found}"), "");
        }
        text
    }

    fn string(&mut self, table: &Table<'_>, word: &str) -> Option<String> {
        let value = table.get(word)?;
        self.text(value, "text").map(str::to_owned)
    }

    fn integer<N: TryFrom<u64>>(&mut self, table: &Table<'_>, word: &str) -> Option<N> {
        let value = table.get(word)?;
        self.whole(value)
    }

    fn whole<N: TryFrom<u64>>(&mut self, value: &Value<'_>) -> Option<N> {
        let number = value.get_ref().as_integer().and_then(|number| {
            u64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                .ok()
                .and_then(|n| N::try_from(n).ok())
        });
        if number.is_none() {
            self.wrong(self.of_value(value), "expected a whole number, not negative and not too large", "");
        }
        number
    }

    fn boolean(&mut self, table: &Table<'_>, word: &str) -> Option<bool> {
        let value = table.get(word)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong(self.of_value(value), "expected true or false", "");
        }
        found
    }

    fn parsed<T: std::str::FromStr>(&mut self, value: &Value<'_>, what: &str) -> Option<T> {
        let text = self.text(value, what)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.wrong(self.of_value(value), format!("`{text}` is not {what}"), "");
        }
        parsed
    }

    fn duration(&mut self, table: &Table<'_>, word: &str) -> Option<Duration> {
        let value = table.get(word)?;
        let text = self.text(value, "a duration like \"1.5s\"")?;
        let duration = parse_duration(text);
        if duration.is_none() {
            let message = format!("`{text}` is not a duration");
            self.error(
                Diagnostic::error("bad-value", message)
                    .at(self.of_value(value), "")
                    .help("write a number and `ms`, `s` or `m`: \"250ms\", \"1.5s\", \"2m\"; whole milliseconds"),
            );
        }
        duration
    }

    fn share(&mut self, table: &Table<'_>, word: &str) -> Option<Share> {
        let value = table.get(word)?;
        let text = self.text(value, "a share like \"20%\"")?;
        let share = parse_share(text);
        if share.is_none() {
            self.wrong(self.of_value(value), format!("`{text}` is not a share between 0% and 100%"), "write \"20%\"");
        }
        share
    }

    fn list<'t>(&mut self, value: &'t Value<'t>) -> Vec<&'t Value<'t>> {
        match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            _ => vec![value],
        }
    }

    fn ports(&mut self, table: &Table<'_>, word: &str) -> Option<Vec<u16>> {
        let value = table.get(word)?;
        Some(self.list(value).into_iter().filter_map(|value| self.whole(value)).collect())
    }

    /// `ADDRESS/LEN on SEGMENT`; either half may be left out.
    fn port(&mut self, interface: &str, value: &Value<'_>) -> Option<PortPlan> {
        let text = self.text(value, "\"ADDRESS/LEN on SEGMENT\"")?;
        let span = self.of_value(value);
        let (address, segment) = match text.split_once("on ") {
            Some((address, segment)) => (address.trim(), Some(segment.trim())),
            None => (text.trim(), None),
        };
        let segment = match segment {
            Some(name) => self.segment_named(name, span)?,
            None if self.segments.len() == 1 => SegmentId(0),
            None => {
                self.wrong(span, "there are several segments: which one?", "write \"ADDRESS/LEN on SEGMENT\"");
                return None;
            }
        };
        let address = match address {
            "" => None,
            text => {
                let parsed = text.split_once('/').and_then(|(ip, len)| {
                    let (ip, len): (IpAddr, u8) = (ip.parse().ok()?, len.parse().ok()?);
                    (len <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, len))
                });
                if parsed.is_none() {
                    self.wrong(
                        span,
                        format!("`{text}` is not an address with its prefix length"),
                        "like 192.0.2.11/24",
                    );
                    return None;
                }
                parsed
            }
        };
        if let Some((ip, _)) = address
            && let Some(other) =
                self.nodes.iter().find(|node| node.ports.iter().any(|port| port.address.is_some_and(|(a, _)| a == ip)))
        {
            let name = other.name.to_string();
            self.wrong(span, format!("{ip} is the address of `{name}` already"), "");
        }
        Some(PortPlan { interface: InterfaceName::new(interface), segment, address })
    }

    fn segment_named(&mut self, name: &str, span: Span) -> Option<SegmentId> {
        let found = self.segments.iter().position(|segment| *segment.name == *name).map(SegmentId);
        if found.is_none() {
            let names: Vec<String> = self.segments.iter().map(|segment| segment.name.to_string()).collect();
            let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
            self.no_such("segment", name, span, near.as_deref(), &names);
        }
        found
    }

    fn no_such(&mut self, kind: &str, name: &str, span: Span, near: Option<&str>, names: &[String]) {
        let mut diagnostic = Diagnostic::error("unknown-name", format!("there is no {kind} `{name}`"));
        diagnostic = match near {
            Some(near) => diagnostic.at(span, format!("did you mean `{near}`?")),
            None => diagnostic.at(span, "").note(format!("there is {}", names.join(", "))),
        };
        self.error(diagnostic);
    }

    /// The node that a value names, if it is of a fitting kind.
    fn node(&mut self, value: &Value<'_>, kind: &str, fits: fn(&NodeKind) -> bool) -> Option<NodeId> {
        let name = self.text(value, &format!("the name of a {kind}"))?;
        let span = self.of_value(value);
        let found = self.nodes.iter().position(|node| *node.name == *name).map(NodeId);
        match found {
            Some(id) if self.nodes.get(id.0).is_some_and(|node| fits(&node.kind)) => Some(id),
            Some(_) => {
                let mut diagnostic = Diagnostic::error("wrong-kind", format!("`{name}` is no {kind}")).at(span, "");
                if let Some(head) = self.heads.get(name) {
                    diagnostic = diagnostic.also(*head, "it is this");
                }
                self.error(diagnostic);
                None
            }
            None => {
                let names: Vec<String> =
                    self.nodes.iter().filter(|node| fits(&node.kind)).map(|node| node.name.to_string()).collect();
                let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
                self.no_such(kind, name, span, near.as_deref(), &names);
                None
            }
        }
    }

    /// What a table's word names; the only one of its kind when the word is not there.
    fn node_of(&mut self, table: &Table<'_>, word: &str, kind: &str, fits: fn(&NodeKind) -> bool) -> Option<NodeId> {
        if let Some(value) = table.get(word) {
            return self.node(value, kind, fits);
        }
        let mut fitting = self.nodes.iter().enumerate().filter(|(_, node)| fits(&node.kind));
        match (fitting.next(), fitting.next()) {
            (Some((at, _)), None) => Some(NodeId(at)),
            (Some(_), Some(_)) | (None, _) => {
                self.missing(table.span, word, &format!("which {kind}?"));
                None
            }
        }
    }

    // Nodes.

    /// The tables `[kind.NAME]`, in order.
    fn named<'t>(&mut self, top: &Table<'t>, kind: &str, known: &[&'static str]) -> Vec<(String, Table<'t>)> {
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
            if kind != "segment"
                && let Some(first) = self.heads.insert(name.clone(), head)
            {
                let message = format!("two nodes are called `{name}`");
                self.error(Diagnostic::error("name-twice", message).at(head, "again here").also(first, "first here"));
            }
            let table = self.table(table, head, known);
            named.push((name, table));
        }
        named
    }

    fn read_segments(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "segment", words::SEGMENT) {
            let delay = self.duration(&table, "delay").unwrap_or_default();
            let loss = self.share(&table, "lose").unwrap_or_default();
            self.segments.push(SegmentPlan { name: name.into(), delay, loss });
        }
        if self.segments.is_empty() {
            self.segments.push(SegmentPlan { name: "lan".into(), delay: Duration::ZERO, loss: Share(0) });
        }
    }

    fn read_routed(&mut self, top: &Table<'_>) -> Vec<SegmentId> {
        let Some(value) = top.get("routed") else { return Vec::new() };
        let mut routed = Vec::new();
        for value in self.list(value) {
            if let Some(name) = self.text(value, "the name of a segment") {
                let span = self.of_value(value);
                routed.extend(self.segment_named(name, span));
            }
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
        routed
    }

    fn read_directors(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "director", words::DIRECTOR) {
            let mut ports = Vec::new();
            match table.get("interfaces").map(|value| (value, value.get_ref().as_table())) {
                Some((value, Some(interfaces))) => {
                    for (interface, _, value) in self.any_table(interfaces, self.of_value(value)).words {
                        ports.extend(self.port(&interface, value));
                    }
                }
                Some((value, None)) => {
                    self.wrong(self.of_value(value), "expected interfaces", "`interfaces.eth0 = \"ADDRESS/LEN\"`");
                }
                None => self.missing(table.span, "interfaces", "which interfaces does this director have?"),
            }
            let config = match table.get("config") {
                Some(value) => self.config(value, &table, &name),
                None => {
                    self.missing(table.span, "config", "which configuration file does this director run?");
                    None
                }
            };
            let listens = self.ports(&table, "listens").unwrap_or_default();
            let starts = self.boolean(&table, "starts").unwrap_or(true);
            let config = config.unwrap_or(ConfigFile { path: PathBuf::new(), config: None, codes: Vec::new() });
            let dataplane = self.dataplane(&table).unwrap_or_default();
            let kind = NodeKind::Director(DirectorPlan { config, listens, starts, dataplane });
            self.nodes.push(NodePlan { name: name.into(), ports, kind });
        }
        if self.nodes.is_empty() && !self.failed {
            self.missing(top.span, "director", "a scenario needs at least one `[director.NAME]`");
        }
    }

    fn dataplane(&mut self, table: &Table<'_>) -> Option<Dataplane> {
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

    /// Reads a configuration. Its mistakes are the scenario's own, unless `mistakes` names their codes.
    fn config(&mut self, value: &Value<'_>, table: &Table<'_>, node: &str) -> Option<ConfigFile> {
        let written = self.text(value, "a file name")?.to_owned();
        let place = self.of_value(value);
        let named: Option<Vec<(String, Span)>> = table.get("mistakes").map(|value| {
            let codes = self.list(value);
            codes
                .into_iter()
                .filter_map(|code| Some((self.text(code, "a code")?.to_owned(), self.of_value(code))))
                .collect()
        });
        let options = config::Options { config_id: node.to_owned(), ..config::Options::default() };
        let loaded = config::load(&mut self.sources, &Disk, &self.folder.join(&written), &options);
        let codes: Vec<String> = loaded.diagnostics.iter().map(|found| found.code.to_owned()).collect();
        let config = Some(Arc::new(loaded.best_effort().clone()));
        match named {
            None => {
                let broken = loaded.has_errors();
                self.failed |= broken;
                self.diagnostics.extend(loaded.diagnostics.into_iter().filter(Diagnostic::is_error));
                if broken {
                    let message = format!("`{written}` has mistakes");
                    self.error(
                        Diagnostic::error("config-mistakes", message)
                            .at(place, "")
                            .help("mend them, or name their codes in `mistakes` to run what could be understood"),
                    );
                }
            }
            Some(named) => {
                for (code, span) in &named {
                    if !codes.contains(code) {
                        let message = format!("`{written}` has no mistake `{code}`");
                        let found = format!("found were: {}", unique(&codes).join(", "));
                        self.error(Diagnostic::error("mistake-not-made", message).at(*span, "").note(found));
                    }
                }
                let unnamed = loaded
                    .diagnostics
                    .into_iter()
                    .filter(|found| found.is_error() && !named.iter().any(|(code, _)| code == found.code));
                let unnamed: Vec<Diagnostic> = unnamed.collect();
                self.failed |= !unnamed.is_empty();
                self.diagnostics.extend(unnamed);
            }
        }
        Some(ConfigFile { path: PathBuf::from(written), config, codes })
    }

    fn read_servers(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "real_server", words::REAL_SERVER) {
            let ports = self.only_port(&table);
            let loopback = table.get("loopback").map(|value| self.list(value)).unwrap_or_default();
            let kind = NodeKind::RealServer(ServerPlan {
                listens: self.ports(&table, "listens").unwrap_or_else(|| vec![80]),
                loopback: loopback.into_iter().filter_map(|value| self.parsed(value, "an address")).collect(),
                gateway: table.get("gateway").and_then(|value| self.parsed(value, "an address")),
                tunnel: self.boolean(&table, "tunnel").unwrap_or(false),
            });
            self.nodes.push(NodePlan { name: name.into(), ports, kind });
        }
    }

    fn read_clients(&mut self, top: &Table<'_>) {
        for (name, table) in self.named(top, "client", words::CLIENT) {
            let ports = self.only_port(&table);
            let target = match table.get("asks") {
                Some(value) => self.parsed(value, "an address with a port, like 192.0.2.1:80"),
                None => {
                    self.missing(table.span, "asks", "whom does this client ask?");
                    None
                }
            };
            let kind = NodeKind::Client(ClientPlan {
                target: target.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0))),
                every: self
                    .duration(&table, "every")
                    .filter(|every| !every.is_zero())
                    .unwrap_or(Duration::from_millis(100)),
                timeout: self.duration(&table, "timeout").unwrap_or(Duration::from_secs(1)),
                from: self.duration(&table, "from").unwrap_or_default(),
            });
            self.nodes.push(NodePlan { name: name.into(), ports, kind });
        }
    }

    fn only_port(&mut self, table: &Table<'_>) -> Vec<PortPlan> {
        match table.get("address") {
            Some(value) => self.port("eth0", value).into_iter().collect(),
            None => {
                self.missing(table.span, "address", "where is it?");
                Vec::new()
            }
        }
    }

    // Steps.

    /// The lines of `steps` or `expect`, each with the one verb that it has.
    fn lines<'t>(
        &mut self,
        top: &Table<'t>,
        list: &str,
        verbs: &'static [Word],
        times: &[&'static str],
    ) -> Vec<(Table<'t>, &'static Word)> {
        let Some(value) = top.get(list) else { return Vec::new() };
        let mut lines = Vec::new();
        for value in self.list(value) {
            let span = self.of_value(value);
            let Some(table) = value.get_ref().as_table() else {
                self.wrong(span, format!("expected a line like {{ at = \"5s\", … }} in `{list}`"), "");
                continue;
            };
            let table = self.any_table(table, span);
            let mut found = table.words.iter().filter_map(|(key, range, _)| {
                verbs.iter().find(|verb| verb.word == key).map(|verb| (verb, range.clone()))
            });
            let (first, second) = (found.next(), found.next());
            if let (Some((one, _)), Some((other, range))) = (&first, second) {
                let beside = self.span(range);
                if !one.with.contains(&other.word) {
                    let message = format!("`{}` and `{}` in one line", one.word, other.word);
                    self.error(Diagnostic::error("two-words", message).at(beside, "make it a line of its own"));
                    continue;
                }
            }
            let verb = first.map(|(verb, _)| verb);
            let known: Vec<&'static str> = match verb {
                Some(verb) => times.iter().chain(verb.with).copied().chain([verb.word]).collect(),
                None => times
                    .iter()
                    .copied()
                    .chain(verbs.iter().flat_map(|verb| verb.with.iter().copied().chain([verb.word])))
                    .collect(),
            };
            let mut unknown = false;
            for (word, range, _) in &table.words {
                if !known.contains(&word.as_str()) {
                    unknown = true;
                    let near = nearest(word, known.iter().copied());
                    let listed: Vec<&'static str> =
                        if verb.is_some() { known.clone() } else { verbs.iter().map(|verb| verb.word).collect() };
                    self.unknown(self.span(range.clone()), word, near, &listed);
                }
            }
            match verb {
                Some(verb) => lines.push((table, verb)),
                None if unknown => {}
                None => {
                    let known: Vec<&str> = verbs.iter().map(|verb| verb.word).collect();
                    let diagnostic = Diagnostic::error("missing-word", "this line says when, but not what");
                    self.error(diagnostic.at(span, "").note(format!("one of {}", known.join(", "))));
                }
            }
        }
        lines
    }

    fn read_steps(&mut self, top: &Table<'_>) -> Vec<Step> {
        let mut steps = Vec::new();
        for (table, verb) in self.lines(top, "steps", words::STEPS, &["at"]) {
            let at = self.duration(&table, "at");
            if !table.has("at") {
                self.missing(table.span, "at", "when?");
            }
            let action = table.get(verb.word).and_then(|value| self.action(verb.word, value, &table));
            if let (Some(at), Some(action)) = (at, action) {
                steps.push(Step { at: Instant::ZERO + at, action, span: table.span });
            }
        }
        steps.sort_by_key(|step| step.at);
        steps
    }

    fn action(&mut self, verb: &str, value: &Value<'_>, table: &Table<'_>) -> Option<Action> {
        match verb {
            "kill" => self.node(value, "director", is_director).map(Action::Kill),
            "power_off" => self.node(value, "director or real server", is_machine).map(Action::PowerOff),
            "stop" => self.node(value, "director", is_director).map(Action::Stop),
            "start" => self.node(value, "director", is_director).map(Action::Start),
            "freeze" => self.node(value, "director", is_director).map(Action::Freeze),
            "resume" => self.node(value, "director", is_director).map(Action::Resume),
            "reload" => {
                let node = self.node(value, "director", is_director)?;
                let Some(file) = table.get("with") else {
                    self.missing(table.span, "with", "with which file?");
                    return None;
                };
                let name = self.nodes.get(node.0).map(|node| node.name.to_string()).unwrap_or_default();
                let mut file = self.config(file, table, &name)?;
                if table.has("mistakes") {
                    // The running configuration stays.
                    file.config = None;
                }
                Some(Action::Reload { node, file })
            }
            "unplug" => self.node(value, "node", is_any).map(Action::Unplug),
            "plug" => self.node(value, "node", is_any).map(Action::Plug),
            "isolate" => {
                let node = Party::Node(self.node(value, "node", is_any)?);
                let (from, to, both) = match table.get("direction") {
                    None => (node, Party::Any, true),
                    Some(value) => match self.text(value, "a direction")? {
                        "both" => (node, Party::Any, true),
                        "out" => (node, Party::Any, false),
                        "in" => (Party::Any, node, false),
                        other => {
                            self.wrong(self.of_value(value), format!("unknown direction `{other}`"), "in, out or both");
                            return None;
                        }
                    },
                };
                Some(Action::Impair { from, to, both, impairment: Impairment::Cut })
            }
            "cut" => {
                let (from, to, both) = match table.get("to") {
                    Some(to) => (self.node(value, "node", is_any)?, self.node(to, "node", is_any)?, false),
                    None => {
                        let (a, b) = self.two_nodes(value)?;
                        (a, b, true)
                    }
                };
                let (from, to) = (Party::Node(from), Party::Node(to));
                Some(Action::Impair { from, to, both, impairment: Impairment::Cut })
            }
            "lose" => {
                let impairment = Impairment::Lose(self.share(table, "lose")?);
                self.ways(table, impairment)
            }
            "delay" => {
                let impairment = Impairment::Delay(self.duration(table, "delay")?);
                self.ways(table, impairment)
            }
            "heal" => match value.get_ref() {
                DeValue::Array(_) => self.two_nodes(value).map(|(a, b)| Action::Heal(Heal::Between(a, b))),
                _ if value.get_ref().as_str() == Some("all") => Some(Action::Heal(Heal::All)),
                _ => self.node(value, "node", is_any).map(|id| Action::Heal(Heal::Node(id))),
            },
            "down" => self.node(value, "real server", is_server).map(Action::Down),
            "up" => self.node(value, "real server", is_server).map(Action::Up),
            "slow" => {
                let node = self.node(value, "real server", is_server)?;
                let by = self.needed_duration(table, "by", "by how much?")?;
                Some(Action::Slow { node, by })
            }
            "status" => {
                let node = self.node(value, "real server", is_server)?;
                let code: u16 = self.integer(table, "code")?;
                if !(100..=999).contains(&code) {
                    self.wrong(table.span, format!("{code} is no HTTP status"), "");
                    return None;
                }
                Some(Action::Status { node, code })
            }
            "flap" => {
                let node = self.node(value, "real server", is_server)?;
                let every = self.needed_duration(table, "every", "how often?")?;
                let times = self.integer(table, "times").unwrap_or(1);
                Some(Action::Flap { node, every, times })
            }
            "script" => {
                let script: Arc<str> = self.text(value, "the name of a vrrp_script")?.into();
                let node = self.node_of(table, "on", "director", is_director)?;
                let exits: u16 = self.integer(table, "exits")?;
                self.check_script(node, &script, value);
                Some(Action::Script { script, node, exits: i32::from(exits) })
            }
            "delete_address" => {
                let address = self.parsed(value, "an address")?;
                let node = self.node_of(table, "on", "director", is_director)?;
                Some(Action::DeleteAddress { address, node })
            }
            // Every word of the table `STEPS` has its arm above.
            _ => None,
        }
    }

    fn check_script(&mut self, node: NodeId, script: &str, value: &Value<'_>) {
        let config = self.nodes.get(node.0).and_then(|node| match &node.kind {
            NodeKind::Director(director) => director.config.config.clone(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Router => None,
        });
        if let Some(config) = config
            && !config.scripts.contains_key(script)
        {
            let names: Vec<String> = config.scripts.keys().map(ToString::to_string).collect();
            let near = nearest(script, names.iter().map(String::as_str)).map(str::to_owned);
            self.no_such("vrrp_script", script, self.of_value(value), near.as_deref(), &names);
        }
    }

    fn needed_duration(&mut self, table: &Table<'_>, word: &str, question: &str) -> Option<Duration> {
        if !table.has(word) {
            self.missing(table.span, word, question);
        }
        self.duration(table, word)
    }

    fn two_nodes(&mut self, value: &Value<'_>) -> Option<(NodeId, NodeId)> {
        match *self.list(value) {
            [a, b] => Some((self.node(a, "node", is_any)?, self.node(b, "node", is_any)?)),
            _ => {
                self.wrong(self.of_value(value), "expected two nodes", "like [\"lb1\", \"lb2\"], or one and `to`");
                None
            }
        }
    }

    fn ways(&mut self, table: &Table<'_>, impairment: Impairment) -> Option<Action> {
        let (from, to, both) = if let Some(value) = table.get("between") {
            let (a, b) = self.two_nodes(value)?;
            (Party::Node(a), Party::Node(b), true)
        } else if let Some(value) = table.get("on") {
            let name = self.text(value, "the name of a segment")?;
            let segment = self.segment_named(name, self.of_value(value))?;
            (Party::Segment(segment), Party::Segment(segment), false)
        } else {
            let mut end = |word| match table.get(word) {
                Some(value) => self.node(value, "node", is_any).map(Party::Node),
                None => Some(Party::Any),
            };
            (end("from")?, end("to")?, false)
        };
        Some(Action::Impair { from, to, both, impairment })
    }

    // Expectations.

    fn read_expectations(&mut self, top: &Table<'_>) -> Vec<Expectation> {
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

    fn expect(&mut self, verb: &str, value: &Value<'_>, table: &Table<'_>, window: Window) -> Option<Expect> {
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
            "decision" => {
                let text = self.text(value, "a part of a decision")?.to_owned();
                let node = match table.get("by") {
                    Some(value) => Some(self.node(value, "director", is_director)?),
                    None => None,
                };
                let count = match table.get("times") {
                    Some(value) => self.count(value)?,
                    None => Count { least: 1, most: u64::MAX },
                };
                Some(Expect::Decision { text, node, window, count })
            }
            "violation" => {
                let name = self.text(value, "the name of an invariant")?;
                if !crate::invariants::NAMES.contains(&name) {
                    let names: Vec<String> = crate::invariants::NAMES.iter().map(ToString::to_string).collect();
                    let near = nearest(name, crate::invariants::NAMES.iter().copied());
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
                let node = self.node_of(table, "of", "director", is_director)?;
                Some(Expect::Diagnostic { code: code.into(), node })
            }
            // Every word of the table `EXPECT` has its arm above.
            _ => None,
        }
    }

    /// A destination as `ADDRESS:PORT`, or the name of a real server, which then has its first port.
    fn destination(&mut self, value: &Value<'_>, _table: &Table<'_>) -> Option<SocketAddr> {
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

    fn nodes_of(&mut self, value: &Value<'_>, kind: &str, fits: fn(&NodeKind) -> bool) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> =
            self.list(value).into_iter().filter_map(|value| self.node(value, kind, fits)).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    fn count(&mut self, value: &Value<'_>) -> Option<Count> {
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
    fn only_address(&mut self, table: &Table<'_>) -> Option<IpAddr> {
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

    fn only_service(&mut self, table: &Table<'_>) -> Option<SocketAddr> {
        let mut all: Vec<SocketAddr> =
            self.configs().flat_map(|config| config.services.iter().map(|service| service.key.address)).collect();
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

    fn configs(&self) -> impl Iterator<Item = &config::Config> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Director(director) => director.config.config.as_deref(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Router => None,
        })
    }
}

/// Stands for the end of the run until it is known.
const END: Instant = Instant::from_nanos(u64::MAX);

fn clamp(what: &mut Expect, end: Instant) {
    match what {
        Expect::Owner { window, .. }
        | Expect::Role { window, .. }
        | Expect::RoleChanges { window, .. }
        | Expect::Destinations { window, .. }
        | Expect::LongestOutage { window, .. }
        | Expect::FailedShare { window, .. }
        | Expect::ServedBy { window, .. }
        | Expect::Decision { window, .. } => window.until = window.until.min(end),
        Expect::Violation { .. } | Expect::Diagnostic { .. } => {}
    }
}

fn unique(codes: &[String]) -> Vec<String> {
    let mut codes = codes.to_vec();
    codes.sort();
    codes.dedup();
    codes
}

fn is_director(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Director(_))
}

fn is_server(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::RealServer(_))
}

fn is_client(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Client(_))
}

fn is_machine(kind: &NodeKind) -> bool {
    is_director(kind) || is_server(kind)
}

fn is_any(kind: &NodeKind) -> bool {
    !matches!(kind, NodeKind::Router)
}

/// `250ms`, `1.5s`, `2m`: whole milliseconds, exactly.
fn parse_duration(text: &str) -> Option<Duration> {
    let (number, millis): (&str, u64) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1)
    } else if let Some(number) = text.strip_suffix('s') {
        (number, 1_000)
    } else {
        (text.strip_suffix('m')?, 60_000)
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 9;
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? * millis };
    (part % scale == 0).then_some(())?;
    Some(Duration::from_millis(whole.parse::<u64>().ok()? * millis + part / scale))
}

/// `20%`, `0.5%`.
fn parse_share(text: &str) -> Option<Share> {
    let number = text.strip_suffix('%')?.trim();
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let tenths =
        whole.parse::<u16>().ok()?.checked_mul(10)?.checked_add(tenth.parse().ok().filter(|t: &u16| *t < 10)?)?;
    (tenths <= 1000).then_some(Share(tenths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_milliseconds() {
        let cases = [
            ("250ms", Some(250)),
            ("1.5s", Some(1_500)),
            ("2m", Some(120_000)),
            ("0.001s", Some(1)),
            ("1.5ms", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn shares_are_tenths_of_a_per_cent() {
        let cases = [("20%", Some(200)), ("0.5%", Some(5)), ("100%", Some(1000)), ("101%", None), ("20", None)];
        for (text, share) in cases {
            assert_eq!(parse_share(text), share.map(Share), "{text}");
        }
    }
}
