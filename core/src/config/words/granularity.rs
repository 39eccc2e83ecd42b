//! `persistence_granularity`: which clients count as one.

use super::said::{Lower, Said};
use crate::config::Entries;
use crate::interface::Family;
use crate::text::{Diagnostic, Span};
use std::net::Ipv4Addr;

/// As it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Granularity {
    /// Nothing: each client by itself.
    #[default]
    Each,
    Netmask(Ipv4Addr),
    /// From 1 to 128.
    Prefix(u8),
}

impl Granularity {
    pub fn netmask(self) -> Ipv4Addr {
        match self {
            Self::Each => Ipv4Addr::BROADCAST,
            Self::Netmask(mask) => mask,
            Self::Prefix(prefix) => Ipv4Addr::from(u32::MAX << 32u32.saturating_sub(u32::from(prefix))),
        }
    }

    /// Which family a virtual server by mark has, where nothing else says it.
    pub fn family(self) -> Option<Family> {
        match self {
            Self::Each => None,
            Self::Netmask(_) => Some(Family::V4),
            Self::Prefix(_) => Some(Family::V6),
        }
    }

    pub fn prefix(self) -> u8 {
        match self {
            Self::Each | Self::Netmask(_) => 128,
            Self::Prefix(prefix) => prefix,
        }
    }
}

pub(super) fn read(said: &mut Said<'_, '_, '_>) -> Option<Granularity> {
    let value = said.value()?;
    let read = match value.text.parse::<u8>() {
        Ok(prefix) => (1..=128).contains(&prefix).then_some(Granularity::Prefix(prefix)),
        Err(_) => value.text.parse::<Ipv4Addr>().ok().filter(is_mask).map(Granularity::Netmask),
    };
    if read.is_none() {
        let must = "a netmask, such as 255.255.255.0, or a prefix length from 1 to 32, of IPv6 from 1 to 128";
        said.lower.bad(said.line, value, must);
    }
    if read == Some(Granularity::Netmask(Ipv4Addr::UNSPECIFIED)) {
        said.lower.push(
            Diagnostic::warning("one-client", "`persistence_granularity 0.0.0.0` makes all clients one")
                .at(value.span, "as long as one of them is there, all go to the same real server")
                .help("for no persistence, delete `persistence_timeout` as well"),
        );
    }
    read
}

fn is_mask(mask: &Ipv4Addr) -> bool {
    let mask = u32::from(*mask);
    mask.leading_ones() + mask.trailing_zeros() == 32
}

impl Lower<'_> {
    /// What is written for one family where the virtual server has the other.
    pub(super) fn granularity_fits(&mut self, granularity: Granularity, entries: &Entries, at: Span) {
        let has = |family| entries.keys().iter().any(|key| key.family() == family);
        let (message, help) = match granularity {
            Granularity::Netmask(mask) if has(Family::V6) => {
                (format!("`persistence_granularity {mask}` is a netmask of IPv4"), "write a prefix length, such as 64")
            }
            Granularity::Prefix(prefix @ 33..) if has(Family::V4) => (
                format!("`persistence_granularity {prefix}` is longer than an IPv4 address"),
                "write a prefix length from 1 to 32, or a netmask",
            ),
            Granularity::Each | Granularity::Netmask(_) | Granularity::Prefix(_) => return,
        };
        let message = Diagnostic::error("bad-granularity", message);
        self.push(message.at(at, "each client would count by itself").help(help));
    }
}
