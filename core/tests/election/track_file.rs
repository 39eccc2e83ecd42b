//! `track_file`: the number in a file times its weight changes the priority.

use crate::timeline::*;
use std::sync::Arc;
use vipward_core::config::{Config, TrackFile, TrackWeight, Tracked, TrackerId, Tracking, VirtualRouterConfig};
use vipward_core::quantity::Role;
use vipward_core::vrrp::Event;

fn tracking_file(path: &str, weight: i16, reverse: bool) -> Config {
    let name: Arc<str> = "F".into();
    let weight = TrackWeight { weight, reverse };
    let tracked = Tracked { what: TrackerId::File(name.clone()), weight };
    let router = VirtualRouterConfig { tracking: Tracking { list: vec![tracked] }, ..router() };
    let file = TrackFile { name: name.clone(), path: path.into(), weight, init: None, places: Default::default() };
    Config { files: [(name, file)].into(), ..config(vec![router], vec![]) }
}

fn holds(number: i64) -> Event {
    Event::FilesRead(vec![("F".into(), number)])
}

fn priority_of(t: &Timeline) -> u8 {
    t.election.routers()[0].priority().get()
}

/// As keepalived 2.2.7 counts.
#[test]
fn the_number_times_the_weight_is_added() {
    for (weight, reverse, number, priority) in [
        (1, false, 10, 110),
        (1, false, -253, 1),
        (1, false, 1000, 254),
        (2, false, -20, 60),
        (-3, false, 10, 70),
        (3, true, 10, 70),
        (254, false, 0, 100),
        (1, false, i64::MAX, 254),
    ] {
        let mut t = Timeline::with(tracking_file("/f", weight, reverse));
        t.handles(holds(number));
        assert_eq!(priority_of(&t), priority, "{weight} {reverse} {number}");
        t.is(Role::Backup).handles(holds(0));
        assert_eq!(priority_of(&t), 100, "{weight} {reverse} {number}, then 0");
    }
}

#[test]
fn a_product_of_minus_254_means_fault() {
    for (weight, reverse, number) in
        [(1, false, -254), (1, false, -1000), (2, false, -127), (254, true, 1), (-1, false, i64::MAX)]
    {
        let mut t = Timeline::with(tracking_file("/f", weight, reverse));
        t.handles(holds(0)).until("4");
        t.is(Role::Master).handles(holds(number)).is(Role::Fault);
        t.handles(holds(0)).is(Role::Backup);
    }
}

#[test]
fn weight_0_means_fault_unless_it_holds_0() {
    let mut t = Timeline::with(tracking_file("/f", 0, false));
    t.gives_of("watch", &["watch /f"]);
    t.until("10");
    t.is(Role::Init).handles(holds(0)).gives(&["V: INIT -> BACKUP: started"]);
    t.until("15");
    t.is(Role::Master).handles(holds(3)).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "V: MASTER -> FAULT: track_file F holds 3 and has weight 0",
    ]);
    t.handles(holds(0)).gives(&["V: FAULT -> BACKUP: the fault is over"]);
    let mut t = Timeline::with(tracking_file("/f", 0, true));
    t.handles(holds(0)).is(Role::Fault).handles(holds(3)).is(Role::Backup);
}

#[test]
fn a_reload_watches_what_is_new_and_keeps_what_is_known() {
    let mut t = Timeline::with(tracking_file("/f", 1, false));
    t.handles(holds(-40)).gives(&["V: priority 100 -> 60: track_file F holds -40 (weight 1)"]);
    t.loads(tracking_file("/f", 2, false)).gives_of("watch", &[]);
    assert_eq!(priority_of(&t), 20);
    t.loads(tracking_file("/g", 2, false)).gives_of("watch", &["watch /g"]);
    assert_eq!(priority_of(&t), 20, "until the other file was read");
    t.loads(config(vec![router()], vec![])).gives_of("watch", &["watch "]);
    assert_eq!(priority_of(&t), 100);
    t.handles(holds(5)).nothing();
}

#[test]
fn a_successor_counts_with_what_the_file_held() {
    let mut old = Timeline::with(tracking_file("/f", 1, false));
    old.handles(holds(-40)).becomes_master();
    let mut successor = old.successor(true);
    successor.loads(tracking_file("/f", 1, false)).is(Role::Master).gives_of("watch", &["watch /f"]);
    assert_eq!(priority_of(&successor), 60);
}
