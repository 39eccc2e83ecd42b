//! `MISC_CHECK` (keepalived.conf(5)): a program's exit status says how the real server is. 0 is well, and so, with
//! `misc_dynamic`, is 2 to 255: then two less is the weight that the program asks for. Everything else is failing.
//!
//! Who runs it, as whom, and what becomes of it at its time limit is the world's business ([`Streams::run`]).

use super::{Answer, Attempt, Exchange, Failure, Kind, Probe, Progress, Shown, Streams, Trouble};
use crate::command::{Command, ScriptOutcome};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What the block says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `misc_path` and `user`.
    pub command: Command,
    /// `misc_dynamic`.
    pub dynamic: bool,
}

/// Run the program once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub command: Command,
    pub dynamic: bool,
}

/// How it ended instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wrong {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// Not within `misc_timeout`; it was killed.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "misc_path exited with {status}"),
            Self::Killed(signal) => write!(f, "misc_path was killed by signal {signal}"),
            Self::TimedOut => f.write_str("misc_path ran longer than misc_timeout: killed"),
            Self::NotStarted(why) => write!(f, "misc_path could not be started: {why}"),
        }
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Misc(wrong)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { command: Command { argv: vec![String::new()], user: None }, dynamic: false }
    }
}

impl Kind for Settings {
    type Attempt = Run;

    const WORD: &'static str = "MISC_CHECK";

    fn attempt(&self, _: usize) -> Run {
        Run { command: self.command.clone(), dynamic: self.dynamic }
    }

    /// `misc_timeout` stands in its place.
    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }

    fn command(&self) -> Option<&Command> {
        Some(&self.command)
    }

    fn command_mut(&mut self) -> Option<&mut Command> {
        Some(&mut self.command)
    }
}

impl Attempt for Run {
    const EXCHANGES: &'static [Exchange] = &[Exchange::Command];

    async fn converse<S: Streams>(&self, _: &Probe, streams: &S, progress: &Progress) -> Result<(), Trouble> {
        let outcome = streams.run(&self.command).await.map_err(Trouble::NotAsked)?;
        progress.weighs(self.ended(&outcome)?);
        Ok(())
    }

    /// Nobody is asked anything.
    fn judge(&self, _: Answer) -> Result<(), Failure> {
        Ok(())
    }

    fn ended(&self, outcome: &ScriptOutcome) -> Result<Option<u32>, Failure> {
        let wrong = match outcome {
            ScriptOutcome::Exited(0) => return Ok(None),
            ScriptOutcome::Exited(status @ 2..=255) if self.dynamic => return Ok(u32::try_from(status - 2).ok()),
            ScriptOutcome::Exited(status) => Wrong::Exited(*status),
            ScriptOutcome::Killed(signal) => Wrong::Killed(*signal),
            ScriptOutcome::TimedOut => Wrong::TimedOut,
            ScriptOutcome::NotStarted(why) | ScriptOutcome::Short(why) => Wrong::NotStarted(why.clone()),
        };
        Err(wrong.into())
    }

    fn failures(&self) -> Vec<Failure> {
        let not_started = Wrong::NotStarted("No such file or directory (os error 2)".to_owned());
        [Wrong::Exited(1), Wrong::Killed(9), Wrong::TimedOut, not_started].map(Failure::from).into()
    }

    fn about(&self) -> &str {
        self.command.argv.first().map_or("", String::as_str)
    }

    fn command(&self) -> Option<&Command> {
        Some(&self.command)
    }
}

impl Wrong {
    pub fn shows(&self) -> Shown {
        Shown::Command
    }
}
