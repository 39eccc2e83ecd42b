//! `[slow_start]`: a real server that comes back gets its weight step by step.

use crate::world::*;
use std::sync::Arc;
use vipward_core::config::{Config, SlowStart};
use vipward_core::time::Duration;

/// Two real servers of weight 10.
fn slowly(seconds: u64) -> Config {
    let mut service = service(VIP, &[WEB1, WEB2]);
    service.real_servers.iter_mut().for_each(|real| real.weight = 10);
    let slow_start = SlowStart { usual: secs(seconds), ..SlowStart::default() };
    Config { slow_start, ..config(vec![service]) }
}

/// web1 goes down and comes back at 24 s.
fn back(config: Config) -> World {
    let mut world = World::new();
    world.quiet = true;
    world.load_all(config);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(20));
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.2:80=10");
    world.timeline();
    world
}

/// The weight of web1.
fn weight(world: &World) -> String {
    let table = world.table(VIP);
    table.split(' ').find_map(|it| it.strip_prefix("192.0.2.1:80=")).unwrap_or("out").to_owned()
}

#[test]
fn the_weight_rises_in_ten_steps() {
    let mut world = back(slowly(20));
    world.until(secs(60));
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn without_it_and_at_the_start_the_weight_is_there_at_once() {
    let mut world = World::new();
    world.quiet = true;
    world.load_all(slowly(20));
    assert_eq!(world.table(VIP), "192.0.2.1:80=10 192.0.2.2:80=10", "at the start");
    let mut world = back(slowly(0));
    world.until(secs(30));
    assert!(!world.timeline().contains("rises"));
    assert_eq!(weight(&world), "10");
}

/// `alpha`: down at the start is not having been up.
#[test]
fn one_that_is_up_for_the_first_time_does_not_rise_slowly() {
    let mut config = slowly(20);
    config.services[0].real_servers[0].checkers[0].alpha = true;
    let mut world = World::new();
    world.quiet = true;
    world.load_all(config);
    world.until(secs(1));
    assert_eq!(weight(&world), "10");
}

#[test]
fn a_fall_ends_it_and_the_next_rise_begins_anew() {
    let mut world = back(slowly(60));
    world.until(secs(40));
    assert!(!["out", "1", "10"].contains(&&*weight(&world)), "{}", weight(&world));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(60));
    assert_eq!(weight(&world), "out");
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    let mut at = 60;
    while weight(&world) == "out" {
        at += 1;
        world.until(secs(at));
    }
    assert_eq!(weight(&world), "1");
}

#[test]
fn a_reload_and_a_successor_go_on_with_it() {
    let mut world = back(slowly(100));
    world.until(secs(30));
    let begun = world.timeline();
    assert!(begun.contains("the weight of 192.0.2.1:80 rises from 1 to 10 within 100 s"), "{begun}");
    world.until(secs(60));
    let before = weight(&world);
    assert!(!["1", "10"].contains(&&*before));
    world.load_all(slowly(100));
    assert_eq!(weight(&world), before);
    world.succeed();
    world.load_all(slowly(100));
    assert_eq!(weight(&world), before);
    world.load_all(slowly(0));
    assert_eq!(weight(&world), "10", "the table says no more of it");
}

/// It can't rise slowly from 1 to 1, and a virtual server may differ from the others.
#[test]
fn weight_1_has_no_steps_and_one_virtual_server_may_have_none() {
    let mut config = slowly(20);
    config.services[0].real_servers[0].weight = 1;
    let mut world = back(config);
    world.until(secs(30));
    assert!(!world.timeline().contains("rises"));
    let mut config = slowly(20);
    config.slow_start.services.insert(Arc::from(VIP), Duration::ZERO);
    let mut world = back(config);
    world.until(secs(30));
    assert!(!world.timeline().contains("rises"));
}

/// Live weight counts whole: quorum does not wait for it.
#[test]
fn for_the_quorum_it_counts_whole() {
    let mut config = slowly(20);
    config.services[0].quorum = 20;
    config.services[0].sorry_server = Some(sorry());
    let mut world = World::new();
    world.quiet = true;
    world.load_all(config);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    let mut at = 20;
    while world.table(VIP) == "192.0.2.99:80=1" {
        at += 1;
        world.until(secs(at));
    }
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=10");
}
