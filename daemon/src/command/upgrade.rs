//! `vipward upgrade`: asks a running director's supervisor, and says what became of it.

use crate::options::cli::Upgrade;
use crate::process::supervise::control;
use crate::process::supervise::control::Answer;
use crate::system::exit::Exit;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::stat;
use nix::unistd::Pid;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A supervisor that does not answer for longer has ended: it gives its workers half a minute.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(options: &Upgrade) -> Exit {
    if options.if_replaced {
        match reload_the_same(&options.control) {
            Ok(true) => {
                println!(
                    "this program runs already: it reads its configuration again, and says in the log what comes of it"
                );
                return Exit::Fine;
            }
            Ok(false) => {}
            Err(error) => {
                eprintln!("no answer from a director at {}: {error}", options.control.display());
                return Exit::Failed;
            }
        }
    }
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

/// Where this very program runs already a reload is enough (SIGHUP). False: another one runs.
fn reload_the_same(control: &Path) -> io::Result<bool> {
    let socket = UnixStream::connect(control)?;
    let director = getsockopt(&socket, sockopt::PeerCredentials)?.pid();
    let (ours, its) = (stat("/proc/self/exe")?, stat(format!("/proc/{director}/exe").as_str())?);
    let same = (ours.st_dev, ours.st_ino) == (its.st_dev, its.st_ino);
    if same {
        kill(Pid::from_raw(director), Signal::SIGHUP)?;
    }
    Ok(same)
}

fn ask(control: &Path) -> io::Result<Answer> {
    let mut socket = UnixStream::connect(control)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(control::UPGRADE)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Answer::read(&answer).ok_or_else(|| io::Error::other("it ended before the upgrade did"))
}
