//! The VRRP message: RFC 3768 5.1 (version 2), RFC 9568 5.1 (version 3).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+---------------+---------------+
//! |version| type=1|     VRID      |   Priority    |  addr count   |
//! +---------------+---------------+---------------+---------------+
//! |  Auth Type    |   Adver Int   |           Checksum            |  version 2: seconds
//! |  0    |Max Advertise Interval |           Checksum            |  version 3: centiseconds
//! +---------------+---------------+---------------+---------------+
//! |             addresses, 4 bytes each, or 16 (IPv6)             |
//! +---------------+---------------+---------------+---------------+
//! |             Authentication Data, 8 bytes, version 2           |
//! +---------------+---------------+---------------+---------------+
//! ```
//!
//! Version 2 over IPv6 is in no RFC. keepalived 2.2.7 sends it with `version 2`: without authentication data, and with the
//! checksum of version 3. That is understood and written too.
//!
//! [`Advert`] holds what a message says; it borrows the addresses from the bytes, so hearing an advert allocates nothing.

use crate::decision::IgnoreReason;
use crate::interface::Family;
use crate::quantity::{AdvertInterval, Version, Vrid};
use bytes::Bytes;
use std::net::{IpAddr, Ipv6Addr};

/// IP protocol number of VRRP.
pub const PROTOCOL: u8 = 112;
/// TTL of every multicast advert; a smaller one came over a router (RFC 9568 5.1.1.3).
pub const TTL: u8 = 255;

const HEADER: usize = 8;
const AUTH_DATA: usize = 8;
const ADVERTISEMENT: u8 = 1;
const AUTH_NONE: u8 = 0;
const AUTH_PASS: u8 = 1;
const AUTH_AH: u8 = 2;

/// What an advertisement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert<'a> {
    pub version: Version,
    pub vrid: Vrid,
    /// 0: the sender stops being MASTER (RFC 9568 5.2.4).
    pub priority: u8,
    /// How often the sender advertises.
    pub interval: AdvertInterval,
    pub authentication: Authentication,
    pub addresses: AddressList<'a>,
}

/// How a version 2 message is authenticated (RFC 2338 5.3.6; RFC 3768 and version 3 know only `None`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    None,
    /// `auth_type PASS`: eight bytes, zero filled.
    Password([u8; 8]),
    /// `auth_type AH`: a header before the message ([`super::ah`]); the message itself has only the number.
    Header,
    /// A type that vipward does not speak.
    Other(u8),
}

impl Authentication {
    /// The number on the wire.
    pub fn kind(self) -> u8 {
        match self {
            Self::None => AUTH_NONE,
            Self::Password(_) => AUTH_PASS,
            Self::Header => AUTH_AH,
            Self::Other(kind) => kind,
        }
    }
}

/// The addresses of an advert, as they stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressList<'a> {
    family: Family,
    wire: &'a [u8],
}

impl<'a> AddressList<'a> {
    /// Reads whole addresses; a rest is left out.
    pub fn from_wire(family: Family, bytes: &'a [u8]) -> Self {
        let whole = bytes.len() - bytes.len() % family.octets();
        Self { family, wire: bytes.get(..whole).unwrap_or_default() }
    }

    /// The bytes on the wire.
    pub fn wire(self) -> &'a [u8] {
        self.wire
    }

    pub fn len(self) -> usize {
        self.wire.len() / self.family.octets()
    }

    pub fn is_empty(self) -> bool {
        self.wire.is_empty()
    }

    pub fn iter(self) -> impl Iterator<Item = IpAddr> + 'a {
        self.wire.chunks_exact(self.family.octets()).filter_map(move |octets| {
            let v4 = octets.first_chunk::<4>().map(|octets| IpAddr::from(*octets));
            match self.family {
                Family::V4 => v4,
                Family::V6 => octets.first_chunk::<16>().map(|octets| IpAddr::from(Ipv6Addr::from(*octets))),
            }
        })
    }
}

/// An address as it stands in an advert.
pub fn wire_of(address: IpAddr) -> impl Iterator<Item = u8> {
    let (v4, v6) = match address {
        IpAddr::V4(address) => (Some(address.octets()), None),
        IpAddr::V6(address) => (None, Some(address.octets())),
    };
    v4.into_iter().flatten().chain(v6.into_iter().flatten())
}

impl<'a> Advert<'a> {
    /// Reads a message that came from `source` to `destination`; both are in version 3's pseudo header.
    ///
    /// The checks and their order are those of RFC 9568 7.1 that need no configuration. Version 3's checksum is taken
    /// with the pseudo header (keepalived's default) and, over IPv4, without (RFC 9568 5.2.8, `v3_checksum_as_v2`). The
    /// addresses are of `source`'s family.
    pub fn decode(bytes: &'a [u8], source: IpAddr, destination: IpAddr) -> Result<Self, IgnoreReason> {
        let truncated = |need| IgnoreReason::Truncated { len: bytes.len(), need };
        let (&[version_and_type, vrid, priority, count, fifth, sixth, _, _], rest) =
            bytes.split_first_chunk::<HEADER>().ok_or(truncated(HEADER))?;

        let version = match version_and_type >> 4 {
            2 => Version::V2,
            3 => Version::V3,
            version => return Err(IgnoreReason::UnknownVersion { version }),
        };
        let kind = version_and_type & 0x0f;
        if kind != ADVERTISEMENT {
            return Err(IgnoreReason::UnknownType { kind });
        }

        let family = Family::of(source);
        let addresses_len = usize::from(count) * family.octets();
        // Without authentication nothing reads the field (RFC 3768 5.3.10), and some senders leave it out.
        let (v4, v2) = (family == Family::V4, version == Version::V2);
        let auth_len = if v2 && v4 && fifth != AUTH_NONE { AUTH_DATA } else { 0 };
        let short = || truncated(HEADER + addresses_len + auth_len);
        let (addresses, rest) = rest.split_at_checked(addresses_len).ok_or_else(short)?;

        let sum = sum_words(0, bytes);
        let plain = v4 && fold(sum) == 0xffff;
        let intact = plain || !(v4 && v2) && fold(sum_pseudo_header(sum, source, destination, bytes.len())) == 0xffff;

        let authentication = match (version, fifth) {
            (Version::V3, _) | (Version::V2, AUTH_NONE) => Authentication::None,
            (Version::V2, kind) if !v4 => Authentication::Other(kind),
            (Version::V2, AUTH_PASS) => Authentication::Password(*rest.first_chunk::<AUTH_DATA>().ok_or_else(short)?),
            (Version::V2, AUTH_AH) => Authentication::Header,
            (Version::V2, kind) => Authentication::Other(kind),
        };
        if !intact {
            return Err(IgnoreReason::WrongChecksum);
        }

        let centis = match version {
            Version::V2 => u16::from(sixth) * 100,
            Version::V3 => u16::from_be_bytes([fifth, sixth]) & 0x0fff,
        };
        Ok(Self {
            version,
            vrid: Vrid::new(vrid).ok_or(IgnoreReason::UnknownVrid { vrid })?,
            priority,
            interval: AdvertInterval::from_centis(centis).ok_or(IgnoreReason::ZeroInterval)?,
            authentication,
            addresses: AddressList { family, wire: addresses },
        })
    }

    /// Whether a message of version 3 over IPv4 has the checksum of RFC 9568 5.2.8, without the pseudo header.
    pub fn checksum_is_plain(bytes: &[u8]) -> bool {
        fold(sum_words(0, bytes)) == 0xffff
    }

    /// Writes the message. `pseudo_header`: source and destination, when version 3 is to cover them with its checksum; over
    /// IPv6 it must (RFC 9568 5.2.8).
    ///
    /// At most 255 addresses fit; the rest is left out. Version 2 counts its interval in seconds, rounded down.
    pub fn encode(&self, pseudo_header: Option<(IpAddr, IpAddr)>) -> Bytes {
        let count = self.addresses.len().min(usize::from(u8::MAX));
        let addresses_len = count * self.addresses.family.octets();
        let mut bytes = Vec::with_capacity(HEADER + addresses_len + AUTH_DATA);
        let centis = self.interval.centis();
        let (version, [fifth, sixth]) = match self.version {
            Version::V2 => (2, [self.authentication.kind(), u8::try_from(centis / 100).unwrap_or(u8::MAX)]),
            Version::V3 => (3, (centis.min(0x0fff)).to_be_bytes()),
        };
        let count_byte = u8::try_from(count).unwrap_or(u8::MAX);
        bytes.extend_from_slice(&[
            version << 4 | ADVERTISEMENT,
            self.vrid.get(),
            self.priority,
            count_byte,
            fifth,
            sixth,
            0,
            0,
        ]);
        bytes.extend_from_slice(self.addresses.wire().get(..addresses_len).unwrap_or_default());
        let v4 = self.addresses.family == Family::V4;
        if self.version == Version::V2 && v4 {
            bytes.extend_from_slice(&match self.authentication {
                Authentication::Password(password) => password,
                Authentication::None | Authentication::Header | Authentication::Other(_) => [0; AUTH_DATA],
            });
        }
        let mut sum = sum_words(0, &bytes);
        if let Some((source, destination)) = pseudo_header
            && !(self.version == Version::V2 && v4)
        {
            sum = sum_pseudo_header(sum, source, destination, bytes.len());
        }
        if let Some(checksum) = bytes.get_mut(6..HEADER) {
            checksum.copy_from_slice(&(!fold(sum)).to_be_bytes());
        }
        bytes.into()
    }
}

/// Adds 16-bit words (RFC 1071); an odd last byte counts as the high one.
pub(super) fn sum_words(sum: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    // At most 32,768 words of an IP packet: 32 bits hold their sum.
    let sum = words.iter().fold(sum, |sum, word| sum.wrapping_add(u32::from(u16::from_be_bytes(*word))));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u32::from(*byte) << 8))
}

/// Adds source, destination, protocol and length, in the form of RFC 8200 8.1; with IPv4 addresses as keepalived does.
fn sum_pseudo_header(sum: u32, source: IpAddr, destination: IpAddr, len: usize) -> u32 {
    let words = |sum, address| match address {
        IpAddr::V4(address) => sum_words(sum, &address.octets()),
        IpAddr::V6(address) => sum_words(sum, &address.octets()),
    };
    let sum = words(words(sum, source), destination);
    sum.wrapping_add(u32::from(PROTOCOL)).wrapping_add(u32::try_from(len).unwrap_or_default())
}

/// One's complement sum of the two halves.
pub(super) fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    u16::try_from(sum & 0xffff).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18));
    const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));

    // What keepalived 2.2.7 sent on a veth pair, from the VRRP header on.
    const KA_V2_PASS: &str = "2133 9602 0101 6219 0a09 0064 0a09 0065 3132 3334 3536 3738";
    const KA_V2_OWNER: &str = "2133 ff01 0001 d55c 0a09 0064 0000 0000 0000 0000";
    const KA_V3: &str = "3133 9602 0032 3920 0a09 0064 0a09 0065";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
    }

    fn decode(bytes: &[u8]) -> Result<Advert<'_>, IgnoreReason> {
        Advert::decode(bytes, SOURCE, GROUP)
    }

    fn vips() -> Vec<IpAddr> {
        vec![[10, 9, 0, 100].into(), [10, 9, 0, 101].into()]
    }

    /// Sets the checksum right again after a change.
    fn mend(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes[6..8].fill(0);
        let sum = !fold(sum_words(0, &bytes));
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn reads_what_keepalived_sends() {
        let bytes = hex(KA_V2_PASS);
        let advert = decode(&bytes).unwrap();
        assert_eq!(advert.version, Version::V2);
        assert_eq!((advert.vrid.get(), advert.priority, advert.interval.centis()), (51, 150, 100));
        assert_eq!(advert.authentication, Authentication::Password(*b"12345678"));
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), vips());

        let bytes = hex(KA_V2_OWNER);
        let advert = decode(&bytes).unwrap();
        assert_eq!((advert.priority, advert.authentication), (255, Authentication::None));

        let bytes = hex(KA_V3);
        let advert = decode(&bytes).unwrap();
        assert_eq!(advert.version, Version::V3);
        assert_eq!((advert.vrid.get(), advert.priority, advert.interval.centis()), (51, 150, 50));
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), vips());
    }

    /// Reading and writing again gives keepalived's own bytes.
    #[test]
    fn writes_what_keepalived_sends() {
        for (packet, pseudo) in [(KA_V2_PASS, None), (KA_V2_OWNER, None), (KA_V3, Some((SOURCE, GROUP)))] {
            let bytes = hex(packet);
            assert_eq!(decode(&bytes).unwrap().encode(pseudo), bytes, "{packet}");
        }
    }

    // The same of IPv6, from fe80::3891:9eff:fea1:2089 and fd00:9::1 to ff02::12: with `version 2`, and without it.
    const KA_V6_2: (&str, &str) =
        ("2133 9601 0001 55e6 fd00 0009 0000 0000 0000 0000 0000 0100", "fe80::3891:9eff:fea1:2089");
    const KA_V6_3: (&str, &str) = ("3133 9601 0064 3db5 fd00 0009 0000 0000 0000 0000 0000 0100", "fd00:9::1");

    #[test]
    fn reads_and_writes_what_keepalived_sends_over_ipv6() {
        let group: IpAddr = "ff02::12".parse().unwrap();
        for ((packet, source), version) in [(KA_V6_2, Version::V2), (KA_V6_3, Version::V3)] {
            let (bytes, source): (Vec<u8>, IpAddr) = (hex(packet), source.parse().unwrap());
            let advert = Advert::decode(&bytes, source, group).unwrap();
            assert_eq!((advert.version, advert.priority, advert.interval.centis()), (version, 150, 100));
            assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), ["fd00:9::100".parse::<IpAddr>().unwrap()]);
            assert_eq!(advert.encode(Some((source, group))), bytes, "{packet}");
            // The pseudo header is no choice here.
            let stranger = "fe80::77".parse().unwrap();
            assert_eq!(Advert::decode(&bytes, stranger, group), Err(IgnoreReason::WrongChecksum));
            assert_eq!(Advert::decode(&advert.encode(None), source, group), Err(IgnoreReason::WrongChecksum));
        }
    }

    /// RFC 9568 5.2.8 against keepalived's default.
    #[test]
    fn version_3_checksum_is_taken_with_and_without_pseudo_header() {
        let bytes = hex(KA_V3);
        let advert = decode(&bytes).unwrap();
        let plain = advert.encode(None);
        assert_ne!(plain, bytes);
        assert_eq!(decode(&plain).unwrap(), advert);
        // From another source the pseudo header does not fit; without one nobody can tell.
        let stranger = IpAddr::from([10, 9, 0, 77]);
        assert_eq!(Advert::decode(&bytes, stranger, GROUP), Err(IgnoreReason::WrongChecksum));
        assert!(Advert::decode(&plain, stranger, GROUP).is_ok());
    }

    /// RFC 3768 5.3.8: over the VRRP message alone.
    #[test]
    fn version_2_checksum_is_never_taken_with_a_pseudo_header() {
        let mut bytes = hex(KA_V2_OWNER);
        bytes[6..8].fill(0);
        let sum = !fold(sum_pseudo_header(sum_words(0, &bytes), SOURCE, GROUP, bytes.len()));
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(decode(&bytes), Err(IgnoreReason::WrongChecksum));
    }

    /// RFC 3768 5.3.10: without authentication the field is ignored.
    #[test]
    fn an_unused_authentication_field_is_ignored() {
        let bytes = mend(hex("2133 ff01 0001 0000 0a09 0064 dead beef dead beef"));
        let advert = decode(&bytes).unwrap();
        assert_eq!((advert.authentication, advert.addresses.iter().count()), (Authentication::None, 1));
    }

    /// RFC 9568 7.1, RFC 3768 7.1: one row a check.
    #[test]
    fn drops_what_is_no_advert() {
        let with = |packet: &str, at: usize, value: u8| {
            let mut bytes = hex(packet);
            bytes[at] = value;
            mend(bytes)
        };
        for (bytes, reason) in [
            (vec![], IgnoreReason::Truncated { len: 0, need: 8 }),
            (hex("2133 9602 0101 62"), IgnoreReason::Truncated { len: 7, need: 8 }),
            (hex("2133 9602 0101 6219 0a09 0064 0a09 00"), IgnoreReason::Truncated { len: 15, need: 24 }),
            (hex("2133 9602 0101 6219 0a09 0064 0a09 0065 3132"), IgnoreReason::Truncated { len: 18, need: 24 }),
            (hex("3133 9602 0032 3920 0a09 0064 0a09"), IgnoreReason::Truncated { len: 14, need: 16 }),
            (with(KA_V3, 0, 0x11), IgnoreReason::UnknownVersion { version: 1 }),
            (with(KA_V3, 0, 0x41), IgnoreReason::UnknownVersion { version: 4 }),
            (with(KA_V3, 0, 0x32), IgnoreReason::UnknownType { kind: 2 }),
            (hex("2133 9602 0101 6218 0a09 0064 0a09 0065 3132 3334 3536 3738"), IgnoreReason::WrongChecksum),
            (hex("3133 9602 0032 3921 0a09 0064 0a09 0065"), IgnoreReason::WrongChecksum),
            (with(KA_V3, 1, 0), IgnoreReason::UnknownVrid { vrid: 0 }),
            (with(KA_V3, 5, 0), IgnoreReason::ZeroInterval),
            (with(KA_V2_PASS, 5, 0), IgnoreReason::ZeroInterval),
        ] {
            assert_eq!(decode(&bytes), Err(reason), "{bytes:02x?}");
        }
    }

    /// RFC 9568 5.2.6: the reserved bits are ignored on reception.
    #[test]
    fn version_3_reserved_bits_are_ignored() {
        let mut bytes = hex(KA_V3);
        bytes[4] |= 0xf0;
        let bytes = mend(bytes);
        assert_eq!(decode(&bytes).unwrap().interval.centis(), 50);
    }

    #[test]
    fn other_authentications_are_named() {
        for (kind, is) in [(2, Authentication::Header), (3, Authentication::Other(3))] {
            let mut bytes = hex(KA_V2_PASS);
            bytes[4] = kind;
            assert_eq!(decode(&mend(bytes)).unwrap().authentication, is);
        }
    }

    #[test]
    fn version_2_may_leave_out_an_unused_authentication_field() {
        let bytes = mend(hex("2133 ff01 0001 0000 0a09 0064"));
        assert_eq!(decode(&bytes).unwrap().addresses.len(), 1);
    }

    #[test]
    fn at_most_255_addresses_are_written() {
        let wire = [10, 9, 0, 1].repeat(300);
        let bytes = hex(KA_V3);
        let many = Advert { addresses: AddressList::from_wire(Family::V4, &wire), ..decode(&bytes).unwrap() };
        let written = many.encode(None);
        assert_eq!(decode(&written).unwrap().addresses.len(), 255);
    }

    /// RFC 9568 5.2.8: over IPv6 the pseudo header of RFC 8200 8.1, always. These bytes are keepalived 2.2.7's as well.
    #[test]
    fn ipv6_has_addresses_of_16_bytes_and_a_pseudo_header() {
        let (source, group): (IpAddr, IpAddr) = ("fe80::ff:fe00:1".parse().unwrap(), "ff02::12".parse().unwrap());
        let bytes = hex("3133 9602 0032 0e67 fe80 0000 0000 0000 0000 0000 0000 0064
                         2001 0db8 0000 0000 0000 0000 0000 0064");
        let advert = Advert::decode(&bytes, source, group).unwrap();
        let vips: Vec<IpAddr> = vec!["fe80::64".parse().unwrap(), "2001:db8::64".parse().unwrap()];
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), vips);
        assert_eq!((advert.priority, advert.interval.centis()), (150, 50));
        assert_eq!(vips.iter().flat_map(|vip| wire_of(*vip)).collect::<Vec<_>>(), advert.addresses.wire());
        assert_eq!(advert.encode(Some((source, group))), bytes);

        let plain = advert.encode(None);
        assert_eq!(Advert::decode(&plain, source, group), Err(IgnoreReason::WrongChecksum));
        let short = &bytes[..8 + 20];
        assert_eq!(Advert::decode(short, source, group), Err(IgnoreReason::Truncated { len: 28, need: 40 }));
    }
}
