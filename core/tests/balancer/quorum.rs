//! Quorum, sorry server, inhibit_on_failure. The limits and the tables are those of keepalived 2.2.7.

use crate::world::*;
use vipward_core::config::SorryServer;
use vipward_core::time::Duration;

const GOOD: Mood = Mood::Good(Duration::ZERO);

#[test]
fn the_sorry_server_answers_when_all_are_dead() {
    let mut configured = service(VIP, &[WEB1, WEB2]);
    configured.sorry_server = Some(sorry());
    let mut world = World::with(vec![configured]);
    world.quiet = true;
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(10));
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    world.mood(WEB2, GOOD);
    world.until(secs(15));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn without_a_sorry_server_those_that_live_go_on() {
    let mut configured = service(VIP, &[WEB1, WEB2]);
    configured.quorum = 2;
    let mut world = World::with(vec![configured]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(10));
    assert!(world.timeline().contains("quorum lost: live weight 1 of 2; nobody answers"), "the decision is told");
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
}

#[test]
fn hysteresis_delays_the_loss_and_the_gain() {
    let mut configured = service(VIP, &[WEB1, WEB2, WEB3]);
    (configured.quorum, configured.hysteresis) = (2, 1);
    configured.sorry_server = Some(sorry());
    let mut world = World::with(vec![configured]);
    let mut tables = Vec::new();
    for (time, server, mood) in [
        (5, WEB1, Mood::Refuses),
        (15, WEB2, Mood::Refuses),
        (25, WEB3, Mood::Refuses),
        (35, WEB3, GOOD),
        (45, WEB2, GOOD),
        (55, WEB1, GOOD),
    ] {
        world.until(secs(time));
        world.mood(server, mood);
        world.until(secs(time + 9));
        tables.push(world.table(VIP));
    }
    insta::assert_snapshot!(tables.join("\n"), @r"
    192.0.2.2:80=1 192.0.2.3:80=1
    192.0.2.3:80=1
    192.0.2.99:80=1
    192.0.2.99:80=1
    192.0.2.99:80=1
    192.0.2.1:80=1 192.0.2.2:80=1 192.0.2.3:80=1
    ");
}

#[test]
fn a_quorum_that_can_not_be_reached_is_the_weight_of_all() {
    let mut configured = service(VIP, &[WEB1, WEB2]);
    (configured.quorum, configured.hysteresis) = (9, 5);
    configured.sorry_server = Some(sorry());
    let mut world = World::with(vec![configured]);
    world.until(secs(5));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
    world.mood(WEB1, Mood::Refuses);
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(15));
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    world.mood(WEB1, GOOD);
    world.mood(WEB2, GOOD);
    world.until(secs(25));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1", "all are back");
}

#[test]
fn inhibit_on_failure_keeps_destinations_with_weight_0() {
    let mut configured = service(VIP, &[WEB1, WEB2]);
    configured.sorry_server = Some(sorry());
    configured.quorum = 2;
    for real in &mut configured.real_servers {
        real.inhibit_on_failure = true;
    }
    let mut world = World::with(vec![configured]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(10));
    assert_eq!(world.table(VIP), "192.0.2.1:80=0 192.0.2.2:80=0 192.0.2.99:80=1");
    world.mood(WEB1, GOOD);
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
}

#[test]
fn the_weight_counts_not_the_number() {
    let mut configured = service(VIP, &[WEB1, WEB2]);
    configured.quorum = 3;
    configured.real_servers[0].weight = 3;
    configured.sorry_server = Some(sorry());
    let mut world = World::with(vec![configured]);
    world.until(secs(5));
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(10));
    assert_eq!(world.table(VIP), "192.0.2.1:80=3");
    world.mood(WEB2, GOOD);
    world.until(secs(20));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(30));
    assert_eq!(world.table(VIP), "192.0.2.99:80=1", "weight 1 of 3");
}

/// `sorry_server_inhibit`: it is there all the time, with weight 0 while it is not needed.
#[test]
fn a_sorry_server_may_stay_in_the_table() {
    let mut server = service(VIP, &[WEB1]);
    server.sorry_server = Some(SorryServer { inhibit: true, ..sorry() });
    let mut world = World::with(vec![server]);
    world.until(secs(5));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.99:80=0");
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(20));
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    world.mood(WEB1, GOOD);
    world.until(secs(40));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.99:80=0");
}
