//! Sees what happens on a node from outside the daemon: adverts and ARP on its interfaces with the kernel's own time
//! stamps, and the coming and going of addresses.

use crate::netlink::read_address;
use crate::node::{Address, Node};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use nix::libc;
use nix::net::if_::if_indextoname;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv,
    recvmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// One thing that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: SystemTime,
    pub what: What,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A VRRP advert (RFC 9568 5). `sent`: by this node.
    Advert { source: Ipv4Addr, destination: Ipv4Addr, version: u8, vrid: u8, priority: u8, sent: bool },
    /// An ARP packet; gratuitous when `sender` is `target`.
    Arp { sender: Ipv4Addr, target: Ipv4Addr, sent: bool },
    /// An address appeared or vanished.
    Address { address: Address, present: bool },
}

/// Watches one node until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Vec<Seen>>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Begins to watch; from the return on nothing is missed.
    pub fn start(node: &Node) -> io::Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let packets = node.run(open_packets)?;
        let addresses = node.run(open_addresses)?;
        let (to, end) = (seen.clone(), over.clone());
        let first = node.thread("packets", move || watch_packets(&packets, &to, &end))?;
        let (to, end) = (seen.clone(), over.clone());
        let second = node.thread("addresses", move || watch_addresses(&addresses, &to, &end))?;
        Ok(Self { seen, over, threads: vec![first, second] })
    }

    /// Everything seen so far, in the order of time.
    pub fn seen(&self) -> Vec<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.sort_by_key(|one| one.at);
        seen
    }

    /// When the last advert of somebody else came before `until`.
    pub fn last_advert_before(&self, until: SystemTime) -> Option<SystemTime> {
        let adverts = self.seen().into_iter().filter(|one| matches!(one.what, What::Advert { sent: false, .. }));
        adverts.map(|one| one.at).rfind(|at| *at < until)
    }

    /// When `address` first appeared after `since`.
    pub fn appeared(&self, wanted: IpAddr, since: SystemTime) -> Option<SystemTime> {
        self.seen().into_iter().find_map(|one| match one.what {
            What::Address { address, present: true } if address.address == wanted && one.at >= since => Some(one.at),
            What::Address { .. } | What::Advert { .. } | What::Arp { .. } => None,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// How long a receive waits before it looks whether the watch is over.
const PATIENCE: Duration = Duration::from_millis(100);

fn patient(socket: &OwnedFd) -> io::Result<()> {
    let patience = i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX);
    Ok(setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(patience))?)
}

fn open_packets() -> io::Result<OwnedFd> {
    let packets = socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    setsockopt(&packets, sockopt::ReceiveTimestampns, &true)?;
    patient(&packets)?;
    Ok(packets)
}

fn open_addresses() -> io::Result<OwnedFd> {
    let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, u32::try_from(libc::RTMGRP_IPV4_IFADDR).unwrap_or(0)))?;
    patient(&netlink)?;
    Ok(netlink)
}

fn watch_packets(socket: &OwnedFd, seen: &Mutex<Vec<Seen>>, over: &AtomicBool) {
    let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let Ok(message) = recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())
        else {
            continue;
        };
        let (length, address) = (message.bytes, message.address);
        let stamp = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(at) => {
                    Some(SystemTime::UNIX_EPOCH + Duration::new(at.tv_sec().unsigned_abs(), nanos(at.tv_nsec())))
                }
                _ => None, // nothing else was asked for
            })
        });
        let (Some(address), Some(packet)) = (address, buffer.get(..length)) else { continue };
        let sent = address.pkttype() == libc::PACKET_OUTGOING;
        let what = match i32::from(u16::from_be(address.protocol())) {
            libc::ETH_P_IP => read_advert(packet, sent),
            libc::ETH_P_ARP => read_arp(packet, sent),
            _ => None,
        };
        if let Some(what) = what {
            push(seen, Seen { at: stamp.unwrap_or_else(SystemTime::now), what });
        }
    }
}

fn watch_addresses(socket: &OwnedFd, seen: &Mutex<Vec<Seen>>, over: &AtomicBool) {
    let mut buffer = vec![0; 16384];
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { continue };
        let at = SystemTime::now();
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest) {
            rest = rest.get(usize::try_from(message.header.length).unwrap_or(usize::MAX)..).unwrap_or_default();
            let (message, present) = match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => (message, true),
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(message)) => (message, false),
                _ => continue, // only address changes were asked for
            };
            let interface = if_indextoname(message.header.index);
            let interface = interface.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some(address) = read_address(&message, &interface) {
                push(seen, Seen { at, what: What::Address { address, present } });
            }
        }
    }
}

fn push(seen: &Mutex<Vec<Seen>>, one: Seen) {
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(one);
}

fn nanos(nanos: i64) -> u32 {
    u32::try_from(nanos).unwrap_or(0)
}

/// The IPv4 packet of protocol 112 in `packet`, as far as a watcher needs it.
fn read_advert(packet: &[u8], sent: bool) -> Option<What> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    if *packet.get(9)? != 112 {
        return None;
    }
    Some(What::Advert {
        source: read_ipv4(packet, 12)?,
        destination: read_ipv4(packet, 16)?,
        version: packet.get(header)? >> 4,
        vrid: *packet.get(header + 1)?,
        priority: *packet.get(header + 2)?,
        sent,
    })
}

/// ARP for IPv4 over Ethernet (RFC 826).
fn read_arp(packet: &[u8], sent: bool) -> Option<What> {
    Some(What::Arp { sender: read_ipv4(packet, 14)?, target: read_ipv4(packet, 24)?, sent })
}

fn read_ipv4(packet: &[u8], at: usize) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(bytes))
}
