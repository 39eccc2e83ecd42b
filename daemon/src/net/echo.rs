//! ICMP echoes for PING_CHECK (RFC 792, RFC 4443 4).
//!
//! Linux has a kind of socket for this that needs no privilege (`net.ipv4.ping_group_range`); where that is not allowed, a
//! raw one does it, for which a worker has CAP_NET_RAW. One socket serves one attempt: the first gives each its own
//! identifier, and neither mixes up what belongs to whom.

use crate::net::connect::{bind, hear_errors};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::UdpSocket;
use vipward_core::check::Binding;

/// A reply is as long as its request, behind an IPv4 header of at most 60 bytes. What is longer is not ours.
const LONGEST: usize = 256;

/// Packets that are not the reply, one after the other, before others get their turn.
const MAX_OTHERS: u32 = 64;

/// Counts requests over the life of the process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Sends one request and waits for its reply, however long that takes. Must be called inside a runtime.
pub async fn echo(target: IpAddr, from: &Binding) -> io::Result<()> {
    let (socket, kind) = open(target, from)?;
    let request = Request::new(target, kind);
    socket.send(&request.packet()).await?;
    let mut others = 0;
    loop {
        let mut packet = [0; LONGEST];
        let length = socket.recv(&mut packet).await?;
        if request.is_answered_by(packet.get(..length).unwrap_or_default()) {
            return Ok(());
        }
        others += 1;
        if others % MAX_OTHERS == 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The kernel puts its own identifier into requests, and delivers only replies to it, from the ICMP header on.
    Unprivileged,
    /// It delivers all of ICMP, over IPv4 with the IP header before it.
    Raw,
}

fn open(target: IpAddr, from: &Binding) -> io::Result<(UdpSocket, Kind)> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let (socket, kind) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => (socket, Kind::Unprivileged),
        Err(_) => (Socket::new(domain, Type::RAW, Some(protocol))?, Kind::Raw),
    };
    hear_errors(&socket, target)?;
    bind(&socket, from, 0)?;
    // Only what comes from there.
    socket.connect(&SocketAddr::new(target, 0).into())?;
    socket.set_nonblocking(true)?;
    // tokio knows no such sockets; its UDP socket waits for any descriptor, and sends and receives with plain system calls.
    Ok((UdpSocket::from_std(socket.into())?, kind))
}

struct Request {
    v4: bool,
    kind: Kind,
    /// Identifier and sequence number: the high half is the identifier.
    number: u32,
    /// Tells our requests from those of other processes with the same numbers.
    token: [u8; 8],
}

impl Request {
    fn new(target: IpAddr, kind: Kind) -> Self {
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        // Neighbouring processes begin far from each other.
        let number = count.wrapping_add(std::process::id().wrapping_mul(0x9e37_79b9));
        let mut token = [0; 8];
        token.iter_mut().zip(std::process::id().to_be_bytes().into_iter().chain(count.to_be_bytes())).for_each(
            |(to, from)| {
                *to = from;
            },
        );
        Self { v4: target.is_ipv4(), kind, number, token }
    }

    fn packet(&self) -> Vec<u8> {
        let kind = if self.v4 { 8 } else { 128 };
        let mut packet = vec![kind, 0, 0, 0];
        packet.extend(self.number.to_be_bytes());
        packet.extend(self.token);
        // Over IPv6 the kernel does it, since it knows the source address.
        if self.v4 {
            let sum = checksum(&packet).to_be_bytes();
            packet.splice(2..4, sum);
        }
        packet
    }

    fn is_answered_by(&self, packet: &[u8]) -> bool {
        let message = match (self.v4, self.kind) {
            (true, Kind::Raw) => {
                let words = packet.first().map_or(0, |first| usize::from(first & 0x0f));
                packet.get(words * 4..).unwrap_or_default()
            }
            (true, Kind::Unprivileged) | (false, _) => packet,
        };
        let reply = if self.v4 { 0 } else { 129 };
        let [kind, 0, _, _, id_high, id_low, sequence @ .., _, _, _, _, _, _, _, _] = message else { return false };
        let [ours_high, ours_low, our_sequence @ ..] = self.number.to_be_bytes();
        let same_id = match self.kind {
            // Only the kernel knows it.
            Kind::Unprivileged => true,
            Kind::Raw => [*id_high, *id_low] == [ours_high, ours_low],
        };
        *kind == reply && same_id && *sequence == our_sequence && message.ends_with(&self.token)
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let [high, low] = [0, 1].map(|at| u32::from(pair.get(at).copied().unwrap_or(0)));
        high << 8 | low
    });
    let sum = words.fold(0_u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    /// What the other side makes of a request.
    fn reply(request: &Request) -> Vec<u8> {
        let mut packet = request.packet();
        packet[0] = if request.v4 { 0 } else { 129 };
        let header: &[u8] = if request.v4 && request.kind == Kind::Raw { &[0x46; 24] } else { &[] };
        [header, &packet].concat()
    }

    #[test]
    fn a_reply_is_known_by_its_numbers_and_what_it_brings_back() {
        for target in [V4, V6] {
            for kind in [Kind::Unprivileged, Kind::Raw] {
                let [one, other] = [0, 1].map(|_| Request::new(target, kind));
                assert!(one.is_answered_by(&reply(&one)), "{target} {kind:?}");
                assert!(!one.is_answered_by(&reply(&other)), "{target} {kind:?}");
                assert!(!one.is_answered_by(&one.packet()), "its own request, heard by a raw socket on loopback");
                let mut strange = reply(&one);
                *strange.last_mut().unwrap() ^= 1;
                assert!(!one.is_answered_by(&strange), "another process's");
                let whole = reply(&one);
                assert!((0..whole.len()).all(|length| !one.is_answered_by(&whole[..length])), "cut off");
            }
        }
        let raw = Request::new(V4, Kind::Raw);
        let mut strange = reply(&raw);
        strange[24 + 4] ^= 1;
        assert!(!raw.is_answered_by(&strange), "another identifier");
        assert!(!raw.is_answered_by(&[0xff; LONGEST]));
    }

    #[test]
    fn the_checksum_sums_up_to_nothing() {
        assert_eq!(checksum(&Request::new(V4, Kind::Raw).packet()), 0);
        // RFC 1071 3.
        assert_eq!(!checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    #[tokio::test]
    async fn this_machine_answers_itself() {
        for target in [V4, V6] {
            match open(target, &Binding::default()) {
                Err(error) => println!("NOT RUN: an echo of {target}: {error}"),
                Ok(_) => echo(target, &Binding::default()).await.unwrap(),
            }
        }
    }
}
