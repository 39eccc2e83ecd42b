//! `vipward upgrade` and `vipward reload`: ask a running director's supervisor, and say what came of it.

use crate::options::cli::{Reload, Upgrade};
use crate::status::lines::{Answer, Request};
use crate::system::exit::Exit;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::stat;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A supervisor that does not answer for longer has ended: it gives its workers half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an answer reads.
pub struct Words {
    pub done: &'static str,
    pub failed: &'static str,
}

const UPGRADE: Words = Words { done: "upgraded", failed: "not upgraded" };
const RELOAD: Words = Words {
    done: "reloaded: the configuration was read again and applies",
    failed: "not reloaded, the running configuration stays",
};

pub fn upgrade(options: &Upgrade) -> Exit {
    match options.if_replaced && runs_already(&options.control) {
        true => tell(Request::Reload, &options.control, &RELOAD),
        false => tell(Request::Upgrade, &options.control, &UPGRADE),
    }
}

pub fn reload(options: &Reload) -> Exit {
    tell(Request::Reload, &options.control, &RELOAD)
}

/// Asks, and prints the answer.
fn tell(request: Request, control: &Path, words: &Words) -> Exit {
    tell_line(request.line(), control, words, PATIENCE)
}

/// The same with the line of whatever request, and for so long.
pub fn tell_line(request: &[u8], control: &Path, words: &Words, patience: Duration) -> Exit {
    let answer = match ask(request, control, patience) {
        Ok(answer) => answer,
        Err(error) => {
            eprintln!("no answer from a director at {}: {error}", control.display());
            return Exit::Failed;
        }
    };
    match answer {
        Answer::Done => {
            println!("{}", words.done);
            Exit::Fine
        }
        Answer::Failed(why) => {
            eprintln!("{}: {why}", words.failed);
            Exit::Failed
        }
    }
}

/// Whether the director there is this very program: then a reload is enough. Not where none answers.
fn runs_already(control: &Path) -> bool {
    let same = || -> io::Result<bool> {
        let socket = UnixStream::connect(control)?;
        let director = getsockopt(&socket, sockopt::PeerCredentials)?.pid();
        let (ours, its) = (stat("/proc/self/exe")?, stat(format!("/proc/{director}/exe").as_str())?);
        Ok((ours.st_dev, ours.st_ino) == (its.st_dev, its.st_ino))
    };
    same().unwrap_or(false)
}

fn ask(request: &[u8], control: &Path, patience: Duration) -> io::Result<Answer> {
    let mut socket = UnixStream::connect(control)?;
    socket.set_read_timeout(Some(patience))?;
    socket.write_all(request)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Answer::read(&answer).ok_or_else(|| io::Error::other("it ended before it answered"))
}
