//! A line of configuration, where each of its bytes comes from, and the words in it.

use crate::text::{FileId, Span};
use std::borrow::Cow;

/// A stretch of text with its origin: written just so in a file, or produced at one place by `$NAME` and its kin.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub text: String,
    /// From which byte on which origin holds; ascending, the first at 0.
    origins: Vec<(usize, Origin)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// Byte for byte from this place on.
    Written(FileId, usize),
    /// All of it stands for what is written here.
    Produced(Span),
}

impl Line {
    pub fn written(file: FileId, offset: usize, text: &str) -> Self {
        Self { text: text.to_owned(), origins: vec![(0, Origin::Written(file, offset))] }
    }

    pub fn push(&mut self, text: &str, origin: Origin) {
        if !text.is_empty() {
            self.origins.push((self.text.len(), origin));
            self.text.push_str(text);
        }
    }

    /// The place in a file of `start..end` of the text.
    pub fn span(&self, start: usize, end: usize) -> Span {
        self.place(start, false).to(self.place(end.max(start + 1) - 1, true))
    }

    /// The column in which the text begins, tabs to the next multiple of 8; none if it is not simply written.
    pub fn indent(&self) -> Option<usize> {
        let [(0, Origin::Written(..))] = self.origins.as_slice() else { return None };
        let blanks = self.text.chars().take_while(|c| is_blank(*c));
        Some(blanks.fold(0, |column, c| if c == '\t' { (column / 8 + 1) * 8 } else { column + 1 }))
    }

    /// Where one byte comes from: its own place, or (`last`) the end of it.
    fn place(&self, at: usize, last: bool) -> Span {
        let index = self.origins.partition_point(|(from, _)| *from <= at).saturating_sub(1);
        match self.origins.get(index) {
            Some((from, Origin::Written(file, offset))) => {
                let at = offset + at.saturating_sub(*from);
                Span::new(*file, at, at + usize::from(last))
            }
            Some((_, Origin::Produced(span))) => *span,
            None => Span::default(),
        }
    }
}

/// White space in the widest sense: what looks like a gap on a screen, or like nothing at all.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// A word or a brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Word(Word<'t>),
    Open(Span),
    Close(Span),
}

/// One word, quotes and escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'t> {
    /// Borrowed from the file unless something was put in.
    pub text: Cow<'t, str>,
    pub span: Span,
}

/// A mistake in the look of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A quote that is not closed before the end of the line.
    OpenQuote(Span),
    /// A gap that is neither a space nor a tab.
    OddBlank(Span, char),
    /// A typographic quote, taken for the plain one.
    OddQuote(Span, char),
    /// `//` where a comment was meant.
    SlashComment(Span),
    /// `;` where a comment was meant.
    SemicolonComment(Span),
    /// A `;` behind a statement.
    Semicolon(Span),
    /// `#` or `!` within a word begins a comment: the word, and the place of the sign.
    CommentInWord(Span, char),
}

/// Words whose value may well begin with `//` or hold a `;`: commands and paths.
fn is_path_word(word: &str) -> bool {
    matches!(word, "script" | "path" | "misc_path" | "file" | "digest" | "regex")
        || word.starts_with("notify")
        || word.starts_with("quorum_")
        || word.ends_with("_script")
        || word.ends_with("_file")
        || word.starts_with("include")
}

/// The plain quote that a typographic one stands for.
fn quote(c: char) -> Option<char> {
    match c {
        '"' | '\'' => Some(c),
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' => Some('"'),
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' => Some('\''),
        _ => None,
    }
}

/// Where the comment begins: `#` or `!` outside quotes; also `//` and `;` where no word can begin so, which are
/// reported. The end of the text if there is none.
pub(super) fn comment_start(line: &Line, flaws: &mut Vec<Flaw>) -> usize {
    let text = line.text.as_str();
    let (mut quoted, mut escaped) = (None, false);
    let (mut head, mut count, mut in_word) = ("", 0_usize, None);
    for (at, c) in text.char_indices() {
        if let Some(end) = quoted {
            match (escaped, c) {
                (true, _) => escaped = false,
                (false, '\\') => escaped = true,
                (false, _) if quote(c) == Some(end) => quoted = None,
                (false, _) => {}
            }
            continue;
        }
        let rest = text.get(at..).unwrap_or("");
        match c {
            '#' | '!' => {
                let glued = in_word.is_some() && rest.chars().nth(1).is_none_or(|next| !is_blank(next) && next != c);
                if let (true, Some(start), true) = (glued, in_word, count > 1) {
                    flaws.push(Flaw::CommentInWord(line.span(start, at + 1), c));
                }
                return at;
            }
            '{' | '}' if in_word.is_none() || c == '}' => {
                (head, count, in_word) = ("", 0, None);
            }
            '/' if in_word.is_none() && rest.starts_with("//") && !(count == 1 && is_path_word(head)) => {
                flaws.push(Flaw::SlashComment(line.span(at, at + 2)));
                return at;
            }
            ';' if in_word.is_none() && (count == 0 || !is_path_word(head)) => {
                let kind = if rest.len() > 1 && !rest.chars().skip(1).all(is_blank) {
                    Flaw::SemicolonComment
                } else {
                    Flaw::Semicolon
                };
                flaws.push(kind(line.span(at, at + 1)));
                return at;
            }
            c if is_blank(c) => {
                if let (Some(start), 1) = (in_word, count) {
                    head = text.get(start..at).unwrap_or("");
                }
                in_word = None;
            }
            c => {
                if in_word.is_none() {
                    (in_word, count) = (Some(at), count + 1);
                }
                quoted = quote(c);
            }
        }
    }
    text.len()
}

/// The words and braces of a line whose comment is cut off already.
pub(super) fn tokens<'t>(line: &Line, flaws: &mut Vec<Flaw>) -> Vec<Token<'t>> {
    let mut scan = Scan { line, chars: line.text.char_indices().peekable(), tokens: Vec::new(), first: true };
    while let Some((at, c)) = scan.chars.peek().copied() {
        match c {
            ' ' | '\t' | '\r' | '\n' => {
                scan.chars.next();
            }
            c if is_blank(c) => {
                flaws.push(Flaw::OddBlank(line.span(at, at + c.len_utf8()), c));
                scan.chars.next();
            }
            '{' => {
                scan.chars.next();
                scan.tokens.push(Token::Open(line.span(at, at + 1)));
                scan.first = true;
            }
            '}' => {
                scan.chars.next();
                scan.tokens.push(Token::Close(line.span(at, at + 1)));
                scan.first = true;
            }
            _ => scan.word(at, flaws),
        }
    }
    scan.tokens
}

struct Scan<'a, 't> {
    line: &'a Line,
    chars: std::iter::Peekable<std::str::CharIndices<'a>>,
    tokens: Vec<Token<'t>>,
    /// The next word is the first of its statement.
    first: bool,
}

impl Scan<'_, '_> {
    /// Takes one word. A brace ends it where it can't belong to it: before a gap, behind the first word of a statement,
    /// or closing one that this word did not open (`{2}` in a regex stays).
    fn word(&mut self, start: usize, flaws: &mut Vec<Flaw>) {
        let (mut text, mut quoted, mut depth, mut end) = (String::new(), false, 0_usize, start);
        while let Some((at, c)) = self.chars.peek().copied() {
            let ends = match c {
                c if is_blank(c) => true,
                '{' => {
                    let next = self.line.text.get(at + 1..).and_then(|rest| rest.chars().next());
                    depth == 0 && (self.first || next.is_none_or(is_blank))
                }
                '}' => depth == 0,
                _ => false,
            };
            if ends {
                break;
            }
            self.chars.next();
            end = at + c.len_utf8();
            match (c, quote(c)) {
                (_, Some(closing)) => {
                    quoted = true;
                    if closing != c {
                        flaws.push(Flaw::OddQuote(self.line.span(at, end), c));
                    }
                    match self.quoted(closing, &mut text) {
                        Some(after) => end = after,
                        None => {
                            flaws.push(Flaw::OpenQuote(self.line.span(at, end)));
                            end = self.line.text.len();
                        }
                    }
                }
                ('{', None) => {
                    depth += 1;
                    text.push(c);
                }
                ('}', None) => {
                    depth = depth.saturating_sub(1);
                    text.push(c);
                }
                (c, None) => text.push(c),
            }
        }
        // A `;` that ends a statement in other languages.
        let length = text.trim_end_matches(';').len();
        let last = self.line.text.get(end..).is_none_or(|rest| rest.chars().all(is_blank));
        if !quoted && length > 0 && length < text.len() && last && !self.takes_semicolon() {
            flaws.push(Flaw::Semicolon(self.line.span(end - (text.len() - length), end)));
            text.truncate(length);
        }
        let span = self.line.span(start, end);
        self.tokens.push(Token::Word(Word { text: Cow::Owned(text), span }));
        self.first = false;
    }

    /// Whether this statement's word is one of commands.
    fn takes_semicolon(&self) -> bool {
        let start = self.tokens.iter().rposition(|token| !matches!(token, Token::Word(_))).map_or(0, |at| at + 1);
        matches!(self.tokens.get(start), Some(Token::Word(head)) if is_path_word(&head.text))
    }

    /// Takes the rest of a quoted part; the offset behind its closing quote, or none if there is no such.
    fn quoted(&mut self, closing: char, text: &mut String) -> Option<usize> {
        while let Some((at, c)) = self.chars.next() {
            if quote(c) == Some(closing) {
                return Some(at + c.len_utf8());
            }
            if c == '\\' { self.escape(text) } else { text.push(c) }
        }
        None
    }

    /// What follows a backslash within quotes.
    fn escape(&mut self, text: &mut String) {
        let Some((_, c)) = self.chars.next() else { return };
        match c {
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'E' | 'e' => text.push('\u{1b}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'v' => text.push('\u{b}'),
            'x' => {
                let code = self.digits(16, 2);
                text.push(code.map_or('x', |code| char::from_u32(code).unwrap_or('x')));
            }
            'c' => {
                if let Some((_, letter)) = self.chars.next() {
                    text.push(char::from_u32(u32::from(letter) & 0x1f).unwrap_or(letter));
                }
            }
            '0'..='7' => {
                let first = c.to_digit(8).unwrap_or(0);
                let mut code = first;
                for _ in 0..2 {
                    match self.digits(8, 1) {
                        Some(digit) => code = code * 8 + digit,
                        None => break,
                    }
                }
                text.push(char::from_u32(code & 0xff).unwrap_or('0'));
            }
            other => text.push(other),
        }
    }

    /// Up to `most` digits as a number.
    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let mut number = None;
        for _ in 0..most {
            let Some(digit) = self.chars.peek().and_then(|(_, c)| c.to_digit(radix)) else { break };
            self.chars.next();
            number = Some(number.unwrap_or(0) * radix + digit);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<Flaw>) {
        let mut flaws = Vec::new();
        let mut line = Line::written(FileId(0), 0, text);
        let end = comment_start(&line, &mut flaws);
        line.text.truncate(end);
        let tokens = tokens(&line, &mut flaws);
        let shown: Vec<_> = tokens
            .iter()
            .map(|token| match token {
                Token::Word(word) => format!("[{}]", word.text),
                Token::Open(_) => "{".to_owned(),
                Token::Close(_) => "}".to_owned(),
            })
            .collect();
        (shown.join(" "), flaws)
    }

    #[test]
    fn splits_words_and_braces() {
        for (text, want) in [
            ("vrrp_instance VI_1 {", "[vrrp_instance] [VI_1] {"),
            ("url{", "[url] {"),
            ("track_interface{eth0}", "[track_interface] { [eth0] }"),
            ("track_interface { eth0 }", "[track_interface] { [eth0] }"),
            ("real_server 192.0.2.1 80{", "[real_server] [192.0.2.1] [80] {"),
            ("regex ^a{3}$", "[regex] [^a{3}$]"),
            ("priority 100 # high", "[priority] [100]"),
            ("priority 100! high", "[priority] [100]"),
            (r##"auth_pass "a#b c""##, "[auth_pass] [a#b c]"),
            (r#"path /a"b c"'d'"#, "[path] [/ab cd]"),
            (r#"payload "\x41\102\n\\\q""#, "[payload] [AB\n\\q]"),
            ("path //double", "[path] [//double]"),
            ("\t}", "}"),
            ("", ""),
        ] {
            let (shown, flaws) = read(text);
            assert_eq!(shown, want, "{text}");
            assert_eq!(flaws, [], "{text}");
        }
    }

    #[test]
    fn reads_what_was_meant_and_says_so() {
        for (text, want) in [
            ("lb_kind DR //mode", "[lb_kind] [DR]"),
            ("HTTP_GET {//check", "[HTTP_GET] {"),
            ("; note", ""),
            ("priority 100;", "[priority] [100]"),
            ("priority 100 ; high", "[priority] [100]"),
            ("state\u{a0}MASTER", "[state] [MASTER]"),
            ("router_id \u{201c}lb one\u{201d}", "[router_id] [lb one]"),
            ("router_id \"lb", "[router_id] [lb]"),
            ("auth_pass pa#ss", "[auth_pass] [pa]"),
        ] {
            let (shown, flaws) = read(text);
            assert_eq!(shown, want, "{text}");
            assert!(!flaws.is_empty(), "{text}");
        }
    }

    #[test]
    fn spans_cover_the_word_as_written() {
        let mut line = Line::written(FileId(3), 100, "a ");
        let whole = Span::new(FileId(3), 102, 107);
        line.push("xyz", Origin::Produced(whole));
        line.push("b", Origin::Written(FileId(3), 107));
        let words = tokens(&line, &mut Vec::new());
        let [Token::Word(a), Token::Word(b)] = words.as_slice() else { panic!("{words:?}") };
        assert_eq!(
            (a.span, &*b.text, b.span),
            (Span::new(FileId(3), 100, 101), "xyzb", Span::new(FileId(3), 102, 108))
        );
    }
}
