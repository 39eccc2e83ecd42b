//! `FILE_CHECK`: a number in a tracked file, as the Election tells it.

use crate::world::*;
use vipward_core::balancer::Input;
use vipward_core::config::{FileCheck, FileWeight, Places, VirtualServer};
use vipward_core::door::News;
use vipward_core::time::Duration;

/// Two real servers of weight 10, of which the first asks for the file `load` with this weight.
fn weighed(weight: i32) -> Vec<VirtualServer> {
    let mut service = service(VIP, &[WEB1, WEB2]);
    service.real_servers.iter_mut().for_each(|real| real.weight = 10);
    let check =
        FileCheck { file: "load".into(), weight: FileWeight { weight, reverse: false }, places: Places::default() };
    service.real_servers[0].files.push(check);
    vec![service]
}

fn quiet(services: Vec<VirtualServer>) -> World {
    let mut world = World::with(services);
    world.quiet = true;
    world.until(secs(5));
    world.timeline();
    world
}

fn holds(number: i64) -> Input {
    Input::News(News::FileNumber { file: "load".into(), number })
}

#[test]
fn the_number_is_added_to_the_weight() {
    let mut world = quiet(weighed(-2));
    let mut table = |number| {
        world.happens(holds(number));
        world.table(VIP)
    };
    assert_eq!(table(3), "192.0.2.1:80=4 192.0.2.2:80=10");
    assert_eq!(table(3), "192.0.2.1:80=4 192.0.2.2:80=10");
    assert_eq!(table(-1), "192.0.2.1:80=12 192.0.2.2:80=10");
    assert_eq!(table(500), "192.0.2.1:80=0 192.0.2.2:80=10", "not below 0, and not out");
    assert_eq!(table(-9_000_000), "192.0.2.1:80=65535 192.0.2.2:80=10");
    assert_eq!(table(0), "192.0.2.1:80=10 192.0.2.2:80=10");
}

/// Weight 0: any number but 0 takes it out, whatever its other checkers find.
#[test]
fn with_weight_0_the_number_says_up_or_down() {
    let mut world = quiet(weighed(0));
    world.happens(holds(0));
    assert_eq!(world.timeline(), "");
    world.happens(holds(7));
    world.until(secs(12));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(24));
    // Its port is closed as well now.
    world.happens(holds(0));
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    world.until(secs(36));
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn a_file_of_others_changes_nothing() {
    let mut world = quiet(weighed(1));
    world.happens(Input::News(News::FileNumber { file: "other".into(), number: 5 }));
    assert_eq!(world.timeline(), "");
    assert_eq!(world.table(VIP), "192.0.2.1:80=10 192.0.2.2:80=10");
}

/// A reload, a successor, and an Election that is a reload ahead.
#[test]
fn what_a_file_holds_stays_known() {
    let mut world = quiet(vec![service(VIP, &[WEB1, WEB2])]);
    world.happens(holds(4));
    world.load(weighed(1));
    assert_eq!(world.table(VIP), "192.0.2.1:80=14 192.0.2.2:80=10");
    world.load(weighed(2));
    assert_eq!(world.table(VIP), "192.0.2.1:80=18 192.0.2.2:80=10");
    world.succeed();
    world.load(weighed(2));
    assert_eq!(world.table(VIP), "192.0.2.1:80=18 192.0.2.2:80=10");
    // By a reload it means down, and up again.
    world.load(weighed(0));
    assert_eq!(world.table(VIP), "192.0.2.2:80=10");
    world.succeed();
    world.load(weighed(0));
    assert_eq!(world.table(VIP), "192.0.2.2:80=10");
    world.load(weighed(1));
    assert_eq!(world.table(VIP), "192.0.2.1:80=14 192.0.2.2:80=10");
}

/// The Election reads files as soon as it has its configuration, and may be first.
#[test]
fn a_number_that_was_told_before_the_configuration_is_named_at_the_start() {
    let mut world = World::new();
    world.quiet = true;
    world.happens(holds(4));
    world.load(weighed(1));
    assert_eq!(world.table(VIP), "192.0.2.1:80=14 192.0.2.2:80=10");
    let said = world.timeline();
    let line = "192.0.2.1:80 has weight 14 from now on, and had 10: track_file load holds 4";
    assert!(said.contains(line), "{said}");
}

#[test]
fn quorum_counts_the_weights_of_now() {
    let mut services = weighed(1);
    services[0].quorum = 15;
    let mut world = quiet(services);
    world.happens(holds(-7));
    world.happens(holds(-5));
    insta::assert_snapshot!(world.timeline());
}
