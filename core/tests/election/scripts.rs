//! `vrrp_script` and `track_script`. First results, weights and `reverse` as keepalived 2.2.7 did them.

use crate::timeline::*;
use vipward_core::command::ScriptOutcome;
use vipward_core::config::{TrackWeight, VrrpScript};
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;
use vipward_core::time::Duration;
use vipward_core::vrrp::Event;

fn timeline(weight: i16, reverse: bool, script: VrrpScript) -> Timeline {
    Timeline::with(config(vec![tracking(router(), weight, reverse)], vec![script]))
}

fn priority_of(t: &Timeline) -> u8 {
    t.election.routers()[0].priority().get()
}

/// Weight 0: what it will say is not known, so the router waits for the first result, which counts at once.
#[test]
fn weight_0_waits_for_the_first_result() {
    let mut t = timeline(0, false, script(3, 2));
    t.gives(&["listen eth0 224.0.0.18", "run chk", "configuration applied; added vrrp_instance V, vrrp_script chk"])
        .is(Role::Init);
    t.at("0.2").hears(peer(2, 200)).nothing();
    t.at("0.3").script_exits(0).gives(&["script chk is up: exit status 0", "V: INIT -> BACKUP: started"]);

    let mut t = timeline(0, false, script(3, 2));
    t.at("0.3")
        .script_exits(1)
        .gives(&["script chk is down: exit status 1", "V: INIT -> FAULT: script chk is down and has weight 0"]);
}

#[test]
fn fall_and_rise_count_results_in_a_row() {
    let mut t = timeline(0, false, script(3, 2));
    t.script_exits(0).is(Role::Backup);
    // A success in between starts the count anew.
    for status in [1, 1, 0, 1, 1] {
        t.script_exits(status).nothing();
    }
    t.script_exits(1).gives(&[
        "script chk is down: exit status 1, 3 times in a row",
        "V: BACKUP -> FAULT: script chk is down and has weight 0",
    ]);
    for status in [0, 1, 0] {
        t.script_exits(status).nothing();
    }
    t.script_exits(0)
        .gives(&["script chk is up: exit status 0, 2 times in a row", "V: FAULT -> BACKUP: the fault is over"]);
}

/// The peers are told before the addresses go.
#[test]
fn a_master_whose_script_fails_resigns() {
    let mut t = timeline(0, false, script(1, 1));
    t.script_exits(0);
    t.until("4");
    t.is(Role::Master).script_exits(2).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "script chk is down: exit status 2",
        "V: MASTER -> FAULT: script chk is down and has weight 0",
    ]);
}

#[test]
fn every_way_to_fail_is_told() {
    for (outcome, why) in [
        (ScriptOutcome::Exited(3), "exit status 3"),
        (ScriptOutcome::Killed(9), "killed by signal 9"),
        (ScriptOutcome::TimedOut, "no end within 1s"),
        (ScriptOutcome::NotStarted("no such file".to_owned()), "could not be started: no such file"),
    ] {
        let mut t = timeline(0, false, script(1, 1));
        t.script_exits(0);
        t.handles(Event::ScriptFinished { script: "chk".into(), outcome });
        t.gives_of("script", &[&format!("script chk is down: {why}")]).is(Role::Fault);
    }
}

/// It runs once an interval, and never twice at a time.
#[test]
fn it_runs_once_an_interval() {
    let mut t = timeline(10, false, script(1, 1));
    t.gives_of("run", &["run chk"]);
    t.at("0.2").script_exits(0);
    assert_eq!(t.until("0.999999999"), [""; 0]);
    assert_eq!(t.until("1.5"), ["1.000 run chk"]);
    // The second one takes 1.7 seconds: the third starts as soon as it has ended.
    assert_eq!(t.until("2.7"), [""; 0]);
    t.script_exits(0).nothing();
    assert_eq!(t.until("3.6"), ["2.700 run chk"]);
}

/// Rows: weight, reverse, then the priority before the first result, after a success and after a failure.
#[test]
fn weights_add_up() {
    for (weight, reverse, unknown, up, down) in [
        (20, false, 100, 120, 100),
        (-20, false, 100, 100, 80),
        (20, true, 100, 80, 100),
        (-20, true, 100, 100, 120),
        (253, false, 100, 254, 100),
        (-253, false, 100, 100, 1),
    ] {
        let mut t = timeline(weight, reverse, script(1, 1));
        assert_eq!(priority_of(&t), unknown, "{weight} {reverse} unknown");
        t.script_exits(0);
        assert_eq!(priority_of(&t), up, "{weight} {reverse} up");
        t.script_exits(1);
        assert_eq!(priority_of(&t), down, "{weight} {reverse} down");
        t.is(Role::Backup);
    }
}

#[test]
fn init_fail_counts_as_down_before_the_first_result() {
    let mut t = timeline(-20, false, VrrpScript { init_fail: true, ..script(1, 1) });
    assert_eq!(priority_of(&t), 80);
    t.script_exits(0)
        .gives(&["script chk is up: exit status 0", "V: priority 80 -> 100: script chk is up (weight -20)"]);
}

#[test]
fn weight_0_reversed_is_fault_while_it_is_up() {
    let mut t = timeline(0, true, script(1, 1));
    t.script_exits(0).is(Role::Fault);
    t.script_exits(1).is(Role::Backup);
}

/// An address owner's 255 stays, and nobody else reaches it.
#[test]
fn an_owner_keeps_its_priority() {
    let owner = tracking(priority(255), -20, false);
    let mut t = Timeline::with(config(vec![owner], vec![script(1, 1)]));
    t.script_exits(1);
    assert_eq!(priority_of(&t), 255);
}

/// The next advert says it, in its time; a BACKUP with the better one preempts.
#[test]
fn a_changed_priority_is_in_the_next_advert() {
    let mut t = timeline(-20, false, script(1, 1));
    t.script_exits(0);
    t.until("4");
    t.script_exits(1)
        .gives(&["script chk is down: exit status 1", "V: priority 100 -> 80: script chk is down (weight -20)"]);
    assert_eq!(t.until("4.7"), ["4.000 run chk", "4.609 advert 80"]);
    t.at("4.8").hears(peer(2, 90)).is(Role::Backup);
}

/// The same script may weigh differently for two routers, and one that nobody tracks does not run.
#[test]
fn each_router_has_its_own_weight() {
    let other = vipward_core::config::VirtualRouterConfig {
        name: "W".into(),
        vrid: 52.try_into().unwrap(),
        ..tracking(router(), 7, false)
    };
    let unused = VrrpScript { name: "unused".into(), weight: TrackWeight::default(), ..script(1, 1) };
    let mut t = Timeline::with(config(vec![tracking(router(), -5, false), other], vec![script(1, 1), unused]));
    t.gives_of("run", &["run chk"]);
    t.script_exits(0).gives_of("W:", &["W: priority 100 -> 107: script chk is up (weight 7)"]);
    t.script_exits(1).gives_of("V:", &["V: priority 100 -> 95: script chk is down (weight -5)"]);
}

/// A reload keeps what is known, and takes a new interval at once.
#[test]
fn a_reload_keeps_the_state_of_a_script() {
    let mut t = timeline(0, false, VrrpScript { interval: Duration::from_secs(60), ..script(1, 1) });
    t.script_exits(0).is(Role::Backup);
    let reloaded = VrrpScript { interval: Duration::from_secs(2), ..script(1, 1) };
    t.at("1").loads(config(vec![tracking(router(), 0, false)], vec![reloaded]));
    t.gives(&["configuration applied; changed vrrp_script chk"]).is(Role::Backup);
    assert_eq!(t.until("3.5"), ["3.000 run chk"]);
    t.loads(config(vec![router()], vec![]));
    t.gives(&["configuration applied; removed vrrp_script chk; changed vrrp_instance V"]);
    assert_ne!(t.election.next_wakeup().map(|(_, why)| why), Some(vipward_core::machine::Reason::Script));
    t.script_exits(1).nothing();
}
