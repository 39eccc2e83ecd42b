//! `vrrp_track_process`: how many processes there are, and for how long that must have been so.

use super::Reading;
use crate::config::{TrackProcess, WatchedProcess};
use crate::decision::Decision;
use crate::time::Instant;
use crate::vrrp::Outbox;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One `vrrp_track_process` that some virtual router tracks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessTracker {
    config: TrackProcess,
    known: ProcessEstate,
}

/// What is known of one, and what a successor goes on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEstate {
    pub name: Arc<str>,
    /// `None`: not counted yet.
    pub count: Option<u32>,
    pub up: Option<bool>,
    /// When the count, which says otherwise than `up`, counts.
    pub due: Option<Instant>,
}

impl ProcessTracker {
    pub fn new(config: TrackProcess) -> Self {
        let known = ProcessEstate { name: config.name.clone(), count: None, up: None, due: None };
        Self { config, known }
    }

    pub fn watched(&self) -> WatchedProcess {
        WatchedProcess { name: self.config.name.clone(), pattern: self.config.pattern.clone() }
    }

    /// Takes a reloaded configuration and keeps what is known of the same processes. What another quorum makes of it counts
    /// at once: no process has begun or ended.
    pub fn reconfigure(&mut self, config: TrackProcess, now: Instant, out: &mut Outbox) {
        if self.config.pattern != config.pattern {
            self.known.count = None;
        }
        let others = (self.config.quorum, self.config.quorum_max) != (config.quorum, config.quorum_max);
        self.config = config;
        if let Some(count) = self.known.count.filter(|_| others) {
            self.known.due = (self.known.up != Some(self.config.suits(count))).then_some(now);
            self.wake(now, out);
        }
    }

    pub fn estate(&self) -> ProcessEstate {
        self.known.clone()
    }

    /// Goes on with what a predecessor knew, until they are counted.
    pub fn take_up(&mut self, known: &ProcessEstate) {
        self.known = known.clone();
    }

    /// Unknown until they were counted for the first time.
    pub fn reading(&self) -> Reading {
        self.known.up.map_or(Reading::Unknown, Reading::of)
    }

    /// When a change has lasted long enough.
    pub fn next(&self) -> Option<Instant> {
        self.known.due
    }

    /// Takes a number. The first counts at once; of a change it decides for how long it must last whether there are more than
    /// before or fewer, whichever of the two the quorum asks for (so does keepalived).
    pub fn counted(&mut self, count: u32, now: Instant, out: &mut Outbox) {
        let before = self.known.count.replace(count);
        if self.known.up == Some(self.config.suits(count)) {
            self.known.due = None;
            return;
        }
        let delay = match (before, self.known.up) {
            (Some(before), Some(_)) if count > before => self.config.fork_delay,
            (Some(_), Some(_)) => self.config.terminate_delay,
            (None, _) | (_, None) => crate::time::Duration::ZERO,
        };
        self.known.due = Some(self.known.due.unwrap_or(now + delay));
        self.wake(now, out);
    }

    /// Lets a change count that has lasted long enough.
    pub fn wake(&mut self, now: Instant, out: &mut Outbox) {
        let (Some(count), true) = (self.known.count, self.known.due.is_some_and(|due| due <= now)) else { return };
        self.known.due = None;
        let up = self.config.suits(count);
        if self.known.up.replace(up) == Some(up) {
            return;
        }
        let TrackProcess { name, quorum, quorum_max, .. } = &self.config;
        let runs = match count {
            0 => "none runs".to_owned(),
            1 => "one runs".to_owned(),
            more => format!("{more} run"),
        };
        let why = match quorum_max {
            Some(most) if !up && count > *most => format!("{runs}, and quorum_max is {most}"),
            Some(_) | None if up => runs,
            Some(_) | None => format!("{runs}, and quorum is {quorum}"),
        };
        out.decide(Decision::ProcessChanged { process: name.clone(), up, why });
    }
}
