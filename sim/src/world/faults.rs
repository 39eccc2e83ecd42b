//! The scenario's steps, carried out.

use super::World;
use super::node::{Director, Flap, Process, Server, State};
use crate::scenario::{Action, Heal, Impairment, Listener, NodeId, Party};
use crate::trace::What;
use vipward_core::interface::InterfaceName;
use vipward_core::time::Duration;
use vipward_core::vrrp::Event;

/// Packets from some to some suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImpairedPath {
    pub from: Party,
    pub to: Party,
    pub impairment: Impairment,
}

impl World {
    /// Carries one step out. Beginning and end of daemons are the runner's part as well: it looks at
    /// [`super::Director::process`] and [`super::Director::incarnation`] afterwards.
    pub fn act(&mut self, action: &Action) {
        let (node, word, text) = self.describe(action);
        self.note(node, What::Step { word, text });
        self.shake();
        self.disturb(action);
        match action {
            Action::Kill(node) => self.kill(*node),
            Action::KillWorker(node) => self.kill_worker(*node),
            Action::HangWorker(node) => self.hang_worker(*node),
            Action::PowerOff(node) => self.power_off(*node),
            Action::Stop(node) => self.ask_to_stop(*node),
            Action::Start(node) => self.start(*node),
            Action::Upgrade(node) => self.upgrade(*node),
            Action::Freeze(node) => {
                self.stand_still(*node, true);
                if self.freeze_supervisor(*node, true) {
                    self.set_frozen(*node, true);
                }
            }
            Action::Resume(node) => {
                self.stand_still(*node, false);
                if self.freeze_supervisor(*node, false) {
                    self.set_frozen(*node, false);
                }
            }
            Action::LeaderChange { node: _, lasts } => self.change_leader(*lasts),
            Action::ServerDies(node) => self.server_dies(*node),
            Action::Wipe(_) => self.wipe_quorum(),
            Action::EndSession(node) => self.end_session(*node),
            Action::Reload { node, file } => self.reload(*node, file),
            Action::Unplug { node, interface } => self.set_plugged(*node, interface.as_ref(), false),
            Action::Plug { node, interface } => self.set_plugged(*node, interface.as_ref(), true),
            Action::Impair { from, to, both, impairment } => {
                self.rules.push(ImpairedPath { from: *from, to: *to, impairment: *impairment });
                if *both && from != to {
                    self.rules.push(ImpairedPath { from: *to, to: *from, impairment: *impairment });
                }
            }
            Action::Heal(heal) => self.heal(*heal),
            Action::Down(who) => {
                self.set_listening(*who, false);
            }
            Action::Up(who) => {
                if let Some(server) = self.listener_mut(*who) {
                    (server.slow, server.status, server.flap) = (Duration::ZERO, 200, None);
                }
                self.set_listening(*who, true);
            }
            Action::Slow { who, by } => {
                if let Some(server) = self.listener_mut(*who) {
                    server.slow = *by;
                }
            }
            Action::Hang(who) => {
                if let Some(server) = self.listener_mut(*who) {
                    server.slow = Server::NEVER;
                }
            }
            Action::Status { who, code } => {
                if let Some(server) = self.listener_mut(*who) {
                    server.status = *code;
                }
            }
            Action::Flap { who, every, times } => {
                let next = self.now;
                if let Some(server) = self.listener_mut(*who) {
                    server.flap = Some(Flap { every: *every, next, left: times.saturating_mul(2) });
                }
            }
            Action::Script { script, node, exits } => {
                if let Some(director) = self.director_mut(*node) {
                    director.scripts.insert(script.clone(), *exits);
                }
            }
            Action::File { file, node, holds } => {
                if let Some(director) = self.director_mut(*node) {
                    director.files.insert(file.clone(), *holds);
                }
                self.tell_election(*node, Event::FilesRead(vec![(file.clone(), *holds)]));
            }
            Action::Process { process, node, runs } => {
                if let Some(director) = self.director_mut(*node) {
                    director.processes.insert(process.clone(), *runs);
                }
                self.tell_election(*node, Event::ProcessesCounted(vec![(process.clone(), *runs)]));
            }
            Action::StarveWorker { node, lasts } => self.starve_worker(*node, *lasts),
            Action::Order { order, node } => self.tell_balancer(*node, (0, *order).into()),
            Action::Forge(forgery) => self.forge(forgery),
            Action::DeleteAddress { address, node } => self.delete_by_hand(*node, *address),
            Action::DropGarp(segment) => _ = self.drops_garp.insert(*segment),
            Action::DeleteRoute { destination, prefix_len, node } => {
                self.delete_route_by_hand(*node, *destination, *prefix_len);
            }
        }
    }

    fn disturb(&mut self, action: &Action) {
        let now = self.now;
        self.last_step = now;
        match action {
            Action::Kill(id)
            | Action::KillWorker(id)
            | Action::HangWorker(id)
            | Action::PowerOff(id)
            | Action::Stop(id)
            | Action::Start(id)
            | Action::Unplug { node: id, .. }
            | Action::Plug { node: id, .. }
            | Action::Reload { node: id, .. }
            | Action::Script { node: id, .. }
            | Action::File { node: id, .. }
            | Action::Process { node: id, .. }
            | Action::EndSession(id)
            | Action::ServerDies(id)
            | Action::DeleteAddress { node: id, .. }
            | Action::DeleteRoute { node: id, .. } => self.node_mut(*id).disturbed = now,
            // Its end is what the directors feel, too.
            Action::LeaderChange { lasts, .. } => self.last_impairment = self.last_impairment.max(now + *lasts),
            Action::Freeze(id) | Action::Resume(id) if self.quorum_node() == Some(*id) => self.last_impairment = now,
            Action::Impair { .. } | Action::Heal(_) | Action::Wipe(_) | Action::DropGarp(_) => {
                self.last_impairment = now
            }
            // Nobody else is to notice an upgrade.
            // What a forged advert does depends on who believes it.
            Action::Upgrade(_)
            | Action::Forge(_)
            | Action::StarveWorker { .. }
            // What becomes of the table the decision says, at once.
            | Action::Order { .. }
            | Action::Freeze(_)
            | Action::Resume(_) => {}
            Action::Down(who)
            | Action::Up(who)
            | Action::Hang(who)
            | Action::Slow { who, .. }
            | Action::Status { who, .. }
            | Action::Flap { who, .. } => {
                if who.port.is_some() {
                    self.node_mut(who.node).disturbed = now;
                    self.see_again(*who);
                }
            }
        }
    }

    fn heal(&mut self, heal: Heal) {
        let names = |rule: &ImpairedPath, id: NodeId| rule.from == Party::Node(id) || rule.to == Party::Node(id);
        self.rules.retain(|rule| match heal {
            Heal::All => false,
            Heal::Node(id) => !names(rule, id),
            Heal::Between(a, b) => !(names(rule, a) && names(rule, b)),
        });
    }

    /// Of one interface, or of all.
    fn set_plugged(&mut self, id: NodeId, interface: Option<&InterfaceName>, plugged: bool) {
        let concerned = |name: &InterfaceName| interface.is_none_or(|only| only == name);
        let node = self.node_mut(id);
        for name in node.ports.iter().map(|port| &port.interface).filter(|name| concerned(name)) {
            if plugged {
                node.unplugged.remove(name);
            } else {
                node.unplugged.insert(name.clone());
            }
        }
        for link in self.links(id).into_iter().filter(|link| concerned(&link.name)) {
            self.tell_election(id, Event::LinkChanged(link));
        }
    }

    /// Who, one word, and a sentence.
    fn describe(&self, action: &Action) -> (Option<NodeId>, &'static str, String) {
        let party = |party: &Party| match party {
            Party::Any => "everybody".to_owned(),
            Party::Node(id) => self.name(*id).to_owned(),
            Party::Segment(id) => {
                self.plan.segments.get(id.0).map_or(String::new(), |segment| segment.name.to_string())
            }
        };
        let leaves = |id: NodeId| match &self.node(id).state {
            State::Director(director) if !director.kernel.addresses.is_empty() => {
                let left: Vec<String> = director.kernel.addresses.keys().map(|key| key.address.to_string()).collect();
                let until = if director.leases() { " until its lifetime is over" } else { "" };
                format!("SIGKILL; the kernel keeps {}{until}", left.join(", "))
            }
            State::Director(_) | State::Server(_) | State::Other => "SIGKILL".to_owned(),
        };
        match action {
            Action::Kill(id) => (Some(*id), "KILLED", leaves(*id)),
            Action::KillWorker(id) => (Some(*id), "CRASH", "SIGKILL for the worker; its supervisor lives".to_owned()),
            Action::HangWorker(id) => (Some(*id), "HUNG", "the worker hangs; its supervisor lives".to_owned()),
            Action::PowerOff(id) => (Some(*id), "OFF", "power off".to_owned()),
            Action::Stop(id) => (Some(*id), "STOP", "SIGTERM".to_owned()),
            Action::Start(id) => (Some(*id), "START", "power on, if it was off; daemon started".to_owned()),
            Action::Upgrade(id) => (Some(*id), "UPGRADE", "a new process takes over".to_owned()),
            Action::Freeze(id) if self.quorum_node() == Some(*id) => {
                (Some(*id), "FROZEN", "answers nobody; its clock goes on".to_owned())
            }
            Action::Resume(id) if self.quorum_node() == Some(*id) => (Some(*id), "AWAKE", "answers again".to_owned()),
            Action::Freeze(id) => {
                let until =
                    if self.director(*id).is_some_and(Director::leases) { ", as long as they live" } else { "" };
                (Some(*id), "FROZEN", format!("frozen; its kernel still answers for its addresses{until}"))
            }
            Action::Resume(id) => {
                let since = self.director(*id).filter(|director| director.process == Process::Frozen);
                let slept = since.map_or(Duration::ZERO, |director| self.now.since(director.process_since));
                (Some(*id), "AWAKE", format!("runs again after {} ms", slept.as_millis()))
            }
            Action::Reload { node, file } => {
                let refused = if file.config.is_none() { ", which has mistakes: what runs stays as it is" } else { "" };
                (Some(*node), "RELOAD", format!("SIGHUP with {}{refused}", file.path.display()))
            }
            Action::Unplug { node, interface } => (Some(*node), "UNPLUG", cable(interface.as_ref(), "out")),
            Action::Plug { node, interface } => (Some(*node), "PLUG", cable(interface.as_ref(), "in")),
            Action::Impair { from, to, both, impairment } => {
                let (word, verb) = match impairment {
                    Impairment::Cut => ("CUT", "nothing".to_owned()),
                    Impairment::Lose(share) => ("LOSSY", format!("{share} lost")),
                    Impairment::Delay(delay) => ("LATE", format!("{} ms later", delay.as_millis())),
                    Impairment::Jitter(jitter) => ("JITTER", format!("up to {} ms later", jitter.as_millis())),
                    Impairment::Duplicate(share) => ("TWICE", format!("{share} of the adverts twice")),
                };
                let text = match (from, to) {
                    (Party::Segment(_), _) => format!("{verb} on {}", party(from)),
                    _ if *both => format!("{verb} between {} and {}, both ways", party(from), party(to)),
                    _ => format!("{verb} from {} to {}", party(from), party(to)),
                };
                let node = match (from, to) {
                    (Party::Node(id), Party::Any) | (Party::Any, Party::Node(id)) => Some(*id),
                    _ => None,
                };
                (node, word, text)
            }
            Action::Heal(Heal::All) => (None, "HEALED", "every way is whole again".to_owned()),
            Action::Heal(Heal::Node(id)) => {
                (Some(*id), "HEALED", format!("every way of {} is whole again", self.name(*id)))
            }
            Action::Heal(Heal::Between(a, b)) => {
                (None, "HEALED", format!("the ways between {} and {} are whole again", self.name(*a), self.name(*b)))
            }
            Action::Down(Listener { node, port: None }) => (Some(*node), "DOWN", "its port is closed".to_owned()),
            Action::Down(Listener { node, port: Some(port) }) => {
                (Some(*node), "DIES", format!("port {port} is closed"))
            }
            Action::Up(who) => {
                (Some(who.node), if who.port.is_some() { "SERVES" } else { "UP" }, says(who, "answers again"))
            }
            Action::Slow { who, by } => {
                (Some(who.node), "SLOW", says(who, &format!("answers {} ms later", by.as_millis())))
            }
            Action::Hang(who) => (Some(who.node), "HANGS", says(who, "accepts connections and never answers")),
            Action::Status { who, code } => {
                (Some(who.node), "STATUS", says(who, &format!("answers with status {code}")))
            }
            Action::Flap { who, every, times } => {
                let text = format!("{times} times down and up, every {} ms", every.as_millis());
                (Some(who.node), "FLAPS", says(who, &text))
            }
            Action::Script { script, node, exits } => {
                (Some(*node), "SCRIPT", format!("{script} exits with {exits} from now on"))
            }
            Action::File { file, node, holds } => (Some(*node), "FILE", format!("{file} holds {holds} from now on")),
            Action::Process { process, node, runs } => {
                (Some(*node), "PROCESS", format!("{runs} of {process} from now on"))
            }
            Action::LeaderChange { node, lasts } => {
                (Some(*node), "LEADER", format!("the ensemble has no leader for {} ms", lasts.as_millis()))
            }
            Action::ServerDies(id) => {
                (Some(*id), "SERVER", "the server of the ensemble that it talks to dies".to_owned())
            }
            Action::Wipe(id) => (Some(*id), "WIPED", "it is started again with an empty disk".to_owned()),
            Action::Order { order, node } => (Some(*node), "ORDER", format!("vipward {order}")),
            Action::EndSession(id) => (Some(*id), "SESSION", "somebody ends its session".to_owned()),
            Action::StarveWorker { node, lasts } => {
                (Some(*node), "STARVED", format!("the worker gets no processor for {} ms", lasts.as_millis()))
            }
            Action::Forge(forgery) => (None, "FORGED", self.describe_forgery(forgery)),
            Action::DeleteAddress { address, node } => {
                (Some(*node), "DELETED", format!("somebody takes {address} off by hand"))
            }
            Action::DropGarp(segment) => {
                let name = self.plan.segments.get(segment.0).map_or("", |segment| &segment.name);
                (None, "SWITCH", format!("drops gratuitous ARP on {name} from now on"))
            }
            Action::DeleteRoute { destination, prefix_len, node } => {
                (Some(*node), "DELETED", format!("somebody takes the route {destination}/{prefix_len} out by hand"))
            }
        }
    }
}

/// What the real server, or the service on a director's port, does.
fn says(who: &Listener, does: &str) -> String {
    who.port.map_or(does.to_owned(), |port| format!("port {port}: {does}"))
}

/// `eth1: cable out`.
fn cable(interface: Option<&InterfaceName>, is: &str) -> String {
    match interface {
        Some(name) => format!("{name}: cable {is}"),
        None => format!("cable {is}"),
    }
}
