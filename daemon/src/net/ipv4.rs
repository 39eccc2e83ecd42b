//! The IPv4 header in front of a packet from a raw socket (RFC 791 3.1).

use std::net::Ipv4Addr;

/// What of it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    pub protocol: u8,
}

/// Takes the header off; `None` if there is no whole one. The kernel has checked its checksum and lengths, but what
/// comes from the wire is read as if it had not.
pub fn strip(packet: &[u8]) -> Option<(Header, &[u8])> {
    let header = etherparse::Ipv4HeaderSlice::from_slice(packet).ok()?;
    let payload = packet.get(header.slice().len()..)?;
    let (source, destination) = (header.source_addr(), header.destination_addr());
    Some((Header { source, destination, ttl: header.ttl(), protocol: header.protocol().0 }, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKET: [u8; 24] =
        [0x45, 0xc0, 0, 24, 0, 1, 0, 0, 255, 112, 0, 0, 10, 9, 0, 1, 224, 0, 0, 18, 0x21, 7, 200, 1];

    #[test]
    fn the_header_goes_and_the_message_stays() {
        let (header, payload) = strip(&PACKET).unwrap();
        assert_eq!(header.source, Ipv4Addr::new(10, 9, 0, 1));
        assert_eq!(header.destination, Ipv4Addr::new(224, 0, 0, 18));
        assert_eq!(header.ttl, 255);
        assert_eq!(payload, [0x21, 7, 200, 1]);
    }

    #[test]
    fn options_belong_to_the_header() {
        let mut packet = PACKET;
        packet[0] = 0x46;
        assert!(strip(&packet).unwrap().1.is_empty());
    }

    #[test]
    fn what_is_no_whole_header_is_nothing() {
        assert_eq!(strip(&[]), None);
        assert_eq!(strip(&PACKET[..19]), None);
        let mut six = PACKET;
        six[0] = 0x65;
        assert_eq!(strip(&six), None);
        let mut short = PACKET;
        short[0] = 0x44;
        assert_eq!(strip(&short), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some((_, payload)) = strip(&bytes) {
                prop_assert!(payload.len() + 20 <= bytes.len());
            }
        }
    }
}
