//! Persistence (`persistence_timeout`, `persistence_granularity`): one client, or one network of clients, keeps its
//! destination. IPVS calls what remembers it a connection template.

use super::table::Persistence;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Which group of clients goes where, and until when. Expired ones are dropped as time passes, so that memory follows
/// the clients of the last timeout.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    by_client: BTreeMap<IpAddr, Template>,
    by_expiry: BTreeSet<(Instant, IpAddr)>,
}

#[derive(Clone, Copy, Debug)]
struct Template {
    destination: SocketAddr,
    expires: Instant,
}

impl Templates {
    /// Where this client's group went last, if the timeout has not passed since.
    pub fn get(&mut self, persistence: Persistence, client: IpAddr, now: Instant) -> Option<SocketAddr> {
        self.expire(now);
        self.by_client.get(&group(persistence, client)).map(|template| template.destination)
    }

    /// The client's group goes there; the timeout starts anew.
    pub fn set(&mut self, persistence: Persistence, client: IpAddr, destination: SocketAddr, now: Instant) {
        let client = group(persistence, client);
        let expires = now + Duration::from_secs(u64::from(persistence.timeout_secs));
        if let Some(old) = self.by_client.insert(client, Template { destination, expires }) {
            self.by_expiry.remove(&(old.expires, client));
        }
        self.by_expiry.insert((expires, client));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(expires, client)) = self.by_expiry.first() {
            if now < expires {
                break;
            }
            self.by_expiry.pop_first();
            self.by_client.remove(&client);
        }
    }
}

/// The clients that share a template.
fn group(persistence: Persistence, client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(address) => IpAddr::V4(address & persistence.netmask),
        IpAddr::V6(address) => {
            let host_bits = u32::from(128u8.saturating_sub(persistence.prefix));
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
        }
    }
}
