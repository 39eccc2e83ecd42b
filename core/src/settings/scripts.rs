//! `[scripts]`: what holds for scripts of keepalived's file.

use super::reader::{Key, Reader, Value};
use crate::time::Duration;

pub const KEYS: &[&str] = &["notify_timeout"];

/// How scripts are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripts {
    /// `notify_timeout`, in seconds, 1..=86400, default 60: how long a notify script may run before it is ended.
    pub notify_timeout: Duration,
}

impl Default for Scripts {
    fn default() -> Self {
        Self { notify_timeout: Duration::from_secs(60) }
    }
}

impl Scripts {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match key.get_ref().as_ref() {
            "notify_timeout" => {
                let seconds = reader.number(value, 1..=86_400);
                self.notify_timeout = seconds.map_or(self.notify_timeout, Duration::from_secs);
            }
            _ => reader.unknown(key, KEYS),
        }
    }
}
