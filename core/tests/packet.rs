//! The wire format under random input.

#![allow(clippy::unwrap_used)] // All of it is tests.

use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vipward_core::interface::Family;
use vipward_core::quantity::{AdvertInterval, Version, Vrid};
use vipward_core::vrrp::packet::{AddressList, Advert, Authentication, wire_of};

fn authentication() -> impl Strategy<Value = Authentication> {
    prop_oneof![Just(Authentication::None), any::<[u8; 8]>().prop_map(Authentication::Password)]
}

fn address(family: Family, octets: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = octets;
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(octets)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        version_3: bool,
        vrid in 1u8..=255,
        priority: u8,
        centis in 1u16..=4095,
        seconds in 1u16..=255,
        authentication in authentication(),
        v6: bool,
        addresses in proptest::collection::vec(any::<[u8; 16]>(), 0..=255),
        source: [u8; 16],
        destination: [u8; 16],
        pseudo: bool,
    ) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        // Version 2 over IPv6 has none, and version 3 neither.
        let authentication = if version_3 || v6 { Authentication::None } else { authentication };
        let (source, destination) = (address(family, source), address(family, destination));
        let wire: Vec<u8> = addresses.iter().flat_map(|octets| wire_of(address(family, *octets))).collect();
        let pseudo = pseudo || family == Family::V6;
        let advert = Advert {
            version: if version_3 { Version::V3 } else { Version::V2 },
            vrid: Vrid::new(vrid).unwrap(),
            priority,
            interval: AdvertInterval::from_centis(if version_3 { centis } else { seconds * 100 }).unwrap(),
            authentication,
            addresses: AddressList::from_wire(family, &wire),
        };
        let bytes = advert.encode(pseudo.then_some((source, destination)));
        prop_assert_eq!(Advert::decode(&bytes, source, destination), Ok(advert));
        let expected = 8 + wire.len() + if version_3 || v6 { 0 } else { 8 };
        prop_assert_eq!(bytes.len(), expected);
        // Cut anywhere, it is none. (What version 2 sends for no password may be missing, and is zeros.)
        let unused = if !version_3 && !v6 && authentication == Authentication::None { 8 } else { 0 };
        for len in 0..bytes.len() - unused {
            prop_assert_ne!(Advert::decode(&bytes[..len], source, destination), Ok(advert));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2048), v6: bool, source: [u8; 16]) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        if let Ok(advert) = Advert::decode(&bytes, address(family, source), address(family, [18; 16])) {
            prop_assert_eq!(advert.addresses.iter().count(), advert.addresses.len());
        }
    }
}
