//! A worker's way to the process that starts its scripts ([`super::server`]).
//!
//! That process is started first of all, with the rights that scripts need, and the worker gives those up after that: it
//! could not start a script by itself, nor anything else.

use super::NotStarted;
use super::running::{Running, waited};
use super::wire::{self, Fifo, LONGEST_ERROR, Request, Start, Told};
use crate::system::passing;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{MsgFlags, recv};
use nix::unistd::pipe2;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// How long it is waited for room on the line before the next try.
const PAUSE: Duration = Duration::from_millis(5);

/// The way to it. Both machines' scripts share it.
#[derive(Clone, Debug)]
pub struct Launcher(Arc<OwnedFd>);

impl Launcher {
    /// Starts the process: this program, whatever lies in its place on the disk by now, with these words behind `scripts`.
    /// Signals that the caller has blocked are blocked in it from its first moment on.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(words: &[OsString]) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("vipward").arg("scripts").args(words);
        Self::start_by(command)
    }

    /// The same by this command.
    ///
    /// # Errors
    /// As above.
    pub fn start_by(mut command: Command) -> io::Result<Self> {
        let (ours, theirs) = passing::pair()?;
        // Nobody waits for it: it ends when this process does.
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn()?;
        Ok(Self(Arc::new(ours)))
    }

    /// Lets it read which commands the configuration names.
    pub async fn learn(&self) {
        // Where that fails it reads when it is asked for one.
        let _ = self.ask(&Request::Learn, &[]).await;
    }

    /// Starts a script. Does not give up by itself: its file may be on a server that does not answer.
    ///
    /// # Errors
    /// Why it did not start.
    pub async fn run(&self, start: Start) -> Result<Running, NotStarted> {
        let (line, theirs) = passing::pair().map_err(|error| NotStarted::of(&error))?;
        let (listen, complain) = ears().unzip();
        let with: Vec<_> = [Some(theirs.as_fd()), complain.as_ref().map(AsFd::as_fd)].into_iter().flatten().collect();
        self.ask(&Request::Start(start), &with).await?;
        drop((theirs, complain));
        Running::begins(line, listen).await
    }

    /// Makes a FIFO if it is not there, and opens it. True: it was made.
    ///
    /// # Errors
    /// Why that can't be.
    pub async fn open_fifo(&self, fifo: Fifo) -> Result<(OwnedFd, bool), NotStarted> {
        let line = self.ask_for(fifo).await?;
        let heard = || {
            let mut buffer = [0; LONGEST_ERROR * 2];
            let (packet, mut with) = passing::receive(&line, &mut buffer, MsgFlags::MSG_DONTWAIT)?
                .ok_or_else(|| io::Error::other("the process that starts scripts has died"))?;
            Ok((wire::decode::<Told>(packet), with.pop()))
        };
        match line.async_io(Interest::READABLE, heard).await.map_err(|error| NotStarted::of(&error))? {
            (Some(Told::Fifo { made }), Some(pipe)) => Ok((pipe, made)),
            (Some(Told::Refused(why)), _) => Err(why.into()),
            (Some(Told::Short(why)), _) => Err(NotStarted { why, short: true }),
            (Some(Told::Started | Told::Ended(_) | Told::Fifo { .. }) | None, _) => {
                Err("it was not opened".to_owned().into())
            }
        }
    }

    /// Removes a FIFO.
    ///
    /// # Errors
    /// Why that can't be.
    pub async fn remove_fifo(&self, fifo: Fifo) -> Result<(), NotStarted> {
        Running::begins_on(self.ask_for(fifo).await?, None).await.map(drop)
    }

    async fn ask_for(&self, fifo: Fifo) -> Result<UdpSocket, NotStarted> {
        let (line, theirs) = passing::pair().map_err(|error| NotStarted::of(&error))?;
        self.ask(&Request::Fifo(fifo), &[theirs.as_fd()]).await?;
        waited(line).map_err(|error| NotStarted::of(&error))
    }

    async fn ask(&self, request: &Request, with: &[BorrowedFd<'_>]) -> Result<(), String> {
        let packet = wire::encode(request);
        if packet.is_empty() || packet.len() > wire::LONGEST {
            return Err(format!("its words have more than {} KiB", wire::LONGEST >> 10));
        }
        loop {
            match passing::send(&self.0, &packet, with, MsgFlags::MSG_DONTWAIT) {
                Ok(()) => return Ok(()),
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR | Errno::ETOOMANYREFS) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(format!("the process that starts scripts does not answer: {error}")),
            }
        }
    }

    /// Waits until there is no process any more that could start a script.
    pub async fn gone(&self) {
        let Ok(line) = self.0.try_clone().and_then(waited) else { return std::future::pending().await };
        // It never says anything here.
        let end = || match recv(line.as_raw_fd(), &mut [0; 1], MsgFlags::MSG_DONTWAIT) {
            Ok(1..) | Err(Errno::EAGAIN | Errno::EINTR) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(0) | Err(_) => Ok(()),
        };
        let _ = line.async_io(Interest::READABLE, end).await;
    }
}

/// A pipe for a script's standard error. The script's end reads as well and does not block, so that a script that
/// outlives this process is neither killed by SIGPIPE nor stopped by a pipe that is full. None: then nobody listens.
fn ears() -> Option<(OwnedFd, File)> {
    let (listen, to) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
    let again = format!("/proc/self/fd/{}", to.as_raw_fd());
    let to = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(again).ok()?;
    Some((listen, to))
}
