//! `vipward drain` and `vipward undrain`: a real server takes no new connections, and keeps those that it has.

use crate::world::*;
use vipward_core::config::VirtualServer;
use vipward_core::machine::Input;

/// Two real servers that answer.
fn two() -> Vec<VirtualServer> {
    vec![service(VIP, &[WEB1, WEB2])]
}

fn quiet(services: Vec<VirtualServer>) -> World {
    let mut world = World::with(services);
    world.quiet = true;
    world.until(secs(5));
    world.timeline();
    world
}

#[test]
fn it_has_weight_0_at_once_and_its_own_again_when_it_is_over() {
    let mut world = quiet(two());
    world.carries(VIP, WEB1, 3);
    world.order("drain 10.0.0.1 80 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.until(secs(60));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1", "without --remove it stays");
    world.order("undrain 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn it_is_taken_out_when_its_last_connection_has_ended() {
    let mut world = quiet(two());
    world.carries(VIP, WEB1, 1);
    world.order("drain 192.0.2.1:80 --remove");
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.carries(VIP, WEB1, 0);
    world.until(secs(23));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
    world.order("undrain 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
    insta::assert_snapshot!(world.timeline());
}

/// One that is just being opened counts as active only after its handshake.
#[test]
fn one_without_connections_is_taken_out_after_a_moment_and_not_at_once() {
    let mut world = quiet(two());
    world.order("drain 192.0.2.1:80 --remove");
    world.until(secs(5) + secs(2) - std::time::Duration::from_millis(1));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.until(secs(8));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
}

#[test]
fn the_limit_ends_it_whatever_is_left() {
    let mut world = quiet(two());
    world.carries(VIP, WEB1, 2);
    world.order("drain 192.0.2.1:80 --remove --limit 7");
    world.until(secs(12) - std::time::Duration::from_millis(1));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.until(secs(12));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
    insta::assert_snapshot!(world.timeline());
}

/// Asked a second time it is taken out after all, and asked once more not.
#[test]
fn what_is_asked_last_holds() {
    let mut world = quiet(two());
    world.carries(VIP, WEB1, 2);
    world.order("drain 192.0.2.1:80");
    world.until(secs(10));
    world.order("drain 192.0.2.1:80 --remove --limit 5");
    world.until(secs(12));
    world.order("drain 192.0.2.1:80");
    world.until(secs(30));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.order("drain 192.0.2.1:80 --remove --limit 5");
    world.until(secs(35));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
}

#[test]
fn what_names_nothing_and_what_would_leave_nobody_is_refused() {
    let mut world = quiet(two());
    for line in [
        "drain 10.0.0.9:80 192.0.2.1:80",
        "drain UDP 10.0.0.1:80 192.0.2.1:80",
        "drain 10.0.0.1:80 192.0.2.9:80",
        "drain 192.0.2.9:80",
        "undrain 192.0.2.1:80",
    ] {
        world.order(line);
    }
    world.order("drain 192.0.2.1:80");
    world.order("drain 192.0.2.2:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.order("drain 192.0.2.2:80 --force");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=0");
    insta::assert_snapshot!(world.timeline());
}

/// The other one is down: to drain this one would leave nobody.
#[test]
fn a_server_that_is_down_is_nobody_to_lean_on() {
    let mut world = quiet(two());
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(20));
    world.timeline();
    world.order("drain 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    world.order("drain 192.0.2.2:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=1", "what is down may be drained: it takes nothing now");
    world.mood(WEB2, Mood::Good(secs(0)));
    world.until(secs(30));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=0", "and comes back without weight");
}

/// Drained by force, the last one lets the sorry server answer, and keeps its connections beside it.
#[test]
fn the_last_one_keeps_its_connections_beside_the_sorry_server() {
    let mut services = vec![service(VIP, &[WEB1])];
    services[0].sorry_server = Some(sorry());
    let mut world = quiet(services);
    world.carries(VIP, WEB1, 2);
    world.order("drain 192.0.2.1:80 --force");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.99:80=1");
    world.order("undrain 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    insta::assert_snapshot!(world.timeline());
}

/// As one of weight 0: of three with `quorum 2` two are enough, and of two one, as keepalived caps it.
#[test]
fn for_the_quorum_it_is_not_there() {
    let mut services = vec![service(VIP, &[WEB1, WEB2, WEB3])];
    services[0].quorum = 2;
    services[0].sorry_server = Some(sorry());
    let mut world = quiet(services);
    world.order("drain 192.0.2.1:80");
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.99:80=1", "one of two is below 2");
    world.order("drain 192.0.2.2:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.3:80=1", "one of one is all there is");
    world.order("undrain 192.0.2.2:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.99:80=1");
}

#[test]
fn a_real_server_is_drained_in_every_virtual_server_that_has_it() {
    const OTHER: &str = "10.0.0.2:80";
    let services = || vec![service(VIP, &[WEB1, WEB2]), service(OTHER, &[WEB1, WEB3])];
    let mut world = quiet(services());
    world.order("drain 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    assert_eq!(world.table(OTHER), "192.0.2.1:80=0 192.0.2.3:80=1");
    world.order("undrain 10.0.0.2:80 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    assert_eq!(world.table(OTHER), "192.0.2.1:80=1 192.0.2.3:80=1");
    // In all of them or in none.
    world.order("undrain 192.0.2.1:80");
    world.order("drain 10.0.0.2:80 192.0.2.3:80");
    world.order("drain 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
}

/// What a checker finds changes nothing of it: a weight of its program, a fall and a rise.
#[test]
fn checkers_do_not_lift_it() {
    let mut services = two();
    services[0].real_servers[0].checkers = vec![misc(WEB1)];
    let mut world = quiet(services);
    world.order("drain 192.0.2.1:80");
    world.mood(WEB1, Mood::Ends(9));
    world.until(secs(13));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.mood(WEB1, Mood::Ends(1));
    world.until(secs(30));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1", "down it is out");
    world.mood(WEB1, Mood::Ends(9));
    world.until(secs(50));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.order("undrain 192.0.2.1:80");
    assert_eq!(world.table(VIP), "192.0.2.1:80=7 192.0.2.2:80=1");
}

#[test]
fn it_stays_over_a_reload_and_is_forgotten_when_it_leaves_the_file() {
    let mut world = quiet(two());
    world.order("drain 192.0.2.1:80");
    let mut changed = two();
    changed[0].real_servers[0].weight = 7;
    changed[0].real_servers[0].checkers = vec![http(WEB1, &["/a"])];
    world.load(changed);
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.load(vec![service(VIP, &[WEB2])]);
    world.load(two());
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
    world.order("undrain 192.0.2.1:80");
    assert!(world.timeline().contains("192.0.2.1:80 is not drained"));
}

/// An upgrade, and a death with a state file: what a successor takes up goes on to its end.
#[test]
fn a_successor_goes_on_with_it() {
    let mut world = quiet(two());
    world.carries(VIP, WEB1, 2);
    world.order("drain 192.0.2.1:80 --remove --limit 30");
    world.until(secs(10));
    world.timeline();
    world.succeed();
    world.load(two());
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.until(secs(34));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
    world.until(secs(35));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
    world.succeed();
    world.load(two());
    assert_eq!(world.table(VIP), "192.0.2.2:80=1", "taken out it stays out");
    insta::assert_snapshot!(world.timeline());
}

/// A table that was read before the weight became 0 says nothing about the connections of now.
#[test]
fn an_older_reading_is_not_believed() {
    let mut world = quiet(two());
    let before = world.kernel.clone();
    world.carries(VIP, WEB1, 1);
    world.until(secs(12));
    world.refuses = |op| matches!(op, vipward_core::ipvs::Op::EditDestination { .. });
    world.order("drain 192.0.2.1:80 --remove");
    world.happens(vipward_core::balancer::Event::IpvsRead(before));
    world.until(secs(16));
    assert_eq!(
        world.table(VIP),
        "192.0.2.1:80=1 192.0.2.2:80=1",
        "the kernel refuses it, so it is not taken out either"
    );
    world.refuses = |_| false;
    world.until(secs(40));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=1");
}

/// Nobody obeys before there is a configuration, after a stop, or after a hand-over.
#[test]
fn who_does_not_act_does_not_obey() {
    let mut world = World::new();
    world.order("drain 192.0.2.1:80");
    assert!(world.timeline().contains("refused: no virtual server has a real server 192.0.2.1:80"));
    let mut world = quiet(two());
    world.happens(Input::HandOver);
    world.order("drain 192.0.2.1:80");
    assert_eq!(world.timeline(), "");
}
