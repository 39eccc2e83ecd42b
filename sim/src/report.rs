//! What a run comes to: a summary line and the reasons of a failure for people, JSON for machines.

use crate::expect::judge;
use crate::runner::Run;
use crate::scenario::{NodeKind, Scenario};
use crate::timeline;
use serde::Serialize;
use std::fmt::Write;
use vipward_core::text::{Diagnostic, Sources, render};
use vipward_core::time::{Duration, Instant};

/// A judged run.
#[derive(Debug)]
pub struct Report {
    pub run: Run,
    /// What did not hold; empty: everything did.
    pub failures: Vec<Diagnostic>,
}

impl Report {
    pub fn new(run: Run) -> Self {
        let failures = judge(&run);
        Self { run, failures }
    }

    pub fn held(&self) -> bool {
        self.failures.is_empty()
    }

    /// One line: did it hold, what is it, what did clients see.
    pub fn summary(&self) -> String {
        let scenario = &self.run.scenario;
        let mark = if self.held() { "ok  " } else { "FAIL" };
        let mut line = format!("{mark}  {:<28} {}", scenario.name, scenario.title);
        if let Some(worst) = longest_outage(&self.run) {
            let _ = write!(line, " · longest client outage {}", secs(worst));
        }
        line
    }

    /// Title, timeline, and what did not hold.
    pub fn text(&self, sources: &Sources, color: bool) -> String {
        let scenario = &self.run.scenario;
        let mut text = format!("{}: {} (seed {})\n\n", scenario.name, scenario.title, self.run.seed);
        text.push_str(&timeline::render(&self.run));
        text.push('\n');
        text.push_str(&clients(&self.run));
        if !self.failures.is_empty() {
            text.push('\n');
            text.push_str(&render(sources, &self.failures, color));
        }
        text
    }

    /// For machines: everything that happened, one object an event.
    pub fn json(&self) -> Json<'_> {
        let scenario: &Scenario = &self.run.scenario;
        let name = |id| scenario.node(id).name.to_string();
        let end = Instant::ZERO + scenario.duration;
        Json {
            scenario: &scenario.name,
            title: &scenario.title,
            seed: self.run.seed,
            held: self.held(),
            simulated_ms: millis(scenario.duration),
            failures: self.failures.iter().map(failure).collect(),
            outages: self
                .run
                .outages
                .iter()
                .map(|outage| JsonOutage {
                    client: name(outage.client),
                    began_ms: millis(outage.began.since_origin()),
                    lasted_ms: millis(outage.lasted(end)),
                    over: outage.ended.is_some(),
                    failed: outage.failed,
                    cause: outage.cause.clone(),
                })
                .collect(),
            events: self
                .run
                .trace
                .iter()
                .map(|entry| {
                    let (kind, text) = timeline::sentence(entry);
                    JsonEvent { at_ms: millis(entry.at.since_origin()), node: entry.node.map(name), kind, text }
                })
                .collect(),
        }
    }
}

/// See [`Report::json`].
#[derive(Debug, Serialize)]
pub struct Json<'a> {
    scenario: &'a str,
    title: &'a str,
    seed: u64,
    held: bool,
    simulated_ms: u64,
    failures: Vec<String>,
    outages: Vec<JsonOutage>,
    events: Vec<JsonEvent>,
}

#[derive(Debug, Serialize)]
struct JsonOutage {
    client: String,
    began_ms: u64,
    lasted_ms: u64,
    over: bool,
    failed: u64,
    cause: String,
}

#[derive(Debug, Serialize)]
struct JsonEvent {
    at_ms: u64,
    node: Option<String>,
    kind: String,
    text: String,
}

fn failure(diagnostic: &Diagnostic) -> String {
    let labels = diagnostic.labels.iter().filter(|label| !label.text.is_empty()).map(|label| label.text.as_str());
    std::iter::once(diagnostic.message.as_str()).chain(labels).collect::<Vec<_>>().join(": ")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn longest_outage(run: &Run) -> Option<Duration> {
    let end = Instant::ZERO + run.scenario.duration;
    run.outages.iter().map(|outage| outage.lasted(end)).max()
}

/// What each client saw.
fn clients(run: &Run) -> String {
    let mut text = String::new();
    for id in run.scenario.ids() {
        let asked = run.requests.iter().filter(|request| request.client == id);
        let (all, failed) =
            asked.fold((0_u64, 0_u64), |(all, failed), request| (all + 1, failed + u64::from(!request.outcome.good())));
        if all > 0 {
            let name = &run.scenario.node(id).name;
            let _ = write!(text, "{name}: {all} requests, {failed} failed");
            let keeps = matches!(&run.scenario.node(id).kind, NodeKind::Client(client) if client.keeps > 0);
            let _ = match run.breaks.iter().filter(|it| it.client == id).count() {
                0 if !keeps => writeln!(text),
                0 => writeln!(text, "; no kept connection broke"),
                1 => writeln!(text, "; a kept connection broke"),
                times => writeln!(text, "; kept connections broke {times} times"),
            };
        }
    }
    text
}

fn secs(duration: Duration) -> String {
    format!("{}.{:03} s", duration.as_secs(), duration.subsec_millis())
}
