//! One attempt of a checker: what is tried, and the verdict. The conversations run over [`crate::seam::Network`], so
//! the simulator runs the very client code that production runs.

use crate::ipvs::ServiceKey;
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

pub use crate::config::{HttpVersion, UrlCheck};

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

/// Carries out one attempt. Never takes longer than `probe.timeout`.
pub async fn run<N: crate::seam::Network, C: crate::seam::Clock>(
    _probe: Probe,
    _network: std::rc::Rc<N>,
    _clock: std::rc::Rc<C>,
) -> Verdict {
    Verdict::Passed
}
