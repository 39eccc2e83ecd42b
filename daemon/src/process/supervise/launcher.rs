//! The thread that starts workers, and looks at them.
//!
//! A system call filter passes on to what a thread starts, and the scripts of users are not ours to confine. So the
//! thread that supervises has a filter and starts nothing; this one has none, and does nothing but what it is told. A new
//! version of the supervisor would inherit the filter as well: so it is this thread that becomes it.

use super::dumper::Dumper;
use super::evidence;
use super::{notes, threads};
use crate::process::thread;
use crate::status::dump::Dump;
use crate::system::log;
use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use vipward_core::supervisor::{Beginning, Look, WorkerId};
use vipward_core::time::Duration;

/// Its stack is locked in memory whole.
const STACK: usize = 256 << 10;

/// How long what is logged may take to be written before this process becomes another program. Far less than a
/// worker's silence may last: whoever does not read the log must not make the supervisor deaf.
const LAST_LINES: Duration = Duration::from_millis(100);

/// How long a file may take to be removed at the end.
const REMOVED: Duration = Duration::from_secs(1);

/// The end of a path in `/proc` whose file was replaced.
const DELETED: &str = " (deleted)";

/// How the descriptor of the notes is given to the next version.
const RESUME: &str = "--resume=";

enum Job {
    Start { worker: WorkerId, beginning: Beginning, socket: OwnedFd },
    Keep { record: PathBuf },
    Look { worker: WorkerId, pid: Pid },
    Dump(Dump),
    Renew { notes: notes::Written, tell: Sender<io::Error> },
    Remove { path: PathBuf, tell: Sender<()> },
}

/// What it has to say.
pub enum Answer {
    Started(Started),
    Looked { worker: WorkerId, look: Option<Look> },
}

/// What became of a start.
pub struct Started {
    pub worker: WorkerId,
    pub result: Result<Pid, String>,
}

/// The way to the launcher and back.
pub struct Launcher {
    jobs: Sender<Job>,
    answers: Receiver<Answer>,
    /// Readable when there is an answer.
    bell: File,
}

impl Launcher {
    /// Starts the thread. Signals that the caller has blocked stay blocked in it, and in workers until they unblock them.
    /// Who listens at `control` is asked for dumps.
    pub fn start(control: &Path) -> io::Result<Self> {
        let (bell, ring) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let (jobs, todo) = channel();
        let (tell, answers) = channel();
        let (program, arguments) = (program()?, arguments());
        let thread = std::thread::Builder::new().name("launcher".to_owned()).stack_size(STACK);
        let dumper = Dumper::start(control.to_owned())?;
        thread.spawn(move || work(&program, &arguments, &todo, &tell, File::from(ring), &dumper))?;
        Ok(Self { jobs, answers, bell: bell.into() })
    }

    /// Starts a worker with this as its standard input.
    pub fn launch(&self, worker: WorkerId, beginning: Beginning, socket: OwnedFd) {
        let _ = self.jobs.send(Job::Start { worker, beginning, socket });
    }

    /// This process becomes the program that is on the disk now, with these notes. Returns only if that fails.
    pub fn renew(&self, notes: notes::Written) -> io::Error {
        let (tell, told) = channel();
        let _ = self.jobs.send(Job::Renew { notes, tell });
        told.recv().unwrap_or_else(|_| io::Error::other("the launcher's thread ended"))
    }

    /// Removes a file, and waits a moment until that is done.
    pub fn remove(&self, path: PathBuf) {
        let (tell, told) = channel();
        let _ = self.jobs.send(Job::Remove { path, tell });
        let _ = told.recv_timeout(REMOVED);
    }

    /// Keeps a record as evidence, before the next worker is started.
    pub fn keep(&self, record: PathBuf) {
        let _ = self.jobs.send(Job::Keep { record });
    }

    /// Has one of keepalived's dumps written.
    pub fn dump(&self, dump: Dump) {
        let _ = self.jobs.send(Job::Dump(dump));
    }

    /// Looks what the thread does that gives this worker's signs of life.
    pub fn look(&self, worker: WorkerId, pid: Pid) {
        let _ = self.jobs.send(Job::Look { worker, pid });
    }

    /// The next answer that is there.
    pub fn answer(&self) -> Option<Answer> {
        // The bell rings once for each answer or less; it is silenced before it is looked whether there is one.
        let _ = (&self.bell).read(&mut [0; 64]);
        self.answers.try_recv().ok()
    }
}

impl AsFd for Launcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn work(
    program: &Path,
    arguments: &[OsString],
    todo: &Receiver<Job>,
    tell: &Sender<Answer>,
    mut ring: File,
    dumper: &Dumper,
) {
    let mut answer = |answer| {
        let told = tell.send(answer).is_ok();
        let _ = ring.write(&[1]);
        told
    };
    for job in todo {
        match job {
            Job::Start { worker, beginning, socket } => {
                // Nobody waits for the child here: the supervisor does, by its number.
                let mut command = Command::new(program);
                command.arg("worker").args(flag(beginning)).args(arguments).stdin(Stdio::from(socket));
                let child = command.spawn();
                let pid = child.map(|child| i32::try_from(child.id()).unwrap_or_default());
                let result = pid.map(Pid::from_raw).map_err(|error| format!("{}: {error}", program.display()));
                if !answer(Answer::Started(Started { worker, result })) {
                    return;
                }
            }
            Job::Look { worker, pid } => {
                let look = threads::look(pid, thread::ELECTION);
                if !answer(Answer::Looked { worker, look }) {
                    return;
                }
            }
            Job::Keep { record } => evidence::keep(&record),
            Job::Dump(dump) => dumper.ask(dump),
            Job::Remove { path, tell } => {
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::debug!("{}: {error}", path.display());
                }
                let _ = tell.send(());
            }
            Job::Renew { notes, tell } => {
                let error = become_the_new_one(program, arguments, &notes);
                let _ = tell.send(error);
            }
        }
    }
}

/// This program's file by its path, so that a new version that lies there is what starts next.
fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let replaced = path.to_str().and_then(|path| path.strip_suffix(DELETED)).map(PathBuf::from);
    Ok(replaced.unwrap_or(path))
}

/// All that `run` was given by its user.
fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(2).filter(|argument| !argument.to_string_lossy().starts_with(RESUME)).collect()
}

fn flag(beginning: Beginning) -> Option<&'static str> {
    match beginning {
        Beginning::Usual => None,
        Beginning::AfterFarewell => Some("--after-farewell"),
        Beginning::Successor => Some("--successor"),
    }
}

/// All other threads end with this. Children stay children, and what they tell waits in their sockets.
fn become_the_new_one(program: &Path, arguments: &[OsString], notes: &notes::Written) -> io::Error {
    let inherited = match notes.inherit() {
        Ok(inherited) => inherited,
        Err(error) => return error,
    };
    // The thread that writes ends with this as well. The supervisor waits meanwhile.
    log::drain(LAST_LINES);
    let error = Command::new(program).arg("run").arg(format!("{RESUME}{}", inherited.number())).args(arguments).exec();
    notes.disinherit();
    error
}
