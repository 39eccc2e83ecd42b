//! What is written is read back, byte by byte.

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
        "[a-z]{0,15}".prop_map(A::PersistenceEngine),
        other(12..40).prop_map(A::Other),
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
        any::<u32>().prop_map(A::ActiveConnections),
        any::<u32>().prop_map(A::InactiveConnections),
        any::<u16>().prop_map(A::Family),
        any::<u8>().prop_map(A::TunnelType),
        any::<u16>().prop_map(A::TunnelPort),
        any::<u16>().prop_map(A::TunnelFlags),
        other(16..40).prop_map(A::Other),
    ]
}

fn any_daemon() -> impl Strategy<Value = DaemonAttribute> {
    use DaemonAttribute as A;
    prop_oneof![
        any::<u32>().prop_map(A::State),
        "[a-z]{0,15}".prop_map(A::Interface),
        any::<u32>().prop_map(A::Id),
        any::<u16>().prop_map(A::MaxLength),
        any::<[u8; 4]>().prop_map(A::Group),
        any::<[u8; 16]>().prop_map(A::Group6),
        any::<u16>().prop_map(A::Port),
        any::<u8>().prop_map(A::Ttl),
        other(9..40).prop_map(A::Other),
    ]
}

fn any_message() -> impl Strategy<Value = IpvsMessage> {
    let attribute = prop_oneof![
        vec(any_service(), 0..12).prop_map(Attribute::Service),
        vec(any_dest(), 0..12).prop_map(Attribute::Dest),
        vec(any_daemon(), 0..12).prop_map(Attribute::Daemon),
        any::<u32>().prop_map(Attribute::TimeoutTcp),
        any::<u32>().prop_map(Attribute::TimeoutTcpFin),
        any::<u32>().prop_map(Attribute::TimeoutUdp),
        other(7..20).prop_map(Attribute::Other),
    ];
    ((1u8..=13).prop_map(|number| Command::try_from(number).unwrap()), vec(attribute, 0..4))
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
