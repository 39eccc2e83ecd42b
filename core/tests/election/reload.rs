//! A reload works by difference: what it does not touch notices nothing.

use crate::timeline::*;
use vipward_core::config::{Interfaces, NotifyScripts, Transport, VirtualRouterConfig};
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;

fn named(name: &str, vrid: u8, last: u8) -> VirtualRouterConfig {
    VirtualRouterConfig { name: name.into(), vrid: vrid.try_into().unwrap(), addresses: vec![vip(last)], ..router() }
}

fn loads(t: &mut Timeline, routers: Vec<VirtualRouterConfig>) -> &mut Timeline {
    t.loads(config(routers, vec![]))
}

#[test]
fn an_unchanged_configuration_changes_nothing() {
    let mut t = Timeline::of(vec![router()]);
    let wakeup = t.election.next_wakeup();
    loads(t.at("1"), vec![router()]).nothing();
    assert_eq!(t.election.next_wakeup(), wakeup);
    t.becomes_master();
    let wakeup = t.election.next_wakeup();
    loads(t.at("4"), vec![router()]).nothing();
    assert_eq!(t.election.next_wakeup(), wakeup);
    assert_eq!(t.until("4.7"), ["4.609 advert 100"]);
}

/// Removed ones say goodbye; kept ones advertise in their time; new ones start in BACKUP.
#[test]
fn routers_come_and_go_beside_one_that_stays() {
    let gone = VirtualRouterConfig {
        notify: NotifyScripts { fault: Some(command("/n/fault")), ..NotifyScripts::default() },
        transport: Transport::Multicast { group: [224, 0, 0, 99].into() },
        ..named("gone", 52, 101)
    };
    let mut t = Timeline::of(vec![router(), gone]);
    t.until("4");
    loads(&mut t, vec![named("new", 53, 102), router()]).gives(&[
        "advert 0 to 224.0.0.99 ttl 255",
        "remove 10.0.0.101/24",
        "stop listening eth0 224.0.0.99",
        "configuration applied; added vrrp_instance new; removed vrrp_instance gone",
        "gone: MASTER -> INIT: its configuration changed",
        "notify gone: /n/fault",
        "new: INIT -> BACKUP: started",
    ]);
    assert_eq!(t.until("5.7"), ["4.609 advert 100", "5.609 advert 100"]);
    let new = t.until("7.7").into_iter().filter(|line| line.contains("new:")).collect::<Vec<_>>();
    assert_eq!(new, ["7.609 new: BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)"]);
}

#[test]
fn who_is_taken_away_is_told_as_deleted_where_the_word_is() {
    let notify = NotifyScripts {
        fault: Some(command("/n/fault")),
        any: Some(command("/n/any")),
        tells_deleted: true,
        ..NotifyScripts::default()
    };
    for (deleted, ran) in [
        (None, &["notify gone: /n/any INSTANCE gone DELETED 100"][..]),
        (Some(command("/n/deleted")), &["notify gone: /n/deleted", "notify gone: /n/any INSTANCE gone DELETED 100"]),
    ] {
        let notify = NotifyScripts { deleted, ..notify.clone() };
        let mut t = Timeline::of(vec![router(), VirtualRouterConfig { notify, ..named("gone", 52, 101) }]);
        t.until("4");
        loads(&mut t, vec![router()]).gives_of("notify", ran);
    }
}

/// The same reload gives it an address and ends its role: that address is neither added nor announced.
#[test]
fn what_is_not_wanted_any_more_at_the_end_of_the_event_never_comes() {
    let list = |last: &[u8], dont_track_primary: bool| VirtualRouterConfig {
        addresses: last.iter().map(|n| vip(*n)).collect(),
        interfaces: Interfaces { tracked: (!dont_track_primary).then(|| eth(0)), ..Interfaces::all(eth(0)) },
        ..router()
    };
    let mut t = Timeline::of(vec![list(&[100], true)]);
    t.until("4");
    t.link(false).nothing().is(Role::Master);
    loads(&mut t, vec![list(&[100, 102], false)]).gives(&[
        "remove 10.0.0.100/24",
        "configuration applied; changed vrrp_instance V",
        "V: MASTER -> FAULT: eth0 is down",
    ]);
}

/// A MASTER stays MASTER; only what is new is announced.
#[test]
fn a_master_exchanges_addresses_in_place() {
    let list = |last: &[u8]| VirtualRouterConfig { addresses: last.iter().map(|n| vip(*n)).collect(), ..router() };
    let mut t = Timeline::of(vec![list(&[100, 101])]);
    t.until("4");
    loads(&mut t, vec![list(&[101, 102])]).is(Role::Master).gives(&[
        "remove 10.0.0.100/24",
        "add 10.0.0.102/24",
        "garp 10.0.0.102",
        "configuration applied; changed vrrp_instance V",
    ]);
    // Its adverts list the new ones: a peer with those is no stranger.
    t.at("4.1").hears(Peer { addresses: vec![101, 102], ..peer(2, 50) }).gives_of("V: 10.0.0.2 advertises", &[]);
}

#[test]
fn a_changed_label_is_put_on_anew() {
    let labelled = vipward_core::interface::InterfaceAddress { label: Some("eth0:1".into()), ..vip(100) };
    let mut t = Timeline::of(vec![router()]);
    t.until("4");
    loads(&mut t, vec![VirtualRouterConfig { addresses: vec![labelled], ..router() }]);
    t.gives_of("remove", &["remove 10.0.0.100/24"]).gives_of("add", &["add 10.0.0.100/24"]).gives_of("garp", &[]);
}

#[test]
fn a_changed_priority_is_in_the_next_advert() {
    let mut t = Timeline::of(vec![router()]);
    t.until("4");
    loads(&mut t, vec![priority(50)])
        .gives(&["configuration applied; changed vrrp_instance V", "V: priority 100 -> 50: reload"]);
    assert_eq!(t.until("4.7"), ["4.609 advert 50"]);
}

/// Whoever learned the old interval waits by it: the first advert in the new one is not later than the old one's.
#[test]
fn a_changed_interval_never_delays_the_next_advert() {
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.until("4");
    loads(&mut t, vec![v3(100, 1000)]).is(Role::Master);
    assert_eq!(t.until("15"), ["4.609 advert 100", "14.609 advert 100"]);
    loads(&mut t, vec![v3(100, 10)]);
    assert_eq!(t.until("15.25"), ["15.100 advert 100", "15.200 advert 100"]);
}

/// A BACKUP's wait goes on; the next advert sets it anew.
#[test]
fn a_backup_waits_on_as_it_was() {
    let mut t = Timeline::of(vec![router()]);
    t.at("1").hears(peer(2, 200));
    loads(t.at("2"), vec![VirtualRouterConfig { announcements: Default::default(), ..priority(150) }]);
    t.at("4.609374999").wakes().nothing();
    t.at("4.609375").wakes().is(Role::Master);
}

/// Another interface or VRID is another virtual router.
#[test]
fn another_vrid_or_interface_starts_from_the_beginning() {
    let vrid = VirtualRouterConfig { vrid: 60.try_into().unwrap(), ..router() };
    let interface = VirtualRouterConfig { interfaces: Interfaces::all(eth(1)), ..router() };
    let mut t = Timeline::of(vec![router()]);
    t.until("4");
    loads(&mut t, vec![vrid]).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "configuration applied; changed vrrp_instance V",
        "V: MASTER -> INIT: its configuration changed",
        "V: INIT -> BACKUP: started",
    ]);
    loads(t.at("5"), vec![interface]).gives(&[
        "stop listening eth0 224.0.0.18",
        "listen eth1 224.0.0.18",
        "configuration applied; changed vrrp_instance V",
        "V: BACKUP -> INIT: its configuration changed",
        "V: INIT -> FAULT: eth1 has no address of its own to send from",
    ]);
}

#[test]
fn from_multicast_to_unicast_in_place() {
    let mut t = Timeline::of(vec![router()]);
    t.until("4");
    loads(&mut t, vec![unicast(router(), &[2])]).is(Role::Master).gives(&[
        "stop listening eth0 224.0.0.18",
        "listen eth0",
        "configuration applied; changed vrrp_instance V",
    ]);
    assert_eq!(t.until("4.7"), ["4.609 advert 100 to 10.0.0.2 ttl 255"]);
}

/// A MASTER that a reload makes depend on a script does not give up before it knows.
#[test]
fn a_new_script_is_waited_for_in_the_role_that_it_has() {
    let mut t = Timeline::of(vec![router()]);
    t.until("4");
    t.loads(config(vec![tracking(router(), 0, false)], vec![script(1, 1)])).is(Role::Master);
    t.script_exits(1).is(Role::Fault);
}

#[test]
fn the_last_router_goes() {
    let mut t = Timeline::of(vec![router()]);
    t.until("4");
    loads(&mut t, vec![]).gives_of("remove", &["remove 10.0.0.100/24"]);
    assert_eq!(t.election.next_wakeup(), None);
}
