//! What a scenario file means, after reading: names are resolved, shares and durations are values.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use vipward_core::balancer::drain::order::Order;
use vipward_core::config::Config;
use vipward_core::interface::InterfaceName;
use vipward_core::quantity::{AdvertInterval, Role, Version, Vrid};
use vipward_core::text::Span;
use vipward_core::time::{Duration, Instant};

/// A node of a scenario: its position in [`Scenario::nodes`]. Directors come first, then real servers, then clients,
/// each in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub usize);

/// A network segment: its position in [`Scenario::segments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId(pub usize);

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file's name without `.toml`.
    pub name: String,
    /// `title`: one line.
    pub title: String,
    /// `seed`: everything random comes from it. Default 1.
    pub seed: u64,
    /// `duration`: how long the run lasts in simulated time.
    pub duration: Duration,
    pub segments: Vec<SegmentPlan>,
    /// `routed`: segments that a router joins. It never fails; its neighbour cache is its own.
    pub routed: Vec<SegmentId>,
    pub nodes: Vec<NodePlan>,
    /// Codes of everything that the reader said about the directors' files beside each other.
    pub codes: Vec<String>,
    /// In the order of time.
    pub steps: Vec<Step>,
    pub expectations: Vec<Expectation>,
}

impl Scenario {
    /// The node, which a [`NodeId`] of this scenario always has.
    #[allow(clippy::indexing_slicing, reason = "ids are made from this very list, and nothing is removed from it")]
    pub fn node(&self, id: NodeId) -> &NodePlan {
        &self.nodes[id.0]
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    pub fn directors(&self) -> impl Iterator<Item = (NodeId, &DirectorPlan)> {
        self.nodes.iter().enumerate().filter_map(|(at, node)| match &node.kind {
            NodeKind::Director(director) => Some((NodeId(at), director)),
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
        })
    }

    pub fn by_name(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| *node.name == *name).map(NodeId)
    }
}

/// `[segment.NAME]`: what every packet on it suffers, before any fault.
#[derive(Clone, Debug)]
pub struct SegmentPlan {
    pub name: Arc<str>,
    /// `delay`, each way.
    pub delay: Duration,
    /// `lose`.
    pub loss: Share,
}

#[derive(Clone, Debug)]
pub struct NodePlan {
    pub name: Arc<str>,
    pub ports: Vec<PortPlan>,
    pub kind: NodeKind,
}

/// `interfaces.NAME = "ADDRESS/LEN on SEGMENT"`.
#[derive(Clone, Debug)]
pub struct PortPlan {
    pub interface: InterfaceName,
    pub segment: SegmentId,
    /// The node's own address there.
    pub address: Option<(IpAddr, u8)>,
}

#[derive(Clone, Debug)]
pub enum NodeKind {
    Director(DirectorPlan),
    RealServer(ServerPlan),
    Client(ClientPlan),
    Quorum(QuorumPlan),
    /// What `routed` makes; no node of the file.
    Router,
}

/// `[quorum.NAME]`: a ZooKeeper ensemble, at most one.
#[derive(Clone, Debug)]
pub struct QuorumPlan {
    /// `tick`, default 2 s: sessions last at least two of them.
    pub tick: Duration,
    /// `drift`, as a director's.
    pub drift_ppm: i32,
}

/// `[director.NAME]`.
#[derive(Clone, Debug)]
pub struct DirectorPlan {
    /// `config`, read.
    pub config: ConfigFile,
    /// `listens`: ports on which a service of its own answers, on every address that it holds.
    pub listens: Vec<u16>,
    /// `loopback`: addresses that it takes whether it holds them or not, and does not answer ARP for, as a real server of
    /// another director has to.
    pub loopback: Vec<IpAddr>,
    /// `tracks`, and what was guessed: by the name of the `vrrp_script`, the service that it checks.
    pub tracks: BTreeMap<Arc<str>, Checks>,
    /// `starts = false`: its daemon is first started by a step.
    pub starts: bool,
    /// `dataplane`.
    pub dataplane: Dataplane,
    /// `drift`: how much faster its clock runs than the world's, in parts per million, -1000..=1000.
    pub drift_ppm: i32,
}

/// Who carries a virtual server's connections (`vipward run --dataplane`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dataplane {
    /// The kernel: it goes on when the daemon is killed or frozen.
    #[default]
    Ipvs,
    /// The daemon itself, in user space: it ends with the daemon, and answers always come back through it.
    Relay,
}

/// A configuration file of a director, read through the production reader.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// As the scenario names it.
    pub path: PathBuf,
    /// None: it has errors, and nobody said that it may. Only a `reload` may name such a file.
    pub config: Option<Arc<Config>>,
    /// Codes of everything that the reader said about it.
    pub codes: Vec<String>,
    /// `settings`, as the scenario names it; none: `vipward.toml` beside it, if there is one.
    pub settings: Option<PathBuf>,
}

/// `[real_server.NAME]`.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// `listens`, default port 80.
    pub listens: Vec<u16>,
    /// `loopback`: addresses that it accepts besides its own and does not answer ARP for (`arp_ignore = 1`). DR and TUN
    /// need the VIP here.
    pub loopback: Vec<IpAddr>,
    /// `gateway`: where its answers to other networks go. NAT needs the director here.
    pub gateway: Option<IpAddr>,
    /// `tunnel`: it unpacks tunnels, of whatever type. TUN needs it.
    pub tunnel: bool,
}

/// `[client.NAME]`.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// `asks`: where its requests go.
    pub target: SocketAddr,
    /// `every`: how often one starts. Default 100 ms.
    pub every: Duration,
    /// `timeout`: when it gives one up. Default 1 s.
    pub timeout: Duration,
    /// `from`: when the first one starts. Default 0 s.
    pub from: Duration,
    /// `keeps`: so many connections it keeps open besides, and asks over each as often.
    pub keeps: u32,
}

/// One timed step.
#[derive(Clone, Debug)]
pub struct Step {
    pub at: Instant,
    pub action: Action,
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// `kill`: SIGKILL for supervisor and worker. The kernel keeps addresses and the IPVS table.
    Kill(NodeId),
    /// `kill_worker`: the same for the worker alone.
    KillWorker(NodeId),
    /// `hang_worker`: the worker alone stands still; a new one does not.
    HangWorker(NodeId),
    /// `power_off`: the machine is dark and forgets its kernel tables.
    PowerOff(NodeId),
    /// `stop`: SIGTERM.
    Stop(NodeId),
    /// `upgrade`: a new process of the daemon goes on where the old one hands over; a few milliseconds lie between.
    Upgrade(NodeId),
    /// `start`: power, if it has none, and a fresh daemon, if none runs.
    Start(NodeId),
    /// `freeze`: nothing on this machine's user side runs (SIGSTOP, a paused virtual machine); its kernel goes on.
    Freeze(NodeId),
    /// `resume`: after `freeze`.
    Resume(NodeId),
    /// `reload` and `with`: SIGHUP with another file.
    Reload { node: NodeId, file: ConfigFile },
    /// `unplug`: the cable is out, the link has no carrier; of one `interface`, or of all.
    Unplug { node: NodeId, interface: Option<InterfaceName> },
    /// `plug`: it is in again.
    Plug { node: NodeId, interface: Option<InterfaceName> },
    /// `isolate`, `cut`, `lose`, `delay`, `jitter`, `duplicate`: packets from some to some suffer.
    Impair { from: Party, to: Party, both: bool, impairment: Impairment },
    /// `heal`: what impairs the ways of these nodes ends.
    Heal(Heal),
    /// `down`: the port is closed; connections are refused.
    Down(Listener),
    /// `up`: it answers again: at once and with 200.
    Up(Listener),
    /// `slow` and `by`: it answers that much later.
    Slow { who: Listener, by: Duration },
    /// `status` and `code`: it answers with this status.
    Status { who: Listener, code: u16 },
    /// `hang`: it accepts connections and never answers.
    Hang(Listener),
    /// `flap`, `every`, `times`: down and up again in turn, `times` times each.
    Flap { who: Listener, every: Duration, times: u32 },
    /// `script`, `on`, `exits`: from now on this tracked script ends so; one that checks a service, until the next step
    /// about that service.
    Script { script: Arc<str>, node: NodeId, exits: i32 },
    /// `file`, `on`, `holds`: from now on this tracked file holds so much.
    File { file: Arc<str>, node: NodeId, holds: i64 },
    /// `process`, `on`, `runs`: from now on there are so many of this tracked process.
    Process { process: Arc<str>, node: NodeId, runs: u32 },
    /// `leader_change` and `lasts`: the quorum service has no leader for so long.
    LeaderChange { node: NodeId, lasts: Duration },
    /// `server_dies`: the server of the quorum service that the director talks to.
    ServerDies(NodeId),
    /// `end_session`: the director's, at the quorum service.
    EndSession(NodeId),
    /// `wipe`: the quorum service forgets everything, as a single server that is started with an empty disk.
    Wipe(NodeId),
    /// `delete_address`, `on`: somebody takes an address off by hand (`ip address del`).
    DeleteAddress { address: IpAddr, node: NodeId },
    /// `drop_garp`: the switch of this segment drops gratuitous ARP, and unsolicited neighbour advertisements, from then on.
    DropGarp(SegmentId),
    /// `delete_route`, `on`: somebody takes a route out by hand (`ip route del`).
    DeleteRoute { destination: IpAddr, prefix_len: u8, node: NodeId },
    /// `starve_worker` and `lasts`: the worker gets no processor for so long; its supervisor does.
    StarveWorker { node: NodeId, lasts: Duration },
    /// `drain`, `undrain`, `on`: an operator asks for it, in the words of the command line.
    Order { order: Order, node: NodeId },
    /// `forge`: a host that is no director sends adverts.
    Forge(Forgery),
}

/// What answers connections: a real server, or one service of a director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    pub node: NodeId,
    /// Of a director: one of its `listens`. None: all ports of a real server.
    pub port: Option<u16>,
}

impl From<NodeId> for Listener {
    /// The real server.
    fn from(node: NodeId) -> Self {
        Self { node, port: None }
    }
}

/// What a tracked script finds out about a service of its director.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    pub port: u16,
    /// It asks, and sees a wrong status and that nothing is answered; else it sees only whether the service is there.
    pub asks: bool,
}

/// What `forge` sends.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// Where it is.
    pub segment: SegmentId,
    /// `to`: by unicast to this director; none: to the group.
    pub to: Option<NodeId>,
    /// `source`: any address, a director's as well.
    pub source: IpAddr,
    pub vrid: Vrid,
    /// `version`, default 3.
    pub version: Version,
    /// `priority`, default 254.
    pub priority: u8,
    /// `interval`, default 1 s: what the advert says.
    pub interval: AdvertInterval,
    /// `addresses`: those that it claims.
    pub addresses: Vec<IpAddr>,
    /// `password`: VRRPv2's `auth_pass`.
    pub password: Option<[u8; 8]>,
    /// `ttl`, default 255.
    pub ttl: u8,
    /// `times`, default 1: how many adverts.
    pub times: u32,
    /// `every`, default 1 s: the time between two.
    pub every: Duration,
}

/// One end of an impaired way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    Any,
    Node(NodeId),
    Segment(SegmentId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impairment {
    Cut,
    Lose(Share),
    Delay(Duration),
    /// Each packet is late by another time, drawn up to this: they overtake each other.
    Jitter(Duration),
    /// This share of adverts arrives twice.
    Duplicate(Share),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heal {
    All,
    Node(NodeId),
    Between(NodeId, NodeId),
}

/// A share in tenths of a per cent, 0..=1000: no floats where a run must be the same on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u16);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            (whole, 0) => write!(f, "{whole} %"),
            (whole, tenth) => write!(f, "{whole}.{tenth} %"),
        }
    }
}

/// One thing that must hold.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub what: Expect,
    pub span: Span,
}

/// `at`, or `from` and `until`; neither: the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Instant,
    pub until: Instant,
}

/// At most, at least or exactly that many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub least: u64,
    pub most: u64,
}

#[derive(Clone, Debug)]
pub enum Expect {
    /// `owner`: exactly these nodes hold the address, at every moment of the window.
    Owner { address: IpAddr, owners: Vec<NodeId>, window: Window },
    /// `role` and `of`.
    Role { node: NodeId, router: Option<Arc<str>>, role: Role, window: Window },
    /// `role_changes` and `of`: in the window, over all or one virtual router.
    RoleChanges { node: NodeId, router: Option<Arc<str>>, count: Count, window: Window },
    /// `destinations`, `of` and `on`: exactly these, with a weight above zero, in the director's kernel table.
    Destinations { service: SocketAddr, node: NodeId, destinations: Vec<SocketAddr>, window: Window },
    /// `longest_outage` and `of`: no outage of the client is longer.
    LongestOutage { client: NodeId, most: Duration, window: Window },
    /// `failed_share` and `of`: at most this share of the client's requests fails.
    FailedShare { client: NodeId, most: Share, window: Window },
    /// `served_by` and `of`: exactly these nodes answered the client's requests of the window.
    ServedBy { client: NodeId, servers: Vec<NodeId>, window: Window },
    /// `broken_connections` and `of`: so often a connection that the client keeps breaks.
    BrokenConnections { client: NodeId, count: Count, window: Window },
    /// `decision` and optionally `by`: this text occurs in a decision.
    Decision { text: String, node: Option<NodeId>, window: Window, count: Count },
    /// `mail` and optionally `by`: a mail with this text in its subject is delivered.
    Mail { text: String, node: Option<NodeId>, window: Window, count: Count },
    /// `violation`: this invariant is broken, and its message names these.
    Violation { invariant: Arc<str>, naming: Vec<String> },
    /// `diagnostic` and `of`: the configuration reader says this about a director's file; without `of`, about the
    /// directors' files beside each other.
    Diagnostic { code: Arc<str>, node: Option<NodeId> },
}
