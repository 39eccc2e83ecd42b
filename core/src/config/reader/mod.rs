//! From files to lines: `include`, `@ID`, `$NAME`, `~SEQ` and `~LST` (keepalived.conf(5), "Configuration parser").
//!
//! Everything here is bounded ([`super::options::Limits`]): a file that would grow without end is an error.

mod loops;

use super::line::{Flaw, Line, Origin, comment_start, is_blank, tokens};
use super::options::Options;
use super::tree::Tree;
use crate::text::Diagnostic;
use crate::text::Files;
use crate::text::nearest_name;
use crate::text::report::Report;
use crate::text::{FileId, Sources, Span};
use loops::take_line;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What each use of a definition counts at least, so that empty ones are bounded too.
const USE: usize = 32;

/// Undefined names that are compared with all defined ones.
const COMPARED: usize = 1000;

pub(super) struct Reader<'a> {
    pub sources: &'a mut Sources,
    pub report: &'a mut Report,
    pub tree: &'a mut Tree,
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

/// Text still to be looked at. A line and what definitions put in front of its rest.
#[derive(Clone, Debug)]
struct Piece {
    text: Arc<str>,
    at: usize,
    end: usize,
    origin: Origin,
    depth: usize,
}

impl Piece {
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

impl<'a> Reader<'a> {
    pub fn new(
        sources: &'a mut Sources,
        report: &'a mut Report,
        tree: &'a mut Tree,
        files: &'a dyn Files,
        options: &'a Options,
    ) -> Self {
        Self {
            sources,
            report,
            tree,
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

    /// Whether a limit was hit and the rest was not read.
    pub fn gave_up(&self) -> bool {
        self.exhausted
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
        let (text, broken) = decode(&bytes);
        let file = self.sources.add(name, text.as_str());
        if let Some((first, last)) = broken.first().zip(broken.last()) {
            self.not_utf8(file, &text, *first, *last, broken.len());
        }
        self.open.push(path.to_owned());
        self.text(file, &Arc::from(text));
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
    fn text(&mut self, file: FileId, text: &Arc<str>) {
        let mut start = usize::from(text.starts_with('\u{feff}')) * '\u{feff}'.len_utf8();
        while start < text.len() && !self.exhausted {
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
                let piece = Piece { text: text.clone(), at: start, end: start + content.len(), origin, depth: 0 };
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
    fn multi_line<'t>(&self, content: &'t str) -> Option<(bool, &'t str, &'t str)> {
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

    /// Works through text that holds definitions, conditions or loops, line by line.
    fn lines(&mut self, mut input: Vec<Piece>) {
        while !input.is_empty() && !self.exhausted {
            skip_blanks(&mut input);
            match input.last().map(Piece::rest) {
                None => return,
                Some(rest) if rest.starts_with('@') => {
                    if !self.condition(&mut input) {
                        skip_line(&mut input);
                        continue;
                    }
                }
                Some(_) => {}
            }
            skip_blanks(&mut input);
            if self.one_definition(&mut input) {
                continue;
            }
            let line = self.expand(&mut input);
            if let Some(line) = line {
                self.emit(line, None);
            }
        }
    }

    /// `@ID` or `@^ID` in front of a line: whether the line counts.
    fn condition(&mut self, input: &mut [Piece]) -> bool {
        let Some(piece) = input.last_mut() else { return false };
        let rest = piece.rest();
        let word = rest.split(is_blank).next().unwrap_or("");
        let length = word.len();
        let counts = self.counts(word);
        let nameless = matches!(word, "@" | "@^");
        let span = piece.span(piece.at, piece.at + length);
        piece.at += length;
        if nameless {
            self.report.push(
                Diagnostic::error("bad-condition", "`@` without a name")
                    .at(span, "this line counts for nobody")
                    .help("write `@NAME` for the lines of one director, `@^NAME` for those of all others"),
            );
        }
        counts && !nameless
    }

    /// A definition at the start of a line; true if there was one.
    fn one_definition(&mut self, input: &mut Vec<Piece>) -> bool {
        let Some(piece) = input.last() else { return false };
        let line = piece.rest().split('\n').next().unwrap_or("");
        let span = piece.span(piece.at, piece.at + line.len());
        if let Some((name, value)) = definition(line) {
            let (name, value) = (name.to_owned(), value.trim_matches(is_blank).to_owned());
            self.define(&name, value, span);
            skip_line(input);
            return true;
        }
        // `$NAME = value`: a use of NAME to keepalived, hardly what is meant.
        let name = line.strip_prefix('$').map(name_of).unwrap_or_default();
        let after = line.get(1 + name.len()..).unwrap_or("");
        if !name.is_empty()
            && !self.definitions.contains_key(name)
            && after.trim_start_matches(is_blank).starts_with('=')
        {
            self.report.push(
                Diagnostic::error("bad-definition", format!("a space between `${name}` and `=`"))
                    .at(span, "this defines nothing")
                    .help(format!("write `${name}=` without a space before the `=`")),
            );
            skip_line(input);
            return true;
        }
        false
    }

    /// One line with every definition replaced; none if a loop made lines of its own out of it.
    fn expand(&mut self, input: &mut Vec<Piece>) -> Option<Line> {
        let mut line = Line::default();
        while let Some(piece) = input.last_mut() {
            if piece.at >= piece.end {
                input.pop();
                continue;
            }
            let rest = piece.rest();
            let plain = rest.find(['$', '~', '\n']).unwrap_or(rest.len());
            if plain > 0 {
                line.push(rest.get(..plain).unwrap_or(""), piece.origin_at(piece.at));
                piece.at += plain;
                continue;
            }
            if rest.starts_with('\n') {
                piece.at += 1;
                return Some(line);
            }
            if rest.starts_with('~')
                && let Some(found) = self.find_loop(rest, piece.clone())
            {
                self.run_loop(found, line, input);
                return None;
            }
            if rest.starts_with('$') && self.replace(input, &line) {
                if self.exhausted {
                    return None;
                }
                continue;
            }
            if let Some(piece) = input.last_mut() {
                let length = piece.rest().chars().next().map_or(1, char::len_utf8);
                line.push(piece.rest().get(..length).unwrap_or(""), piece.origin_at(piece.at));
                piece.at += length;
            }
        }
        Some(line)
    }

    /// Puts the value in place of the `$NAME` or `${NAME}` that the text begins with; false if it stays as it is.
    fn replace(&mut self, input: &mut Vec<Piece>, line: &Line) -> bool {
        let Some(piece) = input.last_mut() else { return false };
        let rest = piece.rest();
        let (inside, length, braced) = match rest.strip_prefix("${") {
            Some(after) => match after.find(['}', '\n']) {
                Some(end) if after.as_bytes().get(end) == Some(&b'}') => {
                    (after.get(..end).unwrap_or(""), end + 3, true)
                }
                _ => return false,
            },
            None => {
                let name = name_of(rest.get(1..).unwrap_or(""));
                (name, name.len() + 1, false)
            }
        };
        if inside.is_empty() {
            return false;
        }
        let inside = inside.to_owned();
        let span = piece.span(piece.at, piece.at + length);
        let (origin, depth) = (Origin::Produced(span), piece.depth + 1);
        if let Some(value) = self.built_in(&inside, span) {
            if let Some(piece) = input.last_mut() {
                piece.at += length;
            }
            // Goes in behind the look for comments and definitions: `${_HASH}` is a plain `#`.
            let text: Arc<str> = Arc::from(value);
            if text.contains(['$', '~', '\n']) {
                return self.spend(text.len(), span);
            }
            input.push(Piece { at: 0, end: text.len(), text, origin, depth });
            return self.spend(USE, span);
        }
        let Some(value) = self.definitions.get(&inside).cloned() else {
            self.undefined(&inside, braced, span, line);
            return false;
        };
        if let Some(piece) = input.last_mut() {
            piece.at += length;
        }
        if depth > self.options.limits.depth {
            self.exhausted = true;
            self.report.push(
                Diagnostic::error(
                    "endless-definition",
                    format!("`${inside}` goes round in a circle or nests too deeply"),
                )
                .at(span, format!("still not done after {} definitions within each other", self.options.limits.depth))
                .note("nothing after this line is read")
                .help("look for a definition that uses itself"),
            );
            return true;
        }
        self.spend(value.len(), span);
        input.push(Piece { at: 0, end: value.len(), text: value, origin, depth });
        true
    }

    /// Takes what a use produces from the budget. Always true, for the caller's convenience.
    fn spend(&mut self, bytes: usize, span: Span) -> bool {
        match self.budget.checked_sub(bytes.saturating_add(USE)) {
            Some(left) => self.budget = left,
            None if !self.exhausted => {
                self.exhausted = true;
                let most = self.options.limits.expanded_bytes >> 20;
                self.report.push(
                    Diagnostic::error("endless-definition", "definitions and loops produce too much text")
                        .at(span, format!("beyond {most} MiB here"))
                        .note("nothing after this line is read")
                        .help("look for definitions that double each other, or a loop with one digit too many"),
                );
            }
            None => {}
        }
        true
    }

    /// `${_PWD}` and its kin.
    fn built_in(&mut self, inside: &str, span: Span) -> Option<String> {
        let mut words = inside.split_ascii_whitespace();
        match words.next()? {
            "_PWD" => Some(self.folder().display().to_string()),
            "_INSTANCE" => Some(self.options.config_id.clone()),
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_ENV" => {
                let name = words.next().unwrap_or("");
                let value = self.options.environment.get(name).cloned();
                if value.is_none() {
                    self.report.push(
                        Diagnostic::error("no-environment", format!("there is no environment variable `{name}` here"))
                            .at(span, "nothing is put in its place"),
                    );
                }
                Some(value.unwrap_or_default())
            }
            "_RANDOM" => {
                let low = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                let high = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(32767).max(low);
                let count = (high - low).saturating_add(1);
                Some((low + self.next_random() % count).to_string())
            }
            _ => None,
        }
    }

    /// SplitMix64 on the seed: the same file and seed give the same configuration.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A name that nobody defined stays as text. Said where it is hardly meant: in braces, or close to a known name, and
    /// not in a command, whose `$` may be the shell's.
    fn undefined(&mut self, name: &str, braced: bool, span: Span, line: &Line) {
        let head = line.text.split_whitespace().next().unwrap_or("");
        let command = head == "script" || head.starts_with("notify") || head.starts_with("misc_");
        self.undefined += 1;
        if self.undefined > COMPARED {
            return;
        }
        let near = nearest_name(name, self.definitions.keys().map(String::as_str)).map(str::to_owned);
        if (!braced || command) && near.is_none() {
            return;
        }
        let mut diagnostic = Diagnostic::warning("undefined-name", format!("`${name}` is not defined"))
            .at(span, "stays as it is written");
        if let Some(near) = near {
            diagnostic = diagnostic.help(format!("`${near}` is defined: is that meant?"));
        } else {
            diagnostic = diagnostic.help(format!("define it above this line: `${name}=VALUE`"));
        }
        self.report.push(diagnostic);
    }

    fn emit(&mut self, line: Line, indent: Option<usize>) {
        let mut flaws = Vec::new();
        let tokens = tokens(&line, &mut flaws);
        self.flaws(&flaws);
        self.tree.line(indent, tokens, self.report);
    }

    fn folder(&self) -> PathBuf {
        self.open.last().and_then(|path| path.parent()).map(Path::to_owned).unwrap_or_default()
    }

    /// `include PATTERN`. keepalived's other five words differ in what they complain about; vipward always complains when
    /// nothing matches.
    fn include(&mut self, pattern: &str, span: Span) {
        if self.open.len() >= self.options.limits.include_depth || self.count >= self.options.limits.files {
            self.report.push(
                Diagnostic::error("endless-include", "too many files include each other")
                    .at(span, format!("{} files deep, {} in all", self.open.len(), self.count)),
            );
            return;
        }
        let pattern = self.folder().join(pattern);
        let wild = pattern.to_string_lossy().contains(['*', '?', '[', '{']);
        let paths = if wild { self.files.glob(&pattern.to_string_lossy()) } else { vec![pattern.clone()] };
        if paths.is_empty() {
            self.report.push(
                Diagnostic::warning("empty-include", format!("no file matches `{}`", pattern.display())).at(span, ""),
            );
        }
        for path in paths {
            if self.open.contains(&path) {
                self.report.push(
                    Diagnostic::error("endless-include", format!("`{}` includes itself", path.display()))
                        .at(span, "this closes the circle; it is not read again"),
                );
            } else if self.count < self.options.limits.files {
                self.file(&path, Some(span));
            }
        }
    }

    fn flaws(&mut self, flaws: &[Flaw]) {
        for flaw in flaws {
            self.flaw(*flaw);
        }
    }

    fn flaw(&mut self, flaw: Flaw) {
        match flaw {
            Flaw::OddBlank(span, c) => self.report.once(&format!("odd-blank {c}"), span, || {
                Diagnostic::warning("odd-space", format!("{} (U+{:04X}) used as a space", character(c), u32::from(c)))
                    .at(span, "looks like a space, but is none")
                    .note("keepalived takes it for a word; vipward reads it as a space")
                    .help("such characters come from web pages: retype the indent, or replace them all in an editor")
            }),
            Flaw::OddQuote(span, c) => self.report.once("odd-quote", span, || {
                Diagnostic::error("odd-quote", format!("typographic quote {c} (U+{:04X})", u32::from(c)))
                    .at(span, "begins no quoted text")
                    .help("write a plain \" or '")
            }),
            Flaw::SlashComment(span) => self.report.once("slash-comment", span, || {
                Diagnostic::error("slash-comment", "`//` begins no comment")
                    .at(span, "keepalived reads the rest of this line as words")
                    .help("comments begin with `#` or `!`")
            }),
            Flaw::SemicolonComment(span) => self.report.once("semicolon-comment", span, || {
                Diagnostic::error("semicolon-comment", "`;` begins no comment")
                    .at(span, "keepalived reads the rest of this line as words")
                    .help("comments begin with `#` or `!`")
            }),
            Flaw::Semicolon(span) => self.report.once("semicolon", span, || {
                Diagnostic::error("semicolon", "a statement does not end with `;`")
                    .at(span, "keepalived takes it as part of the value")
                    .help("delete it: the end of the line ends the statement")
            }),
            Flaw::OpenQuote(span) => {
                self.report.push(
                    Diagnostic::error("open-quote", "this quote is not closed")
                        .at(span, "the value goes on to the end of the line")
                        .help("close it with the same sign, on the same line"),
                );
            }
            Flaw::CommentInWord(span, c) => {
                self.report.push(
                    Diagnostic::warning("comment-in-word", format!("`{c}` begins a comment, also within a word"))
                        .at(span, format!("the value ends before `{c}`"))
                        .help(format!("if `{c}` belongs to the value, quote the value; else put a space before it")),
                );
            }
        }
    }
}

fn with_place(diagnostic: Diagnostic, place: Option<Span>, text: &str) -> Diagnostic {
    match place {
        Some(span) => diagnostic.at(span, text),
        None => diagnostic,
    }
}

/// UTF-8, or as much of it as there is: a byte that fits nowhere becomes the Latin-1 character of its number, so that
/// nothing is lost. Also the places of those.
fn decode(bytes: &[u8]) -> (String, Vec<usize>) {
    let (mut text, mut broken) = (String::with_capacity(bytes.len()), Vec::new());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            broken.push(text.len());
            text.push(char::from(*byte));
        }
    }
    (text, broken)
}

/// A name for a character that can't be seen.
fn character(c: char) -> &'static str {
    match c {
        '\u{a0}' => "no-break space",
        '\u{202f}' => "narrow no-break space",
        '\u{3000}' => "ideographic space",
        '\u{200b}' => "zero width space",
        '\u{2060}' => "word joiner",
        '\u{feff}' => "byte order mark",
        '\u{2000}'..='\u{200a}' | '\u{205f}' => "typographic space",
        c if c.is_control() => "control character",
        _ => "unusual white space",
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

fn skip_blanks(input: &mut Vec<Piece>) {
    while let Some(piece) = input.last_mut() {
        let rest = piece.rest();
        let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
        piece.at += blanks;
        if piece.at < piece.end {
            return;
        }
        input.pop();
    }
}

fn skip_line(input: &mut Vec<Piece>) {
    take_line(input, 0);
}
