//! A run as people read it: one line an event, one column a node, aligned.
//!
//! A column shows what happens to its node in one word, and between events what it is: `┃` holds a virtual address,
//! `│` runs, `┊` frozen, `╎` dead but its kernel still holds an address, `·` off. For clients `│` is served and `╳` is
//! not.

use crate::runner::Run;
use crate::scenario::{NodeId, NodeKind};
use crate::trace::{Entry, What};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use vipward_core::decision::Decision;
use vipward_core::interface::AddressKey;
use vipward_core::ipvs::Op;
use vipward_core::supervisor::Saying;
use vipward_core::time::{Duration, Instant};

/// The whole timeline.
pub fn render(run: &Run) -> String {
    let columns: Vec<NodeId> =
        run.scenario.ids().filter(|id| !matches!(run.scenario.node(*id).kind, NodeKind::Router)).collect();
    let lines = lines(run);
    let mut state = States::new(run);
    let mut rows: Vec<(Instant, Vec<String>, String)> = Vec::new();
    for line in lines {
        let cells = columns.iter().map(|id| match line.node {
            Some(node) if node == *id => {
                state.change(*id, &line);
                line.word.clone()
            }
            Some(_) | None => state.mark(*id).to_owned(),
        });
        rows.push((line.at, cells.collect(), line.text));
    }
    let name = |id: &NodeId| run.scenario.node(*id).name.to_string();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, id)| {
            let cells = rows.iter().filter_map(|(_, cells, _)| cells.get(at)).map(|cell| cell.chars().count());
            cells.chain([name(id).chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    let row = |text: &mut String, time: &str, cells: &[String], what: &str| {
        let mut line = format!("{time:>9}");
        for (cell, width) in cells.iter().zip(&widths) {
            let pad = width.saturating_sub(cell.chars().count());
            let _ = write!(line, "  {cell}{}", " ".repeat(pad));
        }
        let _ = write!(line, "  {what}");
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row(&mut text, "time", &columns.iter().map(name).collect::<Vec<_>>(), "");
    let mut last = None;
    for (at, cells, what) in &rows {
        // The same moment is written once.
        let time = if last == Some(*at) { String::new() } else { format!("{at} s") };
        row(&mut text, &time, cells, what);
        last = Some(*at);
    }
    text
}

/// One line before it is laid out.
struct Line {
    at: Instant,
    node: Option<NodeId>,
    word: String,
    text: String,
    becomes: Becomes,
}

/// What the event makes of its node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Becomes {
    Same,
    Running,
    Frozen,
    Dead,
    Off,
    Holding,
    Free,
    Served,
    Unserved,
}

/// What each node is between events.
struct States {
    alive: BTreeMap<NodeId, Becomes>,
    holding: BTreeSet<NodeId>,
}

impl States {
    fn new(run: &Run) -> Self {
        let first = |id| match run.scenario.node(id).kind {
            NodeKind::Director(_) => Becomes::Off,
            NodeKind::RealServer(_) | NodeKind::Quorum(_) | NodeKind::Router => Becomes::Running,
            NodeKind::Client(_) => Becomes::Served,
        };
        Self { alive: run.scenario.ids().map(|id| (id, first(id))).collect(), holding: BTreeSet::new() }
    }

    fn change(&mut self, id: NodeId, line: &Line) {
        match line.becomes {
            Becomes::Same => {}
            Becomes::Holding => drop(self.holding.insert(id)),
            Becomes::Free => drop(self.holding.remove(&id)),
            state => {
                self.alive.insert(id, state);
                if state == Becomes::Off {
                    self.holding.remove(&id);
                }
            }
        }
    }

    fn mark(&self, id: NodeId) -> &'static str {
        let holding = self.holding.contains(&id);
        match self.alive.get(&id) {
            Some(Becomes::Frozen) => "┊",
            Some(Becomes::Dead) if holding => "╎",
            Some(Becomes::Dead | Becomes::Off) | None => "·",
            Some(Becomes::Unserved) => "╳",
            Some(_) if holding => "┃",
            Some(_) => "│",
        }
    }
}

fn lines(run: &Run) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut held: BTreeMap<NodeId, BTreeSet<AddressKey>> = BTreeMap::new();
    let adverts = runs(run, |what| match what {
        What::Advert { vrid, priority, destination } => Some((*vrid, *priority, *destination)),
        _ => None,
    });
    let announcements = runs(run, |what| match what {
        What::Announced { address } => Some((0, 0, *address)),
        _ => None,
    });
    for (at, entry) in run.trace.iter().enumerate() {
        let line = |word: &str, text: String, becomes| Line {
            at: entry.at,
            node: entry.node,
            word: word.to_owned(),
            text,
            becomes,
        };
        let held = held.entry(entry.node.unwrap_or(NodeId(usize::MAX))).or_default();
        let next = match &entry.what {
            What::Step { word, text } => {
                let becomes = match *word {
                    "KILLED" => Becomes::Dead,
                    "OFF" => Becomes::Off,
                    "FROZEN" | "HUNG" => Becomes::Frozen,
                    "CRASH" => Becomes::Dead,
                    "AWAKE" | "START" | "UP" | "PLUG" => Becomes::Running,
                    "DOWN" => Becomes::Off,
                    "UNPLUG" => Becomes::Dead,
                    _ => Becomes::Same,
                };
                let text = if entry.node.is_none() { format!("{word}: {text}") } else { text.clone() };
                line(word, text, becomes)
            }
            What::Started => match lines.last() {
                // The step has just said so.
                Some(step) if step.word == "START" && step.at == entry.at && step.node == entry.node => continue,
                Some(_) | None => line("start", "daemon started".to_owned(), Becomes::Running),
            },
            What::TakenUp => line("goes on", "a new process has taken over".to_owned(), Becomes::Same),
            What::Stopped => line("ended", "daemon ended in order".to_owned(), Becomes::Dead),
            What::Ended { .. } | What::KernelForgot => {
                if entry.what == What::KernelForgot {
                    held.clear();
                }
                continue;
            }
            What::Found { router, role } => line(&role.to_string(), format!("{router}: {role} before"), Becomes::Same),
            What::Supervisor(saying) => {
                let becomes = if matches!(saying, Saying::Silent { .. }) { Becomes::Dead } else { Becomes::Same };
                line("guard", saying.to_string(), becomes)
            }
            What::Decided(decision) => line(&word_of(decision), decision.to_string(), Becomes::Same),
            What::AddressAdded(key) => {
                held.insert(key.clone());
                line("+VIP", format!("{key}"), Becomes::Holding)
            }
            What::AddressRemoved(key) => {
                held.remove(key);
                line("-VIP", format!("{key}"), if held.is_empty() { Becomes::Free } else { Becomes::Same })
            }
            What::AddressExpired(key) => {
                held.remove(key);
                let text = format!("the kernel takes {key} off: its lifetime is over");
                line("-VIP", text, if held.is_empty() { Becomes::Free } else { Becomes::Same })
            }
            What::RouteAdded(key) => line("+route", key.to_string(), Becomes::Same),
            What::RouteRemoved(key) => line("-route", key.to_string(), Becomes::Same),
            What::RuleAdded(rule) => line("+rule", rule.to_string(), Becomes::Same),
            What::RuleRemoved(rule) => line("-rule", rule.to_string(), Becomes::Same),
            What::SetIpvs(setting) => line("ipvs", setting.to_string(), Becomes::Same),
            What::Ipvs(op) => {
                // What is changed at one moment is one line.
                let key = op_service(op);
                let same = |last: &&mut Line| last.word == "ipvs" && last.at == entry.at && last.node == entry.node;
                if let Some(last) = lines.last_mut().filter(same)
                    && last.text.contains(&key)
                {
                    let _ = write!(last.text, "; {}", describe(op).replace(&key, "").trim_start_matches(": "));
                    continue;
                }
                line("ipvs", describe(op), Becomes::Same)
            }
            What::Advert { vrid, priority, destination } => match adverts.get(&at) {
                Some(adverts) => {
                    let pace = adverts.pace().map_or(String::new(), |pace| format!(" every {}", pace));
                    let prio = if *priority == 0 { "0 (stops)".to_owned() } else { priority.to_string() };
                    let text =
                        format!("VRID {vrid}, priority {prio} to {destination}: {}{pace}", adverts.count("advert"));
                    line("advert", text, Becomes::Same)
                }
                None => continue,
            },
            What::Announced { address } => match announcements.get(&at) {
                Some(all) => {
                    let (word, noun) = announcement(*address);
                    line(word, format!("{address}: {}", all.count(noun)), Becomes::Same)
                }
                None => continue,
            },
            What::Notified { command } => line("notify", command.clone(), Becomes::Same),
            What::WroteLine { path, line: written } => line("fifo", format!("{path}: {written}"), Becomes::Same),
            What::Mailed { subject } => line("mail", subject.clone(), Becomes::Same),
            What::Delivered { subject } => line("mail", format!("delivered: {subject}"), Becomes::Same),
            What::BufferFull => line("lost", "socket buffer is full: adverts are lost".to_owned(), Becomes::Same),
            What::ServerUp { port } => {
                line("up", ports(*port, "open"), port.map_or(Becomes::Running, |_| Becomes::Same))
            }
            What::ServerDown { port } => {
                line("down", ports(*port, "closed"), port.map_or(Becomes::Off, |_| Becomes::Same))
            }
            What::TroubleBegan { cause } => line("OUTAGE", cause.clone(), Becomes::Unserved),
            What::TroubleEnded { lasted, failed, asked, longest } => {
                let mut text = format!("after {} ms; {failed} of {asked} requests failed", lasted.as_millis());
                if longest < lasted {
                    let _ = write!(text, ", at the longest for {} ms", longest.as_millis());
                }
                line("served", text, Becomes::Served)
            }
            What::ConnectionBroke { cause } => {
                line("broke", format!("a kept connection breaks: {cause}"), Becomes::Same)
            }
            What::ConnectedAgain { after } => {
                line("again", format!("connected again after {} ms", after.as_millis()), Becomes::Same)
            }
            What::Violated { invariant, text } => line("", format!("✗ {invariant}: {text}"), Becomes::Same),
        };
        lines.push(next);
    }
    lines
}

/// A run of like events: the same node and key, never more than [`GAP`] apart.
struct Like {
    count: u64,
    first: Instant,
    last: Instant,
}

/// Adverts that are farther apart are two runs.
const GAP: Duration = Duration::from_secs(3);

impl Like {
    fn count(&self, noun: &str) -> String {
        match self.count {
            1 => format!("one {noun}"),
            n if self.first == self.last => format!("{n} {noun}s"),
            n => format!("{n} {noun}s until {} s", self.last),
        }
    }

    /// The mean distance, when there is one.
    fn pace(&self) -> Option<String> {
        let between = u32::try_from(self.count.checked_sub(1)?).ok().filter(|between| *between > 0)?;
        let pace = self.last.since(self.first) / between;
        Some(format!("{}.{:03} s", pace.as_secs(), pace.subsec_millis()))
    }
}

/// The runs of like events, by the position of their first.
fn runs(run: &Run, key: impl Fn(&What) -> Option<(u8, u8, IpAddr)>) -> BTreeMap<usize, Like> {
    let mut open: BTreeMap<(Option<NodeId>, u8, IpAddr), (usize, u8)> = BTreeMap::new();
    let mut runs: BTreeMap<usize, Like> = BTreeMap::new();
    for (at, entry) in run.trace.iter().enumerate() {
        let Some((vrid, priority, destination)) = key(&entry.what) else { continue };
        let place = (entry.node, vrid, destination);
        let current = open.get(&place).filter(|(_, same)| *same == priority).map(|(first, _)| *first);
        let current = current.and_then(|first| runs.get_mut(&first));
        match current {
            Some(like) if entry.at.since(like.last) <= GAP => {
                like.count += 1;
                like.last = entry.at;
            }
            Some(_) | None => {
                open.insert(place, (at, priority));
                runs.insert(at, Like { count: 1, first: entry.at, last: entry.at });
            }
        }
    }
    runs
}

fn word_of(decision: &Decision) -> String {
    match decision {
        Decision::RoleChanged { to, .. } => return to.to_string(),
        Decision::RoleInherited { role, .. } => return role.to_string(),
        Decision::VerdictsInherited { .. } => "checkers",
        Decision::PriorityChanged { .. } => "prio",
        Decision::AdvertsIgnored { .. } => "ignores",
        Decision::ServerUp { .. } => "server+",
        Decision::ServerDown { .. } | Decision::ServerStartsDown { .. } => "server-",
        Decision::ServerDrained { .. } | Decision::DrainsInherited { .. } => "drained",
        Decision::ServerUndrained { .. } => "undrain",
        Decision::ServerTakenOut { .. } => "out",
        Decision::OrderRefused { .. } => "refused",
        Decision::ChecksSuspended { .. } | Decision::ChecksResumed { .. } => "checks",
        Decision::QuorumGained { .. } => "quorum+",
        Decision::QuorumLost { .. } => "quorum-",
        Decision::ProbeFailed { .. } | Decision::ProbesAskedAgain { .. } => "probe",
        Decision::ProbeNotAsked { .. } => "failed",
        Decision::ScriptChanged { .. } => "script",
        Decision::ProcessChanged { .. } => "process",
        Decision::WeightChanged { .. } | Decision::SlowStart { .. } => "weight",
        Decision::ConfigApplied { .. } => "config",
        Decision::EffectFailed { .. } | Decision::ServiceNotServed { .. } | Decision::SettingNotServed { .. } => {
            "failed"
        }
        Decision::LeftoverRemoved { .. }
        | Decision::AddressRestored { .. }
        | Decision::RouteLeftoverRemoved { .. }
        | Decision::RouteRestored { .. }
        | Decision::RuleLeftoverRemoved { .. }
        | Decision::RuleRestored { .. }
        | Decision::TableRepaired { .. } => "mends",
        Decision::SessionOpened { .. } => "session",
        Decision::LeaseGranted { .. } => "lease",
        // Whatever else is decided is a warning about a peer.
        _ => "warns",
    }
    .to_owned()
}

/// The service that an operation is about, as [`describe`] writes it.
fn op_service(op: &Op) -> String {
    match op {
        Op::AddService { key, .. } | Op::EditService { key, .. } | Op::RemoveService { key } => key.to_string(),
        Op::AddDestination { service, .. }
        | Op::EditDestination { service, .. }
        | Op::RemoveDestination { service, .. } => service.to_string(),
    }
}

fn describe(op: &Op) -> String {
    match op {
        Op::AddService { key, service } => format!("{key}: add service, {}", service.scheduler),
        Op::EditService { key, service } => format!("{key}: edit service, {}", service.scheduler),
        Op::RemoveService { key } => format!("{key}: remove service"),
        Op::AddDestination { service, address, destination } => {
            format!("{service}: add {address} {} weight {}", destination.forwarding, destination.weight)
        }
        Op::EditDestination { service, address, destination } => {
            format!("{service}: edit {address} {} weight {}", destination.forwarding, destination.weight)
        }
        Op::RemoveDestination { service, address } => format!("{service}: remove {address}"),
    }
}

/// One event in one line, as the machine-readable report has it.
pub(crate) fn sentence(entry: &Entry) -> (String, String) {
    match &entry.what {
        What::Step { word, text } => ((*word).to_owned(), text.clone()),
        What::Started => ("started".to_owned(), String::new()),
        What::Ended { .. } => ("ended".to_owned(), String::new()),
        What::KernelForgot => ("kernel-forgot".to_owned(), String::new()),
        What::TakenUp => ("taken-up".to_owned(), String::new()),
        What::Stopped => ("stopped".to_owned(), String::new()),
        What::Found { router, role } => ("found".to_owned(), format!("{router}: {role} before")),
        What::Supervisor(saying) => ("supervisor".to_owned(), saying.to_string()),
        What::Decided(decision) => ("decision".to_owned(), decision.to_string()),
        What::AddressAdded(key) => ("address-added".to_owned(), key.to_string()),
        What::AddressRemoved(key) => ("address-removed".to_owned(), key.to_string()),
        What::AddressExpired(key) => ("address-expired".to_owned(), key.to_string()),
        What::RouteAdded(key) => ("route-added".to_owned(), key.to_string()),
        What::RouteRemoved(key) => ("route-removed".to_owned(), key.to_string()),
        What::RuleAdded(rule) => ("rule-added".to_owned(), rule.to_string()),
        What::RuleRemoved(rule) => ("rule-removed".to_owned(), rule.to_string()),
        What::Ipvs(op) => ("ipvs".to_owned(), describe(op)),
        What::SetIpvs(setting) => ("ipvs".to_owned(), setting.to_string()),
        What::Advert { vrid, priority, destination } => {
            ("advert".to_owned(), format!("VRID {vrid}, priority {priority} to {destination}"))
        }
        What::Announced { address } => ("announced".to_owned(), address.to_string()),
        What::Notified { command } => ("notified".to_owned(), command.clone()),
        What::WroteLine { path, line } => ("fifo".to_owned(), format!("{path}: {line}")),
        What::Mailed { subject } => ("mailed".to_owned(), subject.clone()),
        What::Delivered { subject } => ("delivered".to_owned(), subject.clone()),
        What::BufferFull => ("buffer-full".to_owned(), String::new()),
        What::ServerUp { port } => ("server-up".to_owned(), port.map(|it| ports(Some(it), "open")).unwrap_or_default()),
        What::ServerDown { port } => {
            ("server-down".to_owned(), port.map(|it| ports(Some(it), "closed")).unwrap_or_default())
        }
        What::TroubleBegan { cause } => ("trouble-began".to_owned(), cause.clone()),
        What::TroubleEnded { lasted, failed, asked, .. } => {
            ("trouble-ended".to_owned(), format!("{} ms, {failed} of {asked} requests failed", lasted.as_millis()))
        }
        What::ConnectionBroke { cause } => ("connection-broke".to_owned(), cause.clone()),
        What::ConnectedAgain { after } => ("connected-again".to_owned(), format!("{} ms", after.as_millis())),
        What::Violated { invariant, text } => ("violated".to_owned(), format!("{invariant}: {text}")),
    }
}

/// What announces such an address: as keepalived's words are called, and in full.
pub(crate) fn announcement(address: IpAddr) -> (&'static str, &'static str) {
    match address {
        IpAddr::V4(_) => ("garp", "gratuitous ARP"),
        IpAddr::V6(_) => ("gna", "neighbour advertisement"),
    }
}

/// Of a real server, or of one port of a director: open or closed.
pub(crate) fn ports(port: Option<u16>, are: &str) -> String {
    port.map_or(format!("ports are {are}"), |port| format!("port {port} is {are}"))
}
