//! `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo` and their scripts: named pipes that get a line for every change, as
//! keepalived.conf(5) describes them.

use crate::command::{Command, ScriptUser};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The FIFOs of one director.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fifos {
    /// `notify_fifo`: roles and health.
    pub all: Option<Fifo>,
    /// `vrrp_notify_fifo`: roles.
    pub vrrp: Option<Fifo>,
    /// `lvs_notify_fifo`: health.
    pub lvs: Option<Fifo>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fifo {
    /// Absolute.
    pub path: Arc<str>,
    /// `USER [GROUP]` behind the path: whose it is when it is made; none: the director's own.
    pub user: Option<ScriptUser>,
    /// Who reads it, if the director starts one. The last of its arguments is the path.
    pub script: Option<Command>,
}

impl Fifos {
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Fifo> {
        [&self.all, &self.vrrp, &self.lvs].into_iter().flatten()
    }

    /// Where lines about virtual routers and sync groups go.
    pub fn of_roles(&self) -> Vec<Arc<str>> {
        paths([&self.vrrp, &self.all])
    }

    /// Where lines about virtual servers and real servers go.
    pub fn of_health(&self) -> Vec<Arc<str>> {
        paths([&self.lvs, &self.all])
    }
}

fn paths(those: [&Option<Fifo>; 2]) -> Vec<Arc<str>> {
    those.into_iter().flatten().map(|fifo| fifo.path.clone()).collect()
}
