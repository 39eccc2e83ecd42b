//! The network around the directors, worked out from their files. What the files do not say is assumed, and said.

use super::files::DirectorFile;
use super::named::{Backend, backends, held, named_addresses, services, unasked_marks};
use super::network::Network;
use super::quorum;
use super::services::{self, Services};
use super::wires::{Port, Wires, routers, speaking_networks};
use super::words;
use crate::scenario::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use vipward_core::config::{Transport, VirtualRouterConfig};
use vipward_core::interface::InterfaceName;
use vipward_core::ipvs::Protocol;
use vipward_core::time::Duration;

/// Host numbers in each network, where nothing else is written.
const DIRECTORS: u128 = 11;
const CLIENTS: u128 = 200;
const ROUTER: u128 = 254;

/// Where clients are that come over a router (RFC 5737).
const OUTSIDE: [u8; 4] = [203, 0, 113, 0];

/// Adverts that travel on an interface without any address in the files travel here.
const UNNUMBERED: u8 = 169;

/// A client keeps so many connections at the most.
const MOST_KEPT: u32 = 8;

/// Clients beyond these ask nothing new.
const MOST_CLIENTS: usize = 16;

/// On a VIP without a virtual server the director itself answers on this port (echo, RFC 862).
const ECHO: u16 = 7;

/// What a drill plays on.
pub(super) struct Topology {
    /// Nodes and segments; no steps, no duration, clients that start at once.
    pub scenario: Scenario,
    /// The nodes that `real_server` lines mean, in the order of their addresses.
    pub servers: Vec<NodeId>,
    /// What the files do not say, in sentences.
    pub assumptions: Vec<String>,
    /// Real servers whose answers to NATed connections go to one director, whoever is MASTER.
    pub stuck_gateways: Vec<IpAddr>,
}

struct Segment {
    networks: Vec<Network>,
    /// A virtual address lives here.
    front: bool,
    /// Clients or real servers are here that the directors reach over a router only.
    remote: bool,
    /// Real servers are here whose answers reach clients through a router, past the directors.
    answers: bool,
}

struct Build<'a> {
    files: &'a [DirectorFile],
    taken: BTreeSet<IpAddr>,
    segments: Vec<Segment>,
    ports: Vec<Vec<PortPlan>>,
    /// Tracked interfaces that lead nowhere yet.
    elsewhere: BTreeSet<Port>,
    assumptions: Vec<String>,
    /// What the directors' own services are.
    services: Services,
    /// Ports on which clients ask the holder of an address itself.
    asked: BTreeSet<u16>,
}

/// The network, with what `dataplane` asks for or, where it is not said, what the files need.
pub(super) fn topology(files: &[DirectorFile], wires: &Wires, dataplane: Option<Dataplane>) -> Topology {
    let backends = backends(files);
    let mut build = Build {
        files,
        taken: named_addresses(files).chain(backends.keys().copied()).collect(),
        segments: Vec::new(),
        ports: vec![Vec::new(); files.len()],
        elsewhere: wires.elsewhere.iter().cloned().collect(),
        assumptions: Vec::new(),
        services: Services::default(),
        asked: BTreeSet::new(),
    };
    for ports in &wires.segments {
        build.segment(ports);
    }
    let vips: BTreeSet<IpAddr> = held(files).collect();
    let local = |build: &Build<'_>, ip: IpAddr| {
        ip.is_loopback()
            || vips.contains(&ip)
            || build.ports.iter().flatten().any(|port| port.address.is_some_and(|(own, _)| own == ip))
    };
    let (own, backends): (BTreeMap<IpAddr, Backend>, BTreeMap<IpAddr, Backend>) =
        backends.into_iter().partition(|(ip, _)| local(&build, *ip));
    let mut stuck = Vec::new();
    let mut gateways = BTreeMap::new();
    let mut placed = Vec::new();
    for (ip, backend) in &backends {
        let segment = build.place(*ip, backend);
        let gateway = build.gateway(*ip, segment, &vips);
        if backend.nat && gateway.is_none() {
            stuck.push(*ip);
        }
        gateways.insert(*ip, gateway);
        placed.push((*ip, segment));
    }
    for port in std::mem::take(&mut build.elsewhere) {
        build.segment(&[port]);
    }
    let plain = backends.values().all(|backend| backend.loopback.is_empty());
    let dataplane = dataplane.unwrap_or(if stuck.is_empty() || !plain { Dataplane::Ipvs } else { Dataplane::Relay });
    if dataplane == Dataplane::Relay {
        stuck.clear();
        build.assumptions.push(
            "virtual servers are carried by the directors themselves: `vipward run --dataplane relay`".to_owned(),
        );
    }
    for ip in &stuck {
        // Somebody has to be: the first director, as a route written by hand would have it.
        let segment = placed.iter().find(|(other, _)| other == ip).map(|(_, segment)| *segment);
        let first =
            segment.and_then(|segment| build.ports.iter().flatten().find(|port| port.segment == segment)?.address);
        gateways.insert(*ip, first.map(|(own, _)| own));
    }
    let clients = build.clients(dataplane, &backends);
    let mut nodes = build.directors(dataplane, &own);
    let mut servers = Vec::new();
    for (ip, segment) in placed {
        let Some(backend) = backends.get(&ip) else { continue };
        if backend.real {
            servers.push(NodeId(nodes.len()));
        }
        nodes.push(build.server(ip, segment, backend, gateways.get(&ip).copied().flatten()));
    }
    nodes.extend(clients.into_iter().map(|client| client.node()));
    let routed = build.router(&mut nodes);
    let segments = build.segments.iter().map(|segment| SegmentPlan {
        name: segment.networks.first().map(Network::to_string).unwrap_or_default().into(),
        delay: Duration::ZERO,
        loss: Share(0),
    });
    let scenario = Scenario {
        name: String::new(),
        title: String::new(),
        seed: 1,
        duration: Duration::ZERO,
        segments: segments.collect(),
        routed,
        nodes,
        codes: Vec::new(),
        steps: Vec::new(),
        expectations: Vec::new(),
    };
    let mut topology = Topology { scenario, servers, assumptions: build.assumptions, stuck_gateways: stuck };
    quorum::add(files, &mut topology);
    topology
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A client before it is a node.
struct Asker {
    name: String,
    port: PortPlan,
    target: SocketAddr,
    keeps: u32,
}

impl Asker {
    fn node(self) -> NodePlan {
        let plan = ClientPlan {
            target: self.target,
            every: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
            from: Duration::ZERO,
            keeps: self.keeps,
        };
        NodePlan { name: self.name.into(), ports: vec![self.port], kind: NodeKind::Client(plan) }
    }
}

impl Build<'_> {
    /// One segment that virtual routers need, with the directors' addresses on it.
    fn segment(&mut self, ports: &[Port]) {
        let id = SegmentId(self.segments.len());
        let on = |at: usize, interface: &InterfaceName| ports.iter().any(|port| port.0 == at && port.1 == *interface);
        let held = routers(self.files).flat_map(|(at, router)| {
            let addresses = router.addresses.iter().chain(&router.excluded);
            addresses.filter(move |it| on(at, &it.interface)).map(|it| Network::of(it.address, it.prefix_len))
        });
        let mut all: Vec<Network> = held.collect();
        let front = !all.is_empty();
        all.extend(
            routers(self.files)
                .filter(|(at, router)| on(*at, &router.interfaces.heard_on))
                .flat_map(|(_, router)| speaking_networks(router)),
        );
        // Hundreds of addresses lie in a few networks.
        let mut seen = BTreeSet::new();
        all.retain(|network| seen.insert(*network));
        let wider = |network: &Network| {
            all.iter().any(|other| other != network && other.overlaps(*network) && other.len() < network.len())
        };
        let mut networks: Vec<Network> = all.iter().copied().filter(|network| !wider(network)).collect();
        if networks.is_empty() {
            let third = u8::try_from(id.0).unwrap_or(u8::MAX);
            networks.push(Network::of(IpAddr::from([UNNUMBERED, 254, third, 0]), 24));
        }
        // VRRP over IPv4 speaks from the first address.
        networks.sort_by_key(|network| network.is_v6());
        for (at, interface) in ports {
            for network in &networks {
                let address = self.own_address(*at, interface, *network, ports);
                self.port(*at, interface.clone(), id, *network, address);
            }
        }
        self.segments.push(Segment { networks, front, remote: false, answers: false });
    }

    /// What a director's own address in a network is: the one that its file sends from; the one that only the others
    /// name as a peer; else the next free one.
    fn own_address(
        &mut self,
        at: usize,
        interface: &InterfaceName,
        network: Network,
        ports: &[Port],
    ) -> Option<IpAddr> {
        let here: Vec<&VirtualRouterConfig> = routers(self.files)
            .filter(|(other, router)| *other == at && router.interfaces.heard_on == *interface)
            .map(|(_, router)| router)
            .collect();
        if let Some(source) = here.iter().filter_map(|router| router.source).find(|source| network.contains(*source)) {
            return Some(source);
        }
        let peers = |router: &VirtualRouterConfig| match &router.transport {
            Transport::Unicast { peers } => peers.clone(),
            Transport::Multicast { .. } => Vec::new(),
        };
        let ours: BTreeSet<IpAddr> = here.iter().flat_map(|router| peers(router)).collect();
        let others = || {
            routers(self.files)
                .filter(|(other, router)| {
                    *other != at && ports.iter().any(|port| port.0 == *other && port.1 == router.interfaces.heard_on)
                })
                .map(|(_, router)| router)
        };
        let known: BTreeSet<IpAddr> = others().filter_map(|router| router.source).collect();
        let meant: BTreeSet<IpAddr> = others()
            .flat_map(peers)
            .filter(|peer| network.contains(*peer) && !ours.contains(peer) && !known.contains(peer))
            .collect();
        match (ours.is_empty(), meant.first()) {
            (false, Some(only)) if meant.len() == 1 => Some(*only),
            _ => network.take(DIRECTORS + at as u128, &mut self.taken),
        }
    }

    fn port(
        &mut self,
        at: usize,
        interface: InterfaceName,
        segment: SegmentId,
        network: Network,
        address: Option<IpAddr>,
    ) {
        if let Some(ports) = self.ports.get_mut(at) {
            ports.push(PortPlan { interface, segment, address: address.map(|address| (address, network.len())) });
        }
    }

    /// The segment of a machine behind the directors. In a network that no virtual router has, the directors get an
    /// interface of its own for NAT; DR and TUN reach it over a router, if at all.
    fn place(&mut self, ip: IpAddr, backend: &Backend) -> SegmentId {
        let known =
            self.segments.iter().position(|segment| segment.networks.iter().any(|network| network.contains(ip)));
        let id = known.map_or(SegmentId(self.segments.len()), SegmentId);
        let network = Network::around(ip);
        if known.is_none() {
            let remote = !backend.nat && backend.tunnel;
            self.segments.push(Segment { networks: vec![network], front: false, remote, answers: false });
        }
        self.answers_elsewhere(id, backend);
        let Some(segment) = self.segments.get(id.0) else { return id };
        if segment.front || segment.remote {
            return id;
        }
        let network = segment.networks.iter().copied().find(|network| network.contains(ip)).unwrap_or(network);
        for at in &backend.named_by {
            if self.ports.get(*at).is_some_and(|ports| ports.iter().any(|port| port.segment == id)) {
                continue;
            }
            let interface = self.leg(*at);
            let address = network.take(DIRECTORS + *at as u128, &mut self.taken);
            self.port(*at, interface, id, network, address);
        }
        id
    }

    /// Direct routing needs a leg of the director's where the real servers are; where the clients are elsewhere, these have a
    /// gateway of their own.
    fn answers_elsewhere(&mut self, id: SegmentId, backend: &Backend) {
        let at_home = |segment: &Segment| {
            backend.loopback.iter().all(|vip| segment.networks.iter().any(|network| network.contains(*vip)))
        };
        let Some(segment) = self.segments.get_mut(id.0) else { return };
        if backend.loopback.is_empty() || segment.remote || segment.answers || at_home(segment) {
            return;
        }
        segment.answers = true;
        let name = segment.networks.first().map(Network::to_string).unwrap_or_default();
        self.assumptions.push(format!("real servers in {name} answer clients through a gateway of their own"));
    }

    /// The interface towards real servers: one that is tracked and leads nowhere else, else one that no file names.
    fn leg(&mut self, at: usize) -> InterfaceName {
        let tracked = self.elsewhere.iter().find(|port| port.0 == at).cloned();
        match tracked.and_then(|port| self.elsewhere.take(&port)) {
            Some((_, interface)) => interface,
            None => self.free_interface(at),
        }
    }

    fn free_interface(&self, at: usize) -> InterfaceName {
        let used: BTreeSet<&InterfaceName> =
            self.ports.get(at).into_iter().flatten().map(|port| &port.interface).collect();
        let names = (0_u32..).map(|n| InterfaceName::new(&format!("eth{n}")));
        // There is always one: the list of used names ends.
        names.into_iter().find(|name| !used.contains(name)).unwrap_or_else(|| InterfaceName::new("eth0"))
    }

    /// The virtual address through which a NATed real server can answer, whoever is MASTER.
    fn gateway(&self, ip: IpAddr, segment: SegmentId, vips: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let networks = &self.segments.get(segment.0)?.networks;
        let network = networks.iter().find(|network| network.contains(ip))?;
        vips.iter().copied().find(|vip| network.contains(*vip))
    }

    /// One client for each address of a TCP virtual server, of a range for its first and its last; where a virtual router has none, one that asks the VIP's holder itself.
    fn clients(&mut self, dataplane: Dataplane, backends: &BTreeMap<IpAddr, Backend>) -> Vec<Asker> {
        let vips: BTreeSet<IpAddr> = held(self.files).collect();
        let over_tcp = services(self.files).filter(|(_, service)| service.entries.protocol() == Some(Protocol::Tcp));
        let ends: BTreeSet<SocketAddr> =
            over_tcp.flat_map(|(_, service)| service.entries.ends()).filter(|end| vips.contains(&end.ip())).collect();
        self.assumptions.extend(unasked_marks(self.files));
        let mut targets: Vec<SocketAddr> = ends.into_iter().collect();
        let mut asked: BTreeSet<IpAddr> = targets.iter().map(|target| target.ip()).collect();
        self.services = services::services(self.files, &asked);
        self.assumptions.extend(self.services.assumptions.iter().cloned());
        for (_, router) in routers(self.files) {
            let own: Vec<IpAddr> = router.addresses.iter().chain(&router.excluded).map(|it| it.address).collect();
            if let Some(first) = own.first()
                && !own.iter().any(|address| asked.contains(address))
            {
                asked.insert(*first);
                let echo = BTreeSet::from([ECHO]);
                let ports = self.services.ports.get(first).unwrap_or(&echo);
                targets.extend(ports.iter().map(|port| SocketAddr::new(*first, *port)));
                self.asked.extend(ports);
            }
        }
        if targets.len() > MOST_CLIENTS {
            self.assumptions.push(format!(
                "{MOST_CLIENTS} clients ask; {} more virtual servers and addresses are not asked",
                targets.len() - MOST_CLIENTS
            ));
        }
        let only = targets.len() == 1;
        let mut askers = Vec::new();
        for target in targets.into_iter().take(MOST_CLIENTS) {
            let Some(home) = self.segments.iter().position(|segment| {
                segment.front && segment.networks.iter().any(|network| network.contains(target.ip()))
            }) else {
                continue;
            };
            let networks = self.segments.get(home).map(|segment| segment.networks.clone()).unwrap_or_default();
            // NAT answers a neighbour of the real server directly, past the director.
            let past = dataplane == Dataplane::Ipvs
                && backends
                    .iter()
                    .any(|(ip, backend)| backend.nat && networks.iter().any(|network| network.contains(*ip)));
            let network = networks.iter().copied().find(|network| network.contains(target.ip()));
            let at_home =
                network.filter(|_| !past).and_then(|network| Some((network, network.take(CLIENTS, &mut self.taken)?)));
            let (segment, network, address) = match at_home {
                Some((network, address)) => (SegmentId(home), network, Some(address)),
                None => {
                    let (segment, network) = self.outside();
                    (segment, network, network.take(CLIENTS, &mut self.taken))
                }
            };
            let port = PortPlan {
                interface: InterfaceName::new("eth0"),
                segment,
                address: address.map(|address| (address, network.len())),
            };
            askers.push(Asker { name: asker_name(target, only), port, target, keeps: self.keeps(target) });
        }
        askers
    }

    /// So many open connections that each real server can have its share by its weight, and none looks busier than the
    /// others; one where somebody answers by himself.
    fn keeps(&self, target: SocketAddr) -> u32 {
        let behind = services(self.files).filter(|(_, service)| service.entries.is_at(target));
        let shares = behind.map(|(_, service)| {
            let weights = || service.real_servers.iter().map(|server| server.weight).filter(|weight| *weight > 0);
            let common = weights().reduce(gcd).unwrap_or(1);
            weights().map(|weight| weight / common).fold(0, u32::saturating_add)
        });
        shares.max().unwrap_or(1).clamp(1, MOST_KEPT)
    }

    fn outside(&mut self) -> (SegmentId, Network) {
        let network = Network::around(IpAddr::from(OUTSIDE));
        let known = self.segments.iter().position(|segment| segment.networks.contains(&network));
        let at = known.unwrap_or_else(|| {
            self.assumptions.push(format!("clients come over a router, from {network}"));
            self.segments.push(Segment { networks: vec![network], front: false, remote: true, answers: false });
            self.segments.len() - 1
        });
        (SegmentId(at), network)
    }

    fn directors(&mut self, dataplane: Dataplane, own: &BTreeMap<IpAddr, Backend>) -> Vec<NodePlan> {
        let mut nodes = Vec::new();
        for (at, file) in self.files.iter().enumerate() {
            let ports = self.ports.get(at).cloned().unwrap_or_default();
            let text: Vec<String> = ports
                .iter()
                .filter_map(|port| Some((port.address?, &port.interface)))
                .filter(|((address, _), _)| !file.config.routers.iter().any(|router| router.source == Some(*address)))
                .map(|((address, len), interface)| format!("{address}/{len} on {interface}"))
                .collect();
            if !text.is_empty() {
                self.assumptions.push(format!("{} has {}", file.name, words::list(&text)));
            }
            if file.broken {
                self.assumptions.push(format!(
                    "{}: what could be understood of {} runs",
                    file.name,
                    file.path.display()
                ));
            }
            let local = own.values().filter(|backend| backend.named_by.contains(&at));
            let mut listens: BTreeSet<u16> = local.flat_map(|backend| backend.listens.iter().copied()).collect();
            listens.extend(&self.asked);
            let config = ConfigFile {
                path: file.path.clone(),
                config: Some(file.config.clone()),
                codes: file.codes.clone(),
                settings: None,
            };
            let tracks = self.services.tracks.get(&at).cloned().unwrap_or_default();
            let listens = listens.into_iter().collect();
            let here = ports.iter().filter_map(|port| own.get(&port.address?.0));
            let loopback: BTreeSet<IpAddr> = here.flat_map(|backend| backend.loopback.iter().copied()).collect();
            if !loopback.is_empty() {
                let vips: Vec<String> = loopback.iter().map(IpAddr::to_string).collect();
                let vips = words::list(&vips.iter().map(String::as_str).collect::<Vec<_>>());
                self.assumptions
                    .push(format!("{} takes packets for {vips} as BACKUP too, as a real server", file.name));
            }
            let loopback = loopback.into_iter().collect();
            let plan = DirectorPlan { config, listens, loopback, tracks, starts: true, dataplane, drift_ppm: 0 };
            nodes.push(NodePlan { name: file.name.clone(), ports, kind: NodeKind::Director(plan) });
        }
        for ip in own.keys() {
            self.assumptions.push(format!("{ip} is a director itself; it can't fail by itself here"));
        }
        nodes
    }

    fn server(&self, ip: IpAddr, segment: SegmentId, backend: &Backend, gateway: Option<IpAddr>) -> NodePlan {
        let networks = self.segments.get(segment.0).map(|segment| segment.networks.as_slice()).unwrap_or_default();
        let len = networks
            .iter()
            .find(|network| network.contains(ip))
            .map_or(Network::around(ip).len(), |network| network.len());
        let plan = ServerPlan {
            listens: backend.listens.iter().copied().collect(),
            loopback: backend.loopback.iter().copied().collect(),
            gateway: gateway.filter(|_| backend.nat),
            tunnel: backend.tunnel,
        };
        let port = PortPlan { interface: InterfaceName::new("eth0"), segment, address: Some((ip, len)) };
        NodePlan { name: ip.to_string().into(), ports: vec![port], kind: NodeKind::RealServer(plan) }
    }

    /// A router between the fronts and what is remote, when something is.
    fn router(&mut self, nodes: &mut Vec<NodePlan>) -> Vec<SegmentId> {
        if !self.segments.iter().any(|segment| segment.remote || segment.answers) {
            return Vec::new();
        }
        let mut ports = Vec::new();
        let mut routed = Vec::new();
        for (at, segment) in self.segments.iter().enumerate().filter(|(_, it)| it.front || it.remote || it.answers) {
            routed.push(SegmentId(at));
            for network in &segment.networks {
                let interface = InterfaceName::new(&format!("port{}", ports.len()));
                let address = network.take(ROUTER, &mut self.taken).map(|address| (address, network.len()));
                ports.push(PortPlan { interface, segment: SegmentId(at), address });
            }
        }
        nodes.push(NodePlan { name: "router".into(), ports, kind: NodeKind::Router });
        routed
    }
}

/// What a client is called: by what it asks, where there are several.
fn asker_name(target: SocketAddr, only: bool) -> String {
    match target.port() {
        _ if only => "client".to_owned(),
        ECHO => format!("client of {}", target.ip()),
        _ => format!("client of {target}"),
    }
}
