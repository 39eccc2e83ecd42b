//! RFC 9568 6.4.3 and RFC 3768 6.4.3: a MASTER, whom it yields to and whom it does not.

use crate::timeline::*;
use vipward_core::config::{Adverts, InitialState, NotifyScripts, Preemption, VirtualRouterConfig};
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;
use vipward_core::vrrp::{Effect, Input};

/// MASTER since 3.609375.
fn master() -> Timeline {
    let mut t = Timeline::of(vec![router()]);
    t.becomes_master();
    t
}

/// "If the Adver_Timer fires: send an ADVERTISEMENT, reset the Adver_Timer."
#[test]
fn it_advertises_once_an_interval() {
    let mut t = master();
    assert_eq!(t.until("6.7"), ["4.609 advert 100", "5.609 advert 100", "6.609 advert 100"]);
    t.at("7.609374999").wakes().nothing();
    t.at("7.609375").wakes().gives(&["advert 100"]);
    t.wakes().nothing();
}

/// What it sends is what keepalived sends: bytes captured from 2.2.7, with these addresses.
#[test]
fn its_adverts_are_keepaliveds() {
    use vipward_core::machine::Machine;
    let password = Some(*b"12345678");
    let v2 = VirtualRouterConfig { password, addresses: vec![vip(100), vip(101)], ..priority(150) };
    let v3 = VirtualRouterConfig { addresses: vec![vip(100), vip(101)], excluded: vec![vip(102)], ..v3(150, 50) };
    for (config, header) in [(v2, [0x21, 51, 150, 2, 1, 1]), (v3, [0x31, 51, 150, 2, 0, 50])] {
        let mut t = Timeline::of(vec![config]);
        t.becomes_master();
        let (at, _) = t.election.next_wakeup().unwrap();
        let effects: Vec<Effect> = t.election.handle(Input::Wakeup, at).into_effects().collect();
        let [Effect::SendAdvert(sent)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((sent.source, sent.destination, sent.ttl), (ip(ME).into(), GROUP.into(), 255));
        assert_eq!(sent.payload[..6], header);
        assert_eq!(sent.payload[8..16], [10, 0, 0, 100, 10, 0, 0, 101]);
        assert_eq!(&sent.payload[16..], if header[0] == 0x21 { &b"12345678"[..] } else { &b""[..] });
    }
}

/// "If the Priority in the ADVERTISEMENT is greater than the local priority": cancel Adver_Timer, to BACKUP.
#[test]
fn it_yields_to_a_higher_priority() {
    let mut t = master();
    t.at("5").hears(peer(2, 101)).gives(&[
        "advert 100",
        "remove 10.0.0.100/24",
        "V: MASTER -> BACKUP: 10.0.0.2 has the higher priority: 101 over 100",
    ]);
    t.at("8.609374999").wakes().nothing();
    t.at("8.609375")
        .wakes()
        .gives_of("V:", &["V: BACKUP -> MASTER: nothing from 10.0.0.2 for 3.609 s (Master_Down_Interval 3.609 s)"]);
}

/// In version 3 the new MASTER's interval is learned from the advert that it yields to.
#[test]
fn it_waits_for_the_higher_one_in_that_ones_interval() {
    let mut t = Timeline::of(vec![v3(100, 10)]);
    t.becomes_master();
    t.at("1").hears(peer(2, 200).v3(30)).is(Role::Backup);
    t.at("2.082812499").wakes().nothing();
    t.at("2.0828125").wakes().is(Role::Master);
}

/// "equal to the local priority and the primary IPvX address of the sender is greater".
#[test]
fn the_greater_address_breaks_a_tie() {
    master().at("5").hears(peer(9, 100)).gives(&[
        "advert 100",
        "remove 10.0.0.100/24",
        "V: MASTER -> BACKUP: 10.0.0.9 has the same priority 100 and the greater address than 10.0.0.5",
    ]);
    master().at("5").hears(peer(2, 100)).gives(&["advert 100", "garp 10.0.0.100"]);
}

/// "Send an ADVERTISEMENT immediately to assert the Active state"; as in keepalived the timer starts anew.
#[test]
fn it_answers_a_lower_priority_at_once() {
    let mut t = master();
    // A MASTER that is preempted says one more as it yields: no reason to tell anybody.
    t.at("5").hears(peer(2, 50)).gives(&["advert 100", "garp 10.0.0.100"]);
    t.at("5.5").hears(peer(2, 50)).gives(&[
        "advert 100",
        "garp 10.0.0.100",
        "V: 10.0.0.2 is MASTER too, with the lower claim (priority 50); announcing again",
    ]);
    t.at("6.499999999").wakes().nothing();
    t.at("6.5").wakes().gives(&["advert 100"]);
    // Told once more if it stays, and again when it comes back after a Master_Down_Interval of silence.
    let told = &["V: 10.0.0.2 is MASTER too, with the lower claim (priority 50); announcing again"];
    let stays = "V: 10.0.0.2 is still MASTER beside this one: it does not hear our adverts, or drops them; compare \
                 advert_int, authentication and virtual_ipaddress on both, then look for a firewall or a switch that passes \
                 one direction only";
    for second in 7..=64 {
        t.until(&format!("{second}"));
        let told = if second == 8 { &[stays][..] } else { &[] };
        t.at(&format!("{second}.1")).hears(peer(2, 50)).gives_of("V:", told);
    }
    t.at("65.6").hears(peer(2, 50)).gives_of("V:", &[]);
    t.until("69.2");
    t.at("69.2").hears(peer(2, 50)).gives_of("V:", &[]);
    t.until("72.9");
    // This one was not preempted just now.
    t.at("72.9").hears(peer(2, 50)).gives_of("V:", told);
    t.at("73.9").hears(peer(2, 50)).gives_of("V:", &[]);
    t.at("75.9").hears(peer(2, 50)).gives_of("V:", &[stays]);
}

/// Not in the RFC: who yields says so once more, whenever it yields and to whomever, so that the winner announces itself
/// again. Its first announcements may have been lost, and ours drew the neighbours here.
#[test]
fn whoever_yields_is_heard_once_more() {
    let yields = "V: MASTER -> BACKUP: 10.0.0.2 has the higher priority: 200 over 100";
    // It took the other one for dead, just now or long ago, or never heard of it.
    for (heard_first, at) in [(Some(2), "4.3"), (Some(3), "4.3"), (Some(2), "60.3"), (None, "60.3")] {
        let mut t = Timeline::of(vec![router()]);
        if let Some(source) = heard_first {
            t.at("0.5").hears(peer(source, 200)).nothing();
        }
        t.until(at);
        t.at(at).hears(peer(2, 200)).gives(&["advert 100", "remove 10.0.0.100/24", yields]);
    }
}

/// Each advert of a lower priority, but no process for each of a flood.
#[test]
fn a_lower_priority_is_told_to_its_script() {
    let rx_lower_pri = Some(command("/n/lower"));
    let notify = NotifyScripts { rx_lower_pri, any: Some(command("/n/any")), ..NotifyScripts::default() };
    let mut t = Timeline::of(vec![VirtualRouterConfig { notify, ..router() }]);
    t.at("1").hears(peer(2, 50)).gives_of("notify", &[]);
    t.becomes_master();
    t.at("5").hears(peer(2, 50)).gives_of("notify", &["notify V: /n/lower"]);
    t.hears(peer(2, 0)).gives_of("notify", &[]);
    let ran: usize = (0..100).map(|_| t.hears(peer(2, 50)).count("notify V: /n/lower")).sum();
    assert_eq!(ran, 7);
    t.at("6").hears(peer(2, 50)).gives_of("notify", &["notify V: /n/lower"]);
    t.hears(peer(2, 200)).is(Role::Backup).gives_of("notify", &["notify V: /n/any INSTANCE V BACKUP 100"]);
}

/// A thousand adverts a second of a lower priority get a few answers, not a thousand; what was asked for last is not lost.
#[test]
fn a_flood_of_lower_priorities_is_answered_at_a_pace() {
    let mut t = Timeline::of(vec![VirtualRouterConfig { addresses: vec![vip(100), vip(101)], ..router() }]);
    t.becomes_master();
    let (mut adverts, mut garps) = (0, 0);
    for milli in 4_000..14_000 {
        t.at(&format!("{}.{:03}", milli / 1000, milli % 1000)).hears(peer(2, 50));
        adverts += t.count("advert 100");
        garps += t.count("garp");
        if t.election.next_wakeup().is_some_and(|(at, _)| at <= t.now()) {
            t.wakes();
            adverts += t.count("advert 100");
            garps += t.count("garp");
        }
    }
    // Eight and four at once, then four and two a second.
    assert!((40..=52).contains(&adverts), "{adverts} adverts in 10 s");
    assert!((40..=50).contains(&garps), "{garps} announcements of 2 addresses in 10 s");
    // The last one of a burst is answered late, but it is.
    let mut t = master();
    for _ in 0..5 {
        t.at("4").hears(peer(2, 50));
    }
    t.gives_of("garp", &[]);
    assert_eq!(t.until("4.5"), ["4.500 garp 10.0.0.100"]);
}

#[test]
fn lower_prio_no_advert_only_announces() {
    let mut t = Timeline::of(vec![VirtualRouterConfig {
        adverts: Adverts { lower_prio_no_advert: true, ..router().adverts },
        ..router()
    }]);
    t.becomes_master();
    t.at("4").hears(peer(2, 50)).gives(&["garp 10.0.0.100"]);
    assert_eq!(t.until("4.7"), ["4.609 advert 100"], "the timer ran on");
}

/// "If the Priority in the ADVERTISEMENT is zero: send an ADVERTISEMENT, reset the Adver_Timer."
#[test]
fn it_answers_another_master_that_stops() {
    let mut t = master();
    t.at("5").hears(peer(9, 0)).gives(&["advert 100", "garp 10.0.0.100"]);
    t.at("5.999999999").wakes().nothing();
    t.at("6").wakes().gives(&["advert 100"]);
}

/// A MASTER with `nopreempt` yields to a higher priority like any other.
#[test]
fn nopreempt_does_not_hold_on_to_mastership() {
    let mut t = Timeline::of(vec![VirtualRouterConfig {
        preemption: Preemption { on: false, ..router().preemption },
        ..router()
    }]);
    t.becomes_master();
    t.at("5").hears(peer(2, 101)).is(Role::Backup);
}

/// RFC 9568 7.1 with erratum 8298: log it. The greater address wins, so one is left.
#[test]
fn of_two_owners_one_is_left() {
    let owner = || VirtualRouterConfig { initial_state: InitialState::Master, ..priority(255) };
    let second = |n| format!("V: 10.0.0.{n} says that it is the address owner (priority 255) too: only one can be");
    let mut t = Timeline::of(vec![owner()]);
    t.at("0.5").hears(peer(9, 255)).gives(&[
        "advert 255",
        "remove 10.0.0.100/24",
        &second(9),
        "V: MASTER -> BACKUP: 10.0.0.9 has the same priority 255 and the greater address than 10.0.0.5",
    ]);
    t.at("1.5").hears(peer(9, 255)).nothing();

    let mut t = Timeline::of(vec![owner()]);
    t.at("0.5").hears(peer(2, 255)).is(Role::Master).gives_of("V: 10.0.0.2 says", &[&second(2)]);
    t.at("0.6").hears(peer(2, 254)).is(Role::Master);
}

/// Suspend, a paused VM, live migration: the others have given it up. It steps down before anything else, then hears
/// what is queued.
#[test]
fn a_master_that_overslept_gives_its_addresses_up_first() {
    let mut t = master();
    // Its last advert was at 3.609375; 3.609375 later is still in time.
    t.at("7.21875").wakes().gives(&["advert 100"]);
    t.at("10.828125001").wakes().gives(&[
        "remove 10.0.0.100/24",
        "V: MASTER -> BACKUP: did not run for 3.609 s, others wait only 3.609 s: one of them may be MASTER now",
    ]);
    t.at("10.9").hears(peer(2, 50)).nothing();
    t.at("14.437500000").wakes().nothing();
    t.at("14.437500001").wakes().gives_of("V:", &["V: BACKUP -> MASTER: preempts 10.0.0.2: priority 100 over 50"]);
}

/// Whatever wakes it: here the advert of the one that took over meanwhile. Its own claim is not repeated.
#[test]
fn a_master_that_overslept_hears_its_successor_as_a_backup() {
    let mut t = master();
    t.at("20").hears(peer(2, 50)).gives(&[
        "remove 10.0.0.100/24",
        "V: MASTER -> BACKUP: did not run for 16.390 s, others wait only 3.609 s: one of them may be MASTER now",
    ]);
    let mut t = master();
    t.at("20").stops().gives(&[
        "remove 10.0.0.100/24",
        "V: MASTER -> BACKUP: did not run for 16.390 s, others wait only 3.609 s: one of them may be MASTER now",
        "V: BACKUP -> INIT: stopped",
    ]);
}

/// Only the router that overslept: another one with a longer interval is still in time.
#[test]
fn each_router_oversleeps_by_its_own_interval() {
    let quick = VirtualRouterConfig {
        name: "W".into(),
        vrid: 52.try_into().unwrap(),
        addresses: vec![vip(101)],
        ..v3(100, 10)
    };
    let mut t = Timeline::of(vec![router(), quick]);
    t.until("4");
    t.at("5").wakes().gives(&[
        "advert 100",
        "remove 10.0.0.101/24",
        "W: MASTER -> BACKUP: did not run for 1.039 s, others wait only 0.360 s: one of them may be MASTER now",
    ]);
}

#[test]
fn unicast_peers_get_one_advert_each() {
    let config = VirtualRouterConfig { unicast_ttl: 64, ..unicast(router(), &[2, 9]) };
    let mut t = Timeline::of(vec![config]);
    t.gives_of("listen", &["listen eth0"]);
    t.becomes_master().gives_of("advert", &["advert 100 to 10.0.0.2 ttl 64", "advert 100 to 10.0.0.9 ttl 64"]);
    t.at("4").stops().gives_of("advert", &["advert 0 to 10.0.0.2 ttl 64", "advert 0 to 10.0.0.9 ttl 64"]);
}

/// RFC 9568 2.5: what can be caused at will is told at a limited rate, whatever interval the packets claim.
#[test]
fn a_rival_that_comes_and_goes_is_told_at_a_limited_rate() {
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.becomes_master();
    let mut told = 0;
    for n in 0..250 {
        t.until(&format!("{:.2}", 10.0 + f64::from(n) * 0.04));
        t.hears(peer(2, 50).v3(1));
        told += t.count("V: 10.0.0.2 is MASTER too");
    }
    assert_eq!(told, 1);
}

/// RFC 9568 7.1: an owner too logs a MASTER that is none.
#[test]
fn an_owner_tells_of_a_lower_master() {
    let owner = VirtualRouterConfig { initial_state: InitialState::Master, ..priority(255) };
    let mut t = Timeline::of(vec![owner]);
    t.until("5");
    t.hears(peer(2, 50));
    t.gives_of("V:", &["V: 10.0.0.2 is MASTER too, with the lower claim (priority 50); announcing again"]);
    t.is(Role::Master);
}
