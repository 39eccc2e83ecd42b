//! What a Balancer leaves to its successor, and what that one takes up.

use super::Balancer;
use crate::health::estate::CheckerEstate;
use crate::ipvs::ServiceKey;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A Balancer's estate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BalancerEstate {
    /// Of all probes ever started.
    pub attempts: u64,
    pub services: Vec<ServiceEstate>,
}

/// One virtual server's. Without real servers: the configuration does not name it any more, and it may still be in the
/// kernel's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEstate {
    pub service: ServiceKey,
    /// Whether there was quorum, which between its two limits only history knows.
    pub quorum: bool,
    pub servers: Vec<ServerEstate>,
}

/// One real server's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerEstate {
    pub address: SocketAddr,
    pub checkers: Vec<CheckerEstate>,
}

impl Balancer {
    pub(super) fn bequeath(&self, now: Instant) -> BalancerEstate {
        let mut services: Vec<ServiceEstate> =
            self.services.iter().map(|(key, service)| service.estate(*key, now)).collect();
        let leaving = self.kernel.leave().filter(|key| !self.services.contains_key(key));
        services.extend(leaving.map(|service| ServiceEstate { service, quorum: false, servers: Vec::new() }));
        BalancerEstate { attempts: self.attempts, services }
    }
}
