//! Notify scripts: those of one virtual router, or of one real server, run one after the other.
//!
//! One that does not end is ended. Of several states that wait meanwhile only the newest is told: a script that puts
//! something in the place of what was before needs the last one, and is not served by those that are over.

use super::complaints::Speaker;
use super::running::Running;
use super::{HURRY, Run, Shop, State};
use nix::sys::signal::Signal;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::{sleep, timeout};
use vipward_core::command::Command;
use vipward_core::time::Duration;

/// Between SIGTERM and SIGKILL for a script that ran too long.
const GRACE: Duration = Duration::from_secs(5);

/// The same when the director ends.
const SHORT_GRACE: Duration = Duration::from_millis(500);

/// The notify scripts of one virtual router.
pub struct Queue {
    name: Arc<str>,
    shop: Rc<Shop>,
    waiting: RefCell<VecDeque<Waiting>>,
    /// The state whose scripts run.
    current: Cell<Option<u64>>,
}

struct Waiting {
    state: State,
    command: Command,
    run: Run,
}

impl Queue {
    pub fn new(name: Arc<str>, shop: Rc<Shop>) -> Rc<Self> {
        Rc::new(Self { name, shop, waiting: RefCell::default(), current: Cell::new(None) })
    }

    /// Starts it, or lets it wait in the place of what waits for an older state. A state that was begun is told to all
    /// of its scripts.
    pub fn put(self: &Rc<Self>, state: State, command: Command, run: Run) {
        let current = self.current.get();
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|old| {
            let stays = old.state.number >= state.number || Some(old.state.number) == current;
            if !stays {
                let (program, was, is) = (program(&old.command), word(old.state), word(state));
                tracing::warn!("{}: notify script {program} was skipped for {was}: it waited until {is}", self.name);
            }
            stays
        });
        waiting.push_back(Waiting { state, command, run });
        if current.is_none() {
            self.current.set(Some(state.number));
            tokio::task::spawn_local(self.clone().work());
        }
    }

    async fn work(self: Rc<Self>) {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            self.current.set(next.as_ref().map(|next| next.state.number));
            let Some(Waiting { command, run, .. }) = next else { return };
            self.run(&command).await;
            drop(run);
        }
    }

    /// One script from start to end. The daemon's own end does not kill it: what it was told to do has happened.
    async fn run(&self, command: &Command) {
        let (queue, program) = (&self.name, program(command));
        let longest = self.shop.means.longest;
        let started = tokio::select! {
            started = timeout(longest, self.shop.start(queue, command, false)) => started,
            () = self.hurried() => return tracing::error!("{queue}: notify script {program} not started: it took too long"),
        };
        let mut running = match started {
            Ok(Ok(running)) => running,
            Ok(Err(why)) => return tracing::error!("{queue}: notify script {program} not started: {why}"),
            Err(_) => {
                let why = "looking up its user, or reading its file, took too long";
                return tracing::error!("{queue}: notify script {program} not started: {why}");
            }
        };
        let speaker = self.shop.complaints.of(&format!("{queue}: notify script {program}"));
        let ended = tokio::select! {
            biased;
            status = running.ends(&speaker) => Some(status),
            () = sleep(longest) => {
                let seconds = longest.as_secs();
                tracing::error!("{queue}: notify script {program} ran for {seconds} s: it is ended (notify_timeout)");
                None
            }
            () = self.hurried() => {
                tracing::error!("{queue}: notify script {program} is ended: the director ends, and others wait for it");
                None
            }
        };
        match ended {
            Some(Ok(status)) if status.success() => {}
            Some(Ok(status)) => {
                let last = running.last_said().map(|said| format!(": {said}")).unwrap_or_default();
                tracing::warn!("{queue}: notify script {program} failed: {}{last}", how(status));
            }
            Some(Err(error)) => tracing::error!("{queue}: lost sight of notify script {program}: {error}"),
            None => self.end(&mut running, &speaker).await,
        }
    }

    /// The director ends, something waits, and what runs has had its time.
    async fn hurried(&self) {
        let mut ending = self.shop.ending.subscribe();
        if ending.wait_for(|ending| *ending).await.is_err() {
            return std::future::pending().await;
        }
        sleep(HURRY).await;
        while self.waiting.borrow().is_empty() {
            sleep(SHORT_GRACE).await;
        }
    }

    /// SIGTERM, then SIGKILL, for the whole group.
    async fn end(&self, running: &mut Running, speaker: &Speaker<'_>) {
        running.signal(Signal::SIGTERM);
        let grace = if *self.shop.ending.borrow() { SHORT_GRACE } else { GRACE };
        if timeout(grace, running.ends(speaker)).await.is_ok() {
            return running.kill();
        }
        running.kill();
        if timeout(GRACE, running.ends(speaker)).await.is_err() {
            tracing::error!(
                "{}: a notify script does not end, not even killed: the next one starts all the same",
                self.name
            );
        }
    }
}

fn program(command: &Command) -> &str {
    command.argv.first().map_or("", String::as_str)
}

/// A state, in the word that scripts hear.
fn word(state: State) -> &'static str {
    state.word.unwrap_or("a state")
}

fn how(status: ExitStatus) -> String {
    // "exit status: 1", "signal: 9 (SIGKILL)".
    status.to_string()
}
