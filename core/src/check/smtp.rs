//! `SMTP_CHECK` (keepalived.conf(5)): a mail server greets with 220, answers HELO with 250, and answers QUIT with
//! anything (RFC 5321 3.1, 4.1.1.1, 4.1.1.10). No mail is sent.
//!
//! Replies may have several lines (RFC 5321 4.2.1). Memory is bounded whatever comes: of each line [`MAX_TEXT`] bytes are
//! kept, and a reply longer than [`MAX_REPLY`] is none. Time is bounded by the caller.

use super::probe::not_connected;
use super::{Answer, Attempt, Exchange, Failure, Kind, Probe, Progress, Shown, Streams, Trouble};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};

/// Bytes of one reply, all lines together. RFC 5321 4.5.3.1.5 has lines of 512 bytes at most.
const MAX_REPLY: usize = 64 * 1024;

/// Bytes of a line that are kept: a code, and what a log shows of the text behind it.
const MAX_TEXT: usize = 80;

/// Bytes that are read ahead.
const READ_AHEAD: usize = 1024;

/// What keepalived says where no `helo_name` is written: a mail server that knows that name knows this check.
pub const HELO_NAME: &str = "smtpchecker.keepalived.org";

/// What the block says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `helo_name`: visible ASCII, 255 bytes at most (RFC 5321 4.5.3.1.2).
    pub helo_name: String,
}

/// Be greeted, say HELO and QUIT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greet {
    pub helo_name: String,
}

/// What a reply is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum To {
    /// The connection itself.
    Connection,
    Helo,
    Quit,
}

/// What was wrong with a reply.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wrong {
    /// Another code than expected, or no reply of SMTP; `said` is the line, printable and cut.
    Reply { to: To, said: String },
    /// More than [`MAX_REPLY`] bytes.
    Endless { to: To },
    /// The connection ended before there was a whole reply; the reason in the network's own words.
    Cut { to: To, reason: String },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { to: To::Connection, said } => write!(f, "greeted with \"{said}\""),
            Self::Reply { to: to @ (To::Helo | To::Quit), said } => write!(f, "{to} answered with \"{said}\""),
            Self::Endless { to: To::Connection } => write!(f, "greeting longer than {MAX_REPLY} bytes"),
            Self::Endless { to: to @ (To::Helo | To::Quit) } => {
                write!(f, "answer to {to} longer than {MAX_REPLY} bytes")
            }
            Self::Cut { to: To::Connection, reason } => write!(f, "no greeting: {reason}"),
            Self::Cut { to: to @ (To::Helo | To::Quit), reason } => write!(f, "no answer to {to}: {reason}"),
        }
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connection",
            Self::Helo => "HELO",
            Self::Quit => "QUIT",
        })
    }
}

impl Wrong {
    pub fn shows(&self) -> Shown {
        match self {
            // 4yz and 5yz: it answers, and wants no mail now (RFC 5321 4.2.1).
            Self::Reply { to: _, said } => match said.get(..3).and_then(|code| code.parse().ok()) {
                Some(code @ 400..600) => Shown::Status(code),
                Some(_) | None => Shown::Content,
            },
            Self::Endless { .. } => Shown::Content,
            // As a server that dies in the middle.
            Self::Cut { .. } => Shown::Absent,
        }
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Smtp(wrong)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { helo_name: HELO_NAME.to_owned() }
    }
}

impl Kind for Settings {
    type Attempt = Greet;

    const WORD: &'static str = "SMTP_CHECK";

    fn attempt(&self, _: usize) -> Greet {
        Greet { helo_name: self.helo_name.clone() }
    }

    /// (keepalived 2.2.7 gives `connect_timeout` to each reply anew.)
    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }
}

impl Attempt for Greet {
    /// HELO and QUIT; the greeting comes with the connection.
    const EXCHANGES: &'static [Exchange] = &[Exchange::Handshake, Exchange::Request, Exchange::Request];

    async fn converse<S: Streams>(&self, probe: &Probe, streams: &S, progress: &Progress) -> Result<(), Trouble> {
        let stream =
            streams.connect(probe.target, &probe.from).await.map_err(|error| not_connected(&error, streams))?;
        progress.next();
        let mut stream = BufReader::with_capacity(READ_AHEAD, stream);
        reply(&mut stream, To::Connection, Some(b"220"), streams).await?;
        let helo = format!("HELO {}\r\n", self.helo_name);
        stream.write_all(helo.as_bytes()).await.map_err(|error| cut(To::Helo, &error, streams))?;
        reply(&mut stream, To::Helo, Some(b"250"), streams).await?;
        progress.next();
        stream.write_all(b"QUIT\r\n").await.map_err(|error| cut(To::Quit, &error, streams))?;
        // As keepalived: there must be an answer, and it may be any.
        reply(&mut stream, To::Quit, None, streams).await
    }

    /// Simulated servers have a status of HTTP: with one that is no good they answer HELO with that number.
    fn judge(&self, answer: Answer) -> Result<(), Failure> {
        let to = To::Helo;
        match answer {
            Answer::Status(200..400) => Ok(()),
            Answer::Status(status) => Err(Wrong::Reply { to, said: status.to_string() }.into()),
            Answer::Closed => Err(Wrong::Cut { to, reason: CLOSED.to_owned() }.into()),
        }
    }

    fn failures(&self) -> Vec<Failure> {
        let said = "421 Service not available".to_owned();
        let mut failures = vec![
            Failure::ConnectTimeout,
            Failure::Refused,
            Failure::Unreachable("No route to host".to_owned()),
            Failure::ResponseTimeout,
        ];
        for to in [To::Connection, To::Helo, To::Quit] {
            failures.extend((to != To::Quit).then(|| Wrong::Reply { to, said: said.clone() }.into()));
            failures.extend([Wrong::Endless { to }, Wrong::Cut { to, reason: CLOSED.to_owned() }].map(Failure::from));
        }
        failures
    }
}

/// The other side closed in order.
const CLOSED: &str = "connection closed";

/// Reads one reply to its end. `code`: what every line of it must begin with; none: one line of anything.
async fn reply<S: Streams>(
    stream: &mut BufReader<impl AsyncRead + Unpin>,
    to: To,
    code: Option<&[u8; 3]>,
    streams: &S,
) -> Result<(), Trouble> {
    let mut room = MAX_REPLY;
    loop {
        let line = match line(stream, &mut room).await {
            Ok(Some(line)) => line,
            Ok(None) => return Err(Wrong::Endless { to }.into()),
            Err(error) => return Err(cut(to, &error, streams)),
        };
        let Some(code) = code else { return Ok(()) };
        // `250-more follows`, then `250 the last one` or `250` alone (RFC 5321 4.2.1).
        match line.strip_prefix(code) {
            Some([b'-', ..]) => {}
            Some([] | [b' ' | b'\t', ..]) => return Ok(()),
            Some(_) | None => return Err(Wrong::Reply { to, said: line.escape_ascii().to_string() }.into()),
        }
    }
}

/// The next line without its end, cut to [`MAX_TEXT`] bytes; none: `room`, which it takes from, is used up. An LF alone
/// ends a line too.
async fn line(stream: &mut BufReader<impl AsyncRead + Unpin>, room: &mut usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let piece = stream.fill_buf().await?;
        if piece.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CLOSED));
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let text = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        let keep = text.len().min(MAX_TEXT.saturating_sub(line.len()));
        line.extend_from_slice(text.get(..keep).unwrap_or_default());
        let taken = end.map_or(piece.len(), |end| end + 1);
        stream.consume(taken);
        let Some(left) = room.checked_sub(taken) else { return Ok(None) };
        *room = left;
        if end.is_some() {
            line.pop_if(|last| *last == b'\r');
            return Ok(Some(line));
        }
    }
}

/// A connection that broke, unless that is a shortage of ours.
fn cut(to: To, error: &io::Error, streams: &impl Streams) -> Trouble {
    match streams.shortage(error) {
        Some(shortage) => Trouble::NotAsked(shortage),
        None => Wrong::Cut { to, reason: error.to_string() }.into(),
    }
}
