//! The lifetime that virtual addresses have in the kernel, and when it is renewed.
//!
//! The Election asks for the renewals by a timer of its own, and for no address but those that its MASTERs hold. So an
//! address outlives by three seconds at most whatever keeps this loop from turning: SIGKILL, SIGSTOP, a panic, a stuck
//! thread, a machine without memory.

use super::book::AddressBook;
use crate::interface::{AddressKey, InterfaceAddress};
use crate::time::{Duration, Instant};
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How often each address is renewed: three renewals in a row may fail or be late before it goes.
pub const RENEW: Duration = Duration::from_millis(500);

/// Addresses renewed at once. Those of a director that has more are renewed in turns, spread over [`RENEW`], so that
/// between two of them there is time for an advert.
pub const BATCH: usize = 256;

/// All that is held, in batches.
pub fn all(book: &AddressBook) -> Vec<Arc<[InterfaceAddress]>> {
    let mut batches = Vec::new();
    let mut last = None;
    let held = book.held();
    for begin in (0..held).step_by(BATCH) {
        let batch = book.held_after(last.as_ref(), BATCH.min(held - begin));
        last = batch.last().map(InterfaceAddress::key);
        batches.push(batch);
    }
    batches
}

/// Whose turn it is, and when. Without addresses or with `lifetime` off there is no timer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Renewals {
    /// The last one that was renewed.
    last: Option<AddressKey>,
    at: Option<Instant>,
}

impl Renewals {
    pub fn next(&self) -> Option<Instant> {
        self.at
    }

    /// Takes up, goes on or ends, after anything that may have changed what is held.
    pub fn follow(&mut self, book: &AddressBook, lifetime: bool, now: Instant) {
        match if lifetime { book.held() } else { 0 } {
            0 => *self = Self::default(),
            held => {
                self.at.get_or_insert(now + pace(held));
            }
        }
    }

    /// Renews the batch that is due.
    pub fn wake(&mut self, book: &AddressBook, now: Instant, out: &mut Outbox) {
        if self.at.is_none_or(|at| at > now) {
            return;
        }
        let held = book.held();
        let batch = book.held_after(self.last.as_ref(), held.div_ceil(batches(held)));
        self.last = batch.last().map(InterfaceAddress::key);
        self.at = Some(now + pace(held));
        if !batch.is_empty() {
            out.push(Effect::RenewAddresses { addresses: batch });
        }
    }
}

/// In how many batches so many addresses are renewed.
fn batches(held: usize) -> usize {
    held.div_ceil(BATCH).max(1)
}

/// Between two batches.
fn pace(held: usize) -> Duration {
    RENEW / u32::try_from(batches(held)).unwrap_or(u32::MAX)
}
