//! What the findings claim, beside the real Election: they must be true, and none must be missing.

use crate::elections::Cluster;
use crate::helpers::good;
use proptest::prelude::*;
use std::collections::BTreeSet;
use vipward_core::config::{Config, cluster};
use vipward_core::text::Diagnostic;

const NAMES: [&str; 3] = ["lb1", "lb2", "lb3"];
/// Longer than any Master_Down_Interval, and than a script's interval before it.
const SETTLED: u64 = 9;

/// One tracked script of one node.
#[derive(Clone, Copy, Debug)]
struct Track {
    name: &'static str,
    weight: i16,
    reverse: bool,
}

#[derive(Clone, Debug)]
struct Node {
    priority: u8,
    nopreempt: bool,
    tracks: Vec<Track>,
}

type Files = Vec<Node>;

fn text(node: &Node) -> String {
    let mut text = String::new();
    let mut list = String::new();
    for Track { name, weight, reverse } in &node.tracks {
        let reverse = if *reverse { " reverse" } else { "" };
        text += &format!("vrrp_script {name} {{\nscript \"/bin/{name}\"\nweight {weight}{reverse}\n}}\n");
        list += &format!("{name}\n");
    }
    let list = if list.is_empty() { list } else { format!("track_script {{\n{list}}}\n") };
    let nopreempt = if node.nopreempt { "nopreempt\n" } else { "" };
    let priority = node.priority;
    text + &format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 51\npriority {priority}\n{nopreempt}{list}\
         virtual_ipaddress {{\n192.0.2.100/24\n}}\n}}\n"
    )
}

fn configs(files: &Files) -> Vec<Config> {
    files.iter().map(|node| good(&text(node))).collect()
}

fn findings(files: &Files) -> Vec<Diagnostic> {
    let configs = configs(files);
    let nodes: Vec<_> = configs.iter().zip(NAMES).map(|(config, name)| cluster::Node { name, config }).collect();
    cluster::check(&nodes)
}

/// A cluster that has settled with all well, after this node was the first to start.
fn settled(files: &Files, first: usize) -> Cluster {
    let mut cluster = Cluster::of(configs(files));
    for (number, node) in files.iter().enumerate() {
        node.tracks.iter().for_each(|track| cluster.script(number, track.name, !track.reverse));
    }
    cluster.start(first);
    cluster.run(SETTLED);
    (0..files.len()).filter(|number| *number != first).for_each(|number| cluster.start(number));
    cluster.run(SETTLED);
    cluster
}

/// The same cluster after these have failed too: node and script.
fn after(mut cluster: Cluster, files: &Files, failures: &[(usize, &str)]) -> Cluster {
    for (number, name) in failures {
        let track = files[*number].tracks.iter().find(|track| track.name == *name).unwrap();
        cluster.script(*number, name, track.reverse);
    }
    cluster.run(SETTLED);
    cluster
}

/// Of each node that can be MASTER while all is well, the cluster in which it is.
fn masters(files: &Files) -> Vec<(usize, Cluster)> {
    let clusters = (0..files.len()).map(|first| (first, settled(files, first)));
    clusters.filter(|(first, cluster)| cluster.masters() == [*first]).collect()
}

/// The nodes with this failure that the findings of these codes name: in the message, or as one more with the same cause.
fn named(found: &[Diagnostic], codes: &[&str]) -> BTreeSet<(usize, &'static str)> {
    let found: Vec<_> = found.iter().filter(|found| codes.contains(&found.code)).collect();
    let says = |name: &str, node: &str| {
        let failures = ["fails", "succeeds"].map(|verb| format!("when `{name}` {verb} on {node},"));
        let more = format!("`{name}` on {node}");
        found.iter().any(|found| {
            failures.iter().any(|failure| found.message.starts_with(failure))
                || found.notes.iter().any(|note| note.starts_with("the same with") && note.contains(&more))
        })
    };
    let all = (0..NAMES.len()).flat_map(|node| ["a", "b"].map(|name| (node, name)));
    all.filter(|(node, name)| says(name, NAMES[*node])).collect()
}

const STAYS: [&str; 3] = ["failure-moves-nothing", "failure-needs-others", "nopreempt-weight"];

/// What is claimed of single failures is what the Election does, for each node that may be MASTER and each of its scripts.
fn single_failures_are_true(files: &Files, found: &[Diagnostic]) -> Result<(), TestCaseError> {
    let mut stays = BTreeSet::new();
    for (master, cluster) in masters(files) {
        // Of an owner's weights its own file says that they have no effect.
        if files[master].priority == 255 {
            continue;
        }
        for track in files[master].tracks.iter().filter(|track| track.weight != 0) {
            let alone = after(cluster.clone(), files, &[(master, track.name)]);
            if alone.masters() == [master] {
                stays.insert((master, track.name));
                let other = files[master].tracks.iter().find(|other| other.name != track.name && other.weight != 0);
                let Some(other) = other else { continue };
                let before = after(cluster.clone(), files, &[(master, other.name)]);
                let both = after(before.clone(), files, &[(master, track.name)]);
                let decides = before.masters() == [master] && both.masters() != [master];
                if named(found, &["failure-moves-nothing"]).contains(&(master, track.name)) {
                    prop_assert!(!decides, "{track:?} of {master} does move it");
                }
                if named(found, &["failure-needs-others"]).contains(&(master, track.name)) {
                    prop_assert!(decides, "{track:?} of {master} moves it in no combination");
                }
            }
        }
    }
    prop_assert_eq!(named(found, &STAYS), stays);
    Ok(())
}

/// The number that is to mend it does.
fn mends(files: &Files, found: &[Diagnostic]) -> Result<(), TestCaseError> {
    for found in found.iter().filter(|found| found.code == "failure-moves-nothing") {
        let (node, name) = named(std::slice::from_ref(found), &["failure-moves-nothing"])
            .into_iter()
            .find(|(node, name)| found.message.contains(&format!("`{name}`")) && found.message.contains(NAMES[*node]))
            .unwrap();
        let old = *files[node].tracks.iter().find(|track| track.name == name).unwrap();
        let help = &found.help[0];
        let number = |word: &str| -> Option<i16> {
            let (_, rest) = help.split_once(&format!("`{word} "))?;
            rest.split(['`', ' ']).next()?.parse().ok()
        };
        let mut mended = files.clone();
        if let Some(weight) = number("weight") {
            let alike =
                |track: &&mut Track| (track.name, track.weight, track.reverse) == (old.name, old.weight, old.reverse);
            for (other, file) in mended.iter_mut().enumerate() {
                let here = other == node || help.contains("on every node");
                file.tracks.iter_mut().filter(|track| here && alike(track)).for_each(|track| track.weight = weight);
            }
        } else {
            let peer = (0..NAMES.len()).find(|peer| help.ends_with(NAMES[*peer])).unwrap();
            mended[peer].priority = u8::try_from(number("priority").unwrap()).unwrap();
        }
        let cluster = settled(&mended, node);
        prop_assert_eq!(cluster.masters(), [node], "{} changes who is MASTER", help);
        prop_assert_ne!(after(cluster, &mended, &[(node, name)]).masters(), [node], "{} is not enough", help);
    }
    Ok(())
}

/// Failures on several nodes: nobody left, and the same failure everywhere.
fn common_failures_are_true(files: &Files, found: &[Diagnostic]) -> Result<(), TestCaseError> {
    let fatal = |(number, node): (usize, &Node)| {
        node.tracks.iter().filter(|track| track.weight == 0).map(move |track| (number, track.name)).collect::<Vec<_>>()
    };
    let fatal: Vec<(usize, &str)> = files.iter().enumerate().flat_map(fatal).collect();
    let nobody = after(settled(files, 0), files, &fatal).masters().is_empty();
    prop_assert_eq!(found.iter().any(|found| found.code == "nobody-left"), nobody);
    if let [(master, cluster)] = masters(files).as_slice() {
        for name in ["a", "b"] {
            let weighs = |node: &Node| {
                node.priority != 255 && node.tracks.iter().any(|track| track.name == name && track.weight != 0)
            };
            if !files.iter().all(weighs) {
                continue;
            }
            let all: Vec<(usize, &str)> = (0..files.len()).map(|node| (node, name)).collect();
            let moved = after(cluster.clone(), files, &all).masters() != [*master];
            let says = |found: &Diagnostic| {
                found.code == "failure-moves-to-and-fro" && found.message.starts_with(&format!("when `{name}`"))
            };
            prop_assert_eq!(found.iter().any(says), moved, "{} on every node", name);
        }
    }
    Ok(())
}

/// Whoever is said to wait is well, and waits.
fn healthy_nodes_wait(files: &Files, found: &[Diagnostic]) -> Result<(), TestCaseError> {
    for found in found.iter().filter(|found| found.code == "healthy-node-waits") {
        let (failures, rest) = found.message.split_once(", lb").unwrap();
        let of = |name: &'static str, node: usize| {
            ["fails", "succeeds"].iter().any(|verb| failures.contains(&format!("`{name}` {verb} on {}", NAMES[node])))
        };
        let all = (0..files.len()).flat_map(|node| ["a", "b"].map(|name| (node, name)));
        let all: Vec<(usize, &str)> = all.filter(|(node, name)| of(name, *node)).collect();
        let master = rest[..1].parse::<usize>().unwrap() - 1;
        let healthy = rest.split_once("although lb").unwrap().1[..1].parse::<usize>().unwrap() - 1;
        prop_assert!(all.iter().all(|(node, _)| *node != healthy));
        prop_assert_eq!(after(settled(files, 0), files, &all).masters(), [master], "{}", found.message);
    }
    Ok(())
}

fn node(nopreempt: f64) -> impl Strategy<Value = Node> {
    let weight = prop_oneof![
        3 => (-30i16..=30).boxed(),
        1 => Just(0i16).boxed(),
        1 => prop_oneof![Just(-253i16), Just(-150), Just(150), Just(253)].boxed(),
    ];
    let track = move |name| {
        let some = (weight.clone(), prop::bool::weighted(0.2)).prop_map(move |(weight, reverse)| Track {
            name,
            weight,
            reverse,
        });
        prop::option::weighted(0.7, some)
    };
    let priority =
        prop_oneof![4 => 90u8..=120, 1 => prop_oneof![Just(1u8), Just(2), Just(50), Just(250), Just(254), Just(255)]];
    (priority, prop::bool::weighted(nopreempt), track.clone()("a"), track("b"))
        .prop_map(|(priority, nopreempt, a, b)| Node { priority, nopreempt, tracks: a.into_iter().chain(b).collect() })
}

fn files() -> impl Strategy<Value = Files> {
    prop_oneof![
        3 => prop::collection::vec(node(0.2), 2),
        1 => prop::collection::vec(node(0.2), 3),
        1 => prop::collection::vec(node(0.0), 3),
        // One file, copied, with another priority.
        2 => (node(0.3), 90u8..=120).prop_map(|(node, priority)| vec![Node { priority, ..node.clone() }, node]),
        1 => (node(0.0), 90u8..=120, 60u8..=120).prop_map(|(node, second, third)| {
            [node.priority, second, third].map(|priority| Node { priority, ..node.clone() }).to_vec()
        }),
    ]
}

proptest! {
    #[test]
    fn the_election_does_what_is_claimed(files in files()) {
        let found = findings(&files);
        prop_assume!(!found.iter().any(|found| found.code == "priority-order"));
        single_failures_are_true(&files, &found)?;
        mends(&files, &found)?;
        common_failures_are_true(&files, &found)?;
        healthy_nodes_wait(&files, &found)?;
    }
}

/// The case of the two directors whose weight is too small, by the real Election: nothing moves, and it does by the number
/// that is named.
#[test]
fn a_weight_that_is_too_small() {
    let file = |priority, weight| Node {
        priority,
        nopreempt: false,
        tracks: vec![Track { name: "a", weight, reverse: false }],
    };
    for (weight, moves) in [(-5, false), (-10, false), (-11, true)] {
        let files = vec![file(110, weight), file(100, weight)];
        let said = findings(&files).iter().any(|found| found.code == "failure-moves-nothing");
        let masters = after(settled(&files, 0), &files, &[(0, "a")]).masters();
        assert_eq!((masters != [0], said), (moves, !moves), "weight {weight}");
    }
}
