//! One checker of one real server (keepalived.conf(5): the words common to all checkers). What kinds there are, and what
//! each does, is in [`crate::check`].
//!
//! A pure machine: it says when its next probe is due, starts it, and takes the verdict. Every pause is counted from
//! the end of the attempt before it, as keepalived 2.2.7 does, and there is never more than one attempt under way.
//!
//! | situation | next probe after |
//! |---|---|
//! | passed | `delay_loop` |
//! | failed, tries left | `delay_before_retry` |
//! | failed for good, or failed while down | `delay_loop` |
//! | passed while down, more steps to pass, `fast_recovery` | at once |
//! | not asked, for want of something here | 1, 2, 4 s and so on, but no longer than `delay_loop` |
//!
//! An attempt that could not be made says nothing about the real server: health, step and tries stay as they are.
//!
//! A real server that has passed a probe falls after `retry` + 1 failures in a row. One that is only assumed to be up,
//! because no probe has ended yet, falls with the first failure.
//!
//! A kind may have several steps (HTTP_GET: its URLs), one at each probe, in turn. A failing step is tried again until it
//! passes or the server is down. A server that is down rises when each step has passed, in one run without a failure
//! between.
//! (keepalived 2.2.7 begins that run anew after its first good fetch, so that a single URL must pass twice, a whole
//! `delay_loop` apart. The manual does not ask for it, and it only keeps a good server out longer.)
//!
//! What this means for a server that flaps: it can't rise sooner than one `delay_loop` after it fell, and it can't fall
//! sooner than `delay_loop` + `retry` x `delay_before_retry` after it rose, whatever the network does.

use crate::check::{Failure, Probe, ProbeId, Shortage, Verdict};
use crate::config::CheckerConfig;
use crate::health::estate::{CheckerEstate, fingerprint};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// The reader refuses a `delay_loop` of zero. Should one come by another way, it must not stop the time.
const SHORTEST_DELAY_LOOP: Duration = Duration::from_millis(1);

/// After the first attempt of a row that could not be made; twice as long after each more.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What is overdue by no more than this was only handed from one process to the next.
const TIMELY: Duration = Duration::from_secs(1);

/// One checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checker {
    config: CheckerConfig,
    health: Health,
    /// The step of the next probe.
    step: usize,
    phase: Phase,
    /// How many attempts in a row could not be made.
    #[serde(default)]
    unasked: u32,
    /// What it last said the real server's weight is, if it did.
    #[serde(default)]
    weight: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Health {
    /// The next `tries_left` failures in a row are forgiven.
    Up { tries_left: u32 },
    /// `passed` steps in a row are good again.
    Down { passed: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Waiting { until: Instant },
    Probing(ProbeId),
}

/// How a checker begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is known yet: up, but the first failure counts.
    Assumed,
    /// Up, by what was known before a reload changed this checker.
    Proven,
    /// `alpha`, or down by what was known before a reload: down until it has passed.
    Down,
}

/// What a verdict meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Up, and it passed.
    Passed,
    /// Up, and it failed; `tries_left` more failures before it is down.
    Forgiven { failure: Failure, tries_left: u32 },
    /// It is down from now on.
    Fell(Failure),
    /// It is up from now on.
    Rose,
    /// It was down and still is.
    StillDown,
    /// Nothing: it could not be asked.
    NotAsked(Shortage),
}

impl Checker {
    /// A checker whose first probe is due at `first`.
    pub fn new(config: CheckerConfig, start: Start, first: Instant) -> Self {
        let health = match start {
            Start::Assumed => Health::Up { tries_left: 0 },
            Start::Proven => Health::Up { tries_left: config.retry },
            Start::Down => Health::Down { passed: 0 },
        };
        Self { config, health, step: 0, phase: Phase::Waiting { until: first }, unasked: 0, weight: None }
    }

    /// What a successor goes on with.
    pub fn estate(&self, now: Instant) -> CheckerEstate {
        let (up, count) = match self.health {
            Health::Up { tries_left } => (true, tries_left),
            Health::Down { passed } => (false, u32::try_from(passed).unwrap_or(u32::MAX)),
        };
        let url = u32::try_from(self.step).unwrap_or(0);
        let (settings, due) = (fingerprint(&self.config), self.due().unwrap_or(now));
        CheckerEstate { settings, up, count, url, due, weight: self.weight }
    }

    /// Goes on with what a predecessor knew under the same settings. If its next probe is overdue by more than
    /// [`TIMELY`], nobody watched the real server meanwhile: its first probe comes at `first`, as at a start, and if it is
    /// thought to be up the first failure counts.
    pub fn take_up(config: CheckerConfig, left: &CheckerEstate, first: Instant, now: Instant) -> Self {
        let timely = now.since(left.due) <= TIMELY;
        let passed = usize::try_from(left.count).unwrap_or(0);
        let mut checker = Self::new(config, Start::Down, first);
        let steps = checker.config.kind.steps();
        checker.weight = left.weight;
        checker.step = usize::try_from(left.url).unwrap_or(0) % steps;
        checker.health = match (left.up, timely) {
            (true, true) => Health::Up { tries_left: left.count.min(checker.config.retry) },
            (true, false) => Health::Up { tries_left: 0 },
            (false, _) => Health::Down { passed: passed.min(steps - 1) },
        };
        if timely {
            let latest = now + checker.delay_loop().max(checker.config.delay_before_retry);
            checker.phase = Phase::Waiting { until: left.due.min(latest) };
        }
        checker
    }

    /// Its settings.
    pub fn config(&self) -> &CheckerConfig {
        &self.config
    }

    /// Whether the real server is good as far as this checker knows.
    pub fn is_up(&self) -> bool {
        match self.health {
            Health::Up { .. } => true,
            Health::Down { .. } => false,
        }
    }

    /// What it says the real server's weight is.
    pub fn weight(&self) -> Option<u32> {
        self.weight
    }

    /// When the next probe is due; `None` while one is under way.
    pub fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Probing(_) => None,
        }
    }

    /// The attempt under way.
    pub fn under_way(&self) -> Option<ProbeId> {
        match self.phase {
            Phase::Waiting { .. } => None,
            Phase::Probing(id) => Some(id),
        }
    }

    /// Starts the attempt `id`, if one is due.
    pub fn begin(&mut self, id: ProbeId, now: Instant) -> Option<Probe> {
        self.due().filter(|due| *due <= now)?;
        let kind = self.config.kind.attempt(self.step);
        self.phase = Phase::Probing(id);
        let CheckerConfig { target, from, connect_timeout, .. } = &self.config;
        Some(Probe { target: *target, from: from.clone(), timeout: *connect_timeout, kind, random: 0 })
    }

    /// The attempt `id` ended. `None`: it is not the one under way, and nothing changes.
    pub fn finish(&mut self, id: ProbeId, verdict: Verdict, now: Instant) -> Option<Outcome> {
        if self.phase != Phase::Probing(id) {
            return None;
        }
        let row = std::mem::take(&mut self.unasked);
        let (outcome, pause) = match verdict {
            Verdict::Passed => {
                self.weight = None;
                self.passed()
            }
            Verdict::Weighs(weight) => {
                self.weight = Some(weight);
                self.passed()
            }
            Verdict::Failed(failure) => self.failed(failure),
            Verdict::NotAsked(shortage) => {
                self.unasked = row.saturating_add(1);
                let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(row).unwrap_or(u32::MAX));
                (Outcome::NotAsked(shortage), pause.min(self.delay_loop()).max(FIRST_PAUSE))
            }
        };
        self.phase = Phase::Waiting { until: now + pause };
        Some(outcome)
    }

    /// The attempt `id` could not even be started; that says nothing about the real server. It is due again at `again`.
    pub fn postpone(&mut self, id: ProbeId, again: Instant) -> bool {
        let ours = self.phase == Phase::Probing(id);
        if ours {
            self.phase = Phase::Waiting { until: again };
        }
        ours
    }

    /// Nobody has watched the real server for a while: its next probe comes at `first`, and if it is thought to be up the
    /// first failure counts.
    pub fn watch_again(&mut self, first: Instant) {
        self.phase = Phase::Waiting { until: first };
        if let Health::Up { tries_left } = &mut self.health {
            *tries_left = 0;
        }
    }

    fn passed(&mut self) -> (Outcome, Duration) {
        let steps = self.config.kind.steps();
        self.step = (self.step + 1) % steps;
        match self.health {
            Health::Up { .. } => {
                self.health = Health::Up { tries_left: self.config.retry };
                (Outcome::Passed, self.delay_loop())
            }
            Health::Down { passed } if passed + 1 < steps => {
                self.health = Health::Down { passed: passed + 1 };
                (Outcome::StillDown, if self.config.kind.hurries() { Duration::ZERO } else { self.delay_loop() })
            }
            Health::Down { .. } => {
                self.health = Health::Up { tries_left: self.config.retry };
                (Outcome::Rose, self.delay_loop())
            }
        }
    }

    fn failed(&mut self, failure: Failure) -> (Outcome, Duration) {
        match self.health {
            Health::Up { tries_left: 0 } => {
                self.health = Health::Down { passed: 0 };
                (Outcome::Fell(failure), self.delay_loop())
            }
            Health::Up { tries_left } => {
                self.health = Health::Up { tries_left: tries_left - 1 };
                (Outcome::Forgiven { failure, tries_left }, self.config.delay_before_retry)
            }
            Health::Down { .. } => {
                self.health = Health::Down { passed: 0 };
                (Outcome::StillDown, self.delay_loop())
            }
        }
    }

    fn delay_loop(&self) -> Duration {
        self.config.delay_loop.max(SHORTEST_DELAY_LOOP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{UrlCheck, http, tcp};
    use crate::config::{CheckerKind, Places};
    use crate::ipvs::{Protocol, ServiceKey, VirtualServerId};
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn config(urls: usize) -> CheckerConfig {
        let url = |n| UrlCheck { path: format!("/{n}"), ..UrlCheck::default() };
        let kind = match urls {
            0 => tcp::Settings.into(),
            n => http::Settings { urls: (1..=n).map(url).collect(), ..http::Settings::default() }.into(),
        };
        CheckerConfig {
            kind,
            target: SocketAddr::from(([192, 0, 2, 1], 80)),
            from: Default::default(),
            connect_timeout: Duration::from_secs(3),
            retry: 2,
            delay_before_retry: Duration::from_secs(1),
            delay_loop: Duration::from_secs(6),
            warmup: Duration::ZERO,
            alpha: false,
            places: Places::default(),
        }
    }

    fn id(attempt: u64) -> ProbeId {
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let service = VirtualServerId::of_entry(ServiceKey::Address { protocol: Protocol::Tcp, address });
        ProbeId { service, server: SocketAddr::from(([192, 0, 2, 1], 80)), checker: 0, attempt }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn nothing_begins_before_it_is_due_nor_while_an_attempt_is_under_way() {
        let mut checker = Checker::new(config(0), Start::Assumed, at(5));
        assert_eq!(checker.begin(id(0), at(4)), None);
        assert!(checker.begin(id(0), at(5)).is_some());
        assert_eq!((checker.due(), checker.begin(id(1), at(60))), (None, None));
        assert_eq!(checker.finish(id(1), Verdict::Passed, at(60)), None, "not the one under way");
        assert_eq!(checker.finish(id(0), Verdict::Passed, at(61)), Some(Outcome::Passed));
        assert_eq!(checker.due(), Some(at(67)), "delay_loop after the end");
        assert_eq!(checker.finish(id(0), Verdict::Failed(Failure::Refused), at(62)), None, "a second verdict");
    }

    #[test]
    fn without_retries_the_first_failure_counts() {
        let mut checker = Checker::new(CheckerConfig { retry: 0, ..config(0) }, Start::Proven, at(0));
        checker.begin(id(0), at(0));
        let outcome = checker.finish(id(0), Verdict::Failed(Failure::Refused), at(0));
        assert_eq!(outcome, Some(Outcome::Fell(Failure::Refused)));
    }

    #[test]
    fn a_failure_between_the_urls_begins_the_run_anew() {
        let mut checker = Checker::new(config(3), Start::Down, at(0));
        let mut now = at(0);
        let mut rose = Vec::new();
        for (attempt, good) in (0..).zip([true, true, false, true, true, true]) {
            checker.begin(id(attempt), now);
            let verdict = if good { Verdict::Passed } else { Verdict::Failed(Failure::Refused) };
            rose.push(checker.finish(id(attempt), verdict, now) == Some(Outcome::Rose));
            now = checker.due().unwrap();
        }
        assert_eq!(rose, [false, false, false, false, false, true]);
    }

    #[test]
    fn what_could_not_be_asked_changes_nothing_and_is_asked_again_soon_and_then_less_often() {
        let not_asked = Verdict::NotAsked(Shortage::Descriptors);
        let mut checker = Checker::new(config(2), Start::Down, at(0));
        checker.begin(id(0), at(0));
        checker.finish(id(0), Verdict::Passed, at(0));
        let (mut now, mut pauses) = (checker.due().unwrap(), Vec::new());
        for attempt in 1..=6 {
            let probe = checker.begin(id(attempt), now).unwrap();
            assert_eq!(probe.kind.about(), "/2", "the step stays");
            let outcome = checker.finish(id(attempt), not_asked.clone(), now);
            assert_eq!(outcome, Some(Outcome::NotAsked(Shortage::Descriptors)));
            pauses.push(checker.due().unwrap().since(now).as_secs());
            now = checker.due().unwrap();
        }
        assert_eq!(pauses, [1, 2, 4, 6, 6, 6], "no longer than delay_loop");
        checker.begin(id(7), now);
        assert_eq!(checker.finish(id(7), Verdict::Passed, now), Some(Outcome::Rose), "the run goes on");
        now = checker.due().unwrap();
        checker.begin(id(8), now);
        checker.finish(id(8), Verdict::Failed(Failure::Refused), now);
        now = checker.due().unwrap();
        checker.begin(id(9), now);
        checker.finish(id(9), not_asked, now);
        assert_eq!(checker.due(), Some(now + Duration::from_secs(1)), "a new row");
        let now = checker.due().unwrap();
        checker.begin(id(10), now);
        let outcome = checker.finish(id(10), Verdict::Failed(Failure::Refused), now);
        assert_eq!(outcome, Some(Outcome::Forgiven { failure: Failure::Refused, tries_left: 1 }), "the tries stay");
    }

    /// No setting stops the time: a wake-up always lies ahead after a verdict that ends a round.
    #[test]
    fn a_delay_loop_of_zero_is_not_zero() {
        let mut checker = Checker::new(CheckerConfig { delay_loop: Duration::ZERO, ..config(0) }, Start::Proven, at(0));
        checker.begin(id(0), at(0));
        checker.finish(id(0), Verdict::Passed, at(0));
        assert!(checker.due() > Some(at(0)));
    }

    proptest! {
        /// The bound in the module's documentation: however the network behaves, the table can't flap faster than the
        /// settings say.
        #[test]
        fn a_flapping_server_changes_its_state_no_faster_than_its_settings_say(
            urls in 0..3_usize,
            retry in 0..4_u32,
            delay_before_retry in 0..5_u64,
            delay_loop in 1..10_u64,
            fast_recovery: bool,
            start in prop_oneof![Just(Start::Assumed), Just(Start::Proven), Just(Start::Down)],
            answers in prop::collection::vec((prop::option::weighted(0.8, any::<bool>()), 0..3000_u64), 1..200),
        ) {
            let mut config = config(urls);
            if let CheckerKind::Http(http) = &mut config.kind {
                http.fast_recovery = fast_recovery;
            }
            let config = CheckerConfig {
                retry,
                delay_before_retry: Duration::from_secs(delay_before_retry),
                delay_loop: Duration::from_secs(delay_loop),
                ..config
            };
            let before_rise = config.delay_loop;
            let before_fall = config.delay_loop + config.delay_before_retry * retry;
            let mut checker = Checker::new(config, start, Instant::ZERO);
            let mut changed: Option<Instant> = None;
            for (attempt, (good, millis)) in (0..).zip(answers) {
                let begun = checker.due().unwrap();
                prop_assert!(checker.begin(id(attempt), begun).is_some());
                let now = begun + Duration::from_millis(millis);
                let was_up = checker.is_up();
                let verdict = match good {
                    Some(true) => Verdict::Passed,
                    Some(false) => Verdict::Failed(Failure::Refused),
                    None => Verdict::NotAsked(Shortage::Ports),
                };
                prop_assert!(checker.finish(id(attempt), verdict, now).is_some());
                prop_assert!(good.is_some() || was_up == checker.is_up());
                if was_up != checker.is_up() {
                    let least = if was_up { before_fall } else { before_rise };
                    let since = changed.map_or(Duration::MAX, |changed| now.since(changed));
                    prop_assert!(since >= least, "changed after {since:?}, allowed is {least:?}");
                    changed = Some(now);
                }
            }
        }
    }
}
