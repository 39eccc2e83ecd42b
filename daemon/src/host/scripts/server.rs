//! `vipward scripts`: the process that starts a worker's scripts.
//!
//! It hears its worker and nothing else, and has one thread. A worker has given up the right to start anything, and rights
//! that scripts need; this one has them, and a program that came in over the network would not be in it. It is two
//! processes: one starts scripts, the other one starts that again if it dies. Both end with the worker's line.
//!
//! It starts what the configuration names ([`super::commands`]), and nothing else that somebody asks for.
//!
//! Every script is a child that looks at its file and becomes it by itself: what waits for the file system is that child.

use super::commands::{Commands, Reading};
use super::wire::{self, Fifo, LONGEST_ERROR, Request, Send, Start, Told};
use super::{NotStarted, pipe, program};
use crate::system::exit::Exit;
use crate::system::{passing, rights, signals};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::MsgFlags;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, pipe2, setpgid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Before the one that died is started again.
const PAUSE: Duration = Duration::from_millis(100);

/// Requests before what runs gets its turn.
const MAX_WAITING: usize = 64;

/// Before the reason in what a child says that could not become its script: whether that is a shortage of this host.
const REFUSED: u8 = b'-';
const SHORT: u8 = b'+';

/// Runs until the worker closes its line. `read` reads which commands may be started, in a child, which may wait.
pub fn run<C: Commands>(read: impl Fn() -> C) -> Exit {
    // Those that a terminal or a service manager sends to all processes. A script gets an empty mask.
    let heard = [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
        Signal::SIGCHLD,
    ];
    let heard = signals::with_json(heard.into_iter().collect());
    let line = match heard.thread_block().map_err(io::Error::from).and_then(|()| passing::from_stdin()) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Usage;
        }
    };
    // What was not there can't be taken from scripts either.
    let _ = rights::narrow_scripts();
    let _ = prctl::set_name(c"scripts");
    while !is_closed(&line) {
        match branch() {
            Ok(ForkResult::Child) => return serve(line, &read),
            Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, 0)) => break,
                // It has died, and another one serves what still waits on the line.
                Ok(_) | Err(_) => std::thread::sleep(PAUSE),
            },
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    Exit::Fine
}

fn branch() -> nix::Result<ForkResult> {
    // SAFETY: this process has one thread, so the child finds no lock that somebody else has.
    #[allow(unsafe_code)]
    unsafe {
        fork()
    }
}

fn is_closed(line: &OwnedFd) -> bool {
    is_ready(line.as_fd(), PollFlags::empty())
}

fn serve<C: Commands>(line: OwnedFd, read: &impl Fn() -> C) -> Exit {
    let children: SigSet = [Signal::SIGCHLD].into_iter().collect();
    let Ok(children) = SignalFd::with_flags(&children, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC) else {
        return Exit::Failed;
    };
    let mut server = Server {
        line,
        children,
        runs: Vec::new(),
        known: C::default(),
        reading: None,
        read: Vec::new(),
        asked: Vec::new(),
        closed: false,
        buffer: vec![0; wire::LONGEST],
    };
    loop {
        server.wait();
        if let Some(child) = server.turn() {
            // All that is the server's.
            drop(server);
            return match child {
                Child::Script(script) => script.become_it(),
                Child::Reader(to) => tell_all(&read(), to),
            };
        }
        if server.closed && server.has_left() {
            return Exit::Fine;
        }
    }
}

/// Says which commands there are.
fn tell_all(commands: &impl Commands, to: OwnedFd) -> Exit {
    match File::from(to).write_all(&wire::encode(commands)) {
        Ok(()) => Exit::Fine,
        Err(_) => Exit::Failed,
    }
}

struct Server<C> {
    line: OwnedFd,
    children: SignalFd,
    runs: Vec<Run>,
    /// What may be started.
    known: C,
    reading: Option<Reading>,
    /// Children that have read and are not reaped yet.
    read: Vec<Pid>,
    /// What was not known when it was asked for.
    asked: Vec<Asked>,
    closed: bool,
    buffer: Vec<u8>,
}

/// What a child is for.
enum Job {
    Start(Start),
    Fifo(Fifo),
}

impl Job {
    fn allowed_by(&self, commands: &impl Commands) -> bool {
        match self {
            Self::Start(start) => commands.allow(start),
            Self::Fifo(fifo) => commands.allow_fifo(fifo),
        }
    }

    /// Killed when nobody looks after it any more.
    fn dies(&self) -> bool {
        match self {
            Self::Start(start) => start.dies,
            Self::Fifo(_) => false,
        }
    }
}

/// What waits until the configuration is read.
struct Asked {
    job: Job,
    line: OwnedFd,
    complain: Option<OwnedFd>,
    /// Only the reading after the one that runs began later than this came.
    early: bool,
}

/// A child.
struct Run {
    group: Pid,
    /// None: nobody looks after it any more.
    line: Option<OwnedFd>,
    /// Where it says why it could not become the script; closed when it has. None: that is known.
    starting: Option<File>,
    dies: bool,
    /// It has ended. It is reaped when nobody looks after it any more: until then its number is nobody else's.
    ended: bool,
}

/// In a child: what it is.
enum Child {
    Script(Script),
    /// It says here what it has read.
    Reader(OwnedFd),
}

struct Script {
    job: Job,
    line: OwnedFd,
    complain: Option<OwnedFd>,
    status: File,
    parent: Pid,
}

impl Script {
    fn become_it(mut self) -> Exit {
        // The parent does the same: whoever comes first.
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
        let refused = match &self.job {
            Job::Start(start) => program::become_it(start, self.complain, self.parent),
            Job::Fifo(fifo) => match pipe::carry_out(fifo, &self.line) {
                Ok(()) => return Exit::Fine,
                Err(refused) => refused,
            },
        };
        let NotStarted { mut why, short } = refused;
        why.truncate(why.floor_char_boundary(LONGEST_ERROR - 1));
        let mark = if short { SHORT } else { REFUSED };
        let _ = self.status.write_all(&[&[mark], why.as_bytes()].concat());
        Exit::Failed
    }
}

impl<C: Commands> Server<C> {
    /// Waits until something happens.
    fn wait(&self) {
        let line = (!self.closed).then(|| PollFd::new(self.line.as_fd(), PollFlags::POLLIN));
        let mut waited: Vec<PollFd<'_>> = line.into_iter().collect();
        waited.extend([PollFd::new(self.children.as_fd(), PollFlags::POLLIN)]);
        waited.extend(self.reading.iter().map(|reading| PollFd::new(reading.as_fd(), PollFlags::POLLIN)));
        for run in &self.runs {
            let both = [run.line.as_ref().map(AsFd::as_fd), run.starting.as_ref().map(AsFd::as_fd)];
            waited.extend(both.into_iter().flatten().map(|it| PollFd::new(it, PollFlags::POLLIN)));
        }
        if !matches!(poll(&mut waited, PollTimeout::NONE), Ok(_) | Err(Errno::EINTR)) {
            std::thread::sleep(PAUSE);
        }
    }

    /// All that has happened. In a child: what it is.
    fn turn(&mut self) -> Option<Child> {
        // It is looked for below, in every turn.
        while let Ok(Some(_)) = self.children.read_signal() {}
        self.runs.retain_mut(Run::turn);
        self.read.retain(|child| waitpid(*child, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive));
        if let Some(child) = self.was_read() {
            return Some(child);
        }
        for _ in 0..if self.closed { 0 } else { MAX_WAITING } {
            match passing::receive(&self.line, &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(Some((packet, with))) => {
                    let child = match wire::decode(packet) {
                        // One that runs may have begun too early: then something is asked for that it does not know.
                        Some(Request::Learn) => self.begin_reading(),
                        Some(Request::Start(start)) => self.ask(Job::Start(start), with),
                        Some(Request::Fifo(fifo)) => self.ask(Job::Fifo(fifo), with),
                        None => None,
                    };
                    if child.is_some() {
                        return child;
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Ok(None) | Err(_) => {
                    self.closed = true;
                    break;
                }
            }
        }
        None
    }

    /// Starts it if it is known, else when it is known.
    fn ask(&mut self, job: Job, with: Vec<OwnedFd>) -> Option<Child> {
        let mut with = with.into_iter();
        let (line, complain) = (with.next()?, with.next());
        if job.allowed_by(&self.known) {
            return self.start(job, line, complain);
        }
        self.reading.iter().for_each(Reading::give_up_if_late);
        self.asked.push(Asked { job, line, complain, early: self.reading.is_some() });
        self.begin_reading()
    }

    /// Begins to read which commands there are, if that is not done already.
    fn begin_reading(&mut self) -> Option<Child> {
        if self.reading.is_some() {
            return None;
        }
        match pipe2(OFlag::O_CLOEXEC).and_then(|pipe| branch().map(|which| (pipe, which))) {
            Ok(((_, to), ForkResult::Child)) => Some(Child::Reader(to)),
            Ok(((from, _), ForkResult::Parent { child })) => {
                // The reader's end may block.
                let _ = fcntl(&from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
                self.reading = Some(Reading::new(child, from));
                None
            }
            Err(error) => {
                for asked in self.asked.drain(..) {
                    let _ = wire::say(&asked.line, &Told::Short(error.to_string()));
                }
                None
            }
        }
    }

    /// If all is read: one of those that wait for it, or another reading; else none. Those that are not named are refused.
    fn was_read(&mut self) -> Option<Child> {
        if let Some(known) = self.reading.as_mut().and_then(Reading::read) {
            self.known.learn(known);
            self.read.extend(self.reading.take().map(|reading| reading.child()));
            let asked = std::mem::take(&mut self.asked).into_iter();
            for mut asked in asked {
                if asked.early || asked.job.allowed_by(&self.known) {
                    asked.early = false;
                    self.asked.push(asked);
                } else {
                    let why = "the configuration does not name it".to_owned();
                    let _ = wire::say(&asked.line, &Told::Refused(why));
                }
            }
        }
        while let Some(place) = self.asked.iter().position(|asked| asked.job.allowed_by(&self.known)) {
            let Asked { job, line, complain, .. } = self.asked.swap_remove(place);
            if let Some(child) = self.start(job, line, complain) {
                return Some(child);
            }
        }
        if self.asked.is_empty() { None } else { self.begin_reading() }
    }

    fn start(&mut self, job: Job, line: OwnedFd, complain: Option<OwnedFd>) -> Option<Child> {
        let parent = getpid();
        let dies = job.dies();
        match pipe2(OFlag::O_CLOEXEC).and_then(|pipe| branch().map(|which| (pipe, which))) {
            Ok(((_, status), ForkResult::Child)) => {
                Some(Child::Script(Script { job, line, complain, status: status.into(), parent }))
            }
            Ok(((starting, _), ForkResult::Parent { child })) => {
                let _ = setpgid(child, child);
                self.runs.push(Run {
                    group: child,
                    line: Some(line),
                    starting: Some(starting.into()),
                    dies,
                    ended: false,
                });
                None
            }
            // Of a pipe and of a process that can't be had this host alone is the reason.
            Err(error) => {
                let _ = wire::say(&line, &Told::Short(error.to_string()));
                None
            }
        }
    }

    /// The worker is gone. True: nobody looks after anything any more. Somebody does whom it gave the line of what reads a FIFO.
    fn has_left(&mut self) -> bool {
        if let Some(reading) = self.reading.take() {
            let _ = kill(reading.child(), Signal::SIGKILL);
        }
        self.asked.clear();
        self.runs.iter().all(|run| run.line.is_none())
    }
}

impl Run {
    /// What has happened to it. False: it is over, and nobody looks after it.
    fn turn(&mut self) -> bool {
        let ended = if self.ended { None } else { self.status() };
        if let Some(starting) = &mut self.starting
            && (ended.is_some() || readable(starting))
        {
            // One packet at most, and then its end.
            let mut why = [0; LONGEST_ERROR];
            let length = starting.read(&mut why).unwrap_or_default();
            self.starting = None;
            match why.get(..length) {
                Some([mark, why @ ..]) => {
                    let why = String::from_utf8_lossy(why).into_owned();
                    self.tell(&if *mark == SHORT { Told::Short(why) } else { Told::Refused(why) });
                }
                Some([]) | None => self.tell(&Told::Started),
            }
        }
        if let Some(status) = ended {
            self.ended = true;
            self.tell(&Told::Ended(status));
        }
        while let Some(line) = &self.line {
            match wire::hear::<Send>(line) {
                Ok(Some(Send(signal))) => {
                    if let Ok(signal) = Signal::try_from(signal) {
                        let _ = killpg(self.group, signal);
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => break,
                Ok(None) | Err(_) => {
                    self.line = None;
                    self.forgotten();
                }
            }
        }
        let over = self.ended && self.line.is_none();
        if over {
            let _ = waitpid(self.group, Some(WaitPidFlag::WNOHANG));
        }
        !over
    }

    /// How it has ended, as wait(2) tells it, if it has.
    fn status(&self) -> Option<i32> {
        match waitid(Id::Pid(self.group), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
            Ok(WaitStatus::Exited(_, status)) => Some((status & 0xff) << 8),
            Ok(WaitStatus::Signaled(_, signal, core)) => Some(signal as i32 | if core { 0x80 } else { 0 }),
            Ok(_) | Err(Errno::EINTR) => None,
            // It is no child of this process: that can't be.
            Err(_) => Some(0),
        }
    }

    /// Nobody looks after it any more.
    fn forgotten(&self) {
        if self.dies && !self.ended {
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }

    fn tell(&self, told: &Told) {
        // Two packets fit in; somebody who is gone needs to know nothing.
        let _ = self.line.as_ref().map(|line| wire::say(line, told));
    }
}

fn readable(pipe: &File) -> bool {
    is_ready(pipe.as_fd(), PollFlags::POLLIN)
}

/// Whether there is one of these, or the other end is closed.
fn is_ready(descriptor: BorrowedFd<'_>, flags: PollFlags) -> bool {
    matches!(poll(&mut [PollFd::new(descriptor, flags)], PollTimeout::ZERO), Ok(1..))
}
