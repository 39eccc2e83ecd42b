//! The flight recorder in the daemon: two machines hand their steps to a bounded queue, a thread of its own writes them to
//! a ring of files. A machine never waits for the disk: what does not fit into the queue is counted and recorded as a gap.

mod log;
mod ring;

pub use ring::Ring;

use crate::system::clock;
use log::Log;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};
use vipward_core::record::{Begin, Entry, File, Recorder};
use vipward_core::text::Sources;

/// Steps that wait to be written. At 1,000 adverts a second the disk may stand still for 16 s.
const QUEUE: usize = 16 * 1024;

/// How often the queue is emptied, unless something was decided. Looking by the clock costs less than being woken for
/// every advert; a process that is killed loses as much of these.
const PAUSE: Duration = Duration::from_millis(250);

/// A decision is written after so long: what follows it closely comes along, and a thousand of them make no thousand
/// writes.
const SOON: Duration = Duration::from_millis(5);

/// How long after a failure the disk is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the end may take.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// After so many entries what has come together is written.
const AT_ONCE: usize = 4096;

/// What the machines, the supervisor and the writer share.
#[derive(Debug, Default)]
struct Shared {
    /// Counts beginnings, of files and of sections in them.
    generation: AtomicU64,
    stop: AtomicBool,
    /// The newest configuration's text, until the writer has taken it.
    files: Mutex<Option<Vec<File>>>,
    /// Whom a decision wakes.
    writer: OnceLock<Thread>,
}

/// A recording under way.
#[derive(Debug)]
pub struct Recording {
    tap: Tap,
    done: Receiver<()>,
}

/// A machine's end of the queue.
#[derive(Clone, Debug)]
pub struct Tap {
    queue: SyncSender<Entry>,
    shared: Arc<Shared>,
}

impl Recorder for Tap {
    fn take(&mut self, entry: Entry) -> bool {
        let urgent = matches!(&entry, Entry::Step(step) if step.decisions().next().is_some());
        let taken = self.queue.try_send(entry).is_ok();
        if urgent {
            self.shared.wake();
        }
        taken
    }

    fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

impl Recording {
    /// Starts to record into `ring`. A file that can't be written is tried again and again, and said in the log: it keeps
    /// no director from its work. `director` is its name in the record, `run` tells this start from others, `sources` has
    /// the configuration's text.
    pub fn start(ring: Ring, director: String, run: u64, sources: &Sources) -> io::Result<Self> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = since_1970.saturating_sub(clock::now().since_origin()).as_nanos();
        let begin = Begin {
            version: Begin::this_version(),
            director,
            run,
            file: 0,
            at: clock::now(),
            epoch: u64::try_from(epoch).unwrap_or(u64::MAX),
        };
        let shared = Arc::new(Shared { files: Mutex::new(Some(texts(sources))), ..Shared::default() });
        let (queue, entries) = sync_channel(QUEUE);
        let (ended, done) = sync_channel(1);
        let log = Log::new(ring, begin, shared.clone());
        let own = shared.clone();
        let thread = std::thread::Builder::new().name("record".to_owned()).spawn(move || {
            write(log, &entries, &own);
            let _ = ended.send(());
        })?;
        // Nobody else sets it.
        let _ = shared.writer.set(thread.thread().clone());
        Ok(Self { tap: Tap { queue, shared }, done })
    }

    /// For one machine.
    pub fn tap(&self) -> Tap {
        self.tap.clone()
    }

    /// The text of a configuration that is about to be loaded.
    pub fn configuration(&self, sources: &Sources) {
        *self.tap.shared.files.lock().unwrap_or_else(PoisonError::into_inner) = Some(texts(sources));
    }

    /// Writes what is left and ends. A disk that does not answer is not waited for.
    pub fn finish(self) {
        self.tap.shared.stop.store(true, Ordering::Release);
        self.tap.shared.wake();
        if self.done.recv_timeout(LAST_WRITES) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the recording is not whole: the disk did not answer for {} s", LAST_WRITES.as_secs());
        }
    }
}

fn texts(sources: &Sources) -> Vec<File> {
    sources.ids().map(|id| File { name: sources.name(id).to_owned(), text: sources.text(id).to_owned() }).collect()
}

/// The writer's life.
fn write(mut log: Log, entries: &Receiver<Entry>, shared: &Shared) {
    loop {
        let last = shared.stop.load(Ordering::Acquire);
        let mut empty = false;
        if log.has_room() {
            for _ in 0..AT_ONCE {
                match entries.try_recv() {
                    Ok(entry) => log.take(entry),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                        empty = true;
                        break;
                    }
                }
            }
        }
        let written = log.write();
        if last && (empty || !written) {
            return;
        }
        if !written {
            std::thread::park_timeout(AGAIN);
        } else if empty {
            let began = Instant::now();
            std::thread::park_timeout(PAUSE);
            if !shared.stop.load(Ordering::Acquire) {
                std::thread::sleep(SOON.saturating_sub(began.elapsed()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
