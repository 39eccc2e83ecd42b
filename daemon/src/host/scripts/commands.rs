//! Which commands may be started. A worker that somebody has taken over could ask for any: so the process that starts scripts
//! reads the configuration itself, and starts what that names.
//!
//! It reads when the worker says that a configuration with commands is in force, and again when it is asked for something that it
//! does not know. Not when it begins: a successor's hand-over may be under way then, and has a second. What it once read stays
//! known. The worker may run with an older text than the one on the disk.

use super::wire::{Fifo, Start, User};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use vipward_core::command::Command;
use vipward_core::config::Config;

/// A reading that takes longer is given up when the next is wanted.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of what is read in one turn.
const CHUNK: usize = 64 << 10;

/// Bytes of all commands of a configuration.
const MOST: usize = 64 << 20;

/// Commands that are known, and what may be asked about them.
pub trait Commands: Default + Serialize + DeserializeOwned {
    /// Takes these as well.
    fn learn(&mut self, others: Self);

    /// Whether this may be started.
    fn allow(&self, start: &Start) -> bool;

    /// Whether this FIFO may be made and removed.
    fn allow_fifo(&self, fifo: &Fifo) -> bool;
}

/// Those of configurations.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured(BTreeSet<Words>, BTreeSet<Owned>);

/// The path of a FIFO, and `USER [GROUP]` behind it.
type Owned = (String, Option<(String, Option<String>)>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Words {
    argv: Vec<String>,
    user: Option<(String, Option<String>)>,
    /// `notify`: a router's or group's name and what became of it follow.
    told: bool,
}

impl Configured {
    /// All that this configuration names.
    pub fn of(config: &Config) -> Self {
        let words = |command: &Command, told| Words {
            argv: command.argv.clone(),
            user: command.user.as_ref().map(|user| (user.user.clone(), user.group.clone())),
            told,
        };
        let tracked = config.scripts.values().map(|script| words(&script.command, false));
        let notified = config.all_notify().flat_map(|scripts| {
            let of_roles = [
                &scripts.master,
                &scripts.backup,
                &scripts.fault,
                &scripts.stop,
                &scripts.deleted,
                &scripts.rx_lower_pri,
            ];
            let of_roles = of_roles.into_iter().flatten();
            let of_roles = of_roles.map(|command| words(command, false));
            of_roles.chain(scripts.any.iter().map(|command| words(command, true)))
        });
        let checks = config.check_commands().chain(config.health_commands()).map(|command| words(command, false));
        let readers = config.fifo_scripts().map(|command| words(command, false));
        let fifos = config.global.fifos.iter().map(|fifo| {
            let user = fifo.user.as_ref().map(|user| (user.user.clone(), user.group.clone()));
            (fifo.path.to_string(), user)
        });
        Self(tracked.chain(notified).chain(checks).chain(readers).collect(), fifos.collect())
    }
}

impl Commands for Configured {
    fn learn(&mut self, Self(others, fifos): Self) {
        self.0.extend(others);
        self.1.extend(fifos);
    }

    fn allow_fifo(&self, fifo: &Fifo) -> bool {
        self.1.contains(&(fifo.path.clone(), fifo.user.clone()))
    }

    fn allow(&self, start: &Start) -> bool {
        let user = start.user.as_ref().map(|User { name, group, .. }| (name.clone(), group.clone()));
        let words = |argv: &[String], told| Words { argv: argv.to_vec(), user: user.clone(), told };
        if self.0.contains(&words(&start.argv, false)) {
            return true;
        }
        // `INSTANCE` or `GROUP`, a name, a role, a priority.
        let at = start.argv.len().saturating_sub(4);
        let (own, more) = start.argv.split_at_checked(at).unwrap_or_default();
        more.first().is_some_and(|word| word == "INSTANCE" || word == "GROUP") && self.0.contains(&words(own, true))
    }
}

/// A child that reads.
pub struct Reading {
    child: Pid,
    from: File,
    bytes: Vec<u8>,
    began: Instant,
}

impl Reading {
    /// `from` must not block.
    pub fn new(child: Pid, from: OwnedFd) -> Self {
        Self { child, from: from.into(), bytes: Vec::new(), began: Instant::now() }
    }

    /// What comes from it. None: not all of it is there yet.
    pub fn read<C: Commands>(&mut self) -> Option<C> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match self.from.read(&mut buffer) {
                Ok(length @ 1..) if self.bytes.len() < MOST => {
                    self.bytes.extend_from_slice(buffer.get(..length).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Its end, or too much.
                Ok(_) | Err(_) => return Some(postcard::from_bytes(&self.bytes).unwrap_or_default()),
            }
        }
    }

    pub fn child(&self) -> Pid {
        self.child
    }

    /// Ends one that takes too long. What it would have read is not known then.
    pub fn give_up_if_late(&self) {
        if self.began.elapsed() > PATIENCE {
            // It is not reaped before it is known to have ended: its number is nobody else's.
            let _ = kill(self.child, Signal::SIGKILL);
        }
    }
}

impl AsFd for Reading {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::FifoJob;
    use super::*;
    use vipward_core::command::ScriptUser;

    fn start(argv: &[&str], user: Option<&str>) -> Start {
        Start {
            argv: argv.iter().map(ToString::to_string).collect(),
            user: user.map(|name| User { name: name.to_owned(), group: None, uid: 1, gid: 1 }),
            secure: false,
            dies: false,
        }
    }

    #[test]
    fn what_the_configuration_names_is_allowed_and_nothing_else() {
        let command = |text: &str, user: Option<&str>| Command {
            argv: text.split(' ').map(str::to_owned).collect(),
            user: user.map(|user| ScriptUser { user: user.to_owned(), group: None }),
        };
        let words = |command: Command, told| Words {
            argv: command.argv,
            user: command.user.map(|user| (user.user, user.group)),
            told,
        };
        let mut known = Configured::default();
        assert!(!known.allow(&start(&["/a"], None)));
        known.learn(Configured([words(command("/a b", None), false)].into(), [("/f".to_owned(), None)].into()));
        known.learn(Configured([words(command("/n", Some("u")), true)].into(), BTreeSet::new()));
        let fifo = |path: &str, user| Fifo { path: path.to_owned(), user, job: FifoJob::Open };
        assert!(known.allow_fifo(&fifo("/f", None)));
        assert!(!known.allow_fifo(&fifo("/f", Some(("u".to_owned(), None)))) && !known.allow_fifo(&fifo("/g", None)));
        assert!(known.allow(&start(&["/a", "b"], None)));
        assert!(known.allow(&start(&["/n", "INSTANCE", "V", "MASTER", "100"], Some("u"))));
        for other in [
            start(&["/a", "b"], Some("root")),
            start(&["/a"], None),
            start(&["/a", "b", "c"], None),
            start(&["/a", "b", "INSTANCE", "V", "MASTER", "100"], None),
            start(&["/n"], Some("u")),
            start(&["/n", "INSTANCE", "V", "MASTER", "100"], None),
            start(&["/n", "x", "V", "MASTER", "100"], Some("u")),
            start(&["/n", "INSTANCE", "V", "MASTER"], Some("u")),
            start(&[], None),
        ] {
            assert!(!known.allow(&other), "{other:?}");
        }
    }
}
