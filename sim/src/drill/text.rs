//! A drill as people read it: what is wrong, what was assumed, and the table.

use super::table::some;
use super::words::{count, seconds};
use super::{Drill, Ending, Noticed, Row};
use crate::timeline;
use std::fmt::Write;
use vipward_core::text::{Severity, render};

impl Drill {
    /// The whole report. `color`: for a terminal; `width`: how many characters a line of the table may have.
    pub fn text(&self, color: bool, width: usize) -> String {
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
        text.push_str(&self.table(color, width));
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

    /// The verdict in a sentence or two.
    pub fn summary(&self) -> String {
        if self.rows.is_empty() {
            return "these files can't be drilled".to_owned();
        }
        let of = |noticed| self.rows.iter().filter(|row| row.noticed() == noticed).count();
        let (breaks, costs) = (of(Noticed::Beyond), of(Noticed::ByProtocol));
        let mut text = match breaks {
            0 => format!("{}, nothing breaks", count(self.rows.len(), "case")),
            breaks => format!("{}, and it breaks in {breaks}", count(self.rows.len(), "case")),
        };
        if costs > 0 {
            let _ = write!(text, "; in {costs} clients or neighbours notice what the protocol and these files cost");
        }
        let outages = self.rows.iter().filter_map(|row| Some((row.outage.as_ref()?.lasted, row)));
        match outages.max_by_key(|(lasted, _)| *lasted) {
            None => text.push_str("; no client saw an outage"),
            Some((_, row)) => {
                let _ = write!(text, "; the longest client outage was {} ({})", row.outage_text(), row.fault);
            }
        }
        if let Some(row) =
            self.rows.iter().filter(|row| row.noticed() > Noticed::Nothing).max_by_key(|row| row.two_owners)
            && row.two_owners >= std::time::Duration::from_secs(1)
        {
            let _ = write!(text, "; two owners for {} ({})", some(row.two_owners), row.fault);
        }
        if self.ending() == Ending::Refused {
            text.push_str("\nNot as they stand: `vipward run` refuses these files, for the errors above");
        }
        text
    }
}

impl Row {
    /// Seconds, `–` for none.
    pub(crate) fn degraded_text(&self) -> String {
        some(self.degraded)
    }

    /// Seconds, `–` for none.
    pub(crate) fn two_owners_text(&self) -> String {
        some(self.two_owners)
    }

    /// `3.6 s`, `–` for none, `> 8 s` for one that did not end.
    pub(crate) fn outage_text(&self) -> String {
        match &self.outage {
            None => "–".to_owned(),
            Some(outage) if outage.over => seconds(outage.lasted),
            Some(outage) => format!("> {}", seconds(outage.lasted)),
        }
    }
}
