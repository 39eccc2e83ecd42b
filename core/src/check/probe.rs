//! One attempt of a checker, whatever its kind: what is tried, and the verdict. The conversations run over
//! [`super::Streams`], so the simulator runs the very client code that production runs.

use super::{Binding, ProbeKind, Shown, Streams, dns, http, misc, smtp, ssl, udp};
use crate::ipvs::VirtualServerId;
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

/// Connection, head and body of a response each take a turn or two.
const LAST_LOOKS: u32 = 16;

/// Which attempt of which checker. A verdict with an old `attempt` is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProbeId {
    pub service: VirtualServerId,
    pub server: SocketAddr,
    /// Position among the real server's checkers.
    pub checker: u32,
    /// Counts up over the life of the machine; never reused.
    pub attempt: u64,
}

/// What is to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub target: SocketAddr,
    /// Our end. Recordings of earlier versions have none.
    #[serde(default)]
    pub from: Binding,
    /// For the whole attempt: connect, request, response (keepalived's `connect_timeout`).
    pub timeout: Duration,
    pub kind: ProbeKind,
    /// Of kinds that ask for it ([`super::Attempt::GUARDED`]): what nobody who can't see the packets can guess. Drawn from
    /// the seed.
    #[serde(default)]
    pub random: u64,
}

/// What the attempt showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Passed,
    Failed(Failure),
    /// Nothing: this host lacked what it takes to ask.
    NotAsked(Shortage),
    /// It passed, and the real server's weight is this one from now on.
    Weighs(u32),
}

/// What this host lacks, whatever the real server does. Only what passes by itself is one: a packet filter of our own that
/// forbids the way, or a route that is missing, lasts, and clients of the virtual server meet the same. What the words of a
/// checker ask of our own end ([`Binding`]) is one too: clients don't come from there. (keepalived 2.2.7 tries again as well.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Shortage {
    /// File descriptors of this process (EMFILE).
    Descriptors,
    /// File descriptors of the host (ENFILE).
    HostDescriptors,
    /// Memory of the kernel, or buffers of its network (ENOMEM, ENOBUFS).
    Memory,
    /// Local ports towards this real server (EADDRNOTAVAIL).
    Ports,
    /// The address of `bindto` (EADDRNOTAVAIL).
    Address(IpAddr),
    /// The port of `bind_port`, which is in use (EADDRINUSE, EADDRNOTAVAIL).
    Port(u16),
    /// The interface of `bind_if` (ENODEV).
    Interface,
    /// The right to what `fwmark`, `bind_if` or `bind_port` asks for (EPERM, EACCES).
    Right,
    /// Processes, memory or descriptors to start a program with (EAGAIN, ENOMEM, EMFILE, ENFILE).
    Processes,
    /// The files that the block `SSL` names, or what can be used in them.
    Certificate,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address(address) => return write!(f, "{address} (`bindto`) is no address of this host"),
            Self::Port(port) => return write!(f, "local port {port} (`bind_port`) is in use"),
            Self::Interface => "the interface of `bind_if` is not there",
            Self::Right => {
                "this process may not do what `fwmark`, `bind_if` or `bind_port` asks for (CAP_NET_ADMIN, CAP_NET_RAW, \
                 CAP_NET_BIND_SERVICE)"
            }
            Self::Descriptors => "this process has no file descriptor left (RLIMIT_NOFILE)",
            Self::HostDescriptors => "this host has no file descriptor left (fs.file-max)",
            Self::Certificate => {
                "the files of `SSL` can't be read, or hold no certificate and key that fit (see the log)"
            }
            Self::Processes => {
                "this host could not start another process (pids limit of the service, RLIMIT_NPROC, memory)"
            }
            Self::Memory => "the kernel of this host has no memory left for it",
            Self::Ports => "this host has no local port left (net.ipv4.ip_local_port_range)",
        })
    }
}

/// Why an attempt did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The real server's doing.
    Failed(Failure),
    /// Ours.
    NotAsked(Shortage),
}

impl<F: Into<Failure>> From<F> for Trouble {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

impl From<Trouble> for Verdict {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Failed(failure) => Self::Failed(failure),
            Trouble::NotAsked(shortage) => Self::NotAsked(shortage),
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Failure {
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// The connection was refused.
    Refused,
    /// Another error of the network, in its own words.
    Unreachable(String),
    /// Connected, but no whole response within `connect_timeout`.
    ResponseTimeout,
    /// It answered, but not as `HTTP_GET` wants it.
    Http(http::Wrong),
    /// It answered, but not as `SMTP_CHECK` wants it.
    Smtp(smtp::Wrong),
    /// The program of `MISC_CHECK` did not end as it should.
    Misc(misc::Wrong),
    /// There was no TLS for `SSL_GET`.
    Ssl(ssl::Wrong),
    /// The answer was not as `UDP_CHECK` wants it.
    Udp(udp::Wrong),
    /// The name server answered with an error.
    Dns(dns::Wrong),
    /// What a tracked file holds (FILE_CHECK).
    File { file: Arc<str>, number: i64 },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectTimeout => f.write_str("connect timed out"),
            Self::Refused => f.write_str("connection refused"),
            Self::Unreachable(error) => write!(f, "unreachable: {error}"),
            Self::ResponseTimeout => f.write_str("no response in time"),
            Self::Http(wrong) => wrong.fmt(f),
            Self::Smtp(wrong) => wrong.fmt(f),
            Self::Misc(wrong) => wrong.fmt(f),
            Self::Ssl(wrong) => wrong.fmt(f),
            Self::Udp(wrong) => wrong.fmt(f),
            Self::Dns(wrong) => wrong.fmt(f),
            Self::File { file, number } => write!(f, "track_file {file} holds {number}"),
        }
    }
}

impl Failure {
    pub fn shows(&self) -> Shown {
        match self {
            Self::Refused | Self::Unreachable(_) => Shown::Absent,
            Self::ConnectTimeout | Self::ResponseTimeout => Shown::Late,
            Self::Http(wrong) => wrong.shows(),
            Self::Smtp(wrong) => wrong.shows(),
            Self::Misc(wrong) => wrong.shows(),
            Self::Ssl(wrong) => wrong.shows(),
            Self::Udp(wrong) => wrong.shows(),
            Self::Dns(wrong) => wrong.shows(),
            Self::File { .. } => Shown::Command,
        }
    }
}

/// How many of its exchanges an attempt has behind it: which of them a time limit cut off; and what it says about the weight.
#[derive(Debug, Default)]
pub struct Progress {
    over: Cell<usize>,
    weight: Cell<Option<u32>>,
}

impl Progress {
    /// The next exchange has begun.
    pub fn next(&self) {
        self.over.set(self.over.get() + 1);
    }

    /// The attempt passes, and asks for this weight.
    pub fn weighs(&self, weight: Option<u32>) {
        self.weight.set(weight);
    }
}

/// Carries out one attempt. Never takes longer than `probe.timeout`, whatever the real server does.
///
/// (keepalived 2.2.7 gives `connect_timeout` to each step anew: a server that sends one byte in time after another
/// passes. Here the limit is for the whole attempt, as [`Probe::timeout`] says.)
pub async fn run<S: Streams>(probe: Probe, streams: Rc<S>) -> Verdict {
    let deadline = streams.now() + probe.timeout;
    let progress = Progress::default();
    let mut attempt = pin!(probe.kind.converse(&probe, &*streams, &progress));
    let passed = || progress.weight.get().map_or(Verdict::Passed, Verdict::Weighs);
    let in_time = tokio::select! {
        biased;
        result = attempt.as_mut() => Some(result),
        () = streams.sleep_until(deadline) => last_look(attempt).await,
    };
    match in_time {
        Some(Ok(())) => passed(),
        Some(Err(trouble)) => trouble.into(),
        None => {
            let cut_off = probe.kind.exchanges().get(progress.over.get());
            let meant = cut_off.map_or(Err(Failure::ResponseTimeout), |exchange| probe.kind.overdue(*exchange));
            meant.map_or_else(Verdict::Failed, |()| passed())
        }
    }
}

/// When this machine was paused (suspended, migrated, out of CPU), the response may have been there in time and only
/// we are late. What already waits is taken; nothing is waited for.
async fn last_look<F: Future>(mut attempt: Pin<&mut F>) -> Option<F::Output> {
    for _ in 0..LAST_LOOKS {
        if let Poll::Ready(result) = futures::poll!(attempt.as_mut()) {
            return Some(result);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Why there is no connection, for every kind that begins with one.
pub(super) fn not_connected(error: &Error, streams: &impl Streams) -> Trouble {
    if let Some(shortage) = streams.shortage(error) {
        return Trouble::NotAsked(shortage);
    }
    Trouble::Failed(match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::Unreachable(error.to_string()),
    })
}
