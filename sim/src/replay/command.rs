//! `vipward-sim replay`.

use super::{Ending, Track, explain, page, read, scenario, story, summary, what_if};
use crate::timeline;
use clap::Args;
use std::io::Write;
use std::path::{Path, PathBuf};
use vipward_core::quantity::Role;
use vipward_core::time::Instant;

/// Its command line.
#[derive(Args)]
pub struct Replay {
    /// Recordings: the files of one ring, or of several directors. In any order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Show each director's state at this time of the timeline, and what happened around it: 12.3s.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Instant>,
    /// Show the chain of causes of every change to this role: MASTER, BACKUP, FAULT or INIT.
    #[arg(long, value_name = "ROLE", value_parser = role)]
    why: Option<Role>,
    /// Say of each virtual router who had it at this time, since when and why, and what would have happened next.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    explain: Option<Instant>,
    /// Let the machines decide once more without what they heard: "without lb2's advert at 12.3 s", or "without lb2's
    /// adverts from 12 s to 15 s".
    #[arg(long, value_name = "PHRASE", value_parser = what_if::parse)]
    what_if: Option<what_if::Without>,
    /// Make a scenario of the recordings of two or more directors; their configurations are put beside it.
    #[arg(long, value_name = "OUT")]
    as_scenario: Option<PathBuf>,
    /// Write the timeline as one self-contained page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

fn moment(text: &str) -> Result<Instant, String> {
    let text = if text.ends_with(|c: char| c.is_ascii_digit()) { format!("{text}s") } else { text.to_owned() };
    let duration = crate::scenario::parse_duration(&text).ok_or("expected a time like 12.3s, in whole milliseconds")?;
    Ok(Instant::ZERO + duration)
}

fn role(text: &str) -> Result<Role, String> {
    [Role::Master, Role::Backup, Role::Fault, Role::Init]
        .into_iter()
        .find(|role| role.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| "expected MASTER, BACKUP, FAULT or INIT".to_owned())
}

/// Replays, prints, and says what came of it. Files that can't be read at all count as damaged.
pub fn run(options: &Replay) -> Ending {
    let tracks = match read(&options.files) {
        Ok(tracks) if tracks.is_empty() => {
            eprintln!("error: no step is recorded in these files");
            return Ending::Damaged;
        }
        Ok(tracks) => tracks,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            return Ending::Damaged;
        }
    };
    let mut out = String::new();
    let mut verdict = Ending::AsRecorded;
    for track in &tracks {
        let (text, held) = summary(track);
        out.push_str(&text);
        verdict = verdict.max(held);
    }
    let mut sections = Vec::new();
    if let Some(path) = &options.as_scenario {
        match save(&tracks, path) {
            Ok(()) => sections.push(format!("{} is a scenario: vipward-sim run {0}\n", path.display())),
            Err(error) => {
                eprintln!("error: {error}");
                verdict = Ending::Damaged;
            }
        }
    }
    if let Some(path) = &options.html
        && let Err(error) = std::fs::write(path, page::page(&tracks))
    {
        eprintln!("error: can't write `{}`: {error}", path.display());
        verdict = Ending::Damaged;
    }
    sections.extend(options.at.map(|at| explain::at(&tracks, at)));
    sections.extend(options.why.map(|role| explain::why(&tracks, role)));
    sections.extend(options.explain.map(|at| super::moment::explain(&tracks, at)));
    let mut asked_for_nothing = options.as_scenario.is_none();
    if let Some(without) = &options.what_if {
        match what_if::what_if(&tracks, without) {
            Ok(text) => sections.push(text),
            Err(error) => {
                eprintln!("error: {error}");
                verdict = Ending::Damaged;
                asked_for_nothing = false;
            }
        }
    }
    if sections.is_empty() && asked_for_nothing {
        sections.push(timeline::render(&story::story(&tracks)));
    }
    for section in sections {
        out.push('\n');
        out.push_str(&section);
    }
    // A reader that has seen enough (`| head`) is no mistake.
    let _ = std::io::stdout().write_all(out.as_bytes());
    verdict
}

fn save(tracks: &[Track], path: &Path) -> Result<(), String> {
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let written = scenario::scenario(tracks, &name)?;
    written.save(path).map_err(|error| format!("can't write `{}`: {error}", path.display()))
}
