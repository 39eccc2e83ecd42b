//! Leases from a quorum service: what keeps two directors that don't hear each other from owning one address.
//!
//! A quorum service (ZooKeeper; etcd has the same notions) keeps *sessions*: whoever holds one and is heard within its
//! timeout keeps what it created, and what it created goes when the session does. The Election asks by [`LeaseOp`] and
//! hears by [`LeaseEvent`]; who speaks the service's protocol is behind [`crate::seam::World`] and decides nothing.
//!
//! Until when a lease is surely ours, [`crate::lease::surely`] computes from our own clock and the instants at which *we* asked: what
//! the service says about time is never needed.

mod candidates;
mod leases;
pub mod rendezvous;
pub mod vacancy;

pub use leases::{Concerned, LONGEST_TRIAL, Leases, Want};
