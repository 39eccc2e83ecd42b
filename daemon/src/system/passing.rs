//! Packets between processes of this director, and descriptors that go with them (unix(7), `SCM_RIGHTS`).
//!
//! A process that another one of this director starts finds its line to that one at its standard input.

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, getsockopt, recvmsg,
    sendmsg, socketpair, sockopt,
};
use nix::unistd::dup2_stdin;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The kernel takes no more with one packet (`SCM_MAX_FD` is 253).
pub const MOST_DESCRIPTORS: usize = 200;

/// Both ends of a line.
///
/// # Errors
/// No descriptor, or no memory, is left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Takes the line from standard input, where a script of a user must not find it.
///
/// # Errors
/// There is none: somebody else started this.
pub fn from_stdin() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    if !matches!(getsockopt(&stdin, sockopt::SockType), Ok(SockType::SeqPacket)) {
        return Err(io::Error::other("this is started by `vipward run` and by nobody else"));
    }
    let socket = stdin.as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Sends one packet with copies of these descriptors.
pub fn send(
    socket: &impl AsRawFd,
    packet: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: MsgFlags,
) -> Result<(), Errno> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(packet)], control, flags, None).map(drop)
}

/// A packet, and the descriptors that came with it.
pub type With<'b, Descriptors> = (&'b [u8], Descriptors);

/// One packet and what came with it; `Ok(None)`: the other end is gone.
pub fn receive<'b>(
    socket: &impl AsRawFd,
    buffer: &'b mut [u8],
    flags: MsgFlags,
) -> Result<Option<With<'b, Vec<OwnedFd>>>, Errno> {
    let mut space = cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let mut places = [IoSliceMut::new(buffer)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut places, Some(&mut space), flags)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            for descriptor in raw {
                // SAFETY: the kernel has just made this descriptor for this process, and nobody else knows its number.
                #[allow(unsafe_code)]
                descriptors.push(unsafe { OwnedFd::from_raw_fd(descriptor) });
            }
        }
    }
    let length = message.bytes;
    if length == 0 { Ok(None) } else { Ok(buffer.get(..length).map(|packet| (packet, descriptors))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn a_file_goes_through_with_its_packet() {
        let (ours, theirs) = pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"inside").unwrap();
        file.rewind().unwrap();
        send(&ours, b"here", &[file.as_fd(), ours.as_fd()], MsgFlags::empty()).unwrap();
        send(&ours, b"alone", &[], MsgFlags::empty()).unwrap();
        drop((file, ours));
        let mut buffer = [0; 64];
        let (packet, mut descriptors) = receive(&theirs, &mut buffer, MsgFlags::empty()).unwrap().unwrap();
        assert_eq!((packet, descriptors.len()), (&b"here"[..], 2));
        let mut text = String::new();
        File::from(descriptors.remove(0)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "inside");
        drop(descriptors);
        let (packet, descriptors) = receive(&theirs, &mut buffer, MsgFlags::empty()).unwrap().unwrap();
        assert_eq!((packet, descriptors.len()), (&b"alone"[..], 0));
        assert!(receive(&theirs, &mut buffer, MsgFlags::empty()).unwrap().is_none());
    }
}
