//! The addresses that are on this director's interfaces, and those that should be.
//!
//! Level-triggered: [`AddressBook`] keeps what was last observed and who wants what, and [`AddressBook::settle`] is the
//! only source of changes. What somebody else deletes comes back, what a killed predecessor left behind goes, and what
//! somebody else put there is never touched. The kernel counts as somebody else: it takes an address off when its
//! lifetime is over ([`super::lifetime`]), or its subnet's primary address goes.
//!
//! Each change of what is wanted or observed marks the keys that it concerns, and settling looks at those alone: it costs
//! what changed, not what is there. The Election settles once for each event, not once for each virtual router.

mod items;
mod missing;
mod presence;
mod statics;
mod wanted;

pub use items::{ItemBook, ItemChange};
pub use missing::RETRY;
pub use wanted::{Holder, Item, Wanted};

use super::announce::queue::Queue;
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName, ObservedAddress};
use crate::route::{Route, VirtualRule};
use crate::time::{Duration, Instant};
use missing::{Missing, Put};
use presence::Presence;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// How many addresses one event adds at most; the others follow at once, when adverts that are due have left. The kernel
/// takes 10 to 30 µs for each.
pub const MOST_ADDED: usize = 256;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `left_behind`: by an earlier run, and not by this process.
    Remove { key: AddressKey, left_behind: bool },
    /// `restored`: it was there and vanished without our doing. `retried`: it could not be added before.
    Add { address: InterfaceAddress, restored: bool, retried: bool },
}

/// An address that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// It carries our protocol number, or this process put it there: Linux before 5.18 forgets the number.
    ours: bool,
    /// What this process put there; `None` when somebody else did, or an earlier run.
    applied: Option<InterfaceAddress>,
    /// Place in the kernel's own order: the lowest is an interface's primary address.
    rank: u64,
}

/// What is there, what is wanted, and what could not be done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AddressBook {
    seen: BTreeMap<AddressKey, Seen>,
    /// Put there by this process or left to it, in its life or at its beginning. What else carries our protocol number when
    /// it has begun, and is none of `vips`, is another director's of this host.
    own: BTreeSet<AddressKey>,
    begun: bool,
    next_rank: u64,
    /// Addresses that are not ours, by interface and rank.
    foreign: BTreeMap<InterfaceName, BTreeSet<(u64, IpAddr)>>,
    present: Presence,
    wanted: Wanted<InterfaceAddress>,
    /// What [`Self::settle`] has to look at.
    dirty: BTreeSet<AddressKey>,
    /// Wanted, there, ours, and not permanent: their lifetimes are renewed.
    held: BTreeSet<AddressKey>,
    #[serde(default)]
    missing: Missing<AddressKey>,
    /// Addresses that move, those of address owners aside: whoever else has one of them is mentioned once.
    vips: BTreeSet<AddressKey>,
    mentioned: BTreeSet<AddressKey>,
    unmentioned: Vec<AddressKey>,
    /// Of these holders what is held has changed.
    changed: BTreeSet<Holder>,
    /// What is announced as soon as its turn comes.
    announcements: Queue,
    /// Routes, which go with the addresses.
    #[serde(default)]
    pub routes: ItemBook<Route>,
    /// Policy rules, the same.
    #[serde(default)]
    pub rules: ItemBook<VirtualRule>,
}

impl AddressBook {
    /// Every address, in the kernel's order.
    pub fn read(&mut self, addresses: Vec<ObservedAddress>) {
        let mut before = std::mem::take(&mut self.seen);
        self.foreign.clear();
        self.present.clear();
        for ObservedAddress { key, ours } in addresses {
            let old = before.remove(&key);
            let applied = old.as_ref().and_then(|seen| seen.applied.clone());
            let ours = self.is_ours(&key, ours) || applied.is_some();
            let same = old.is_some_and(|seen| seen.ours == ours);
            self.insert(key.clone(), ours, applied);
            if !same {
                self.touch(key);
            }
        }
        for (key, seen) in before {
            if seen.applied.is_some() {
                self.missing.lose(key.clone());
            }
            self.touch(key);
        }
        // What was taken off, and is really gone, may be another director's the next time.
        for key in self.own.iter().filter(|key| !self.seen.contains_key(*key)).cloned().collect::<Vec<_>>() {
            self.disown(&key);
        }
    }

    /// One address appeared or vanished. False if that was known: the kernel tells of what this process did as well.
    pub fn observe(&mut self, ObservedAddress { key, ours }: ObservedAddress, present: bool) -> bool {
        match (self.seen.get(&key), present) {
            (None, false) => {
                self.disown(&key);
                return false;
            }
            (Some(seen), false) => {
                if seen.applied.is_some() {
                    self.missing.lose(key.clone());
                }
                self.remove(&key);
            }
            (Some(seen), true) => {
                let ours = self.is_ours(&key, ours) || seen.applied.is_some();
                if seen.ours == ours {
                    return false;
                }
                let (applied, rank) = (seen.applied.clone(), seen.rank);
                self.remove(&key);
                self.insert_at(key.clone(), ours, applied, rank);
            }
            (None, true) => {
                let ours = self.is_ours(&key, ours);
                self.insert(key.clone(), ours, None);
            }
        }
        self.touch(key);
        true
    }

    /// It is not there: unless somebody wants it here, it is nobody's.
    fn disown(&mut self, key: &AddressKey) {
        if self.wanted.get(key).is_none() {
            self.own.remove(key);
        }
    }

    /// `marked`: it carries our protocol number.
    fn is_ours(&self, key: &AddressKey, marked: bool) -> bool {
        marked && (!self.begun || self.own.contains(key) || self.is_named(key))
    }

    /// The configuration names it.
    fn is_named(&self, key: &AddressKey) -> bool {
        self.vips.contains(key) || self.is_static(key)
    }

    /// From now on what carries our protocol number is ours only if this process put it there, or the configuration names it.
    /// Of what does so already all was left behind by a predecessor; with living `neighbours`, other directors of this host,
    /// only what was inherited or is named. Two directors of one host never name the same: the second one does not start.
    pub fn begin(&mut self, neighbours: bool) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let marked: Vec<AddressKey> =
            self.seen.iter().filter(|(_, seen)| seen.ours).map(|(key, _)| key.clone()).collect();
        for key in marked {
            if !neighbours {
                self.own.insert(key);
            } else if !self.own.contains(&key)
                && !self.is_named(&key)
                && let Some(rank) = self.seen.get(&key).map(|seen| seen.rank)
            {
                self.remove(&key);
                self.insert_at(key.clone(), false, None, rank);
                self.touch(key);
            }
        }
    }

    /// What a predecessor put there and is there still is ours. `exact`: nothing has happened since, as if this process had
    /// put it there.
    pub fn inherit(&mut self, applied: Vec<InterfaceAddress>, exact: bool) {
        for address in applied {
            let key = address.key();
            if let Some(rank) = self.seen.get(&key).map(|seen| seen.rank) {
                self.own.insert(key.clone());
                self.remove(&key);
                self.insert_at(key.clone(), true, exact.then_some(address), rank);
                self.touch(key);
            }
        }
    }

    /// What this process put there, for [`Self::inherit`].
    pub fn applied(&self) -> impl Iterator<Item = &InterfaceAddress> {
        self.seen.values().filter_map(|seen| seen.applied.as_ref())
    }

    /// Whether it is there, whoever put it there.
    pub fn is_there(&self, key: &AddressKey) -> bool {
        self.seen.contains_key(key)
    }

    /// Whether this host has the address, on whatever interface.
    pub fn has(&self, address: IpAddr) -> bool {
        self.present.has(address)
    }

    /// From now on [`Self::take_news`] tells of these addresses and no others.
    pub fn ask_for(&mut self, addresses: BTreeSet<IpAddr>) {
        self.present.ask_for(addresses);
    }

    /// Which of the addresses that were asked for came (true) and went; at first how each of them is.
    pub fn take_news(&mut self) -> Vec<(IpAddr, bool)> {
        self.present.news()
    }

    /// `holder` wants these and nothing else.
    pub fn want(&mut self, holder: Holder, addresses: Arc<[InterfaceAddress]>) {
        self.changed.insert(holder);
        for key in self.wanted.set(holder, addresses) {
            self.touch(key);
        }
    }

    /// `holder` wants nothing (any more), and announces nothing.
    pub fn release(&mut self, holder: Holder) {
        self.want(holder, Arc::default());
        self.routes.want(holder, Arc::default());
        self.rules.want(holder, Arc::default());
        self.announcements.cancel(holder);
    }

    /// Announces these addresses of `holder` so many times, as soon as their turn comes.
    pub fn announce<'a>(&mut self, holder: Holder, addresses: impl Iterator<Item = &'a InterfaceAddress>, rounds: u32) {
        self.announcements.push(holder, addresses, rounds);
    }

    /// How many bursts of announcements of this holder wait for their turn.
    pub fn announcing(&self, holder: Holder) -> usize {
        self.announcements.waiting(holder)
    }

    /// The announcements whose turn it is, at most `most`; what nobody wants any more, or is not there, is left out.
    /// `pause`: between two on one interface, for this kind of address.
    pub fn take_announcements<'a>(
        &mut self,
        now: Instant,
        most: usize,
        pause: impl Fn(&InterfaceName, IpAddr) -> (Duration, &'a [InterfaceName]),
    ) -> Vec<(InterfaceName, IpAddr)> {
        let mut waiting = std::mem::take(&mut self.announcements);
        let taken = waiting.take(now, most, pause, |interface, address| self.serves(interface, address));
        self.announcements = waiting;
        taken
    }

    /// When an announcement has its turn.
    pub fn next_announcement(&self) -> Option<Instant> {
        self.announcements.next()
    }

    /// The addresses that move, by the configuration in force.
    pub fn name_vips(&mut self, vips: impl Iterator<Item = AddressKey>) {
        self.vips = vips.collect();
        self.mentioned.retain(|key| self.vips.contains(key));
        for key in self.vips.clone() {
            self.mention(&key);
        }
    }

    /// What must change now, taken as done: what fails comes back to [`Self::add_failed`], and what the kernel really has
    /// comes with the next [`Self::read`]. No more than `most` additions; what is left over makes [`Self::next`] say so.
    ///
    /// Removals come first: Linux takes an interface's secondary addresses along with their primary one, so the other order
    /// could lose what was just added. An address of ours whose label, scope or broadcast changed is removed and added.
    /// Addresses that are not ours are neither removed nor added once more. Additions come in the order of the file.
    pub fn settle(&mut self, now: Instant, most: usize) -> Vec<Change> {
        let keys = std::mem::take(&mut self.dirty);
        self.settle_these(keys, now, most)
    }

    fn settle_these(&mut self, keys: BTreeSet<AddressKey>, now: Instant, most: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut additions = Vec::new();
        for key in keys {
            let wanted = self.wanted.get(&key);
            if let Some(seen) = self.seen.get(&key) {
                let outdated = match (&wanted, &seen.applied) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some((wanted, _)), Some(applied)) => *wanted != applied,
                };
                if !(seen.ours && outdated) {
                    // What an earlier run left, and has no lifetime that would tell: from now on as if this one had put it there.
                    let left = wanted.map(|(wanted, _)| wanted.clone()).filter(|it| it.permanent && seen.ours);
                    if let (Some(seen), Some(left)) = (self.seen.get_mut(&key), left) {
                        seen.applied = Some(left);
                    }
                    continue;
                }
                let left_behind = seen.applied.is_none();
                let place = wanted.map(|(_, place)| place);
                self.remove(&key);
                self.note_held(&key);
                changes.push(Change::Remove { key: key.clone(), left_behind });
                additions.extend(place.map(|place| (place, key)));
            } else if let Some((_, place)) = wanted
                && self.missing.may_be_put(&key, now)
            {
                additions.push((place, key));
            }
        }
        additions.sort();
        for (added, (_, key)) in additions.into_iter().enumerate() {
            if added >= most {
                self.dirty.insert(key);
                continue;
            }
            let Some(address) = self.wanted.get(&key).map(|(address, _)| address.clone()) else { continue };
            let Put { restored, retried } = self.missing.put(&key, now);
            self.own.insert(key.clone());
            self.insert(key.clone(), true, Some(address.clone()));
            self.note_held(&key);
            changes.push(Change::Add { address, restored, retried });
        }
        changes
    }

    /// An address could not be added; it is tried again after [`RETRY`].
    pub fn add_failed(&mut self, key: AddressKey, now: Instant) {
        self.remove(&key);
        self.missing.forget_refusal(&key);
        self.touch(key.clone());
        if self.wanted.get(&key).is_some() {
            // It is looked at when it is due, unless something else happens to it before.
            self.dirty.remove(&key);
            self.missing.refuse(key, now);
        }
    }

    /// Looks again at what is due.
    pub fn wake(&mut self, now: Instant) {
        self.dirty.extend(self.missing.take_due(now));
    }

    /// When there is something to settle: at once ([`Instant::ZERO`]), or when something is due again.
    pub fn next(&self) -> Option<Instant> {
        if self.dirty.is_empty() { self.missing.next() } else { Some(Instant::ZERO) }
    }

    /// How many addresses [`Self::settle`] has to look at.
    pub fn waiting(&self) -> usize {
        self.dirty.len()
    }

    /// Whether somebody wants this address there now, and it is there.
    pub fn serves(&self, interface: &InterfaceName, address: IpAddr) -> bool {
        let first = AddressKey { interface: interface.clone(), address, prefix_len: 0 };
        let mut wanted = self.wanted.keys_from(first);
        wanted
            .next()
            .is_some_and(|key| key.interface == *interface && key.address == address && self.seen.contains_key(key))
    }

    /// Who has its way with this address.
    pub fn holder(&self, key: &AddressKey) -> Option<Holder> {
        self.wanted.holders(key).next()
    }

    /// How many addresses are wanted, there, and ours, permanent ones aside.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The next of those behind `last`, in order and from the beginning again behind the end, each once and at most so many.
    pub fn held_after(&self, last: Option<&AddressKey>, most: usize) -> Arc<[InterfaceAddress]> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let behind = self.held.range::<AddressKey, _>((last.map_or(Unbounded, Excluded), Unbounded));
        let again = last.map(|last| self.held.range::<AddressKey, _>((Unbounded, Included(last))));
        let keys = behind.chain(again.into_iter().flatten()).take(most);
        keys.filter_map(|key| self.wanted.get(key)).map(|(address, _)| address.clone()).collect()
    }

    /// Which of these are there and ours, static ones aside: whoever gives them up can't take those off.
    pub fn ours<'a>(&self, addresses: impl Iterator<Item = &'a InterfaceAddress>) -> Vec<AddressKey> {
        let ours = |key: &AddressKey| self.seen.get(key).is_some_and(|seen| seen.ours) && !self.is_static(key);
        addresses.map(InterfaceAddress::key).filter(ours).collect()
    }

    /// The holders of which something that they want was put there or went since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<Holder> {
        std::mem::take(&mut self.changed)
    }

    /// The addresses that move and that somebody else has put there, each told once for as long as it is there.
    pub fn take_foreign(&mut self) -> Vec<AddressKey> {
        std::mem::take(&mut self.unmentioned)
    }

    // What is known of one key.

    fn insert(&mut self, key: AddressKey, ours: bool, applied: Option<InterfaceAddress>) {
        let rank = self.next_rank;
        self.next_rank += 1;
        self.insert_at(key, ours, applied, rank);
    }

    fn insert_at(&mut self, key: AddressKey, ours: bool, applied: Option<InterfaceAddress>, rank: u64) {
        if !ours {
            self.foreign.entry(key.interface.clone()).or_default().insert((rank, key.address));
        }
        let address = key.address;
        if self.seen.insert(key, Seen { ours, applied, rank }).is_none() {
            self.present.add(address);
        }
    }

    fn remove(&mut self, key: &AddressKey) {
        let Some(seen) = self.seen.remove(key) else { return };
        self.present.remove(key.address);
        if !seen.ours
            && let Some(own) = self.foreign.get_mut(&key.interface)
        {
            own.remove(&(seen.rank, key.address));
        }
    }

    /// Something about it has changed.
    fn touch(&mut self, key: AddressKey) {
        self.note_held(&key);
        self.mention(&key);
        if self.wanted.get(&key).is_none() {
            self.missing.forget(&key);
            if !self.seen.contains_key(&key) {
                self.disown(&key);
            }
        }
        self.dirty.insert(key);
    }

    fn note_held(&mut self, key: &AddressKey) {
        let renewed = self.wanted.get(key).is_some_and(|(wanted, _)| !wanted.permanent);
        let held = renewed && self.seen.get(key).is_some_and(|seen| seen.ours);
        let changed = if held { self.held.insert(key.clone()) } else { self.held.remove(key) };
        if changed {
            self.changed.extend(self.wanted.holders(key));
        }
    }

    fn mention(&mut self, key: &AddressKey) {
        let foreign = self.vips.contains(key) && self.seen.get(key).is_some_and(|seen| !seen.ours);
        if !foreign {
            self.mentioned.remove(key);
        } else if self.mentioned.insert(key.clone()) {
            self.unmentioned.push(key.clone());
        }
    }
}

#[cfg(test)]
mod tests;
