//! A drill for machines.

use super::{Drill, Ending, Noticed, Row};
use serde::Serialize;
use vipward_core::text::{Diagnostic, Severity, Sources};
use vipward_core::time::Duration;

/// See [`Drill::json`].
#[derive(Debug, Serialize)]
pub struct Json<'a> {
    directors: Vec<&'a str>,
    /// `held`, `broke`, `refused` or `impossible`.
    verdict: &'static str,
    simulated_ms: u64,
    assumptions: &'a [String],
    findings: Vec<Finding<'a>>,
    cases: Vec<JsonCase<'a>>,
}

/// A message about lines of files.
#[derive(Debug, Serialize)]
pub struct Finding<'a> {
    severity: Severity,
    code: &'a str,
    message: &'a str,
    places: Vec<Place<'a>>,
    notes: &'a [String],
    help: &'a [String],
}

/// A line of a file; both count from 1.
#[derive(Debug, Serialize)]
pub struct Place<'a> {
    file: String,
    line: u32,
    column: u32,
    text: &'a str,
    primary: bool,
}

#[derive(Debug, Serialize)]
struct JsonCase<'a> {
    fault: &'a str,
    at_ms: u64,
    seed: u64,
    held_by: &'a str,
    role_changes: usize,
    /// None: no client saw one.
    longest_outage_ms: Option<u64>,
    outage_over: bool,
    outage_cause: Option<&'a str>,
    /// The longest time in which requests failed, some or all.
    degraded_ms: u64,
    unserved_at_end: bool,
    two_owners_ms: u64,
    /// `nothing`, `by_protocol` or `beyond`.
    noticed: &'static str,
    /// Why it is beyond what the protocol must cost.
    reasons: Vec<String>,
    failed: u64,
    asked: u64,
    /// Connections that clients kept open, and how many of them broke.
    kept_connections: usize,
    broken_connections: usize,
    broken: Vec<Broken<'a>>,
    /// A service of the holder fails, clients are not served, and nobody takes over: in words. None: otherwise.
    nobody_takes_over: Option<&'a str>,
    /// Nobody had an address because the quorum service could not be asked: in words. None: otherwise.
    no_quorum: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Broken<'a> {
    invariant: &'a str,
    at_ms: u64,
    text: &'a str,
}

impl<'a> Finding<'a> {
    pub fn new(sources: &Sources, finding: &'a Diagnostic) -> Self {
        let place = |label: &'a vipward_core::text::Label| {
            let at = sources.location(label.span);
            Place { file: at.file, line: at.line, column: at.column, text: &label.text, primary: label.primary }
        };
        Self {
            severity: finding.severity,
            code: finding.code,
            message: &finding.message,
            places: finding.labels.iter().map(place).collect(),
            notes: &finding.notes,
            help: &finding.help,
        }
    }
}

impl Drill {
    /// One object: everything that the table and the messages say.
    pub fn json(&self) -> Json<'_> {
        Json {
            directors: self.directors.iter().map(|name| &**name).collect(),
            verdict: match self.ending() {
                Ending::Held => "held",
                Ending::Broke => "broke",
                Ending::Refused => "refused",
                Ending::Impossible => "impossible",
            },
            simulated_ms: millis(self.simulated),
            assumptions: &self.assumptions,
            findings: self.findings.iter().map(|finding| Finding::new(&self.sources, finding)).collect(),
            cases: self.rows.iter().map(case).collect(),
        }
    }
}

fn case(row: &Row) -> JsonCase<'_> {
    let broken = row.run.violations.iter().map(|violation| Broken {
        invariant: violation.invariant,
        at_ms: millis(violation.at.since_origin()),
        text: &violation.text,
    });
    JsonCase {
        fault: &row.fault,
        at_ms: millis(row.at.since_origin()),
        seed: row.run.seed,
        held_by: &row.holders,
        role_changes: row.role_changes,
        longest_outage_ms: row.outage.as_ref().map(|outage| millis(outage.lasted)),
        outage_over: row.outage.as_ref().is_none_or(|outage| outage.over),
        outage_cause: row.outage.as_ref().map(|outage| outage.cause.as_str()),
        degraded_ms: millis(row.degraded),
        unserved_at_end: row.unserved,
        two_owners_ms: millis(row.two_owners),
        noticed: match row.noticed() {
            Noticed::Nothing => "nothing",
            Noticed::ByProtocol => "by_protocol",
            Noticed::Beyond => "beyond",
        },
        reasons: row.reasons(),
        failed: row.failed,
        asked: row.asked,
        kept_connections: row.kept,
        broken_connections: row.breaks,
        broken: broken.collect(),
        nobody_takes_over: row.nobody_takes_over.as_deref(),
        no_quorum: row.no_quorum.as_deref(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
