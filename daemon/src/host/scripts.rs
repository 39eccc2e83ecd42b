//! Programs that the configuration names: tracked scripts (`vrrp_script`) and notify scripts.
//!
//! Each runs in a process group of its own, without the daemon's environment, with nothing to read and nobody who
//! listens to what it prints, as the user that the configuration says.

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Group, Pid, Uid, User};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use tokio::process::{Child, Command as Process};
use tokio::sync::mpsc::{self, UnboundedSender};
use vipward_core::command::ScriptOutcome;
use vipward_core::command::{Command, ScriptUser};
use vipward_core::time::Duration;

/// Where programs without a path are looked for, and all the environment that a script gets.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A notify script that runs longer than this is named in the log, as it holds up those behind it.
const LONG: Duration = Duration::from_secs(60);

/// A command that is ready to start, or why it can't.
type Prepared = Result<Process, String>;

/// Runs the scripts of one thread.
#[derive(Default)]
pub struct Scripts {
    /// `enable_script_security`.
    secure: Cell<bool>,
    queues: RefCell<BTreeMap<Arc<str>, UnboundedSender<Prepared>>>,
    /// Notify scripts that run or wait.
    pending: Rc<Cell<usize>>,
}

impl Scripts {
    /// `enable_script_security`: what runs as root must not be writable by anybody else.
    pub fn set_security(&self, on: bool) {
        self.secure.set(on);
    }

    /// Runs a command to its end. After `timeout`, or when the future is dropped, its whole process group is killed.
    pub fn run(&self, command: &Command, timeout: Duration) -> impl Future<Output = ScriptOutcome> + 'static {
        let process = self.prepare(command);
        async move {
            let started = process.and_then(Running::start);
            let mut running = match started {
                Ok(running) => running,
                Err(why) => return ScriptOutcome::NotStarted(why),
            };
            match tokio::time::timeout(timeout, running.child.wait()).await {
                Ok(Ok(status)) => {
                    running.over = true;
                    outcome(status)
                }
                Ok(Err(error)) => ScriptOutcome::NotStarted(format!("lost sight of it: {error}")),
                Err(_) => {
                    running.kill();
                    let _ = running.child.wait().await;
                    running.over = true;
                    ScriptOutcome::TimedOut
                }
            }
        }
    }

    /// Starts a command behind those of the same queue; never waits. Must be called in a `LocalSet`.
    pub fn notify(&self, queue: &str, command: &Command) {
        let process = self.prepare(command);
        self.pending.set(self.pending.get() + 1);
        let mut queues = self.queues.borrow_mut();
        let sender = queues.entry(Arc::from(queue)).or_insert_with_key(|name| self.worker(name.clone()));
        if sender.send(process).is_err() {
            // The worker ends only with the runtime.
            self.pending.set(self.pending.get() - 1);
        }
    }

    /// Waits until no notify script runs or waits any more.
    pub async fn idle(&self) {
        while self.pending.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn worker(&self, name: Arc<str>) -> UnboundedSender<Prepared> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let pending = self.pending.clone();
        tokio::task::spawn_local(async move {
            while let Some(process) = receiver.recv().await {
                notify(&name, process).await;
                pending.set(pending.get() - 1);
            }
        });
        sender
    }

    fn prepare(&self, command: &Command) -> Prepared {
        let (word, arguments) = command.argv.split_first().ok_or("an empty command")?;
        let program = find(word)?;
        let user = command.user.as_ref().map(ids).transpose()?;
        let root = nix::unistd::geteuid().is_root() && user.is_none_or(|(uid, _)| uid.is_root());
        if self.secure.get() && root {
            check_writers(&program)?;
        }
        let mut process = Process::new(&program);
        process
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        if let Some((uid, gid)) = user
            && (uid, gid) != (nix::unistd::geteuid(), nix::unistd::getegid())
        {
            // The standard library drops the supplementary groups when it changes the user.
            process.gid(gid.as_raw()).uid(uid.as_raw());
        }
        Ok(process)
    }
}

/// A child and its process group.
struct Running {
    child: Child,
    group: Option<Pid>,
    /// It has ended and was reaped: its number may be somebody else's by now.
    over: bool,
}

impl Running {
    fn start(mut process: Process) -> Result<Self, String> {
        let child = process.spawn().map_err(|error| error.to_string())?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child, group, over: false })
    }

    fn kill(&self) {
        if let (Some(group), false) = (self.group, self.over) {
            match killpg(group, Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => tracing::warn!("can't kill the script's process group {group}: {error}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One notify script from start to end. Nothing kills it, not even the daemon's own end: what it was told to do has
/// happened.
async fn notify(queue: &str, process: Prepared) {
    let started = process.and_then(|mut process| process.spawn().map_err(|error| error.to_string()));
    let mut child = match started {
        Ok(child) => child,
        Err(why) => return tracing::error!("{queue}: notify script not started: {why}"),
    };
    loop {
        match tokio::time::timeout(LONG, child.wait()).await {
            Ok(Ok(status)) if status.success() => break,
            Ok(Ok(status)) => {
                tracing::warn!("{queue}: notify script failed: {status}");
                break;
            }
            Ok(Err(error)) => {
                tracing::error!("{queue}: lost sight of the notify script: {error}");
                break;
            }
            Err(_) => tracing::warn!("{queue}: a notify script has been running for {} s; others wait", LONG.as_secs()),
        }
    }
}

fn outcome(status: ExitStatus) -> ScriptOutcome {
    match (status.code(), status.signal()) {
        (Some(code), _) => ScriptOutcome::Exited(code),
        (None, Some(signal)) => ScriptOutcome::Killed(signal),
        (None, None) => ScriptOutcome::NotStarted(format!("it ended without saying how: {status}")),
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

fn ids(user: &ScriptUser) -> Result<(Uid, Gid), String> {
    let name = &user.user;
    let account = User::from_name(name).map_err(|error| format!("can't look up user {name}: {error}"))?;
    let account = account.ok_or_else(|| format!("there is no user {name}"))?;
    let Some(name) = &user.group else { return Ok((account.uid, account.gid)) };
    let group = Group::from_name(name).map_err(|error| format!("can't look up group {name}: {error}"))?;
    Ok((account.uid, group.ok_or_else(|| format!("there is no group {name}"))?.gid))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_local_set;
    use std::os::unix::fs::PermissionsExt;

    const PLENTY: Duration = Duration::from_secs(60);

    fn command(argv: &[&str]) -> Command {
        Command { argv: argv.iter().map(ToString::to_string).collect(), user: None }
    }

    fn shell(script: &str) -> Command {
        command(&["/bin/sh", "-c", script])
    }

    async fn until(condition: impl Fn() -> bool) {
        let all = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PLENTY, all).await.expect("it never came true");
    }

    #[test]
    fn a_script_tells_how_it_ended() {
        on_local_set(async {
            let scripts = Scripts::default();
            assert_eq!(scripts.run(&command(&["true"]), PLENTY).await, ScriptOutcome::Exited(0));
            assert_eq!(scripts.run(&shell("exit 7"), PLENTY).await, ScriptOutcome::Exited(7));
            assert_eq!(scripts.run(&shell("kill -9 $$"), PLENTY).await, ScriptOutcome::Killed(9));
            assert_eq!(
                scripts.run(&command(&["no-such-program"]), PLENTY).await,
                ScriptOutcome::NotStarted(format!("no-such-program is not in {PATH}"))
            );
            assert!(matches!(scripts.run(&command(&["/nowhere/x"]), PLENTY).await, ScriptOutcome::NotStarted(_)));
            assert!(matches!(scripts.run(&command(&[]), PLENTY).await, ScriptOutcome::NotStarted(_)));
        });
    }

    #[test]
    fn a_script_gets_a_clean_environment_and_nothing_to_read() {
        on_local_set(async {
            let scripts = Scripts::default();
            let clean = shell("test -z \"$CARGO$HOME$USER\" && test \"$PWD\" = / && test -z \"$(cat)\"");
            assert_eq!(scripts.run(&clean, PLENTY).await, ScriptOutcome::Exited(0));
        });
    }

    #[test]
    fn a_script_that_takes_too_long_is_killed_with_all_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        on_local_set(async {
            let slow = shell(&format!("sleep 1000 & echo $! > {}; wait", pid.display()));
            // On a busy machine it may be killed before it has written the child's number.
            for seconds in [1, 4, 16, 64] {
                let outcome = Scripts::default().run(&slow, Duration::from_secs(seconds)).await;
                assert_eq!(outcome, ScriptOutcome::TimedOut);
                if std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
                    break;
                }
            }
            let child = std::fs::read_to_string(&pid).unwrap();
            until(|| gone(child.trim())).await;
        });
    }

    #[test]
    fn a_script_that_nobody_waits_for_any_more_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        on_local_set(async {
            let slow = shell(&format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display()));
            tokio::select! {
                outcome = Scripts::default().run(&slow, PLENTY) => panic!("{outcome:?}"),
                () = until(|| pid.exists()) => {}
            }
            let child = std::fs::read_to_string(&pid).unwrap();
            until(|| gone(child.trim())).await;
        });
    }

    /// No process, or a dead one that nobody has reaped yet.
    fn gone(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_or(true, |stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
    }

    #[test]
    fn notify_scripts_of_one_queue_run_in_order_and_queues_do_not_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let (log, go) = (folder.path().join("log"), folder.path().join("go"));
        on_local_set(async {
            let scripts = Scripts::default();
            let say = |word: &str| shell(&format!("echo {word} >> {}", log.display()));
            scripts.notify("A", &shell(&format!("while ! test -e {}; do sleep 0.01; done", go.display())));
            scripts.notify("A", &say("first"));
            scripts.notify("A", &command(&["/nowhere/x"]));
            scripts.notify("A", &say("second"));
            scripts.notify("B", &say("meanwhile"));
            until(|| std::fs::read_to_string(&log).is_ok_and(|text| text == "meanwhile\n")).await;
            std::fs::write(&go, "").unwrap();
            scripts.idle().await;
            assert_eq!(std::fs::read_to_string(&log).unwrap(), "meanwhile\nfirst\nsecond\n");
        });
    }

    #[test]
    fn a_script_runs_as_the_user_it_was_given() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("NOT RUN: changing the user needs root");
            return;
        }
        on_local_set(async {
            let scripts = Scripts::default();
            let mut who =
                shell("test \"$(id -u):$(id -g):$(id -G)\" = \"$(id -u nobody):$(id -g nobody):$(id -g nobody)\"");
            who.user = Some(ScriptUser { user: "nobody".to_owned(), group: None });
            assert_eq!(scripts.run(&who, PLENTY).await, ScriptOutcome::Exited(0));
            who.user = Some(ScriptUser { user: "no-such-user".to_owned(), group: None });
            assert_eq!(
                scripts.run(&who, PLENTY).await,
                ScriptOutcome::NotStarted("there is no user no-such-user".to_owned())
            );
        });
    }

    #[test]
    fn what_others_may_write_does_not_run_as_root() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("NOT RUN: who may write a file of root's only matters to root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("check");
        std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
        let allow = |mode| std::fs::set_permissions(&script, std::fs::Permissions::from_mode(mode)).unwrap();
        on_local_set(async {
            let scripts = Scripts::default();
            let run = command(&[script.to_str().unwrap()]);
            allow(0o757);
            assert_eq!(scripts.run(&run, PLENTY).await, ScriptOutcome::Exited(0), "security is off by default");
            scripts.set_security(true);
            let ScriptOutcome::NotStarted(why) = scripts.run(&run, PLENTY).await else { panic!("it ran") };
            assert!(why.starts_with("enable_script_security: "), "{why}");
            allow(0o755);
            assert_eq!(scripts.run(&run, PLENTY).await, ScriptOutcome::Exited(0));
            // A folder on the way counts as well.
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
            assert!(matches!(scripts.run(&run, PLENTY).await, ScriptOutcome::NotStarted(_)));
            // As somebody else it may run all the same.
            let nobody = Command { user: Some(ScriptUser { user: "nobody".to_owned(), group: None }), ..run };
            assert_eq!(scripts.run(&nobody, PLENTY).await, ScriptOutcome::Exited(0));
        });
    }
}
