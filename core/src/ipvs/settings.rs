//! What IPVS has once for all services: timeouts of connections (`ipvsadm --set`), and the daemons that tell other directors of
//! connections (`ipvsadm --start-daemon`).

use super::table::Table;
use crate::interface::InterfaceName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub timeouts: Timeouts,
    pub daemons: BTreeMap<SyncRole, SyncDaemon>,
}

/// How long the kernel remembers a connection that is silent, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    pub tcp: u32,
    /// After a FIN.
    pub tcp_fin: u32,
    pub udp: u32,
}

impl Default for Timeouts {
    /// Linux's.
    fn default() -> Self {
        Self { tcp: 900, tcp_fin: 120, udp: 300 }
    }
}

impl fmt::Display for Timeouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp {} tcpfin {} udp {}", self.tcp, self.tcp_fin, self.udp)
    }
}

/// A master sends, a backup listens. A kernel has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SyncRole {
    Master,
    Backup,
}

impl SyncRole {
    pub const BOTH: [Self; 2] = [Self::Master, Self::Backup];
}

impl fmt::Display for SyncRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

/// Where a sync daemon sends to, or listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    pub interface: InterfaceName,
    /// Daemons of another id are not listened to.
    pub id: u8,
    /// Of a packet's payload; none: what the interface takes.
    pub max_length: Option<u16>,
    pub port: u16,
    pub ttl: u8,
    pub group: IpAddr,
}

impl fmt::Display for SyncDaemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on {}, id {}, to {} port {}", self.interface, self.id, self.group, self.port)
    }
}

impl SyncDaemon {
    /// Whether one that runs is this one. The kernel cuts a length to what its interface takes.
    pub fn is(&self, running: &Self) -> bool {
        let length = match (self.max_length, running.max_length) {
            (Some(wanted), Some(there)) => there <= wanted,
            (None, _) | (_, None) => true,
        };
        length && Self { max_length: None, ..self.clone() } == Self { max_length: None, ..running.clone() }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    Timeouts(Timeouts),
    StartDaemon { role: SyncRole, daemon: SyncDaemon },
    StopDaemon { role: SyncRole },
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeouts(timeouts) => write!(f, "setting the timeouts of IPVS to {timeouts}"),
            Self::StartDaemon { role, daemon } => write!(f, "starting the {role} sync daemon on {}", daemon.interface),
            Self::StopDaemon { role } => write!(f, "stopping the {role} sync daemon"),
        }
    }
}

impl Table {
    /// As the kernel carries it out, if this is a table of a kernel. Stopping what does not run is as good.
    pub fn set(&mut self, setting: &Setting) -> Result<(), &'static str> {
        let Some(settings) = &mut self.settings else { return Err("there is no IPVS") };
        match setting {
            Setting::Timeouts(timeouts) => settings.timeouts = *timeouts,
            Setting::StartDaemon { role, .. } if settings.daemons.contains_key(role) => {
                return Err("a sync daemon of this kind runs already");
            }
            Setting::StartDaemon { role, daemon } => {
                settings.daemons.insert(*role, daemon.clone());
            }
            Setting::StopDaemon { role } => {
                settings.daemons.remove(role);
            }
        }
        Ok(())
    }
}
