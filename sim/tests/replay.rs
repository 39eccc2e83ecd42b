//! Replay: recordings that two directors of a small test world left, whole and in every bad shape.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use vipward_core::config::{Config, Options, load};
use vipward_core::interface::{AddressKey, InterfaceName, Link, ObservedAddress};
use vipward_core::machine::{Input, Machine, Output};
use vipward_core::quantity::Role;
use vipward_core::record::{Begin, Entry, File, Recorded, Recorder, Step, Writer};
use vipward_core::text::{Sources, render};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{self, Effect, Election, Event};
use vipward_sim::replay::{self, Ending, Track};
use vipward_sim::{report, runner, scenario, timeline};

#[derive(Clone, Default)]
struct Kept {
    entries: Rc<RefCell<Vec<Entry>>>,
    generation: Rc<Cell<u64>>,
}

impl Recorder for Kept {
    fn take(&mut self, entry: Entry) -> bool {
        self.entries.borrow_mut().push(entry);
        true
    }

    fn generation(&self) -> u64 {
        self.generation.get()
    }
}

/// What happens to lb1, from when until when.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Killed(u64),
    /// It is killed and starts again.
    Returned(u64, u64),
    /// lb2 does not hear lb1.
    Unheard(u64, u64),
    Frozen(u64, u64),
    /// The cable of eth1 is out, which has no address and is tracked.
    Unplugged(u64, u64),
}

fn text_of(fault: Fault, priority: u8) -> String {
    match fault {
        Fault::Unplugged(..) => {
            text(priority).replace("    advert_int", "    track_interface {\n        eth1\n    }\n    advert_int")
        }
        Fault::None | Fault::Killed(_) | Fault::Returned(..) | Fault::Unheard(..) | Fault::Frozen(..) => text(priority),
    }
}

fn text(priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{\n    interface eth0\n    virtual_router_id 51\n    priority {priority}\n    \
         advert_int 1\n    virtual_ipaddress {{\n        192.0.2.100/24\n    }}\n}}\n"
    )
}

fn config(text: &str) -> Arc<Config> {
    let files = BTreeMap::from([(PathBuf::from("lb.conf"), text.as_bytes().to_vec())]);
    Arc::new(load(&mut Sources::default(), &files, Path::new("lb.conf"), &Options::default()).config.unwrap())
}

fn first_events(host: u8, text: &str) -> Vec<vrrp::Input> {
    let key = AddressKey { interface: InterfaceName::new("eth0"), address: [192, 0, 2, host].into(), prefix_len: 24 };
    let tracked = text.contains("eth1").then_some("eth1");
    let links = std::iter::once("eth0").chain(tracked);
    let links = links.map(|name| Link { name: InterfaceName::new(name), running: true }).collect();
    vec![
        Event::LinksRead(links).into(),
        Event::AddressesRead(vec![ObservedAddress { key, ours: false }]).into(),
        Input::ConfigLoaded { config: config(text), seed: 7 },
    ]
}

/// Two directors for 20 s; a new file begins at 8 s. The entries of both, without beginnings. lb2's clock is 5,000 s ahead.
fn world(fault: Fault) -> [Vec<Entry>; 2] {
    let texts = [text_of(fault, 150), text_of(fault, 100)];
    let kept = [Kept::default(), Kept::default()];
    let mut machines = kept.clone().map(|kept| Recorded::new(Election::default(), kept));
    let mut mail: Vec<(usize, vrrp::Input)> = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        mail.extend(first_events(11 + at as u8, text).into_iter().map(|event| (at, event)));
    }
    for millis in 0..20_000 {
        if millis == 8_000 {
            kept.iter().for_each(|kept| kept.generation.set(1));
        }
        if matches!(fault, Fault::Returned(_, back) if millis == back) {
            machines[0] = Recorded::new(Election::default(), kept[0].clone());
            mail.retain(|(who, _)| *who == 1);
            mail.extend(first_events(11, &texts[0]).into_iter().map(|event| (0, event)));
        }
        if let Fault::Unplugged(from, until) = fault
            && [from, until].contains(&millis)
        {
            let link = Link { name: InterfaceName::new("eth1"), running: millis == until };
            mail.push((0, Event::LinkChanged(link).into()));
        }
        let runs = |who: usize| match fault {
            Fault::Killed(at) => who == 1 || millis < at,
            Fault::Returned(from, until) | Fault::Frozen(from, until) => who == 1 || !(from..until).contains(&millis),
            Fault::None | Fault::Unheard(..) | Fault::Unplugged(..) => true,
        };
        let clock = |who: usize| Instant::from_millis(millis + if who == 1 { 5_000_000 } else { 0 });
        // What waits is heard before a timer, as the driver does it.
        let mut now = std::mem::take(&mut mail);
        for (who, machine) in machines.iter().enumerate() {
            if machine.next_wakeup().is_some_and(|(at, _)| at <= clock(who)) {
                now.push((who, Input::Wakeup));
            }
        }
        for (who, event) in now {
            if !runs(who) {
                mail.extend((event != Input::Wakeup).then_some((who, event)));
                continue;
            }
            for effect in machines[who].handle(event, clock(who)).into_effects() {
                let lost = who == 0 && matches!(fault, Fault::Unheard(from, until) if (from..until).contains(&millis));
                if let Effect::SendAdvert(advert) = effect
                    && !lost
                {
                    mail.push((1 - who, Event::AdvertReceived(advert).into()));
                }
            }
        }
    }
    kept.map(|kept| kept.entries.borrow().clone())
}

/// A director's entries as the files of a ring: two, where the new generation begins.
fn files(who: usize, entries: &[Entry]) -> Vec<Vec<u8>> {
    files_of_run(who as u64, who, entries)
}

fn files_of_run(run: u64, who: usize, entries: &[Entry]) -> Vec<Vec<u8>> {
    files_with(run, who, entries, &text(if who == 0 { 150 } else { 100 }))
}

fn files_with(run: u64, who: usize, entries: &[Entry], text: &str) -> Vec<Vec<u8>> {
    let second = entries.iter().rposition(|entry| matches!(entry, Entry::State { .. })).unwrap();
    let split = if second == 0 { vec![entries] } else { vec![&entries[..second], &entries[second..]] };
    let begin = |file| Begin {
        version: Begin::this_version(),
        director: format!("lb{}", who + 1),
        run,
        file,
        at: Instant::ZERO,
        // 2026-01-01, and the difference of the clocks.
        epoch: 1_767_225_600_000_000_000 - if who == 1 { 5_000_000_000_000 } else { 0 },
    };
    let texts = || Entry::Files(vec![File { name: format!("lb{}.conf", who + 1), text: text.to_owned() }]);
    split
        .into_iter()
        .enumerate()
        .map(|(file, entries)| {
            let mut writer = Writer::default();
            writer.entry(&Entry::Begin(begin(file as u64)));
            writer.entry(&texts());
            entries.iter().for_each(|entry| writer.entry(entry));
            writer.take()
        })
        .collect()
}

/// The files of both directors in a folder of their own.
struct Saved {
    folder: tempfile::TempDir,
    paths: Vec<PathBuf>,
}

fn save(directors: &[Vec<Vec<u8>>]) -> Saved {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (who, files) in directors.iter().enumerate() {
        for (number, bytes) in files.iter().enumerate() {
            let path = folder.path().join(format!("lb{}.{number}.pcapng", who + 1));
            std::fs::write(&path, bytes).unwrap();
            paths.push(path);
        }
    }
    Saved { folder, paths }
}

fn saved(fault: Fault) -> Saved {
    let [lb1, lb2] = world(fault);
    if let Fault::Unplugged(..) = fault {
        return save(&[files_with(0, 0, &lb1, &text_of(fault, 150)), files_with(1, 1, &lb2, &text_of(fault, 100))]);
    }
    if let Fault::Returned(..) = fault {
        let second = lb1.iter().rposition(|entry| matches!(entry, Entry::State { .. })).unwrap();
        let (first, second) = lb1.split_at(second);
        return save(&[files(0, first), files(1, &lb2), files_of_run(7, 0, second)]);
    }
    save(&[files(0, &lb1), files(1, &lb2)])
}

fn tracks(paths: &[PathBuf]) -> Vec<Track> {
    replay::read(paths).unwrap()
}

fn verdicts(tracks: &[Track]) -> Vec<Ending> {
    tracks.iter().map(|track| replay::summary(track).1).collect()
}

fn command(saved: &Saved, options: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vipward-sim")).arg("replay").args(&saved.paths).args(options).output();
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().replace(&saved.folder.path().display().to_string(), "FOLDER")
    };
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_failover_is_replayed_as_recorded_and_told() {
    let saved = saved(Fault::Killed(12_500));
    let (status, out, err) = command(&saved, &[]);
    assert_eq!((status, err.as_str()), (0, ""));
    insta::assert_snapshot!(out);
}

#[test]
fn why_and_at_explain() {
    let saved = saved(Fault::Killed(12_500));
    insta::assert_snapshot!(command(&saved, &["--why", "master"]).1);
    insta::assert_snapshot!(command(&saved, &["--at", "14.2s"]).1);
    assert_eq!(command(&saved, &["--at", "soon"]).0, 2);
}

#[test]
fn a_page_shows_the_timeline() {
    let saved = saved(Fault::Killed(12_500));
    let page = saved.folder.path().join("page.html");
    assert_eq!(command(&saved, &["--html", page.to_str().unwrap()]).0, 0);
    let data = data(&std::fs::read_to_string(page).unwrap());
    assert_eq!((&data["title"], &data["held"]), (&"Replay of lb1 and lb2".into(), &true.into()));
    let run = &data["runs"][0];
    let roles = |node: &str| -> Vec<String> {
        let lanes = run["lanes"].as_array().unwrap().iter();
        let lane = lanes.into_iter().find(|lane| lane["node"] == node && lane["kind"] == "role").unwrap();
        assert!(!lane["ticks"].as_array().unwrap().is_empty(), "adverts are ticks");
        lane["spans"].as_array().unwrap().iter().map(|span| span["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(roles("lb1"), ["BACKUP", "MASTER", "no daemon"]);
    assert_eq!(roles("lb2"), ["BACKUP", "MASTER"]);
    // The takeover lights the line of lb2's own file.
    let mut events = run["events"].as_array().unwrap().iter();
    let takeover = events.find(|it| it["text"].as_str().unwrap().contains("nothing from 192.0.2.11")).unwrap();
    let file = &data["files"][takeover["place"]["file"].as_u64().unwrap() as usize];
    let line = file["text"].as_str().unwrap().lines().nth(takeover["place"]["line"].as_u64().unwrap() as usize - 1);
    assert_eq!((&file["name"], line), (&"lb2: lb2.conf".into(), Some("    advert_int 1")));
}

/// A file from the middle of a ring: what was before is known from the state that it begins with.
#[test]
fn a_page_of_a_later_file_alone_begins_with_the_roles_of_then() {
    let saved = saved(Fault::None);
    let page = data(&replay::page::page(&tracks(&saved.paths[1..2])));
    let lane = &page["runs"][0]["lanes"][0];
    assert_eq!((&lane["node"], &lane["spans"][0]["text"]), (&"lb1".into(), &"MASTER".into()), "{page}");
}

/// What a page draws.
fn data(page: &str) -> serde_json::Value {
    let data = page.split_once("id=\"data\">").and_then(|(_, rest)| rest.split_once("</script>"));
    serde_json::from_str(data.unwrap().0).unwrap()
}

#[test]
fn every_file_is_checked_by_itself_and_the_ring_as_a_whole() {
    let saved = saved(Fault::None);
    for path in &saved.paths {
        let tracks = tracks(std::slice::from_ref(path));
        assert_eq!(verdicts(&tracks), [Ending::AsRecorded]);
        let checked = replay::walk(&tracks[0], |_| {});
        assert_eq!((checked.checked, checked.breaks.len()), (checked.steps, 0), "{}", path.display());
    }
    let mut paths = saved.paths.clone();
    paths.reverse();
    let tracks = tracks(&paths);
    assert_eq!(tracks.len(), 2);
    assert_eq!(verdicts(&tracks), [Ending::AsRecorded; 2]);
}

#[test]
fn an_effect_that_is_not_the_recorded_one_is_shown_with_what_came_before() {
    let [mut lb1, lb2] = world(Fault::Killed(12_500));
    let adds = |output: &Output<Effect>| matches!(output, Output::Effect(Effect::AddAddress(_)));
    let takeover = lb1.iter_mut().find_map(|entry| match entry {
        Entry::Step(Step::Election(step)) if step.output.iter().any(adds) => Some(step),
        _ => None,
    });
    let takeover = takeover.unwrap();
    takeover.output = std::mem::take(&mut takeover.output).into_iter().filter(|output| !adds(output)).collect();
    let saved = save(&[files(0, &lb1), files(1, &lb2)]);
    let (status, out, _) = command(&saved, &["--at", "1s"]);
    assert_eq!(status, 1);
    insta::assert_snapshot!(out.lines().take(14).collect::<Vec<_>>().join("\n"));
}

/// The effects are right, but from the recorded state on they would not be: the state itself is compared.
#[test]
fn a_state_that_is_not_the_recorded_one_is_a_difference() {
    let [mut lb1, _] = world(Fault::None);
    let [other, _] = world(Fault::Frozen(5_000, 6_500));
    let state = |entries: &[Entry]| entries.iter().rposition(|entry| matches!(entry, Entry::State { .. })).unwrap();
    let place = state(&lb1);
    lb1[place] = other[state(&other)].clone();
    let saved = save(&[files(0, &lb1)]);
    let (text, verdict) = replay::summary(&tracks(&saved.paths)[0]);
    assert_eq!(verdict, Ending::Differs);
    assert!(text.contains("another state than recorded"), "{text}");
}

#[test]
fn a_missing_file_is_said_and_what_follows_is_checked_again() {
    let [lb1, _] = world(Fault::None);
    let mut files = files(0, &lb1);
    // The second file as if it were the third.
    let third = files[1].clone();
    let mut writer = Writer::default();
    let entries: Vec<Entry> = vipward_core::record::Reader::new(&third).map(|found| found.unwrap().entry).collect();
    for entry in entries {
        writer.entry(&match entry {
            Entry::Begin(begin) => Entry::Begin(Begin { file: 2, ..begin }),
            entry => entry,
        });
    }
    files[1] = writer.take();
    let tracks = tracks(&save(&[files]).paths);
    let (text, verdict) = replay::summary(&tracks[0]);
    assert_eq!(verdict, Ending::AsRecorded);
    assert!(text.contains("a file is missing"), "{text}");
}

#[test]
fn a_file_that_is_cut_off_or_damaged_is_replayed_up_to_there() {
    let [lb1, _] = world(Fault::None);
    let bytes = files(0, &lb1).remove(0);
    let cut = save(&[vec![bytes[..bytes.len() - 10].to_vec()]]);
    let (status, out, _) = command(&cut, &["--at", "1s"]);
    assert_eq!(status, 0, "that is how a killed daemon leaves it");
    assert!(out.contains("cut off: byte") && out.contains("replayed up to there"), "{out}");

    let mut flipped = bytes.clone();
    // The address in the last advert.
    let last = bytes.windows(4).rposition(|window| window == [192, 0, 2, 100]).unwrap();
    flipped[last] ^= 0x10;
    let (status, out, _) = command(&save(&[vec![flipped]]), &["--at", "1s"]);
    assert!(status == 2 && out.contains("replayed up to there"), "{out}");

    let (status, _, err) = command(&save(&[vec![b"vrrp_instance VI_1 {".to_vec()]]), &[]);
    assert_eq!(status, 2);
    assert_eq!(err, "error: `FOLDER/lb1.0.pcapng`: not a recording: byte 0, block 0: this is no pcapng file\n");
}

#[test]
fn lost_steps_are_said_and_the_next_state_is_taken_up() {
    let [mut lb1, _] = world(Fault::None);
    let second = lb1.iter().rposition(|entry| matches!(entry, Entry::State { .. })).unwrap();
    let Entry::State { machine, at, .. } = lb1[second] else { panic!() };
    lb1.splice(second - 3..second, [Entry::Lost { machine, at, steps: 3 }]);
    let tracks = tracks(&save(&[files(0, &lb1)]).paths);
    let (text, verdict) = replay::summary(&tracks[0]);
    assert_eq!(verdict, Ending::AsRecorded);
    assert!(text.contains("3 steps of the election are lost"), "{text}");
}

/// The scenario made of a record, and its run.
fn again(fault: Fault) -> (String, String) {
    let saved = saved(fault);
    let tracks = tracks(&saved.paths);
    let path = saved.folder.path().join("again.toml");
    let written = replay::scenario::scenario(&tracks, "again").unwrap();
    written.save(&path).unwrap();
    let loaded = scenario::load(&path);
    let rendered = render(&loaded.sources, &loaded.diagnostics, false);
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{rendered}\n{}", written.scenario));
    let report = report::Report::new(runner::run(&scenario.into(), None).unwrap());
    let text = report.text(&loaded.sources, false);
    assert!(report.held(), "{}\n{text}", written.scenario);
    println!("{}", timeline::render(&report.run));
    (written.scenario, text)
}

#[test]
fn a_death_becomes_a_scenario_with_the_same_end() {
    let (scenario, run) = again(Fault::Killed(12_500));
    insta::assert_snapshot!(scenario);
    assert!(run.contains("nothing from 192.0.2.11"), "{run}");
}

/// The adverts of both lives of lb1 are the same bytes.
#[test]
fn a_director_that_comes_back_is_killed_and_started_and_nothing_is_cut() {
    let fault = Fault::Returned(9_500, 14_000);
    let (scenario, _) = again(fault);
    let steps: Vec<&str> = scenario.lines().filter(|line| line.contains(" at = ") && !line.contains("role")).collect();
    assert_eq!(steps.len(), 2, "{scenario}");
    assert!(steps[0].contains("kill = \"lb1\"") && steps[1].contains("start = \"lb1\""), "{scenario}");

    // Its death is a cause of what lb2 does then, and of nothing after its return.
    let why = command(&saved(fault), &["--why", "MASTER"]).1;
    let died = "the record of lb1 ends at ";
    let told: Vec<bool> = why.split("\n\n").filter(|it| it.contains("-> MASTER")).map(|it| it.contains(died)).collect();
    assert_eq!(told, [false, true, false], "{why}");
}

#[test]
fn silence_between_the_living_becomes_a_cut() {
    let (scenario, run) = again(Fault::Unheard(9_500, 14_500));
    let steps: Vec<&str> = scenario.lines().filter(|line| line.contains(" at = ") && !line.contains("role")).collect();
    assert_eq!(steps.len(), 2, "{scenario}");
    assert!(steps[0].contains("cut = \"lb1\", to = \"lb2\"") && steps[1].contains("heal"), "{scenario}");
    assert!(run.contains("192.0.2.11 has the higher priority"), "{run}");
}

#[test]
fn a_machine_that_did_not_run_becomes_frozen() {
    let (scenario, run) = again(Fault::Frozen(9_500, 15_000));
    assert!(scenario.contains("freeze = \"lb1\"") && scenario.contains("resume = \"lb1\""), "{scenario}");
    assert!(!scenario.contains("cut"), "{scenario}");
    assert!(run.contains("did not run for"), "{run}");
}

/// The interface is there although it has no address, and its cable alone is pulled.
#[test]
fn a_tracked_link_that_was_down_is_unplugged() {
    let (scenario, run) = again(Fault::Unplugged(9_500, 14_500));
    let steps: Vec<&str> = scenario.lines().filter(|line| line.contains(" at = ") && !line.contains("role")).collect();
    assert_eq!(steps.len(), 2, "{scenario}");
    assert!(steps[0].contains("unplug = \"lb1\", interface = \"eth1\""), "{scenario}");
    assert!(steps[1].contains("plug = \"lb1\", interface = \"eth1\""), "{scenario}");
    assert!(run.contains("tracked interface eth1 is down"), "{run}");
}

#[test]
fn a_quiet_record_has_no_steps() {
    let (scenario, _) = again(Fault::None);
    assert!(scenario.contains("steps = [\n]"), "{scenario}");
}

#[test]
fn one_director_makes_no_scenario() {
    let saved = saved(Fault::None);
    let error = replay::scenario::scenario(&tracks(&saved.paths[..2]), "x").unwrap_err();
    assert_eq!(error, "a scenario needs the recordings of two or more directors");
}

#[test]
fn roles_by_name_only() {
    let saved = saved(Fault::None);
    assert_eq!(command(&saved, &["--why", "KING"]).0, 2);
    assert!(replay::explain::why(&tracks(&saved.paths), Role::Fault).contains("nobody became FAULT"));
}

fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| files(0, &world(Fault::None)[0]).remove(0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the file holds: no panic, and no effect that differs from what was recorded in what can be read.
    #[test]
    fn a_broken_file_never_breaks_the_replay(
        cut: prop::sample::Index, at: prop::sample::Index, garbage in proptest::collection::vec(any::<u8>(), 0..16),
    ) {
        let mut bytes = sample().to_vec();
        let at = at.index(bytes.len());
        for (to, from) in bytes.iter_mut().skip(at).zip(garbage) {
            *to = from;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let saved = save(&[vec![bytes]]);
        if let Ok(tracks) = replay::read(&saved.paths) {
            for track in &tracks {
                prop_assert_eq!(replay::walk(track, |_| {}).differences.len(), 0);
                let _ = replay::explain::at(&tracks, Instant::ZERO + Duration::from_secs(2));
                let _ = replay::explain::why(&tracks, Role::Master);
                let _ = timeline::render(&replay::story::story(&tracks));
            }
        }
    }
}
