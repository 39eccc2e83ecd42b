//! What a Balancer answers.

use super::history::DecisionStatus;
use serde::{Deserialize, Serialize};

/// Virtual servers, and how their real servers are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerStatus {
    /// What carries the traffic: `IPVS` or `relay`.
    pub carrier: String,
    /// The timeouts of connections, where `lvs_timeouts` sets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<String>,
    /// The kernel's sync daemons that `lvs_sync_daemon` runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sync_daemons: Vec<String>,
    pub services: Vec<VirtualServerStatus>,
    /// The last decisions, the oldest first.
    pub decisions: Vec<DecisionStatus>,
}

/// One virtual server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServerStatus {
    /// `TCP 192.0.2.100:80`.
    pub name: String,
    pub scheduler: String,
    pub persistence_s: Option<u32>,
    pub quorum: QuorumStatus,
    pub sorry_server: Option<String>,
    /// `ha_suspend`: its address is not here, and nobody checks.
    #[serde(default)]
    pub suspended: bool,
    /// Of a group: its entries in the table, the first of many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    pub servers: Vec<RealServerStatus>,
}

/// Whether enough weight is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumStatus {
    pub up: bool,
    pub needed: u32,
    /// The weights of the real servers that are up, and of all.
    pub live: u64,
    pub total: u64,
    pub since_ms: Option<u64>,
}

/// One real server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServerStatus {
    pub address: String,
    pub up: bool,
    /// For how long. `None`: since the configuration was loaded.
    pub since_ms: Option<u64>,
    /// Why it went down.
    pub why: Option<String>,
    pub forwarding: String,
    /// What the table should have; `None`: it is not in the table.
    pub weight: Option<u32>,
    pub configured_weight: u32,
    /// An operator has drained it (`vipward drain`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<DrainStatus>,
    /// Without any it always counts as up.
    pub checkers: Vec<CheckerStatus>,
}

/// A real server that takes no new connections because an operator wants it so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// For how long.
    pub since_ms: u64,
    /// Active connections, as of the last look at the table. `None`: nobody has looked yet.
    pub connections: Option<u32>,
    /// `--remove`: it is taken out when none is left.
    pub remove: bool,
    /// `--limit`: in how long it is taken out whatever is left.
    pub limit_ms: Option<u64>,
    /// It is taken out.
    pub out: bool,
}

/// One checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerStatus {
    /// The block's name in the configuration.
    pub kind: String,
    pub target: String,
    pub up: bool,
    /// `None`: no attempt has ended yet.
    pub last: Option<ResultStatus>,
    /// When it looks next; `None`: an attempt is under way.
    pub next_ms: Option<u64>,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultStatus {
    pub ago_ms: u64,
    /// How long it took, in microseconds.
    pub took_us: Option<u64>,
    pub passed: bool,
    /// What went wrong.
    pub failure: Option<String>,
}
