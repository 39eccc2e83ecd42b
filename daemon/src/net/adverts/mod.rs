//! Raw sockets of IP protocol 112 for all interfaces, one for each family, and of 51 for `auth_type AH` (RFC 9568 5.1: TTL or hop limit 255).

mod v4;
mod v6;

use self::v4::SocketV4;
use self::v6::SocketV6;
use crate::net::links::Links;
use bytes::Bytes;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;
use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use vipward_core::datagram::Datagram;
use vipward_core::interface::InterfaceName;
use vipward_core::time::Duration;

/// VRRP's protocol number (IANA). It marks our addresses in the kernel too.
pub const PROTOCOL: u8 = 112;

/// Room for adverts that come while this process does not run: about 2,000 of them.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Internetwork control, as keepalived and the RFC's age ask for it.
const TOS: u32 = 0xc0;

/// A VRRP message has at most 8 + 255 * 16 bytes, behind an IPv4 header of at most 60 and perhaps one of authentication. Longer ones are cut.
const LONGEST: usize = 4608;

/// Packets that can't be read, one after the other, before others get their turn.
const MAX_UNREADABLE: usize = 64;

/// After an error of the socket.
const PAUSE: Duration = Duration::from_millis(10);

/// The sockets. They hear unicast at once, multicast after [`AdvertSocket::join`].
pub struct AdvertSocket {
    v4: SocketV4,
    /// Of `auth_type AH`, which is a protocol of its own.
    authenticated: SocketV4,
    /// None on a machine without IPv6.
    v6: Option<SocketV6>,
    links: Rc<Links>,
    /// Whose turn it is to be asked first: a flood on one must not hide what the others hold.
    turn: Cell<usize>,
}

impl AdvertSocket {
    /// Needs CAP_NET_RAW; must be called inside a runtime.
    pub fn open(links: Rc<Links>) -> io::Result<Self> {
        let senders = Senders::open()?;
        let (v4, v6) = (SocketV4::of(senders.v4, links.clone())?, senders.v6);
        let authenticated = SocketV4::of_authenticated(senders.authenticated, links.clone())?;
        let v6 = v6.map(|socket| SocketV6::of(socket, links.clone())).transpose()?;
        Ok(Self { v4, authenticated, v6, links, turn: Cell::default() })
    }

    /// Joins a group on one interface. Joining twice is harmless.
    pub fn join(&self, index: u32, group: IpAddr) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                self.v4.join(index, group)?;
                self.authenticated.join(index, group)
            }
            IpAddr::V6(group) => self.v6.as_ref().ok_or_else(no_ipv6)?.join(index, group),
        }
    }

    /// Leaves it again; not being there, or the interface being gone, is as good.
    pub fn leave(&self, index: u32, group: IpAddr) -> io::Result<()> {
        match group {
            IpAddr::V4(group) => {
                self.authenticated.leave(index, group)?;
                self.v4.leave(index, group)
            }
            IpAddr::V6(group) => self.v6.as_ref().map_or(Ok(()), |socket| socket.leave(index, group)),
        }
    }

    /// Sends with the given source address and TTL. Multicast leaves by the advert's interface; unicast goes where the
    /// routing table sends it, as the peer may be behind another one.
    pub fn send(&self, advert: &Datagram) -> io::Result<()> {
        let index =
            if needs_interface(advert) { self.links.index(&advert.interface).map_err(io::Error::other)? } else { 0 };
        match (&self.v6, advert.destination) {
            (_, IpAddr::V4(_)) if advert.is_whole() => v4::send(&self.authenticated.io, advert, index),
            (_, IpAddr::V4(_)) => v4::send(&self.v4.io, advert, index),
            (Some(socket), IpAddr::V6(_)) => v6::send(&socket.io, advert, index),
            (None, IpAddr::V6(_)) => Err(no_ipv6()),
        }
    }

    /// A packet that the kernel already holds. It is read from the socket itself, past the runtime: a process that was
    /// stopped must see what came meanwhile before it looks at its timers.
    pub fn waiting(&self) -> Option<Datagram> {
        let first = self.turn.replace((self.turn.get() + 1) % 3);
        (first..first + 3).find_map(|turn| match turn % 3 {
            0 => self.v4.receive().ok(),
            1 => self.authenticated.receive().ok(),
            _ => self.v6.as_ref().and_then(|socket| socket.receive().ok()),
        })
    }

    /// The next packet.
    pub async fn next(&self) -> Datagram {
        loop {
            let of_v6 = async {
                match &self.v6 {
                    Some(socket) => socket.io.async_io(Interest::READABLE, || socket.receive()).await,
                    None => std::future::pending().await,
                }
            };
            let heard = tokio::select! {
                heard = self.v4.io.async_io(Interest::READABLE, || self.v4.receive()) => heard,
                heard = self.authenticated.io.async_io(Interest::READABLE, || self.authenticated.receive()) => heard,
                heard = of_v6 => heard,
            };
            match heard {
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
}

/// Sockets that send as RFC 9568 5.1 asks for.
pub struct Senders {
    v4: Socket,
    authenticated: Socket,
    /// None on a machine without IPv6.
    v6: Option<Socket>,
}

impl Senders {
    /// Needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let v6 = match v6::open_sender() {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => None,
            opened => Some(opened?),
        };
        Ok(Self { v4: v4::open_sender()?, authenticated: v4::open_authenticated_sender()?, v6 })
    }

    /// Hears nothing: of adverts that come, one fits in, and is never read.
    pub fn deafen(&self) -> io::Result<()> {
        for socket in [&self.v4, &self.authenticated] {
            socket.set_multicast_all_v4(false)?;
            socket.set_recv_buffer_size(0)?;
        }
        if let Some(socket) = &self.v6 {
            v6::only_joined_groups(socket)?;
            socket.set_recv_buffer_size(0)?;
        }
        Ok(())
    }

    /// Multicast leaves by the interface with this number.
    pub fn send(&self, advert: &Datagram, index: u32) -> io::Result<()> {
        let index = if needs_interface(advert) { index } else { 0 };
        match (&self.v6, advert.destination) {
            (_, IpAddr::V4(_)) if advert.is_whole() => v4::send(&self.authenticated, advert, index),
            (_, IpAddr::V4(_)) => v4::send(&self.v4, advert, index),
            (Some(socket), IpAddr::V6(_)) => v6::send(socket, advert, index),
            (None, IpAddr::V6(_)) => Err(no_ipv6()),
        }
    }
}

/// Multicast has no route, and a link-local address is of one interface.
fn needs_interface(advert: &Datagram) -> bool {
    let link_local = vipward_core::interface::is_link_local;
    advert.destination.is_multicast() || link_local(advert.destination) || link_local(advert.source)
}

fn no_ipv6() -> io::Error {
    io::Error::other("this machine has no IPv6")
}

fn two_families() -> io::Error {
    io::Error::other("source and destination are of two families")
}

/// For the runtime. It knows no raw sockets; its UDP socket waits for any descriptor, and the system calls are ours.
fn receiver(socket: Socket) -> io::Result<UdpSocket> {
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN over the whole machine, which a container lacks.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// What was heard, with its payload copied.
fn heard(interface: InterfaceName, source: IpAddr, destination: IpAddr, ttl: u8, payload: &[u8]) -> Datagram {
    let advert = Datagram { interface, source, destination, ttl, payload: Bytes::copy_from_slice(payload) };
    tracing::trace!("received {advert:?}");
    advert
}
