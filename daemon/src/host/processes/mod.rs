//! Processes that virtual routers track (`track_process`). A thread of its own counts them.
//!
//! The kernel tells of each process that begins, ends or becomes another program ([`connector`]), where it tells this process
//! at all: to an administrator of the host, in the host's own network. Elsewhere /proc is read every so often. Either way all
//! of /proc is read at first, when news were lost, and now and then in case they were without a word.

mod connector;
mod table;

use connector::{Connector, Happened, Heard};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::Table;
use tokio::sync::mpsc::UnboundedSender;
use vipward_core::config::WatchedProcess;
use vipward_core::vrrp;

/// How often all of /proc is read, where the kernel tells what happens.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// The same where it does not.
const READ_SOON: Duration = Duration::from_secs(1);
/// How often those that run are looked at there: that they end matters most.
const LOOK: Duration = Duration::from_millis(100);
/// Reading takes one part in so many of one processor's time at most, however many processes there are.
const SHARE: u32 = 20;

/// The tracked processes of an Election.
pub struct Processes {
    tell: UnboundedSender<vrrp::Input>,
    /// Its other end is with the thread, which ends when this one is closed.
    watching: std::cell::RefCell<Option<OwnedFd>>,
}

impl Processes {
    pub fn new(tell: UnboundedSender<vrrp::Input>) -> Self {
        Self { tell, watching: std::cell::RefCell::new(None) }
    }

    /// Counts these and no others from now on.
    pub fn watch(&self, processes: &[WatchedProcess]) -> io::Result<()> {
        // The thread before ends at its next look.
        self.watching.take();
        if processes.is_empty() {
            return Ok(());
        }
        let (ends, own) = pipe2(OFlag::O_CLOEXEC)?;
        let (table, tell) = (Table::new(Path::new("/proc"), processes), self.tell.clone());
        let run = move || Watch::new(table, tell).run(&ends);
        std::thread::Builder::new().name("processes".to_owned()).spawn(run)?;
        *self.watching.borrow_mut() = Some(own);
        Ok(())
    }
}

struct Watch {
    table: Table,
    connector: Option<Connector>,
    told: BTreeMap<Arc<str>, u32>,
    tell: UnboundedSender<vrrp::Input>,
    /// When all of /proc is read next.
    due: Instant,
    unreadable: bool,
}

impl Watch {
    fn new(table: Table, tell: UnboundedSender<vrrp::Input>) -> Self {
        // Before anything is read: what happens afterwards is told.
        let connector = match Connector::open() {
            Ok(connector) => Some(connector),
            Err(why) => {
                tracing::info!(
                    "tracked processes are looked for in /proc, once a second at most: the kernel does not tell this \
                     process when others begin and end: {why}"
                );
                None
            }
        };
        Self { table, connector, told: BTreeMap::new(), tell, due: Instant::now(), unreadable: false }
    }

    fn run(mut self, ends: &OwnedFd) {
        loop {
            if Instant::now() >= self.due {
                self.read_all();
            } else if self.connector.is_none() {
                self.table.look_again();
            }
            if !self.tell() || !self.wait(ends) {
                return;
            }
            self.hear();
        }
    }

    fn read_all(&mut self) {
        let began = Instant::now();
        match self.table.read() {
            Ok(()) => self.unreadable = false,
            Err(error) => {
                if !std::mem::replace(&mut self.unreadable, true) {
                    tracing::error!("tracked processes can't be counted: reading /proc: {error}");
                }
            }
        }
        let pause = if self.connector.is_some() { READ_AGAIN } else { READ_SOON };
        self.due = Instant::now() + pause.max(began.elapsed() * SHARE);
    }

    /// What the kernel has told.
    fn hear(&mut self) {
        let Some(connector) = &mut self.connector else { return };
        let mut lost = false;
        loop {
            match connector.hear() {
                Heard::Nothing => break,
                Heard::Lost => lost = true,
                Heard::Other => {}
                Heard::Happened(Happened::Forked { parent, child }) => self.table.forked(parent, child),
                Heard::Happened(Happened::Renamed { pid, name }) => self.table.renamed(pid, &name),
                Heard::Happened(Happened::Executed { pid }) => self.table.look_at(pid),
                Heard::Happened(Happened::Ended { pid }) => self.table.ended(pid),
                Heard::Failed(error) => {
                    tracing::warn!("tracked processes are looked for in /proc from now on: {error}");
                    self.connector = None;
                    self.due = Instant::now();
                    return;
                }
            }
        }
        if lost {
            // In a storm of processes this would be all that is done: those that are known are looked at meanwhile.
            tracing::debug!("news of processes were lost: /proc is read again");
            self.table.look_again();
            self.due = self.due.min(Instant::now() + READ_SOON);
        }
    }

    /// Tells what is new. False: nobody listens any more.
    fn tell(&mut self) -> bool {
        if self.unreadable {
            return true;
        }
        let counts = self.table.counts();
        let news: Vec<(Arc<str>, u32)> = counts.filter(|(name, count)| self.told.get(name) != Some(count)).collect();
        self.told.extend(news.iter().cloned());
        news.is_empty() || self.tell.send(vrrp::Event::ProcessesCounted(news).into()).is_ok()
    }

    /// Until something may have happened. False: it is over.
    fn wait(&self, ends: &OwnedFd) -> bool {
        let until = self.due.saturating_duration_since(Instant::now());
        let until = if self.connector.is_some() { until } else { until.min(LOOK) };
        // Never shorter than that, or the last part of a millisecond would be waited for without a pause.
        let timeout = PollTimeout::try_from(until.as_millis() + 1).unwrap_or(PollTimeout::from(1_000u16));
        let mut waits = vec![PollFd::new(ends.as_fd(), PollFlags::POLLIN)];
        waits.extend(self.connector.as_ref().map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waits, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::warn!("tracked processes are not watched any more: {error}");
                return false;
            }
        }
        waits.first().and_then(PollFd::revents).is_none_or(|events| events.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use vipward_core::config::{KnownBy, ProcessPattern};
    use vipward_core::machine::Input;

    fn heard(from: &mut UnboundedReceiver<vrrp::Input>, count: u32) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match from.try_recv() {
                Ok(Input::Event(vrrp::Event::ProcessesCounted(counts))) if counts.iter().any(|it| it.1 == count) => {
                    return;
                }
                Ok(Input::Event(vrrp::Event::ProcessesCounted(_))) => {}
                Ok(other) => panic!("{other:?}"),
                Err(_) => assert!(Instant::now() < deadline, "nobody tells that there are {count}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ends(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// However this process learns it: by the kernel, or out of /proc.
    #[test]
    fn processes_are_counted_when_they_begin_and_end() {
        let folder = tempfile::tempdir().unwrap();
        // No other process of the host is called so.
        let name = format!("v{}", std::process::id());
        let program = folder.path().join(&name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        let sleeps = || Command::new(&program).arg("1000").spawn().unwrap();
        let pattern = ProcessPattern { command: name.as_str().into(), arguments: Vec::new(), by: KnownBy::Name };
        let (tell, mut from) = unbounded_channel();
        let processes = Processes::new(tell);
        let first = sleeps();
        processes.watch(&[WatchedProcess { name: "p".into(), pattern }]).unwrap();
        heard(&mut from, 1);
        let second = sleeps();
        heard(&mut from, 2);
        ends(first);
        heard(&mut from, 1);
        ends(second);
        heard(&mut from, 0);
    }
}
