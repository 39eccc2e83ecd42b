//! Routes and policy rules, as `virtual_routes` and `virtual_rules` ask for them, and what tells one from another to the kernel.

mod rule;

pub use rule::{Rule, RuleAction, VirtualRule};

use crate::interface::{Family, InterfaceName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// `RTPROT_KEEPALIVED`: who put a route there, as `ip route` shows it (`proto keepalived`).
pub const OURS: u8 = 18;
/// `RT_TABLE_MAIN`.
pub const MAIN: u32 = 254;
/// The metric that Linux gives an IPv6 route that names none (`IP6_RT_PRIO_USER`).
const METRIC_V6: u32 = 1024;

/// What makes two routes the same one to the kernel, and says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RouteKey {
    pub table: u32,
    /// The network's first address; of the default route 0.0.0.0 or `::`.
    pub destination: IpAddr,
    pub prefix_len: u8,
    pub tos: u8,
    pub metric: u32,
    pub protocol: u8,
}

impl RouteKey {
    /// In the main table, without anything special.
    pub fn to(destination: IpAddr, prefix_len: u8) -> Self {
        let metric = Self::usual_metric(destination);
        Self { table: MAIN, destination, prefix_len, tos: 0, metric, protocol: OURS }
    }

    /// What the kernel takes for the metric of a route that has none, or 0 of IPv6.
    pub fn usual_metric(destination: IpAddr) -> u32 {
        if destination.is_ipv6() { METRIC_V6 } else { 0 }
    }

    pub fn family(&self) -> Family {
        Family::of(self.destination)
    }

    /// It carries the mark by which its end is heard of.
    pub fn is_marked(&self) -> bool {
        self.protocol == OURS
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.destination, self.prefix_len)?;
        if self.tos != 0 {
            write!(f, " tos {:#04x}", self.tos)?;
        }
        if self.table != MAIN {
            write!(f, " table {}", self.table)?;
        }
        if self.metric != Self::usual_metric(self.destination) {
            write!(f, " metric {}", self.metric)?;
        }
        Ok(())
    }
}

/// What becomes of a packet that takes the route (`RTN_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteKind {
    #[default]
    Unicast,
    Local,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
}

impl RouteKind {
    /// `ip route`'s words.
    pub const ALL: [(&'static str, Self); 6] = [
        ("unicast", Self::Unicast),
        ("local", Self::Local),
        ("blackhole", Self::Blackhole),
        ("unreachable", Self::Unreachable),
        ("prohibit", Self::Prohibit),
        ("throw", Self::Throw),
    ];

    /// It leads somewhere, so it says where.
    pub fn leads(self) -> bool {
        match self {
            Self::Unicast | Self::Local => true,
            Self::Blackhole | Self::Unreachable | Self::Prohibit | Self::Throw => false,
        }
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// One way out: `via ADDRESS dev INTERFACE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// None: the destination is on the link.
    pub via: Option<IpAddr>,
    /// None: the kernel finds the interface by `via`.
    pub interface: Option<InterfaceName>,
    /// 1..=256.
    pub weight: u16,
    /// The gateway counts as on the link whatever the addresses say.
    pub onlink: bool,
}

/// What TCP and the kernel should know of the path (`RTAX_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Metric {
    Mtu,
    Window,
    Ssthresh,
    Cwnd,
    Advmss,
    Reordering,
    Hoplimit,
    Initcwnd,
    Features,
    Initrwnd,
    Quickack,
    FastopenNoCookie,
}

impl Metric {
    /// `ip route`'s words.
    pub const ALL: [(&'static str, Self); 12] = [
        ("mtu", Self::Mtu),
        ("window", Self::Window),
        ("ssthresh", Self::Ssthresh),
        ("cwnd", Self::Cwnd),
        ("advmss", Self::Advmss),
        ("reordering", Self::Reordering),
        ("hoplimit", Self::Hoplimit),
        ("initcwnd", Self::Initcwnd),
        ("features", Self::Features),
        ("initrwnd", Self::Initrwnd),
        ("quickack", Self::Quickack),
        ("fastopen_no_cookie", Self::FastopenNoCookie),
    ];
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, metric)| metric == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// `pref` (RFC 4191 2.1); IPv6 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preference {
    Low,
    Medium,
    High,
}

/// Where it stands among others to the same destination with the same metric (IPv4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Placed {
    /// Before them, so that it counts, as keepalived does.
    #[default]
    First,
    /// `append`: behind them.
    Last,
    /// `add`: only if there is none.
    Alone,
}

/// A route to be put into the kernel: one line of `virtual_routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub key: RouteKey,
    pub kind: RouteKind,
    /// `via`, `dev`, `nexthop`, `or`; empty where the kind leads nowhere. Several share the packets.
    pub hops: Vec<Hop>,
    /// `src`: the source address of what this host sends along it.
    pub source: Option<IpAddr>,
    /// `scope`, as a number (`RT_SCOPE_*`); none: what fits the kind.
    pub scope: Option<u8>,
    /// Each once; `lock` says that it does not change.
    pub metrics: Vec<(Metric, u32)>,
    pub locked: Vec<Metric>,
    pub preference: Option<Preference>,
    pub placed: Placed,
    /// Whoever takes it off is left his way until the virtual router is MASTER again.
    pub no_track: bool,
}

impl Route {
    /// Of this kind, and nothing else said.
    pub fn new(key: RouteKey, kind: RouteKind, hops: Vec<Hop>) -> Self {
        Self {
            key,
            kind,
            hops,
            source: None,
            scope: None,
            metrics: Vec::new(),
            locked: Vec::new(),
            preference: None,
            placed: Placed::default(),
            no_track: false,
        }
    }

    /// The interfaces that it names.
    pub fn interfaces(&self) -> impl Iterator<Item = &InterfaceName> {
        self.hops.iter().filter_map(|hop| hop.interface.as_ref())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind)?;
        }
        write!(f, "{}", self.key)?;
        let several = self.hops.len() > 1;
        for hop in &self.hops {
            if several {
                f.write_str(" nexthop")?;
            }
            if let Some(via) = hop.via {
                write!(f, " via {via}")?;
            }
            if let Some(interface) = &hop.interface {
                write!(f, " dev {interface}")?;
            }
            if several {
                write!(f, " weight {}", hop.weight)?;
            }
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        Ok(())
    }
}
