//! A fire drill: what a cluster does in every outage of the standard battery, from its directors' files alone.
//!
//! The network around the directors is worked out from the files (`topology.rs`), each fault is an ordinary scenario
//! (`battery.rs`) that the ordinary runner runs, and what came of it is one row of a table. Beside the table stands what
//! is wrong and why, with the lines of the files (`findings.rs`).

mod battery;
mod cost;
mod files;
mod findings;
mod json;
mod named;
mod network;
mod no_quorum;
mod pace;
mod quorum;
mod row;
mod services;
mod table;
mod text;
mod topology;
mod wires;
pub(crate) mod words;
mod written;

pub use battery::Case;
pub use cost::Cost;
pub use json::Json;
pub use row::{Longest, Noticed, Row};
pub use table::{NARROW, WIDE};

use crate::runner::{self, Run};
use crate::scenario::{Dataplane, Scenario};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use vipward_core::config::cluster;
use vipward_core::text::{Diagnostic, Sources, render};
use vipward_core::time::Duration;

/// What a drill may be told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only the cases whose fault contains these words.
    pub only: Option<String>,
    /// Who carries virtual servers; none: what the files need.
    pub dataplane: Option<Dataplane>,
    /// Faults that are drawn, a packet loss, are drawn from this. Default 1.
    pub seed: Option<u64>,
    /// Cases that run at the same time; none: one for each processor.
    pub jobs: Option<usize>,
}

/// What a drill came to.
#[derive(Debug, Default)]
pub struct Drill {
    /// What the findings point into.
    pub sources: Sources,
    /// The directors, by name.
    pub directors: Vec<Arc<str>>,
    /// What the reader says about the files and what the drill adds: the files' own mistakes first, what broke last.
    pub findings: Vec<Diagnostic>,
    /// What the files do not say and the drill assumed, and what it left out.
    pub assumptions: Vec<String>,
    /// One for each case; empty when the files can't be drilled.
    pub rows: Vec<Row>,
    /// `vipward run` refuses at least one of the files, for the errors among the findings.
    pub refused: bool,
    /// Time that went by in all cases together.
    pub simulated: Duration,
}

/// How a drill ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// In no case did anybody notice more than the protocol must cost.
    Held,
    /// In some somebody did.
    Broke,
    /// `vipward run` refuses a file; what could be understood of it was played.
    Refused,
    /// These files can't be drilled; the findings say why.
    Impossible,
}

impl Drill {
    pub fn ending(&self) -> Ending {
        match (self.rows.is_empty(), self.refused, self.rows.iter().all(Row::held)) {
            (true, ..) => Ending::Impossible,
            (false, true, _) => Ending::Refused,
            (false, false, true) => Ending::Held,
            (false, false, false) => Ending::Broke,
        }
    }
}

/// Drills the cluster of these files. `progress` hears how many cases of how many are done, from the calling thread.
pub fn drill(paths: &[PathBuf], options: &Options, mut progress: impl FnMut(usize, usize)) -> Drill {
    let mut drill = Drill::default();
    let files = files::read(paths, &mut drill.sources, &mut drill.findings);
    drill.directors = files.iter().map(|file| file.name.clone()).collect();
    drill.refused = drill.findings.iter().any(Diagnostic::is_error);
    if files.iter().any(|file| file.head.is_none()) {
        // What can't be read has been said.
        return drill;
    }
    let wires = match wires::wires(&files, &mut drill.findings) {
        Ok(wires) => wires,
        Err(why) => {
            drill.findings.push(why);
            return drill;
        }
    };
    let nodes: Vec<cluster::Node<'_>> = files.iter().map(files::DirectorFile::node).collect();
    drill.findings.extend(cluster::check(&nodes));
    let topology = topology::topology(&files, &wires, options.dataplane);
    drill.findings.extend(findings::before(&files, &topology));
    drill.assumptions.clone_from(&topology.assumptions);
    let left_out = topology.servers.len().saturating_sub(battery::MOST_SERVERS);
    if left_out > 0 {
        let drilled = battery::MOST_SERVERS;
        let text = format!("the first {drilled} real servers fail one by one; {left_out} more only together with all");
        drill.assumptions.push(text);
    }
    let mut cases = battery::battery(&topology);
    if let Some(words) = &options.only {
        cases.retain(|case| case.fault.contains(words.as_str()));
        if cases.is_empty() {
            drill
                .findings
                .push(Diagnostic::error("no-such-case", format!("no case of this drill is called `{words}`")));
        }
    }
    let done = in_parallel(&cases, options.jobs, |case| worst(case, options.seed), &mut progress);
    for (case, row) in cases.iter().zip(done) {
        match row {
            Ok(mut row) => {
                row.explain(&drill.findings);
                let played = std::iter::once(&case.scenario).chain(&case.later);
                drill.simulated += played.map(|scenario| scenario.duration).sum::<Duration>();
                drill.rows.push(row);
            }
            Err(error) => {
                drill.findings.push(Diagnostic::error("simulation-broke", format!("{}: {error}", case.fault)));
            }
        }
    }
    drill.findings.extend(findings::after(&files, &drill.rows, &drill.findings));
    drill
}

/// The network that a drill of these files takes place in, in the words of a scenario file. The error says why there is
/// none, or what is wrong with the files: a drill plays such as well as it can, what plays more than that can't.
pub fn network(paths: &[PathBuf]) -> Result<String, String> {
    laid_out(paths, None).and_then(|topology| written::written(&topology))
}

/// The cases that a drill of these files would play, in its order. The error is that of [`network`].
pub fn cases(paths: &[PathBuf], dataplane: Option<Dataplane>) -> Result<Vec<Case>, String> {
    laid_out(paths, dataplane).map(|topology| battery::battery(&topology))
}

/// The network around files without mistakes.
fn laid_out(paths: &[PathBuf], dataplane: Option<Dataplane>) -> Result<topology::Topology, String> {
    let (mut sources, mut findings) = (Sources::default(), Vec::new());
    let files = files::read(paths, &mut sources, &mut findings);
    let mut found = None;
    if !findings.iter().any(Diagnostic::is_error) {
        match wires::wires(&files, &mut findings) {
            Ok(wires) => found = Some(topology::topology(&files, &wires, dataplane)),
            Err(why) => findings.push(why),
        }
        let nodes: Vec<cluster::Node<'_>> = files.iter().map(files::DirectorFile::node).collect();
        findings.extend(cluster::check(&nodes));
    }
    findings.retain(Diagnostic::is_error);
    found.filter(|_| findings.is_empty()).ok_or_else(|| render(&sources, &findings, false))
}

fn run(scenario: &Arc<Scenario>, seed: Option<u64>) -> Result<Run, String> {
    runner::events::run(scenario, seed)
}

/// Plays a case at all of its phases, and keeps the worst.
fn worst(case: &Case, seed: Option<u64>) -> Result<Row, String> {
    let mut worst = Row::of(case, run(&case.scenario, seed)?);
    for scenario in &case.later {
        let row = Row::of(case, run(scenario, seed)?);
        if row.badness() > worst.badness() {
            worst = row;
        }
    }
    Ok(worst)
}

/// Does `work` for every item on as many threads as there are processors; the results are in the order of the items.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    jobs: Option<usize>,
    work: impl Fn(&T) -> R + Sync,
    progress: &mut impl FnMut(usize, usize),
) -> Vec<R> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.unwrap_or(processors).clamp(1, items.len().max(1));
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((at, item)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
                {
                    if send.send((at, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut done: Vec<(usize, R)> = Vec::new();
        for result in receive {
            done.push(result);
            progress(done.len(), items.len());
        }
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, result)| result).collect()
    })
}
