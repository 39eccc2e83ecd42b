//! What a machine leaves to its successor: roles with their timers, verdicts, trackers, counters.
//!
//! A plain value. It travels from one process to the next when a director is upgraded ([`Event::HandOver`] ends the one,
//! [`Event::Inherited`] begins the other), and a copy of it lies in the state file, for a director that died and starts
//! again. Instants are the machine's clock, which only means something within one boot: [`Document`] says which.
//!
//! Whoever reads one takes up what fits its configuration, and nothing that time has made wrong: a MASTER whose last
//! advert is too old is no MASTER any more. Nothing in an estate is believed without a bound.
//!
//! [`Event::HandOver`]: crate::event::Event::HandOver
//! [`Event::Inherited`]: crate::event::Event::Inherited

mod document;
mod kept;

pub use crate::balancer::estate::{BalancerEstate, ServerEstate, ServiceEstate};
pub use crate::health::estate::CheckerEstate;
pub use crate::vrrp::election::estate::{ElectionEstate, IgnoredEstate, RouterEstate, ScriptEstate};
pub use document::{Document, FORMAT, Unusable};
pub use kept::{BALANCER_PAUSE, ELECTION_PAUSE, Keeper, Kept};

use serde::{Deserialize, Serialize};

/// One machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Estate {
    Election(ElectionEstate),
    Balancer(BalancerEstate),
}
