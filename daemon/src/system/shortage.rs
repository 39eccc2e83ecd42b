//! Errors of the kernel that tell of this host and not of whoever was to be reached.

use nix::errno::Errno;
use std::error::Error;
use std::fmt;
use std::io;
use vipward_core::check::Shortage;

/// What is short here, if that is what the error says. A packet filter's EPERM and EACCES and a missing route are none:
/// they don't pass by themselves, and the virtual server's clients would be sent the same way.
pub fn of(error: &io::Error) -> Option<Shortage> {
    if let Some(Ours(shortage)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return Some(*shortage);
    }
    match Errno::from_raw(error.raw_os_error()?) {
        Errno::EMFILE => Some(Shortage::Descriptors),
        Errno::ENFILE => Some(Shortage::HostDescriptors),
        Errno::ENOMEM | Errno::ENOBUFS => Some(Shortage::Memory),
        // Of a connection whose own address was left to the kernel: no port is free.
        Errno::EADDRNOTAVAIL => Some(Shortage::Ports),
        _ => None, // There are a hundred more, and they tell of the network or of the other side.
    }
}

/// An error whose number alone does not say that it is ours: what was done says it.
#[derive(Debug)]
pub struct Ours(pub Shortage);

impl fmt::Display for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Ours {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_and_what_is_not() {
        let of = |errno: Errno| of(&io::Error::from(errno));
        assert_eq!(of(Errno::EMFILE), Some(Shortage::Descriptors));
        assert_eq!(of(Errno::ENFILE), Some(Shortage::HostDescriptors));
        assert_eq!([of(Errno::ENOMEM), of(Errno::ENOBUFS)], [Some(Shortage::Memory); 2]);
        assert_eq!(of(Errno::EADDRNOTAVAIL), Some(Shortage::Ports));
        let theirs = [
            Errno::ECONNREFUSED,
            Errno::ECONNRESET,
            Errno::ETIMEDOUT,
            Errno::EHOSTUNREACH,
            Errno::ENETUNREACH,
            Errno::EPERM,
            Errno::EACCES,
        ];
        assert_eq!(theirs.map(of), [None; 7]);
        assert_eq!(super::of(&io::Error::other("no number")), None);
    }
}
