//! The simulated world, as a pure model: no task, no socket, no clock of its own. It holds what no simulator of ours
//! has otherwise: segments, who holds which address, neighbour caches fed by gratuitous ARP, each director's kernel
//! tables, clients that follow VIP -> director -> destination, and faults drawn from the seed.
//!
//! A runner tells it how far time has gone ([`World::advance`]), applies the scenario's steps ([`World::act`]), and
//! joins directors to it by the calls in `process.rs`, `packets.rs` and `tables.rs`.

mod addresses;
mod clocks;
mod connections;
mod faults;
mod forgers;
mod kept;
mod layout;
mod lifetimes;
pub(crate) mod neighbours;
mod node;
mod packets;
mod paths;
mod post;
mod process;
mod quorum;
mod requests;
mod routes;
mod servers;
mod supervise;
mod tables;
#[cfg(test)]
pub(crate) mod tests;

pub use addresses::{Addresses, Held};
pub use forgers::Forged;
pub use layout::{Layout, RouterKey};
pub use lifetimes::Lifetime;
pub use node::{Director, Half, Kernel, Mail, Node, Process, Server, State};
pub use packets::{Envelope, RECEIVE_BUFFER};
pub use paths::{Lost, Quality};
pub use process::Takeover;

use crate::scenario::{NodeId, NodeKind, Scenario, SegmentId};
use crate::trace::{Break, Dispatch, Entry, Request, What};
use faults::ImpairedPath;
use neighbours::Neighbour;
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use vipward_core::check::{Binding, Shortage};
use vipward_core::interface::{Family, InterfaceName};
use vipward_core::time::{Duration, Instant};

/// An effect of a machine that has ended.
#[derive(Clone, Debug)]
pub struct ActedAfterEnd {
    pub node: NodeId,
    pub what: String,
}

/// The world of one run.
#[derive(Debug)]
pub struct World {
    now: Instant,
    seed: u64,
    plan: Arc<Scenario>,
    supervises: bool,
    nodes: Vec<Node>,
    /// Those of them that are directors, which everything asks for all the time.
    directors: Arc<[NodeId]>,
    /// Faults between nodes; the later ones count.
    rules: Vec<ImpairedPath>,
    /// Segments whose switch drops gratuitous ARP.
    drops_garp: BTreeSet<SegmentId>,
    /// One stream of random numbers for each direction between two nodes: what is lost on one way does not move what is
    /// lost on another.
    dice: BTreeMap<(NodeId, NodeId), ChaCha8Rng>,
    /// And one for each director's kernel.
    kernel_dice: BTreeMap<NodeId, ChaCha8Rng>,
    /// By address: most are in no cache at all.
    neighbours: BTreeMap<IpAddr, BTreeMap<NodeId, Neighbour>>,
    /// Addresses that a host asks for and nobody answers, since when.
    asked_for: BTreeMap<(IpAddr, NodeId), Instant>,
    /// Adverts on their way, with what each weighs in a socket's buffer.
    in_flight: Vec<packets::InFlight>,
    pending: Vec<requests::Pending>,
    forgers: Vec<forgers::Forger>,
    quorum: Option<quorum::Ensemble>,
    /// When each client asks next.
    asking: Vec<(NodeId, Instant)>,
    kept: Vec<kept::Kept>,
    /// Adverts and announcements stay out of the record.
    pub leave_out_traffic: bool,
    pub trace: Vec<Entry>,
    pub requests: Vec<Request>,
    /// Kept connections that broke.
    pub breaks: Vec<Break>,
    pub dispatches: Vec<Dispatch>,
    /// Adverts that a fault swallowed, by (sender, receiver): what an invariant must allow for.
    pub lost_adverts: BTreeMap<(NodeId, NodeId), u64>,
    /// Adverts that jitter held up, likewise.
    pub late_adverts: BTreeMap<(NodeId, NodeId), u64>,
    /// Forged adverts that some director had to believe, by VRID.
    pub forged: BTreeMap<u8, Forged>,
    /// The longest that one of them made a director wait.
    pub longest_forged: Duration,
    /// Workers that a supervisor killed though they would have gone on by themselves.
    pub killed_alive: Vec<(NodeId, String)>,
    /// Effects of machines that have ended.
    pub acted_after_end: Vec<ActedAfterEnd>,
    /// Counts changes of everything but time and packets on their way: what follows from the rest needs to be looked at
    /// only when it moves.
    pub version: u64,
    /// Likewise, but not of addresses, IPVS tables and what directors decide: each of those is in the record.
    pub ground: u64,
    layout: RefCell<Rc<Layout>>,
    /// When the last step was, and the last one that touched ways between nodes.
    pub last_step: Instant,
    /// When a daemon's process last began, which a supervisor may let it do long after the step that ended the one before.
    pub last_start: Instant,
    pub last_impairment: Instant,
    /// The longest that a packet was ever held up.
    pub slowest: Duration,
    /// Upgrades that are done.
    pub takeovers: Vec<Takeover>,
    /// When each director last sent an advert of each VRID that was no farewell.
    pub last_adverts: BTreeMap<(NodeId, u8, Family), LastAdvert>,
    /// Gratuitous ARP: when, by whom, for what.
    pub announced: Vec<(Instant, NodeId, IpAddr)>,
    /// Announcements on their way, with when they arrive.
    announcing: Vec<(Instant, NodeId, IpAddr, SegmentId)>,
    /// When something last happened that a director has to react to, or a director acted.
    pub last_change: Instant,
}

/// An advert, and when the one before it was sent at an earlier instant.
#[derive(Clone, Copy, Debug)]
pub struct LastAdvert {
    pub at: Instant,
    before: Option<Instant>,
}

impl LastAdvert {
    /// The last one that left earlier than that.
    pub fn before(&self, now: Instant) -> Option<Instant> {
        if self.at < now { Some(self.at) } else { self.before }
    }
}

impl World {
    /// The world at time zero: powered, plugged in, no daemon running.
    pub fn new(plan: Arc<Scenario>, seed: u64) -> Self {
        let nodes = plan.nodes.iter().map(Node::new).collect();
        let directors = plan.directors().map(|(id, _)| id).collect();
        let quorum = quorum::of(&plan);
        let asking = requests::first_requests(&plan);
        let kept = kept::first(&plan);
        let supervises = supervise::wanted(&plan);
        Self {
            now: Instant::ZERO,
            seed,
            plan,
            supervises,
            directors,
            nodes,
            rules: Vec::new(),
            drops_garp: BTreeSet::new(),
            dice: BTreeMap::new(),
            kernel_dice: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            asked_for: BTreeMap::new(),
            in_flight: Vec::new(),
            pending: Vec::new(),
            forgers: Vec::new(),
            quorum,
            asking,
            kept,
            leave_out_traffic: false,
            trace: Vec::new(),
            requests: Vec::new(),
            breaks: Vec::new(),
            dispatches: Vec::new(),
            lost_adverts: BTreeMap::new(),
            late_adverts: BTreeMap::new(),
            forged: BTreeMap::new(),
            longest_forged: Duration::ZERO,
            killed_alive: Vec::new(),
            acted_after_end: Vec::new(),
            version: 0,
            ground: 0,
            layout: RefCell::default(),
            last_step: Instant::ZERO,
            last_start: Instant::ZERO,
            last_impairment: Instant::ZERO,
            slowest: Duration::ZERO,
            takeovers: Vec::new(),
            last_adverts: BTreeMap::new(),
            announced: Vec::new(),
            announcing: Vec::new(),
            last_change: Instant::ZERO,
        }
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn plan(&self) -> &Arc<Scenario> {
        &self.plan
    }

    /// Lets time pass: adverts arrive, servers flap, addresses' lifetimes end, clients ask and give up. `now` never goes
    /// back.
    pub fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.take_up();
        self.advance_supervisors();
        self.flap_servers();
        self.feed_starved();
        self.advance_forgers();
        self.expire_addresses();
        self.deliver_adverts();
        self.deliver_announcements();
        self.advance_quorum();
        self.advance_post();
        self.advance_requests();
        self.advance_kept();
    }

    /// When [`Self::advance`] has something to do next.
    pub fn next_due(&self) -> Option<Instant> {
        let packets = self.in_flight.iter().map(packets::InFlight::arrives).min();
        let upgrades = self.directors().filter_map(|(_, director)| director.upgrade.as_ref()?.begins).min();
        let due = [
            packets,
            upgrades,
            self.next_flap(),
            self.next_forgery(),
            self.next_fed(),
            self.next_announcement(),
            self.next_expiry(),
            self.next_supervisor(),
            self.next_quorum(),
            self.next_request(),
            self.next_kept(),
            self.next_post(),
        ];
        due.into_iter().flatten().min()
    }

    #[allow(clippy::indexing_slicing, reason = "ids come from the plan that this list was made from")]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    #[allow(clippy::indexing_slicing, reason = "ids come from the plan that this list was made from")]
    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    pub fn name(&self, id: NodeId) -> &str {
        &self.plan.node(id).name
    }

    /// The director's state; `None` for other nodes.
    pub fn director(&self, id: NodeId) -> Option<&Director> {
        match &self.node(id).state {
            State::Director(director) => Some(director),
            State::Server(_) | State::Other => None,
        }
    }

    fn director_mut(&mut self, id: NodeId) -> Option<&mut Director> {
        match &mut self.node_mut(id).state {
            State::Director(director) => Some(director),
            State::Server(_) | State::Other => None,
        }
    }

    pub fn directors(&self) -> impl Iterator<Item = (NodeId, &Director)> {
        self.directors.iter().filter_map(|id| self.director(*id).map(|director| (*id, director)))
    }

    /// For those who change one after the other.
    fn director_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        let ids = self.directors.clone();
        (0..ids.len()).filter_map(move |place| ids.get(place).copied())
    }

    /// What a director has not of what a checker asks of its own end: its address and its interface must be there. Mark and
    /// port mean nothing in this world, which has no rules by mark and more ports than anybody uses.
    pub fn lacks(&self, id: NodeId, from: &Binding) -> Option<Shortage> {
        let has = |interface: &InterfaceName| self.node(id).ports.iter().any(|port| port.interface == *interface);
        if from.interface.as_ref().is_some_and(|interface| !has(interface)) {
            return Some(Shortage::Interface);
        }
        let holds = |address: &IpAddr| {
            self.holder_of_own(*address) == Some(id)
                || self.director(id).is_some_and(|director| director.kernel.addresses.holds(*address))
        };
        from.address.filter(|address| !holds(address)).map(Shortage::Address)
    }

    /// The real server's state; `None` for other nodes.
    pub fn server(&self, id: NodeId) -> Option<&Server> {
        match &self.node(id).state {
            State::Server(server) => Some(server),
            State::Director(_) | State::Other => None,
        }
    }

    fn server_mut(&mut self, id: NodeId) -> Option<&mut Server> {
        match &mut self.node_mut(id).state {
            State::Server(server) => Some(server),
            State::Director(_) | State::Other => None,
        }
    }

    /// Directors whose kernel holds `address` now and has power: what the network can see of it.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = NodeId> {
        self.directors()
            .filter(move |(id, director)| director.kernel.addresses.holds(address) && self.node(*id).power)
            .map(|(id, _)| id)
    }

    pub(crate) fn note(&mut self, node: Option<NodeId>, what: What) {
        let traffic = match what {
            // A farewell is no everyday advert.
            What::Advert { priority, .. } => priority > 0,
            What::Announced { .. } => true,
            _ => false,
        };
        if self.leave_out_traffic && traffic {
            return;
        }
        self.trace.push(Entry { at: self.now, node, what });
    }

    /// Something changed that is neither an address, nor an IPVS table, nor a decision.
    fn shake(&mut self) {
        self.ground += 1;
        self.stir();
    }

    /// Something changed that directors have to react to.
    fn stir(&mut self) {
        self.last_change = self.now;
        self.version += 1;
    }

    /// The node that has `address` as its own, or as its loopback's.
    pub fn holder_of_own(&self, address: IpAddr) -> Option<NodeId> {
        self.plan
            .nodes
            .iter()
            .position(|node| {
                !matches!(node.kind, NodeKind::Router)
                    && node.ports.iter().any(|port| port.address.is_some_and(|(own, _)| own == address))
            })
            .map(NodeId)
    }
}
