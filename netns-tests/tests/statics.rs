//! `static_ipaddress`, `static_routes` and `static_rules` of the real daemons: the same file for keepalived and vipward, and
//! what the kernel has then.

use std::time::Duration;
use vipward_lab::{Node, Process, Signal, signal, wait_for};
use vipward_netns_tests::kernel::{becomes, ip};
use vipward_netns_tests::{Daemon, Need, Pair, Router, VIP, in_lab};

const SOON: Duration = Duration::from_secs(40);

/// Everything that keepalived 2.2.7 takes as well.
const STATICS: &str = "static_ipaddress {
    192.0.2.7/24 dev eth0
    198.18.99.1/32 dev eth1
    2001:db8::7/64 dev eth0
}
static_routes {
    203.0.113.0/24 via 192.0.2.254 dev eth0
    blackhole 198.18.3.0/24
    2001:db8:6::/64 dev eth0 metric 33
    198.18.7.0/24 via 192.0.2.254 dev eth0 src 192.0.2.7
}
static_rules {
    from 192.0.2.0/24 table 100 priority 500
    from 2001:db8::/64 table 100 priority 500
}
";

fn build() -> Pair {
    let pair = Pair::build().unwrap();
    pair.lb1.sysctl("net/ipv6/conf/eth0/accept_dad", "0").unwrap();
    pair
}

fn both(statics: &str) -> String {
    format!("{statics}{}", Router::master().text())
}

/// Addresses but the virtual one, routes and rules, of both families, without what the kernel makes by itself.
fn shown(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for words in ["-4 -o address show", "-6 -o address show scope global", "-4 -o route show", "-6 -o route show"] {
        lines.extend(ip(node, words).lines().map(|line| line.replace('\\', " ")));
    }
    for words in ["-4 rule show", "-6 rule show"] {
        lines.extend(ip(node, words).lines().map(str::to_owned));
    }
    lines.retain(|line| !line.contains("proto kernel") && !line.contains(&format!("{VIP}/")));
    // By which program an address was put there keepalived does not say.
    let mut lines: Vec<String> = lines
        .iter()
        .map(|line| {
            line.replace("proto keepalived", "")
                .split_whitespace()
                .skip_while(|it| it.ends_with(':') && it.len() < 3)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    lines.sort();
    lines
}

/// Waits until all of them are there. What is there then.
#[track_caller]
fn complete(pair: &Pair, before: &[String], daemon: &Process) -> Vec<String> {
    let there = wait_for(SOON, || Some(shown(&pair.lb1)).filter(|there| there.len() == before.len() + 3 + 4 + 2));
    there.unwrap_or_else(|| panic!("there are {:#?}\n{}", shown(&pair.lb1), daemon.output()))
}

#[test]
fn both_daemons_put_the_same_there_and_take_it_off_at_the_stop() {
    in_lab("both_daemons_put_the_same_there_and_take_it_off_at_the_stop", &[Need::Keepalived], || {
        let pair = build();
        let before = shown(&pair.lb1);
        let mut of_each = Vec::new();
        for daemon in [Daemon::Keepalived, Daemon::Vipward] {
            let process = daemon.start(&pair, &pair.lb1, &both(STATICS)).unwrap();
            wait_for(SOON, || pair.lb1.has(VIP).then_some(())).expect("it becomes MASTER");
            of_each.push(complete(&pair, &before, &process));
            process.signal(Signal::SIGTERM);
            assert!(process.wait(SOON).unwrap().status.success());
            assert_eq!(shown(&pair.lb1), before, "{daemon} takes its own off");
        }
        let [keepalived, vipward] = of_each.as_slice() else { panic!() };
        assert_eq!(keepalived, vipward);
    });
}

#[test]
fn they_need_no_virtual_router_and_come_back() {
    in_lab("they_need_no_virtual_router_and_come_back", &[], || {
        let pair = build();
        let before = shown(&pair.lb1);
        let vipward = Daemon::Vipward.start(&pair, &pair.lb1, STATICS).unwrap();
        let all = complete(&pair, &before, &vipward);
        let forever = ip(&pair.lb1, "-4 -o address show dev eth0");
        assert!(
            forever.lines().any(|line| line.contains("192.0.2.7/24") && line.contains("valid_lft forever")),
            "{forever}"
        );
        for words in [
            "address del 192.0.2.7/24 dev eth0",
            "-6 address del 2001:db8::7/64 dev eth0",
            "-4 route del 203.0.113.0/24",
            "-4 rule del preference 500",
        ] {
            ip(&pair.lb1, words);
            becomes(&pair.lb1, shown, &all, &vipward, SOON);
        }
        pair.lb1.set_up("eth0", false).unwrap();
        pair.lb1.set_up("eth0", true).unwrap();
        becomes(&pair.lb1, shown, &all, &vipward, SOON);
        vipward.signal(Signal::SIGTERM);
        let ended = vipward.wait(SOON).unwrap();
        assert!(ended.status.success() && !ended.output.contains("panic"), "{}", ended.output);
        assert_eq!(shown(&pair.lb1), before);
    });
}

/// A host's own addresses don't blink when a process dies.
#[test]
fn a_killed_worker_s_stay_and_a_killed_director_s_are_taken_up_or_taken_off() {
    in_lab("a_killed_worker_s_stay_and_a_killed_director_s_are_taken_up_or_taken_off", &[], || {
        let pair = build();
        let before = shown(&pair.lb1);
        let mut vipward = Daemon::Vipward.start(&pair, &pair.lb1, &both(STATICS)).unwrap();
        let all = complete(&pair, &before, &vipward);
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).unwrap_or_else(|| panic!("{}", vipward.output()));
        let from = vipward.lines(0).len();
        let worker = vipward.children().unwrap().first().copied().expect("a worker");
        signal(worker, Signal::SIGKILL);
        wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("its supervisor takes the virtual one off");
        assert_eq!(shown(&pair.lb1), all, "{}", vipward.output());
        vipward.wait_for_line_after(from, " MASTER", SOON).unwrap();
        becomes(&pair.lb1, shown, &all, &vipward, SOON);

        vipward.signal_all(Signal::SIGKILL);
        wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("its lifetime ends");
        assert_eq!(shown(&pair.lb1), all);
        // The address is kept, the others are not wanted any more.
        let fewer =
            both("static_ipaddress {\n    192.0.2.7/24 dev eth0\n}\nstatic_routes {\n    blackhole 198.18.3.0/24\n}\n");
        let next = Daemon::Vipward.start(&pair, &pair.lb1, &fewer).unwrap();
        wait_for(SOON, || (shown(&pair.lb1).len() == before.len() + 2).then_some(()))
            .unwrap_or_else(|| panic!("{:#?}\n{}", shown(&pair.lb1), next.output()));
        next.signal(Signal::SIGTERM);
        assert!(next.wait(SOON).unwrap().status.success());
        assert_eq!(shown(&pair.lb1), before, "taken up, so taken off");
    });
}

/// `track_group`: the link on which a static route leads is lost, and with it the VIP that needs the route; what is only
/// taken out is put back, and nobody notices.
#[test]
fn a_virtual_router_is_in_fault_without_the_static_route_that_it_tracks() {
    in_lab("a_virtual_router_is_in_fault_without_the_static_route_that_it_tracks", &[Need::Keepalived], || {
        let blocks = "track_group T {\n    group {\n        VI_1\n    }\n}\n\
             static_routes {\n    203.0.113.0/24 via 198.51.100.254 dev eth1 track_group T\n}\n";
        let pair = build();
        for daemon in [Daemon::Vipward, Daemon::Keepalived] {
            let router = Router { blocks: blocks.to_owned(), ..Router::master() };
            let director = daemon.start(&pair, &pair.lb1, &router.text()).unwrap();
            let there = || ip(&pair.lb1, "route show 203.0.113.0/24").contains("via 198.51.100.254");
            let settled = |vip: bool, route: bool, what: &str| {
                let found = wait_for(SOON, || (pair.lb1.has(VIP) == vip && there() == route).then_some(()));
                assert!(found.is_some(), "{daemon}: {what}\n{}", director.output());
            };
            settled(true, true, "MASTER with its route");
            ip(&pair.lb1, "route del 203.0.113.0/24");
            settled(true, true, "put back");
            pair.back.plug(&pair.lb1, "eth1", false).unwrap();
            ip(&pair.lb1, "link set eth1 down");
            settled(false, false, "FAULT without its route");
            ip(&pair.lb1, "link set eth1 up");
            pair.back.plug(&pair.lb1, "eth1", true).unwrap();
            settled(true, true, "MASTER again");
            director.signal(Signal::SIGTERM);
            director.wait(SOON).unwrap();
        }
    });
}
