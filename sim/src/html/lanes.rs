//! What a run looks like when each thing has a lane of its own: roles, addresses, real servers, clients.

use crate::runner::Run;
use crate::scenario::{Action, DirectorPlan, NodeId, NodeKind};
use crate::trace::{Entry, What};
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use vipward_core::config::{Config, RealServer};
use vipward_core::decision::Decision;
use vipward_core::interface::Family;
use vipward_core::ipvs::VirtualServerId;
use vipward_core::quantity::Role;
use vipward_core::time::{Duration, Instant};

/// Lanes of real servers, where each director has its own.
const MOST_SERVER_LANES: usize = 8;

/// A director with more addresses than this has one lane for all of them.
const MOST_ADDRESS_LANES: usize = 4;

/// One lane; times in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Lane {
    /// Whose: a node's name.
    pub node: String,
    pub label: String,
    /// The virtual router's name, with which its decisions begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    pub kind: Kind,
    pub spans: Vec<Span>,
    /// Adverts, gratuitous ARPs, failed requests: many and alike.
    pub ticks: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Role,
    Address,
    Server,
    Client,
}

/// From when to when it was what; `state` is a class of the style sheet.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    pub from: u64,
    pub to: u64,
    pub state: &'static str,
    pub text: String,
}

pub(super) fn lanes(run: &Run) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for id in run.scenario.ids() {
        match &run.scenario.node(id).kind {
            NodeKind::Director(director) => of_director(run, id, director, &mut lanes),
            NodeKind::RealServer(_) => lanes.push(of_server(run, id)),
            NodeKind::Client(_) => lanes.push(of_client(run, id)),
            NodeKind::Quorum(_) | NodeKind::Router => {}
        }
    }
    lanes
}

/// Writes spans down as a state changes.
struct Pen {
    spans: Vec<Span>,
    since: Instant,
    now: Option<(&'static str, String)>,
}

impl Pen {
    fn new(first: Option<(&'static str, String)>) -> Self {
        Self { spans: Vec::new(), since: Instant::ZERO, now: first }
    }

    fn turn(&mut self, at: Instant, next: Option<(&'static str, String)>) {
        if self.now == next {
            return;
        }
        if let Some((state, text)) = self.now.take()
            && at > self.since
        {
            self.spans.push(Span { from: millis(self.since), to: millis(at), state, text });
        }
        (self.now, self.since) = (next, at);
    }

    fn end(mut self, run: &Run) -> Vec<Span> {
        self.turn(Instant::ZERO + run.scenario.duration, None);
        self.spans
    }
}

fn own(run: &Run, id: NodeId) -> impl Iterator<Item = &Entry> {
    run.trace.iter().filter(move |entry| entry.node == Some(id))
}

fn of_director(run: &Run, id: NodeId, director: &DirectorPlan, lanes: &mut Vec<Lane>) {
    let node = run.scenario.node(id).name.to_string();
    let configs: Vec<&Config> = configs(run, id, director).collect();
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for router in configs.iter().flat_map(|config| &config.routers) {
        addresses.extend(router.addresses.iter().chain(&router.excluded).map(|held| held.address));
        if !names.insert(&router.name) {
            continue;
        }
        let ticks = own(run, id).filter(|entry| {
            matches!(entry.what, What::Advert { vrid, destination, .. }
                if (vrid, Family::of(destination)) == (router.vrid.get(), router.family))
        });
        let mut ticks: Vec<u64> = ticks.map(|entry| millis(entry.at)).collect();
        // To several peers at once: one tick.
        ticks.dedup();
        lanes.push(Lane {
            node: node.clone(),
            label: format!("{} · VRID {}", router.name, router.vrid),
            router: Some(router.name.to_string()),
            kind: Kind::Role,
            spans: roles(run, id, &router.name),
            ticks,
        });
    }
    let mut once = BTreeSet::new();
    addresses.retain(|address| once.insert(*address));
    if addresses.len() <= MOST_ADDRESS_LANES {
        for address in addresses {
            lanes.push(address_lane(run, id, node.clone(), &[address], address.to_string()));
        }
    } else {
        let label = format!("{} addresses", addresses.len());
        lanes.push(address_lane(run, id, node.clone(), &addresses, label));
    }
    // Where nobody knows how the real servers are, there is what this director thinks of them.
    if run.scenario.nodes.iter().any(|node| matches!(node.kind, NodeKind::RealServer(_) | NodeKind::Client(_))) {
        return;
    }
    let servers = configs.iter().flat_map(|config| &config.services);
    let servers: BTreeSet<(VirtualServerId, SocketAddr)> = servers
        .flat_map(|service| service.real_servers.iter().map(|server: &RealServer| (service.id(), server.address)))
        .collect();
    for (service, server) in servers.into_iter().take(MOST_SERVER_LANES) {
        let label = format!("{server} of {}", service.place());
        lanes.push(health_lane(run, id, (node.clone(), label), service, server));
    }
}

/// Its first configuration, and those of reloads.
fn configs<'a>(run: &'a Run, id: NodeId, director: &'a DirectorPlan) -> impl Iterator<Item = &'a Config> {
    let reloaded = run.scenario.steps.iter().filter_map(move |step| match &step.action {
        Action::Reload { node, file } if *node == id => file.config.as_deref(),
        _ => None,
    });
    director.config.config.as_deref().into_iter().chain(reloaded)
}

/// What a director thinks of a real server.
fn health_lane(
    run: &Run,
    id: NodeId,
    (node, label): (String, String),
    service: VirtualServerId,
    server: SocketAddr,
) -> Lane {
    let mut pen = Pen::new(None);
    for entry in own(run, id) {
        let next = match &entry.what {
            What::Started => Some(("up", format!("{server} is taken to be up"))),
            What::Ended { .. } | What::Stopped => None,
            What::Decided(Decision::ServerUp { service: of, server: who }) if (*of, *who) == (service, server) => {
                Some(("up", format!("{server} is up")))
            }
            What::Decided(
                Decision::ServerDown { service: of, server: who, .. }
                | Decision::ServerStartsDown { service: of, server: who },
            ) if (*of, *who) == (service, server) => Some(("down", format!("{server} is down"))),
            // Nothing else is about this server.
            _ => continue,
        };
        pen.turn(entry.at, next);
    }
    Lane { node, label, router: None, kind: Kind::Server, spans: pen.end(run), ticks: Vec::new() }
}

fn roles(run: &Run, id: NodeId, router: &str) -> Vec<Span> {
    let off = || Some(("off", "no daemon".to_owned()));
    let mut pen = Pen::new(off());
    let mut role = off();
    let mut frozen = false;
    for entry in own(run, id) {
        match &entry.what {
            What::Started => role = Some(("init", "INIT".to_owned())),
            What::Ended { .. } | What::Stopped => (role, frozen) = (off(), false),
            What::Step { word: "FROZEN" | "HUNG", .. } => frozen = true,
            What::Step { word: "AWAKE", .. } => frozen = false,
            What::Decided(
                Decision::RoleChanged { router: of, to, .. } | Decision::RoleInherited { router: of, role: to, .. },
            )
            | What::Found { router: of, role: to }
                if **of == *router =>
            {
                let state = match to {
                    Role::Init => "init",
                    Role::Backup => "backup",
                    Role::Master => "master",
                    Role::Fault => "fault",
                };
                role = Some((state, to.to_string()));
            }
            // Nothing else changes a role.
            _ => continue,
        }
        let shown = match &role {
            Some((_, text)) if frozen => Some(("frozen", format!("frozen as {text}"))),
            role => role.clone(),
        };
        pen.turn(entry.at, shown);
    }
    pen.end(run)
}

fn address_lane(run: &Run, id: NodeId, node: String, addresses: &[IpAddr], label: String) -> Lane {
    let mut pen = Pen::new(None);
    let mut held: BTreeSet<IpAddr> = BTreeSet::new();
    let mut ticks = Vec::new();
    for entry in own(run, id) {
        match &entry.what {
            What::AddressAdded(key) if addresses.contains(&key.address) => _ = held.insert(key.address),
            What::AddressRemoved(key) | What::AddressExpired(key) => _ = held.remove(&key.address),
            What::KernelForgot => held.clear(),
            What::Announced { address } if addresses.contains(address) => {
                ticks.push(millis(entry.at));
                continue;
            }
            // Nothing else moves an address.
            _ => continue,
        }
        let text = match (held.len(), addresses) {
            (0, _) => None,
            (_, [only]) => Some(("held", format!("holds {only}"))),
            (n, all) => Some(("held", format!("holds {n} of {}", all.len()))),
        };
        pen.turn(entry.at, text);
    }
    ticks.dedup();
    Lane { node, label, router: None, kind: Kind::Address, spans: pen.end(run), ticks }
}

fn of_server(run: &Run, id: NodeId) -> Lane {
    let up = || Some(("up", "up".to_owned()));
    let mut pen = Pen::new(up());
    for entry in own(run, id) {
        let next = match &entry.what {
            What::Step { word: "DOWN" | "OFF" | "UNPLUG", text } => Some(("down", text.clone())),
            What::Step { word: "SLOW" | "STATUS" | "HANGS", text } => Some(("sick", text.clone())),
            What::Step { word: "UP" | "PLUG", .. } | What::ServerUp { .. } => up(),
            What::ServerDown { .. } => Some(("down", "its ports are closed".to_owned())),
            // Nothing else is the server's own.
            _ => continue,
        };
        pen.turn(entry.at, next);
    }
    let node = run.scenario.node(id).name.to_string();
    Lane {
        node,
        label: "real server".to_owned(),
        router: None,
        kind: Kind::Server,
        spans: pen.end(run),
        ticks: Vec::new(),
    }
}

fn of_client(run: &Run, id: NodeId) -> Lane {
    let end = Instant::ZERO + run.scenario.duration;
    let asked: Vec<_> = run.requests.iter().filter(|request| request.client == id).collect();
    let mut pen = Pen::new(None);
    if let Some(first) = asked.iter().map(|request| request.started).min() {
        pen.turn(first, Some(("served", "served".to_owned())));
    }
    for outage in run.outages.iter().filter(|outage| outage.client == id) {
        let requests = if outage.failed == 1 { "1 request".to_owned() } else { format!("{} requests", outage.failed) };
        let lasted = outage.lasted(end).as_millis();
        pen.turn(outage.began, Some(("failing", format!("{requests} in {lasted} ms failed: {}", outage.cause))));
        if let Some(at) = outage.ended {
            pen.turn(at, Some(("served", "served".to_owned())));
        }
    }
    let mut ticks: Vec<u64> =
        asked.iter().filter(|request| !request.outcome.good()).map(|request| millis(request.started)).collect();
    ticks.sort_unstable();
    let failed = ticks.len();
    let broke: Vec<u64> = run.breaks.iter().filter(|it| it.client == id).map(|it| millis(it.at)).collect();
    let mut label = format!("{failed} of {} requests failed", asked.len());
    match broke.len() {
        0 => {}
        1 => label.push_str("; a kept connection broke"),
        times => label.push_str(&format!("; kept connections broke {times} times")),
    }
    ticks.extend(broke);
    Lane {
        node: run.scenario.node(id).name.to_string(),
        label,
        router: None,
        kind: Kind::Client,
        spans: pen.end(run),
        ticks,
    }
}

pub(super) fn millis(at: Instant) -> u64 {
    duration_millis(at.since_origin())
}

pub(super) fn duration_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
