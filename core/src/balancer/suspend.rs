//! `ha_suspend`: a virtual server is checked only where its address is, or any of its addresses. Real servers keep the
//! state that they had, and when the address comes nobody has watched them meanwhile: the first probes come as at a start,
//! and the first failure of a real server that is thought to be up counts.

use super::{Balancer, Effect, Outbox, by_id};
use crate::config::{Config, VirtualServer};
use crate::decision::Decision;
use crate::ipvs::VirtualServerId;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Where addresses are, as far as it has been told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Suspension {
    here: BTreeMap<IpAddr, bool>,
    /// Virtual servers with `ha_suspend`, by their addresses.
    services: BTreeMap<IpAddr, Vec<VirtualServerId>>,
    /// The same virtual servers.
    #[serde(default)]
    known: BTreeMap<VirtualServerId, Known>,
}

/// What has been told of the addresses of one virtual server.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Known {
    /// How many of them are here.
    here: usize,
    /// None is here, and at least of one that was told.
    nowhere: bool,
}

impl Suspension {
    /// The virtual servers of the configuration in force. What was told stays: the Election may be a reload ahead, and says
    /// nothing twice.
    pub fn load(&mut self, config: &Config) {
        self.services.clear();
        self.known.clear();
        for (id, server) in by_id(config) {
            let addresses = server.suspended_without();
            if addresses.is_empty() {
                continue;
            }
            let told: Vec<bool> = addresses.iter().filter_map(|ip| self.here.get(ip)).copied().collect();
            let here = told.iter().filter(|here| **here).count();
            self.known.insert(id, Known { here, nowhere: here == 0 && !told.is_empty() });
            for ip in addresses {
                self.services.entry(ip).or_default().push(id);
            }
        }
    }

    /// Whether it is not to be checked. Until it is told that an address of it is here, it is not.
    pub fn holds(&self, server: &VirtualServer) -> bool {
        self.known.get(&server.id()).is_some_and(|known| known.here == 0)
    }
}

impl Balancer {
    /// An address has come or gone.
    pub(super) fn address_here(&mut self, address: IpAddr, here: bool, now: Instant, effects: &mut Outbox) {
        let before = self.suspension.here.insert(address, here);
        if before == Some(here) {
            return;
        }
        let Suspension { services, known, .. } = &mut self.suspension;
        for id in services.get(&address).into_iter().flatten() {
            let (Some(service), Some(known)) = (self.services.get_mut(id), known.get_mut(id)) else { continue };
            let was = *known;
            if here {
                *known = Known { here: was.here + 1, nowhere: false };
            } else {
                let left = if before.is_some() { was.here.saturating_sub(1) } else { was.here };
                *known = Known { here: left, nowhere: left == 0 };
            }
            // Of a group another address may be here still.
            if here && was.here == 0 {
                if was.nowhere {
                    service.watch_again(*id, self.seed, now);
                    effects.decide(Decision::ChecksResumed { service: *id });
                }
                service.resume();
                service.fill(*id, &mut self.queue);
            } else if known.nowhere && !was.nowhere {
                service.unqueue(*id, &mut self.queue);
                effects.extend(service.suspend(now).into_iter().map(Effect::CancelProbe));
                effects.decide(Decision::ChecksSuspended { service: *id, address });
            }
        }
    }
}
