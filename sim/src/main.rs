//! `vipward-sim`: runs scenario files.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use vipward_core::text::{Diagnostic, Sources, render};
use vipward_sim::explore::{Clusters, Found, Given, Sweep, Swept};
use vipward_sim::junit::Junit;
use vipward_sim::progress::Progress;
use vipward_sim::report::Report;
use vipward_sim::runner::events::Product;
use vipward_sim::{drill, html, replay, runner, scenario};

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
    /// Drill a cluster: every outage of the standard battery, from the directors' files alone. Exit status 0: nobody
    /// noticed more than the protocol must cost; 1: somebody did; 2: `vipward run` refuses these files, or they form no
    /// cluster.
    Drill(Drill),
    /// Draw clusters and faults at random and look for a broken invariant. What is found is shrunk to the few faults that
    /// it takes, printed and written as a scenario. Exit status as for `run`.
    Explore(Explore),
    /// Replay recordings of `vipward run --record`: check every effect, print the timeline, explain it.
    ///
    /// Exit status 0: every effect is the one recorded; 1: one is not; 2: something could not be read.
    Replay(replay::command::Replay),
    /// List the words of a scenario file.
    Words,
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
    /// What carries the run: `turmoil` speaks every packet and every probe, `events` models them and is a thousand times
    /// faster. Both tell the same story.
    #[arg(long, value_enum, default_value_t = Runner::Turmoil)]
    runner: Runner,
    /// Write the runs as one self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How many scenarios run at the same time; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Args)]
struct Drill {
    /// The directors' keepalived configurations, one each.
    #[arg(required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    #[arg(long, value_enum, default_value_t = DrillFormat::Text)]
    format: DrillFormat,
    /// Only the cases whose fault contains these words, each with its timeline.
    #[arg(long, value_name = "WORDS")]
    case: Option<String>,
    /// Who carries the virtual servers (`vipward run --dataplane`); without it, what the files need.
    #[arg(long, value_enum)]
    dataplane: Option<DataplaneChoice>,
    /// Write the drill as one self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Draw what is lost from this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// How many cases run at the same time; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DrillFormat {
    Text,
    /// One JSON object.
    Json,
    /// The page of `--html`, on standard output.
    Html,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DataplaneChoice {
    /// The kernel's IPVS.
    Ipvs,
    /// The directors themselves, in user space.
    Relay,
}

#[derive(Args)]
struct Explore {
    /// What is put under random faults: the configurations of two or more directors, or a scenario with its network;
    /// without any every seed draws its own.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Draw only clusters that hold their addresses by leases of a quorum service (`fence`, `elect`, `spread`).
    #[arg(long, conflicts_with = "files")]
    fence: bool,
    /// How many seeds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    base: u64,
    /// How long each run lasts, in simulated minutes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// How many seeds run at the same time; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// Where scenarios of failures are written.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Write the failures, shrunk, as one self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 5)]
    most: usize,
    /// Say what was covered: how often each fault was played and each change of roles happened, and what never did.
    #[arg(long)]
    covered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    /// One JSON object a scenario, each on a line of its own.
    Json,
    /// JUnit XML, one test case a scenario: for CI systems.
    Junit,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Runner {
    Turmoil,
    Events,
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
        Command::Drill(options) => run_drill(&options),
        Command::Explore(explore) => explore_all(&explore),
        Command::Replay(options) => match replay::command::run(&options) {
            replay::Ending::AsRecorded => Status::Held,
            replay::Ending::Differs => Status::DidNotHold,
            replay::Ending::Damaged => Status::Mistakes,
        },
        Command::Words => {
            let _ = std::io::stdout().write_all(scenario::words_help().as_bytes());
            Status::Held
        }
    };
    ExitCode::from(status as u8)
}

fn run_drill(options: &Drill) -> Status {
    let began = Instant::now();
    let asked = drill::Options {
        only: options.case.clone(),
        dataplane: options.dataplane.map(|choice| match choice {
            DataplaneChoice::Ipvs => scenario::Dataplane::Ipvs,
            DataplaneChoice::Relay => scenario::Dataplane::Relay,
        }),
        seed: options.seed,
        jobs: options.jobs,
    };
    let mut progress = Progress::new("cases");
    let drill = drill::drill(&options.files, &asked, |done, all| progress.show(done as u64, all as u64, None));
    progress.clear();
    let text = match options.format {
        DrillFormat::Text => {
            let timelines = if options.case.is_some() { drill.timelines() } else { String::new() };
            timelines + &drill.text(std::io::stdout().is_terminal(), columns())
        }
        DrillFormat::Html => html::drill_page(&drill),
        DrillFormat::Json => serde_json::to_string(&drill.json()).map(|text| text + "\n").unwrap_or_default(),
    };
    // A reader that has seen enough (`| head`) is no mistake.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if let Some(path) = &options.html
        && let Err(status) = write_page(path, &html::drill_page(&drill))
    {
        return status;
    }
    let (simulated, wall) = (drill.simulated.as_secs_f64(), began.elapsed().as_secs_f64());
    if !drill.rows.is_empty() {
        eprintln!("{simulated:.0} s simulated in {wall:.1} s ({:.0} s a second)", simulated / wall.max(0.001));
    }
    match drill.ending() {
        drill::Ending::Held => Status::Held,
        drill::Ending::Broke => Status::DidNotHold,
        drill::Ending::Refused | drill::Ending::Impossible => Status::Mistakes,
    }
}

/// How wide the terminal is; a file or a pipe takes everything.
fn columns() -> usize {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    set.or_else(|| terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))).unwrap_or(drill::WIDE)
}

fn write_page(path: &std::path::Path, page: &str) -> Result<(), Status> {
    std::fs::write(path, page).map_err(|error| {
        eprintln!("error: can't write `{}`: {error}", path.display());
        Status::Mistakes
    })
}

/// What came of one file.
struct Done {
    file: PathBuf,
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
        let (queue, send, seed, runner) = (queue.clone(), send.clone(), options.seed, options.runner);
        std::thread::spawn(move || {
            loop {
                let next = queue.lock().ok().and_then(|mut queue| queue.next());
                let Some((at, file)) = next else { break };
                if send.send((at, run_one(&file, seed, runner))).is_err() {
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
    let mut shown = Vec::new();
    let mut progress = Progress::new("scenarios");
    let mut junit = Junit::default();
    for (ended, (at, done)) in (1..).zip(receive) {
        progress.clear();
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
            match &done.report {
                Ok(report) => junit.ran(report, &done.sources),
                Err(mistakes) => junit.refused(&done.file, mistakes, &done.sources),
            }
            if options.html.is_some() {
                shown.push(done);
            }
        }
        progress.show(ended, files.len() as u64, None);
    }
    progress.clear();
    if next < files.len() {
        eprintln!("error: {} scenarios did not come to their end", files.len() - next);
        return Status::Mistakes;
    }
    if let Some(path) = &options.html {
        let reports: Vec<_> =
            shown.iter().filter_map(|done| Some((done.report.as_ref().ok()?, &done.sources))).collect();
        if let Err(mistake) = write_page(path, &html::runs_page(&reports)) {
            return mistake;
        }
    }
    if options.format == Format::Junit {
        match junit.to_text() {
            Ok(text) => _ = std::io::stdout().write_all((text + "\n").as_bytes()),
            Err(error) => {
                eprintln!("error: can't write JUnit XML: {error}");
                return Status::Mistakes;
            }
        }
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

fn explore_all(options: &Explore) -> Status {
    let clusters = match options.files.as_slice() {
        [] if options.fence => Ok(Clusters::Fenced),
        [] => Ok(Clusters::Any),
        [scenario] if scenario.extension().is_some_and(|end| end == "toml") => {
            Given::read(scenario).map(Clusters::Given)
        }
        [one] => Err(format!(
            "error: `{}` alone is no cluster: name the configurations of two or more directors, or a scenario (.toml)",
            one.display()
        )),
        files => Given::of_files(files).map(Clusters::Given),
    };
    let clusters = match clusters {
        Ok(clusters) => clusters,
        Err(error) => {
            eprintln!("{error}");
            return Status::Mistakes;
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let sweep = Sweep {
        base: options.base,
        seeds: options.seeds,
        seconds: options.minutes * 60,
        jobs: options.jobs.unwrap_or(processors).max(1),
        clusters,
        most: options.most.max(1),
    };
    let mut progress = Progress::new("seeds");
    let mut failures = Vec::new();
    let swept = sweep.run(
        &Product,
        |done| progress.show(done, options.seeds, Some(done * sweep.seconds)),
        |found| {
            failures.push(tell(&found, &options.out)?);
            Ok(())
        },
    );
    progress.clear();
    let Swept { seeds, covered } = match swept {
        Ok(swept) => swept,
        Err(error) => {
            eprintln!("error: {error}");
            return Status::Mistakes;
        }
    };
    let (count, base, minutes) = (failures.len(), options.base, options.minutes);
    let swept = format!("{seeds} seeds from {base} on, {minutes} simulated minutes each");
    println!("{swept}: {count} failed");
    let covered = covered.sentences();
    if options.covered {
        covered.iter().for_each(|text| println!("{text}"));
    }
    if let Some(path) = &options.html
        && let Err(status) = write_page(path, &html::sweep_page(&swept, &covered, &failures))
    {
        return status;
    }
    if count > 0 { Status::DidNotHold } else { Status::Held }
}

/// One failure: the seed, the small scenario, its timeline.
fn tell(found: &Found, out: &std::path::Path) -> Result<(Report, Sources), String> {
    let Found { seed, violation, case, shrunk } = found;
    let head = format!("# Found by `vipward-sim explore`, seed {seed}: {}\n# {}\n\n", shrunk.invariant, shrunk.text);
    let path = case.write(out, &head).map_err(|error| format!("can't write into `{}`: {error}", out.display()))?;
    println!("seed {seed} breaks {} at {} s: {}", violation.invariant, violation.at, violation.text);
    println!("shrunk to {} steps: {}\n", case.lines.len(), path.display());
    let (report, sources) = case.report(&Product)?;
    println!("{}", vipward_sim::timeline::render(&report.run));
    Ok((report, sources))
}

fn run_one(file: &std::path::Path, seed: Option<u64>, runner: Runner) -> Done {
    let loaded = scenario::load(file);
    let report = match loaded.scenario {
        Some(scenario) => carry_out(&Arc::new(scenario), seed, runner)
            .map(Report::new)
            .map_err(|error| vec![Diagnostic::error("simulation-broke", error)]),
        None => Err(loaded.diagnostics),
    };
    Done { file: file.to_owned(), report, sources: loaded.sources }
}

fn carry_out(scenario: &Arc<scenario::Scenario>, seed: Option<u64>, runner: Runner) -> Result<runner::Run, String> {
    match runner {
        Runner::Turmoil => runner::run(scenario, seed),
        Runner::Events => runner::events::run(scenario, seed),
    }
}

fn print(report: &Report, sources: &Sources, options: &Run, color: bool) {
    match options.format {
        // It is one document.
        Format::Junit => {}
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
