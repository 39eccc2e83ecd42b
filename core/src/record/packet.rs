//! Adverts as whole IP packets (RFC 791 3.1, RFC 8200 3), and back.

use crate::datagram::{AH, Datagram, IPV4_HEADER};
use crate::interface::InterfaceName;
use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// VRRP's protocol number.
const PROTOCOL: u8 = 112;
const IPV6_HEADER: usize = 40;

/// The packet; `None` when IP has no form for it: two families, or too long.
pub fn to_packet(datagram: &Datagram, out: &mut Vec<u8>) -> Option<()> {
    let Datagram { source, destination, ttl, payload, .. } = datagram;
    if datagram.is_whole() {
        out.extend_from_slice(payload);
        return Some(());
    }
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = u16::try_from(payload.len() + IPV4_HEADER).ok()?.to_be_bytes();
            // Precedence 6, don't fragment, as adverts are sent (RFC 9568 5.1 leaves both open).
            let mut header = [0; IPV4_HEADER];
            let fields = [0x45, 0xc0, length[0], length[1], 0, 0, 0x40, 0, *ttl, PROTOCOL, 0, 0];
            for (to, from) in
                header.iter_mut().zip(fields.into_iter().chain(source.octets()).chain(destination.octets()))
            {
                *to = from;
            }
            let sum = checksum(&header).to_be_bytes();
            for (to, from) in header.iter_mut().skip(10).zip(sum) {
                *to = from;
            }
            out.extend_from_slice(&header);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = u16::try_from(payload.len()).ok()?;
            out.extend_from_slice(&[0x6c, 0, 0, 0]);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&[PROTOCOL, *ttl]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
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
            let (header, payload) = packet.split_at_checked(IPV4_HEADER)?;
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(header.get(at..at + 4)?).ok()?));
            let payload = if header.get(9) == Some(&AH) { packet } else { payload };
            (address(12)?.into(), address(16)?.into(), *header.get(8)?, payload)
        }
        6 => {
            let (header, payload) = packet.split_at_checked(IPV6_HEADER)?;
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(header.get(at..at + 16)?).ok()?));
            (address(8)?.into(), address(24)?.into(), *header.get(7)?, payload)
        }
        _ => return None,
    };
    Some(Datagram { interface: interface.clone(), source, destination, ttl, payload: Bytes::copy_from_slice(payload) })
}

/// RFC 1071, over a header of whole 16-bit words.
fn checksum(header: &[u8]) -> u16 {
    let (words, _) = header.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from(sum & 0xffff).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(checksum(&packet[..IPV4_HEADER]), 0);
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
        assert_eq!(checksum(&packet[..IPV4_HEADER]), 0);
        assert_eq!(packet.len(), 24);
    }
}
