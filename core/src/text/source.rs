//! Where in which file something was written.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// One file of a configuration, in the order in which they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub u32);

/// A range of bytes in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// `start..end` of `file`; offsets beyond 4 GiB stop there.
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: clamp(start), end: clamp(end) }
    }

    /// From the start of `self` to the end of `last`; `self` alone if they lie in two files or the wrong way round.
    pub fn to(self, last: Self) -> Self {
        if self.file == last.file && self.start <= last.end {
            Self { end: last.end.max(self.end), ..self }
        } else {
            self
        }
    }

    /// The empty place behind the last byte.
    pub fn after(self) -> Self {
        Self { start: self.end, ..self }
    }
}

/// The name and the text of every file that a message can point at: configurations and scenarios alike.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: Arc<String>,
    /// The offset at which each line begins; only counted when a message asks.
    lines: OnceLock<Vec<u32>>,
}

/// A place as people write it: `lb1.conf:12:5`. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    pub file: String,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Source {
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let starts = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(starts).map(|at| u32::try_from(at).unwrap_or(u32::MAX)).collect()
        })
    }
}

impl Sources {
    /// Takes a file in. `name` is what messages call it.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.share(name, Arc::new(text.into()))
    }

    /// The same with a text that somebody else holds too.
    pub fn share(&mut self, name: impl Into<String>, text: Arc<String>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(Source { name: name.into(), text, lines: OnceLock::new() });
        id
    }

    /// Every file, in the order in which they were taken in.
    pub fn ids(&self) -> impl Iterator<Item = FileId> + use<> {
        (0..u32::try_from(self.files.len()).unwrap_or(u32::MAX)).map(FileId)
    }

    /// What messages call the file; `?` for an id from elsewhere.
    pub fn name(&self, file: FileId) -> &str {
        self.source(file).map_or("?", |source| &source.name)
    }

    /// The file's text; empty for an id from elsewhere.
    pub fn text(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| &source.text)
    }

    /// The text that `span` covers; empty if it does not fit the file.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Where `span` begins.
    pub fn location(&self, span: Span) -> Location {
        let line = self.line_index(span.file, span.start);
        let start = self.line_start(span.file, line);
        let before = self.text(span.file).get(start..span.start as usize).unwrap_or("");
        let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX).saturating_add(1);
        let line = u32::try_from(line).unwrap_or(u32::MAX).saturating_add(1);
        Location { file: self.name(span.file).to_owned(), line, column }
    }

    /// The line that holds the byte at `offset`, counted from 0.
    pub(super) fn line_index(&self, file: FileId, offset: u32) -> usize {
        self.source(file).map_or(0, |source| source.lines().partition_point(|start| *start <= offset).saturating_sub(1))
    }

    /// Where the line with this index begins; the end of the text for one past the last.
    pub(super) fn line_start(&self, file: FileId, line: usize) -> usize {
        self.source(file)
            .map_or(0, |source| source.lines().get(line).map_or(source.text.len(), |start| *start as usize))
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }
}
