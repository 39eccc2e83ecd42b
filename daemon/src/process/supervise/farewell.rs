//! Speaks for a dead worker: sends its farewells, takes its routes out and its addresses off.
//!
//! The sockets are opened at the start, when a privilege that is missing shows, and wait. Nothing is ever read from the
//! one that sends adverts.

use crate::net::adverts::Senders;
use crate::net::netlink::{route_message, rule_message};
use crate::net::{netlink, secondaries};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use vipward_core::interface::{AddressKey, InterfaceName};
use vipward_core::machine::LastWill;

/// So many removals go to the kernel at once: the answers, should all fail, fit into the socket's buffer.
const BATCH: usize = 256;

/// Room for them.
const RECEIVE_BUFFER: usize = 1 << 20;

pub struct Farewell {
    adverts: Senders,
    netlink: Socket,
}

impl Farewell {
    /// Needs CAP_NET_RAW; taking addresses off needs CAP_NET_ADMIN.
    pub fn open() -> io::Result<Self> {
        let adverts = Senders::open()?;
        adverts.deafen()?;
        let mut netlink = Socket::new(NETLINK_ROUTE)?;
        netlink.bind_auto()?;
        netlink.connect(&SocketAddr::new(0, 0))?;
        netlink.set_non_blocking(true)?;
        netlink.set_rx_buf_sz(RECEIVE_BUFFER)?;
        Ok(Self { adverts, netlink })
    }

    /// All farewells first: peers wait for Skew_Time, which is longer than taking off takes.
    pub fn carry_out(&self, last_will: &LastWill) {
        let names = last_will.datagrams.iter().map(|datagram| &datagram.interface);
        let names = names.chain(last_will.addresses.iter().map(|address| &address.interface));
        let mut interfaces: BTreeMap<&InterfaceName, u32> = BTreeMap::new();
        for name in names {
            if !interfaces.contains_key(name) {
                // One that is gone has taken its addresses along.
                match self.index(name) {
                    Ok(index) => drop(interfaces.insert(name, index)),
                    Err(error) => tracing::debug!("{name}: {error}"),
                }
            }
        }
        for datagram in &last_will.datagrams {
            let Some(index) = interfaces.get(&datagram.interface) else { continue };
            if let Err(error) = self.adverts.send(datagram, *index) {
                tracing::warn!("the farewell to {} on {}: {error}", datagram.destination, datagram.interface);
            }
        }
        // A rule may lead to a route, and a route may name an address as its source.
        let rules = last_will.rules.iter();
        let rules = rules.map(|it| (format!("rule {it}"), RouteNetlinkMessage::DelRule(rule_message::message(it))));
        let routes = last_will.routes.iter();
        let routes =
            routes.map(|it| (format!("route {it}"), RouteNetlinkMessage::DelRoute(route_message::removal(it))));
        for batch in rules.chain(routes).collect::<Vec<_>>().chunks(BATCH) {
            if let Err(error) = self.take_out(batch) {
                tracing::warn!("taking routes out: {error}");
            }
        }
        let there = last_will.addresses.iter();
        let there: Vec<(u32, &AddressKey)> =
            there.filter_map(|address| Some((*interfaces.get(&address.interface)?, address))).collect();
        for batch in there.chunks(BATCH) {
            if let Err(error) = self.remove(batch) {
                tracing::warn!("taking addresses off: {error}");
            }
        }
    }

    fn take_out(&self, things: &[(String, RouteNetlinkMessage)]) -> io::Result<()> {
        let mut batch = Vec::new();
        for (place, (_, removal)) in things.iter().enumerate() {
            append(&mut batch, u32::try_from(place).unwrap_or(u32::MAX), removal.clone());
        }
        self.netlink.send(&batch, 0)?;
        while let Some(answer) = self.answer()? {
            let NetlinkPayload::Error(error) = answer.payload else { continue };
            let error = error.to_io();
            let place = usize::try_from(answer.header.sequence_number).unwrap_or(usize::MAX);
            // Taken out already is as good.
            let gone = matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT));
            if let (Some((what, _)), false) = (things.get(place), gone) {
                tracing::warn!("taking out the {what}: {error}");
            }
        }
        Ok(())
    }

    /// Takes addresses off, and leaves others of their subnets there. The kernel does it before it returns, and answers only
    /// what failed.
    fn remove(&self, addresses: &[(u32, &AddressKey)]) -> io::Result<()> {
        let mut batch = Vec::new();
        let alone = |address: &AddressKey| !secondaries::may_have(address.address, address.prefix_len);
        let interfaces = addresses.iter().filter(|(_, address)| !alone(address)).map(|(index, _)| *index);
        for index in interfaces.collect::<BTreeSet<u32>>() {
            // The worker has said so if that is refused.
            append(&mut batch, u32::MAX, RouteNetlinkMessage::SetLink(secondaries::promote(index)));
        }
        for (place, (index, address)) in addresses.iter().enumerate() {
            let removal = RouteNetlinkMessage::DelAddress(netlink::removal(*index, address));
            append(&mut batch, u32::try_from(place).unwrap_or(u32::MAX), removal);
        }
        self.netlink.send(&batch, 0)?;
        while let Some(answer) = self.answer()? {
            let NetlinkPayload::Error(error) = answer.payload else { continue };
            let error = error.to_io();
            let place = usize::try_from(answer.header.sequence_number).unwrap_or(usize::MAX);
            // Taken off already is as good.
            let gone = matches!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV));
            if let (Some((_, address)), false) = (addresses.get(place), gone) {
                tracing::warn!("taking off {address}: {error}");
            }
        }
        Ok(())
    }

    fn index(&self, name: &InterfaceName) -> io::Result<u32> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_string()));
        let mut bytes = Vec::new();
        append(&mut bytes, 0, RouteNetlinkMessage::GetLink(message));
        self.netlink.send(&bytes, 0)?;
        let mut index = Err(io::ErrorKind::NotFound.into());
        while let Some(answer) = self.answer()? {
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => index = Ok(link.header.index),
                NetlinkPayload::Error(error) => index = Err(error.to_io()),
                // Nothing else was asked for.
                _ => {}
            }
        }
        index
    }

    /// One that is there: the kernel answers before `send` returns.
    fn answer(&self) -> io::Result<Option<NetlinkMessage<RouteNetlinkMessage>>> {
        match self.netlink.recv_from_full() {
            Ok((bytes, _)) => NetlinkMessage::deserialize(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn append(batch: &mut Vec<u8>, sequence_number: u32, message: RouteNetlinkMessage) {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    header.sequence_number = sequence_number;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let from = batch.len();
    batch.resize(from + message.buffer_len(), 0);
    if let Some(room) = batch.get_mut(from..) {
        message.serialize(room);
    }
}
