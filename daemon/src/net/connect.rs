//! Connections of checkers, and what `bindto`, `bind_port`, `bind_if` and `fwmark` ask of our end of them.
//!
//! A worker has the rights that this takes: CAP_NET_ADMIN or CAP_NET_RAW for a mark (socket(7)), CAP_NET_RAW to leave an
//! interface, CAP_NET_BIND_SERVICE for ports below 1024. What is refused all the same is [`Ours`]: it says nothing about
//! the other side.

use crate::system::shortage::Ours;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use tokio::net::{TcpSocket, TcpStream};
use vipward_core::check::{Binding, Shortage};

/// Opens a connection, however long that takes. Must be called inside a runtime.
///
/// # Errors
/// The network's, or [`Ours`] where our own end can't be as `from` says.
pub async fn connect(target: SocketAddr, from: &Binding) -> io::Result<TcpStream> {
    if *from == Binding::default() {
        return TcpStream::connect(target).await;
    }
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if from.port != 0 {
        // The next attempt has the same two ends: nothing may wait in TIME_WAIT when this one is closed (RFC 9293 3.6.1).
        socket.set_reuseaddr(true)?;
        socket.set_zero_linger()?;
    }
    let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    bind(&socket, &Binding { address: from.address.or((from.port != 0).then_some(any)), ..from.clone() }, from.port)?;
    socket.connect(target).await.map_err(|error| match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        // Not of all ports, but of this one.
        Errno::EADDRNOTAVAIL | Errno::EADDRINUSE if from.port != 0 => ours(Shortage::Port(from.port)),
        _ => error, // The network's.
    })
}

/// Gives a socket the interface, the mark and the address of `from`, and this port; 0: whichever is free.
///
/// # Errors
/// [`Ours`], but for what is short whatever was asked for.
pub fn bind(socket: &impl AsFd, from: &Binding, port: u16) -> io::Result<()> {
    let its = SockRef::from(socket);
    if let Some(interface) = &from.interface {
        its.bind_device(Some(interface.as_str().as_bytes())).map_err(|error| refused(error, from, port))?;
    }
    if from.mark != 0 {
        its.set_mark(from.mark).map_err(|error| refused(error, from, port))?;
    }
    if let Some(address) = from.address {
        if port == 0 && address.is_ipv4() {
            // The port is chosen when the other end is known: one serves many real servers. Without it, they are fewer.
            let _ = setsockopt(socket, sockopt::IpBindAddressNoPort, &true);
        }
        its.bind(&SocketAddr::new(address, port).into()).map_err(|error| refused(error, from, port))?;
    }
    Ok(())
}

/// That nobody is there, or no way, is to be heard at once, and not by silence.
///
/// # Errors
/// The kernel's.
pub fn hear_errors(socket: &impl AsFd, target: IpAddr) -> io::Result<()> {
    match target {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// Why our own end can't be as it should.
fn refused(error: io::Error, from: &Binding, port: u16) -> io::Error {
    let address = from.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
        // EINVAL: an IPv6 address of one link, without an interface.
        Errno::EADDRNOTAVAIL | Errno::EINVAL => ours(Shortage::Address(address)),
        Errno::EADDRINUSE if port == 0 => ours(Shortage::Ports),
        Errno::EADDRINUSE => ours(Shortage::Port(port)),
        Errno::ENODEV => ours(Shortage::Interface),
        Errno::EPERM | Errno::EACCES => ours(Shortage::Right),
        _ => error, // Memory and descriptors are known by their numbers; nothing else is to be expected.
    }
}

pub(super) fn ours(shortage: Shortage) -> io::Error {
    io::Error::other(Ours(shortage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::shortage;
    use vipward_core::interface::InterfaceName;

    fn shortage_of(result: io::Result<TcpStream>) -> Option<Shortage> {
        shortage::of(&result.unwrap_err())
    }

    /// A server's socket of the loopback, and its address.
    async fn server() -> (tokio::net::TcpListener, SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn the_server_sees_the_address_that_was_asked_for() {
        let (listener, target) = server().await;
        let address = IpAddr::from([127, 0, 0, 77]);
        let from = Binding { address: Some(address), interface: Some(InterfaceName::new("lo")), ..Binding::default() };
        let _stream = connect(target, &from).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1.ip(), address);
    }

    /// One attempt after another, as a checker makes them: none is in the way of the next.
    #[tokio::test]
    async fn the_same_port_again_and_again() {
        let (listener, target) = server().await;
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for _ in 0..3 {
            let stream = connect(target, &Binding { port: free, ..Binding::default() }).await.unwrap();
            let (theirs, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.port(), free);
            drop(stream);
            drop(theirs);
        }
        let held = connect(target, &Binding { port: free, ..Binding::default() }).await.unwrap();
        let again = connect(target, &Binding { port: free, ..Binding::default() }).await;
        assert_eq!(shortage_of(again), Some(Shortage::Port(free)));
        drop(held);
    }

    #[tokio::test]
    async fn what_this_host_has_not_is_no_verdict_about_the_server() {
        let (_listener, target) = server().await;
        // RFC 5737: nobody's.
        let address = IpAddr::from([203, 0, 113, 5]);
        let absent = Binding { address: Some(address), ..Binding::default() };
        assert_eq!(shortage_of(connect(target, &absent).await), Some(Shortage::Address(address)));
        assert_eq!(
            shortage::of(&super::super::echo::echo(target.ip(), &absent).await.unwrap_err()),
            Some(Shortage::Address(address))
        );
        let interface = Binding { interface: Some(InterfaceName::new("nosuch0")), ..Binding::default() };
        assert_eq!(shortage_of(connect(target, &interface).await), Some(Shortage::Interface));
        // A refusal is the server's all the same.
        drop(_listener);
        let here = Binding { address: Some([127, 0, 0, 1].into()), ..Binding::default() };
        assert_eq!(shortage_of(connect(target, &here).await), None);
    }

    #[tokio::test]
    async fn a_mark_is_set_or_refused_as_ours() {
        let (_listener, target) = server().await;
        match connect(target, &Binding { mark: 7, ..Binding::default() }).await {
            Ok(stream) => assert_eq!(SockRef::from(&stream).mark().unwrap(), 7),
            Err(error) => assert_eq!(shortage::of(&error), Some(Shortage::Right)),
        }
    }
}
