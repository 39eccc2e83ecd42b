//! The machines of a scenario, as namespaces with cables between them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use vipward_core::ipvs::Forwarding;
use vipward_lab::{Network, Node, Segment};
use vipward_sim::scenario::{Dataplane, NodeId, NodeKind, NodePlan, Scenario};

/// All machines of a scenario; nothing runs on them yet.
pub(super) struct Machines {
    pub nodes: Vec<Node>,
    segments: Vec<Segment>,
    /// Of each node: its interfaces with the segment of each, once.
    pub ports: Vec<BTreeMap<String, usize>>,
}

/// The Ethernet address of a port, by which packets are told apart.
pub(super) fn mac(node: usize, port: usize) -> String {
    format!("02:00:00:00:{node:02x}:{port:02x}")
}

impl Machines {
    pub fn build(scenario: &Scenario) -> io::Result<Self> {
        let network = Network::new();
        let segments = (0..scenario.segments.len()).map(|at| network.segment(&format!("seg{at}")));
        let segments = segments.collect::<io::Result<Vec<_>>>()?;
        let mut machines = Self { nodes: Vec::new(), segments, ports: Vec::new() };
        for (at, plan) in scenario.nodes.iter().enumerate() {
            let node = network.node(&format!("n{at}"))?;
            machines.ports.push(machines.cables(at, &node, plan)?);
            machines.nodes.push(node);
        }
        for (at, plan) in scenario.nodes.iter().enumerate() {
            machines.settings(at, plan, scenario)?;
        }
        Ok(machines)
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    fn cables(&self, at: usize, node: &Node, plan: &NodePlan) -> io::Result<BTreeMap<String, usize>> {
        let mut ports = BTreeMap::new();
        for port in &plan.ports {
            let interface = port.interface.to_string();
            let Some((address, len)) = port.address else { continue };
            if ports.contains_key(&interface) {
                node.add_address(&interface, address, len)?;
                continue;
            }
            self.segments[port.segment.0].attach(node, &interface, address, len)?;
            let number = ports.len();
            ports.insert(interface.clone(), port.segment.0);
            run(node, &["ip", "link", "set", &interface, "address", &mac(at, number)])?;
        }
        Ok(ports)
    }

    fn settings(&self, at: usize, plan: &NodePlan, scenario: &Scenario) -> io::Result<()> {
        let node = &self.nodes[at];
        match &plan.kind {
            NodeKind::Router => return node.sysctl("net/ipv4/ip_forward", "1"),
            NodeKind::Director(director) => {
                // NAT needs it. Elsewhere an old MASTER would pass requests on that come to it after its end.
                let services = director.config.config.iter().flat_map(|config| &config.services);
                let mut servers = services.flat_map(|service| &service.real_servers);
                if director.dataplane == Dataplane::Ipvs && servers.any(|server| server.forwarding == Forwarding::Nat) {
                    node.sysctl("net/ipv4/ip_forward", "1")?;
                }
                loopback(node, &director.loopback)?;
            }
            NodeKind::RealServer(server) => {
                loopback(node, &server.loopback)?;
                if let Some(IpAddr::V4(gateway)) = server.gateway {
                    return node.default_route(gateway);
                }
            }
            NodeKind::Client(_) | NodeKind::Quorum(_) => {}
        }
        match self.router(plan, scenario) {
            Some(router) => node.default_route(router),
            None => Ok(()),
        }
    }

    /// The router's address on a segment of this node.
    fn router(&self, plan: &NodePlan, scenario: &Scenario) -> Option<Ipv4Addr> {
        let router = scenario.nodes.iter().find(|node| matches!(node.kind, NodeKind::Router))?;
        let shared = router.ports.iter().find(|port| plan.ports.iter().any(|own| own.segment == port.segment))?;
        match shared.address?.0 {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    /// Pulls the cable of one interface, or of all, or plugs it in again: the node sees its carrier go.
    pub fn plug(&self, id: NodeId, interface: Option<&str>, plugged: bool) -> io::Result<()> {
        let chosen = self.ports[id.0].iter().filter(|(name, _)| interface.is_none_or(|only| only == name.as_str()));
        chosen.into_iter().try_for_each(|(name, segment)| self.segments[*segment].plug(self.node(id), name, plugged))
    }

    /// The switch drops everything to and from this node: a machine without power.
    pub fn mute(&self, id: NodeId, muted: bool) -> io::Result<()> {
        self.ports[id.0].iter().try_for_each(|(name, segment)| self.segments[*segment].mute(self.node(id), name, muted))
    }

    /// What the switch calls the port of this interface.
    pub fn port(&self, node: usize, interface: &str) -> String {
        format!("{}.{interface}", self.nodes[node].name())
    }

    /// Which node has this Ethernet address.
    pub fn owner(&self, address: &str) -> Option<NodeId> {
        let (node, _) = address.strip_prefix("02:00:00:00:")?.split_once(':')?;
        usize::from_str_radix(node, 16).ok().filter(|node| *node < self.nodes.len()).map(NodeId)
    }

    /// Whom a node takes for the holder of an address (`/proc/net/arp`).
    pub fn neighbour(&self, id: NodeId, address: IpAddr) -> io::Result<Option<NodeId>> {
        let text = self.node(id).run(|| std::fs::read_to_string("/proc/thread-self/net/arp"))?;
        let line = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut found = line.filter(|words| words.first().is_some_and(|first| *first == address.to_string()));
        Ok(found.find_map(|words| self.owner(words.get(3)?)))
    }
}

/// Runs a command on a node; one that fails is an error with what it said.
fn run(node: &Node, command: &[&str]) -> io::Result<()> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut said = Command::new(program);
    said.args(arguments);
    let output = node.output(said)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{} on {}: {}",
            command.join(" "),
            node.name(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

/// Addresses that a node takes and does not answer ARP for.
fn loopback(node: &Node, addresses: &[IpAddr]) -> io::Result<()> {
    if !addresses.is_empty() {
        node.sysctl("net/ipv4/conf/all/arp_ignore", "1")?;
        node.sysctl("net/ipv4/conf/all/arp_announce", "2")?;
    }
    addresses.iter().try_for_each(|address| node.add_address("lo", *address, 32))
}
