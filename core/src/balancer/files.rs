//! `FILE_CHECK`: numbers of tracked files, which the Election tells, and the real servers that they concern.

use super::{Balancer, Outbox};
use crate::config::Config;
use crate::health::files::Numbers;
use crate::ipvs::VirtualServerId;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What tracked files hold, and who asks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Files {
    /// As far as it has been told.
    pub numbers: Numbers,
    users: BTreeMap<Arc<str>, BTreeSet<VirtualServerId>>,
}

impl Files {
    /// The virtual servers of the configuration in force. What was told stays: the Election may be a reload ahead, and says
    /// nothing twice.
    pub fn load(&mut self, config: &Config) {
        self.users.clear();
        for service in &config.services {
            for check in service.real_servers.iter().flat_map(|real| &real.files) {
                self.users.entry(check.file.clone()).or_default().insert(service.id());
            }
        }
    }
}

impl Balancer {
    /// A tracked file holds another number.
    pub(super) fn file_number(&mut self, file: &Arc<str>, number: i64, now: Instant, effects: &mut Outbox) {
        if self.files.numbers.insert(file.clone(), number) == Some(number) {
            return;
        }
        for id in self.files.users.get(file).into_iter().flatten() {
            let Some(service) = self.services.get_mut(id) else { continue };
            if service.file_number(*id, file, number, now, effects) {
                self.rising.extend(*id, service.rising());
                Self::settle(&mut self.kernel, *id, service, now, effects);
            }
        }
    }
}
