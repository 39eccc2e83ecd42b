//! Commands of virtual servers: each change is told once, to the one that it concerns. Moments are those of keepalived 2.2.7.

use crate::world::*;
use std::sync::Arc;
use vipward_core::balancer::Input;
use vipward_core::command::Command;
use vipward_core::config::{Config, UpDownScripts, VirtualServer};
use vipward_core::time::Duration;

const GOOD: Mood = Mood::Good(Duration::ZERO);

fn scripts(name: &str) -> Option<Arc<UpDownScripts>> {
    let command = |word: &str| Some(Command { argv: vec![format!("/{name}"), word.to_owned()], user: None });
    UpDownScripts { up: command("up"), down: command("down"), ..UpDownScripts::default() }.shared()
}

fn told() -> VirtualServer {
    let mut told = VirtualServer { notify: scripts("quorum"), ..service(VIP, &[WEB1, WEB2]) };
    for (real, name) in told.real_servers.iter_mut().zip(["web1", "web2"]) {
        real.notify = scripts(name);
    }
    told
}

fn alpha() -> VirtualServer {
    let mut alpha = told();
    for checker in alpha.real_servers.iter_mut().flat_map(|real| &mut real.checkers) {
        checker.alpha = true;
    }
    alpha
}

/// What ran since the last time somebody asked: `2.000 quorum of ...: /quorum up`.
fn ran(world: &mut World) -> Vec<String> {
    let timeline = world.timeline();
    let runs = timeline.lines().filter(|line| line.contains(": /"));
    runs.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn load(world: &mut World, rs_init_notifies: bool, services: Vec<VirtualServer>) {
    let mut config = Config { services, ..Config::default() };
    config.global.rs_init_notifies = rs_init_notifies;
    world.happens(Input::ConfigLoaded { config: Arc::new(config), seed: 1 });
}

#[test]
fn each_change_of_a_real_server_and_of_the_quorum_is_told_once() {
    let mut world = World::with(vec![told()]);
    world.until(secs(5));
    assert_eq!(ran(&mut world), ["0.000 quorum of TCP 10.0.0.1:80: /quorum up"], "real servers begin up: no change");
    world.mood(WEB1, Mood::Refuses);
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(30));
    let down = ran(&mut world);
    let at = |line: &&String| line.split_once(' ').map(|(_, what)| what.to_owned()).unwrap();
    assert_eq!(
        down.iter().map(|line| at(&line)).collect::<Vec<_>>(),
        [
            "real_server 192.0.2.1:80 of TCP 10.0.0.1:80: /web1 down",
            "real_server 192.0.2.2:80 of TCP 10.0.0.1:80: /web2 down",
            "quorum of TCP 10.0.0.1:80: /quorum down",
        ]
    );
    world.mood(WEB2, GOOD);
    world.until(secs(60));
    let up = ran(&mut world);
    assert_eq!(
        up.iter().map(|line| at(&line)).collect::<Vec<_>>(),
        ["real_server 192.0.2.2:80 of TCP 10.0.0.1:80: /web2 up", "quorum of TCP 10.0.0.1:80: /quorum up",]
    );
    world.until(secs(120));
    assert_eq!(ran(&mut world), [] as [&str; 0], "nothing changes");
}

#[test]
fn what_a_reload_takes_away_is_told_as_down() {
    let mut world = World::with(vec![told()]);
    world.until(secs(10));
    ran(&mut world);
    let mut fewer = told();
    fewer.real_servers.remove(0);
    world.load(vec![fewer]);
    assert_eq!(ran(&mut world), ["10.000 real_server 192.0.2.1:80 of TCP 10.0.0.1:80: /web1 down"]);
    world.load(vec![service("10.0.0.1:81", &[WEB3])]);
    assert_eq!(
        ran(&mut world),
        [
            "10.000 real_server 192.0.2.2:80 of TCP 10.0.0.1:80: /web2 down",
            "10.000 quorum of TCP 10.0.0.1:80: /quorum down",
        ]
    );
}

#[test]
fn rs_init_notifies_tells_of_real_servers_that_begin_up_and_a_reload_tells_nothing_again() {
    let mut world = World::new();
    load(&mut world, true, vec![told()]);
    assert_eq!(
        ran(&mut world),
        [
            "0.000 quorum of TCP 10.0.0.1:80: /quorum up",
            "0.000 real_server 192.0.2.1:80 of TCP 10.0.0.1:80: /web1 up",
            "0.000 real_server 192.0.2.2:80 of TCP 10.0.0.1:80: /web2 up",
        ]
    );
    world.until(secs(10));
    load(&mut world, true, vec![told()]);
    world.until(secs(20));
    assert_eq!(ran(&mut world), [] as [&str; 0]);
    let more = VirtualServer { notify: scripts("more"), ..service("10.0.0.1:81", &[WEB3]) };
    load(&mut world, true, vec![told(), more]);
    assert_eq!(ran(&mut world), ["20.000 quorum of TCP 10.0.0.1:81: /more up"], "what is new begins");
}

#[test]
fn with_alpha_nothing_is_up_before_a_probe_has_passed() {
    let mut world = World::new();
    world.mood(WEB2, Mood::Refuses);
    world.load(vec![alpha()]);
    world.until(secs(30));
    let first = ran(&mut world);
    assert_eq!(first.len(), 2, "nothing went down: {first:#?}");
    assert!(first[0].ends_with("/web1 up") && first[1].ends_with("/quorum up"), "{first:#?}");
}

#[test]
fn omega_tells_at_the_stop_what_goes_and_nothing_twice() {
    for omega in [true, false] {
        let mut world = World::with(vec![VirtualServer { omega, ..told() }]);
        world.until(secs(5));
        world.mood(WEB1, Mood::Refuses);
        world.until(secs(20));
        ran(&mut world);
        world.happens(Input::Stop);
        let expected: &[&str] = match omega {
            true => &[
                "20.000 real_server 192.0.2.2:80 of TCP 10.0.0.1:80: /web2 down",
                "20.000 quorum of TCP 10.0.0.1:80: /quorum down",
            ],
            false => &[],
        };
        assert_eq!(ran(&mut world), expected, "web1 is down already");
    }
}

#[test]
fn a_successor_tells_only_what_changes_under_it() {
    let mut world = World::new();
    load(&mut world, true, vec![VirtualServer { omega: true, ..told() }]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(20));
    ran(&mut world);
    world.succeed();
    load(&mut world, true, vec![VirtualServer { omega: true, ..told() }]);
    world.until(secs(40));
    assert_eq!(ran(&mut world), [] as [&str; 0]);
    world.mood(WEB1, GOOD);
    world.until(secs(60));
    let up = ran(&mut world);
    assert!(up.len() == 1 && up[0].ends_with("/web1 up"), "{up:#?}");
}

#[test]
fn mails_have_keepaliveds_subjects_and_first_line_and_the_cause() {
    let mailed = || Some(Arc::new(UpDownScripts { mail: true, ..UpDownScripts::default() }));
    let mut mailing = VirtualServer { notify: mailed(), ..service(VIP, &[WEB1, WEB2]) };
    mailing.real_servers[0].notify = mailed();
    let mut world = World::with(vec![mailing]);
    world.quiet = true;
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(20));
    world.mood(WEB1, GOOD);
    world.until(secs(40));
    world.load(vec![]);
    let timeline = world.timeline();
    let mails: Vec<&str> =
        timeline.lines().filter_map(|line| line.split_once("mail: ").map(|(_, mail)| mail)).collect();
    assert_eq!(
        mails,
        [
            "Realserver [192.0.2.1]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - DOWN: => TCP CHECK failed on service <=||TCP \
             10.0.0.1:80: 192.0.2.1:80 is down: connection refused|",
            "Virtualserver [10.0.0.1]:tcp:80 - DOWN: => Lost quorum 1-0=1 > 0 <=||TCP 10.0.0.1:80: quorum lost: live weight 0 \
             of 1; nobody answers|",
            "Realserver [192.0.2.1]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - UP: => TCP CHECK succeed on service <=||TCP \
             10.0.0.1:80: 192.0.2.1:80 is up: its checkers pass|",
            "Virtualserver [10.0.0.1]:tcp:80 - UP: => Gained quorum 1+0=1 <= 1 <=||TCP 10.0.0.1:80: quorum gained: live \
             weight 1 of 1|",
            "Realserver [192.0.2.1]:tcp:80 of virtual server [10.0.0.1]:tcp:80 - DOWN: => Removing <=||the configuration does \
             not name it any more|",
        ]
    );
}

/// keepalived.conf(5), `lvs_notify_fifo`.
#[test]
fn fifos_get_lines_of_real_servers_and_virtual_servers() {
    let fifos = || Some(Arc::new(UpDownScripts { fifos: vec!["/run/lvs".into()], ..UpDownScripts::default() }));
    let mut telling = VirtualServer { notify: fifos(), ..service(VIP, &[WEB1]) };
    telling.real_servers[0].notify = fifos();
    let mut world = World::with(vec![telling]);
    world.until(secs(5));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(20));
    world.mood(WEB1, GOOD);
    world.until(secs(40));
    let timeline = world.timeline();
    let lines: Vec<&str> =
        timeline.lines().filter_map(|line| line.split_once("/run/lvs: ").map(|(_, line)| line)).collect();
    assert_eq!(
        lines,
        [
            "VS [10.0.0.1]:tcp:80 UP",
            "RS [192.0.2.1]:tcp:80 [10.0.0.1]:tcp:80 DOWN",
            "VS [10.0.0.1]:tcp:80 DOWN",
            "RS [192.0.2.1]:tcp:80 [10.0.0.1]:tcp:80 UP",
            "VS [10.0.0.1]:tcp:80 UP",
        ]
    );
}
