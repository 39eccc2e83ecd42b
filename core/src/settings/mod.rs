//! `vipward.toml`: what only vipward has, beside keepalived's file. It need not exist.
//!
//! One file a table. What a machine decides by goes into [`crate::config::Config`]; the rest is the daemon's.

mod reader;
mod record;
mod state;
mod vip;

pub use record::Record;
pub use state::State;
pub use vip::Vip;

use crate::config::{Diagnostic, Files, Sources};
use reader::{Key, Reader, Value};
use std::io;
use std::path::Path;
use toml::de::DeTable;

/// The file's name, beside the configuration.
pub const NAME: &str = "vipward.toml";

/// Everything that the file can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub record: Record,
    pub state: State,
    pub vip: Vip,
}

/// Reads one key of a table.
type ReadKey = fn(&mut Settings, &mut Reader<'_>, &Key<'_>, &Value<'_>);

/// Tables, the keys of each, and who reads them.
const TABLES: &[(&str, &[&str], ReadKey)] = &[
    ("record", record::KEYS, |settings, reader, key, value| settings.record.read(reader, key, value)),
    ("state", state::KEYS, |settings, reader, key, value| settings.state.read(reader, key, value)),
    ("vip", vip::KEYS, |settings, reader, key, value| settings.vip.read(reader, key, value)),
];

/// Every word of the file: tables and their keys.
pub fn words() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    TABLES.iter().map(|(table, keys, _)| (*table, *keys))
}

/// Reads the settings beside `config`, or those at `given`, which must then exist. `None`: they have errors, which are
/// among the messages.
pub fn load(
    sources: &mut Sources,
    files: &dyn Files,
    config: &Path,
    given: Option<&Path>,
) -> (Option<Settings>, Vec<Diagnostic>) {
    let path = given.map_or_else(|| config.with_file_name(NAME), Path::to_owned);
    let unreadable = |error: &dyn std::fmt::Display| {
        let message = format!("can't read `{}`: {error}", path.display());
        (None, vec![Diagnostic::error("unreadable-file", message)])
    };
    match files.read(&path).map(String::from_utf8) {
        Ok(Ok(text)) => read(sources, &path, &text),
        Ok(Err(error)) => unreadable(&error),
        Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => {
            (Some(Settings::default()), Vec::new())
        }
        Err(error) => unreadable(&error),
    }
}

fn read(sources: &mut Sources, path: &Path, text: &str) -> (Option<Settings>, Vec<Diagnostic>) {
    let mut reader = Reader {
        file: sources.add(path.display().to_string(), text),
        folder: path.parent().unwrap_or(Path::new("")),
        diagnostics: Vec::new(),
    };
    let mut settings = Settings::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.wrong("toml-syntax", error.message(), error.span().unwrap_or(0..0));
    }
    for (key, value) in root.get_ref() {
        let Some((name, _, read_key)) = TABLES.iter().find(|(name, ..)| *name == key.get_ref().as_ref()) else {
            let tables: Vec<&str> = TABLES.iter().map(|(name, ..)| *name).collect();
            reader.unknown(key, &tables);
            continue;
        };
        for (key, value) in reader.table(name, value).into_iter().flatten() {
            read_key(&mut settings, &mut reader, key, value);
        }
    }
    reader.diagnostics.sort_by_key(Diagnostic::span);
    let failed = reader.diagnostics.iter().any(Diagnostic::is_error);
    ((!failed).then_some(settings), reader.diagnostics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::render;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    fn settings(text: &str) -> Result<Settings, String> {
        let mut sources = Sources::default();
        let (settings, diagnostics) = read(&mut sources, Path::new("/etc/keepalived/vipward.toml"), text);
        settings.ok_or_else(|| render(&sources, &diagnostics, false))
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(settings(""), Ok(Settings::default()));
        assert!(settings("").unwrap().vip.lease);
    }

    #[test]
    fn every_key_is_read() {
        let read = settings("[record]\nfile = \"lb1.pcapng\"\nmax_bytes = 1_000_000\nfiles = 3\n").unwrap();
        let file = Some(PathBuf::from("/etc/keepalived/lb1.pcapng"));
        assert_eq!(read.record, Record { file, max_bytes: 1_000_000, files: 3 });
        assert_eq!(settings("[record]\nfile = \"/a\"").unwrap().record.file, Some(PathBuf::from("/a")));
        assert_eq!(settings("[state]\ndir = \"s\"").unwrap().state.dir, PathBuf::from("/etc/keepalived/s"));
        assert!(!settings("[vip]\nlease = false").unwrap().vip.lease);
    }

    #[test]
    fn every_mistake_is_shown_at_its_place() {
        let text = "recrod = 1\n[record]\nfile = 7\nmax_byte = 1\nfiles = 0\nmax_bytes = -1\nwhatever = true\n\
                    [vip]\nlease = 1\n";
        insta::assert_snapshot!(settings(text).unwrap_err());
        insta::assert_snapshot!(settings("[record\nfile = \"a\"").unwrap_err());
    }

    #[test]
    fn only_a_file_that_was_asked_for_must_exist() {
        let mut files = BTreeMap::new();
        let config = Path::new("/etc/keepalived/keepalived.conf");
        assert_eq!(load(&mut Sources::default(), &files, config, None), (Some(Settings::default()), Vec::new()));
        let (settings, diagnostics) = load(&mut Sources::default(), &files, config, Some(Path::new("/x.toml")));
        assert_eq!(settings, None);
        assert!(diagnostics[0].message.contains("x.toml"), "{diagnostics:?}");
        files.insert(config.with_file_name(NAME), b"[record]\nfiles = 2\n".to_vec());
        assert_eq!(load(&mut Sources::default(), &files, config, None).0.unwrap().record.files, 2);
    }
}
