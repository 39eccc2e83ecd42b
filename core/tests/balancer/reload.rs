//! Reload: what did not change is not disturbed; what is gone is gone; what is known stays known.

use crate::world::*;
use vipward_core::balancer::Event;
use vipward_core::check::Verdict;
use vipward_core::time::Duration;

const OTHER: &str = "10.0.0.2:80";

#[test]
fn the_same_file_again_changes_nothing() {
    let services = || vec![service(VIP, &[WEB1, WEB2])];
    let mut world = World::with(services());
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(5));
    world.mood(WEB2, Mood::Silent);
    world.until(secs(8));
    world.timeline();
    world.load(services());
    assert_eq!(world.timeline(), "", "nothing to do");
    world.until(secs(13));
    // The attempt of second 6 still counts, and the next one comes when it would have come.
    insta::assert_snapshot!(world.timeline(), @r"
      9.000 TCP 10.0.0.1:80: 192.0.2.2:80: connect timed out; 2 more tries before it is out
     10.000 probe 192.0.2.2:80: bad after 3000 ms
     12.000 probe 192.0.2.1:80: good after 0 ms
     13.000 TCP 10.0.0.1:80: 192.0.2.2:80: connect timed out; 1 more try before it is out
    ");
}

/// The longest family of keepalived's reload faults: a checker that is moved about in the file loses what it knew.
#[test]
fn a_checker_keeps_its_state_wherever_it_moves_in_the_file() {
    let mut moved = service(VIP, &[]);
    moved.real_servers = vec![real(WEB1, vec![tcp("192.0.2.1:8080"), tcp(WEB1)])];
    let mut world = World::with(vec![moved.clone()]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.mood("192.0.2.1:8080", Mood::Good(secs(2)));
    world.until(secs(7));
    // WEB1 has failed twice at 6 s and 7 s; the attempt at port 8080 is under way.
    moved.real_servers[0].checkers.reverse();
    let before = service(OTHER, &[WEB3]);
    world.timeline();
    world.load(vec![before, moved]);
    world.until(secs(14));
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn a_new_weight_is_edited_in_place() {
    let mut services = vec![service(VIP, &[WEB1, WEB2])];
    let mut world = World::with(services.clone());
    world.until(secs(5));
    services[0].real_servers[1].weight = 5;
    world.timeline();
    world.load(services);
    insta::assert_snapshot!(world.timeline(), @r"
    5.000   changing destination 192.0.2.2:80 of TCP 10.0.0.1:80, weight 5
    5.000 configuration applied; changed virtual_server TCP 10.0.0.1:80
    ");
}

#[test]
fn a_service_that_is_gone_from_the_file_goes_from_the_table_with_its_probes() {
    let mut world = World::with(vec![service(VIP, &[WEB1]), service(OTHER, &[WEB2])]);
    world.mood(WEB2, Mood::Silent);
    world.until(secs(7));
    let [probe] = world.under_way()[..] else { panic!() };
    world.timeline();
    world.load(vec![service(VIP, &[WEB1])]);
    insta::assert_snapshot!(world.timeline(), @r"
    7.000   removing service TCP 10.0.0.2:80
    7.000 probe of 192.0.2.2:80 cancelled
    7.000 configuration applied; removed virtual_server TCP 10.0.0.2:80
    ");
    // The verdict was on its way already.
    assert_eq!(world.happens(Event::ProbeFinished { probe, verdict: Verdict::Passed }), []);
    // And if it comes back, an old verdict is not taken for a new one.
    world.load(vec![service(VIP, &[WEB1]), service(OTHER, &[WEB2])]);
    world.timeline();
    world.happens(Event::ProbeFinished { probe, verdict: Verdict::Passed });
    assert_eq!(world.under_way().len(), 1, "the new attempt is still waited for");
}

#[test]
fn a_new_service_is_added_and_a_moved_server_replaced_before_it_is_taken() {
    let mut world = World::with(vec![service(VIP, &[WEB1])]);
    world.quiet = true;
    world.until(secs(5));
    world.timeline();
    world.load(vec![service(OTHER, &[WEB1]), service(VIP, &[WEB2])]);
    world.until(secs(6));
    insta::assert_snapshot!(world.timeline(), @r"
    5.000   adding destination 192.0.2.2:80 to TCP 10.0.0.1:80, weight 1
    5.000   removing destination 192.0.2.1:80 from TCP 10.0.0.1:80
    5.000 configuration applied; added virtual_server TCP 10.0.0.2:80; changed virtual_server TCP 10.0.0.1:80
    5.000   adding service TCP 10.0.0.2:80
    5.000   adding destination 192.0.2.1:80 to TCP 10.0.0.2:80, weight 1
    ");
}

#[test]
fn a_real_server_that_is_gone_from_the_file_takes_its_probe_along() {
    let mut world = World::with(vec![service(VIP, &[WEB1, WEB2])]);
    world.mood(WEB2, Mood::Silent);
    world.until(secs(7));
    world.timeline();
    world.load(vec![service(VIP, &[WEB1])]);
    insta::assert_snapshot!(world.timeline(), @r"
    7.000   removing destination 192.0.2.2:80 from TCP 10.0.0.1:80
    7.000 probe of 192.0.2.2:80 cancelled
    7.000 configuration applied; changed virtual_server TCP 10.0.0.1:80
    ");
}

/// Its settings are new; that it is dead is not.
#[test]
fn a_dead_server_stays_out_when_its_checker_is_changed() {
    let mut services = vec![service(VIP, &[WEB1, WEB2])];
    let mut world = World::with(services.clone());
    world.until(secs(5));
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(9));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    services[0].real_servers[1].checkers[0].delay_loop = secs(2);
    world.load(services);
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    world.mood(WEB2, Mood::Good(Duration::ZERO));
    world.until(secs(11));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
}

#[test]
fn a_live_server_stays_in_when_its_checker_is_changed_or_another_one_added() {
    let mut services = vec![service(VIP, &[WEB1])];
    let mut world = World::with(services.clone());
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    let mut second = tcp("192.0.2.1:8080");
    second.alpha = true;
    services[0].real_servers[0].checkers[0].delay_before_retry = secs(2);
    services[0].real_servers[0].checkers.push(second);
    world.load(services);
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    // It has proved itself before: its retries are granted.
    world.until(Duration::from_millis(8900));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    world.until(secs(9));
    assert_eq!(world.table(VIP), "nobody");
}

#[test]
fn a_server_is_up_when_the_checker_that_failed_is_taken_away() {
    let mut services = vec![service(VIP, &[])];
    services[0].real_servers = vec![real(WEB1, vec![tcp(WEB1), tcp("192.0.2.1:8080")])];
    let mut world = World::with(services.clone());
    world.until(secs(5));
    world.mood("192.0.2.1:8080", Mood::Refuses);
    world.until(secs(9));
    assert_eq!(world.table(VIP), "nobody");
    services[0].real_servers[0].checkers.pop();
    world.timeline();
    world.load(services);
    insta::assert_snapshot!(world.timeline(), @r"
    9.000   adding destination 192.0.2.1:80 to TCP 10.0.0.1:80, weight 1
    9.000 configuration applied; changed virtual_server TCP 10.0.0.1:80
    9.000 TCP 10.0.0.1:80: 192.0.2.1:80 is up: its checkers pass
    9.000 TCP 10.0.0.1:80: quorum gained: live weight 1 of 1
    ");
}

#[test]
fn two_equal_checkers_are_two() {
    let mut services = vec![service(VIP, &[])];
    services[0].real_servers = vec![real(WEB1, vec![tcp(WEB1), tcp(WEB1)])];
    let mut world = World::new();
    world.equal_checkers = 2;
    world.load(services.clone());
    world.mood(WEB1, Mood::Good(secs(1)));
    world.until(Duration::from_millis(6500));
    assert_eq!(world.under_way().len(), 2);
    world.load(services);
    world.until(secs(9));
    assert_eq!(world.under_way().len(), 0);
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
}

#[test]
fn a_new_quorum_counts_at_once() {
    let mut services = vec![service(VIP, &[WEB1, WEB2])];
    services[0].sorry_server = Some(sorry());
    let mut world = World::with(services.clone());
    world.until(secs(5));
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(9));
    services[0].quorum = 2;
    world.load(services.clone());
    assert_eq!(world.table(VIP), "192.0.2.99:80=1");
    services[0].quorum = 1;
    world.load(services);
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
}
