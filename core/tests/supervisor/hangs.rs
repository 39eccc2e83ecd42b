//! Workers that hang, and those that only seem to.

use super::*;

/// Seen twice: it sleeps, and has not run meanwhile.
#[test]
fn a_worker_that_hangs_is_killed_after_a_second_before_anything_is_said_for_it() {
    let mut t = Timeline::holding();
    t.at("0.4").hears(BEAT).does(&["service alive"]);
    t.next("1.200").at("1.199").wakes().does(&[]);
    t.at("1.2").wakes().does(&["look at 0"]).sees(Sleeping, 5).does(&[]);
    t.next("1.400").at("1.4").wakes().does(&["look at 0"]);
    t.sees(Sleeping, 5).does(&[
        "kill 0",
        "farewell 1 10.0.0.100",
        "the worker hangs: not a word from it for 1.0 s; killed",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
    // Its end comes, and a word that was on its way.
    t.hears(BEAT).does(&[]).ended(0, SIGKILL).does(&[]);
    t.at("1.5").wakes().does(&["start 1 after a farewell"]);
}

/// Who asks how the director is asks the worker; where there is none, nobody is answered in its name.
#[test]
fn a_question_is_the_workers_and_without_one_there_is_no_answer() {
    let mut t = Timeline::holding();
    t.at("0.5").event(Event::Status { client: 3 }).does(&["hand client 3 to 0"]);
    t.at("0.6").ended(0, SIGKILL);
    t.effects.clear();
    t.event(Event::Status { client: 4 }).does(&["answer 4: no worker runs now: it is being started again"]);
    t.at("0.8").wakes();
    t.effects.clear();
    t.event(Event::Status { client: 5 }).does(&["hand client 5 to 1"]);
}

/// A loop without an end, and SIGSTOP, are no better than a lock.
#[test]
fn so_is_one_that_runs_all_the_time_and_one_that_was_stopped() {
    for (state, first, second) in [(Runnable, 0, 150), (Stopped, 0, 0)] {
        let mut t = Timeline::holding();
        t.at("1").wakes().does(&["look at 0"]).sees(state, first).does(&[]);
        t.at("1.2").wakes().does(&["look at 0"]).sees(state, second);
        assert_eq!(words(&t.effects[0]), "kill 0", "{state:?}");
    }
}

/// A machine under load, a host that pauses, the kernel busy with something else: the worker hangs no more than anybody
/// else, and its addresses have their lifetimes.
#[test]
fn a_worker_that_only_waits_is_not_killed() {
    for (state, why) in [(Runnable, "it gets no processor"), (Uninterruptible, "the kernel holds it in a call")] {
        let mut t = Timeline::holding();
        t.at("1").wakes().does(&["look at 0"]).sees(state, 7).does(&[]);
        let told = format!("the worker has not run for 1.0 s, {why}: this machine is overloaded; waiting for it");
        t.at("1.2").wakes().does(&["look at 0"]).sees(state, 8).does(&[&told]);
        t.at("1.4").wakes().does(&["look at 0"]).sees(state, 9).does(&[]);
        // It runs again; the next time it is told again.
        t.at("1.7").hears(BEAT).does(&["service alive"]).next("2.500");
        t.at("2.5").wakes().does(&["look at 0"]).sees(state, 9).does(&[]);
        t.at("2.7").wakes().does(&["look at 0"]).sees(state, 9).does(&[&told]);
        // But not for ever: by now the kernel has taken the addresses off.
        for at in ["2.9", "3.1", "3.3", "3.5", "3.7", "3.9", "4.1", "4.3", "4.5"] {
            t.at(at).wakes().does(&["look at 0"]).sees(state, 9).does(&[]);
        }
        t.at("4.7").wakes().does(&["look at 0"]).sees(state, 9).does(&[
            "kill 0",
            "farewell 1 10.0.0.100",
            &format!("the worker has not run for 3.0 s, {why}; killed, for the peers must know"),
            "in its name: farewells sent: 1, addresses taken off: 1",
            "the next worker starts in 0.1 s",
            "service down for 100 ms",
        ]);
    }
}

/// It slept at both looks, but it ran between them: its word is under way.
#[test]
fn a_worker_that_has_run_a_little_is_looked_at_again() {
    let mut t = Timeline::holding();
    t.at("1").wakes().does(&["look at 0"]).sees(Sleeping, 7).does(&[]);
    t.at("1.2").wakes().does(&["look at 0"]).sees(Sleeping, 8).does(&[]);
    t.at("1.4").wakes().does(&["look at 0"]).sees(Sleeping, 8);
    assert_eq!(words(&t.effects[0]), "kill 0");
}

/// Without `/proc` there is its silence alone, as with a launcher that does not answer.
#[test]
fn a_worker_that_can_not_be_looked_at_is_believed_to_hang() {
    let mut t = Timeline::holding();
    t.at("1").wakes().does(&["look at 0"]).event(Event::Looked { worker: WorkerId(0), look: None }).does(&[]);
    t.at("1.2").wakes().does(&["look at 0"]).event(Event::Looked { worker: WorkerId(0), look: None });
    assert_eq!(words(&t.effects[0]), "kill 0");
    let mut t = Timeline::holding();
    t.at("1").wakes().does(&["look at 0"]).next("2.000").at("2").wakes();
    assert_eq!(words(&t.effects[0]), "kill 0");
}

/// Nobody misses one that holds nothing.
#[test]
fn one_that_holds_nothing_has_time() {
    let silent_until = |state: ThreadState| {
        let mut t = Timeline::running();
        loop {
            let at = t.supervisor.next_wakeup().unwrap();
            t.now = at;
            t.wakes();
            if t.effects.iter().any(|effect| matches!(effect, Effect::Look(_))) {
                t.effects.clear();
                t.sees(state, 0);
            }
            if t.effects.iter().any(|effect| matches!(effect, Effect::Kill(_))) {
                return at.since(Instant::from_millis(100)).as_secs();
            }
            t.effects.clear();
        }
    };
    assert_eq!([Sleeping, Stopped, Runnable, Uninterruptible].map(silent_until), [10, 10, 30, 30]);
}

#[test]
fn a_step_with_many_effects_may_take_longer() {
    let mut t = Timeline::holding();
    t.at("0.4").hears(Report::Alive { effects: 30_000 }).does(&["service alive"]);
    t.next("4.200").at("4.199").wakes().does(&[]);
    t.at("4.199").hears(BEAT).does(&["service alive"]).next("4.999");
}

#[test]
fn a_supervisor_that_did_not_run_itself_does_not_take_that_for_its_workers_death() {
    let mut t = Timeline::holding();
    t.at("0.4").hears(BEAT).does(&["service alive"]);
    // Suspended for an hour, with the worker. It gets its whole patience anew, and once is enough.
    t.at("3600").wakes().does(&[]).next("3600.800");
    t.at("3600.1").hears(BEAT).does(&["service alive"]).next("3600.900");
    // Stopped alone, while the worker died: that shows a patience later.
    t.at("3700").wakes().does(&[]).next("3700.800");
    t.at("3700.8").wakes().does(&["look at 0"]).sees(Sleeping, 1).does(&[]);
    // It sleeps again, between two looks.
    t.at("3800").wakes().does(&[]).next("3800.800");
}

#[test]
fn a_quarter_of_a_second_late_is_not_asleep() {
    let mut t = Timeline::holding();
    t.at("0.4").hears(BEAT).does(&["service alive"]);
    t.at("1.45").wakes().does(&["look at 0"]);
}
