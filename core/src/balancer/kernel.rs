//! What is known of the kernel's IPVS table, and which of its services are ours to change.
//!
//! An operation that was asked for counts as done until it comes back refused, or until a table that was read says
//! otherwise. So a verdict needs no look at the kernel, and a re-read tells our own changes from other people's.

use super::RETRY;
use crate::ipvs::{Op, ServiceEntry, ServiceKey, Table, reconcile, reconcile_service};
use crate::machine::Reason;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How often the kernel's table is read and compared, to find what somebody else changed.
pub const REREAD: Duration = Duration::from_secs(10);

/// The part of the kernel's table that is ours.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Kernel {
    /// Our services as they are by all that is known.
    known: Table,
    /// Services that the configuration names, and those that it named and that are not yet known to be gone.
    owned: BTreeSet<ServiceKey>,
    /// Named, but the table was not read since. What is there may fit already; nothing is done before we know.
    unseen: BTreeSet<ServiceKey>,
    /// Of these an operation was refused since the last reading. Nobody knows what the kernel has.
    refused: BTreeSet<ServiceKey>,
    /// These were changed since the reading was asked for: its answer may be older than the change.
    changed: BTreeSet<ServiceKey>,
    /// When the table is read next; `None`: there is nothing of ours in it.
    read_at: Option<Instant>,
    asked_at: Option<Instant>,
    /// How many times in a row something went wrong.
    setbacks: u32,
}

/// What a reading led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    pub ops: Vec<Op>,
    /// How many of them undo what somebody else did.
    pub uninvited: usize,
}

impl Kernel {
    /// The configuration names these services from now on. New ones are looked at before they are touched.
    pub fn own(&mut self, named: &BTreeSet<ServiceKey>, now: Instant) {
        self.unseen.retain(|key| named.contains(key));
        self.unseen.extend(named.difference(&self.owned));
        // What was never put into the kernel need not be taken out.
        let Self { known, refused, .. } = self;
        self.owned.retain(|key| known.services.contains_key(key) || refused.contains(key));
        self.owned.extend(named);
        if !self.unseen.is_empty() {
            self.read_soon(now);
        }
    }

    /// A predecessor named these services: they are ours, and in doubt until the table is read.
    pub fn inherit(&mut self, services: impl Iterator<Item = ServiceKey>, now: Instant) {
        for key in services {
            self.owned.insert(key);
            self.refused.insert(key);
        }
        self.read_soon(now);
    }

    /// When the table is to be read, and why.
    pub fn next_read(&self) -> Option<(Instant, Reason)> {
        self.read_at.map(|at| (at, if self.setbacks > 0 { Reason::Retry } else { Reason::Reread }))
    }

    /// Whether it is time to read the table; if so, that counts as asked for. `also`: for more than services of ours.
    pub fn wants_read(&mut self, also: bool, now: Instant) -> bool {
        if self.read_at.is_none_or(|at| now < at) {
            return false;
        }
        if self.owned.is_empty() && !also {
            self.read_at = None;
            return false;
        }
        self.changed.clear();
        self.asked_at = Some(now);
        self.read_at = Some(now + REREAD);
        true
    }

    /// Operations for all our services of which the state is known.
    pub fn reconcile(&mut self, desired: &Table) -> Vec<Op> {
        let sure = self.owned.iter().filter(|key| !self.in_doubt(key)).copied().collect();
        let ops = reconcile(desired, &self.known, &sure);
        self.count_as_done(&ops);
        ops
    }

    /// Operations for one of our services. If it is in doubt there are none, and the table is read soon.
    pub fn reconcile_service(&mut self, key: ServiceKey, desired: &ServiceEntry, now: Instant) -> Vec<Op> {
        if self.in_doubt(&key) {
            self.read_soon(now);
            return Vec::new();
        }
        let ops = reconcile_service(key, Some(desired), self.known.services.get(&key));
        self.count_as_done(&ops);
        ops
    }

    /// The kernel's table as it was just read. `desired` names every service of the configuration. `settled`: so is what
    /// IPVS has beside services.
    pub fn compare(&mut self, table: &Table, desired: &Table, settled: bool, now: Instant) -> Repair {
        let mut uninvited = BTreeSet::new();
        let mut gone = BTreeSet::new();
        for key in self.owned.difference(&self.changed) {
            let there = table.services.get(key);
            let surprising = !self.in_doubt(key) && self.known.services.get(key) != there;
            if surprising {
                uninvited.insert(*key);
            }
            match there {
                // Somebody else has made one like it since we took ours away.
                Some(_) if surprising && !desired.services.contains_key(key) => {
                    gone.insert(*key);
                }
                Some(there) => {
                    self.known.services.insert(*key, there.clone());
                }
                None => {
                    self.known.services.remove(key);
                    if !desired.services.contains_key(key) {
                        gone.insert(*key);
                    }
                }
            }
        }
        self.owned.retain(|key| !gone.contains(key));
        self.unseen.retain(|key| self.changed.contains(key));
        self.refused.retain(|key| self.changed.contains(key));

        let ops = self.reconcile(desired);
        let others_settled = settled;
        let settled = self.unseen.is_empty() && self.refused.is_empty();
        if settled && others_settled && ops.is_empty() {
            self.setbacks = 0;
        }
        self.read_at = Some(now + if settled { REREAD } else { RETRY });
        let uninvited = ops.iter().filter(|op| uninvited.contains(&op.service())).count();
        Repair { ops, uninvited }
    }

    /// An operation came back refused. Returns how soon the table is read and mended.
    pub fn refused(&mut self, op: &Op, now: Instant) -> Duration {
        // Many operations are refused together; together they count once.
        if self.refused.is_empty() {
            self.setbacks = self.setbacks.saturating_add(1);
        }
        self.refused.insert(op.service());
        self.owned.insert(op.service());
        self.read_later(now)
    }

    /// The table could not be read. Returns how soon that is tried again.
    pub fn unreadable(&mut self, now: Instant) -> Duration {
        self.setbacks = self.setbacks.saturating_add(1);
        self.read_later(now)
    }

    /// The services of ours that the kernel has, or may have.
    pub fn leave(&self) -> impl Iterator<Item = ServiceKey> {
        self.owned.iter().copied().filter(|key| self.known.services.contains_key(key) || self.refused.contains(key))
    }

    /// Whether a reading that comes now says how it is: nothing of it was changed since that was asked for.
    pub fn is_told(&self, key: &ServiceKey) -> bool {
        !self.changed.contains(key)
    }

    /// The table is read then at the latest, but not more often than every [`RETRY`].
    pub fn read_by(&mut self, at: Instant) {
        let at = self.asked_at.map_or(at, |asked| at.max(asked + RETRY));
        self.read_at = Some(self.read_at.map_or(at, |before| before.min(at)));
    }

    fn in_doubt(&self, key: &ServiceKey) -> bool {
        self.unseen.contains(key) || self.refused.contains(key)
    }

    fn count_as_done(&mut self, ops: &[Op]) {
        for op in ops {
            self.changed.insert(op.service());
            // If the kernel refuses it, it comes back, and `refused` takes care of it.
            let _ = self.known.apply(op);
        }
    }

    /// At once, but not more often than every [`RETRY`].
    pub fn read_soon(&mut self, now: Instant) {
        self.read_by(now);
    }

    /// After 1 s, 2 s, 4 s ..., at most after [`REREAD`].
    pub fn read_later(&mut self, now: Instant) -> Duration {
        let retry_in = RETRY.saturating_mul(1 << (self.setbacks.clamp(1, 5) - 1)).min(REREAD);
        let at = now + retry_in;
        self.read_at = Some(self.read_at.map_or(at, |before| before.min(at)));
        retry_in
    }
}
