//! The recordings of a cluster become a scenario file that `run` accepts: the same topology, the same configurations, the
//! faults that the records show. `docs/recording.md` lists what is inferred from what, and what can't be.
//!
//! - [`lives`]: what of each run a scenario needs
//! - [`network`]: segments, and who is on them
//! - [`steps`]: starts, stops, reloads, links, scripts, sleeps
//! - [`cuts`]: adverts that were sent and not heard
//! - [`servers`]: what probes say about real servers
//! - [`text`]: words and names of the file

mod cuts;
mod lives;
mod network;
mod servers;
mod steps;
mod text;

use super::lane::lanes;
use super::story::{SILENT, end};
use super::track::Track;
use lives::{Director, Life};
use network::Network;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use steps::Steps;
use text::{file_name, millis, quoted, settings_name};
use vipward_core::config::cluster;
use vipward_core::time::{Duration, Instant};

/// A role that lasted so long is expected again.
const LASTING: Duration = Duration::from_secs(1);

/// What is written: the scenario, and the files beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub scenario: String,
    /// Relative to the scenario.
    pub files: Vec<(PathBuf, String)>,
}

impl Written {
    /// Writes it to `path` and into the folder beside it that has its name.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        for (file, text) in &self.files {
            let file = folder.join(file);
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(file, text)?;
        }
        std::fs::write(path, &self.scenario)
    }
}

/// Makes a scenario called `name` of these tracks. The error says what is missing.
pub fn scenario(tracks: &[Track], name: &str) -> Result<Written, String> {
    let directors: Vec<Director> = lanes(tracks)
        .iter()
        .map(|lane| Director { name: lane.name.to_owned(), runs: lane.chains.iter().map(Life::of).collect() })
        .collect();
    if directors.len() < 2 {
        return Err("a scenario needs the recordings of two or more directors".to_owned());
    }
    let end = end(tracks);
    let network = Network::of(&directors)?;
    let mut steps = Steps::default();
    directors.iter().for_each(|director| steps::lives(director, &directors, end, name, &mut steps));
    cuts::cuts(&directors, &network, &mut steps);
    servers::servers(&directors, &network, &mut steps);
    let mut files = Vec::new();
    let folder = PathBuf::from(name);
    for director in &directors {
        for (number, text) in director.configs().enumerate() {
            files.push((folder.join(file_name(&director.name, number)), text));
        }
    }
    files.extend(
        [true, false].map(|lifetime| (folder.join(settings_name(lifetime)), format!("[vip]\nlifetime = {lifetime}\n"))),
    );
    let mut text = format!(
        "title = {}\nabout = {}\nduration = {}\n",
        quoted(&format!("Recorded: {}", names(&directors))),
        quoted("Made of flight recordings. What is inferred is explained in docs/recording.md."),
        quoted(&millis(end.since_origin() + Duration::from_secs(1)))
    );
    text.push_str(&network.routed().unwrap_or_default());
    text.push_str(&mistakes(&directors));
    text.push_str(&steps.text());
    text.push_str(&expectations(&directors, end));
    text.push_str(&network.text(&directors, name));
    Ok(Written { scenario: text, files })
}

/// What the cluster's files are known to have wrong; they ran all the same.
fn mistakes(directors: &[Director]) -> String {
    let nodes: Vec<cluster::Node<'_>> = directors
        .iter()
        .filter_map(|director| Some(cluster::Node { name: &director.name, config: director.config()? }))
        .collect();
    let found = cluster::check(&nodes);
    let codes: BTreeSet<&str> = found.iter().filter(|found| found.is_error()).map(|found| found.code).collect();
    if codes.is_empty() {
        return String::new();
    }
    let codes: Vec<String> = codes.into_iter().map(quoted).collect();
    format!("mistakes = [{}]\n", codes.join(", "))
}

/// How it ended: the last role of each virtual router, if it lasted.
fn expectations(directors: &[Director], end: Instant) -> String {
    let mut text = "\nexpect = [\n".to_owned();
    for director in directors {
        let Some(life) = director.runs.last() else { continue };
        let at = match (life.stopped, life.ended + SILENT < end && !life.goes_on) {
            (true, _) => life.ended - Duration::from_millis(100),
            (false, true) => continue,
            (false, false) => end + Duration::from_millis(500),
        };
        for (router, roles) in &life.roles {
            let Some((since, role)) = roles.iter().rev().find(|(since, _)| *since < at) else { continue };
            if at.since(*since) >= LASTING {
                let (at, name, router) = (quoted(&millis(at.since_origin())), quoted(&director.name), quoted(router));
                let _ = writeln!(text, "    {{ at = {at}, role = \"{role}\", of = {name}, router = {router} }},");
            }
        }
    }
    text.push_str("]\n");
    text
}

fn names(directors: &[Director]) -> String {
    directors.iter().map(|director| director.name.as_str()).collect::<Vec<_>>().join(", ")
}
