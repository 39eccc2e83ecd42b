//! Adverts that no director sent: a host on the segment makes them up, with or without the password.

use super::World;
use super::packets::InFlight;
use crate::scenario::{Forgery, NodeId};
use std::collections::BTreeSet;
use std::net::IpAddr;
use vipward_core::config::{Transport, VirtualRouterConfig};
use vipward_core::datagram::Datagram;
use vipward_core::interface::Family;
use vipward_core::quantity::{Priority, Version};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::intervals;
use vipward_core::vrrp::packet::{AddressList, Advert, Authentication, wire_of};
use vipward_core::vrrp::virtual_router::LEARNED;

/// Who forges, until the last packet has left.
#[derive(Debug)]
pub(super) struct Forger {
    forgery: Forgery,
    next: Instant,
    left: u32,
}

/// What forged adverts of a VRID may have done to its directors.
#[derive(Clone, Debug, Default)]
pub struct Forged {
    /// How many a director had to believe, and from which addresses.
    pub believed: u64,
    pub sources: BTreeSet<IpAddr>,
    /// Until then those that did may wait for the next one.
    pub until: Instant,
}

impl World {
    pub(super) fn forge(&mut self, forgery: &Forgery) {
        self.forgers.push(Forger { forgery: forgery.clone(), next: self.now, left: forgery.times });
        self.advance_forgers();
    }

    pub(super) fn describe_forgery(&self, forgery: &Forgery) -> String {
        let Forgery { priority, vrid, source, interval, times, .. } = forgery;
        let whom = match forgery.to {
            Some(id) => self.name(id).to_owned(),
            None => self.plan.segments.get(forgery.segment.0).map_or(String::new(), |it| it.name.to_string()),
        };
        let version = forgery.version;
        let says = format!("VRRPv{version}, virtual router {vrid}, priority {priority}, interval {interval}");
        let pace = match times {
            1 => "one advert".to_owned(),
            times => format!("{times} adverts, one in {} ms,", forgery.every.as_millis()),
        };
        format!("{pace} from {source} to {whom}: {says}")
    }

    pub(super) fn next_forgery(&self) -> Option<Instant> {
        self.forgers.iter().map(|forger| forger.next).min()
    }

    /// Sends what is due.
    pub(super) fn advance_forgers(&mut self) {
        let now = self.now;
        let mut forgers = std::mem::take(&mut self.forgers);
        for forger in &mut forgers {
            while forger.left > 0 && forger.next <= now {
                forger.left -= 1;
                forger.next = forger.next + forger.forgery.every.max(Duration::from_millis(1));
                self.send_forged(&forger.forgery);
            }
        }
        forgers.retain(|forger| forger.left > 0);
        self.forgers = forgers;
    }

    fn send_forged(&mut self, forgery: &Forgery) {
        let at = self.now + super::packets::WIRE;
        let directors: Vec<NodeId> = self.directors().map(|(id, _)| id).collect();
        for to in directors.into_iter().filter(|id| forgery.to.is_none_or(|only| only == *id)) {
            let port = self.node(to).ports.iter().find(|port| port.segment == forgery.segment);
            let Some((interface, own)) = port.map(|port| (port.interface.clone(), port.address)) else { continue };
            let destination = match (forgery.to, own) {
                (None, _) => forgery.group(),
                (Some(_), Some((own, _))) => own,
                (Some(_), None) => continue,
            };
            if !self.hears(to, destination) {
                continue;
            }
            let datagram = Datagram {
                interface,
                source: forgery.source,
                destination,
                ttl: forgery.ttl,
                payload: payload(forgery, destination),
            };
            self.believe(to, forgery, &datagram);
            self.in_flight.push(InFlight::new(at, to, datagram));
        }
    }

    /// Notes what the protocol makes of it.
    fn believe(&mut self, to: NodeId, forgery: &Forgery, datagram: &Datagram) {
        let port = self.node(to).ports.iter().find(|port| port.segment == forgery.segment);
        let Some(interface) = port.map(|port| port.interface.clone()) else { return };
        let again = self.forged.contains_key(&forgery.vrid.get());
        let config = self.director(to).and_then(|director| director.config.as_ref());
        let routers = config.into_iter().flat_map(|config| &config.routers);
        let believes = |router: &&VirtualRouterConfig| router.interfaces.heard_on == interface;
        let waits = routers.filter(believes).filter(|router| believable(forgery, router, datagram.destination));
        let Some(wait) = waits.map(|router| wait(forgery, router, again)).max() else { return };
        // Clocks are up to a thousandth wrong.
        let until = self.now + wait + wait / 999 + super::packets::WIRE;
        let forged = self.forged.entry(forgery.vrid.get()).or_default();
        forged.believed += 1;
        forged.sources.insert(forgery.source);
        forged.until = forged.until.max(until);
        // Until then nothing that follows from the directors' own adverts need hold.
        self.last_step = self.now;
        self.last_impairment = self.last_impairment.max(until);
        self.longest_forged = self.longest_forged.max(wait);
        self.shake();
    }
}

impl World {
    /// A director runs again that did not since then: it reads only now what was forged meanwhile, and a BACKUP that waited for
    /// a learned interval waits once more (`VirtualRouter::check_overslept`).
    pub(super) fn reads_what_was_forged(&mut self, since: Instant) {
        let until = self.now + self.longest_forged + self.longest_forged / 999 + super::packets::WIRE;
        for forged in self.forged.values_mut().filter(|forged| forged.until >= since) {
            forged.until = forged.until.max(until);
            self.last_impairment = self.last_impairment.max(until);
        }
    }
}

/// Whether a router set up like this may take it for a peer's. What it must not believe has to change nothing at all.
fn believable(forgery: &Forgery, router: &VirtualRouterConfig, destination: IpAddr) -> bool {
    let sent_by_unicast = !destination.is_multicast();
    router.vrid == forgery.vrid
        && router.version == forgery.version
        && (router.version == Version::V3 || !router.ah && router.password == forgery.password)
        && sent_by_unicast == matches!(router.transport, Transport::Unicast { .. })
        && (sent_by_unicast || forgery.ttl == 255)
        && forgery.addresses.iter().any(|address| router.addresses.iter().any(|it| it.address == *address))
}

/// Master_Down_Interval of one that hears it, at the longest. Version 3 believes a long interval that is said twice.
fn wait(forgery: &Forgery, router: &VirtualRouterConfig, again: bool) -> Duration {
    let most = router.adverts.interval.times(LEARNED);
    let learned = if again && router.version == Version::V3 { forgery.interval } else { forgery.interval.min(most) };
    let active = learned.max(router.adverts.interval);
    intervals::master_down_interval(router.version, Priority::LOWEST, active, router.adverts.down_timer)
}

fn payload(forgery: &Forgery, destination: IpAddr) -> bytes::Bytes {
    let wire: Vec<u8> = forgery.addresses.iter().copied().flat_map(wire_of).collect();
    let advert = Advert {
        version: forgery.version,
        vrid: forgery.vrid,
        priority: forgery.priority,
        interval: forgery.interval,
        authentication: forgery.password.map_or(Authentication::None, Authentication::Password),
        addresses: AddressList::from_wire(Family::of(forgery.source), &wire),
    };
    advert.encode((forgery.version == Version::V3).then_some((forgery.source, destination)))
}
