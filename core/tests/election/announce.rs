//! Gratuitous ARP: how many, and when (`garp_*`). Counts and times are keepalived 2.2.7's.

use crate::timeline::*;
use std::net::Ipv4Addr;
use vipward_core::config::{AnnouncementPauses, Garp, GarpGroup, VirtualRouterConfig};
use vipward_core::interface::InterfaceAddress;
use vipward_core::quantity::Vrid;
use vipward_core::time::Duration;
use vipward_core::vrrp::Effect;
use vipward_core::vrrp::announce::queue::AT_ONCE;
use vipward_core::vrrp::book::MOST_ADDED;

fn with(garp: Garp) -> Timeline {
    let mut t = Timeline::of(vec![VirtualRouterConfig { announcements: garp, ..router() }]);
    t.becomes_master();
    t
}

fn announcements(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().filter(|line| line.contains("garp")).collect()
}

#[test]
fn five_at_once_and_five_after_five_seconds() {
    let mut t = with(Garp::default());
    t.gives_of("garp", &["garp 10.0.0.100 x5"]);
    assert_eq!(announcements(t.until("60")), ["8.609 garp 10.0.0.100 x5"]);
}

/// Each address early, and then again, as keepalived does.
#[test]
fn a_burst_goes_round_by_round() {
    let garp = Garp { repeat: 2, ..Garp::default() };
    let mut t = Timeline::of(vec![VirtualRouterConfig {
        announcements: garp,
        addresses: vec![vip(100), vip(101)],
        ..router()
    }]);
    t.becomes_master();
    let round = ["garp 10.0.0.100", "garp 10.0.0.101"];
    t.gives_of("garp", &[round, round].concat());
}

/// Hundreds of addresses are neither added nor announced in one event: an advert that is due would wait for them. Nothing
/// else has to happen for the rest to follow.
#[test]
fn many_addresses_are_added_and_announced_in_turns_and_at_once() {
    let many = (0..300u16).map(|n| InterfaceAddress {
        address: Ipv4Addr::new(10, 1, u8::try_from(n / 250).unwrap(), u8::try_from(n % 250).unwrap()).into(),
        ..vip(1)
    });
    let mut t = Timeline::of(vec![VirtualRouterConfig {
        announcements: Garp::default(),
        excluded: many.collect(),
        ..router()
    }]);
    t.becomes_master();
    let counts = |lines: &[String], word: &str| lines.iter().filter(|line| line.contains(word)).count();
    let first: Vec<String> = t.last().iter().map(|output| format!("{output:?}")).collect();
    assert_eq!((counts(&first, "AddAddress"), counts(&first, "Announce")), (MOST_ADDED, AT_ONCE));
    let rest = t.until("3.609375");
    assert_eq!(counts(&rest, " add "), 301 - MOST_ADDED);
    let announced: usize = rest
        .iter()
        .filter_map(|line| line.split_once(" garp "))
        .map(|(_, rest)| rest.split_once(" x").map_or(1, |(_, times)| times.parse().unwrap()))
        .sum();
    assert_eq!(announced, 301 * 5 - AT_ONCE);
    assert_eq!(counts(&rest, "advert"), 0, "it left first");
}

#[test]
fn garp_master_delay_0_means_no_second_burst() {
    let mut t = with(Garp { delay: Duration::ZERO, ..Garp::default() });
    assert_eq!(announcements(t.until("60")), [""; 0]);
}

#[test]
fn garp_master_refresh_goes_on_for_as_long_as_it_is_master() {
    let refresh = Duration::from_secs(10);
    let mut t = with(Garp { refresh, refresh_repeat: 2, delay: Duration::ZERO, ..Garp::default() });
    let lines = announcements(t.until("34"));
    assert_eq!(lines, ["13.609 garp 10.0.0.100 x2", "23.609 garp 10.0.0.100 x2", "33.609 garp 10.0.0.100 x2"]);
    t.hears(peer(2, 200));
    assert_eq!(announcements(t.until("37")), [""; 0]);
}

/// Another director has just announced the same addresses: a burst at once, and another after `garp_lower_prio_delay`.
#[test]
fn a_lower_priority_brings_bursts_of_its_own() {
    let lower_prio_delay = Duration::from_secs(2);
    let mut t = with(Garp { lower_prio_repeat: 3, lower_prio_delay, delay: Duration::ZERO, ..Garp::default() });
    t.until("20");
    t.hears(peer(2, 50)).gives_of("garp", &["garp 10.0.0.100 x3"]);
    t.at("21").hears(peer(2, 50)).gives_of("garp", &["garp 10.0.0.100 x3"]);
    assert_eq!(announcements(t.until("60")), ["22.000 garp 10.0.0.100 x3"], "not put off by the second advert");
}

#[test]
fn an_announcement_that_failed_is_tried_again_after_a_second_if_it_is_still_right() {
    let failed = Effect::Announce { interface: eth(0), address: ip(100).into() };
    let mut t = with(Garp { delay: Duration::ZERO, ..Garp::default() });
    t.at("4").fails(failed.clone());
    t.gives(&["announcing 10.0.0.100 on eth0 failed: no; next try in 1.000 s"]);
    t.fails(failed.clone()).nothing();
    assert_eq!(announcements(t.until("8")), ["5.000 garp 10.0.0.100"]);
    t.at("8").fails(failed).hears(peer(2, 200));
    assert_eq!(announcements(t.until("10")), [""; 0]);
}

/// `vrrp_garp_interval`: on one interface one leaves at a time; adverts are not held up.
#[test]
fn announcements_keep_their_distance() {
    let routers = vec![VirtualRouterConfig {
        addresses: (100..103).map(vip).collect(),
        announcements: Garp { repeat: 2, delay: Duration::ZERO, ..Garp::default() },
        ..router()
    }];
    let mut config = config(routers, vec![]);
    config.global.announcement_pauses.garp = Duration::from_millis(400);
    let mut t = Timeline::with(config);
    let sent: Vec<String> =
        t.until("6.3").into_iter().filter(|line| line.contains("garp") || line.contains("advert")).collect();
    assert_eq!(
        sent,
        [
            "3.609 advert 100",
            "3.609 garp 10.0.0.100",
            "4.009 garp 10.0.0.101",
            "4.409 garp 10.0.0.102",
            "4.609 advert 100",
            "4.809 garp 10.0.0.100",
            "5.209 garp 10.0.0.101",
            "5.609 advert 100",
            "5.609 garp 10.0.0.102",
        ]
    );
}

/// `garp_group`: its interfaces keep one pause together; one outside has the pause of all.
#[test]
fn the_interfaces_of_a_group_keep_their_distance_together() {
    let on = |interface: u8, id: u8| VirtualRouterConfig {
        vrid: Vrid::new(id).unwrap(),
        name: format!("VI_{id}").into(),
        addresses: vec![InterfaceAddress { interface: eth(interface), ..vip(100 + id) }],
        announcements: Garp { repeat: 2, delay: Duration::ZERO, ..Garp::default() },
        ..router()
    };
    let mut config = config(vec![on(0, 1), on(1, 2), on(2, 3)], vec![]);
    config.global.announcement_pauses.garp = Duration::from_millis(100);
    let pauses = AnnouncementPauses { garp: Duration::from_millis(400), gna: Duration::ZERO };
    config.global.garp_groups = vec![GarpGroup { interfaces: vec![eth(0), eth(1)], pauses }];
    let mut t = Timeline::unstarted(&[observed(ME, false)]);
    t.tells_links(&[(0, true), (1, true), (2, true)]).reads_addresses().loads(config);
    let sent: Vec<String> = t.until("5.5").into_iter().filter(|line| line.contains("garp")).collect();
    assert_eq!(
        sent,
        [
            "3.609 garp 10.0.0.101",
            "3.609 garp 10.0.0.103",
            "3.709 garp 10.0.0.103",
            "4.009 garp 10.0.0.102",
            "4.409 garp 10.0.0.101",
            "4.809 garp 10.0.0.102",
        ]
    );
}
