//! `lvs_timeouts` and `lvs_sync_daemon`: what the kernel has once for all services, and what of it is ours.
//!
//! Kept as the table is: what was asked for counts as done until it comes back refused, or until a reading says otherwise.

use crate::config::{Config, LvsSyncDaemon, LvsTimeouts};
use crate::ipvs::{Setting, Settings, SyncDaemon, SyncRole, Timeouts};
use crate::quantity::Role;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is wanted, and what is there.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LiveSettings {
    timeouts: Option<LvsTimeouts>,
    sync: Option<LvsSyncDaemon>,
    /// Of virtual routers, as far as they were told.
    roles: BTreeMap<Arc<str>, Role>,
    /// As the kernel has it; none: not read yet, or there is no IPVS.
    known: Option<Settings>,
    owned: Owned,
    /// Something was changed since a reading was asked for: its answer may be older.
    changed: bool,
}

/// What a successor must know to give back what was there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Owned {
    /// The timeouts that were there before ours.
    pub before: Option<Timeouts>,
    /// The sync daemons are ours.
    pub daemons: bool,
}

impl Owned {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl LiveSettings {
    pub fn inherit(&mut self, owned: Owned) {
        self.owned = owned;
    }

    pub fn owned(&self) -> Owned {
        self.owned
    }

    /// Whether the kernel must be looked at.
    pub fn wanted(&self) -> bool {
        self.timeouts.is_some() || self.sync.is_some() || !self.owned.is_nothing()
    }

    /// The daemons that are there, for whoever asks.
    pub fn known(&self) -> Option<&Settings> {
        self.known.as_ref().filter(|_| self.wanted())
    }

    /// `can`: the carrier is IPVS.
    pub fn load(&mut self, config: &Config, can: bool) -> Vec<Setting> {
        self.roles.retain(|name, _| config.routers.iter().any(|router| router.name == *name));
        self.timeouts = config.global.lvs_timeouts.filter(|_| can);
        self.sync = config.global.lvs_sync_daemon.clone().filter(|_| can);
        self.settle()
    }

    /// A virtual router has another role.
    pub fn role_changed(&mut self, router: Arc<str>, role: Role) -> Vec<Setting> {
        self.roles.insert(router, role);
        self.settle()
    }

    /// Whether something is wanted, and nobody knows what is there.
    pub fn must_look(&self) -> bool {
        self.wanted() && self.known.is_none()
    }

    /// A reading was asked for.
    pub fn asked(&mut self) {
        self.changed = false;
    }

    /// As the kernel was just read.
    pub fn compare(&mut self, settings: Option<&Settings>) -> Repaired {
        if self.changed {
            return Repaired::default();
        }
        let surprising = self.known.is_some() && self.known.as_ref() != settings;
        self.known = settings.cloned();
        let changes = self.settle();
        Repaired { uninvited: if surprising { changes.len() } else { 0 }, changes }
    }

    /// A change came back refused: nobody knows what is there. Whether it is the first since the last reading.
    pub fn refused(&mut self) -> bool {
        self.changed = false;
        self.known.take().is_some()
    }

    /// What gives back what was there before: the old timeouts, and no sync daemon.
    pub fn leave(&mut self) -> Vec<Setting> {
        (self.timeouts, self.sync) = (None, None);
        self.settle()
    }

    fn settle(&mut self) -> Vec<Setting> {
        let Some(known) = self.known.clone() else { return Vec::new() };
        let mut changes = self.settle_timeouts(known.timeouts);
        changes.extend(self.settle_daemons(&known));
        for change in &changes {
            self.count_as_done(change);
        }
        changes
    }

    fn settle_timeouts(&mut self, there: Timeouts) -> Vec<Setting> {
        let wanted = match self.timeouts {
            // What the line does not name is as it was before.
            Some(line) => line.over(*self.owned.before.get_or_insert(there)),
            None => match self.owned.before.take() {
                Some(before) => before,
                None => return Vec::new(),
            },
        };
        if wanted == there { Vec::new() } else { vec![Setting::Timeouts(wanted)] }
    }

    fn settle_daemons(&mut self, known: &Settings) -> Vec<Setting> {
        if self.sync.is_none() && !std::mem::take(&mut self.owned.daemons) {
            return Vec::new();
        }
        self.owned.daemons |= self.sync.is_some();
        let (mut stops, mut starts) = (Vec::new(), Vec::new());
        for role in SyncRole::BOTH {
            let there = known.daemons.get(&role);
            let wanted = match self.daemon(role) {
                Wanted::Runs(daemon) => Some(daemon),
                Wanted::Stopped => None,
                Wanted::NotKnown => continue,
            };
            if let (Some(wanted), Some(there)) = (&wanted, there)
                && wanted.is(there)
            {
                continue;
            }
            stops.extend(there.map(|_| Setting::StopDaemon { role }));
            starts.extend(wanted.map(|daemon| Setting::StartDaemon { role, daemon }));
        }
        stops.append(&mut starts);
        stops
    }

    fn daemon(&self, role: SyncRole) -> Wanted {
        let Some(sync) = &self.sync else { return Wanted::Stopped };
        let told = sync.router.as_ref().and_then(|router| self.roles.get(router));
        let runs = match (&sync.router, told) {
            (None, _) => true,
            (Some(_), None) => return Wanted::NotKnown,
            (Some(_), Some(Role::Master)) => role == SyncRole::Master,
            (Some(_), Some(Role::Init | Role::Backup | Role::Fault)) => role == SyncRole::Backup,
        };
        if runs { Wanted::Runs(sync.daemon.clone()) } else { Wanted::Stopped }
    }

    fn count_as_done(&mut self, change: &Setting) {
        self.changed = true;
        let Some(known) = &mut self.known else { return };
        match change {
            Setting::Timeouts(timeouts) => known.timeouts = *timeouts,
            Setting::StartDaemon { role, daemon } => {
                known.daemons.insert(*role, daemon.clone());
            }
            Setting::StopDaemon { role } => {
                known.daemons.remove(role);
            }
        }
    }
}

/// What a reading led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    pub changes: Vec<Setting>,
    /// How many of them undo what somebody else did.
    pub uninvited: usize,
}

enum Wanted {
    Runs(SyncDaemon),
    Stopped,
    /// The Election has not told its role yet; what runs goes on.
    NotKnown,
}
