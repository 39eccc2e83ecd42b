//! One raw socket of IP protocol 112 for all interfaces (RFC 9568 5.1.1: TTL 255, 224.0.0.18).

use crate::net::ipv4;
use crate::net::links::Links;
use bytes::Bytes;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use vipward_core::datagram::Datagram;
use vipward_core::time::Duration;

/// VRRP's protocol number (IANA). It marks our addresses in the kernel too.
pub const PROTOCOL: u8 = 112;

/// Room for adverts that come while this process does not run: about 2,000 of them.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Internetwork control, as keepalived and the RFC's age ask for it.
const TOS: u32 = 0xc0;

/// A VRRP message has at most 8 + 255 * 4 + 8 bytes behind an IPv4 header of at most 60. Longer ones are cut.
const LONGEST: usize = 2048;

/// Packets that are not even IPv4, one after the other, before others get their turn.
const MAX_UNREADABLE: usize = 64;

/// After an error of the socket.
const PAUSE: Duration = Duration::from_millis(10);

/// The socket. Hears unicast at once, multicast after [`AdvertSocket::join`].
pub struct AdvertSocket {
    io: UdpSocket,
    links: Rc<Links>,
}

impl AdvertSocket {
    /// Needs CAP_NET_RAW; must be called inside a runtime.
    pub fn open(links: Rc<Links>) -> io::Result<Self> {
        let socket = open_sender()?;
        socket.set_multicast_all_v4(false)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        // Beyond net.core.rmem_max only with CAP_NET_ADMIN over the whole machine, which a container lacks.
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        }
        socket.set_nonblocking(true)?;
        // tokio knows no raw sockets; its UDP socket waits for any descriptor, and the system calls below are ours.
        Ok(Self { io: UdpSocket::from_std(socket.into())?, links })
    }

    /// Joins a group on one interface. Joining twice is harmless.
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

    /// Leaves it again; not being there, or the interface being gone, is as good.
    pub fn leave(&self, index: u32, group: Ipv4Addr) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.io);
        match socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(()),
            done => done,
        }
    }

    /// Sends with the given source address and TTL. Multicast leaves by the advert's interface; unicast goes where the
    /// routing table sends it, as the peer may be behind another one.
    pub fn send(&self, advert: &Datagram) -> io::Result<()> {
        let index = if advert.destination.is_multicast() {
            self.links.index(&advert.interface).map_err(io::Error::other)?
        } else {
            0
        };
        send(&self.io, advert, index)
    }

    /// A packet that the kernel already holds. It is read from the socket itself, past the runtime: a process that was
    /// stopped must see what came meanwhile before it looks at its timers.
    pub fn waiting(&self) -> Option<Datagram> {
        self.receive().ok()
    }

    /// The next packet.
    pub async fn next(&self) -> Datagram {
        loop {
            match self.io.async_io(Interest::READABLE, || self.receive()).await {
                Ok(advert) => return advert,
                Err(error) => {
                    // Nothing that a raw socket reports is final: a link that goes down says so here as well. But a
                    // thread that runs before all others must not try without end.
                    tracing::debug!("receiving adverts: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn receive(&self) -> io::Result<Datagram> {
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
            let advert = Datagram {
                interface,
                source: header.source.into(),
                destination: header.destination.into(),
                ttl: ttl.unwrap_or(header.ttl),
                payload: Bytes::copy_from_slice(payload),
            };
            tracing::trace!("received {advert:?}");
            return Ok(advert);
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// A socket that sends as RFC 9568 5.1.1 asks for. Needs CAP_NET_RAW.
pub fn open_sender() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_ttl_v4(255)?;
    socket.set_tos_v4(TOS)?;
    Ok(socket)
}

/// Sends by a socket from [`open_sender`]; multicast leaves by the interface with this number.
pub fn send(socket: &impl AsRawFd, advert: &Datagram, index: u32) -> io::Result<()> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (advert.source, advert.destination) else {
        return Err(io::Error::other("IPv6 is not served yet"));
    };
    let index = if destination.is_multicast() { index } else { 0 };
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
