//! IP networks: what a segment is numbered from.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address without a prefix is taken to lie in.
const USUAL_PREFIX: (u8, u8) = (24, 64);

/// A network smaller than this has no room for a drill's machines; a wider one is assumed.
const SMALLEST_PREFIX: (u8, u8) = (26, 120);

/// Free numbers are looked for among so many; a network that is fuller than that has none.
const NUMBERS: u128 = 4096;

/// `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network {
    v6: bool,
    base: u128,
    len: u8,
}

impl Network {
    /// The network that `address` lies in. A prefix that leaves no room (a bare address is /32) is replaced by the
    /// usual one.
    pub fn of(address: IpAddr, len: u8) -> Self {
        let pick = |(v4, v6): (u8, u8)| if address.is_ipv4() { v4 } else { v6 };
        let len = if len > pick(SMALLEST_PREFIX) { pick(USUAL_PREFIX) } else { len };
        let (v6, number) = number(address);
        let mut network = Self { v6, base: 0, len };
        network.base = number & !network.host_mask();
        network
    }

    /// The usual network around an address.
    pub fn around(address: IpAddr) -> Self {
        Self::of(address, u8::MAX)
    }

    pub fn is_v6(self) -> bool {
        self.v6
    }

    pub fn len(self) -> u8 {
        self.len
    }

    pub fn contains(self, address: IpAddr) -> bool {
        let (v6, number) = number(address);
        v6 == self.v6 && number & !self.host_mask() == self.base
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address(0)) || other.contains(self.address(0))
    }

    /// The first free host number from `first` on, then from the beginning; it is taken afterwards.
    pub fn take(self, first: u128, taken: &mut BTreeSet<IpAddr>) -> Option<IpAddr> {
        // Neither the network's own address nor the last one, IPv4's broadcast.
        let last = self.host_mask().saturating_sub(1).min(NUMBERS);
        let free = (first..=last).chain(1..first.min(last)).map(|host| self.address(host));
        let found = free.into_iter().find(|address| !taken.contains(address))?;
        taken.insert(found);
        Some(found)
    }

    fn address(self, host: u128) -> IpAddr {
        let number = self.base | (host & self.host_mask());
        match u32::try_from(number) {
            Ok(number) if !self.v6 => IpAddr::V4(Ipv4Addr::from(number)),
            Ok(_) | Err(_) => IpAddr::V6(Ipv6Addr::from(number)),
        }
    }

    fn host_mask(self) -> u128 {
        let bits = if self.v6 { 128 } else { 32 };
        let host = u32::from(u8::saturating_sub(bits, self.len));
        1_u128.checked_shl(host).map_or(u128::MAX, |size| size - 1)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address(0), self.len)
    }
}

fn number(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (false, u128::from(u32::from(address))),
        IpAddr::V6(address) => (true, u128::from(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_bare_address_lies_in_the_usual_network() {
        assert_eq!(Network::of(ip("192.0.2.100"), 32).to_string(), "192.0.2.0/24");
        assert_eq!(Network::of(ip("192.0.2.100"), 16).to_string(), "192.0.0.0/16");
        assert_eq!(Network::of(ip("2001:db8::7"), 128).to_string(), "2001:db8::/64");
        assert_eq!(Network::of(ip("10.0.0.1"), 0).to_string(), "0.0.0.0/0");
    }

    #[test]
    fn a_number_is_given_once_and_never_the_first_or_last_of_the_network() {
        let network = Network::of(ip("192.0.2.1"), 26);
        let mut taken = BTreeSet::from([ip("192.0.2.61")]);
        let given: Vec<IpAddr> = std::iter::from_fn(|| network.take(60, &mut taken)).collect();
        assert_eq!(given.len(), 61);
        assert_eq!(given[..3], [ip("192.0.2.60"), ip("192.0.2.62"), ip("192.0.2.1")]);
        assert!(!given.contains(&ip("192.0.2.0")) && !given.contains(&ip("192.0.2.63")));
    }

    #[test]
    fn networks_overlap_when_one_holds_the_other() {
        let of = |address, len| Network::of(ip(address), len);
        assert!(of("10.0.0.0", 8).overlaps(of("10.1.2.0", 24)) && of("10.1.2.0", 24).overlaps(of("10.0.0.0", 8)));
        assert!(!of("10.1.2.0", 24).overlaps(of("10.1.3.0", 24)));
        assert!(!of("0.0.0.0", 0).overlaps(of("2001:db8::", 64)));
    }
}
