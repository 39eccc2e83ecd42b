//! A lab is a small network on one machine: nodes with network namespaces of their own, joined by Ethernet segments.
//! `vipward demo` runs in one, and so does each test in `netns-tests`.
//!
//! [`enter`] takes a process into fresh user, network, mount and process namespaces, so no root is needed where user
//! namespaces are allowed, the host never sees an interface of ours, and nothing outlives the process that asked: when
//! that one ends, however it ends, the kernel ends everything inside.
//!
//! Everything here waits for conditions with a deadline; nothing sleeps and hopes.

mod background;
pub mod client;
mod enter;
pub mod kept;
mod netlink;
mod network;
mod node;
mod process;
pub mod watch;
pub mod web;

pub use enter::{Entered, NoLab, attend, enter, inside};
pub use network::{Network, Segment, apart};
/// What [`Process::signal`] sends.
pub use nix::sys::signal::Signal;
pub use node::{Address, Node};
pub use process::{Ended, Line, Process, signal};

use std::time::{Duration, Instant};

/// Asks `condition` every 10 ms until it gives something, at most for `limit`.
pub fn wait_for<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
