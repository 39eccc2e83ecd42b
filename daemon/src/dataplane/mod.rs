//! What carries the virtual servers' traffic: the kernel's IPVS, or the relay in user space. Both take the same
//! operations and show the same table.

pub mod ipvs;
pub mod relay;

use crate::dataplane::ipvs::{Ipvs, Unavailable};
use crate::dataplane::relay::Relay;
use clap::ValueEnum;
use std::fmt;
use std::sync::Arc;
use vipward_core::balancer::Carrier;
use vipward_core::ipvs::{Op, Setting, Table};
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
    /// `instead`: why it is not IPVS, where nobody asked for the relay.
    Relay {
        relay: Arc<Relay>,
        instead: Option<Unavailable>,
    },
}

impl Dataplane {
    /// Opens the one that was chosen, in the current `LocalSet`. The error is for the operator.
    pub async fn open(choice: Choice) -> Result<Self, String> {
        match choice {
            Choice::Ipvs => Ipvs::open().await.map(Self::Ipvs).map_err(|why| why.to_string()),
            Choice::Auto => match Ipvs::open().await {
                Ok(ipvs) => Ok(Self::Ipvs(ipvs)),
                Err(why @ (Unavailable::Absent | Unavailable::Forbidden)) => Self::relay(Some(why)),
                Err(why @ Unavailable::Failed(_)) => Err(why.to_string()),
            },
            Choice::Relay => Self::relay(None),
        }
    }

    fn relay(instead: Option<Unavailable>) -> Result<Self, String> {
        let relay = Relay::start().map_err(|error| format!("can't start the relay: {error}"))?;
        Ok(Self::Relay { relay: Arc::new(relay), instead })
    }

    /// What a Balancer needs to know of it.
    pub fn carrier(&self) -> Carrier {
        match self {
            Self::Ipvs(_) => Carrier::Ipvs,
            Self::Relay { instead, .. } => Carrier::Relay { instead: instead.as_ref().map(ToString::to_string) },
        }
    }

    /// The relay, if it is one.
    pub fn as_relay(&self) -> Option<Arc<Relay>> {
        match self {
            Self::Ipvs(_) => None,
            Self::Relay { relay, .. } => Some(relay.clone()),
        }
    }

    /// Carries these out in order, and says which were refused, by their places.
    pub async fn change(&self, ops: &[&Op]) -> Vec<(usize, Refusal)> {
        match self {
            Self::Ipvs(ipvs) => ipvs.change(ops),
            Self::Relay { relay, .. } => {
                let mut refused = Vec::new();
                for (place, op) in ops.iter().enumerate() {
                    refused.extend(relay.apply_in_time(op).await.err().map(|why| (place, why)));
                }
                refused
            }
        }
    }

    /// Changes what is there once for all services.
    pub fn set(&self, setting: &Setting) -> Result<(), Refusal> {
        match self {
            Self::Ipvs(ipvs) => ipvs.set(setting),
            Self::Relay { .. } => Err("the relay has nothing of it".to_owned()),
        }
    }

    /// The whole table.
    pub async fn read(&self) -> Result<Table, Refusal> {
        match self {
            Self::Ipvs(ipvs) => ipvs.read().await,
            Self::Relay { relay, .. } => Ok(relay.table()),
        }
    }
}

/// One line for the log.
impl fmt::Display for Dataplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipvs(_) => f.write_str("IPVS in the kernel"),
            Self::Relay { instead: None, .. } => f.write_str("relay in user space, TCP only"),
            Self::Relay { instead: Some(why), .. } => {
                write!(f, "relay in user space, TCP and NAT only, real servers see this director's address: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_local_set;

    /// The relay has a runtime of its own; ending one inside another is what tokio panics about.
    #[test]
    fn the_relay_starts_and_ends_in_the_balancers_thread() {
        on_local_set(async {
            let dataplane = Dataplane::open(Choice::Relay).await.unwrap();
            assert_eq!(dataplane.read().await, Ok(Table::default()));
            drop(dataplane);
        });
    }
}
