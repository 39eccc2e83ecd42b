//! Adverts as whole IP packets (RFC 791 3.1, RFC 8200 3), and back.

use crate::datagram::{AH, Datagram};
use crate::interface::InterfaceName;
use bytes::Bytes;
use etherparse::{IpDscp, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv6Header, Ipv6HeaderSlice};
use std::net::IpAddr;

/// VRRP's protocol number.
const PROTOCOL: u8 = 112;
/// Precedence 6.
const DSCP: IpDscp = IpDscp::CS6;

/// The packet; `None` when IP has no form for it: two families, or too long.
pub fn to_packet(datagram: &Datagram, out: &mut Vec<u8>) -> Option<()> {
    let Datagram { source, destination, ttl, payload, .. } = datagram;
    if datagram.is_whole() {
        out.extend_from_slice(payload);
        return Some(());
    }
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = u16::try_from(payload.len()).ok()?;
            let (source, destination) = (source.octets(), destination.octets());
            // Precedence 6, don't fragment, as adverts are sent (RFC 9568 5.1 leaves both open).
            let mut header = Ipv4Header::new(length, *ttl, IpNumber(PROTOCOL), source, destination).ok()?;
            header.dscp = DSCP;
            header.dont_fragment = true;
            header.header_checksum = header.calc_header_checksum();
            out.extend_from_slice(&header.to_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                traffic_class: u8::from(DSCP) << 2,
                payload_length: u16::try_from(payload.len()).ok()?,
                next_header: IpNumber(PROTOCOL),
                hop_limit: *ttl,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            out.extend_from_slice(&header.to_bytes());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    }
    out.extend_from_slice(payload);
    Some(())
}

/// What [`to_packet`] was given; `None` if the packet is not one of its making.
pub fn from_packet(interface: &InterfaceName, packet: &[u8]) -> Option<Datagram> {
    let (source, destination, ttl, payload): (IpAddr, IpAddr, u8, &[u8]) = match packet.first()? >> 4 {
        4 => {
            let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
            let payload = match header.protocol() {
                IpNumber(AH) => packet,
                _ => packet.get(header.slice().len()..)?,
            };
            (header.source_addr().into(), header.destination_addr().into(), header.ttl(), payload)
        }
        6 => {
            let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
            let payload = packet.get(header.slice().len()..)?;
            (header.source_addr().into(), header.destination_addr().into(), header.hop_limit(), payload)
        }
        _ => return None,
    };
    Some(Datagram { interface: interface.clone(), source, destination, ttl, payload: Bytes::copy_from_slice(payload) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datagram::IPV4_HEADER;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(
            source: IpAddr, destination: IpAddr, ttl: u8, payload in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let datagram =
                Datagram { interface: InterfaceName::new("eth0"), source, destination, ttl, payload: payload.into() };
            let mut packet = Vec::new();
            match to_packet(&datagram, &mut packet) {
                Some(()) => prop_assert_eq!(from_packet(&datagram.interface, &packet), Some(datagram)),
                None => prop_assert_ne!(source.is_ipv4(), destination.is_ipv4()),
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = from_packet(&InterfaceName::new("eth0"), &bytes);
        }
    }

    /// RFC 1071, by hand.
    fn sums_to_nothing(packet: &[u8]) -> bool {
        let words = packet[..IPV4_HEADER].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        (sum & 0xffff) + (sum >> 16) == 0xffff
    }

    /// An advert with an authentication header is a packet already.
    #[test]
    fn a_whole_packet_stays_as_it_is() {
        let (source, destination) = ([192, 0, 2, 11].into(), [224, 0, 0, 18].into());
        let payload = Bytes::from_static(&[0x21, 51, 100, 1]);
        let plain = Datagram { interface: InterfaceName::new("eth0"), source, destination, ttl: 255, payload };
        let sealed = crate::vrrp::ah::seal(&plain, b"secr3t\0\0", 7);
        let mut packet = Vec::new();
        to_packet(&sealed, &mut packet).unwrap();
        assert_eq!(packet, sealed.payload);
        assert!(sums_to_nothing(&packet));
        assert_eq!(from_packet(&sealed.interface, &packet), Some(sealed));
    }

    #[test]
    fn a_header_with_its_checksum_sums_to_nothing() {
        let datagram = Datagram {
            interface: InterfaceName::new("eth0"),
            source: [192, 0, 2, 11].into(),
            destination: [224, 0, 0, 18].into(),
            ttl: 255,
            payload: Bytes::from_static(&[0x21, 51, 100, 1]),
        };
        let mut packet = Vec::new();
        to_packet(&datagram, &mut packet).unwrap();
        assert!(sums_to_nothing(&packet));
        assert_eq!(packet.len(), 24);
    }
}
