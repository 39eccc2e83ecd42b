//! `[slow_start]`: how a real server that comes back takes its share.

use super::reader::{Key, Reader, Value};
use crate::config::{Config, SlowStart};
use crate::text::{Diagnostic, Span};
use crate::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const KEYS: &[&str] = &["seconds", "services"];

/// An hour.
const LONGEST: u64 = 3_600;

/// What the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowStartTable {
    usual: Duration,
    services: BTreeMap<Arc<str>, (Span, Duration)>,
}

impl SlowStartTable {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match key.get_ref().as_ref() {
            "seconds" => self.usual = reader.number(value, 0..=LONGEST).map_or(self.usual, Duration::from_secs),
            "services" => {
                for (name, value) in reader.table("slow_start.services", value).into_iter().flatten() {
                    let place = reader.span(name.span());
                    if let Some(seconds) = reader.number(value, 0..=LONGEST) {
                        let lasts = Duration::from_secs(seconds);
                        self.services.insert(name.get_ref().as_ref().into(), (place, lasts));
                    }
                }
            }
            _ => reader.unknown(key, KEYS),
        }
    }

    /// What a machine decides by.
    pub(super) fn config(&self) -> SlowStart {
        let services = self.services.iter().map(|(name, (_, lasts))| (name.clone(), *lasts)).collect();
        SlowStart { usual: self.usual, services }
    }

    /// Virtual servers that `config` does not have. They do no harm, and several configurations may share one
    /// `vipward.toml`.
    pub(super) fn unknown_services(&self, config: &Config) -> Vec<Diagnostic> {
        let known = |name: &str| config.services.iter().any(|service| service.id().is_called(name));
        let unknown = self.services.iter().filter(|(name, _)| !known(name));
        unknown
            .map(|(name, (place, _))| {
                Diagnostic::warning("unknown-service", format!("there is no virtual_server `{name}`"))
                    .at(*place, "")
                    .note("virtual servers are named as `vipward status` shows them: \"192.0.2.100:80\", \"fwmark 5\", \"group web\"")
            })
            .collect()
    }
}
