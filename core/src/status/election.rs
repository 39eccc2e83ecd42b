//! What an Election answers.

use super::history::DecisionStatus;
use crate::config::Dumps;
use serde::{Deserialize, Serialize};

/// Virtual routers, and what they go by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElectionStatus {
    /// In the order of the file.
    pub routers: Vec<RouterStatus>,
    /// Everything that any of them tracks.
    pub trackers: Vec<TrackerStatus>,
    /// Packets of protocol 112 that were not taken as adverts.
    pub ignored: Vec<IgnoredStatus>,
    /// The last decisions, the oldest first.
    pub decisions: Vec<DecisionStatus>,
    /// `static_ipaddress`, `static_routes`, `static_rules`.
    #[serde(default)]
    pub statics: StaticsStatus,
    /// Where dumps in keepalived's formats go.
    #[serde(default)]
    pub dumps: Dumps,
}

/// What is there whatever any virtual router is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticsStatus {
    pub addresses: Vec<AddressStatus>,
    pub routes: Vec<RouteStatus>,
    pub rules: Vec<RuleStatus>,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterStatus {
    pub name: String,
    /// Where adverts are heard.
    pub interface: String,
    pub vrid: u8,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// 2 or 3.
    pub version: u8,
    /// `INIT`, `BACKUP`, `MASTER` or `FAULT`.
    pub role: String,
    /// For how long. `None`: since the configuration was loaded.
    pub since_ms: Option<u64>,
    /// Why, in a sentence.
    pub why: Option<String>,
    /// The effective priority, and the configured one.
    pub priority: u8,
    pub configured_priority: u8,
    /// What makes the difference, and what can mean FAULT.
    pub tracked: Vec<TrackedStatus>,
    pub advert_int_ms: u64,
    /// The address that adverts leave from.
    pub source: Option<String>,
    /// A BACKUP: whom it heard last.
    pub heard: Option<HeardStatus>,
    /// What it waits for.
    pub next: Option<NextStatus>,
    pub addresses: Vec<AddressStatus>,
    pub packets: PacketCounts,
    /// The sync group that it is in.
    pub group: Option<String>,
    pub lease: Option<LeaseStatus>,
    #[serde(default)]
    pub routes: Vec<RouteStatus>,
    #[serde(default)]
    pub rules: Vec<RuleStatus>,
    /// Earlier versions say nothing of it.
    #[serde(default)]
    pub settings: RouterSettings,
    #[serde(default)]
    pub roles: RoleCounts,
}

/// What the configuration says of a virtual router, and keepalived's dumps show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterSettings {
    /// `garp_master_delay`, in whole seconds.
    pub garp_delay_s: u64,
    /// `garp_master_refresh`, in whole seconds; 0: never.
    pub garp_refresh_s: u64,
    /// `garp_master_repeat`.
    pub garp_repeat: u32,
    /// `garp_master_refresh_repeat`.
    pub garp_refresh_repeat: u32,
    /// `garp_lower_prio_delay`, in whole seconds.
    pub garp_lower_prio_delay_s: u64,
    pub garp_lower_prio_repeat: u32,
    pub down_timer_adverts: u8,
    pub lower_prio_no_advert: bool,
    pub nopreempt: bool,
    pub preempt_delay_ms: u64,
    pub dont_track_primary: bool,
    pub skip_check_adv_addr: bool,
    /// `PASS` or `AH`.
    pub auth_type: Option<String>,
    /// `unicast_peer`; empty: multicast.
    pub unicast_peers: Vec<String>,
}

/// Changes of a role since this worker began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleCounts {
    pub became_master: u64,
    pub left_master: u64,
}

/// One thing that a virtual router tracks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedStatus {
    /// `script chk_nginx`, `tracked interface eth1`.
    pub what: String,
    /// `up`, `down` or `unknown`; the number of a file.
    pub reading: String,
    /// 0: its failure means FAULT.
    pub weight: i16,
    pub reverse: bool,
    /// What it adds to the priority now.
    pub adds: i16,
}

/// The MASTER that a BACKUP heard last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardStatus {
    pub source: String,
    pub ago_ms: Option<u64>,
    /// The priority, where it matters: it is lower, or 0 (it stopped).
    pub priority: Option<u8>,
}

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStatus {
    /// `advert`, `takes over`, `announces`, `preempts`.
    pub what: String,
    pub in_ms: u64,
}

/// One address of a virtual router, or a static one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    pub address: String,
    pub prefix_len: u8,
    pub interface: String,
    /// It is on the interface, as far as the kernel told.
    pub there: bool,
    /// `virtual_ipaddress_excluded`: no advert lists it.
    #[serde(default)]
    pub excluded: bool,
    /// As `ip address` writes it: `192.0.2.100/24 brd 192.0.2.255 dev eth0 scope global label eth0:1`.
    #[serde(default)]
    pub words: String,
}

/// One route of a virtual router, or a static one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteStatus {
    /// As `ip route` writes it.
    pub route: String,
    /// It is in the kernel, as far as the kernel told.
    pub there: bool,
}

/// One policy rule of a virtual router, or a static one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// As `ip rule` writes it.
    pub rule: String,
    /// It is in the kernel, as far as the kernel told.
    pub there: bool,
}

/// Packets of a virtual router since this worker began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketCounts {
    pub sent: u64,
    /// All with its VRID on its interface, those that were ignored included.
    pub heard: u64,
    /// Of these, those with priority 0: a MASTER that stops.
    #[serde(default)]
    pub zero_sent: u64,
    #[serde(default)]
    pub zero_heard: u64,
}

/// What the quorum service says of a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// `fence` or `elect`.
    pub mode: String,
    /// Its number, if it is ours.
    pub token: Option<String>,
    /// Who holds it instead.
    pub held_by: Option<String>,
}

/// Something tracked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerStatus {
    pub what: String,
    pub reading: String,
    pub since_ms: Option<u64>,
    /// What a script ended with.
    pub why: Option<String>,
}

/// Packets that were ignored for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredStatus {
    /// `None`: of no virtual router here.
    pub router: Option<String>,
    /// [`crate::decision::IgnoreReason::word`].
    pub reason: String,
    pub packets: u64,
}
