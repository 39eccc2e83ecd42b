//! `misc_dynamic`: a program's exit status sets the weight.

use crate::world::*;
use vipward_core::config::VirtualServer;

/// Two real servers of weight 5, of which the first has a program for each of these targets.
fn weighed(targets: &[&str]) -> Vec<VirtualServer> {
    let mut service = service(VIP, &[WEB2]);
    service.real_servers.insert(0, real(WEB1, targets.iter().map(|target| misc(target)).collect()));
    service.real_servers.iter_mut().for_each(|real| real.weight = 5);
    vec![service]
}

fn quiet(services: Vec<VirtualServer>) -> World {
    let mut world = World::with(services);
    world.quiet = true;
    world
}

#[test]
fn the_weight_follows_the_exit_status() {
    let mut world = quiet(weighed(&[WEB1]));
    world.until(secs(5));
    world.timeline();
    for (status, until) in [(12, 11), (2, 17), (0, 23), (12, 29)] {
        world.mood(WEB1, Mood::Ends(status));
        world.until(secs(until));
    }
    insta::assert_snapshot!(world.timeline());
}

/// Down, its weight does not matter; what a program says as it rises holds at once.
#[test]
fn one_that_fails_is_out_and_comes_back_with_the_weight_of_its_last_run() {
    let mut world = quiet(weighed(&[WEB1]));
    world.mood(WEB1, Mood::Ends(22));
    world.until(secs(5));
    world.timeline();
    world.mood(WEB1, Mood::Ends(1));
    world.until(secs(16));
    world.mood(WEB1, Mood::Ends(9));
    world.until(secs(22));
    insta::assert_snapshot!(world.timeline());
}

/// Each adds how much it differs from what is configured, as keepalived.conf(5) says.
#[test]
fn several_programs_add_their_differences() {
    const OTHER: &str = "192.0.2.1:81";
    let mut world = quiet(weighed(&[WEB1, OTHER]));
    let weights = |world: &mut World, one, other, until| {
        world.mood(WEB1, Mood::Ends(one));
        world.mood(OTHER, Mood::Ends(other));
        world.until(secs(until));
        world.table(VIP)
    };
    assert_eq!(weights(&mut world, 0, 0, 5), "192.0.2.1:80=5 192.0.2.2:80=5");
    assert_eq!(weights(&mut world, 9, 10, 11), "192.0.2.1:80=10 192.0.2.2:80=5", "5 + 2 + 3");
    assert_eq!(weights(&mut world, 3, 0, 17), "192.0.2.1:80=1 192.0.2.2:80=5", "5 - 4");
    assert_eq!(weights(&mut world, 2, 2, 23), "192.0.2.1:80=0 192.0.2.2:80=5", "not below 0");
}

#[test]
fn quorum_counts_the_weights_of_now() {
    let mut services = weighed(&[WEB1]);
    services[0].quorum = 9;
    services[0].sorry_server = Some(sorry());
    let mut world = quiet(services);
    world.until(secs(5));
    world.timeline();
    world.mood(WEB1, Mood::Ends(3));
    world.until(secs(11));
    world.mood(WEB1, Mood::Ends(6));
    world.until(secs(17));
    insta::assert_snapshot!(world.timeline());
}

/// A reload that leaves the checker as it is, and a successor, know the weight.
#[test]
fn what_a_program_said_stays_known() {
    let mut world = quiet(weighed(&[WEB1]));
    world.mood(WEB1, Mood::Ends(9));
    world.until(secs(6));
    let mut services = weighed(&[WEB1]);
    services[0].real_servers[0].weight = 3;
    services[0].real_servers[1].weight = 4;
    world.load(services.clone());
    assert_eq!(world.table(VIP), "192.0.2.1:80=7 192.0.2.2:80=4");
    world.succeed();
    world.load(services);
    assert_eq!(world.table(VIP), "192.0.2.1:80=7 192.0.2.2:80=4");
}
