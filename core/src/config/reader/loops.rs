//! `~SEQ`, `~SEQx` and `~LST`: the rest of a line, once for each value.

use super::{Piece, Reader, Text, name_of};
use crate::config::line::{Line, Origin};
use crate::text::Diagnostic;
use crate::text::Span;
use std::sync::Arc;

impl<'t> Reader<'_, 't> {
    pub(super) fn find_loop(&mut self, rest: &str, piece: Piece<'_>) -> Option<Loop> {
        let (kind, after) = [("~SEQx", LoopKind::Hex), ("~SEQ", LoopKind::Decimal), ("~LST", LoopKind::List)]
            .into_iter()
            .find_map(|(word, kind)| Some((kind, rest.strip_prefix(word)?)))?;
        let open = after.trim_start_matches([' ', '\t']);
        let inside = open.strip_prefix('(')?;
        let end = closing(inside)?;
        let skipped = rest.len() - inside.len();
        let length = skipped + end + 1;
        let span = piece.span(piece.at, piece.at + length);
        let arguments = inside.get(..end).unwrap_or("").to_owned();
        Some(Loop { kind, arguments, length, span })
    }

    /// Repeats the rest of the line, with what stands before the loop, for each value.
    pub(super) fn run_loop(&mut self, found: Loop, before: Line, input: &mut Vec<Piece<'t>>) {
        if let Some(piece) = input.last_mut() {
            piece.at += found.length;
        }
        let depth = input.iter().map(|piece| piece.depth).max().unwrap_or(0) + 1;
        let rest = take_line(input, depth);
        let arguments = self.plain(&found.arguments, found.span);
        let rounds = match rounds(found.kind, &arguments) {
            Ok(rounds) => rounds,
            Err(why) => {
                let help = match found.kind {
                    LoopKind::List => "write `~LST(NAME, VALUE, VALUE...) ...`, or `~LST({A, B}, {1, 2}, {3, 4}) ...`",
                    LoopKind::Decimal | LoopKind::Hex => {
                        "write `~SEQ(NAME, START, STEP, END) ...`; START and STEP may be left out"
                    }
                };
                self.report.push(
                    Diagnostic::error("bad-loop", format!("this loop can't run: {why}")).at(found.span, "").help(help),
                );
                return;
            }
        };
        if depth > self.options.limits.depth {
            self.exhausted = true;
            let message = "loops nest too deeply";
            self.report
                .push(Diagnostic::error("endless-definition", message).at(found.span, "nothing after it is read"));
            return;
        }
        if let Some(name) = rounds.names.iter().find(|name| self.definitions.contains_key(*name)) {
            let message = format!("`${name}` is defined already, a loop needs a name of its own");
            self.report.push(Diagnostic::error("bad-loop", message).at(found.span, ""));
            return;
        }
        let length = before.text.len() + rest.iter().map(|piece| piece.rest().len()).sum::<usize>();
        let mut index = 0;
        while let Some(values) = rounds.values(index) {
            self.spend(length, found.span);
            if self.exhausted {
                break;
            }
            for (name, value) in rounds.names.iter().zip(values) {
                self.definitions.insert(name.clone(), Arc::from(value));
            }
            let mut round = rest.clone();
            if !before.text.trim().is_empty() {
                let text: Arc<str> = Arc::from(before.text.as_str());
                let origin = Origin::Produced(found.span);
                round.push(Piece { at: 0, end: text.len(), text: Text::Made(text), origin, depth });
            }
            self.lines(round);
            index += 1;
        }
        for name in &rounds.names {
            self.definitions.remove(name);
        }
    }

    /// A loop's arguments with simple definitions replaced.
    fn plain(&mut self, text: &str, span: Span) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(rest.get(..at).unwrap_or(""));
            let after = rest.get(at + 1..).unwrap_or("");
            let (name, length) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
                Some((name, _)) => (name, name.len() + 2),
                None => (name_of(after), name_of(after).len()),
            };
            match self.definitions.get(name) {
                Some(value) if self.budget > value.len() => {
                    out.push_str(value);
                    let spent = value.len();
                    self.spend(spent, span);
                }
                _ => out.push_str(rest.get(at..at + 1 + length).unwrap_or("")),
            }
            rest = after.get(length..).unwrap_or("");
        }
        out + rest
    }
}

/// Cuts the rest of the line off.
pub(super) fn take_line<'t>(input: &mut Vec<Piece<'t>>, depth: usize) -> Vec<Piece<'t>> {
    let mut taken = Vec::new();
    while let Some(piece) = input.last_mut() {
        match piece.rest().find('\n') {
            Some(at) => {
                taken.push(Piece { end: piece.at + at, depth, ..piece.clone() });
                piece.at += at + 1;
                break;
            }
            None => {
                taken.push(Piece { depth, ..piece.clone() });
                input.pop();
            }
        }
    }
    taken.reverse();
    taken
}

#[derive(Clone, Debug)]
pub(super) struct Loop {
    kind: LoopKind,
    arguments: String,
    /// From `~` to the closing parenthesis.
    length: usize,
    span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoopKind {
    Decimal,
    Hex,
    List,
}

/// What a loop runs over.
#[derive(Debug)]
struct Rounds {
    names: Vec<String>,
    over: Over,
}

#[derive(Debug)]
enum Over {
    Numbers { start: i64, step: i64, count: u64, hex: bool },
    Values(Vec<Vec<String>>),
}

impl Rounds {
    fn values(&self, index: u64) -> Option<Vec<String>> {
        match &self.over {
            Over::Numbers { start, step, count, hex } => {
                let offset = i64::try_from(index).ok().filter(|_| index < *count)?;
                let value = step.checked_mul(offset)?.checked_add(*start)?;
                Some(vec![if *hex { format!("{value:x}") } else { value.to_string() }])
            }
            Over::Values(values) => values.get(usize::try_from(index).ok()?).cloned(),
        }
    }
}

fn rounds(kind: LoopKind, arguments: &str) -> Result<Rounds, String> {
    let parts = list(arguments);
    let [first, rest @ ..] = parts.as_slice() else { return Err("it names nothing".to_owned()) };
    if kind == LoopKind::List {
        let names: Vec<String> = group(first);
        let values: Vec<Vec<String>> = rest.iter().map(|part| group(part)).collect();
        check_names(&names)?;
        if let Some(odd) = values.iter().find(|values| values.len() != names.len()) {
            return Err(format!("{} values for {} names", odd.len(), names.len()));
        }
        return Ok(Rounds { names, over: Over::Values(values) });
    }
    let names = vec![first.clone()];
    check_names(&names)?;
    let mut numbers = Vec::new();
    for part in rest {
        numbers.push(part.parse::<i64>().map_err(|_| format!("`{part}` is no number"))?);
    }
    let (start, step, end) = match *numbers.as_slice() {
        [end] => (if end < 0 { -1 } else { 1 }, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return Err("it needs one to three numbers".to_owned()),
    };
    let step = step.unwrap_or(if end < start { -1 } else { 1 });
    if step == 0 {
        return Err("its step is 0".to_owned());
    }
    let distance = if step > 0 { end.checked_sub(start) } else { start.checked_sub(end) };
    let distance = distance.ok_or("its numbers are too large")?;
    let count = match u64::try_from(distance) {
        Ok(distance) => (distance / step.unsigned_abs()).saturating_add(1),
        Err(_) => 0,
    };
    Ok(Rounds { names, over: Over::Numbers { start, step, count, hex: kind == LoopKind::Hex } })
}

fn check_names(names: &[String]) -> Result<(), String> {
    match names.iter().find(|name| name.is_empty() || name_of(name).len() != name.len()) {
        Some(bad) => Err(format!("`{bad}` is no name")),
        None => Ok(()),
    }
}

/// Splits at commas outside braces.
fn list(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// `{A, B}` or `A`.
fn group(text: &str) -> Vec<String> {
    match text.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')) {
        Some(inside) => list(inside),
        None => vec![text.to_owned()],
    }
}

/// The offset of the parenthesis that closes, on the same line.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            '\n' => return None,
            _ => {}
        }
    }
    None
}
