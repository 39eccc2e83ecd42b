//! vipward and Debian's keepalived in one virtual router, in both roles, in VRRP version 2 and 3.

use std::time::Duration;
use vipward_lab::{Node, Process, Signal, wait_for};
use vipward_netns_tests::{Daemon, Need, Pair, Router, VIP, in_lab};

const SOON: Duration = Duration::from_secs(30);

/// Waits until `holder` alone has the VIP.
fn only(pair: &Pair, holder: &Node, daemons: &[&Process]) {
    let settled = wait_for(SOON, || {
        let [one, two] = [&pair.lb1, &pair.lb2].map(|node| (node.name() == holder.name()) == node.has(VIP));
        (one && two).then_some(())
    });
    let said: String = daemons.iter().map(|daemon| format!("--- {}\n{}", daemon.name(), daemon.output())).collect();
    assert!(settled.is_some(), "{} alone should hold the VIP\n{said}", holder.name());
}

/// `better` on lb1 and `other` on lb2: the better one takes the address, gives it up in order, takes it back, dies.
fn live_together(better: Daemon, other: Daemon, version: u8, advert_int: &'static str) {
    live_together_with(better, other, |router| Router { version, advert_int, ..router });
}

fn live_together_with(better: Daemon, other: Daemon, change: impl Fn(Router) -> Router) {
    let pair = Pair::build().unwrap();
    let file = |router: Router| change(router).text();
    let (on_lb1, on_lb2) = (file(Router::master()), file(Router::backup()));
    let backup = other.start(&pair, &pair.lb2, &on_lb2).unwrap();
    only(&pair, &pair.lb2, &[&backup]);
    let master = better.start(&pair, &pair.lb1, &on_lb1).unwrap();
    only(&pair, &pair.lb1, &[&master, &backup]);
    master.signal(Signal::SIGTERM);
    only(&pair, &pair.lb2, &[&master, &backup]);
    let ended = master.wait(SOON).unwrap();
    assert!(ended.status.success(), "{}", ended.output);
    let master = better.start(&pair, &pair.lb1, &on_lb1).unwrap();
    only(&pair, &pair.lb1, &[&master, &backup]);
    better.kill(master).unwrap();
    wait_for(SOON, || pair.lb2.has(VIP).then_some(())).expect("the other one takes over");
    // What a killed daemon left behind does not confuse the next one.
    let master = better.start(&pair, &pair.lb1, &on_lb1).unwrap();
    only(&pair, &pair.lb1, &[&master, &backup]);
    assert!(!backup.output().contains("panic"), "{}", backup.output());
    drop(master);
}

#[test]
fn vipward_leads_keepalived_version_2() {
    in_lab("vipward_leads_keepalived_version_2", &[Need::Keepalived], || {
        live_together(Daemon::Vipward, Daemon::Keepalived, 2, "1");
    });
}

#[test]
fn keepalived_leads_vipward_version_2() {
    in_lab("keepalived_leads_vipward_version_2", &[Need::Keepalived], || {
        live_together(Daemon::Keepalived, Daemon::Vipward, 2, "1");
    });
}

#[test]
fn vipward_leads_keepalived_version_3() {
    in_lab("vipward_leads_keepalived_version_3", &[Need::Keepalived], || {
        live_together(Daemon::Vipward, Daemon::Keepalived, 3, "0.1");
    });
}

#[test]
fn keepalived_leads_vipward_version_3() {
    in_lab("keepalived_leads_vipward_version_3", &[Need::Keepalived], || {
        live_together(Daemon::Keepalived, Daemon::Vipward, 3, "0.1");
    });
}

#[test]
fn passwords_of_version_2_are_understood_both_ways() {
    in_lab("passwords_of_version_2_are_understood_both_ways", &[Need::Keepalived], || {
        let pair = Pair::build().unwrap();
        let more = "authentication {\n        auth_type PASS\n        auth_pass secret42\n    }";
        let backup = Daemon::Keepalived.start(&pair, &pair.lb2, &Router { more, ..Router::backup() }.text()).unwrap();
        only(&pair, &pair.lb2, &[&backup]);
        let master = Daemon::Vipward.start(&pair, &pair.lb1, &Router { more, ..Router::master() }.text()).unwrap();
        only(&pair, &pair.lb1, &[&master, &backup]);
        drop((master, backup));
    });
}

fn with_ah(router: Router) -> Router {
    let more = "authentication {\n        auth_type AH\n        auth_pass secret42\n    }";
    Router { more, version: 2, advert_int: "1", ..router }
}

#[test]
fn vipward_leads_keepalived_with_ah() {
    in_lab("vipward_leads_keepalived_with_ah", &[Need::Keepalived], || {
        live_together_with(Daemon::Vipward, Daemon::Keepalived, with_ah);
    });
}

#[test]
fn keepalived_leads_vipward_with_ah() {
    in_lab("keepalived_leads_vipward_with_ah", &[Need::Keepalived], || {
        live_together_with(Daemon::Keepalived, Daemon::Vipward, with_ah);
    });
}

/// The supervisor says goodbye for its dead worker, with the number that comes next, and keepalived believes it.
#[test]
fn the_farewell_of_a_dead_worker_has_ah() {
    in_lab("the_farewell_of_a_dead_worker_has_ah", &[Need::Keepalived], || {
        let pair = Pair::build().unwrap();
        let mut backup = Daemon::Keepalived.start(&pair, &pair.lb2, &with_ah(Router::backup()).text()).unwrap();
        only(&pair, &pair.lb2, &[&backup]);
        let master = Daemon::Vipward.start(&pair, &pair.lb1, &with_ah(Router::master()).text()).unwrap();
        only(&pair, &pair.lb1, &[&master, &backup]);
        for worker in master.children().unwrap() {
            vipward_lab::signal(worker, Signal::SIGKILL);
        }
        backup.wait_for_line("received priority 0", SOON).unwrap();
        // The next worker begins at 0, hears where the others are, and takes it back.
        only(&pair, &pair.lb1, &[&master, &backup]);
        drop((master, backup));
    });
}

#[test]
fn unicast_peers_elect_too() {
    in_lab("unicast_peers_elect_too", &[Need::Keepalived], || {
        let pair = Pair::build().unwrap();
        let lb1 = "unicast_src_ip 192.0.2.11\n    unicast_peer {\n        192.0.2.12\n    }";
        let lb2 = "unicast_src_ip 192.0.2.12\n    unicast_peer {\n        192.0.2.11\n    }";
        let fast = |router: Router| Router { version: 3, advert_int: "0.1", ..router };
        let backup =
            Daemon::Keepalived.start(&pair, &pair.lb2, &Router { more: lb2, ..fast(Router::backup()) }.text()).unwrap();
        only(&pair, &pair.lb2, &[&backup]);
        let master =
            Daemon::Vipward.start(&pair, &pair.lb1, &Router { more: lb1, ..fast(Router::master()) }.text()).unwrap();
        only(&pair, &pair.lb1, &[&master, &backup]);
        master.signal(Signal::SIGTERM);
        only(&pair, &pair.lb2, &[&master, &backup]);
        drop((master, backup));
    });
}
