//! `virtual_routes` and `virtual_rules` of the real daemons: the same file for keepalived and vipward, and what the kernel has then.

use std::time::Duration;
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::kernel::{becomes, ip};
use vipward_netns_tests::{Daemon, Need, Pair, Router, VIP, in_lab};

const SOON: Duration = Duration::from_secs(40);

/// Everything that keepalived 2.2.7 takes as well.
const ROUTES: &str = "virtual_ipaddress_excluded {
        2001:db8::100/64
    }
    virtual_routes {
        src 192.0.2.100 to 203.0.113.0/24 via 192.0.2.200 dev eth0
        198.18.0.0/24 via 192.0.2.254
        198.18.1.0/24 dev eth1
        198.18.2.0/24 via 192.0.2.254 or 192.0.2.253
        blackhole 198.18.3.0/24
        unreachable 198.18.4.0/24
        0.0.0.0/0 gw 192.0.2.254 table 100
        default via 192.0.2.254 table 101
        198.18.5.0/24 dev eth0 scope link metric 7 mtu 1400 advmss 1300 initcwnd 10 initrwnd 12 quickack 1 features ecn tos 4
        198.18.6.0/24 nexthop via 192.0.2.254 dev eth0 weight 1 nexthop via 192.0.2.253 dev eth0 weight 2
        2001:db8:5::/64 via 2001:db8::254 dev eth0
        2001:db8:6::/64 dev eth0 metric 33 mtu 1400 pref high
        default via inet6 2001:db8::254 dev eth0 table 100
        198.18.7.0/24 via 192.0.2.254 dev eth0 protocol bird no_track
        198.18.8.0/24 via 10.99.0.1 dev eth0 onlink
        198.18.9.0/24 via 192.0.2.99 dev eth0
        throw 198.18.10.0/24
        prohibit 198.18.11.0/24
        blackhole 2001:db8:7::/64
    }
    virtual_rules {
        from 192.0.2.0/24 table 100
        from 2001:db8::/64 table 100
        from 198.18.0.0/16 tos 0x10 blackhole
        to 203.0.113.0/24 lookup 101 preference 500
        fwmark 24/12 iif eth0 table 100 preference 600
        suppress_prefixlength 0 table main priority 701
        not from 10.0.0.0/8 table 100 priority 702
        from all priority 703 goto 704
        ipproto tcp sport 10-20 table 100 priority 710
        uidrange 1000-1999 prohibit priority 711
        suppress_ifgroup 5 table main priority 712
        type unreachable to 198.18.9.0/24 priority 713
        iif eth0 oif eth1 fwmark 5 lookup main priority 714
    }";

/// How many routes and rules that are.
const OURS: usize = 19 + 13;

fn build() -> Pair {
    let pair = Pair::build().unwrap();
    pair.lb1.sysctl("net/ipv6/conf/eth0/accept_dad", "0").unwrap();
    pair.lb1.add_address("eth0", "2001:db8::11".parse().unwrap(), 64).unwrap();
    // The administrator's own, of which one has the destination of a virtual route.
    for words in [
        "route add 198.18.9.0/24 via 192.0.2.77 dev eth0",
        "route add 198.18.20.0/24 dev eth0",
        "rule add to 203.0.113.0/24 lookup 101 preference 500",
    ] {
        ip(&pair.lb1, words);
    }
    pair
}

fn router() -> Router {
    Router { more: ROUTES, ..Router::master() }
}

/// Routes and policy rules of both families that a daemon puts there, and the administrator's.
fn routes(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for words in ["-4 -o route show table all", "-6 -o route show table all", "-4 rule show", "-6 rule show"] {
        let shown = ip(node, words);
        let of_kernel = |line: &&str| line.contains("proto kernel") || line.contains("table local");
        lines.extend(shown.lines().filter(|line| !of_kernel(line)).map(|line| line.trim_end().to_owned()));
    }
    lines.sort();
    lines
}

/// Waits until all of them are there.
#[track_caller]
fn complete(pair: &Pair, before: &[String], daemon: &Process) {
    let there = wait_for(SOON, || (routes(&pair.lb1).len() == before.len() + OURS).then_some(()));
    assert!(there.is_some(), "there are {:#?}\n{}", routes(&pair.lb1), daemon.output());
}

#[test]
fn both_daemons_put_the_same_routes_in_and_take_them_out() {
    in_lab("both_daemons_put_the_same_routes_in_and_take_them_out", &[Need::Keepalived], || {
        let pair = build();
        let before = routes(&pair.lb1);
        let mut of_each = Vec::new();
        for daemon in [Daemon::Keepalived, Daemon::Vipward] {
            let process = daemon.start(&pair, &pair.lb1, &router().text()).unwrap();
            wait_for(SOON, || pair.lb1.has(VIP).then_some(())).expect("it becomes MASTER");
            wait_for(SOON, || routes(&pair.lb1).iter().any(|line| line.contains("2001:db8:7::")).then_some(()))
                .unwrap_or_else(|| panic!("{}", process.output()));
            of_each.push(routes(&pair.lb1));
            process.signal(Signal::SIGTERM);
            assert!(process.wait(SOON).unwrap().status.success());
            assert_eq!(routes(&pair.lb1), before, "{daemon} takes its own out and nobody else's");
        }
        let [keepalived, vipward] = of_each.as_slice() else { panic!() };
        assert_eq!(keepalived, vipward);
        assert_eq!(vipward.len(), before.len() + OURS, "{vipward:#?}");
    });
}

#[test]
fn what_somebody_takes_out_is_back_and_what_a_link_takes_along() {
    in_lab("what_somebody_takes_out_is_back_and_what_a_link_takes_along", &[], || {
        let pair = build();
        let before = routes(&pair.lb1);
        let vipward = Daemon::Vipward.start(&pair, &pair.lb1, &router().text()).unwrap();
        complete(&pair, &before, &vipward);
        let all = routes(&pair.lb1);
        for words in [
            "-4 route del 203.0.113.0/24",
            "-4 route del 0.0.0.0/0 table 100",
            "-6 route del 2001:db8:5::/64",
            "-4 rule del preference 600",
            "-6 rule del preference 16384",
        ] {
            ip(&pair.lb1, words);
            becomes(&pair.lb1, routes, &all, &vipward, SOON);
        }
        // IPv4 routes of an interface that goes down are gone, and nobody is told.
        pair.lb1.set_up("eth1", false).unwrap();
        pair.lb1.set_up("eth1", true).unwrap();
        becomes(&pair.lb1, routes, &all, &vipward, SOON);
        // The virtual address, and the route from it with it.
        pair.lb1.remove_address("eth0", VIP).unwrap();
        becomes(&pair.lb1, routes, &all, &vipward, SOON);
        // A route of somebody else that appears later.
        ip(&pair.lb1, "route add 198.18.21.0/24 dev eth0");
        vipward.signal(Signal::SIGTERM);
        let ended = vipward.wait(SOON).unwrap();
        assert!(ended.status.success() && !ended.output.contains("panic"), "{}", ended.output);
        let left = routes(&pair.lb1);
        assert_eq!(left.len(), before.len() + 1, "{left:#?}");
    });
}

/// The supervisor takes them out at once. Without it nobody does: the next start does.
#[test]
fn a_killed_worker_s_routes_go_and_a_killed_director_s_with_the_next_start() {
    in_lab("a_killed_worker_s_routes_go_and_a_killed_director_s_with_the_next_start", &[], || {
        let pair = build();
        let before = routes(&pair.lb1);
        let vipward = Daemon::Vipward.start(&pair, &pair.lb1, &router().text()).unwrap();
        complete(&pair, &before, &vipward);
        let worker = vipward.children().unwrap().first().copied().expect("a worker");
        vipward_lab::signal(worker, Signal::SIGKILL);
        // The next worker becomes MASTER some seconds later.
        wait_for(SOON, || (routes(&pair.lb1) == before).then_some(()))
            .unwrap_or_else(|| panic!("{}", vipward.output()));
        complete(&pair, &before, &vipward);

        vipward.signal_all(Signal::SIGKILL);
        wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("its lifetime ends");
        let left = routes(&pair.lb1);
        assert!(left.iter().any(|line| line.starts_with("blackhole 198.18.3.0/24")), "{left:#?}");
        assert!(left.iter().all(|line| !line.starts_with("203.0.113.0/24")), "it went with its source: {left:#?}");
        let fewer = Router { more: "virtual_routes {\n        prohibit 198.18.11.0/24\n    }", ..Router::master() };
        let next = Daemon::Vipward.start(&pair, &pair.lb1, &fewer.text()).unwrap();
        wait_for(SOON, || pair.lb1.has(VIP).then_some(())).unwrap_or_else(|| panic!("{}", next.output()));
        // It takes out what was left behind one by one, and the address may come back before the last of them is gone.
        for left in ["the route 198.18.3.0/24 was left behind", "the rule `701: from all lookup main suppress"] {
            wait_for(SOON, || next.output().contains(left).then_some(()))
                .unwrap_or_else(|| panic!("no `{left}` in:\n{}", next.output()));
        }
        let marked = |line: &&String| line.contains("proto keepalived");
        wait_for(SOON, || (routes(&pair.lb1).iter().filter(marked).count() == 1).then_some(()))
            .unwrap_or_else(|| panic!("{:#?}\n{}", routes(&pair.lb1), next.output()));
    });
}
