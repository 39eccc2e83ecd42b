//! `UDP_CHECK` (keepalived.conf(5)): a datagram is sent. Without `require_reply` the real server is up unless the network says
//! that nobody takes it (ICMP), or as soon as anything comes back; with it, an answer has to come, as long as it should be and
//! with the bytes that it should have.

use super::probe::not_connected;
use super::{Answer, Attempt, Datagrams, Exchange, Failure, Kind, Probe, Progress, Shown, Streams, Trouble};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// The longest payload of a datagram over IPv4 (65,535 bytes with headers of 20 and 8).
pub const MAX_PAYLOAD: usize = 65_507;

/// What keepalived 2.2.7 sends where no `payload` is written, always the same: a service that knows it knows this check.
pub const PAYLOAD: [u8; 32] = *b"keepalived check - keepalived ch";

/// Bytes of a wrong answer that a message shows.
const SHOWN: usize = 16;

/// What the block says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `payload`; none: [`PAYLOAD`].
    pub payload: Option<Vec<u8>>,
    /// `require_reply`.
    pub reply: Option<Reply>,
}

/// The answer that must come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What it must begin with, as far as both go.
    pub pattern: Vec<Masked>,
    /// `min_reply_length`.
    pub min: u16,
    /// `max_reply_length`. (keepalived 2.2.7 cuts an answer to 255 bytes where it is not written, and takes it.)
    pub max: u16,
}

/// A byte of which only the bits of `mask` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    pub byte: u8,
    pub mask: u8,
}

/// Send one datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    pub payload: Option<Vec<u8>>,
    pub reply: Option<Reply>,
}

/// What was wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wrong {
    /// Fewer bytes than `min_reply_length`.
    Short { bytes: usize, min: u16 },
    /// More bytes than `max_reply_length`.
    Long { max: u16 },
    /// The byte at this place, counted from 1, is another one; the first bytes of the answer in hexadecimal.
    Byte { place: usize, answer: String },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bytes, min } => write!(f, "answer of {bytes} bytes, shorter than min_reply_length {min}"),
            Self::Long { max } => write!(f, "answer longer than max_reply_length {max}"),
            Self::Byte { place, answer } => {
                write!(f, "answer {answer} differs from require_reply at byte {place}")
            }
        }
    }
}

impl Wrong {
    pub fn shows(&self) -> Shown {
        Shown::Content
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Udp(wrong)
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self { pattern: Vec::new(), min: 0, max: u16::MAX }
    }
}

impl Kind for Settings {
    type Attempt = Send;

    const WORD: &'static str = "UDP_CHECK";

    fn attempt(&self, _: usize) -> Send {
        Send { payload: self.payload.clone(), reply: self.reply.clone() }
    }

    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }
}

impl Attempt for Send {
    const EXCHANGES: &'static [Exchange] = &[Exchange::Datagram];

    async fn converse<S: Streams>(&self, probe: &Probe, streams: &S, _: &Progress) -> Result<(), Trouble> {
        let trouble = |error: io::Error| not_connected(&error, streams);
        let datagrams = streams.datagrams(probe.target, &probe.from).await.map_err(trouble)?;
        datagrams.send(self.payload.as_deref().unwrap_or(&PAYLOAD)).await.map_err(trouble)?;
        let room = self.reply.as_ref().map_or(0, |reply| usize::from(reply.max) + 1);
        let answer = datagrams.receive(room).await.map_err(trouble)?;
        Ok(self.check(&answer)?)
    }

    /// Silence is no failure unless an answer is required: what the network had to say, it would have said.
    fn overdue(&self, exchange: Exchange) -> Result<(), Failure> {
        if self.reply.is_none() { Ok(()) } else { Err(exchange.overdue()) }
    }

    /// Simulated servers answer as they are wanted to; with a status that is no good, with that number as text.
    fn judge(&self, answer: Answer) -> Result<(), Failure> {
        match answer {
            Answer::Status(status) => Ok(self.check(&self.sample(status))?),
            Answer::Closed => Ok(()),
        }
    }

    fn failures(&self) -> Vec<Failure> {
        let mut failures = vec![Failure::Refused, Failure::Unreachable("No route to host".to_owned())];
        if let Some(reply) = &self.reply {
            failures.push(Failure::ResponseTimeout);
            failures.extend((reply.min > 0).then(|| Wrong::Short { bytes: 0, min: reply.min }.into()));
            failures.push(Wrong::Long { max: reply.max }.into());
            let answer = "00".to_owned();
            failures.extend((!reply.pattern.is_empty()).then(|| Wrong::Byte { place: 1, answer }.into()));
        }
        failures
    }
}

impl Send {
    /// What a simulated server with this status answers.
    pub fn sample(&self, status: u16) -> Vec<u8> {
        let Some(reply) = &self.reply else { return Vec::new() };
        if !(200..400).contains(&status) {
            return status.to_string().into_bytes();
        }
        let mut answer: Vec<u8> = reply.pattern.iter().map(|masked| masked.byte & masked.mask).collect();
        answer.resize(answer.len().clamp(reply.min.into(), reply.max.max(reply.min).into()), 0);
        answer
    }

    /// Whether the answer is as it should be. keepalived.conf(5): it must match "up to the minimum of the received data length and
    /// the length of the require_reply".
    fn check(&self, answer: &[u8]) -> Result<(), Wrong> {
        let Some(Reply { pattern, min, max }) = &self.reply else { return Ok(()) };
        if answer.len() > usize::from(*max) {
            return Err(Wrong::Long { max: *max });
        }
        if answer.len() < usize::from(*min) {
            return Err(Wrong::Short { bytes: answer.len(), min: *min });
        }
        let differs = |(byte, masked): (&u8, &Masked)| (byte ^ masked.byte) & masked.mask != 0;
        match answer.iter().zip(pattern).position(differs) {
            None => Ok(()),
            Some(at) => {
                let shown: String = answer.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
                let more = if answer.len() > SHOWN { "..." } else { "" };
                Err(Wrong::Byte { place: at + 1, answer: format!("{shown}{more}") })
            }
        }
    }
}
