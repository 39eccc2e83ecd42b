//! The lines that wait to be written, and the thread that writes them.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Lines that may wait.
const MOST_LINES: usize = 4096;

/// Bytes of all lines that may wait.
const MOST_BYTES: usize = 1 << 20;

/// How often the writer looks whether there is a count of dropped lines to tell and no further line to tell it with.
const LOOK: Duration = Duration::from_secs(1);

/// How often [`Queue::drain`] looks whether all is written.
const PAUSE: Duration = Duration::from_millis(1);

/// Text that waits, and how many lines were dropped since the text before it.
#[derive(Debug)]
pub struct Line {
    dropped: u64,
    text: Vec<u8>,
}

/// The way to the writer. Putting something into it never waits: no lock is shared with the writer, which runs with
/// ordinary priority.
#[derive(Clone, Debug)]
pub struct Queue {
    lines: SyncSender<Line>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Put in and not written yet.
    lines: AtomicUsize,
    bytes: AtomicUsize,
    /// It was full, and is not half empty yet. Without this a slow reader would get a count between any two lines.
    full: AtomicBool,
    /// Since the last line that was put in.
    dropped: AtomicU64,
}

impl Queue {
    /// An empty one, and its other end, which is for [`write_all`].
    pub fn new() -> (Self, Receiver<Line>) {
        let (lines, receiver) = sync_channel(MOST_LINES);
        (Self { lines, shared: Arc::default() }, receiver)
    }

    /// Puts text in, or drops and counts it.
    pub fn put(&self, text: &[u8]) {
        let shared = &*self.shared;
        let lines = shared.lines.fetch_add(1, Ordering::AcqRel);
        let bytes = shared.bytes.fetch_add(text.len(), Ordering::AcqRel);
        if lines <= MOST_LINES / 2 && bytes <= MOST_BYTES / 2 {
            shared.full.store(false, Ordering::Release);
        }
        // One text of more than all that may wait would never fit; alone it does.
        let fits = bytes == 0 || bytes.saturating_add(text.len()) <= MOST_BYTES;
        let mut dropped = 0;
        if fits && !shared.full.load(Ordering::Acquire) {
            dropped = shared.dropped.swap(0, Ordering::AcqRel);
            if self.lines.try_send(Line { dropped, text: text.to_vec() }).is_ok() {
                return;
            }
        }
        shared.full.store(true, Ordering::Release);
        shared.dropped.fetch_add(dropped.saturating_add(1), Ordering::AcqRel);
        shared.taken(text.len());
    }

    /// Waits until all is written, at most for `patience`.
    pub fn drain(&self, patience: Duration) {
        let began = Instant::now();
        while self.shared.lines.load(Ordering::Acquire) > 0 && began.elapsed() < patience {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Each call is one line of the log: that is how `tracing-subscriber` writes.
impl io::Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.lines.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The writer's life: until nobody can put anything in any more.
pub fn write_all(queue: &Queue, lines: &Receiver<Line>, to: &impl AsFd) {
    let shared = queue.shared.clone();
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(Line { dropped, text }) => {
                if dropped > 0 {
                    write_text(to, lost(dropped).as_bytes());
                }
                write_text(to, &text);
                shared.taken(text.len());
            }
            Err(RecvTimeoutError::Timeout) => {
                let dropped = shared.dropped.swap(0, Ordering::AcqRel);
                if dropped > 0 {
                    write_text(to, lost(dropped).as_bytes());
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A line that looks like the others.
fn lost(lines: u64) -> String {
    let mut text = String::new();
    // A time that can't be told leaves the line without one.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    let (lines, were) = if lines == 1 { ("1 line".to_owned(), "was") } else { (format!("{lines} lines"), "were") };
    text.push_str(&format!("  WARN {lines} of the log {were} dropped: standard error was not read\n"));
    text
}

/// Writes all of it, however long that takes; nothing when nobody can read it any more. Not by the standard library's
/// `Stderr`: its lock would be held meanwhile, and a panic's message would wait for it.
fn write_text(to: &impl AsFd, mut text: &[u8]) {
    while !text.is_empty() {
        match write(to, text) {
            // Not a word about what was not taken: trying again at once would be without end.
            Ok(0) => return,
            Ok(length) => text = text.get(length..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            // Somebody who shares it has made it non-blocking.
            Err(Errno::EAGAIN) => {
                let mut waited = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
                if !matches!(poll(&mut waited, PollTimeout::NONE), Ok(_) | Err(Errno::EINTR)) {
                    return;
                }
            }
            // EPIPE: the reader is gone (the Rust runtime ignores SIGPIPE). EBADF: it was closed. ENOSPC, EIO: a file.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::pipe;
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;

    const PLENTY: Duration = Duration::from_secs(60);

    /// A queue with a writer, and the end at which its lines come out.
    fn started() -> (Queue, OwnedFd) {
        let (read, to) = pipe().unwrap();
        let (queue, lines) = Queue::new();
        let own = queue.clone();
        std::thread::spawn(move || write_all(&own, &lines, &to));
        (queue, read)
    }

    #[test]
    fn what_is_put_in_is_written_and_the_end_waits_for_it() {
        let (queue, read) = started();
        for number in 0..100 {
            queue.put(format!("line {number}\n").as_bytes());
        }
        queue.drain(PLENTY);
        assert_eq!(queue.shared.bytes.load(Ordering::Acquire), 0);
        let mut lines = BufReader::new(File::from(read)).lines();
        for number in 0..100 {
            assert_eq!(lines.next().unwrap().unwrap(), format!("line {number}"));
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_the_count_stands_in_its_place() {
        let (queue, read) = started();
        // More than the pipe holds and as much again as may wait; nobody reads.
        const ALL: usize = 200_000;
        for number in 0..ALL {
            queue.put(format!("line {number}\n").as_bytes());
        }
        // Far shorter than it would take to write without a reader: for ever.
        queue.drain(Duration::from_millis(10));
        let mut lines = BufReader::new(File::from(read)).lines().map(Result::unwrap);
        let mut next = 0;
        let mut dropped = 0;
        while next < ALL {
            let line = lines.next().unwrap();
            if let Some(number) = line.strip_prefix("line ") {
                assert_eq!(number, next.to_string(), "a gap that is not told");
                next += 1;
            } else {
                let (_, told) = line.split_once("WARN ").unwrap();
                let (count, rest) = told.split_once(' ').unwrap();
                assert_eq!(rest, "lines of the log were dropped: standard error was not read");
                let count: usize = count.parse().unwrap();
                (next, dropped) = (next + count, dropped + count);
            }
        }
        assert_eq!(next, ALL);
        assert!(dropped > 0);
        // Where there is room again all is as before.
        queue.put(b"and on\n");
        assert_eq!(lines.next().unwrap(), "and on");
    }

    #[test]
    fn a_text_of_any_length_goes_through_and_what_waits_is_bounded_in_bytes() {
        let (queue, read) = started();
        let long = vec![b'x'; 2 * MOST_BYTES];
        queue.put(&long);
        queue.put(b"too much\n");
        let mut lines = BufReader::new(File::from(read)).lines().map(Result::unwrap);
        queue.put(b"\n");
        assert_eq!(lines.next().map(|line| line.starts_with("xxx")), Some(true));
    }

    #[test]
    fn a_reader_that_goes_and_one_that_does_not_wait_stop_nothing() {
        let (queue, read) = started();
        drop(read);
        queue.put(b"for nobody\n");
        queue.drain(PLENTY);
        assert_eq!(queue.shared.lines.load(Ordering::Acquire), 0);
        let (read, to) = pipe().unwrap();
        nix::fcntl::fcntl(&to, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
        let writer = std::thread::spawn(move || write_text(&to, &vec![b'x'; 1 << 20]));
        let read = std::io::read_to_string(File::from(read)).unwrap();
        assert_eq!(read.len(), 1 << 20);
        writer.join().unwrap();
    }
}
