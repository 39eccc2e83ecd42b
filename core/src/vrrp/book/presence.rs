//! Which IP addresses this host has, on whatever interface and whosever they are, and news of those that others ask for.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Addresses that are there, and those of which is told when they come and go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Presence {
    /// On how many interfaces; never 0.
    interfaces: BTreeMap<IpAddr, usize>,
    /// What was told last; none: nothing yet.
    #[serde(default)]
    asked_for: BTreeMap<IpAddr, Option<bool>>,
    /// Of those, what may be otherwise now.
    #[serde(default)]
    marked: BTreeSet<IpAddr>,
}

impl Presence {
    pub fn has(&self, address: IpAddr) -> bool {
        self.interfaces.contains_key(&address)
    }

    /// It is on one interface more.
    pub fn add(&mut self, address: IpAddr) {
        *self.interfaces.entry(address).or_default() += 1;
        self.mark(address);
    }

    /// It is on one interface less.
    pub fn remove(&mut self, address: IpAddr) {
        if let Some(interfaces) = self.interfaces.get_mut(&address) {
            *interfaces -= 1;
            if *interfaces == 0 {
                self.interfaces.remove(&address);
            }
        }
        self.mark(address);
    }

    /// No address is there.
    pub fn clear(&mut self) {
        self.interfaces.clear();
        self.marked.extend(self.asked_for.keys());
    }

    /// From now on it is told of these and no others.
    pub fn ask_for(&mut self, addresses: BTreeSet<IpAddr>) {
        self.asked_for.retain(|address, _| addresses.contains(address));
        self.marked.retain(|address| addresses.contains(address));
        for address in addresses {
            self.asked_for.entry(address).or_insert_with(|| {
                self.marked.insert(address);
                None
            });
        }
    }

    /// What came and went since the last call, of those that were asked for; at first how each of them is.
    pub fn news(&mut self) -> Vec<(IpAddr, bool)> {
        let mut news = Vec::new();
        for address in std::mem::take(&mut self.marked) {
            let here = self.has(address);
            if let Some(told) = self.asked_for.get_mut(&address)
                && told.replace(here) != Some(here)
            {
                news.push((address, here));
            }
        }
        news
    }

    fn mark(&mut self, address: IpAddr) {
        if self.asked_for.contains_key(&address) {
            self.marked.insert(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn what_was_asked_for_is_told_once_and_when_it_changes() {
        let mut presence = Presence::default();
        presence.add(ip(1));
        presence.ask_for([ip(1), ip(2)].into());
        assert_eq!(presence.news(), [(ip(1), true), (ip(2), false)]);
        presence.ask_for([ip(1), ip(2)].into());
        assert_eq!(presence.news(), []);
        // A second interface has it: it goes with the last one.
        presence.add(ip(1));
        presence.remove(ip(1));
        assert_eq!(presence.news(), []);
        presence.remove(ip(1));
        assert_eq!(presence.news(), [(ip(1), false)]);
        // Read anew, and all is as it was.
        presence.add(ip(2));
        presence.clear();
        presence.add(ip(2));
        presence.add(ip(3));
        assert_eq!(presence.news(), [(ip(2), true)]);
        presence.ask_for([ip(3)].into());
        presence.clear();
        assert_eq!(presence.news(), [(ip(3), false)]);
    }
}
