//! Mistakes between the files of one cluster.

use crate::helpers::{good, instance};
use std::path::Path;
use vipward_core::config::{self, Config, Options, cluster};
use vipward_core::text::Sources;

fn check(nodes: &[&str]) -> Vec<&'static str> {
    let configs: Vec<Config> = nodes.iter().map(|text| good(text)).collect();
    let names = ["lb1", "lb2", "lb3"];
    let nodes: Vec<_> = configs.iter().zip(names).map(|(config, name)| cluster::Node { name, config }).collect();
    cluster::check(&nodes).iter().map(|diagnostic| diagnostic.code).collect()
}

fn master(more: &str) -> String {
    instance(&format!("state MASTER\n{more}"))
}

fn backup(more: &str) -> String {
    instance(&format!("state BACKUP\n{more}")).replace("priority 100", "priority 50")
}

#[test]
fn a_good_pair_and_a_good_trio() {
    assert_eq!(check(&[&master(""), &backup("")]), [""; 0]);
    assert_eq!(check(&[&master(""), &backup(""), &backup("").replace("priority 50", "priority 49")]), [""; 0]);
    assert_eq!(check(&[&master("")]), [""; 0]);
    assert_eq!(check(&[]), [""; 0]);
}

#[test]
fn two_routers_crossed_are_not_mixed_up() {
    let second = |text: String| {
        text.replace("VI_1", "VI_2").replace("router_id 51", "router_id 52").replace("192.0.2.100", "192.0.2.101")
    };
    let lb1 = master("") + &second(backup(""));
    let lb2 = backup("") + &second(master(""));
    assert_eq!(check(&[&lb1, &lb2]), [""; 0]);
}

#[test]
fn names_and_interfaces_may_differ() {
    let other = backup("").replace("VI_1", "VI_9").replace("eth0", "ens33");
    assert_eq!(check(&[&master(""), &other]), ["interface-differs"]);
}

#[test]
fn each_mistake_by_itself() {
    let id = "global_defs {\n router_id LVS_DEVEL\n}\n";
    let peers = |own: &str, peer: &str| format!("unicast_src_ip {own}\nunicast_peer {{\n {peer}\n}}");
    for (want, lb1, lb2) in [
        ("same-router-id", id.to_owned() + &master(""), id.to_owned() + &backup("")),
        ("vrid-differs", master(""), backup("").replace("router_id 51", "router_id 50")),
        ("same-priority", master(""), backup("").replace("priority 50", "priority 100")),
        ("priority-order", master(""), backup("").replace("priority 50", "priority 101")),
        ("several-masters", master(""), backup("").replace("BACKUP", "MASTER")),
        ("nopreempt-uneven", master(""), backup("nopreempt")),
        ("addresses-differ", master(""), backup("").replace("192.0.2.100", "192.0.2.101")),
        ("address-differs", master(""), backup("").replace("192.0.2.100/24", "192.0.2.100")),
        ("version-differs", master(""), backup("version 3")),
        ("authentication-differs", master(""), backup("authentication {\nauth_type PASS\nauth_pass x7Kf\n}")),
        (
            "authentication-differs",
            master("authentication {\nauth_type AH\nauth_pass x7Kf\n}"),
            backup("authentication {\nauth_type PASS\nauth_pass x7Kf\n}"),
        ),
        ("interval-differs", master(""), backup("advert_int 2")),
        ("down-timer-differs", master(""), backup("down_timer_adverts 4")),
        ("unicast-differs", master(""), backup(&peers("192.0.2.12", "192.0.2.11"))),
        ("missing-peer", master(&peers("192.0.2.11", "192.0.2.12")), backup(&peers("192.0.2.12", "192.0.2.99"))),
        ("same-source", master(&peers("192.0.2.11", "192.0.2.12")), backup(&peers("192.0.2.11", "192.0.2.12"))),
        ("group-differs", master(""), backup("mcast_dst_ip 224.0.0.99")),
    ] {
        assert_eq!(check(&[&lb1, &lb2]), [want]);
        assert_eq!(check(&[&lb2, &lb1]), [want], "the other way round");
    }
}

/// What one file says wrongly is no difference between two.
#[test]
fn a_mistake_in_one_file_is_said_there_only() {
    let between = |lb1: &str, lb2: &str| {
        let loaded = [lb1, lb2].map(|text| crate::helpers::load(text).1);
        assert!(loaded[1].has_errors(), "{lb2}");
        let nodes: Vec<_> =
            loaded.iter().map(|loaded| cluster::Node { name: "lb", config: loaded.best_effort() }).collect();
        cluster::check(&nodes).iter().map(|said| said.code).collect::<Vec<_>>()
    };
    for (right, wrong) in [
        ("priority 50", "priority 300"),
        ("192.0.2.100/24", "192.0.2.100/24x"),
        ("interface eth0", "interface eth0/1"),
        ("state BACKUP", "advert_int x"),
        ("state BACKUP", "version 4"),
    ] {
        assert_eq!(between(&master(""), &backup("").replace(right, wrong)), [""; 0], "{wrong}");
    }
}

#[test]
fn interfaces_that_only_have_other_names_are_no_difference() {
    let device =
        |text: String, name: &str| text.replace("eth0", name).replace("/24", &format!("/24 dev {name} label {name}:1"));
    assert_eq!(check(&[&device(master(""), "eth0"), &device(backup(""), "ens33")]), ["interface-differs"]);
    assert_eq!(
        check(&[&device(master(""), "eth0"), &device(backup(""), "ens33").replace("dev ens33", "dev ens34")]),
        ["address-differs", "interface-differs"]
    );
}

#[test]
fn nopreempt_where_it_works() {
    assert_eq!(check(&[&instance("nopreempt"), &backup("nopreempt")]), [""; 0]);
    // Only the node of higher priority would preempt: it alone needs the word.
    assert_eq!(check(&[&instance("nopreempt"), &backup("")]), [""; 0]);
}

#[test]
fn different_intervals_are_only_a_warning_in_version_3() {
    let files = [master("version 3"), backup("version 3\nadvert_int 2")].map(|text| good(&text));
    let [a, b] = &files;
    let found = cluster::check(&[cluster::Node { name: "a", config: a }, cluster::Node { name: "b", config: b }]);
    assert_eq!(
        found.iter().map(|found| (found.code, found.is_error())).collect::<Vec<_>>(),
        [("interval-differs", false)]
    );
}

#[test]
fn one_cause_is_one_message_however_many_nodes() {
    let third = backup("").replace("priority 50", "priority 40").replace("router_id 51", "router_id 53");
    assert_eq!(check(&[&master(""), &backup("").replace("router_id 51", "router_id 52"), &third]), ["vrid-differs"]);
}

/// How the messages read, each pair's first file as `lb1.conf`.
#[test]
fn gallery() {
    let pairs = [
        (master(""), backup("").replace("priority 50", "priority 101")),
        (master(""), backup("").replace("/24", "/24\n192.0.2.101/24")),
        (master(""), backup("advert_int 2")),
        (master(""), backup("unicast_src_ip 192.0.2.12\nunicast_peer {\n 192.0.2.11\n}")),
        (master("authentication {\nauth_type PASS\nauth_pass x7Kf\n}"), backup("")),
        (master(""), backup("nopreempt").replace("eth0", "ens33")),
    ];
    let mut shown = String::new();
    for (lb1, lb2) in pairs {
        let files = crate::helpers::disk(&[("lb1.conf", &lb1), ("lb2.conf", &lb2)]);
        let mut sources = Sources::default();
        let [a, b] = ["lb1.conf", "lb2.conf"]
            .map(|name| config::load(&mut sources, &files, Path::new(name), &Options::default()));
        let nodes = [("lb1", &a), ("lb2", &b)].map(|(name, node)| cluster::Node { name, config: node.best_effort() });
        shown += &vipward_core::text::render(&sources, &cluster::check(&nodes), false);
    }
    insta::assert_snapshot!(shown);
}
