//! Collects messages: none twice, and what repeats all over a file only once.

use super::diagnostic::Diagnostic;
use super::source::{FileId, Sources, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Places of a repeated mistake that are listed by line.
const LISTED: usize = 6;

/// Messages after which a file is no configuration any more.
const MOST: usize = 500;

#[derive(Debug, Default)]
pub(crate) struct Report {
    diagnostics: Vec<Diagnostic>,
    seen: BTreeSet<(&'static str, Option<Span>, String)>,
    repeated: BTreeMap<(FileId, String), Repeated>,
    left_out: usize,
}

#[derive(Debug, Default)]
struct Repeated {
    index: usize,
    count: usize,
    places: Vec<Span>,
}

impl Report {
    /// Takes a message unless the very same one is there: a definition used twice has its mistake once.
    pub fn push(&mut self, diagnostic: Diagnostic) -> Option<usize> {
        if self.diagnostics.len() >= MOST {
            self.left_out += 1;
            return None;
        }
        let key = (diagnostic.code, diagnostic.span(), diagnostic.message.clone());
        if !self.seen.insert(key) {
            return None;
        }
        self.diagnostics.push(diagnostic);
        Some(self.diagnostics.len() - 1)
    }

    /// Takes the first message of its kind in a file and counts the others. `kind` tells kinds apart.
    pub fn once(&mut self, kind: &str, span: Span, diagnostic: impl FnOnce() -> Diagnostic) {
        if let Some(repeated) = self.repeated.get_mut(&(span.file, kind.to_owned())) {
            if !repeated.places.contains(&span) {
                repeated.count += 1;
                if repeated.places.len() <= LISTED {
                    repeated.places.push(span);
                }
            }
        } else if let Some(index) = self.push(diagnostic()) {
            let repeated = Repeated { index, count: 0, places: vec![span] };
            self.repeated.insert((span.file, kind.to_owned()), repeated);
        }
    }

    /// No further message will be shown: what costs time only for a better message may be left out.
    pub fn is_full(&self) -> bool {
        self.diagnostics.len() >= MOST
    }

    /// Adds a note to a message that was taken.
    pub fn note(&mut self, index: usize, note: String) {
        if let Some(diagnostic) = self.diagnostics.get_mut(index) {
            diagnostic.notes.push(note);
        }
    }

    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// All messages in the order of the text.
    pub fn finish(mut self, sources: &Sources) -> Vec<Diagnostic> {
        for repeated in self.repeated.into_values().filter(|repeated| repeated.count > 0) {
            let mut lines: Vec<u32> =
                repeated.places.iter().skip(1).map(|place| sources.location(*place).line).collect();
            lines.dedup();
            let listed = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let note = match (repeated.count, lines.len()) {
                (_, 1) => format!("the same again in line {listed}"),
                (count, _) if count < LISTED => format!("the same again in lines {listed}"),
                (count, _) => format!("the same again in {count} more places, the next in lines {listed}"),
            };
            if let Some(diagnostic) = self.diagnostics.get_mut(repeated.index) {
                diagnostic.notes.insert(0, note);
            }
        }
        self.diagnostics.sort_by_key(|diagnostic| {
            let span = diagnostic.span().unwrap_or_default();
            (span.file, span.start)
        });
        if self.left_out > 0 {
            let message = format!("{} more mistakes are not shown", self.left_out);
            self.diagnostics.push(Diagnostic::error("too-many-mistakes", message));
        }
        self.diagnostics
    }
}
