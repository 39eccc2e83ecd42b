//! `[run]`: what a director may run with.

use super::Settings;
use super::reader::{Key, Reader, Value};
use crate::config::Config;
use crate::text::Diagnostic;

pub const KEYS: &[&str] = &["allow_empty"];

/// What a director may run with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// `allow_empty`: a configuration without virtual routers and virtual servers is meant.
    pub allow_empty: bool,
}

impl Run {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match key.get_ref().as_ref() {
            "allow_empty" => self.allow_empty = reader.boolean(value).unwrap_or(self.allow_empty),
            _ => reader.unknown(key, KEYS),
        }
    }
}

impl Settings {
    /// A file that was emptied by mistake would take every address off. Only for a configuration without errors.
    pub fn nothing_to_run(&self, config: &Config) -> Option<Diagnostic> {
        let empty = config.routers.is_empty() && config.services.is_empty() && config.statics.is_empty();
        (empty && !self.run.allow_empty).then(|| {
            Diagnostic::error("nothing-to-run", "the configuration has no vrrp_instance and no virtual_server")
                .note("a director that runs it gives up every address and empties its table")
                .note("lines behind `@NAME` count only for the director of that name (`-i`)")
                .help("if that is meant, write `[run]` and `allow_empty = true` in `vipward.toml` beside it")
        })
    }
}
