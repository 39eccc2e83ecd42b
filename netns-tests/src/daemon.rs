//! The two daemons that tests compare.

use crate::pair::Pair;
use std::fmt;
use std::io;
use vipward_lab::{Node, Process, Signal};

/// Who plays a director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Daemon {
    Vipward,
    Keepalived,
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vipward => "vipward",
            Self::Keepalived => "keepalived",
        })
    }
}

impl Daemon {
    /// Starts it on a director with this text as its file.
    pub fn start(self, pair: &Pair, node: &Node, text: &str) -> io::Result<Process> {
        let file = pair.file(&format!("{}-{self}.conf", node.name()), text)?;
        match self {
            Self::Vipward => pair.vipward(node, &file),
            Self::Keepalived => pair.keepalived(node, &file),
        }
    }

    /// SIGKILL to all of it. keepalived's child would end in order if its parent died first, and the parent would start
    /// another child if that died first: so the parent is stopped, then the child killed, then the parent.
    pub fn kill(self, process: Process) -> io::Result<()> {
        if self == Self::Keepalived {
            process.signal(Signal::SIGSTOP);
            for child in process.children()? {
                vipward_lab::signal(child, Signal::SIGKILL);
            }
        }
        process.kill();
        Ok(())
    }
}
