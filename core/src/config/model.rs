//! What a configuration means, after reading: every default filled in, every word parsed into a type.
//!
//! Names follow keepalived's words where a user writes them and the RFC's where the RFC has one.

use super::fifo::Fifos;
use super::lvs::{LvsSyncDaemon, LvsTimeouts};
use super::slow_start::SlowStart;
use super::statics::Statics;
use super::vip::Vip;
use super::virtual_server::VirtualServer;
use crate::command::{Command, ScriptId};
use crate::config::notify::{Alerts, NotifyScripts};
use crate::config::places::Places;
use crate::config::process::TrackProcess;
use crate::config::tracking::{TrackFile, WatchedFile};
use crate::interface::{Family, InterfaceAddress, InterfaceName};
use crate::lease::Coordination;
use crate::quantity::{AdvertInterval, Priority, Version, Vrid};
use crate::route::{Route, VirtualRule};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// One director's whole configuration: keepalived's file, and what a machine decides by of `vipward.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    pub global: GlobalDefs,
    /// `vrrp_script` blocks by name.
    pub scripts: BTreeMap<Arc<str>, VrrpScript>,
    /// `vrrp_instance` blocks in the order of the file.
    pub routers: Vec<VirtualRouterConfig>,
    /// `virtual_server` blocks in the order of the file.
    pub services: Vec<VirtualServer>,
    /// `[coordination]` of `vipward.toml`, if any virtual router is coordinated: whoever loads both files fills it in.
    pub coordination: Option<Coordination>,
    /// `[vip]` of `vipward.toml`: whoever loads both files fills it in.
    pub vip: Vip,
    /// `vrrp_sync_group` blocks in the order of the file.
    #[serde(default)]
    pub groups: Vec<SyncGroup>,
    /// `track_file` blocks by name.
    #[serde(default)]
    pub files: BTreeMap<Arc<str>, TrackFile>,
    /// `vrrp_track_process` blocks by name.
    #[serde(default)]
    pub processes: BTreeMap<Arc<str>, TrackProcess>,
    /// `static_ipaddress`, `static_routes`, `static_rules`.
    #[serde(default)]
    pub statics: Statics,
    /// `[slow_start]` of `vipward.toml`: whoever loads both files fills it in.
    #[serde(default)]
    pub slow_start: SlowStart,
}

impl Config {
    /// Whether this virtual router needs a lease of the quorum service (`fence`, `elect`).
    pub fn coordinates(&self, router: &str) -> bool {
        self.coordination.as_ref().is_some_and(|it| it.routers.contains_key(router))
    }

    /// The files that some virtual router or real server tracks.
    pub fn watched_files(&self) -> Vec<WatchedFile> {
        let tracked =
            |file: &&TrackFile| self.routers.iter().any(|it| it.tracking.files().any(|name| *name == file.name));
        let weighing = self.files_of_servers();
        let files = self.files.values().filter(|file| tracked(file) || weighing.contains(&file.name));
        files.map(|file| WatchedFile { name: file.name.clone(), path: file.path.clone() }).collect()
    }

    /// The tracked files that some real server asks for.
    pub fn files_of_servers(&self) -> BTreeSet<Arc<str>> {
        let servers = self.services.iter().flat_map(|service| &service.real_servers);
        servers.flat_map(|real| &real.files).map(|check| check.file.clone()).collect()
    }

    /// The `vrrp_track_process` blocks that some virtual router tracks.
    pub fn tracked_processes(&self) -> impl Iterator<Item = &TrackProcess> {
        let tracked: BTreeSet<&Arc<str>> = self.routers.iter().flat_map(|it| it.tracking.processes()).collect();
        self.processes.values().filter(move |process| tracked.contains(&process.name))
    }

    /// The programs that checkers run.
    pub fn check_commands(&self) -> impl Iterator<Item = &Command> {
        let checkers = self.services.iter().flat_map(|service| &service.real_servers).flat_map(|real| &real.checkers);
        checkers.filter_map(|checker| checker.kind.command())
    }

    /// The sync group that this virtual router shares with others.
    pub fn group_of(&self, router: &str) -> Option<&SyncGroup> {
        self.groups.iter().find(|group| group.members.len() > 1 && group.members.iter().any(|name| **name == *router))
    }
}

/// `global_defs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalDefs {
    /// `router_id`; none: the host's name.
    pub router_id: Option<String>,
    pub notification_email: Vec<String>,
    pub notification_email_from: Option<String>,
    /// `smtp_helo_name`.
    #[serde(default)]
    pub smtp_helo_name: Option<String>,
    #[serde(default)]
    pub alerts: Alerts,
    /// `smtp_server HOST [PORT]`.
    pub smtp_server: Option<(String, u16)>,
    /// `smtp_connect_timeout`, default 30 s.
    pub smtp_connect_timeout: Duration,
    /// `enable_script_security`.
    pub script_security: bool,
    /// `rs_init_notifies`.
    #[serde(default)]
    pub rs_init_notifies: bool,
    /// `lvs_timeouts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lvs_timeouts: Option<LvsTimeouts>,
    /// `lvs_sync_daemon`, or `lvs_sync_daemon_interface` of a `vrrp_instance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lvs_sync_daemon: Option<LvsSyncDaemon>,
    pub announcement_pauses: AnnouncementPauses,
    /// `garp_group`s. No interface is in two of them.
    #[serde(default)]
    pub garp_groups: Vec<GarpGroup>,
    /// `notify_fifo` and its kin. No two of them have one path.
    #[serde(default, skip_serializing_if = "Fifos::is_empty")]
    pub fifos: Fifos,
    #[serde(default)]
    pub dumps: Dumps,
    pub places: Places,
}

impl Default for GlobalDefs {
    fn default() -> Self {
        Self {
            router_id: None,
            notification_email: Vec::new(),
            notification_email_from: None,
            smtp_helo_name: None,
            alerts: Alerts::default(),
            smtp_server: None,
            smtp_connect_timeout: Duration::from_secs(30),
            script_security: false,
            rs_init_notifies: false,
            lvs_timeouts: None,
            lvs_sync_daemon: None,
            announcement_pauses: AnnouncementPauses::default(),
            garp_groups: Vec::new(),
            fifos: Fifos::default(),
            dumps: Dumps::default(),
            places: Places::default(),
        }
    }
}

/// The files that a signal writes, in keepalived's formats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dumps {
    /// `state_dump_file`, default `/tmp/keepalived.data`: SIGUSR1.
    pub state: String,
    /// `stats_dump_file`, default `/tmp/keepalived.stats`: SIGUSR2.
    pub stats: String,
    /// `json_dump_file`, default `/tmp/keepalived.json`: `keepalived --signum=JSON`.
    pub json: String,
    /// `json_version 2`: an object whose field `vrrp` is the list, and not the list alone.
    pub json_version_2: bool,
}

impl Default for Dumps {
    fn default() -> Self {
        Self {
            state: "/tmp/keepalived.data".to_owned(),
            stats: "/tmp/keepalived.stats".to_owned(),
            json: "/tmp/keepalived.json".to_owned(),
            json_version_2: false,
        }
    }
}

/// The least time between two announcements on one interface; zero: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementPauses {
    /// `vrrp_garp_interval`: between two gratuitous ARPs.
    pub garp: Duration,
    /// `vrrp_gna_interval`: between two unsolicited neighbour advertisements.
    pub gna: Duration,
}

impl AnnouncementPauses {
    /// For this kind of address.
    pub fn of(self, family: Family) -> Duration {
        match family {
            Family::V4 => self.garp,
            Family::V6 => self.gna,
        }
    }
}

/// `garp_group`: interfaces with pauses of their own, each kept over all of them together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GarpGroup {
    /// At least one.
    pub interfaces: Vec<InterfaceName>,
    pub pauses: AnnouncementPauses,
}

impl GlobalDefs {
    /// The pause after an announcement of such an address on this interface, and the interfaces that keep it too.
    pub fn announcement_pause(&self, interface: &InterfaceName, family: Family) -> (Duration, &[InterfaceName]) {
        match self.garp_groups.iter().find(|group| group.interfaces.contains(interface)) {
            Some(group) => (group.pauses.of(family), &group.interfaces),
            None => (self.announcement_pauses.of(family), &[]),
        }
    }
}

/// `vrrp_script NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpScript {
    pub name: Arc<str>,
    pub command: Command,
    /// `interval`, default 1 s.
    pub interval: Duration,
    /// `timeout`, default `interval`.
    pub timeout: Duration,
    /// `weight` -253..=253, default 0: failure means FAULT.
    pub weight: TrackWeight,
    /// `rise`, `fall`: results in a row before the state changes. At least 1.
    pub rise: u32,
    pub fall: u32,
    /// `init_fail`.
    pub init_fail: bool,
    pub places: Places,
}

/// What a tracked thing does to the priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrackWeight {
    /// -253..=253. Positive: added while it is up. Negative: added while it is down. 0: down means FAULT.
    /// Of a file -254..=254: its number times this is added, and -254 or less is FAULT. 0: any number but 0 means FAULT.
    pub weight: i16,
    /// `reverse`: the change is turned round (added becomes subtracted); with weight 0, up means FAULT.
    pub reverse: bool,
}

/// Something that virtual routers track.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TrackerId {
    /// A `vrrp_script`.
    Script(Arc<str>),
    /// An interface beside a virtual router's own.
    Interface(InterfaceName),
    /// A `track_file`.
    File(Arc<str>),
    /// A `vrrp_track_process`.
    Process(Arc<str>),
}

impl fmt::Display for TrackerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script(name) => write!(f, "script {name}"),
            Self::Interface(name) => write!(f, "tracked interface {name}"),
            Self::File(name) => write!(f, "track_file {name}"),
            Self::Process(name) => write!(f, "track_process {name}"),
        }
    }
}

/// One line of `track_script`, `track_interface`, `track_file`, `track_process`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    pub what: TrackerId,
    pub weight: TrackWeight,
}

/// `state`: only a hint for the first moments; the election decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitialState {
    Master,
    #[default]
    Backup,
}

/// How adverts travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// To `vrrp_mcast_group4`, 224.0.0.18, or `vrrp_mcast_group6`, ff02::12.
    Multicast { group: IpAddr },
    /// `unicast_peer`; never empty.
    Unicast { peers: Vec<IpAddr> },
}

/// `vrrp_instance NAME`: one virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualRouterConfig {
    pub name: Arc<str>,
    pub initial_state: InitialState,
    pub interfaces: Interfaces,
    pub vrid: Vrid,
    /// Of the adverts, and of the addresses that they list.
    pub family: Family,
    pub version: Version,
    /// 255: address owner.
    pub priority: Priority,
    pub preemption: Preemption,
    pub adverts: Adverts,
    pub transport: Transport,
    /// `unicast_src_ip` or `mcast_src_ip`; none: the interface's first own address, of IPv6 its link-local one.
    pub source: Option<IpAddr>,
    /// `unicast_ttl`, default 255.
    pub unicast_ttl: u8,
    /// `auth_pass`: the 8 bytes on the wire, zero filled (RFC 2338 10.3; VRRPv2 only).
    pub password: Option<[u8; 8]>,
    /// `auth_type AH`: the password is the key of an authentication header and is not sent.
    #[serde(default)]
    pub ah: bool,
    /// `virtual_ipaddress`: these are advertised.
    pub addresses: Vec<InterfaceAddress>,
    /// `virtual_ipaddress_excluded`: these move along, but no advert lists them.
    pub excluded: Vec<InterfaceAddress>,
    /// `virtual_routes`, of either family.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// `virtual_rules`, of either family.
    #[serde(default)]
    pub rules: Vec<VirtualRule>,
    pub tracking: Tracking,
    pub announcements: Garp,
    pub notify: NotifyScripts,
    pub places: Places,
}

/// `vrrp_sync_group NAME`: virtual routers that change their roles together.
///
/// What the group says of priorities and trackers stands in its members: they all have the lowest of their priorities,
/// the group's own trackers, and with `sync_group_tracking_weight` each other's weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGroup {
    pub name: Arc<str>,
    /// `group`: names of virtual routers of this configuration, each in one group at most, in the order of the file.
    pub members: Vec<Arc<str>>,
    pub notify: NotifyScripts,
    pub places: Places,
}

/// Where a virtual router is. All of it is `interface` as long as no word says otherwise. An address names the interface that
/// it is held on by itself ([`InterfaceAddress::interface`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// Adverts of others are heard on it.
    pub heard_on: InterfaceName,
    /// Its own adverts are sent from it, and from an address of it.
    pub sent_from: InterfaceName,
    /// When its link is down, the virtual router is in FAULT; none: `dont_track_primary`.
    pub tracked: Option<InterfaceName>,
}

impl Interfaces {
    /// One interface is all of them.
    pub fn all(name: InterfaceName) -> Self {
        Self { heard_on: name.clone(), sent_from: name.clone(), tracked: Some(name) }
    }

    /// Whether anything about this interface concerns the virtual router.
    pub fn any_is(&self, name: &InterfaceName) -> bool {
        [Some(&self.heard_on), Some(&self.sent_from), self.tracked.as_ref()].contains(&Some(name))
    }
}

/// Whether a MASTER of lower priority is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preemption {
    /// `nopreempt` makes it false.
    pub on: bool,
    /// `preempt_delay` 0..=1000 s.
    pub delay: Duration,
}

/// When adverts are sent, and which are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adverts {
    /// `advert_int`.
    pub interval: AdvertInterval,
    /// `vrrp_down_timer_adverts` / `down_timer_adverts`, default 3: adverts missed before takeover.
    pub down_timer: u8,
    /// `v3_checksum_as_v2`: whether the checksum of VRRPv3 over IPv4 is sent without the pseudo header. Without the word
    /// (`None`) with it, and without it to peers that send theirs so. Both are accepted.
    pub v3_checksum_as_v2: Option<bool>,
    /// `check_unicast_src`: drop unicast adverts from strangers.
    pub check_unicast_src: bool,
    /// `skip_check_adv_addr`: check the addresses only in the first advert of each MASTER.
    pub skip_check_adv_addr: bool,
    /// `lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
}

impl Adverts {
    /// At this interval; everything else as if nothing were said.
    pub fn every(interval: AdvertInterval) -> Self {
        Self {
            interval,
            down_timer: 3,
            v3_checksum_as_v2: None,
            check_unicast_src: false,
            skip_check_adv_addr: false,
            lower_prio_no_advert: false,
        }
    }
}

/// What decides about priority or FAULT.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// `track_script`, `track_interface`, `track_file`, `track_process`.
    pub list: Vec<Tracked>,
}

impl Tracking {
    /// `track_interface`: interfaces beside the virtual router's own.
    pub fn interfaces(&self) -> impl Iterator<Item = &InterfaceName> {
        self.list.iter().filter_map(|tracked| match &tracked.what {
            TrackerId::Interface(name) => Some(name),
            TrackerId::Script(_) | TrackerId::File(_) | TrackerId::Process(_) => None,
        })
    }

    /// `track_file`.
    pub fn files(&self) -> impl Iterator<Item = &Arc<str>> {
        self.list.iter().filter_map(|tracked| match &tracked.what {
            TrackerId::File(name) => Some(name),
            TrackerId::Script(_) | TrackerId::Interface(_) | TrackerId::Process(_) => None,
        })
    }

    /// `track_process`.
    pub fn processes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.list.iter().filter_map(|tracked| match &tracked.what {
            TrackerId::Process(name) => Some(name),
            TrackerId::Script(_) | TrackerId::Interface(_) | TrackerId::File(_) => None,
        })
    }

    /// `track_script`.
    pub fn scripts(&self) -> impl Iterator<Item = &ScriptId> {
        self.list.iter().filter_map(|tracked| match &tracked.what {
            TrackerId::Script(name) => Some(name),
            TrackerId::Interface(_) | TrackerId::File(_) | TrackerId::Process(_) => None,
        })
    }
}

/// Pace of the announcements (`garp_*`, `vrrp_garp_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garp {
    /// `garp_master_repeat`, default 5: announcements per burst.
    pub repeat: u32,
    /// `garp_master_delay`, default 5 s: when the second burst comes; zero: never.
    pub delay: Duration,
    /// `garp_master_refresh`: every so often while MASTER; zero: never.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`, default 1.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_repeat`, `garp_lower_prio_delay`: after an advert of a lower priority was heard.
    pub lower_prio_repeat: u32,
    pub lower_prio_delay: Duration,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_repeat: 5,
            lower_prio_delay: Duration::from_secs(5),
        }
    }
}
