//! The addresses of a director's kernel, so kept that what is asked of all of them is not read off all of them.

use super::lifetimes::Lifetime;
use std::collections::BTreeMap;
use std::net::IpAddr;
use vipward_core::interface::AddressKey;
use vipward_core::time::Instant;

/// An address in the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// With vipward's protocol number.
    pub ours: bool,
    pub lifetime: Lifetime,
}

/// Addresses beside the node's own.
#[derive(Debug, Default)]
pub struct Addresses {
    held: BTreeMap<AddressKey, Held>,
    /// How many of them are one address: it may be on several interfaces.
    times: BTreeMap<IpAddr, usize>,
    /// How many lifetimes are due at each instant.
    due: BTreeMap<Instant, usize>,
}

impl Addresses {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn contains(&self, key: &AddressKey) -> bool {
        self.held.contains_key(key)
    }

    /// On whichever interface.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.times.contains_key(&address)
    }

    pub fn keys(&self) -> impl Iterator<Item = &AddressKey> {
        self.held.keys()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&AddressKey, Held)> {
        self.held.iter().map(|(key, held)| (key, *held))
    }

    /// When something happens to the first of them.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(at, _)| *at)
    }

    pub fn insert(&mut self, key: AddressKey, held: Held) {
        let address = key.address;
        count(&mut self.due, held.lifetime.due());
        match self.held.insert(key, held) {
            Some(before) => uncount(&mut self.due, before.lifetime.due()),
            None => count(&mut self.times, Some(address)),
        }
    }

    pub fn remove(&mut self, key: &AddressKey) -> Option<Held> {
        let held = self.held.remove(key)?;
        uncount(&mut self.due, held.lifetime.due());
        uncount(&mut self.times, Some(key.address));
        Some(held)
    }

    /// False: it is not there.
    pub fn renew(&mut self, key: &AddressKey, lifetime: Lifetime) -> bool {
        let Some(held) = self.held.get_mut(key) else { return false };
        let (before, after) = (held.lifetime.due(), lifetime.due());
        held.lifetime = lifetime;
        if before != after {
            uncount(&mut self.due, before);
            count(&mut self.due, after);
        }
        true
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, usize>, one: Option<K>) {
    if let Some(one) = one {
        *counts.entry(one).or_default() += 1;
    }
}

fn uncount<K: Ord>(counts: &mut BTreeMap<K, usize>, one: Option<K>) {
    let Some(one) = one else { return };
    if let Some(count) = counts.get_mut(&one) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&one);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vipward_core::interface::InterfaceName;

    fn key(interface: &str, last: u8) -> AddressKey {
        AddressKey {
            interface: InterfaceName::new(interface),
            address: IpAddr::from([192, 0, 2, last]),
            prefix_len: 32,
        }
    }

    #[test]
    fn an_address_on_two_interfaces_is_held_until_both_are_gone() {
        let mut addresses = Addresses::default();
        let held = Held { ours: true, lifetime: Lifetime::Forever };
        addresses.insert(key("eth0", 1), held);
        addresses.insert(key("eth1", 1), held);
        addresses.insert(key("eth1", 1), held);
        addresses.remove(&key("eth0", 1));
        assert!(addresses.holds(key("eth1", 1).address));
        addresses.remove(&key("eth1", 1));
        assert!(!addresses.holds(key("eth1", 1).address) && addresses.is_empty());
    }

    #[test]
    fn the_first_lifetime_is_known_whatever_is_renewed_and_removed() {
        let mut addresses = Addresses::default();
        let until = |at| Lifetime::Until(Instant::from_millis(at));
        for (last, at) in [(1, 500), (2, 500), (3, 700)] {
            addresses.insert(key("eth0", last), Held { ours: true, lifetime: until(at) });
        }
        assert!(addresses.renew(&key("eth0", 1), until(900)) && !addresses.renew(&key("eth0", 9), until(100)));
        assert_eq!(addresses.next_due(), Some(Instant::from_millis(500)));
        addresses.remove(&key("eth0", 2));
        assert_eq!(addresses.next_due(), Some(Instant::from_millis(700)));
        addresses.insert(key("eth0", 3), Held { ours: true, lifetime: Lifetime::Forever });
        assert_eq!(addresses.next_due(), Some(Instant::from_millis(900)));
    }
}
