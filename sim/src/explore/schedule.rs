//! A random schedule of faults for a cluster, and the end of all of them: what is broken is mended, so that the last
//! part of a run shows whether everything finds its place again.

use super::dice::Dice;
use super::forger::Victim;
use crate::scenario::{NodeKind, NodePlan, Scenario};
use std::collections::BTreeSet;

/// One line of `steps`, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// Milliseconds.
    pub at: u64,
    /// All but `at`.
    pub what: String,
}

/// What may be broken.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    pub directors: Vec<String>,
    pub servers: Vec<String>,
    /// Services of directors that a tracked script checks: `lb1:80`.
    pub services: Vec<String>,
    pub clients: Vec<String>,
    pub segments: Vec<String>,
    pub addresses: Vec<String>,
    /// Where `virtual_routes` lead.
    pub routes: Vec<String>,
    /// The quorum service.
    pub quorum: Option<String>,
    /// What a forger may speak of.
    pub victims: Vec<Victim>,
    /// What a director tracks besides services and interfaces.
    pub tracked: Vec<Tracked>,
    /// A director with several interfaces, and each of them.
    pub interfaces: Vec<(String, String)>,
    /// A director and a file that it can be reloaded with.
    pub reloads: Vec<(String, String)>,
}

/// A director, and the name of something that it tracks.
#[derive(Clone, Debug)]
pub enum Tracked {
    Script(String, String),
    File(String, String),
    Process(String, String),
}

impl Tracked {
    /// The step that makes it fail, and the one that mends it.
    fn fails(&self, dice: &mut Dice) -> (String, String) {
        match self {
            Self::Script(lb, script) => {
                let step = |exits| format!("script = {script:?}, on = {lb:?}, exits = {exits}");
                (step(1), step(0))
            }
            Self::File(lb, file) => {
                let step = |holds| format!("file = {file:?}, on = {lb:?}, holds = {holds}");
                (step(dice.among(&[-254, -60, -10, -1, 1, 10, 60, 254])), step(0))
            }
            Self::Process(lb, process) => {
                let step = |runs| format!("process = {process:?}, on = {lb:?}, runs = {runs}");
                (step(0), step(1))
            }
        }
    }
}

impl Targets {
    pub fn of(scenario: &Scenario) -> Self {
        let named = |kind: fn(&NodeKind) -> bool| -> Vec<String> {
            let nodes = scenario.nodes.iter().filter(|node| kind(&node.kind));
            nodes.map(|node: &NodePlan| node.name.to_string()).collect()
        };
        let mut targets = Self {
            directors: named(|kind| matches!(kind, NodeKind::Director(_))),
            servers: named(|kind| matches!(kind, NodeKind::RealServer(_))),
            clients: named(|kind| matches!(kind, NodeKind::Client(_))),
            quorum: named(|kind| matches!(kind, NodeKind::Quorum(_))).pop(),
            segments: scenario.segments.iter().map(|segment| segment.name.to_string()).collect(),
            ..Self::default()
        };
        let (mut addresses, mut routes) = (BTreeSet::new(), BTreeSet::new());
        for (id, director) in scenario.directors() {
            let name = scenario.node(id).name.to_string();
            let interfaces = scenario.node(id).ports.iter().map(|port| port.interface.to_string());
            let interfaces: BTreeSet<String> = interfaces.collect();
            if interfaces.len() > 1 {
                targets.interfaces.extend(interfaces.into_iter().map(|interface| (name.clone(), interface)));
            }
            let ports: BTreeSet<u16> = director.tracks.values().map(|checks| checks.port).collect();
            targets.services.extend(ports.iter().map(|port| format!("{name}:{port}")));
            targets.reloads.push((name.clone(), director.config.path.display().to_string()));
            if let Some(config) = &director.config.config {
                let named = |of: &std::sync::Arc<str>| (name.clone(), of.to_string());
                let each = |(name, of)| Tracked::Script(name, of);
                targets.tracked.extend(config.scripts.keys().map(named).map(each));
                let files = config.watched_files().into_iter().map(|file| named(&file.name));
                targets.tracked.extend(files.map(|(name, of)| Tracked::File(name, of)));
                let processes = config.tracked_processes().map(|process| named(&process.name));
                targets.tracked.extend(processes.map(|(name, of)| Tracked::Process(name, of)));
                for router in &config.routers {
                    targets.victims.extend(Victim::of(scenario, id, router));
                    addresses.extend(router.addresses.iter().map(|it| it.address.to_string()));
                    routes
                        .extend(router.routes.iter().map(|it| format!("{}/{}", it.key.destination, it.key.prefix_len)));
                }
            }
        }
        targets.addresses.extend(addresses);
        targets.routes.extend(routes);
        targets
    }
}

/// Draws faults that begin between the fifth second and `horizon`, at which all are mended. In milliseconds.
pub fn draw(targets: &Targets, horizon: u64, dice: &mut Dice) -> Vec<Line> {
    let mut schedule = Schedule { lines: Vec::new(), mends: BTreeSet::new(), horizon, dice };
    let count = schedule.dice.among(&[1, 2, 3, 4, 5, 6, 8, 10, 14, 20]);
    for _ in 0..count {
        let at = schedule.dice.between(5_000.min(horizon), horizon.saturating_sub(1_000));
        schedule.fault(targets, at);
        // Faults that meet another one are the interesting ones.
        if schedule.dice.one_in(2) {
            let soon = at + schedule.dice.stretched(10, 20_000);
            schedule.fault(targets, soon.min(horizon.saturating_sub(1)));
        }
    }
    let Schedule { mut lines, mends, .. } = schedule;
    lines.extend(mends.into_iter().map(|what| Line { at: horizon, what }));
    lines.sort_by_key(|line| line.at);
    lines
}

struct Schedule<'d> {
    lines: Vec<Line>,
    mends: BTreeSet<String>,
    horizon: u64,
    dice: &'d mut Dice,
}

impl Schedule<'_> {
    fn fault(&mut self, targets: &Targets, at: u64) {
        if let Some(quorum) = targets.quorum.as_ref().filter(|_| self.dice.one_in(2)) {
            self.quorum_fault(targets, quorum, at);
            return;
        }
        let kind = self.dice.up_to(99);
        match kind {
            0..=54 => self.director_fault(targets, at, kind),
            55..=79 => self.network_fault(targets, at, kind),
            _ => self.server_fault(targets, at, kind),
        }
    }

    fn director_fault(&mut self, targets: &Targets, at: u64, kind: u64) {
        let Some(lb) = self.pick(&targets.directors) else { return };
        match kind {
            0..=4 => self.pair(at, format!("kill = {lb:?}"), format!("start = {lb:?}")),
            5..=6 => self.line(at, format!("kill_worker = {lb:?}")),
            7..=8 => self.line(at, format!("hang_worker = {lb:?}")),
            9..=17 => self.pair(at, format!("power_off = {lb:?}"), format!("start = {lb:?}")),
            18..=25 => self.pair(at, format!("stop = {lb:?}"), format!("start = {lb:?}")),
            26..=27 => {
                // As long as no supervisor may lose its patience, and longer.
                let lasts = self.dice.stretched(500, 5_000);
                self.line(at, format!("starve_worker = {lb:?}, lasts = \"{lasts}ms\""));
            }
            28 => self.stall(targets, at),
            29..=34 => self.pair(at, format!("freeze = {lb:?}"), format!("resume = {lb:?}")),
            35..=37 => self.pair(at, format!("unplug = {lb:?}"), format!("plug = {lb:?}")),
            38..=39 => match self.pick(&targets.interfaces) {
                Some((lb, one)) => self.pair(
                    at,
                    format!("unplug = {lb:?}, interface = {one:?}"),
                    format!("plug = {lb:?}, interface = {one:?}"),
                ),
                None => self.pair(at, format!("unplug = {lb:?}"), format!("plug = {lb:?}")),
            },
            40 if !targets.routes.is_empty() => {
                if let Some(route) = self.pick(&targets.routes) {
                    self.line(at, format!("delete_route = {route:?}, on = {lb:?}"));
                }
            }
            40..=44 => {
                if let Some(address) = self.pick(&targets.addresses) {
                    self.line(at, format!("delete_address = {address:?}, on = {lb:?}"));
                }
            }
            45..=47 => {
                if let Some((lb, file)) = self.pick(&targets.reloads) {
                    self.line(at, format!("reload = {lb:?}, with = {file:?}"));
                }
            }
            48..=51 => self.line(at, format!("upgrade = {lb:?}")),
            _ => {
                if let Some(tracked) = self.pick(&targets.tracked) {
                    let (fails, mends) = tracked.fails(self.dice);
                    self.pair(at, fails, mends);
                }
            }
        }
    }

    fn network_fault(&mut self, targets: &Targets, at: u64, kind: u64) {
        let Some(lb) = self.pick(&targets.directors) else { return };
        let all: Vec<String> = [&targets.directors, &targets.directors, &targets.servers, &targets.clients]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let Some(other) = self.pick(&all) else { return };
        let heal = "heal = \"all\"".to_owned();
        match kind {
            55..=59 => {
                let direction = self.dice.among(&["in", "out", "both"]);
                self.pair(at, format!("isolate = {lb:?}, direction = {direction:?}"), heal);
            }
            60..=63 if lb != other => {
                let what = if self.dice.one_in(2) {
                    format!("cut = {lb:?}, to = {other:?}")
                } else {
                    format!("cut = [{lb:?}, {other:?}]")
                };
                self.pair(at, what, heal);
            }
            64..=69 => {
                let (share, way) = (self.dice.between(1, 60), self.way(targets, &lb, &other));
                self.pair(at, format!("lose = \"{share}%\", {way}"), heal);
            }
            70..=73 => {
                let (by, way) = (self.dice.stretched(1, 500), self.way(targets, &lb, &other));
                self.pair(at, format!("delay = \"{by}ms\", {way}"), heal);
            }
            74..=75 => {
                let (by, way) = (self.dice.stretched(1, 200), self.way(targets, &lb, &other));
                self.pair(at, format!("jitter = \"{by}ms\", {way}"), heal);
            }
            77..=79 => {
                if let Some(victim) = self.pick(&targets.victims) {
                    let what = victim.forge(self.dice);
                    self.line(at, what);
                }
            }
            _ => {
                let (share, way) = (self.dice.between(1, 60), self.way(targets, &lb, &other));
                self.pair(at, format!("duplicate = \"{share}%\", {way}"), heal);
            }
        }
    }

    /// The host of all directors stands still for a moment.
    fn stall(&mut self, targets: &Targets, at: u64) {
        let end = at + self.dice.between(500, 3_000);
        for lb in &targets.directors {
            self.line(at, format!("freeze = {lb:?}"));
            self.line(end, format!("resume = {lb:?}"));
        }
    }

    fn way(&mut self, targets: &Targets, lb: &str, other: &str) -> String {
        match self.dice.up_to(4) {
            0 => format!("from = {lb:?}"),
            1 => format!("to = {lb:?}"),
            2 if lb != other => format!("from = {other:?}, to = {lb:?}"),
            3 if lb != other => format!("between = [{lb:?}, {other:?}]"),
            _ => match self.pick(&targets.segments) {
                Some(segment) => format!("on = {segment:?}"),
                None => format!("from = {lb:?}"),
            },
        }
    }

    /// What leases are for: directors that don't hear each other, don't reach the service, or don't run; and a service
    /// that does not answer.
    fn quorum_fault(&mut self, targets: &Targets, zk: &str, at: u64) {
        let Some(lb) = self.pick(&targets.directors) else { return };
        let Some(other) = self.pick(&targets.directors) else { return };
        let heal = "heal = \"all\"".to_owned();
        match self.dice.up_to(99) {
            0..=14 if lb != other => self.pair(at, format!("cut = [{lb:?}, {other:?}]"), heal),
            15..=19 if lb != other => self.pair(at, format!("cut = {lb:?}, to = {other:?}"), heal),
            0..=27 => self.pair(at, format!("cut = [{lb:?}, {zk:?}]"), heal),
            28..=34 => self.siege(&lb, zk, at),
            35..=39 => {
                let (from, to) = if self.dice.one_in(2) { (&*lb, zk) } else { (zk, &*lb) };
                self.pair(at, format!("cut = {from:?}, to = {to:?}"), heal);
            }
            40..=46 => self.pair(at, format!("isolate = {zk:?}"), heal),
            47..=59 => self.pair(at, format!("freeze = {lb:?}"), format!("resume = {lb:?}")),
            60..=69 => self.pair(at, format!("freeze = {zk:?}"), format!("resume = {zk:?}")),
            70..=77 => {
                let lasts = self.dice.stretched(100, 20_000).min(self.horizon.saturating_sub(at)).max(1);
                self.line(at, format!("leader_change = {zk:?}, lasts = \"{lasts}ms\""));
            }
            78..=86 => self.line(at, format!("server_dies = {lb:?}")),
            87..=88 => self.line(at, format!("end_session = {lb:?}")),
            89 => self.line(at, format!("wipe = {zk:?}")),
            90..=94 => {
                let by = self.dice.stretched(1, 5_000);
                self.pair(at, format!("delay = \"{by}ms\", between = [{lb:?}, {zk:?}]"), heal);
            }
            _ => {
                let share = self.dice.between(1, 60);
                self.pair(at, format!("lose = \"{share}%\", between = [{lb:?}, {zk:?}]"), heal);
            }
        }
    }

    /// What takes most of the margins away at once: answers that come late, then none, from a service that never heard of
    /// the last questions; and a director that stops running while its kernel still holds what it last renewed.
    fn siege(&mut self, lb: &str, zk: &str, at: u64) {
        let heal = "heal = \"all\"".to_owned();
        if self.dice.one_in(2) {
            let by = self.dice.between(500, 5_000);
            self.line(at.saturating_sub(15_000).max(5_000), format!("delay = \"{by}ms\", from = {zk:?}, to = {lb:?}"));
        }
        self.line(at, format!("server_dies = {lb:?}"));
        self.pair(at, format!("cut = [{lb:?}, {zk:?}]"), heal);
        let frozen = at + self.dice.up_to(8_000);
        self.pair(frozen.min(self.horizon.saturating_sub(1)), format!("freeze = {lb:?}"), format!("resume = {lb:?}"));
    }

    fn server_fault(&mut self, targets: &Targets, at: u64, kind: u64) {
        // Where there is no real server, what clients ask is a director's own.
        let (all, own) = if targets.servers.is_empty() { (&targets.services, true) } else { (&targets.servers, false) };
        let Some(web) = self.pick(all) else { return };
        let up = format!("up = {web:?}");
        match kind {
            80..=85 => self.pair(at, format!("down = {web:?}"), up),
            86..=87 => {
                let by = self.dice.stretched(100, 20_000);
                self.pair(at, format!("slow = {web:?}, by = \"{by}ms\""), up);
            }
            88 => self.pair(at, format!("hang = {web:?}"), up),
            89..=91 => {
                let code = self.dice.among(&[301, 404, 500, 503]);
                self.pair(at, format!("status = {web:?}, code = {code}"), up);
            }
            92..=95 => {
                let (every, times) = (self.dice.stretched(20, 20_000), self.dice.between(1, 10));
                self.pair(at, format!("flap = {web:?}, every = \"{every}ms\", times = {times}"), up);
            }
            96.. if own => self.pair(at, format!("down = {web:?}"), up),
            96..=97 => self.line(at, format!("power_off = {web:?}")),
            _ => self.pair(at, format!("unplug = {web:?}"), format!("plug = {web:?}")),
        }
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        (!list.is_empty()).then(|| self.dice.among(list))
    }

    fn line(&mut self, at: u64, what: String) {
        self.lines.push(Line { at: at.min(self.horizon), what });
    }

    /// A fault, its end some time later, and its end at the horizon in any case.
    fn pair(&mut self, at: u64, fault: String, mend: String) {
        let end = at + self.dice.stretched(20, 90_000);
        self.line(at, fault);
        if end < self.horizon && !self.dice.one_in(4) {
            self.line(end, mend.clone());
        }
        self.mends.insert(mend);
    }
}
