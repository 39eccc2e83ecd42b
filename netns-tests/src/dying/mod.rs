//! What if … dies? Every process of a director in every way, as MASTER and as BACKUP: one [`Cell`] each. Faults come from
//! outside; nothing in the product knows of them.

mod cell;
mod cgroup;
mod fault;
mod table;

pub use cell::{LIFETIME, Outcome, run};
pub use fault::Fault;
pub use table::table;

use crate::Daemon;
use std::fmt;

/// Which processes of a director. keepalived's parent is its supervisor, its VRRP child the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Worker,
    Supervisor,
    Both,
    /// All that are in the director's cgroup, scripts included.
    Cgroup,
}

impl Target {
    pub const ALL: [Self; 4] = [Self::Worker, Self::Supervisor, Self::Both, Self::Cgroup];
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Worker => "worker",
            Self::Supervisor => "supervisor",
            Self::Both => "both",
            Self::Cgroup => "cgroup",
        })
    }
}

/// What the director was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Master,
    Backup,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
        })
    }
}

/// One way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub daemon: Daemon,
    pub role: Role,
    pub target: Target,
    pub fault: Fault,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} of a {}: {}", self.daemon, self.target, self.role, self.fault)
    }
}

/// All of them for one daemon.
pub fn cells(daemon: Daemon) -> Vec<Cell> {
    let mut cells = Vec::new();
    for role in [Role::Master, Role::Backup] {
        for target in Target::ALL {
            cells.extend(Fault::ALL.map(|fault| Cell { daemon, role, target, fault }));
        }
    }
    cells
}

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// The VIP stays where it is and nobody notices.
    Stay,
    /// It leaves the dead side and comes to the other.
    Move,
}

impl Cell {
    /// What vipward must do.
    pub fn must(&self) -> Must {
        let harmless = match (self.target, self.fault) {
            // What is open stays open, and the election opens nothing.
            (_, Fault::NoDescriptors) => true,
            // Nobody needs a supervisor while all is well, and one that only stands still keeps its worker alive.
            (Target::Supervisor, Fault::Stop | Fault::StuckThread) => true,
            (Target::Supervisor, Fault::Kill | Fault::Segv | Fault::Panic | Fault::OutOfMemory) => false,
            (Target::Worker | Target::Both | Target::Cgroup, _) => false,
        };
        if harmless || self.role == Role::Backup { Must::Stay } else { Must::Move }
    }
}
