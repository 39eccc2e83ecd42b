//! One checker of one real server (keepalived.conf(5): TCP_CHECK, HTTP_GET and the words common to all checkers).
//!
//! A pure machine: it says when its next probe is due, starts it, and takes the verdict. Every pause is counted from
//! the end of the attempt before it, as keepalived 2.2.7 does, and there is never more than one attempt under way.
//!
//! | situation | next probe after |
//! |---|---|
//! | passed | `delay_loop` |
//! | failed, tries left | `delay_before_retry` |
//! | failed for good, or failed while down | `delay_loop` |
//! | passed while down, more URLs to pass, `fast_recovery` | at once |
//!
//! A real server that has passed a probe falls after `retry` + 1 failures in a row. One that is only assumed to be up,
//! because no probe has ended yet, falls with the first failure.
//!
//! Several URLs are fetched in turn, one at each probe. A failing URL is tried again until it passes or the server is
//! down. A server that is down rises when each of its URLs has passed, in one run without a failure between.
//! (keepalived 2.2.7 begins that run anew after its first good fetch, so that a single URL must pass twice, a whole
//! `delay_loop` apart. The manual does not ask for it, and it only keeps a good server out longer.)
//!
//! What this means for a server that flaps: it can't rise sooner than one `delay_loop` after it fell, and it can't fall
//! sooner than `delay_loop` + `retry` x `delay_before_retry` after it rose, whatever the network does.

use crate::config::{CheckerConfig, CheckerKind};
use crate::probe::{Failure, Probe, ProbeId, ProbeKind, Verdict};
use crate::time::{Duration, Instant};

/// The reader refuses a `delay_loop` of zero. Should one come by another way, it must not stop the time.
const SHORTEST_DELAY_LOOP: Duration = Duration::from_millis(1);

/// One checker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checker {
    config: CheckerConfig,
    health: Health,
    /// Position of the URL that is fetched next; 0 for a kind without URLs.
    url: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// The next `tries_left` failures in a row are forgiven.
    Up { tries_left: u32 },
    /// `passed` URLs in a row are good again.
    Down { passed: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Checker {
    /// A checker whose first probe is due at `first`.
    pub fn new(config: CheckerConfig, start: Start, first: Instant) -> Self {
        let health = match start {
            Start::Assumed => Health::Up { tries_left: 0 },
            Start::Proven => Health::Up { tries_left: config.retry },
            Start::Down => Health::Down { passed: 0 },
        };
        Self { config, health, url: 0, phase: Phase::Waiting { until: first } }
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
        let kind = match &self.config.kind {
            CheckerKind::Tcp => ProbeKind::Connect,
            CheckerKind::Http { urls, http_version, .. } => {
                ProbeKind::HttpGet { url: urls.get(self.url)?.clone(), version: *http_version }
            }
        };
        self.phase = Phase::Probing(id);
        Some(Probe { target: self.config.target, timeout: self.config.connect_timeout, kind })
    }

    /// The attempt `id` ended. `None`: it is not the one under way, and nothing changes.
    pub fn finish(&mut self, id: ProbeId, verdict: Verdict, now: Instant) -> Option<Outcome> {
        if self.phase != Phase::Probing(id) {
            return None;
        }
        let (outcome, pause) = match verdict {
            Verdict::Passed => self.passed(),
            Verdict::Failed(failure) => self.failed(failure),
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

    fn passed(&mut self) -> (Outcome, Duration) {
        let urls = self.urls();
        self.url = (self.url + 1) % urls;
        match self.health {
            Health::Up { .. } => {
                self.health = Health::Up { tries_left: self.config.retry };
                (Outcome::Passed, self.delay_loop())
            }
            Health::Down { passed } if passed + 1 < urls => {
                self.health = Health::Down { passed: passed + 1 };
                (Outcome::StillDown, if self.fast_recovery() { Duration::ZERO } else { self.delay_loop() })
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

    fn urls(&self) -> usize {
        match &self.config.kind {
            CheckerKind::Tcp => 1,
            CheckerKind::Http { urls, .. } => urls.len().max(1),
        }
    }

    fn fast_recovery(&self) -> bool {
        match &self.config.kind {
            CheckerKind::Tcp => false,
            CheckerKind::Http { fast_recovery, .. } => *fast_recovery,
        }
    }

    fn delay_loop(&self) -> Duration {
        self.config.delay_loop.max(SHORTEST_DELAY_LOOP)
    }
}
