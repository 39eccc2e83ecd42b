//! `vrrp_script` and `track_script`: what a script says, and what that does to a virtual router.

use super::election::estate::ScriptEstate;
use crate::command::ScriptId;
use crate::command::ScriptOutcome;
use crate::config::{TrackWeight, TrackedScript, VirtualRouterConfig, VrrpScript};
use crate::decision::{Decision, PriorityCause};
use crate::quantity::Priority;
use crate::time::Instant;
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

    /// Up or down; `None` until it has ended for the first time.
    pub fn up(&self) -> Option<bool> {
        self.up
    }

    /// What a priority counts with: `init_fail` counts as down before the first result.
    fn weighed(&self) -> Option<bool> {
        self.up.or(self.config.init_fail.then_some(false))
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

    /// Takes a result; true if that changed its state. The first counts at once, whatever `rise` and `fall` say (so does
    /// keepalived's), since until then nothing is known.
    pub fn finished(&mut self, outcome: &ScriptOutcome, out: &mut Outbox) -> bool {
        self.running = false;
        let passed = *outcome == ScriptOutcome::Exited(0);
        let needed = match self.up {
            Some(up) if up == passed => {
                self.streak = 0;
                return false;
            }
            Some(true) => self.config.fall,
            Some(false) => self.config.rise,
            None => 1,
        };
        self.streak = self.streak.saturating_add(1);
        if self.streak < needed {
            return false;
        }
        let mut why = match outcome {
            ScriptOutcome::Exited(status) => format!("exit status {status}"),
            ScriptOutcome::Killed(signal) => format!("killed by signal {signal}"),
            ScriptOutcome::TimedOut => format!("no end within {:?}", self.config.timeout),
            ScriptOutcome::NotStarted(error) => format!("could not be started: {error}"),
        };
        if self.streak > 1 {
            why += &format!(", {} times in a row", self.streak);
        }
        self.streak = 0;
        self.up = Some(passed);
        out.decide(Decision::ScriptChanged { script: self.config.name.clone(), up: passed, why });
        true
    }
}

/// All of them, by name.
pub type Scripts = BTreeMap<ScriptId, ScriptTracker>;

/// What a script's state means for one router that tracks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Weight 0, and it says no: FAULT.
    Fault,
    /// Weight 0, and it has not ended yet.
    Unknown,
    /// This is added to the priority.
    Adds(i16),
}

/// A positive weight is added while the script is up, a negative one while it is down; `reverse` turns the change round
/// (keepalived 2.2.7: `weight 20 reverse` takes 20 off while it is up). Weight 0: down means FAULT, reversed: up does.
pub fn verdict(tracker: Option<&ScriptTracker>, TrackWeight { weight, reverse }: TrackWeight) -> Verdict {
    let Some(tracker) = tracker else { return Verdict::Adds(0) };
    match (weight, tracker.up()) {
        (0, None) => Verdict::Unknown,
        (0, Some(up)) => {
            if up == reverse {
                Verdict::Fault
            } else {
                Verdict::Adds(0)
            }
        }
        (weight, _) => {
            let counts = tracker.weighed().is_some_and(|up| up == (weight > 0));
            let added = if counts { weight } else { 0 };
            Verdict::Adds(if reverse { -added } else { added })
        }
    }
}

/// A router's effective priority: 1..=254, unless it is the address owner, whose 255 nothing changes.
pub fn effective_priority(config: &VirtualRouterConfig, scripts: &Scripts) -> Priority {
    if config.priority == Priority::OWNER {
        return Priority::OWNER;
    }
    let added: i32 = config
        .tracking
        .scripts
        .iter()
        .map(|TrackedScript { script, weight }| match verdict(scripts.get(script), *weight) {
            Verdict::Adds(added) => i32::from(added),
            Verdict::Fault | Verdict::Unknown => 0,
        })
        .sum();
    let priority = (i32::from(config.priority.get()) + added).clamp(1, 254);
    u8::try_from(priority).ok().and_then(Priority::new).unwrap_or(config.priority)
}

/// Why the effective priority is not the configured one: the first script that adds to it, or takes from it.
pub fn first_cause(config: &VirtualRouterConfig, scripts: &Scripts) -> Option<PriorityCause> {
    config.tracking.scripts.iter().find_map(|TrackedScript { script, weight }| {
        let known = scripts.get(script);
        match verdict(known, *weight) {
            Verdict::Adds(0) | Verdict::Fault | Verdict::Unknown => None,
            Verdict::Adds(_) => {
                let up = known?.up() == Some(true);
                Some(PriorityCause::Script { script: script.clone(), up, weight: weight.weight })
            }
        }
    })
}
