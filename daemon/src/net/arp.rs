//! Gratuitous ARP: tells the segment which hardware address now answers for a VIP (RFC 826; RFC 9568 6.4.1).

use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Length of an ARP packet for Ethernet and IPv4.
pub const LENGTH: usize = 28;

const BROADCAST: [u8; 6] = [0xff; 6];

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

/// A packet socket that only sends.
pub struct ArpSocket(OwnedFd);

impl ArpSocket {
    /// Needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // Protocol 0: it receives nothing.
        Ok(Self(socket(AddressFamily::Packet, SockType::Datagram, flags, None)?))
    }

    /// Broadcasts an ARP packet on the interface with this number.
    pub fn broadcast(&self, index: u32, packet: &[u8; LENGTH]) -> io::Result<()> {
        sendto(self.0.as_raw_fd(), packet, &broadcast_address(index)?, MsgFlags::empty())?;
        Ok(())
    }
}

fn broadcast_address(index: u32) -> io::Result<LinkAddr> {
    let mut hardware = [0; 8];
    for (to, from) in hardware.iter_mut().zip(BROADCAST) {
        *to = from;
    }
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ARP as u16).to_be(),
        sll_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: hardware,
    };
    let length = u32::try_from(size_of_val(&raw)).map_err(io::Error::other)?;
    // nix has no safe way to make a LinkAddr from its parts.
    // SAFETY: `raw` is a whole sockaddr_ll of `length` bytes whose family says so; it is copied before it goes.
    #[allow(unsafe_code)]
    let address = unsafe { LinkAddr::from_raw((&raw const raw).cast(), Some(length)) };
    address.ok_or_else(|| io::Error::other("not a link-layer address"))
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
