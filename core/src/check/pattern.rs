//! `regex` of HTTP_GET and SSL_GET (keepalived.conf(5), pcre2pattern(3)): the body must match, or must not.
//!
//! keepalived searches with PCRE2, which goes back and forth: a body of a hostile server can make it search for ever. This one
//! takes time in proportion to the body, whatever is in it; in exchange it knows no look-around, no back references, and no
//! possessive or atomic groups, which are errors when the configuration is read. What else PCRE2 writes in another way than the
//! `regex` crate is translated ([`translate`]), so that a pattern means the same in both or is refused.

use regex::bytes::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Bytes of a body that are kept and searched.
pub const MAX_SEARCHED: usize = 1 << 20;

/// Bytes that a compiled pattern may take: together with [`MAX_SEARCHED`] it bounds the longest search.
const MAX_COMPILED: usize = 256 << 10;

/// What `regex` and its kin say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    pub regex: String,
    /// `regex_no_match`: a match is a failure.
    pub no_match: bool,
    /// `regex_options`.
    pub options: Options,
    /// `regex_min_offset`: the first byte that a match may begin at.
    pub min_offset: u32,
    /// `regex_max_offset`: the last one.
    pub max_offset: Option<u32>,
    #[serde(skip)]
    compiled: Compiled,
}

/// `regex_options`: those that have an effect here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    pub caseless: bool,
    pub dollar_endonly: bool,
    pub dotall: bool,
    pub extended: bool,
    pub firstline: bool,
    pub multiline: bool,
    pub ungreedy: bool,
    /// `utf` or `ucp`: characters instead of bytes, and Unicode's letters and digits.
    pub unicode: bool,
}

/// Made at the first search; all that came of one setting share it.
#[derive(Clone, Default)]
struct Compiled(Arc<OnceLock<Option<Search>>>);

/// It follows from the other fields.
impl PartialEq for Compiled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Compiled {}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

struct Search {
    regex: Regex,
    /// It has a `$`, which stands before a last newline too.
    dollar: bool,
}

impl Pattern {
    pub fn new(regex: String) -> Self {
        Self { regex, ..Self::default() }
    }

    /// Another regular expression, searched for in the same way.
    pub fn for_regex(&self, regex: String) -> Self {
        Self { regex, compiled: Compiled::default(), ..self.clone() }
    }

    /// Whether it can be searched for.
    ///
    /// # Errors
    /// Why not, in a sentence.
    pub fn check(&self) -> Result<(), String> {
        self.compile().map(drop)
    }

    /// Whether this body is as it should be. Of a body only the first [`MAX_SEARCHED`] bytes are looked at.
    pub fn accepts(&self, body: &[u8]) -> bool {
        self.found(body) != self.no_match
    }

    fn found(&self, body: &[u8]) -> bool {
        let search = self.compiled.0.get_or_init(|| self.compile().ok());
        // The reader refuses what can't be compiled; should one come by another way, nothing matches it.
        let Some(Search { regex, dollar }) = search else { return false };
        let body = body.get(..MAX_SEARCHED).unwrap_or(body);
        if self.found_in(regex, body) {
            return true;
        }
        match body {
            [line @ .., b'\n'] if *dollar && !self.options.dollar_endonly => self.found_in(regex, line),
            _ => false, // There is no last newline.
        }
    }

    /// The first match begins earliest of all, so it decides about the last offset.
    fn found_in(&self, regex: &Regex, body: &[u8]) -> bool {
        let from = usize::try_from(self.min_offset).unwrap_or(usize::MAX);
        if from > body.len() {
            return false;
        }
        let Some(found) = regex.find_at(body, from) else { return false };
        let in_range = self.max_offset.is_none_or(|last| usize::try_from(last).is_ok_and(|last| found.start() <= last));
        let line = body.get(from..found.start()).unwrap_or_default();
        in_range && !(self.options.firstline && line.contains(&b'\n'))
    }

    fn compile(&self) -> Result<Search, String> {
        let Options { caseless, dollar_endonly: _, dotall, extended, firstline: _, multiline, ungreedy, unicode } =
            self.options;
        let (text, dollar) = translate(&self.regex, extended)?;
        let regex = RegexBuilder::new(&text)
            .case_insensitive(caseless)
            .dot_matches_new_line(dotall)
            .ignore_whitespace(extended)
            .multi_line(multiline)
            .swap_greed(ungreedy)
            .unicode(unicode)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build()
            .map_err(|error| sentence(&error))?;
        Ok(Search { regex, dollar })
    }
}

/// The crate draws the place of a mistake; its last line says what is wrong.
fn sentence(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("it takes more than {limit} bytes of memory"),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

/// The pattern in the `regex` crate's spelling, and whether it has a `$`.
///
/// | PCRE2 | here |
/// |---|---|
/// | `\<`, `\>` | the characters; to the crate they are ends of words |
/// | `\Z` | also before a last newline |
/// | `\h`, `\R`, `\N`, `\e`, `\Q...\E` | spelled out |
/// | `{` that begins no count | the character |
/// | `[`, `&`, `~`, `-` and blanks within `[...]` | the characters; to the crate they may be operators |
///
/// # Errors
/// Possessive quantifiers: read otherwise they would match more.
fn translate(pattern: &str, extended: bool) -> Result<(String, bool), String> {
    let (mut text, mut dollar) = (String::with_capacity(pattern.len()), false);
    let (mut rest, mut quantified) = (pattern, false);
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        let was_quantified = std::mem::take(&mut quantified);
        rest = match c {
            '\\' => escape(tail, &mut text, false),
            '[' => class(tail, &mut text, extended),
            '$' => {
                dollar = true;
                text.push(c);
                tail
            }
            '{' if !is_count(tail) => {
                text.push_str("\\{");
                tail
            }
            '+' if was_quantified => return Err("possessive quantifiers (such as `a++`) are not supported".to_owned()),
            '*' | '+' | '?' | '{' => {
                let end = if c == '{' { tail.find('}').map_or(0, |end| end + 1) } else { 0 };
                let (count, tail) = tail.split_at_checked(end).unwrap_or((tail, ""));
                text.push(c);
                text.push_str(count);
                // `??` and its like are lazy.
                quantified = !was_quantified;
                tail
            }
            c => {
                text.push(c);
                tail
            }
        };
    }
    Ok((text, dollar))
}

/// `2}`, `2,}` or `2,3}`.
fn is_count(tail: &str) -> bool {
    let Some((count, _)) = tail.split_once('}') else { return false };
    let (least, most) = count.split_once(',').unwrap_or((count, ""));
    !least.is_empty() && [least, most].iter().all(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What stands behind a backslash. Returns the rest.
fn escape<'p>(tail: &'p str, text: &mut String, in_class: bool) -> &'p str {
    let Some(c) = tail.chars().next() else {
        text.push('\\');
        return "";
    };
    let rest = tail.get(c.len_utf8()..).unwrap_or_default();
    match (c, in_class) {
        ('<' | '>', _) => text.push(c),
        ('e', _) => text.push_str("\\x1b"),
        ('h', false) => text.push_str("[\\t ]"),
        ('h', true) => text.push_str("\\t\\x20"),
        ('H', false) => text.push_str("[^\\t ]"),
        ('N', false) => text.push_str("[^\\n]"),
        ('R', false) => text.push_str("(?:\\r\\n|[\\n\\x0b\\x0c\\r])"),
        ('Z', false) => text.push_str("(?:\\n?\\z)"),
        ('Q', _) => {
            let (quoted, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            text.push_str(&regex::escape(quoted));
            return rest;
        }
        ('E', _) => {}
        (c, _) => {
            text.push('\\');
            text.push(c);
        }
    }
    rest
}

/// What stands behind a `[`, to its end. Returns the rest.
fn class<'p>(tail: &'p str, text: &mut String, extended: bool) -> &'p str {
    text.push('[');
    let mut rest = tail;
    if let Some(inner) = rest.strip_prefix('^') {
        text.push('^');
        rest = inner;
    }
    if let Some(inner) = rest.strip_prefix(']') {
        text.push_str("\\]");
        rest = inner;
    }
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            ']' => {
                text.push(c);
                return tail;
            }
            '\\' => escape(tail, text, true),
            '[' => match tail.strip_prefix(':').and_then(|name| name.split_once(":]")) {
                Some((name, rest)) => {
                    text.push_str("[:");
                    text.push_str(name);
                    text.push_str(":]");
                    rest
                }
                None => {
                    text.push_str("\\[");
                    tail
                }
            },
            // `--` is a range from or to a `-`.
            '-' if tail.starts_with('-') && first => {
                text.push_str("\\-");
                tail
            }
            '-' if tail.starts_with('-') => {
                text.push_str("-\\-");
                tail.get(1..).unwrap_or_default()
            }
            '&' | '~' => {
                text.push('\\');
                text.push(c);
                tail
            }
            ' ' | '\t' | '\n' | '#' if extended => {
                text.push_str(&format!("\\x{:02x}", u32::from(c)));
                tail
            }
            c => {
                text.push(c);
                tail
            }
        };
        first = false;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(regex: &str, body: &str) -> bool {
        Pattern::new(regex.to_owned()).accepts(body.as_bytes())
    }

    fn with(regex: &str, body: &str, set: impl FnOnce(&mut Options)) -> bool {
        let mut pattern = Pattern::new(regex.to_owned());
        set(&mut pattern.options);
        pattern.accepts(body.as_bytes())
    }

    /// What PCRE2 says of the same.
    #[test]
    fn a_pattern_means_what_it_means_to_pcre2() {
        for (regex, body, matches) in [
            ("ok", "all ok here", true),
            ("^ok$", "ok\n", true),
            ("^ok$", "ok\n\n", false),
            ("^ok$", "not\nok", false),
            (r"ok\z", "ok\n", false),
            (r"ok\Z", "ok\n", true),
            (r"\<html\>", "<html>", true),
            (r"\<html\>", "html", false),
            ("a{,2}b", "a{,2}b", true),
            ("{x}", "a{x}", true),
            ("a{2}", "aa", true),
            ("[[a]", "[", true),
            ("[a&&b]", "&", true),
            ("[]x]", "]", true),
            ("[^]x]", "]x", false),
            ("[[:digit:]]+ up", "17 up", true),
            ("[--/]", ".", true),
            ("[+--]", ",", true),
            (r"a\hb", "a\tb", true),
            (r"\Qa.b\E+c", "a.bbc", true),
            (r"one\Rtwo", "one\r\ntwo", true),
            ("a.b", "a\nb", false),
            ("é", "café", true),
            ("a??b", "ab", true),
            (r"\d\w\s", "1x\u{b}", true),
        ] {
            assert_eq!(found(regex, body), matches, "{regex} in {body:?}");
        }
    }

    #[test]
    fn each_option_has_its_effect() {
        assert!(with("OK", "ok", |it| it.caseless = true) && !found("OK", "ok"));
        assert!(!with("ok$", "ok\n", |it| it.dollar_endonly = true));
        assert!(with("a.b", "a\nb", |it| it.dotall = true));
        assert!(with("o k # well [ ]", "ok", |it| it.extended = true));
        assert!(with("o[ #]k", "o k", |it| it.extended = true));
        assert!(with("^ok$", "not\nok\nnot", |it| it.multiline = true));
        assert!(!with("ok", "not\nok", |it| it.firstline = true) && with("ok", "ok\n", |it| it.firstline = true));
        assert!(with("^a.c$", "aéc", |it| it.unicode = true) && !found("^a.c$", "aéc"), "two bytes");
        assert!(with("^(?:a+)$", "aa", |it| it.ungreedy = true));
    }

    #[test]
    fn a_match_must_begin_between_the_offsets() {
        let at = |min_offset, max_offset| {
            Pattern { min_offset, max_offset, ..Pattern::new("ok".to_owned()) }.accepts(b"0123ok")
        };
        assert!(at(0, None) && at(4, None) && at(0, Some(4)) && at(4, Some(4)));
        assert!(!at(5, None) && !at(0, Some(3)) && !at(100, None));
    }

    #[test]
    fn no_match_turns_it_round_and_bytes_that_are_no_text_are_searched() {
        let pattern = Pattern { no_match: true, ..Pattern::new("error".to_owned()) };
        assert!(pattern.accepts(b"fine") && !pattern.accepts(b"an error"));
        assert!(Pattern::new("ok".to_owned()).accepts(b"\xff\x00ok"));
        let mut long = vec![b'x'; MAX_SEARCHED];
        long.extend(b"ok");
        assert!(!Pattern::new("ok".to_owned()).accepts(&long), "beyond what is searched");
    }

    #[test]
    fn what_it_does_not_know_is_said_so() {
        for (regex, says) in [
            ("(?=ok)", "look-around"),
            ("(?<!not )ok", "look-around"),
            (r"(a)\1", "backreferences"),
            ("a++", "possessive"),
            ("(?>a)", "unrecognized flag"),
            ("(ok", "unclosed group"),
            ("[ok", "unclosed character class"),
            ("(a{1000}){1000}", "bytes of memory"),
        ] {
            let error = Pattern::new(regex.to_owned()).check().unwrap_err();
            assert!(error.contains(says), "{regex}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_read_or_refused(regex in "[\\\\\\[\\](){}^$.*+?|&~<>QEhRZabc :#-]{0,30}", extended: bool) {
            let mut pattern = Pattern::new(regex);
            pattern.options.extended = extended;
            if pattern.check().is_ok() {
                pattern.accepts(b"abc\n");
            }
        }
    }
}
