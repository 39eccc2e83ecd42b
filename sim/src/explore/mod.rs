//! The explorer: random clusters, random faults, every invariant on; what fails is shrunk and written down.

pub mod dice;
pub mod draft;
pub mod schedule;

use crate::invariants::Violation;
use crate::runner::events::{Cast, Stage};
use crate::scenario::{self, Scenario};
use dice::Dice;
use draft::{Draft, Texts};
use schedule::{Line, Targets};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a seed stands for.
#[derive(Clone, Debug)]
pub struct Case {
    pub seed: u64,
    pub seconds: u64,
    pub draft: Draft,
    pub lines: Vec<Line>,
}

impl Case {
    pub fn draw(seed: u64, seconds: u64) -> Result<Self, String> {
        let draft = Draft::draw(&mut Dice::new(seed, 1));
        let mut case = Self { seed, seconds, draft, lines: Vec::new() };
        let calm = case.scenario()?.0;
        let mut targets = Targets::of(&calm);
        for director in &case.draft.directors {
            targets.reloads.push((format!("lb{}", director.number), director.file(true).display().to_string()));
        }
        case.lines = schedule::draw(&targets, seconds * 700, &mut Dice::new(seed, 2));
        Ok(case)
    }

    pub fn texts(&self) -> (Texts, PathBuf) {
        let (mut texts, network) = self.draft.texts();
        let path = PathBuf::from(format!("seed-{}.toml", self.seed));
        let mut text = format!(
            "title = \"What seed {} draws\"\nseed = {}\nduration = \"{}s\"\n\nsteps = [\n",
            self.seed, self.seed, self.seconds
        );
        for Line { at, what } in &self.lines {
            let _ = writeln!(text, "    {{ at = \"{at}ms\", {what} }},");
        }
        text.push_str("]\n\n");
        text.push_str(&network);
        texts.insert(path.clone(), text.into_bytes());
        (texts, path)
    }

    pub fn scenario(&self) -> Result<(Arc<Scenario>, Texts, PathBuf), String> {
        let (texts, path) = self.texts();
        let loaded = scenario::load_from(&texts, Path::new(&path));
        let Some(scenario) = loaded.scenario else {
            return Err(vipward_core::config::render(&loaded.sources, &loaded.diagnostics, false));
        };
        Ok((Arc::new(scenario), texts, path))
    }
}

/// Runs a case; what broke.
pub fn run(case: &Case, cast: Cast<'_>) -> Result<Vec<Violation>, String> {
    let (scenario, ..) = case.scenario()?;
    let mut stage = Stage::new(&scenario, None, cast);
    stage.leave_out_traffic();
    stage.play_until(|stage| !stage.watch().violations.is_empty())?;
    Ok(stage.watch().violations.clone())
}
