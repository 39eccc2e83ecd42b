//! Fire drills of clusters whose addresses are held by leases: the files are an example's, beside a `vipward.toml`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use vipward_sim::drill::{Drill, Ending, NARROW, Noticed, Options, Row, WIDE, drill, network};

/// The pair of an example, each file in the folder named, with settings beside it.
fn pair(test: &str, example: &str, folders: [&str; 2], settings: &str) -> Vec<PathBuf> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(example);
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drill_quorum").join(test);
    let place = |(folder, file): (&str, &str)| {
        let folder = here.join(folder);
        std::fs::create_dir_all(&folder).expect("a folder for this test");
        std::fs::write(folder.join("vipward.toml"), settings).expect("settings");
        std::fs::copy(examples.join(file), folder.join(file)).expect("an example's file");
        folder.join(file)
    };
    folders.into_iter().zip(["lb1.conf", "lb2.conf"]).map(place).collect()
}

fn settings(mode: &str, more: &str) -> String {
    let hosts = r#"["zk1.example:2181", "zk2.example:2181", "zk3.example:2181"]"#;
    format!("[coordination]\nhosts = {hosts}\ndefault = \"{mode}\"\n{more}\n")
}

/// The example whose drill has no red row without leases either.
fn drilled(test: &str, mode: &str, more: &str) -> Drill {
    run(&pair(test, "two-directors", ["", ""], &settings(mode, more)))
}

fn run(paths: &[PathBuf]) -> Drill {
    drill(paths, &Options::default(), |_, _| {})
}

fn row<'a>(drill: &'a Drill, fault: &str) -> &'a Row {
    drill.rows.iter().find(|row| row.fault == fault).expect("a case of every drill with leases")
}

fn lasted(row: &Row) -> Duration {
    row.outage.as_ref().map(|outage| outage.lasted).unwrap_or_default()
}

const AWAY: &str = "nobody has 192.0.2.100 because the quorum service can't be asked";

/// What holds of both modes with the default session of 20 s.
fn stands_every_case(drill: &Drill) {
    let text = drill.text(false, WIDE);
    assert_eq!(drill.ending(), Ending::Held, "{text}");
    assert!(drill.rows.iter().all(|row| row.two_owners.is_zero()), "{text}");
    for nobody_notices in [
        "nothing happens",
        "zk's leader freezes",
        "lb1's server of zk dies",
        "lb2's server of zk dies",
        "lb2 can't reach zk",
        "the directors can't hear each other",
    ] {
        let row = row(drill, nobody_notices);
        assert_eq!((row.noticed(), &*row.holders), (Noticed::Nothing, "lb1"), "{nobody_notices}: {text}");
    }
    for without_a_word in ["is killed (SIGKILL)", "loses power", "freezes", "is cut off, both ways", "can't hear"] {
        let row = row(drill, &format!("lb1 {without_a_word}"));
        assert_eq!(row.holders, "lb1 → lb2 → lb1", "{text}");
        assert!((Duration::from_secs(16)..Duration::from_secs(22)).contains(&lasted(row)), "{without_a_word}: {text}");
    }
    assert!(lasted(row(drill, "lb1 is stopped in order")) < Duration::from_secs(1), "{text}");
    let alone = row(drill, "lb1 can't reach zk");
    assert_eq!(alone.holders, "lb1 → lb2 → lb1", "{text}");
    assert!(lasted(alone) < Duration::from_secs(4) && alone.no_quorum.is_none(), "lb2 can ask: {text}");
    for nobody_has_it in ["zk answers nobody", "cold start, zk 30 s later"] {
        let row = row(drill, nobody_has_it);
        assert_eq!((row.noticed(), row.holders.as_str()), (Noticed::ByProtocol, "lb1"), "{text}");
        let outage = row.outage.as_ref().expect("nobody has the address");
        assert!(outage.cause == AWAY && row.remark() == Some(AWAY), "{}", outage.cause);
        assert!(outage.lasted > Duration::from_secs(10) && outage.over, "{text}");
    }
}

#[test]
fn a_pair_with_fence_stands_every_case() {
    let drill = drilled("fence", "fence", "");
    stands_every_case(&drill);
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("drill-fence", drill.text(false, NARROW));
    });
}

#[test]
fn a_pair_with_elect_stands_every_case() {
    let drill = drilled("elect", "elect", "");
    stands_every_case(&drill);
    let hears = row(&drill, "the directors can't hear each other");
    assert_eq!(hears.role_changes, 0, "nobody listens for adverts");
}

/// A session that does not bear what Debian's example ensemble needs to replace a leader.
#[test]
fn a_session_that_is_too_short_for_the_ensemble_is_marked() {
    for mode in ["fence", "elect"] {
        let drill = drilled(&format!("short-{mode}"), mode, "session_timeout = 8");
        let text = drill.text(false, WIDE);
        let red: Vec<&str> = drill.rows.iter().filter(|row| !row.held()).map(|row| &*row.fault).collect();
        assert_eq!((drill.ending(), red), (Ending::Broke, vec!["zk's leader freezes"]), "{text}");
        let frozen = row(&drill, "zk's leader freezes");
        let bears = "a session of 8 s bears 4.25 s without an answer, and a frozen leader is replaced after 10.5 s";
        assert!(frozen.reasons().iter().any(|reason| reason.ends_with(bears)), "{:?}", frozen.reasons());
        assert_eq!(frozen.remark(), Some(AWAY));
        assert!(frozen.broken.is_empty() && frozen.two_owners.is_zero() && !frozen.unserved, "{text}");
        let finding = drill.findings.iter().find(|finding| finding.code == "no-quorum").expect("it is told");
        let files = finding.labels.iter().map(|label| drill.sources.location(label.span));
        let files: BTreeSet<String> = files.map(|place| place.file).collect();
        assert_eq!((files.len(), finding.notes.first().map(String::as_str)), (2, Some(bears)));
        // Who dies is missed sooner, which is what a short session is for.
        assert!(lasted(row(&drill, "lb1 loses power")) < Duration::from_secs(9), "{text}");
    }
}

/// With `keep` the service is missed by nobody while the directors hear each other; cut apart both have the address.
#[test]
fn a_pair_that_keeps_its_addresses_needs_no_quorum_service() {
    let drill = drilled("keep", "fence", "[coordination.routers.VI_1]\non_loss = \"keep\"");
    let text = drill.text(false, WIDE);
    assert_eq!(drill.ending(), Ending::Held, "{text}");
    assert_eq!(row(&drill, "zk answers nobody").noticed(), Noticed::Nothing, "{text}");
    assert_eq!(row(&drill, "zk's leader freezes").noticed(), Noticed::Nothing, "{text}");
    // It waits for a session before it begins without the service.
    let late = lasted(row(&drill, "cold start, zk 30 s later"));
    assert!((Duration::from_secs(19)..Duration::from_secs(24)).contains(&late), "{text}");
    assert!(row(&drill, "lb1 is cut off, both ways").two_owners > Duration::from_secs(5), "{text}");
}

/// Without VRRP nobody hears that the one who lost the service keeps the address.
#[test]
fn elect_with_keep_has_two_owners_where_one_director_loses_the_service() {
    let drill = drilled("elect-keep", "elect", "[coordination.routers.VI_1]\non_loss = \"keep\"");
    let text = drill.text(false, WIDE);
    let alone = row(&drill, "lb1 can't reach zk");
    assert!(!alone.held() && alone.two_owners > Duration::from_secs(10), "{text}");
    assert_eq!((drill.ending(), alone.broken.as_slice()), (Ending::Broke, ["one-owner"].as_slice()), "{text}");
    assert_eq!(row(&drill, "zk answers nobody").noticed(), Noticed::Nothing, "{text}");
}

/// One `vipward.toml` for both or one each: the same drill.
#[test]
fn settings_may_be_beside_each_file() {
    let cases = |test: &str, folders| {
        let drill = run(&pair(test, "two-directors", folders, &settings("fence", "")));
        let json = serde_json::to_value(drill.json()).expect("JSON");
        (json["cases"].clone(), drill.assumptions)
    };
    let (one, each) = (cases("one", ["", ""]), cases("each", ["first", "second"]));
    assert_eq!(one, each);
    assert!(one.0.as_array().is_some_and(|cases| cases.iter().any(|case| case["no_quorum"] == AWAY)));
}

#[test]
fn where_the_quorum_service_stands_is_said() {
    let said = |test: &str, hosts: &str| {
        let table = format!("[coordination]\nhosts = {hosts}\ndefault = \"fence\"\n");
        let options = Options { only: Some("nothing happens".to_owned()), ..Options::default() };
        let drill = drill(&pair(test, "two-directors", ["", ""], &table), &options, |_, _| {});
        assert_eq!(row(&drill, "nothing happens").failed, 0, "{}", drill.text(false, WIDE));
        drill.assumptions.into_iter().find(|it| it.contains("quorum service")).expect("it is said")
    };
    assert_eq!(
        said("names", r#"["zk1.example:2181", "zk2.example:2181"]"#),
        "zk is the quorum service: one node stands for the ensemble zk1.example:2181 and zk2.example:2181, 192.0.2.31 in \
         192.0.2.0/24; tickTime 2 s, and a leader that freezes is replaced after 10.5 s, as with Debian's \
         example zoo.cfg"
    );
    // On the network that the files say, the directors' other one.
    let back = said("addresses", r#"["203.0.113.9:2181", "198.51.100.9:2181"]"#);
    assert!(back.starts_with("zookeeper is ") && back.contains("198.51.100.9 in 198.51.100.0/24"), "{back}");
    // No director is called like the service.
    assert!(said("director", r#"["lb1:2181"]"#).starts_with("lb is "));
    assert!(said("client", r#"["client:2181"]"#).starts_with("zookeeper is "));
}

/// Three directors of two clusters in a row: no segment has them all.
#[test]
fn a_quorum_service_that_no_segment_reaches_has_a_network_of_its_own() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drill_quorum/chain");
    std::fs::create_dir_all(&here).expect("a folder for this test");
    std::fs::write(here.join("vipward.toml"), settings("fence", "")).expect("settings");
    let instance = |name: &str, interface: &str, vrid: u8, priority: u8, vip: &str| {
        format!(
            "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n priority \
             {priority}\n virtual_ipaddress {{\n  {vip}\n }}\n}}\n"
        )
    };
    let left = |interface, priority| instance("L", interface, 51, priority, "192.0.2.1/24");
    let right = |interface, priority| instance("R", interface, 52, priority, "198.51.100.1/24");
    let texts = [("a", left("eth0", 150)), ("b", left("eth0", 100) + &right("eth1", 150)), ("c", right("eth0", 100))];
    let write = |(name, text): &(&str, String)| {
        let path = here.join(format!("{name}.conf"));
        std::fs::write(&path, text).expect("a file of this test");
        path
    };
    let paths: Vec<PathBuf> = texts.iter().map(write).collect();
    let drill = run(&paths);
    let text = drill.text(false, WIDE);
    for (name, interface) in [("a", "eth1"), ("b", "eth2"), ("c", "eth1")] {
        let said = format!("{name} reaches the quorum service on {interface}");
        assert!(drill.assumptions.contains(&said), "{:?}", drill.assumptions);
    }
    assert_eq!(row(&drill, "nothing happens").failed, 0, "{text}");
    // Each address waits for the first of its own two directors.
    let cold = |row: &&Row| row.fault.starts_with("cold start: ");
    assert!(drill.rows.iter().filter(|row| !row.held()).all(|row| cold(&row)), "{text}");
    let lost = row(&drill, "a loses the link of eth1");
    assert!(lost.holders.contains("192.0.2.1: a → b → a") && lost.holders.contains("198.51.100.1: b"), "{text}");
}

#[test]
fn the_network_of_a_drill_names_the_quorum_service() {
    let text = network(&pair("network", "two-directors", ["", ""], &settings("fence", ""))).expect("a network");
    let quorum = text.split("\n\n").find(|part| part.contains("[quorum.")).expect("it has one");
    assert_eq!(quorum.trim(), "[quorum.\"zk\"]\naddress = \"192.0.2.31/24 on 192.0.2.0/24\"\ntick = \"2000ms\"");
}

/// The explorer plays on that network: without the service nobody would ever have the address.
#[test]
fn a_pair_with_leases_can_be_explored() {
    let files = pair("explore", "two-directors", ["", ""], &settings("elect", ""));
    let mut explore = Command::new(env!("CARGO_BIN_EXE_vipward-sim"));
    let run = explore.arg("explore").args(files).args(["--seeds", "3", "--minutes", "2"]).output();
    let run = run.expect("the command runs");
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn the_exit_status_is_that_of_the_rows() {
    let status = |mode: &str, more: &str| {
        let files = pair(&format!("status-{mode}-{}", more.len()), "two-directors", ["", ""], &settings(mode, more));
        let run = Command::new(env!("CARGO_BIN_EXE_vipward-sim")).arg("drill").args(files).output();
        run.expect("the command runs").status.code()
    };
    assert_eq!((status("fence", ""), status("elect", "")), (Some(0), Some(0)));
    assert_eq!(status("fence", "session_timeout = 8"), Some(1));
}
