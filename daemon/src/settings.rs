//! `vipward.toml`: what only vipward has, beside keepalived's file. It need not exist.

use crate::record::Ring;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vipward_core::config::keywords::nearest_name;
use vipward_core::config::{Diagnostic, FileId, Sources, Span};

/// The file's name, beside the configuration.
pub const NAME: &str = "vipward.toml";

/// Everything that the file can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub record: Record,
}

/// `[record]`: the flight recorder.
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
        Self { file: None, max_bytes: Ring::MAX_BYTES, files: Ring::FILES }
    }
}

impl Record {
    /// Where and how much, if at all.
    pub fn ring(self) -> Option<Ring> {
        Some(Ring { file: self.file?, max_bytes: self.max_bytes, files: self.files })
    }
}

/// Tables, and the keys of each.
const TABLES: &[(&str, &[&str])] = &[("record", &["file", "max_bytes", "files"])];

/// Reads the settings beside `config`, or those at `given`, which must then exist. `None`: they have errors, which are
/// among the messages.
pub fn load(sources: &mut Sources, config: &Path, given: Option<&Path>) -> (Option<Settings>, Vec<Diagnostic>) {
    let path = given.map_or_else(|| config.with_file_name(NAME), Path::to_owned);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return (Some(Settings::default()), Vec::new());
        }
        Err(error) => {
            let message = format!("can't read `{}`: {error}", path.display());
            return (None, vec![Diagnostic::error("unreadable-file", message)]);
        }
    };
    read(sources, &path, &text)
}

fn read(sources: &mut Sources, path: &Path, text: &str) -> (Option<Settings>, Vec<Diagnostic>) {
    let mut reader = Reader { file: sources.add(path.display().to_string(), text), diagnostics: Vec::new() };
    let mut settings = Settings::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.wrong("toml-syntax", error.message(), error.span().unwrap_or(0..0), "");
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    for (key, value) in root.get_ref() {
        let Some((name, keys)) = TABLES.iter().find(|(name, _)| *name == key.get_ref().as_ref()) else {
            let tables: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
            reader.unknown(key, &tables);
            continue;
        };
        let Some(table) = value.get_ref().as_table() else {
            reader.wrong("bad-value", format!("`{name}` is a table: write `[{name}]`"), value.span(), "");
            continue;
        };
        for (key, value) in table {
            reader.record(&mut settings.record, key, value, keys, folder);
        }
    }
    reader.diagnostics.sort_by_key(Diagnostic::span);
    let failed = reader.diagnostics.iter().any(Diagnostic::is_error);
    ((!failed).then_some(settings), reader.diagnostics)
}

type Key<'t> = Spanned<std::borrow::Cow<'t, str>>;
type Value<'t> = Spanned<DeValue<'t>>;

struct Reader {
    file: FileId,
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn record(&mut self, record: &mut Record, key: &Key<'_>, value: &Value<'_>, keys: &[&str], folder: &Path) {
        match key.get_ref().as_ref() {
            "file" => match value.get_ref().as_str() {
                Some("") => self.wrong("bad-value", "`file` needs the path of a file", value.span(), ""),
                Some(path) => record.file = Some(folder.join(path)),
                None => {
                    let found = format!("expected a path in quotes, found {}", value.get_ref().type_str());
                    self.wrong("bad-value", found, value.span(), "");
                }
            },
            "max_bytes" => {
                if let Some(bytes) = self.number(value, 65_536..=1 << 40) {
                    record.max_bytes = bytes;
                }
            }
            "files" => {
                if let Some(files) = self.number(value, 1..=1000) {
                    record.files = u32::try_from(files).unwrap_or(Ring::FILES);
                }
            }
            _ => self.unknown(key, keys),
        }
    }

    fn number(&mut self, value: &Value<'_>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let number = value.get_ref().as_integer();
        let number = number.and_then(|it| u64::from_str_radix(&it.as_str().replace('_', ""), it.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("expected a whole number between {} and {}", range.start(), range.end());
            self.wrong("bad-value", message, value.span(), "");
        }
        number
    }

    fn unknown(&mut self, key: &Key<'_>, known: &[&str]) {
        let word = key.get_ref().as_ref();
        let label = nearest_name(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let mut diagnostic = Diagnostic::error("unknown-word", format!("unknown word `{word}`"))
            .at(self.span(key.span()), label.clone().unwrap_or_default());
        if label.is_none() {
            diagnostic = diagnostic.note(format!("known here: {}", known.join(", ")));
        }
        self.diagnostics.push(diagnostic);
    }

    fn wrong(&mut self, code: &'static str, message: impl Into<String>, range: Range<usize>, label: &str) {
        let span = self.span(range);
        self.diagnostics.push(Diagnostic::error(code, message).at(span, label));
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vipward_core::config::render;

    fn settings(text: &str) -> Result<Settings, String> {
        let mut sources = Sources::default();
        let (settings, diagnostics) = read(&mut sources, Path::new("/etc/keepalived/vipward.toml"), text);
        settings.ok_or_else(|| render(&sources, &diagnostics, false))
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(settings(""), Ok(Settings::default()));
        assert_eq!(settings("").unwrap().record.ring(), None);
    }

    #[test]
    fn every_key_is_read() {
        let read = settings("[record]\nfile = \"lb1.pcapng\"\nmax_bytes = 1_000_000\nfiles = 3\n").unwrap();
        let file = PathBuf::from("/etc/keepalived/lb1.pcapng");
        assert_eq!(read.record.ring(), Some(Ring { file, max_bytes: 1_000_000, files: 3 }));
        assert_eq!(settings("[record]\nfile = \"/a\"").unwrap().record.file, Some(PathBuf::from("/a")));
    }

    #[test]
    fn every_mistake_is_shown_at_its_place() {
        let text = "recrod = 1\n[record]\nfile = 7\nmax_byte = 1\nfiles = 0\nmax_bytes = -1\nwhatever = true\n";
        insta::assert_snapshot!(settings(text).unwrap_err());
        insta::assert_snapshot!(settings("[record\nfile = \"a\"").unwrap_err());
    }

    #[test]
    fn only_a_file_that_was_asked_for_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("keepalived.conf");
        assert_eq!(load(&mut Sources::default(), &config, None), (Some(Settings::default()), Vec::new()));
        let (settings, diagnostics) = load(&mut Sources::default(), &config, Some(&folder.path().join("x.toml")));
        assert_eq!(settings, None);
        assert!(diagnostics[0].message.contains("x.toml"), "{diagnostics:?}");
        std::fs::write(folder.path().join(NAME), "[record]\nfiles = 2\n").unwrap();
        assert_eq!(load(&mut Sources::default(), &config, None).0.unwrap().record.files, 2);
    }

    #[test]
    fn every_key_is_in_the_manual() {
        let manual = include_str!("../../docs/recording.md");
        for (table, keys) in TABLES {
            assert!(manual.contains(&format!("[{table}]")));
            keys.iter().for_each(|key| assert!(manual.contains(&format!("`{key}`")), "{key}"));
        }
    }
}
