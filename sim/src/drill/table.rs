//! The table of a drill, in groups: where it breaks, what the protocol costs, what nobody notices.

use super::words::seconds;
use super::{Drill, Noticed, Row};
use std::fmt::Write;
use std::time::Duration;

/// A table with all columns needs so many characters.
pub const WIDE: usize = 120;

/// And one that leaves out changes of roles and shortens the rest.
pub const NARROW: usize = 80;

struct Column {
    head: &'static str,
    /// Words are wrapped beyond that.
    widest: usize,
    right: bool,
    cell: fn(&Row) -> String,
}

const fn words(head: &'static str, widest: usize, cell: fn(&Row) -> String) -> Column {
    Column { head, widest, right: false, cell }
}

const fn number(head: &'static str, cell: fn(&Row) -> String) -> Column {
    Column { head, widest: 16, right: true, cell }
}

const ALL: &[Column] = &[
    words("fault", 31, |row| row.fault.clone()),
    words("who held the VIP", 23, |row| row.holders.clone()),
    number("changes", |row| row.role_changes.to_string()),
    number("outage", Row::outage_text),
    number("degraded", Row::degraded_text),
    number("failed", failed),
    number("broke", broke),
    number("2 owners", Row::two_owners_text),
];

const FEW: &[Column] = &[
    words("fault", 22, |row| row.fault.clone()),
    words("who held it", 15, |row| row.holders.clone()),
    number("outage", Row::outage_text),
    number("degr.", Row::degraded_text),
    number("failed", |row| share(row.failed, row.asked)),
    number("broke", broke),
    number("2 own.", Row::two_owners_text),
];

/// Between two columns.
const GAP: usize = 2;

impl Drill {
    /// `width`: what a line may have; 80 at least.
    pub(super) fn table(&self, color: bool, width: usize) -> String {
        let columns = if width >= WIDE { ALL } else { FEW };
        let widths: Vec<usize> = columns
            .iter()
            .map(|column| {
                let cells = self.rows.iter().map(|row| (column.cell)(row).chars().count());
                cells.chain([column.head.chars().count()]).max().unwrap_or(0).min(column.widest)
            })
            .collect();
        let mut text = String::new();
        let heads: Vec<String> = columns.iter().map(|column| column.head.to_owned()).collect();
        line(&mut text, " ", columns, &heads, &widths, None);
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        line(&mut text, " ", columns, &rule, &widths, None);
        for (noticed, title, mark) in [
            (Noticed::Beyond, "Where it breaks:", "✗"),
            (Noticed::ByProtocol, "What the protocol and these files cost:", "·"),
            (Noticed::Nothing, "What nobody notices:", " "),
        ] {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.noticed() == noticed).collect();
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{title}");
            for row in rows {
                let cells: Vec<String> = columns.iter().map(|column| (column.cell)(row)).collect();
                let red = (color && noticed == Noticed::Beyond).then_some("\x1b[31m");
                line(&mut text, mark, columns, &cells, &widths, red);
                for reason in row.reasons().into_iter().chain(row.remark().map(str::to_owned)) {
                    for part in wrapped(&reason, width.saturating_sub(6)) {
                        let _ = writeln!(text, "      {part}");
                    }
                }
            }
        }
        text
    }
}

/// One row, on as many lines as its longest cell needs.
fn line(text: &mut String, mark: &str, columns: &[Column], cells: &[String], widths: &[usize], color: Option<&str>) {
    let parts: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| wrapped(cell, *width)).collect();
    let height = parts.iter().map(Vec::len).max().unwrap_or(0);
    for at in 0..height {
        let mut line = if at == 0 { format!("{mark} ") } else { "  ".to_owned() };
        for ((column, part), width) in columns.iter().zip(&parts).zip(widths) {
            let part = part.get(at).map_or("", String::as_str);
            let pad = " ".repeat(width.saturating_sub(part.chars().count()));
            // Numbers stand under each other by their last digit.
            let _ = if column.right { write!(line, "{pad}{part}") } else { write!(line, "{part}{pad}") };
            line.push_str(&" ".repeat(GAP));
        }
        match color {
            Some(color) => drop(writeln!(text, "{color}{}\x1b[0m", line.trim_end())),
            None => drop(writeln!(text, "{}", line.trim_end())),
        }
    }
}

/// Broken between words where that goes, and within one where it does not.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let plain = textwrap::Options::new(width.max(1)).word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, plain.word_separator(textwrap::WordSeparator::AsciiSpace));
    lines.into_iter().map(|line| line.into_owned()).collect()
}

/// Seconds to the tenth; `–` for less.
pub(super) fn some(duration: Duration) -> String {
    let tenths =
        Duration::from_millis(u64::try_from(duration.as_millis() / 100).unwrap_or(u64::MAX).saturating_mul(100));
    if tenths.is_zero() { "–".to_owned() } else { seconds(tenths) }
}

fn failed(row: &Row) -> String {
    match row.failed {
        0 => format!("0 of {}", row.asked),
        failed => format!("{failed} of {} {:>4}", row.asked, share(failed, row.asked)),
    }
}

/// Kept connections.
fn broke(row: &Row) -> String {
    match row.breaks {
        0 => "–".to_owned(),
        breaks => format!("{breaks}/{}", row.kept),
    }
}

/// `12 %`; what is there is never shown as nothing, nor what is left as all.
fn share(part: u64, whole: u64) -> String {
    match (part * 100).checked_div(whole) {
        None | Some(0) if part == 0 => "–".to_owned(),
        None | Some(0) => "< 1 %".to_owned(),
        Some(percent) => format!("{percent} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped_and_long_ones_are_broken() {
        assert_eq!(wrapped("lb1 → lb2 → lb1", 9), ["lb1 → lb2", "→ lb1"]);
        assert_eq!(wrapped("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn shares_are_never_rounded_to_nothing() {
        assert_eq!([share(0, 10), share(1, 1000), share(5, 10), share(0, 0)], ["–", "< 1 %", "50 %", "–"]);
    }
}
