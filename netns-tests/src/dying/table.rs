//! The matrix as a table, in Markdown.

use super::{Cell, Outcome};
use crate::Daemon;
use std::fmt::Write as _;
use std::time::Duration;

fn seconds(time: Option<Duration>) -> String {
    time.map_or("–".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
}

/// One line a way to die, vipward's cells beside those of keepalived that are there.
pub fn table(results: &[(Cell, Result<Outcome, String>)]) -> String {
    let mut text = String::from(
        "| who | how | as | VIP off | VIP on the peer | two owners | client without answer | keepalived: VIP off | VIP on \
         the peer | two owners | client without answer |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (cell, outcome) in results.iter().filter(|(cell, _)| cell.daemon == Daemon::Vipward) {
        let peer = Cell { daemon: Daemon::Keepalived, ..*cell };
        let beside = results.iter().find(|(other, _)| *other == peer).map(|(_, outcome)| outcome);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            cell.target,
            cell.fault,
            cell.role,
            columns(Some(outcome)),
            columns(beside)
        );
    }
    text
}

fn columns(outcome: Option<&Result<Outcome, String>>) -> String {
    match outcome {
        None => "| | | ".to_owned(),
        Some(Err(error)) => format!("{error} | | | "),
        Some(Ok(outcome)) => {
            let nobody = |time: Duration| if time.is_zero() { "–".to_owned() } else { seconds(Some(time)) };
            let client = format!("{} ({} of {})", nobody(outcome.outage), outcome.failed, outcome.asked);
            let owners = nobody(outcome.two_owners);
            format!("{} | {} | {owners} | {client}", seconds(outcome.off), seconds(outcome.on))
        }
    }
}
