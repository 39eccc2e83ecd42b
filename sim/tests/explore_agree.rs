//! Every scenario tells the same story in both runners: the same events at the same milliseconds in the same order,
//! each advert, announcement, decision, table operation and client outage, and the same invariants broken.
//!
//! Both take time in steps of 1 ms, draw losses from the same streams of random numbers and let a packet travel for one
//! step, so nothing has to be forgiven. What the event queue models and the turmoil runner speaks (TCP handshakes, HTTP,
//! the driver's turns) shows as a difference here as soon as the model is wrong.

use std::path::Path;
use std::sync::Arc;
use vipward_sim::report::Report;
use vipward_sim::runner::{self, events};
use vipward_sim::{scenario, timeline};

#[test]
fn both_runners_tell_the_same_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = scenario::scenario_files(&folder).unwrap();
    assert!(!files.is_empty());
    for path in files {
        let scenario = Arc::new(scenario::load(&path).scenario.unwrap());
        let spoken = Report::new(runner::run(&scenario, None).unwrap());
        let modelled = Report::new(events::run(&scenario, None).unwrap());
        let json = |report: &Report| serde_json::to_string_pretty(&report.json()).unwrap();
        let (spoken_json, modelled_json) = (json(&spoken), json(&modelled));
        let differs = spoken_json.lines().zip(modelled_json.lines()).find(|(one, other)| one != other);
        assert!(
            spoken_json == modelled_json,
            "{}: {differs:?}\nturmoil:\n{}\nevents:\n{}",
            path.display(),
            timeline::render(&spoken.run),
            timeline::render(&modelled.run),
        );
    }
}
