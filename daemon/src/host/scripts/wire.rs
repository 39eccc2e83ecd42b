//! What a worker and the process that starts its scripts say to each other. Both are one program, so nothing here has a
//! version.
//!
//! Requests go over the line that all scripts share. With each comes one end of a line of its own, over which the rest is
//! said; when the worker closes that, it does not look after the script any more.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, recv, send};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::os::fd::AsRawFd;

/// Bytes of a request; of them nearly all is for the words of a command.
pub const LONGEST: usize = 64 << 10;

/// Bytes of what is said over a script's own line.
const SHORT: usize = 2048;

/// Of an error's text, so that it fits.
pub const LONGEST_ERROR: usize = 1024;

/// What a worker wants.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A configuration that names commands is in force.
    Learn,
    Start(Start),
    /// With it comes the line of its own.
    Fifo(Fifo),
}

/// Something to be done with a notify FIFO that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fifo {
    pub path: String,
    /// Whose it becomes if it is made; none: the director's own.
    pub user: Option<(String, Option<String>)>,
    pub job: FifoJob,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FifoJob {
    /// Make it if it is not there, and open it.
    Open,
    Remove,
}

/// A script to be started. With it come the line of its own and, where somebody listens, its standard error.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// None: the director's own.
    pub user: Option<User>,
    /// `enable_script_security`.
    pub secure: bool,
    /// It is killed when nobody looks after it any more.
    pub dies: bool,
}

/// A user, and a group if the configuration names one; and who that is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub group: Option<String>,
    pub uid: u32,
    pub gid: u32,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    Started,
    /// Why not; nothing more comes.
    Refused(String),
    /// The same, for want of processes, memory or descriptors.
    Short(String),
    /// As wait(2) tells it.
    Ended(i32),
    /// [`FifoJob::Open`] is done: it comes with this. `made`: it was not there before.
    Fifo {
        made: bool,
    },
}

/// A signal for the whole process group.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send(pub i32);

impl From<Signal> for Send {
    fn from(signal: Signal) -> Self {
        Self(signal as i32)
    }
}

/// A packet; empty, which no reader takes, if it can't be written.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_extend(message, Vec::new()).unwrap_or_default()
}

/// None: it makes no sense.
pub fn decode<T: DeserializeOwned>(packet: &[u8]) -> Option<T> {
    postcard::from_bytes(packet).ok()
}

/// Says something over a script's own line, or says at once why not.
pub fn say<T: Serialize>(socket: &impl AsRawFd, message: &T) -> Result<(), Errno> {
    send(socket.as_raw_fd(), &encode(message), MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL).map(drop)
}

/// What is said there and has arrived; `Ok(None)`: the other end is closed, or makes no sense.
pub fn hear<T: DeserializeOwned>(socket: &impl AsRawFd) -> Result<Option<T>, Errno> {
    let mut buffer = [0; SHORT];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
    Ok(buffer.get(..length).and_then(decode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::passing;

    #[test]
    fn what_is_said_is_heard_and_a_closed_line_is_noticed() {
        let (ours, theirs) = passing::pair().unwrap();
        assert_eq!(hear::<Told>(&theirs), Err(Errno::EAGAIN));
        let longest = Told::Refused("x".repeat(LONGEST_ERROR));
        for told in [Told::Started, Told::Ended(9), longest] {
            say(&ours, &told).unwrap();
            assert_eq!(hear(&theirs), Ok(Some(told)));
        }
        drop(ours);
        assert_eq!(hear::<Told>(&theirs), Ok(None));
    }
}
