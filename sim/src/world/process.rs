//! Daemons: beginning, end, and what they tell.

use super::World;
use super::node::{Director, Half, Kernel, Mail, Process, Upgrade};
use crate::scenario::{ConfigFile, Dataplane, NodeId, NodeKind, serves};
use crate::trace::What;
use std::collections::BTreeMap;
use std::sync::Arc;
use vipward_core::command::Command;
use vipward_core::command::ScriptOutcome;
use vipward_core::config::{Config, WatchedFile, WatchedProcess};
use vipward_core::decision::Decision;
use vipward_core::estate::{Document, Estate, OfOne};
use vipward_core::ipvs::Table;
use vipward_core::machine::{Input, ToBoth};
use vipward_core::mail::Queue;
use vipward_core::quantity::Role;
use vipward_core::supervisor;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::Event;

/// From the moment when the last machine has handed over to the first that its successor does.
const HAND_OVER: Duration = Duration::from_millis(3);

/// What stands for the machine's boot; a power cut empties the state file's file system.
const BOOT: &str = "boot";

/// An estate as it arrives where it was sent, and as it is read from the disk.
fn travelled<S: OfOne>(estate: &Estate) -> Option<S> {
    let json = Document::new(BOOT, estate.clone()).to_json().ok()?;
    S::of(Document::from_json(&json, BOOT).ok()?.estate)
}

/// An upgrade that is done.
#[derive(Debug)]
pub struct Takeover {
    pub node: NodeId,
    pub began: Instant,
    pub ended: Instant,
    /// Roles at its beginning.
    pub roles: BTreeMap<Arc<str>, Role>,
}

impl World {
    /// Power, if there is none, and a fresh daemon, if none runs. It finds the state file that a killed one left.
    pub fn start(&mut self, id: NodeId) {
        let powered = std::mem::replace(&mut self.node_mut(id).power, true);
        let Some(director) = self.director(id) else { return };
        let runs = director.process != Process::Absent || director.supervised.is_some();
        if (runs && powered) || director.file.config.is_none() {
            return;
        }
        if self.supervises { self.start_supervisor(id) } else { self.start_worker(id) }
    }

    /// A fresh process with both machines. It finds the state file that a killed one left.
    pub(super) fn start_worker(&mut self, id: NodeId) {
        let now = self.now;
        self.node_mut(id).disturbed = now;
        let Some(director) = self.director_mut(id) else { return };
        let Some(config) = director.file.config.clone() else { return };
        director.process = Process::Running;
        director.process_since = now;
        // What waited in the process before is lost. At an upgrade the old process goes on sending it.
        director.post = Queue::default();
        director.role_since.clear();
        director.priorities =
            config.routers.iter().map(|router| (router.name.clone(), (router.priority.get(), now))).collect();
        let stored = director.stored.clone();
        if !stored.is_empty() {
            // With the interval that was learned last.
            self.reads_what_was_forged(Instant::ZERO);
        }
        self.begin(id, config, &stored);
        self.note(Some(id), What::Started);
        self.shake();
    }

    /// A new process: what it is told first.
    fn begin(&mut self, id: NodeId, config: Arc<Config>, left: &BTreeMap<Half, Estate>) {
        let (links, addresses, seed) = (self.links(id), self.addresses(id), self.seed);
        self.last_start = self.now;
        self.ground += 1;
        let Some(director) = self.director_mut(id) else { return };
        director.incarnation += 1;
        director.stopped.clear();
        director.roles.clear();
        director.socket = super::packets::Socket::default();
        director.config = Some(config.clone());
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(((id.0 as u64) << 32) | director.incarnation);
        director.mail = Mail::default();
        let Mail { election, balancer } = &mut director.mail;
        election.push_back(Event::LinksRead(links).into());
        election.push_back(Event::AddressesRead(addresses).into());
        election.extend(left.get(&Half::Election).and_then(travelled).map(Input::Inherited));
        balancer.extend(left.get(&Half::Balancer).and_then(travelled).map(Input::Inherited));
        director.mail.tell(&ToBoth::ConfigLoaded { config, seed });
    }

    /// `vipward upgrade`: the new process is ready, and the old one's machines are told to hand over.
    pub(super) fn upgrade(&mut self, id: NodeId) {
        if self.supervises {
            return self.supervise(id, supervisor::Event::Upgrade { client: 0 });
        }
        self.hand_over(id);
    }

    pub(super) fn hand_over(&mut self, id: NodeId) {
        let began = self.now;
        let Some(director) = self.director_mut(id) else { return };
        if director.process != Process::Absent && director.upgrade.is_none() {
            let roles = director.roles.clone();
            director.upgrade = Some(Upgrade { began, roles, estates: BTreeMap::new(), begins: None });
            self.tell(id, &ToBoth::HandOver);
        }
    }

    /// A machine has handled `HandOver`; after both the new process begins.
    pub fn handed_over(&mut self, id: NodeId, half: Half, estate: Estate) {
        let now = self.now;
        let Some(director) = self.director_mut(id) else { return };
        let Some(upgrade) = &mut director.upgrade else { return };
        director.stopped.insert(half);
        upgrade.estates.insert(half, estate);
        if director.stopped.len() == 2 {
            upgrade.begins = Some(now + HAND_OVER);
            self.worker_handed_over(id);
        }
    }

    /// Lets new processes go on whose time has come.
    pub(super) fn take_up(&mut self) {
        let due = |director: &Director| {
            let begins = director.upgrade.as_ref().and_then(|upgrade| upgrade.begins);
            director.running() && begins.is_some_and(|at| at <= self.now)
        };
        let due: Vec<NodeId> = self.directors().filter(|(_, it)| due(it)).map(|(id, _)| id).collect();
        let began_anew = self.now;
        for node in due {
            let Some(director) = self.director_mut(node) else { continue };
            let (Some(upgrade), Some(config)) = (director.upgrade.take(), director.file.config.clone()) else {
                continue;
            };
            let stop = director.mail.election.contains(&Input::Stop) || director.mail.balancer.contains(&Input::Stop);
            // Whoever takes up a role tells its priority; the others begin anew, and tell what differs from the file.
            let takes_up = |role: Option<&Role>| matches!(role, Some(Role::Backup | Role::Master));
            let anew = |name: &Arc<str>| config.coordinates(name) || !takes_up(director.roles.get(name));
            for router in config.routers.iter().filter(|router| anew(&router.name)) {
                let known = director.priorities.entry(router.name.clone()).or_insert((0, began_anew));
                if known.0 != router.priority.get() {
                    *known = (router.priority.get(), began_anew);
                }
            }
            self.begin(node, config, &upgrade.estates);
            if stop {
                self.ask_to_stop(node);
            }
            let Upgrade { began, roles, .. } = upgrade;
            self.successor_took_over(node);
            self.takeovers.push(Takeover { node, began, ended: self.now, roles });
            self.note(Some(node), What::TakenUp);
            self.shake();
        }
    }

    /// A copy for the state file.
    pub fn keep(&mut self, id: NodeId, half: Half, estate: Estate) {
        if let Some(director) = self.director_mut(id) {
            director.stored.insert(half, estate);
        }
    }

    /// SIGKILL for all of it: the processes and their sockets are gone, kernel tables stay.
    pub(super) fn kill(&mut self, id: NodeId) {
        if let Some(director) = self.director_mut(id) {
            director.supervised = None;
        }
        self.end(id);
    }

    pub(super) fn power_off(&mut self, id: NodeId) {
        self.kill(id);
        let node = self.node_mut(id);
        node.power_cuts += u64::from(node.power);
        node.power = false;
        if let Some(director) = self.director_mut(id) {
            director.kernel = Kernel::default();
            director.still = false;
            director.stored.clear();
            self.note(Some(id), What::KernelForgot);
        }
    }

    pub(super) fn end(&mut self, id: NodeId) {
        let (now, relay) = (self.now, self.relays(id));
        self.forget_client(id);
        self.ground += 1;
        if let Some(director) = self.director_mut(id).filter(|director| director.process != Process::Absent) {
            director.process = Process::Absent;
            director.process_since = now;
            director.upgrade = None;
            director.config = None;
            director.mail = Mail::default();
            director.roles.clear();
            director.weights.clear();
            director.drained.clear();
            director.socket = super::packets::Socket::default();
            if relay {
                director.kernel.ipvs = Table::default();
                director.relay_ends += 1;
            }
            self.note(Some(id), What::Ended { relay });
        }
    }

    /// Its virtual servers are carried by the daemon itself, and end with it.
    pub(super) fn relays(&self, id: NodeId) -> bool {
        matches!(&self.plan.node(id).kind, NodeKind::Director(plan) if plan.dataplane == Dataplane::Relay)
    }

    /// SIGTERM.
    pub(super) fn ask_to_stop(&mut self, id: NodeId) {
        if self.supervises {
            return self.supervise(id, supervisor::Event::Stop);
        }
        self.tell(id, &ToBoth::Stop);
    }

    /// A machine has handled `Stop`; after both the daemon is gone.
    pub fn stopped(&mut self, id: NodeId, half: Half) {
        let Some(director) = self.director_mut(id) else { return };
        director.stopped.insert(half);
        if director.stopped.len() == 2 {
            director.stored.clear();
            self.end(id);
            self.note(Some(id), What::Stopped);
            self.worker_ended(id, supervisor::End::Exited(0));
            self.shake();
        }
    }

    pub(super) fn set_frozen(&mut self, id: NodeId, frozen: bool) {
        if self.quorum_node() == Some(id) {
            self.freeze_quorum(frozen);
            return;
        }
        self.ground += 1;
        let now = self.now;
        let Some(director) = self.director_mut(id) else { return };
        let (from, to) = if frozen { (Process::Running, Process::Frozen) } else { (Process::Frozen, Process::Running) };
        if director.process == from {
            director.process = to;
            let since = std::mem::replace(&mut director.process_since, now);
            if !frozen {
                self.reads_what_was_forged(since);
            }
        }
    }

    /// SIGHUP. A file with errors changes nothing, as in the daemon.
    pub(super) fn reload(&mut self, id: NodeId, file: &ConfigFile) {
        let (now, seed) = (self.now, self.seed);
        let Some(director) = self.director_mut(id) else { return };
        let runs = director.process != Process::Absent || director.supervised.is_some();
        let Some(config) = file.config.clone().filter(|_| runs) else { return };
        director.file = file.clone();
        if director.process == Process::Absent {
            // The next worker reads it.
            return;
        }
        for router in &config.routers {
            director.priorities.entry(router.name.clone()).or_insert((router.priority.get(), now));
        }
        let named = |(id, server): &(_, _)| {
            let mut same = config.services.iter().filter(|service| service.id() == *id);
            same.any(|service| service.real_servers.iter().any(|real| real.address == *server))
        };
        director.drained.retain(named);
        director.config = Some(config.clone());
        self.tell(id, &ToBoth::ConfigLoaded { config, seed: seed ^ now.as_nanos() });
    }

    /// A machine is about to act. One that has ended must do nothing, and its effect counts for nothing.
    pub fn acts(&mut self, id: NodeId, half: Half, incarnation: u64, what: &str) -> Result<(), String> {
        let alive = self.director(id).is_some_and(|director| {
            director.incarnation == incarnation
                && director.process != Process::Absent
                && !director.stopped.contains(&half)
        });
        if alive {
            return Ok(());
        }
        self.acted_after_end.push(super::ActedAfterEnd { node: id, what: what.to_owned() });
        Err("the daemon has ended".to_owned())
    }

    /// What the host, and the other machine, have to tell the machines of a director that runs.
    pub fn waiting_mail(&mut self, id: NodeId) -> Option<&mut Mail> {
        Some(&mut self.director_mut(id).filter(|director| director.running())?.mail)
    }

    /// Takes a decision into the record.
    pub fn decided(&mut self, id: NodeId, decision: &Decision) {
        let now = self.now;
        if let (Decision::RoleChanged { router, to, .. }, Some(director)) = (decision, self.director_mut(id)) {
            director.roles.insert(router.clone(), *to);
            director.role_since.insert(router.clone(), now);
        }
        if let (Decision::WeightChanged { service, server, to, .. }, Some(director)) = (decision, self.director_mut(id))
        {
            director.weights.insert((*service, *server), *to);
        }
        if let Some(director) = self.director_mut(id) {
            match decision {
                Decision::ServerDrained { service, server, .. } => _ = director.drained.insert((*service, *server)),
                Decision::ServerUndrained { service, server } => _ = director.drained.remove(&(*service, *server)),
                Decision::DrainsInherited { servers } => director.drained.extend(servers),
                // What else is decided drains nobody.
                _ => {}
            }
        }
        if let (Decision::PriorityChanged { router, to, .. }, Some(director)) = (decision, self.director_mut(id)) {
            director.priorities.insert(router.clone(), (*to, now));
        }
        if let (Decision::RoleInherited { router, role, priority, .. }, Some(director)) =
            (decision, self.director_mut(id))
        {
            director.roles.insert(router.clone(), *role);
            director.role_since.entry(router.clone()).or_insert(now);
            if director.priorities.get(router).is_none_or(|(known, _)| known != priority) {
                director.priorities.insert(router.clone(), (*priority, now));
            }
        }
        self.note(Some(id), What::Decided(decision.clone()));
        self.stir();
    }

    /// What these files of a director hold.
    pub fn file_numbers(&self, id: NodeId, files: &[WatchedFile]) -> Vec<(Arc<str>, i64)> {
        let number = |file: &WatchedFile| self.file_number(id, &file.name);
        files.iter().map(|file| (file.name.clone(), number(file))).collect()
    }

    pub fn file_number(&self, id: NodeId, name: &str) -> i64 {
        self.director(id).and_then(|director| director.files.get(name)).copied().unwrap_or(0)
    }

    /// How many there are of these processes of a director.
    pub fn process_counts(&self, id: NodeId, processes: &[WatchedProcess]) -> Vec<(Arc<str>, u32)> {
        processes.iter().map(|process| (process.name.clone(), self.process_count(id, &process.name))).collect()
    }

    pub fn process_count(&self, id: NodeId, name: &str) -> u32 {
        let Some(director) = self.director(id) else { return 0 };
        let runs = || {
            let process = director.config.as_ref()?.processes.get(name)?;
            let NodeKind::Director(plan) = &self.plan.node(id).kind else { return None };
            let service = serves(&process.pattern, &plan.listens).and_then(|port| director.services.get(&port));
            if service.is_some_and(|service| !service.listening) { Some(0) } else { process.enough() }
        };
        director.processes.get(name).copied().or_else(runs).unwrap_or_default()
    }

    /// The tracked processes of a director that answer on this port.
    fn processes_of(&self, id: NodeId, port: u16) -> Vec<Arc<str>> {
        let NodeKind::Director(plan) = &self.plan.node(id).kind else { return Vec::new() };
        let Some(config) = self.director(id).and_then(|director| director.config.clone()) else { return Vec::new() };
        let own = config.tracked_processes().filter(|it| serves(&it.pattern, &plan.listens) == Some(port));
        own.map(|process| process.name.clone()).collect()
    }

    /// A service of a director began or ended, and its processes with it.
    pub(super) fn count_processes_of(&mut self, id: NodeId, port: u16) {
        let own = self.processes_of(id, port);
        let counts: Vec<_> = own.into_iter().map(|name| (name.clone(), self.process_count(id, &name))).collect();
        if !counts.is_empty() {
            self.tell_election(id, Event::ProcessesCounted(counts));
        }
    }

    /// A step about a service says more of its processes than an earlier one about those.
    pub(super) fn forget_processes_of(&mut self, id: NodeId, port: u16) {
        let own = self.processes_of(id, port);
        if let Some(director) = self.director_mut(id) {
            director.processes.retain(|name, _| !own.contains(name));
        }
    }

    /// How a script ends: as a step says by the name of its `vrrp_script`, or by the command of a `MISC_CHECK`; else a tracked
    /// one as the service that it checks is, and a checker's well.
    pub fn script_outcome(&self, id: NodeId, command: &Command) -> ScriptOutcome {
        let ended = |director: &Director, config: &Arc<Config>| {
            if let Some(said) = director.scripts.get(command.argv.join(" ").as_str()) {
                return Some(*said);
            }
            let script = config.scripts.values().find(|script| script.command == *command)?;
            let said = director.scripts.get(&script.name).copied();
            said.or_else(|| {
                let NodeKind::Director(plan) = &self.plan.node(id).kind else { return None };
                let checks = plan.tracks.get(&script.name)?;
                Some(i32::from(!director.services.get(&checks.port)?.well(checks.asks)))
            })
        };
        let director = self.director(id);
        let status = director.and_then(|director| ended(director, director.config.as_ref()?));
        ScriptOutcome::Exited(status.unwrap_or(0))
    }

    pub fn notified(&mut self, id: NodeId, command: &Command) {
        self.note(Some(id), What::Notified { command: command.argv.join(" ") });
    }

    /// Every FIFO has a reader that takes what comes.
    pub fn wrote_line(&mut self, id: NodeId, path: &str, line: &str) {
        self.note(Some(id), What::WroteLine { path: path.to_owned(), line: line.to_owned() });
    }
}
