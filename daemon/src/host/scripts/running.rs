//! One script that runs, as its worker sees it.

use super::NotStarted;
use super::complaints::{Said, Speaker};
use super::wire::{self, Told};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A script and its process group. When this is dropped, nobody looks after it any more.
pub struct Running {
    /// tokio knows no sockets of packets; its UDP socket waits for any descriptor, and the system call is ours.
    line: UdpSocket,
    /// What it says on standard error.
    said: Said,
}

impl Running {
    /// Waits until the script on whose own `line` that is told has started. `listen`: where its standard error comes out.
    ///
    /// # Errors
    /// It has not, for this reason.
    pub async fn begins(line: OwnedFd, listen: Option<OwnedFd>) -> Result<Self, NotStarted> {
        Self::begins_on(waited(line).map_err(|error| NotStarted::of(&error))?, listen).await
    }

    /// The same on a line that can be waited for.
    ///
    /// # Errors
    /// As above.
    pub async fn begins_on(line: UdpSocket, listen: Option<OwnedFd>) -> Result<Self, NotStarted> {
        match told(&line).await {
            Ok(Told::Started) => Ok(Self { line, said: listen.map(Said::new).unwrap_or_default() }),
            Ok(Told::Refused(why)) => Err(NotStarted { why, short: false }),
            Ok(Told::Short(why)) => Err(NotStarted { why, short: true }),
            Ok(Told::Ended(_) | Told::Fifo { .. }) => Err("it ended before it began".to_owned().into()),
            Err(error) => Err(error.to_string().into()),
        }
    }

    /// One that a predecessor started and gave away ([`Self::line`]). What it says on standard error is not heard any more.
    ///
    /// # Errors
    /// The line is none.
    pub fn goes_on(line: OwnedFd) -> io::Result<Self> {
        Ok(Self { line: waited(line)?, said: Said::default() })
    }

    /// A copy of its line: whoever has one looks after it.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn line(&self) -> io::Result<OwnedFd> {
        self.line.as_fd().try_clone_to_owned()
    }

    /// Waits for its end, and tells the log meanwhile what it says.
    ///
    /// # Errors
    /// Its end will not be told.
    pub async fn ends(&mut self, speaker: &Speaker<'_>) -> io::Result<ExitStatus> {
        let Self { line, said } = self;
        let ended = async {
            loop {
                if let Told::Ended(status) = told(line).await? {
                    return Ok(ExitStatus::from_raw(status));
                }
            }
        };
        let status = tokio::select! {
            biased;
            status = ended => status,
            never = said.follow(speaker) => match never {},
        };
        self.said.rest(speaker);
        status
    }

    /// Its last line on standard error.
    pub fn last_said(&self) -> Option<&str> {
        self.said.last()
    }

    /// SIGKILL for its whole group, also for what it has left behind: until this is dropped its number is nobody else's.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// A signal for its whole group.
    pub fn signal(&self, signal: Signal) {
        match wire::say(&self.line, &wire::Send::from(signal)) {
            // Whose process has died is killed by that, or not to be killed.
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => {}
            Err(error) => tracing::warn!("can't send {signal} to a script's process group: {error}"),
        }
    }
}

/// A line that can be waited for.
pub fn waited(line: OwnedFd) -> io::Result<UdpSocket> {
    let line = std::net::UdpSocket::from(line);
    line.set_nonblocking(true)?;
    UdpSocket::from_std(line)
}

async fn told(line: &UdpSocket) -> io::Result<Told> {
    let heard = line.async_io(Interest::READABLE, || Ok(wire::hear::<Told>(line)?)).await?;
    heard.ok_or_else(|| io::Error::other("the process that starts scripts has died"))
}
