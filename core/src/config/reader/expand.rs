//! `@ID`, `$NAME` and its kin: a line with every definition replaced.

use super::loops::take_line;
use super::{Piece, Reader, Text, definition, name_of};
use crate::config::line::{Line, Origin, is_blank};
use crate::text::{Diagnostic, Span, nearest_name};
use std::sync::Arc;

/// What each use of a definition counts at least, so that empty ones are bounded too.
const USE: usize = 32;

/// Undefined names that are compared with all defined ones.
const COMPARED: usize = 1000;

impl<'t> Reader<'_, 't> {
    /// Works through text that holds definitions, conditions or loops, line by line.
    pub(super) fn lines(&mut self, mut input: Vec<Piece<'t>>) {
        while !input.is_empty() && !self.exhausted {
            skip_blanks(&mut input);
            match input.last().map(Piece::rest) {
                None => return,
                Some(rest) if rest.starts_with('@') => {
                    if !self.condition(&mut input) {
                        skip_line(&mut input);
                        continue;
                    }
                }
                Some(_) => {}
            }
            skip_blanks(&mut input);
            if self.one_definition(&mut input) {
                continue;
            }
            let line = self.expand(&mut input);
            if let Some(line) = line {
                self.emit(line, None);
            }
        }
    }

    /// `@ID` or `@^ID` in front of a line: whether the line counts.
    fn condition(&mut self, input: &mut [Piece<'t>]) -> bool {
        let Some(piece) = input.last_mut() else { return false };
        let rest = piece.rest();
        let word = rest.split(is_blank).next().unwrap_or("");
        let length = word.len();
        let counts = self.counts(word);
        let nameless = matches!(word, "@" | "@^");
        let span = piece.span(piece.at, piece.at + length);
        piece.at += length;
        if nameless {
            self.report.push(
                Diagnostic::error("bad-condition", "`@` without a name")
                    .at(span, "this line counts for nobody")
                    .help("write `@NAME` for the lines of one director, `@^NAME` for those of all others"),
            );
        }
        counts && !nameless
    }

    /// A definition at the start of a line; true if there was one.
    fn one_definition(&mut self, input: &mut Vec<Piece<'t>>) -> bool {
        let Some(piece) = input.last() else { return false };
        let line = piece.rest().split('\n').next().unwrap_or("");
        let span = piece.span(piece.at, piece.at + line.len());
        if let Some((name, value)) = definition(line) {
            let (name, value) = (name.to_owned(), value.trim_matches(is_blank).to_owned());
            self.define(&name, value, span);
            skip_line(input);
            return true;
        }
        // `$NAME = value`: a use of NAME to keepalived, hardly what is meant.
        let name = line.strip_prefix('$').map(name_of).unwrap_or_default();
        let after = line.get(1 + name.len()..).unwrap_or("");
        if !name.is_empty()
            && !self.definitions.contains_key(name)
            && after.trim_start_matches(is_blank).starts_with('=')
        {
            self.report.push(
                Diagnostic::error("bad-definition", format!("a space between `${name}` and `=`"))
                    .at(span, "this defines nothing")
                    .help(format!("write `${name}=` without a space before the `=`")),
            );
            skip_line(input);
            return true;
        }
        false
    }

    /// One line with every definition replaced; none if a loop made lines of its own out of it.
    fn expand(&mut self, input: &mut Vec<Piece<'t>>) -> Option<Line> {
        let mut line = Line::default();
        while let Some(piece) = input.last_mut() {
            if piece.at >= piece.end {
                input.pop();
                continue;
            }
            let rest = piece.rest();
            let plain = rest.find(['$', '~', '\n']).unwrap_or(rest.len());
            if plain > 0 {
                line.push(rest.get(..plain).unwrap_or(""), piece.origin_at(piece.at));
                piece.at += plain;
                continue;
            }
            if rest.starts_with('\n') {
                piece.at += 1;
                return Some(line);
            }
            if rest.starts_with('~')
                && let Some(found) = self.find_loop(rest, piece.clone())
            {
                self.run_loop(found, line, input);
                return None;
            }
            if rest.starts_with('$') && self.replace(input, &line) {
                if self.exhausted {
                    return None;
                }
                continue;
            }
            if let Some(piece) = input.last_mut() {
                let length = piece.rest().chars().next().map_or(1, char::len_utf8);
                line.push(piece.rest().get(..length).unwrap_or(""), piece.origin_at(piece.at));
                piece.at += length;
            }
        }
        Some(line)
    }

    /// Puts the value in place of the `$NAME` or `${NAME}` that the text begins with; false if it stays as it is.
    fn replace(&mut self, input: &mut Vec<Piece>, line: &Line) -> bool {
        let Some(piece) = input.last_mut() else { return false };
        let rest = piece.rest();
        let (inside, length, braced) = match rest.strip_prefix("${") {
            Some(after) => match after.find(['}', '\n']) {
                Some(end) if after.as_bytes().get(end) == Some(&b'}') => {
                    (after.get(..end).unwrap_or(""), end + 3, true)
                }
                _ => return false,
            },
            None => {
                let name = name_of(rest.get(1..).unwrap_or(""));
                (name, name.len() + 1, false)
            }
        };
        if inside.is_empty() {
            return false;
        }
        let inside = inside.to_owned();
        let span = piece.span(piece.at, piece.at + length);
        let (origin, depth) = (Origin::Produced(span), piece.depth + 1);
        if let Some(value) = self.built_in(&inside, span) {
            if let Some(piece) = input.last_mut() {
                piece.at += length;
            }
            // Goes in behind the look for comments and definitions: `${_HASH}` is a plain `#`.
            let text: Arc<str> = Arc::from(value);
            if text.contains(['$', '~', '\n']) {
                return self.spend(text.len(), span);
            }
            input.push(Piece { at: 0, end: text.len(), text: Text::Made(text), origin, depth });
            return self.spend(USE, span);
        }
        let Some(value) = self.definitions.get(&inside).cloned() else {
            self.undefined(&inside, braced, span, line);
            return false;
        };
        if let Some(piece) = input.last_mut() {
            piece.at += length;
        }
        if depth > self.options.limits.depth {
            self.exhausted = true;
            self.report.push(
                Diagnostic::error(
                    "endless-definition",
                    format!("`${inside}` goes round in a circle or nests too deeply"),
                )
                .at(span, format!("still not done after {} definitions within each other", self.options.limits.depth))
                .note("nothing after this line is read")
                .help("look for a definition that uses itself"),
            );
            return true;
        }
        self.spend(value.len(), span);
        input.push(Piece { at: 0, end: value.len(), text: Text::Made(value), origin, depth });
        true
    }

    /// Takes what a use produces from the budget. Always true, for the caller's convenience.
    pub(super) fn spend(&mut self, bytes: usize, span: Span) -> bool {
        match self.budget.checked_sub(bytes.saturating_add(USE)) {
            Some(left) => self.budget = left,
            None if !self.exhausted => {
                self.exhausted = true;
                let most = self.options.limits.expanded_bytes >> 20;
                self.report.push(
                    Diagnostic::error("endless-definition", "definitions and loops produce too much text")
                        .at(span, format!("beyond {most} MiB here"))
                        .note("nothing after this line is read")
                        .help("look for definitions that double each other, or a loop with one digit too many"),
                );
            }
            None => {}
        }
        true
    }

    /// `${_PWD}` and its kin.
    fn built_in(&mut self, inside: &str, span: Span) -> Option<String> {
        let mut words = inside.split_ascii_whitespace();
        match words.next()? {
            "_PWD" => Some(self.folder().display().to_string()),
            "_INSTANCE" => Some(self.options.config_id.clone()),
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_ENV" => {
                let name = words.next().unwrap_or("");
                let value = self.options.environment.get(name).cloned();
                if value.is_none() {
                    self.report.push(
                        Diagnostic::error("no-environment", format!("there is no environment variable `{name}` here"))
                            .at(span, "nothing is put in its place"),
                    );
                }
                Some(value.unwrap_or_default())
            }
            "_RANDOM" => {
                let low = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                let high = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(32767).max(low);
                let count = (high - low).saturating_add(1);
                Some((low + self.next_random() % count).to_string())
            }
            _ => None,
        }
    }

    /// SplitMix64 on the seed: the same file and seed give the same configuration.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A name that nobody defined stays as text. Said where it is hardly meant: in braces, or close to a known name, and
    /// not in a command, whose `$` may be the shell's.
    fn undefined(&mut self, name: &str, braced: bool, span: Span, line: &Line) {
        let head = line.text.split_whitespace().next().unwrap_or("");
        let command = head == "script" || head.starts_with("notify") || head.starts_with("misc_");
        self.undefined += 1;
        if self.undefined > COMPARED {
            return;
        }
        let near = nearest_name(name, self.definitions.keys().map(String::as_str)).map(str::to_owned);
        if (!braced || command) && near.is_none() {
            return;
        }
        let mut diagnostic = Diagnostic::warning("undefined-name", format!("`${name}` is not defined"))
            .at(span, "stays as it is written");
        if let Some(near) = near {
            diagnostic = diagnostic.help(format!("`${near}` is defined: is that meant?"));
        } else {
            diagnostic = diagnostic.help(format!("define it above this line: `${name}=VALUE`"));
        }
        self.report.push(diagnostic);
    }
}

fn skip_blanks(input: &mut Vec<Piece<'_>>) {
    while let Some(piece) = input.last_mut() {
        let rest = piece.rest();
        let blanks = rest.len() - rest.trim_start_matches(is_blank).len();
        piece.at += blanks;
        if piece.at < piece.end {
            return;
        }
        input.pop();
    }
}

fn skip_line(input: &mut Vec<Piece<'_>>) {
    take_line(input, 0);
}
