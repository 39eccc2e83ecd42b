//! Values of `vipward.toml`, each mistake at its place.

use crate::text::nearest_name;
use crate::text::{Diagnostic, FileId, Span};
use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub type Key<'t> = Spanned<Cow<'t, str>>;
pub type Value<'t> = Spanned<DeValue<'t>>;

/// One file being read.
pub struct Reader<'p> {
    pub(super) file: FileId,
    /// Where relative paths count from.
    pub(super) folder: &'p Path,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    /// The keys of a table, if it is one.
    pub fn table<'v, 't>(&mut self, name: &str, value: &'v Value<'t>) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong("bad-value", format!("`{name}` is a table: write `[{name}]`"), value.span());
        }
        table
    }

    /// A whole number within `range`.
    pub fn number(&mut self, value: &Value<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let number = value.get_ref().as_integer();
        let number = number.and_then(|it| u64::from_str_radix(&it.as_str().replace('_', ""), it.radix()).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("expected a whole number between {} and {}", range.start(), range.end());
            self.wrong("bad-value", message, value.span());
        }
        number
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        let boolean = value.get_ref().as_bool();
        if boolean.is_none() {
            self.expected("`true` or `false`", value);
        }
        boolean
    }

    /// Words in quotes.
    pub fn text<'v>(&mut self, what: &str, value: &'v Value<'_>) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.expected(&format!("{what} in quotes"), value);
        }
        text
    }

    /// The members of a list.
    pub fn list<'v, 't>(&mut self, value: &'v Value<'t>) -> &'v [Value<'t>] {
        match value.get_ref().as_array() {
            Some(list) => list,
            None => {
                self.expected("a list in brackets", value);
                &[]
            }
        }
    }

    /// One of these words, in quotes.
    pub fn one_of(&mut self, words: &[&'static str], value: &Value<'_>) -> Option<&'static str> {
        let text = value.get_ref().as_str();
        let word = words.iter().find(|word| text == Some(**word)).copied();
        if word.is_none() {
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            self.wrong("bad-value", format!("expected {}", words.join(" or ")), value.span());
        }
        word
    }

    /// A path; a relative one counts from the folder of the file.
    pub fn path(&mut self, key: &Key<'_>, value: &Value<'_>) -> Option<PathBuf> {
        let path = self.text("a path", value)?;
        if path.is_empty() {
            self.wrong("bad-value", format!("`{}` needs the path of a file", key.get_ref()), value.span());
            return None;
        }
        Some(self.folder.join(path))
    }

    /// A word that does not belong here; `known` are those that do.
    pub fn unknown(&mut self, key: &Key<'_>, known: &[&str]) {
        let word = key.get_ref().as_ref();
        let label = nearest_name(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let mut diagnostic = Diagnostic::error("unknown-word", format!("unknown word `{word}`"))
            .at(self.span(key.span()), label.clone().unwrap_or_default());
        if label.is_none() {
            diagnostic = diagnostic.note(format!("known here: {}", known.join(", ")));
        }
        self.diagnostics.push(diagnostic);
    }

    pub fn wrong(&mut self, code: &'static str, message: impl Into<String>, range: Range<usize>) {
        let span = self.span(range);
        self.diagnostics.push(Diagnostic::error(code, message).at(span, ""));
    }

    pub fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }

    fn expected(&mut self, what: &str, value: &Value<'_>) {
        let message = format!("expected {what}, found {}", value.get_ref().type_str());
        self.wrong("bad-value", message, value.span());
    }
}
