//! The way into a lab: namespaces, and the line of life that ends everything inside.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Gid, Uid};
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::process::{Command, ExitCode, Stdio};

/// Set in the environment of everything that runs inside.
const MARK: &str = "VIPWARD_LAB";

/// Which side of [`enter`] a process came out on.
#[derive(Debug)]
pub enum Entered {
    /// Inside: nothing else runs here, and no interface is there yet.
    Inside,
    /// Outside: the inside has ended, with this status.
    Outside(ExitCode),
}

/// Why there can be no lab here.
#[derive(Debug)]
pub enum NoLab {
    /// The kernel or its administrator forbids namespaces to this user.
    Forbidden(Errno),
    /// Something else went wrong.
    Failed(&'static str, io::Error),
}

/// One line that says what to do.
impl fmt::Display for NoLab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden(errno) if Uid::effective().is_root() => {
                write!(f, "this machine gives root no namespaces ({errno:?}): run it outside the container")
            }
            Self::Forbidden(errno) => {
                write!(f, "this machine gives ordinary users no namespaces ({errno:?}): run the same command with sudo")
            }
            Self::Failed(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for NoLab {}

/// True in a process that runs inside a lab.
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this very command again inside a lab, and comes back from there with [`Entered::Inside`]; the caller that
/// stayed outside gets [`Entered::Outside`] when all is over.
///
/// To be called before the process has a second thread: the kernel gives a user namespace only to a single one.
pub fn enter() -> Result<Entered, NoLab> {
    if inside() {
        settle().map_err(|error| NoLab::Failed("settling in the lab", error))?;
        return Ok(Entered::Inside);
    }
    separate()?;
    let program = std::env::current_exe().map_err(|error| NoLab::Failed("finding this program", error))?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(MARK, OsStr::new("1"))
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| NoLab::Failed("starting the inside", error))?;
    // The line of life: the inside reads from this pipe and ends when it closes, so also when this process is killed.
    let line_of_life = child.stdin.take();
    let status = child.wait().map_err(|error| NoLab::Failed("waiting for the inside", error))?;
    drop(line_of_life);
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(130);
    Ok(Entered::Outside(ExitCode::from(code)))
}

/// Runs a program to its end inside a lab and buries every orphan that dies meanwhile, as the first process of a machine
/// does: others must not find their predecessors' numbers taken by the dead.
pub fn attend(mut command: Command) -> io::Result<ExitCode> {
    let pid = command.stdin(Stdio::null()).spawn()?.id();
    loop {
        match wait() {
            Ok(WaitStatus::Exited(who, code)) if who.as_raw().unsigned_abs() == pid => {
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)));
            }
            Ok(WaitStatus::Signaled(who, signal, _)) if who.as_raw().unsigned_abs() == pid => {
                return Ok(ExitCode::from(128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(0))));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// New namespaces for this process (network, mounts) and for its children (processes).
fn separate() -> Result<(), NoLab> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let ours = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    if uid.is_root() && unshare(ours).is_ok() {
        return Ok(());
    }
    unshare(ours | CloneFlags::CLONE_NEWUSER).map_err(NoLab::Forbidden)?;
    let write = |file: &'static str, text: String| {
        std::fs::write(file, text).map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(errno @ (Errno::EPERM | Errno::EACCES)) => NoLab::Forbidden(errno),
            _ => NoLab::Failed(file, error),
        })
    };
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// The first steps inside. This process is the first of its process namespace: when it ends, all others do.
fn settle() -> io::Result<()> {
    std::thread::Builder::new().name("line of life".to_owned()).spawn(|| {
        let mut nothing = [0; 64];
        while matches!(io::stdin().read(&mut nothing), Ok(1..)) {}
        std::process::exit(130);
    })?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    // A container may forbid a fresh /proc; the old one serves too, it only shows other process numbers.
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none);
    // Daemons inside must not find or write files of those outside.
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), none)?;
    Ok(())
}
