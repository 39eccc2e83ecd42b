//! rustc's look for messages. The only module that knows the crate that draws.

use super::diagnostic::{Diagnostic, Label, Severity};
use super::source::{FileId, Sources, Span};
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use std::collections::BTreeMap;
use std::ops::Range;

/// Lines between two places of one file up to which they are shown as one piece.
const FAR: usize = 200;

/// Bytes of a file that one message shows at most. A place in a longer line is named and not shown.
const SHOWN: usize = 10_000;

/// All messages as text: kind and code, place, source line with caret, what it leads to, what to do. An empty line
/// between two. `color` adds terminal colours.
pub fn render(sources: &Sources, diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&renderer.render(&[group(sources, diagnostic)]));
        text.push_str("\n\n");
    }
    text
}

fn group<'a>(sources: &'a Sources, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code))
        .elements(snippets(sources, &diagnostic.labels))
        .elements(diagnostic.notes.iter().map(|note| Level::NOTE.message(note)))
        .elements(diagnostic.help.iter().map(|help| Level::HELP.message(help)))
}

/// One snippet for each file, more where places lie far apart; those with a primary place first. A snippet holds only
/// the lines it needs, so that a message costs the same in a large file.
fn snippets<'a>(sources: &'a Sources, labels: &'a [Label]) -> Vec<Element<'a>> {
    let mut by_file: BTreeMap<(bool, FileId), Vec<&Label>> = BTreeMap::new();
    for label in labels {
        let file = label.span.file;
        let secondary = !labels.iter().any(|other| other.primary && other.span.file == file);
        by_file.entry((secondary, file)).or_default().push(label);
    }
    let mut snippets = Vec::new();
    for ((_, file), mut labels) in by_file {
        labels.sort_by_key(|label| (label.span.start, label.span.end));
        let mut pieces: Vec<Vec<&Label>> = Vec::new();
        let mut last_line = None;
        for label in labels {
            let line = sources.line_index(file, label.span.start);
            match (pieces.last_mut(), last_line) {
                (Some(piece), Some(last)) if line.saturating_sub(last) <= FAR => piece.push(label),
                _ => pieces.push(vec![label]),
            }
            last_line = Some(line);
        }
        snippets.extend(pieces.iter().map(|piece| snippet(sources, file, piece)));
    }
    snippets
}

fn snippet<'a>(sources: &'a Sources, file: FileId, labels: &[&'a Label]) -> Element<'a> {
    let first = labels.iter().map(|label| sources.line_index(file, label.span.start)).min().unwrap_or(0);
    let last = labels.iter().map(|label| sources.line_index(file, label.span.end)).max().unwrap_or(0);
    let (start, end) = (sources.line_start(file, first), sources.line_start(file, last + 1));
    let text = sources.text(file).get(start..end).unwrap_or("");
    if text.len() > SHOWN {
        let first = labels.iter().find(|label| label.primary).or(labels.first());
        let at = sources.location(first.map(|label| label.span).unwrap_or_default());
        return Origin::path(at.file).line(at.line as usize).char_column(at.column as usize).into();
    }
    let annotations = labels.iter().map(|label| {
        let kind = if label.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(within(text, start, label.span));
        if label.text.is_empty() { annotation } else { annotation.label(&label.text) }
    });
    Snippet::source(text).line_start(first + 1).path(sources.name(file)).annotations(annotations).into()
}

/// The place within the piece of text that begins at `offset`; stays on character boundaries whatever comes in.
fn within(text: &str, offset: usize, span: Span) -> Range<usize> {
    let floor = |at: u32| {
        let mut at = (at as usize).saturating_sub(offset).min(text.len());
        while !text.is_char_boundary(at) {
            at = at.saturating_sub(1);
        }
        at
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}
