//! `vipward drain` and `vipward undrain`: an operator takes a real server out of work without breaking its connections.
//!
//! Drained, it has weight 0 at once, whatever its checkers say, and counts for the quorum as one of weight 0 does: not at all. The
//! connections that it has go on. With `--remove` it is taken out when IPVS (or the relay) counts no active connection of
//! it any more, or when the limit is over. That stays so over reloads, upgrades and deaths of the worker, until the
//! real server leaves the file, or [`What::Undrain`].

pub mod order;

use super::{Balancer, Effect, Event, Outbox};
use crate::decision::Decision;
use crate::ipvs::{ServiceKey, Table, VirtualServerId};
use crate::time::{Duration, Instant};
use order::{LONGEST_LIMIT, Named, Order, Removal, What};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// How often the table is read while a drained real server has connections, or nobody knows.
pub const LOOK: Duration = Duration::from_secs(2);

/// It is not taken out sooner than this after it was drained: a connection that is just being opened does not count as active
/// before its handshake is over.
pub const SETTLE: Duration = Duration::from_secs(2);

/// A real server that is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    pub since: Instant,
    /// `--remove`.
    #[serde(default)]
    pub remove: bool,
    /// `--limit`: when it is taken out whatever is left.
    #[serde(default)]
    pub until: Option<Instant>,
    /// It is taken out.
    #[serde(default)]
    pub out: bool,
    /// Active connections, as far as the table said.
    #[serde(default)]
    pub connections: Option<u32>,
}

impl Drain {
    /// Asked for now; `before`: it was drained already, and that counts from then.
    pub fn begin(before: Option<Self>, remove: Option<Removal>, now: Instant) -> Self {
        let limit = remove.and_then(|removal| removal.limit);
        let (since, connections) = before.map_or((now, None), |before| (before.since, before.connections));
        let out = remove.is_some() && before.is_some_and(|before| before.out);
        Self { since, remove: remove.is_some(), until: limit.map(|limit| now + limit), out, connections }
    }

    /// As a predecessor left it, within bounds.
    pub fn take_up(self, now: Instant) -> Self {
        let latest = now + Duration::from_secs(LONGEST_LIMIT.into());
        Self { since: self.since.min(now), until: self.until.map(|until| until.min(latest)), ..self }
    }

    /// It waits for the table to say that no connection is left.
    fn waits(&self) -> bool {
        !self.out && (self.remove || self.connections != Some(0))
    }

    /// When the limit is over.
    fn due(&self) -> Option<Instant> {
        self.until.filter(|_| self.remove && !self.out)
    }

    fn is_over(&self, now: Instant) -> bool {
        let empty = self.remove && self.connections == Some(0) && now >= self.since + SETTLE;
        !self.out && (empty || self.due().is_some_and(|due| due <= now))
    }
}

/// Which real servers are drained. What of them is, each knows itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Drained(BTreeSet<(VirtualServerId, SocketAddr)>);

impl Balancer {
    /// An operator's order, and the answer to it.
    pub(super) fn obey(&mut self, number: u64, order: &Order, now: Instant, effects: &mut Outbox) {
        let refused = self.try_to_obey(order, now, effects).err();
        if let Some(why) = &refused {
            effects.decide(Decision::OrderRefused { order: order.to_string(), why: why.clone() });
        }
        effects.push(Effect::Answer { number, refused });
    }

    fn try_to_obey(&mut self, order: &Order, now: Instant, effects: &mut Outbox) -> Result<(), String> {
        let mut meant = self.meant(order.of.as_ref(), order.server)?;
        match order.what {
            What::Drain { remove, force } => {
                let last = |id: &&VirtualServerId| {
                    !self.services.get(id).is_some_and(|service| service.serves_without(order.server))
                };
                if let Some(id) = meant.iter().find(last).filter(|_| !force) {
                    return Err(format!(
                        "{id} would have no other real server that is up (`--force` does it all the same)"
                    ));
                }
                for id in meant {
                    self.drain(id, order.server, remove, now, effects);
                }
                // How many connections it has.
                self.kernel.read_soon(now);
            }
            What::Undrain => {
                meant.retain(|id| self.drained.0.contains(&(*id, order.server)));
                if meant.is_empty() {
                    return Err(format!("{} is not drained", order.server));
                }
                for id in meant {
                    self.undrain(id, order.server, now, effects);
                }
            }
        }
        Ok(())
    }

    /// The virtual servers that an order is about.
    fn meant(&self, of: Option<&Named>, server: SocketAddr) -> Result<Vec<VirtualServerId>, String> {
        let named = |id: &&VirtualServerId| of.is_none_or(|of| of.means(id));
        let called: Vec<VirtualServerId> = self.services.keys().filter(named).copied().collect();
        let has = |id: &VirtualServerId| self.services.get(id).is_some_and(|service| service.has(server));
        match (of, called.is_empty()) {
            (Some(of), true) => Err(format!("no virtual server is called {of}")),
            _ => {
                let having: Vec<VirtualServerId> = called.into_iter().filter(has).collect();
                match (having.is_empty(), of) {
                    (true, Some(of)) => Err(format!("{of} has no real server {server}")),
                    (true, None) => Err(format!("no virtual server has a real server {server}")),
                    (false, _) => Ok(having),
                }
            }
        }
    }

    fn drain(
        &mut self,
        id: VirtualServerId,
        server: SocketAddr,
        remove: Option<Removal>,
        now: Instant,
        effects: &mut Outbox,
    ) {
        let Some(service) = self.services.get_mut(&id) else { return };
        service.set_drain(server, |before| Some(Drain::begin(before, remove, now)));
        self.drained.0.insert((id, server));
        let limit = remove.and_then(|removal| removal.limit);
        effects.decide(Decision::ServerDrained { service: id, server, remove: remove.is_some(), limit });
        Self::settle(&mut self.kernel, id, service, now, effects);
    }

    fn undrain(&mut self, id: VirtualServerId, server: SocketAddr, now: Instant, effects: &mut Outbox) {
        self.drained.0.remove(&(id, server));
        let Some(service) = self.services.get_mut(&id) else { return };
        service.set_drain(server, |_| None);
        effects.decide(Decision::ServerUndrained { service: id, server });
        Self::settle(&mut self.kernel, id, service, now, effects);
    }

    /// A configuration is in force: which of its real servers are drained. `inherited`: by a predecessor, which is said.
    pub(super) fn find_drained(&mut self, inherited: bool, now: Instant, effects: &mut Outbox) {
        let drained = self.services.iter().flat_map(|(id, service)| {
            let drained = service.servers().filter(|server| server.drain.is_some());
            drained.map(|server| (*id, server.address))
        });
        self.drained = Drained(drained.collect());
        if self.drained.0.is_empty() {
            return;
        }
        if inherited {
            effects.decide(Decision::DrainsInherited { servers: self.drained.0.iter().copied().collect() });
        }
        self.kernel.read_soon(now);
    }

    /// What a table that was just read says of the connections of drained real servers. Before it is compared: where something
    /// was changed since the reading was asked for, it says nothing.
    pub(super) fn count_connections(&mut self, table: &Table) {
        for (id, server) in &self.drained.0 {
            let Some(service) = self.services.get_mut(id) else { continue };
            let mut sum = Some(0);
            for key in service.keys() {
                let told = self.kernel.is_told(key).then(|| told(table, key, service.destination_of(*server, key)));
                sum = sum.zip(told.flatten()).map(|(sum, more): (u32, u32)| sum.saturating_add(more));
            }
            if let Some(connections) = sum {
                let known = |drain: Drain| Drain { connections: Some(connections), ..drain };
                service.set_drain(*server, |before| before.map(known));
            }
        }
    }

    /// Takes out whose time is over.
    pub(super) fn end_drains(&mut self, now: Instant, effects: &mut Outbox) {
        for (id, server) in &self.drained.0 {
            let Some(service) = self.services.get_mut(id) else { continue };
            let Some(drain) = service.drain_of(*server).filter(|drain| drain.is_over(now)) else { continue };
            service.set_drain(*server, |before| before.map(|drain| Drain { out: true, ..drain }));
            let (after, connections) = (now.since(drain.since), drain.connections);
            effects.decide(Decision::ServerTakenOut { service: *id, server: *server, after, connections });
            Self::settle(&mut self.kernel, *id, service, now, effects);
        }
    }

    /// After a reading: whether there must be another one soon.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.drains().any(|drain| drain.waits()) {
            self.kernel.read_by(now + LOOK);
        }
    }

    /// When the first limit is over.
    pub(super) fn next_drain(&self) -> Option<Instant> {
        self.drains().filter_map(|drain| drain.due()).min()
    }

    fn drains(&self) -> impl Iterator<Item = Drain> {
        self.drained.0.iter().filter_map(|(id, server)| self.services.get(id)?.drain_of(*server))
    }
}

/// The active connections of a destination; none where it still takes new ones.
fn told(table: &Table, key: &ServiceKey, destination: SocketAddr) -> Option<u32> {
    let there = table.services.get(key).and_then(|entry| entry.destinations.get(&destination));
    match there {
        Some(there) if there.weight > 0 => None,
        Some(_) => Some(table.connections.get(&(*key, destination)).copied().unwrap_or(0)),
        // It is down, or taken out: nothing of it is carried.
        None => Some(0),
    }
}

impl From<(u64, Order)> for Event {
    fn from((number, order): (u64, Order)) -> Self {
        Self::Ordered { number, order }
    }
}
