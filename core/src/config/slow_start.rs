//! `[slow_start]` of `vipward.toml`.

use crate::ipvs::VirtualServerId;
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a real server that comes back takes until it has its whole weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowStart {
    /// `seconds`, 0..=3600, default 0: for virtual servers that are not named. 0: at once.
    pub usual: Duration,
    /// `services`: the same by virtual servers, as [`VirtualServerId::is_called`] knows them.
    pub services: BTreeMap<Arc<str>, Duration>,
}

impl SlowStart {
    /// What holds for this one. Zero: no slow start.
    pub fn of(&self, id: &VirtualServerId) -> Duration {
        let named = self.services.iter().find(|(name, _)| id.is_called(name));
        named.map_or(self.usual, |(_, lasts)| *lasts)
    }
}
