//! Adverts on their way, and the socket that holds them until the director reads.

use super::node::{Half, Process};
use super::{LastAdvert, Lost, World};
use crate::scenario::{NodeId, PortPlan, SegmentId};
use crate::trace::What;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use vipward_core::datagram::Datagram;
use vipward_core::interface::{Family, InterfaceName};
use vipward_core::time::{Duration, Instant};

/// Linux's `net.core.rmem_default`, in bytes: what a raw socket holds.
pub const RECEIVE_BUFFER: usize = 212_992;

/// How long a packet takes on a way without delay: one step of time, whoever's turn it is in it.
pub(super) const WIRE: Duration = Duration::from_millis(1);

/// What one small packet takes of it: Linux counts the buffer that holds it (`skb->truesize`), not its bytes.
const PACKET_COST: usize = 768;

/// A packet of protocol 112 between two nodes, as a runner carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender's position in the scenario.
    pub from: usize,
    /// The segment on which it left; for unicast the first one of its way.
    pub segment: usize,
    /// When it left.
    pub sent: Instant,
    pub datagram: Datagram,
}

#[derive(Debug)]
pub(super) struct InFlight {
    at: Instant,
    to: NodeId,
    datagram: Datagram,
}

impl InFlight {
    pub(super) fn new(at: Instant, to: NodeId, datagram: Datagram) -> Self {
        Self { at, to, datagram }
    }

    pub(super) fn arrives(&self) -> Instant {
        self.at
    }
}

/// A raw socket of protocol 112.
#[derive(Debug, Default)]
pub struct Socket {
    pub(super) queue: VecDeque<Datagram>,
    bytes: usize,
    listening: BTreeSet<(InterfaceName, Option<IpAddr>)>,
    overflown: bool,
}

impl World {
    pub fn listen(&mut self, id: NodeId, interface: &InterfaceName, group: Option<IpAddr>) -> Result<(), String> {
        if !self.node(id).ports.iter().any(|port| port.interface == *interface) {
            return Err("No such device".to_owned());
        }
        if let Some(director) = self.director_mut(id) {
            director.socket.listening.insert((interface.clone(), group));
        }
        Ok(())
    }

    pub fn stop_listening(&mut self, id: NodeId, interface: &InterfaceName, group: Option<IpAddr>) {
        if let Some(director) = self.director_mut(id) {
            director.socket.listening.remove(&(interface.clone(), group));
        }
    }

    /// A director sends: the envelope to carry, or the kernel's refusal.
    pub fn send_advert(&mut self, id: NodeId, advert: &Datagram) -> Result<Envelope, String> {
        let node = self.node(id);
        let Some(port) = node.ports.iter().find(|port| port.interface == advert.interface) else {
            return Err("No such device".to_owned());
        };
        if !node.runs(port) {
            return Err("Network is down".to_owned());
        }
        let segment = port.segment.0;
        // RFC 9568 5.2 and RFC 3768 5.3 agree on these two bytes.
        if let (Some(vrid), Some(priority)) = (advert.message().get(1), advert.message().get(2)) {
            let what = What::Advert { vrid: *vrid, priority: *priority, destination: advert.destination };
            self.note(Some(id), what);
            if *priority > 0 {
                let at = self.now;
                let key = (id, *vrid, Family::of(advert.destination));
                let before = self.last_adverts.get(&key).and_then(|last| last.before(at));
                self.last_adverts.insert(key, LastAdvert { at, before });
            }
        }
        Ok(Envelope { from: id.0, segment, sent: self.now, datagram: advert.clone() })
    }

    /// Who an advert must be carried to: members of the segment for a group, else the one that has the address.
    pub fn recipients(&self, envelope: &Envelope) -> Vec<NodeId> {
        let from = NodeId(envelope.from);
        if envelope.datagram.destination.is_multicast() {
            let segment = SegmentId(envelope.segment);
            self.directors().map(|(id, _)| id).filter(|id| *id != from && self.on_segment(*id, segment)).collect()
        } else {
            self.holder_of_own(envelope.datagram.destination).into_iter().filter(|id| *id != from).collect()
        }
    }

    /// A runner brought an envelope to a node: faults decide whether and when it reaches the socket.
    pub fn carried(&mut self, to: NodeId, envelope: Envelope) {
        let from = NodeId(envelope.from);
        let mut datagram = envelope.datagram;
        let group = datagram.destination.is_multicast();
        // By unicast it reaches the port that has the address, whatever else the two share.
        let there = |port: &PortPlan| match group {
            true => port.segment.0 == envelope.segment,
            false => port.address.is_some_and(|(own, _)| own == datagram.destination),
        };
        let Some((interface, segment)) =
            self.node(to).ports.iter().find(|port| there(port)).map(|port| (port.interface.clone(), port.segment))
        else {
            return;
        };
        let direct = self.on_segment(from, segment);
        let way = if direct { self.link(from, to, segment) } else { self.routed(from, to, segment) };
        let arrival = match way {
            Some(quality) => self.send(from, to, quality),
            None => Err(Lost::NoWay(String::new())),
        };
        let Ok(late) = arrival.map(|at| at.since(self.now)) else {
            *self.lost_adverts.entry((from, to)).or_default() += 1;
            return;
        };
        if way.is_some_and(|quality| !quality.jitter.is_zero()) {
            *self.late_adverts.entry((from, to)).or_default() += 1;
        }
        let twice = way
            .filter(|quality| self.happens(from, to, quality.duplicate))
            .and_then(|quality| self.send(from, to, quality).ok())
            .map(|at| at.since(self.now));
        datagram.interface = interface;
        if !direct {
            // One router on the way.
            datagram.ttl = datagram.ttl.saturating_sub(1);
        }
        for late in [Some(late), twice].into_iter().flatten() {
            let (at, datagram) = (envelope.sent + WIRE + late, datagram.clone());
            if at <= self.now {
                self.receive(to, datagram);
            } else {
                self.in_flight.push(InFlight { at, to, datagram });
            }
        }
    }

    /// What has arrived goes into sockets.
    pub(super) fn deliver_adverts(&mut self) {
        let now = self.now;
        if !self.in_flight.iter().any(|packet| packet.at <= now) {
            return;
        }
        let (due, later): (Vec<InFlight>, Vec<InFlight>) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|packet| packet.at <= now);
        self.in_flight = later;
        for packet in due {
            self.receive(packet.to, packet.datagram);
        }
    }

    fn receive(&mut self, id: NodeId, datagram: Datagram) {
        let node = self.node(id);
        if !node.ports.iter().any(|port| port.interface == datagram.interface && node.runs(port)) {
            return;
        }
        let Some(director) = self.director_mut(id) else { return };
        let group = Some(datagram.destination).filter(IpAddr::is_multicast);
        let socket = &mut director.socket;
        let open = director.process != Process::Absent
            && socket
                .listening
                .iter()
                .any(|(interface, joined)| *interface == datagram.interface && (group.is_none() || *joined == group));
        if !open {
            return;
        }
        if socket.bytes + PACKET_COST > RECEIVE_BUFFER {
            if !std::mem::replace(&mut socket.overflown, true) {
                self.note(Some(id), What::BufferFull);
            }
            return;
        }
        socket.bytes += PACKET_COST;
        socket.queue.push_back(datagram);
    }

    /// The director reads one packet; a frozen one reads none.
    pub fn next_advert(&mut self, id: NodeId) -> Option<Datagram> {
        let director = self.director_mut(id).filter(|director| director.running())?;
        let datagram = director.socket.queue.pop_front()?;
        director.socket.bytes = director.socket.bytes.saturating_sub(PACKET_COST);
        director.socket.overflown = false;
        Some(datagram)
    }

    /// Whether a packet for this group, or by unicast, finds a socket there at all.
    pub fn hears(&self, id: NodeId, destination: IpAddr) -> bool {
        self.director(id).is_some_and(|director| {
            let mut joined = director.socket.listening.iter().map(|(_, group)| group);
            director.process != Process::Absent
                && if destination.is_multicast() { joined.any(|group| *group == Some(destination)) } else { true }
        })
    }

    /// Something waits for this director: a packet or a host event.
    pub fn has_mail(&self, id: NodeId) -> bool {
        self.director(id).is_some_and(|director| {
            !director.socket.queue.is_empty()
                || !director.mail.is_empty(Half::Election)
                || !director.mail.is_empty(Half::Balancer)
                || self.has_lease_event(id)
        })
    }

    /// The same for one of its machines: packets are the Election's.
    pub fn has_mail_for(&self, id: NodeId, half: Half) -> bool {
        self.director(id).is_some_and(|director| {
            (half == Half::Election && (!director.socket.queue.is_empty() || self.has_lease_event(id)))
                || !director.mail.is_empty(half)
        })
    }

    /// One gratuitous ARP or neighbour advertisement.
    pub fn announce(&mut self, id: NodeId, interface: &InterfaceName, address: IpAddr) -> Result<(), String> {
        let node = self.node(id);
        let Some(port) = node.ports.iter().find(|port| port.interface == *interface) else {
            return Err("No such device".to_owned());
        };
        if !node.runs(port) {
            return Err("Network is down".to_owned());
        }
        let segment = port.segment;
        self.note(Some(id), What::Announced { address });
        self.announced.push((self.now, id, address));
        let at = self.now + self.announced_after(id);
        self.announcing.push((at, id, address, segment));
        Ok(())
    }

    /// How long an announcement takes from the machine to the wire: nothing, or so long that a rival that heard the advert
    /// before it has answered meanwhile. Both happen, by the load of two hosts; which one is drawn for each moment.
    fn announced_after(&self, id: NodeId) -> Duration {
        let moment = u64::try_from(self.now.since_origin().as_millis()).unwrap_or(u64::MAX);
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed.wrapping_mul(1_000_003) ^ (moment << 8) ^ id.0 as u64);
        if dice.random_bool(0.5) { Duration::ZERO } else { WIRE * 3 }
    }

    /// Announcements arrive that were on their way.
    pub(super) fn deliver_announcements(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.announcing).into_iter().partition(|(at, ..)| *at <= now);
        self.announcing = later;
        for (_, id, address, segment) in due {
            self.gratuitous_arp(id, address, segment);
        }
    }

    pub(super) fn next_announcement(&self) -> Option<Instant> {
        self.announcing.iter().map(|(at, ..)| *at).min()
    }
}
