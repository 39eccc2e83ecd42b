//! Gratuitous ARP: tells the segment which hardware address now answers for a VIP (RFC 826; RFC 9568 6.4.1).

use std::net::Ipv4Addr;

/// Length of an ARP packet for Ethernet and IPv4.
pub const LENGTH: usize = 28;

/// Where it goes.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// An ARP request that asks for `address` in its own name. The target hardware address is broadcast, as keepalived
/// sends it; receivers take sender and target protocol address, which are equal.
pub fn gratuitous_request(mac: [u8; 6], address: Ipv4Addr) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    let fields: [&[u8]; 9] = [
        &1u16.to_be_bytes(),      // hardware type: Ethernet
        &0x0800u16.to_be_bytes(), // protocol type: IPv4
        &[6],
        &[4],
        &1u16.to_be_bytes(), // request
        &mac,
        &address.octets(),
        &BROADCAST,
        &address.octets(),
    ];
    for (to, from) in packet.iter_mut().zip(fields.into_iter().flatten()) {
        *to = *from;
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As captured from keepalived 2.2.7 for 10.9.0.100.
    #[test]
    fn looks_as_keepalived_sends_it() {
        let packet = gratuitous_request([0xc2, 0xea, 0xe8, 0x82, 0x17, 0xcb], Ipv4Addr::new(10, 9, 0, 100));
        assert_eq!(
            packet,
            [
                0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0xc2, 0xea, 0xe8, 0x82, 0x17, 0xcb, 0x0a, 0x09, 0x00,
                0x64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a, 0x09, 0x00, 0x64
            ]
        );
    }
}
