//! Effects that could not be carried out: told, at most once a minute each, and tried again after a second.

use super::{Election, Listener};
use crate::decision::Decision;
use crate::interface::InterfaceName;
use crate::quantity::Vrid;
use crate::time::Instant;
use crate::vrrp::book::RETRY;
use crate::vrrp::lifetime::RENEW;
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What failed and is tried again as it is. Addresses are [`crate::vrrp::book::AddressBook`]'s.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Retry {
    Listen(Listener),
    StopListening(Listener),
    Announce(InterfaceName, IpAddr),
    WatchFiles,
    WatchProcesses,
}

impl Election {
    pub(super) fn effect_failed(&mut self, effect: Effect, error: String, now: Instant, out: &mut Outbox) {
        let mut retry_in = RETRY;
        let what = match effect {
            Effect::Listen { interface, group } => {
                let what = format!("listening for adverts on {interface}");
                self.retries.insert(Retry::Listen((interface, group)), now + RETRY);
                what
            }
            Effect::StopListening { interface, group } => {
                let what = format!("leaving the multicast group on {interface}");
                self.retries.insert(Retry::StopListening((interface, group)), now + RETRY);
                what
            }
            Effect::Announce { interface, address } => {
                let what = format!("announcing {address} on {interface}");
                self.retries.insert(Retry::Announce(interface, address), now + RETRY);
                what
            }
            Effect::SendAdvert(datagram) => {
                let place = datagram.message().get(1).and_then(|vrid| self.find(&datagram, Vrid::new(*vrid)?));
                if let Some(router) = place.and_then(|place| self.routers.get(place)) {
                    retry_in = router.config().adverts.interval.duration();
                }
                format!("sending an advert to {} on {}", datagram.destination, datagram.interface)
            }
            Effect::AddAddress(address) => {
                self.book.add_failed(address.key(), now);
                self.reread_soon(now);
                if self.book.is_static(&address.key()) {
                    self.assess(Some(&address.interface), now, out);
                }
                format!("adding {address}")
            }
            Effect::RenewAddresses { .. } => {
                retry_in = RENEW;
                self.reread_soon(now);
                "renewing addresses".to_owned()
            }
            Effect::RemoveAddress(key) => {
                self.reread_soon(now);
                format!("removing {key}")
            }
            Effect::ReadAddresses => {
                self.reread_soon(now);
                "reading the addresses".to_owned()
            }
            Effect::Lease(op) => {
                self.leases.refused(op, error, now, out);
                return;
            }
            Effect::WatchFiles(_) => {
                self.retries.insert(Retry::WatchFiles, now + RETRY);
                "watching tracked files".to_owned()
            }
            Effect::WatchProcesses(_) => {
                self.retries.insert(Retry::WatchProcesses, now + RETRY);
                "watching tracked processes".to_owned()
            }
            Effect::AddRoute(route) => {
                self.book.routes.add_failed(route.key.clone(), now);
                self.reread_routes(now + RETRY);
                format!("putting in the route {route}")
            }
            Effect::RemoveRoute(key) => {
                self.reread_routes(now + RETRY);
                format!("taking out the route {key}")
            }
            Effect::AddRule(rule) => {
                self.book.rules.add_failed(rule.clone(), now);
                self.reread_routes(now + RETRY);
                format!("putting in the rule `{rule}`")
            }
            Effect::RemoveRule(rule) => {
                self.reread_routes(now + RETRY);
                format!("taking out the rule `{rule}`")
            }
            Effect::ReadRoutes => {
                self.reread_routes(now + RETRY);
                "reading the routes and rules".to_owned()
            }
            // One that can't be started ends with an outcome that says so.
            Effect::RunScript { .. } => return,
        };
        if self.complaints.entry(what.clone()).or_default().admits(now) {
            out.decide(Decision::EffectFailed { what, error, retry_in });
        }
    }

    fn reread_soon(&mut self, now: Instant) {
        self.reread_at = self.reread_at.map(|at| at.min(now + RETRY));
    }

    /// Tries again what is due and still makes sense.
    pub(super) fn retry(&mut self, now: Instant, out: &mut Outbox) {
        if self.retries.is_empty() {
            return;
        }
        let (due, later) = std::mem::take(&mut self.retries).into_iter().partition(|(_, at)| *at <= now);
        self.retries = later;
        for (retry, _) in due {
            match retry {
                Retry::Listen(listener) => {
                    if self.listening.contains(&listener) && self.links.contains_key(&listener.0) {
                        let (interface, group) = listener;
                        out.push(Effect::Listen { interface, group });
                    }
                }
                Retry::StopListening(listener) => {
                    if !self.listening.contains(&listener) {
                        let (interface, group) = listener;
                        out.push(Effect::StopListening { interface, group });
                    }
                }
                Retry::WatchFiles => out.push(Effect::WatchFiles(self.files.watched().to_vec())),
                Retry::WatchProcesses => out.push(Effect::WatchProcesses(self.watched_processes())),
                Retry::Announce(interface, address) => {
                    if self.book.serves(&interface, address) {
                        out.push(Effect::Announce { interface, address });
                    }
                }
            }
        }
    }
}
