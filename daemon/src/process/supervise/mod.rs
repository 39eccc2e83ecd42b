//! `vipward run`: the small process that starts the worker, listens to it, and speaks for it when it is dead.
//! `vipward_core::supervisor` decides; this carries out.
//!
//! It reads no configuration and nothing that comes from a network, and has no runtime: one thread waits for packets of
//! its workers, signals, the operator's requests ([`control`]) and a time. A second one starts workers ([`launcher`]).

pub mod control;
mod dumper;
mod evidence;
mod farewell;
mod launcher;
mod notes;
mod sandbox;
mod service;
mod threads;
pub mod wire;

use crate::options::cli::Run;
use crate::status::dump::Dump;
use crate::status::lines::{Answer, Request};
use crate::system::clock;
use crate::system::exit::Exit;
use crate::system::privileges::raise_priority;
use crate::system::{log, passing, rights, signals};
use control::{Client, Control};
use farewell::Farewell;
use launcher::Launcher;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use vipward_core::decision::LogLevel;
use vipward_core::supervisor::{
    Beginning, Effect, End, Event, Order, Outcome, Report, ServiceState, Supervisor, WorkerId,
};
use vipward_core::time::Duration;
use wire::Unreadable;

/// Packets of one worker before others, and timers, get their turn.
const MAX_WAITING: usize = 4096;

/// After an error while waiting.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs until a signal ends it, or the worker can't.
pub fn run(options: &Run) -> ExitCode {
    // Before there is another thread, and for all that is started from here.
    let narrowed = rights::narrow_director();
    if let Err(error) = log::start(options.log_level) {
        log::print(&format!("no thread for the log: {error}\n"));
        return Exit::Failed.into();
    }
    if let Err(error) = narrowed {
        tracing::debug!("the director keeps rights that it does not need: {error}");
    }
    match Shell::open(options) {
        Ok(mut shell) => {
            let status = shell.run();
            // This thread may not.
            if let Some(path) = &options.pid {
                shell.launcher.remove(path.clone());
            }
            status
        }
        Err(error) => {
            tracing::error!("{error}");
            Exit::Failed.into()
        }
    }
}

/// The supervisor's hands.
struct Shell {
    supervisor: Supervisor,
    workers: BTreeMap<WorkerId, Child>,
    /// All that is waited for. Unlike poll(2) it does not mind when this process may open nothing any more.
    waited: Epoll,
    signals: SignalFd,
    launcher: Launcher,
    /// None: a privilege is missing. The worker says which.
    farewell: Option<Farewell>,
    /// None: there is no place for it, for this reason, unless it has been said.
    control: Option<Control>,
    no_control: Option<String>,
    /// Who waits for what becomes of an upgrade or a reload.
    asked: BTreeMap<u64, Client>,
    buffer: Box<[u8; wire::LONGEST]>,
}

/// A worker's process.
struct Child {
    /// `None` until the launcher has answered.
    pid: Option<Pid>,
    /// `None`: it has closed its end, or nobody listens to it any more.
    socket: Option<OwnedFd>,
    /// To be killed as soon as its number is known.
    doomed: bool,
}

impl Shell {
    /// Begins, or goes on where the version before has left its notes.
    fn open(options: &Run) -> io::Result<Self> {
        let left = options.resume.map(notes::read).transpose()?;
        let heard =
            [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGCHLD];
        let heard = signals::with_json(heard.into_iter().collect());
        heard.thread_block()?;
        let signals = SignalFd::with_flags(&heard, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let farewell = match Farewell::open() {
            Ok(farewell) => Some(farewell),
            Err(error) => {
                tracing::debug!("the supervisor can't speak for a worker: {error}");
                None
            }
        };
        let launcher = Launcher::start(&options.control)?;
        let waited = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        waited.add(&signals, readable())?;
        waited.add(&launcher, readable())?;
        let mut no_control = None;
        let (supervisor, workers, control, asked) = match left {
            None => {
                let control = Control::open(&options.control);
                // Another director of this host would answer in this one's name.
                if let Err(error) = &control
                    && error.kind() == io::ErrorKind::AddrInUse
                {
                    let path = options.control.display();
                    return Err(io::Error::other(format!(
                        "not started: another director answers at {path}: stop it first, or give this one a socket of its \
                         own with --control"
                    )));
                }
                let control =
                    control.map_err(|error| no_control = Some(format!("{}: {error}", options.control.display())));
                (Supervisor::default(), BTreeMap::new(), control.ok(), BTreeMap::new())
            }
            Some(left) => {
                let child = |(pid, socket)| Child { pid: Some(Pid::from_raw(pid)), socket, doomed: false };
                let workers = left.workers.into_iter().map(|(id, worker)| (id, child(worker))).collect();
                tracing::info!("the supervisor is the new version's as well");
                let asked =
                    left.clients.into_iter().map(|(number, socket)| (number, Client { number, socket })).collect();
                let control = left.control.map(|(listener, next)| Control::resume(listener, next));
                (left.supervisor, workers, control, asked)
            }
        };
        for socket in workers.values().filter_map(|child: &Child| child.socket.as_ref()) {
            waited.add(socket, readable())?;
        }
        if let Some(control) = &control {
            waited.add(control.listener(), readable())?;
        }
        if let Some(path) = &options.pid
            && let Err(error) = std::fs::write(path, format!("{}\n", std::process::id()))
        {
            tracing::warn!("{}: {error}: this process's number is not written there", path.display());
        }
        raise_priority("the supervisor");
        sandbox::lock_memory();
        if let Err(error) = rights::narrow_supervisor() {
            tracing::debug!("the supervisor keeps rights that it does not need: {error}");
        }
        sandbox::confine();
        Ok(Self {
            supervisor,
            workers,
            waited,
            signals,
            launcher,
            farewell,
            control,
            no_control,
            asked,
            buffer: Box::new([0; wire::LONGEST]),
        })
    }

    fn run(&mut self) -> ExitCode {
        loop {
            if let Some(outcome) = self.turn() {
                return match outcome {
                    Outcome::Same(status) => ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX)),
                    Outcome::Failed => Exit::Failed.into(),
                };
            }
            self.wait();
        }
    }

    /// All that waits, then what is due.
    fn turn(&mut self) -> Option<Outcome> {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let event = match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                Ok(Ok(Signal::SIGTERM | Signal::SIGINT)) => Event::Stop,
                Ok(Ok(Signal::SIGHUP)) => Event::Reload { client: None },
                Ok(Ok(Signal::SIGUSR1)) => {
                    self.launcher.dump(Dump::Data);
                    continue;
                }
                Ok(Ok(Signal::SIGUSR2)) => {
                    self.launcher.dump(Dump::Stats);
                    continue;
                }
                Ok(Err(_)) if i32::try_from(signal.ssi_signo) == Ok(signals::json()) => {
                    self.launcher.dump(Dump::Json);
                    continue;
                }
                // SIGCHLD: looked for below, in every turn. No other was asked for.
                Ok(_) | Err(_) => continue,
            };
            if let Some(outcome) = self.step(event) {
                return Some(outcome);
            }
        }
        while let Some(answer) = self.launcher.answer() {
            let outcome = match answer {
                launcher::Answer::Started(started) => self.started(started),
                launcher::Answer::Looked { worker, look } => self.step(Event::Looked { worker, look }),
            };
            if let Some(outcome) = outcome {
                return Some(outcome);
            }
        }
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            if let Some(outcome) = self.listen(worker).or_else(|| self.reap(worker)) {
                return Some(outcome);
            }
        }
        while let Some((request, client)) = self.next_request() {
            let number = client.number;
            self.asked.insert(number, client);
            let event = match request {
                Request::Upgrade => Event::Upgrade { client: number },
                Request::Reload => Event::Reload { client: Some(number) },
                Request::Status => Event::Status { client: number },
            };
            if let Some(outcome) = self.step(event) {
                return Some(outcome);
            }
        }
        let due = self.supervisor.next_wakeup().is_some_and(|at| at <= clock::now());
        if due { self.step(Event::Wakeup) } else { None }
    }

    fn next_request(&mut self) -> Option<(Request, Client)> {
        let Self { control, waited, .. } = self;
        let asked = control.as_mut()?.asked(|socket| {
            // One that is not watched waits until something else happens.
            if let Err(error) = waited.add(socket, readable()) {
                tracing::debug!("watching a client: {error}");
            }
        });
        // What it said may be left for the worker to read, which has the processor after this thread: whoever went on looking at
        // it would find it readable without end, and on a machine of one processor nobody would ever read it.
        if let Some((_, client)) = &asked {
            let _ = waited.delete(&client.socket);
        }
        asked
    }

    /// Waits for a packet, a signal, the launcher, an operator, or until something is due.
    fn wait(&self) {
        let timeout = match self.supervisor.next_wakeup() {
            // Rounded up: a millisecond early would be a turn for nothing.
            Some(at) => {
                let rest = at.since(clock::now()) + Duration::from_nanos(999_999);
                EpollTimeout::try_from(rest).unwrap_or(EpollTimeout::MAX)
            }
            None => EpollTimeout::NONE,
        };
        // What it is does not matter: the next turn looks for itself.
        match self.waited.wait(&mut [EpollEvent::empty()], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                // Nothing that is known. A thread that runs before all others must not try without end.
                tracing::error!("waiting for the worker: {error}");
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn started(&mut self, started: launcher::Started) -> Option<Outcome> {
        match started.result {
            Ok(pid) => {
                tracing::debug!("the worker is process {pid}");
                let child = self.workers.get_mut(&started.worker)?;
                child.pid = Some(pid);
                if child.doomed {
                    kill_process(pid);
                }
                None
            }
            Err(error) => {
                self.workers.remove(&started.worker);
                self.step(Event::NotStarted { worker: started.worker, error })
            }
        }
    }

    /// What a worker has to tell.
    fn listen(&mut self, worker: WorkerId) -> Option<Outcome> {
        for _ in 0..MAX_WAITING {
            let child = self.workers.get_mut(&worker)?;
            let socket = child.socket.as_ref()?;
            let event = match wire::receive_packet(socket, &mut self.buffer) {
                Ok(Some(packet)) => match wire::decode::<Report>(packet) {
                    Ok(report) => Event::Reported { worker, report },
                    Err(unreadable) => {
                        say_unreadable(unreadable);
                        Event::NotUnderstood { worker }
                    }
                },
                Err(Errno::EAGAIN | Errno::EINTR) => return None,
                Ok(None) | Err(_) => {
                    child.socket = None;
                    return None;
                }
            };
            if let Some(outcome) = self.step(event) {
                return Some(outcome);
            }
        }
        None
    }

    /// A worker that has ended, after its last words.
    fn reap(&mut self, worker: WorkerId) -> Option<Outcome> {
        let pid = self.workers.get(&worker)?.pid?;
        let end = match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => End::Exited(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => End::Killed(signal as i32),
            Ok(_) | Err(Errno::EINTR) => return None,
            // Somebody else has reaped it.
            Err(_) => End::Exited(0),
        };
        let outcome = self.listen(worker);
        self.workers.remove(&worker);
        outcome.or_else(|| self.step(Event::Ended { worker, end }))
    }

    fn step(&mut self, event: Event) -> Option<Outcome> {
        let mut failed = None;
        for effect in self.supervisor.handle(event, clock::now()) {
            match effect {
                Effect::Start(worker, beginning) => {
                    if let Err(error) = self.start(worker, beginning) {
                        failed = Some(Event::NotStarted { worker, error: error.to_string() });
                    }
                }
                Effect::Introduce { old, successor } => self.introduce(old, successor),
                Effect::Answer { client, answer } => {
                    if let Some(client) = self.asked.remove(&client) {
                        client.answer(&match answer {
                            Ok(()) => Answer::Done,
                            Err(failure) => Answer::Failed(failure.to_string()),
                        });
                    }
                }
                Effect::Renew => self.renew(),
                Effect::HandClient { client, worker } => {
                    if let Some(client) = self.asked.remove(&client) {
                        self.tell(worker, Order::Status, Some(&client.socket));
                    }
                }
                Effect::Tell { worker, order } => self.tell(worker, order, None),
                Effect::Look(worker) => {
                    // One whose number is not known yet can't be looked at, and the answer does not come.
                    if let Some(pid) = self.workers.get(&worker).and_then(|child| child.pid) {
                        self.launcher.look(worker, pid);
                    }
                }
                Effect::Kill(worker) => {
                    if let Some(child) = self.workers.get_mut(&worker) {
                        child.socket = None;
                        child.doomed = true;
                        child.pid.into_iter().for_each(kill_process);
                    }
                }
                Effect::Farewell(last_will) => {
                    if let Some(farewell) = &self.farewell {
                        farewell.carry_out(&last_will);
                    }
                }
                Effect::KeepEvidence { record } => self.launcher.keep(record),
                Effect::ServiceState(news) => {
                    service::notify(news);
                    // A director that can't be asked for anything is a director all the same.
                    if let Some(why) = self.no_control.take_if(|_| news == ServiceState::Ready) {
                        tracing::warn!(
                            "`vipward upgrade` and `vipward reload` won't find this director: {why} (see `--control`)"
                        );
                    }
                }
                Effect::Say(saying) => match saying.level() {
                    LogLevel::Info => tracing::info!("{saying}"),
                    LogLevel::Warning => tracing::warn!("{saying}"),
                    LogLevel::Error => tracing::error!("{saying}"),
                },
                Effect::Exit(outcome) => return Some(outcome),
            }
        }
        failed.and_then(|event| self.step(event))
    }

    fn start(&mut self, worker: WorkerId, beginning: Beginning) -> io::Result<()> {
        let (ours, theirs) = passing::pair()?;
        self.waited.add(&ours, readable())?;
        self.workers.insert(worker, Child { pid: None, socket: Some(ours), doomed: false });
        self.launcher.launch(worker, beginning, theirs);
        Ok(())
    }

    fn tell(&self, worker: WorkerId, order: Order, with: Option<&OwnedFd>) {
        let Some(socket) = self.workers.get(&worker).and_then(|child| child.socket.as_ref()) else { return };
        let packet = wire::encode(&order);
        let told = match with {
            None => wire::send_packet(socket, &packet),
            Some(descriptor) => wire::send_packet_with(socket, &packet, descriptor),
        };
        if let Err(error) = told {
            tracing::warn!("the worker can't be told: {error}");
        }
    }

    /// A line between two workers.
    fn introduce(&self, old: WorkerId, successor: WorkerId) {
        match passing::pair() {
            Ok((from, to)) => {
                self.tell(successor, Order::Inherit, Some(&to));
                self.tell(old, Order::HandOver, Some(&from));
            }
            Err(error) => {
                tracing::warn!("no line between the two workers: {error}");
                // Its end is the upgrade's.
                self.workers.get(&successor).and_then(|child| child.pid).into_iter().for_each(kill_process);
            }
        }
    }

    /// Becomes the new version, or stays what it is.
    fn renew(&self) {
        let error = match self.notes() {
            Ok(notes) => self.launcher.renew(notes),
            Err(error) => error,
        };
        tracing::warn!("the supervisor stays the old version's: {error}");
    }

    fn notes(&self) -> io::Result<notes::Written> {
        let mut draft = notes::Draft::new();
        for (worker, child) in &self.workers {
            let pid = child.pid.ok_or_else(|| io::Error::other("a worker is just being started"))?;
            let socket = child.socket.as_ref().map(OwnedFd::try_clone).transpose()?;
            draft.worker(*worker, pid.as_raw(), socket);
        }
        if let Some(control) = &self.control {
            draft.control(control.listener().try_clone()?, control.next());
        }
        for (number, client) in &self.asked {
            draft.client(*number, client.socket.try_clone()?);
        }
        draft.write(&self.supervisor)
    }
}

fn readable() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, 0)
}

fn kill_process(pid: Pid) {
    if let Err(error) = kill(pid, Signal::SIGKILL) {
        tracing::debug!("killing process {pid}: {error}");
    }
}

fn say_unreadable(unreadable: Unreadable) {
    match unreadable {
        Unreadable::Version(version) => tracing::error!(
            "the worker is of another version than its supervisor (it speaks {version}, not {}): all ends and must be \
             started anew",
            wire::VERSION
        ),
        Unreadable::Garbage => tracing::error!("the worker says something that makes no sense: all ends"),
    }
}
