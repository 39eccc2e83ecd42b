//! The control socket: what an operator asks of a running director. One request a connection: a line goes in, a line
//! comes out, and the connection ends. How the director is, and orders about real servers, are the worker's matter.

use crate::status::lines::{Answer, Request};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, listen, recv, send, socket,
};
use nix::sys::socket::{Backlog, connect};
use nix::sys::stat::{Mode, umask};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::Path;

/// What begins an order (`vipward drain`). The worker reads it ([`crate::status`]): here it is only looked at.
const ORDERS: [&[u8]; 2] = [b"drain ", b"undrain "];

/// More than any request has: what is left unread in a socket resets it, and the answer is lost.
const LONGEST_REQUEST: usize = 256;

/// Clients that wait for an answer.
const MOST_CLIENTS: usize = 16;

/// The supervisor's end.
pub struct Control {
    listener: OwnedFd,
    clients: Vec<Client>,
    next: u64,
}

/// Somebody who has connected.
pub struct Client {
    pub number: u64,
    pub socket: OwnedFd,
}

impl Control {
    /// Listens, for nobody but this user. A socket that a dead director left is replaced, one that somebody listens to
    /// is not.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let address = UnixAddr::new(path)?;
        let stream = || socket(AddressFamily::Unix, SockType::Stream, FLAGS, None);
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.file_type().is_socket() {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there, and is no socket: left alone"));
            }
            if connect(stream()?.as_raw_fd(), &address).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another director listens there"));
            }
            fs::remove_file(path)?;
        }
        let listener = stream()?;
        let before = umask(Mode::from_bits_truncate(0o177));
        let bound = bind(listener.as_raw_fd(), &address);
        umask(before);
        bound?;
        listen(&listener, Backlog::MAXCONN)?;
        Ok(Self::resume(listener, 0))
    }

    /// Goes on with the socket of the supervisor before.
    pub fn resume(listener: OwnedFd, next: u64) -> Self {
        Self { listener, clients: Vec::new(), next }
    }

    pub fn listener(&self) -> &OwnedFd {
        &self.listener
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    /// The next client that asks for something that there is. Whoever asks for anything else, or goes, or says nothing
    /// while many others come, is let go. An order is left in its socket, and goes the way of [`Request::Status`]. `watch` gets each new one's socket, which may have something to say later.
    pub fn asked(&mut self, mut watch: impl FnMut(&OwnedFd)) -> Option<(Request, Client)> {
        for _ in 0..MOST_CLIENTS {
            let Ok(raw) = accept4(self.listener.as_raw_fd(), FLAGS) else { break };
            if self.clients.len() == MOST_CLIENTS {
                self.clients.remove(0);
            }
            // SAFETY: the kernel has just made this descriptor for this process, and nobody else knows its number.
            #[allow(unsafe_code)]
            let socket = unsafe { OwnedFd::from_raw_fd(raw) };
            watch(&socket);
            self.clients.push(Client { number: self.next, socket });
            self.next += 1;
        }
        let mut place = 0;
        while let Some(client) = self.clients.get(place) {
            let mut line = [0; LONGEST_REQUEST];
            match recv(client.socket.as_raw_fd(), &mut line, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) {
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => place += 1,
                Ok(0) | Err(_) => drop(self.clients.remove(place)),
                Ok(length) => {
                    let client = self.clients.remove(place);
                    let order = line.get(..length).filter(|line| line.ends_with(b"\n"));
                    if order.is_some_and(|line| ORDERS.iter().any(|verb| line.starts_with(verb))) {
                        return Some((Request::Status, client));
                    }
                    // What was looked at is there.
                    let _ = recv(client.socket.as_raw_fd(), &mut [0; LONGEST_REQUEST], MsgFlags::MSG_DONTWAIT);
                    match line.get(..length).and_then(Request::read) {
                        Some(request) => return Some((request, client)),
                        None => client.answer(&Answer::Failed("no such request".to_owned())),
                    }
                }
            }
        }
        None
    }
}

impl Client {
    /// The last that it hears.
    pub fn answer(&self, answer: &Answer) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // One that has gone needs no answer.
        let _ = send(self.socket.as_raw_fd(), answer.line().as_bytes(), flags);
    }
}

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_client_asks_and_is_answered_and_junk_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/control.sock");
        let mut control = Control::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(control.asked(|_| {}).is_none());
        let mut junk = UnixStream::connect(&path).unwrap();
        junk.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let gone = UnixStream::connect(&path).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"upgrade\n").unwrap();
        drop(gone);
        let (request, asked) = control.asked(|_| {}).unwrap();
        assert_eq!((request, asked.number), (Request::Upgrade, 2));
        asked.answer(&Answer::Done);
        drop(asked);
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(Answer::read(&heard), Some(Answer::Done));
        assert!(control.asked(|_| {}).is_none());
        heard.clear();
        junk.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "failed: no such request\n");
        assert_eq!(control.clients.len(), 0);
    }

    #[test]
    fn an_order_is_left_for_the_worker_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let mut control = Control::open(&path).unwrap();
        for (line, left) in
            [("drain 10.0.0.1:80 --remove\n", true), ("undrain 10.0.0.1:80\n", true), ("status\n", false)]
        {
            let mut client = UnixStream::connect(&path).unwrap();
            client.write_all(line.as_bytes()).unwrap();
            let (request, asked) = control.asked(|_| {}).unwrap();
            assert_eq!(request, Request::Status, "{line}");
            let mut read = [0; LONGEST_REQUEST];
            let length = recv(asked.socket.as_raw_fd(), &mut read, MsgFlags::MSG_DONTWAIT).unwrap_or(0);
            assert_eq!(&read[..length], if left { line.as_bytes() } else { b"" });
        }
        let mut half = UnixStream::connect(&path).unwrap();
        half.write_all(b"drain 10.0.0.1:80").unwrap();
        assert!(control.asked(|_| {}).is_none());
        let mut heard = String::new();
        half.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "failed: no such request\n");
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious.conf");
        fs::write(&path, "precious").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for place in [&path, &link, &folder.path().to_owned()] {
            let error = Control::open(place).err().unwrap();
            assert!(error.to_string().contains("no socket"), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_dead_directors_socket_is_replaced_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let first = Control::open(&path).unwrap();
        let error = Control::open(&path).err().unwrap();
        assert!(error.to_string().contains("another director listens there"), "{error}");
        drop(first);
        assert!(Control::open(&path).is_ok());
    }
}
