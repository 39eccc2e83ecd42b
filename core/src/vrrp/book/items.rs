//! What a director puts into its kernel beside addresses, and what the kernel said of it: routes, by [`super::Wanted`].
//!
//! Level-triggered as [`super::AddressBook`] is, and by the same clock ([`AWAY`], [`CALM`], [`RETRY`]). Nothing is put in
//! before the kernel was asked once what of it is there: a route has no lifetime, so a killed predecessor's is still there.

use super::{AWAY, CALM, Holder, Item, LONGEST_AWAY, RETRY, Restored, Wanted};
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
    /// Wanted, was there, and vanished without our doing.
    lost: BTreeSet<I::Key>,
    restored: BTreeMap<I::Key, Restored>,
    /// Could not be put in; left alone until then.
    failed: BTreeMap<I::Key, Instant>,
    due: BTreeSet<(Instant, I::Key)>,
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
            lost: BTreeSet::new(),
            restored: BTreeMap::new(),
            failed: BTreeMap::new(),
            due: BTreeSet::new(),
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
            self.lost.insert(key.clone());
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

    /// Which of these are there and ours.
    pub fn ours<'a>(&self, items: impl Iterator<Item = &'a I>) -> Vec<I::Key>
    where
        I: 'a,
    {
        items.map(I::key).filter(|key| self.seen.contains_key(key)).collect()
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
                && self.failed.get(&key).is_none_or(|at| *at <= now)
                && !(wanted.stays_away() && self.lost.contains(&key))
            {
                match self.restored.get(&key).map(|last| last.at + last.away).filter(|at| *at > now) {
                    Some(later) if self.lost.contains(&key) => {
                        self.due.insert((later, key));
                    }
                    Some(_) | None => additions.push((place, key)),
                }
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
            self.forget_failure(&key);
            let restored = self.lost.remove(&key);
            if restored {
                let last = self.restored.get(&key).filter(|last| now.since(last.at) < CALM);
                let away = last.map_or(AWAY, |last| (last.away * 2).min(LONGEST_AWAY));
                self.restored.insert(key.clone(), Restored { at: now, away });
            }
            self.own.insert(key.clone());
            self.seen.insert(key.clone(), Some(item.clone()));
            self.tell_holders(&key);
            changes.push(ItemChange::Add { item, restored });
        }
        changes
    }

    /// It could not be put in; it is tried again after [`RETRY`].
    pub fn add_failed(&mut self, key: I::Key, now: Instant) {
        self.seen.remove(&key);
        self.own.remove(&key);
        self.forget_failure(&key);
        self.touch(key.clone());
        if self.wanted.get(&key).is_some() {
            // It is looked at when it is due, unless something else happens to it before.
            self.dirty.remove(&key);
            self.failed.insert(key.clone(), now + RETRY);
            self.due.insert((now + RETRY, key));
        }
    }

    /// Something happened that may let in what was refused.
    pub fn try_again(&mut self) {
        let failed: Vec<I::Key> = self.failed.keys().cloned().collect();
        for key in failed {
            self.forget_failure(&key);
            self.dirty.insert(key);
        }
    }

    /// Looks again at what is due.
    pub fn wake(&mut self, now: Instant) {
        while let Some((at, key)) = self.due.first()
            && *at <= now
        {
            self.dirty.insert(key.clone());
            self.due.pop_first();
        }
    }

    /// When there is something to settle: at once ([`Instant::ZERO`]), or when something is due again.
    pub fn next(&self) -> Option<Instant> {
        if self.begun && !self.dirty.is_empty() {
            return Some(Instant::ZERO);
        }
        self.due.first().map(|(at, _)| *at)
    }

    /// The holders of which something that they want was put there or went since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<Holder> {
        std::mem::take(&mut self.changed)
    }

    /// Something about it has changed.
    fn touch(&mut self, key: I::Key) {
        self.tell_holders(&key);
        if self.wanted.get(&key).is_none() {
            self.lost.remove(&key);
            self.restored.remove(&key);
            self.forget_failure(&key);
        }
        self.dirty.insert(key);
    }

    fn tell_holders(&mut self, key: &I::Key) {
        self.changed.extend(self.wanted.holders(key));
    }

    fn forget_failure(&mut self, key: &I::Key) {
        if let Some(at) = self.failed.remove(key) {
            self.due.remove(&(at, key.clone()));
        }
    }
}
