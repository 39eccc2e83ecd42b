//! `vrrp_sync_group` with the real daemons: a gateway between two segments, of which one is lost.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use vipward_lab::{Node, Process, wait_for};
use vipward_netns_tests::{Daemon, Need, Pair, VIP, in_lab};

const SOON: Duration = Duration::from_secs(30);
/// The gateway's address on the back segment.
const INNER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 100));

fn text(name: &str, priority: u8, more: &str) -> String {
    let instance = |name: &str, interface: &str, vrid: u8, vip: IpAddr| {
        format!(
            "vrrp_instance {name} {{\n    state BACKUP\n    interface {interface}\n    virtual_router_id {vrid}\n    \
             priority {priority}\n    advert_int 1\n    virtual_ipaddress {{\n        {vip}/24\n    }}\n}}\n"
        )
    };
    format!(
        "global_defs {{\n    router_id {name}\n}}\n\
         vrrp_sync_group GATEWAY {{\n    group {{\n        OUTSIDE\n        INSIDE\n    }}\n{more}}}\n{}{}",
        instance("OUTSIDE", "eth0", 51, VIP),
        instance("INSIDE", "eth1", 52, INNER)
    )
}

/// Waits until `holder` alone has both addresses, or both directors none of the other's.
fn only(pair: &Pair, holder: &Node, daemons: &[&Process]) {
    let settled = wait_for(SOON, || {
        let right = |node: &Node| {
            let has = node.name() == holder.name();
            node.has(VIP) == has && node.has(INNER) == has
        };
        (right(&pair.lb1) && right(&pair.lb2)).then_some(())
    });
    let said: String = daemons.iter().map(|daemon| format!("--- {}\n{}", daemon.name(), daemon.output())).collect();
    assert!(settled.is_some(), "{} alone should hold both addresses\n{said}", holder.name());
}

/// `better` on lb1 loses one of its segments: both addresses move together, and come back together.
fn one_segment_is_lost(better: Daemon, other: Daemon) {
    let pair = Pair::build().unwrap();
    let backup = other.start(&pair, &pair.lb2, &text("lb2", 100, "")).unwrap();
    only(&pair, &pair.lb2, &[&backup]);
    let master = better.start(&pair, &pair.lb1, &text("lb1", 150, "")).unwrap();
    only(&pair, &pair.lb1, &[&master, &backup]);
    for (segment, interface) in [(&pair.back, "eth1"), (&pair.front, "eth0")] {
        let began = Instant::now();
        segment.plug(&pair.lb1, interface, false).unwrap();
        only(&pair, &pair.lb2, &[&master, &backup]);
        println!("{better} loses {interface}: {other} has both after {:?}", began.elapsed());
        segment.plug(&pair.lb1, interface, true).unwrap();
        only(&pair, &pair.lb1, &[&master, &backup]);
    }
    better.kill(master).unwrap();
    let both = wait_for(SOON, || (pair.lb2.has(VIP) && pair.lb2.has(INNER)).then_some(()));
    assert!(both.is_some(), "lb2 takes both over\n{}", backup.output());
    assert!(!backup.output().contains("panic"), "{}", backup.output());
}

#[test]
fn both_addresses_move_together() {
    in_lab("both_addresses_move_together", &[], || one_segment_is_lost(Daemon::Vipward, Daemon::Vipward));
}

#[test]
fn from_vipward_to_keepalived_and_back() {
    in_lab("from_vipward_to_keepalived_and_back", &[Need::Keepalived], || {
        one_segment_is_lost(Daemon::Vipward, Daemon::Keepalived);
    });
}

#[test]
fn from_keepalived_to_vipward_and_back() {
    in_lab("from_keepalived_to_vipward_and_back", &[Need::Keepalived], || {
        one_segment_is_lost(Daemon::Keepalived, Daemon::Vipward);
    });
}

/// Both start at once with one priority, and each has the greater address on one segment.
#[test]
fn crossed_addresses_of_one_priority_end_with_one_owner() {
    in_lab("crossed_addresses_of_one_priority_end_with_one_owner", &[], || {
        let pair = Pair::build().unwrap();
        let address = |last| IpAddr::V4(Ipv4Addr::new(198, 51, 100, last));
        for (node, old, new) in [(&pair.lb1, 11, 13), (&pair.lb2, 12, 10)] {
            node.add_address("eth1", address(new), 24).unwrap();
            node.remove_address("eth1", address(old)).unwrap();
            node.add_address("eth1", address(new), 24).ok();
        }
        let one = Daemon::Vipward.start(&pair, &pair.lb1, &text("lb1", 100, "")).unwrap();
        let two = Daemon::Vipward.start(&pair, &pair.lb2, &text("lb2", 100, "")).unwrap();
        wait_for(SOON, || (pair.lb1.has(VIP) || pair.lb2.has(VIP)).then_some(())).expect("somebody takes over");
        std::thread::sleep(Duration::from_secs(8));
        let holder = if pair.lb1.has(VIP) { &pair.lb1 } else { &pair.lb2 };
        only(&pair, holder, &[&one, &two]);
    });
}

/// The group's own scripts hear of it by its name, as keepalived's do.
#[test]
fn the_groups_scripts_run() {
    in_lab("the_groups_scripts_run", &[], || {
        let pair = Pair::build().unwrap();
        let told = pair.folder.path().join("told");
        let script = pair.file("told.sh", &format!("#!/bin/sh\necho \"$*\" >> {}\n", told.display())).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let more = format!("    notify_master \"{0} master\" root\n    notify {0} root\n", script.display());
        let daemon = Daemon::Vipward.start(&pair, &pair.lb1, &text("lb1", 100, &more)).unwrap();
        let read = || std::fs::read_to_string(&told).unwrap_or_default();
        let all = wait_for(SOON, || read().contains("MASTER").then_some(()));
        assert!(all.is_some(), "{}\n{}", read(), daemon.output());
        let lines: Vec<String> = read().lines().map(str::to_owned).collect();
        assert_eq!(lines, ["GROUP GATEWAY BACKUP 0", "master", "GROUP GATEWAY MASTER 0"], "{}", daemon.output());
    });
}
