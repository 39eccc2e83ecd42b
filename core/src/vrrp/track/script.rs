//! `vrrp_script`: when it runs, and what its results mean.

use super::Reading;
use crate::command::ScriptOutcome;
use crate::config::VrrpScript;
use crate::decision::Decision;
use crate::time::Instant;
use crate::vrrp::election::estate::ScriptEstate;
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};

/// One `vrrp_script` that some virtual router tracks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScriptTracker {
    config: VrrpScript,
    up: Option<bool>,
    /// Results in a row that contradict `up`.
    streak: u32,
    running: bool,
    due: Instant,
}

impl ScriptTracker {
    /// It runs for the first time at once.
    pub fn new(config: VrrpScript, now: Instant) -> Self {
        Self { config, up: None, streak: 0, running: false, due: now }
    }

    /// Takes a reloaded configuration and keeps what is known.
    pub fn reconfigure(&mut self, config: VrrpScript, now: Instant) {
        if self.config != config {
            self.due = self.due.min(now + config.interval);
            self.streak = 0;
            self.config = config;
        }
    }

    /// What a successor goes on with. One that runs is run again: its result finds nobody.
    pub fn estate(&self, now: Instant) -> ScriptEstate {
        let due = if self.running { now } else { self.due };
        ScriptEstate { name: self.config.name.clone(), up: self.up, streak: self.streak, due }
    }

    /// A run that is under way is lost: it is due again.
    pub fn forget_run(&mut self, now: Instant) {
        if std::mem::take(&mut self.running) {
            self.due = now;
        }
    }

    /// Goes on with what a predecessor knew.
    pub fn take_up(&mut self, estate: &ScriptEstate, now: Instant) {
        self.up = estate.up;
        self.streak = estate.streak;
        self.due = estate.due.min(now + self.config.interval);
    }

    /// What it has said; unknown until it has ended for the first time.
    pub fn reading(&self) -> Reading {
        self.up.map_or(Reading::Unknown, Reading::of)
    }

    /// What a weight counts with until then: `init_fail` counts as down.
    pub fn presumed(&self) -> Reading {
        if self.config.init_fail { Reading::Down } else { Reading::Unknown }
    }

    /// When it runs next; `None` while it runs.
    pub fn next(&self) -> Option<Instant> {
        (!self.running).then_some(self.due)
    }

    /// Runs it if it is due. One that takes longer than its `interval` never runs twice at a time.
    pub fn wake(&mut self, now: Instant, out: &mut Outbox) {
        if self.running || self.due > now {
            return;
        }
        self.running = true;
        self.due = now + self.config.interval;
        out.push(Effect::RunScript {
            script: self.config.name.clone(),
            command: self.config.command.clone(),
            timeout: self.config.timeout,
        });
    }

    /// Takes a result. The first counts at once, whatever `rise` and `fall` say (so does
    /// keepalived's), since until then nothing is known.
    pub fn finished(&mut self, outcome: &ScriptOutcome, out: &mut Outbox) {
        self.running = false;
        let passed = *outcome == ScriptOutcome::Exited(0);
        let needed = match self.up {
            Some(up) if up == passed => {
                self.streak = 0;
                return;
            }
            Some(true) => self.config.fall,
            Some(false) => self.config.rise,
            None => 1,
        };
        self.streak = self.streak.saturating_add(1);
        if self.streak < needed {
            return;
        }
        let mut why = match outcome {
            ScriptOutcome::Exited(status) => format!("exit status {status}"),
            ScriptOutcome::Killed(signal) => format!("killed by signal {signal}"),
            ScriptOutcome::TimedOut => format!("no end within {:?}", self.config.timeout),
            ScriptOutcome::NotStarted(error) | ScriptOutcome::Short(error) => format!("could not be started: {error}"),
        };
        if self.streak > 1 {
            why += &format!(", {} times in a row", self.streak);
        }
        self.streak = 0;
        self.up = Some(passed);
        out.decide(Decision::ScriptChanged { script: self.config.name.clone(), up: passed, why });
    }
}
