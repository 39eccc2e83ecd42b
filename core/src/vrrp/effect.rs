//! What an Election alone can ask for. Effects say what, not how.

use crate::command::{Command, ScriptId};
use crate::config::{WatchedFile, WatchedProcess};
use crate::datagram::Datagram;
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName};
use crate::lease::LeaseOp;
use crate::machine::{self, Lane};
use crate::route::{Route, RouteKey, Rule};
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// One of its own effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Hear adverts on this interface, in this multicast group too if there is one. Repeating it is harmless.
    Listen {
        interface: InterfaceName,
        group: Option<IpAddr>,
    },
    /// Leave that group again.
    StopListening {
        interface: InterfaceName,
        group: Option<IpAddr>,
    },
    SendAdvert(Datagram),
    /// One gratuitous ARP request (RFC 826; RFC 9568 6.4.1) or unsolicited neighbour advertisement for `address`.
    Announce {
        interface: InterfaceName,
        address: IpAddr,
    },
    AddAddress(InterfaceAddress),
    RemoveAddress(AddressKey),
    /// Give these the lifetime that the configuration in force says, counted from now. No more than
    /// [`super::lifetime::BATCH`] at once.
    RenewAddresses {
        addresses: Arc<[InterfaceAddress]>,
    },
    /// Read every address; the answer is [`super::Event::AddressesRead`].
    ReadAddresses,
    /// Run a tracked script once; the answer is [`super::Event::ScriptFinished`].
    RunScript {
        script: ScriptId,
        command: Command,
        timeout: Duration,
    },
    /// Ask the quorum service; what it says comes as [`super::Event::Lease`].
    Lease(LeaseOp),
    /// Read these files, and these only, and read each again when it changes. What they hold is told at once, and then what
    /// changes, by [`super::Event::FilesRead`].
    WatchFiles(Vec<WatchedFile>),
    /// Count these processes, and these only. How many there are is told at once, and then what changes, by
    /// [`super::Event::ProcessesCounted`].
    WatchProcesses(Vec<WatchedProcess>),
    /// Put this route into the kernel. One of somebody else stays what it is.
    AddRoute(Route),
    RemoveRoute(RouteKey),
    /// Read every route and policy rule that carries our mark ([`crate::route::OURS`]); the answer is
    /// [`super::Event::RoutesRead`].
    ReadRoutes,
    /// Put this policy rule into the kernel.
    AddRule(Rule),
    RemoveRule(Rule),
}

impl From<LeaseOp> for Effect {
    fn from(op: LeaseOp) -> Self {
        Self::Lease(op)
    }
}

impl machine::Effect for Effect {
    fn lane(&self) -> Lane {
        match self {
            Self::SendAdvert(_) => Lane::Say,
            Self::Listen { .. }
            | Self::StopListening { .. }
            | Self::AddAddress(_)
            | Self::RemoveAddress(_)
            | Self::AddRoute(_)
            | Self::RemoveRoute(_)
            | Self::AddRule(_)
            | Self::RemoveRule(_)
            | Self::RenewAddresses { .. } => Lane::Change,
            Self::Announce { .. } => Lane::Announce,
            Self::ReadAddresses
            | Self::ReadRoutes
            | Self::RunScript { .. }
            | Self::Lease(_)
            | Self::WatchFiles(_)
            | Self::WatchProcesses(_) => Lane::Ask,
        }
    }

    fn takes_off(&self) -> bool {
        matches!(self, Self::RemoveAddress(_))
    }

    fn tells_of(&self, change: &Self) -> bool {
        match (self, change) {
            (Self::Announce { interface, address }, Self::AddAddress(added)) => {
                *interface == added.interface && *address == added.address
            }
            _ => false, // Of no other pair does one say what the other did.
        }
    }

    /// Somebody else would get the lease at once.
    fn gives_away(&self) -> Option<&'static str> {
        match self {
            Self::Lease(LeaseOp::Release { .. } | LeaseOp::Close) => {
                Some("an address could not be removed: the lease is not given back")
            }
            Self::Lease(
                LeaseOp::Open(_)
                | LeaseOp::Confirm { .. }
                | LeaseOp::Take { .. }
                | LeaseOp::Claim { .. }
                | LeaseOp::Withdraw { .. }
                | LeaseOp::Join(_)
                | LeaseOp::Watch { .. }
                | LeaseOp::Authenticate,
            )
            | Self::Listen { .. }
            | Self::StopListening { .. }
            | Self::SendAdvert(_)
            | Self::Announce { .. }
            | Self::AddAddress(_)
            | Self::RemoveAddress(_)
            | Self::RenewAddresses { .. }
            | Self::ReadAddresses
            | Self::RunScript { .. }
            | Self::WatchFiles(_)
            | Self::WatchProcesses(_)
            | Self::AddRoute(_)
            | Self::RemoveRoute(_)
            | Self::AddRule(_)
            | Self::RemoveRule(_)
            | Self::ReadRoutes => None,
        }
    }
}
