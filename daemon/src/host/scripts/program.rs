//! The child that becomes a script. Whatever waits for the file system here keeps nobody else waiting.

use super::wire::Start;
use super::{NotStarted, accounts};
use crate::system::rights;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Gid, Pid, Uid, getegid, geteuid, getppid, setgid, setgroups, setuid};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use vipward_core::command::ScriptUser;

/// Where programs without a path are looked for, and all the environment that a script gets.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the script. Returns why that was not possible. `complain`: its standard error; `parent`: whose child this is.
pub fn become_it(start: &Start, complain: Option<OwnedFd>, parent: Pid) -> NotStarted {
    match prepare(start, complain, parent) {
        Ok(mut script) => NotStarted::of(&script.exec()),
        Err(error) => error.into(),
    }
}

fn prepare(start: &Start, complain: Option<OwnedFd>, parent: Pid) -> Result<Command, String> {
    let (word, arguments) = start.argv.split_first().ok_or("an empty command")?;
    let program = find(word)?;
    let user = start.user.as_ref().map(|user| (Uid::from_raw(user.uid), Gid::from_raw(user.gid)));
    if let (Some(named), Some((uid, gid))) = (&start.user, user)
        && (uid.is_root() || gid.as_raw() == 0)
        && named.name != "root"
    {
        // The worker says so, and must not make a user's script root's.
        let user = ScriptUser { user: named.name.clone(), group: named.group.clone() };
        if accounts::look_up(&user)? != (uid, gid) {
            return Err(format!("{} is somebody else", named.name));
        }
    }
    let root = geteuid().is_root() && user.is_none_or(|(uid, _)| uid.is_root());
    if start.secure && root {
        check_writers(&program)?;
    }
    let mut script = Command::new(&program);
    script
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complain.map_or_else(Stdio::null, Stdio::from))
        .process_group(0);
    let refused = |what: &'static str| move |error| format!("{what}: {error}");
    if !root {
        // The user's: nothing that it starts gets more than the user has, by whatever program. Where the bounding set
        // can't be emptied that alone holds.
        let _ = rights::bound_to_nothing();
    }
    if let Some((uid, gid)) = user
        && (uid, gid) != (geteuid(), getegid())
    {
        setgroups(&[]).map_err(refused("giving up groups"))?;
        setgid(gid).map_err(refused("changing the group"))?;
        setuid(uid).map_err(refused("changing the user"))?;
    }
    if !root {
        rights::give_all_up()?;
    }
    if start.dies {
        // Whoever starts scripts may be killed. A change of the user would have undone this.
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(refused("prctl"))?;
        if getppid() != parent {
            return Err("the process that starts scripts has died".to_owned());
        }
    }
    // Those that the parent has blocked.
    SigSet::empty().thread_set_mask().map_err(refused("the signal mask"))?;
    Ok(script)
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
