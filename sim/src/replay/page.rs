//! A replay as one page: the story of the tracks, beside the configurations that were recorded with them.

use super::story::story;
use super::track::{Item, Track};
use super::words::utc;
use super::{Ending, summary};
use crate::drill::words::list;
use crate::html;
use crate::report::Report;
use crate::scenario::{Action, ConfigFile, NodeId, NodeKind, Scenario, Step};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use vipward_core::config::{self, Config};
use vipward_core::record::File;
use vipward_core::text::{Diagnostic, Sources, Span};
use vipward_core::time::Instant;

/// The page.
pub fn page(tracks: &[Track]) -> String {
    let mut run = story(tracks);
    let mut scenario = Arc::unwrap_or_clone(run.scenario);
    let sources = configure(&mut scenario, tracks);
    let names: Vec<&str> = scenario.nodes.iter().map(|node| &*node.name).collect();
    scenario.name = format!("Replay of {}", list(&names));
    let first = tracks.first().map(|track| track.epoch.saturating_add(track.span().0.as_nanos()));
    scenario.title = format!("Since {}", utc(first.unwrap_or_default()));
    run.scenario = Arc::new(scenario);
    let failures = tracks.iter().filter_map(failure).collect();
    html::replay_page(&Report { run, failures }, &sources)
}

/// What a track is not as recorded in.
fn failure(track: &Track) -> Option<Diagnostic> {
    let (text, verdict) = summary(track);
    let code = match verdict {
        Ending::AsRecorded => return None,
        Ending::Differs => "differs",
        Ending::Damaged => "damaged",
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let finding = Diagnostic::error(code, lines.next().unwrap_or_default());
    Some(lines.fold(finding, |finding, line| finding.note(line)))
}

/// Reads the recorded texts and gives each director the configuration that it began with, and those that came later as
/// steps. Returns the texts, each under its director's name.
fn configure(scenario: &mut Scenario, tracks: &[Track]) -> Sources {
    let (mut read, mut shown) = (Sources::default(), Sources::default());
    let mut last: BTreeMap<NodeId, &[File]> = BTreeMap::new();
    for track in tracks {
        let Some(node) = scenario.by_name(&track.name) else { continue };
        for item in &track.items {
            let Item::Files { at, files } = item else { continue };
            if last.get(&node) == Some(&files.as_slice()) {
                continue;
            }
            let later = last.insert(node, files).is_some();
            let config = Arc::new(parse(&mut read, &track.name, files));
            let from = if later { format!(" (from {} s)", track.common(*at)) } else { String::new() };
            for id in read.ids().skip(shown.ids().count()) {
                shown.add(format!("{}: {}{from}", track.name, read.name(id)), read.text(id));
            }
            place(scenario, node, later.then(|| track.common(*at)), config);
        }
    }
    shown
}

/// The first file includes the others.
fn parse(sources: &mut Sources, director: &str, files: &[File]) -> Config {
    let texts: BTreeMap<PathBuf, Vec<u8>> =
        files.iter().map(|file| (PathBuf::from(&file.name), file.text.clone().into_bytes())).collect();
    let main = files.first().map(|file| PathBuf::from(&file.name)).unwrap_or_default();
    let options = config::Options { config_id: director.to_owned(), ..config::Options::default() };
    config::load(sources, &texts, &main, &options).best_effort().clone()
}

fn place(scenario: &mut Scenario, node: NodeId, reloaded: Option<Instant>, config: Arc<Config>) {
    let file = ConfigFile { path: PathBuf::new(), config: Some(config), codes: Vec::new(), settings: None };
    match (reloaded, scenario.nodes.get_mut(node.0).map(|node| &mut node.kind)) {
        (Some(at), _) => {
            scenario.steps.push(Step { at, action: Action::Reload { node, file }, span: Span::default() });
        }
        (None, Some(NodeKind::Director(director))) => director.config = file,
        (None, _) => {}
    }
}
