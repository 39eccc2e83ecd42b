//! What a simulated world has to know of an attempt to play it without speaking it: which exchanges there are, in order,
//! and what became of them. The event queue of the simulator plays these; its other runner speaks the very conversation.

use super::{Failure, misc, ssl};

/// One thing that is said, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exchange {
    /// A SYN: the port answers if somebody listens, and refuses if not.
    Handshake,
    /// A request on the open connection: the service answers with a status ([`super::Attempt::judge`]), as slowly as it is.
    Request,
    /// An ICMP echo: the kernel answers, whoever listens.
    Echo,
    /// A program of this director runs; its exit status is the answer ([`super::Attempt::ended`]).
    Command,
    /// TLS begins on the open connection. Whoever plays it takes no time for it.
    Tls,
    /// A datagram: the kernel refuses where nobody listens, the service answers with a status ([`super::Attempt::judge`]), as
    /// slowly as it is, and what is lost is lost.
    Datagram,
}

impl Exchange {
    /// It did not end within the time limit.
    pub fn overdue(self) -> Failure {
        match self {
            Self::Handshake => Failure::ConnectTimeout,
            Self::Request | Self::Echo | Self::Datagram => Failure::ResponseTimeout,
            Self::Tls => ssl::Wrong::Late.into(),
            Self::Command => misc::Wrong::TimedOut.into(),
        }
    }
}

/// What became of an [`Exchange::Request`], or of an [`Exchange::Datagram`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A whole response with this status.
    Status(u16),
    /// The connection closed before there was one.
    Closed,
}

/// What a failure shows of a real server: the way back from a recording to a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nobody is there, or nobody listens.
    Absent,
    /// It is slow, or its packets are lost.
    Late,
    /// It answers, with this status.
    Status(u16),
    /// It answers something else than it should.
    Content,
    /// Nothing that others would see: a program of the director's says so.
    Command,
}
