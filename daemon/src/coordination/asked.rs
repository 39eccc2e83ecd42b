//! What the machine has asked of the session that is open, and how it was answered.

use super::session::Part;
use super::tree;
use std::collections::BTreeMap;
use vipward_core::lease::{Candidate, Claim, DirectorName, LeaseKey, LeaseOp, Member};

/// All of it; it goes with the session.
#[derive(Debug, Default)]
pub struct Asked {
    pub leases: BTreeMap<LeaseKey, AskedLease>,
    pub claims: BTreeMap<LeaseKey, Claimed>,
    pub member: Option<Member>,
}

/// One lease that was asked for.
#[derive(Debug)]
pub struct AskedLease {
    pub director: DirectorName,
    pub stand: Stand,
}

/// How far a question about a lease has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Not answered.
    Asking,
    /// Who holds it was asked, and not answered.
    Watching,
    /// Told as granted.
    Ours,
    /// Told as held by somebody else; that it is free will be told.
    Theirs(DirectorName),
    /// Asked back, not answered.
    Releasing,
}

/// One claim that was made or, `None`, is to be taken back.
#[derive(Debug)]
pub struct Claimed {
    pub claim: Option<Claim>,
    /// The candidates as they were last told.
    pub told: Option<Vec<Candidate>>,
}

impl Asked {
    /// Notes what a session was asked, also while it has no connection; which part it is about.
    pub fn note(&mut self, op: LeaseOp) -> Option<Part> {
        match op {
            LeaseOp::Open(_) | LeaseOp::Close | LeaseOp::Confirm { .. } | LeaseOp::Authenticate => None,
            LeaseOp::Take { key, director } => {
                self.leases.insert(key.clone(), AskedLease { director, stand: Stand::Asking });
                Some(Part::Lease(key))
            }
            LeaseOp::Watch { key } => {
                self.leases
                    .insert(key.clone(), AskedLease { director: DirectorName::from(""), stand: Stand::Watching });
                Some(Part::Lease(key))
            }
            LeaseOp::Release { key } => {
                let director = self.leases.remove(&key).map_or_else(|| DirectorName::from(""), |lease| lease.director);
                self.leases.insert(key.clone(), AskedLease { director, stand: Stand::Releasing });
                Some(Part::Lease(key))
            }
            LeaseOp::Claim { key, claim } => {
                self.claims.insert(key.clone(), Claimed { claim: Some(claim), told: None });
                Some(Part::Candidates(key))
            }
            LeaseOp::Withdraw { key } => {
                self.claims.insert(key.clone(), Claimed { claim: None, told: None });
                Some(Part::Candidates(key))
            }
            LeaseOp::Join(member) => {
                self.member = Some(member);
                Some(Part::Members)
            }
        }
    }

    /// The lease whose node in the tree has this name.
    pub fn lease_named(&self, name: &str) -> Option<LeaseKey> {
        named(self.leases.keys(), name)
    }

    /// The claim, likewise.
    pub fn claim_named(&self, name: &str) -> Option<LeaseKey> {
        named(self.claims.keys(), name)
    }
}

fn named<'a>(mut keys: impl Iterator<Item = &'a LeaseKey>, name: &str) -> Option<LeaseKey> {
    keys.find(|key| tree::name(key) == name).cloned()
}
