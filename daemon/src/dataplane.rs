//! What carries the virtual servers' traffic: the kernel's IPVS, or the relay in user space. Both take the same
//! operations and show the same table.

use crate::ipvs::{Ipvs, Unavailable};
use crate::relay::Relay;
use clap::ValueEnum;
use vipward_core::ipvs::{Op, Table};
use vipward_core::seam::Refusal;

/// `--dataplane`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// IPVS where the kernel has it and lets us; else the relay
    #[default]
    Auto,
    /// The kernel's IPVS or nothing
    Ipvs,
    /// The relay in user space: TCP only, clients seen with the director's address
    Relay,
}

/// The dataplane in use.
pub enum Dataplane {
    Ipvs(Ipvs),
    Relay(Relay),
}

impl Dataplane {
    /// Opens the one that was chosen, in the current `LocalSet`. The error is for the operator.
    pub async fn open(choice: Choice) -> Result<Self, String> {
        match choice {
            Choice::Ipvs => Ipvs::open().await.map(Self::Ipvs).map_err(|why| why.to_string()),
            Choice::Auto => match Ipvs::open().await {
                Ok(ipvs) => Ok(Self::Ipvs(ipvs)),
                Err(why @ (Unavailable::Absent | Unavailable::Forbidden)) => {
                    tracing::warn!("{why}: serving the virtual servers with the relay in user space (TCP only)");
                    Self::relay()
                }
                Err(why @ Unavailable::Failed(_)) => Err(why.to_string()),
            },
            Choice::Relay => Self::relay(),
        }
    }

    fn relay() -> Result<Self, String> {
        Relay::start().map(Self::Relay).map_err(|error| format!("can't start the relay: {error}"))
    }

    /// One change.
    pub async fn apply(&self, op: &Op) -> Result<(), Refusal> {
        match self {
            Self::Ipvs(ipvs) => ipvs.apply(op).await,
            Self::Relay(relay) => relay.apply(op),
        }
    }

    /// The whole table.
    pub async fn read(&self) -> Result<Table, Refusal> {
        match self {
            Self::Ipvs(ipvs) => ipvs.read().await,
            Self::Relay(relay) => Ok(relay.table()),
        }
    }

    /// In a word, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ipvs(_) => "IPVS in the kernel",
            Self::Relay(_) => "relay in user space",
        }
    }
}
