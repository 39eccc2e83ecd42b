//! A director that goes on where the process before it ended: handed over in order, or from a copy after a crash.

use crate::timeline::*;
use vipward_core::config::{Config, Garp, NotifyScripts, VirtualRouterConfig};
use vipward_core::interface::InterfaceAddress;
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;
use vipward_core::time::Duration;
use vipward_core::vrrp::virtual_router::State;
use vipward_core::vrrp::{Event, Input};

const APPLIED: &str = "configuration applied; added vrrp_instance V";
const LISTENS: &str = "listen eth0 224.0.0.18";
/// Addresses have no lifetime in these tests; one that a process with another setting put there may have one.
const RENEWED: &str = "renew 10.0.0.100";
const STARTED: &str = "V: INIT -> BACKUP: started";

fn one() -> Config {
    config(vec![router()], vec![])
}

#[test]
fn a_master_sends_its_next_advert_when_it_was_due() {
    let mut old = Timeline::of(vec![router()]);
    old.becomes_master();
    let mut successor = old.at("4").successor(true);
    successor.at("4.005").loads(one()).is(Role::Master).gives(&[
        RENEWED,
        LISTENS,
        APPLIED,
        "V: goes on as MASTER with priority 100; the last advert left 0.395 s ago",
    ]);
    assert_eq!(successor.until("5.7"), ["4.609 advert 100", "5.609 advert 100"]);
    old.at("5").wakes().nothing();
    assert_eq!(old.election.next_wakeup(), None, "the old one is over");
}

#[test]
fn an_advert_that_was_due_between_the_two_leaves_at_once() {
    let mut old = Timeline::of(vec![router()]);
    old.becomes_master();
    let mut successor = old.at("4.6").successor(true);
    successor.at("4.62").loads(one()).is(Role::Master);
    assert_eq!(successor.until("5.7"), ["4.620 advert 100", "5.620 advert 100"]);
}

/// The most impatient peer, priority 254, waits 3 s and 8 ms.
#[test]
fn a_master_whose_last_advert_is_too_old_is_a_backup() {
    let notify = NotifyScripts { backup: Some(command("/n/backup")), ..NotifyScripts::default() };
    for (at, role) in [("6.617187500", Role::Master), ("6.617187501", Role::Backup)] {
        let mut old = Timeline::of(vec![router()]);
        old.becomes_master();
        let mut successor = old.at("3.7").successor(true);
        let config = config(vec![VirtualRouterConfig { notify: notify.clone(), ..router() }], vec![]);
        successor.at(at).loads(config).is(role);
        match role {
            Role::Master => successor.gives_of("notify", &[]).gives_of("remove", &[]),
            _ => successor.gives_of("notify", &["notify V: /n/backup"]).gives_of("remove", &["remove 10.0.0.100/24"]),
        };
    }
}

/// The kernel took the address off with its lifetime; nobody else has it, but neighbours may have forgotten it.
#[test]
fn an_address_that_went_meanwhile_is_put_back_and_announced() {
    let mut old = Timeline::of(vec![VirtualRouterConfig { addresses: vec![vip(100), vip(101)], ..router() }]);
    old.becomes_master();
    let mut successor = old.at("4").successor(false);
    successor.handles(Event::AddressesRead(vec![observed(ME, false), observed(101, true)]));
    successor.loads(config(vec![VirtualRouterConfig { addresses: vec![vip(100), vip(101)], ..router() }], vec![]));
    successor.is(Role::Master).gives(&[
        "add 10.0.0.100/24",
        "renew 10.0.0.100 10.0.0.101",
        LISTENS,
        "garp 10.0.0.100",
        APPLIED,
        "V: goes on as MASTER with priority 100; the last advert left 0.390 s ago",
    ]);
}

/// What the old process put there and the new configuration does not want goes, without a word about leftovers, also on
/// a kernel that forgets whose an address is.
#[test]
fn the_new_configuration_decides_what_stays() {
    let mut old = Timeline::of(vec![VirtualRouterConfig { addresses: vec![vip(100), vip(101)], ..router() }]);
    old.becomes_master();
    let labelled = InterfaceAddress { label: Some("eth0:1".into()), ..vip(100) };
    let mut successor = old.at("4").successor(true);
    successor.handles(Event::AddressesRead(vec![observed(ME, false), observed(100, false), observed(101, false)]));
    successor.loads(config(vec![VirtualRouterConfig { addresses: vec![labelled], ..router() }], vec![])).gives(&[
        "remove 10.0.0.100/24",
        "remove 10.0.0.101/24",
        "add 10.0.0.100/24",
        RENEWED,
        LISTENS,
        APPLIED,
        "V: goes on as MASTER with priority 100; the last advert left 0.390 s ago",
    ]);
    let mut gone = old.successor(false);
    let other = VirtualRouterConfig { vrid: 52.try_into().unwrap(), ..router() };
    gone.at("4")
        .loads(config(vec![other], vec![]))
        .is(Role::Backup)
        .gives_of("remove", &["remove 10.0.0.100/24", "remove 10.0.0.101/24"]);
}

#[test]
fn a_faster_pace_counts_from_now() {
    let mut old = Timeline::of(vec![v3(100, 100)]);
    old.becomes_master();
    let mut successor = old.at("4").successor(true);
    successor
        .loads(config(vec![v3(100, 10)], vec![]))
        .is(Role::Backup)
        .gives_of("V: ", &["V: INIT -> BACKUP: started"]);
    let mut successor = old.successor(true);
    successor.at("4").loads(config(vec![v3(100, 50)], vec![])).is(Role::Master);
    assert_eq!(successor.until("4.6")[0], "4.500 advert 100");
}

/// `garp_master_refresh` and the second burst go on; no burst of its own.
#[test]
fn announcements_go_on_as_they_were() {
    let garp = Garp { delay: Duration::from_secs(2), refresh: Duration::from_secs(60), ..router().announcements };
    let router = VirtualRouterConfig { announcements: garp, ..router() };
    let mut old = Timeline::of(vec![router.clone()]);
    old.becomes_master();
    let mut successor = old.at("4").successor(true);
    successor.loads(config(vec![router], vec![])).gives_of("garp", &[]);
    let heard = successor.until("64");
    let garps: Vec<&String> = heard.iter().filter(|line| line.contains("garp")).collect();
    assert_eq!(garps, ["5.609 garp 10.0.0.100", "63.609 garp 10.0.0.100"]);
}

#[test]
fn a_backup_keeps_its_timer_and_what_it_heard() {
    let mut old = Timeline::of(vec![v3(100, 100)]);
    old.at("1").hears(peer(9, 200).v3(200));
    let mut successor = old.at("3").successor(true);
    successor.at("3.005").loads(config(vec![v3(100, 100)], vec![])).is(Role::Backup).gives(&[
        LISTENS,
        APPLIED,
        "V: goes on as BACKUP with priority 100",
    ]);
    assert_eq!(successor.until("8.218749999"), [""; 0]);
    assert_eq!(
        successor.until("8.21875")[3..],
        ["8.218 V: BACKUP -> MASTER: nothing from 10.0.0.9 for 7.218 s (Master_Down_Interval 7.218 s)"]
    );
}

/// Adverts may have come after the copy was made.
#[test]
fn a_backup_from_a_copy_waits_from_now() {
    let mut old = Timeline::of(vec![v3(100, 100)]);
    old.at("1").hears(peer(9, 200).v3(200));
    let mut successor = old.at("8").successor(false);
    successor.loads(config(vec![v3(100, 100)], vec![])).is(Role::Backup);
    assert_eq!(successor.until("15.218749999"), [""; 0]);
    assert_eq!(successor.until("15.21875").len(), 4, "the MASTER's interval is still known");
}

/// A script that runs when it is handed over runs again; its state counts meanwhile, and so does the priority.
#[test]
fn scripts_and_priorities_go_on() {
    let tracked = config(vec![tracking(router(), 50, false)], vec![script(3, 1)]);
    let mut old = Timeline::with(tracked.clone());
    old.script_exits(0).gives_of("V: priority", &["V: priority 100 -> 150: script chk is up (weight 50)"]);
    old.becomes_master();
    let mut successor = old.at("3.7").successor(true);
    successor.loads(tracked.clone()).gives(&[
        RENEWED,
        LISTENS,
        "run chk",
        "configuration applied; added vrrp_instance V, vrrp_script chk",
        "V: goes on as MASTER with priority 150; the last advert left 0.090 s ago",
    ]);
    let mut copy = successor.at("3.8").successor(false);
    copy.loads(tracked)
        .gives_of("run", &["run chk"])
        .gives_of("V: goes", &["V: goes on as MASTER with priority 150; the last advert left 0.190 s ago"]);
}

/// The role is too old to go on with; what the scripts said is not.
#[test]
fn who_begins_anew_says_what_its_scripts_make_of_its_priority() {
    let tracked = config(vec![tracking(router(), 50, false)], vec![script(3, 1)]);
    let mut old = Timeline::with(tracked.clone());
    old.script_exits(0);
    old.becomes_master();
    let mut successor = old.at("20").successor(false);
    successor
        .loads(tracked)
        .is(Role::Backup)
        .gives_of("V: goes", &[])
        .gives_of("V: priority", &["V: priority 100 -> 150: script chk is up (weight 50)"]);
}

#[test]
fn fault_stays_fault_and_tells_nobody_again() {
    let mut old = Timeline::of(vec![router()]);
    old.link(false).is(Role::Fault);
    let mut successor = old.at("1").successor(true);
    successor.tells_links(&[(0, false)]);
    successor.loads(one()).is(Role::Fault).gives(&[LISTENS, APPLIED, "V: goes on as FAULT with priority 100"]);
    let mut well = old.successor(true);
    well.loads(one()).is(Role::Backup).gives(&[LISTENS, APPLIED, STARTED]);
}

#[test]
fn a_master_whose_link_went_meanwhile_is_in_fault() {
    let mut old = Timeline::of(vec![router()]);
    old.becomes_master();
    let mut successor = old.at("4").successor(true);
    successor.tells_links(&[(0, false)]);
    successor.loads(one()).is(Role::Fault).gives_of("remove", &["remove 10.0.0.100/24"]);
}

#[test]
fn counters_go_on() {
    let mut old = Timeline::of(vec![router()]);
    for _ in 0..3 {
        old.hears(Peer { vrid: 9, ..peer(2, 200) });
    }
    let mut successor = old.at("1").successor(true);
    successor.loads(one());
    successor.hears(Peer { vrid: 9, ..peer(2, 200) });
    successor.hears(Peer { ttl: 7, ..peer(2, 200) });
    let counted: Vec<_> = successor.election.ignored().map(|(router, word, n)| (router.is_some(), word, n)).collect();
    assert_eq!(counted, [(false, "unknown_vrid", 4), (true, "wrong_ttl", 1)]);
}

/// Nobody took the estate: the old one goes on, its adverts on time.
#[test]
fn what_nobody_took_is_taken_back() {
    let tracked = config(vec![tracking(router(), 50, false)], vec![script(3, 1)]);
    let mut t = Timeline::with(tracked);
    t.becomes_master();
    t.handles(Input::HandOver).nothing();
    t.at("4.2").wakes().nothing();
    t.hears(peer(2, 200)).nothing();
    t.at("4.5").handles(Input::TakeBack).nothing().is(Role::Master);
    assert_eq!(t.until("4.7"), ["4.500 run chk", "4.609 advert 100"]);
    t.handles(Input::TakeBack).nothing();
    t.handles(Input::HandOver).at("9").handles(Input::TakeBack).nothing();
    t.wakes().is(Role::Backup);
}

/// Nothing in it is believed without a bound.
#[test]
fn an_advert_from_the_future_is_no_advert() {
    let mut old = Timeline::of(vec![router()]);
    old.becomes_master();
    let State::Master(master) = old.election.routers()[0].state() else { panic!() };
    assert!(master.last_advert > instant("3"));
    let mut successor = old.successor(true);
    let mut early = Timeline::unstarted(&[observed(ME, false)]);
    std::mem::swap(&mut successor.election, &mut early.election);
    early.at("1").loads(one()).is(Role::Backup);
}

#[test]
fn there_is_nothing_to_leave_before_the_start_and_after_the_stop() {
    let mut t = Timeline::unstarted(&[observed(ME, false)]);
    assert_eq!(t.election.estate(t.now()), None);
    t.handles(Input::HandOver).nothing();
    t.tells_links(&[(0, true)]).reads_addresses().loads(one()).is(Role::Backup);
    t.stops();
    assert_eq!(t.election.estate(t.now()), None);
}
