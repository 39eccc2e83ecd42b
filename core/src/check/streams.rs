//! The part of [`crate::seam`] over which checkers converse.

use super::{Binding, Shortage};
use crate::time::Clock;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};

/// What a probe needs of the network.
pub trait Streams: Clock {
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// A TCP connection to a real server, from there. No time limit of its own.
    fn connect(&self, target: SocketAddr, from: &Binding) -> impl Future<Output = io::Result<Self::Stream>>;

    /// An ICMP or ICMPv6 echo request, from there, and its reply. No time limit of its own; a lost one is not sent again.
    fn echo(&self, target: IpAddr, from: &Binding) -> impl Future<Output = io::Result<()>>;

    /// What this host lacks, if an error of one of these says so; `None`: it tells of the other side, or of the way there.
    fn shortage(&self, error: &io::Error) -> Option<Shortage>;
}
