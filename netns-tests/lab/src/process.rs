//! A program that runs on a node, with its output captured line by line.

use crate::wait_for;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running program, the first of a process group of its own. Dropping it kills the group.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Mutex<Vec<Line>>>,
    readers: Vec<JoinHandle<()>>,
}

/// One line of output, of either stream, and when it came.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Instant,
    pub text: String,
}

/// How a program ended, and all that it said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub output: String,
}

impl Process {
    pub(crate) fn start(node: &str, command: &mut Command) -> io::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let name = format!("{} on {node}", program.rsplit('/').next().unwrap_or(&program));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
        let output = Arc::new(Mutex::new(Vec::new()));
        let mut readers = Vec::new();
        if let Some(stream) = child.stdout.take() {
            readers.push(capture(stream, output.clone())?);
        }
        if let Some(stream) = child.stderr.take() {
            readers.push(capture(stream, output.clone())?);
        }
        Ok(Self { name, child, output, readers })
    }

    /// Program and node: `vipward on lb1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far, from line `from` on.
    pub fn lines(&self, from: usize) -> Vec<Line> {
        locked(&self.output).get(from..).map(<[Line]>::to_vec).unwrap_or_default()
    }

    /// All that it has said so far, as one text.
    pub fn output(&self) -> String {
        text(&self.lines(0))
    }

    /// Waits until it says something with `part` in it; the error tells what it said instead.
    pub fn wait_for_line(&mut self, part: &str, limit: Duration) -> Result<Line, String> {
        self.wait_for_line_after(0, part, limit)
    }

    /// The same, among the lines from number `from` on.
    pub fn wait_for_line_after(&mut self, from: usize, part: &str, limit: Duration) -> Result<Line, String> {
        let find = || self.lines(from).into_iter().find(|line| line.text.contains(part));
        wait_for(limit, find).ok_or_else(|| {
            format!("{} did not say \"{part}\" within {limit:?}. It said:\n{}", self.name, self.output())
        })
    }

    /// The processes that it has started and that still run.
    pub fn children(&self) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        // A child belongs to the thread that started it.
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            let children = std::fs::read_to_string(thread?.path().join("children"))?;
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        Ok(found)
    }

    /// Sends a signal; one that comes too late is no error.
    pub fn signal(&self, what: Signal) {
        signal(self.pid(), what);
    }

    /// Sends a signal to its whole group.
    pub fn signal_all(&self, what: Signal) {
        if let Ok(group) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(group), what);
        }
    }

    /// True until it has ended.
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end; one that does not end in time is killed, and that is an error.
    pub fn wait(mut self, limit: Duration) -> Result<Ended, String> {
        let ended = wait_for(limit, || self.child.try_wait().transpose());
        let Some(status) = ended else {
            return Err(format!("{} still ran after {limit:?}. It said:\n{}", self.name, self.output()));
        };
        let status = status.map_err(|error| format!("{}: {error}", self.name))?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Ok(Ended { status, output: self.output() })
    }

    /// Kills its whole group with SIGKILL, all at once: no last word, nothing given back.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Ok(None) = self.child.try_wait()
            && let Ok(group) = i32::try_from(self.child.id())
        {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a signal to a process of this lab; one that comes too late is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

fn capture(stream: impl Read + Send + 'static, output: Arc<Mutex<Vec<Line>>>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("output".to_owned()).spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(stream.read_until(b'\n', &mut bytes), Ok(1..)) {
            let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            locked(&output).push(Line { at: Instant::now(), text });
            bytes.clear();
        }
    })
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{}\n", line.text)).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
