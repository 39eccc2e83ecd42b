//! `ha_suspend`: a virtual server is checked only where its address is. Real servers keep the state that they had, and
//! when the address comes nobody has watched them meanwhile: the first probes come as at a start, and the first failure
//! of a real server that is thought to be up counts.

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
}

impl Suspension {
    /// The virtual servers of the configuration in force. What was told stays: the Election may be a reload ahead, and says
    /// nothing twice.
    pub fn load(&mut self, config: &Config) {
        self.services.clear();
        for (id, server) in by_id(config) {
            if server.ha_suspend {
                self.services.entry(server.key.address.ip()).or_default().push(id);
            }
        }
    }

    /// Whether it is not to be checked. Until it is told of the address, it is not.
    pub fn holds(&self, server: &VirtualServer) -> bool {
        server.ha_suspend && self.here.get(&server.key.address.ip()) != Some(&true)
    }
}

impl Balancer {
    /// An address has come or gone.
    pub(super) fn address_here(&mut self, address: IpAddr, here: bool, now: Instant, effects: &mut Outbox) {
        let before = self.suspension.here.insert(address, here);
        if before == Some(here) {
            return;
        }
        for id in self.suspension.services.get(&address).into_iter().flatten() {
            let Some(service) = self.services.get_mut(id) else { continue };
            if here {
                if before.is_some() {
                    service.watch_again(*id, self.seed, now);
                    effects.decide(Decision::ChecksResumed { service: *id });
                }
                service.resume();
                service.fill(*id, &mut self.queue);
            } else {
                service.unqueue(*id, &mut self.queue);
                effects.extend(service.suspend(now).into_iter().map(Effect::CancelProbe));
                effects.decide(Decision::ChecksSuspended { service: *id, address });
            }
        }
    }
}
