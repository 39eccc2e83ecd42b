//! Addresses that are there whatever any virtual router is (`static_ipaddress`).

use super::{AddressBook, Change, Holder, MOST_ADDED};
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName};
use crate::time::Instant;
use std::net::IpAddr;

impl AddressBook {
    /// It is wanted whatever any virtual router is.
    pub fn is_static(&self, key: &AddressKey) -> bool {
        self.wanted.has(key, Holder::Static)
    }

    /// [`Self::settle`] of what is static, and nothing else.
    pub fn settle_statics(&mut self, now: Instant) -> Vec<Change> {
        if self.wanted.of(Holder::Static).is_empty() {
            return Vec::new();
        }
        let (statics, rest) = std::mem::take(&mut self.dirty).into_iter().partition(|key| self.is_static(key));
        self.dirty = rest;
        self.settle_these(statics, now, MOST_ADDED)
    }

    /// The first address of an interface that does not move and that `fits`: somebody else's or a static one, and none of
    /// `except`.
    pub fn primary<A>(
        &self,
        interface: &InterfaceName,
        except: &[InterfaceAddress],
        fits: impl Fn(IpAddr) -> Option<A>,
    ) -> Option<A> {
        let fits = |(rank, address): (u64, IpAddr)| {
            let moves = except.iter().any(|vip| vip.address == address);
            if moves { None } else { fits(address).map(|fit| (rank, fit)) }
        };
        let foreign = self.foreign.get(interface).into_iter().flatten().copied().find_map(fits);
        let statics = self.wanted.of(Holder::Static).iter().filter(|it| it.interface == *interface);
        let ours = statics.filter_map(|it| {
            let seen = self.seen.get(&it.key()).filter(|seen| seen.ours)?;
            fits((seen.rank, it.address))
        });
        ours.chain(foreign).min_by_key(|(rank, _)| *rank).map(|(_, fit)| fit)
    }
}
