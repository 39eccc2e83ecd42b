//! Adverts over IPv6 (RFC 9568 5.1.2: ff02::12).
//!
//! The kernel takes header and extension headers off what comes, and computes no checksum of what leaves: the message brings its
//! own, over the addresses that it is sent with.

use super::{LONGEST, MAX_UNREADABLE, PROTOCOL, TOS, heard, receiver, two_families};
use crate::net::links::Links;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use tokio::net::UdpSocket;
use vipward_core::datagram::Datagram;

pub struct SocketV6 {
    pub io: UdpSocket,
    links: Rc<Links>,
}

impl SocketV6 {
    pub fn of(socket: Socket, links: Rc<Links>) -> io::Result<Self> {
        only_joined_groups(&socket)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        socket.set_recv_hoplimit_v6(true)?;
        Ok(Self { io: receiver(socket)?, links })
    }

    pub fn join(&self, index: u32, group: Ipv6Addr) -> io::Result<()> {
        match socket2::SockRef::from(&self.io).join_multicast_v6(&group, index) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => Ok(()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::ENOBUFS)) => {
                Err(io::Error::other("too many multicast groups for one socket; raise the sysctl net.core.optmem_max"))
            }
            done => done,
        }
    }

    pub fn leave(&self, index: u32, group: Ipv6Addr) -> io::Result<()> {
        match socket2::SockRef::from(&self.io).leave_multicast_v6(&group, index) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
            done => done,
        }
    }

    pub fn receive(&self) -> io::Result<Datagram> {
        let mut buffer = [0; LONGEST];
        for _ in 0..MAX_UNREADABLE {
            let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int);
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let fd = self.io.as_raw_fd();
            let (mut to, mut hop_limit) = (None, None);
            let (length, source) =
                match recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
                    Ok(message) => {
                        for control in message.cmsgs()? {
                            match control {
                                ControlMessageOwned::Ipv6PacketInfo(info) => {
                                    to = Some((info.ipi6_ifindex, Ipv6Addr::from(info.ipi6_addr.s6_addr)));
                                }
                                ControlMessageOwned::Ipv6HopLimit(value) => hop_limit = u8::try_from(value).ok(),
                                // nix knows many that were not asked for.
                                _ => {}
                            }
                        }
                        (message.bytes, message.address.map(|address| address.ip()))
                    }
                    Err(Errno::EINTR) => continue,
                    Err(error) => return Err(error.into()),
                };
            let payload = buffer.get(..length).unwrap_or_default();
            let to = to.and_then(|(index, destination)| Some((self.links.name(index)?, destination)));
            let (Some((interface, destination)), Some(source), Some(hop_limit)) = (to, source, hop_limit) else {
                tracing::debug!("a packet of protocol {PROTOCOL} over IPv6 without a known interface");
                continue;
            };
            return Ok(heard(interface, source.into(), destination.into(), hop_limit, payload));
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

pub fn open_sender() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_hops_v6(255)?;
    socket.set_tclass_v6(TOS)?;
    Ok(socket)
}

/// None of the groups that other sockets of this host have joined. Linux before 4.20 knows no such thing.
pub fn only_joined_groups(socket: &Socket) -> io::Result<()> {
    match socket.set_multicast_all_v6(false) {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        done => done,
    }
}

/// Sends by a socket from [`open_sender`], by the interface with this number if it is none of the routing table's.
pub fn send(socket: &impl AsRawFd, advert: &Datagram, index: u32) -> io::Result<()> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (advert.source, advert.destination) else {
        return Err(two_families());
    };
    let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: index };
    let hop_limit = libc::c_int::from(advert.ttl);
    let sent = sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(&advert.payload)],
        &[ControlMessage::Ipv6PacketInfo(&info), ControlMessage::Ipv6HopLimit(&hop_limit)],
        MsgFlags::MSG_DONTWAIT,
        Some(&SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, index))),
    )?;
    if sent == advert.payload.len() { Ok(()) } else { Err(io::Error::other("sent only in part")) }
}
