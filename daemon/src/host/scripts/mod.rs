//! Programs that the configuration names: tracked scripts (`vrrp_script`), notify scripts and checkers' (`MISC_CHECK`).
//!
//! Each runs in a process group of its own, without the daemon's environment, with nothing to read, as the user that the
//! configuration says. What it prints is for nobody; what it says on standard error goes into the log.
//!
//! A machine's thread only asks, and is answered by an event. All the rest is the work of a thread of its own; who a user is
//! is asked on further threads, for the name service may wait. The script itself is started by another process
//! ([`server`]), for this one has given up the right to ([`launcher`]); what may wait for the file system (whose a file is,
//! the start itself) is a child of that, so that one script that can't be started keeps no other from running.

mod accounts;
mod commands;
mod complaints;
pub mod fifos;
mod launcher;
mod notify;
mod pipe;
mod program;
mod running;
pub mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use commands::Configured;
pub use launcher::Launcher;

use accounts::Accounts;
use complaints::Complaints;
use notify::Queue;
use running::Running;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use vipward_core::command::{Command, ScriptOutcome, ScriptUser};
use vipward_core::config::Config;
use vipward_core::time::Duration;
use wire::{Start, User};

/// How long a script that runs may hold up others once the director ends: what waits behind it is the last word.
const HURRY: Duration = Duration::from_secs(2);

/// What scripts are run with.
#[derive(Clone, Debug)]
pub struct Means {
    pub launcher: Launcher,
    /// How long a notify script may run.
    pub longest: Duration,
}

/// A machine's way to its scripts.
pub struct Scripts {
    requests: UnboundedSender<Request>,
    /// Scripts that run or wait.
    pending: Arc<AtomicUsize>,
    /// What each queue's scripts are to hear of, and its number among such states.
    states: RefCell<BTreeMap<Arc<str>, State>>,
}

/// A state that notify scripts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    number: u64,
    word: Option<&'static str>,
}

/// Why a script did not start.
#[derive(Debug)]
pub struct NotStarted {
    why: String,
    /// For want of processes, memory or descriptors: that is no news about the script.
    short: bool,
}

impl NotStarted {
    /// Of a system call that every start needs.
    fn of(error: &io::Error) -> Self {
        let short = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE));
        Self { why: error.to_string(), short }
    }
}

impl From<String> for NotStarted {
    fn from(why: String) -> Self {
        Self { why, short: false }
    }
}

impl std::fmt::Display for NotStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<NotStarted> for ScriptOutcome {
    fn from(NotStarted { why, short }: NotStarted) -> Self {
        if short { Self::Short(why) } else { Self::NotStarted(why) }
    }
}

enum Request {
    /// `any`: it names commands.
    Loaded {
        secure: bool,
        users: Vec<ScriptUser>,
        any: bool,
    },
    Run {
        script: Arc<str>,
        command: Command,
        timeout: Duration,
        answer: oneshot::Sender<ScriptOutcome>,
        run: Run,
    },
    Notify {
        queue: Arc<str>,
        state: State,
        command: Command,
        run: Run,
    },
    End,
}

/// Counted as long as it runs or waits.
struct Run(Arc<AtomicUsize>);

impl Drop for Run {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Scripts {
    /// Starts the thread.
    pub fn start(means: Means) -> io::Result<Self> {
        Self::start_with(means, accounts::look_up)
    }

    fn start_with(means: Means, look_up: accounts::LookUp) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (requests, asked) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("scripts".to_owned()).spawn(move || {
            LocalSet::new().block_on(&runtime, serve(asked, means, look_up));
            // A look-up that has no end must not be waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { requests, pending: Arc::default(), states: RefCell::default() })
    }

    /// A configuration is in force: its users are looked up before a script needs them. `enable_script_security`: what
    /// runs as root must not be writable by anybody else.
    pub fn loaded(&self, config: &Config) {
        let tracked = config.scripts.values().map(|script| &script.command);
        let notified = config.all_notify().flat_map(|scripts| {
            [&scripts.master, &scripts.backup, &scripts.fault, &scripts.stop, &scripts.any].into_iter().flatten()
        });
        let commands: Vec<&Command> =
            tracked.chain(notified).chain(config.check_commands()).chain(config.health_commands()).collect();
        let users = commands.iter().filter_map(|command| command.user.clone()).collect();
        let any = !commands.is_empty();
        self.ask(Request::Loaded { secure: config.global.script_security, users, any });
    }

    /// Runs a command to its end, for the script of this name. After `timeout`, or when the future is dropped, its whole
    /// process group is killed.
    pub fn run(
        &self,
        script: &Arc<str>,
        command: &Command,
        timeout: Duration,
    ) -> impl Future<Output = ScriptOutcome> + 'static {
        let (answer, told) = oneshot::channel();
        let (script, command, run) = (script.clone(), command.clone(), self.begin());
        self.ask(Request::Run { script, command, timeout, answer, run });
        async move {
            told.await.unwrap_or_else(|_| ScriptOutcome::NotStarted("the thread that runs scripts ended".to_owned()))
        }
    }

    /// What is notified from now on for this queue is about another state.
    pub fn entered(&self, queue: Arc<str>, word: &'static str) {
        let mut states = self.states.borrow_mut();
        let state = states.entry(queue).or_insert(State { number: 0, word: None });
        *state = State { number: state.number + 1, word: Some(word) };
    }

    /// Starts a command behind those of the same queue; never waits.
    pub fn notify(&self, queue: &str, command: &Command) {
        let state = self.states.borrow().get(queue).copied().unwrap_or(State { number: 0, word: None });
        self.ask(Request::Notify { queue: queue.into(), state, command: command.clone(), run: self.begin() });
    }

    /// Waits until no script runs or waits any more. What holds up others gets little time from now on.
    pub async fn idle(&self) {
        self.ask(Request::End);
        while self.pending.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn begin(&self) -> Run {
        self.pending.fetch_add(1, Ordering::AcqRel);
        Run(self.pending.clone())
    }

    fn ask(&self, request: Request) {
        // The thread ends after this, and not before.
        let _ = self.requests.send(request);
    }
}

/// The thread's side.
struct Shop {
    means: Means,
    /// `enable_script_security`.
    secure: Cell<bool>,
    accounts: Rc<Accounts>,
    complaints: Rc<Complaints>,
    /// Whose script is being started: by then the file system may make the start wait, for ever.
    starting: RefCell<BTreeSet<Arc<str>>>,
    /// Set when the director ends.
    ending: tokio::sync::watch::Sender<bool>,
}

async fn serve(mut requests: UnboundedReceiver<Request>, means: Means, look_up: accounts::LookUp) {
    let shop = Shop::new(means, look_up);
    let mut queues: BTreeMap<Arc<str>, Rc<Queue>> = BTreeMap::new();
    while let Some(request) = requests.recv().await {
        match request {
            Request::Loaded { secure, users, any } => {
                shop.secure.set(secure);
                if any {
                    let shop = shop.clone();
                    tokio::task::spawn_local(async move { shop.means.launcher.learn().await });
                }
                shop.accounts.look_up_all(users);
            }
            Request::Run { script, command, timeout, mut answer, run } => {
                let shop = shop.clone();
                tokio::task::spawn_local(async move {
                    let outcome = tokio::select! {
                        biased;
                        () = answer.closed() => return,
                        outcome = shop.tracked(&script, &command, timeout) => outcome,
                    };
                    // Before the machine goes on: it may ask how many run.
                    drop(run);
                    let _ = answer.send(outcome);
                });
            }
            Request::Notify { queue, state, command, run } => {
                let queue = queues.entry(queue).or_insert_with_key(|name| Queue::new(name.clone(), shop.clone()));
                queue.put(state, command, run);
            }
            Request::End => {
                shop.ending.send_replace(true);
            }
        }
    }
}

impl Shop {
    fn new(means: Means, look_up: accounts::LookUp) -> Rc<Self> {
        Rc::new(Self {
            means,
            secure: Cell::new(false),
            accounts: Rc::new(Accounts::new(look_up)),
            complaints: Complaints::start(),
            starting: RefCell::default(),
            ending: tokio::sync::watch::Sender::new(false),
        })
    }

    /// Starts a command for `owner`, who has one at a time.
    async fn start(self: &Rc<Self>, owner: &Arc<str>, command: &Command, dies: bool) -> Result<Running, NotStarted> {
        let user = match &command.user {
            Some(named) => {
                let (uid, gid) = self.accounts.get(named).await?;
                let (name, group) = (named.user.clone(), named.group.clone());
                Some(User { name, group, uid: uid.as_raw(), gid: gid.as_raw() })
            }
            None => None,
        };
        if !self.starting.borrow_mut().insert(owner.clone()) {
            return Err("the start before is still waiting for the file system".to_owned().into());
        }
        let start = Start { argv: command.argv.clone(), user, secure: self.secure.get(), dies };
        let (shop, owner) = (self.clone(), owner.clone());
        let (tell, told) = oneshot::channel();
        // By itself, so that it is known when it is over though nobody waits for it any more.
        tokio::task::spawn_local(async move {
            let started = shop.means.launcher.run(start).await;
            shop.starting.borrow_mut().remove(&owner);
            // One that comes too late is killed when it is dropped.
            let _ = tell.send(started);
        });
        told.await.unwrap_or_else(|_| Err("its start was given up".to_owned().into()))
    }

    async fn tracked(self: &Rc<Self>, script: &Arc<str>, command: &Command, timeout: Duration) -> ScriptOutcome {
        let deadline = tokio::time::Instant::now() + timeout;
        let mut running = match tokio::time::timeout_at(deadline, self.start(script, command, true)).await {
            Ok(Ok(running)) => running,
            Ok(Err(why)) => return why.into(),
            Err(_) => {
                let why = "looking up its user, or reading its file, took longer than its timeout";
                return ScriptOutcome::NotStarted(why.to_owned());
            }
        };
        let said = self.complaints.of(script);
        match tokio::time::timeout_at(deadline, running.ends(&said)).await {
            Ok(Ok(status)) => outcome(status),
            Ok(Err(error)) => ScriptOutcome::NotStarted(format!("lost sight of it: {error}")),
            Err(_) => {
                running.kill();
                let _ = running.ends(&said).await;
                ScriptOutcome::TimedOut
            }
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
