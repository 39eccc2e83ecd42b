//! What a seed stands for: a cluster, drawn or given, and a schedule of faults. A case is run by way of the scenario file
//! that describes it, so a case that fails can be written down as it is.

use super::covered::Covered;
use super::dice::Dice;
use super::draft::Draft;
use super::files::Texts;
use super::schedule::{self, Line, Targets};
use crate::invariants::Violation;
use crate::report::Report;
use crate::runner::events::{EventRun, Make};
use crate::scenario::{self, Scenario};
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::text::{Files, Sources, render};

/// Random streams of one seed: what is drawn for one moves nothing in another.
const CLUSTER: u64 = 1;
const FAULTS: u64 = 2;
const SETTINGS: u64 = 3;

/// Faults come in this share of a run, in thousandths; the rest shows whether everything settles.
const TROUBLED: u64 = 700;

#[derive(Clone, Debug)]
pub struct Case {
    pub seed: u64,
    /// How long it lasts.
    pub seconds: u64,
    pub ground: Ground,
    pub lines: Vec<Line>,
}

/// Where it happens.
#[derive(Clone, Debug)]
pub enum Ground {
    Drawn(Draft),
    Given(Given),
}

/// Where the clusters of a sweep come from.
#[derive(Clone, Debug)]
pub enum Clusters {
    /// Each seed draws one.
    Any,
    /// Each seed draws one whose directors hold their addresses by leases of a quorum service.
    Fenced,
    /// It is the same for all.
    Given(Given),
}

/// A cluster of the user's: a scenario's network, without its steps and expectations, or the network of a drill.
#[derive(Clone, Debug)]
pub struct Given {
    pub name: String,
    /// In the words of a scenario, with the nodes of its `network` file; all paths are whole.
    text: String,
}

impl Given {
    /// Reads the scenario at `path`. The error is for people.
    pub fn read(path: &Path) -> Result<Self, String> {
        let loaded = scenario::load(path);
        if loaded.scenario.is_none() {
            return Err(render(&loaded.sources, &loaded.diagnostics, false));
        }
        let unreadable = |error: &dyn std::fmt::Display| format!("can't read `{}`: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| unreadable(&error))?;
        for word in ["title", "about", "seed", "duration", "steps", "expect"] {
            table.remove(word);
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        whole_paths(&mut table, folder);
        if let Some(toml::Value::String(network)) = table.remove("network") {
            let path = folder.join(network);
            let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
            let mut nodes: toml::Table = text.parse().map_err(|error: toml::de::Error| unreadable(&error))?;
            whole_paths(&mut nodes, path.parent().unwrap_or(Path::new("")));
            for (word, value) in nodes {
                match (table.get_mut(&word), value) {
                    // Both may have directors, clients and so on.
                    (Some(toml::Value::Table(own)), toml::Value::Table(others)) => own.extend(others),
                    (Some(_), _) => {}
                    (None, value) => _ = table.insert(word, value),
                }
            }
        }
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, text: table.to_string() })
    }

    /// The cluster that the configurations of these directors describe. The error is for people.
    pub fn of_files(paths: &[PathBuf]) -> Result<Self, String> {
        let text = crate::drill::network(paths)?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        let directors = table.get("director").and_then(toml::Value::as_table);
        let names: Vec<String> = directors.into_iter().flat_map(toml::Table::keys).map(|name| plain(name)).collect();
        Ok(Self { name: names.join("-"), text })
    }
}

/// Makes the paths of directors' files absolute; they begin in `folder`.
fn whole_paths(table: &mut toml::Table, folder: &Path) {
    let directors = table.get_mut("director").and_then(toml::Value::as_table_mut);
    for director in directors.into_iter().flat_map(|directors| directors.iter_mut().map(|(_, director)| director)) {
        for word in ["config", "settings"] {
            if let Some(toml::Value::String(path)) = director.get_mut(word)
                && let Ok(whole) = std::path::absolute(folder.join(&*path))
            {
                *path = whole.display().to_string();
            }
        }
    }
}

/// A director's name as a part of a file's name.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

/// Files in memory before those on the disk.
struct Overlay<'t>(&'t Texts);

impl Files for Overlay<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().map_or_else(|| std::fs::read(path), Ok)
    }

    fn glob(&self, pattern: &str) -> Vec<PathBuf> {
        scenario::Disk.glob(pattern)
    }
}

impl Case {
    /// What `seed` draws: a cluster, unless one is given, and faults for it.
    pub fn draw(seed: u64, seconds: u64, clusters: &Clusters) -> Result<Self, String> {
        let (dice, settings) = (&mut Dice::new(seed, CLUSTER), &mut Dice::new(seed, SETTINGS));
        let ground = match clusters {
            Clusters::Given(given) => Ground::Given(given.clone()),
            Clusters::Any => Ground::Drawn(Draft::draw(dice, settings)),
            Clusters::Fenced => Ground::Drawn(Draft::draw_fenced(dice, settings)),
        };
        let mut case = Self { seed, seconds, ground, lines: Vec::new() };
        let mut targets = Targets::of(&*case.scenario()?);
        if let Ground::Drawn(draft) = &case.ground {
            let reloads = draft.directors.iter().map(|it| (format!("lb{}", it.number), it.file(true)));
            targets.reloads.extend(reloads.map(|(name, file)| (name, file.display().to_string())));
        }
        case.lines = schedule::draw(&targets, seconds * TROUBLED, &mut Dice::new(seed, FAULTS));
        Ok(case)
    }

    /// All files of it, and which of them is the scenario.
    pub fn texts(&self) -> (Texts, PathBuf) {
        let (mut texts, network, path, title) = match &self.ground {
            Ground::Drawn(draft) => {
                let (texts, network) = draft.texts();
                let path = PathBuf::from(format!("seed-{}.toml", self.seed));
                (texts, network, path, "Random faults on a random cluster".to_owned())
            }
            Ground::Given(given) => {
                let path = PathBuf::from(format!("{}-seed-{}.toml", given.name, self.seed));
                (Texts::new(), given.text.clone(), path, format!("{} under random faults", given.name))
            }
        };
        let (mut text, seed) = (String::new(), self.seed);
        let _ = write!(text, "title = {title:?}\nseed = {seed}\nduration = \"{}s\"\n\nsteps = [\n", self.seconds);
        for Line { at, what } in &self.lines {
            let _ = writeln!(text, "    {{ at = \"{at}ms\", {what} }},");
        }
        text.push_str("]\n\n");
        text.push_str(&network);
        texts.insert(path.clone(), text.into_bytes());
        (texts, path)
    }

    /// Reads its files as `vipward-sim run` would.
    pub fn scenario(&self) -> Result<Arc<Scenario>, String> {
        self.load().map(|(scenario, _)| scenario)
    }

    fn load(&self) -> Result<(Arc<Scenario>, Sources), String> {
        let (texts, path) = self.texts();
        let loaded = scenario::load_from(&Overlay(&texts), &path);
        match loaded.scenario {
            Some(scenario) => Ok((Arc::new(scenario), loaded.sources)),
            None => Err(format!("seed {}:\n{}", self.seed, render(&loaded.sources, &loaded.diagnostics, false))),
        }
    }

    /// Runs until an invariant breaks: that one, or none. A machine that never rests breaks one too: `rests`.
    pub fn run(&self, make: &dyn Make) -> Result<Option<Violation>, String> {
        self.run_covered(make).map(|(violation, _)| violation)
    }

    /// The same, and what it went through.
    pub fn run_covered(&self, make: &dyn Make) -> Result<(Option<Violation>, Covered), String> {
        let mut run = EventRun::new(&self.scenario()?, None, make);
        run.leave_out_traffic();
        let rested = run.play_until(|run| !run.watch().violations.is_empty());
        let verbs = self.lines.iter().filter_map(|line| line.what.split_whitespace().next());
        let covered = Covered::of(verbs, &run.world().trace);
        let violation = match rested {
            Err(text) => Some(Violation { at: run.world().now(), invariant: "rests", text }),
            Ok(()) => run.watch().violations.first().cloned(),
        };
        Ok((violation, covered))
    }

    /// Runs to the end and keeps everything; with the files that it is about.
    pub fn report(&self, make: &dyn Make) -> Result<(Report, Sources), String> {
        let (scenario, sources) = self.load()?;
        let mut run = EventRun::new(&scenario, None, make);
        run.play()?;
        Ok((Report::new(run.conclude()?), sources))
    }

    /// Writes its files into `folder`; returns the scenario's own. A given cluster's configurations stay where they are.
    pub fn write(&self, folder: &Path, head: &str) -> io::Result<PathBuf> {
        let (texts, main) = self.texts();
        let folder = match &self.ground {
            Ground::Drawn(_) => folder.join(format!("seed-{}", self.seed)),
            Ground::Given(_) => folder.to_owned(),
        };
        if !folder.as_os_str().is_empty() {
            std::fs::create_dir_all(&folder)?;
        }
        for (path, text) in &texts {
            let head = if *path == main { head } else { "" };
            std::fs::write(folder.join(path), [head.as_bytes(), text].concat())?;
        }
        Ok(folder.join(main))
    }
}
