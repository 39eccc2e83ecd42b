//! `vrrp_track_process`: which processes count, and how many there must be.

use super::model::TrackWeight;
use super::places::Places;
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `vrrp_track_process NAME`: processes of which there must be enough, and not too many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackProcess {
    pub name: Arc<str>,
    /// `process`, `param_match`, `full_command`.
    pub pattern: ProcessPattern,
    /// `weight` -254..=254, default 0: too few or too many means FAULT.
    pub weight: TrackWeight,
    /// `quorum`, default 1.
    pub quorum: u32,
    /// `quorum_max`; none: there can't be too many.
    pub quorum_max: Option<u32>,
    /// `fork_delay`: how long a change must last that more processes bring about.
    pub fork_delay: Duration,
    /// `terminate_delay`: how long a change must last that fewer processes bring about.
    pub terminate_delay: Duration,
    pub places: Places,
}

impl TrackProcess {
    /// Whether so many are enough, and not too many.
    pub fn suits(&self, count: u32) -> bool {
        count >= self.quorum && self.quorum_max.is_none_or(|most| count <= most)
    }

    /// The least number that suits; `None`: there is none.
    pub fn enough(&self) -> Option<u32> {
        let least = if self.quorum_max == Some(0) { 0 } else { self.quorum };
        self.suits(least).then_some(least)
    }
}

/// A tracked process and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedProcess {
    pub name: Arc<str>,
    pub pattern: ProcessPattern,
}

/// What a process is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessPattern {
    /// The name or the command.
    pub command: Arc<str>,
    pub arguments: Vec<Arc<str>>,
    pub by: KnownBy,
}

/// What is compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KnownBy {
    /// The name of the process, which is the first [`LONGEST_NAME`] bytes of its program's.
    Name,
    /// The first word of its command line. Its arguments may be any.
    Command,
    /// The command and all of its arguments.
    AllArguments,
    /// `param_match partial`: the command and its first arguments; others may follow.
    FirstArguments,
    /// `param_match initial`: the same, and the last that is named may be longer.
    Beginning,
}

/// The kernel keeps no more of a process's name (proc_pid_comm(5)).
pub const LONGEST_NAME: usize = 15;

impl ProcessPattern {
    /// Whether the name alone says which process it is.
    pub fn by_name(&self) -> bool {
        self.by == KnownBy::Name
    }

    /// Whether a process of this name is meant.
    pub fn is_name(&self, name: &[u8]) -> bool {
        let own = self.command.as_bytes();
        self.by_name() && name == own.get(..LONGEST_NAME).unwrap_or(own)
    }

    /// Whether a process with this command line is meant: its words, each with a zero byte behind it (proc_pid_cmdline(5)).
    pub fn is_command_line(&self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\0").unwrap_or(line);
        let mut words = line.split(|byte| *byte == 0);
        if words.next() != Some(self.command.as_bytes()) {
            return false;
        }
        let last = self.arguments.len().saturating_sub(1);
        for (place, argument) in self.arguments.iter().enumerate() {
            let Some(word) = words.next() else { return false };
            let same = match self.by {
                KnownBy::Beginning if place == last => word.starts_with(argument.as_bytes()),
                KnownBy::Name
                | KnownBy::Command
                | KnownBy::AllArguments
                | KnownBy::FirstArguments
                | KnownBy::Beginning => word == argument.as_bytes(),
            };
            if !same {
                return false;
            }
        }
        match self.by {
            KnownBy::Name => false,
            KnownBy::AllArguments => words.next().is_none(),
            KnownBy::Command | KnownBy::FirstArguments | KnownBy::Beginning => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(by: KnownBy, command: &str, arguments: &[&str]) -> ProcessPattern {
        let arguments = arguments.iter().map(|it| Arc::from(*it)).collect();
        ProcessPattern { command: command.into(), arguments, by }
    }

    #[test]
    fn a_name_is_compared_as_far_as_the_kernel_keeps_it() {
        let short = pattern(KnownBy::Name, "nginx", &[]);
        assert!(short.is_name(b"nginx") && !short.is_name(b"nginx2") && !short.is_name(b"ngin"));
        assert!(!short.is_command_line(b"nginx\0"), "its name decides, not its command line");
        let long = pattern(KnownBy::Name, "a-very-long-name-indeed", &[]);
        assert!(long.is_name(b"a-very-long-nam") && !long.is_name(b"a-very-long-na"));
    }

    /// As keepalived 2.2.7 compares them.
    #[test]
    fn command_lines_are_compared_by_as_much_as_is_asked() {
        let lines: [&[u8]; 5] = [b"/s\0", b"/s\x001000\0", b"/s\x001000\x001\0", b"/s\x00100\0", b"s\x001000\0"];
        for (by, arguments, fits) in [
            (KnownBy::Command, &[][..], [true, true, true, true, false]),
            (KnownBy::AllArguments, &["1000"][..], [false, true, false, false, false]),
            (KnownBy::FirstArguments, &["1000"][..], [false, true, true, false, false]),
            (KnownBy::FirstArguments, &["10"][..], [false, false, false, false, false]),
            (KnownBy::Beginning, &["10"][..], [false, true, true, true, false]),
            (KnownBy::Beginning, &["1000", ""][..], [false, false, true, false, false]),
        ] {
            let pattern = pattern(by, "/s", arguments);
            assert_eq!(lines.map(|line| pattern.is_command_line(line)), fits, "{by:?} {arguments:?}");
        }
        // A kernel thread has none.
        assert!(!pattern(KnownBy::Command, "kworker", &[]).is_command_line(b""));
    }
}
