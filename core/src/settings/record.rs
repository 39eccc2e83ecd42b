//! `[record]`: the flight recorder.

use super::reader::{Key, Reader, Value};
use std::path::PathBuf;

pub const KEYS: &[&str] = &["file", "max_bytes", "files"];

/// Where everything is recorded, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `file`: where to; none: nothing is recorded. A relative path counts from the folder of `vipward.toml`.
    pub file: Option<PathBuf>,
    /// `max_bytes`: a new file begins after so many. At least 65536.
    pub max_bytes: u64,
    /// `files`: how many are kept, the one being written included: 1..=1000.
    pub files: u32,
}

impl Default for Record {
    fn default() -> Self {
        Self { file: None, max_bytes: 64 << 20, files: 8 }
    }
}

impl Record {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, key: &Key<'_>, value: &Value<'_>) {
        match key.get_ref().as_ref() {
            "file" => self.file = reader.path(key, value).or(self.file.take()),
            "max_bytes" => self.max_bytes = reader.number(value, 65_536..=1 << 40).unwrap_or(self.max_bytes),
            "files" => {
                let files = reader.number(value, 1..=1000).and_then(|files| u32::try_from(files).ok());
                self.files = files.unwrap_or(self.files);
            }
            _ => reader.unknown(key, KEYS),
        }
    }
}
