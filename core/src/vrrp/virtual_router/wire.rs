//! What a virtual router sends.

use super::VirtualRouter;
use crate::config::Transport;
use crate::datagram::Datagram;
use crate::interface::Family;
use crate::quantity::Version;
use crate::vrrp::packet::{AddressList, Advert, Authentication, TTL, wire_of};
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
            (Version::V2, Some(password)) => Authentication::Password(password),
            (Version::V2, None) | (Version::V3, _) => Authentication::None,
        }
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
