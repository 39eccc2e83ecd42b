//! Replay of a director that had more than one process: one director is one lane.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod recorded;

use recorded::{Act, FIRST, Saved, again, command, data, roles, saved, tracks};
use vipward_core::quantity::Role;
use vipward_core::time::Instant;
use vipward_sim::replay::{self, Verdict};
use vipward_sim::timeline;

fn page(saved: &Saved) -> serde_json::Value {
    data(&replay::page::page(&tracks(saved)))
}

fn names(saved: &Saved) -> Vec<String> {
    replay::lane::lanes(&tracks(saved)).iter().map(|lane| lane.name.to_owned()).collect()
}

/// No instant at which both are MASTER, but for the millisecond that an advert travels.
fn one_master(page: &serde_json::Value) {
    let master = |node| roles(page, node).into_iter().filter(|(_, _, text)| text == "MASTER").collect::<Vec<_>>();
    let (one, other) = (master("lb1"), master("lb2"));
    assert!(!one.is_empty());
    for (from, until, _) in &one {
        let both = other.iter().find(|(begins, ends, _)| from + 1 < *ends && begins + 1 < *until);
        assert!(both.is_none(), "lb1 is MASTER from {from} to {until} ms, lb2 too: {both:?}");
    }
}

#[test]
fn an_upgrade_is_one_role_without_a_gap_and_without_a_second_owner() {
    let saved = saved(&[(9_500, Act::Upgrade(FIRST)), (14_321, Act::Upgrade(FIRST))]);
    let (status, out, err) = command(&saved.paths, &[]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert_eq!(names(&saved), ["lb1", "lb2"]);
    insta::assert_snapshot!(out);
    let page = page(&saved);
    one_master(&page);
    let texts = |node| roles(&page, node).into_iter().map(|(_, _, text)| text).collect::<Vec<_>>();
    assert_eq!(texts("lb1"), ["BACKUP", "MASTER"]);
    assert_eq!(texts("lb2"), ["BACKUP"]);
}

/// The old process goes on, and is the one that acts.
#[test]
fn an_upgrade_that_fails_is_one_role_too() {
    let saved = saved(&[(9_500, Act::FailedUpgrade), (14_000, Act::Stop)]);
    let (status, out, _) = command(&saved.paths, &[]);
    assert_eq!(status, 0, "{out}");
    assert_eq!(names(&saved), ["lb1", "lb2"]);
    assert!(
        out.contains("the new process did not take over: the old one goes on") && !out.contains("upgraded"),
        "{out}"
    );
    let page = page(&saved);
    one_master(&page);
    let texts: Vec<_> = roles(&page, "lb1").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["BACKUP", "MASTER", "no daemon"], "{out}");
}

#[test]
fn a_moment_after_an_upgrade_has_one_state_and_the_cause_from_before_it() {
    let saved = saved(&[(9_500, Act::Upgrade(FIRST)), (14_000, Act::Stop)]);
    let at = command(&saved.paths, &["--at", "9.502s"]).1;
    let heads: Vec<&str> = at.lines().filter(|line| line.contains(" at 9.502 s")).collect();
    assert_eq!(heads.len(), 2, "one of each director: {at}");
    let at = command(&saved.paths, &["--at", "12s"]).1;
    assert_eq!(at.matches("VI_1 MASTER, priority 150").count(), 1, "{at}");
    assert!(at.contains("-> VI_1: goes on as MASTER"), "what happened before is that of both processes: {at}");
    let why = command(&saved.paths, &["--why", "INIT"]).1;
    assert!(why.contains("MASTER since 3."), "since when it is MASTER, not since the upgrade: {why}");
}

/// Its record ends, the next begins: no second lane, and a role that was taken up again.
#[test]
fn a_crash_and_a_restart_are_one_lane() {
    let saved = saved(&[(9_500, Act::Crash)]);
    let (status, out, _) = command(&saved.paths, &[]);
    assert_eq!(status, 0, "{out}");
    assert_eq!(names(&saved), ["lb1", "lb2"]);
    assert!(out.contains("KILLED") && out.contains("goes on as MASTER") && !out.contains("upgraded"), "{out}");
    let page = page(&saved);
    one_master(&page);
    let texts: Vec<_> = roles(&page, "lb1").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["BACKUP", "MASTER", "no daemon", "MASTER"], "{out}");
}

#[test]
fn a_stop_and_a_start_are_one_lane() {
    let saved = saved(&[(8_000, Act::Stop), (12_000, Act::Start(FIRST)), (16_000, Act::Reload(90))]);
    let tracks = tracks(&saved);
    assert_eq!(tracks.len(), 3);
    assert!(tracks.iter().all(|track| replay::summary(track).1 == Verdict::AsRecorded));
    assert_eq!(names(&saved), ["lb1", "lb2"]);
    let page = page(&saved);
    let texts: Vec<_> = roles(&page, "lb1").into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts, ["BACKUP", "MASTER", "no daemon", "BACKUP", "MASTER", "BACKUP"]);
    one_master(&page);
}

/// Without the first process's file: what is left is told as far as it goes.
#[test]
fn a_successor_alone_begins_where_it_took_over() {
    let saved = saved(&[(9_500, Act::Upgrade(FIRST))]);
    let only = [saved.paths[0].clone(), saved.paths[2].clone()];
    let tracks = replay::read(&only).unwrap();
    let text = timeline::render(&replay::story::story(&tracks));
    assert!(text.contains("goes on as MASTER") && !text.contains("upgraded"), "{text}");
    let first = replay::read(&saved.paths[..2]).unwrap();
    let text = timeline::render(&replay::story::story(&first));
    assert!(text.contains("handed over to a new process, which these files don't have"), "{text}");
}

/// Two machines that were given one name are two lanes: they act at once.
#[test]
fn two_directors_of_one_name_are_two_lanes() {
    use vipward_core::record::{Begin, Entry, Reader, Writer};
    let saved = saved(&[]);
    let bytes = std::fs::read(&saved.paths[0]).unwrap();
    let mut writer = Writer::default();
    for found in Reader::new(&bytes) {
        writer.entry(&match found.unwrap().entry {
            Entry::Begin(begin) => Entry::Begin(Begin { director: "lb1".to_owned(), ..begin }),
            entry => entry,
        });
    }
    std::fs::write(&saved.paths[0], writer.take()).unwrap();
    assert_eq!(names(&saved), ["lb1", "lb1-2"]);
    let why = replay::explain::why(&tracks(&saved), Role::Master);
    assert!(why.contains("lb1: VI_1") || why.contains("lb1-2: VI_1"), "{why}");
    assert!(replay::explain::at(&tracks(&saved), Instant::from_millis(9_000)).contains("lb1-2 at 9"));
}

#[test]
fn an_upgrade_becomes_the_upgrade_of_a_scenario() {
    let (timeline, steps) = again(&saved(&[(9_500, Act::Upgrade(FIRST)), (14_321, Act::Upgrade(FIRST))]));
    assert_eq!(steps, [r#"{ at = "9500ms", upgrade = "lb1" },"#, r#"{ at = "14321ms", upgrade = "lb1" },"#]);
    assert_eq!(timeline.matches("goes on as MASTER").count(), 2, "{timeline}");
}

/// The new process reads another file: an upgrade, and a reload when it is done.
#[test]
fn an_upgrade_with_another_configuration_is_an_upgrade_and_a_reload() {
    let (timeline, steps) = again(&saved(&[(9_500, Act::Upgrade(90)), (14_000, Act::Reload(FIRST))]));
    assert_eq!(steps.len(), 3, "{steps:#?}");
    assert!(steps[0].contains(r#"at = "9500ms", upgrade = "lb1""#), "{steps:#?}");
    assert!(steps[1].contains(r#"at = "9520ms", reload = "lb1", with = "again/lb1-1.conf""#), "{steps:#?}");
    assert!(steps[2].contains(r#"at = "14000ms", reload = "lb1", with = "again/lb1-2.conf""#), "{steps:#?}");
    assert!(timeline.contains("192.0.2.12 has the higher priority"), "{timeline}");
}

#[test]
fn an_upgrade_that_failed_is_no_step() {
    let (_, steps) = again(&saved(&[(9_500, Act::FailedUpgrade), (14_000, Act::Stop)]));
    assert_eq!(steps, [r#"{ at = "14000ms", stop = "lb1" },"#]);
}

#[test]
fn a_crash_becomes_a_death_and_a_start() {
    let (timeline, steps) = again(&saved(&[(9_500, Act::Crash)]));
    assert_eq!(steps.len(), 2, "{steps:#?}");
    assert!(steps[0].contains("kill = \"lb1\"") && steps[1].contains("start = \"lb1\""), "{steps:#?}");
    assert!(timeline.contains("goes on as MASTER"), "{timeline}");
}

/// It starts with another file than it was stopped with.
#[test]
fn a_stop_and_a_start_with_another_file_are_steps() {
    let acts = [(8_000, Act::Stop), (12_000, Act::Start(90)), (16_000, Act::Reload(FIRST))];
    let (timeline, steps) = again(&saved(&acts));
    let words = ["stop = ", "start = ", "reload = ", "reload = "];
    assert_eq!(steps.len(), words.len(), "{steps:#?}");
    assert!(steps.iter().zip(words).all(|(step, word)| step.contains(word)), "{steps:#?}");
    assert!(steps[2].contains("12001ms") && steps[3].contains("16000ms"), "{steps:#?}");
    // With 90 it leaves lb2 its role, with 150 it takes it.
    assert_eq!(timeline.matches("BACKUP -> MASTER").count(), 3, "{timeline}");
}
