//! What a supervisor leaves to the next version of itself, which takes its place in the same process: what it knows, and the
//! descriptors that it needs.

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use vipward_core::supervisor::{Supervisor, WorkerId};

/// What is written.
#[derive(Serialize, Deserialize)]
struct Notes<S> {
    supervisor: S,
    workers: BTreeMap<WorkerId, Worker>,
    control: Option<Control>,
    /// Who waits for an answer.
    clients: BTreeMap<u64, RawFd>,
}

#[derive(Serialize, Deserialize)]
struct Worker {
    pid: i32,
    socket: Option<RawFd>,
}

#[derive(Serialize, Deserialize)]
struct Control {
    listener: RawFd,
    /// The next client's number.
    next: u64,
}

/// Notes that are ready to be left, and copies of the descriptors that they name.
pub struct Written {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// The file that the next version reads.
pub struct Inherited(File);

impl Inherited {
    pub fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Collects what is written.
pub struct Draft {
    workers: BTreeMap<WorkerId, Worker>,
    control: Option<Control>,
    clients: BTreeMap<u64, RawFd>,
    descriptors: Vec<OwnedFd>,
}

impl Draft {
    pub fn new() -> Self {
        Self { workers: BTreeMap::new(), control: None, clients: BTreeMap::new(), descriptors: Vec::new() }
    }

    /// A worker by its process's number, and its line while it has one.
    pub fn worker(&mut self, id: WorkerId, pid: i32, socket: Option<OwnedFd>) {
        let number = socket.as_ref().map(AsRawFd::as_raw_fd);
        self.descriptors.extend(socket);
        self.workers.insert(id, Worker { pid, socket: number });
    }

    /// The control socket.
    pub fn control(&mut self, listener: OwnedFd, next: u64) {
        self.control = Some(Control { listener: listener.as_raw_fd(), next });
        self.descriptors.push(listener);
    }

    /// Somebody who waits for an answer.
    pub fn client(&mut self, number: u64, socket: OwnedFd) {
        self.clients.insert(number, socket.as_raw_fd());
        self.descriptors.push(socket);
    }

    /// # Errors
    /// What can't be written.
    pub fn write(self, supervisor: &Supervisor) -> io::Result<Written> {
        let notes = Notes { supervisor, workers: self.workers, control: self.control, clients: self.clients };
        let bytes = postcard::to_extend(&notes, Vec::new()).map_err(io::Error::other)?;
        Ok(Written { bytes, descriptors: self.descriptors })
    }
}

impl Written {
    /// Makes the descriptors outlive this program, and the file of the notes.
    pub fn inherit(&self) -> io::Result<Inherited> {
        let mut file = File::from(memfd_create(c"vipward notes", MFdFlags::empty())?);
        file.write_all(&self.bytes)?;
        file.rewind()?;
        self.descriptors.iter().try_for_each(|it| set_close_on_exec(it.as_fd(), false))?;
        Ok(Inherited(file))
    }

    /// There is no next version after all: no other child may have them.
    pub fn disinherit(&self) {
        for descriptor in &self.descriptors {
            // What is open can be marked.
            let _ = set_close_on_exec(descriptor.as_fd(), true);
        }
    }
}

/// What the version before left.
pub struct Left {
    pub supervisor: Supervisor,
    pub workers: BTreeMap<WorkerId, (i32, Option<OwnedFd>)>,
    pub control: Option<(OwnedFd, u64)>,
    pub clients: BTreeMap<u64, OwnedFd>,
}

/// Reads the notes from the descriptor of that number.
///
/// # Errors
/// It is none, or not of this version.
pub fn read(number: RawFd) -> io::Result<Left> {
    let mut bytes = Vec::new();
    File::from(take(number)?).read_to_end(&mut bytes)?;
    let notes: Notes<Supervisor> = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
    let mut workers = BTreeMap::new();
    for (id, worker) in notes.workers {
        workers.insert(id, (worker.pid, worker.socket.map(take).transpose()?));
    }
    let control = notes.control.map(|it| io::Result::Ok((take(it.listener)?, it.next))).transpose()?;
    let clients = notes.clients.into_iter().map(|(number, socket)| io::Result::Ok((number, take(socket)?)));
    let clients = clients.collect::<io::Result<_>>()?;
    Ok(Left { supervisor: notes.supervisor, workers, control, clients })
}

/// A descriptor that the version before left open.
fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::other("no descriptor that was left"));
    }
    // SAFETY: this process has just begun, and what it was left belongs to nobody else in it. A number that is not open
    // is refused by the next call, and then forgotten.
    #[allow(unsafe_code)]
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    match set_close_on_exec(descriptor.as_fd(), true) {
        Ok(()) => Ok(descriptor),
        Err(error) => {
            std::mem::forget(descriptor);
            Err(error)
        }
    }
}

fn set_close_on_exec(descriptor: BorrowedFd<'_>, close: bool) -> io::Result<()> {
    let flags = if close { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    Ok(fcntl(descriptor, FcntlArg::F_SETFD(flags)).map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::supervise::wire;
    use crate::system::passing;
    use nix::unistd::dup;
    use std::os::fd::IntoRawFd;
    use vipward_core::supervisor::{Event, Report};
    use vipward_core::time::Instant;

    /// As the next version finds it, whose descriptors have the same numbers; here they are copies.
    #[test]
    fn what_is_left_is_what_was_known() {
        let (ours, theirs) = passing::pair().unwrap();
        let mut supervisor = Supervisor::default();
        supervisor.handle(Event::Wakeup, Instant::ZERO);
        supervisor.handle(Event::Reported { worker: WorkerId(0), report: Report::Ready }, Instant::ZERO);
        let mut draft = Draft::new();
        draft.worker(WorkerId(0), 4711, Some(ours));
        draft.worker(WorkerId(1), 4712, None);
        draft.control(dup(&theirs).unwrap(), 9);
        draft.client(8, dup(&theirs).unwrap());
        let written = draft.write(&supervisor).unwrap();
        let notes = written.inherit().unwrap();
        let number = dup(&notes.0).unwrap().into_raw_fd();
        // They are the reader's now.
        written.descriptors.into_iter().for_each(|it| _ = it.into_raw_fd());
        let mut left = read(number).unwrap();
        assert_eq!(left.supervisor.next_wakeup(), supervisor.next_wakeup());
        assert_eq!(left.control.as_ref().map(|it| it.1), Some(9));
        assert_eq!(left.clients.keys().collect::<Vec<_>>(), [&8]);
        assert_eq!(left.workers.iter().map(|(id, (pid, _))| (id.0, *pid)).collect::<Vec<_>>(), [(0, 4711), (1, 4712)]);
        let socket = left.workers.remove(&WorkerId(0)).unwrap().1.unwrap();
        wire::send_packet(&theirs, b"hello").unwrap();
        assert_eq!(wire::receive_packet(&socket, &mut Box::new([0; wire::LONGEST])).unwrap(), Some(&b"hello"[..]));
    }

    #[test]
    fn what_is_no_notes_is_refused() {
        assert!(read(1).is_err(), "standard output");
        assert!(read(1 << 20).is_err(), "not open");
        let mut file = File::from(memfd_create(c"junk", MFdFlags::empty()).unwrap());
        file.write_all(&[0xff; 40]).unwrap();
        file.rewind().unwrap();
        assert!(read(OwnedFd::from(file).into_raw_fd()).is_err());
    }
}
