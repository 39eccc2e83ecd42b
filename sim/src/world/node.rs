//! The state of one node.

use super::addresses::Addresses;
use super::connections::ConnectionTable;
use super::packets::Socket;
use super::supervise::Supervised;
use crate::scenario::{ConfigFile, NodeKind, NodePlan, PortPlan, SegmentId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vipward_core::balancer;
use vipward_core::config::{Config, RealServer, VirtualServer};
use vipward_core::estate::Estate;
use vipward_core::interface::InterfaceName;
use vipward_core::ipvs::schedule::Picker;
use vipward_core::ipvs::{ServiceKey, Table, VirtualServerId};
use vipward_core::machine::ToBoth;
use vipward_core::quantity::Role;
use vipward_core::route::{Route, RouteKey, Rule};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp;

/// A machine on the network.
#[derive(Debug)]
pub struct Node {
    pub ports: Vec<PortPlan>,
    /// Where these are: each once, in the order of the scenario.
    pub segments: BTreeSet<SegmentId>,
    pub power: bool,
    /// Interfaces whose cable is out: their links have no carrier.
    pub unplugged: BTreeSet<InterfaceName>,
    /// How often its power was cut.
    pub power_cuts: u64,
    /// When a step last touched its network, its power or its daemon; a freeze and its end do not count.
    pub disturbed: Instant,
    pub state: State,
}

#[derive(Debug)]
pub enum State {
    Director(Box<Director>),
    Server(Server),
    /// A client or the router.
    Other,
}

impl Node {
    pub(super) fn new(plan: &NodePlan) -> Self {
        let state = match &plan.kind {
            NodeKind::Director(director) => State::Director(Box::new(Director {
                file: director.config.clone(),
                config: None,
                process: Process::Absent,
                stored: BTreeMap::new(),
                upgrade: None,
                supervised: None,
                still: false,
                incarnation: 0,
                process_since: Instant::ZERO,
                stopped: BTreeSet::new(),
                mail: Mail::default(),
                post: vipward_core::mail::Queue::default(),
                socket: Socket::default(),
                kernel: Kernel::default(),
                relay_ends: 0,
                roles: BTreeMap::new(),
                role_since: BTreeMap::new(),
                weights: BTreeMap::new(),
                drained: BTreeSet::new(),
                priorities: BTreeMap::new(),
                scripts: BTreeMap::new(),
                files: BTreeMap::new(),
                processes: BTreeMap::new(),
                services: director.listens.iter().map(|port| (*port, Server::new(true))).collect(),
            })),
            NodeKind::RealServer(server) => State::Server(Server::new(!server.listens.is_empty())),
            NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => State::Other,
        };
        let segments = plan.ports.iter().map(|port| port.segment).collect();
        Self {
            ports: plan.ports.clone(),
            segments,
            power: true,
            power_cuts: 0,
            unplugged: BTreeSet::new(),
            disturbed: Instant::ZERO,
            state,
        }
    }

    /// Packets can leave and arrive, by one interface at least.
    pub fn on_network(&self) -> bool {
        self.power && self.ports.iter().any(|port| !self.unplugged.contains(&port.interface))
    }

    /// Packets can leave to this segment and arrive from there.
    pub fn attached(&self, segment: SegmentId) -> bool {
        self.ports.iter().any(|port| port.segment == segment && self.runs(port))
    }

    /// The link has a carrier.
    pub fn runs(&self, port: &PortPlan) -> bool {
        self.power && !self.unplugged.contains(&port.interface)
    }

    /// The port's own addresses.
    pub fn own(&self, address: IpAddr) -> bool {
        self.ports.iter().any(|port| port.address.is_some_and(|(own, _)| own == address))
    }
}

/// What runs the director's daemon right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// Not started, killed, or stopped in order.
    Absent,
    Running,
    /// Stopped by SIGSTOP or a paused hypervisor; its kernel goes on.
    Frozen,
}

/// Which of a director's two machines: each has its own driver and its own mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Half {
    Election,
    Balancer,
}

/// A director: its daemon and its kernel.
#[derive(Debug)]
pub struct Director {
    /// The file that a daemon starts with: the first one, or that of the last reload.
    pub file: ConfigFile,
    /// The configuration in force; none while no daemon runs.
    pub config: Option<Arc<Config>>,
    pub process: Process,
    /// The state file's copies, in a file system that a power cut empties.
    pub stored: BTreeMap<Half, Estate>,
    /// A new process is about to take over.
    pub(super) upgrade: Option<Upgrade>,
    pub(super) supervised: Option<Supervised>,
    /// Nothing on its user side runs.
    pub(super) still: bool,
    /// Counts daemons. An effect of an earlier one is a fault of the simulator or of the driver.
    pub incarnation: u64,
    /// When [`Director::process`] last changed.
    pub process_since: Instant,
    /// The machines of this incarnation that have handled `Stop`.
    pub stopped: BTreeSet<Half>,
    pub mail: Mail,
    /// Mails to people.
    pub post: vipward_core::mail::Queue,
    pub socket: Socket,
    pub kernel: Kernel,
    /// How often its relay ended, with all connections.
    pub relay_ends: u64,
    /// Roles as decided.
    pub roles: BTreeMap<Arc<str>, Role>,
    /// Since when.
    pub role_since: BTreeMap<Arc<str>, Instant>,
    /// Weights that checkers have changed, by their decisions.
    pub weights: BTreeMap<(VirtualServerId, SocketAddr), u32>,
    /// Real servers that are drained, by its decisions.
    pub drained: BTreeSet<(VirtualServerId, SocketAddr)>,
    /// Effective priorities as decided, and since when.
    pub priorities: BTreeMap<Arc<str>, (u8, Instant)>,
    /// How tracked scripts end because a step said so, by name; the others see to their service, or end with 0.
    pub scripts: BTreeMap<Arc<str>, i32>,
    /// What its tracked files hold, by their names; 0 where nothing is said.
    pub files: BTreeMap<Arc<str>, i64>,
    /// How many there are of its tracked processes, by their names; enough where nothing is said.
    pub processes: BTreeMap<Arc<str>, u32>,
    /// What it `listens` on, by port.
    pub services: BTreeMap<u16, Server>,
}

/// What the host, and the other machine, have to tell each machine.
#[derive(Debug, Default)]
pub struct Mail {
    pub election: VecDeque<vrrp::Input>,
    pub balancer: VecDeque<balancer::Input>,
}

impl Mail {
    pub fn tell(&mut self, told: &ToBoth) {
        self.election.push_back(told.clone().input());
        self.balancer.push_back(told.clone().input());
    }

    pub fn is_empty(&self, half: Half) -> bool {
        match half {
            Half::Election => self.election.is_empty(),
            Half::Balancer => self.balancer.is_empty(),
        }
    }
}

impl Director {
    /// Between two processes of an upgrade.
    pub fn upgrading(&self) -> bool {
        self.upgrade.is_some()
    }

    /// A real server's weight now: as configured, or as its checkers have changed it; drained, 0.
    pub fn weight(&self, service: VirtualServerId, server: &RealServer) -> u32 {
        if self.drained.contains(&(service, server.address)) {
            return 0;
        }
        self.weights.get(&(service, server.address)).copied().unwrap_or(server.weight)
    }

    /// Whether it checks the real servers of this virtual server: with `ha_suspend` only where its address is, or one of
    /// them.
    pub fn checks(&self, service: &VirtualServer) -> bool {
        let addresses = service.suspended_without();
        addresses.is_empty() || addresses.iter().any(|address| self.kernel.addresses.holds(*address))
    }

    /// Nothing on its user side runs.
    pub fn still(&self) -> bool {
        self.still
    }

    pub fn running(&self) -> bool {
        self.process == Process::Running
    }

    /// Its addresses have a lifetime.
    pub fn leases(&self) -> bool {
        self.config.as_ref().is_some_and(|config| config.vip.lifetime)
    }
}

/// An upgrade under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub began: Instant,
    /// Roles at its beginning.
    pub roles: BTreeMap<Arc<str>, Role>,
    /// What has been handed over.
    pub estates: BTreeMap<Half, Estate>,
    /// When the new process begins to act, once both machines have handed over.
    pub begins: Option<Instant>,
}

/// Kernel tables. They survive a killed daemon, not a power cut.
#[derive(Debug, Default)]
pub struct Kernel {
    pub addresses: Addresses,
    pub routes: BTreeMap<RouteKey, Route>,
    pub rules: BTreeSet<Rule>,
    pub ipvs: Table,
    pub(super) connections: ConnectionTable,
    /// Each service's scheduler with its memory.
    pub(super) pickers: BTreeMap<ServiceKey, Picker>,
}

/// A real server, or a service of a director.
#[derive(Debug)]
pub struct Server {
    /// Its ports are open.
    pub listening: bool,
    /// How much later it answers.
    pub slow: Duration,
    pub status: u16,
    /// How often its ports were closed: a connection from before is gone.
    pub closings: u64,
    pub(super) flap: Option<Flap>,
}

impl Server {
    /// `slow` of one that hangs: longer than anybody waits.
    pub(super) const NEVER: Duration = Duration::from_secs(86_400);

    fn new(listening: bool) -> Self {
        Self { listening, slow: Duration::ZERO, status: 200, closings: 0, flap: None }
    }

    /// It accepts connections and never answers.
    pub fn hangs(&self) -> bool {
        self.slow >= Self::NEVER
    }

    /// What a check finds: that it is there and, if the check asks, that its answer is a good one.
    pub fn well(&self, asked: bool) -> bool {
        self.listening && (!asked || (!self.hangs() && (200..400).contains(&self.status)))
    }
}

#[derive(Debug)]
pub(super) struct Flap {
    pub every: Duration,
    pub next: Instant,
    /// Changes still to come.
    pub left: u32,
}
