//! What `global_defs` says of IPVS as a whole.

use crate::ipvs::{SyncDaemon, Timeouts};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `lvs_timeouts [tcp N] [tcpfin N] [udp N]`: what it does not name stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LvsTimeouts {
    pub tcp: Option<u32>,
    pub tcp_fin: Option<u32>,
    pub udp: Option<u32>,
}

impl LvsTimeouts {
    /// These, and the rest of others.
    pub fn over(self, others: Timeouts) -> Timeouts {
        Timeouts {
            tcp: self.tcp.unwrap_or(others.tcp),
            tcp_fin: self.tcp_fin.unwrap_or(others.tcp_fin),
            udp: self.udp.unwrap_or(others.udp),
        }
    }
}

/// `lvs_sync_daemon INTERFACE [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group IP]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LvsSyncDaemon {
    pub daemon: SyncDaemon,
    /// The virtual router whose role it follows; none: a master and a backup run all the time.
    pub router: Option<Arc<str>>,
}
