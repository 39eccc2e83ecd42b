//! From probes to the table.

use crate::world::*;
use vipward_core::balancer::{Effect, Event, Input};
use vipward_core::check::Shortage;
use vipward_core::config::{CheckerKind, VirtualServer};
use vipward_core::door::News;
use vipward_core::machine::Machine;
use vipward_core::time::Duration;

#[test]
fn a_dead_server_is_taken_out_after_its_retries_and_put_back_by_one_good_probe() {
    let mut world = World::with(vec![service(VIP, &[WEB1, WEB2])]);
    world.until(secs(5));
    world.mood(WEB2, Mood::Silent);
    world.until(secs(26));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    world.mood(WEB2, Mood::Good(Duration::ZERO));
    world.until(secs(33));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
    insta::assert_snapshot!(world.timeline());
}

/// keepalived 2.2.7 does the same: "an alive server" (`retry` in keepalived.conf(5)) is one that has passed a probe.
#[test]
fn a_server_that_never_passed_a_probe_falls_with_the_first_failure() {
    let mut world = World::new();
    world.mood(WEB1, Mood::Refuses);
    world.load(vec![service(VIP, &[WEB1, WEB2])]);
    world.until(secs(1));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
}

#[test]
fn with_alpha_a_server_is_out_until_a_probe_has_passed() {
    let mut configured = service(VIP, &[WEB1]);
    configured.real_servers[0].checkers[0].alpha = true;
    let mut world = World::new();
    world.mood(WEB1, Mood::Refuses);
    world.load(vec![configured]);
    world.until(secs(5));
    assert_eq!(world.table(VIP), "nobody");
    world.mood(WEB1, Mood::Good(Duration::from_millis(20)));
    world.until(secs(7));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn a_single_lost_probe_is_forgiven() {
    let mut world = World::with(vec![service(VIP, &[WEB1])]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(Duration::from_millis(7500));
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    world.timeline();
    world.until(secs(15));
    insta::assert_snapshot!(world.timeline(), @r"
      8.000 probe 192.0.2.1:80: good after 0 ms
     14.000 probe 192.0.2.1:80: good after 0 ms
    ");
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
}

#[test]
fn all_checkers_of_a_server_must_pass() {
    let mut configured = service(VIP, &[]);
    configured.real_servers = vec![real(WEB1, vec![tcp(WEB1), tcp("192.0.2.1:8080")])];
    let mut world = World::with(vec![configured]);
    world.quiet = true;
    world.until(secs(5));
    world.mood("192.0.2.1:8080", Mood::Refuses);
    world.until(secs(10));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(20));
    world.mood("192.0.2.1:8080", Mood::Good(Duration::ZERO));
    world.until(secs(28));
    assert_eq!(world.table(VIP), "nobody", "one of them still fails");
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    world.until(secs(40));
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn urls_are_fetched_in_turn_and_the_failing_one_is_tried_again() {
    let mut configured = service(VIP, &[]);
    configured.real_servers = vec![real(WEB1, vec![http(WEB1, &["/a", "/b"])])];
    let mut world = World::with(vec![configured]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Fails('b'));
    world.until(secs(15));
    assert_eq!(world.table(VIP), "nobody");
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    world.until(secs(27));
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn fast_recovery_leaves_no_pause_between_urls() {
    let mut configured = service(VIP, &[]);
    let mut checker = http(WEB1, &["/a", "/b", "/c"]);
    let CheckerKind::Http(settings) = &mut checker.kind else { panic!() };
    settings.fast_recovery = true;
    checker.alpha = true;
    configured.real_servers = vec![real(WEB1, vec![checker])];
    let mut world = World::with(vec![configured]);
    world.until(secs(7));
    insta::assert_snapshot!(world.timeline());
}

#[test]
fn a_server_without_checkers_is_always_in() {
    let mut configured = service(VIP, &[]);
    configured.real_servers = vec![real(WEB1, vec![])];
    let mut world = World::with(vec![configured]);
    world.until(secs(60));
    assert_eq!(world.probes_started, 0);
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
}

#[test]
fn first_probes_are_spread_over_warmup() {
    let reals: Vec<String> = (1..=100).map(|n| format!("192.0.2.{n}:80")).collect();
    let mut configured = service(VIP, &reals.iter().map(String::as_str).collect::<Vec<_>>());
    for server in &mut configured.real_servers {
        server.checkers[0].warmup = secs(6);
    }
    let mut world = World::with(vec![configured]);
    let mut started = Vec::new();
    for second in 1..=6 {
        world.until(secs(second));
        started.push(world.probes_started);
    }
    assert_eq!(started[5], 100, "each of them once: {started:?}");
    assert!(started.iter().zip((1..).map(|n| n * 100 / 6)).all(|(got, even)| got.abs_diff(even) < 15), "{started:?}");
}

/// A verdict that nobody waits for any more, one for an attempt that never was, one for a stranger.
#[test]
fn stale_verdicts_change_nothing() {
    use vipward_core::check::{Failure, ProbeId, Verdict};
    let mut world = World::with(vec![service(VIP, &[WEB1])]);
    world.mood(WEB1, Mood::Good(secs(1)));
    world.until(secs(6));
    let [waited_for] = world.under_way()[..] else { panic!() };
    let verdict = Verdict::Failed(Failure::Refused);
    world.timeline();
    for stale in [
        ProbeId { attempt: waited_for.attempt - 1, ..waited_for },
        ProbeId { checker: 7, ..waited_for },
        ProbeId { server: address(WEB2), ..waited_for },
        ProbeId { service: id("10.9.9.9:80"), ..waited_for },
    ] {
        let effects = world.happens(Event::ProbeFinished { probe: stale, verdict: verdict.clone() });
        assert_eq!(effects, []);
    }
}

#[test]
fn a_probe_that_could_not_be_started_says_nothing_about_the_server() {
    let mut world = World::with(vec![service(VIP, &[WEB1])]);
    world.mood(WEB1, Mood::Good(secs(1)));
    world.until(secs(6));
    let [id] = world.under_way()[..] else { panic!() };
    world.timeline();
    let probe = vipward_core::check::Probe {
        random: 0,
        target: id.server,
        from: Default::default(),
        timeout: secs(3),
        kind: vipward_core::check::ProbeKind::Tcp(vipward_core::check::tcp::Connect),
    };
    let effect = Effect::StartProbe { id, probe };
    world.forget(id);
    world.happens(Input::Failed { effect: Box::new(effect), error: "Too many open files".into() });
    world.until(secs(9));
    insta::assert_snapshot!(world.timeline(), @r"
      6.000 starting a probe of 192.0.2.1:80 failed: Too many open files; next try in 1.000 s
      7.000 probe 192.0.2.1:80: good after 1000 ms
    ");
}

/// Ten minutes without a descriptor: nobody leaves the table, also whoever was one try from it; nobody enters it.
#[test]
fn what_is_short_here_takes_no_server_out() {
    let mut configured = service(VIP, &[WEB1, WEB2, WEB3]);
    configured.quorum = 2;
    configured.sorry_server = Some(sorry());
    let mut world = World::with(vec![configured]);
    world.mood(WEB3, Mood::Refuses);
    world.until(secs(5));
    world.quiet = true;
    world.until(secs(15));
    world.mood(WEB1, Mood::Refuses);
    world.until(Duration::from_millis(19_500));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
    [WEB1, WEB2, WEB3].iter().for_each(|web| world.mood(web, Mood::Short(Shortage::Descriptors)));
    let before = world.probes_started;
    world.timeline();
    world.until(secs(600));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
    let asked = world.probes_started - before;
    assert!((250..=310).contains(&asked), "{asked} attempts of three checkers in 580 s: each 6 s, and seldom sooner");
    [WEB2, WEB3].iter().for_each(|web| world.mood(web, Mood::Good(Duration::ZERO)));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(700));
    insta::assert_snapshot!(world.timeline(), @r"
     20.000 TCP 10.0.0.1:80: 192.0.2.1:80 could not be asked: this process has no file descriptor left (RLIMIT_NOFILE); real servers that can't be asked keep their state
    603.000   adding destination 192.0.2.99:80 to TCP 10.0.0.1:80, weight 1
    603.000   removing destination 192.0.2.1:80 from TCP 10.0.0.1:80
    603.000   removing destination 192.0.2.2:80 from TCP 10.0.0.1:80
    603.000 TCP 10.0.0.1:80: 192.0.2.1:80 is down: connection refused
    603.000 TCP 10.0.0.1:80: quorum lost: live weight 1 of 2; sorry server 192.0.2.99:80 answers
    603.000   adding destination 192.0.2.2:80 to TCP 10.0.0.1:80, weight 1
    603.000   adding destination 192.0.2.3:80 to TCP 10.0.0.1:80, weight 1
    603.000   removing destination 192.0.2.99:80 from TCP 10.0.0.1:80
    603.000 TCP 10.0.0.1:80: 192.0.2.3:80 is up: its checkers pass
    603.000 TCP 10.0.0.1:80: quorum gained: live weight 2 of 2
    657.000 real servers are asked again; 296 probes within 577.000 s could not be made: this process has no file descriptor left (RLIMIT_NOFILE)
    ");
}

/// One after the other, and each for itself: whoever has a descriptor is judged as ever.
#[test]
fn each_shortage_is_told_once_while_it_lasts() {
    let mut world = World::with(vec![service(VIP, &[WEB1, WEB2])]);
    world.quiet = true;
    world.until(secs(5));
    world.timeline();
    for (second, mood) in [
        (10, Mood::Short(Shortage::Ports)),
        (40, Mood::Good(Duration::ZERO)),
        (70, Mood::Short(Shortage::Ports)),
        (80, Mood::Short(Shortage::Memory)),
        (90, Mood::Good(Duration::ZERO)),
    ] {
        world.until(secs(second));
        world.mood(WEB1, mood);
    }
    world.until(secs(300));
    insta::assert_snapshot!(world.timeline(), @r"
     12.000 TCP 10.0.0.1:80: 192.0.2.1:80 could not be asked: this host has no local port left (net.ipv4.ip_local_port_range); real servers that can't be asked keep their state
     86.000 TCP 10.0.0.1:80: 192.0.2.1:80 could not be asked: the kernel of this host has no memory left for it; real servers that can't be asked keep their state
    140.000 real servers are asked again; 11 probes within 68.000 s could not be made: this host has no local port left (net.ipv4.ip_local_port_range)
    146.000 real servers are asked again; 1 probe within 0.000 s could not be made: the kernel of this host has no memory left for it
    ");
}

#[test]
fn one_turn_starts_a_bounded_number_of_probes() {
    let reals: Vec<String> = (0..600).map(|n| format!("192.0.{}.{}:80", n / 250, n % 250)).collect();
    let services = vec![service(VIP, &reals.iter().map(String::as_str).collect::<Vec<_>>())];
    let mut balancer = vipward_core::balancer::Balancer::default();
    let mut started = Vec::new();
    let mut event = Input::ConfigLoaded { config: std::sync::Arc::new(config(services)), seed: 1 };
    for _ in 0..4 {
        let effects = balancer.handle(event, vipward_core::time::Instant::ZERO);
        let starts = |effect: &&_| matches!(effect, Effect::StartProbe { .. });
        started.push(effects.effects().filter(starts).count());
        event = Input::Wakeup;
    }
    assert_eq!(started, [256, 256, 88, 0]);
}

/// A host that answers echoes is good, whatever listens on it; of a lost echo `retry` takes care.
#[test]
fn a_ping_checker_looks_at_the_host_and_not_at_the_port() {
    let mut configured = service(VIP, &[]);
    configured.real_servers = vec![real(WEB1, vec![ping(WEB1)])];
    let mut world = World::with(vec![configured]);
    world.until(secs(1));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(7));
    world.mood(WEB1, Mood::Silent);
    world.until(secs(25));
    world.mood(WEB1, Mood::Good(Duration::ZERO));
    world.until(secs(36));
    insta::assert_snapshot!(world.timeline(), @r"
     0.000 probe 192.0.2.1:80: good after 0 ms
     0.000 configuration applied; added virtual_server TCP 10.0.0.1:80
     0.000   adding service TCP 10.0.0.1:80
     0.000   adding destination 192.0.2.1:80 to TCP 10.0.0.1:80, weight 1
     6.000 probe 192.0.2.1:80: good after 0 ms
    12.000 probe 192.0.2.1:80: bad after 3000 ms
    15.000 TCP 10.0.0.1:80: 192.0.2.1:80: no response in time; 2 more tries before it is out
    16.000 probe 192.0.2.1:80: bad after 3000 ms
    19.000 TCP 10.0.0.1:80: 192.0.2.1:80: no response in time; 1 more try before it is out
    20.000 probe 192.0.2.1:80: bad after 3000 ms
    23.000   removing destination 192.0.2.1:80 from TCP 10.0.0.1:80
    23.000 TCP 10.0.0.1:80: 192.0.2.1:80 is down: no response in time
    23.000 TCP 10.0.0.1:80: quorum lost: live weight 0 of 1; nobody answers
    29.000 probe 192.0.2.1:80: good after 0 ms
    29.000   adding destination 192.0.2.1:80 to TCP 10.0.0.1:80, weight 1
    29.000 TCP 10.0.0.1:80: 192.0.2.1:80 is up: its checkers pass
    29.000 TCP 10.0.0.1:80: quorum gained: live weight 1 of 1
    35.000 probe 192.0.2.1:80: good after 0 ms
    ");
}

fn here(at: &str, here: bool) -> Input {
    Input::News(News::AddressHere { address: address(at).ip(), here })
}

/// `ha_suspend`: nobody is asked where the address is not, and the table stays as it is.
#[test]
fn only_where_the_address_is_somebody_asks() {
    let suspended = || VirtualServer { ha_suspend: true, ..service(VIP, &[WEB1]) };
    let mut world = World::with(vec![suspended()]);
    world.until(secs(10));
    assert_eq!((world.probes_started, world.next_wakeup().is_some()), (0, true), "the table is read, nobody asked");
    world.happens(here(VIP, false));
    world.happens(here(WEB2, true));
    world.until(secs(20));
    world.happens(here(VIP, true));
    world.until(secs(21));
    // It dies; one try is left when the address goes, with a probe under way.
    world.mood(WEB1, Mood::Silent);
    world.until(secs(30));
    world.happens(here(VIP, false));
    world.happens(here(VIP, false));
    world.until(secs(60));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    // Nobody had watched: the first failure counts.
    world.mood(WEB1, Mood::Refuses);
    world.happens(here(VIP, true));
    world.until(secs(61));
    insta::assert_snapshot!(world.timeline());
}

/// What a reload says of `ha_suspend` holds at once, and a reload without a change disturbs nothing.
#[test]
fn a_reload_suspends_and_resumes() {
    let with = |ha_suspend| vec![VirtualServer { ha_suspend, ..service(VIP, &[WEB1, WEB2]) }];
    let mut world = World::with(with(false));
    world.happens(here(VIP, false));
    world.until(secs(7));
    world.load(with(true));
    world.load(with(true));
    world.until(secs(20));
    let asked = world.probes_started;
    assert_eq!(asked, 4, "two rounds of two");
    world.load(with(false));
    world.until(secs(21));
    assert_eq!(world.probes_started, asked + 2);
    // The Election has read two files more already.
    world.happens(here(VIP, true));
    world.load(with(false));
    world.load(with(true));
    world.load(with(true));
    world.until(secs(27));
    assert_eq!(world.probes_started, asked + 4, "its pace goes on");
}

/// A successor hears where addresses are when its verdicts are taken up; they and their pace go on.
#[test]
fn a_successor_goes_on_where_its_address_is() {
    let suspended = || vec![VirtualServer { ha_suspend: true, ..service(VIP, &[WEB1, WEB2]) }];
    let mut world = World::new();
    world.mood(WEB1, Mood::Refuses);
    world.load(suspended());
    world.happens(here(VIP, true));
    world.until(secs(4));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
    let asked = world.probes_started;
    world.succeed();
    world.load(suspended());
    world.until(secs(5));
    world.happens(here(VIP, true));
    world.until(Duration::from_millis(5900));
    assert_eq!((world.table(VIP).as_str(), world.probes_started), ("192.0.2.2:80=1", asked));
    world.until(secs(6));
    assert_eq!(world.probes_started, asked + 2);
}
