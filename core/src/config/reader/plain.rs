//! The quick way for lines that hold nothing but words, braces and comments: nearly all. A line with anything else
//! (quotes, definitions, odd characters, braces within words) is left to the careful way of [`super::Reader::text`],
//! which gives the same for these.

use super::super::line::{Token, Word};
use crate::text::{FileId, Span};
use std::borrow::Cow;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Blank,
    End,
    Open,
    Close,
    Comment,
    /// Needs the careful way.
    Other,
}

const CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        if let Some(class) = classes.split_at_mut(byte as usize).1.first_mut() {
            *class = match byte {
                b' ' | b'\t' | b'\r' => Class::Blank,
                b'\n' => Class::End,
                b'{' => Class::Open,
                b'}' => Class::Close,
                b'#' | b'!' => Class::Comment,
                b'"' | b'\'' | b'\\' | b'$' | b'~' | b'@' | b';' => Class::Other,
                0x21..=0x7e => Class::Letter,
                _ => Class::Other,
            };
        }
        byte += 1;
    }
    classes
}

fn class_of(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Other)
}

/// The end of the text ends its last line.
fn class(bytes: &[u8], at: usize) -> Class {
    bytes.get(at).map_or(Class::End, |byte| class_of(*byte))
}

/// How many bytes of this class follow.
fn run(bytes: &[u8], at: usize, of: Class) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|byte| class_of(*byte) != of).unwrap_or(rest.len())
}

/// The words and braces of the line at `start`, into `tokens`, which is empty. Gives the column of its first word and
/// where the next line begins; nothing, with `tokens` empty, if the line needs the careful way.
pub(super) fn line<'t>(
    text: &'t str,
    file: FileId,
    start: usize,
    tokens: &mut Vec<Token<'t>>,
) -> Option<(usize, usize)> {
    let taken = scan(text, file, start, tokens);
    if taken.is_none() {
        tokens.clear();
    }
    taken
}

fn scan<'t>(text: &'t str, file: FileId, start: usize, tokens: &mut Vec<Token<'t>>) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let blanks = run(bytes, start, Class::Blank);
    let mut at = start + blanks;
    let lead = bytes.get(start..at).unwrap_or_default();
    let indent = if lead.iter().all(|byte| *byte == b' ') {
        blanks
    } else {
        lead.iter().fold(0, |column, byte| if *byte == b'\t' { (column / 8 + 1) * 8 } else { column + 1 })
    };
    // The next word is the first of its statement.
    let mut first = true;
    loop {
        match class(bytes, at) {
            Class::Blank => at += run(bytes, at, Class::Blank),
            Class::End => return Some((indent, at + 1)),
            Class::Comment => {
                let rest = text.get(at..).unwrap_or("");
                return Some((indent, rest.find('\n').map_or(text.len(), |end| at + end + 1)));
            }
            Class::Open => {
                tokens.push(Token::Open(Span::new(file, at, at + 1)));
                (at, first) = (at + 1, true);
            }
            Class::Close => {
                tokens.push(Token::Close(Span::new(file, at, at + 1)));
                (at, first) = (at + 1, true);
            }
            Class::Letter => {
                let from = at;
                at += run(bytes, at, Class::Letter);
                let ends = match class(bytes, at) {
                    Class::Blank | Class::End | Class::Close => true,
                    // A brace behind a later word may belong to it.
                    Class::Open => first || matches!(class(bytes, at + 1), Class::Blank | Class::End),
                    Class::Comment | Class::Other | Class::Letter => false,
                };
                let word = text.get(from..at)?;
                if !ends || word.starts_with("//") || (first && word.starts_with("include")) {
                    return None;
                }
                tokens.push(Token::Word(Word { text: Cow::Borrowed(word), span: Span::new(file, from, at) }));
                first = false;
            }
            Class::Other => return None,
        }
    }
}
