//! What the machine has asked of the session that is open, and how it was answered.

use super::tree;
use std::collections::BTreeMap;
use vipward_core::lease::{Candidate, Claim, DirectorName, LeaseKey, Member};

/// All of it; it goes with the session.
#[derive(Debug, Default)]
pub struct Asked {
    pub leases: BTreeMap<LeaseKey, Lease>,
    pub claims: BTreeMap<LeaseKey, Claimed>,
    pub member: Option<Member>,
}

/// One lease that was asked for.
#[derive(Debug)]
pub struct Lease {
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
