//! Words and names of the file, and the configurations' text.

use crate::replay::track::Track;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::config::Config;
use vipward_core::text::Files;
use vipward_core::time::{Duration, Instant};

/// The configuration as one text: `include` lines give way to what they included.
pub(super) fn text_of(track: &Track, at: Instant) -> String {
    let sources = track.sources(at);
    let files: BTreeMap<PathBuf, Vec<u8>> =
        sources.ids().map(|id| (PathBuf::from(sources.name(id)), sources.text(id).as_bytes().to_vec())).collect();
    let mut whole = String::new();
    if let Some(first) = sources.ids().next() {
        expand(&files, Path::new(sources.name(first)), 0, &mut whole);
    }
    whole
}

fn expand(files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path, depth: usize, out: &mut String) {
    let Some(bytes) = files.get(path).filter(|_| depth < 16) else { return };
    let folder = path.parent().unwrap_or(Path::new(""));
    for line in String::from_utf8_lossy(bytes).lines() {
        match line.trim().strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
            Some(pattern) => {
                let pattern = folder.join(pattern.trim().trim_matches('"'));
                for included in files.glob(&pattern.to_string_lossy()) {
                    expand(files, &included, depth + 1, out);
                }
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
}

pub(super) fn file_name(director: &str, number: usize) -> String {
    let plain: String = director.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if number == 0 { format!("{plain}.conf") } else { format!("{plain}-{number}.conf") }
}

/// What of `vipward.toml` a machine decides by, as one of two files.
pub(super) fn settings_name(lifetime: bool) -> &'static str {
    if lifetime { "lifetime.toml" } else { "lifetime-off.toml" }
}

pub(super) fn settings(folder: &str, config: Option<&Arc<Config>>) -> String {
    let lifetime = config.is_none_or(|config| config.vip.lifetime);
    PathBuf::from(folder).join(settings_name(lifetime)).to_string_lossy().into_owned()
}

pub(super) fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
