//! The unsolicited neighbour advertisement (RFC 4861 4.4 and 7.2.6; RFC 9568 6.4.1): what gratuitous ARP is to IPv4.

use std::net::Ipv6Addr;

/// Length of the packet: IPv6 header, advertisement, and one option.
pub const LENGTH: usize = 40 + 24 + 8;

/// ff02::1, and its Ethernet address (RFC 2464 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// R and O, and not S.
const ROUTER_OVERRIDE: u8 = 0xa0;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const ICMPV6_LENGTH: u8 = 32;

/// From the address itself, as keepalived sends it. R is set whatever this host forwards (RFC 9568 6.4.1); keepalived sets it
/// on a host that forwards. Receivers take it as a reason to keep a router, and never to take one.
pub fn unsolicited_advertisement(mac: [u8; 6], address: Ipv6Addr) -> [u8; LENGTH] {
    let (source, destination) = (address.octets(), ALL_NODES.octets());
    let build = |checksum: [u8; 2]| {
        let mut packet = [0; LENGTH];
        let fields: [&[u8]; 10] = [
            // Version 6, then the payload's length, what it is, and the hop limit that RFC 4861 7.1.2 asks for.
            &[0x60, 0, 0, 0, 0, ICMPV6_LENGTH, ICMPV6, 255],
            &source,
            &destination,
            &[NEIGHBOUR_ADVERTISEMENT, 0],
            &checksum,
            &[ROUTER_OVERRIDE, 0, 0, 0],
            &source,
            &[TARGET_LINK_LAYER_ADDRESS, 1], // in units of 8 bytes
            &mac,
            &[],
        ];
        for (to, from) in packet.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        packet
    };
    // The pseudo header (RFC 8200 8.1) is what stands from the source on, with length and protocol.
    let unsigned = build([0, 0]);
    let (words, _) = unsigned.get(8..).unwrap_or_default().as_chunks::<2>();
    let pseudo = u32::from(ICMPV6_LENGTH) + u32::from(ICMPV6);
    let sum = words.iter().fold(pseudo, |sum, word| sum + u32::from(u16::from_be_bytes(*word)));
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    build((!u16::try_from(sum & 0xffff).unwrap_or(u16::MAX)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As captured from keepalived 2.2.7 for fd00:9::100 on a host that does not forward: R is clear there, and so its checksum
    /// is greater by 0x8000.
    #[test]
    fn looks_as_keepalived_sends_it_but_for_the_router_flag() {
        let mut expected = [0; LENGTH];
        let captured = "6000000000203afffd000009000000000000000000000100ff020000000000000000000000000001\
                        880060d020000000fd00000900000000000000000000010002013a919ea12089";
        for (to, at) in expected.iter_mut().zip((0..).step_by(2)) {
            *to = u8::from_str_radix(&captured[at..at + 2], 16).unwrap();
        }
        let mut packet =
            unsolicited_advertisement([0x3a, 0x91, 0x9e, 0xa1, 0x20, 0x89], "fd00:9::100".parse().unwrap());
        assert_eq!(packet[44], 0xa0);
        packet[44] = 0x20;
        let sum = u16::from_be_bytes([packet[42], packet[43]]);
        // One's complement: adding 0x8000 carries round.
        let (sum, carry) = sum.overflowing_add(0x8000);
        packet[42..44].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
        assert_eq!(packet, expected);
    }
}
