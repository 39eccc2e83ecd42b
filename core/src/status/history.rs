//! The last decisions, kept in memory.

use super::age;
use crate::decision::{Decision, Severity};
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
    /// `info`, `warning` or `error`.
    pub severity: String,
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
            let severity = match decision.severity() {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            DecisionStatus {
                ago_ms: age(*at, now),
                severity: severity.to_owned(),
                code: kind.code.to_owned(),
                about: kind.about,
                text: decision.to_string(),
            }
        };
        self.0.iter().map(one).collect()
    }
}
