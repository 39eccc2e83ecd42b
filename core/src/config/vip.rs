//! `[vip]` of `vipward.toml`.

use crate::time::Duration;
use serde::{Deserialize, Serialize};

/// `valid_lft` and `preferred_lft` of a virtual address, counted from its last renewal.
///
/// The kernel counts them in whole seconds and looks at IPv4 addresses at most once a second, so an address goes between
/// this and one second later. One second would leave a loop that is late by as little as that without its addresses;
/// three would be two owners for as long again where adverts are quick.
pub const LIFETIME: Duration = Duration::from_secs(2);

/// How virtual addresses are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vip {
    /// `lifetime`, default true: addresses have a finite lifetime in the kernel (`valid_lft`), which a MASTER renews, so
    /// that they go when it ends or hangs, however that comes. False: they stay, as keepalived leaves them.
    #[serde(alias = "lease")]
    pub lifetime: bool,
}

impl Default for Vip {
    fn default() -> Self {
        Self { lifetime: true }
    }
}

impl Vip {
    /// How long the kernel keeps an address after it was added or renewed; `None`: for ever.
    pub fn valid_lft(self) -> Option<Duration> {
        self.lifetime.then_some(LIFETIME)
    }
}
