//! What people are told: which commands run and which mails are sent.

use super::model::{Config, GlobalDefs};
use crate::command::Command;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

impl Config {
    /// The notify scripts of virtual routers and sync groups.
    pub fn all_notify(&self) -> impl Iterator<Item = &NotifyScripts> {
        self.routers.iter().map(|router| &router.notify).chain(self.groups.iter().map(|group| &group.notify))
    }

    /// What reads the FIFOs.
    pub fn fifo_scripts(&self) -> impl Iterator<Item = &Command> {
        self.global.fifos.iter().filter_map(|fifo| fifo.script.as_ref())
    }

    /// `notify_up` and its kin: the commands of virtual servers and real servers.
    pub fn health_commands(&self) -> impl Iterator<Item = &Command> {
        let quorums = self.services.iter().map(|service| &service.notify);
        let reals = self.services.iter().flat_map(|service| &service.real_servers).map(|real| &real.notify);
        quorums.chain(reals).flatten().flat_map(|scripts| [&scripts.up, &scripts.down]).flatten()
    }
}

impl GlobalDefs {
    /// Whether a mail could be sent to anybody.
    pub fn has_mail(&self) -> bool {
        !self.notification_email.is_empty() && self.smtp_server.is_some()
    }

    /// Which changes of a virtual router or a sync group make a mail; `own`: what its `smtp_alert` says.
    pub fn role_mails(&self, own: Option<bool>) -> RoleMails {
        let Alerts { all, vrrp, no_faults, .. } = self.alerts;
        match own.or(vrrp).or(all).unwrap_or(false) && self.has_mail() {
            false => RoleMails::None,
            true if no_faults => RoleMails::NoFaults,
            true => RoleMails::All,
        }
    }

    /// Whether changes of a virtual server (`usual` is off) or a real server (`usual` is on) make a mail.
    pub fn checker_mails(&self, own: Option<bool>, usual: bool) -> bool {
        let Alerts { all, checker, .. } = self.alerts;
        own.or(checker).or(all).unwrap_or(usual) && self.has_mail()
    }
}

/// Words of `global_defs` about what makes a mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    /// `smtp_alert`.
    pub all: Option<bool>,
    /// `smtp_alert_vrrp`.
    pub vrrp: Option<bool>,
    /// `smtp_alert_checker`.
    pub checker: Option<bool>,
    /// `no_email_faults`.
    pub no_faults: bool,
}

/// Which roles make a mail when they are entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleMails {
    #[default]
    None,
    /// MASTER, BACKUP and FAULT.
    All,
    /// MASTER and BACKUP.
    NoFaults,
}

/// `notify_master` and its kin. `any` (`notify`) gets `INSTANCE` or `GROUP`, name, state, priority as last arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyScripts {
    pub master: Option<Command>,
    pub backup: Option<Command>,
    pub fault: Option<Command>,
    pub stop: Option<Command>,
    pub any: Option<Command>,
    /// `notify_deleted`: who is taken away by a reload is told as DELETED and not as FAULT.
    #[serde(default)]
    pub tells_deleted: bool,
    /// Its command.
    #[serde(default)]
    pub deleted: Option<Command>,
    /// `notify_master_rx_lower_pri`.
    #[serde(default)]
    pub rx_lower_pri: Option<Command>,
    /// `smtp_alert`, with what `global_defs` says.
    #[serde(default)]
    pub mail: RoleMails,
    /// The FIFOs that get a line for each change: `vrrp_notify_fifo`, `notify_fifo`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fifos: Vec<Arc<str>>,
    /// `notify_priority_changes`: they get changes of the priority too.
    #[serde(default)]
    pub priority_changes: bool,
}

/// `notify_up` and `notify_down`, or `quorum_up` and `quorum_down`; mail and FIFOs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpDownScripts {
    pub up: Option<Command>,
    pub down: Option<Command>,
    /// `smtp_alert`, with what `global_defs` says.
    #[serde(default)]
    pub mail: bool,
    /// The FIFOs that get a line for each change: `lvs_notify_fifo`, `notify_fifo`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fifos: Vec<Arc<str>>,
}

impl UpDownScripts {
    /// As a server keeps it: most have none.
    pub fn shared(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}
