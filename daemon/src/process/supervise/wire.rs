//! What supervisor and worker say to each other: postcard with a version byte before it, one message a packet, over a
//! `SOCK_SEQPACKET` socketpair that is the worker's standard input when it starts.

use crate::system::passing;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use vipward_core::machine::LastWill;
use vipward_core::supervisor::{Report, ReportSink};

/// Changes whenever [`Report`] or [`vipward_core::supervisor::Order`] does.
pub const VERSION: u8 = 4;

/// No packet is longer.
pub const LONGEST: usize = 64 << 10;

/// What of a last will goes into one packet: datagrams have at most 1,100 bytes, addresses 40.
const DATAGRAMS: usize = 16;
const ADDRESSES: usize = 512;
/// The same of routes, which have at most 40 bytes as well.
const ROUTES: usize = 512;
/// And of policy rules, of which one has up to 200.
const RULES: usize = 64;

/// Why a packet says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Somebody of another version speaks.
    Version(u8),
    Garbage,
}

pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    // Into memory nothing fails but what can't be serialised at all, and nothing here is such.
    let mut packet = postcard::to_extend(message, vec![VERSION]).unwrap_or_default();
    packet.shrink_to_fit();
    packet
}

pub fn decode<T: DeserializeOwned>(packet: &[u8]) -> Result<T, Unreadable> {
    match packet.split_first() {
        Some((&VERSION, message)) => postcard::from_bytes(message).map_err(|_| Unreadable::Garbage),
        Some((&version, _)) => Err(Unreadable::Version(version)),
        None => Err(Unreadable::Garbage),
    }
}

/// Sends one packet, or says at once why not.
pub fn send_packet(socket: &OwnedFd, packet: &[u8]) -> Result<(), Errno> {
    send(socket.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL).map(drop)
}

/// The same with a descriptor.
pub fn send_packet_with(socket: &OwnedFd, packet: &[u8], descriptor: &OwnedFd) -> Result<(), Errno> {
    passing::send(socket, packet, &[descriptor.as_fd()], MsgFlags::MSG_DONTWAIT)
}

/// A packet that is there, and the descriptor that came with it, if one did.
pub fn receive_packet_with<'b>(
    socket: &impl AsRawFd,
    buffer: &'b mut [u8; LONGEST],
) -> Result<Option<passing::With<'b, Option<OwnedFd>>>, Errno> {
    let received = passing::receive(socket, buffer, MsgFlags::MSG_DONTWAIT)?;
    Ok(received.map(|(packet, mut descriptors)| (packet, descriptors.pop())))
}

/// One packet that is there; `Ok(None)`: the other end is gone.
pub fn receive_packet<'b>(socket: &impl AsRawFd, buffer: &'b mut [u8; LONGEST]) -> Result<Option<&'b [u8]>, Errno> {
    match recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)? {
        0 => Ok(None),
        length => Ok(buffer.get(..length)),
    }
}

/// How long it is waited for room before the next try.
const SETTLE: Duration = Duration::from_millis(10);

/// A worker's way to its supervisor.
#[derive(Clone, Debug)]
pub struct Line {
    socket: Arc<OwnedFd>,
    /// Packets of a report that was taken and did not fit in.
    waiting: VecDeque<Vec<u8>>,
}

impl Line {
    pub fn new(socket: Arc<OwnedFd>) -> Self {
        Self { socket, waiting: VecDeque::new() }
    }

    /// True when nothing waits any more.
    fn flush(&mut self) -> bool {
        while let Some(packet) = self.waiting.front() {
            match send_packet(&self.socket, packet) {
                Ok(()) => self.waiting.pop_front(),
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => return false,
                // The supervisor is gone: whoever waits for its orders notices.
                Err(_) => self.waiting.pop_front(),
            };
        }
        true
    }
}

impl ReportSink for Line {
    fn report(&mut self, report: Report) -> bool {
        if !self.flush() {
            return false;
        }
        self.waiting.extend(split(report).iter().map(encode));
        self.flush();
        true
    }

    fn settle(&mut self) -> bool {
        if !self.flush() {
            std::thread::sleep(SETTLE);
            self.flush();
        }
        self.waiting.is_empty()
    }
}

/// A last will in parts that fit into packets; every other report does.
fn split(report: Report) -> Vec<Report> {
    let Report::LastWill { share, first: true, part } = report else { return vec![report] };
    let datagrams =
        part.datagrams.chunks(DATAGRAMS).map(|some| LastWill { datagrams: some.to_vec(), ..LastWill::default() });
    let addresses =
        part.addresses.chunks(ADDRESSES).map(|some| LastWill { addresses: some.to_vec(), ..LastWill::default() });
    let routes = part.routes.chunks(ROUTES).map(|some| LastWill { routes: some.to_vec(), ..LastWill::default() });
    let rules = part.rules.chunks(RULES).map(|some| LastWill { rules: some.to_vec(), ..LastWill::default() });
    let mut parts: Vec<LastWill> = datagrams.chain(addresses).chain(routes).chain(rules).collect();
    let fits = part.datagrams.len() <= DATAGRAMS && part.addresses.len() <= ADDRESSES;
    if fits && part.routes.len() <= ROUTES && part.rules.len() <= RULES {
        parts = vec![part];
    }
    let parts = parts.into_iter().enumerate();
    parts.map(|(place, part)| Report::LastWill { share, first: place == 0, part }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::passing::pair;
    use bytes::Bytes;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use vipward_core::datagram::Datagram;
    use vipward_core::interface::{AddressKey, Family, InterfaceName};
    use vipward_core::route::{RouteKey, Rule, RuleAction};
    use vipward_core::supervisor::{Effect, Event, Supervisor, WorkerId};
    use vipward_core::time::Instant;

    /// As large as they get: 5,000 addresses, 300 unicast peers, adverts of 255 addresses with a password.
    fn large() -> LastWill {
        let interface = InterfaceName::new("fifteen-letters");
        let ip = |n: u32| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n));
        let datagram = |n| Datagram {
            interface: interface.clone(),
            source: ip(0),
            destination: ip(n),
            ttl: 255,
            payload: Bytes::from(vec![7; 8 + 255 * 4 + 8]),
        };
        let address = |n| AddressKey { interface: interface.clone(), address: ip(n), prefix_len: 32 };
        let route = |n: u32| RouteKey::to(IpAddr::V6(Ipv6Addr::from_bits(u128::MAX - u128::from(n))), 128);
        let rule = |n| Rule {
            from: Some((ip(n), 32)),
            to: Some((ip(n), 32)),
            mark: Some((u32::MAX, u32::MAX)),
            iif: Some(interface.clone()),
            oif: Some(interface.clone()),
            sport: Some((1, u16::MAX)),
            dport: Some((1, u16::MAX)),
            users: Some((0, u32::MAX)),
            ..Rule::new(Family::V4, u32::MAX, RuleAction::Lookup(u32::MAX))
        };
        LastWill {
            datagrams: (0..300).map(datagram).collect(),
            addresses: (0..5000).map(address).collect(),
            routes: (0..2000).map(route).collect(),
            rules: (0..200).map(rule).collect(),
        }
    }

    #[test]
    fn a_large_last_will_goes_through_in_parts_even_when_nobody_reads_for_a_while() {
        let (ours, theirs) = pair().unwrap();
        let mut line = Line::new(Arc::new(ours));
        let report = Report::LastWill { share: 3, first: true, part: large() };
        assert!(line.report(report), "taken");
        assert!(!line.waiting.is_empty(), "but it does not fit in at once");
        assert!(!line.report(Report::Ready), "and what comes behind it is refused");
        let mut supervisor = Supervisor::default();
        supervisor.handle(Event::Wakeup, Instant::ZERO);
        let mut buffer = [0; LONGEST];
        while !line.flush() {
            while let Ok(Some(packet)) = receive_packet(&theirs, &mut buffer) {
                let report = decode::<Report>(packet).unwrap();
                supervisor.handle(Event::Reported { worker: WorkerId(0), report }, Instant::ZERO);
            }
        }
        while let Ok(Some(packet)) = receive_packet(&theirs, &mut buffer) {
            let report = decode::<Report>(packet).unwrap();
            supervisor.handle(Event::Reported { worker: WorkerId(0), report }, Instant::ZERO);
        }
        let end = vipward_core::supervisor::End::Killed(9);
        let effects = supervisor.handle(Event::Ended { worker: WorkerId(0), end }, Instant::ZERO);
        assert!(effects.contains(&Effect::Farewell(large())), "whole and in order");
    }

    #[test]
    fn no_packet_is_too_long() {
        let report = Report::LastWill { share: u32::MAX, first: true, part: large() };
        assert!(split(report).iter().all(|part| encode(part).len() <= LONGEST));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        assert_eq!(decode::<Report>(&encode(&Report::Ready)), Ok(Report::Ready));
        assert_eq!(decode::<Report>(&[]), Err(Unreadable::Garbage));
        assert_eq!(decode::<Report>(&[VERSION + 1, 0]), Err(Unreadable::Version(VERSION + 1)));
        assert_eq!(decode::<Report>(&[VERSION, 0xff, 0xff]), Err(Unreadable::Garbage));
        let (ours, theirs) = pair().unwrap();
        drop(theirs);
        assert!(
            Line::new(Arc::new(ours)).report(Report::Ready),
            "a supervisor that is gone keeps nobody from his work"
        );
    }
}
