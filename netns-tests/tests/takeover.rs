//! A backup takes over from a MASTER that was killed or stopped. Times are printed beside the RFC's arithmetic; what is
//! asserted of them is only that nobody takes over too early.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};
use vipward_lab::client::ask;
use vipward_lab::watch::{Watch, What};
use vipward_lab::{Process, Signal, wait_for};
use vipward_netns_tests::measure::{master_down, show, skew, takeover};
use vipward_netns_tests::{Pair, Router, VIP, in_lab};

/// A loaded machine may be this late, and no test minds.
const SOON: Duration = Duration::from_secs(30);
/// Clocks of two sources are compared: kernel time stamps, and the time when a notification was read.
const JITTER: Duration = Duration::from_millis(1);

struct Running {
    pair: Pair,
    master: Process,
    backup: Process,
    watch: Watch,
}

/// lb1 is MASTER, lb2 has heard it.
fn running(version: u8, advert_int: &'static str) -> Running {
    let pair = Pair::build().unwrap();
    let watch = Watch::start(&pair.lb2).unwrap();
    let file = |router: Router| Router { version, advert_int, ..router }.text();
    let mut master = pair.vipward_with(&pair.lb1, &file(Router::master())).unwrap();
    master.wait_for_line("-> MASTER", SOON).unwrap();
    let mut backup = pair.vipward_with(&pair.lb2, &file(Router::backup())).unwrap();
    backup.wait_for_line("-> BACKUP", SOON).unwrap();
    let adverts = || watch.seen().iter().filter(|one| matches!(one.what, What::Advert { .. })).count();
    let before = adverts();
    wait_for(SOON, || (adverts() > before + 2).then_some(())).expect("adverts go on");
    assert!(pair.lb1.has(VIP) && !pair.lb2.has(VIP));
    Running { pair, master, backup, watch }
}

fn after_sigkill(version: u8, advert_int: &'static str, advert_millis: u32) {
    let Running { pair, master, mut backup, watch } = running(version, advert_int);
    let killed = SystemTime::now();
    master.kill();
    let took = takeover(&watch, killed, SOON).unwrap();
    let allowed = master_down(version, 100, advert_millis);
    println!("v{version}, advert_int {advert_int}, SIGKILL: {}, Master_Down_Interval {}", show(took), show(allowed));
    assert!(took + JITTER >= allowed, "took over early: {took:?} after the last advert, not {allowed:?}");
    backup.wait_for_line("-> MASTER", SOON).unwrap();
    wait_for(SOON, || (!pair.lb1.has(VIP)).then_some(())).expect("lb1's kernel takes the VIP off");
}

fn after_sigterm(version: u8, advert_int: &'static str, advert_millis: u32) {
    let Running { pair, master, mut backup, watch } = running(version, advert_int);
    let stopped = SystemTime::now();
    master.signal(Signal::SIGTERM);
    let took = takeover(&watch, stopped, SOON).unwrap();
    let allowed = skew(version, 100, advert_millis);
    println!("v{version}, advert_int {advert_int}, SIGTERM: {}, Skew_Time {}", show(took), show(allowed));
    assert!(took + JITTER >= allowed, "took over early: {took:?} after priority 0, not {allowed:?}");
    let farewells = watch.seen().into_iter().filter(|one| matches!(one.what, What::Advert { priority: 0, .. })).count();
    assert_eq!(farewells, 1, "one advert with priority 0");
    backup.wait_for_line("-> MASTER", SOON).unwrap();
    let ended = master.wait(SOON).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    assert!(!pair.lb1.has(VIP), "a stopped daemon takes its VIP off");
}

#[test]
fn version_2_after_sigkill() {
    in_lab("version_2_after_sigkill", &[], || after_sigkill(2, "1", 1000));
}

#[test]
fn version_3_after_sigkill() {
    in_lab("version_3_after_sigkill", &[], || after_sigkill(3, "0.1", 100));
}

#[test]
fn version_2_after_sigterm() {
    in_lab("version_2_after_sigterm", &[], || after_sigterm(2, "1", 1000));
}

#[test]
fn version_3_after_sigterm() {
    in_lab("version_3_after_sigterm", &[], || after_sigterm(3, "0.1", 100));
}

#[test]
fn the_new_master_announces_itself_and_the_client_follows() {
    in_lab("the_new_master_announces_itself_and_the_client_follows", &[], || {
        let Running { pair, master, mut backup, watch } = running(3, "0.1");
        let on_client = Watch::start(&pair.client).unwrap();
        master.kill();
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        let announced = |watch: &Watch, by_us: bool| {
            wait_for(SOON, || {
                let gratuitous = |what: &What| {
                    matches!(what, What::Arp { sender, target, sent }
                    if sender == target && VIP == *sender && *sent == by_us)
                };
                watch.seen().into_iter().find(|one| gratuitous(&one.what))
            })
        };
        assert!(announced(&watch, true).is_some(), "lb2 sends gratuitous ARP");
        assert!(announced(&on_client, false).is_some(), "and the client hears it");
    });
}

#[test]
fn a_master_that_comes_back_takes_its_address_again() {
    in_lab("a_master_that_comes_back_takes_its_address_again", &[], || {
        let Running { pair, master, mut backup, watch: _watch } = running(3, "0.1");
        master.kill();
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        let mut master =
            pair.vipward_with(&pair.lb1, &Router { version: 3, advert_int: "0.1", ..Router::master() }.text()).unwrap();
        master.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || (pair.lb1.has(VIP) && !pair.lb2.has(VIP)).then_some(())).expect("the VIP goes back to lb1");
        backup.wait_for_line("MASTER -> BACKUP", SOON).unwrap();
    });
}

#[test]
fn nopreempt_leaves_the_address_where_it_is() {
    in_lab("nopreempt_leaves_the_address_where_it_is", &[], || {
        let Running { pair, master, mut backup, watch } = running(3, "0.1");
        master.kill();
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        let router = Router { version: 3, advert_int: "0.1", more: "nopreempt", ..Router::master() };
        let mut master = pair.vipward_with(&pair.lb1, &router.text()).unwrap();
        master.wait_for_line("-> BACKUP", SOON).unwrap();
        // Ten more adverts of lb2: lb1 has had ten chances.
        let sent = || watch.seen().iter().filter(|one| matches!(one.what, What::Advert { sent: true, .. })).count();
        let before = sent();
        wait_for(SOON, || (sent() > before + 10).then_some(())).expect("lb2 goes on");
        assert!(pair.lb2.has(VIP) && !pair.lb1.has(VIP));
    });
}

#[test]
fn a_cut_makes_two_masters_and_the_heal_leaves_the_better_one() {
    in_lab("a_cut_makes_two_masters_and_the_heal_leaves_the_better_one", &[], || {
        let Running { pair, master: _master, mut backup, watch: _watch } = running(3, "0.1");
        let isolate = |isolated| {
            pair.front.isolate(&pair.lb1, "eth0", isolated).unwrap();
            pair.front.isolate(&pair.lb2, "eth0", isolated).unwrap();
        };
        isolate(true);
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || (pair.lb1.has(VIP) && pair.lb2.has(VIP)).then_some(())).expect("both hold the VIP");
        isolate(false);
        backup.wait_for_line("MASTER -> BACKUP", SOON).unwrap();
        wait_for(SOON, || (pair.lb1.has(VIP) && !pair.lb2.has(VIP)).then_some(())).expect("only lb1 holds the VIP");
    });
}

#[test]
fn a_pulled_cable_is_a_fault_and_the_other_director_takes_over() {
    in_lab("a_pulled_cable_is_a_fault_and_the_other_director_takes_over", &[], || {
        let Running { pair, mut master, mut backup, watch: _watch } = running(3, "0.1");
        pair.front.plug(&pair.lb1, "eth0", false).unwrap();
        master.wait_for_line("-> FAULT", SOON).unwrap();
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || (!pair.lb1.has(VIP) && pair.lb2.has(VIP)).then_some(())).expect("the VIP moves");
        pair.front.plug(&pair.lb1, "eth0", true).unwrap();
        wait_for(SOON, || (pair.lb1.has(VIP) && !pair.lb2.has(VIP)).then_some(())).expect("and comes back");
    });
}

/// A port of the VIP where nobody listens: whoever has the VIP refuses.
fn refuses(pair: &Pair) {
    let answer = ask(&pair.client, SocketAddr::new(VIP, 81), SOON);
    assert!(answer.as_ref().is_err_and(|why| why.contains("refused")), "{answer:?}");
}

/// RFC 9568 6.4.2 and 6.4.3: a BACKUP does not respond to ARP requests for the VIP, a MASTER does.
#[test]
fn only_the_master_answers_arp_for_the_vip() {
    in_lab("only_the_master_answers_arp_for_the_vip", &[], || {
        let Running { pair, master, mut backup, watch } = running(3, "0.1");
        // The client knows no hardware address for it yet.
        refuses(&pair);
        let answers = || {
            watch
                .seen()
                .iter()
                .filter(|one| matches!(one.what, What::Arp { sender, sent: true, .. } if IpAddr::V4(sender) == VIP))
                .count()
        };
        assert_eq!(answers(), 0, "lb2 is BACKUP");
        master.signal(Signal::SIGTERM);
        backup.wait_for_line("-> MASTER", SOON).unwrap();
        wait_for(SOON, || (answers() > 0).then_some(())).expect("lb2 announces the VIP");
        refuses(&pair);
    });
}

/// RFC 9568 8.3.1: what is sent to the VIP itself is not forwarded, also by a host that forwards.
#[test]
fn a_master_keeps_what_is_sent_to_the_vip() {
    in_lab("a_master_keeps_what_is_sent_to_the_vip", &[], || {
        let Running { pair, .. } = running(3, "0.1");
        pair.lb1.sysctl("net/ipv4/ip_forward", "1").unwrap();
        refuses(&pair);
    });
}
