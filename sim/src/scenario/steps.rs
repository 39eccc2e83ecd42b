//! `steps`: what happens, and when.

use super::model::*;
use super::read::{Reader, Table, Value};
use super::values::{is_any, is_director, is_frozen, is_machine, is_quorum};
use super::words::{self, Word, nearest};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use toml::de::DeValue;
use vipward_core::balancer::drain::order::Order;
use vipward_core::interface::InterfaceName;
use vipward_core::text::Diagnostic;
use vipward_core::time::{Duration, Instant};

impl Reader<'_> {
    /// The lines of `steps` or `expect`, each with the one verb that it has.
    pub(super) fn lines<'t>(
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

    pub(super) fn read_steps(&mut self, top: &Table<'_>) -> Vec<Step> {
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

    pub(super) fn action(&mut self, verb: &str, value: &Value<'_>, table: &Table<'_>) -> Option<Action> {
        match verb {
            "kill" => self.node(value, "director", is_director).map(Action::Kill),
            "kill_worker" => self.node(value, "director", is_director).map(Action::KillWorker),
            "hang_worker" => self.node(value, "director", is_director).map(Action::HangWorker),
            "power_off" => self.node(value, "director or real server", is_machine).map(Action::PowerOff),
            "stop" => self.node(value, "director", is_director).map(Action::Stop),
            "start" => self.node(value, "director or real server", is_machine).map(Action::Start),
            "upgrade" => self.node(value, "director", is_director).map(Action::Upgrade),
            "freeze" => self.node(value, "director or quorum service", is_frozen).map(Action::Freeze),
            "resume" => self.node(value, "director or quorum service", is_frozen).map(Action::Resume),
            "reload" => {
                let node = self.node(value, "director", is_director)?;
                let Some(file) = table.get("with") else {
                    self.missing(table.span, "with", "with which file?");
                    return None;
                };
                let name = self.nodes.get(node.0).map(|node| node.name.to_string()).unwrap_or_default();
                let before = self.nodes.get(node.0).and_then(|node| match &node.kind {
                    NodeKind::Director(director) => director.config.settings.clone(),
                    NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
                });
                let mut file = self.config(file, table, before, &name)?;
                if table.has("mistakes") {
                    // The running configuration stays.
                    file.config = None;
                }
                Some(Action::Reload { node, file })
            }
            "unplug" => self.cable(value, table).map(|(node, interface)| Action::Unplug { node, interface }),
            "plug" => self.cable(value, table).map(|(node, interface)| Action::Plug { node, interface }),
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
            "jitter" => {
                let impairment = Impairment::Jitter(self.duration(table, "jitter")?);
                self.ways(table, impairment)
            }
            "duplicate" => {
                let impairment = Impairment::Duplicate(self.share(table, "duplicate")?);
                self.ways(table, impairment)
            }
            "heal" => match value.get_ref() {
                DeValue::Array(_) => self.two_nodes(value).map(|(a, b)| Action::Heal(Heal::Between(a, b))),
                _ if value.get_ref().as_str() == Some("all") => Some(Action::Heal(Heal::All)),
                _ => self.node(value, "node", is_any).map(|id| Action::Heal(Heal::Node(id))),
            },
            "down" => self.listener(value).map(Action::Down),
            "up" => self.listener(value).map(Action::Up),
            "hang" => self.listener(value).map(Action::Hang),
            "slow" => {
                let who = self.listener(value)?;
                let by = self.needed_duration(table, "by", "by how much?")?;
                Some(Action::Slow { who, by })
            }
            "status" => {
                let who = self.listener(value)?;
                let code: u16 = self.integer(table, "code")?;
                if !(100..=999).contains(&code) {
                    self.wrong(table.span, format!("{code} is no HTTP status"), "");
                    return None;
                }
                Some(Action::Status { who, code })
            }
            "flap" => {
                let who = self.listener(value)?;
                let every = self.needed_duration(table, "every", "how often?")?;
                let times = self.integer(table, "times").unwrap_or(1);
                Some(Action::Flap { who, every, times })
            }
            "script" => {
                let script: Arc<str> =
                    self.text(value, "the name of a vrrp_script, or the command of a MISC_CHECK")?.into();
                let node = self.node_of(table, "on", "director", is_director)?;
                let exits: u16 = self.integer(table, "exits")?;
                self.check_script(node, &script, value);
                Some(Action::Script { script, node, exits: i32::from(exits) })
            }
            "file" => {
                let file: Arc<str> = self.text(value, "the name of a track_file")?.into();
                let node = self.node_of(table, "on", "director", is_director)?;
                if !table.has("holds") {
                    self.missing(table.span, "holds", "which number?");
                }
                let holds = self.signed(table, "holds")?;
                self.check_file(node, &file, value);
                Some(Action::File { file, node, holds })
            }
            "process" => {
                let process: Arc<str> = self.text(value, "the name of a vrrp_track_process")?.into();
                let node = self.node_of(table, "on", "director", is_director)?;
                if !table.has("runs") {
                    self.missing(table.span, "runs", "how many?");
                }
                let runs: u16 = self.integer(table, "runs")?;
                self.check_process(node, &process, value);
                Some(Action::Process { process, node, runs: runs.into() })
            }
            "leader_change" => {
                let node = self.node(value, "quorum service", is_quorum)?;
                let lasts = self.needed_duration(table, "lasts", "for how long?")?;
                Some(Action::LeaderChange { node, lasts })
            }
            "server_dies" => self.node(value, "director", is_director).map(Action::ServerDies),
            "wipe" => self.node(value, "quorum service", is_quorum).map(Action::Wipe),
            "end_session" => self.node(value, "director", is_director).map(Action::EndSession),
            "starve_worker" => {
                let node = self.node(value, "director", is_director)?;
                let lasts = self.needed_duration(table, "lasts", "for how long?")?;
                Some(Action::StarveWorker { node, lasts })
            }
            "forge" => self.forgery(value, table),
            "drain" | "undrain" => {
                let node = self.node_of(table, "on", "director", is_director)?;
                let text = self.text(value, "the words behind `vipward drain`")?;
                match format!("{verb} {text}").parse::<Order>() {
                    Ok(order) => {
                        self.check_order(node, &order, value);
                        Some(Action::Order { order, node })
                    }
                    Err(why) => {
                        self.wrong(self.of_value(value), why, "");
                        None
                    }
                }
            }
            "delete_address" => {
                let address = self.parsed(value, "an address")?;
                let node = self.node_of(table, "on", "director", is_director)?;
                Some(Action::DeleteAddress { address, node })
            }
            "drop_garp" => {
                let name = self.text(value, "the name of a segment")?.to_owned();
                Some(Action::DropGarp(self.segment_named(&name, self.of_value(value))?))
            }
            "delete_route" => {
                let Prefix(destination, prefix_len) = self.parsed(value, "a prefix, like 203.0.113.0/24")?;
                let node = self.node_of(table, "on", "director", is_director)?;
                Some(Action::DeleteRoute { destination, prefix_len, node })
            }
            // Every word of the table `STEPS` has its arm above.
            _ => None,
        }
    }

    /// A node, and one interface of it if the line names one.
    fn cable(&mut self, value: &Value<'_>, table: &Table<'_>) -> Option<(NodeId, Option<InterfaceName>)> {
        let node = self.node(value, "node", is_any)?;
        let Some(named) = table.get("interface") else { return Some((node, None)) };
        let name = self.text(named, "the name of an interface")?;
        let ports = self.nodes.get(node.0).into_iter().flat_map(|node| &node.ports);
        let names: Vec<String> = ports.map(|port| port.interface.to_string()).collect();
        if !names.iter().any(|known| known == name) {
            let near = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
            self.no_such("interface", name, self.of_value(named), near.as_deref(), &names);
            return None;
        }
        Some((node, Some(InterfaceName::new(name))))
    }

    fn check_order(&mut self, node: NodeId, order: &Order, value: &Value<'_>) {
        let config = self.nodes.get(node.0).and_then(|node| match &node.kind {
            NodeKind::Director(director) => director.config.config.clone(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
        });
        let Some(config) = config else { return };
        let all = config.services.iter().flat_map(|service| &service.real_servers);
        let names: BTreeSet<String> = all.map(|server| server.address.to_string()).collect();
        let name = order.server.to_string();
        if !names.contains(&name) {
            let near = nearest(&name, names.iter().map(String::as_str)).map(str::to_owned);
            let names: Vec<String> = names.into_iter().collect();
            self.no_such("real_server", &name, self.of_value(value), near.as_deref(), &names);
        }
    }

    fn check_file(&mut self, node: NodeId, file: &str, value: &Value<'_>) {
        let config = self.nodes.get(node.0).and_then(|node| match &node.kind {
            NodeKind::Director(director) => director.config.config.clone(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
        });
        if let Some(config) = config
            && !config.files.contains_key(file)
        {
            let names: Vec<String> = config.files.keys().map(ToString::to_string).collect();
            let near = nearest(file, names.iter().map(String::as_str)).map(str::to_owned);
            self.no_such("track_file", file, self.of_value(value), near.as_deref(), &names);
        }
    }

    fn check_process(&mut self, node: NodeId, process: &str, value: &Value<'_>) {
        let config = self.nodes.get(node.0).and_then(|node| match &node.kind {
            NodeKind::Director(director) => director.config.config.clone(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
        });
        if let Some(config) = config
            && !config.processes.contains_key(process)
        {
            let names: Vec<String> = config.processes.keys().map(ToString::to_string).collect();
            let near = nearest(process, names.iter().map(String::as_str)).map(str::to_owned);
            self.no_such("vrrp_track_process", process, self.of_value(value), near.as_deref(), &names);
        }
    }

    pub(super) fn check_script(&mut self, node: NodeId, script: &str, value: &Value<'_>) {
        let config = self.nodes.get(node.0).and_then(|node| match &node.kind {
            NodeKind::Director(director) => director.config.config.clone(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
        });
        if let Some(config) = config
            && !config.scripts.contains_key(script)
            && !config.check_commands().any(|command| command.argv.join(" ") == script)
        {
            let checks = config.check_commands().map(|command| command.argv.join(" "));
            let names: BTreeSet<String> = config.scripts.keys().map(ToString::to_string).chain(checks).collect();
            let names: Vec<String> = names.into_iter().collect();
            let near = nearest(script, names.iter().map(String::as_str)).map(str::to_owned);
            self.no_such("script", script, self.of_value(value), near.as_deref(), &names);
        }
    }

    pub(super) fn needed_duration(&mut self, table: &Table<'_>, word: &str, question: &str) -> Option<Duration> {
        if !table.has(word) {
            self.missing(table.span, word, question);
        }
        self.duration(table, word)
    }

    pub(super) fn two_nodes(&mut self, value: &Value<'_>) -> Option<(NodeId, NodeId)> {
        match *self.list(value) {
            [a, b] => Some((self.node(a, "node", is_any)?, self.node(b, "node", is_any)?)),
            _ => {
                self.wrong(self.of_value(value), "expected two nodes", "like [\"lb1\", \"lb2\"], or one and `to`");
                None
            }
        }
    }

    pub(super) fn ways(&mut self, table: &Table<'_>, impairment: Impairment) -> Option<Action> {
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
}

/// `203.0.113.0/24`.
struct Prefix(IpAddr, u8);

impl FromStr for Prefix {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = text.split_once('/').ok_or(())?;
        let (address, length): (IpAddr, u8) = (address.parse().map_err(|_| ())?, length.parse().map_err(|_| ())?);
        if length <= if address.is_ipv4() { 32 } else { 128 } { Ok(Self(address, length)) } else { Err(()) }
    }
}
