//! Commands that a configuration names, and how they end.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The name of a `vrrp_script` block.
pub type ScriptId = Arc<str>;

/// A command that a script word names: no shell, arguments already split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// `USER [GROUP]` of the word, or `script_user`; none: the daemon's own.
    pub user: Option<ScriptUser>,
}

/// `script_user USER [GROUP]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptUser {
    pub user: String,
    pub group: Option<String>,
}

/// How one run of a tracked script ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptOutcome {
    /// Exit status; 0 is success (keepalived `vrrp_script`).
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// It ran longer than its `timeout` and was killed.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
    /// It could not be started for want of processes, memory or descriptors: that tells of this host, and of nothing that the
    /// script looks at.
    Short(String),
}
