//! A Balancer that goes on where the process before it ended.

use crate::world::*;
use vipward_core::balancer::{Effect, Input};
use vipward_core::config::{CheckerConfig, VirtualServer};
use vipward_core::ipvs::Op;
use vipward_core::machine::Output;

/// What a new process does at its start with what the one before left, by line.
fn successor(world: &mut World, services: Vec<VirtualServer>) -> String {
    world.succeed();
    world.timeline();
    world.load(services);
    world.timeline()
}

/// WEB1 is dead, WEB2 was good a while ago.
fn half_dead() -> World {
    let mut world = World::new();
    world.quiet = true;
    world.mood(WEB1, Mood::Refuses);
    world.load(vec![service(VIP, &[WEB1, WEB2])]);
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
    world
}

#[test]
fn verdicts_and_timing_go_on_and_the_table_stays() {
    let mut world = half_dead();
    let due = world.next_wakeup();
    insta::assert_snapshot!(successor(&mut world, vec![service(VIP, &[WEB1, WEB2])]), @r"
     20.000 configuration applied; added virtual_server TCP 10.0.0.1:80
     20.000 2 of 2 checkers go on where they were left; down: 192.0.2.1:80 of TCP 10.0.0.1:80; without quorum: none
    ");
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
    assert_eq!(world.next_wakeup(), due);
    world.until(secs(24));
    assert_eq!(world.timeline(), "");
    world.mood(WEB1, Mood::Good(secs(0)));
    world.until(secs(31));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
}

/// It is counted by what was left, and probed when it was due.
#[test]
fn a_failure_that_was_forgiven_is_still_counted() {
    let mut world = World::new();
    world.load(vec![service(VIP, &[WEB1])]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(7));
    successor(&mut world, vec![service(VIP, &[WEB1])]);
    world.until(secs(9));
    insta::assert_snapshot!(world.timeline(), @r"
    8.000 probe 192.0.2.1:80: bad after 0 ms
    8.000   removing destination 192.0.2.1:80 from TCP 10.0.0.1:80
    8.000 TCP 10.0.0.1:80: 192.0.2.1:80 is down: connection refused
    8.000 TCP 10.0.0.1:80: quorum lost: live weight 0 of 1; nobody answers
    ");
}

#[test]
fn a_probe_under_way_begins_again() {
    let mut world = World::new();
    world.mood(WEB1, Mood::Silent);
    world.load(vec![service(VIP, &[WEB1])]);
    world.until(secs(1));
    let before = world.under_way()[0];
    successor(&mut world, vec![service(VIP, &[WEB1])]);
    let after = world.under_way();
    assert_eq!(after.len(), 1);
    assert!(after[0].attempt > before.attempt, "an answer to the old one would be taken for the new one's");
}

/// Nobody watched for a while: probes are spread again, and who is thought to be up falls with the first failure.
#[test]
fn what_is_long_overdue_is_a_guess() {
    let slowly = |target| CheckerConfig { warmup: secs(60), ..tcp(target) };
    let service = || VirtualServer {
        real_servers: vec![real(WEB1, vec![slowly(WEB1)]), real(WEB2, vec![slowly(WEB2)])],
        ..service(VIP, &[])
    };
    let mut world = World::new();
    world.quiet = true;
    world.load(vec![service()]);
    world.until(secs(120));
    world.succeed();
    world.mood(WEB1, Mood::Refuses);
    world.now = world.now + secs(600);
    world.timeline();
    world.load(vec![service()]);
    assert!(world.next_wakeup() > Some(world.now), "not all at once");
    world.until(secs(781));
    let told = world.timeline();
    assert!(told.contains("192.0.2.1:80 is down: connection refused"), "{told}");
    assert!(!told.contains("before it is out"), "{told}");
}

/// Another service took its place in the file, one real server is new, one checker has other settings.
#[test]
fn what_does_not_fit_begins_anew_and_what_is_not_wanted_goes() {
    let mut world = half_dead();
    world.load(vec![service(VIP, &[WEB1, WEB2]), service("10.0.0.2:80", &[WEB3])]);
    world.until(secs(21));
    let other = |target| CheckerConfig { retry: 7, ..tcp(target) };
    let changed = VirtualServer {
        real_servers: vec![real(WEB1, vec![other(WEB1)]), real(WEB2, vec![tcp(WEB2)]), real(WEB3, vec![tcp(WEB3)])],
        ..service(VIP, &[])
    };
    insta::assert_snapshot!(successor(&mut world, vec![changed]), @r"
    21.000 configuration applied; added virtual_server TCP 10.0.0.1:80
    21.000 1 of 3 checkers go on where they were left; down: 192.0.2.1:80 of TCP 10.0.0.1:80; without quorum: none
    21.000   adding destination 192.0.2.3:80 to TCP 10.0.0.1:80, weight 1
    21.000   removing service TCP 10.0.0.2:80
    ");
    assert_eq!(world.table(VIP), "192.0.2.2:80=1 192.0.2.3:80=1", "the dead one is not let in by a new setting");
}

/// What was left names no real server, and neither does the configuration: there is nothing to go on with but the sorry server.
#[test]
fn a_service_without_real_servers_has_no_quorum_still() {
    let service = || VirtualServer { sorry_server: Some(sorry()), ..service(VIP, &[]) };
    let mut world = World::new();
    world.load(vec![service()]);
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    insta::assert_snapshot!(successor(&mut world, vec![service()]), @r"
    0.000 configuration applied; added virtual_server TCP 10.0.0.1:80
    0.000 TCP 10.0.0.1:80: quorum lost: live weight 0 of 1; sorry server 192.0.2.99:80 answers
    0.000 0 of 0 checkers go on where they were left; down: none; without quorum: TCP 10.0.0.1:80
    ");
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
}

/// Between its limits only history knows whether there is quorum.
#[test]
fn quorum_between_its_limits_stays_what_it_was() {
    let service =
        || VirtualServer { quorum: 2, hysteresis: 1, sorry_server: Some(sorry()), ..service(VIP, &[WEB1, WEB2, WEB3]) };
    let mut world = World::new();
    world.quiet = true;
    for dead in [WEB1, WEB2, WEB3] {
        world.mood(dead, Mood::Refuses);
    }
    world.load(vec![service()]);
    world.until(secs(10));
    world.mood(WEB1, Mood::Good(secs(0)));
    world.mood(WEB2, Mood::Good(secs(0)));
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    successor(&mut world, vec![service()]);
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    world.mood(WEB3, Mood::Good(secs(0)));
    world.until(secs(30));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1 192.0.2.3:80=1");
}

/// A table that was emptied meanwhile is filled by what was known.
#[test]
fn a_table_that_is_gone_is_built_from_what_was_known() {
    let mut world = half_dead();
    world.kernel.services.clear();
    successor(&mut world, vec![service(VIP, &[WEB1, WEB2])]);
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
}

/// Nobody took the estate: the old one goes on, and asks again what it had asked.
#[test]
fn what_nobody_took_is_taken_back() {
    let mut world = World::new();
    world.mood(WEB1, Mood::Silent);
    world.load(vec![service(VIP, &[WEB1, WEB2])]);
    world.until(secs(1));
    assert_eq!(world.happens(Input::HandOver), []);
    for probe in world.under_way() {
        world.forget(probe);
    }
    assert_eq!(world.next_wakeup(), None);
    world.now = world.now + secs(1);
    assert_eq!(world.happens(Input::TakeBack), []);
    assert_eq!(world.next_wakeup(), Some(world.now));
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
}

#[test]
fn an_estate_comes_before_the_first_configuration_or_not_at_all() {
    let mut world = half_dead();
    let estate = world.estate().unwrap();
    let effects = world.happens(Input::Inherited(estate));
    assert_eq!(effects, []);
    world.load(vec![]);
    let table = world.kernel.clone();
    assert!(table.services.is_empty(), "{table:?}");
    let removes = |output: &Output<Effect>| matches!(output, Output::Effect(Effect::Ipvs(Op::RemoveService { .. })));
    assert!(!world.happens(Input::Stop).iter().any(removes));
    assert_eq!(world.estate(), None);
}
