//! `track_interface`: an interface beside the router's own.

use crate::timeline::*;
use vipward_core::config::{Config, TrackWeight, Tracked, TrackerId, Tracking, VirtualRouterConfig};
use vipward_core::interface::Link;
use vipward_core::quantity::Role;
use vipward_core::vrrp::Event;

/// V tracks eth1 with this weight. eth1 is there and runs.
fn timeline(weight: i16, reverse: bool) -> Timeline {
    Timeline::with(tracking_eth1(weight, reverse))
}

fn tracking_eth1(weight: i16, reverse: bool) -> Config {
    let tracked = Tracked { what: TrackerId::Interface(eth(1)), weight: TrackWeight { weight, reverse } };
    let router = VirtualRouterConfig { tracking: Tracking { list: vec![tracked] }, ..router() };
    config(vec![router], vec![])
}

fn eth1(running: bool) -> Event {
    Event::LinkChanged(Link { name: eth(1), running })
}

fn priority_of(t: &Timeline) -> u8 {
    t.election.routers()[0].priority().get()
}

/// Weight 0: the router is in FAULT while eth1 is down or away; a MASTER says goodbye, since its own link is up.
#[test]
fn weight_0_means_fault() {
    let mut t = timeline(0, false);
    t.is(Role::Backup).until("4");
    t.is(Role::Master).handles(eth1(false)).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "V: MASTER -> FAULT: tracked interface eth1 is down and has weight 0",
    ]);
    t.handles(Event::LinkGone(eth(1))).nothing();
    t.handles(eth1(true)).gives(&["V: FAULT -> BACKUP: the fault is over"]);
    t.handles(Event::LinkGone(eth(1)));
    t.is(Role::Fault);
}

/// keepalived 2.2.7: a positive weight counts while it is up, a negative one while it is down.
#[test]
fn a_weight_changes_the_priority() {
    for (weight, reverse, up, down) in
        [(20, false, 120, 100), (-20, false, 100, 80), (20, true, 80, 100), (-20, true, 100, 120)]
    {
        let mut t = timeline(weight, reverse);
        assert_eq!(priority_of(&t), up, "{weight} {reverse} up");
        t.handles(eth1(false));
        assert_eq!(priority_of(&t), down, "{weight} {reverse} down");
        t.is(Role::Backup).handles(eth1(true));
        assert_eq!(priority_of(&t), up, "{weight} {reverse} up again");
    }
}

/// What changed is told with its cause, and the next advert says so.
#[test]
fn a_masters_adverts_say_its_new_priority() {
    let mut t = timeline(-30, false);
    t.until("4");
    t.handles(eth1(false)).gives(&["V: priority 100 -> 70: tracked interface eth1 is down (weight -30)"]);
    assert_eq!(t.until("4.7"), ["4.609 advert 70"]);
}

/// A router that begins with another priority than its file says tells it, once.
#[test]
fn a_priority_that_is_not_the_configured_one_is_told_at_the_start() {
    let cases: [(i16, bool, &[&str]); 3] = [
        (20, true, &["V: priority 100 -> 120: tracked interface eth1 is up (weight 20)"]),
        (-20, false, &["V: priority 100 -> 80: tracked interface eth1 is down (weight -20)"]),
        (20, false, &[]),
    ];
    for (weight, running, told) in cases {
        let mut t = Timeline::unstarted(&[observed(ME, false)]);
        t.tells_links(&[(0, true), (1, running)]).reads_addresses().loads(tracking_eth1(weight, false));
        t.gives_of("V: priority", told).is(Role::Backup);
        t.at("1").loads(tracking_eth1(weight, false));
        t.gives_of("V: priority", &[]);
    }
}
