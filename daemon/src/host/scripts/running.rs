//! One script: its start, its process group, its end.

use super::complaints::{Said, Speaker};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Pid, Uid, pipe2};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command as Process};
use vipward_core::command::Command;

/// Where programs without a path are looked for, and all the environment that a script gets.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What it takes to start a script.
pub struct Start {
    pub command: Command,
    /// None: the daemon's own.
    pub user: Option<(Uid, Gid)>,
    /// `enable_script_security`.
    pub secure: bool,
    /// It is killed when nobody looks after it any more.
    pub dies: bool,
}

impl Start {
    /// Looks at the file and starts it. May wait for the file system. Must be called in a runtime.
    pub fn now(self) -> Result<Running, String> {
        let (word, arguments) = self.command.argv.split_first().ok_or("an empty command")?;
        let program = find(word)?;
        let root = nix::unistd::geteuid().is_root() && self.user.is_none_or(|(uid, _)| uid.is_root());
        if self.secure && root {
            check_writers(&program)?;
        }
        let (listen, complain) = ears().map_or_else(|| (None, Stdio::null()), |(listen, to)| (Some(listen), to.into()));
        let mut process = Process::new(&program);
        process
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(complain)
            .process_group(0);
        if let Some((uid, gid)) = self.user
            && (uid, gid) != (nix::unistd::geteuid(), nix::unistd::getegid())
        {
            // The standard library drops the supplementary groups when it changes the user.
            process.gid(gid.as_raw()).uid(uid.as_raw());
        }
        let child = process.spawn().map_err(|error| error.to_string())?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let said = listen.map(Said::new).unwrap_or_default();
        Ok(Running { child, group, over: false, dies: self.dies, said })
    }
}

/// A pipe for a script's standard error. The script's end reads as well and does not block, so that a script that
/// outlives this process is neither killed by SIGPIPE nor stopped by a pipe that is full. None: then nobody listens.
fn ears() -> Option<(OwnedFd, File)> {
    let (listen, to) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
    let again = format!("/proc/self/fd/{}", to.as_raw_fd());
    let to = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(again).ok()?;
    Some((listen, to))
}

/// A child and its process group.
pub struct Running {
    child: Child,
    group: Option<Pid>,
    /// It has ended and was reaped: its number may be somebody else's by now.
    over: bool,
    dies: bool,
    /// What it says on standard error.
    said: Said,
}

impl Running {
    /// Waits for its end, and tells the log meanwhile what it says.
    pub async fn ends(&mut self, speaker: &Speaker<'_>) -> io::Result<ExitStatus> {
        let Self { child, said, .. } = self;
        let status = tokio::select! {
            biased;
            status = child.wait() => status,
            never = said.follow(speaker) => match never {},
        };
        self.said.rest(speaker);
        if status.is_ok() {
            self.over = true;
        }
        status
    }

    /// Its last line on standard error.
    pub fn last_said(&self) -> Option<&str> {
        self.said.last()
    }

    /// SIGKILL for its whole group.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// A signal for its whole group.
    pub fn signal(&self, signal: Signal) {
        if let (Some(group), false) = (self.group, self.over) {
            match killpg(group, signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => tracing::warn!("can't send {signal} to the script's process group {group}: {error}"),
            }
        }
    }

    /// Kills what it has left behind, immediately after it was reaped: numbers are given away in turn, so its group's is
    /// nobody else's yet.
    pub fn kill_the_rest(&self) {
        if let Some(group) = self.group {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.dies {
            self.kill();
        }
    }
}

/// The program's file: a path as it is, a bare name from [`PATH`].
fn find(word: &str) -> Result<PathBuf, String> {
    if word.contains('/') {
        return Ok(PathBuf::from(word));
    }
    let found = std::env::split_paths(OsStr::new(PATH)).map(|folder| folder.join(word)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{word} is not in {PATH}"))
}

/// Refuses a file that somebody else than root can change or replace, `enable_script_security`: every folder on the way
/// counts, and every link. A folder with the sticky bit keeps strangers from replacing what is root's.
fn check_writers(program: &Path) -> Result<(), String> {
    let real = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
    // Both ways to it: the links as written, and where they lead.
    for part in program.ancestors().chain(real.ancestors()).filter(|part| !part.as_os_str().is_empty()) {
        let data = part.symlink_metadata().map_err(|error| format!("{}: {error}", part.display()))?;
        if data.is_symlink() {
            continue;
        }
        let group_writes = data.mode() & 0o020 != 0 && data.gid() != 0;
        let all_write = data.mode() & 0o002 != 0;
        let sticky_folder = data.is_dir() && data.mode() & 0o1000 != 0;
        if data.uid() != 0 || ((group_writes || all_write) && !sticky_folder) {
            return Err(format!(
                "enable_script_security: {} runs as root, but {} can be changed by somebody else",
                program.display(),
                part.display()
            ));
        }
    }
    Ok(())
}
