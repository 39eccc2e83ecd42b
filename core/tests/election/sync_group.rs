//! `vrrp_sync_group`: all members MASTER, or none.
//!
//! V1 is on eth0 with VRID 51 and 10.0.0.100, V2 on eth1 with VRID 52 and 10.0.0.101. This director is 10.0.0.5 on both.

use crate::timeline::{Peer, Timeline, command, config, eth, instant, observed, peer, priority, router, vip};
use std::sync::Arc;
use vipward_core::config::{
    Adverts, Config, InitialState, Interfaces, NotifyScripts, Preemption, SyncGroup, VirtualRouterConfig,
};
use vipward_core::interface::{InterfaceAddress, ObservedAddress};
use vipward_core::machine::{Machine, Reason};
use vipward_core::quantity::{AdvertInterval, Priority, Role, Vrid};
use vipward_core::time::Duration;
use vipward_core::vrrp::Event;

const OWN: u8 = 5;

fn member(n: u8, config: VirtualRouterConfig) -> VirtualRouterConfig {
    let address = InterfaceAddress { interface: eth(n - 1), ..vip(99 + n) };
    VirtualRouterConfig {
        name: Arc::from(format!("V{n}")),
        interfaces: Interfaces::all(eth(n - 1)),
        vrid: Vrid::new(50 + n).unwrap(),
        addresses: vec![address],
        ..config
    }
}

fn group(members: &[&str]) -> SyncGroup {
    SyncGroup {
        name: Arc::from("G"),
        members: members.iter().map(|name| Arc::from(*name)).collect(),
        notify: NotifyScripts { any: Some(command("/g")), ..NotifyScripts::default() },
        places: Default::default(),
    }
}

fn grouped(one: VirtualRouterConfig, two: VirtualRouterConfig) -> Config {
    Config { groups: vec![group(&["V1", "V2"])], ..config(vec![member(1, one), member(2, two)], vec![]) }
}

fn pair() -> Config {
    grouped(router(), router())
}

fn own(n: u8) -> ObservedAddress {
    ObservedAddress { key: InterfaceAddress { interface: eth(n), ..vip(OWN) }.key(), ours: false }
}

fn started(config: Config) -> Timeline {
    let mut t = Timeline::unstarted(&[observed(OWN, false), own(1)]);
    t.tells_links(&[(0, true), (1, true)]);
    t.reads_addresses();
    t.loads(config);
    t
}

/// An advert on the segment of V1 or V2.
fn on(n: u8, source: u8, priority: u8) -> Peer {
    Peer { interface: eth(n - 1), vrid: 50 + n, addresses: vec![99 + n], ..peer(source, priority) }
}

#[track_caller]
fn all_are(t: &Timeline, role: Role) {
    let roles: Vec<Role> = t.election.routers().iter().map(|router| router.role()).collect();
    assert!(roles.iter().all(|other| *other == role), "{roles:?}");
}

fn master() -> Timeline {
    let mut t = started(pair());
    t.until("3.609375");
    all_are(&t, Role::Master);
    t
}

fn link(t: &mut Timeline, n: u8, running: bool) {
    t.handles(Event::LinkChanged(vipward_core::interface::Link { name: eth(n), running }));
}

/// Adverts of one peer on both segments, every second from here up to that second, and what comes out.
fn hears_both(t: &mut Timeline, from: u32, to: u32, source: u8, priority: u8) -> Vec<String> {
    let mut lines = Vec::new();
    for second in from..to {
        lines.extend(t.until(&format!("{second}.5")));
        for n in [1, 2] {
            t.hears(on(n, source, priority));
            lines.extend(t.said());
        }
    }
    lines
}

#[test]
fn the_group_becomes_master_in_one_event() {
    let mut t = started(pair());
    t.gives_of("V", &["V1: INIT -> BACKUP: started", "V2: INIT -> BACKUP: started"]);
    t.gives_of("notify", &["notify G: /g GROUP G BACKUP 0"]);
    assert_eq!(t.until("3.60"), [""; 0]);
    t.at("3.609375").wakes().gives(&[
        "advert 100 x2",
        "add 10.0.0.100/24",
        "add 10.0.0.101/24",
        "garp 10.0.0.100",
        "garp 10.0.0.101",
        "V2: BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)",
        "V1: BACKUP -> MASTER: with V2, in sync group G",
        "notify G: /g GROUP G MASTER 0",
    ]);
}

#[test]
fn a_member_that_hears_a_master_keeps_the_group_backup() {
    let mut t = started(pair());
    for second in 0..20 {
        assert_eq!(t.until(&format!("{second}.5")), [""; 0]);
        t.hears(on(2, 9, 150)).nothing();
    }
    // V1's timer was over long ago. Nobody is woken for it.
    all_are(&t, Role::Backup);
    assert_eq!(t.election.next_wakeup(), Some((instant("20"), Reason::Reread)));
    t.until("22");
    assert_eq!(t.election.next_wakeup(), Some((instant("23.109375"), Reason::MasterDown)));
    t.until("23.1");
    all_are(&t, Role::Backup);
    t.at("23.109375").wakes();
    all_are(&t, Role::Master);
}

#[test]
fn a_member_that_yields_takes_the_others_along() {
    let mut t = master();
    t.at("4").hears(on(1, 9, 150)).gives(&[
        "advert 100",
        "advert 0",
        "remove 10.0.0.100/24",
        "remove 10.0.0.101/24",
        "V1: MASTER -> BACKUP: 10.0.0.9 has the higher priority: 150 over 100",
        "V2: MASTER -> BACKUP: with V1, in sync group G",
        "notify G: /g GROUP G BACKUP 0",
    ]);
    assert_eq!(hears_both(&mut t, 4, 20, 9, 150), [""; 0]);
}

#[test]
fn a_fault_of_one_member_is_everybodys() {
    let mut t = master();
    t.at("4");
    link(&mut t, 1, false);
    // V2's own goodbye would not leave.
    t.gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "remove 10.0.0.101/24",
        "V1: MASTER -> FAULT: with V2, in sync group G",
        "V2: MASTER -> FAULT: eth1 is down",
        "notify G: /g GROUP G FAULT 0",
    ]);
    t.at("5").hears(on(1, 9, 50)).nothing();
    assert_eq!(t.until("20"), [""; 0]);
    link(&mut t, 1, true);
    t.gives(&[
        "V1: FAULT -> BACKUP: the fault is over",
        "V2: FAULT -> BACKUP: the fault is over",
        "notify G: /g GROUP G BACKUP 0",
    ]);
    t.until("23.609375");
    all_are(&t, Role::Master);
}

#[test]
fn two_faults_have_to_be_over() {
    let mut t = master();
    t.at("4");
    link(&mut t, 1, false);
    link(&mut t, 0, false);
    t.nothing();
    link(&mut t, 1, true);
    t.nothing();
    all_are(&t, Role::Fault);
    link(&mut t, 0, true);
    all_are(&t, Role::Backup);
}

#[test]
fn priority_0_on_one_segment_is_heard_by_all() {
    let mut t = started(pair());
    hears_both(&mut t, 0, 10, 9, 150);
    t.at("9.75").hears(on(2, 9, 0)).nothing();
    assert_eq!(t.until("10.35"), [""; 0]);
    t.at("10.359375").wakes().gives_of(
        "V",
        &[
            "V2: BACKUP -> MASTER: 10.0.0.9 stopped (priority 0); Skew_Time 0.609 s is over",
            "V1: BACKUP -> MASTER: with V2, in sync group G",
        ],
    );
}

#[test]
fn priority_0_on_one_segment_while_the_master_goes_on_changes_nothing() {
    let mut t = started(pair());
    hears_both(&mut t, 0, 10, 9, 150);
    t.at("9.75").hears(on(2, 9, 0)).nothing();
    t.at("10").hears(on(1, 9, 150)).nothing();
    t.until("11");
    all_are(&t, Role::Backup);
}

// Two MASTERs of one priority. V1's VRID is the lower one: it decides, if the two hear each other there.

#[test]
fn of_two_equal_masters_the_first_member_decides() {
    let mut t = master();
    for second in 4..20 {
        // On V2 the other one has the greater address, on V1 we have.
        t.at(&format!("{second}")).hears(on(2, 9, 100));
        t.hears(on(1, 2, 100));
        t.until(&format!("{second}.9"));
        all_are(&t, Role::Master);
    }
    t.at("20").hears(on(1, 9, 100)).gives_of(
        "V",
        &[
            "V1: MASTER -> BACKUP: 10.0.0.9 has the same priority 100 and the greater address than 10.0.0.5",
            "V2: MASTER -> BACKUP: with V1, in sync group G",
        ],
    );
}

#[test]
fn where_the_first_member_hears_nobody_the_next_one_decides_after_an_interval() {
    let mut t = master();
    t.at("4").hears(on(2, 9, 100));
    t.at("4.9").hears(on(2, 9, 100));
    all_are(&t, Role::Master);
    t.at("5").hears(on(2, 9, 100)).gives_of(
        "V",
        &[
            "V2: MASTER -> BACKUP: 10.0.0.9 has the same priority 100 and the greater address than 10.0.0.5",
            "V1: MASTER -> BACKUP: with V2, in sync group G",
        ],
    );
}

#[test]
fn a_rival_that_the_first_member_heard_long_ago_decides_nothing() {
    let mut t = master();
    t.at("4").hears(on(1, 2, 100));
    t.at("5").hears(on(2, 9, 100));
    t.at("6").hears(on(2, 9, 100));
    all_are(&t, Role::Master);
    t.at("7").hears(on(2, 9, 100));
    t.at("7.7").hears(on(2, 9, 100));
    all_are(&t, Role::Backup);
}

// Words of one member that count for all.

#[test]
fn nopreempt_of_one_member_counts_for_all() {
    let patient = Preemption { on: false, delay: Duration::ZERO };
    let mut t = started(grouped(VirtualRouterConfig { preemption: patient, ..router() }, router()));
    assert_eq!(hears_both(&mut t, 0, 20, 9, 50), [""; 0]);
    let mut t = started(pair());
    hears_both(&mut t, 0, 5, 9, 50);
    all_are(&t, Role::Master);
}

#[test]
fn the_longest_preempt_delay_counts_for_all() {
    let patient = Preemption { on: true, delay: Duration::from_secs(10) };
    let mut t = started(grouped(VirtualRouterConfig { preemption: patient, ..router() }, router()));
    hears_both(&mut t, 0, 13, 9, 50);
    all_are(&t, Role::Backup);
    hears_both(&mut t, 13, 16, 9, 50);
    all_are(&t, Role::Master);
}

#[test]
fn the_slowest_member_decides_how_long_a_silent_master_is_waited_for() {
    let slow = VirtualRouterConfig { adverts: Adverts::every(AdvertInterval::from_centis(200).unwrap()), ..router() };
    let mut t = started(grouped(slow, router()));
    t.until("6.6");
    all_are(&t, Role::Backup);
    t.until("6.61");
    all_are(&t, Role::Master);
}

#[test]
fn only_a_group_of_owners_begins_as_master() {
    let owner = || VirtualRouterConfig { initial_state: InitialState::Master, ..priority(255) };
    all_are(&started(grouped(owner(), owner())), Role::Master);
    all_are(&started(grouped(owner(), router())), Role::Backup);
}

#[test]
fn who_did_not_run_gives_all_up_without_a_goodbye() {
    let mut t = master();
    t.at("20").wakes().gives(&[
        "remove 10.0.0.100/24",
        "remove 10.0.0.101/24",
        "V1: MASTER -> BACKUP: did not run for 16.390 s, others wait only 3.609 s: one of them may be MASTER now",
        "V2: MASTER -> BACKUP: with V1, in sync group G",
        "notify G: /g GROUP G BACKUP 0",
    ]);
}

// The end, and what comes after it.

#[test]
fn a_stop_says_goodbye_on_every_segment_first() {
    let mut t = master();
    t.at("4").stops().gives(&[
        "advert 0 x2",
        "remove 10.0.0.100/24",
        "remove 10.0.0.101/24",
        "V1: MASTER -> INIT: stopped",
        "V2: MASTER -> INIT: stopped",
        "notify G: /g GROUP G STOP 0",
    ]);
}

fn successor(t: &mut Timeline, handed_over: bool, config: Config) -> Timeline {
    let mut next = t.successor(handed_over);
    next.loads(config);
    next
}

#[test]
fn a_successor_goes_on_as_a_whole_and_tells_no_script() {
    for handed_over in [true, false] {
        let next = successor(master().at("4"), handed_over, pair());
        all_are(&next, Role::Master);
        assert_eq!((next.count("notify"), next.count("remove")), (0, 0), "{:?}", next.said());
    }
}

#[test]
fn a_successor_that_is_too_late_for_one_member_is_too_late_for_all() {
    // V1 may have been taken over from, V2 with its longer interval not yet.
    let slow = VirtualRouterConfig { adverts: Adverts::every(AdvertInterval::from_centis(500).unwrap()), ..router() };
    let mut t = started(grouped(router(), slow.clone()));
    t.until("16");
    all_are(&t, Role::Master);
    let next = successor(t.at("20"), false, grouped(router(), slow));
    all_are(&next, Role::Backup);
    assert_eq!(next.count("remove"), 2);
}

// Reloads.

#[test]
fn a_new_member_follows_its_group() {
    let both = || config(vec![member(1, router()), member(2, router())], vec![]);
    let mut t = started(Config { groups: vec![group(&["V1"])], ..config(vec![member(1, router())], vec![]) });
    t.until("4");
    t.loads(pair());
    all_are(&t, Role::Master);
    t.gives_of("V2", &["V2: INIT -> BACKUP: started", "V2: BACKUP -> MASTER: with V1, in sync group G"]);
    // Out of the group again: each by itself.
    t.loads(both());
    t.at("4.5").hears(on(1, 9, 150));
    assert_eq!(t.election.routers()[0].role(), Role::Backup);
    assert_eq!(t.election.routers()[1].role(), Role::Master);
}

#[test]
fn a_group_of_which_a_member_hears_a_master_elsewhere_gives_up() {
    let both = config(vec![member(1, router()), member(2, router())], vec![]);
    let mut t = started(both);
    for second in 0..5 {
        t.until(&format!("{second}.5"));
        t.hears(on(2, 9, 150));
    }
    t.loads(pair());
    all_are(&t, Role::Backup);
    t.gives_of("advert", &["advert 0"]);
    t.gives_of("V1", &["V1: MASTER -> BACKUP: with V2, in sync group G"]);
}

#[test]
fn a_group_of_which_no_member_hears_a_master_elsewhere_takes_all() {
    let apart = |delay| Preemption { on: true, delay };
    let slow = VirtualRouterConfig {
        preemption: apart(Duration::ZERO),
        adverts: Adverts::every(AdvertInterval::from_centis(500).unwrap()),
        ..router()
    };
    let mut t = started(config(vec![member(1, router()), member(2, slow.clone())], vec![]));
    t.until("5");
    t.loads(grouped(router(), slow));
    all_are(&t, Role::Master);
}

#[test]
fn an_unchanged_group_notices_no_reload() {
    let mut t = master();
    t.at("4").loads(pair()).nothing();
}

/// The limits of one event are about addresses: 100 members are fewer than those.
#[test]
fn a_hundred_members_take_over_in_one_event() {
    let members: Vec<VirtualRouterConfig> = (1..=100)
        .map(|n| VirtualRouterConfig {
            name: Arc::from(format!("V{n}")),
            vrid: Vrid::new(n).unwrap(),
            addresses: vec![vip(100 + n)],
            priority: Priority::DEFAULT,
            ..router()
        })
        .collect();
    let names: Vec<String> = members.iter().map(|router| router.name.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut t = started(Config { groups: vec![group(&names)], ..config(members, vec![]) });
    t.until("3.609");
    t.at("3.609375").wakes();
    all_are(&t, Role::Master);
    assert_eq!((t.count("add "), t.count("V")), (100, 100));
    link(&mut t, 0, false);
    all_are(&t, Role::Fault);
    assert_eq!((t.count("remove "), t.count("V")), (100, 100));
}
