//! Fire drills from the directors' files alone.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use vipward_sim::drill::{Drill, Ending, NARROW, Options, WIDE, drill};
use vipward_sim::scenario::NodeKind;
use vipward_sim::trace::Break;

fn example(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(folder);
    let files = std::fs::read_dir(folder).expect("the examples are there").flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

/// Files of a cluster that exists for one test only.
fn written(test: &str, files: &[(&str, String)]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).expect("a folder for this test");
    let write = |(name, text): &(&str, String)| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a file of this test");
        path
    };
    files.iter().map(write).collect()
}

fn director(priority: u8, vrid: u8, vip: &str, services: &str) -> String {
    format!(
        "vrrp_instance A {{\n state BACKUP\n interface eth0\n virtual_router_id {vrid}\n priority {priority}\n \
         advert_int 1\n virtual_ipaddress {{\n  {vip}\n }}\n}}\n{services}"
    )
}

fn service(vip: &str, kind: &str, servers: &[&str]) -> String {
    let servers = servers.iter().map(|address| {
        format!(" real_server {address} 80 {{\n  TCP_CHECK {{\n   connect_timeout 1\n   retry 0\n  }}\n }}\n")
    });
    let servers: String = servers.collect();
    format!("virtual_server {vip} 80 {{\n delay_loop 1\n lb_algo rr\n lb_kind {kind}\n protocol TCP\n{servers}}}\n")
}

fn run(paths: &[PathBuf]) -> Drill {
    drill(paths, &Options::default(), |_, _| {})
}

fn codes(drill: &Drill) -> BTreeSet<&'static str> {
    drill.findings.iter().map(|finding| finding.code).collect()
}

/// The lines that a finding points at, each with its file.
fn lines(drill: &Drill, code: &str) -> BTreeSet<String> {
    let finding = drill.findings.iter().find(|finding| finding.code == code).expect("it was found");
    let places = finding.labels.iter().map(|label| drill.sources.location(label.span));
    places
        .map(|place| format!("{}:{}", Path::new(&place.file).file_name().unwrap_or_default().display(), place.line))
        .collect()
}

fn row<'a>(drill: &'a Drill, fault: &str) -> &'a vipward_sim::drill::Row {
    drill.rows.iter().find(|row| row.fault == fault).expect("a case of every drill")
}

#[test]
fn the_example_pair_stands_every_case() {
    let began = Instant::now();
    let drill = run(&example("two-directors"));
    assert!(began.elapsed() < Duration::from_secs(5), "a drill of two files takes less than 5 s");
    assert_eq!(drill.ending(), Ending::Held);
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("drill-two-directors", drill.text(false, WIDE));
    });
}

/// Lines of a table fit the terminal, down to 80 columns.
#[test]
fn the_table_fits_a_terminal() {
    for folder in ["two-directors", "three-directors", "active-active"] {
        let drill = run(&example(folder));
        for width in [NARROW, WIDE] {
            let text = drill.text(false, width);
            let table =
                text.lines().skip_while(|line| !line.starts_with("  fault")).take_while(|line| !line.is_empty());
            let longest = table.map(|line| line.chars().count()).max().expect("there is a table");
            assert!(longest <= width, "{longest} characters instead of {width}:\n{text}");
        }
    }
}

/// An advert by unicast comes in where the address is that it is for.
#[test]
fn a_pair_with_unicast_on_two_interfaces_has_one_owner() {
    let file = |own: u8, peer: u8, priority: u8| {
        let instance = |name: &str, interface: &str, vrid: u8, net: &str| {
            format!(
                "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n priority \
                 {priority}\n unicast_src_ip {net}.{own}\n unicast_peer {{\n  {net}.{peer}\n }}\n virtual_ipaddress {{\n  \
                 {net}.100/24\n }}\n}}\n"
            )
        };
        instance("A", "eth0", 60, "192.0.2") + &instance("B", "eth1", 50, "198.51.100")
    };
    let drill = run(&written("two-interfaces", &[("a.conf", file(2, 3, 150)), ("b.conf", file(3, 2, 100))]));
    assert_eq!(drill.ending(), Ending::Held, "{}", drill.text(false, WIDE));
    assert!(row(&drill, "nothing happens").holders.ends_with('a'), "{}", row(&drill, "nothing happens").holders);
}

/// Direct routing with the real servers on a network of their own: the directors have a leg there, whether the files name it
/// or not, and answers go past them.
#[test]
fn real_servers_of_direct_routing_may_have_a_network_of_their_own() {
    let dr = service("192.0.2.1", "DR", &["198.51.100.21", "198.51.100.22"]);
    let leg = "192.0.2.1/24 dev eth0\n  198.51.100.1/24 dev eth1";
    // An address on an interface makes it one whose loss means FAULT.
    let unnamed = ["a loses the link of eth1"].as_slice();
    for (folder, vip, lost) in [("dr-unnamed-leg", "192.0.2.1/24", unnamed), ("dr-named-leg", leg, &[])] {
        let files = [("a.conf", director(100, 51, vip, &dr)), ("b.conf", director(50, 51, vip, &dr))];
        let drill = run(&written(folder, &files));
        // These checkers see no wrong status and no late answer.
        let red = drill.rows.iter().filter(|row| !row.held());
        let others: Vec<&str> = red.map(|row| &*row.fault).filter(|fault| !fault.contains(" answers ")).collect();
        assert_eq!(others, lost, "{folder}: {}", drill.text(false, WIDE));
        assert_eq!(row(&drill, "nothing happens").failed, 0, "{folder}");
        assert!(
            drill.assumptions.iter().any(|text| text.contains("a gateway of their own")),
            "{:?}",
            drill.assumptions
        );
    }
}

/// One that serves nobody is no success, whatever the invariants say.
#[test]
fn an_address_that_only_one_can_hold_breaks_when_that_one_dies() {
    let files = [
        ("a.conf", director(100, 51, "192.0.2.1/24", "")),
        ("b.conf", director(50, 51, "192.0.2.1/24", &service("192.0.2.1", "NAT", &["198.51.100.21"]))),
    ];
    let drill = run(&written("one-serves", &files));
    assert_eq!(drill.ending(), Ending::Broke, "{}", drill.text(false, WIDE));
    let dead = row(&drill, "b loses power");
    assert!(dead.held() || dead.reasons().iter().any(|reason| reason.contains("not served")), "{:?}", dead.reasons());
}

#[test]
fn a_drill_is_the_same_however_many_cases_run_at_once() {
    let with = |jobs| {
        let drill = drill(&example("sorry-server"), &Options { jobs: Some(jobs), ..Options::default() }, |_, _| {});
        serde_json::to_string(&drill.json()).expect("JSON")
    };
    assert!(with(1) == with(5));
}

#[test]
fn every_example_can_be_drilled() {
    let folders =
        ["active-active", "nopreempt", "sorry-server", "three-directors", "tracked-interface", "tracked-script"];
    for folder in folders {
        let drill = run(&example(folder));
        assert_eq!(drill.ending(), Ending::Held, "{folder}:\n{}", drill.text(false, WIDE));
        assert_eq!(row(&drill, "nothing happens").failed, 0, "{folder}");
    }
}

/// A checker that only connects sees neither a wrong status nor a late answer: clients do, for as long as it lasts.
#[test]
fn what_no_checker_sees_is_marked() {
    let drill = run(&example("lvs-dr"));
    assert_eq!(drill.ending(), Ending::Broke);
    assert_eq!(row(&drill, "nothing happens").failed, 0);
    let red: Vec<&str> = drill.rows.iter().filter(|row| !row.held()).map(|row| row.fault.as_str()).collect();
    let both = ["192.0.2.21", "192.0.2.22"]
        .map(|it| [format!("{it} answers 3 s late"), format!("{it} answers with status 503")]);
    assert_eq!(red, both.concat());
}

/// The rehearsal has an interface that a file tracks and nothing else names, and plays its loss.
#[test]
fn a_tracked_interface_is_there_and_fails() {
    let drill = run(&example("tracked-interface"));
    assert_eq!(drill.ending(), Ending::Held);
    let text = drill.text(false, WIDE);
    let line = |fault: &str| {
        text.lines()
            .find(|line| line.trim_start_matches(['·', '✗', ' ']).starts_with(fault))
            .unwrap_or_else(|| panic!("{text}"))
    };
    assert!(line("lb1 loses the link of eth1").contains("lb1 → lb2 → lb1"), "{text}");
    assert!(!line("lb2 loses the link of eth1").contains('→'), "{text}");
}

/// The way to the real servers is lost on one director: who stays MASTER serves nobody, unless that interface is tracked.
#[test]
fn a_lost_link_to_the_real_servers_needs_to_be_tracked() {
    let nat = service("192.0.2.1", "NAT", &["198.51.100.21", "198.51.100.22"]);
    let pair = |tracked: &str| {
        let director = |priority| director(priority, 51, "192.0.2.1/24", &nat).replace(" advert_int", tracked);
        [("a.conf", director(100)), ("b.conf", director(50))]
    };
    let drill = run(&written("untracked-link", &pair(" advert_int")));
    let text = drill.text(false, WIDE);
    let red: Vec<&str> =
        drill.rows.iter().filter(|row| row.nobody_takes_over.is_some()).map(|row| &*row.fault).collect();
    assert_eq!(red, ["a loses the link of eth1"], "{text}");
    let why = row(&drill, "a loses the link of eth1").nobody_takes_over.as_deref();
    assert_eq!(why, Some("nobody takes over: eth1 is not tracked"));
    assert!(row(&drill, "a loses the link of eth0").held() && row(&drill, "b loses the link of eth1").held(), "{text}");
    assert_eq!(lines(&drill, "untracked-link"), BTreeSet::from(["a.conf:3".to_owned()]));
    let finding = drill.findings.iter().find(|finding| finding.code == "untracked-link").expect("it was found");
    assert!(finding.help.iter().any(|help| help.contains("`track_interface { eth1 }`")), "{:?}", finding.help);

    let eth7 = " track_interface {\n  eth7\n }\n advert_int";
    let drill = run(&written("tracked-link", &pair(eth7)));
    let text = drill.text(false, WIDE);
    assert!(drill.assumptions.iter().any(|it| it.contains("198.51.100.11/24 on eth7")), "{:?}", drill.assumptions);
    let lost = row(&drill, "a loses the link of eth7");
    assert!(lost.held() && lost.holders == "a → b → a", "{text}");
    assert!(!codes(&drill).contains("untracked-link"), "{text}");
}

/// A weight that moves nothing is named, as it is for a script.
#[test]
fn a_lost_link_with_a_weight_that_is_too_small_is_marked() {
    let nat = service("192.0.2.1", "NAT", &["198.51.100.21"]);
    let director = |priority| {
        let tracked = " track_interface {\n  eth1 weight -5\n }\n advert_int";
        director(priority, 51, "192.0.2.1/24", &nat).replace(" advert_int", tracked)
    };
    let drill = run(&written("light-link", &[("a.conf", director(100)), ("b.conf", director(50))]));
    let why = row(&drill, "a loses the link of eth1").nobody_takes_over.as_deref();
    assert_eq!(why, Some("nobody takes over: priority 100 - 5 = 95 stays above b's 50"), "{}", drill.text(false, WIDE));
    assert_eq!(lines(&drill, "untracked-link"), BTreeSet::from(["a.conf:6".to_owned()]));
}

/// A service that is checked with a weight that is too small: the drill plays its death, and nothing comes of it.
#[test]
fn a_dead_service_that_moves_nothing_is_marked() {
    let drill = run(&example("weight-too-small"));
    assert_eq!(drill.ending(), Ending::Broke);
    let text = drill.text(false, WIDE);
    let taken = "script chk_haproxy is taken for a check of what listens on port 80, by its command";
    assert!(drill.assumptions.iter().any(|it| it == taken), "{:?}", drill.assumptions);
    let why = "nobody takes over: priority 110 - 5 = 105 stays above lb2's 100";
    for fault in ["dies", "dies and recovers", "flaps"] {
        let lb1 = row(&drill, &format!("lb1's service on port 80 {fault}"));
        assert_eq!(lb1.nobody_takes_over.as_deref(), Some(why), "{text}");
        assert!(!lb1.held() && lb1.broken.is_empty() && lb1.failed > 0, "{text}");
        let lb2 = row(&drill, &format!("lb2's service on port 80 {fault}"));
        assert!(lb2.held() && lb2.failed == 0, "nobody asks lb2: {text}");
    }
    assert!(text.contains("and it breaks in 3"), "{text}");
    assert_eq!(lines(&drill, "nobody-takes-over"), BTreeSet::from(["lb1.conf:13".to_owned()]));
    assert!(!codes(&drill).contains("not-served-again"));
}

/// With a weight that is large enough, and with weight 0, somebody takes over.
#[test]
fn a_dead_service_moves_the_address() {
    for weight in [-20, 0] {
        let of = |priority| {
            let script =
                format!("vrrp_script S {{\n script \"/opt/check_something\"\n interval 1\n weight {weight}\n}}\n");
            let director = director(priority, 51, "192.0.2.100/24", "");
            script + &director.replace(" advert_int", " track_script {\n  S\n }\n advert_int")
        };
        let drill = run(&written(&format!("moves{weight}"), &[("a.conf", of(110)), ("b.conf", of(100))]));
        let text = drill.text(false, WIDE);
        assert!(text.contains("listens on port 80; `/opt/check_something` says nothing else"), "{text}");
        let dies = row(&drill, "a's service on port 80 dies");
        assert!(dies.held() && dies.failed > 0 && dies.holders == "a → b", "{text}");
        assert!(row(&drill, "a's service on port 80 flaps").holders.contains("a → b → a"), "{text}");
        assert_eq!(drill.ending(), Ending::Held, "{text}");
    }
}

/// A service ends with its process, which needs no script. Other processes, and files, have rows of their own.
#[test]
fn tracked_processes_and_files_are_drilled() {
    let of = |priority, weight: &str| {
        let blocks = format!(
            "vrrp_track_process haproxy {{\n process haproxy\n terminate_delay 1\n weight {weight}\n}}\n\
             vrrp_track_process own {{\n process own\n quorum_max 0\n}}\ntrack_file F {{\n file /f\n weight 0\n}}\n"
        );
        let tracks = " track_process {\n  haproxy\n  own\n }\n track_file {\n  F\n }\n advert_int";
        blocks + &director(priority, 51, "192.0.2.100/24", "").replace(" advert_int", tracks)
    };
    let drill = run(&written("processes", &[("a.conf", of(110, "-20")), ("b.conf", of(100, "-20"))]));
    let text = drill.text(false, WIDE);
    let taken = "process haproxy is taken for what listens on port 80";
    assert!(drill.assumptions.iter().any(|it| it == taken), "{:?}", drill.assumptions);
    let dies = row(&drill, "a's service on port 80 dies");
    assert!(dies.held() && dies.failed > 0 && dies.holders == "a → b", "{text}");
    for fault in ["a has process haproxy end", "a has process own begin", "a has 1 in track_file F"] {
        let row = row(&drill, fault);
        assert!(row.held() && row.holders == "a → b → a", "{fault}: {}\n{text}", row.holders);
    }
    assert_eq!(drill.ending(), Ending::Held, "{text}");

    let drill = run(&written("weak-process", &[("a.conf", of(110, "-5")), ("b.conf", of(100, "-5"))]));
    let text = drill.text(false, WIDE);
    let why = "nobody takes over: priority 110 - 5 = 105 stays above b's 100";
    assert_eq!(row(&drill, "a's service on port 80 dies").nobody_takes_over.as_deref(), Some(why), "{text}");
    assert_eq!(lines(&drill, "nobody-takes-over"), BTreeSet::from(["a.conf:4".to_owned()]));
}

/// The files of a widely copied tutorial: what could be understood runs, and every cause has its lines.
#[test]
fn the_tutorials_pair_breaks_and_the_lines_of_both_files_say_why() {
    let drill = run(&example("tutorial"));
    assert_eq!(drill.ending(), Ending::Refused);
    assert!(drill.rows.iter().all(|row| row.broken == ["one-owner"]));
    assert_eq!(
        lines(&drill, "vrid-differs"),
        BTreeSet::from(["backup.conf:23".to_owned(), "master.conf:23".to_owned()])
    );
    let one_owner = lines(&drill, "one-owner");
    assert!(one_owner.contains("backup.conf:39") && one_owner.contains("master.conf:39"), "{one_owner:?}");
    let slow = drill.findings.iter().find(|finding| finding.code == "slow-checker").expect("6 s and three retries");
    assert_eq!(slow.message, "a checker needs 15 s to notice that 192.168.150.12:80 is dead");
    assert!(slow.notes.iter().any(|note| note.ends_with("27 s")), "{:?}", slow.notes);
    let said = codes(&drill);
    assert!(
        ["unclosed-block", "slash-comment", "address-differs", "dr-segment"].iter().all(|code| said.contains(code))
    );
}

#[test]
fn files_that_share_nothing_form_no_cluster() {
    let files =
        [("a.conf", director(100, 51, "192.0.2.1/24", "")), ("b.conf", director(50, 52, "198.51.100.1/24", ""))];
    let drill = run(&written("no-cluster", &files));
    assert_eq!((drill.ending(), drill.rows.len()), (Ending::Impossible, 0));
    assert_eq!(lines(&drill, "no-cluster"), BTreeSet::from(["a.conf:4".to_owned(), "b.conf:4".to_owned()]));
}

#[test]
fn one_virtual_router_in_two_networks_is_no_cluster_either() {
    let files =
        [("a.conf", director(100, 51, "192.0.2.1/24", "")), ("b.conf", director(50, 51, "198.51.100.1/24", ""))];
    let drill = run(&written("no-segment", &files));
    assert_eq!(drill.ending(), Ending::Impossible);
    let lines = lines(&drill, "no-common-segment");
    assert!(lines.contains("a.conf:7") && lines.contains("b.conf:7"), "{lines:?}");
}

#[test]
fn a_file_without_a_virtual_router_is_named() {
    let files = [("a.conf", director(100, 51, "192.0.2.1/24", "")), ("b.conf", "# nothing\n".to_owned())];
    let drill = run(&written("empty", &files));
    assert_eq!(drill.ending(), Ending::Impossible);
    assert!(lines(&drill, "no-cluster").contains("b.conf:1"));
}

#[test]
fn a_stranger_beside_a_cluster_is_named_and_the_cluster_is_drilled() {
    let files = [
        ("a.conf", director(100, 51, "192.0.2.1/24", "")),
        ("b.conf", director(50, 51, "192.0.2.1/24", "")),
        ("c.conf", director(50, 77, "198.51.100.1/24", "")),
    ];
    let drill = run(&written("stranger", &files));
    // Nobody takes the stranger's address over, nor has it before the stranger starts.
    let red: Vec<&str> = drill.rows.iter().filter(|row| !row.held()).map(|row| row.fault.as_str()).collect();
    assert!(
        red.contains(&"c loses power") && red.iter().all(|fault| fault.starts_with("c ") || fault.starts_with("cold")),
        "{red:?}"
    );
    assert_eq!(lines(&drill, "stranger"), BTreeSet::from(["c.conf:4".to_owned()]));
}

/// Takeover works; clients are refused all the same.
#[test]
fn a_virtual_server_that_one_file_lacks_is_an_outage_after_the_takeover() {
    let vip = "192.0.2.1";
    let files = [
        ("a.conf", director(100, 51, "192.0.2.1/24", &service(vip, "DR", &["192.0.2.20"]))),
        ("b.conf", director(50, 51, "192.0.2.1/24", "")),
    ];
    let drill = run(&written("service-missing", &files));
    assert_eq!(lines(&drill, "service-missing"), BTreeSet::from(["a.conf:11".to_owned(), "b.conf:8".to_owned()]));
    let power = row(&drill, "a loses power").outage.clone().expect("an outage");
    let same = row(&drill, "b loses power").outage.clone();
    assert!(power.lasted > Duration::from_secs(8), "until a is back: {power:?}");
    assert_eq!(same, None);
}

#[test]
fn real_servers_that_only_one_file_has_are_named() {
    let vip = "192.0.2.1";
    let files = [
        ("a.conf", director(100, 51, "192.0.2.1/24", &service(vip, "DR", &["192.0.2.20", "192.0.2.21"]))),
        ("b.conf", director(50, 51, "192.0.2.1/24", &service(vip, "DR", &["192.0.2.20"]))),
    ];
    let drill = run(&written("servers-differ", &files));
    assert_eq!(lines(&drill, "real-servers-differ"), BTreeSet::from(["a.conf:22".to_owned(), "b.conf:11".to_owned()]));
}

/// NAT needs answers to come back through whoever is MASTER.
#[test]
fn a_nat_gateway_that_does_not_move_is_found_unless_the_relay_carries() {
    let vip = "192.0.2.1";
    let nat = service(vip, "NAT", &["198.51.100.20"]);
    let files =
        [("a.conf", director(100, 51, "192.0.2.1/24", &nat)), ("b.conf", director(50, 51, "192.0.2.1/24", &nat))];
    let files = written("nat", &files);
    let options = |dataplane| Options { dataplane, ..Options::default() };
    let ipvs = drill(&files, &options(Some(vipward_sim::scenario::Dataplane::Ipvs)), |_, _| {});
    assert!(codes(&ipvs).contains("nat-gateway"));
    assert!(row(&ipvs, "a loses power").outage.as_ref().is_some_and(|outage| outage.lasted > Duration::from_secs(8)));
    let chosen = run(&files);
    assert!(!codes(&chosen).contains("nat-gateway"));
    assert!(row(&chosen, "a loses power").outage.as_ref().is_some_and(|outage| outage.lasted < Duration::from_secs(5)));
    assert!(chosen.assumptions.iter().any(|text| text.contains("--dataplane relay")), "{:?}", chosen.assumptions);
}

#[test]
fn of_many_real_servers_the_first_fail_one_by_one() {
    let addresses: Vec<String> = (20..60).map(|host| format!("192.0.2.{host}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let many = service("192.0.2.1", "DR", &addresses);
    let files =
        [("a.conf", director(100, 51, "192.0.2.1/24", &many)), ("b.conf", director(50, 51, "192.0.2.1/24", &many))];
    let drill = run(&written("many", &files));
    let dead = drill.rows.iter().filter(|row| row.fault.ends_with(" is dead")).count();
    assert_eq!(dead, 8);
    assert!(drill.assumptions.iter().any(|text| text.contains("32 more only together")), "{:?}", drill.assumptions);
}

#[test]
fn the_command_says_by_its_exit_status_how_it_went() {
    let status = |files: &[PathBuf], more: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_vipward-sim")).arg("drill").args(files).args(more).output();
        run.expect("the command runs").status.code()
    };
    assert_eq!(status(&example("two-directors"), &[]), Some(0));
    // `vipward run` refuses the tutorial's files; these can be run, and one would stay without clients.
    assert_eq!(status(&example("tutorial"), &["--format", "json"]), Some(2));
    let files = [("a.conf", director(100, 51, "192.0.2.1/24", "")), ("b.conf", director(50, 52, "192.0.2.1/24", ""))];
    assert_eq!(status(&written("two-vrids", &files), &[]), Some(1));
    assert_eq!(status(&[PathBuf::from("/nowhere/a.conf"), PathBuf::from("/nowhere/b.conf")], &[]), Some(2));
    assert_eq!(status(&example("lvs-dr"), &["--case", "no such thing"]), Some(2));
}

/// By direct routing the BACKUP's kernel balances once more what the MASTER's has sent it, and part of it goes round.
#[test]
fn two_boxes_that_balance_to_each_other_lose_a_quarter_of_the_connections() {
    let drill = run(&example("two-boxes"));
    assert_eq!(drill.ending(), Ending::Broke);
    let calm = row(&drill, "nothing happens");
    let share = calm.failed * 100 / calm.asked;
    assert!((15..=30).contains(&share) && !calm.unserved, "{share} %");
    assert!(calm.outage.as_ref().is_some_and(|outage| outage.cause.contains("it goes round between lb1 and lb2")));
    assert!(drill.text(false, WIDE).contains("lb1 and lb2 are real servers of each other"));
}

#[test]
fn a_takeover_breaks_connections_that_stay_open_and_the_end_of_the_backup_none() {
    let drill = run(&example("two-directors"));
    let broke = |fault: &str| (row(&drill, fault).breaks, row(&drill, fault).kept);
    assert_eq!(broke("lb1 is stopped in order"), (2, 2));
    assert_eq!(broke("198.51.100.21 is dead"), (1, 2));
    for fault in ["nothing happens", "lb2 is killed (SIGKILL)", "lb2 is stopped in order"] {
        assert_eq!(broke(fault), (0, 2), "{fault}");
    }
    let text = drill.text(false, WIDE);
    assert!(text.lines().any(|line| line.contains("lb1 is stopped in order") && line.contains("2/2")), "{text}");
}

/// Nobody can ask a mark, and the drill says so.
#[test]
fn a_mark_is_asked_by_nobody() {
    let group = "virtual_server_group web {\n 192.0.2.100-102 80\n fwmark 7\n}\n".to_owned();
    let group = group + &service("192.0.2.9", "DR", &["192.0.2.21", "192.0.2.22"]).replace("192.0.2.9 80", "group web");
    let mark =
        service("192.0.2.9", "NAT", &["192.0.2.23"]).replace("192.0.2.9 80", "fwmark 8").replace(" protocol TCP\n", "");
    let services = group + &mark;
    let vips = "192.0.2.100/24\n 192.0.2.101/24\n 192.0.2.102/24";
    let files = written(
        "group",
        &[("lb1.conf", director(150, 51, vips, &services)), ("lb2.conf", director(100, 51, vips, &services))],
    );
    let drill = run(&files);
    let text = drill.text(false, WIDE);
    assert!(
        text.contains("nobody asks fwmark 7 and 8: which packets have a mark only the packet filter knows"),
        "{text}"
    );
}

#[test]
fn a_connection_that_breaks_is_a_finding_only_where_none_had_to() {
    let mut drill = run(&example("two-directors"));
    assert!(row(&drill, "lb1 is stopped in order").held(), "a takeover breaks them");
    let calm = drill.rows.iter_mut().find(|row| row.fault == "nothing happens").expect("there is this case");
    assert!(calm.held());
    let is_client = |id: &_| matches!(calm.run.scenario.node(*id).kind, NodeKind::Client(_));
    let client = calm.run.scenario.ids().find(is_client).expect("somebody asks");
    let cause = "web1's service on port 80 ended".to_owned();
    calm.run.breaks.push(Break { client, number: 0, at: calm.at, cause, through: None, again: None });
    calm.breaks = 1;
    assert!(!calm.held());
    assert_eq!(calm.reasons(), ["a kept connection broke, and none had to: web1's service on port 80 ended"]);
}
