//! Words that stand in a block where they are not known, but are known in another one: by themselves they do nothing,
//! and in a row with a brace at the end they are a block whose opening line is missing.

use super::{Statement, Tree};
use crate::config::words::{self, Block, Keyword};
use crate::text::report::Report;
use crate::text::{Diagnostic, Span};

/// A row of such words.
#[derive(Debug)]
pub(super) struct Orphans {
    /// The message about the first one.
    message: usize,
    first: Span,
    word: &'static str,
    /// How many blocks are open around them.
    pub depth: usize,
    more: usize,
    /// The blocks that know all of them.
    homes: Vec<Block>,
    /// A whole block of another place is among them.
    block: bool,
}

fn homes_of(word: &str) -> Vec<Block> {
    words::all().filter(|other| other.word == word).map(|other| other.block).collect()
}

fn name(block: Block) -> String {
    match block {
        Block::Root => "the top level of the file".to_owned(),
        other => format!("`{}`", other.name()),
    }
}

impl<'t> Tree<'t> {
    /// A word of another block. It is ignored; a whole block would be missed.
    pub(super) fn misplaced(
        &mut self,
        statement: &Statement<'t>,
        keyword: &'static Keyword,
        has_block: bool,
        report: &mut Report,
    ) {
        let depth = self.frames.len();
        let homes = homes_of(keyword.word);
        if let Some(orphans) = self.orphans.as_mut().filter(|orphans| orphans.depth == depth) {
            orphans.more += 1;
            orphans.block |= has_block;
            let common: Vec<Block> = orphans.homes.iter().copied().filter(|home| homes.contains(home)).collect();
            if !common.is_empty() {
                orphans.homes = common;
            }
            return;
        }
        self.end_orphans(report);
        let span = statement.word.span;
        let message = message(keyword.word, span, &self.place(), &homes, has_block);
        if let Some(message) = report.push(message) {
            let word = keyword.word;
            self.orphans = Some(Orphans { message, first: span, word, depth, more: 0, homes, block: has_block });
        }
    }

    /// No brace came that would have closed a block of these words.
    pub(super) fn end_orphans(&mut self, report: &mut Report) {
        let Some(orphans) = self.orphans.take() else { return };
        if orphans.more == 0 {
            return;
        }
        let place = match orphans.depth.checked_sub(1).and_then(|index| self.frames.get(index)) {
            Some(frame) => format!("in `{}`", frame.head.word.text),
            None if orphans.depth == 0 => "at the top level".to_owned(),
            None => "here".to_owned(),
        };
        let lines = if orphans.more == 1 {
            "the next such line".to_owned()
        } else {
            format!("the next {} such lines", orphans.more)
        };
        let diagnostic = message(orphans.word, orphans.first, &place, &orphans.homes, orphans.block);
        report.replace(orphans.message, diagnostic.note(format!("{lines} likewise")));
    }

    /// Whether the brace that is one too many belongs to words whose block was never opened: then that is the mistake,
    /// and it is said instead of all others.
    pub(super) fn unopened(&mut self, brace: Span, report: &mut Report) -> bool {
        let Some(orphans) = self.orphans.take() else { return false };
        let homes: Vec<String> = orphans.homes.iter().take(3).map(|home| name(*home)).collect();
        let diagnostic = Diagnostic::error("unopened-block", "the line that opens this block is missing")
            .at(orphans.first, format!("`{}` begins a block that nothing opens", orphans.word))
            .also(brace, "this brace closes it")
            .note("nothing of it is in effect")
            .help(format!("write the opening line above, that of {}, or delete the block", homes.join(" or ")));
        report.replace(orphans.message, diagnostic);
        true
    }
}

fn message(word: &str, span: Span, place: &str, homes: &[Block], block: bool) -> Diagnostic {
    let homes = homes.iter().take(3).map(|home| name(*home)).collect::<Vec<_>>().join(" or ");
    let (severity, effect): (fn(&'static str, String) -> Diagnostic, _) = if block {
        (|code, text| Diagnostic::error(code, text), "a whole block without effect")
    } else {
        (|code, text| Diagnostic::warning(code, text), "ignored, as in keepalived")
    };
    severity("misplaced-word", format!("`{word}` does not belong here"))
        .at(span, format!("not known {place}: {effect}"))
        .help(format!("it belongs in {homes}: is a brace missing, or is this the wrong block?"))
}
