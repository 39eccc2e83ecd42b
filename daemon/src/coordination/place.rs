//! Where this director runs, and the proof that no other one runs there.
//!
//! A process that dies leaves its session, and with it its leases, for as long as the session lasts. Its successor on the
//! same machine need not wait so long: addresses belong to a network namespace, and an abstract Unix socket does too, and
//! ends with the process that is bound to it. So who is bound to ours knows that every holder that ever wrote this place
//! into the tree is dead, and that what it held is held nowhere but here.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};
use vipward_core::time::Instant;

const SOCKET: &str = "vipward/coordination";

/// This place. It is left when the value is dropped, which must not be before the last address is.
#[derive(Debug, Default)]
pub struct Place {
    taken: Mutex<Option<Taken>>,
}

#[derive(Debug)]
struct Taken {
    name: String,
    since: Instant,
    _socket: UnixListener,
}

impl Place {
    /// The name of this place and since when we are alone here; `None` while we are not, or can't know.
    pub fn alone(&self, now: Instant) -> Option<(String, Instant)> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_none() {
            *taken = take(now)
                .inspect_err(|why| tracing::debug!("another director may run in this network namespace: {why}"))
                .ok();
        }
        taken.as_ref().map(|taken| (taken.name.clone(), taken.since))
    }
}

fn take(now: Instant) -> io::Result<Taken> {
    let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(SOCKET)?)?;
    // Numbers of namespaces are unique for a boot of the kernel.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = std::fs::metadata("/proc/thread-self/ns/net")?.ino();
    Ok(Taken { name: format!("{} {namespace}", boot.trim_end()), since: now, _socket: socket })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_network_namespace;

    #[test]
    fn one_process_at_a_time_is_alone_in_a_namespace() {
        in_network_namespace("coordination::place::tests::one_process_at_a_time_is_alone_in_a_namespace", || {
            let (first, second) = (Place::default(), Place::default());
            let [earlier, later] = [1, 2].map(Instant::from_millis);
            let (name, since) = first.alone(earlier).unwrap();
            assert_eq!(since, earlier);
            assert_eq!(first.alone(later), Some((name.clone(), earlier)), "it stays so");
            assert_eq!(second.alone(later), None);
            drop(first);
            assert_eq!(second.alone(later), Some((name, later)), "the same place");
        });
    }
}
