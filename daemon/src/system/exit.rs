//! What the exit status means.

use std::process::ExitCode;

/// The exit status of every `vipward` command. One number, one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went as asked. Warnings alone do not change that.
    Fine = 0,
    /// Something outside failed: a socket, a thread, a stop that took too long. The last line of the log says what.
    Failed = 1,
    /// A configuration has errors; they are printed, and nothing was started.
    Diagnostics = 2,
    /// The command line makes no sense.
    Usage = 3,
    /// A privilege is missing; the message names the capability. Nothing was started.
    Privilege = 4,
    /// The dataplane that was asked for is not there. Nothing was started.
    Dataplane = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
