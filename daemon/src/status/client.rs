//! Whoever asks.

use super::lines::{Answer, Request};
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use vipward_core::status::{FORMAT, Status};

/// A director that says nothing for longer does not answer: its worker has a second for each question, and may have some
/// before this one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A worker that hands over drops a question; its successor answers the next.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);

/// Why nothing is known.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody listens there, or says nothing.
    Nobody(io::Error),
    /// The supervisor's word: there is no worker.
    Refused(String),
    /// Another version's.
    NotUnderstood(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody(error) => write!(f, "{error}"),
            Self::Refused(why) => f.write_str(why),
            Self::NotUnderstood(why) => write!(f, "its answer is not understood: {why}"),
        }
    }
}

/// Asks the director at this control socket.
///
/// # Errors
/// It gives no answer.
pub fn ask(control: &Path) -> Result<Status, NoAnswer> {
    for _ in 1..TRIES {
        let answer = once(control).map_err(NoAnswer::Nobody)?;
        if !answer.is_empty() {
            return read(&answer);
        }
        std::thread::sleep(PAUSE);
    }
    Err(NoAnswer::Nobody(io::Error::other("it ended before it answered")))
}

fn once(control: &Path) -> io::Result<String> {
    let mut socket = UnixStream::connect(control)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(Request::Status.line())?;
    let mut answer = String::new();
    match socket.read_to_string(&mut answer) {
        Ok(_) => Ok(answer),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other(format!("no answer within {} s", PATIENCE.as_secs())))
        }
        Err(error) => Err(error),
    }
}

fn read(answer: &str) -> Result<Status, NoAnswer> {
    if let Some(Answer::Failed(why)) = Answer::read(answer) {
        return Err(NoAnswer::Refused(why));
    }
    let status: Status = serde_json::from_str(answer).map_err(|error| NoAnswer::NotUnderstood(error.to_string()))?;
    match status.format {
        FORMAT => Ok(status),
        other => Err(NoAnswer::NotUnderstood(format!("its form is {other}, and this program reads {FORMAT}"))),
    }
}
