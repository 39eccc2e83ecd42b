//! `[vip]`: how virtual addresses are held.

use super::reader::{Key, Reader, Value};
use crate::time::Duration;
use crate::vrrp::lease::LIFETIME;
use serde::{Deserialize, Serialize};

pub const KEYS: &[&str] = &["lease"];

/// How virtual addresses are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vip {
    /// `lease`, default true: addresses have a finite lifetime in the kernel (`valid_lft`), which a MASTER renews, so
    /// that they go when it ends or hangs, however that comes. False: they stay, as keepalived leaves them.
    pub lease: bool,
}

impl Default for Vip {
    fn default() -> Self {
        Self { lease: true }
    }
}

impl Vip {
    /// How long the kernel keeps an address after it was added or renewed; `None`: for ever.
    pub fn lifetime(self) -> Option<Duration> {
        self.lease.then_some(LIFETIME)
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match key.get_ref().as_ref() {
            "lease" => self.lease = reader.boolean(value).unwrap_or(self.lease),
            _ => reader.unknown(key, KEYS),
        }
    }
}
