//! What a director puts into its kernel beside addresses, and what the kernel said of it: routes, by [`super::Wanted`].
//!
//! Level-triggered as [`super::AddressBook`] is, and by the same clock ([`Missing`]). Nothing is put in
//! before the kernel was asked once what of it is there: a route has no lifetime, so a killed predecessor's is still there.

use super::missing::{Missing, Put};
use super::{Holder, Item, Wanted};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemChange<I: Item> {
    /// `left_behind`: by an earlier run, and not by this process.
    Remove { key: I::Key, left_behind: bool },
    /// `restored`: it was there and vanished without our doing.
    Add { item: I, restored: bool },
}

/// What is there of ours, what is wanted, and what could not be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ItemBook<I: Item> {
    /// With our mark, or put there by this process, which is what stands behind it then.
    seen: BTreeMap<I::Key, Option<I>>,
    /// Put there by this process or left to it. What else carries our mark after the first reading, and is wanted by nobody,
    /// is another director's of this host.
    own: BTreeSet<I::Key>,
    /// What a predecessor put there, until the first reading says whether it is there still: all of it if nothing has happened
    /// since, as if this process had put it there.
    left: BTreeMap<I::Key, Option<I>>,
    /// The kernel has been asked.
    begun: bool,
    wanted: Wanted<I>,
    dirty: BTreeSet<I::Key>,
    #[serde(default)]
    missing: Missing<I::Key>,
    /// Of these holders what is held has changed.
    changed: BTreeSet<Holder>,
}

impl<I: Item> Default for ItemBook<I> {
    fn default() -> Self {
        Self {
            seen: BTreeMap::new(),
            own: BTreeSet::new(),
            left: BTreeMap::new(),
            begun: false,
            wanted: Wanted::default(),
            dirty: BTreeSet::new(),
            missing: Missing::default(),
            changed: BTreeSet::new(),
        }
    }
}

impl<I: Item> ItemBook<I> {
    /// All that carries our mark. The first time, what nobody wants was left behind by a predecessor; with living
    /// `neighbours`, other directors of this host, only what was inherited.
    pub fn read(&mut self, there: BTreeSet<I::Key>, neighbours: bool) {
        let first = !std::mem::replace(&mut self.begun, true);
        let mut left = std::mem::take(&mut self.left);
        for key in &there {
            if first && (!neighbours || left.contains_key(key)) {
                self.own.insert(key.clone());
            }
            if !self.seen.contains_key(key) && self.is_ours(key) {
                self.seen.insert(key.clone(), left.remove(key).flatten());
                self.touch(key.clone());
            }
        }
        let gone = self.seen.keys().filter(|key| I::is_marked(key) && !there.contains(key));
        for key in gone.cloned().collect::<Vec<_>>() {
            self.vanished(key);
        }
        self.own.retain(|key| self.seen.contains_key(key));
    }

    /// One with our mark appeared or vanished without our doing. False if that changes nothing.
    pub fn observe(&mut self, key: I::Key, present: bool) -> bool {
        if !present {
            return self.vanished(key);
        }
        if !self.begun || self.seen.contains_key(&key) || !self.is_ours(&key) {
            return false;
        }
        self.seen.insert(key.clone(), None);
        self.touch(key);
        true
    }

    fn vanished(&mut self, key: I::Key) -> bool {
        let Some(applied) = self.seen.remove(&key) else { return false };
        if applied.is_some() {
            self.missing.lose(key.clone());
        }
        self.own.remove(&key);
        self.touch(key);
        true
    }

    fn is_ours(&self, key: &I::Key) -> bool {
        self.own.contains(key) || self.wanted.get(key).is_some()
    }

    /// What a predecessor put there. `exact`: nothing has happened since, as if this process had put it there.
    pub fn inherit(&mut self, applied: Vec<I>, exact: bool) {
        self.left.extend(applied.into_iter().map(|item| (item.key(), exact.then_some(item))));
    }

    /// What this process put there, for [`Self::inherit`].
    pub fn applied(&self) -> impl Iterator<Item = &I> {
        self.seen.values().chain(self.left.values()).flatten()
    }

    /// Whether the kernel has to be asked about it: something is wanted, or there.
    pub fn is_idle(&self) -> bool {
        self.seen.is_empty() && self.left.is_empty() && self.wanted.is_empty()
    }

    /// The kernel has been asked once.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    pub fn is_there(&self, key: &I::Key) -> bool {
        self.seen.contains_key(key)
    }

    /// Which of these are there and ours, static ones aside.
    pub fn ours<'a>(&self, items: impl Iterator<Item = &'a I>) -> Vec<I::Key>
    where
        I: 'a,
    {
        let moves = |key: &I::Key| self.seen.contains_key(key) && !self.wanted.has(key, Holder::Static);
        items.map(I::key).filter(moves).collect()
    }

    /// `holder` wants these and nothing else.
    pub fn want(&mut self, holder: Holder, items: Arc<[I]>) {
        for key in self.wanted.set(holder, items) {
            self.changed.insert(holder);
            self.touch(key);
        }
    }

    /// What must change now, taken as done: what fails comes back to [`Self::add_failed`]. Removals come first, so that what is
    /// wanted in another form can be put in anew. No more than `most` additions, in the order of the file.
    pub fn settle(&mut self, now: Instant, most: usize) -> Vec<ItemChange<I>> {
        if !self.begun {
            return Vec::new();
        }
        let (mut changes, mut additions) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.dirty) {
            let wanted = self.wanted.get(&key);
            if let Some(applied) = self.seen.get(&key) {
                // Of what an earlier run left nobody knows where it leads.
                if wanted.is_some_and(|(wanted, _)| applied.as_ref() == Some(wanted)) {
                    continue;
                }
                let left_behind = applied.is_none() && wanted.is_none();
                additions.extend(wanted.map(|(_, place)| (place, key.clone())));
                self.seen.remove(&key);
                self.tell_holders(&key);
                changes.push(ItemChange::Remove { key, left_behind });
            } else if let Some((wanted, place)) = wanted
                && !(wanted.stays_away() && self.missing.is_lost(&key))
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
            let Some((item, _)) = self.wanted.get(&key) else { continue };
            let item = item.clone();
            let Put { restored, retried: _ } = self.missing.put(&key, now);
            self.own.insert(key.clone());
            self.seen.insert(key.clone(), Some(item.clone()));
            self.tell_holders(&key);
            changes.push(ItemChange::Add { item, restored });
        }
        changes
    }

    /// It could not be put in; it is tried again after [`super::RETRY`].
    pub fn add_failed(&mut self, key: I::Key, now: Instant) {
        self.seen.remove(&key);
        self.own.remove(&key);
        self.missing.forget_refusal(&key);
        self.touch(key.clone());
        if self.wanted.get(&key).is_some() {
            // It is looked at when it is due, unless something else happens to it before.
            self.dirty.remove(&key);
            self.missing.refuse(key, now);
        }
    }

    /// Something happened that may let in what was refused.
    pub fn try_again(&mut self) {
        self.dirty.extend(self.missing.forget_refusals());
    }

    /// Looks again at what is due.
    pub fn wake(&mut self, now: Instant) {
        self.dirty.extend(self.missing.take_due(now));
    }

    /// When there is something to settle: at once ([`Instant::ZERO`]), or when something is due again.
    pub fn next(&self) -> Option<Instant> {
        if self.begun && !self.dirty.is_empty() { Some(Instant::ZERO) } else { self.missing.next() }
    }

    /// The holders of which something that they want was put there or went since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<Holder> {
        std::mem::take(&mut self.changed)
    }

    /// Something about it has changed.
    fn touch(&mut self, key: I::Key) {
        self.tell_holders(&key);
        if self.wanted.get(&key).is_none() {
            self.missing.forget(&key);
        }
        self.dirty.insert(key);
    }

    fn tell_holders(&mut self, key: &I::Key) {
        self.changed.extend(self.wanted.holders(key));
    }
}
