//! One attempt of a checker: what is tried, and the verdict. The conversations run over [`crate::seam::Streams`], so
//! the simulator runs the very client code that production runs.

mod http;

use crate::ipvs::ServiceKey;
use crate::seam::Streams;
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::{fmt, io};

pub use crate::config::{HttpVersion, UrlCheck};

/// Connection, head and body of a response each take a turn or two.
const LAST_LOOKS: u32 = 16;

/// Which attempt of which checker. A verdict with an old `attempt` is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProbeId {
    pub service: ServiceKey,
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
    /// For the whole attempt: connect, request, response (keepalived's `connect_timeout`).
    pub timeout: Duration,
    pub kind: ProbeKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbeKind {
    /// Open a TCP connection and close it again.
    Connect,
    /// Fetch one URL.
    HttpGet { url: UrlCheck, version: HttpVersion },
}

/// What the attempt showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Passed,
    Failed(Failure),
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
    /// The status is not in `status_code`.
    Status { path: String, got: u16 },
    /// The body's MD5 is not `digest`.
    Digest { path: String, got: String },
    /// What came back is not HTTP, or ended early.
    Protocol(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectTimeout => f.write_str("connect timed out"),
            Self::Refused => f.write_str("connection refused"),
            Self::Unreachable(error) => write!(f, "unreachable: {error}"),
            Self::ResponseTimeout => f.write_str("no response in time"),
            Self::Status { path, got } => write!(f, "GET {path}: status {got}"),
            Self::Digest { path, got } => write!(f, "GET {path}: digest {got} differs"),
            Self::Protocol(error) => write!(f, "not HTTP: {error}"),
        }
    }
}

/// Carries out one attempt. Never takes longer than `probe.timeout`, whatever the real server does.
///
/// (keepalived 2.2.7 gives `connect_timeout` to each step anew: a server that sends one byte in time after another
/// passes. Here the limit is for the whole attempt, as [`Probe::timeout`] says.)
pub async fn run<S: Streams>(probe: Probe, streams: Rc<S>) -> Verdict {
    let deadline = streams.now() + probe.timeout;
    let connected = Cell::new(false);
    let mut attempt = pin!(async {
        let stream = streams.connect(probe.target).await.map_err(not_connected)?;
        connected.set(true);
        match &probe.kind {
            ProbeKind::Connect => Ok(()),
            ProbeKind::HttpGet { url, version } => http::get(stream, probe.target, url, *version).await,
        }
    });
    let in_time = tokio::select! {
        biased;
        result = attempt.as_mut() => Some(result),
        () = streams.sleep_until(deadline) => last_look(attempt).await,
    };
    match in_time {
        Some(Ok(())) => Verdict::Passed,
        Some(Err(failure)) => Verdict::Failed(failure),
        None if connected.get() => Verdict::Failed(Failure::ResponseTimeout),
        None => Verdict::Failed(Failure::ConnectTimeout),
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

fn not_connected(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::TimedOut => Failure::ConnectTimeout,
        _ => Failure::Unreachable(error.to_string()),
    }
}
