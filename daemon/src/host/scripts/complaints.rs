//! What scripts say on standard error: into the log, line by line, as much of it as a log can bear.

use crate::system::quiet::Limited;
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use tokio::net::unix::pipe;
use vipward_core::decision::LogLevel;

/// Bytes of a line that are told.
const LONGEST: usize = 512;

/// Lines of one script that are told in a minute; then only the last one and how many there were.
const MOST: u32 = 10;

/// Bytes that are read at the end of a script: what a pipe holds.
const REST: usize = 64 << 10;

/// All that scripts of one thread say, by the name of the script.
pub type Complaints = Limited<String>;

impl Complaints {
    /// One script's way into the log.
    pub fn of(&self, name: &str) -> Speaker<'_> {
        Speaker { all: self, name: name.to_owned() }
    }
}

/// One script's way into the log.
pub struct Speaker<'a> {
    all: &'a Complaints,
    name: String,
}

impl Speaker<'_> {
    fn say(&self, line: &str) {
        self.all.say(self.name.clone(), MOST, LogLevel::Info, || format!("{} says: {line}", self.name));
    }
}

/// What one run of a script says.
#[derive(Default)]
pub struct Said {
    from: Option<pipe::Receiver>,
    /// The line that has not ended; never longer than [`LONGEST`] and a chunk.
    line: Vec<u8>,
    last: Option<String>,
}

impl Said {
    /// From the end of a pipe that does not block.
    pub fn new(from: OwnedFd) -> Self {
        Self { from: pipe::Receiver::from_owned_fd(from).ok(), ..Self::default() }
    }

    /// Tells what comes. Does not end by itself: what a script's children say comes after its end.
    pub async fn follow(&mut self, speaker: &Speaker<'_>) -> Infallible {
        loop {
            match &self.from {
                Some(from) if from.readable().await.is_ok() => {}
                Some(_) | None => return std::future::pending().await,
            }
            if self.read(speaker, |from, buffer| from.try_read(buffer)).is_none() {
                self.from = None;
            }
        }
    }

    /// Tells what is there already, at the script's end.
    pub fn rest(&mut self, speaker: &Speaker<'_>) {
        let mut read = 0;
        // The runtime may not have noticed yet that there is something: so it is not asked.
        while let Some(length @ 1..) = self.read(speaker, |from, buffer| Ok(nix::unistd::read(from, buffer)?))
            && read < REST
        {
            read += length;
        }
        self.end_line(speaker);
    }

    /// The last whole line, or what there is of it.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// How much was read; zero: nothing for now. None: nobody has the other end any more.
    fn read(
        &mut self,
        speaker: &Speaker<'_>,
        how: impl Fn(&pipe::Receiver, &mut [u8]) -> io::Result<usize>,
    ) -> Option<usize> {
        let mut buffer = [0; 4096];
        let length = match how(self.from.as_ref()?, &mut buffer) {
            Ok(0) => return None,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(0),
            Err(_) => return None,
        };
        for byte in buffer.get(..length)? {
            match byte {
                b'\n' => self.end_line(speaker),
                // What is beyond is left out.
                _ if self.line.len() > LONGEST => {}
                byte => self.line.push(*byte),
            }
        }
        Some(length)
    }

    fn end_line(&mut self, speaker: &Speaker<'_>) {
        let mut line = std::mem::take(&mut self.line);
        let cut = line.len() > LONGEST;
        line.truncate(LONGEST);
        let text = String::from_utf8_lossy(&line);
        // Nothing that moves a terminal's cursor.
        let mut text: String = text.trim_end().chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        if cut {
            text.push('…');
        }
        if !text.is_empty() {
            speaker.say(&text);
            self.last = Some(text);
        }
    }
}
