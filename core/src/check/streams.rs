//! The part of [`crate::seam`] over which checkers converse.

use super::ssl::Tls;
use super::{Binding, Shortage};
use crate::command::{Command, ScriptOutcome};
use crate::time::Clock;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a probe needs of the world.
pub trait Streams: Clock {
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// The same under TLS. Its end counts as such also where the other side did not say so.
    type Secure: AsyncRead + AsyncWrite + Unpin + 'static;

    /// A TCP connection to a real server, from there. No time limit of its own.
    fn connect(&self, target: SocketAddr, from: &Binding) -> impl Future<Output = io::Result<Self::Stream>>;

    /// An ICMP or ICMPv6 echo request, from there, and its reply. No time limit of its own; a lost one is not sent again.
    fn echo(&self, target: IpAddr, from: &Binding) -> impl Future<Output = io::Result<()>>;

    type Datagrams: Datagrams;

    /// A way to send datagrams to a real server, from there, and to hear what it sends back; nobody else is heard.
    fn datagrams(&self, target: SocketAddr, from: &Binding) -> impl Future<Output = io::Result<Self::Datagrams>>;

    /// Begins TLS. No time limit of its own. An error prints as a reason.
    fn secure(&self, stream: Self::Stream, tls: &Tls) -> impl Future<Output = io::Result<Self::Secure>>;

    /// Runs a program of the configuration to its end. No time limit of its own: whoever drops this before kills it, with all
    /// that it started in its process group.
    fn run(&self, command: &Command) -> impl Future<Output = Result<ScriptOutcome, Shortage>>;

    /// What this host lacks, if an error of one of these says so; `None`: it tells of the other side, or of the way there.
    fn shortage(&self, error: &io::Error) -> Option<Shortage>;
}

/// Datagrams between one checker and one real server (UDP). Neither call has a time limit of its own. An error of either is
/// the network's: it refused what was sent before (ICMP), or could not take it.
pub trait Datagrams {
    fn send(&self, payload: &[u8]) -> impl Future<Output = io::Result<()>>;

    /// The next one, or its first `room` bytes.
    fn receive(&self, room: usize) -> impl Future<Output = io::Result<Vec<u8>>>;
}
