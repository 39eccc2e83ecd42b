//! The supervisor by the clock: what happens to its worker, and what it does about it.

#![allow(clippy::unwrap_used)] // All of it is tests.

#[path = "supervisor/hangs.rs"]
mod hangs;
#[path = "supervisor/upgrade.rs"]
mod upgrade;

use bytes::Bytes;
use std::path::PathBuf;
use vipward_core::datagram::Datagram;
use vipward_core::interface::{AddressKey, InterfaceName};
use vipward_core::machine::LastWill;
use vipward_core::supervisor::ThreadState::{self, Runnable, Sleeping, Stopped, Uninterruptible};
use vipward_core::supervisor::{
    Beginning, Effect, End, Event, Look, Order, Outcome, Report, ServiceState, Supervisor, WorkerId,
};
use vipward_core::time::{Duration, Instant};

/// A supervisor and its clock; `at("1.2").hears(..).does(&[..])`.
struct Timeline {
    supervisor: Supervisor,
    now: Instant,
    effects: Vec<Effect>,
}

impl Timeline {
    fn new() -> Self {
        Self { supervisor: Supervisor::default(), now: Instant::ZERO, effects: Vec::new() }
    }

    /// With a worker that is ready since 0.1 s.
    fn running() -> Self {
        let mut t = Self::new();
        t.at("0").wakes().does(&["start 0"]);
        t.at("0.1").hears(Report::Ready).does(&["service ready"]);
        t
    }

    /// The same, and it is MASTER of one address.
    fn holding() -> Self {
        let mut t = Self::running();
        t.at("0.2").hears(holds(1, 100)).does(&[]);
        t
    }

    fn at(&mut self, seconds: &str) -> &mut Self {
        let seconds: f64 = seconds.parse().unwrap();
        let at = Instant::from_millis((seconds * 1000.0).round() as u64);
        assert!(at >= self.now);
        self.now = at;
        self
    }

    fn event(&mut self, event: Event) -> &mut Self {
        assert!(self.effects.is_empty(), "not looked at: {:?}", self.effects);
        self.effects = self.supervisor.handle(event, self.now);
        self
    }

    fn hears(&mut self, report: Report) -> &mut Self {
        self.hears_of(0, report)
    }

    fn hears_of(&mut self, worker: u32, report: Report) -> &mut Self {
        self.event(Event::Reported { worker: WorkerId(worker), report })
    }

    fn wakes(&mut self) -> &mut Self {
        self.event(Event::Wakeup)
    }

    fn ended(&mut self, worker: u32, end: End) -> &mut Self {
        self.event(Event::Ended { worker: WorkerId(worker), end })
    }

    /// What is seen of worker 0's thread, which has run for so many milliseconds in its life.
    fn sees(&mut self, state: ThreadState, ran: u64) -> &mut Self {
        let look = Look { state, ran: Duration::from_millis(ran) };
        self.event(Event::Looked { worker: WorkerId(0), look: Some(look) })
    }

    /// It is silent, looked at twice, and hangs, at 0.2 s and then. What comes of it.
    #[track_caller]
    fn hangs_at(&mut self, first: &str, second: &str) -> &mut Self {
        self.at(first).wakes().does(&["look at 0"]).sees(Sleeping, 1).does(&[]);
        self.at(second).wakes().does(&["look at 0"]).sees(Sleeping, 1)
    }

    #[track_caller]
    fn does(&mut self, expected: &[&str]) -> &mut Self {
        let effects = std::mem::take(&mut self.effects);
        assert_eq!(effects.iter().map(words).collect::<Vec<_>>(), expected, "at {}", self.now);
        self
    }

    /// When it wants to be woken.
    #[track_caller]
    fn next(&mut self, seconds: &str) -> &mut Self {
        let next = self.supervisor.next_wakeup().map(|at| at.to_string());
        assert_eq!(next.as_deref(), Some(seconds));
        self
    }
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::Start(worker, Beginning::Usual) => format!("start {}", worker.0),
        Effect::Start(worker, Beginning::AfterFarewell) => format!("start {} after a farewell", worker.0),
        Effect::Start(worker, Beginning::Successor) => format!("start successor {}", worker.0),
        Effect::Introduce { old, successor } => format!("introduce {} to {}", old.0, successor.0),
        Effect::Answer { client, answer: Ok(()) } => format!("answer {client}: done"),
        Effect::Answer { client, answer: Err(why) } => format!("answer {client}: {why}"),
        Effect::Renew => "renew".to_owned(),
        Effect::HandClient { client, worker } => format!("hand client {client} to {}", worker.0),
        Effect::Tell { worker, order: Order::Status } => format!("tell {} of a question", worker.0),
        Effect::Tell { worker, order: Order::HandOver } => format!("tell {} to hand over", worker.0),
        Effect::Tell { worker, order: Order::Inherit } => format!("tell {} to inherit", worker.0),
        Effect::Tell { worker, order: Order::TakeBack } => format!("tell {} to take back", worker.0),
        Effect::Tell { worker, order: Order::Retire } => format!("tell {} to retire", worker.0),
        Effect::Tell { worker, order: Order::Stop } => format!("tell {} to stop", worker.0),
        Effect::Tell { worker, order: Order::Reload { number } } => format!("tell {} to reload, {number}", worker.0),
        Effect::Look(worker) => format!("look at {}", worker.0),
        Effect::Kill(worker) => format!("kill {}", worker.0),
        Effect::Farewell(last_will) => {
            let ttls = last_will.datagrams.iter().map(|datagram| datagram.ttl.to_string());
            let addresses = last_will.addresses.iter().map(|address| address.address.to_string());
            format!("farewell {}", ttls.chain(addresses).collect::<Vec<_>>().join(" "))
        }
        Effect::KeepEvidence { record } => format!("keep {}", record.display()),
        Effect::ServiceState(ServiceState::Ready) => "service ready".to_owned(),
        Effect::ServiceState(ServiceState::Reloading) => "service reloading".to_owned(),
        Effect::ServiceState(ServiceState::Stopping) => "service stopping".to_owned(),
        Effect::ServiceState(ServiceState::Alive) => "service alive".to_owned(),
        Effect::ServiceState(ServiceState::Down { restart_in }) => {
            format!("service down for {} ms", restart_in.as_millis())
        }
        Effect::Say(saying) => saying.to_string(),
        Effect::Exit(Outcome::Same(status)) => format!("exit {status}"),
        Effect::Exit(Outcome::Failed) => "exit failed".to_owned(),
    }
}

/// A share of one datagram (its TTL tells it from others) and one address.
fn holds(share: u32, host: u8) -> Report {
    let eth0 = InterfaceName::new("eth0");
    let address = |host| std::net::IpAddr::from([10, 0, 0, host]);
    let datagram = Datagram {
        interface: eth0.clone(),
        source: address(5),
        destination: address(9),
        ttl: u8::try_from(share).unwrap(),
        payload: Bytes::from_static(b"goodbye"),
    };
    let addresses = vec![AddressKey { interface: eth0, address: address(host), prefix_len: 24 }];
    Report::LastWill {
        share,
        first: true,
        part: LastWill { datagrams: vec![datagram], addresses, ..LastWill::default() },
    }
}

fn holds_nothing(share: u32) -> Report {
    Report::LastWill { share, first: true, part: LastWill::default() }
}

const BEAT: Report = Report::Alive { effects: 0 };
const SIGKILL: End = End::Killed(9);

#[test]
fn a_worker_that_is_killed_is_spoken_for_at_once_and_replaced() {
    let mut t = Timeline::holding();
    t.at("1").hears(BEAT).does(&["service alive"]);
    t.at("1.1").ended(0, SIGKILL).does(&[
        "farewell 1 10.0.0.100",
        "the worker was killed by SIGKILL after 1.1 s",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
    t.next("1.200").at("1.199").wakes().does(&[]);
    t.at("1.2").wakes().does(&["start 1 after a farewell"]);
    t.at("1.3").hears_of(1, Report::Ready).does(&["service ready"]);
    t.ended(1, End::Killed(11)).does(&[
        "the worker was killed by SIGSEGV after 0.1 s",
        "the next worker starts in 0.2 s",
        "service down for 200 ms",
    ]);
}

#[test]
fn an_exit_that_nobody_asked_for_is_a_death_like_any_other() {
    Timeline::holding().at("1").ended(0, End::Exited(0)).does(&[
        "farewell 1 10.0.0.100",
        "the worker exited with status 0 after 1.0 s",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
}

#[test]
fn the_back_off_doubles_up_to_ten_seconds_and_begins_anew_after_a_long_life() {
    let mut t = Timeline::running();
    let mut pauses = Vec::new();
    for worker in 0..9 {
        let at = format!("{:.1}", (t.now + Duration::from_millis(100)).since_origin().as_secs_f64());
        t.at(&at).ended(worker, SIGKILL);
        let Some(Effect::ServiceState(ServiceState::Down { restart_in })) = t.effects.pop() else { panic!() };
        t.effects.clear();
        pauses.push(restart_in.as_millis());
        let at = format!("{:.1}", (t.now + restart_in).since_origin().as_secs_f64());
        t.at(&at).wakes().does(&[&format!("start {}", worker + 1)]);
    }
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    t.hears_of(9, Report::Ready).does(&["service ready"]);
    let long = format!("{:.1}", (t.now + Duration::from_secs(60)).since_origin().as_secs_f64());
    t.at(&long).ended(9, SIGKILL);
    assert!(t.effects.contains(&Effect::ServiceState(ServiceState::Down { restart_in: Duration::from_millis(100) })));
}

#[test]
fn a_worker_that_says_at_its_first_start_what_it_lacks_ends_the_supervisor_with_its_status() {
    let mut t = Timeline::new();
    t.at("0").wakes().does(&["start 0"]);
    t.at("0.1").ended(0, End::Exited(2)).does(&["exit 2"]);
}

/// A fault of its own, and not of the configuration.
#[test]
fn a_worker_that_is_killed_at_its_first_start_is_replaced() {
    let mut t = Timeline::new();
    t.at("0").wakes().does(&["start 0"]);
    t.at("0.1").ended(0, End::Killed(11)).does(&[
        "the worker was killed by SIGSEGV after 0.1 s",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
}

#[test]
fn a_later_worker_that_can_not_start_is_tried_again() {
    let mut t = Timeline::running();
    t.at("1").ended(0, SIGKILL).does(&[
        "the worker was killed by SIGKILL after 1.0 s",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
    t.at("1.1").wakes().does(&["start 1"]);
    // Somebody broke the configuration meanwhile.
    t.at("1.2").ended(1, End::Exited(2)).does(&[
        "the worker exited with status 2 after 0.1 s",
        "the next worker starts in 0.2 s",
        "service down for 200 ms",
    ]);
    t.at("1.4").wakes().does(&["start 2"]);
    let error = "/usr/sbin/vipward: No such file or directory".to_owned();
    t.event(Event::NotStarted { worker: WorkerId(2), error }).does(&[
        "the worker could not be started: /usr/sbin/vipward: No such file or directory",
        "the next worker starts in 0.4 s",
        "service down for 400 ms",
    ]);
}

#[test]
fn a_worker_that_is_never_ready_is_replaced_after_half_a_minute() {
    let mut t = Timeline::new();
    t.at("0").wakes().does(&["start 0"]);
    t.at("0.1").hears(BEAT).does(&[]).next("30.000");
    t.at("30").wakes().does(&[
        "kill 0",
        "the worker was not ready after 30 s; killed",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
}

#[test]
fn a_stop_is_the_workers_and_its_status_is_the_supervisors() {
    let mut t = Timeline::holding();
    t.at("1").event(Event::Stop).does(&["service stopping", "tell 0 to stop"]);
    t.hears(holds_nothing(1)).does(&[]);
    // It waits for notify scripts, in silence.
    t.next("13.000").at("6").wakes().does(&[]);
    t.ended(0, End::Exited(0)).does(&["exit 0"]);
}

#[test]
fn a_worker_that_does_not_stop_is_killed() {
    let mut t = Timeline::running();
    t.at("1").event(Event::Stop).does(&["service stopping", "tell 0 to stop"]);
    t.at("13").wakes().does(&["kill 0", "the worker did not stop within 12 s; killed", "exit failed"]);
}

#[test]
fn a_worker_that_hangs_when_it_is_told_to_stop_is_spoken_for_after_a_second() {
    let mut t = Timeline::holding();
    t.at("0.9").event(Event::Stop).does(&["service stopping", "tell 0 to stop"]);
    t.hangs_at("1", "1.2").does(&[
        "kill 0",
        "farewell 1 10.0.0.100",
        "the worker hangs: not a word from it for 1.0 s; killed",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "exit failed",
    ]);
}

#[test]
fn a_worker_that_dies_while_it_stops_is_spoken_for_and_not_replaced() {
    let mut t = Timeline::holding();
    t.at("1").event(Event::Stop).does(&["service stopping", "tell 0 to stop"]);
    t.at("1.1").ended(0, SIGKILL).does(&[
        "farewell 1 10.0.0.100",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "exit failed",
    ]);
}

#[test]
fn the_second_stop_is_at_once() {
    let mut t = Timeline::holding();
    t.at("1").event(Event::Stop).does(&["service stopping", "tell 0 to stop"]);
    // A terminal and a service manager at the same time mean the same.
    t.event(Event::Stop).does(&[]).at("1.1").event(Event::Stop).does(&[]);
    t.hears(BEAT).does(&["service alive"]);
    t.at("2").event(Event::Stop).does(&[
        "kill 0",
        "farewell 1 10.0.0.100",
        "stopped at once, on the second signal",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "exit failed",
    ]);
}

#[test]
fn a_stop_between_two_workers_is_the_end() {
    let mut t = Timeline::running();
    t.at("1").ended(0, SIGKILL).effects.clear();
    t.event(Event::Stop).does(&["service stopping", "exit 0"]);
}

#[test]
fn a_reload_is_the_workers_and_the_service_manager_hears_of_both_ends() {
    let mut t = Timeline::holding();
    t.at("1").event(SIGHUP).does(&["service reloading", "tell 0 to reload, 1"]);
    t.at("1.1").hears(reloaded(1)).does(&["service ready"]);
}

#[test]
fn who_asks_for_a_reload_hears_what_came_of_it() {
    let mut t = Timeline::holding();
    t.at("1").event(reload(7)).does(&["service reloading", "tell 0 to reload, 1"]);
    t.event(reload(8)).does(&["service reloading", "tell 0 to reload, 2"]);
    // What was read for the first may be older than what the second wants.
    t.at("1.1").hears(reloaded(1)).does(&["service ready", "answer 7: done"]);
    t.hears(not_reloaded(2, "a.conf:3:1: unknown word")).does(&["service ready", "answer 8: a.conf:3:1: unknown word"]);
    // One verdict may answer for several.
    t.event(reload(9)).does(&["service reloading", "tell 0 to reload, 3"]);
    t.event(reload(10)).does(&["service reloading", "tell 0 to reload, 4"]);
    t.hears(reloaded(4)).does(&["service ready", "answer 9: done", "answer 10: done"]);
}

#[test]
fn who_asks_for_a_reload_hears_that_nobody_can_answer() {
    let mut t = Timeline::running();
    t.at("0.5").event(reload(7)).does(&["service reloading", "tell 0 to reload, 1"]);
    t.at("1").ended(0, SIGKILL).does(&[
        "the worker was killed by SIGKILL after 1.0 s",
        "answer 7: the running process died meanwhile",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
    t.event(reload(8)).does(&["answer 8: no worker runs now: it is being started again"]);
    let mut t = Timeline::running();
    t.at("1").event(reload(7)).does(&["service reloading", "tell 0 to reload, 1"]);
    t.event(Event::Stop).does(&["service stopping", "answer 7: the director stops", "tell 0 to stop"]);
    t.event(reload(8)).does(&["answer 8: the director stops"]);
}

const SIGHUP: Event = Event::Reload { client: None };

fn reload(client: u64) -> Event {
    Event::Reload { client: Some(client) }
}

fn reloaded(number: u32) -> Report {
    Report::Reloaded { number, refused: None }
}

fn not_reloaded(number: u32, why: &str) -> Report {
    Report::Reloaded { number, refused: Some(why.to_owned()) }
}

#[test]
fn shares_change_one_by_one_and_large_ones_come_in_parts() {
    let mut t = Timeline::holding();
    t.at("0.3").hears(holds(2, 102)).does(&[]);
    t.hears(holds(3, 103)).does(&[]);
    let Report::LastWill { part, .. } = holds(4, 104) else { panic!() };
    t.hears(Report::LastWill { share: 3, first: false, part }).does(&[]);
    t.hears(holds(1, 101)).does(&[]).hears(holds_nothing(2)).does(&[]);
    t.ended(0, SIGKILL);
    assert_eq!(words(&t.effects[0]), "farewell 1 3 4 10.0.0.101 10.0.0.103 10.0.0.104");
}

#[test]
fn what_was_recorded_is_kept_before_the_next_worker_records() {
    let mut t = Timeline::new();
    t.at("0").wakes().does(&["start 0"]);
    t.hears(Report::Records(PathBuf::from("/var/log/lb1.pcapng"))).does(&[]);
    t.hears(Report::Ready).does(&["service ready"]);
    t.at("1").ended(0, SIGKILL).does(&[
        "the worker was killed by SIGKILL after 1.0 s",
        "keep /var/log/lb1.pcapng",
        "the next worker starts in 0.1 s",
        "service down for 100 ms",
    ]);
    t.at("1.1").wakes().does(&["start 1"]);
    // This one had not begun to record.
    t.at("1.2").ended(1, SIGKILL).does(&[
        "the worker was killed by SIGKILL after 0.1 s",
        "the next worker starts in 0.2 s",
        "service down for 200 ms",
    ]);
}

#[test]
fn a_worker_of_another_version_ends_all_so_that_both_are_started_anew() {
    let mut t = Timeline::holding();
    t.at("1").event(Event::NotUnderstood { worker: WorkerId(0) }).does(&[
        "kill 0",
        "farewell 1 10.0.0.100",
        "in its name: farewells sent: 1, addresses taken off: 1",
        "exit failed",
    ]);
}

#[test]
fn the_service_manager_hears_of_life_once_a_second_and_only_from_a_worker_that_is_ready() {
    let mut t = Timeline::new();
    t.at("0").wakes().does(&["start 0"]);
    t.hears(BEAT).does(&[]).hears(Report::Ready).does(&["service ready"]);
    t.at("0.1").hears(BEAT).does(&["service alive"]);
    t.at("0.3").hears(BEAT).does(&[]);
    t.at("1.1").hears(BEAT).does(&["service alive"]);
}
