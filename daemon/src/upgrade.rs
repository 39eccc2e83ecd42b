//! `vipward upgrade`: asks a running director's supervisor, and says what became of it.

use crate::cli::Upgrade;
use crate::exit::Exit;
use crate::supervise::control::{self, Answer};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A supervisor that does not answer for longer has ended: it gives its workers half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(options: &Upgrade) -> Exit {
    let answer = ask(&options.control).unwrap_or_else(|error| {
        Answer::Failed(format!("no answer from a director at {}: {error}", options.control.display()))
    });
    match answer {
        Answer::Done => {
            println!("upgraded");
            Exit::Fine
        }
        Answer::Failed(why) => {
            eprintln!("not upgraded: {why}");
            Exit::Failed
        }
    }
}

fn ask(control: &Path) -> io::Result<Answer> {
    let mut socket = UnixStream::connect(control)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(control::UPGRADE)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Answer::read(&answer).ok_or_else(|| io::Error::other("it ended before the upgrade did"))
}
