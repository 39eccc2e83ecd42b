//! Real servers and the services of directors: what they do when nobody asks, and which tracked scripts see it.

use super::node::{Server, State};
use super::{Node, World};
use crate::scenario::{Listener, NodeId, NodeKind};
use crate::trace::What;
use vipward_core::time::Instant;

impl World {
    /// Whoever accepts connections to this port of that node now.
    pub fn listening(&self, id: NodeId, port: u16) -> Option<&Server> {
        let server = match (&self.plan.node(id).kind, &self.node(id).state) {
            (NodeKind::RealServer(plan), State::Server(server)) if plan.listens.contains(&port) => server,
            (NodeKind::Director(_), State::Director(director)) => director.services.get(&port)?,
            _ => return None,
        };
        server.listening.then_some(server)
    }

    /// Whether a connection to this port, made when it had been closed so often, is gone.
    pub fn closed_since(&self, id: NodeId, port: u16, closings: u64) -> bool {
        self.listening(id, port).is_none_or(|state| state.closings != closings)
    }

    pub(super) fn listener_mut(&mut self, who: Listener) -> Option<&mut Server> {
        match who.port {
            None => self.server_mut(who.node),
            Some(port) => self.director_mut(who.node)?.services.get_mut(&port),
        }
    }

    pub(super) fn set_listening(&mut self, who: Listener, listening: bool) {
        if let Some(server) = self.listener_mut(who) {
            server.closings += u64::from(server.listening && !listening);
            server.listening = listening;
            self.shake();
            if let Some(port) = who.port {
                self.count_processes_of(who.node, port);
            }
        }
    }

    /// A step about a service: its processes are as it is, and scripts that check it see to it again, whatever an earlier step said about them.
    pub(super) fn see_again(&mut self, who: Listener) {
        if let Some(port) = who.port {
            self.forget_processes_of(who.node, port);
        }
        let plan = self.plan.clone();
        let (NodeKind::Director(plan), Some(director)) = (&plan.node(who.node).kind, self.director_mut(who.node))
        else {
            return;
        };
        director.scripts.retain(|script, _| plan.tracks.get(script).map(|checks| checks.port) != who.port);
    }

    pub(super) fn flap_servers(&mut self) {
        let now = self.now;
        while let Some((who, at)) = self.due_to_flap() {
            let Some(server) = self.listener_mut(who) else { return };
            let listening = !server.listening;
            let Some(flap) = &mut server.flap else { return };
            if flap.left == 0 {
                server.flap = None;
                continue;
            }
            flap.left -= 1;
            flap.next = at + flap.every;
            self.set_listening(who, listening);
            if who.port.is_some() {
                // A director has to react to it.
                self.last_step = now;
                self.node_mut(who.node).disturbed = now;
            }
            let port = who.port;
            self.note(Some(who.node), if listening { What::ServerUp { port } } else { What::ServerDown { port } });
        }
    }

    fn due_to_flap(&self) -> Option<(Listener, Instant)> {
        // Asked at every step, and hardly ever true.
        self.next_flap().filter(|at| *at <= self.now)?;
        self.flapping().find(|(_, at)| *at <= self.now)
    }

    /// When the next of them changes.
    pub(super) fn next_flap(&self) -> Option<Instant> {
        let of = |server: &Server| Some(server.flap.as_ref()?.next);
        let first = |node: &Node| match &node.state {
            State::Server(server) => of(server),
            State::Director(director) => director.services.values().filter_map(of).min(),
            State::Other => None,
        };
        self.nodes.iter().filter_map(first).min()
    }

    fn flapping(&self) -> impl Iterator<Item = (Listener, Instant)> {
        let of = |(at, node): (usize, &Node)| {
            let node_id = NodeId(at);
            let (server, director) = match &node.state {
                State::Server(server) => (Some(server), None),
                State::Director(director) => (None, Some(&director.services)),
                State::Other => (None, None),
            };
            let own = server.into_iter().map(|server| (None, server));
            let services = director.into_iter().flatten().map(|(port, server)| (Some(*port), server));
            let all = own.chain(services);
            let next = all.filter_map(|(port, server)| Some((port, server.flap.as_ref()?.next)));
            next.map(move |(port, next)| (Listener { node: node_id, port }, next)).collect::<Vec<_>>()
        };
        self.nodes.iter().enumerate().flat_map(of)
    }
}
