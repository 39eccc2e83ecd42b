//! Tells a segment which hardware address now answers for a VIP.

use crate::net::{arp, ndisc};
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, SockaddrLike, sendto, socket};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

/// A packet socket that only sends.
pub struct AnnounceSocket(OwnedFd);

impl AnnounceSocket {
    /// Needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // Protocol 0: it receives nothing.
        Ok(Self(socket(AddressFamily::Packet, SockType::Datagram, flags, None)?))
    }

    /// Says on the interface with this number, whose hardware address this is, that `address` is there.
    pub fn announce(&self, index: u32, mac: [u8; 6], address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => {
                self.send(index, libc::ETH_P_ARP, arp::BROADCAST, &arp::gratuitous_request(mac, address))
            }
            IpAddr::V6(address) => self.send(
                index,
                libc::ETH_P_IPV6,
                ndisc::ALL_NODES_MAC,
                &ndisc::unsolicited_advertisement(mac, address),
            ),
        }
    }

    fn send(&self, index: u32, kind: libc::c_int, to: [u8; 6], packet: &[u8]) -> io::Result<()> {
        sendto(self.0.as_raw_fd(), packet, &link_address(index, kind, to)?, MsgFlags::empty())?;
        Ok(())
    }
}

fn link_address(index: u32, kind: libc::c_int, mac: [u8; 6]) -> io::Result<LinkAddr> {
    let mut hardware = [0; 8];
    for (to, from) in hardware.iter_mut().zip(mac) {
        *to = from;
    }
    let raw = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (kind as u16).to_be(),
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
