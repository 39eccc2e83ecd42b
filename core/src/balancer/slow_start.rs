//! `[slow_start]` of `vipward.toml`: a real server that comes up after it was down takes its share little by little, so that
//! empty caches and cold pools are not met by all clients at once.
//!
//! Its weight goes from 1 to its whole in [`STEPS`] steps, each a tenth of the time. For the quorum it counts whole. One that is up from
//! the beginning, or for the first time (`alpha`), has its weight at once: there is nobody else who would carry its share.
//! What a virtual server knows of it is in `virtual_server/weighing.rs`.

use super::{Balancer, Outbox};
use crate::ipvs::VirtualServerId;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// In so many steps, of which each is visible to the kernel: more would be a change of the table for nothing.
pub const STEPS: u32 = 10;

/// Which real servers are rising.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rising(BTreeSet<(VirtualServerId, SocketAddr)>);

impl Rising {
    pub fn extend(&mut self, service: VirtualServerId, servers: impl Iterator<Item = SocketAddr>) {
        self.0.extend(servers.map(|server| (service, server)));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// When the step after `done` steps begins.
pub fn step_at(since: Instant, lasts: Duration, done: u32) -> Instant {
    since + lasts * done / STEPS
}

/// How many steps are over.
pub fn steps_over(since: Instant, lasts: Duration, now: Instant) -> u32 {
    (1..=STEPS).take_while(|done| step_at(since, lasts, *done) <= now).last().unwrap_or(0)
}

impl Balancer {
    /// When the next step is due.
    pub(super) fn next_rise(&self) -> Option<Instant> {
        self.rising.0.iter().filter_map(|(id, server)| self.services.get(id)?.next_step(*server)).min()
    }

    /// Takes the steps that are due.
    pub(super) fn rise(&mut self, now: Instant, effects: &mut Outbox) {
        if self.next_rise().is_none_or(|due| now < due) {
            return;
        }
        for (id, server) in &self.rising.0 {
            let Some(service) = self.services.get_mut(id) else { continue };
            if service.next_step(*server).is_some_and(|due| due <= now) {
                service.take_steps(*server, now);
                Self::settle(&mut self.kernel, *id, service, now, effects);
            }
        }
        let Self { rising, services, .. } = self;
        rising.0.retain(|(id, server)| services.get(id).is_some_and(|service| service.next_step(*server).is_some()));
    }
}
