//! From the bytes of a file to its text, or the reason why there is none.

use super::Reader;
use crate::text::{Diagnostic, FileId, Span};

/// A text, and what is odd about its bytes.
pub(super) struct Decoded {
    pub text: String,
    /// The bytes that fit nowhere in UTF-8, each read as the Latin-1 character of its number.
    pub broken: Vec<usize>,
    /// It is UTF-16: every second byte of an ASCII letter is 0.
    pub wide: bool,
}

/// UTF-8, or as much of it as there is: a byte that fits nowhere becomes the Latin-1 character of its number, so that
/// nothing is lost.
pub(super) fn decode(bytes: Vec<u8>) -> Decoded {
    let wide = is_wide(&bytes);
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Decoded { text, broken: Vec::new(), wide },
        Err(error) => error.into_bytes(),
    };
    let (mut text, mut broken) = (String::with_capacity(bytes.len()), Vec::new());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            broken.push(text.len());
            text.push(char::from(*byte));
        }
    }
    Decoded { text, broken, wide }
}

/// A byte order mark of UTF-16, or letters and zeros in turn.
fn is_wide(bytes: &[u8]) -> bool {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => bytes.len().is_multiple_of(2),
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] => *a != 0 && *b != 0,
        _ => false,
    }
}

impl Reader<'_, '_> {
    /// Whether the text can be read; else it is said why not. Nothing of a file with such bytes is read: keepalived
    /// stops at a zero without a word.
    pub(super) fn readable(&mut self, file: FileId, decoded_wide: bool, text: &str) -> bool {
        let zero = text.find('\0');
        if decoded_wide {
            self.report.push(
                Diagnostic::error("utf-16", "this file is UTF-16, not UTF-8")
                    .at(Span::new(file, 0, text.chars().next().map_or(0, char::len_utf8)), "nothing of it can be read")
                    .help("convert it: `iconv -f UTF-16 -t UTF-8`"),
            );
        } else if let Some(zero) = zero {
            let count = text.matches('\0').count();
            let mut diagnostic = Diagnostic::error("zero-byte", "a zero byte in a text")
                .at(Span::new(file, zero, zero + 1), if count == 1 { "here" } else { "the first one" })
                .note("the file may have been cut off or overwritten, as after a crash; nothing of it is read");
            if count > 1 {
                diagnostic = diagnostic.note(format!("{count} of them in all"));
            }
            self.report.push(diagnostic.help("write the file again, or put a copy in its place"));
        }
        !decoded_wide && zero.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_text_is_known_with_and_without_its_mark() {
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        for bytes in [wide("\u{feff}ab"), wide("ab"), big("\u{feff}ab"), big("ab")] {
            assert!(decode(bytes).wide);
        }
        for bytes in [b"ab".to_vec(), b"a\0".to_vec(), b"\0\0\0\0".to_vec(), "\u{feff}ab".into(), Vec::new()] {
            assert!(!decode(bytes).wide);
        }
    }
}
