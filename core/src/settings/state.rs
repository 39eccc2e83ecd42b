//! `[state]`: the state file.

use super::reader::{Key, Reader, Value};
use std::path::PathBuf;

pub const KEYS: &[&str] = &["dir"];

/// Where a director keeps what it would need if it died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// `dir`, default `/run/vipward`: the folder of the state files. A relative path counts from the folder of
    /// `vipward.toml`.
    pub dir: PathBuf,
}

impl Default for State {
    fn default() -> Self {
        Self { dir: PathBuf::from("/run/vipward") }
    }
}

impl State {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match key.get_ref().as_ref() {
            "dir" => self.dir = reader.path(key, value).unwrap_or(std::mem::take(&mut self.dir)),
            _ => reader.unknown(key, KEYS),
        }
    }
}
