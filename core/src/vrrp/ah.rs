//! `auth_type AH` of version 2: the authentication header of RFC 2402 with HMAC-MD5-96 (RFC 2403), as keepalived 2.2.7 has it.
//!
//! ```text
//! +---------------+---------------+---------------+---------------+
//! |      112      |       4       |               0               |
//! |                  the sender's address (SPI)                   |
//! |                        Sequence Number                        |
//! |                   12 bytes of the HMAC (ICV)                  |
//! +---------------+---------------+---------------+---------------+
//! ```
//!
//! It stands between the IPv4 header and the VRRP message. The HMAC covers all three, with zeros for itself and for what may
//! change on the way. keepalived takes TTL for one of the fields that don't, so over a router nobody believes anybody; this
//! does the same, since both ends must.
//!
//! All directors of a virtual router count in one sequence, in which a packet counts once: who hears a number goes on from
//! it. A director that starts begins with 0 and listens for Master_Down_Interval first, so it knows where the others are.

use super::packet::{PROTOCOL, fold, sum_words};
use crate::datagram::{AH, AH_HEADER, Datagram, IPV4_HEADER};
use crate::decision::IgnoreReason;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use std::net::IpAddr;

/// The first bytes of the header: what follows it, and its length in words of 32 bits, less two.
const HEAD: [u8; 4] = [PROTOCOL, 4, 0, 0];
/// The sequence number stands before the HMAC.
const SEQUENCE: usize = IPV4_HEADER + 8;
const ICV: usize = IPV4_HEADER + 12;
/// Precedence 6, as of every advert.
const TOS: u8 = 0xc0;

/// The advert with its authentication header, as the whole packet. It is left as it is over IPv6, where there is none.
pub fn seal(advert: &Datagram, key: &[u8; 8], sequence: u32) -> Datagram {
    // The kernel would put another number in place of 0.
    let [_, _, low @ ..] = sequence.to_be_bytes();
    seal_as(advert, key, sequence, u16::from_be_bytes(low).max(1))
}

fn seal_as(advert: &Datagram, key: &[u8; 8], sequence: u32, identification: u16) -> Datagram {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (advert.source, advert.destination) else {
        return advert.clone();
    };
    let length = u16::try_from(IPV4_HEADER + AH_HEADER + advert.payload.len()).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(usize::from(length));
    packet.extend([0x45, TOS]);
    packet.extend(length.to_be_bytes());
    packet.extend(identification.to_be_bytes());
    packet.extend([0, 0, advert.ttl, AH, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = (!fold(sum_words(0, &packet))).to_be_bytes();
    packet.splice(10..12, sum);
    packet.extend(HEAD);
    packet.extend(source.octets());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 12]);
    packet.extend(&advert.payload);
    if let Some(mac) = mac(&packet, key) {
        let icv = mac.finalize().into_bytes().into_iter().take(12);
        packet.splice(ICV..IPV4_HEADER + AH_HEADER, icv);
    }
    Datagram { payload: packet.into(), ..advert.clone() }
}

/// The sequence number of an advert that has this key.
pub fn open(advert: &Datagram, key: &[u8; 8]) -> Result<u32, IgnoreReason> {
    let failed = || IgnoreReason::AuthenticationFailed;
    let packet = &advert.payload;
    if !advert.is_whole() || packet.get(IPV4_HEADER..IPV4_HEADER + HEAD.len()) != Some(&HEAD) {
        return Err(failed());
    }
    let icv = packet.get(ICV..IPV4_HEADER + AH_HEADER).ok_or_else(failed)?;
    mac(packet, key).ok_or_else(failed)?.verify_truncated_left(icv).map_err(|_| failed())?;
    let sequence = packet.get(SEQUENCE..).and_then(<[u8]>::first_chunk::<4>).ok_or_else(failed)?;
    Ok(u32::from_be_bytes(*sequence))
}

/// Over the packet with zeros where it may change: type of service, fragments, the header's checksum, the HMAC itself.
fn mac(packet: &[u8], key: &[u8; 8]) -> Option<Hmac<Md5>> {
    let mut fixed = packet.to_vec();
    for zeros in [1..2, 6..8, 10..12, ICV..IPV4_HEADER + AH_HEADER] {
        fixed.get_mut(zeros)?.fill(0);
    }
    let mut mac = Hmac::<Md5>::new_from_slice(key).ok()?;
    mac.update(&fixed);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::InterfaceName;
    use proptest::prelude::*;

    const KEY: [u8; 8] = *b"secr3t\0\0";

    fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// As they left keepalived 2.2.7 with `auth_type AH` and `auth_pass secr3t`.
    fn of_keepalived() -> [Vec<u8>; 2] {
        [
            "45c0 0040 0001 0000 ff33 d0ac 0a09 0002 e000 0012 7004 0000 0a09 0002 0000 0006 99476fe0a01f3f419e097c22
          2107 6401 0201 6e89 0a09 0064 0000 0000 0000 0000",
            "45c0 0040 0009 0000 ff33 d0a4 0a09 0002 e000 0012 7004 0000 0a09 0002 0000 000e fc3688f19dede8c119547d28
          2107 6401 0201 6e89 0a09 0064 0000 0000 0000 0000",
        ]
        .map(hex)
    }

    fn heard(packet: Vec<u8>) -> Datagram {
        let (source, destination) = ([10, 9, 0, 2].into(), [224, 0, 0, 18].into());
        Datagram { interface: InterfaceName::new("eth0"), source, destination, ttl: 255, payload: packet.into() }
    }

    #[test]
    fn what_keepalived_sends_is_believed_and_written_byte_by_byte() {
        for (packet, sequence, identification) in [(&of_keepalived()[0], 6, 1), (&of_keepalived()[1], 14, 9)] {
            let advert = heard(packet.clone());
            assert_eq!(open(&advert, &KEY), Ok(sequence));
            let message = heard(advert.message().to_vec());
            assert_eq!(seal_as(&message, &KEY, sequence, identification).payload, *packet);
        }
    }

    #[test]
    fn another_key_or_one_other_bit_is_not_believed() {
        let failed = Err(IgnoreReason::AuthenticationFailed);
        let [packet, _] = of_keepalived();
        assert_eq!(open(&heard(packet.clone()), b"other\0\0\0"), failed);
        for at in 0..packet.len() {
            let mut bytes = packet.clone();
            bytes[at] ^= 1;
            // What a router may change.
            let may_change = [1, 6, 7, 10, 11].contains(&at);
            assert_eq!(open(&heard(bytes), &KEY).is_ok(), may_change, "byte {at}");
        }
        let message = heard(packet).message().to_vec();
        assert_eq!(open(&heard(message), &KEY), failed, "without a header");
    }

    proptest! {
        #[test]
        fn what_was_sealed_is_opened(sequence: u32, message in proptest::collection::vec(any::<u8>(), 0..100)) {
            let advert = seal(&heard(message.clone()), &KEY, sequence);
            prop_assert_eq!(open(&advert, &KEY), Ok(sequence));
            prop_assert_eq!(advert.message(), message);
        }

        #[test]
        fn any_bytes_are_opened_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut packet = of_keepalived()[0].clone();
            packet.truncate(20);
            packet.extend(&bytes);
            prop_assert!(open(&heard(packet), &KEY).is_err());
            prop_assert!(open(&heard(bytes), &KEY).is_err());
        }
    }
}
