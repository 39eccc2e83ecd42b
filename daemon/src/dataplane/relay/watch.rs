//! What a connection is watched for: silence, and a side that takes nothing.

use super::complaints::Overdue;
use socket2::SockRef;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use vipward_core::settings::RelayLimits;

/// A connection is looked at so many times within its shortest limit.
const LOOKS: u32 = 8;

/// And at least so often.
const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// One end of a connection, which counts what goes through it.
pub struct Side {
    pub stream: TcpStream,
    read: AtomicU64,
    written: AtomicU64,
    /// Whoever is there has ended its half.
    ended: AtomicBool,
}

impl Side {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, read: AtomicU64::new(0), written: AtomicU64::new(0), ended: AtomicBool::new(false) }
    }

    /// Bytes that the kernel holds for whoever is there: written, and not acknowledged.
    fn held(&self) -> u64 {
        let mut held: libc::c_int = 0;
        // SAFETY: the descriptor is open as long as `self.stream`; the call writes one int, which lives through it.
        #[allow(unsafe_code)]
        let done = unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut held) };
        // On a TCP socket it can't fail; if it did, what is in our own buffer would still be seen.
        if done == 0 { u64::try_from(held).unwrap_or(0) } else { 0 }
    }
}

impl AsyncRead for &Side {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    match length {
                        0 => self.ended.store(true, Ordering::Relaxed),
                        _ => add(&self.read, length),
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for &Side {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write(bytes) {
                Ok(length) => {
                    add(&self.written, length);
                    return Poll::Ready(Ok(length));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&self.stream).shutdown(Shutdown::Write))
    }
}

fn add(counter: &AtomicU64, length: usize) {
    counter.fetch_add(u64::try_from(length).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// One direction.
struct Way<'a> {
    from: &'a Side,
    to: &'a Side,
    read: u64,
    taken: u64,
    /// How long something waits of which nothing was taken.
    stalls: Duration,
}

impl<'a> Way<'a> {
    fn new(from: &'a Side, to: &'a Side) -> Self {
        Self { from, to, read: 0, taken: 0, stalls: Duration::ZERO }
    }

    /// Whether anything moved in the time that has `passed` since the last look.
    fn look(&mut self, passed: Duration) -> bool {
        // In this order, for the other thread may be at work: never more taken than there was.
        let written = self.to.written.load(Ordering::Relaxed);
        let read = self.from.read.load(Ordering::Relaxed);
        let waits = read.saturating_sub(written) + self.to.held();
        let taken = read.saturating_sub(waits);
        let moved = (read, taken) != (self.read, self.taken);
        self.stalls = if waits == 0 || taken != self.taken { Duration::ZERO } else { self.stalls + passed };
        (self.read, self.taken) = (read, taken);
        moved
    }
}

/// Waits until one of the limits is exceeded, by no more than an eighth or [`LONGEST_LOOK`]. Both ends go on meanwhile.
pub async fn watch(client: &Side, server: &Side, limits: &RelayLimits) -> Overdue {
    let look = (limits.idle.min(limits.half_close).min(limits.stall) / LOOKS).min(LONGEST_LOOK);
    let mut ways = [Way::new(client, server), Way::new(server, client)];
    let mut silent = Duration::ZERO;
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(look).await;
        // A process that did not run has not heard what came meanwhile: that is no silence.
        let passed = last.elapsed().min(look * 2);
        last = Instant::now();
        let moved = ways.each_mut().map(|way| way.look(passed)).contains(&true);
        silent = if moved { Duration::ZERO } else { silent + passed };
        if ways.iter().any(|way| way.stalls >= limits.stall) {
            return Overdue::Stalled;
        }
        let half = client.ended.load(Ordering::Relaxed) || server.ended.load(Ordering::Relaxed);
        match half {
            true if silent >= limits.half_close => return Overdue::HalfClosed,
            false if silent >= limits.idle => return Overdue::Idle,
            true | false => {}
        }
    }
}
