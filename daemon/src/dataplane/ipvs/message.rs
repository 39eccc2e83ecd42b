//! IPVS's generic netlink messages (Linux `include/uapi/linux/ip_vs.h`; family `IPVS`, version 1).
//!
//! Addresses are unions of 16 bytes. Ports and the IPv4 netmask are in network byte order inside their attributes,
//! everything else is in host order.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, Nla, NlaBuffer, NlasIterator, Parseable, ParseableParametrized, parse_u8,
    parse_u16, parse_u16_be, parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Commands, by their numbers in the header (`IPVS_CMD_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    NewDaemon = 9,
    DelDaemon = 10,
    GetDaemon = 11,
    SetConfig = 12,
    GetConfig = 13,
}

impl TryFrom<u8> for Command {
    type Error = DecodeError;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        [
            Self::NewService,
            Self::SetService,
            Self::DelService,
            Self::GetService,
            Self::NewDest,
            Self::SetDest,
            Self::DelDest,
            Self::GetDest,
            Self::NewDaemon,
            Self::DelDaemon,
            Self::GetDaemon,
            Self::SetConfig,
            Self::GetConfig,
        ]
        .into_iter()
        .find(|command| *command as u8 == number)
        .ok_or_else(|| format!("unknown IPVS command {number}").into())
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpvsMessage {
    pub command: Command,
    pub attributes: Vec<Attribute>,
}

/// `IPVS_CMD_ATTR_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    Service(Vec<ServiceAttribute>),
    Dest(Vec<DestAttribute>),
    Daemon(Vec<DaemonAttribute>),
    /// Seconds.
    TimeoutTcp(u32),
    TimeoutTcpFin(u32),
    TimeoutUdp(u32),
    Other(DefaultNla),
}

/// `IPVS_SVC_ATTR_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAttribute {
    /// `AF_INET` or `AF_INET6`.
    Family(u16),
    /// `IPPROTO_*`.
    Protocol(u16),
    Address([u8; 16]),
    Port(u16),
    /// Instead of protocol, address and port.
    FirewallMark(u32),
    Scheduler(String),
    /// `IP_VS_SVC_F_*`, and which of them are meant.
    Flags {
        flags: u32,
        mask: u32,
    },
    /// Persistence in seconds.
    Timeout(u32),
    /// As it lies in memory: an IPv4 mask in network order, or an IPv6 prefix length in host order.
    Netmask([u8; 4]),
    PersistenceEngine(String),
    Other(DefaultNla),
}

/// `IPVS_DEST_ATTR_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestAttribute {
    Address([u8; 16]),
    Port(u16),
    /// `IP_VS_CONN_F_*`: the lowest three bits say how packets are forwarded.
    Forwarding(u32),
    Weight(u32),
    UpperThreshold(u32),
    LowerThreshold(u32),
    ActiveConnections(u32),
    InactiveConnections(u32),
    Family(u16),
    /// `IP_VS_CONN_F_TUNNEL_TYPE_*`.
    TunnelType(u8),
    TunnelPort(u16),
    /// `IP_VS_TUNNEL_ENCAP_FLAG_*`.
    TunnelFlags(u16),
    Other(DefaultNla),
}

/// `IPVS_DAEMON_ATTR_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonAttribute {
    /// `IP_VS_STATE_*`.
    State(u32),
    Interface(String),
    Id(u32),
    MaxLength(u16),
    Group([u8; 4]),
    Group6([u8; 16]),
    /// In host order, unlike other ports.
    Port(u16),
    Ttl(u8),
    Other(DefaultNla),
}

/// The address in a union of 16 bytes; `None` for an unknown family.
pub fn address(family: u16, bytes: [u8; 16]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => {
            let [a, b, c, d, ..] = bytes;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        libc::AF_INET6 => Some(Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// Family and union of an address.
pub fn union(address: IpAddr) -> (u16, [u8; 16]) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            (libc::AF_INET as u16, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }
        IpAddr::V6(address) => (libc::AF_INET6 as u16, address.octets()),
    }
}

impl GenlFamily for IpvsMessage {
    fn family_name() -> &'static str {
        "IPVS"
    }

    fn command(&self) -> u8 {
        self.command as u8
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for IpvsMessage {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for IpvsMessage {
    fn parse_with_param(payload: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self { command: header.cmd.try_into()?, attributes: all(payload, attribute)? })
    }
}

impl Nla for Attribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Service(attributes) => attributes.as_slice().buffer_len(),
            Self::Dest(attributes) => attributes.as_slice().buffer_len(),
            Self::Daemon(attributes) => attributes.as_slice().buffer_len(),
            Self::TimeoutTcp(_) | Self::TimeoutTcpFin(_) | Self::TimeoutUdp(_) => 4,
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        const NESTED: u16 = netlink_packet_core::NLA_F_NESTED;
        match self {
            Self::Service(_) => 1 | NESTED,
            Self::Dest(_) => 2 | NESTED,
            Self::Daemon(_) => 3 | NESTED,
            Self::TimeoutTcp(_) => 4,
            Self::TimeoutTcpFin(_) => 5,
            Self::TimeoutUdp(_) => 6,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Service(attributes) => attributes.as_slice().emit(buffer),
            Self::Dest(attributes) => attributes.as_slice().emit(buffer),
            Self::Daemon(attributes) => attributes.as_slice().emit(buffer),
            Self::TimeoutTcp(seconds) | Self::TimeoutTcpFin(seconds) | Self::TimeoutUdp(seconds) => {
                fill(buffer, &[&seconds.to_ne_bytes()]);
            }
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl Nla for ServiceAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Family(_) | Self::Protocol(_) | Self::Port(_) => 2,
            Self::FirewallMark(_) | Self::Timeout(_) | Self::Netmask(_) => 4,
            Self::Flags { .. } => 8,
            Self::Address(_) => 16,
            Self::Scheduler(name) | Self::PersistenceEngine(name) => name.len() + 1,
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Family(_) => 1,
            Self::Protocol(_) => 2,
            Self::Address(_) => 3,
            Self::Port(_) => 4,
            Self::FirewallMark(_) => 5,
            Self::Scheduler(_) => 6,
            Self::Flags { .. } => 7,
            Self::Timeout(_) => 8,
            Self::Netmask(_) => 9,
            Self::PersistenceEngine(_) => 11,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Family(value) | Self::Protocol(value) => fill(buffer, &[&value.to_ne_bytes()]),
            Self::Port(port) => fill(buffer, &[&port.to_be_bytes()]),
            Self::FirewallMark(value) | Self::Timeout(value) => fill(buffer, &[&value.to_ne_bytes()]),
            Self::Netmask(bytes) => fill(buffer, &[bytes]),
            Self::Flags { flags, mask } => fill(buffer, &[&flags.to_ne_bytes(), &mask.to_ne_bytes()]),
            Self::Address(bytes) => fill(buffer, &[bytes]),
            Self::Scheduler(name) | Self::PersistenceEngine(name) => fill(buffer, &[name.as_bytes(), &[0]]),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl Nla for DestAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::TunnelType(_) => 1,
            Self::Port(_) | Self::Family(_) | Self::TunnelPort(_) | Self::TunnelFlags(_) => 2,
            Self::Forwarding(_)
            | Self::Weight(_)
            | Self::UpperThreshold(_)
            | Self::LowerThreshold(_)
            | Self::ActiveConnections(_)
            | Self::InactiveConnections(_) => 4,
            Self::Address(_) => 16,
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::Address(_) => 1,
            Self::Port(_) => 2,
            Self::Forwarding(_) => 3,
            Self::Weight(_) => 4,
            Self::UpperThreshold(_) => 5,
            Self::LowerThreshold(_) => 6,
            Self::ActiveConnections(_) => 7,
            Self::InactiveConnections(_) => 8,
            Self::Family(_) => 11,
            Self::TunnelType(_) => 13,
            Self::TunnelPort(_) => 14,
            Self::TunnelFlags(_) => 15,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Address(bytes) => fill(buffer, &[bytes]),
            Self::Port(port) | Self::TunnelPort(port) => fill(buffer, &[&port.to_be_bytes()]),
            Self::TunnelType(value) => fill(buffer, &[&[*value]]),
            Self::Family(value) | Self::TunnelFlags(value) => fill(buffer, &[&value.to_ne_bytes()]),
            Self::Forwarding(value)
            | Self::Weight(value)
            | Self::UpperThreshold(value)
            | Self::LowerThreshold(value)
            | Self::ActiveConnections(value)
            | Self::InactiveConnections(value) => fill(buffer, &[&value.to_ne_bytes()]),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl Nla for DaemonAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Ttl(_) => 1,
            Self::MaxLength(_) | Self::Port(_) => 2,
            Self::State(_) | Self::Id(_) | Self::Group(_) => 4,
            Self::Group6(_) => 16,
            Self::Interface(name) => name.len() + 1,
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Self::State(_) => 1,
            Self::Interface(_) => 2,
            Self::Id(_) => 3,
            Self::MaxLength(_) => 4,
            Self::Group(_) => 5,
            Self::Group6(_) => 6,
            Self::Port(_) => 7,
            Self::Ttl(_) => 8,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Ttl(value) => fill(buffer, &[&[*value]]),
            Self::MaxLength(value) | Self::Port(value) => fill(buffer, &[&value.to_ne_bytes()]),
            Self::State(value) | Self::Id(value) => fill(buffer, &[&value.to_ne_bytes()]),
            Self::Group(bytes) => fill(buffer, &[bytes]),
            Self::Group6(bytes) => fill(buffer, &[bytes]),
            Self::Interface(name) => fill(buffer, &[name.as_bytes(), &[0]]),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

fn fill(buffer: &mut [u8], parts: &[&[u8]]) {
    for (to, from) in buffer.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
}

type Raw<'a> = NlaBuffer<&'a [u8]>;

fn all<T>(bytes: &[u8], one: impl Fn(&Raw<'_>) -> Result<T, DecodeError>) -> Result<Vec<T>, DecodeError> {
    NlasIterator::new(bytes).map(|raw| one(&raw?)).collect()
}

fn attribute(raw: &Raw<'_>) -> Result<Attribute, DecodeError> {
    Ok(match raw.kind() {
        1 => Attribute::Service(all(raw.value(), service_attribute)?),
        2 => Attribute::Dest(all(raw.value(), dest_attribute)?),
        3 => Attribute::Daemon(all(raw.value(), daemon_attribute)?),
        4 => Attribute::TimeoutTcp(parse_u32(raw.value())?),
        5 => Attribute::TimeoutTcpFin(parse_u32(raw.value())?),
        6 => Attribute::TimeoutUdp(parse_u32(raw.value())?),
        _ => Attribute::Other(DefaultNla::parse(raw)?),
    })
}

fn service_attribute(raw: &Raw<'_>) -> Result<ServiceAttribute, DecodeError> {
    use ServiceAttribute as A;
    let value = raw.value();
    Ok(match raw.kind() {
        1 => A::Family(parse_u16(value)?),
        2 => A::Protocol(parse_u16(value)?),
        3 => A::Address(array(value)?),
        4 => A::Port(parse_u16_be(value)?),
        5 => A::FirewallMark(parse_u32(value)?),
        6 => A::Scheduler(name(value)?),
        7 => {
            let [a, b, c, d, e, f, g, h] = array(value)?;
            A::Flags { flags: u32::from_ne_bytes([a, b, c, d]), mask: u32::from_ne_bytes([e, f, g, h]) }
        }
        8 => A::Timeout(parse_u32(value)?),
        9 => A::Netmask(array(value)?),
        11 => A::PersistenceEngine(name(value)?),
        _ => A::Other(DefaultNla::parse(raw)?),
    })
}

fn dest_attribute(raw: &Raw<'_>) -> Result<DestAttribute, DecodeError> {
    use DestAttribute as A;
    let value = raw.value();
    Ok(match raw.kind() {
        1 => A::Address(array(value)?),
        2 => A::Port(parse_u16_be(value)?),
        3 => A::Forwarding(parse_u32(value)?),
        4 => A::Weight(parse_u32(value)?),
        5 => A::UpperThreshold(parse_u32(value)?),
        6 => A::LowerThreshold(parse_u32(value)?),
        7 => A::ActiveConnections(parse_u32(value)?),
        8 => A::InactiveConnections(parse_u32(value)?),
        11 => A::Family(parse_u16(value)?),
        13 => A::TunnelType(parse_u8(value)?),
        14 => A::TunnelPort(parse_u16_be(value)?),
        15 => A::TunnelFlags(parse_u16(value)?),
        _ => A::Other(DefaultNla::parse(raw)?),
    })
}

fn daemon_attribute(raw: &Raw<'_>) -> Result<DaemonAttribute, DecodeError> {
    use DaemonAttribute as A;
    let value = raw.value();
    Ok(match raw.kind() {
        1 => A::State(parse_u32(value)?),
        2 => A::Interface(name(value)?),
        3 => A::Id(parse_u32(value)?),
        4 => A::MaxLength(parse_u16(value)?),
        5 => A::Group(array(value)?),
        6 => A::Group6(array(value)?),
        7 => A::Port(parse_u16(value)?),
        8 => A::Ttl(parse_u8(value)?),
        _ => A::Other(DefaultNla::parse(raw)?),
    })
}

/// Up to the first zero.
fn name(value: &[u8]) -> Result<String, DecodeError> {
    let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8(name.to_vec())?)
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeError> {
    value.try_into().map_err(|_| DecodeError::from(format!("{} bytes where {N} belong", value.len())))
}

#[cfg(test)]
mod tests;
