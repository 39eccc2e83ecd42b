//! Services on directors: which one a step is about, and which one a tracked script checks, as the scenario says or as
//! its command is read.

use super::model::*;
use super::read::{Reader, Table, Value};
use super::values::{is_director, is_server};
use super::words::nearest;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::de::DeValue;
use vipward_core::command::Command;
use vipward_core::config::{Config, ProcessPattern};
use vipward_core::text::Diagnostic;

/// What the command of a tracked script tells about what it checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clue {
    /// A service of its own director.
    Service {
        /// The port that the command names, or that such a service usually has.
        port: Option<u16>,
        /// See [`Checks::asks`].
        asks: bool,
    },
    /// Another machine, or no service at all.
    Elsewhere,
    Nothing,
}

/// Commands that look for a process, or whether a port is open.
const LOOKS: &[&str] = &[
    "killall",
    "pgrep",
    "pidof",
    "pkill",
    "kill",
    "ps",
    "systemctl",
    "service",
    "rc-service",
    "nc",
    "ncat",
    "netcat",
    "ss",
    "netstat",
    "lsof",
];
/// Commands that ask, and see what is answered.
const ASKS: &[&str] = &["curl", "wget", "http", "https", "pg_isready", "mysqladmin", "redis-cli", "dig"];
/// Commands about other machines, or about the network.
const OTHERS: &[&str] = &["ping", "ping6", "arping", "fping", "ip", "test", "[", "true", "false"];
/// Programs by a part of their name, with the port that clients ask.
const PROGRAMS: &[(&str, u16)] = &[
    ("haproxy", 80),
    ("nginx", 80),
    ("apache", 80),
    ("httpd", 80),
    ("caddy", 80),
    ("traefik", 80),
    ("envoy", 80),
    ("varnish", 80),
    ("squid", 3128),
    ("postgres", 5432),
    ("pg_isready", 5432),
    ("mysql", 3306),
    ("mariadb", 3306),
    ("redis", 6379),
    ("named", 53),
    ("unbound", 53),
    ("dnsmasq", 53),
];

/// What the command tells. No shell is played: its words are looked at, those within a quoted argument too.
pub fn guess(command: &Command) -> Clue {
    let words = || {
        command.argv.iter().flat_map(|argument| argument.split(|c: char| c.is_whitespace() || "'\"`()|&;".contains(c)))
    };
    let name = |word: &'static [&'static str]| words().any(|it| word.contains(&base(it)));
    let program = words().find_map(|word| PROGRAMS.iter().find(|(part, _)| base(word).contains(part)));
    let usual = program.map(|(_, port)| *port);
    if let Some((_, after)) = words().find_map(|word| word.split_once("/dev/tcp/")) {
        return address(&after.replacen('/', ":", 1), None)
            .map_or(Clue::Elsewhere, |port| Clue::Service { port, asks: false });
    }
    if name(ASKS) {
        let url = words().find(|word| word.contains("://") || address(word, None).is_some());
        let at = |url: &str| address(url, Some(if url.starts_with("https") { 443 } else { 80 }));
        return match url {
            Some(url) => at(url).map_or(Clue::Elsewhere, |port| Clue::Service { port, asks: true }),
            None => Clue::Service { port: usual, asks: true },
        };
    }
    if name(&["nc", "ncat", "netcat"]) {
        let local = words().all(|word| !word.contains('.') || word.starts_with('/') || address(word, None).is_some());
        let port = words().filter_map(|word| word.parse::<u16>().ok()).next_back();
        return if local { Clue::Service { port: port.or(usual), asks: false } } else { Clue::Elsewhere };
    }
    match (name(LOOKS), usual, name(OTHERS)) {
        (true, ..) | (false, Some(_), _) => Clue::Service { port: usual, asks: false },
        (false, None, true) => Clue::Elsewhere,
        (false, None, false) => Clue::Nothing,
    }
}

/// The port on which a tracked process answers, of those on which the director `listens`, by its command.
pub fn serves(pattern: &ProcessPattern, listens: &[u16]) -> Option<u16> {
    Some(program(pattern).among(listens)?.port)
}

/// What the name of a tracked process tells.
pub fn program(pattern: &ProcessPattern) -> Clue {
    guess(&Command { argv: vec![pattern.command.to_string()], user: None })
}

/// `/usr/sbin/haproxy`: `haproxy`.
fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The port of an address of this machine, as a URL or without a scheme; the outer `None`: of another one, or no address.
fn address(text: &str, usual: Option<u16>) -> Option<Option<u16>> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let place = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let place = place.rsplit('@').next().unwrap_or(place);
    let local = ["localhost", "127.0.0.1", "[::1]", "::1", "0.0.0.0"];
    let bare = |host: &str| local.contains(&host) || (host.starts_with("127.") && !host.contains(':'));
    if bare(place) {
        return Some(usual);
    }
    let (host, port) = place.rsplit_once(':')?;
    (bare(host) || (host.is_empty() && !port.is_empty())).then(|| port.parse().ok().or(usual))
}

impl Clue {
    /// The service that is meant, of those that the director has.
    fn among(self, listens: &[u16]) -> Option<Checks> {
        let Self::Service { port, asks } = self else { return None };
        match (port.filter(|port| listens.contains(port)), listens) {
            (Some(port), _) => Some(Checks { port, asks }),
            (None, [only]) => Some(Checks { port: *only, asks }),
            (None, _) => None,
        }
    }
}

impl Reader<'_> {
    /// `tracks`, and a guess for each script that it does not name.
    pub(super) fn tracks(
        &mut self,
        table: &Table<'_>,
        config: Option<&Config>,
        listens: &[u16],
    ) -> BTreeMap<Arc<str>, Checks> {
        let scripts = || config.iter().flat_map(|config| config.scripts.values());
        let mut tracks: BTreeMap<Arc<str>, Checks> = scripts()
            .filter_map(|script| Some((script.name.clone(), guess(&script.command).among(listens)?)))
            .collect();
        let Some(value) = table.get("tracks") else { return tracks };
        let Some(named) = value.get_ref().as_table() else {
            self.wrong(self.of_value(value), "expected scripts and ports", "`tracks = { chk_haproxy = 80 }`");
            return tracks;
        };
        for (name, range, value) in self.any_table(named, self.of_value(value)).words {
            let Some(script) = scripts().find(|script| *script.name == *name) else {
                let names: Vec<String> = scripts().map(|script| script.name.to_string()).collect();
                let near = nearest(&name, names.iter().map(String::as_str)).map(str::to_owned);
                self.no_such("vrrp_script", &name, self.span(range), near.as_deref(), &names);
                continue;
            };
            if matches!(value.get_ref(), DeValue::Boolean(false)) {
                tracks.remove(&*name);
                continue;
            }
            let Some(port) = self.whole::<u16>(value) else { continue };
            if !listens.contains(&port) {
                let ports: Vec<String> = listens.iter().map(u16::to_string).collect();
                let has = if ports.is_empty() {
                    "it has no `listens`".to_owned()
                } else {
                    format!("`listens` has {}", ports.join(", "))
                };
                self.wrong(self.of_value(value), format!("this director does not listen on port {port}"), has);
                continue;
            }
            let asks = matches!(guess(&script.command), Clue::Service { asks: true, .. });
            tracks.insert(name.into(), Checks { port, asks });
        }
        tracks
    }

    /// A real server's name, or `lb1:80`; `lb1` alone where that has one service.
    pub(super) fn listener(&mut self, value: &Value<'_>) -> Option<Listener> {
        let text = self.text(value, "the name of a real server, or a director's with a port: \"lb1:80\"")?;
        let place = self.of_value(value);
        let listens = |node: &NodePlan| match &node.kind {
            NodeKind::Director(director) => director.listens.clone(),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => Vec::new(),
        };
        let id = |name: &str| self.nodes.iter().position(|node| *node.name == *name).map(NodeId);
        let (named, port) = match (id(text), text.rsplit_once(':')) {
            (Some(id), _) => (Some(id), None),
            (None, Some((name, port))) => (id(name), Some(port)),
            (None, None) => (None, None),
        };
        let plan = named.and_then(|id| Some((id, self.nodes.get(id.0)?)));
        match (plan, port) {
            (Some((node, plan)), None) if is_server(&plan.kind) => return Some(Listener { node, port: None }),
            (Some((node, plan)), port) if is_director(&plan.kind) => {
                let (name, ports) = (plan.name.clone(), listens(plan));
                let found = match (port, &ports[..]) {
                    (None, [only]) => Some(*only),
                    (None, _) => None,
                    (Some(port), ports) => port.parse().ok().filter(|port| ports.contains(port)),
                };
                if found.is_none() {
                    let services: Vec<String> = ports.iter().map(|port| format!("`{name}:{port}`")).collect();
                    let message = match port {
                        Some(port) => format!("`{name}` has no service on port {port}"),
                        None if ports.is_empty() => format!("`{name}` has no service"),
                        None => format!("`{name}` has several services"),
                    };
                    let mut wrong = Diagnostic::error("no-such-service", message).at(place, "");
                    if let Some(head) = self.heads.get(&*name) {
                        wrong = wrong.also(
                            *head,
                            if services.is_empty() {
                                "this has no `listens`".to_owned()
                            } else {
                                format!("it has {}", services.join(", "))
                            },
                        );
                    }
                    if port.is_some() || ports.is_empty() {
                        wrong =
                            wrong.help(format!("`listens = 80` in `[director.{name}]` gives it one, \"{name}:80\""));
                    }
                    self.error(wrong);
                }
                return found.map(|port| Listener { node, port: Some(port) });
            }
            (Some(_), None) => return self.node(value, "real server", is_server).map(Listener::from),
            (Some(_) | None, _) => {}
        }
        let all = self.nodes.iter().flat_map(|node| match &node.kind {
            NodeKind::RealServer(_) => vec![node.name.to_string()],
            NodeKind::Director(_) => listens(node).iter().map(|port| format!("{}:{port}", node.name)).collect(),
            NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => Vec::new(),
        });
        let all: Vec<String> = all.collect();
        let near = nearest(text, all.iter().map(String::as_str)).map(str::to_owned);
        self.no_such("real server or service", text, place, near.as_deref(), &all);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str) -> Clue {
        // As the reader splits it: quotes hold together.
        let argv = command.split(' ').map(str::to_owned).collect();
        guess(&Command { argv, user: None })
    }

    #[test]
    fn a_command_tells_what_it_checks() {
        let looks = |port| Clue::Service { port, asks: false };
        let asks = |port| Clue::Service { port, asks: true };
        let cases = [
            ("/usr/bin/killall -0 haproxy", looks(Some(80))),
            ("/usr/bin/pgrep -x nginx", looks(Some(80))),
            ("pidof something", looks(None)),
            ("systemctl is-active --quiet postgresql", looks(Some(5432))),
            ("/etc/keepalived/check_haproxy.sh", looks(Some(80))),
            ("sh -c 'kill -0 $(cat /run/x.pid)'", looks(None)),
            ("curl -fsS http://localhost:8080/health", asks(Some(8080))),
            ("curl -f https://127.0.0.1/", asks(Some(443))),
            ("curl -f http://127.0.0.1:81/x", asks(Some(81))),
            ("curl -f localhost", asks(Some(80))),
            ("wget -q -O- http://user:secret@[::1]:81/", asks(Some(81))),
            ("curl -f http://www.example.com/", Clue::Elsewhere),
            ("nc -z 127.0.0.1 8443", looks(Some(8443))),
            ("nc -z -w 2 192.0.2.1 22", Clue::Elsewhere),
            ("bash -c '</dev/tcp/127.0.0.1/80'", looks(Some(80))),
            ("ping -c 1 192.0.2.1", Clue::Elsewhere),
            ("/usr/local/bin/check_something", Clue::Nothing),
        ];
        for (command, clue) in cases {
            assert_eq!(of(command), clue, "{command}");
        }
    }

    #[test]
    fn a_guess_is_a_service_that_the_director_has() {
        let haproxy = of("killall -0 haproxy");
        assert_eq!(haproxy.among(&[80, 443]), Some(Checks { port: 80, asks: false }));
        assert_eq!(haproxy.among(&[8080]), Some(Checks { port: 8080, asks: false }), "the only one");
        assert_eq!(haproxy.among(&[8080, 8443]), None);
        assert_eq!(of("check_something").among(&[80]), None);
    }
}
