//! `[coordination]`: leases from a quorum service.

use super::Vip;
use super::reader::{Key, Reader, Value};
use crate::config::Config;
use crate::lease::surely;
use crate::lease::{Coordination, Mode, OnLoss, Part, QuorumService, Spread};
use crate::text::{Diagnostic, Span};
use crate::time::Duration;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use toml::de::DeTable;

pub const KEYS: &[&str] =
    &["hosts", "path", "session_timeout", "auth_file", "director", "default", "routers", "spread"];

const ROUTER_KEYS: &[&str] = &["mode", "on_loss"];
const SPREAD_KEYS: &[&str] = &["routers", "limit"];
const MODES: &[&str] = &["fence", "elect", "off"];
const LOSSES: &[&str] = &["keep", "release"];

/// The longest session timeout, in seconds: a director that dies must be missed within the hour.
const LONGEST_SESSION: u64 = 3_600;

/// The table as it is written. [`Self::resolve`] makes a [`Coordination`] of it, with keepalived's file beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinationTable {
    /// `hosts`: `host:port`, none: no coordination.
    pub hosts: Vec<String>,
    /// `path`, default `/vipward`.
    pub path: String,
    /// `session_timeout` in seconds, default [`surely::DEFAULT_SESSION`].
    pub session_timeout: Duration,
    /// `auth_file`: holds lines `user:password`.
    pub auth_file: Option<PathBuf>,
    /// `director`, default: the name that the director runs under.
    pub director: Option<String>,
    /// `default`: the mode of virtual routers that have no table of their own; default `off`.
    pub default: Mode,
    routers: Vec<RouterTable>,
    spread: Vec<SpreadTable>,
    /// Where the table is written; for mistakes that concern all of it.
    place: Option<Span>,
    /// Where a session timeout is written that some ensembles need longer than to replace their leader.
    short: Option<Span>,
}

/// `[coordination.routers.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RouterTable {
    name: String,
    place: Span,
    mode: Option<Mode>,
    on_loss: OnLoss,
    /// Where `on_loss = "keep"` is written.
    keeps: Option<Span>,
}

/// `[coordination.spread.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SpreadTable {
    name: String,
    routers: Vec<(String, Span)>,
    limit: Option<u32>,
}

impl Default for CoordinationTable {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            path: "/vipward".to_owned(),
            session_timeout: surely::DEFAULT_SESSION,
            auth_file: None,
            director: None,
            default: Mode::Off,
            routers: Vec::new(),
            spread: Vec::new(),
            place: None,
            short: None,
        }
    }
}

impl CoordinationTable {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        self.place.get_or_insert_with(|| reader.span(key.span()));
        match key.get_ref().as_ref() {
            "hosts" => self.hosts = hosts(reader, value).unwrap_or_default(),
            "path" => self.path = path(reader, value).unwrap_or(std::mem::take(&mut self.path)),
            "session_timeout" => {
                let seconds = reader.number(value, 1..=LONGEST_SESSION);
                self.session_timeout = seconds.map_or(self.session_timeout, Duration::from_secs);
                if seconds.is_some() && self.session_timeout < surely::SHORTEST_SESSION {
                    reader.wrong("short-session", short_session(), value.span());
                } else if self.session_timeout < surely::DEFAULT_SESSION {
                    self.short = Some(reader.span(value.span()));
                }
            }
            "auth_file" => self.auth_file = reader.path(key, value),
            "director" => self.director = reader.text("a name", value).map(str::to_owned),
            "default" => self.default = mode(reader, value).unwrap_or(self.default),
            "routers" => {
                for (name, value) in reader.table("coordination.routers", value).into_iter().flatten() {
                    if let Some(table) = reader.table(&format!("coordination.routers.{}", name.get_ref()), value) {
                        let table = RouterTable::read(reader, name, table);
                        self.routers.push(table);
                    }
                }
            }
            "spread" => {
                for (name, value) in reader.table("coordination.spread", value).into_iter().flatten() {
                    if let Some(table) = reader.table(&format!("coordination.spread.{}", name.get_ref()), value) {
                        let table = SpreadTable::read(reader, name, table);
                        self.spread.push(table);
                    }
                }
            }
            "tls" => reader.wrong("no-tls", no_tls(), key.span()),
            _ => reader.unknown(key, KEYS),
        }
    }

    /// What it means for `config`, with every mistake that only shows with both files. `director`: the name to use when
    /// the table says none. `None`: nothing is coordinated.
    pub fn resolve(&self, config: &Config, vip: Vip, director: &str) -> (Option<Coordination>, Vec<Diagnostic>) {
        let mut wrong = Vec::new();
        let mut parts: BTreeMap<Arc<str>, Part> = BTreeMap::new();
        for router in &config.routers {
            parts.insert(router.name.clone(), Part { mode: self.default, on_loss: OnLoss::Release });
        }
        for table in &self.routers {
            let Some(part) = parts.get_mut(table.name.as_str()) else {
                wrong.push(unknown_router(&table.name, table.place));
                continue;
            };
            *part = Part { mode: table.mode.unwrap_or(self.default), on_loss: table.on_loss };
            if let (Some(keeps), Mode::Fence | Mode::Elect) = (table.keeps, part.mode) {
                wrong.push(keep_warned(&table.name, keeps));
            }
        }
        let mut spread: Vec<Spread> = Vec::new();
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for table in &self.spread {
            for (name, place) in &table.routers {
                match parts.get_mut(name.as_str()) {
                    None => wrong.push(unknown_router(name, *place)),
                    Some(_) if seen.contains_key(name.as_str()) => {
                        let message = format!("`{name}` is in two spread groups");
                        wrong.push(Diagnostic::error("spread-twice", message).at(*place, ""));
                    }
                    Some(part) => {
                        seen.insert(name, &table.name);
                        if part.mode != Mode::Elect {
                            let message = format!("`{name}` is spread, but its mode is not `elect`");
                            wrong.push(
                                Diagnostic::error("spread-without-elect", message)
                                    .at(*place, "")
                                    .note("spreading decides by the living directors, not by adverts")
                                    .help(format!("write `mode = \"elect\"` in [coordination.routers.{name}]")),
                            );
                        }
                    }
                }
            }
            let routers = table.routers.iter().map(|(name, _)| Arc::from(name.as_str())).collect();
            spread.push(Spread { name: Arc::from(table.name.as_str()), routers, limit: table.limit });
        }
        parts.retain(|_, part| part.mode != Mode::Off);
        // Leases come one by one, for each virtual router: nothing would keep the group together.
        for name in parts.keys() {
            if let Some(group) = config.group_of(name) {
                let place = self.routers.iter().find(|table| *table.name == **name).map(|table| table.place);
                let message = format!("`{name}` is in sync group `{}` and can't take a lease of its own", group.name);
                let said = Diagnostic::error("group-coordinated", message)
                    .help(format!("write `mode = \"off\"` in [coordination.routers.{name}], or delete the sync group"));
                wrong.extend(place.or(self.place).map(|place| said.at(place, "")));
            }
        }
        if let (Some(place), false) = (self.place, parts.is_empty()) {
            if self.hosts.is_empty() {
                let message = "`[coordination]` names no `hosts`";
                wrong.push(Diagnostic::error("no-quorum-hosts", message).at(place, "").help(
                    "write `hosts = [\"zk1:2181\", \"zk2:2181\", \"zk3:2181\"]`: the servers of the ZooKeeper ensemble",
                ));
            }
            if !vip.lifetime {
                wrong.push(lease_needed(place));
            }
            wrong.extend(self.short.map(|place| bears_little(self.session_timeout, place)));
            wrong.extend(super::front::check(config, &parts, &self.hosts, place));
        }
        let service = QuorumService {
            hosts: self.hosts.clone(),
            path: self.path.clone(),
            session_timeout: self.session_timeout,
            auth_file: self.auth_file.clone(),
        };
        let director = Arc::from(self.director.as_deref().unwrap_or(director));
        let coordination = Coordination { service: Arc::new(service), director, routers: parts, spread };
        let failed = coordination.routers.is_empty() || wrong.iter().any(Diagnostic::is_error);
        ((!failed).then_some(coordination), wrong)
    }
}

impl RouterTable {
    fn read(reader: &mut Reader<'_>, name: &Key<'_>, table: &DeTable<'_>) -> Self {
        let place = reader.span(name.span());
        let mut read =
            Self { name: name.get_ref().to_string(), place, mode: None, on_loss: OnLoss::Release, keeps: None };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "mode" => read.mode = mode(reader, value),
                "on_loss" => {
                    if let Some("keep") = reader.one_of(LOSSES, value) {
                        read.on_loss = OnLoss::Keep;
                        read.keeps = Some(reader.span(value.span()));
                    }
                }
                _ => reader.unknown(key, ROUTER_KEYS),
            }
        }
        read
    }
}

impl SpreadTable {
    fn read(reader: &mut Reader<'_>, name: &Key<'_>, table: &DeTable<'_>) -> Self {
        let mut read = Self { name: name.get_ref().to_string(), routers: Vec::new(), limit: None };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "routers" => {
                    for value in reader.list(value) {
                        if let Some(name) = reader.text("the name of a virtual router", value) {
                            read.routers.push((name.to_owned(), reader.span(value.span())));
                        }
                    }
                }
                "limit" => {
                    read.limit = reader.number(value, 1..=10_000).and_then(|limit| u32::try_from(limit).ok());
                }
                _ => reader.unknown(key, SPREAD_KEYS),
            }
        }
        read
    }
}

fn mode(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Mode> {
    reader.one_of(MODES, value).map(|word| match word {
        "fence" => Mode::Fence,
        "elect" => Mode::Elect,
        _ => Mode::Off,
    })
}

/// `host:port`, at least one.
fn hosts(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    let mut hosts = Vec::new();
    for value in reader.list(value) {
        let text = reader.text("`host:port`", value)?;
        // No path and no `tcp+tls://` either: `path` is the one, and encryption is not there, see [`no_tls`].
        let bare = |host: &str| !host.is_empty() && !host.contains(['/', ',', ' ', ':', '[', ']']);
        let bracketed = |host: &str| {
            let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
        };
        let host = |host: &str| bare(host) || bracketed(host);
        let port = text.rsplit_once(':').filter(|(it, _)| host(it)).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            let hint = if text.matches(':').count() > 1 { " (an IPv6 address stands in brackets)" } else { "" };
            reader.wrong("bad-value", format!("expected `host:port`, found `{text}`{hint}"), value.span());
            return None;
        }
        hosts.push(text.to_owned());
    }
    Some(hosts)
}

/// As ZooKeeper wants it: absolute, no empty, `.` or `..` part.
fn path(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<String> {
    let text = reader.text("a path of the node tree", value)?;
    let fine = text.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control))
    });
    if !fine {
        reader.wrong("bad-value", format!("expected a path such as `/vipward/site-a`, found `{text}`"), value.span());
    }
    fine.then(|| text.to_owned())
}

/// Not a word of the file; it is named because it will be looked for.
fn no_tls() -> &'static str {
    "connections to ZooKeeper are not encrypted: lead them through a tunnel (WireGuard, stunnel), see docs/zookeeper.md"
}

fn short_session() -> String {
    format!(
        "`session_timeout` must be at least {} s: the kernel keeps an address for up to {:.2} s after this process \
         stopped, and in the rest of it the ensemble must be able to change its leader",
        surely::SHORTEST_SESSION.as_secs(),
        surely::KERNEL_HOLDS.as_secs_f64()
    )
}

fn bears_little(session: Duration, place: Span) -> Diagnostic {
    let bears = surely::bears(session).as_secs_f64();
    let message =
        format!("with {} s the addresses stay for {bears:.2} s while ZooKeeper does not answer", session.as_secs());
    Diagnostic::info("short-session-bears", message)
        .at(place, "")
        .note(
            "a leader that freezes is replaced after `syncLimit` ticks and half a second: 10.5 s with Debian's example \
             zoo.cfg, 3.5 s with the one of docs/zookeeper.md",
        )
        .help(format!(
            "see that `syncLimit` * `tickTime` is below {:.1} s, or leave the default, {} s",
            bears - 1.0,
            surely::DEFAULT_SESSION.as_secs()
        ))
}

fn unknown_router(name: &str, place: Span) -> Diagnostic {
    let message = format!("there is no `vrrp_instance {name}`");
    Diagnostic::error("unknown-router", message).at(place, "").note("names are those of keepalived's file")
}

fn keep_warned(name: &str, place: Span) -> Diagnostic {
    Diagnostic::warning("keep-on-loss", format!("`{name}` keeps its addresses without the quorum service"))
        .at(place, "")
        .note("directors that don't hear each other then both own them, as with keepalived")
}

fn lease_needed(place: Span) -> Diagnostic {
    Diagnostic::error("fence-without-lifetime", "`fence` and `elect` need `lifetime = true` in [vip]")
        .at(place, "")
        .note(
            "without a lifetime in the kernel an address stays when this process hangs or dies, while the quorum \
             service gives its lease to another director",
        )
        .help("take `lifetime = false` out, or write `default = \"off\"`")
}
