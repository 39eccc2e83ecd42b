//! A real failover of two daemons, recorded by both, and replayed: every effect is the one recorded, bit for bit.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::quantity::Role;
use vipward_lab::web::Server;
use vipward_lab::{Process, Signal, wait_for};
use vipward_netns_tests::{Pair, Router, VIP, in_lab, program, virtual_server};
use vipward_sim::replay::{self, Ending, Track};

/// A loaded machine may be this late, and no test minds.
const SOON: Duration = Duration::from_secs(30);

/// A MASTER and a BACKUP under record, with their records.
fn pair_recorded(pair: &Pair) -> [(Process, PathBuf); 2] {
    let file = |router: Router| Router { version: 3, advert_int: "0.1", blocks: virtual_server(), ..router }.text();
    let (mut master, first) = pair.vipward_recorded(&pair.lb1, &file(Router::master())).unwrap();
    master.wait_for_line("-> MASTER", SOON).unwrap();
    let (mut backup, second) = pair.vipward_recorded(&pair.lb2, &file(Router::backup())).unwrap();
    backup.wait_for_line("-> BACKUP", SOON).unwrap();
    [(master, first), (backup, second)]
}

/// lb1 is MASTER and is killed; lb2 takes over, works for a while, and is stopped. The two records.
fn failover(pair: &Pair) -> (PathBuf, PathBuf) {
    let _web = Server::start(&pair.web1, "198.51.100.21:80".parse().unwrap()).unwrap();
    let [(master, first), (mut backup, second)] = pair_recorded(pair);
    // web2 is not there: there is something to decide for the balancers too.
    backup.wait_for_line("198.51.100.22:80 is down", SOON).unwrap();
    grows_by(&first, 15);
    master.kill();
    backup.wait_for_line("-> MASTER", SOON).unwrap();
    wait_for(SOON, || pair.lb2.has(VIP).then_some(())).expect("lb2 holds the VIP");
    // Long enough for a death to be told from the end of the recording.
    grows_by(&second, 30);
    backup.signal(Signal::SIGTERM);
    assert_eq!(backup.wait(SOON).unwrap().status.code(), Some(0));
    (first, second)
}

/// Waits until so many adverts more are recorded; one is about 250 bytes with its step.
fn grows_by(record: &Path, adverts: u64) {
    let length = || std::fs::metadata(record).map_or(0, |metadata| metadata.len());
    let before = length();
    wait_for(SOON, || (length() >= before + adverts * 256).then_some(())).expect("the record grows");
}

fn as_recorded(track: &Track) {
    let checked = replay::walk(track, |_| {});
    let (text, verdict) = replay::summary(track);
    println!("{text}");
    assert_eq!(verdict, Ending::AsRecorded);
    assert!(checked.differences.is_empty());
    assert_eq!(checked.checked, checked.steps, "all of it could be checked");
    assert!(checked.steps > 10);
}

#[test]
fn a_failover_is_recorded_by_both_and_replayed_bit_for_bit() {
    in_lab("a_failover_is_recorded_by_both_and_replayed_bit_for_bit", &[], || {
        let pair = Pair::build().unwrap();
        let (first, second) = failover(&pair);
        let tracks = replay::read(&[second.clone(), first.clone()]).unwrap();
        let [lb1, lb2] = &tracks[..] else { panic!("two tracks, not {}", tracks.len()) };
        assert_eq!((lb1.name.as_str(), lb2.name.as_str()), ("lb1", "lb2"));
        tracks.iter().for_each(as_recorded);
        assert!(!lb1.stopped() && lb2.stopped());
        let takeover = lb2.steps().flat_map(|step| step.decisions()).any(|decision| {
            matches!(
                decision,
                Decision::RoleChanged {
                    to: Role::Master,
                    cause: RoleCause::MasterDown { last_heard: Some((source, _)), .. },
                    ..
                } if source.to_string() == "192.0.2.11"
            )
        });
        assert!(takeover, "lb2 became MASTER because it heard nothing from lb1");
        let timeline = vipward_sim::timeline::render(&replay::story::story(&tracks));
        println!("{timeline}");
        assert!(timeline.contains("KILLED") && timeline.contains("198.51.100.22:80 is down"));
        let why = replay::explain::why(&tracks, Role::Master);
        println!("{why}");
        assert!(why.contains("Master_Down_Timer fired") && why.contains("the record of lb1 ends at"), "{why}");
        let (_, text) = again(&tracks, pair.folder.path());
        assert!(text.contains("nothing from 192.0.2.11"), "lb2 takes over for the same reason");
        dissected(&first);
    });
}

/// Two upgrades of the MASTER, a reload and a stop: four files of lb1's, and one role in one lane.
#[test]
fn upgrades_are_recorded_by_every_process_and_replayed_as_one() {
    in_lab("upgrades_are_recorded_by_every_process_and_replayed_as_one", &[], || {
        let pair = Pair::build().unwrap();
        let _web = Server::start(&pair.web1, "198.51.100.21:80".parse().unwrap()).unwrap();
        let [(master, first), (mut backup, second)] = pair_recorded(&pair);
        grows_by(&second, 10);
        for _ in 0..2 {
            let mut upgrade = Command::new(vipward_netns_tests::vipward());
            upgrade.arg("upgrade").arg("--control").arg(pair.control(&pair.lb1));
            let output = pair.lb1.output(upgrade).unwrap();
            assert!(output.status.success(), "{output:?}\n{}", master.output());
            grows_by(&second, 15);
        }
        master.signal(Signal::SIGTERM);
        assert_eq!(master.wait(SOON).unwrap().status.code(), Some(0));
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        grows_by(&second, 30);
        backup.signal(Signal::SIGTERM);
        assert_eq!(backup.wait(SOON).unwrap().status.code(), Some(0));

        let ring = [first.clone(), first.with_extension("pcapng.1"), first.with_extension("pcapng.2"), second];
        let tracks = replay::read(&ring).unwrap();
        assert_eq!(tracks.len(), 4);
        tracks.iter().for_each(as_recorded);
        let lanes = replay::lane::lanes(&tracks);
        let names: Vec<&str> = lanes.iter().map(|lane| lane.name).collect();
        assert_eq!(names, ["lb1", "lb2"]);
        assert_eq!((lanes[0].chains.len(), lanes[0].chains[0].upgrades().len()), (1, 2));
        let timeline = vipward_sim::timeline::render(&replay::story::story(&tracks));
        println!("{timeline}");
        assert_eq!(timeline.matches("  upgraded  ").count(), 2, "{timeline}");
        assert!(!timeline.contains("KILLED"), "{timeline}");
        let (scenario, _) = again(&tracks, pair.folder.path());
        assert_eq!(scenario.matches("upgrade = \"lb1\"").count(), 2, "{scenario}");
    });
}

/// The recordings as a scenario: the simulator comes to the same end. The scenario's text, and what is told of its run.
fn again(tracks: &[Track], folder: &Path) -> (String, String) {
    let path = folder.join("again.toml");
    replay::scenario::scenario(tracks, "again").unwrap().save(&path).unwrap();
    let written = std::fs::read_to_string(&path).unwrap();
    println!("{written}");
    let loaded = vipward_sim::scenario::load(&path);
    let rendered = vipward_core::text::render(&loaded.sources, &loaded.diagnostics, false);
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{rendered}"));
    let report = vipward_sim::report::Report::new(vipward_sim::runner::run(&scenario.into(), None).unwrap());
    let text = report.text(&loaded.sources, false);
    println!("{text}");
    assert!(report.held());
    (written, text)
}

/// Where there is tshark, it shows adverts as VRRP.
fn dissected(record: &Path) {
    let Some(tshark) = program("tshark") else {
        println!("NOT CHECKED: there is no tshark");
        return;
    };
    let output = Command::new(tshark).arg("-r").arg(record).args(["-Y", "vrrp"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(text.contains("VRRP") && text.contains("Announcement (v3)"), "{}", String::from_utf8_lossy(&output.stderr));
}
