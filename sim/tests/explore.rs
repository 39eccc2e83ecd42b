//! The explorer as a tool: what it finds is small, reproducible and the same every time.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

#[path = "explore/planted.rs"]
#[expect(dead_code, reason = "one fault is enough here; tests/explore_planted.rs has them all")]
mod planted;

use planted::Fault;
use std::path::Path;
use std::sync::Arc;
use vipward_sim::drill::{Options, drill};
use vipward_sim::explore::{Case, Clusters, Found, Given, Sweep};
use vipward_sim::report::Report;
use vipward_sim::runner;
use vipward_sim::runner::events::{EventRun, Product};
use vipward_sim::scenario::{self, Scenario};
use vipward_sim::timeline;

fn sweep(seeds: u64, jobs: usize) -> Sweep {
    Sweep { base: 1, seeds, seconds: 120, jobs, clusters: Clusters::Any, most: 2 }
}

fn json(report: &Report) -> String {
    serde_json::to_string_pretty(&report.json()).unwrap()
}

/// All that a sweep says, as text.
fn said(fault: Fault, jobs: usize) -> Vec<String> {
    let mut said = Vec::new();
    let make = fault;
    let take = |found: Found| {
        let Found { seed, violation, case, shrunk } = found;
        let (texts, path) = case.texts();
        let (report, _) = case.report(&make).unwrap();
        said.push(format!("{seed} {violation:?} {shrunk:?} {path:?} {texts:?} {}", timeline::render(&report.run)));
        Ok(())
    };
    sweep(30, jobs).run(&make, |_| (), take).unwrap();
    said
}

#[test]
fn what_is_found_is_shrunk_and_its_file_reproduces_it() {
    let make = Fault::PriorityZeroIgnored;
    let mut found = Vec::new();
    sweep(30, 2)
        .run(
            &make,
            |_| (),
            |it| {
                found.push(it);
                Ok(())
            },
        )
        .unwrap();
    let Found { case, shrunk, .. } = found.first().unwrap();
    let steps: Vec<&str> = case.lines.iter().map(|line| line.what.as_str()).collect();
    assert!(steps.len() <= 2 && steps.iter().any(|step| step.starts_with("stop")), "{steps:?}");

    let folder = tempfile::tempdir().unwrap();
    let path = case.write(folder.path(), "# how it was found\n").unwrap();
    let scenario = Arc::new(scenario::load(&path).scenario.unwrap());
    let mut run = EventRun::new(&scenario, None, &make);
    run.play().unwrap();
    let again = run.watch().violations.first().unwrap();
    assert_eq!((again.invariant, &again.text), (shrunk.invariant, &shrunk.text));
    // The product itself says its goodbyes.
    assert_eq!(runner::events::run(&scenario, None).unwrap().violations, []);
}

#[test]
fn one_seed_gives_the_same_bytes_whoever_runs_it() {
    let once = said(Fault::AddressKept, 1);
    assert_eq!(once.len(), 2);
    assert_eq!(once, said(Fault::AddressKept, 3));
    let record = |seed| json(&Case::draw(seed, 60, &Clusters::Any).unwrap().report(&Product).unwrap().0);
    assert_eq!(record(7), record(7));
    assert_ne!(record(7), record(8));
}

#[test]
fn a_given_scenario_keeps_its_network_and_gets_other_faults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/split-brain.toml");
    let given = Given::read(&path).unwrap();
    let original = scenario::load(&path).scenario.unwrap();
    let case = Case::draw(3, 120, &Clusters::Given(given.clone())).unwrap();
    let drawn = case.scenario().unwrap();
    let names = |scenario: &scenario::Scenario| scenario.nodes.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&drawn), names(&original));
    assert!(drawn.expectations.is_empty() && drawn.steps.len() == case.lines.len());
    assert_eq!(
        Sweep { clusters: Clusters::Given(given), ..sweep(20, 2) }
            .run(&Product, |_| (), |found| Err(format!("{found:?}")))
            .map(|swept| swept.seeds),
        Ok(20)
    );
}

#[test]
fn the_files_of_a_cluster_are_explored_on_the_network_of_their_drill() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = |folder: &str, names: [&str; 2]| names.map(|name| scenarios.join(folder).join(name));
    for folder in ["two-directors", "lvs-dr", "quick-and-slow"] {
        let files = files(folder, ["lb1.conf", "lb2.conf"]);
        let case = Case::draw(3, 120, &Clusters::Given(Given::of_files(&files).unwrap())).unwrap();
        let drawn = case.scenario().unwrap();
        let drill =
            drill(&files, &Options { only: Some("nothing happens".to_owned()), ..Options::default() }, |_, _| ());
        let drilled = &drill.rows.first().unwrap().run.scenario;
        let ports =
            |scenario: &Scenario| format!("{:?}", scenario.nodes.iter().map(|it| &it.ports).collect::<Vec<_>>());
        assert_eq!(ports(&drawn), ports(drilled), "{folder}");
        // Wherever it is written, it reads the same.
        let elsewhere = tempfile::tempdir().unwrap();
        let path = case.write(elsewhere.path(), "").unwrap();
        assert_eq!(path, elsewhere.path().join("lb1-lb2-seed-3.toml"));
        assert_eq!(ports(&scenario::load(&path).scenario.unwrap()), ports(&drawn));
    }
    let mistakes = Given::of_files(&files("tutorial", ["master.conf", "backup.conf"])).unwrap_err();
    assert!(mistakes.contains("error[slash-comment]"), "{mistakes}");
}

/// Random faults are a harder test of the model than the scenarios: the spoken run and the modelled one are the same.
#[test]
fn drawn_clusters_tell_the_same_story_in_both_runners() {
    for seed in 1..=6 {
        let case = Case::draw(seed, 40, &Clusters::Any).unwrap();
        let scenario = case.scenario().unwrap();
        let spoken = json(&Report::new(runner::run(&scenario, None).unwrap()));
        let modelled = json(&case.report(&Product).unwrap().0);
        let differs = spoken.lines().zip(modelled.lines()).find(|(one, other)| one != other);
        assert!(spoken == modelled, "seed {seed}: {differs:?}");
    }
}

/// Where there is no real server the directors' own services fail, and scripts are there that see it.
#[test]
fn services_of_directors_are_drawn() {
    let mut seen = [("down = ", false), ("flap = ", false), ("hang = ", false), ("status = ", false)];
    for seed in 0..400 {
        let case = Case::draw(seed, 600, &Clusters::Any).unwrap();
        let tracked = case.scenario().unwrap().directors().any(|(_, director)| !director.tracks.is_empty());
        for line in case.lines.iter().filter(|line| line.what.contains(":80\"")) {
            assert!(tracked, "{line:?}");
            seen.iter_mut().filter(|(verb, _)| line.what.starts_with(verb)).for_each(|(_, seen)| *seen = true);
        }
    }
    assert!(seen.iter().all(|(_, seen)| *seen), "{seen:?}");
}
