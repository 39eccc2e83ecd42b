//! IPVS's generic netlink messages (Linux `include/uapi/linux/ip_vs.h`; family `IPVS`, version 1).
//!
//! Addresses are unions of 16 bytes. Ports and the IPv4 netmask are in network byte order inside their attributes,
//! everything else is in host order.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, Nla, NlaBuffer, NlasIterator, Parseable, ParseableParametrized, parse_u16,
    parse_u16_be, parse_u32,
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
    Family(u16),
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
            Self::Other(other) => other.value_len(),
        }
    }

    fn kind(&self) -> u16 {
        const NESTED: u16 = netlink_packet_core::NLA_F_NESTED;
        match self {
            Self::Service(_) => 1 | NESTED,
            Self::Dest(_) => 2 | NESTED,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Service(attributes) => attributes.as_slice().emit(buffer),
            Self::Dest(attributes) => attributes.as_slice().emit(buffer),
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
            Self::Scheduler(name) => name.len() + 1,
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
            Self::Scheduler(name) => fill(buffer, &[name.as_bytes(), &[0]]),
            Self::Other(other) => other.emit_value(buffer),
        }
    }
}

impl Nla for DestAttribute {
    fn value_len(&self) -> usize {
        match self {
            Self::Port(_) | Self::Family(_) => 2,
            Self::Forwarding(_) | Self::Weight(_) | Self::UpperThreshold(_) | Self::LowerThreshold(_) => 4,
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
            Self::Family(_) => 11,
            Self::Other(other) => other.kind(),
        }
    }

    fn emit_value(&self, buffer: &mut [u8]) {
        match self {
            Self::Address(bytes) => fill(buffer, &[bytes]),
            Self::Port(port) => fill(buffer, &[&port.to_be_bytes()]),
            Self::Family(value) => fill(buffer, &[&value.to_ne_bytes()]),
            Self::Forwarding(value)
            | Self::Weight(value)
            | Self::UpperThreshold(value)
            | Self::LowerThreshold(value) => fill(buffer, &[&value.to_ne_bytes()]),
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
        6 => {
            let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
            A::Scheduler(String::from_utf8(name.to_vec())?)
        }
        7 => {
            let [a, b, c, d, e, f, g, h] = array(value)?;
            A::Flags { flags: u32::from_ne_bytes([a, b, c, d]), mask: u32::from_ne_bytes([e, f, g, h]) }
        }
        8 => A::Timeout(parse_u32(value)?),
        9 => A::Netmask(array(value)?),
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
        11 => A::Family(parse_u16(value)?),
        _ => A::Other(DefaultNla::parse(raw)?),
    })
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeError> {
    value.try_into().map_err(|_| DecodeError::from(format!("{} bytes where {N} belong", value.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
    use netlink_packet_generic::GenlMessage;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn bytes(message: &IpvsMessage) -> Vec<u8> {
        let message = GenlMessage::from_payload(message.clone());
        let mut bytes = vec![0; NetlinkSerializable::buffer_len(&message)];
        message.serialize(&mut bytes);
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<IpvsMessage, DecodeError> {
        GenlMessage::deserialize(&NetlinkHeader::default(), bytes).map(|message| message.into_parts().1)
    }

    /// By hand from `ip_vs.h`, as a little-endian machine sends it.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_new_service_byte_by_byte() {
        let message = IpvsMessage {
            command: Command::NewService,
            attributes: vec![Attribute::Service(vec![
                ServiceAttribute::Family(2),
                ServiceAttribute::Protocol(6),
                ServiceAttribute::Address(union(IpAddr::from([192, 0, 2, 1])).1),
                ServiceAttribute::Port(80),
                ServiceAttribute::Scheduler("wrr".to_owned()),
                ServiceAttribute::Flags { flags: 1, mask: u32::MAX },
                ServiceAttribute::Timeout(300),
                ServiceAttribute::Netmask([255, 255, 255, 0]),
            ])],
        };
        #[rustfmt::skip]
        let expected = [
            1, 1, 0, 0,                                     // command, version
            84, 0, 1, 0x80,                                 // IPVS_CMD_ATTR_SERVICE, nested
            6, 0, 1, 0, 2, 0, 0, 0,                         // AF
            6, 0, 2, 0, 6, 0, 0, 0,                         // PROTOCOL
            20, 0, 3, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // ADDR
            6, 0, 4, 0, 0, 80, 0, 0,                        // PORT, network order
            8, 0, 6, 0, b'w', b'r', b'r', 0,                // SCHED_NAME
            12, 0, 7, 0, 1, 0, 0, 0, 255, 255, 255, 255,    // FLAGS: flags, mask
            8, 0, 8, 0, 44, 1, 0, 0,                        // TIMEOUT
            8, 0, 9, 0, 255, 255, 255, 0,                   // NETMASK, network order
        ];
        assert_eq!(bytes(&message), expected);
        assert_eq!(parse(&expected).unwrap(), message);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_destination_byte_by_byte() {
        let message = IpvsMessage {
            command: Command::SetDest,
            attributes: vec![Attribute::Dest(vec![
                DestAttribute::Family(10),
                DestAttribute::Port(8080),
                DestAttribute::Forwarding(3),
                DestAttribute::Weight(256),
                DestAttribute::UpperThreshold(2),
                DestAttribute::LowerThreshold(1),
            ])],
        };
        #[rustfmt::skip]
        let expected = [
            6, 1, 0, 0,
            52, 0, 2, 0x80,
            6, 0, 11, 0, 10, 0, 0, 0,
            6, 0, 2, 0, 0x1f, 0x90, 0, 0,
            8, 0, 3, 0, 3, 0, 0, 0,
            8, 0, 4, 0, 0, 1, 0, 0,
            8, 0, 5, 0, 2, 0, 0, 0,
            8, 0, 6, 0, 1, 0, 0, 0,
        ];
        assert_eq!(bytes(&message), expected);
        assert_eq!(parse(&expected).unwrap(), message);
    }

    fn other(kinds: std::ops::Range<u16>) -> impl Strategy<Value = DefaultNla> {
        (kinds, vec(any::<u8>(), 0..40)).prop_map(|(kind, value)| DefaultNla::new(kind, value))
    }

    fn any_service() -> impl Strategy<Value = ServiceAttribute> {
        use ServiceAttribute as A;
        prop_oneof![
            any::<u16>().prop_map(A::Family),
            any::<u16>().prop_map(A::Protocol),
            any::<[u8; 16]>().prop_map(A::Address),
            any::<u16>().prop_map(A::Port),
            any::<u32>().prop_map(A::FirewallMark),
            "[a-z]{0,15}".prop_map(A::Scheduler),
            any::<(u32, u32)>().prop_map(|(flags, mask)| A::Flags { flags, mask }),
            any::<u32>().prop_map(A::Timeout),
            any::<[u8; 4]>().prop_map(A::Netmask),
            other(10..40).prop_map(A::Other),
        ]
    }

    fn any_dest() -> impl Strategy<Value = DestAttribute> {
        use DestAttribute as A;
        prop_oneof![
            any::<[u8; 16]>().prop_map(A::Address),
            any::<u16>().prop_map(A::Port),
            any::<u32>().prop_map(A::Forwarding),
            any::<u32>().prop_map(A::Weight),
            any::<u32>().prop_map(A::UpperThreshold),
            any::<u32>().prop_map(A::LowerThreshold),
            any::<u16>().prop_map(A::Family),
            other(12..40).prop_map(A::Other),
        ]
    }

    fn any_message() -> impl Strategy<Value = IpvsMessage> {
        let attribute = prop_oneof![
            vec(any_service(), 0..12).prop_map(Attribute::Service),
            vec(any_dest(), 0..12).prop_map(Attribute::Dest),
            other(3..20).prop_map(Attribute::Other),
        ];
        ((1u8..=8).prop_map(|number| Command::try_from(number).unwrap()), vec(attribute, 0..4))
            .prop_map(|(command, attributes)| IpvsMessage { command, attributes })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(message in any_message()) {
            prop_assert_eq!(parse(&bytes(&message)).unwrap(), message);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in vec(any::<u8>(), 4..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_damaged_message_is_read_without_panic(message in any_message(), at: usize, byte: u8) {
            let mut bytes = bytes(&message);
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = parse(&bytes);
        }

        #[test]
        fn an_address_survives_its_union(address: IpAddr) {
            let (family, bytes) = union(address);
            prop_assert_eq!(super::address(family, bytes), Some(address));
        }
    }
}
