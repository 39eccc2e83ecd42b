//! The connections that a director's kernel, or its relay, counts for each destination of a virtual server.
//!
//! IPVS has an entry for each connection, which outlives it: two minutes after it was closed, ten seconds after a reset that
//! the director has seen, a minute after a first packet that nothing is known of (`ipvsadm -Lnc` shows the rest of it). `lc`, `wlc` and thresholds
//! count these entries too, so they send to a server that refuses what it does not keep.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use vipward_core::ipvs::schedule::Connections;
use vipward_core::ipvs::{Forwarding, ServiceKey};
use vipward_core::time::{Duration, Instant};

/// `FIN_WAIT` and `TIME_WAIT`.
const CLOSED: Duration = Duration::from_secs(120);
/// `CLOSE`: a reset came by.
const RESET: Duration = Duration::from_secs(10);
/// `SYN_RECV`: an answer did not come by, or is not seen, as with direct routing and tunnels.
const UNANSWERED: Duration = Duration::from_secs(60);

/// Who carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Ipvs(Forwarding),
    Relay,
}

/// How a connection ends, for whoever counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Refused,
    Unanswered,
}

impl Carrier {
    /// Where on the real server a connection to `target` arrives.
    pub(super) fn port(self, target: SocketAddr, destination: SocketAddr) -> u16 {
        match self {
            Self::Ipvs(Forwarding::Nat) | Self::Relay => destination.port(),
            Self::Ipvs(Forwarding::Dr | Forwarding::Tun | Forwarding::Gue { .. } | Forwarding::Gre { .. }) => {
                target.port()
            }
        }
    }

    /// How long its entry is kept after that.
    fn keeps(self, end: End) -> Option<Duration> {
        match (self, end) {
            (Self::Relay, _) => None,
            (Self::Ipvs(_), End::Closed) => Some(CLOSED),
            (Self::Ipvs(Forwarding::Nat), End::Refused) => Some(RESET),
            (
                Self::Ipvs(Forwarding::Dr | Forwarding::Tun | Forwarding::Gue { .. } | Forwarding::Gre { .. }),
                End::Refused,
            )
            | (Self::Ipvs(_), End::Unanswered) => Some(UNANSWERED),
        }
    }
}

/// Of all destinations.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable(BTreeMap<(ServiceKey, SocketAddr), Counted>);

#[derive(Debug, Default)]
struct Counted {
    active: u32,
    inactive: u32,
    /// How many of the inactive ones are forgotten when.
    forgotten: BTreeMap<Instant, u32>,
}

impl ConnectionTable {
    /// What is known of them now.
    pub(super) fn of(&self, key: ServiceKey, destination: SocketAddr) -> Connections {
        let counted = self.0.get(&(key, destination));
        counted.map_or(Connections::default(), |it| Connections { active: it.active, inactive: it.inactive })
    }

    /// Forgets the entries of a virtual server that are over.
    pub(super) fn forget(&mut self, key: ServiceKey, now: Instant) {
        for (_, counted) in self.0.iter_mut().filter(|((service, _), _)| *service == key) {
            while let Some(first) = counted.forgotten.first_entry().filter(|first| *first.key() <= now) {
                counted.inactive -= first.remove();
            }
        }
    }

    /// It is established.
    pub(super) fn opened(&mut self, key: ServiceKey, destination: SocketAddr) {
        self.0.entry((key, destination)).or_default().active += 1;
    }

    /// One that was established, or never was, ends.
    pub(super) fn ended(
        &mut self,
        (key, destination): (ServiceKey, SocketAddr),
        carrier: Carrier,
        end: End,
        was_open: bool,
        now: Instant,
    ) {
        let counted = self.0.entry((key, destination)).or_default();
        counted.active = counted.active.saturating_sub(u32::from(was_open));
        if let Some(kept) = carrier.keeps(end) {
            counted.inactive += 1;
            *counted.forgotten.entry(now + kept).or_default() += 1;
        }
    }
}
