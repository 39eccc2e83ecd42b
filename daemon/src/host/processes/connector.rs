//! What the kernel tells of processes: the process events connector (linux/cn_proc.h), which speaks over netlink(7).

use super::table::Pid;
use netlink_sys::{Socket, SocketAddr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockFilter;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// `NETLINK_CONNECTOR`, and `CN_IDX_PROC` and `CN_VAL_PROC` there, which is the group too.
const CONNECTOR: isize = 11;
const PROCESSES: u32 = 1;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;

/// Kinds of news (`enum proc_cn_event`).
const ANSWER: u32 = 0;
const FORK: u32 = 1;
const EXEC: u32 = 2;
const COMM: u32 = 0x200;
const EXIT: u32 = 0x8000_0000;

/// Where things are in a message: behind `struct nlmsghdr` (16 bytes) and `struct cn_msg` (20) is `struct proc_event`, whose
/// kind comes first and whose data begin 16 bytes later.
const KIND: u32 = 36;
const DATA: u32 = 52;

/// Room for what comes while this thread has no processor: some ten thousand events.
const BUFFER: usize = 4 << 20;

/// How long the kernel's answer is waited for. Whom it does not tell it does not answer.
const ANSWERS: u16 = 1_000;

pub struct Connector {
    socket: Socket,
}

/// One message.
pub enum Heard {
    Happened(Happened),
    /// Something of no concern.
    Other,
    /// Some were lost: the buffer was full.
    Lost,
    Nothing,
    Failed(io::Error),
}

pub enum Happened {
    Forked {
        parent: Pid,
        child: Pid,
    },
    /// It is another program now.
    Executed {
        pid: Pid,
    },
    Renamed {
        pid: Pid,
        name: Vec<u8>,
    },
    Ended {
        pid: Pid,
    },
}

impl Connector {
    /// Asks the kernel to tell.
    ///
    /// # Errors
    /// It does not: why.
    pub fn open() -> Result<Self, String> {
        let failed = |error: io::Error| error.to_string();
        let mut socket = Socket::new(CONNECTOR).map_err(failed)?;
        socket.set_non_blocking(true).map_err(failed)?;
        // Needs CAP_NET_ADMIN; without it the usual room has to do.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        only_processes(&socket).map_err(failed)?;
        socket.bind(&SocketAddr::new(0, PROCESSES)).map_err(failed)?;
        socket.send(&listen(), 0).map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => "not in a network namespace of its own".to_owned(),
            _ => failed(error),
        })?;
        let connector = Self { socket };
        let mut waits = [PollFd::new(connector.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waits, PollTimeout::from(ANSWERS)).map_err(|errno| errno.to_string())? == 0 {
            return Err("not in a user or process namespace of its own".to_owned());
        }
        // What else this may be: nothing was read before it, so nothing is missed.
        let mut message = Vec::with_capacity(256);
        connector.socket.recv(&mut message, 0).map_err(failed)?;
        match (word(&message, KIND), word(&message, DATA).and_then(|errno| i32::try_from(errno).ok())) {
            (Some(ANSWER), Some(errno)) if errno != 0 => Err(failed(io::Error::from_raw_os_error(errno))),
            _ => Ok(connector),
        }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub fn hear(&mut self) -> Heard {
        let mut message = Vec::with_capacity(256);
        match self.socket.recv(&mut message, 0) {
            Ok(_) => understood(&message),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Heard::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Heard::Other,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Heard::Lost,
            Err(error) => Heard::Failed(error),
        }
    }
}

fn word(message: &[u8], at: u32) -> Option<u32> {
    let at = usize::try_from(at).ok()?;
    message.get(at..at + 4)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// `process_pid` or `child_pid` and so on stand before the number of the whole process, which is what counts here.
fn understood(message: &[u8]) -> Heard {
    let at = |place: u32| word(message, DATA + place);
    let happened = || {
        let happened = match word(message, KIND)? {
            FORK => Happened::Forked { parent: at(4)?, child: at(12)? },
            EXEC => Happened::Executed { pid: at(4)? },
            // Threads have names of their own.
            COMM if at(0) == at(4) => {
                let name = message.get(usize::try_from(DATA).ok()? + 8..)?;
                Happened::Renamed {
                    pid: at(4)?,
                    name: name.iter().copied().take(16).take_while(|it| *it != 0).collect(),
                }
            }
            EXIT => Happened::Ended { pid: at(4)? },
            // Users, sessions, debuggers; what somebody else is answered.
            _ => return None,
        };
        Some(Heard::Happened(happened))
    };
    happened().unwrap_or(Heard::Other)
}

/// `struct nlmsghdr`, `struct cn_msg` and the wish.
fn listen() -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
    let done = u32::try_from(libc::NLMSG_DONE).unwrap_or_default();
    // Length, kind and flags, number and sender.
    let mut message = words(&[40]);
    message.extend(u16::try_from(done).unwrap_or_default().to_ne_bytes());
    message.extend(0u16.to_ne_bytes());
    message.extend(words(&[0, 0]));
    // For whom, number and acknowledgement, length and flags.
    message.extend(words(&[PROCESSES, PROCESSES, 0, 0]));
    message.extend(4u16.to_ne_bytes());
    message.extend(0u16.to_ne_bytes());
    message.extend(words(&[LISTEN]));
    message
}

/// Lets through what decides about a count. Threads that begin and end, of which there may be many more, wake nobody.
fn only_processes(socket: &Socket) -> io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const KEEP: u16 = (libc::BPF_MISC | libc::BPF_TAX) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IF_KEPT: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_X) as u16;
    const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // Netlink speaks the machine's byte order, filters load the network's.
    let is = |kind: u32, jump: u8| SockFilter::new(IF_EQUAL, jump, 0, kind.to_be());
    let load = |at: u32| SockFilter::new(LOAD, 0, 0, at);
    socket2::SockRef::from(socket).attach_filter(&[
        load(KIND),
        is(FORK, 5),
        is(EXIT, 8),
        is(EXEC, 12),
        is(COMM, 11),
        is(ANSWER, 10),
        SockFilter::new(RETURN, 0, 0, 0),
        // A fork: whether the child is a process.
        load(DATA + 8),
        SockFilter::new(KEEP, 0, 0, 0),
        load(DATA + 12),
        SockFilter::new(JUMP, 0, 0, 3),
        // An end: whether it is that of a process.
        load(DATA),
        SockFilter::new(KEEP, 0, 0, 0),
        load(DATA + 4),
        SockFilter::new(IF_KEPT, 1, 0, 0),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}
