//! Configurations from the disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use vipward_core::config::{self, Loaded, Options};
use vipward_core::text::{Diagnostic, Files, Severity, Sources};

/// The file system.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        // In the order of their names; what can't be read is missed by the reader, who knows the `include` line.
        glob::glob(pattern).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default()
    }
}

/// Reads one file and all that it includes. Files and messages share `sources`, so that several can be compared.
pub fn load(sources: &mut Sources, file: &Path, config_id: &str) -> Loaded {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let options = Options { config_id: config_id.to_owned(), environment, seed: seed(), ..Options::default() };
    config::load(sources, &Disk, file, &options)
}

/// The host's name up to the first dot: keepalived's default for `-i`.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().split('.').next().unwrap_or_default().to_owned()
}

/// What stands in for randomness in core, from the operating system.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hash maps from the operating system.
    std::hash::RandomState::new().build_hasher().finish()
}

/// What was found in a file, into the log: a line each.
pub fn log(sources: &Sources, diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let place = diagnostic.span().map(|span| format!("{}: ", sources.location(span))).unwrap_or_default();
        let line = format!("{place}{} [{}]", diagnostic.message, diagnostic.code);
        match diagnostic.severity {
            Severity::Info => tracing::info!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
            Severity::Error => tracing::error!("{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use vipward_core::settings;

    #[test]
    fn every_word_of_the_settings_is_in_the_manual() {
        let manual = include_str!("../../../docs/settings.md");
        for (table, keys) in settings::words() {
            assert!(manual.contains(&format!("[{table}]")), "[{table}]");
            keys.iter().for_each(|key| assert!(manual.contains(&format!("`{key}`")), "{table}: {key}"));
        }
    }
}
