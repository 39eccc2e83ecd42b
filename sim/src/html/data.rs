//! What the page knows.

use super::lanes::{Lane, duration_millis, lanes, millis};
use super::places;
use crate::drill::{Drill, Ending, Row};
use crate::report::Report;
use crate::runner::Run;
use crate::timeline::{self, ports};
use crate::trace::What;
use serde::Serialize;
use vipward_core::decision;
use vipward_core::text::{Diagnostic, Severity, Sources, Span};

/// See the module.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    /// Everything held.
    held: bool,
    verdict: String,
    assumptions: Vec<String>,
    /// What a sweep went through.
    covered: Vec<String>,
    findings: Vec<Finding>,
    files: Vec<File>,
    runs: Vec<RunData>,
}

#[derive(Debug, Serialize)]
struct File {
    name: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    code: &'static str,
    message: String,
    places: Vec<Place>,
    notes: Vec<String>,
    help: Vec<String>,
}

/// A line of a file of the page, counted from 1.
#[derive(Debug, Serialize)]
struct Place {
    file: u32,
    line: u32,
    text: String,
}

#[derive(Debug, Serialize)]
struct RunData {
    title: String,
    held: bool,
    /// The first of its files, and the first that is no more.
    files: (u32, u32),
    /// None where nothing was drawn.
    seed: Option<u64>,
    end: u64,
    /// When the fault struck; the chart opens around it.
    fault: Option<u64>,
    /// What a table says of it.
    cells: Vec<(&'static str, String)>,
    failures: Vec<String>,
    lanes: Vec<Lane>,
    events: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct Event {
    at: u64,
    node: Option<String>,
    /// A class of the style sheet.
    kind: &'static str,
    text: String,
    place: Option<Place>,
}

impl Page {
    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn of_runs(reports: &[(&Report, &Sources)]) -> Self {
        if let [(report, _)] = reports {
            let scenario = &report.run.scenario;
            let verdict = if report.held() { "everything held" } else { "something did not hold" };
            return Self::of(format!("{}: {}", scenario.name, scenario.title), verdict.to_owned(), reports, |_| {
                Vec::new()
            });
        }
        let held = reports.iter().filter(|(report, _)| report.held()).count();
        let verdict = format!("{held} of {} held", reports.len());
        Self::of(format!("{} scenarios", reports.len()), verdict, reports, |report| {
            vec![
                ("scenario", report.run.scenario.name.clone()),
                ("what", report.run.scenario.title.clone()),
                ("held", if report.held() { "yes".to_owned() } else { "no".to_owned() }),
            ]
        })
    }

    pub fn of_sweep(swept: &str, covered: &[String], failures: &[(Report, Sources)]) -> Self {
        let verdict = match failures.len() {
            0 => "nothing broke".to_owned(),
            1 => "1 seed broke an invariant".to_owned(),
            count => format!("{count} seeds broke an invariant"),
        };
        let reports: Vec<_> = failures.iter().map(|(report, sources)| (report, sources)).collect();
        let page = Self::of(format!("Explored: {swept}"), verdict, &reports, |report| {
            let first = report.run.violations.first();
            vec![
                ("seed", report.run.seed.to_string()),
                ("faults", report.run.scenario.steps.len().to_string()),
                ("broken", first.map(|it| it.invariant.to_owned()).unwrap_or_default()),
                ("what", first.map(|it| it.text.clone()).unwrap_or_default()),
            ]
        });
        Self { covered: covered.to_vec(), ..page }
    }

    pub fn of_replay(report: &Report, sources: &Sources) -> Self {
        let verdict = if report.held() { "every effect is the one recorded" } else { "not all is as recorded" };
        let title = report.run.scenario.name.clone();
        let mut page = Self::of(title, verdict.to_owned(), &[(report, sources)], |_| Vec::new());
        page.runs.iter_mut().for_each(|run| run.seed = None);
        page
    }

    fn of(
        title: String,
        verdict: String,
        reports: &[(&Report, &Sources)],
        cells: impl Fn(&Report) -> Vec<(&'static str, String)>,
    ) -> Self {
        let (mut all_files, mut runs, mut findings) = (Vec::new(), Vec::new(), Vec::new());
        for (report, sources) in reports {
            let first = u32::try_from(all_files.len()).unwrap_or(u32::MAX);
            all_files.extend(files(sources));
            findings.extend(report.failures.iter().map(|finding| Finding::new(finding, sources, first)));
            runs.push(RunData::new(&report.run, sources, first, &report.failures, cells(report)));
        }
        Self {
            title,
            held: reports.iter().all(|(report, _)| report.held()),
            verdict,
            assumptions: Vec::new(),
            covered: Vec::new(),
            findings,
            files: all_files,
            runs,
        }
    }

    pub fn of_drill(drill: &Drill) -> Self {
        let names: Vec<&str> = drill.directors.iter().map(|name| &**name).collect();
        let sources = &drill.sources;
        let loud = drill.findings.iter().filter(|finding| finding.severity > Severity::Info);
        Self {
            title: format!("Fire drill of {}", crate::drill::words::list(&names)),
            held: drill.ending() == Ending::Held,
            verdict: drill.summary(),
            assumptions: drill.assumptions.clone(),
            covered: Vec::new(),
            findings: loud.map(|finding| Finding::new(finding, sources, 0)).collect(),
            files: files(sources),
            runs: drill.rows.iter().map(|row| RunData::of_row(row, sources)).collect(),
        }
    }
}

impl RunData {
    /// `first`: where this run's files begin among those of the page.
    fn new(
        run: &Run,
        sources: &Sources,
        first: u32,
        failures: &[Diagnostic],
        cells: Vec<(&'static str, String)>,
    ) -> Self {
        let events = run.trace.iter().filter_map(|entry| {
            let kind = kind(&entry.what)?;
            let (word, text) = timeline::sentence(entry);
            Some(Event {
                at: millis(entry.at),
                node: entry.node.map(|id| run.scenario.node(id).name.to_string()),
                kind,
                text: sentence(&entry.what, &word, text),
                place: places::of(run, entry).map(|span| Place::new(sources, span, first, String::new())),
            })
        });
        Self {
            title: run.scenario.title.clone(),
            held: failures.is_empty(),
            files: (first, first.saturating_add(u32::try_from(sources.ids().count()).unwrap_or(u32::MAX))),
            seed: Some(run.seed),
            end: duration_millis(run.scenario.duration),
            fault: None,
            cells,
            failures: failures.iter().map(|failure| failure.message.clone()).collect(),
            lanes: lanes(run),
            events: events.collect(),
        }
    }

    fn of_row(row: &Row, sources: &Sources) -> Self {
        let cells = vec![
            ("fault", row.fault.clone()),
            ("who held the VIP", row.holders.clone()),
            ("role changes", row.role_changes.to_string()),
            ("longest outage", row.outage_text()),
            ("degraded", row.degraded_text()),
            ("failed requests", format!("{} of {}", row.failed, row.asked)),
            ("kept connections that broke", format!("{} of {}", row.breaks, row.kept)),
            ("two owners", row.two_owners_text()),
            ("why it breaks", row.reasons().join("; ")),
            ("why nobody has the address", row.remark().unwrap_or_default().to_owned()),
        ];
        let failures =
            row.run.violations.iter().map(|violation| format!("{}: {}", violation.invariant, violation.text));
        Self {
            fault: Some(millis(row.at)),
            held: row.held(),
            failures: failures.collect(),
            ..Self::new(&row.run, sources, 0, &[], cells)
        }
    }
}

/// What is listed, and how it looks; adverts, announcements and requests are drawn only.
fn kind(what: &What) -> Option<&'static str> {
    match what {
        // What a record shows of the others is nothing that was done.
        What::Step { word: "hears" | "end", .. } => Some("note"),
        What::Step { .. } => Some("step"),
        What::Decided(decision) => Some(loudness(decision.level())),
        What::Supervisor(saying) => Some(loudness(saying.level())),
        What::Violated { .. } => Some("violated"),
        What::TroubleBegan { .. } | What::ConnectionBroke { .. } => Some("trouble"),
        What::AddressAdded(_)
        | What::AddressRemoved(_)
        | What::AddressExpired(_)
        | What::RouteAdded(_)
        | What::RouteRemoved(_)
        | What::RuleAdded(_)
        | What::RuleRemoved(_)
        | What::Ipvs(_)
        | What::SetIpvs(_) => Some("kernel"),
        What::Started
        | What::TakenUp
        | What::Found { .. }
        | What::Stopped
        | What::TroubleEnded { .. }
        | What::ConnectedAgain { .. }
        | What::Notified { .. }
        | What::WroteLine { .. }
        | What::Mailed { .. }
        | What::Delivered { .. }
        | What::ServerUp { .. }
        | What::ServerDown { .. } => Some("note"),
        What::BufferFull => Some("warning"),
        What::Ended { .. } | What::KernelForgot | What::Advert { .. } | What::Announced { .. } => None,
    }
}

fn loudness(level: decision::LogLevel) -> &'static str {
    match level {
        decision::LogLevel::Info => "decision",
        decision::LogLevel::Warning => "warning",
        decision::LogLevel::Error => "error",
    }
}

/// What the bare text does not say by itself.
fn sentence(what: &What, word: &str, text: String) -> String {
    match what {
        What::Step { .. } => format!("{word}: {text}"),
        What::Started => "daemon started".to_owned(),
        What::TakenUp => "a new process goes on".to_owned(),
        What::Stopped => "daemon ended in order".to_owned(),
        What::AddressAdded(_) => format!("took {text}"),
        What::AddressRemoved(_) => format!("gave up {text}"),
        What::AddressExpired(_) => format!("the kernel takes {text} off: its lifetime is over"),
        What::RouteAdded(_) => format!("put the route {text} in"),
        What::RouteRemoved(_) => format!("took the route {text} out"),
        What::RuleAdded(_) => format!("put the rule {text} in"),
        What::RuleRemoved(_) => format!("took the rule {text} out"),
        What::Ipvs(_) | What::SetIpvs(_) => format!("IPVS: {text}"),
        What::Notified { .. } => format!("runs {text}"),
        What::WroteLine { .. } => format!("writes into {text}"),
        What::Mailed { .. } => format!("wants a mail sent: {text}"),
        What::Delivered { .. } => format!("delivers the mail {text}"),
        What::BufferFull => "socket buffer is full: adverts are lost".to_owned(),
        What::ServerUp { port } => ports(*port, "open"),
        What::ServerDown { port } => ports(*port, "closed"),
        What::TroubleBegan { .. } => format!("requests fail: {text}"),
        What::TroubleEnded { .. } => format!("served again after {text}"),
        What::ConnectionBroke { .. } => format!("a kept connection breaks: {text}"),
        What::ConnectedAgain { .. } => format!("connected again after {text}"),
        What::Violated { .. } => format!("✗ {text}"),
        What::Found { .. }
        | What::Decided(_)
        | What::Supervisor(_)
        | What::Ended { .. }
        | What::KernelForgot
        | What::Advert { .. }
        | What::Announced { .. } => text,
    }
}

impl Finding {
    fn new(finding: &Diagnostic, sources: &Sources, first: u32) -> Self {
        let place = |label: &vipward_core::text::Label| Place::new(sources, label.span, first, label.text.clone());
        Self {
            severity: finding.severity,
            code: finding.code,
            message: finding.message.clone(),
            places: finding.labels.iter().map(place).collect(),
            notes: finding.notes.clone(),
            help: finding.help.clone(),
        }
    }
}

impl Place {
    fn new(sources: &Sources, span: Span, first: u32, text: String) -> Self {
        Self { file: first.saturating_add(span.file.0), line: sources.location(span).line, text }
    }
}

fn files(sources: &Sources) -> Vec<File> {
    sources.ids().map(|id| File { name: sources.name(id).to_owned(), text: sources.text(id).to_owned() }).collect()
}
