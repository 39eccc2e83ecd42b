//! Datagrams of checkers (UDP), between one socket of ours and one real server.

use super::connect::{bind, hear_errors, ours};
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;
use vipward_core::check::{self, Binding, Shortage};

/// A connected socket: nobody else is heard, and what ICMP says about what was sent is an error of the next call.
#[derive(Debug)]
pub struct Datagrams(UdpSocket);

impl Datagrams {
    /// Must be called inside a runtime.
    ///
    /// # Errors
    /// The kernel's, or [`crate::system::shortage::Ours`] where our own end can't be as `from` says.
    pub fn open(target: SocketAddr, from: &Binding) -> io::Result<Self> {
        let (domain, any) = match target {
            SocketAddr::V4(_) => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into()),
        };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        hear_errors(&socket, target.ip())?;
        let address = from.address.or((from.port != 0).then_some(any));
        bind(&socket, &Binding { address, ..from.clone() }, from.port)?;
        socket.connect(&target.into()).map_err(|error| match Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            Errno::EADDRNOTAVAIL | Errno::EADDRINUSE if from.port != 0 => ours(Shortage::Port(from.port)),
            // What Linux says of a socket of datagrams for which no port is free.
            Errno::EAGAIN => ours(Shortage::Ports),
            _ => error, // The network's, or known by its number.
        })?;
        socket.set_nonblocking(true)?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }
}

impl check::Datagrams for Datagrams {
    async fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.0.send(payload).await.map(drop)
    }

    async fn receive(&self, room: usize) -> io::Result<Vec<u8>> {
        let mut payload = vec![0; room.max(1)];
        let length = self.0.recv(&mut payload).await?;
        payload.truncate(length.min(room));
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::shortage;
    use std::net::IpAddr;
    use vipward_core::check::Datagrams as _;

    /// Of either family a socket of the loopback, unless this machine has none.
    async fn servers() -> Vec<(UdpSocket, SocketAddr)> {
        let mut servers = Vec::new();
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            match UdpSocket::bind((address, 0)).await {
                Ok(socket) => {
                    let address = socket.local_addr().unwrap();
                    servers.push((socket, address));
                }
                Err(error) => println!("NOT RUN: datagrams to {address}: {error}"),
            }
        }
        servers
    }

    #[tokio::test]
    async fn what_is_sent_is_taken_and_answered() {
        for (server, target) in servers().await {
            let ours = Datagrams::open(target, &Binding::default()).unwrap();
            ours.send(b"ping").await.unwrap();
            let mut heard = [0; 16];
            let (length, from) = server.recv_from(&mut heard).await.unwrap();
            assert_eq!(&heard[..length], b"ping");
            // Somebody else is not heard.
            let stranger = UdpSocket::bind((target.ip(), 0)).await.unwrap();
            stranger.send_to(b"forged", from).await.unwrap();
            server.send_to(b"answer", from).await.unwrap();
            server.send_to(b"", from).await.unwrap();
            assert_eq!(ours.receive(4).await.unwrap(), b"answ", "{target}");
            assert_eq!(ours.receive(4).await.unwrap(), b"");
        }
    }

    #[tokio::test]
    async fn where_nobody_listens_it_is_refused() {
        for (server, target) in servers().await {
            drop(server);
            let ours = Datagrams::open(target, &Binding::default()).unwrap();
            ours.send(b"ping").await.unwrap();
            let error = ours.receive(4).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{target}");
            assert_eq!(shortage::of(&error), None);
        }
    }

    #[tokio::test]
    async fn our_own_end_is_as_it_was_asked_for_or_a_shortage() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap();
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let port = Binding { port: free, ..Binding::default() };
        // One attempt after another, as a checker makes them.
        for _ in 0..2 {
            let ours = Datagrams::open(target, &port).unwrap();
            ours.send(b"x").await.unwrap();
            assert_eq!(server.recv_from(&mut [0; 4]).await.unwrap().1.port(), free);
            let again = Datagrams::open(target, &port).unwrap_err();
            assert_eq!(shortage::of(&again), Some(Shortage::Port(free)));
        }
        // RFC 5737: nobody's.
        let address = IpAddr::from([203, 0, 113, 5]);
        let absent = Datagrams::open(target, &Binding { address: Some(address), ..Binding::default() });
        assert_eq!(shortage::of(&absent.unwrap_err()), Some(Shortage::Address(address)));
    }
}
