//! The lifetime that virtual addresses have in the kernel, and when it is renewed.
//!
//! The Election asks for the renewals by a timer of its own, and for no address but those that its MASTERs hold. So an
//! address outlives by three seconds at most whatever keeps this loop from turning: SIGKILL, SIGSTOP, a panic, a stuck
//! thread, a machine without memory.

use super::addresses::AddressBook;
use crate::interface::InterfaceAddress;
use crate::time::{Duration, Instant};
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How often each address is renewed: three renewals in a row may fail or be late before it goes.
pub const RENEW: Duration = Duration::from_millis(500);

/// Addresses renewed at once. Those of a director that has more are renewed in turns, spread over [`RENEW`], so that
/// between two of them there is time for an advert.
pub const BATCH: usize = 256;

/// Addresses in batches of like size.
pub fn batches(addresses: &[InterfaceAddress]) -> Vec<Arc<[InterfaceAddress]>> {
    let count = addresses.len().div_ceil(BATCH).max(1);
    addresses.chunks(addresses.len().div_ceil(count).max(1)).map(Arc::from).collect()
}

/// Whose turn it is, and when. Without addresses or with `lease` off there is no timer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Renewals {
    turn: usize,
    at: Option<Instant>,
}

impl Renewals {
    pub fn next(&self) -> Option<Instant> {
        self.at
    }

    /// Takes up, goes on or ends, after anything that may have changed what is held.
    pub fn follow(&mut self, book: &mut AddressBook, lease: bool, now: Instant) {
        match if lease { book.held().len() } else { 0 } {
            0 => *self = Self::default(),
            batches => {
                self.at.get_or_insert(now + pace(batches));
            }
        }
    }

    /// Renews the batch that is due.
    pub fn wake(&mut self, book: &mut AddressBook, now: Instant, out: &mut Outbox) {
        if self.at.is_none_or(|at| at > now) {
            return;
        }
        let held = book.held();
        let turn = if self.turn < held.len() { self.turn } else { 0 };
        out.extend(held.get(turn).cloned().map(|addresses| Effect::RenewAddresses { addresses }));
        *self = Self { turn: turn + 1, at: Some(now + pace(held.len())) };
    }
}

/// Between two batches.
fn pace(batches: usize) -> Duration {
    RENEW / u32::try_from(batches.max(1)).unwrap_or(u32::MAX)
}
