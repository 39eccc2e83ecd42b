//! Clients: each request follows VIP -> director -> destination -> answer, through neighbour caches and IPVS tables.
//!
//! Rules: one round trip decides a request. A packet that gets lost is sent again after 1, 3, 7 s (Linux's first
//! retransmissions of a SYN), until the client's timeout; one that waits for an address to be resolved, as soon as it is. What
//! a hop refuses is refused at once. Answers that go back:
//! NAT through the real server's gateway, which must be the director that forwarded; DR and TUN straight to the client.

use super::connections::{Carrier, End};
use super::node::Director;
use super::{Lost, Quality, World};
use crate::scenario::{ClientPlan, NodeId, NodeKind, Scenario};
use crate::trace::{Dispatch, Outcome, Request};
use std::net::{IpAddr, SocketAddr};
use vipward_core::ipvs::{Forwarding, Protocol, ServiceKey};
use vipward_core::time::{Duration, Instant};

/// A request that has no outcome yet.
#[derive(Debug)]
pub(super) struct Pending {
    client: NodeId,
    pub(super) target: SocketAddr,
    pub(super) started: Instant,
    deadline: Instant,
    tries: u32,
    next_try: Instant,
    /// An answer on its way.
    answer: Option<(Instant, Outcome)>,
    /// The connection in a director's table.
    pub(super) connection: Option<Connection>,
    /// It was established, and counts as active.
    open: bool,
    /// Why the last try came to nothing.
    cause: String,
    /// Where a director that is a real server of another one has sent it on.
    sent_on: Option<(SocketAddr, Forwarding)>,
    /// Since when the last packet waits in a host for the address to be resolved.
    waits: Option<Instant>,
}

/// What a director knows of a request: further packets of it go the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) director: NodeId,
    pub(super) key: ServiceKey,
    pub(super) destination: SocketAddr,
    pub(super) carrier: Carrier,
}

/// How long the relay tries to connect to a real server.
const RELAY_CONNECTS: Duration = Duration::from_secs(3);

/// What one try came to.
enum Tried {
    Outcome { after: Duration, outcome: Outcome },
    Nothing { cause: String },
}

/// When each client begins. Time zero itself is over before anything runs.
pub(super) fn first_requests(plan: &Scenario) -> Vec<(NodeId, Instant)> {
    let clients = plan.nodes.iter().enumerate().filter_map(|(at, node)| match &node.kind {
        NodeKind::Client(client) => Some((NodeId(at), client)),
        NodeKind::Director(_) | NodeKind::RealServer(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
    });
    clients
        .map(|(id, client)| (id, Instant::ZERO + if client.from.is_zero() { client.every } else { client.from }))
        .collect()
}

impl Pending {
    pub(super) fn new(client: NodeId, plan: &ClientPlan, now: Instant) -> Self {
        Self {
            client,
            target: plan.target,
            started: now,
            deadline: now + plan.timeout,
            tries: 0,
            next_try: now,
            answer: None,
            connection: None,
            open: false,
            sent_on: None,
            cause: String::new(),
            waits: None,
        }
    }

    /// When it is tried again, or ends.
    pub(super) fn due(&self) -> Instant {
        self.deadline.min(self.answer.as_ref().map_or(self.next_try, |(at, _)| *at))
    }
}

impl World {
    pub(super) fn advance_requests(&mut self) {
        self.start_requests();
        if self.pending.is_empty() {
            return;
        }
        for mut request in std::mem::take(&mut self.pending) {
            match self.advance_request(&mut request) {
                Some(outcome) => self.finish(&request, outcome),
                None => self.pending.push(request),
            }
        }
    }

    /// Tries it if it is time; how it ended, if it has.
    pub(super) fn advance_request(&mut self, request: &mut Pending) -> Option<Outcome> {
        let now = self.now;
        if request.answer.is_none() && request.next_try <= now && request.next_try < request.deadline {
            self.try_once(request);
        }
        match &request.answer {
            Some((at, outcome)) if *at <= now && *at <= request.deadline => Some(outcome.clone()),
            Some((_, outcome)) if request.deadline <= now => {
                let cause = match outcome {
                    Outcome::Answered { by, .. } => format!("{} answers too late", self.name(*by)),
                    Outcome::Refused { cause } | Outcome::TimedOut { cause } => cause.clone(),
                };
                Some(Outcome::TimedOut { cause })
            }
            None if request.deadline <= now => Some(Outcome::TimedOut { cause: request.cause.clone() }),
            Some(_) | None => None,
        }
    }

    fn start_requests(&mut self) {
        let plan = self.plan.clone();
        for place in 0..self.asking.len() {
            let Some((id, next)) = self.asking.get(place).copied() else { continue };
            if next <= self.now
                && let NodeKind::Client(client) = &plan.node(id).kind
            {
                self.start_request(id, client);
                if let Some((_, next)) = self.asking.get_mut(place) {
                    *next = *next + client.every;
                }
            }
        }
    }

    /// When the next request starts, is tried again, or ends.
    pub(super) fn next_request(&self) -> Option<Instant> {
        let pending = self.pending.iter().map(Pending::due);
        self.asking.iter().map(|(_, at)| *at).chain(pending).min()
    }

    fn start_request(&mut self, id: NodeId, client: &ClientPlan) {
        self.pending.push(Pending::new(id, client, self.now));
    }

    fn try_once(&mut self, request: &mut Pending) {
        let tried = self.attempt(request).unwrap_or_else(|cause| Tried::Nothing { cause });
        match tried {
            Tried::Outcome { after, outcome } => {
                if let Some(it) = request.connection
                    && !matches!(outcome, Outcome::Refused { .. })
                    && let Some(director) = self.director_mut(it.director)
                {
                    director.kernel.connections.opened(it.key, it.destination);
                    request.open = true;
                }
                request.answer = Some((self.now + after, outcome));
            }
            Tried::Nothing { cause } => {
                let asker = self.asker(request.client, request.target.ip());
                request.waits = asker.filter(|id| self.asks_for(*id, request.target.ip())).map(|_| self.now);
                request.cause = cause;
                request.next_try = request.next_try + Duration::from_secs(1 << request.tries.min(6));
                request.tries += 1;
            }
        }
    }

    /// A host that has asked for the address since then has learned where it is: what it kept for it leaves. What it kept
    /// before it gave up asking, and began anew, is lost.
    pub(super) fn send_what_waits(&mut self, address: IpAddr, since: Instant) {
        let now = self.now;
        let kept = |it: &&mut Pending| it.waits.is_some_and(|from| from >= since) && it.target.ip() == address;
        let opening = self.kept.iter_mut().filter_map(super::kept::Kept::opening);
        for request in self.pending.iter_mut().chain(opening).filter(kept) {
            request.waits = None;
            request.next_try = now;
        }
    }

    fn finish(&mut self, request: &Pending, outcome: Outcome) {
        self.close(request, &outcome);
        self.requests.push(Request { client: request.client, started: request.started, ended: self.now, outcome });
    }

    /// Its connection ends so, for the director that counts it.
    pub(super) fn close(&mut self, request: &Pending, outcome: &Outcome) {
        if let Some(it) = request.connection {
            let end = match outcome {
                Outcome::Refused { .. } => End::Refused,
                Outcome::Answered { .. } | Outcome::TimedOut { .. } if request.open => End::Closed,
                Outcome::Answered { .. } | Outcome::TimedOut { .. } => End::Unanswered,
            };
            self.ended(it, end, request.open);
        }
    }

    /// One that was kept open is closed.
    pub(super) fn close_established(&mut self, connection: Option<Connection>) {
        if let Some(it) = connection {
            self.ended(it, End::Closed, true);
        }
    }

    fn ended(&mut self, it: Connection, end: End, was_open: bool) {
        let now = self.now;
        if let Some(director) = self.director_mut(it.director) {
            director.kernel.connections.ended((it.key, it.destination), it.carrier, end, was_open, now);
        }
    }

    /// One try: how it ends, or why nothing comes back.
    fn attempt(&mut self, request: &mut Pending) -> Result<Tried, String> {
        let (client, target) = (request.client, request.target);
        let (director, there) = self.deliver(client, target.ip())?;
        let name = self.name(director).to_owned();
        if !self.takes(director, target.ip()) {
            return Err(format!("{name} gets the packet and holds {} no more", target.ip()));
        }
        if self.director(director).is_some_and(|it| it.kernel.ipvs.services.contains_key(&tcp(target))) {
            return self.forward(request, director, target, there);
        }
        let back = self.back(director, client)?;
        let (outcome, slow) = self.answer(director, target);
        if outcome.good() {
            self.confirm_way(client, target.ip());
        }
        Ok(Tried::Outcome { after: there + back + slow, outcome })
    }

    /// Whether a packet for this address ends in this machine.
    pub(super) fn takes(&self, id: NodeId, address: IpAddr) -> bool {
        let holds = self.director(id).is_some_and(|director| director.kernel.addresses.holds(address));
        let loopback = match &self.plan.node(id).kind {
            NodeKind::Director(plan) => plan.loopback.contains(&address),
            NodeKind::RealServer(plan) => plan.loopback.contains(&address),
            NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => false,
        };
        holds || loopback || self.node(id).own(address)
    }

    /// IPVS at work.
    fn forward(
        &mut self,
        request: &mut Pending,
        director: NodeId,
        vip: SocketAddr,
        there: Duration,
    ) -> Result<Tried, String> {
        let (client, key) = (request.client, tcp(vip));
        let name = self.name(director).to_owned();
        let source = self.own_address(client).ok_or("the client has no address")?;
        if self.relays(director) {
            return self.relay(request, director, vip, there, source);
        }
        let known = request.connection.filter(|it| it.director == director && it.key == key).map(|it| it.destination);
        let (destination, forwarding) = match known {
            Some(destination) => {
                let entry = self.director(director).and_then(|it| it.kernel.ipvs.services.get(&key));
                let there = entry.and_then(|entry| entry.destinations.get(&destination));
                let there =
                    there.ok_or_else(|| format!("{name} has {destination} no more, where the connection went"))?;
                (destination, there.forwarding)
            }
            None => {
                let Some((destination, forwarding)) = self.schedule(director, key, source, None) else {
                    let back = self.back(director, client)?;
                    let outcome = Outcome::Refused { cause: format!("{name} has no destination for {key}") };
                    return Ok(Tried::Outcome { after: there + back, outcome });
                };
                let at = self.now;
                self.dispatches.push(Dispatch { at, client, director, service: vip, destination });
                let carrier = Carrier::Ipvs(forwarding);
                request.connection = Some(Connection { director, key, destination, carrier });
                (destination, forwarding)
            }
        };
        let server = self
            .holder_of_own(destination.ip())
            .ok_or_else(|| format!("{name} sends it to {destination}, which nobody has"))?;
        let onward = self.onward(director, server, vip, destination, forwarding)?;
        let balances = |it: &Director| it.kernel.ipvs.services.contains_key(&tcp(vip));
        if server != director && forwarding != Forwarding::Nat && self.director(server).is_some_and(balances) {
            return self.balanced_again(request, (director, server), vip, there + onward, source);
        }
        let back = self.way_back(client, director, server, forwarding)?;
        self.confirm_way(client, vip.ip());
        let port = Carrier::Ipvs(forwarding).port(vip, destination);
        let (outcome, slow) = self.answer(server, SocketAddr::new(destination.ip(), port));
        let after = there + onward + back + slow;
        Ok(Tried::Outcome { after, outcome })
    }

    /// A packet that keeps the virtual address comes to a director, whose kernel looks into its own table too: it is served
    /// there, sent on, or sent back to where it came from, and so on until its TTL is over.
    fn balanced_again(
        &mut self,
        request: &mut Pending,
        (first, second): (NodeId, NodeId),
        vip: SocketAddr,
        there: Duration,
        source: IpAddr,
    ) -> Result<Tried, String> {
        let client = request.client;
        let chosen = request.sent_on.or_else(|| self.schedule(second, tcp(vip), source, None));
        request.sent_on = chosen;
        let Some((destination, forwarding)) = chosen else {
            let cause = format!("{} has no destination for {}", self.name(second), tcp(vip));
            let back = self.back(second, client)?;
            return Ok(Tried::Outcome { after: there + back, outcome: Outcome::Refused { cause } });
        };
        let server = self
            .holder_of_own(destination.ip())
            .ok_or_else(|| format!("{} sends it to {destination}, which nobody has", self.name(second)))?;
        if server == first {
            return Err(format!("it goes round between {} and {}", self.name(first), self.name(second)));
        }
        let onward = match server == second {
            true => Duration::ZERO,
            false => self.onward(second, server, vip, destination, forwarding)?,
        };
        let back = self.way_back(client, second, server, forwarding)?;
        self.confirm_way(client, vip.ip());
        let port = Carrier::Ipvs(forwarding).port(vip, destination);
        let (outcome, slow) = self.answer(server, SocketAddr::new(destination.ip(), port));
        Ok(Tried::Outcome { after: there + onward + back + slow, outcome })
    }

    /// The relay at work: two connections of its own, from the client and to a real server. One that can't be connected to
    /// costs the client nothing but time: the next one is tried, once.
    fn relay(
        &mut self,
        request: &mut Pending,
        director: NodeId,
        vip: SocketAddr,
        there: Duration,
        source: IpAddr,
    ) -> Result<Tried, String> {
        let (client, key) = (request.client, tcp(vip));
        let name = self.name(director).to_owned();
        if self.director(director).is_some_and(|director| !director.running()) {
            return Err(format!("{name}'s relay does not run"));
        }
        let back = self.back(director, client)?;
        self.confirm_way(client, vip.ip());
        let (mut failed, mut waited) = (None, Duration::ZERO);
        let mut cause = format!("{name} has no destination for {key}");
        for _ in 0..2 {
            let Some((destination, _)) = self.schedule(director, key, source, failed) else { break };
            let at = self.now;
            self.dispatches.push(Dispatch { at, client, director, service: vip, destination });
            failed = Some(destination);
            let way = match self.holder_of_own(destination.ip()) {
                Some(server) => {
                    let onward = self.back(director, server);
                    onward.and_then(|onward| Ok((server, onward + self.back(server, director)?)))
                }
                None => Err(format!("{name} connects to {destination}, which nobody has")),
            };
            match way {
                Ok((server, way)) => match self.answer(server, destination) {
                    (Outcome::Refused { cause: why }, _) => {
                        waited += way;
                        cause = why;
                    }
                    (outcome, slow) => {
                        let after = there + waited + way + back + slow;
                        let carrier = Carrier::Relay;
                        request.connection = Some(Connection { director, key, destination, carrier });
                        return Ok(Tried::Outcome { after, outcome });
                    }
                },
                Err(why) => {
                    waited += RELAY_CONNECTS;
                    cause = why;
                }
            }
        }
        Ok(Tried::Outcome { after: there + waited + back, outcome: Outcome::Refused { cause } })
    }

    /// `without`: one that was tried already.
    fn schedule(
        &mut self,
        director: NodeId,
        key: ServiceKey,
        client: IpAddr,
        without: Option<SocketAddr>,
    ) -> Option<(SocketAddr, Forwarding)> {
        let now = self.now;
        let kernel = &mut self.director_mut(director)?.kernel;
        let mut entry = std::borrow::Cow::Borrowed(kernel.ipvs.services.get(&key)?);
        if let Some(without) = without {
            entry.to_mut().destinations.remove(&without);
        }
        kernel.connections.forget(key, now);
        let connections = &kernel.connections;
        let active = |destination| connections.of(key, destination);
        let destination = kernel.pickers.entry(key).or_default().pick(&entry, client, active, now)?;
        Some((destination, entry.destinations.get(&destination)?.forwarding))
    }

    /// From the director to the real server, by the rules of the forwarding method.
    pub(super) fn onward(
        &mut self,
        director: NodeId,
        server: NodeId,
        vip: SocketAddr,
        destination: SocketAddr,
        forwarding: Forwarding,
    ) -> Result<Duration, String> {
        let (from, to) = (self.name(director).to_owned(), self.name(server).to_owned());
        let (on_loopback, unpacks) = match &self.plan.node(server).kind {
            NodeKind::RealServer(plan) => (plan.loopback.contains(&vip.ip()), plan.tunnel),
            // One that is a real server of another director is set up as one.
            NodeKind::Director(plan) => (plan.loopback.contains(&vip.ip()), plan.loopback.contains(&vip.ip())),
            NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => (false, false),
        };
        let takes_vip = server == director || on_loopback;
        let way = match forwarding {
            Forwarding::Dr => {
                let segments = self.shared_segments(director, server);
                if segments.is_empty() {
                    return Err(format!("DR can't reach {to}: it is not on a segment of {from}"));
                }
                if vip.port() != destination.port() {
                    return Err(format!("DR does not change ports, and {destination} has another"));
                }
                if !takes_vip {
                    return Err(format!("{to} drops it: {} is not on its loopback, and DR needs it there", vip.ip()));
                }
                segments.into_iter().find_map(|segment| self.link(director, server, segment))
            }
            Forwarding::Tun | Forwarding::Gue { .. } | Forwarding::Gre { .. } => {
                if server != director && !unpacks {
                    let kind = forwarding.tunnel().unwrap_or_default();
                    return Err(format!("{to} does not unpack {kind}, and TUN needs it"));
                }
                if !takes_vip {
                    return Err(format!("{to} drops it: {} is not on its loopback, and TUN needs it there", vip.ip()));
                }
                self.route(director, server)
            }
            Forwarding::Nat => self.route(director, server),
        };
        self.travel(director, server, way)
    }

    pub(super) fn way_back(
        &mut self,
        client: NodeId,
        director: NodeId,
        server: NodeId,
        forwarding: Forwarding,
    ) -> Result<Duration, String> {
        match forwarding {
            Forwarding::Dr | Forwarding::Tun | Forwarding::Gue { .. } | Forwarding::Gre { .. } => {
                self.back(server, client)
            }
            Forwarding::Nat => {
                let name = self.name(server).to_owned();
                if !self.shared_segments(server, client).is_empty() {
                    return Err(format!("{name} answers the client directly, past the NAT: they share a segment"));
                }
                let gateway = match &self.plan.node(server).kind {
                    NodeKind::RealServer(plan) => plan.gateway,
                    NodeKind::Director(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
                };
                let gateway = gateway.ok_or_else(|| format!("{name} has no gateway, and NAT answers go through it"))?;
                let segment = self.on_link(server, gateway).ok_or_else(|| format!("{name} can't reach its gateway"))?;
                let holder = self.resolve(server, gateway, segment);
                if holder != Some(director) {
                    let holder = holder.map_or("nobody", |holder| self.name(holder));
                    return Err(format!("{name} answers through {gateway}, which is {holder}, past the NAT"));
                }
                let first = self.back(server, director)?;
                self.confirm(server, gateway, director);
                Ok(first + self.back(director, client)?)
            }
        }
    }

    /// What a real server, or a service of a director, makes of it, and how much later.
    pub(super) fn answer(&self, id: NodeId, target: SocketAddr) -> (Outcome, Duration) {
        let (name, port) = (self.name(id), target.port());
        match self.listening(id, port) {
            Some(_) if self.stands_still(id) => {
                // Its kernel accepts the connection, and nobody answers.
                (
                    Outcome::TimedOut { cause: format!("{name} stands still, its service on port {port} too") },
                    Duration::ZERO,
                )
            }
            Some(server) if server.hangs() => {
                (Outcome::TimedOut { cause: format!("{name} accepts connections and never answers") }, server.slow)
            }
            Some(server) => (Outcome::Answered { by: id, status: server.status }, server.slow),
            None => {
                let cause = match &self.plan.node(id).kind {
                    NodeKind::Director(plan) if !plan.listens.contains(&port) => {
                        format!("{name} has no service {target}")
                    }
                    NodeKind::Director(_) => format!("{name}'s service on port {port} is down"),
                    NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => {
                        format!("{name} is down")
                    }
                };
                (Outcome::Refused { cause }, Duration::ZERO)
            }
        }
    }

    /// From a host to whoever it believes to hold `address`: who gets the packet, and how late.
    pub(super) fn deliver(&mut self, from: NodeId, address: IpAddr) -> Result<(NodeId, Duration), String> {
        let (asker, segment, first) = match self.on_link(from, address) {
            Some(segment) => (from, segment, Duration::ZERO),
            None => {
                let router = self.router().ok_or_else(|| format!("no route to {address}"))?;
                let segment = self.on_link(router, address).ok_or_else(|| format!("no route to {address}"))?;
                let way = self.route(from, router);
                (router, segment, self.travel(from, router, way)?)
            }
        };
        let holder =
            self.resolve(asker, address, segment).ok_or_else(|| format!("nobody answers ARP for {address}"))?;
        let way = self.link(asker, holder, segment);
        let second = self.travel(asker, holder, way)?;
        Ok((holder, first + second))
    }

    pub(super) fn confirm_way(&mut self, client: NodeId, address: IpAddr) {
        if let Some(asker) = self.asker(client, address)
            && let Some(holder) = self.neighbour(asker, address).map(|entry| entry.holder)
        {
            self.confirm(asker, address, holder);
        }
    }

    /// Who resolves an address that a client asks: the client, or the router before it.
    fn asker(&self, client: NodeId, address: IpAddr) -> Option<NodeId> {
        if self.on_link(client, address).is_some() { Some(client) } else { self.router() }
    }

    pub(super) fn back(&mut self, from: NodeId, to: NodeId) -> Result<Duration, String> {
        let way = self.route(from, to);
        self.travel(from, to, way)
    }

    fn travel(&mut self, from: NodeId, to: NodeId, way: Option<Quality>) -> Result<Duration, String> {
        let lost = match way {
            Some(quality) => self.send(from, to, quality).map(|at| at.since(self.now)),
            None => Err(Lost::NoWay(self.why_closed(from, to))),
        };
        lost.map_err(|lost| match lost {
            Lost::NoWay(why) => why,
            Lost::Chance => format!("a packet from {} to {} was lost", self.name(from), self.name(to)),
        })
    }

    fn why_closed(&self, from: NodeId, to: NodeId) -> String {
        let dark = [from, to].into_iter().find(|id| !self.node(*id).power);
        let unplugged = [from, to].into_iter().find(|id| !self.node(*id).on_network());
        match (dark, unplugged) {
            (Some(id), _) => format!("{} has no power", self.name(id)),
            (None, Some(id)) => format!("{} is unplugged", self.name(id)),
            (None, None) => format!("no way from {} to {}", self.name(from), self.name(to)),
        }
    }

    pub(super) fn own_address(&self, id: NodeId) -> Option<IpAddr> {
        self.node(id).ports.iter().find_map(|port| port.address.map(|(own, _)| own))
    }

    /// Whether a check of `server` by `director` would find it alive by now: what invariants measure checkers against.
    pub fn answers_probes(&self, director: NodeId, server: NodeId, port: u16, accepts: impl Fn(u16) -> bool) -> bool {
        let alive = self.listening(server, port).is_some_and(|state| accepts(state.status));
        alive && self.reachable(director, server)
    }
}

/// Clients speak TCP.
fn tcp(address: SocketAddr) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address }
}
