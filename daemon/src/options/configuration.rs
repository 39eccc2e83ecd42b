//! Configurations from the disk.

use crate::options::cli::Run;
use crate::system::disk::Disk;
use std::collections::BTreeMap;
use std::path::Path;
use vipward_core::config::{self, Loaded, Options};
use vipward_core::text::{Diagnostic, Files, Severity, Sources};

/// What the host calls its routing tables; the last one counts.
const TABLES: [&str; 2] = ["/usr/share/iproute2/rt_tables", "/etc/iproute2/rt_tables"];

/// Reads one file and all that it includes. Files and messages share `sources`, so that several can be compared.
pub fn load(sources: &mut Sources, disk: &Disk, file: &Path, config_id: &str) -> Loaded {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let tables = TABLES.iter().filter_map(|file| disk.read(Path::new(file)).ok());
    let tables = tables.flat_map(|text| config::table_names(&String::from_utf8_lossy(&text))).collect();
    let options = Options { config_id: config_id.to_owned(), environment, seed: seed(), tables, ..Options::default() };
    config::load(sources, disk, file, &options)
}

/// The host's name up to the first dot: keepalived's default for `-i`.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().split('.').next().unwrap_or_default().to_owned()
}

/// Which `@ID` lines count for a director.
pub fn config_id(options: &Run) -> String {
    options.config_id.clone().unwrap_or_else(host_name)
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
        let line = line(sources, diagnostic);
        match diagnostic.severity {
            Severity::Info => tracing::info!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
            Severity::Error => tracing::error!("{line}"),
        }
    }
}

/// One of them: where, what, and its code.
pub fn line(sources: &Sources, diagnostic: &Diagnostic) -> String {
    let place = diagnostic.span().map(|span| format!("{}: ", sources.location(span))).unwrap_or_default();
    format!("{place}{} [{}]", diagnostic.message, diagnostic.code)
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
