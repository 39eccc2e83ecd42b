//! Blocks that are left open, and what is said about them.

use super::{Block, Tree};
use crate::text::report::Report;
use crate::text::{Diagnostic, Span};
use std::borrow::Cow;

/// Blocks left open that one message points at.
const SHOWN: usize = 5;

impl<'t> Tree<'t> {
    /// Reports the frames from `from` on as not closed: in one message, at the line that opens the block at fault.
    pub(super) fn unclosed(&mut self, from: usize, before: Option<Span>, report: &mut Report) {
        let suspect = self.suspects.iter().find(|suspect| suspect.depth > from).cloned();
        let open: Vec<(Span, Cow<'t, str>)> =
            self.frames.iter().skip(from).map(|frame| (frame.head.span(), frame.head.word.text.clone())).collect();
        let message = match (&suspect, open.as_slice()) {
            (Some(suspect), _) => format!("`{}` is never closed", suspect.word),
            (None, [(_, word)]) => format!("`{word}` is never closed"),
            (None, several) => format!("{} blocks are never closed", several.len()),
        };
        let help = if open.len() > 1 && suspect.is_none() { "add a `}` for each" } else { "add the missing `}`" };
        // Only the end of the file is missing: as written so far, so it is meant. What follows an unknown head is lost.
        let known = self.frames.iter().skip(from).all(|frame| frame.block != Block::Unknown);
        let harmless = before.is_none() && suspect.is_none() && known;
        let severity = if harmless { Diagnostic::warning } else { Diagnostic::error };
        let mut diagnostic = severity("unclosed-block", message);
        if let Some(suspect) = &suspect {
            diagnostic = diagnostic
                .at(suspect.head, "this block is left open")
                .also(suspect.close, "by its indent, this brace is meant for a block farther out");
        } else {
            for (span, _) in open.into_iter().take(SHOWN) {
                diagnostic = diagnostic.at(span, "this block is left open");
            }
        }
        if let Some(span) = before {
            diagnostic = diagnostic.also(span, "this does not belong inside it");
        }
        if harmless {
            diagnostic = diagnostic.note("taken as closed at the end of the file, as in keepalived");
        } else if before.is_none() {
            diagnostic = diagnostic.note("everything up to the end of the file is read as part of it");
        }
        report.push(diagnostic.help(help));
        self.suspects.retain(|suspect| suspect.depth <= from);
    }
}
