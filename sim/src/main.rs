//! `vipward-sim`: runs scenario files.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use vipward_core::config::{Diagnostic, Sources, render};
use vipward_core::vrrp::Role;
use vipward_sim::report::Report;
use vipward_sim::{replay, runner, scenario};

/// Rehearses outages: runs scenario files in a deterministic simulation of directors, real servers and clients.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios. Exit status 0: everything held; 1: something did not; 2: a file has mistakes.
    Run(Run),
    /// Replay recordings of `vipward run --record`: check every effect, print the timeline, explain it.
    ///
    /// Exit status 0: every effect is the one recorded; 1: one is not; 2: something could not be read.
    Replay(Replay),
    /// List the words of a scenario file.
    Words,
}

#[derive(Args)]
struct Replay {
    /// Recordings: the files of one ring, or of several directors. In any order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Show each director's state at this time of the timeline, and what happened around it: 12.3s.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<vipward_core::time::Instant>,
    /// Show the chain of causes of every change to this role: MASTER, BACKUP, FAULT or INIT.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    why: Option<Role>,
    /// Make a scenario of the recordings of two or more directors; their configurations are put beside it.
    #[arg(long, value_name = "OUT")]
    as_scenario: Option<PathBuf>,
}

fn moment(text: &str) -> Result<vipward_core::time::Instant, String> {
    let text = if text.ends_with(|c: char| c.is_ascii_digit()) { format!("{text}s") } else { text.to_owned() };
    let duration = scenario::parse_duration(&text).ok_or("expected a time like 12.3s, in whole milliseconds")?;
    Ok(vipward_core::time::Instant::ZERO + duration)
}

fn role(text: &str) -> Result<Role, String> {
    [Role::Master, Role::Backup, Role::Fault, Role::Init]
        .into_iter()
        .find(|role| role.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| "expected MASTER, BACKUP, FAULT or INIT".to_owned())
}

#[derive(Args)]
struct Run {
    /// Scenario files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print every timeline, not only those of scenarios that fail.
    #[arg(short, long)]
    verbose: bool,
    /// Draw faults from this seed instead of the scenario's own.
    #[arg(long)]
    seed: Option<u64>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// How many scenarios run at the same time; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    /// One JSON object a scenario, each on a line of its own.
    Json,
}

/// Exit statuses; each means one thing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Status {
    Held = 0,
    DidNotHold = 1,
    Mistakes = 2,
}

fn main() -> ExitCode {
    let status = match Cli::parse().command {
        Command::Run(run) => run_all(&run),
        Command::Replay(options) => replay_all(&options),
        Command::Words => {
            let _ = std::io::stdout().write_all(scenario::words_help().as_bytes());
            Status::Held
        }
    };
    ExitCode::from(status as u8)
}

fn replay_all(options: &Replay) -> Status {
    let tracks = match replay::read(&options.files) {
        Ok(tracks) if tracks.is_empty() => {
            eprintln!("error: no step is recorded in these files");
            return Status::Mistakes;
        }
        Ok(tracks) => tracks,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            return Status::Mistakes;
        }
    };
    let mut out = String::new();
    let mut status = Status::Held;
    for track in &tracks {
        let (text, held) = replay::summary(track);
        out.push_str(&text);
        status = status.max(match held {
            replay::Verdict::AsRecorded => Status::Held,
            replay::Verdict::Differs => Status::DidNotHold,
            replay::Verdict::Damaged => Status::Mistakes,
        });
    }
    if let Some(path) = &options.as_scenario {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let saved = replay::scenario::scenario(&tracks, &name).and_then(|written| {
            written.save(path).map_err(|error| format!("can't write `{}`: {error}", path.display()))
        });
        match saved {
            Ok(()) => out.push_str(&format!("\n{} is a scenario: vipward-sim run {0}\n", path.display())),
            Err(error) => {
                eprintln!("error: {error}");
                status = Status::Mistakes;
            }
        }
    } else if options.at.is_none() && options.why.is_none() {
        out.push('\n');
        out.push_str(&vipward_sim::timeline::render(&replay::story::story(&tracks)));
    }
    for text in [
        options.at.map(|at| replay::explain::at(&tracks, at)),
        options.why.map(|role| replay::explain::why(&tracks, role)),
    ]
    .into_iter()
    .flatten()
    {
        out.push('\n');
        out.push_str(&text);
    }
    // A reader that has seen enough closes the pipe.
    let _ = std::io::stdout().write_all(out.as_bytes());
    status
}

/// What came of one file.
struct Done {
    report: Result<Report, Vec<Diagnostic>>,
    sources: Sources,
}

fn run_all(options: &Run) -> Status {
    let began = Instant::now();
    let mut files = Vec::new();
    for path in &options.paths {
        match scenario::scenario_files(path) {
            Ok(found) if found.is_empty() => {
                eprintln!("error: there is no scenario in `{}`", path.display());
                return Status::Mistakes;
            }
            Ok(found) => files.extend(found),
            Err(error) => {
                eprintln!("error: can't read `{}`: {error}", path.display());
                return Status::Mistakes;
            }
        }
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = options.jobs.unwrap_or(processors).clamp(1, files.len().max(1));
    let queue = Arc::new(Mutex::new(files.iter().cloned().enumerate().collect::<Vec<_>>().into_iter()));
    let (send, receive) = mpsc::channel();
    for _ in 0..jobs {
        let (queue, send, seed) = (queue.clone(), send.clone(), options.seed);
        std::thread::spawn(move || {
            loop {
                let next = queue.lock().ok().and_then(|mut queue| queue.next());
                let Some((at, file)) = next else { break };
                if send.send((at, run_one(&file, seed))).is_err() {
                    break;
                }
            }
        });
    }
    drop(send);

    let color = std::io::stdout().is_terminal();
    let mut status = Status::Held;
    let mut simulated = 0.0;
    let mut held = 0;
    // Printed in the order of the files, whichever ends first.
    let mut waiting: std::collections::BTreeMap<usize, Done> = std::collections::BTreeMap::new();
    let mut next = 0;
    for (at, done) in receive {
        waiting.insert(at, done);
        while let Some(done) = waiting.remove(&next) {
            next += 1;
            match &done.report {
                Ok(report) => {
                    simulated += report.run.scenario.duration.as_secs_f64();
                    held += usize::from(report.held());
                    status = status.max(if report.held() { Status::Held } else { Status::DidNotHold });
                    print(report, &done.sources, options, color);
                }
                Err(mistakes) => {
                    status = Status::Mistakes;
                    eprint!("{}", render(&done.sources, mistakes, color));
                }
            }
        }
    }
    if next < files.len() {
        eprintln!("error: {} scenarios did not come to their end", files.len() - next);
        return Status::Mistakes;
    }
    if options.format == Format::Text {
        let wall = began.elapsed().as_secs_f64();
        println!(
            "\n{held} of {} scenarios held; {simulated:.1} s simulated in {wall:.1} s ({:.0} s a second, {jobs} at a time)",
            files.len(),
            simulated / wall.max(0.001),
        );
    }
    status
}

fn run_one(file: &std::path::Path, seed: Option<u64>) -> Done {
    let loaded = scenario::load(file);
    let report = match loaded.scenario {
        Some(scenario) => runner::run(&Arc::new(scenario), seed)
            .map(Report::new)
            .map_err(|error| vec![Diagnostic::error("simulation-broke", error)]),
        None => Err(loaded.diagnostics),
    };
    Done { report, sources: loaded.sources }
}

fn print(report: &Report, sources: &Sources, options: &Run, color: bool) {
    match options.format {
        Format::Json => {
            if let Ok(text) = serde_json::to_string(&report.json()) {
                println!("{text}");
            }
        }
        Format::Text => {
            if options.verbose || !report.held() {
                println!("{}", report.text(sources, color));
            }
            println!("{}", report.summary());
        }
    }
}
