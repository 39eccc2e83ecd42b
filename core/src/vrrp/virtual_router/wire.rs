//! What a virtual router sends.

use super::{Context, VirtualRouter};
use crate::config::Transport;
use crate::datagram::Datagram;
use crate::decision::IgnoreReason;
use crate::interface::Family;
use crate::quantity::Version;
use crate::vrrp::packet::{AddressList, Advert, Authentication, TTL, wire_of};
use crate::vrrp::{Effect, ah};
use std::net::IpAddr;

impl VirtualRouter {
    pub(super) fn send_from(&mut self, source: IpAddr) {
        if self.source != Some(source) {
            self.source = Some(source);
            self.prepare_adverts();
        }
    }

    pub(super) fn prepare(&mut self) {
        self.addresses = self.config.addresses.iter().chain(&self.config.excluded).cloned().collect();
        self.routes = self.config.routes.iter().cloned().collect();
        self.rules = self.config.rules.iter().cloned().collect();
        let own = &self.config.interfaces.heard_on;
        let elsewhere = self.addresses.iter().map(|vip| &vip.interface).filter(|name| *name != own);
        self.held_on = elsewhere.cloned().collect();
        self.advertised = self
            .config
            .addresses
            .iter()
            .filter(|vip| Family::of(vip.address) == self.config.family)
            .take(usize::from(u8::MAX))
            .flat_map(|vip| wire_of(vip.address))
            .collect();
        self.prepare_adverts();
    }

    pub(super) fn prepare_adverts(&mut self) {
        self.adverts = self.build_adverts(self.priority.get());
    }

    pub(super) fn authentication(&self) -> Authentication {
        match (self.config.version, self.config.password) {
            (Version::V2, Some(_)) if self.config.ah => Authentication::Header,
            (Version::V2, Some(password)) => Authentication::Password(password),
            (Version::V2, None) | (Version::V3, _) => Authentication::None,
        }
    }

    /// The key of `auth_type AH`.
    fn key(&self) -> Option<&[u8; 8]> {
        self.config.password.as_ref().filter(|_| self.authentication() == Authentication::Header)
    }

    /// Sends these now.
    pub(super) fn say(&mut self, adverts: Vec<Datagram>, ctx: &mut Context<'_>) {
        let (adverts, sequence) = self.sealed(adverts);
        self.sequence = sequence;
        ctx.out.extend(adverts.into_iter().map(Effect::SendAdvert));
    }

    /// As they would leave now, and the newest sequence number then. keepalived stays at the greatest one, too: nobody
    /// believes a smaller one.
    pub(super) fn sealed(&self, adverts: Vec<Datagram>) -> (Vec<Datagram>, u32) {
        let Some(key) = self.key() else { return (adverts, self.sequence) };
        let mut sequence = self.sequence;
        let seal = |advert: Datagram| {
            sequence = sequence.saturating_add(1);
            ah::seal(&advert, key, sequence)
        };
        let sealed = adverts.into_iter().map(seal).collect();
        (sealed, sequence)
    }

    /// With `auth_type AH`, the sequence number of an advert of this key that was not heard before. All directors of a virtual
    /// router count in one, so it must be greater than the last of anybody's (keepalived's rule; RFC 2402 3.4.3 has a window).
    pub(super) fn fresh(&self, advert: &Datagram) -> Result<u32, IgnoreReason> {
        let Some(key) = self.key() else { return Ok(self.sequence) };
        let (sequence, newest) = (ah::open(advert, key)?, self.sequence);
        if sequence > newest { Ok(sequence) } else { Err(IgnoreReason::Replayed { sequence, newest }) }
    }

    pub(super) fn build_adverts(&self, priority: u8) -> Vec<Datagram> {
        let Some(source) = self.source.filter(|_| self.adverts_count()) else { return Vec::new() };
        let advert = Advert {
            version: self.config.version,
            vrid: self.config.vrid,
            priority,
            interval: self.config.adverts.interval,
            authentication: self.authentication(),
            addresses: AddressList::from_wire(self.config.family, &self.advertised),
        };
        let to = |destination: IpAddr, ttl, plain: bool| Datagram {
            interface: self.config.interfaces.sent_from.clone(),
            source,
            destination,
            ttl,
            payload: advert.encode((!plain || source.is_ipv6()).then_some((source, destination))),
        };
        let configured = self.config.adverts.v3_checksum_as_v2;
        match &self.config.transport {
            Transport::Multicast { group } => {
                let beside = configured.is_none() && !self.plain_checksum.is_empty();
                let forms = [Some(configured == Some(true)), beside.then_some(true)];
                forms.into_iter().flatten().map(|plain| to(*group, TTL, plain)).collect()
            }
            Transport::Unicast { peers } => peers
                .iter()
                .filter(|peer| Family::of(**peer) == self.config.family)
                .map(|peer| {
                    let plain = configured.unwrap_or_else(|| self.plain_checksum.contains(peer));
                    to(*peer, self.config.unicast_ttl, plain)
                })
                .collect(),
        }
    }
}
