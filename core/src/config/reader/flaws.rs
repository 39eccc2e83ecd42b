//! What is odd in the look of a line.

use super::Reader;
use crate::config::line::Flaw;
use crate::text::Diagnostic;

impl Reader<'_, '_> {
    pub(super) fn flaws(&mut self, flaws: &[Flaw]) {
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
