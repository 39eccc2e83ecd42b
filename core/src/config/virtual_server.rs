//! Virtual servers, their real servers and checkers, as configured.

pub use crate::check::{CheckerKind, HttpVersion, UrlCheck};

use super::entries::Entries;
use super::notify::UpDownScripts;
use super::places::Places;
use super::tracking::FileCheck;
use crate::check::Binding;
use crate::ipvs::{Forwarding, Scheduler, ServiceFlags, ServiceKey, VirtualServerId, is_whole_address, whole_address};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// `virtual_server IP PORT | fwmark MARK | group NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    /// What it is to IPVS. Written as `key`, which it was called while it was one entry.
    #[serde(rename = "key")]
    pub entries: Entries,
    pub scheduler: Scheduler,
    /// `ops`, `flag-1` to `flag-3` and their names for sh and mh.
    #[serde(default, skip_serializing_if = "ServiceFlags::is_empty")]
    pub flags: ServiceFlags,
    /// `persistence_timeout` in seconds, 1..=2678400; none: off.
    pub persistence_timeout: Option<u32>,
    /// `persistence_granularity` as a netmask of IPv4; 255.255.255.255: each client by itself.
    pub persistence_granularity: Ipv4Addr,
    /// The same for IPv6, as a prefix length; 128: each client by itself.
    #[serde(default = "whole_address", skip_serializing_if = "is_whole_address")]
    pub persistence_prefix: u8,
    /// `persistence_engine`, by the kernel's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence_engine: Option<Arc<str>>,
    /// `quorum`, default 1: the live weight that is needed.
    pub quorum: u32,
    /// `hysteresis`, default 0.
    pub hysteresis: u32,
    pub sorry_server: Option<SorryServer>,
    /// `ha_suspend`: no checks while this host has not the address.
    #[serde(default)]
    pub ha_suspend: bool,
    /// `quorum_up`, `quorum_down`.
    #[serde(default)]
    pub notify: Option<Arc<UpDownScripts>>,
    /// `omega`: a stop tells `notify_down` and `quorum_down`.
    #[serde(default)]
    pub omega: bool,
    pub real_servers: Vec<RealServer>,
    pub places: Places,
}

impl VirtualServer {
    pub fn id(&self) -> VirtualServerId {
        self.entries.id()
    }

    /// All its entries in the table.
    pub fn keys(&self) -> Vec<ServiceKey> {
        self.entries.keys()
    }

    /// `ha_suspend`: it is checked while one of these addresses is here. None: always. Marks have no address to wait for.
    pub fn suspended_without(&self) -> BTreeSet<IpAddr> {
        let addresses = self.ha_suspend.then(|| self.entries.addresses().map(|address| address.ip()));
        addresses.into_iter().flatten().collect()
    }
}

/// `sorry_server IP [PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorryServer {
    pub address: SocketAddr,
    pub forwarding: Forwarding,
    /// `sorry_server_inhibit`: while it is not needed it stays in the table with weight 0.
    #[serde(default)]
    pub inhibit: bool,
}

/// `real_server IP [PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    pub address: SocketAddr,
    /// 0..=65535 (IPVS takes 31 bits; larger ones are refused by the reader), default 1.
    pub weight: u32,
    pub forwarding: Forwarding,
    /// `inhibit_on_failure`: weight 0 instead of removal.
    pub inhibit_on_failure: bool,
    /// `uthreshold`, `lthreshold`; 0: off.
    pub upper_threshold: u32,
    pub lower_threshold: u32,
    /// `notify_up`, `notify_down`.
    #[serde(default)]
    pub notify: Option<Arc<UpDownScripts>>,
    /// All must pass. None: always up.
    pub checkers: Vec<CheckerConfig>,
    /// `FILE_CHECK`: none may take it out.
    #[serde(default)]
    pub files: Vec<FileCheck>,
    pub places: Places,
}

/// One checker block of a real server, with what virtual server and real server hand down filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerConfig {
    pub kind: CheckerKind,
    /// `connect_ip` and `connect_port`; default: the real server's.
    pub target: SocketAddr,
    /// `bindto`, `bind_port`, `bind_if`, `fwmark`. Recordings of earlier versions have none.
    #[serde(default)]
    pub from: Binding,
    /// `connect_timeout`, default 5 s; MISC_CHECK: `misc_timeout`, default `delay_loop`.
    pub connect_timeout: Duration,
    /// `retry` / `nb_get_retry`: extra tries before a live server is down. Default 1, MISC_CHECK 0.
    pub retry: u32,
    /// `delay_before_retry`, default 1 s; HTTP_GET 3 s.
    pub delay_before_retry: Duration,
    /// `delay_loop`, default 60 s.
    pub delay_loop: Duration,
    /// `warmup`: the first probe comes at a random time within this; default `delay_loop`, 0: at once.
    pub warmup: Duration,
    /// `alpha`: down until a probe has passed.
    pub alpha: bool,
    pub places: Places,
}
