//! The RFC's quantities as types, parsed once at the edge.

use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Virtual Router Identifier, 1..=255 (RFC 9568 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Vrid(u8);

impl Vrid {
    /// `None` for 0.
    pub const fn new(vrid: u8) -> Option<Self> {
        if vrid == 0 { None } else { Some(Self(vrid)) }
    }

    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Vrid {
    type Error = &'static str;
    fn try_from(vrid: u8) -> Result<Self, Self::Error> {
        Self::new(vrid).ok_or("virtual_router_id 0 does not exist")
    }
}

impl From<Vrid> for u8 {
    fn from(vrid: Vrid) -> Self {
        vrid.0
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A virtual router's priority, 1..=255 (RFC 9568 5.2.4). On the wire 0 exists too: "I stop being MASTER now".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The address owner's: it owns the VIP as its real address.
    pub const OWNER: Self = Self(255);
    /// Whoever has it waits longest.
    pub const LOWEST: Self = Self(1);
    /// keepalived's default.
    pub const DEFAULT: Self = Self(100);

    /// `None` for 0.
    pub const fn new(priority: u8) -> Option<Self> {
        if priority == 0 { None } else { Some(Self(priority)) }
    }

    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Priority {
    type Error = &'static str;
    fn try_from(priority: u8) -> Result<Self, Self::Error> {
        Self::new(priority).ok_or("priority 0 is reserved for a MASTER that stops")
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2 => "2",
            Self::V3 => "3",
        })
    }
}

/// Advertisement_Interval in centiseconds (RFC 9568 5.2.7; `advert_int`). Version 3: 1..=4095. Version 2: whole
/// seconds, 100..=25500 in steps of 100. The reader checks which; the type only rules out zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct AdvertInterval(u16);

impl AdvertInterval {
    /// One second.
    pub const DEFAULT: Self = Self(100);

    /// One centisecond.
    pub const SHORTEST: Self = Self(1);

    /// One second, the default of RFC 9568 6.1.
    pub const ONE_SECOND: Self = Self(100);

    /// `None` for 0.
    pub const fn from_centis(centis: u16) -> Option<Self> {
        if centis == 0 { None } else { Some(Self(centis)) }
    }

    pub const fn centis(self) -> u16 {
        self.0
    }

    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }

    /// So many times it; saturates.
    pub const fn times(self, factor: u16) -> Self {
        let centis = self.0.saturating_mul(factor);
        Self(if centis == 0 { 1 } else { centis })
    }
}

impl TryFrom<u16> for AdvertInterval {
    type Error = &'static str;
    fn try_from(centis: u16) -> Result<Self, Self::Error> {
        Self::from_centis(centis).ok_or("an advert interval of zero does not exist")
    }
}

impl From<AdvertInterval> for u16 {
    fn from(interval: AdvertInterval) -> Self {
        interval.0
    }
}

/// Seconds: `1`, `0.1`.
impl fmt::Display for AdvertInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (s, 0) => write!(f, "{s} s"),
            (s, c) if c % 10 == 0 => write!(f, "{s}.{} s", c / 10),
            (s, c) => write!(f, "{s}.{c:02} s"),
        }
    }
}

/// What a virtual router is right now (RFC 9568 6.4; FAULT is keepalived's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Initialize, RFC 9568 6.4.1: not started, or stopped.
    Init,
    Backup,
    Master,
    /// It can't take part: its interface is down or away, a tracked script with weight 0 failed.
    Fault,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        })
    }
}
