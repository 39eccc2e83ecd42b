//! `auth_type AH`: adverts count if they have the key and come later in the sequence than any other.

use crate::timeline::*;
use vipward_core::config::{Config, VirtualRouterConfig};
use vipward_core::datagram::Datagram;
use vipward_core::machine::{LeavesWill, Machine};
use vipward_core::quantity::Role;
use vipward_core::vrrp::packet::Authentication;
use vipward_core::vrrp::{Event, Input, ah};

const KEY: [u8; 8] = *b"secr3t\0\0";

fn authenticated() -> VirtualRouterConfig {
    VirtualRouterConfig { password: Some(KEY), ah: true, ..router() }
}

fn of_peer(priority: u8) -> Peer {
    Peer { authentication: Authentication::Header, ..peer(2, priority) }
}

fn heard(priority: u8, sequence: u32) -> Event {
    Event::AdvertReceived(ah::seal(&of_peer(priority).datagram(), &KEY, sequence))
}

fn numbers(adverts: &[Datagram]) -> Vec<u32> {
    adverts.iter().map(|advert| ah::open(advert, &KEY).unwrap()).collect()
}

#[test]
fn a_master_counts_its_adverts_and_goes_on_from_what_others_said() {
    let mut t = Timeline::of(vec![authenticated()]);
    t.at("1").handles(heard(200, 41)).nothing();
    t.at("3").handles(heard(200, 42)).nothing();
    t.becomes_master();
    assert_eq!(numbers(&t.sent()), [43]);
    t.until("8");
    // One that lags behind in a partition hears this answer, and believes it.
    t.handles(heard(50, 9_000)).is(Role::Master);
    assert_eq!(numbers(&t.sent()), [9_001]);
    t.handles(heard(200, 9_002)).is(Role::Backup);
    assert_eq!(numbers(&t.sent()), [9_003], "what it says as it yields");
}

#[test]
fn an_advert_counts_once() {
    let mut t = Timeline::of(vec![authenticated()]);
    t.at("1").handles(heard(200, 7)).nothing();
    t.at("2").handles(heard(200, 8)).nothing();
    for (at, sequence) in [("3", 8), ("3.1", 7), ("3.2", 0)] {
        t.at(at).handles(heard(200, sequence));
    }
    t.gives(&[]);
    assert_eq!(t.election.ignored().map(|(_, word, n)| (word, n)).collect::<Vec<_>>(), [("replayed", 3)]);
    t.until("6");
    t.is(Role::Master);
    // As MASTER it does not hear its own or older ones from elsewhere either.
    t.handles(heard(0, 9)).nothing();
    t.handles(heard(255, 8)).nothing();
    t.is(Role::Master);
}

#[test]
fn what_fails_is_told_counted_and_changes_nothing() {
    let of = |datagram| Event::AdvertReceived(datagram);
    let other_key = of(ah::seal(&of_peer(200).datagram(), b"other\0\0\0", 5));
    let none = of(of_peer(200).datagram());
    let by_password = Peer { authentication: Authentication::Password(KEY), ..peer(2, 200) };
    for (event, word) in [
        (other_key, "authentication_failed"),
        (none, "authentication_failed"),
        (of(peer(2, 200).datagram()), "auth_type_differs"),
        (of(by_password.datagram()), "auth_type_differs"),
    ] {
        let mut t = Timeline::of(vec![authenticated()]);
        let due = t.election.next_wakeup();
        t.at("1").handles(event);
        assert_eq!(t.count("V: ignored an advert from 10.0.0.2"), 1, "{:?}", t.said());
        assert_eq!(t.election.ignored().map(|(_, word, n)| (word, n)).collect::<Vec<_>>(), [(word, 1)]);
        assert_eq!(t.election.next_wakeup(), due);
    }
    // Nor does a router without it, or with the password in clear text, believe what has it.
    for config in [router(), VirtualRouterConfig { password: Some(KEY), ..router() }] {
        let mut t = Timeline::of(vec![config]);
        t.at("1").handles(heard(200, 5));
        assert_eq!(t.election.ignored().map(|(_, word, n)| (word, n)).collect::<Vec<_>>(), [("auth_type_differs", 1)]);
    }
}

#[test]
fn the_last_will_has_the_number_that_comes_next() {
    let mut t = Timeline::of(vec![authenticated()]);
    t.becomes_master();
    assert_eq!(numbers(&t.sent()), [1]);
    let left = |t: &mut Timeline| {
        let shares = t.election.changed_shares();
        numbers(&shares.into_iter().flat_map(|(_, will)| will.datagrams).collect::<Vec<_>>())
    };
    assert_eq!(left(&mut t), [2]);
    t.until("5.7");
    assert_eq!(left(&mut t), [4], "it is told again with each advert");
    t.handles(heard(50, 100));
    assert_eq!(left(&mut t), [102]);
    t.stops();
    assert_eq!(numbers(&t.sent()), [102]);
}

#[test]
fn a_successor_goes_on_in_the_sequence_and_behind_a_copy_it_leaves_room() {
    let one = || -> Config { config(vec![authenticated()], vec![]) };
    for (handed_over, next) in [(true, 2), (false, 1002)] {
        let mut old = Timeline::of(vec![authenticated()]);
        old.becomes_master();
        let mut successor = old.at("4").successor(handed_over);
        successor.at("4.1").loads(one()).is(Role::Master);
        successor.until("4.5");
        successor.at("4.609375").wakes();
        assert_eq!(numbers(&successor.sent()), [next]);
    }
    // One that goes on because its successor died does not know what that one has said.
    let mut t = Timeline::of(vec![authenticated()]);
    t.becomes_master();
    t.at("4").handles(Input::HandOver).handles(Input::TakeBack);
    t.at("4.609375").wakes();
    assert_eq!(numbers(&t.sent()), [1002]);
}
