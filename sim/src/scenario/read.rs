//! From TOML to a [`Scenario`]. Every mistake is reported, with its place, in the look of configuration mistakes.

use super::expectations::clamp;
use super::model::*;
use super::values::is_director;
use super::words::{self, nearest};
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vipward_core::text::{Diagnostic, FileId, Files, Sources, Span};
use vipward_core::time::{Duration, Instant};

/// What reading gave.
#[derive(Debug)]
pub struct Loaded {
    /// None when there is an error in the scenario, or one in a configuration that nobody named.
    pub scenario: Option<Scenario>,
    /// Mistakes, in the order in which they were found.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that they point into.
    pub sources: Sources,
}

/// The files that `path` means: itself, or every `*.toml` in the folder that is a scenario, in order.
pub fn scenario_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A block of keepalived's begins there: no TOML.
fn looks_like_a_configuration(text: &str) -> bool {
    let heads = ["vrrp_instance", "virtual_server", "global_defs", "vrrp_script", "vrrp_sync_group"];
    text.lines().any(|line| heads.contains(&line.split_whitespace().next().unwrap_or_default()))
}

/// Reads the scenario at `path` and the configurations that it names, by the production reader.
pub fn load(path: &Path) -> Loaded {
    load_from(&Disk, path)
}

/// The same from files that are on no disk.
pub fn load_from(files: &dyn Files, path: &Path) -> Loaded {
    let mut reader = Reader {
        files,
        sources: Sources::default(),
        file: FileId::default(),
        diagnostics: Vec::new(),
        folder: path.parent().map(Path::to_owned).unwrap_or_default(),
        failed: false,
        segments: Vec::new(),
        nodes: Vec::new(),
        heads: BTreeMap::new(),
    };
    let scenario = match read_text(files, path) {
        Ok(text) => {
            reader.file = reader.sources.add(path.display().to_string(), text.clone());
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if text.parse::<toml::Table>().is_err() && looks_like_a_configuration(&text) {
                let message = format!("`{}` is a configuration of a director, not a scenario", path.display());
                let help = "`vipward-sim drill lb1.conf lb2.conf` plays every outage on the cluster of such files";
                reader.diagnostics.push(Diagnostic::error("no-scenario", message).help(help));
                None
            } else {
                reader.scenario(name, &text).filter(|_| !reader.failed)
            }
        }
        Err(error) => {
            reader
                .diagnostics
                .push(Diagnostic::error("unreadable-file", format!("can't read `{}`: {error}", path.display())));
            None
        }
    };
    Loaded { scenario, diagnostics: reader.diagnostics, sources: reader.sources }
}

fn read_text(files: &dyn Files, path: &Path) -> std::io::Result<String> {
    String::from_utf8(files.read(path)?).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

/// The longest file that is read, in bytes.
const LONGEST: u64 = 128 << 20;

/// The disk.
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        // A pipe of the shell, as in `vipward-sim drill <(generate)`, is meant; others have no writer.
        let meant = path.starts_with("/dev/fd");
        if !meant && !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
        if read as u64 > LONGEST {
            return Err(std::io::Error::other(format!("a file of more than {} MiB", LONGEST >> 20)));
        }
        Ok(bytes)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = glob::glob(pattern).into_iter().flatten().flatten().collect();
        found.sort();
        found
    }
}

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

pub(super) struct Reader<'f> {
    pub(super) files: &'f dyn Files,
    pub(super) sources: Sources,
    pub(super) file: FileId,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) folder: PathBuf,
    /// Something was wrong that makes the scenario useless.
    pub(super) failed: bool,
    pub(super) segments: Vec<SegmentPlan>,
    pub(super) nodes: Vec<NodePlan>,
    /// Where each node was written.
    pub(super) heads: BTreeMap<String, Span>,
}

/// One table of the file, in the order in which its words were written.
pub(super) struct Table<'t> {
    pub(super) words: Vec<(String, Range<usize>, &'t Value<'t>)>,
    pub(super) span: Span,
}

impl<'t> Table<'t> {
    pub(super) fn get(&self, word: &str) -> Option<&'t Value<'t>> {
        self.words.iter().find(|(key, _, _)| key == word).map(|(_, _, value)| *value)
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.get(word).is_some()
    }
}

impl Reader<'_> {
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }

    pub(super) fn error(&mut self, diagnostic: Diagnostic) {
        self.failed |= diagnostic.is_error();
        self.diagnostics.push(diagnostic);
    }

    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>) {
        self.error(Diagnostic::error("bad-value", message).at(span, label));
    }

    /// None when the text is no TOML: nothing in it means anything then.
    pub(super) fn scenario(&mut self, name: String, text: &str) -> Option<Scenario> {
        let (root, errors) = DeTable::parse_recoverable(text);
        self.syntax(errors);
        if self.failed {
            return None;
        }
        let top = self.table(root.get_ref(), self.span(0..0), &words::names(words::TOP));
        let title = self.string(&top, "title").unwrap_or_default();
        let seed = self.integer(&top, "seed").unwrap_or(1);
        let end = self.duration(&top, "duration");
        let mut routed = self.read_network(&top);
        self.read_nodes(&top);
        if self.segments.is_empty() {
            self.segments.push(SegmentPlan { name: "lan".into(), delay: Duration::ZERO, loss: Share(0) });
        }
        if !self.nodes.iter().any(|node| is_director(&node.kind)) && !self.failed {
            self.missing(top.span, "director", "a scenario needs at least one `[director.NAME]`");
        }
        routed.extend(self.read_routed(&top));
        self.add_router(&routed);
        self.nodes.sort_by_key(|node| match node.kind {
            NodeKind::Director(_) => 0,
            NodeKind::RealServer(_) => 1,
            NodeKind::Client(_) => 2,
            NodeKind::Quorum(_) => 3,
            NodeKind::Router => 4,
        });
        let codes = self.check_cluster(&top);
        let steps = self.read_steps(&top);
        let expectations = self.read_expectations(&top);
        let last = steps.last().map_or(Instant::ZERO, |step| step.at);
        let duration = end.unwrap_or(last.since_origin() + Duration::from_secs(10));
        for late in steps.iter().filter(|step| step.at.since_origin() > duration) {
            let message = format!("this step comes after the end of the run at {} s", duration.as_secs_f32());
            self.error(Diagnostic::error("after-the-end", message).at(late.span, ""));
        }
        let mut scenario = Scenario {
            name,
            title,
            seed,
            duration,
            segments: std::mem::take(&mut self.segments),
            routed,
            nodes: std::mem::take(&mut self.nodes),
            codes,
            steps,
            expectations,
        };
        for expectation in &mut scenario.expectations {
            clamp(&mut expectation.what, Instant::ZERO + duration);
        }
        Some(scenario)
    }

    /// `network`: nodes that several scenarios share, in a file of their own. Its paths are relative to itself.
    pub(super) fn read_network(&mut self, top: &Table<'_>) -> Vec<SegmentId> {
        let Some(value) = top.get("network") else { return Vec::new() };
        let Some(written) = self.text(value, "a file name") else { return Vec::new() };
        let path = self.folder.join(written);
        let text = match read_text(self.files, &path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("can't read `{}`: {error}", path.display());
                self.error(Diagnostic::error("unreadable-file", message).at(self.of_value(value), ""));
                return Vec::new();
            }
        };
        let (outer_file, outer_folder) = (self.file, self.folder.clone());
        self.file = self.sources.add(path.display().to_string(), text.clone());
        self.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let (root, errors) = DeTable::parse_recoverable(&text);
        self.syntax(errors);
        if self.failed {
            return Vec::new();
        }
        let network = self.table(root.get_ref(), self.span(0..0), words::NETWORK);
        self.read_nodes(&network);
        let routed = self.read_routed(&network);
        (self.file, self.folder) = (outer_file, outer_folder);
        routed
    }

    pub(super) fn read_nodes(&mut self, top: &Table<'_>) {
        self.read_segments(top);
        self.read_directors(top);
        self.read_servers(top);
        self.read_quorum(top);
        self.read_clients(top);
    }

    pub(super) fn syntax(&mut self, errors: Vec<toml::de::Error>) {
        for error in errors {
            let span = self.span(error.span().unwrap_or(0..0));
            self.error(Diagnostic::error("toml-syntax", error.message()).at(span, ""));
        }
    }

    /// Takes the words of a table and reports those that are not known there.
    pub(super) fn table<'t>(&mut self, table: &'t DeTable<'t>, span: Span, known: &[&'static str]) -> Table<'t> {
        let table = self.any_table(table, span);
        for (word, range, _) in &table.words {
            if !known.contains(&word.as_str()) {
                let span = self.span(range.clone());
                let near = nearest(word, known.iter().copied());
                self.unknown(span, word, near, known);
            }
        }
        table
    }

    pub(super) fn any_table<'t>(&mut self, table: &'t DeTable<'t>, span: Span) -> Table<'t> {
        let mut words: Vec<_> =
            table.iter().map(|(key, value)| (key.get_ref().to_string(), key.span(), value)).collect();
        words.sort_by_key(|(_, range, _)| range.start);
        Table { words, span }
    }

    pub(super) fn unknown(&mut self, span: Span, word: &str, near: Option<&str>, known: &[&'static str]) {
        let mut diagnostic = Diagnostic::error("unknown-word", format!("unknown word `{word}`"));
        diagnostic = match near {
            Some(near) => diagnostic.at(span, format!("did you mean `{near}`?")),
            None => diagnostic.at(span, "").note(format!("known here: {}", known.join(", "))),
        };
        self.error(diagnostic);
    }

    pub(super) fn missing(&mut self, span: Span, word: &str, what: &str) {
        self.error(Diagnostic::error("missing-word", format!("`{word}` is missing")).at(span, what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        for path in ["/dev/zero", "/proc/self"] {
            let error = Disk.read(Path::new(path)).unwrap_err();
            assert_eq!(error.to_string(), "not a regular file");
        }
    }
}
