//! What runs on the machines: daemons, the directors' own services, real servers.

use super::network::Machines;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vipward_lab::web::Server;
use vipward_lab::{Node, Process, Signal};
use vipward_sim::scenario::{Dataplane, DirectorPlan, Listener, NodeId, NodeKind, Scenario};

/// Where the files of `scenarios/calibration/` look for what sends the address away. Each play has a folder of its own.
const FLAGS: &str = "/run/calibration";

/// How the names of tracked processes begin there. Each play has names of its own: it sees the processes of all others.
const TRACKED: &str = "calibrated-";

/// As good as never.
const NEVER: Duration = Duration::from_secs(3600);

/// Everything that runs.
pub(super) struct Running<'a> {
    machines: &'a Machines,
    scenario: &'a Scenario,
    folder: &'a Path,
    daemons: BTreeMap<NodeId, Process>,
    /// What earlier daemons of a director said, with when.
    said: BTreeMap<NodeId, Vec<vipward_lab::Line>>,
    /// Those that were asked to end.
    ending: Vec<(NodeId, Process)>,
    services: BTreeMap<(NodeId, u16), Option<Server>>,
    tracked: BTreeMap<(NodeId, Arc<str>), Vec<Process>>,
    dark: Vec<NodeId>,
}

impl<'a> Running<'a> {
    /// Starts what listens.
    pub fn new(machines: &'a Machines, scenario: &'a Scenario, folder: &'a Path) -> io::Result<Self> {
        let mut running = Self {
            machines,
            scenario,
            folder,
            daemons: BTreeMap::new(),
            said: BTreeMap::new(),
            ending: Vec::new(),
            services: BTreeMap::new(),
            tracked: BTreeMap::new(),
            dark: Vec::new(),
        };
        for id in scenario.ids() {
            let ports = match &scenario.node(id).kind {
                NodeKind::Director(director) => &director.listens,
                NodeKind::RealServer(server) => &server.listens,
                NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => continue,
            };
            for port in ports {
                let server = listen(machines.node(id), *port)?;
                running.services.insert((id, *port), Some(server));
            }
        }
        for (id, plan) in scenario.directors() {
            let processes = plan.config.config.iter().flat_map(|config| config.tracked_processes());
            for (name, enough) in processes.filter_map(|process| Some((&process.name, process.enough()?))) {
                running.run_tracked(id, name, enough)?;
            }
        }
        Ok(running)
    }

    /// From now on so many of a tracked process run.
    pub fn run_tracked(&mut self, id: NodeId, name: &Arc<str>, runs: u32) -> io::Result<()> {
        self.tracked.remove(&(id, name.clone()));
        let config = self.plan(id)?.config.config.clone();
        let process = config.as_ref().and_then(|config| config.processes.get(name));
        let process = process.ok_or_else(|| io::Error::other(format!("no process {name} is tracked")))?;
        let program = self.folder.join(process.pattern.command.replace(TRACKED, &self.prefix()));
        if !program.exists() {
            std::fs::copy("/bin/sleep", &program)?;
        }
        let start = |_| {
            let mut command = Command::new(&program);
            command.arg(NEVER.as_secs().to_string());
            self.machines.node(id).spawn(command)
        };
        let started = (0..runs).map(start).collect::<io::Result<Vec<Process>>>()?;
        self.tracked.insert((id, name.clone()), started);
        Ok(())
    }

    /// Instead of [`TRACKED`]; the kernel keeps 15 characters of a name.
    fn prefix(&self) -> String {
        let folder = self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let unique: String = folder.chars().filter(char::is_ascii_alphanumeric).rev().take(6).collect();
        format!("{}-{unique}-", char::from(b'a' + u8::try_from(std::process::id() % 26).unwrap_or(0)))
    }

    /// From now on a tracked file holds this number.
    pub fn write_number(&self, id: NodeId, file: &str, number: i64) -> io::Result<()> {
        let config = self.plan(id)?.config.config.clone();
        let watched = config.iter().flat_map(|config| config.watched_files()).find(|it| *it.name == *file);
        let watched = watched.ok_or_else(|| io::Error::other(format!("no file {file} is tracked")))?;
        let path = watched.path.replace(FLAGS, &self.folder.to_string_lossy());
        std::fs::write(path, number.to_string())
    }

    fn plan(&self, id: NodeId) -> io::Result<&DirectorPlan> {
        match &self.scenario.node(id).kind {
            NodeKind::Director(plan) => Ok(plan),
            _ => Err(io::Error::other(format!("{} is no director", self.scenario.node(id).name))),
        }
    }

    fn control(&self, id: NodeId) -> PathBuf {
        self.folder.join(format!("n{}.sock", id.0))
    }

    /// Power, if it has none, and a daemon.
    pub fn start(&mut self, id: NodeId) -> io::Result<()> {
        if self.dark.contains(&id) {
            self.dark.retain(|other| *other != id);
            for port in self.plan(id)?.listens.clone() {
                let server = listen(self.machines.node(id), port)?;
                self.services.insert((id, port), Some(server));
            }
            self.machines.mute(id, false)?;
        }
        let plan = self.plan(id)?;
        let mut command = Command::new(crate::vipward());
        command.arg("run").arg("--control").arg(self.control(id)).arg("--state").arg(self.folder.join("state"));
        let name = &self.scenario.node(id).name;
        let text = std::fs::read_to_string(&plan.config.path)?;
        let file = self.folder.join(format!("{name}.conf"));
        let text = text.replace(FLAGS, &self.folder.to_string_lossy()).replace(TRACKED, &self.prefix());
        std::fs::write(&file, text)?;
        command.args(["-i", name, "-f"]).arg(file);
        command.args(["--dataplane", if plan.dataplane == Dataplane::Relay { "relay" } else { "ipvs" }]);
        let process = self.machines.node(id).spawn(command)?;
        self.daemons.insert(id, process);
        Ok(())
    }

    /// SIGKILL to supervisor, worker and scripts.
    pub fn kill(&mut self, id: NodeId) {
        if let Some(process) = self.daemons.remove(&id) {
            self.said.entry(id).or_default().extend(process.lines(0));
            process.kill();
        }
    }

    /// The machine is dark: nobody hears it any more, and what its kernel knew is gone.
    pub fn power_off(&mut self, id: NodeId) -> io::Result<()> {
        self.machines.mute(id, true)?;
        self.kill(id);
        for port in self.plan(id)?.listens.clone() {
            self.services.insert((id, port), None);
        }
        let own: Vec<_> = self.scenario.node(id).ports.iter().filter_map(|port| port.address).collect();
        for address in self.machines.node(id).addresses()? {
            if address.protocol != 0 && !own.iter().any(|(own, _)| *own == address.address) {
                self.machines.node(id).remove_address(&address.interface, address.address)?;
            }
        }
        self.dark.push(id);
        Ok(())
    }

    /// SIGTERM.
    pub fn stop(&mut self, id: NodeId) {
        if let Some(process) = self.daemons.remove(&id) {
            process.signal(Signal::SIGTERM);
            self.ending.push((id, process));
        }
    }

    /// SIGSTOP or SIGCONT to everything of this machine.
    pub fn freeze(&mut self, id: NodeId, frozen: bool) {
        if let Some(process) = self.daemons.get(&id) {
            process.signal_all(if frozen { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
        for server in self.services.iter().filter(|((node, _), _)| *node == id).filter_map(|(_, it)| it.as_ref()) {
            server.delay(if frozen { NEVER } else { Duration::ZERO });
        }
    }

    /// What listens there: down (`None`), or up and changed.
    pub fn serve(&mut self, who: Listener, change: Option<&dyn Fn(&Server)>) -> io::Result<()> {
        let ports: Vec<u16> = self.services.keys().filter(|(node, _)| *node == who.node).map(|(_, it)| *it).collect();
        for port in ports.into_iter().filter(|port| who.port.is_none_or(|only| only == *port)) {
            let Some(server) = self.services.get_mut(&(who.node, port)) else { continue };
            match change {
                None => *server = None,
                Some(change) => {
                    let up = match server.take() {
                        Some(up) => up,
                        None => listen(self.machines.node(who.node), port)?,
                    };
                    change(&up);
                    *server = Some(up);
                }
            }
        }
        Ok(())
    }

    /// The file by which a script is told to fail.
    pub fn flag(&self, id: NodeId, set: bool) -> io::Result<()> {
        let file = self.folder.join(format!("{}.leave", self.scenario.node(id).name));
        match set {
            true => std::fs::write(file, ""),
            false => match std::fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }

    /// Role changes that the daemons have logged since then, those at a start and at an end left out.
    pub fn role_changes(&self, since: Instant) -> usize {
        let now = self.daemons.values().flat_map(|process| process.lines(0));
        let ended = self.ending.iter().flat_map(|(_, process)| process.lines(0));
        let all = self.said.values().flatten().cloned().chain(now).chain(ended);
        all.filter(|line| line.at >= since && changes_role(&line.text)).count()
    }

    /// What all daemons said, for whoever looks for a reason.
    pub fn logs(&self) -> String {
        let mut all: Vec<(Instant, String)> = Vec::new();
        let mut add = |id: &NodeId, lines: Vec<vipward_lab::Line>| {
            let name = &self.scenario.node(*id).name;
            all.extend(lines.into_iter().map(|line| (line.at, format!("{name}: {}\n", line.text))));
        };
        self.said.iter().for_each(|(id, lines)| add(id, lines.clone()));
        self.ending.iter().for_each(|(id, process)| add(id, process.lines(0)));
        self.daemons.iter().for_each(|(id, process)| add(id, process.lines(0)));
        all.sort();
        all.into_iter().map(|(_, text)| text).collect()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for process in self.daemons.values() {
            process.signal_all(Signal::SIGCONT);
        }
    }
}

fn listen(node: &Node, port: u16) -> io::Result<Server> {
    Server::start(node, SocketAddr::from(([0, 0, 0, 0], port)))
}

/// `R51: BACKUP -> MASTER: …`, between roles in which a virtual router works.
fn changes_role(line: &str) -> bool {
    let roles = ["BACKUP", "MASTER", "FAULT"];
    roles.iter().any(|from| roles.iter().any(|to| line.contains(&format!(": {from} -> {to}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_and_a_stop_are_no_changes_of_roles() {
        assert!(changes_role("INFO R51: BACKUP -> MASTER: nobody was heard"));
        assert!(!changes_role("INFO R51: INIT -> BACKUP: it begins") && !changes_role("R51: MASTER -> INIT: stopped"));
    }
}
