//! Packets of protocol 112 that no director sent: from the client of a [`crate::Pair`], 192.0.2.200, to the VRRP group.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use vipward_lab::Node;

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// A VRRPv2 advert without authentication (RFC 3768 5); `interval` in seconds.
pub fn advert_v2(vrid: u8, priority: u8, interval: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut bytes = vec![0x21, vrid, priority, count(addresses), 0, interval, 0, 0];
    bytes.extend(addresses.iter().flatten());
    bytes.extend([0; 8]);
    let sum = checksum(&bytes);
    put(bytes, sum)
}

/// A VRRPv3 advert whose checksum covers the pseudo header (RFC 9568 5); `interval` in centiseconds.
pub fn advert_v3(vrid: u8, priority: u8, interval: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut bytes = vec![0x31, vrid, priority, count(addresses), 0, interval, 0, 0];
    bytes.extend(addresses.iter().flatten());
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let pseudo = [&CLIENT.octets()[..], &GROUP.octets(), &[0, 112], &length, &bytes].concat();
    let sum = checksum(&pseudo);
    put(bytes, sum)
}

fn count(addresses: &[[u8; 4]]) -> u8 {
    u8::try_from(addresses.len()).unwrap_or(u8::MAX)
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn put(mut bytes: Vec<u8>, sum: u16) -> Vec<u8> {
    if let Some(field) = bytes.get_mut(6..8) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// Sends packets, each with its TTL.
pub fn send(client: &Node, packets: Vec<(Vec<u8>, u32)>) -> io::Result<()> {
    client.run(move || {
        let (socket, group) = open()?;
        for (bytes, ttl) in packets {
            socket.set_multicast_ttl_v4(ttl)?;
            socket.send_to(&bytes, &group)?;
        }
        Ok(())
    })
}

/// Sends one packet so many times, so far apart. How many left: where receivers are slow the kernel refuses some.
pub fn flood(client: &Node, bytes: Vec<u8>, times: u32, pause: Duration) -> io::Result<u32> {
    client.run(move || {
        let (socket, group) = open()?;
        socket.set_multicast_ttl_v4(255)?;
        let began = Instant::now();
        let mut sent = 0;
        for n in 0..times {
            sent += u32::from(socket.send_to(&bytes, &group).is_ok());
            std::thread::sleep((pause * n).saturating_sub(began.elapsed()));
        }
        Ok(sent)
    })
}

fn open() -> io::Result<(Socket, SockAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112)))?;
    socket.set_multicast_if_v4(&CLIENT)?;
    Ok((socket, SockAddr::from(SocketAddr::from((GROUP, 0)))))
}
