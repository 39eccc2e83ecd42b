//! From files to lines: `include`, `@ID`, `$NAME`, `~SEQ` and `~LST` (keepalived.conf(5), "Configuration parser").
//!
//! Everything here is bounded ([`super::options::Limits`]): a file that would grow without end is an error.

mod bytes;
mod expand;
mod flaws;
mod include;
mod loops;
mod plain;

use super::line::{Line, Origin, Token, comment_start, is_blank, tokens};
use super::model::Config;
use super::options::Options;
use super::texts::Texts;
use super::tree::Tree;
use super::words::root::Meaning;
use crate::text::Diagnostic;
use crate::text::Files;
use crate::text::report::Report;
use crate::text::{FileId, Sources, Span};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) struct Reader<'a, 't> {
    sources: &'a mut Sources,
    report: &'a mut Report,
    /// Every file, for words to borrow from.
    texts: &'t Texts,
    tree: Tree<'t>,
    meaning: Meaning<'t>,
    /// The words of the line in progress; here to be allocated once.
    tokens: Vec<Token<'t>>,
    files: &'a dyn Files,
    options: &'a Options,
    definitions: BTreeMap<String, Arc<str>>,
    /// The files being read, outermost first: to see a circle.
    open: Vec<PathBuf>,
    count: usize,
    /// Bytes that definitions and loops may still produce.
    budget: usize,
    exhausted: bool,
    /// Uses of names that nobody defined.
    undefined: usize,
    random: u64,
}

/// Where a piece's text is.
#[derive(Clone, Debug)]
enum Text<'t> {
    File(&'t str),
    /// The value of a definition.
    Made(Arc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::File(text) => text,
            Self::Made(text) => text,
        }
    }
}

/// Text still to be looked at. A line and what definitions put in front of its rest.
#[derive(Clone, Debug)]
struct Piece<'t> {
    text: Text<'t>,
    at: usize,
    end: usize,
    origin: Origin,
    depth: usize,
}

impl Piece<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..self.end).unwrap_or("")
    }

    fn origin_at(&self, at: usize) -> Origin {
        match self.origin {
            Origin::Written(file, offset) => Origin::Written(file, offset + at),
            produced @ Origin::Produced(_) => produced,
        }
    }

    fn span(&self, from: usize, to: usize) -> Span {
        match self.origin {
            Origin::Written(file, offset) => Span::new(file, offset + from, offset + to),
            Origin::Produced(span) => span,
        }
    }
}

impl<'a, 't> Reader<'a, 't> {
    pub fn new(
        sources: &'a mut Sources,
        report: &'a mut Report,
        texts: &'t Texts,
        files: &'a dyn Files,
        options: &'a Options,
    ) -> Self {
        Self {
            sources,
            report,
            texts,
            tree: Tree::default(),
            meaning: Meaning::new(&options.tables),
            tokens: Vec::new(),
            files,
            options,
            definitions: BTreeMap::new(),
            open: Vec::new(),
            count: 0,
            budget: options.limits.expanded_bytes,
            exhausted: false,
            undefined: 0,
            random: options.seed,
        }
    }

    /// What all that was read means.
    pub fn finish(mut self) -> Config {
        // What was cut off in the middle has mistakes that nobody wrote.
        let mut unheard = Report::default();
        let report = if self.exhausted { &mut unheard } else { self.report };
        for line in self.tree.finish(report) {
            self.meaning.take(line, report);
        }
        self.meaning.finish(report)
    }

    /// Reads one file; `from` is the line that includes it.
    pub fn file(&mut self, path: &Path, from: Option<Span>) {
        let name = path.display().to_string();
        let bytes = match self.files.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let diagnostic = Diagnostic::error("unreadable-file", format!("can't read `{name}`: {error}"));
                self.report.push(with_place(diagnostic, from, "included here"));
                return;
            }
        };
        self.count += 1;
        let decoded = bytes::decode(bytes);
        let (text, broken) = (Arc::new(decoded.text), decoded.broken);
        let file = self.sources.share(name, text.clone());
        let text = self.texts.keep(text);
        if !self.readable(file, decoded.wide, text) {
            return;
        }
        if let Some((first, last)) = broken.first().zip(broken.last()) {
            self.not_utf8(file, text, *first, *last, broken.len());
        }
        self.open.push(path.to_owned());
        self.text(file, text);
        self.open.pop();
    }

    fn not_utf8(&mut self, file: FileId, text: &str, first: usize, last: usize, count: usize) {
        let c = text.get(first..).and_then(|rest| rest.chars().next()).unwrap_or('?');
        let more = if count > 1 {
            format!(", {} more up to line {}", count - 1, {
                let span = Span::new(file, last, last);
                self.sources.location(span).line
            })
        } else {
            String::new()
        };
        let message = format!("this file is not UTF-8: byte 0x{:02X} is read as `{c}`{more}", u32::from(c));
        self.report.push(
            Diagnostic::warning("not-utf8", message)
                .at(Span::new(file, first, first + c.len_utf8()), "the first such byte")
                .help("save the file as UTF-8: `iconv -f LATIN1 -t UTF-8`"),
        );
    }

    /// Reads line by line. A definition whose value goes on after a backslash takes its further lines with it.
    fn text(&mut self, file: FileId, text: &'t str) {
        let mut start = usize::from(text.starts_with('\u{feff}')) * '\u{feff}'.len_utf8();
        while start < text.len() && !self.exhausted {
            if let Some((indent, next)) = plain::line(text, file, start, &mut self.tokens) {
                self.tree.line(Some(indent), self.tokens.drain(..), self.report);
                self.understand();
                start = next;
                continue;
            }
            let end = line_end(text, start);
            let line = Line::written(file, start, text.get(start..end).unwrap_or(""));
            let mut flaws = Vec::new();
            let code = comment_start(&line, &mut flaws);
            self.flaws(&flaws);
            let content = line.text.get(..code).unwrap_or("");
            let content = content.trim_end_matches(is_blank);
            let blanks = content.len() - content.trim_start_matches(is_blank).len();
            let mut next = end + 1;
            if let Some(pattern) = include(content.trim_matches(is_blank)) {
                self.include(&pattern, line.span(blanks, content.len()));
            } else if let Some((counts, name, value)) = self.multi_line(content) {
                let (body, after) = body(text, value, end);
                if counts {
                    self.define(name, body, line.span(blanks, content.len()));
                }
                next = after;
            } else if content.contains(['$', '~', '@']) {
                let origin = Origin::Written(file, 0);
                let piece = Piece { text: Text::File(text), at: start, end: start + content.len(), origin, depth: 0 };
                self.lines(vec![piece]);
            } else {
                let line = Line::written(file, start, content);
                let indent = line.indent();
                self.emit(line, indent);
            }
            start = next;
        }
    }

    /// `$NAME= first \`, `$NAME=` with the value on the next lines: the name and what of the value stands here, and
    /// whether an `@ID` in front lets it count.
    fn multi_line<'c>(&self, content: &'c str) -> Option<(bool, &'c str, &'c str)> {
        let content = content.trim_start_matches(is_blank);
        let (counts, content) = match content.strip_prefix('@').and_then(|_| content.split_once(is_blank)) {
            Some((condition, rest)) => (self.counts(condition), rest.trim_start_matches(is_blank)),
            None => (true, content),
        };
        let (name, value) = definition(content)?;
        let value = value.trim_matches(is_blank);
        (value.is_empty() || value.ends_with('\\')).then_some((counts, name, value))
    }

    /// Whether `@ID` or `@^ID` lets a line count.
    fn counts(&self, condition: &str) -> bool {
        match condition.strip_prefix("@^") {
            Some(id) => id != self.options.config_id,
            None => condition.strip_prefix('@') == Some(&self.options.config_id),
        }
    }

    fn define(&mut self, name: &str, value: String, span: Span) {
        if name.starts_with('_') {
            let message = format!("`${name}` can't be defined: names that begin with `_` are keepalived's own");
            self.report.push(Diagnostic::error("reserved-definition", message).at(span, ""));
            return;
        }
        self.definitions.insert(name.to_owned(), Arc::from(value));
    }

    fn emit(&mut self, line: Line, indent: Option<usize>) {
        let mut flaws = Vec::new();
        let tokens = tokens(&line, &mut flaws);
        self.flaws(&flaws);
        self.tree.line(indent, tokens, self.report);
        self.understand();
    }

    /// Takes in what is whole.
    fn understand(&mut self) {
        for line in self.tree.done() {
            self.meaning.take(line, self.report);
        }
    }
}

fn with_place(diagnostic: Diagnostic, place: Option<Span>, text: &str) -> Diagnostic {
    match place {
        Some(span) => diagnostic.at(span, text),
        None => diagnostic,
    }
}

fn line_end(text: &str, start: usize) -> usize {
    text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at)
}

/// The pattern of an include line.
fn include(content: &str) -> Option<String> {
    let (word, pattern) = content.split_once(is_blank)?;
    if !matches!(word, "include" | "includer" | "includem" | "includew" | "includeb" | "includea") {
        return None;
    }
    let pattern = pattern.trim_matches(is_blank);
    Some(pattern.trim_matches(['"', '\'']).to_owned())
}

/// `$NAME=VALUE`.
fn definition(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix('$')?;
    let name = name_of(rest);
    let value = rest.get(name.len()..)?.strip_prefix('=')?;
    (!name.is_empty()).then_some((name, value))
}

/// The letters, digits and underscores in front.
fn name_of(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or("")
}

/// A definition's value over several lines: what stands behind `=` and each following line while the one before ends in
/// a backslash. An empty value takes the next line. Also where the text goes on.
fn body(text: &str, value: &str, end: usize) -> (String, usize) {
    let mut body = value.trim_end_matches('\\').trim_end_matches(is_blank).to_owned();
    let mut more = true;
    let mut start = end + 1;
    while more && start < text.len() {
        let end = line_end(text, start);
        let written = Line::written(FileId::default(), 0, text.get(start..end).unwrap_or(""));
        let code = comment_start(&written, &mut Vec::new());
        let line = written.text.get(..code).unwrap_or("").trim_end_matches(is_blank);
        // `$NAME=` with nothing behind it and no lines to follow: empty.
        if value.is_empty() && body.is_empty() && !line.ends_with('\\') {
            return (String::new(), start);
        }
        more = line.ends_with('\\');
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str(line.trim_end_matches('\\').trim_end_matches(is_blank));
        start = end + 1;
    }
    (body, start)
}
