//! How packets reach a real server (`IP_VS_CONN_F_FWD_MASK`, and the types of tunnels of Linux 5.2 and 5.3).

use super::table::ServiceKey;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// How packets reach the real server (`lb_kind`, `lvs_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Forwarding {
    /// Masquerading.
    Nat,
    /// Direct routing: the real server must be on the director's segment and listen on the same port.
    Dr,
    /// IPIP tunnel.
    Tun,
    /// Generic UDP encapsulation, to this port of the real server.
    Gue { port: u16, checksum: TunnelChecksum },
    /// GRE tunnel, with a checksum or without.
    Gre { checksum: bool },
}

/// What guards a GUE tunnel's packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TunnelChecksum {
    /// `nocsum`.
    #[default]
    Absent,
    /// `csum`: the outer header's.
    Present,
    /// `remcsum`: the inner one, which the real server fills in.
    Remote,
}

impl Forwarding {
    /// The type of the tunnel, if it is one.
    pub fn tunnel(self) -> Option<&'static str> {
        match self {
            Self::Nat | Self::Dr => None,
            Self::Tun => Some("IPIP"),
            Self::Gue { .. } => Some("GUE"),
            Self::Gre { .. } => Some("GRE"),
        }
    }

    /// Where the table sends packets of an entry to for this real server: only NAT can change their port, and with DR and TUN
    /// it is the entry's, 0 behind a mark (as in keepalived).
    pub fn destination(self, server: SocketAddr, of: &ServiceKey) -> SocketAddr {
        match self {
            Self::Nat => server,
            Self::Dr | Self::Tun | Self::Gue { .. } | Self::Gre { .. } => {
                SocketAddr::new(server.ip(), of.address().map_or(0, |address| address.port()))
            }
        }
    }
}

/// As a configuration says it.
impl fmt::Display for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nat => f.write_str("NAT"),
            Self::Dr => f.write_str("DR"),
            Self::Tun => f.write_str("TUN"),
            Self::Gue { port, checksum } => {
                write!(f, "TUN type gue port {port}")?;
                f.write_str(match checksum {
                    TunnelChecksum::Absent => "",
                    TunnelChecksum::Present => " csum",
                    TunnelChecksum::Remote => " remcsum",
                })
            }
            Self::Gre { checksum } => write!(f, "TUN type gre{}", if *checksum { " csum" } else { "" }),
        }
    }
}
