//! The faults, done to processes from outside.

use super::Target;
use super::cgroup::{Group, MemoryGroup};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fmt;
use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use vipward_lab::{Process, wait_for};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Kill,
    Stop,
    Segv,
    /// What a panic comes to, after it has been printed: SIGABRT.
    Panic,
    /// The thread that sends adverts stands still, and no other; of a supervisor the one that supervises.
    StuckThread,
    /// `RLIMIT_NOFILE` is 0: nothing new can be opened.
    NoDescriptors,
    /// A memory cgroup is full, and the kernel's OOM killer takes what is in it.
    OutOfMemory,
}

impl Fault {
    pub const ALL: [Self; 7] =
        [Self::Kill, Self::Stop, Self::Segv, Self::Panic, Self::StuckThread, Self::NoDescriptors, Self::OutOfMemory];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "SIGKILL",
            Self::Stop => "SIGSTOP",
            Self::Segv => "SIGSEGV",
            Self::Panic => "panic (SIGABRT)",
            Self::StuckThread => "stuck thread",
            Self::NoDescriptors => "no descriptors",
            Self::OutOfMemory => "OOM killer",
        })
    }
}

/// The processes of one director.
pub struct Prey<'p> {
    pub process: &'p Process,
    pub worker: Pid,
    pub group: &'p Group,
}

/// What keeps a fault going. Dropping it ends that.
#[derive(Default)]
pub struct Holds {
    stuck: Vec<Stuck>,
    _memory: Option<MemoryGroup>,
}

impl Prey<'_> {
    fn supervisor(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.process.pid()).unwrap_or_default())
    }

    fn pids(&self, target: Target) -> io::Result<Vec<Pid>> {
        Ok(match target {
            Target::Worker => vec![self.worker],
            Target::Supervisor => vec![self.supervisor()],
            Target::Both => vec![self.supervisor(), self.worker],
            Target::Cgroup => self.group.pids()?,
        })
    }

    /// Does it. When it was done, and what keeps it done.
    pub fn suffer(&self, target: Target, fault: Fault) -> io::Result<(SystemTime, Holds)> {
        let mut holds = Holds::default();
        let at = match fault {
            Fault::Kill => self.signal(target, Signal::SIGKILL)?,
            Fault::Stop => self.signal(target, Signal::SIGSTOP)?,
            Fault::Segv => {
                // The Rust runtime takes the first one for a stack that overflows, finds that it is not, and leaves the
                // next one to the kernel.
                let at = self.signal(target, Signal::SIGSEGV)?;
                std::thread::sleep(Duration::from_millis(20));
                if self.pids(target)?.into_iter().any(alive) { self.signal(target, Signal::SIGSEGV)? } else { at }
            }
            Fault::Panic => self.signal(target, Signal::SIGABRT)?,
            Fault::StuckThread => {
                let threads = match target {
                    Target::Worker => vec![advert_thread(self.worker)?],
                    Target::Supervisor => vec![self.supervisor()],
                    Target::Both | Target::Cgroup => vec![self.supervisor(), advert_thread(self.worker)?],
                };
                for thread in threads {
                    holds.stuck.push(Stuck::hold(thread)?);
                }
                SystemTime::now()
            }
            Fault::NoDescriptors => {
                for pid in self.pids(target)? {
                    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), "--nofile=0:0"]).status()?;
                    if !done.success() {
                        return Err(io::Error::other(format!("prlimit: {done}")));
                    }
                }
                SystemTime::now()
            }
            Fault::OutOfMemory => {
                let memory = MemoryGroup::make()?;
                let prey = self.pids(target)?;
                for pid in &prey {
                    memory.take(*pid)?;
                }
                let hogs = memory.fill(|| Command::new("tail").arg("/dev/zero").stdout(Stdio::null()).spawn())?;
                let first = wait_for(PATIENCE, || prey.iter().any(|pid| !alive(*pid)).then(SystemTime::now));
                let at = first.ok_or_else(|| io::Error::other("the OOM killer takes none of them"))?;
                let all = wait_for(PATIENCE, || (!prey.iter().any(|pid| alive(*pid))).then_some(()));
                all.ok_or_else(|| io::Error::other("the OOM killer leaves some of them"))?;
                drop(hogs);
                holds._memory = Some(memory);
                at
            }
        };
        Ok((at, holds))
    }

    /// To all at the same instant, as far as that can be had.
    fn signal(&self, target: Target, signal: Signal) -> io::Result<SystemTime> {
        let pids = self.pids(target)?;
        let frozen = pids.len() > 1 && self.group.freeze(true);
        let at = SystemTime::now();
        if target == Target::Cgroup && signal == Signal::SIGKILL && self.group.kill() {
            return Ok(at);
        }
        for pid in pids {
            // One that has ended meanwhile is as good.
            let _ = kill(pid, signal);
        }
        if frozen {
            self.group.freeze(false);
        }
        Ok(at)
    }
}

/// Neither gone nor dead and not reaped yet.
pub fn alive(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

/// The thread that sends adverts: vipward's has that name, keepalived's child has only one.
fn advert_thread(worker: Pid) -> io::Result<Pid> {
    for thread in fs::read_dir(format!("/proc/{worker}/task"))? {
        let path = thread?.path();
        if fs::read_to_string(path.join("comm"))?.trim_end() == "election" {
            let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            return number.map(Pid::from_raw).ok_or_else(|| io::Error::other("a thread without a number"));
        }
    }
    Ok(worker)
}

/// A thread that is held by ptrace(2), which stops that one and none beside it.
struct Stuck {
    release: Sender<()>,
    tracer: Option<JoinHandle<()>>,
}

impl Stuck {
    fn hold(thread: Pid) -> io::Result<Self> {
        let (release, released) = channel();
        let (tell, held) = channel();
        // Only the thread that traces may let go again.
        let tracer = std::thread::Builder::new().name("tracer".to_owned()).spawn(move || {
            let seized = ptrace::seize(thread, ptrace::Options::empty()).and_then(|()| ptrace::interrupt(thread));
            let seized = seized.and_then(|()| waitpid(thread, Some(WaitPidFlag::__WALL)));
            let well = seized.is_ok();
            let _ = tell.send(seized.map(drop));
            if well {
                watch(thread, &released);
            }
        })?;
        held.recv().map_err(io::Error::other)??;
        Ok(Self { release, tracer: Some(tracer) })
    }
}

/// Until it is let go or has died: the dead one is the tracer's to reap.
fn watch(thread: Pid, released: &Receiver<()>) {
    while released.try_recv() == Err(TryRecvError::Empty) {
        match waitpid(thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive | WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..)) => {}
            Ok(_) | Err(_) => return,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = ptrace::detach(thread, None);
}

impl Drop for Stuck {
    fn drop(&mut self) {
        let _ = self.release.send(());
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}
