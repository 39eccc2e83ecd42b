//! What a machine leaves to its successor: roles with their timers, verdicts, trackers, counters.
//!
//! A plain value. It travels from one process to the next when a director is upgraded ([`Input::HandOver`] ends the one,
//! [`Input::Inherited`] begins the other), and a copy of it lies in the state file, for a director that died and starts
//! again. Instants are the machine's clock, which only means something within one boot: [`Document`] says which.
//!
//! Whoever reads one takes up what fits its configuration, and nothing that time has made wrong: a MASTER whose last
//! advert is too old is no MASTER any more. Nothing in an estate is believed without a bound.
//!
//! [`Input::HandOver`]: crate::machine::Input::HandOver
//! [`Input::Inherited`]: crate::machine::Input::Inherited

mod document;
mod kept;

pub use crate::balancer::estate::{BalancerEstate, RealServerEstate, VirtualServerEstate};
pub use crate::health::estate::CheckerEstate;
pub use crate::vrrp::election::estate::{ElectionEstate, IgnoredEstate, RouterEstate, ScriptEstate};
pub use document::{Document, FORMAT, Unusable};
pub use kept::{BALANCER_PAUSE, ELECTION_PAUSE, Keeper, Kept};

use serde::{Deserialize, Serialize};

/// One machine's, where it may be either's: on its way to a successor, and in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Estate {
    Election(ElectionEstate),
    Balancer(BalancerEstate),
}

/// A machine's own estate, as [`crate::machine::Machine::Estate`] has it.
pub trait OfOne: Into<Estate> {
    /// `None`: it is the other machine's.
    fn of(estate: Estate) -> Option<Self>;
}

impl From<ElectionEstate> for Estate {
    fn from(estate: ElectionEstate) -> Self {
        Self::Election(estate)
    }
}

impl From<BalancerEstate> for Estate {
    fn from(estate: BalancerEstate) -> Self {
        Self::Balancer(estate)
    }
}

impl OfOne for ElectionEstate {
    fn of(estate: Estate) -> Option<Self> {
        match estate {
            Estate::Election(estate) => Some(estate),
            Estate::Balancer(_) => None,
        }
    }
}

impl OfOne for BalancerEstate {
    fn of(estate: Estate) -> Option<Self> {
        match estate {
            Estate::Balancer(estate) => Some(estate),
            Estate::Election(_) => None,
        }
    }
}
