//! Who wants what of the kernel. Telling the book what a holder wants costs what that holder has, whatever all the
//! others have.

use crate::interface::{AddressKey, InterfaceAddress};
use crate::route::{Route, RouteKey, Rule, VirtualRule};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that a director puts into its kernel: an address, a route, a policy rule; links are others of the kind.
pub trait Item: Clone + PartialEq + Serialize + DeserializeOwned {
    /// What makes two of them the same one to the kernel.
    type Key: Clone + Ord + Serialize + DeserializeOwned;

    fn key(&self) -> Self::Key;

    /// The kernel tells of its end by a mark that it carries.
    fn is_marked(_: &Self::Key) -> bool {
        true
    }

    /// When somebody takes it off it does not come back before it is wanted anew.
    fn stays_away(&self) -> bool {
        false
    }
}

impl Item for InterfaceAddress {
    type Key = AddressKey;

    fn key(&self) -> AddressKey {
        self.key()
    }
}

impl Item for Route {
    type Key = RouteKey;

    fn key(&self) -> RouteKey {
        self.key.clone()
    }

    fn is_marked(key: &RouteKey) -> bool {
        key.is_marked()
    }

    fn stays_away(&self) -> bool {
        self.no_track
    }
}

impl Item for VirtualRule {
    type Key = Rule;

    fn key(&self) -> Rule {
        self.rule.clone()
    }

    fn stays_away(&self) -> bool {
        self.no_track
    }
}

/// Who wants an item. Where several want the same one in different forms, the first of them, in this order, has its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Holder {
    /// The configuration itself, whatever any virtual router is (`static_ipaddress` and its kin).
    Static,
    /// One virtual router, by its number in this director, while it is MASTER.
    Router(u32),
    /// One sync group, by its number, while all of its routers are MASTER.
    Group(u32),
}

/// What all holders want.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Wanted<I: Item> {
    by_holder: BTreeMap<Holder, Arc<[I]>>,
    /// Who wants it, and where in that one's list it stands; ascending.
    by_key: BTreeMap<I::Key, Vec<(Holder, u32)>>,
}

impl<I: Item> Default for Wanted<I> {
    fn default() -> Self {
        Self { by_holder: BTreeMap::new(), by_key: BTreeMap::new() }
    }
}

impl<I: Item> Wanted<I> {
    /// From now on `holder` wants these and nothing else; nothing at all by an empty list. Returns the keys of which it
    /// wanted something before, or wants something now.
    pub fn set(&mut self, holder: Holder, items: Arc<[I]>) -> Vec<I::Key> {
        let before = if items.is_empty() {
            self.by_holder.remove(&holder)
        } else {
            self.by_holder.insert(holder, items.clone())
        };
        let mut touched = Vec::new();
        for item in before.iter().flat_map(|items| items.iter()) {
            let key = item.key();
            if let Some(holders) = self.by_key.get_mut(&key) {
                holders.retain(|(other, _)| *other != holder);
                if holders.is_empty() {
                    self.by_key.remove(&key);
                }
            }
            touched.push(key);
        }
        for (place, item) in (0..).zip(items.iter()) {
            let key = item.key();
            let holders = self.by_key.entry(key.clone()).or_default();
            if let Err(at) = holders.binary_search(&(holder, place)) {
                holders.insert(at, (holder, place));
            }
            touched.push(key);
        }
        touched
    }

    /// In which form it is wanted, and its place among all that is wanted: by holder, then in the order of the file.
    pub fn get(&self, key: &I::Key) -> Option<(&I, (Holder, u32))> {
        let place = *self.by_key.get(key)?.first()?;
        let items = self.by_holder.get(&place.0)?;
        Some((items.get(usize::try_from(place.1).ok()?)?, place))
    }

    /// Who wants it.
    pub fn holders(&self, key: &I::Key) -> impl Iterator<Item = Holder> {
        self.by_key.get(key).into_iter().flatten().map(|(holder, _)| *holder)
    }

    /// Whether this holder is among them.
    pub fn has(&self, key: &I::Key, holder: Holder) -> bool {
        self.holders(key).any(|other| other == holder)
    }

    /// What this holder wants.
    pub fn of(&self, holder: Holder) -> &[I] {
        self.by_holder.get(&holder).map_or(&[], |items| items)
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Wanted keys from this one on, ascending.
    pub fn keys_from(&self, key: I::Key) -> impl Iterator<Item = &I::Key> {
        self.by_key.range(key..).map(|(key, _)| key)
    }
}
