//! FAULT, keepalived's fourth state: into it, and out of it by itself when all is well again.

use crate::timeline::*;
use vipward_core::config::{InitialState, Interfaces, NotifyScripts, VirtualRouterConfig};
use vipward_core::interface::{AddressKey, InterfaceAddress, Link, ObservedAddress};
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;
use vipward_core::vrrp::{Effect, Event};

const DOWN: &str = "V: MASTER -> FAULT: eth0 is down";
const RECOVERED: &str = "V: FAULT -> BACKUP: the fault is over";

fn master() -> Timeline {
    let mut t = Timeline::of(vec![router()]);
    t.becomes_master();
    t
}

/// No priority 0: there is nobody to hear it. Back up it waits like a new one, as keepalived 2.2.7 did.
#[test]
fn a_link_that_goes_down_and_comes_up() {
    let mut t = master();
    t.at("5").link(false).gives(&["remove 10.0.0.100/24", DOWN]);
    t.at("6").hears(peer(2, 50)).nothing();
    assert_eq!(t.until("7"), [""; 0]);
    t.at("7").link(false).nothing();
    t.link(true).gives(&[RECOVERED]);
    t.at("10.609374999").wakes().nothing();
    t.at("10.609375").wakes().is(Role::Master);
}

#[test]
fn a_backup_goes_to_fault_and_back_as_well() {
    let mut t = Timeline::of(vec![router()]);
    t.at("1").link(false).gives(&["V: BACKUP -> FAULT: eth0 is down"]);
    t.at("2").tells_links(&[(0, true)]).gives(&[RECOVERED]);
}

#[test]
fn an_interface_that_is_not_there_is_fault_until_it_appears() {
    let mut t = Timeline::unstarted(&[]);
    t.tells_links(&[(1, true)]).reads_addresses().loads(config(vec![router()], vec![]));
    t.gives(&["configuration applied; added vrrp_instance V", "V: INIT -> FAULT: eth0 does not exist"]);
    // It appears without an address, then gets one: nothing in between, since FAULT stays FAULT.
    t.at("1").link(true).gives(&["listen eth0 224.0.0.18"]);
    t.at("2").handles(Event::AddressChanged { address: observed(ME, false), present: true }).gives(&[RECOVERED]);
    // Gone and back: membership in the group went with it.
    t.at("3").handles(Event::LinkGone(eth(0))).gives(&["V: BACKUP -> FAULT: eth0 does not exist"]);
    t.at("4").link(true).gives(&["listen eth0 224.0.0.18", RECOVERED]);
    t.at("5").tells_links(&[]).gives(&["V: BACKUP -> FAULT: eth0 does not exist"]);
    t.at("6").tells_links(&[(0, true)]).gives(&["listen eth0 224.0.0.18", RECOVERED]);
}

/// The peers can still be told, so they are.
#[test]
fn without_an_address_of_its_own_it_is_fault() {
    let mut t = master();
    t.at("5").somebody(ME, false).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "V: MASTER -> FAULT: eth0 has no address of its own to send from",
    ]);
    t.at("6").somebody(ME, true).gives(&[RECOVERED]);
}

/// A second address takes over as source; nothing else changes.
#[test]
fn it_sends_from_the_first_address_that_it_has() {
    let mut t = Timeline::unstarted(&[observed(ME, false), observed(4, false)]);
    t.tells_links(&[(0, true)]).reads_addresses().loads(config(vec![router()], vec![]));
    t.becomes_master();
    assert_eq!(t.election.routers()[0].source(), Some(ip(ME).into()));
    t.at("4").somebody(ME, false).nothing();
    assert_eq!(t.election.routers()[0].source(), Some(ip(4).into()));
    t.at("4.5").hears(peer(ME, 100)).is(Role::Backup);
}

/// `mcast_src_ip` and `unicast_src_ip` may be on any interface, but on one they must be: else nobody hears the MASTER, and
/// there is another.
#[test]
fn a_configured_source_must_be_there() {
    let on_eth1 = |present| {
        let key = AddressKey { interface: eth(1), ..vip(9).key() };
        Event::AddressChanged { address: ObservedAddress { key, ours: false }, present }
    };
    let config_ = || VirtualRouterConfig { source: Some(ip(9).into()), ..router() };
    let mut t = Timeline::of(vec![config_()]);
    let gone = "10.0.0.9, which it is to send from, is on no interface of this host";
    t.gives_of("V:", &[&format!("V: INIT -> FAULT: {gone}")]);
    t.at("1").handles(on_eth1(true)).gives(&["V: FAULT -> BACKUP: the fault is over"]);
    assert_eq!(t.election.routers()[0].source(), Some(ip(9).into()));
    t.until("5");
    t.is(Role::Master).handles(on_eth1(false)).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        &format!("V: MASTER -> FAULT: {gone}"),
    ]);
    t.at("6").handles(on_eth1(true)).is(Role::Backup);
    // By a reload.
    t.at("7")
        .loads(config(vec![VirtualRouterConfig { source: Some(ip(8).into()), ..router() }], vec![]))
        .is(Role::Fault);
    t.at("8").loads(config(vec![config_()], vec![])).is(Role::Backup);
}

/// VRRP on eth0, a VIP on eth1: nobody reaches it while eth1 is down, so another director should have it.
#[test]
fn the_link_of_a_virtual_address_must_be_up_too() {
    let elsewhere = InterfaceAddress { interface: eth(1), ..vip(100) };
    let mut t = Timeline::of(vec![VirtualRouterConfig { addresses: vec![elsewhere], ..router() }]);
    t.until("4");
    t.is(Role::Master);
    let eth1 = |running| Event::LinkChanged(Link { name: eth(1), running });
    t.handles(eth1(false)).gives(&["advert 0", "remove 10.0.0.100/24", "V: MASTER -> FAULT: eth1 is down"]);
    t.at("5").handles(eth1(true)).gives(&["V: FAULT -> BACKUP: the fault is over"]);
    t.at("8.609375").wakes().gives_of("garp", &["garp 10.0.0.100"]);
    t.handles(Event::LinkGone(eth(1))).is(Role::Fault).gives_of("V:", &["V: MASTER -> FAULT: eth1 does not exist"]);
}

#[test]
fn dont_track_primary_ignores_a_link_that_is_down() {
    let mut t = Timeline::of(vec![VirtualRouterConfig {
        interfaces: Interfaces { tracked: None, ..Interfaces::all(eth(0)) },
        ..router()
    }]);
    t.at("1").link(false).nothing();
    t.becomes_master().is(Role::Master);
    t.handles(Event::LinkGone(eth(0))).is(Role::Fault);
}

/// An owner that comes back takes its address back at once (RFC 9568 6.4.1).
#[test]
fn an_owner_recovers_into_master() {
    let mut t = Timeline::of(vec![VirtualRouterConfig { initial_state: InitialState::Master, ..priority(255) }]);
    t.at("5").link(false).is(Role::Fault);
    t.at("6").link(true).gives_of("V:", &["V: FAULT -> MASTER: address owner (priority 255)"]);
}

#[test]
fn notify_fault_is_run() {
    let notify = NotifyScripts { fault: Some(command("/n/fault")), ..NotifyScripts::default() };
    let mut t = Timeline::of(vec![VirtualRouterConfig { notify, ..router() }]);
    t.at("1").link(false).gives(&["V: BACKUP -> FAULT: eth0 is down", "notify V: /n/fault"]);
    t.at("2").stops().gives(&["V: FAULT -> INIT: stopped"]);
}

#[test]
fn what_could_not_be_listened_to_is_tried_again_every_second() {
    let mut t = Timeline::of(vec![router()]);
    let listen = Effect::Listen { interface: eth(0), group: Some(GROUP.into()) };
    t.fails(listen.clone()).gives(&["listening for adverts on eth0 failed: no; next try in 1.000 s"]);
    assert_eq!(t.until("1.5"), ["1.000 listen eth0 224.0.0.18"]);
    t.fails(listen.clone()).nothing();
    assert_eq!(t.until("2.5"), ["2.500 listen eth0 224.0.0.18"]);
    // Gone with the interface, it is not tried; what comes back with the interface is.
    t.fails(listen).handles(Event::LinkGone(eth(0)));
    assert_eq!(t.until("9"), [""; 0]);
    assert!(t.election.next_wakeup().is_some());
}

/// The next advert is the next try.
#[test]
fn an_advert_that_could_not_be_sent_is_told() {
    let mut t = master();
    let advert = Effect::SendAdvert(peer(ME, 100).datagram());
    t.fails(advert).gives(&["sending an advert to 224.0.0.18 on eth0 failed: no; next try in 1.000 s"]);
    assert_eq!(t.until("4.7"), ["4.609 advert 100"]);
}
