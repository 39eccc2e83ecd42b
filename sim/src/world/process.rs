//! Daemons: beginning, end, and what they tell.

use super::World;
use super::node::{Director, Half, Kernel, Process};
use crate::scenario::{ConfigFile, Dataplane, NodeId, NodeKind};
use crate::trace::What;
use std::sync::Arc;
use vipward_core::config::{Command, Config};
use vipward_core::decision::Decision;
use vipward_core::event::{Event, ScriptOutcome};
use vipward_core::ipvs::Table;
use vipward_core::supervisor;

impl World {
    /// Power, if there is none, and a fresh daemon, if none runs.
    pub fn start(&mut self, id: NodeId) {
        let powered = std::mem::replace(&mut self.node_mut(id).power, true);
        let Some(director) = self.director(id) else { return };
        let runs = director.process != Process::Absent || director.supervised.is_some();
        if (runs && powered) || director.file.config.is_none() {
            return;
        }
        if self.supervises { self.start_supervisor(id) } else { self.start_worker(id) }
    }

    /// A fresh process with both machines.
    pub(super) fn start_worker(&mut self, id: NodeId) {
        let (now, seed) = (self.now, self.seed);
        let (links, addresses) = (self.links(id), self.addresses(id));
        self.node_mut(id).disturbed = now;
        let Some(director) = self.director_mut(id) else { return };
        let Some(config) = director.file.config.clone() else { return };
        director.process = Process::Running;
        director.process_since = now;
        director.incarnation += 1;
        director.stopped.clear();
        director.roles.clear();
        director.socket = super::packets::Socket::default();
        director.config = Some(config.clone());
        director.role_since.clear();
        director.priorities =
            config.routers.iter().map(|router| (router.name.clone(), (router.priority.get(), now))).collect();
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(((id.0 as u64) << 32) | director.incarnation);
        for half in [Half::Election, Half::Balancer] {
            director.events.insert(
                half,
                [
                    Event::LinksRead(links.clone()),
                    Event::AddressesRead(addresses.clone()),
                    Event::ConfigLoaded { config: config.clone(), seed },
                ]
                .into(),
            );
        }
        self.note(Some(id), What::Started);
        self.stir();
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
        self.node_mut(id).power = false;
        if let Some(director) = self.director_mut(id) {
            director.kernel = Kernel::default();
            self.note(Some(id), What::KernelForgot);
        }
    }

    pub(super) fn end(&mut self, id: NodeId) {
        let (now, relay) = (self.now, self.relays(id));
        if let Some(director) = self.director_mut(id).filter(|director| director.process != Process::Absent) {
            director.process = Process::Absent;
            director.process_since = now;
            director.config = None;
            director.events.clear();
            director.roles.clear();
            director.socket = super::packets::Socket::default();
            if relay {
                director.kernel.ipvs = Table::default();
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
        self.tell(id, &Event::Stop);
    }

    /// A machine has handled `Stop`; after both the daemon is gone.
    pub fn stopped(&mut self, id: NodeId, half: Half) {
        let Some(director) = self.director_mut(id) else { return };
        director.stopped.insert(half);
        if director.stopped.len() == 2 {
            self.end(id);
            self.note(Some(id), What::Stopped);
            self.worker_ended(id, supervisor::End::Exited(0));
            self.stir();
        }
    }

    pub(super) fn set_frozen(&mut self, id: NodeId, frozen: bool) {
        let now = self.now;
        let Some(director) = self.director_mut(id) else { return };
        let (from, to) = if frozen { (Process::Running, Process::Frozen) } else { (Process::Frozen, Process::Running) };
        if director.process == from {
            director.process = to;
            director.process_since = now;
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
        director.config = Some(config.clone());
        self.tell(id, &Event::ConfigLoaded { config, seed: seed ^ now.as_nanos() });
    }

    /// A machine is about to act. One that has ended is a ghost, and its effect counts for nothing.
    pub fn acts(&mut self, id: NodeId, half: Half, incarnation: u64, what: &str) -> Result<(), String> {
        let alive = self.director(id).is_some_and(|director| {
            director.incarnation == incarnation
                && director.process != Process::Absent
                && !director.stopped.contains(&half)
        });
        if alive {
            return Ok(());
        }
        self.ghosts.push(super::Ghost { node: id, what: what.to_owned() });
        Err("the daemon has ended".to_owned())
    }

    /// The next thing that the host has to tell this machine.
    pub fn next_event(&mut self, id: NodeId, half: Half) -> Option<Event> {
        let director = self.director_mut(id).filter(|director| director.running())?;
        director.events.get_mut(&half)?.pop_front()
    }

    /// Takes a decision into the record.
    pub fn decided(&mut self, id: NodeId, decision: &Decision) {
        let now = self.now;
        if let (Decision::RoleChanged { router, to, .. }, Some(director)) = (decision, self.director_mut(id)) {
            director.roles.insert(router.clone(), *to);
            director.role_since.insert(router.clone(), now);
        }
        if let (Decision::PriorityChanged { router, to, .. }, Some(director)) = (decision, self.director_mut(id)) {
            director.priorities.insert(router.clone(), (*to, now));
        }
        self.note(Some(id), What::Decided(decision.clone()));
        self.stir();
    }

    /// How a tracked script ends: the scenario says it by the name of its `vrrp_script`.
    pub fn script_outcome(&self, id: NodeId, command: &Command) -> ScriptOutcome {
        let ended = |director: &Director, config: &Arc<Config>| {
            let script = config.scripts.values().find(|script| script.command == *command)?;
            director.scripts.get(&script.name).copied()
        };
        let director = self.director(id);
        let status = director.and_then(|director| ended(director, director.config.as_ref()?));
        ScriptOutcome::Exited(status.unwrap_or(0))
    }

    pub fn notified(&mut self, id: NodeId, command: &Command) {
        self.note(Some(id), What::Notified { command: command.argv.join(" ") });
    }
}
