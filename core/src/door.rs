//! The door between the two machines of a director: what one must know of the other goes through it, as news.
//!
//! Whoever tells does not know who listens, and never waits for it. The worlds carry news to the other machine, to which
//! they are events like all others ([`crate::machine::Input::News`]): they are recorded, and replayed.

use crate::ipvs::VirtualServerId;
use crate::quantity::Role;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// What one machine tells the other. It is told when it changes, and anew by a process that goes on where another one
/// ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// A virtual router has another role: the Election's.
    RoleChanged { router: Arc<str>, role: Role },
    /// A virtual server gained or lost its quorum, which it has until the first such news: the Balancer's.
    QuorumChanged { service: VirtualServerId, quorum: bool },
    /// A tracked file that a FILE_CHECK names holds another number: the Election's.
    FileNumber { file: Arc<str>, number: i64 },
    /// A BFD session is up or down (`bfd_instance`, BFD_CHECK).
    BfdChanged { session: Arc<str>, up: bool },
    /// This host has an address on whatever interface, or has it no more: the Election's, of virtual servers with
    /// `ha_suspend`.
    AddressHere { address: IpAddr, here: bool },
}
