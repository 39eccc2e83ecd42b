//! Adverts over IPv4 (RFC 9568 5.1.1: 224.0.0.18).

use super::{LONGEST, MAX_UNREADABLE, PROTOCOL, TOS, heard, receiver, two_families};
use crate::net::ipv4;
use crate::net::links::Links;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockFilter, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use tokio::net::UdpSocket;
use vipward_core::datagram::{AH, Datagram};

pub struct SocketV4 {
    pub io: UdpSocket,
    links: Rc<Links>,
}

impl SocketV4 {
    /// Of adverts with an authentication header, which are told with their whole packets; of nobody else's IPsec.
    pub fn of_authenticated(socket: Socket, links: Rc<Links>) -> io::Result<Self> {
        socket.attach_filter(&only_vrrp())?;
        Self::of(socket, links)
    }

    pub fn of(socket: Socket, links: Rc<Links>) -> io::Result<Self> {
        socket.set_multicast_all_v4(false)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        Ok(Self { io: receiver(socket)?, links })
    }

    pub fn join(&self, index: u32, group: Ipv4Addr) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.io);
        match socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Err(io::Error::other(
                "too many multicast groups for one socket; raise the sysctl net.ipv4.igmp_max_memberships",
            )),
            done => done,
        }
    }

    pub fn leave(&self, index: u32, group: Ipv4Addr) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.io);
        match socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
            done => done,
        }
    }

    pub fn receive(&self) -> io::Result<Datagram> {
        let mut buffer = [0; LONGEST];
        for _ in 0..MAX_UNREADABLE {
            let mut control = cmsg_space!(libc::in_pktinfo, libc::c_int);
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let fd = self.io.as_raw_fd();
            let (length, index, ttl) =
                match recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
                    Ok(message) => {
                        let (mut index, mut ttl) = (None, None);
                        for control in message.cmsgs()? {
                            match control {
                                ControlMessageOwned::Ipv4PacketInfo(info) => {
                                    index = u32::try_from(info.ipi_ifindex).ok()
                                }
                                ControlMessageOwned::Ipv4Ttl(value) => ttl = u8::try_from(value).ok(),
                                // nix knows many that were not asked for.
                                _ => {}
                            }
                        }
                        (message.bytes, index, ttl)
                    }
                    Err(Errno::EINTR) => continue,
                    Err(error) => return Err(error.into()),
                };
            let packet = buffer.get(..length).unwrap_or_default();
            let interface = index.and_then(|index| self.links.name(index));
            let (Some((header, payload)), Some(interface)) = (ipv4::strip(packet), interface) else {
                tracing::debug!("a packet of protocol {PROTOCOL} without a whole IPv4 header or a known interface");
                continue;
            };
            let (source, destination) = (header.source.into(), header.destination.into());
            let payload = if header.protocol == AH { packet } else { payload };
            return Ok(heard(interface, source, destination, ttl.unwrap_or(header.ttl), payload));
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

pub fn open_sender() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_ttl_v4(255)?;
    socket.set_tos_v4(TOS)?;
    Ok(socket)
}

/// The same for whole packets of the authentication header: their IP headers are authenticated too.
pub fn open_authenticated_sender() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(AH))))?;
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    Ok(socket)
}

/// Behind the IP header, which may have any length, stands an authentication header with VRRP's number.
fn only_vrrp() -> [SockFilter; 5] {
    let step = |code: u32, no: u8, value: u32| SockFilter::new(u16::try_from(code).unwrap_or_default(), 0, no, value);
    [
        step(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0),
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_IND, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, u32::from(PROTOCOL)),
        step(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
        step(libc::BPF_RET | libc::BPF_K, 0, 0),
    ]
}

/// Sends by a socket from [`open_sender`], by the interface with this number if it is none of the routing table's.
pub fn send(socket: &impl AsRawFd, advert: &Datagram, index: u32) -> io::Result<()> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (advert.source, advert.destination) else {
        return Err(two_families());
    };
    let info = libc::in_pktinfo {
        ipi_ifindex: i32::try_from(index).map_err(io::Error::other)?,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let ttl = libc::c_int::from(advert.ttl);
    let sent = sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(&advert.payload)],
        &[ControlMessage::Ipv4PacketInfo(&info), ControlMessage::Ipv4Ttl(&ttl)],
        MsgFlags::MSG_DONTWAIT,
        Some(&SockaddrIn::from(SocketAddrV4::new(destination, 0))),
    )?;
    if sent == advert.payload.len() { Ok(()) } else { Err(io::Error::other("sent only in part")) }
}
