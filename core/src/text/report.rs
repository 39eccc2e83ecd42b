//! Collects messages: none twice, and what repeats all over a file only once.

use super::diagnostic::{Diagnostic, Severity};
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
    /// Messages that another one made needless.
    withdrawn: BTreeSet<usize>,
    /// How many errors were pushed, those that are not shown included.
    errors: usize,
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
        self.errors += usize::from(diagnostic.is_error());
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

    /// Puts another message in the place of one that was taken, now that more is known.
    pub fn replace(&mut self, index: usize, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.is_error());
        if let Some(slot) = self.diagnostics.get_mut(index) {
            *slot = diagnostic;
        }
    }

    /// Takes messages back that turned out needless.
    pub fn withdraw(&mut self, which: impl Fn(&Diagnostic) -> bool) {
        let found = self.diagnostics.iter().enumerate().filter(|(_, diagnostic)| which(diagnostic));
        self.withdrawn.extend(found.map(|(index, _)| index));
    }

    /// Makes warnings infos: nothing is lost after all.
    pub fn soften(&mut self, which: impl Fn(&Diagnostic) -> bool) {
        for diagnostic in &mut self.diagnostics {
            if diagnostic.severity == Severity::Warning && which(diagnostic) {
                diagnostic.severity = Severity::Info;
            }
        }
    }

    /// How many errors there have been, to see whether something added one.
    pub fn errors(&self) -> usize {
        self.errors
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
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
        let mut index = 0..;
        self.diagnostics.retain(|_| index.next().is_none_or(|index| !self.withdrawn.contains(&index)));
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
