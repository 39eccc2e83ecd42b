//! One FIFO: its queue, and what is written.

use super::super::Shop;
use super::super::wire::{self, FifoJob};
use super::Left;
use super::reader::Reader;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::unix::pipe::Sender;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use vipward_core::command::Command;
use vipward_core::config::Fifo;
use vipward_core::time::Duration;

/// Lines that wait for a reader, beside what the FIFO itself holds (64 KiB).
const MOST: usize = 1024;

/// How long the end waits for a reader to take what is there.
const LAST: Duration = Duration::from_millis(500);

/// The same without a reader of its own: what does not fit in by then is lost.
const FULL: Duration = Duration::from_millis(100);

/// How long it waits for the FIFO to be removed.
const REMOVAL: Duration = Duration::from_secs(1);

pub struct Pipe {
    shop: Rc<Shop>,
    path: Arc<str>,
    /// What the configuration says; none: it does not name it any more.
    config: RefCell<Option<Fifo>>,
    /// Whole lines; of the first one what is not written yet.
    waiting: RefCell<VecDeque<Vec<u8>>>,
    dropped: Cell<u64>,
    /// Something waits, or may be written again.
    bell: Notify,
    /// When it is open.
    open: RefCell<Option<Rc<Sender>>>,
    /// The director made it.
    made: Cell<bool>,
    /// A successor writes.
    given: Cell<bool>,
    reader: RefCell<Option<Reader>>,
    work: RefCell<Option<AbortHandle>>,
}

impl Pipe {
    fn new(shop: Rc<Shop>, path: Arc<str>) -> Self {
        Self {
            shop,
            path,
            config: RefCell::default(),
            waiting: RefCell::default(),
            dropped: Cell::default(),
            bell: Notify::new(),
            open: RefCell::default(),
            made: Cell::default(),
            given: Cell::default(),
            reader: RefCell::default(),
            work: RefCell::default(),
        }
    }

    /// One that a configuration names.
    pub fn begin(shop: Rc<Shop>, fifo: Fifo) -> Rc<Self> {
        let pipe = Rc::new(Self::new(shop, fifo.path.clone()));
        pipe.config.replace(Some(fifo));
        pipe.works();
        pipe
    }

    /// One that a predecessor left.
    pub fn go_on(shop: Rc<Shop>, Left { path, made, waiting, pipe: open, reader }: Left) -> Rc<Self> {
        let pipe = Rc::new(Self::new(shop, path));
        pipe.made.set(made);
        pipe.waiting.borrow_mut().extend(waiting.into_iter().map(String::into_bytes));
        match Sender::from_owned_fd(open) {
            Ok(open) => drop(pipe.open.replace(Some(Rc::new(open)))),
            Err(error) => tracing::error!("notify FIFO {}: {error}", pipe.path),
        }
        let reader = reader.map(|(command, line)| Reader::go_on(pipe.shop.clone(), &pipe.path, command, line));
        pipe.reader.replace(reader);
        pipe.works();
        pipe
    }

    /// A configuration is in force. `first`: then a reader that a predecessor left stays.
    pub fn reload(self: &Rc<Self>, fifo: Fifo, first: bool) {
        let stays = first && self.reader.borrow().as_ref().map(Reader::command) == fifo.script.as_ref();
        let command = fifo.script.clone();
        self.config.replace(Some(fifo));
        if self.open.borrow().is_none() {
            // Perhaps it can be opened now.
            self.works();
        } else if !stays {
            self.read_by(command);
        }
    }

    /// Puts a line behind those that wait. Of too many the oldest is dropped.
    pub fn put(&self, mut line: String) {
        line.push('\n');
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= MOST {
            // The first may be written in part.
            waiting.remove(1);
            self.dropped.set(self.dropped.get() + 1);
            if self.dropped.get() == 1 {
                tracing::warn!("notify FIFO {}: nobody reads it fast enough: lines are dropped", self.path);
            }
        }
        waiting.push_back(line.into_bytes());
        self.bell.notify_one();
    }

    fn works(self: &Rc<Self>) {
        let work = tokio::task::spawn_local(self.clone().work()).abort_handle();
        if let Some(before) = self.work.replace(Some(work)) {
            before.abort();
        }
    }

    /// Opens it, and writes as long as there is something and room for it.
    async fn work(self: Rc<Self>) {
        let opened = self.open.borrow().clone();
        let open = match opened {
            Some(open) => open,
            None => match self.opens().await {
                Ok(open) => open,
                Err(why) => return tracing::error!("notify FIFO {}: {why}: its lines are lost", self.path),
            },
        };
        loop {
            self.bell.notified().await;
            while !self.given.get() && !self.waiting.borrow().is_empty() {
                match open.writable().await {
                    // A line of less than 4 KiB is written whole or not at all (pipe(7), PIPE_BUF).
                    Ok(()) => self.write(&open),
                    Err(error) => return tracing::error!("notify FIFO {}: {error}", self.path),
                }
            }
        }
    }

    async fn opens(&self) -> Result<Rc<Sender>, String> {
        let Some((fifo, script)) =
            self.config.borrow().as_ref().map(|it| (wanted(it, FifoJob::Open), it.script.clone()))
        else {
            return Err("it is not wanted any more".to_owned());
        };
        let (open, made) = self.shop.means.launcher.open_fifo(fifo).await.map_err(|why| why.to_string())?;
        let open = Sender::from_owned_fd(open).map_err(|error| error.to_string())?;
        let open = Rc::new(open);
        self.made.set(self.made.get() || made);
        self.open.replace(Some(open.clone()));
        self.read_by(script);
        self.bell.notify_one();
        Ok(open)
    }

    fn write(&self, open: &Sender) {
        let mut waiting = self.waiting.borrow_mut();
        // It may have been given away since.
        let Some(line) = waiting.front_mut().filter(|_| !self.given.get()) else { return };
        match open.try_write(line) {
            Ok(length) if length < line.len() => drop(line.drain(..length)),
            Ok(_) => drop(waiting.pop_front()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Nothing that is known of a FIFO that this process can read as well.
            Err(error) => {
                waiting.pop_front();
                tracing::error!("notify FIFO {}: a line is lost: {error}", self.path);
            }
        }
        if waiting.is_empty() && self.dropped.get() > 0 {
            let count = self.dropped.take();
            tracing::warn!("notify FIFO {}: {count} lines were dropped until somebody read it", self.path);
        }
    }

    /// The reader before it ends first.
    fn read_by(&self, command: Option<Command>) {
        let mut reader = self.reader.borrow_mut();
        let before = reader.take().map(Reader::end);
        *reader = command.map(|command| Reader::start(self.shop.clone(), &self.path, command, before));
    }

    /// For a successor. From now on nothing is written here. None: it could not be opened.
    pub async fn give(&self) -> Option<Left> {
        self.given.set(true);
        let open = self.open.borrow().clone()?;
        let asked = self.reader.borrow().as_ref().map(|reader| (reader.command().clone(), reader.give()));
        let reader = match asked {
            Some((command, line)) => line.await.map(|line| (command, line)),
            None => None,
        };
        let waiting = self.waiting.borrow();
        let waiting = waiting.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let (path, made) = (self.path.clone(), self.made.get());
        Some(Left { path, made, waiting, pipe: open.as_fd().try_clone_to_owned().ok()?, reader })
    }

    /// Nobody took it.
    pub fn take_back(&self) {
        self.given.set(false);
        self.reader.borrow().iter().for_each(Reader::take_back);
        self.bell.notify_one();
    }

    /// Lets the reader have what is there, ends it if the director started it, and removes what the director made.
    pub async fn close(&self) {
        let open = self.open.borrow().clone();
        let reader = self.reader.take();
        let all_read = async {
            let Some(open) = &open else { return };
            while !self.waiting.borrow().is_empty() || (reader.is_some() && holds_something(open)) {
                sleep(Duration::from_millis(5)).await;
            }
            if reader.is_some() {
                // It has them, and has not yet done what they ask for.
                sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = timeout(if reader.is_some() { LAST } else { FULL }, all_read).await;
        if let Some(reader) = reader {
            let _ = reader.end().await;
        }
        if let Some(work) = self.work.take() {
            work.abort();
        }
        let removal = self.config.borrow().as_ref().map(|it| wanted(it, FifoJob::Remove));
        let removal = removal.unwrap_or(wire::Fifo { path: self.path.to_string(), user: None, job: FifoJob::Remove });
        if self.made.get() {
            match timeout(REMOVAL, self.shop.means.launcher.remove_fifo(removal)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => tracing::warn!("notify FIFO {} stays: {why}", self.path),
                Err(_) => tracing::warn!("notify FIFO {} stays: its removal takes too long", self.path),
            }
        }
    }
}

fn wanted(fifo: &Fifo, job: FifoJob) -> wire::Fifo {
    let user = fifo.user.as_ref().map(|user| (user.user.clone(), user.group.clone()));
    wire::Fifo { path: fifo.path.to_string(), user, job }
}

/// Whether something waits in it for a reader.
fn holds_something(open: &Sender) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: the kernel writes one int, and there is one.
    #[allow(unsafe_code)]
    let told = unsafe { libc::ioctl(open.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    told == 0 && count > 0
}
