//! How many connections there may be: in all, so that descriptors are left for probes and for everything else of this
//! process, and of each service, so that one that is flooded does not starve the others.
//!
//! Half of all is promised to the services in equal shares. The rest is for whoever comes. A service below its share always
//! gets its connection; one above it gets what is promised to nobody.

use std::collections::BTreeMap;
use vipward_core::config::Config;
use vipward_core::ipvs::ServiceKey;

/// The client's socket and the real server's.
const PER_CONNECTION: u64 = 2;

/// What a worker has open beside what grows with its configuration, with much to spare: about forty were counted.
const USUAL: u64 = 96;

/// A listening socket, its copy that accepts, another for a hand-over, and a connection that was accepted while the last
/// room went.
const PER_SERVICE: u64 = 3 + PER_CONNECTION;

/// The pipes around one that is being started, and what watches it.
const PER_SCRIPT: u64 = 6;

/// What else needs descriptors, by what the configuration has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub services: usize,
    /// Each checker has one attempt under way at most.
    pub checkers: usize,
    pub scripts: usize,
}

impl Needs {
    pub fn of(config: &Config) -> Self {
        let servers = config.services.iter().flat_map(|service| &service.real_servers);
        Self {
            services: config.services.len(),
            checkers: servers.map(|server| server.checkers.len()).sum(),
            // A virtual router runs one notify script at a time.
            scripts: config.scripts.len() + config.routers.len(),
        }
    }

    /// How many of so many descriptors connections leave alone: at most three quarters, so that there are some.
    pub fn reserve(self, descriptors: u64) -> u64 {
        let many = |n: usize, each: u64| u64::try_from(n).unwrap_or(u64::MAX).saturating_mul(each);
        [many(self.services, PER_SERVICE), many(self.checkers, 1), many(self.scripts, PER_SCRIPT)]
            .into_iter()
            .fold(USUAL, u64::saturating_add)
            .min(descriptors / 4 * 3)
    }

    /// How many connections so many descriptors are enough for; at least one.
    pub fn connections(self, descriptors: u64) -> u32 {
        let most = descriptors.saturating_sub(self.reserve(descriptors)) / PER_CONNECTION;
        u32::try_from(most).unwrap_or(u32::MAX).max(1)
    }
}

/// Who has how many.
#[derive(Debug, Default)]
pub struct Room {
    most: u32,
    /// What each service is promised.
    share: u32,
    carried: BTreeMap<ServiceKey, Carried>,
    /// Of all services.
    all: u32,
    /// What is promised and not in use.
    promised: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    connections: u32,
    /// The service is in the table; else only connections of it are left.
    served: bool,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The service has as many as `connections` allows.
    Own(u32),
    /// It has so many, and the rest is promised or in use.
    Shared(u32),
}

impl Room {
    /// So many connections in all from now on. What is there stays.
    pub fn resize(&mut self, most: u32) {
        self.most = most;
        self.promise();
    }

    /// This service is in the table from now on.
    pub fn open(&mut self, key: ServiceKey) {
        self.carried.entry(key).or_default().served = true;
        self.promise();
    }

    /// It is not any more.
    pub fn close(&mut self, key: ServiceKey) {
        if let Some(carried) = self.carried.get_mut(&key) {
            carried.served = false;
        }
        self.forget(key);
        self.promise();
    }

    /// Whether this service may take one more; `own`: its own limit.
    pub fn has(&self, key: ServiceKey, own: Option<u32>) -> Result<(), Full> {
        let carried = self.carried.get(&key).copied().unwrap_or_default().connections;
        if let Some(own) = own.filter(|own| carried >= *own) {
            return Err(Full::Own(own));
        }
        let free = self.most.saturating_sub(self.all);
        if free > 0 && (carried < self.share || free > self.promised) { Ok(()) } else { Err(Full::Shared(carried)) }
    }

    /// It took one, asked or not.
    pub fn enter(&mut self, key: ServiceKey) {
        let carried = self.carried.entry(key).or_default();
        self.promised -= u32::from(carried.served && carried.connections < self.share);
        carried.connections += 1;
        self.all += 1;
    }

    /// One has ended.
    pub fn leave(&mut self, key: ServiceKey) {
        let Some(carried) = self.carried.get_mut(&key).filter(|carried| carried.connections > 0) else { return };
        carried.connections -= 1;
        self.promised += u32::from(carried.served && carried.connections < self.share);
        self.all -= 1;
        self.forget(key);
    }

    fn forget(&mut self, key: ServiceKey) {
        if self.carried.get(&key).is_some_and(|carried| !carried.served && carried.connections == 0) {
            self.carried.remove(&key);
        }
    }

    fn promise(&mut self) {
        let served = self.carried.values().filter(|carried| carried.served);
        let services = u32::try_from(served.clone().count()).unwrap_or(u32::MAX);
        self.share = (self.most / 2).checked_div(services).unwrap_or(0);
        self.promised = served.map(|carried| self.share.saturating_sub(carried.connections)).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use vipward_core::ipvs::Protocol;

    fn service(n: u16) -> ServiceKey {
        ServiceKey::Address { protocol: Protocol::Tcp, address: ([10, 0, 0, 1], n).into() }
    }

    fn room(most: u32, services: u16) -> Room {
        let mut room = Room::default();
        room.resize(most);
        (0..services).for_each(|n| room.open(service(n)));
        room
    }

    /// As many as there is room for.
    fn flood(room: &mut Room, key: ServiceKey, own: Option<u32>) -> u32 {
        let mut entered = 0;
        while room.has(key, own).is_ok() {
            room.enter(key);
            entered += 1;
        }
        entered
    }

    #[test]
    fn what_is_reserved_grows_with_the_configuration_and_leaves_some() {
        let few = Needs { services: 2, checkers: 4, scripts: 1 };
        assert_eq!(few.reserve(65_536), 96 + 10 + 4 + 6);
        assert_eq!(few.connections(65_536), (65_536 - 116) / 2);
        assert_eq!(few.connections(256), 70);
        let many = Needs { services: 1_000, checkers: 40_000, scripts: 100 };
        assert_eq!((many.reserve(4_096), many.connections(4_096)), (3_072, 512));
        assert_eq!(many.connections(0), 1);
    }

    #[test]
    fn a_service_alone_may_have_all() {
        let mut room = room(100, 1);
        assert_eq!(flood(&mut room, service(0), None), 100);
        assert_eq!(room.has(service(0), None), Err(Full::Shared(100)));
        room.leave(service(0));
        assert_eq!(flood(&mut room, service(0), None), 1);
    }

    #[test]
    fn a_flooded_service_leaves_the_others_their_shares() {
        let mut room = room(100, 5);
        assert_eq!(flood(&mut room, service(0), None), 60, "its share of ten, and half of all");
        assert_eq!(flood(&mut room, service(1), None), 10, "nothing but its share is left");
        room.leave(service(0));
        assert_eq!(flood(&mut room, service(1), None), 1, "what was given back is for whoever comes");
        assert!((2..5).all(|n| flood(&mut room, service(n), None) == 10));
        assert_eq!(room.all, 100);
    }

    #[test]
    fn its_own_limit_holds_whatever_there_is() {
        let mut room = room(100, 2);
        assert_eq!(flood(&mut room, service(0), Some(7)), 7);
        assert_eq!(room.has(service(0), Some(7)), Err(Full::Own(7)));
    }

    #[test]
    fn a_service_that_went_counts_until_its_connections_have_ended() {
        let mut room = room(100, 2);
        flood(&mut room, service(0), None);
        room.close(service(0));
        assert_eq!(flood(&mut room, service(1), None), 25);
        (0..75).for_each(|_| room.leave(service(0)));
        assert!(!room.carried.contains_key(&service(0)));
        assert_eq!(flood(&mut room, service(1), None), 75);
    }

    proptest! {
        /// What is kept step by step is what counting anew would give, and no service below its share is ever refused.
        #[test]
        fn shares_hold_whatever_happens(
            most in 1..60_u32,
            steps in prop::collection::vec((0..5_u8, 0..4_u16), 0..300),
        ) {
            let mut room = room(most, 3);
            for (step, n) in steps {
                let key = service(n);
                let is_served = room.carried.get(&key).is_some_and(|carried| carried.served);
                match step {
                    0 | 1 if is_served && room.has(key, None).is_ok() => room.enter(key),
                    0 | 1 => {}
                    2 => room.leave(key),
                    3 if room.all == 0 => room.open(key),
                    3 => {}
                    _ if n == 3 && room.all == 0 => room.close(key),
                    _ => {}
                }
                let kept = room.promised;
                room.promise();
                prop_assert_eq!(kept, room.promised);
                prop_assert!(room.all <= most);
                for (key, carried) in &room.carried {
                    if carried.served && carried.connections < room.share {
                        prop_assert_eq!(room.has(*key, None), Ok(()));
                    }
                }
            }
        }
    }
}
