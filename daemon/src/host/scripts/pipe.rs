//! The child that makes a notify FIFO and opens it for the worker, or takes it away. A worker can do neither by itself.

use super::wire::{self, Fifo, FifoJob, Told};
use super::{NotStarted, accounts};
use crate::system::passing;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::MsgFlags;
use nix::sys::stat::{Mode, SFlag, fstat, lstat};
use nix::unistd::{fchown, mkfifo, unlink};
use std::os::fd::{AsFd, OwnedFd};
use vipward_core::command::ScriptUser;

/// Does it, and sends over `line` what was opened.
pub fn carry_out(fifo: &Fifo, line: &OwnedFd) -> Result<(), NotStarted> {
    match fifo.job {
        FifoJob::Open => {
            let (pipe, made) = make(fifo)?;
            let packet = wire::encode(&Told::Fifo { made });
            passing::send(line, &packet, &[pipe.as_fd()], MsgFlags::empty())
                .map_err(|error| NotStarted::of(&error.into()))
        }
        FifoJob::Remove => {
            let path = fifo.path.as_str();
            if !is_fifo(lstat(path).map_err(refused("looking at it"))?.st_mode) {
                return Err("it is no FIFO any more".to_owned().into());
            }
            Ok(unlink(path).map_err(refused("removing it"))?)
        }
    }
}

/// Open for both directions, as keepalived has it: lines wait in it for a reader that comes later. Whether it was not there before.
fn make(fifo: &Fifo) -> Result<(OwnedFd, bool), NotStarted> {
    let path = fifo.path.as_str();
    let owner = match &fifo.user {
        Some((user, group)) => Some(accounts::look_up(&ScriptUser { user: user.clone(), group: group.clone() })?),
        None => None,
    };
    let made = match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(error) => return Err(NotStarted::of(&error.into())),
    };
    // A link is somebody else's idea; opening something that is no FIFO has no effect with these flags.
    let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let pipe = open(path, flags, Mode::empty()).map_err(refused("opening it"))?;
    if !is_fifo(fstat(&pipe).map_err(refused("looking at it"))?.st_mode) {
        return Err("it is there, and no FIFO".to_owned().into());
    }
    if let Some((uid, gid)) = owner.filter(|_| made) {
        fchown(&pipe, Some(uid), Some(gid)).map_err(refused("giving it to its user"))?;
    }
    Ok((pipe, made))
}

fn is_fifo(mode: libc::mode_t) -> bool {
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFIFO
}

fn refused(what: &'static str) -> impl Fn(Errno) -> String {
    move |error| format!("{what}: {}", std::io::Error::from(error))
}
