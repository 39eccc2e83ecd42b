//! What a Balancer leaves to its successor, and what that one takes up.

use super::Balancer;
use super::drain::Drain;
use super::settings::Owned;
use crate::health::estate::CheckerEstate;
use crate::health::files::Numbers;
use crate::ipvs::{ServiceKey, VirtualServerId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A Balancer's estate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BalancerEstate {
    /// Of all probes ever started.
    pub attempts: u64,
    pub services: Vec<VirtualServerEstate>,
    /// What tracked files held, as far as it was told.
    #[serde(skip_serializing_if = "Numbers::is_empty")]
    pub files: Numbers,
    /// What IPVS has once for all services.
    #[serde(skip_serializing_if = "Owned::is_nothing")]
    pub settings: Owned,
}

/// One virtual server's. Without real servers: the configuration does not name it any more, and its entries may still be
/// in the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServerEstate {
    pub service: VirtualServerId,
    /// Its entries in the kernel's table; none: the one that its name tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ServiceKey>,
    /// Whether there was quorum, which between its two limits only history knows.
    pub quorum: bool,
    pub servers: Vec<RealServerEstate>,
}

/// One real server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServerEstate {
    pub address: SocketAddr,
    pub checkers: Vec<CheckerEstate>,
    /// An operator has drained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    /// Since when it rises (`[slow_start]`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rises: Option<Instant>,
}

impl VirtualServerEstate {
    /// Its entries in the kernel's table.
    pub fn keys(&self) -> Vec<ServiceKey> {
        if self.keys.is_empty() { self.service.keys() } else { self.keys.clone() }
    }
}

/// Entries as [`VirtualServerEstate::keys`] has them: forty thousand services need not say what their name says.
pub(super) fn keys_beside(service: VirtualServerId, keys: &[ServiceKey]) -> Vec<ServiceKey> {
    if keys == service.keys() { Vec::new() } else { keys.to_vec() }
}

impl Balancer {
    pub(super) fn bequeath(&self, now: Instant) -> BalancerEstate {
        let mut services: Vec<VirtualServerEstate> =
            self.services.iter().map(|(id, service)| service.estate(*id, now)).collect();
        let wanted: BTreeSet<ServiceKey> = self.services.values().flat_map(|service| service.keys()).copied().collect();
        // Whose they were nobody knows any more: each stands for itself.
        services.extend(self.kernel.leave().filter(|key| !wanted.contains(key)).map(|key| VirtualServerEstate {
            service: VirtualServerId::of_entry(key),
            keys: Vec::new(),
            quorum: false,
            servers: Vec::new(),
        }));
        BalancerEstate {
            attempts: self.attempts,
            services,
            files: self.files.numbers.clone(),
            settings: self.settings.owned(),
        }
    }
}
