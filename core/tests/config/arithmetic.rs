//! What tracked failures do to virtual routers, counted out: tables of files and what is said of them.

use crate::helpers::{disk, good};
use std::path::Path;
use vipward_core::config::{self, Config, Options, cluster};
use vipward_core::settings;
use vipward_core::text::{Diagnostic, Severity, Sources, render};

const NAMES: [&str; 5] = ["lb1", "lb2", "lb3", "lb4", "lb5"];

/// One node's file. `tracks`: `chk -5`, `chk 20 reverse`; `eth1 0` is an interface.
fn node(priority: u8, more: &str, tracks: &[&str]) -> String {
    let (mut blocks, mut scripts, mut interfaces) = (String::new(), String::new(), String::new());
    for (name, weight) in tracks.iter().map(|track| track.split_once(' ').unwrap()) {
        if name.starts_with("eth") {
            interfaces += &format!("{name} weight {weight}\n");
        } else {
            blocks += &format!("vrrp_script {name} {{\n    script \"/bin/{name}\"\n    weight {weight}\n}}\n");
            scripts += &format!("        {name}\n");
        }
    }
    let list = |word: &str, lines: String| match lines.is_empty() {
        true => String::new(),
        false => format!("    {word} {{\n{lines}    }}\n"),
    };
    let (scripts, interfaces) = (list("track_script", scripts), list("track_interface", interfaces));
    format!(
        "{blocks}vrrp_instance VI_1 {{\n    interface eth0\n    virtual_router_id 51\n    priority {priority}\n    \
         virtual_ipaddress {{\n        192.0.2.100/24\n    }}\n{scripts}{interfaces}{more}}}\n"
    )
}

fn findings(files: &[String]) -> Vec<Diagnostic> {
    let configs: Vec<Config> = files.iter().map(|text| good(text)).collect();
    let nodes: Vec<_> = configs.iter().zip(NAMES).map(|(config, name)| cluster::Node { name, config }).collect();
    cluster::check(&nodes)
}

fn codes(files: &[String]) -> Vec<&'static str> {
    findings(files).iter().map(|found| found.code).collect()
}

/// As `vipward check` prints it.
fn shown(files: &[String]) -> String {
    let paths: Vec<String> = NAMES.iter().map(|name| format!("{name}.conf")).collect();
    let texts: Vec<(&str, &str)> = paths.iter().map(String::as_str).zip(files.iter().map(String::as_str)).collect();
    let disk = disk(&texts);
    let mut sources = Sources::default();
    let loaded: Vec<_> =
        texts.iter().map(|(path, _)| config::load(&mut sources, &disk, Path::new(path), &Options::default())).collect();
    let nodes: Vec<_> =
        loaded.iter().zip(NAMES).map(|(loaded, name)| cluster::Node { name, config: loaded.best_effort() }).collect();
    render(&sources, &cluster::check(&nodes), false)
}

const SILENT: [&str; 0] = [];

#[test]
fn what_is_sound_gives_nothing_to_say() {
    for files in [
        // The weight is greater than the difference, on one node or on both.
        [node(110, "", &["chk -20"]), node(100, "", &["chk -20"])],
        [node(110, "", &["chk -11"]), node(100, "", &[])],
        [node(110, "", &["chk 20"]), node(100, "", &["chk 20"])],
        [node(101, "", &["chk 2"]), node(100, "", &["chk 2"])],
        [node(110, "", &["chk 20 reverse"]), node(100, "", &["chk 20 reverse"])],
        [node(110, "", &["eth1 -20"]), node(100, "", &["eth1 -20"])],
        // FAULT always moves it.
        [node(110, "", &["chk 0"]), node(100, "", &["chk -20"])],
        [node(110, "nopreempt\n", &["chk 0"]), node(100, "nopreempt\n", &["chk 0"])],
        // The weight of a BACKUP decides nothing while the MASTER is well.
        [node(110, "", &["chk -20"]), node(100, "", &["other -1"])],
        // The owner's priority does not change: its own file says so.
        [node(255, "", &["chk -20"]), node(100, "", &["chk -20"])],
        // `nopreempt` does nothing on the node that does not take over, nor with `state MASTER`.
        [node(110, "nopreempt\n", &["chk -20"]), node(100, "", &[])],
        [node(110, "", &[]), node(100, "", &[])],
    ] {
        let found = findings(&files);
        let loud: Vec<_> = found.iter().filter(|found| !expected_here(found)).map(|found| found.code).collect();
        assert_eq!(loud, SILENT, "{files:#?}");
    }
}

/// Combinations without owner have a test of their own.
fn expected_here(found: &Diagnostic) -> bool {
    ["nobody-left", "nopreempt-uneven"].contains(&found.code)
}

#[test]
fn each_finding_by_itself() {
    for (want, files) in [
        // Too small, and equal: an equal priority takes nothing over.
        ("failure-moves-nothing", [node(110, "", &["chk -5"]), node(100, "", &["chk -5"])]),
        ("failure-moves-nothing", [node(110, "", &["chk -10"]), node(100, "", &["chk -10"])]),
        ("failure-moves-nothing", [node(110, "", &["eth1 -5"]), node(100, "", &["eth1 -5"])]),
        ("failure-moves-nothing", [node(110, "", &["chk 5 reverse"]), node(100, "", &["chk 5 reverse"])]),
        // A positive weight on one node only never goes below the configured priority.
        ("failure-moves-nothing", [node(110, "", &["chk 20"]), node(100, "", &[])]),
        ("failure-moves-nothing", [node(254, "", &["chk 20"]), node(250, "", &[])]),
        // Nothing is below 1.
        ("failure-moves-nothing", [node(50, "", &["chk -60"]), node(1, "", &["chk -60"])]),
        ("nopreempt-weight", [node(110, "nopreempt\n", &["chk -20"]), node(100, "nopreempt\n", &["chk -20"])]),
        ("nopreempt-weight", [node(110, "nopreempt\n", &["chk -20"]), node(100, "", &["chk -20"])]),
        ("failure-needs-others", [node(110, "", &["a -6", "b -6"]), node(100, "", &["a -6", "b -6"])]),
        ("failure-moves-to-and-fro", [node(110, "", &["chk -20"]), node(100, "", &["chk -5"])]),
        ("nobody-left", [node(110, "", &["chk 0"]), node(100, "", &["chk 0"])]),
        ("nobody-left", [node(110, "", &["a 0"]), node(100, "", &["b 0"])]),
        ("nobody-left", [node(110, "", &["eth1 0"]), node(100, "", &["eth1 0"])]),
    ] {
        assert_eq!(codes(&files), [want], "{files:#?}");
        let [a, b] = files;
        assert_eq!(codes(&[b, a]), [want], "the other way round");
    }
}

#[test]
fn what_moves_nothing_is_a_warning_and_the_rest_is_worth_knowing() {
    let severities = |files: [String; 2]| findings(&files).iter().map(|found| found.severity).collect::<Vec<_>>();
    assert_eq!(severities([node(110, "", &["chk -5"]), node(100, "", &["chk -5"])]), [Severity::Warning]);
    assert_eq!(severities([node(110, "", &["chk 0"]), node(100, "", &["chk 0"])]), [Severity::Info]);
}

#[test]
fn one_file_alone_says_nothing_about_peers() {
    assert_eq!(codes(&[node(110, "", &["chk -5"])]), SILENT);
}

/// Whoever is not heard takes over in any case, and its numbers may be another virtual router's.
#[test]
fn nodes_that_do_not_hear_each_other_are_mended_first() {
    let other = node(100, "", &["chk -5"]).replace("router_id 51", "router_id 52");
    assert_eq!(codes(&[node(110, "", &["chk -5"]), other]), ["vrid-differs"]);
}

#[test]
fn three_nodes() {
    let three = |weights: [&str; 3]| {
        [150, 100, 50].iter().zip(weights).map(|(priority, weight)| node(*priority, "", &[weight])).collect::<Vec<_>>()
    };
    assert_eq!(codes(&three(["chk -120"; 3])), SILENT);
    assert_eq!(codes(&three(["chk -60"; 3])), ["healthy-node-waits"]);
    assert_eq!(codes(&three(["chk -20"; 3])), ["failure-moves-nothing"]);
    // With the middle one alone it is no matter of several failures.
    assert_eq!(codes(&[node(150, "", &["chk -60"]), node(100, "", &[]), node(50, "", &[])]), SILENT);
}

#[test]
fn one_cause_is_one_finding_however_many_virtual_routers() {
    let many = |priority: u8, weight: &str| {
        let first = node(priority, "", &[weight]);
        let (scripts, instance) = first.split_once("vrrp_instance").unwrap();
        let instance = |n: usize| {
            format!("vrrp_instance{instance}")
                .replace("VI_1", &format!("VI_{n}"))
                .replace("router_id 51", &format!("router_id {n}"))
                .replace("192.0.2.100", &format!("192.0.2.{}", 100 + n))
        };
        scripts.to_owned() + &(1..=100).map(instance).collect::<String>()
    };
    let found = findings(&[many(110, "chk -5"), many(100, "chk -5")]);
    assert_eq!(found.iter().map(|found| found.code).collect::<Vec<_>>(), ["failure-moves-nothing"]);
    assert!(found[0].notes.contains(&"and 99 more virtual routers".to_owned()), "{:?}", found[0].notes);
}

/// Each is MASTER of one: the same line is wrong on both. The number that is shown mends the worse one.
#[test]
fn two_routers_crossed_with_one_script() {
    let file = |first: u8, second: u8| {
        let (first, second) = (node(first, "", &["chk -5"]), node(second, "", &["chk -5"]));
        let second = second.split_once("vrrp_instance").unwrap().1;
        let second = second.replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("2.100", "2.101");
        format!("{first}vrrp_instance{second}")
    };
    let found = findings(&[file(110, 100), file(100, 130)]);
    assert_eq!(found.iter().map(|found| found.code).collect::<Vec<_>>(), ["failure-moves-nothing"]);
    assert_eq!(found[0].message, "when `chk` fails on lb2, lb2 keeps 192.0.2.101");
    assert_eq!(found[0].notes[1..], ["the same with `chk` on lb1", "and in VI_1"]);
    assert_eq!(found[0].help, ["write `weight -31` or lower on every node"]);
}

#[test]
fn the_order_of_priorities_counts_weights() {
    let state = |state: &str| format!("state {state}\n");
    let (master, backup) = (state("MASTER"), state("BACKUP"));
    let order = |a: String, b: String| {
        let found = findings(&[a, b]);
        found
            .iter()
            .filter(|it| it.code == "priority-order" || it.code == "same-priority")
            .map(|it| (it.code, it.severity))
            .collect::<Vec<_>>()
    };
    // Only together with its script the BACKUP is above the MASTER, or equal.
    assert_eq!(
        order(node(110, &master, &[]), node(100, &backup, &["chk 20"])),
        [("priority-order", Severity::Warning)]
    );
    assert_eq!(order(node(110, &master, &[]), node(100, &backup, &["chk 10"])), [("same-priority", Severity::Warning)]);
    // And the other way round: the MASTER is above by its weight.
    assert_eq!(order(node(100, &master, &["chk 20"]), node(110, &backup, &[])), []);
    assert_eq!(order(node(100, &master, &["chk 20"]), node(100, &backup, &[])), []);
    assert_eq!(order(node(100, &master, &[]), node(110, &backup, &[])), [("priority-order", Severity::Error)]);
}

/// What mends one finding must not make the next.
#[test]
fn nopreempt_is_not_advised_where_weights_would_stop_working() {
    let help = |weight: &str| {
        let files = [node(110, "state MASTER\n", &[weight]), node(100, "nopreempt\n", &[weight])];
        let found = findings(&files).into_iter().find(|found| found.code == "nopreempt-uneven").unwrap();
        found.help
    };
    assert_eq!(help("chk 0"), ["write `state BACKUP` and `nopreempt` on every node"]);
    assert_eq!(
        help("chk -20"),
        ["write `state BACKUP` and `nopreempt` on every node, and `weight 0` for what they track"]
    );
}

/// More trackers than can be combined: every failure alone is looked at all the same, and that it is no more is said.
#[test]
fn many_trackers() {
    let tracks: Vec<String> = (0..200).map(|n| format!("chk{n} {}", if n == 150 { -5 } else { -20 })).collect();
    let tracks: Vec<&str> = tracks.iter().map(String::as_str).collect();
    let found = codes(&[node(110, "", &tracks), node(100, "", &[])]);
    assert_eq!(found, ["failure-moves-nothing", "many-trackers"]);
    let three = codes(&[node(110, "", &tracks[..5]), node(100, "", &tracks[..5]), node(80, "", &tracks[..5])]);
    assert_eq!(three, ["healthy-node-waits", "many-trackers"]);
}

/// As many as a file can hold: a few are told, and that there are more.
#[test]
fn trackers_without_end_take_no_time() {
    for (weight, want) in [("-1", ["failure-needs-others", "many-trackers"]), ("0", ["nobody-left", "many-trackers"])] {
        let tracks: Vec<String> = (0..2000).map(|n| format!("chk{n} {weight}")).collect();
        let tracks: Vec<&str> = tracks.iter().map(String::as_str).collect();
        assert_eq!(codes(&[node(250, "", &tracks), node(20, "", &tracks)]), want);
    }
}

/// A quorum service elects by other rules.
#[test]
fn routers_that_adverts_do_not_elect_are_left_alone() {
    let files = [node(110, "", &["chk -5"]), node(100, "", &["chk -5"])];
    for (mode, want) in [("fence", vec!["failure-moves-nothing"]), ("elect", vec![])] {
        let toml = format!("[coordination]\nhosts = [\"zk1:2181\"]\ndefault = \"{mode}\"\n");
        let disk = disk(&[("vipward.toml", &toml)]);
        let settings = settings::load(&mut Sources::default(), &disk, Path::new("vipward.toml"), None).0.unwrap();
        let mut configs = files.clone().map(|text| good(&text));
        for (config, name) in configs.iter_mut().zip(NAMES) {
            assert_eq!(settings.complete(config, name), []);
        }
        let nodes: Vec<_> = configs.iter().zip(NAMES).map(|(config, name)| cluster::Node { name, config }).collect();
        assert_eq!(cluster::check(&nodes).iter().map(|found| found.code).collect::<Vec<_>>(), want, "{mode}");
    }
}

/// How the messages read.
#[test]
fn gallery() {
    let three = |weight: &str| [150, 100, 50].map(|priority| node(priority, "", &[weight])).to_vec();
    let shown: String = [
        vec![node(110, "    state MASTER\n", &["chk -5"]), node(100, "", &["chk -5"])],
        vec![node(110, "", &["chk -10"]), node(100, "", &["other -20"])],
        vec![node(110, "", &["chk 20"]), node(100, "", &[])],
        vec![node(254, "", &["chk 20"]), node(250, "", &["chk 20"])],
        vec![node(110, "", &["chk 5 reverse"]), node(100, "", &["chk 5 reverse"])],
        vec![node(50, "", &["eth1 -60"]), node(1, "", &["eth1 -60"])],
        vec![node(110, "    nopreempt\n", &["chk -20", "eth1 -20"]), node(100, "    nopreempt\n", &["chk -20"])],
        vec![node(110, "", &["a -6", "b -6"]), node(100, "", &["a -6", "b -6"])],
        vec![node(110, "", &["chk -20"]), node(100, "", &["chk -5"])],
        three("chk -60"),
        vec![node(110, "", &["chk 0", "eth1 0"]), node(100, "", &["chk 0", "eth1 0"])],
        vec![node(110, "", &["a 0"]), node(100, "", &["eth1 0"])],
        vec![node(110, "    state MASTER\n", &[]), node(100, "    state BACKUP\n", &["chk 20"])],
    ]
    .iter()
    .map(|files| shown(files))
    .collect();
    insta::assert_snapshot!(shown);
}

/// A weight of one line of `track_script` is shown there, not in the script's block.
#[test]
fn the_line_that_has_the_weight_is_shown() {
    let lb1 = node(110, "", &["chk -30"]).replace("        chk\n", "        chk weight -5\n");
    let text = shown(&[lb1, node(100, "", &[])]);
    assert!(text.contains("chk weight -5"), "{text}");
    assert!(!text.contains("weight -30"), "{text}");
}
