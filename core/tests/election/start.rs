//! Starting and stopping: RFC 9568 6.4.1, and the order of things at start.

use crate::timeline::*;
use vipward_core::config::{InitialState, NotifyScripts, VirtualRouterConfig};
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;

const APPLIED: &str = "configuration applied; added vrrp_instance V";
const LISTENS: &str = "listen eth0 224.0.0.18";
const STARTED: &str = "V: INIT -> BACKUP: started";

fn state_master(config: VirtualRouterConfig) -> VirtualRouterConfig {
    VirtualRouterConfig { initial_state: InitialState::Master, ..config }
}

#[test]
fn it_starts_once_links_addresses_and_configuration_have_come_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut t = Timeline::unstarted(&[observed(ME, false)]);
        for (step, event) in order.iter().enumerate() {
            match event {
                0 => t.tells_links(&[(0, true)]),
                1 => t.reads_addresses(),
                _ => t.loads(config(vec![router()], vec![])),
            };
            if step < 2 {
                t.nothing();
                assert_eq!(t.election.next_wakeup(), None);
                t.hears(peer(2, 200)).nothing();
                t.wakes().nothing();
            }
        }
        t.gives(&[LISTENS, APPLIED, STARTED]);
    }
}

/// A killed predecessor's address goes before anything is heard; what others put there stays.
#[test]
fn what_a_predecessor_left_is_taken_off_before_it_listens() {
    let mut t =
        Timeline::unstarted(&[observed(ME, false), observed(100, true), observed(77, true), observed(8, false)]);
    t.tells_links(&[(0, true)]).reads_addresses();
    t.loads(config(vec![router()], vec![])).gives(&[
        "remove 10.0.0.77/24",
        "remove 10.0.0.100/24",
        LISTENS,
        APPLIED,
        "10.0.0.77/24 on eth0 was left behind by an earlier run: taken off",
        "10.0.0.100/24 on eth0 was left behind by an earlier run: taken off",
        STARTED,
    ]);
    assert_eq!(t.kernel(), [vip(ME).key(), vip(8).key()]);
}

/// `state MASTER` is a hint that keepalived follows only for an address owner: below 255 it waits like any other.
#[test]
fn state_master_waits_like_any_other() {
    let mut t = Timeline::of(vec![state_master(priority(150))]);
    t.gives(&[LISTENS, APPLIED, STARTED]);
    assert_eq!(t.until("3.414062499"), [""; 0]);
    t.at("3.4140625").wakes().is(Role::Master);
}

/// RFC 9568 6.4.1: the owner is MASTER at once; in keepalived only with `state MASTER`, else after an interval.
#[test]
fn an_address_owner_is_master_at_once() {
    Timeline::of(vec![state_master(priority(255))]).gives(&[
        "advert 255",
        LISTENS,
        "add 10.0.0.100/24",
        "garp 10.0.0.100",
        APPLIED,
        "V: INIT -> MASTER: address owner (priority 255)",
    ]);
    let mut t = Timeline::of(vec![priority(255)]);
    t.gives(&[LISTENS, APPLIED, STARTED]);
    assert_eq!(t.until("3.003906249"), [""; 0]);
    t.at("3.00390625").wakes().is(Role::Master);
}

/// The owner's VIP is its own address: it is there before, it stays after, and adverts come from it.
#[test]
fn an_address_owner_keeps_its_own_address() {
    let mut t = Timeline::unstarted(&[observed(100, false)]);
    t.tells_links(&[(0, true)]).reads_addresses().loads(config(vec![state_master(priority(255))], vec![]));
    t.gives_of("add", &[]).is(Role::Master);
    assert_eq!(t.election.routers()[0].source(), Some(ip(100).into()));
    t.at("1").stops().gives(&["advert 0", "V: MASTER -> INIT: stopped"]);
    assert_eq!(t.kernel(), [vip(100).key()]);
}

/// RFC 9568 6.4.3, Shutdown. Priority 0 starts the peers' Skew_Time, which lasts longer than the removal.
#[test]
fn a_master_that_stops_says_so_first_and_then_gives_up_its_addresses() {
    let notify = NotifyScripts {
        backup: Some(command("/n/backup")),
        stop: Some(command("/n/stop")),
        any: Some(command("/n/any")),
        ..NotifyScripts::default()
    };
    let other =
        VirtualRouterConfig { name: "W".into(), vrid: 52.try_into().unwrap(), addresses: vec![vip(101)], ..router() };
    let mut t = Timeline::of(vec![VirtualRouterConfig { notify, ..router() }, other]);
    t.gives_of("notify", &["notify V: /n/backup", "notify V: /n/any INSTANCE V BACKUP 100"]);
    t.until("4");
    t.stops().gives(&[
        "advert 0 x2",
        "remove 10.0.0.100/24",
        "remove 10.0.0.101/24",
        "V: MASTER -> INIT: stopped",
        "notify V: /n/stop",
        "notify V: /n/any INSTANCE V STOP 100",
        "W: MASTER -> INIT: stopped",
    ]);
    assert_eq!(t.kernel(), [vip(ME).key()]);
    assert_eq!(t.election.next_wakeup(), None);
    t.at("9").wakes().nothing();
    t.hears(peer(2, 0)).nothing();
    t.loads(config(vec![router()], vec![])).nothing();
}

#[test]
fn a_backup_that_stops_sends_nothing() {
    Timeline::of(vec![router()]).at("1").stops().gives(&["V: BACKUP -> INIT: stopped"]);
}

#[test]
fn a_director_without_virtual_routers_still_clears_up_and_then_sleeps() {
    let mut t = Timeline::unstarted(&[observed(100, true)]);
    t.tells_links(&[]).reads_addresses().loads(config(vec![], vec![]));
    t.gives(&["remove 10.0.0.100/24", "10.0.0.100/24 on eth0 was left behind by an earlier run: taken off"]);
    assert_eq!(t.election.next_wakeup(), None);
}
