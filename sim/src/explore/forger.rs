//! What a host on the segment may say that is no director: anything that fits into an advert.

use super::dice::Dice;
use crate::scenario::{NodeId, Scenario};
use std::net::IpAddr;
use vipward_core::config::{Transport, VirtualRouterConfig};
use vipward_core::quantity::Version;

/// A virtual router that somebody else speaks of.
#[derive(Clone, Debug)]
pub struct Victim {
    segment: String,
    /// One of its directors, for unicast.
    director: String,
    unicast: bool,
    vrid: u8,
    version: Version,
    /// Milliseconds.
    interval: u64,
    password: Option<String>,
    /// The director's own.
    own: IpAddr,
    addresses: Vec<IpAddr>,
}

impl Victim {
    pub fn of(scenario: &Scenario, id: NodeId, router: &VirtualRouterConfig) -> Option<Self> {
        let node = scenario.node(id);
        let port = node.ports.iter().find(|port| port.interface == router.interfaces.heard_on)?;
        let password = router.password.map(|bytes| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
        });
        Some(Self {
            segment: scenario.segments.get(port.segment.0)?.name.to_string(),
            director: node.name.to_string(),
            unicast: matches!(router.transport, Transport::Unicast { .. }),
            vrid: router.vrid.get(),
            version: router.version,
            interval: u64::from(router.adverts.interval.centis()) * 10,
            password,
            own: port.address?.0,
            addresses: router.addresses.iter().map(|it| it.address).collect(),
        })
    }

    /// A step of `forge`. Half of what is drawn has something in it that nobody may believe.
    pub fn forge(&self, dice: &mut Dice) -> String {
        let version = match (self.version, dice.one_in(8)) {
            (Version::V2, false) | (Version::V3, true) => 2,
            (Version::V3, false) | (Version::V2, true) => 3,
        };
        let interval = match version {
            2 => dice.among(&[1_000, 1_000, 2_000, 10_000, 255_000]),
            _ => dice.among(&[10, self.interval.min(40_950), self.interval.min(40_950), 1_000, 10_000, 40_950]),
        };
        let IpAddr::V4(own) = self.own else { return self.line(version, interval, self.own, &self.addresses, dice) };
        let [a, b, c, _] = own.octets();
        let last = dice.among(&[1, 66, 66, 254]);
        let source = if dice.one_in(4) { self.own } else { IpAddr::from([a, b, c, last]) };
        let addresses = match dice.up_to(9) {
            0 => Vec::new(),
            1 => vec![IpAddr::from([a, b, c, 99])],
            2 => self.addresses.iter().copied().take(1).collect(),
            _ => self.addresses.clone(),
        };
        self.line(version, interval, source, &addresses, dice)
    }

    fn line(&self, version: u8, interval: u64, source: IpAddr, addresses: &[IpAddr], dice: &mut Dice) -> String {
        let priority = dice.among(&[0, 1, 100, 200, 254, 254, 255]);
        let addresses: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        let (times, every) = match dice.up_to(2) {
            0 => (1, 1_000),
            1 => (dice.stretched(2, 30), self.interval),
            _ => (dice.stretched(2, 1_000), dice.stretched(1, 1_000)),
        };
        let mut line = format!(
            "forge = {:?}, source = \"{source}\", vrid = {}, priority = {priority}, version = {version}, interval = \
             \"{interval}ms\", addresses = [{}], times = {times}, every = \"{every}ms\"",
            self.segment,
            self.vrid,
            addresses.join(", ")
        );
        let known = match (&self.password, dice.up_to(7)) {
            (Some(_), 0) => Some("guessed"),
            (Some(_), 1) => None,
            (Some(password), _) => Some(password.as_str()),
            (None, 0) => Some("needless"),
            (None, _) => None,
        };
        if let Some(password) = known {
            line.push_str(&format!(", password = {password:?}"));
        }
        if dice.one_in(10) {
            line.push_str(", ttl = 64");
        }
        if self.unicast != dice.one_in(6) {
            line.push_str(&format!(", to = {:?}", self.director));
        }
        line
    }
}
