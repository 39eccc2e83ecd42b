//! Upgrades by the clock: at most one of two workers acts, and somebody always speaks for the addresses.

use super::*;
use vipward_core::supervisor::NOTES;

const EXIT_2: End = End::Exited(2);
const SIGKILL: End = End::Killed(9);

impl Timeline {
    /// A MASTER's worker, and a successor that prepares since 1 s.
    fn preparing() -> Self {
        let mut t = Self::holding();
        t.at("0.9").hears(Report::Alive { effects: 0 });
        t.effects.clear();
        t.at("1").event(Event::Upgrade { client: 7 }).does(&["start successor 1"]);
        t
    }

    /// The old worker has been told at 1.5 s.
    fn handing_over() -> Self {
        let mut t = Self::preparing();
        t.at("1.4").hears(Report::Alive { effects: 0 });
        t.effects.clear();
        t.at("1.5").hears_of(1, Report::Prepared { notes: NOTES }).does(&["introduce 0 to 1"]);
        t
    }

    /// It has handed over at 1.51 s.
    fn taking_over() -> Self {
        let mut t = Self::handing_over();
        t.at("1.51").hears(Report::HandedOver).does(&[]);
        t
    }

    /// It is done at 1.52 s; the new worker is MASTER of the same address.
    fn upgraded() -> Self {
        let mut t = Self::taking_over();
        t.hears_of(1, holds(5, 100)).does(&[]);
        t.at("1.52").hears_of(1, Report::TookOver).does(&[
            "tell 0 to retire",
            "answer 7: done",
            "service ready",
            "upgraded: a new worker has taken over",
            "renew",
        ]);
        t
    }
}

fn refused(why: &str) -> [String; 2] {
    [format!("not upgraded: {why}; all is as it was"), format!("answer 7: {why}")]
}

impl Timeline {
    #[track_caller]
    fn does_and_refuses(&mut self, before: &[&str], why: &str, after: &[&str]) -> &mut Self {
        let refused = refused(why);
        let all: Vec<&str> =
            before.iter().copied().chain(refused.iter().map(String::as_str)).chain(after.iter().copied()).collect();
        self.does(&all)
    }
}

#[test]
fn a_worker_hands_over_and_the_new_one_is_the_worker() {
    let mut t = Timeline::upgraded();
    // The old one still carries connections; nobody misses its signs of life.
    t.at("2.4").hears_of(1, Report::Alive { effects: 0 }).does(&["service alive"]);
    t.at("3.3").hears_of(1, Report::Alive { effects: 0 });
    t.effects.clear();
    t.ended(0, End::Exited(0)).does(&[]);
    // The last will in force is the new one's.
    t.at("3.4").ended(1, SIGKILL).does(&[
        "farewell 5 10.0.0.100",
        "the worker was killed by SIGKILL after 2.4 s",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
    t.at("3.5").wakes().does(&["start 2 after a farewell"]);
}

/// The two speak over lines of their own: the successor's word may be there first.
#[test]
fn the_heirs_word_may_come_before_the_old_ones() {
    let mut t = Timeline::handing_over();
    t.hears_of(1, Report::TookOver);
    assert_eq!(t.effects.iter().map(words).next().as_deref(), Some("tell 0 to retire"));
    t.effects.clear();
    t.hears(Report::HandedOver).does(&[]);
}

#[test]
fn a_heir_that_can_not_start_changes_nothing() {
    let mut t = Timeline::preparing();
    let why = "the new process exited with status 2: the configuration has errors, which the log shows";
    t.at("1.2").ended(1, EXIT_2).does_and_refuses(&[], why, &[]);
    t.next("1.700");
    let mut t = Timeline::preparing();
    let event = Event::NotStarted { worker: WorkerId(1), error: "/usr/bin/vipward: No such file".to_owned() };
    let why = "the new process could not be started: /usr/bin/vipward: No such file";
    t.event(event).does_and_refuses(&[], why, &[]);
    let mut t = Timeline::preparing();
    let why = "the new process is of a version that can't take over while this one runs: a restart is needed";
    t.event(Event::NotUnderstood { worker: WorkerId(1) }).does_and_refuses(&["kill 1"], why, &[]);
    t.ended(1, SIGKILL).does(&[]);
}

#[test]
fn a_heir_that_is_never_prepared_is_killed() {
    let mut t = Timeline::preparing();
    let mut at = 1.0;
    while at < 30.9 {
        at += 0.5;
        t.at(&at.to_string()).hears(Report::Alive { effects: 0 });
        t.effects.clear();
    }
    t.next("31.000").at("31").wakes().does_and_refuses(&["kill 1"], "the new process was not ready within 30 s", &[]);
}

/// Only when the successor is known to be dead does the old one act again.
#[test]
fn a_heir_that_does_not_take_over_is_killed_and_the_old_one_takes_back() {
    let mut t = Timeline::taking_over();
    t.next("2.510").at("2.509").wakes().does(&[]);
    t.at("2.51").wakes().does(&["kill 1"]);
    t.at("2.6").wakes().does(&[]);
    t.at("2.61").ended(1, SIGKILL).does_and_refuses(
        &["tell 0 to take back"],
        "the new process did not take over within 1 s",
        &[],
    );
    t.next("3.410").at("3.4").hears(Report::Alive { effects: 0 }).does(&["service alive"]);
    t.at("4").event(Event::Upgrade { client: 8 }).does(&["start successor 2"]);
}

#[test]
fn a_heir_that_dies_before_it_has_taken_over_changes_nothing() {
    for mut t in [Timeline::handing_over(), Timeline::taking_over()] {
        t.at("1.6").ended(1, SIGKILL).does_and_refuses(
            &["tell 0 to take back"],
            "the new process was killed by SIGKILL",
            &[],
        );
    }
}

/// One that can't even die can't act.
#[test]
fn a_heir_that_does_not_die_is_not_waited_for_for_ever() {
    let mut t = Timeline::taking_over();
    t.at("2.51").wakes().does(&["kill 1"]);
    t.next("3.510").at("3.51").wakes().does_and_refuses(
        &["kill 1", "tell 0 to take back"],
        "the new process did not take over within 1 s",
        &[],
    );
}

#[test]
fn a_worker_that_does_not_hand_over_takes_back() {
    let mut t = Timeline::handing_over();
    t.next("2.500").at("2.5").wakes().does(&["kill 1"]);
    t.at("2.51").ended(1, SIGKILL).does_and_refuses(
        &["tell 0 to take back"],
        "the old process did not hand over within 1 s",
        &[],
    );
    // It is as stuck as it was.
    t.hangs_at("3.31", "3.51");
    assert_eq!(t.effects.iter().map(words).take(2).collect::<Vec<_>>(), ["kill 0", "farewell 1 10.0.0.100"]);
}

/// Its last will is carried out, and nobody else acts beside it.
#[test]
fn a_worker_that_dies_before_it_has_handed_over_is_lost_as_ever() {
    for mut t in [Timeline::preparing(), Timeline::handing_over()] {
        t.at("1.6").ended(0, SIGKILL).does_and_refuses(
            &["kill 1"],
            "the running process died meanwhile",
            &[
                "farewell 1 10.0.0.100",
                "the worker was killed by SIGKILL after 1.6 s",
                "in its name: farewells sent: 1, addresses taken off: 1",
                "the next worker starts in 0.1 s",
                "service down for 100 ms",
            ],
        );
        t.ended(1, SIGKILL).does(&[]);
        t.at("1.7").wakes().does(&["start 2 after a farewell"]);
        t.at("1.8").hears_of(2, Report::Ready).does(&["service ready"]);
    }
}

/// The successor has all that it needs.
#[test]
fn a_worker_that_dies_after_it_has_handed_over_is_not_missed() {
    let mut t = Timeline::taking_over();
    t.at("1.515").ended(0, SIGKILL).does(&[]);
    t.at("1.52").hears_of(1, Report::TookOver).does(&[
        "answer 7: done",
        "service ready",
        "upgraded: a new worker has taken over",
        "renew",
    ]);
    // And if the successor dies too, there is still the last will.
    let mut t = Timeline::taking_over();
    t.at("1.515").ended(0, SIGKILL).does(&[]);
    t.at("1.6").ended(1, SIGKILL).does_and_refuses(
        &[],
        "the new process was killed by SIGKILL",
        &[
            "farewell 1 10.0.0.100",
            "in its name: farewells sent: 1, addresses taken off: 1",
            "the next worker starts in 0.1 s",
            "service down for 100 ms",
        ],
    );
}

#[test]
fn only_one_upgrade_at_a_time_and_only_from_a_worker_that_runs() {
    let mut t = Timeline::preparing();
    t.event(Event::Upgrade { client: 8 }).does(&["answer 8: another upgrade is under way"]);
    let mut t = Timeline::new();
    t.event(Event::Upgrade { client: 8 }).does(&["answer 8: no worker runs now: it is being started again"]);
    t.wakes().does(&["start 0"]);
    t.event(Event::Upgrade { client: 8 }).does(&["answer 8: no worker runs now: it is being started again"]);
    let mut t = Timeline::running();
    t.event(Event::Stop).does(&["service stopping", "tell 0 to stop"]);
    t.event(Event::Upgrade { client: 8 }).does(&["answer 8: the director stops"]);
}

#[test]
fn a_stop_waits_for_the_end_of_a_hand_over_and_a_second_one_does_not() {
    let mut t = Timeline::preparing();
    t.event(Event::Stop).does_and_refuses(&["kill 1"], "the director stops", &["service stopping", "tell 0 to stop"]);
    let mut t = Timeline::taking_over();
    t.event(Event::Stop).does(&[]);
    t.hears_of(1, Report::TookOver).does(&[
        "tell 0 to retire",
        "answer 7: done",
        "service ready",
        "upgraded: a new worker has taken over",
        "service stopping",
        "tell 1 to stop",
    ]);
    // Nobody carries anything for a director that has ended.
    t.at("2").ended(1, End::Exited(0)).does(&["kill 0", "exit 0"]);
    let mut t = Timeline::taking_over();
    t.event(Event::Stop).does(&[]);
    t.at("1.6").ended(1, SIGKILL).does_and_refuses(
        &["tell 0 to take back"],
        "the new process was killed by SIGKILL",
        &["service stopping", "tell 0 to stop"],
    );
    let mut t = Timeline::taking_over();
    t.event(Event::Stop).does(&[]);
    t.event(Event::Stop).does(&[
        "kill 0",
        "farewell 1 10.0.0.100",
        "stopped at once, on the second signal",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "kill 1",
        "exit failed",
    ]);
}

/// The successor may have read the file before it was changed.
#[test]
fn a_reload_reaches_whoever_runs_afterwards() {
    let mut t = Timeline::preparing();
    t.event(SIGHUP).does(&["service reloading", "tell 0 to reload, 1"]);
    t.at("1.2").hears_of(1, Report::Prepared { notes: 0 }).does(&["introduce 0 to 1"]);
    t.event(reload(9)).does(&[]);
    t.hears_of(1, Report::TookOver).does(&[
        "tell 0 to retire",
        "answer 7: done",
        "service ready",
        "upgraded: a new worker has taken over",
        "tell 1 to reload, 2",
        "the supervisor stays the old version's: the new one's can't go on where it is; a restart replaces it",
    ]);
    t.hears_of(1, not_reloaded(2, "no such file")).does(&["service ready", "answer 9: no such file"]);
    let mut t = Timeline::handing_over();
    t.event(SIGHUP).does(&[]);
    t.at("1.6").ended(1, SIGKILL).does_and_refuses(
        &["tell 0 to take back", "tell 0 to reload, 1"],
        "the new process was killed by SIGKILL",
        &[],
    );
}

#[test]
fn an_upgrade_that_overtakes_a_reload_answers_for_it() {
    let mut t = Timeline::running();
    t.at("1").event(reload(5)).does(&["service reloading", "tell 0 to reload, 1"]);
    t.event(Event::Upgrade { client: 7 }).does(&["start successor 1"]);
    t.at("1.2").hears_of(1, Report::Prepared { notes: NOTES }).does(&["introduce 0 to 1"]);
    t.hears_of(1, Report::TookOver).does(&[
        "tell 0 to retire",
        "answer 7: done",
        "service ready",
        "upgraded: a new worker has taken over",
        "tell 1 to reload, 2",
        "renew",
    ]);
    t.hears_of(1, reloaded(2)).does(&["service ready", "answer 5: done"]);
}

#[test]
fn a_retired_worker_is_cut_off_after_an_hour() {
    let mut t = Timeline::upgraded();
    let mut supervisor = std::mem::take(&mut t.supervisor);
    let hour = Instant::from_millis(3_601_520);
    supervisor.handle(
        Event::Reported { worker: WorkerId(1), report: Report::Alive { effects: 0 } },
        Instant::from_millis(3_601_500),
    );
    assert_eq!(supervisor.next_wakeup(), Some(hour));
    let said: Vec<String> = supervisor.handle(Event::Wakeup, hour).iter().map(words).collect();
    assert_eq!(said, ["kill 0", "connections of a retired worker went on for 3600 s: cut"]);
}

/// A supervisor that did not run has no opinion about deadlines.
#[test]
fn a_supervisor_that_slept_gives_the_heir_its_time_again() {
    let mut t = Timeline::taking_over();
    t.at("9").wakes().does(&[]);
    t.next("10.000").hears_of(1, Report::TookOver);
    assert_eq!(t.effects.iter().map(words).next().as_deref(), Some("tell 0 to retire"));
}

/// What it knows survives its own replacement.
#[test]
fn a_supervisor_goes_on_from_its_notes() {
    let mut t = Timeline::upgraded();
    let notes = serde_json::to_string(&t.supervisor).unwrap();
    t.supervisor = serde_json::from_str(&notes).unwrap();
    t.ended(0, End::Exited(0)).does(&[]);
    for at in ["2.32", "2.52"] {
        t.at(at).wakes().does(&["look at 1"]);
        let look = Look { state: Sleeping, ran: Duration::ZERO };
        t.event(Event::Looked { worker: WorkerId(1), look: Some(look) });
    }
    assert_eq!(t.effects.iter().map(words).take(2).collect::<Vec<_>>(), ["kill 1", "farewell 5 10.0.0.100"]);
}

/// It has the addresses again and gives signs of life: its virtual servers may take longer than the peers wait for adverts.
#[test]
fn a_successor_that_elects_may_be_slow_with_its_virtual_servers() {
    let alive = || Report::Alive { effects: 0 };
    let mut t = Timeline::taking_over();
    t.at("2.4").hears_of(1, holds(5, 100)).does(&[]);
    t.next("3.400");
    for at in ["3.3", "4.2", "5.1"] {
        t.at(at).hears_of(1, alive()).does(&[]);
    }
    t.hears_of(1, Report::TookOver);
    assert_eq!(t.effects.iter().map(words).next().as_deref(), Some("tell 0 to retire"));

    // Silent: it hangs, as any worker.
    let mut t = Timeline::taking_over();
    t.at("2.4").hears_of(1, holds(5, 100)).does(&[]);
    t.at("3.4").wakes().does(&["kill 1"]);
    t.ended(1, SIGKILL).does_and_refuses(&["tell 0 to take back"], "the new process did not take over within 1 s", &[]);

    // Not for ever.
    let mut t = Timeline::taking_over();
    t.at("2.4").hears_of(1, holds(5, 100)).does(&[]);
    for second in 3..=32 {
        t.at(&second.to_string()).hears_of(1, alive()).does(&[]);
    }
    t.next("32.400").at("32.4").wakes().does(&["kill 1"]);
    t.ended(1, SIGKILL).does_and_refuses(
        &["tell 0 to take back"],
        "the new process did not take its virtual servers over within 30 s",
        &[],
    );

    // Before it elects a sign of life says nothing.
    let mut t = Timeline::taking_over();
    t.at("2.4").hears_of(1, alive()).does(&[]);
    t.next("2.510");
}
