//! `track_process`: whether enough processes run, and not too many, and for how long that must have been so.

use crate::timeline::*;
use std::sync::Arc;
use vipward_core::config::{
    Config, KnownBy, ProcessPattern, TrackProcess, TrackWeight, Tracked, TrackerId, Tracking, VirtualRouterConfig,
};
use vipward_core::quantity::Role;
use vipward_core::time::Duration;
use vipward_core::vrrp::Event;

fn nginx() -> TrackProcess {
    TrackProcess {
        name: "P".into(),
        pattern: ProcessPattern { command: "nginx".into(), arguments: Vec::new(), by: KnownBy::Name },
        weight: TrackWeight::default(),
        quorum: 1,
        quorum_max: None,
        fork_delay: Duration::ZERO,
        terminate_delay: Duration::ZERO,
        places: Default::default(),
    }
}

fn tracking(process: TrackProcess) -> Config {
    let name: Arc<str> = process.name.clone();
    let tracked = Tracked { what: TrackerId::Process(name.clone()), weight: process.weight };
    let router = VirtualRouterConfig { tracking: Tracking { list: vec![tracked] }, ..router() };
    Config { processes: [(name, process)].into(), ..config(vec![router], vec![]) }
}

fn weight(weight: i16) -> TrackWeight {
    TrackWeight { weight, reverse: false }
}

fn run(count: u32) -> Event {
    Event::ProcessesCounted(vec![("P".into(), count)])
}

fn priority_of(t: &Timeline) -> u8 {
    t.election.routers()[0].priority().get()
}

#[test]
fn weight_0_means_fault_unless_enough_run() {
    let mut t = Timeline::with(tracking(nginx()));
    t.gives_of("watch", &["watch nginx"]);
    t.until("10");
    let started = ["V: INIT -> BACKUP: started", "track_process P is up: one runs"];
    t.is(Role::Init).handles(run(1)).gives(&[started[1], started[0]]);
    t.until("15");
    t.is(Role::Master).handles(run(0)).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "track_process P is down: none runs, and quorum is 1",
        "V: MASTER -> FAULT: track_process P is down and has weight 0",
    ]);
    t.handles(run(3)).is(Role::Backup);
}

#[test]
fn a_weight_counts_while_enough_run_or_while_not() {
    for (weight, count, priority) in [(20, 1, 120), (20, 0, 100), (-20, 0, 80), (-20, 5, 100)] {
        let weight = TrackWeight { weight, reverse: false };
        let mut t = Timeline::with(tracking(TrackProcess { weight, ..nginx() }));
        t.handles(run(count)).is(Role::Backup);
        assert_eq!(priority_of(&t), priority, "{weight:?}, {count} run");
    }
}

#[test]
fn both_ends_of_the_quorum_count() {
    let process = TrackProcess { quorum: 2, quorum_max: Some(3), weight: weight(1), ..nginx() };
    let mut t = Timeline::with(tracking(process));
    for (count, priority) in [(1, 100), (2, 101), (3, 101), (4, 100), (3, 101), (0, 100)] {
        t.handles(run(count));
        assert_eq!(priority_of(&t), priority, "{count} run");
    }
}

#[test]
fn none_may_run_with_quorum_max_0() {
    let process = TrackProcess { quorum: 0, quorum_max: Some(0), ..nginx() };
    let mut t = Timeline::with(tracking(process));
    t.handles(run(0)).until("5");
    t.is(Role::Master).handles(run(1)).is(Role::Fault);
    t.handles(run(0)).is(Role::Backup);
}

#[test]
fn more_processes_must_be_there_for_fork_delay_and_fewer_for_terminate_delay() {
    let (fork_delay, terminate_delay) = (Duration::from_secs(2), Duration::from_secs(1));
    let process = TrackProcess { weight: weight(1), fork_delay, terminate_delay, quorum_max: Some(1), ..nginx() };
    let mut t = Timeline::with(tracking(process));
    t.handles(run(0));
    assert_eq!(priority_of(&t), 100, "the first number counts at once");
    t.at("0.1").handles(run(1));
    t.until("2.099");
    assert_eq!(priority_of(&t), 100);
    t.until("2.1");
    assert_eq!(priority_of(&t), 101);
    // One that begins too many, whatever comes after it.
    t.at("3").handles(run(2));
    t.at("4").handles(run(3));
    t.until("4.999");
    assert_eq!(priority_of(&t), 101);
    t.until("5");
    assert_eq!(priority_of(&t), 100);
    // Fewer bring it back, and take it away.
    t.at("6").handles(run(1));
    t.until("7");
    assert_eq!(priority_of(&t), 101);
    t.at("8").handles(run(0));
    t.until("8.999");
    assert_eq!(priority_of(&t), 101);
    t.until("9");
    assert_eq!(priority_of(&t), 100);
}

/// A server that is restarted is not noticed.
#[test]
fn one_that_is_back_in_time_was_never_away() {
    let process = TrackProcess { terminate_delay: Duration::from_secs(1), ..nginx() };
    let mut t = Timeline::with(tracking(process));
    t.handles(run(1)).until("5");
    t.is(Role::Master).handles(run(0)).nothing();
    t.at("5.9").handles(run(1)).nothing();
    t.until("20");
    t.is(Role::Master);
}

#[test]
fn a_reload_watches_what_is_new_and_keeps_what_is_known() {
    let mut t = Timeline::with(tracking(TrackProcess { weight: weight(-20), ..nginx() }));
    t.handles(run(1));
    t.loads(tracking(TrackProcess { weight: weight(-20), quorum: 2, ..nginx() })).gives_of("watch", &[]);
    assert_eq!(priority_of(&t), 80, "what is known, by the new quorum");
    let other = ProcessPattern { command: "haproxy".into(), ..nginx().pattern };
    t.loads(tracking(TrackProcess { weight: weight(-20), pattern: other, ..nginx() }));
    t.gives_of("watch", &["watch haproxy"]);
    assert_eq!(priority_of(&t), 80, "until those are counted");
    t.handles(run(1));
    assert_eq!(priority_of(&t), 100);
    t.loads(config(vec![router()], vec![])).gives_of("watch", &["watch "]);
    t.handles(run(0)).nothing();
}

#[test]
fn a_successor_counts_with_what_ran_until_it_has_counted() {
    let process = || TrackProcess { weight: weight(-20), terminate_delay: Duration::from_secs(1), ..nginx() };
    let mut old = Timeline::with(tracking(process()));
    old.handles(run(0)).becomes_master();
    let mut successor = old.successor(true);
    successor.loads(tracking(process())).is(Role::Master).gives_of("watch", &["watch nginx"]);
    assert_eq!(priority_of(&successor), 80);
    successor.handles(run(1));
    assert_eq!(priority_of(&successor), 100);
}
