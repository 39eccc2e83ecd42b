//! `DNS_CHECK` (keepalived.conf(5)): a name server answers a query over UDP (RFC 1035 4.1, 4.2.1).
//!
//! Of an answer only the header and the question are read: whether it is one to this query, and what the server says of
//! itself (RCODE). What is no answer to it (another id, another question, no answer at all) is somebody else's, or late, or
//! forged: it is no verdict, and the right one may still come. Records are not looked at, so nothing in them can do harm.

use super::probe::not_connected;
use super::{Answer, Attempt, Datagrams, Exchange, Failure, Kind, Probe, Progress, Shown, Streams, Trouble};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::str::FromStr;

/// Bytes of a header (RFC 1035 4.1.1).
const HEADER: usize = 12;

/// Bytes of a name with its lengths (RFC 1035 2.3.4), and of one label.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

/// Bytes of an answer that are read: a header and the longest question.
const ROOM: usize = HEADER + MAX_NAME + 4;

/// Datagrams that are no answer to the query, one after the other, before others get their turn.
const MAX_OTHERS: u32 = 64;

/// The Internet.
const IN: u16 = 1;

/// The types that keepalived knows, and the numbers that they have (RFC 1035 3.2.2, 3.2.3, RFC 3596, RFC 4034).
pub const TYPES: [(&str, u16); 10] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("RRSIG", 46),
    ("DNSKEY", 48),
    ("ANY", 255),
];

/// What the block says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `type`, as its number.
    pub record: u16,
    pub name: Name,
}

/// Ask once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    pub record: u16,
    pub name: Name,
}

/// A domain name as it is sent: labels with their lengths before them, the root's last (RFC 1035 3.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name(Vec<u8>);

/// What the server said instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wrong {
    /// This RCODE.
    Code(u8),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Code(code) = self;
        // RFC 1035 4.1.1, RFC 2136 2.2.
        let name = match code {
            1 => "FORMERR: it could not read the query",
            2 => "SERVFAIL: it could not answer",
            3 => "NXDOMAIN: there is no such name",
            4 => "NOTIMP: it does not answer such queries",
            5 => "REFUSED: it does not answer this director, or not for this name",
            9 => "NOTAUTH: it is not responsible for this name",
            _ => return write!(f, "answered with RCODE {code}"), // Of no meaning for a query.
        };
        write!(f, "answered with {name}")
    }
}

impl Wrong {
    pub fn shows(&self) -> Shown {
        Shown::Content
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Dns(wrong)
    }
}

/// Why a text is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoName;

impl FromStr for Name {
    type Err = NoName;

    /// `.` is the root; a dot at the end makes no difference. A label is of visible ASCII characters, without a backslash.
    fn from_str(text: &str) -> Result<Self, NoName> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut name = Vec::new();
        for label in text.split('.').filter(|_| !text.is_empty()) {
            let fits = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
            let length = u8::try_from(label.len()).map_err(|_| NoName)?;
            if label.is_empty() || label.len() > MAX_LABEL || !label.bytes().all(fits) {
                return Err(NoName);
            }
            name.push(length);
            name.extend_from_slice(label.as_bytes());
        }
        name.push(0);
        if name.len() > MAX_NAME { Err(NoName) } else { Ok(Self(name)) }
    }
}

impl Name {
    /// `.`
    pub fn root() -> Self {
        Self(vec![0])
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { record: 6, name: Name::root() }
    }
}

impl Kind for Settings {
    type Attempt = Query;

    const WORD: &'static str = "DNS_CHECK";

    fn attempt(&self, _: usize) -> Query {
        Query { record: self.record, name: self.name.clone() }
    }

    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }
}

impl Attempt for Query {
    const EXCHANGES: &'static [Exchange] = &[Exchange::Datagram];

    const GUARDED: bool = true;

    async fn converse<S: Streams>(&self, probe: &Probe, streams: &S, _: &Progress) -> Result<(), Trouble> {
        let trouble = |error: io::Error| not_connected(&error, streams);
        let datagrams = streams.datagrams(probe.target, &probe.from).await.map_err(trouble)?;
        let [high, low, ..] = probe.random.to_be_bytes();
        let id = u16::from_be_bytes([high, low]);
        datagrams.send(&self.message(id)).await.map_err(trouble)?;
        let mut others = 0;
        loop {
            let heard = datagrams.receive(ROOM).await.map_err(trouble)?;
            if let Some(said) = self.read(&heard, id) {
                return Ok(said?);
            }
            others += 1;
            if others % MAX_OTHERS == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Simulated servers with a status that is no good answer SERVFAIL.
    fn judge(&self, answer: Answer) -> Result<(), Failure> {
        match answer {
            Answer::Status(200..400) | Answer::Closed => Ok(()),
            Answer::Status(_) => Err(Wrong::Code(2).into()),
        }
    }

    fn failures(&self) -> Vec<Failure> {
        let mut failures =
            vec![Failure::Refused, Failure::Unreachable("No route to host".to_owned()), Failure::ResponseTimeout];
        failures.extend((1..=15).map(|code| Wrong::Code(code).into()));
        failures
    }
}

impl Query {
    /// One question, with the wish for recursion as keepalived has it (RFC 1035 4.1.1, 4.1.2).
    pub fn message(&self, id: u16) -> Vec<u8> {
        let mut message = Vec::with_capacity(ROOM);
        message.extend(id.to_be_bytes());
        message.extend([0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        message.extend(self.question());
        message
    }

    fn question(&self) -> Vec<u8> {
        let [record, class] = [self.record, IN].map(u16::to_be_bytes);
        [self.name.0.as_slice(), &record, &class].concat()
    }

    /// What a simulated server with this status says to a query of ours.
    pub fn sample(asked: &[u8], status: u16) -> Vec<u8> {
        let mut answer = asked.to_vec();
        if let [_, _, flags, code, ..] = answer.as_mut_slice() {
            *flags |= 0x84;
            *code = if (200..400).contains(&status) { 0 } else { 2 };
        }
        answer
    }

    /// What the answer to the query `id` says; none: this is none.
    pub fn read(&self, message: &[u8], id: u16) -> Option<Result<(), Wrong>> {
        let (header, rest) = message.split_at_checked(HEADER)?;
        let [id_high, id_low, flags, code, questions_high, questions_low, ..] = *header else { return None };
        // QR and OPCODE: an answer to a query.
        if u16::from_be_bytes([id_high, id_low]) != id || flags & 0xf8 != 0x80 {
            return None;
        }
        let code = code & 0x0f;
        let same = match u16::from_be_bytes([questions_high, questions_low]) {
            // A server that could not read the question, or does not want to, may leave it out.
            0 => code != 0,
            1 => rest
                .get(..self.name.0.len() + 4)
                .is_some_and(|question| question.eq_ignore_ascii_case(&self.question())),
            _ => false, // Nobody asks two at once (RFC 9619).
        };
        // An answer that does not fit (TC) is one all the same.
        same.then_some(if code == 0 { Ok(()) } else { Err(Wrong::Code(code)) })
    }
}
