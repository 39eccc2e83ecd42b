//! A drill as people read it: what is wrong, what was assumed, and the table.

use super::words::{count, list, seconds};
use super::{Drill, Row, Verdict};
use crate::timeline;
use std::fmt::Write;
use vipward_core::text::{Severity, render};

const HEADS: [&str; 6] = ["fault", "who held the VIP", "role changes", "longest outage", "failed requests", "broken"];

/// A column is never wider, but for the last.
const WIDEST: usize = 48;

impl Drill {
    /// The whole report. `color`: for a terminal.
    pub fn text(&self, color: bool) -> String {
        let mut text = String::new();
        // Advice that needs no action would hide what does.
        let loud: Vec<_> = self.findings.iter().filter(|finding| finding.severity > Severity::Info).cloned().collect();
        text.push_str(&render(&self.sources, &loud, color));
        if self.rows.is_empty() {
            let _ = writeln!(text, "these files can't be drilled");
            return text;
        }
        if !self.assumptions.is_empty() {
            text.push_str("What the files do not say, and was assumed:\n");
            for assumption in &self.assumptions {
                let _ = writeln!(text, "  {assumption}");
            }
            text.push('\n');
        }
        text.push_str(&self.table(color));
        text.push('\n');
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    /// What happened in each case, in the order of time.
    pub fn timelines(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let _ = writeln!(text, "{} (seed {})\n\n{}", row.fault, row.run.seed, timeline::render(&row.run));
        }
        text
    }

    fn table(&self, color: bool) -> String {
        let rows: Vec<[String; 6]> = self.rows.iter().map(cells).collect();
        let mut widths = HEADS.map(|head| head.chars().count());
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count().min(WIDEST));
            }
        }
        let mut text = String::new();
        line(&mut text, &HEADS.map(str::to_owned), &widths, None);
        let rule = widths.map(|width| "─".repeat(width));
        line(&mut text, &rule, &widths, None);
        for (cells, row) in rows.iter().zip(&self.rows) {
            line(&mut text, cells, &widths, (color && !row.held()).then_some("\x1b[31m"));
        }
        text
    }

    /// One line: the verdict.
    pub fn summary(&self) -> String {
        let cases = count(self.rows.len(), "case");
        let worst = self
            .rows
            .iter()
            .filter_map(|row| Some((row.outage.as_ref()?, row)))
            .max_by_key(|(outage, _)| outage.lasted);
        let worst = worst.map_or_else(
            || "; no client saw an outage".to_owned(),
            |(outage, row)| format!("; the longest client outage was {} ({})", seconds(outage.lasted), row.fault),
        );
        match self.verdict() {
            Verdict::Held => format!("{cases}, no invariant broke{worst}"),
            Verdict::Broke => {
                let broke = self.rows.iter().filter(|row| !row.held()).count();
                format!("{cases}, invariants broke in {broke}{worst}")
            }
            Verdict::Impossible => "these files can't be drilled".to_owned(),
        }
    }
}

fn line(text: &mut String, cells: &[String; 6], widths: &[usize; 6], color: Option<&str>) {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
        // Numbers stand under each other by their last digit.
        let _ = if (2..=4).contains(&at) { write!(line, "{pad}{cell}  ") } else { write!(line, "{cell}{pad}  ") };
    }
    match color {
        Some(color) => drop(writeln!(text, "{color}{}\x1b[0m", line.trim_end())),
        None => drop(writeln!(text, "{}", line.trim_end())),
    }
}

fn cells(row: &Row) -> [String; 6] {
    [
        row.fault.clone(),
        row.holders.clone(),
        row.role_changes.to_string(),
        row.outage_text(),
        format!("{} of {}", row.failed, row.asked),
        list(&row.broken),
    ]
}

impl Row {
    /// `3.6 s`, `–` for none, `> 8 s` for one that did not end.
    pub(crate) fn outage_text(&self) -> String {
        match &self.outage {
            None => "–".to_owned(),
            Some(outage) if outage.over => seconds(outage.lasted),
            Some(outage) => format!("> {}", seconds(outage.lasted)),
        }
    }
}
