//! A MASTER's addresses are level-triggered: what is there is made to match what should be.

use crate::timeline::*;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::machine::{Machine, Reason};
use vipward_core::quantity::Role;
use vipward_core::vrrp::{Effect, Event, Input};

fn master() -> Timeline {
    let mut t = Timeline::of(vec![router()]);
    t.becomes_master();
    t
}

/// keepalived 2.2.7 goes to BACKUP with priority 0 instead.
#[test]
fn an_address_that_somebody_takes_off_is_put_back_at_once() {
    let mut t = master();
    t.at("4").somebody(100, false).is(Role::Master).gives(&[
        "add 10.0.0.100/24",
        "garp 10.0.0.100",
        "10.0.0.100/24 on eth0 was taken off, and not by this process: put back",
    ]);
    t.at("4.1").somebody(77, true).nothing();
    t.at("4.2").somebody(77, false).nothing();
}

/// Whoever insists on taking it off gets no storm of packets and messages: it comes back at once, and then after longer and
/// longer, up to a second. Left alone for a while, it comes back at once again.
#[test]
fn an_address_that_vanishes_again_and_again_comes_back_more_slowly() {
    let mut t = master();
    let mut back = Vec::new();
    let mut at = 4_000;
    while at < 16_000 {
        t.at(&format!("{}.{:03}", at / 1000, at % 1000));
        if t.has(100) {
            t.somebody(100, false);
        } else if t.election.next_wakeup().is_some_and(|(wakeup, _)| wakeup <= t.now()) {
            t.wakes();
        }
        if t.count("add") > 0 {
            back.push(at - 4_000);
        }
        at += 1;
    }
    let pauses: Vec<u32> = back.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(back[0], 0);
    assert_eq!(
        pauses,
        [100, 200, 400, 800, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000],
        "milliseconds"
    );
    t.until("60");
    t.at("60").somebody(100, false).gives_of("add", &["add 10.0.0.100/24"]);
}

/// A second director on one host, with other addresses: what it puts there carries the same mark, and is none of ours.
#[test]
fn what_another_living_director_put_there_is_left_alone() {
    // It was there before us, and lives.
    let mut t = Timeline::unstarted(&[observed(ME, false), observed(77, true)]);
    t.tells_links(&[(0, true)]).reads_addresses().handles(Event::NeighboursLive).nothing();
    t.loads(config(vec![router()], vec![])).gives_of("remove", &[]);
    t.at("1").reads_addresses().gives_of("remove", &[]);
    t.at("2").somebody(77, false).nothing();
    // Alone, it is what a killed predecessor left.
    let mut t = Timeline::unstarted(&[observed(ME, false), observed(77, true)]);
    t.tells_links(&[(0, true)]).reads_addresses().loads(config(vec![router()], vec![]));
    t.gives_of("remove", &["remove 10.0.0.77/24"]);
    // What comes later with the mark is another one's, whether one was there at start or not.
    let mut t = master();
    t.at("4").appears_marked(78).nothing();
    t.at("5").reads_addresses().gives_of("remove", &[]);
    // An address that moves from our configuration into another director's, even though we had it once.
    let mut t = master();
    t.at("4").loads(config(vec![VirtualRouterConfig { addresses: vec![vip(101)], ..router() }], vec![]));
    t.gives_of("remove", &["remove 10.0.0.100/24"]);
    t.at("5").reads_addresses();
    t.at("6").appears_marked(100).gives_of("remove", &[]);
    t.at("7").reads_addresses().gives_of("remove", &[]);
    // But not what we put there ourselves and could not take off.
    let mut t = master();
    t.at("6").hears(peer(2, 200)).gives_of("remove", &["remove 10.0.0.100/24"]);
    t.at("6.1").appears_marked(100).gives_of("remove", &["remove 10.0.0.100/24"]);
}

/// A notification that got lost: every ten seconds the addresses are read.
#[test]
fn addresses_are_read_and_compared_every_ten_seconds() {
    let mut t = master();
    t.until("9.9");
    assert!(!t.handles_reread(), "too early");
    t.at("10");
    assert!(t.handles_reread());
    assert!(!t.handles_reread(), "once");
    t.until("19.9");
    t.at("20");
    assert!(t.handles_reread());
}

impl Timeline {
    /// Whether a wakeup now asks for the addresses.
    fn handles_reread(&mut self) -> bool {
        let due = matches!(self.election.next_wakeup(), Some((at, Reason::Reread)) if at <= self.now());
        let asked = self.election.handle(Input::Wakeup, self.now()).effects().any(|it| *it == Effect::ReadAddresses);
        assert_eq!(due, asked);
        asked
    }
}

#[test]
fn a_backup_never_owns_a_vip() {
    let mut t = Timeline::of(vec![router()]);
    t.at("1").handles(Event::AddressChanged { address: observed(100, true), present: true });
    t.gives(&["remove 10.0.0.100/24", "10.0.0.100/24 on eth0 was left behind by an earlier run: taken off"]);
}

#[test]
fn an_address_that_can_not_be_added_is_tried_again_every_second_and_told_once_a_minute() {
    let mut t = master();
    t.fails(Effect::AddAddress(vip(100))).gives(&["adding 10.0.0.100/24 on eth0 failed: no; next try in 1.000 s"]);
    assert_eq!(t.until("4.609374999"), ["4.609 advert 100"][..0]);
    assert_eq!(
        t.until("4.609375"),
        ["4.609 advert 100", "4.609 add 10.0.0.100/24", "4.609 garp 10.0.0.100"],
        "announced when it is there at last"
    );
    t.fails(Effect::AddAddress(vip(100))).nothing();
    assert_eq!(t.until("5.7"), ["5.609 advert 100", "5.609 add 10.0.0.100/24", "5.609 garp 10.0.0.100"]);
    t.until("63.609374999");
    t.fails(Effect::AddAddress(vip(100))).nothing();
    t.until("63.609375");
    t.fails(Effect::AddAddress(vip(100))).gives(&["adding 10.0.0.100/24 on eth0 failed: no; next try in 1.000 s"]);
}

/// What could not be removed is seen again when the addresses are read a second later, and removed again.
#[test]
fn an_address_that_can_not_be_removed_is_tried_again() {
    let mut t = master();
    t.at("4").hears(peer(2, 200)).gives_of("remove", &["remove 10.0.0.100/24"]);
    t.fails(Effect::RemoveAddress(vip(100).key()));
    t.gives(&["removing 10.0.0.100/24 on eth0 failed: no; next try in 1.000 s"]);
    assert_eq!(t.election.next_wakeup(), Some((instant("5"), Reason::Reread)));
    t.at("5").handles(Input::Wakeup).nothing();
    t.handles(Event::AddressesRead(vec![observed(ME, false), observed(100, true)]));
    t.gives_of("remove", &["remove 10.0.0.100/24"]);
}

/// Somebody configured the VIP statically: it is neither added nor removed, and mentioned once.
#[test]
fn an_address_of_somebody_else_is_left_alone() {
    let mut t = Timeline::unstarted(&[observed(ME, false), observed(100, false)]);
    t.tells_links(&[(0, true)]).reads_addresses().loads(config(vec![router()], vec![]));
    let noted = "10.0.0.100/24 on eth0 was put there by somebody else: it stays there, whoever is MASTER";
    t.gives_of("10.0.0.100", &[noted]);
    t.becomes_master().gives_of("add", &[]);
    t.at("4").reads_addresses().nothing();
    t.at("5").hears(peer(2, 200)).gives_of("remove", &[]);
    t.at("6").somebody(100, false).nothing();
    t.at("7").handles(Event::AddressChanged { address: observed(100, false), present: true });
    t.gives(&[noted]);
}

/// Two virtual routers that both want one address: it goes with the second one that gives it up.
#[test]
fn a_shared_address_stays_as_long_as_one_router_wants_it() {
    let other = VirtualRouterConfig { name: "W".into(), vrid: 52.try_into().unwrap(), ..router() };
    let mut t = Timeline::of(vec![router(), other]);
    t.until("4");
    assert_eq!(t.kernel(), [vip(ME).key(), vip(100).key()]);
    t.hears(peer(2, 200)).gives_of("remove", &[]);
    t.hears(Peer { vrid: 52, ..peer(2, 200) }).gives_of("remove", &["remove 10.0.0.100/24"]);
}

/// Excluded addresses move along; no advert lists them.
#[test]
fn excluded_addresses_move_along() {
    let mut t = Timeline::of(vec![VirtualRouterConfig { excluded: vec![vip(101)], ..router() }]);
    t.becomes_master().gives_of("add", &["add 10.0.0.100/24", "add 10.0.0.101/24"]);
    t.gives_of("garp", &["garp 10.0.0.100", "garp 10.0.0.101"]);
    t.at("4").hears(peer(2, 200)).gives_of("remove", &["remove 10.0.0.100/24", "remove 10.0.0.101/24"]);
}
