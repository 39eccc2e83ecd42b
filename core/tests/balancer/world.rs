//! A director's balancer with a kernel and real servers around it, in simulated time. What happens is written down line
//! by line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use vipward_core::balancer::{Balancer, Effect, Event, Input};
use vipward_core::check::{self, Exchange, Failure, Probe, ProbeId, Shortage, UrlCheck, Verdict};
use vipward_core::command::{Command, ScriptOutcome};
use vipward_core::config::{CheckerConfig, Config, Places, RealServer, SorryServer, VirtualServer};
use vipward_core::estate::{BalancerEstate, Document, OfOne};
use vipward_core::ipvs::{Forwarding, Op, Protocol, Scheduler, ServiceKey, Table, VirtualServerId};
use vipward_core::machine::Machine;
use vipward_core::machine::Output;
use vipward_core::time::{Duration, Instant};

pub const VIP: &str = "10.0.0.1:80";
pub const WEB1: &str = "192.0.2.1:80";
pub const WEB2: &str = "192.0.2.2:80";
pub const WEB3: &str = "192.0.2.3:80";
pub const SORRY: &str = "192.0.2.99:80";

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn key(text: &str) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: address(text) }
}

pub fn id(text: &str) -> VirtualServerId {
    VirtualServerId::of_entry(key(text))
}

/// A TCP_CHECK with round numbers: `delay_loop 6`, `retry 2`, `delay_before_retry 1`, `connect_timeout 3`, `warmup 0`.
pub fn tcp(target: &str) -> CheckerConfig {
    CheckerConfig {
        kind: check::tcp::Settings.into(),
        target: address(target),
        from: Default::default(),
        connect_timeout: secs(3),
        retry: 2,
        delay_before_retry: secs(1),
        delay_loop: secs(6),
        warmup: Duration::ZERO,
        alpha: false,
        places: Places::default(),
    }
}

/// An HTTP_GET of these paths, otherwise as [`tcp`].
pub fn http(target: &str, paths: &[&str]) -> CheckerConfig {
    let urls = paths.iter().map(|path| UrlCheck { path: (*path).to_owned(), ..UrlCheck::default() }).collect();
    CheckerConfig { kind: check::http::Settings { urls, ..check::http::Settings::default() }.into(), ..tcp(target) }
}

/// A PING_CHECK, otherwise as [`tcp`].
pub fn ping(target: &str) -> CheckerConfig {
    CheckerConfig { kind: check::ping::Settings.into(), ..tcp(target) }
}

/// A MISC_CHECK with `misc_dynamic`, otherwise as [`tcp`]. Moods are of `target`.
pub fn misc(target: &str) -> CheckerConfig {
    let command = Command { argv: vec!["/bin/check".to_owned()], user: None };
    CheckerConfig { kind: check::misc::Settings { command, dynamic: true }.into(), ..tcp(target) }
}

pub fn real(at: &str, checkers: Vec<CheckerConfig>) -> RealServer {
    RealServer {
        address: address(at),
        weight: 1,
        forwarding: Forwarding::Nat,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        notify: None,
        checkers,
        files: Vec::new(),
        places: Places::default(),
    }
}

/// Each real server has one TCP_CHECK.
pub fn service(vip: &str, reals: &[&str]) -> VirtualServer {
    VirtualServer {
        entries: key(vip).into(),
        scheduler: Scheduler("rr".into()),
        persistence_timeout: None,
        persistence_granularity: Ipv4Addr::BROADCAST,
        persistence_prefix: 128,
        persistence_engine: None,
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        flags: Default::default(),
        ha_suspend: false,
        notify: None,
        omega: false,
        real_servers: reals.iter().map(|at| real(at, vec![tcp(at)])).collect(),
        places: Places::default(),
    }
}

pub fn sorry() -> SorryServer {
    SorryServer { address: address(SORRY), forwarding: Forwarding::Nat, inhibit: false }
}

pub fn config(services: Vec<VirtualServer>) -> Config {
    Config { services, ..Config::default() }
}

/// What a real server does with a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Passes after this long.
    Good(Duration),
    Refuses,
    /// No answer until the timeout.
    Silent,
    /// It can't be asked: this is short here.
    Short(Shortage),
    /// HTTP status 500 for the path that ends with this letter, otherwise good.
    Fails(char),
    /// Its program ends with this status.
    Ends(i32),
}

pub struct World {
    pub now: Instant,
    pub kernel: Table,
    /// The kernel refuses these.
    pub refuses: fn(&Op) -> bool,
    pub timeline: String,
    pub probes_started: u64,
    balancer: Balancer,
    moods: BTreeMap<SocketAddr, Mood>,
    under_way: BTreeMap<ProbeId, UnderWay>,
    /// Probes are left out of the timeline.
    pub quiet: bool,
    /// How many checkers of one real server are the same.
    pub equal_checkers: usize,
}

struct UnderWay {
    checker: (VirtualServerId, SocketAddr, SocketAddr, &'static [Exchange]),
    ends: Instant,
    verdict: Verdict,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: Instant::ZERO,
            kernel: Table::default(),
            refuses: |_| false,
            timeline: String::new(),
            probes_started: 0,
            balancer: Balancer::default(),
            moods: BTreeMap::new(),
            under_way: BTreeMap::new(),
            quiet: false,
            equal_checkers: 1,
        }
    }

    /// A world in which this configuration was just loaded.
    pub fn with(services: Vec<VirtualServer>) -> Self {
        let mut world = Self::new();
        world.load(services);
        world
    }

    pub fn load(&mut self, services: Vec<VirtualServer>) {
        self.happens(Input::ConfigLoaded { config: Arc::new(config(services)), seed: 1 });
    }

    pub fn load_all(&mut self, config: Config) {
        self.happens(Input::ConfigLoaded { config: Arc::new(config), seed: 1 });
    }

    pub fn estate(&self) -> Option<BalancerEstate> {
        self.balancer.estate(self.now)
    }

    /// The balancer hands over, and a new one has its estate. It knows no configuration yet.
    pub fn succeed(&mut self) {
        assert_eq!(self.happens(Input::HandOver), []);
        let estate = self.estate().unwrap();
        // As it travels.
        let document = Document::new("boot", estate.into());
        let document = Document::from_json(&document.to_json().unwrap(), "boot").unwrap();
        self.balancer = Balancer::default();
        self.under_way.clear();
        self.happens(Input::Inherited(BalancerEstate::of(document.estate).unwrap()));
    }

    pub fn mood(&mut self, server: &str, mood: Mood) {
        self.moods.insert(address(server), mood);
    }

    /// An operator gives this order.
    pub fn order(&mut self, line: &str) {
        let order = line.parse().unwrap();
        self.happens(Event::Ordered { number: 1, order });
    }

    /// So many connections of this real server are active.
    pub fn carries(&mut self, vip: &str, server: &str, connections: u32) {
        self.kernel.connections.insert((key(vip), address(server)), connections);
    }

    /// What happened since the last time somebody asked.
    pub fn timeline(&mut self) -> String {
        std::mem::take(&mut self.timeline)
    }

    pub fn desired(&self) -> Table {
        self.balancer.desired()
    }

    pub fn next_wakeup(&self) -> Option<Instant> {
        self.balancer.next_wakeup().map(|(at, _)| at)
    }

    pub fn forget(&mut self, id: ProbeId) {
        self.under_way.remove(&id);
    }

    pub fn under_way(&self) -> Vec<ProbeId> {
        self.under_way.keys().copied().collect()
    }

    /// The destinations in the kernel with their weights: `192.0.2.1:80=1 192.0.2.2:80=0`.
    pub fn table(&self, vip: &str) -> String {
        let Some(entry) = self.kernel.services.get(&key(vip)) else { return "no service".into() };
        let destinations: Vec<_> = entry.destinations.iter().map(|(at, d)| format!("{at}={}", d.weight)).collect();
        if destinations.is_empty() { "nobody".into() } else { destinations.join(" ") }
    }

    /// Lets time pass until then.
    pub fn until(&mut self, at: Duration) {
        let end = Instant::ZERO + at;
        loop {
            let finished = self.under_way.iter().map(|(id, probe)| (probe.ends, *id)).min();
            let wakeup = self.next_wakeup().map(|at| at.max(self.now));
            match (finished, wakeup) {
                (Some((at, id)), wakeup) if at <= end && wakeup.is_none_or(|wakeup| at <= wakeup) => {
                    self.now = at;
                    let UnderWay { verdict, .. } = self.under_way.remove(&id).unwrap();
                    self.happens(Event::ProbeFinished { probe: id, verdict });
                }
                (_, Some(at)) if at <= end => {
                    self.now = at;
                    self.happens(Input::Wakeup);
                }
                (_, _) => break,
            }
        }
        self.now = end;
    }

    /// One event, and whatever follows from it at the same instant.
    pub fn happens(&mut self, input: impl Into<Input>) -> Vec<Output<Effect>> {
        let outputs: Vec<_> = self.balancer.handle(input.into(), self.now).into_iter().collect();
        let mut answers = Vec::new();
        for output in outputs.clone() {
            match output {
                Output::Effect(effect) => answers.extend(self.carry_out(effect)),
                Output::Decide(decision) => self.note(&decision.to_string()),
                // The decision beside it says the same.
                Output::News(_) => {}
                Output::Mail(mail) => self.note(&format!("mail: {}: {}", mail.subject, mail.body.replace('\n', "|"))),
                Output::Fifo { path, line } => self.note(&format!("{path}: {line}")),
                Output::Notify { queue, command } => self.note(&format!("{queue}: {}", command.argv.join(" "))),
            }
        }
        for answer in answers {
            self.happens(answer);
        }
        outputs
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match &effect {
            Effect::Ipvs(op) => {
                let done = if (self.refuses)(op) {
                    Err("Operation not permitted".to_owned())
                } else {
                    self.kernel.apply(op).map_err(|error| error.to_string())
                };
                match done {
                    Ok(()) => self.note(&format!("  {op}{}", weight(op))),
                    Err(error) => return Some(Input::Failed { effect: Box::new(effect.clone()), error }),
                }
            }
            Effect::SetIpvs(setting) => match self.kernel.set(setting) {
                Ok(()) => self.note(&format!("  {setting}")),
                Err(error) => return Some(Input::Failed { effect: Box::new(effect.clone()), error: error.to_owned() }),
            },
            Effect::ReadIpvs => return Some(Event::IpvsRead(self.kernel.clone()).into()),
            Effect::Answer { refused, .. } => {
                let said = refused.as_ref().map_or("done".to_owned(), |why| format!("refused: {why}"));
                self.note(&format!("answer: {said}"));
            }
            Effect::StartProbe { id, probe } => self.start(*id, probe),
            Effect::CancelProbe(id) => {
                self.under_way.remove(id);
                self.note(&format!("probe of {} cancelled", id.server));
            }
        }
        None
    }

    fn start(&mut self, id: ProbeId, probe: &Probe) {
        let (path, exchanges) = (probe.kind.about(), probe.kind.exchanges());
        let (after, verdict) = match self.moods.get(&probe.target).copied().unwrap_or(Mood::Good(Duration::ZERO)) {
            Mood::Good(after) => (after, Verdict::Passed),
            // An echo is the kernel's matter, whoever listens.
            Mood::Refuses if exchanges == [Exchange::Echo] => (Duration::ZERO, Verdict::Passed),
            Mood::Refuses => (Duration::ZERO, Verdict::Failed(Failure::Refused)),
            Mood::Silent => {
                let meant = probe.kind.overdue(exchanges[0]);
                (probe.timeout, meant.map_or_else(Verdict::Failed, |()| Verdict::Passed))
            }
            Mood::Ends(status) => {
                let weight = probe.kind.ended(&ScriptOutcome::Exited(status));
                let passed = |weight: Option<u32>| weight.map_or(Verdict::Passed, Verdict::Weighs);
                (Duration::ZERO, weight.map_or_else(Verdict::Failed, passed))
            }
            Mood::Short(shortage) => (Duration::ZERO, Verdict::NotAsked(shortage)),
            Mood::Fails(letter) if path.ends_with(letter) => {
                (Duration::ZERO, Verdict::Failed(probe.kind.judge(check::Answer::Status(500)).unwrap_err()))
            }
            Mood::Fails(_) => (Duration::ZERO, Verdict::Passed),
        };
        let word = match verdict {
            Verdict::Passed => "good",
            Verdict::Weighs(_) => "weighs",
            Verdict::Failed(_) => "bad",
            Verdict::NotAsked(_) => "not asked",
        };
        if !self.quiet {
            self.note(&format!("probe {}{path}: {word} after {} ms", probe.target, after.as_millis()));
        }
        // One checker, one probe. Positions may have moved since; target and kind tell checkers apart here.
        let checker = (id.service, id.server, probe.target, exchanges);
        let overlaps = self.under_way.values().filter(|other| other.checker == checker).count();
        assert!(overlaps < self.equal_checkers, "probes overlap: {id:?}");
        self.probes_started += 1;
        self.under_way.insert(id, UnderWay { checker, ends: self.now + after, verdict });
    }

    fn note(&mut self, line: &str) {
        writeln!(self.timeline, "{:>7} {line}", self.now.to_string()).unwrap();
    }
}

fn weight(op: &Op) -> String {
    match op {
        Op::AddDestination { destination, .. } | Op::EditDestination { destination, .. } => {
            format!(", weight {}", destination.weight)
        }
        Op::AddService { .. } | Op::EditService { .. } | Op::RemoveService { .. } | Op::RemoveDestination { .. } => {
            String::new()
        }
    }
}
