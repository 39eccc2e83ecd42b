//! The log: standard error, one line an event: when, how loud, one sentence.
//!
//! Whoever logs only puts its line into a bounded queue; a thread of its own writes. Standard error may be a pipe that
//! nobody reads: then that thread waits, lines that don't fit are dropped and counted, and the count is told in the
//! place of the lines once there is room. So no call to the log makes a machine, or the supervisor, wait.
//!
//! Why not `tracing-appender`: it does not tell how many lines it dropped, its end waits for a fixed second or more,
//! and it can't be waited for before the supervisor's process becomes another program.

mod queue;

use clap::ValueEnum;
use nix::sys::signal::{SigSet, SigmaskHow};
use queue::{Line, Queue};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long the end of a process waits for lines that are not written yet.
pub const LAST_LINES: Duration = Duration::from_millis(500);

/// The writer's stack. The supervisor's memory is locked, stacks and all.
const STACK: usize = 128 << 10;

/// The queue of this process, once its log was started.
static LOG: OnceLock<Queue> = OnceLock::new();

/// What the writer takes from, until there is a writer.
static UNWRITTEN: Mutex<Option<(Queue, Receiver<Line>)>> = Mutex::new(None);

/// What is logged. Each level includes those above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Somebody should look now: a virtual router in FAULT, a lost quorum, something that could not be done
    Error,
    /// Service is degraded or a peer misbehaves; somebody should look in the morning
    Warn,
    /// What was decided, and why: a role changed, a server came back, a configuration was applied
    #[default]
    Info,
    /// How it was done: what was started, which privilege was used
    Debug,
    /// Every packet and every kernel notification
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Starts logging, and the thread that writes. Must be called before the calling thread filters its system calls: threads
/// inherit that.
pub fn start(level: LogLevel) -> io::Result<()> {
    begin(level);
    write()
}

/// Starts logging: what is logged waits for [`write`] or [`drain`]. The libraries underneath report only their errors.
pub fn begin(level: LogLevel) {
    let (queue, lines) = Queue::new();
    // Fails only when there is one already, which is then the one that counts.
    if LOG.set(queue.clone()).is_ok() {
        *UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = Some((queue.clone(), lines));
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || queue.clone())
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    let filter = Targets::new().with_target("vipward", level).with_default(LevelFilter::ERROR);
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

/// Starts the thread that writes, if it is not there yet. It has the rights of the thread that calls this.
pub fn write() -> io::Result<()> {
    let unwritten = UNWRITTEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some((queue, lines)) = unwritten else { return Ok(()) };
    // Signals are for the thread that asked for them. A new thread has the mask of the one that starts it.
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(STACK);
    let started = thread.spawn(move || queue::write_all(&queue, &lines, &io::stderr()));
    before.thread_set_mask()?;
    started.map(drop)
}

/// Prints text as it is, behind all that was logged so far. Waits as little as a line of the log does.
pub fn print(text: &str) {
    match LOG.get() {
        Some(queue) => queue.put(text.as_bytes()),
        None => eprint!("{text}"),
    }
}

/// Waits until all that was logged is written, at most for `patience`: before the process ends, or becomes another
/// program.
pub fn drain(patience: Duration) {
    if let (Some(queue), Ok(())) = (LOG.get(), write()) {
        queue.drain(patience);
    }
}

/// A panic's message, written before all ends if somebody reads. False: there is no log to write it to.
pub fn panic(panic: &PanicHookInfo<'_>) -> bool {
    let Some(queue) = LOG.get() else { return false };
    let thread = std::thread::current();
    let mut text = format!("\nthread '{}' {panic}\n", thread.name().unwrap_or("<unnamed>"));
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("{trace}\n"));
    }
    queue.put(text.as_bytes());
    drain(LAST_LINES);
    true
}
