//! Replay of a director that had more than one process: one director is one lane.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod recorded;

use recorded::{Act, FIRST, Saved, again, command, data, roles, saved, tracks};
use vipward_core::quantity::Role;
use vipward_core::time::Instant;
use vipward_sim::replay::{self, Ending};
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
    assert!(tracks.iter().all(|track| replay::summary(track).1 == Ending::AsRecorded));
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

/// A file with three sections, of which the beginning is overwritten: the rest is replayed and checked, and what is missing
/// is named by its place.
#[test]
fn a_file_whose_first_half_is_overwritten_is_replayed_from_the_next_beginning() {
    let saved = recorded::saved_in_sections(&[(12_000, Act::Reload(90))], 4_000);
    let lb1 = &saved.paths[1];
    let (status, out, _) = command(&saved.paths, &["--at", "17s"]);
    assert!(status == 0 && out.contains("VI_1 BACKUP, priority 90"), "{out}");
    let bytes = std::fs::read(lb1).unwrap();
    let sections: Vec<usize> =
        (0..bytes.len() - 4).filter(|at| bytes[*at..at + 4] == [0x0a, 0x0d, 0x0d, 0x0a]).collect();
    assert_eq!(sections.len(), 5);
    // All of the first two sections but for the very last bytes, and the file's first block is gone too.
    for (first, last) in [(0, sections[2] - 40), (0, 3), (sections[1] + 200, sections[1] + 210)] {
        let mut broken = bytes.clone();
        broken[first..=last].fill(0xa5);
        std::fs::write(lb1, &broken).unwrap();
        let (status, out, err) = command(&saved.paths, &["--at", "17s"]);
        assert_eq!((status, err.as_str()), (2, ""), "{out}");
        let again = sections.iter().find(|section| **section > last).unwrap();
        assert!(out.contains(&format!("bytes are passed over, replayed again from byte {again}\n")), "{out}");
        assert!(out.contains("block ") && out.contains("every effect is the one recorded"), "{out}");
        assert!(out.contains("VI_1 BACKUP, priority 90"), "{out}");
        let track = tracks(&saved).into_iter().find(|track| track.name == "lb1").unwrap();
        let checked = replay::walk(&track, |_| {});
        assert_eq!((checked.checked, checked.differences.len()), (checked.steps, 0), "all that is left is checked");
        assert!(checked.steps > 5 && track.whole == (first > 0));
        let text = timeline::render(&replay::story::story(&tracks(&saved)));
        assert!(text.contains("MASTER -> BACKUP") && !text.contains("KILLED"), "{text}");
    }
}

/// lb2 hears lb1 until 9.416 s. Without the last four adverts it would have taken over four seconds earlier.
#[test]
fn without_adverts_a_backup_takes_over_earlier() {
    let saved = saved(&[(9_500, Act::Kill)]);
    let (status, out, err) = command(&saved.paths, &["--what-if", "without lb1's adverts from 6 s to 10 s"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    let answer = out.split_once("\n\n").unwrap().1;
    insta::assert_snapshot!(answer);

    // One advert less changes nothing: three of them must be missing.
    let (_, out, _) = command(&saved.paths, &["--what-if", "without lb1's advert at 6.4 s"]);
    assert!(out.contains("lb2: 1 advert is left out, at 6.416 s"), "{out}");
    assert!(out.contains("nothing would have been decided otherwise"), "{out}");
    // The last one is what its Master_Down_Timer counts from.
    let (_, out, _) = command(&saved.paths, &["--what-if", "without lb1's advert at 9.4s"]);
    assert!(out.contains("the first decision that differs: 12.025 s  VI_1: BACKUP -> MASTER"), "{out}");
    assert!(out.contains("as it was: 13.025 s  VI_1: BACKUP -> MASTER"), "{out}");
}

#[test]
fn a_phrase_that_makes_no_sense_is_shown_with_its_place() {
    let error = |phrase| replay::what_if::parse(phrase).unwrap_err();
    assert_eq!(
        error("without lb2's advert at noon"),
        "expected a time like `12.3 s`, in whole milliseconds\n  without lb2's advert at noon\n                          ^^^^"
    );
    assert_eq!(error("with lb2"), "expected `without`\n  with lb2\n  ^^^^");
    assert_eq!(
        error("without lb2's adverts from 5s to 3 s"),
        "this is before the beginning\n  without lb2's adverts from 5s to 3 s\n                                     ^"
    );
    assert!(error("without lb2").contains("expected the name of a director and `'s`"));
    assert!(error("without lb2's").contains("expected `advert at` or `adverts from`"));
    assert!(error("without lb2's advert at 3 s and more").contains("expected nothing more"));
    for phrase in ["without lb2's advert at 12.3 s", "without lb2's advert at 12.3s", "without lb2's advert at 12.3"] {
        let without = replay::what_if::parse(phrase).unwrap();
        assert_eq!((&*without.director, without.from, without.until), ("lb2", Instant::from_millis(12_300), None));
    }
    let saved = saved(&[]);
    let (status, _, err) = command(&saved.paths, &["--what-if", "without lb9's advert at 3 s"]);
    assert!(status == 2 && err.contains("there is no director `lb9` in these recordings; there is lb"), "{err}");
    let (status, _, err) = command(&saved.paths, &["--what-if", "without lb1's advert at 1 s"]);
    assert!(status == 2 && err.contains("nobody in these recordings heard lb1's advert at 1.000 s"), "{err}");
    assert_eq!(command(&saved.paths, &["--what-if", "without"]).0, 2);
}

#[test]
fn a_moment_is_explained_across_an_upgrade() {
    let saved = saved(&[(9_500, Act::Upgrade(FIRST)), (14_000, Act::Kill)]);
    let (status, out, _) = command(&saved.paths, &["--explain", "12.3s"]);
    assert_eq!(status, 0, "{out}");
    insta::assert_snapshot!(out.split_once("\n\n").unwrap().1);
    let out = command(&saved.paths, &["--explain", "16.5s"]).1;
    assert!(out.contains("lb1: no process of it is recorded at 16.500 s"), "{out}");
    assert!(out.contains("VI_1 at 16.500 s: nobody had it") && out.contains("lb2 takes over at"), "{out}");
}
