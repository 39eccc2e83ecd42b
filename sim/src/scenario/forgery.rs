//! `forge`: adverts from a host that is no director.

use super::model::{Action, Forgery};
use super::read::{Reader, Table, Value};
use super::values::is_director;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use vipward_core::quantity::{AdvertInterval, Version, Vrid};
use vipward_core::time::Duration;

/// `auth_pass` on the wire (RFC 2338 5.3.6).
const PASSWORD: usize = 8;

impl Forgery {
    /// Where all directors of a segment listen: 224.0.0.18, ff02::12 (RFC 9568 5.1).
    pub fn group(&self) -> IpAddr {
        match self.source {
            IpAddr::V4(_) => Ipv4Addr::new(224, 0, 0, 18).into(),
            IpAddr::V6(_) => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12).into(),
        }
    }
}

impl Reader<'_> {
    pub(super) fn forgery(&mut self, segment: &Value<'_>, table: &Table<'_>) -> Option<Action> {
        let name = self.text(segment, "the name of a segment")?;
        let segment = self.segment_named(name, self.of_value(segment))?;
        let to = match table.get("to") {
            Some(value) => Some(self.node(value, "director", is_director)?),
            None => None,
        };
        let source: IpAddr = match table.get("source") {
            Some(value) => self.parsed(value, "an address")?,
            None => {
                self.missing(table.span, "source", "from which address?");
                return None;
            }
        };
        let vrid = match table.get("vrid") {
            Some(value) => {
                let vrid = self.whole(value)?;
                self.one_of(Vrid::new(vrid), value, "1 to 255")?
            }
            None => {
                self.missing(table.span, "vrid", "of which virtual router?");
                return None;
            }
        };
        let version = match table.get("version") {
            None => Version::V3,
            Some(value) => match self.whole::<u8>(value)? {
                2 => Version::V2,
                3 => Version::V3,
                _ => self.one_of(None, value, "2 or 3")?,
            },
        };
        let interval = match table.get("interval") {
            None => AdvertInterval::ONE_SECOND,
            Some(value) => {
                let most = if version == Version::V2 { "10ms to 255s" } else { "10ms to 40950ms" };
                let interval = self.duration(table, "interval")?;
                let centis = u16::try_from(interval.as_millis() / 10).ok().and_then(AdvertInterval::from_centis);
                let fits = |it: &AdvertInterval| version == Version::V2 || it.centis() <= 4095;
                self.one_of(centis.filter(fits), value, most)?
            }
        };
        let addresses = match table.get("addresses") {
            None => Vec::new(),
            Some(value) => {
                let list = self.list(value);
                list.into_iter().map(|value| self.parsed(value, "an address")).collect::<Option<_>>()?
            }
        };
        let password = match table.get("password") {
            None => None,
            Some(value) => {
                let text = self.text(value, "a password")?;
                let mut password = [0; PASSWORD];
                password.iter_mut().zip(text.bytes()).for_each(|(to, byte)| *to = byte);
                Some(password)
            }
        };
        Some(Action::Forge(Forgery {
            segment,
            to,
            source,
            vrid,
            version,
            interval,
            addresses,
            password,
            priority: self.integer(table, "priority").unwrap_or(254),
            ttl: self.integer(table, "ttl").unwrap_or(255),
            times: self.integer(table, "times").unwrap_or(1),
            every: self.duration(table, "every").unwrap_or(Duration::from_secs(1)),
        }))
    }

    fn one_of<T>(&mut self, read: Option<T>, value: &Value<'_>, range: &str) -> Option<T> {
        if read.is_none() {
            self.wrong(self.of_value(value), "this is out of range", range);
        }
        read
    }
}
