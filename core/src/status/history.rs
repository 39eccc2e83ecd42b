//! The last decisions, kept in memory.

use super::age;
use crate::decision::{Decision, LogLevel};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many decisions of each machine are kept.
pub const KEPT: usize = 200;

/// The last [`KEPT`] decisions of a machine, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<(Instant, Decision)>);

/// One of them, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionStatus {
    pub ago_ms: u64,
    /// `info`, `warning` or `error`; `severity` to programs.
    #[serde(rename = "severity")]
    pub level: String,
    /// A name that does not change from version to version ([`crate::decision::Kind::code`]).
    pub code: String,
    /// The virtual router, real server or other thing. Empty: the director.
    pub about: String,
    /// The sentence of the log.
    pub text: String,
}

impl History {
    /// Takes one, and forgets the oldest when there are too many.
    pub fn take(&mut self, decision: &Decision, now: Instant) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, decision.clone()));
    }

    /// All of them, the oldest first.
    pub fn show(&self, now: Instant) -> Vec<DecisionStatus> {
        let one = |(at, decision): &(Instant, Decision)| {
            let kind = decision.kind();
            let level = match decision.level() {
                LogLevel::Info => "info",
                LogLevel::Warning => "warning",
                LogLevel::Error => "error",
            };
            DecisionStatus {
                ago_ms: age(*at, now),
                level: level.to_owned(),
                code: kind.code.to_owned(),
                about: kind.about,
                text: decision.to_string(),
            }
        };
        self.0.iter().map(one).collect()
    }
}
