//! A quorum service, as the directors that use it can see it: sessions counted by a clock of its own, owners, candidates
//! and members that go with their session, and every way in which an answer can fail to come.
//!
//! One node stands for the whole ensemble. What of its inside can be told from outside is modelled at its worst: a director
//! talks to a follower, which passes on twice a tick from whom it heard; what it has not passed on dies with it
//! (`server_dies`), and the session ends early. Without a leader nothing is answered (`leader_change`), and the next one counts every session anew. An
//! ensemble that was frozen first ends what is overdue and then looks into its mail.

mod client;
mod service;

use super::World;
use super::node::Process;
use crate::scenario::{NodeId, NodeKind};
use client::Client;
use service::EnsembleState;
use std::collections::BTreeMap;
use vipward_core::lease::{LeaseEvent, LeaseOp, Session};
use vipward_core::time::{Duration, Instant};

/// TCP sends again what was lost: first after this, then after twice as long, and so on.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// The quorum service and every director's connection to it.
#[derive(Debug)]
pub(super) struct Ensemble {
    node: NodeId,
    service: EnsembleState,
    clients: BTreeMap<NodeId, Client>,
    requests: Vec<InFlight<Ask>>,
    messages: Vec<InFlight<Said>>,
    sent: u64,
}

/// Something on its way between a director and the service.
#[derive(Debug)]
struct InFlight<T> {
    arrives: Instant,
    /// Of two that arrive at once the one that was sent first is first.
    order: u64,
    director: NodeId,
    link: LinkId,
    what: T,
}

/// One connection of one daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LinkId {
    incarnation: u64,
    number: u64,
}

/// To the service.
#[derive(Clone, Debug)]
enum Ask {
    Open { timeout: Duration },
    Resume { session: Session },
    Op { session: Session, op: LeaseOp },
}

/// From the service.
#[derive(Clone, Debug)]
enum Said {
    Opened { session: Session, timeout: Duration },
    Resumed,
    Answer { op: LeaseOp, event: Option<LeaseEvent> },
    Notice(LeaseEvent),
    Lost { session: Session },
}

impl Ensemble {
    pub fn new(node: NodeId, tick: Duration) -> Self {
        Self {
            node,
            service: EnsembleState::new(tick),
            clients: BTreeMap::new(),
            requests: Vec::new(),
            messages: Vec::new(),
            sent: 0,
        }
    }
}

/// Takes out what has arrived, in order.
fn arrived<T>(in_flight: &mut Vec<InFlight<T>>, now: Instant) -> Vec<InFlight<T>> {
    if in_flight.iter().all(|it| it.arrives > now) {
        return Vec::new();
    }
    let (mut arrived, later) = std::mem::take(in_flight).into_iter().partition(|it: &InFlight<T>| it.arrives <= now);
    *in_flight = later;
    arrived.sort_by_key(|it| (it.arrives, it.order));
    arrived
}

impl World {
    /// The node of the quorum service, if the scenario has one.
    pub fn quorum_node(&self) -> Option<NodeId> {
        self.quorum.as_ref().map(|quorum| quorum.node)
    }

    /// It answers nobody.
    pub fn quorum_away(&self) -> bool {
        self.quorum.as_ref().is_some_and(|quorum| quorum.service.away())
    }

    /// Nobody holds this lease, or may still do, and nobody has to wait for it.
    pub fn lease_is_free(&self, key: &str) -> bool {
        let local = self.quorum_node().map(|node| self.local_time(node)).unwrap_or_default();
        self.quorum.as_ref().is_some_and(|quorum| quorum.service.can_be_had(key, local))
    }

    /// A director asks; see [`vipward_core::seam::Lease`].
    pub fn ask_quorum(&mut self, id: NodeId, op: &LeaseOp) -> Result<(), String> {
        let Some(incarnation) = self.director(id).map(|director| director.incarnation) else {
            return Err("no such director".to_owned());
        };
        let now = self.now;
        let quorum = self.quorum.as_mut().ok_or("no quorum service was set up")?;
        if let LeaseOp::Open(service) = op {
            quorum.clients.insert(id, Client::new(incarnation, service.session_timeout, now));
            self.tend_client(id);
            return Ok(());
        }
        let client = quorum.clients.get_mut(&id).ok_or("no session was asked for")?;
        let Some(session) = client.session() else { return Ok(()) };
        let link = client.link();
        if *op == LeaseOp::Close {
            quorum.clients.remove(&id);
            self.passes_to_service(id, link, Ask::Op { session, op: op.clone() });
        } else {
            client.takes(op, now);
            self.tend_client(id);
        }
        Ok(())
    }

    /// What the service has said to this director.
    pub fn next_lease_event(&mut self, id: NodeId) -> Option<LeaseEvent> {
        self.director(id).filter(|director| director.running())?;
        self.quorum.as_mut()?.clients.get_mut(&id)?.ready.pop_front()
    }

    pub(super) fn has_lease_event(&self, id: NodeId) -> bool {
        self.quorum.as_ref().and_then(|quorum| quorum.clients.get(&id)).is_some_and(|client| !client.ready.is_empty())
    }

    /// The daemon ends, and its connection with it; the session stays.
    pub(super) fn forget_client(&mut self, id: NodeId) {
        if let Some(quorum) = &mut self.quorum {
            quorum.clients.remove(&id);
        }
    }

    /// Lets the service and the connections to it go on to the present.
    pub(super) fn advance_quorum(&mut self) {
        let Some(node) = self.quorum_node() else { return };
        let (now, local) = (self.now, self.local_time(node));
        let Some(quorum) = &mut self.quorum else { return };
        let ended = quorum.service.advance(now, local);
        self.said(ended);
        let Some(quorum) = &mut self.quorum else { return };
        if !quorum.service.away() {
            for request in arrived(&mut quorum.requests, now) {
                let Some(quorum) = &mut self.quorum else { return };
                let said = quorum.service.handle(request.director, request.link, request.what, local);
                self.said(said);
            }
        }
        let Some(quorum) = &mut self.quorum else { return };
        for message in arrived(&mut quorum.messages, now) {
            let client = quorum.clients.get_mut(&message.director);
            if let Some(client) = client.filter(|client| client.link() == message.link) {
                client.hear(message.what, now);
            }
        }
        let ids: Vec<NodeId> = quorum.clients.keys().copied().collect();
        for id in ids {
            self.tend_client(id);
        }
    }

    /// When [`Self::advance_quorum`] has something to do.
    pub(super) fn next_quorum(&self) -> Option<Instant> {
        let quorum = self.quorum.as_ref()?;
        let ends = quorum.service.next_expiry().map(|local| self.now + self.until(quorum.node, local));
        let requests = quorum.requests.iter().map(|it| it.arrives);
        let service = ends.into_iter().chain(requests).filter(|_| !quorum.service.away());
        let clients = quorum.clients.iter().filter(|(id, _)| self.runs(**id)).filter_map(|(_, client)| client.next());
        let messages = quorum.messages.iter().map(|it| it.arrives);
        service.chain(quorum.service.leader_at()).chain(clients).chain(messages).min()
    }

    fn runs(&self, id: NodeId) -> bool {
        self.director(id).is_some_and(|director| director.process == Process::Running)
    }

    /// What a client does by itself: it notices that nobody answers, and connects again. It is part of a daemon, which
    /// may be frozen.
    fn tend_client(&mut self, id: NodeId) {
        if !self.runs(id) {
            return;
        }
        let now = self.now;
        let Some(client) = self.quorum.as_mut().and_then(|quorum| quorum.clients.get_mut(&id)) else { return };
        let asks = client.tend(now);
        let link = client.link();
        for ask in asks {
            self.passes_to_service(id, link, ask);
        }
    }

    fn passes_to_service(&mut self, id: NodeId, link: LinkId, what: Ask) {
        let Some(node) = self.quorum_node() else { return };
        let arrives = self.by_tcp(id, node);
        let Some(quorum) = &mut self.quorum else { return };
        let client = quorum.clients.get_mut(&id).filter(|client| client.link() == link);
        // An orderly end has no client any more, and nobody who would send it again.
        let arrives = match client {
            Some(client) => client.sends(arrives),
            None => arrives,
        };
        if let Some(arrives) = arrives {
            quorum.sent += 1;
            quorum.requests.push(InFlight { arrives, order: quorum.sent, director: id, link, what });
        }
    }

    fn said(&mut self, said: Vec<(NodeId, LinkId, Said)>) {
        let Some(node) = self.quorum_node() else { return };
        for (id, link, what) in said {
            let arrives = self.by_tcp(node, id);
            let Some(quorum) = &mut self.quorum else { return };
            let Some(client) = quorum.clients.get_mut(&id).filter(|client| client.link() == link) else { continue };
            if let Some(arrives) = client.receives(arrives) {
                quorum.sent += 1;
                quorum.messages.push(InFlight { arrives, order: quorum.sent, director: id, link, what });
            }
        }
    }

    /// When what is sent now arrives; `None`: the way is cut.
    fn by_tcp(&mut self, from: NodeId, to: NodeId) -> Option<Instant> {
        let mut late = Duration::ZERO;
        let mut wait = RETRANSMIT;
        // Ten in a row are a dead connection.
        for _ in 0..10 {
            let quality = self.route(from, to)?;
            self.route(to, from)?;
            match self.send(from, to, quality) {
                Ok(arrives) => return Some(arrives + late),
                Err(_) => {
                    late += wait;
                    wait = wait.saturating_mul(2);
                }
            }
        }
        None
    }

    // Steps.

    pub(super) fn freeze_quorum(&mut self, frozen: bool) {
        if let Some(quorum) = &mut self.quorum {
            quorum.service.frozen = frozen;
        }
    }

    /// No leader for a while; every connection ends.
    pub(super) fn change_leader(&mut self, lasts: Duration) {
        let now = self.now;
        let Some(quorum) = &mut self.quorum else { return };
        quorum.service.lose_leader(now + lasts);
        quorum.requests.clear();
        quorum.clients.values_mut().for_each(|client| client.disconnect(now));
    }

    /// The server that the director talks to dies, and what it had not passed on.
    pub(super) fn server_dies(&mut self, id: NodeId) {
        let Some(node) = self.quorum_node() else { return };
        let (now, local) = (self.now, self.local_time(node));
        let Some(quorum) = &mut self.quorum else { return };
        quorum.service.forget_unheard(id, local);
        quorum.requests.retain(|it| it.director != id);
        if let Some(client) = quorum.clients.get_mut(&id) {
            client.disconnect(now);
        }
    }

    /// It forgets everything; every connection ends.
    pub(super) fn wipe_quorum(&mut self) {
        let Some(node) = self.quorum_node() else { return };
        let (now, local) = (self.now, self.local_time(node));
        let Some(quorum) = &mut self.quorum else { return };
        quorum.service.wipe(local);
        quorum.requests.clear();
        quorum.clients.values_mut().for_each(|client| client.disconnect(now));
    }

    /// Somebody ends the director's session at the service.
    pub(super) fn end_session(&mut self, id: NodeId) {
        let Some(node) = self.quorum_node() else { return };
        let local = self.local_time(node);
        let Some(quorum) = &mut self.quorum else { return };
        let said = quorum.service.end_sessions_of(id, local);
        self.said(said);
    }
}

/// The quorum service of a scenario.
pub(super) fn of(plan: &crate::scenario::Scenario) -> Option<Ensemble> {
    plan.ids().find_map(|id| match &plan.node(id).kind {
        NodeKind::Quorum(quorum) => Some(Ensemble::new(id, quorum.tick)),
        NodeKind::Director(_) | NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Router => None,
    })
}
