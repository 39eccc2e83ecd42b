//! The addresses that are on this director's interfaces, and those that should be.
//!
//! Level-triggered: [`AddressBook`] keeps what was last observed and what is wanted, and [`reconcile`] is the only source
//! of [`Effect::AddAddress`] and [`Effect::RemoveAddress`]. What somebody else deletes comes back, what a killed
//! predecessor left behind goes, and what somebody else put there is never touched. The kernel counts as somebody else:
//! it takes an address off when its lifetime is over ([`super::lifetime`]), or its subnet's primary address goes.

use super::lifetime;
use crate::decision::Decision;
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName, ObservedAddress};
use crate::time::{Duration, Instant};
use crate::vrrp::{Effect, Outbox};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// How long until an address that could not be added is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

/// One change, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressOp {
    Remove(AddressKey),
    Add(InterfaceAddress),
}

/// An address that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// It carries our protocol number, or this process put it there: Linux before 5.18 forgets the number.
    pub ours: bool,
    /// What this process put there; `None` when somebody else did, or an earlier run.
    pub applied: Option<InterfaceAddress>,
    /// Place in the kernel's own order: the lowest is an interface's primary address.
    rank: u64,
}

/// What must change for `observed` to become `desired`.
///
/// Removals come first: Linux takes an interface's secondary addresses along with their primary one, so the other order
/// could lose what was just added. An address of ours whose label, scope or broadcast changed is removed and added.
/// Addresses that are not ours are neither removed nor added once more.
pub fn reconcile(desired: &[&InterfaceAddress], observed: &BTreeMap<AddressKey, Seen>) -> Vec<AddressOp> {
    let mut wanted: BTreeMap<AddressKey, &InterfaceAddress> = BTreeMap::new();
    for address in desired {
        wanted.entry(address.key()).or_insert(address);
    }
    let outdated = |key: &AddressKey, seen: &Seen| match (wanted.get(key), &seen.applied) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(applied)) => *wanted != applied,
    };
    let gone: BTreeSet<&AddressKey> =
        observed.iter().filter(|(key, seen)| seen.ours && outdated(key, seen)).map(|(key, _)| key).collect();
    let removals = gone.iter().map(|key| AddressOp::Remove((*key).clone()));

    let mut added = BTreeSet::new();
    let additions = desired.iter().filter(|address| {
        let key = address.key();
        (!observed.contains_key(&key) || gone.contains(&key)) && added.insert(key)
    });
    removals.chain(additions.map(|address| AddressOp::Add((*address).clone()))).collect()
}

/// Who wants an address: one virtual router.
pub type Holder = u32;

/// What is there, what is wanted, and what could not be done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AddressBook {
    seen: BTreeMap<AddressKey, Seen>,
    next_rank: u64,
    wanted: BTreeMap<Holder, Vec<InterfaceAddress>>,
    /// Wanted, was there, and vanished without our doing.
    lost: BTreeSet<AddressKey>,
    /// Could not be added; left alone until then.
    failed: BTreeMap<AddressKey, Instant>,
    /// VIPs of somebody else that were mentioned already.
    foreign: BTreeSet<AddressKey>,
    /// [`Self::held`], until something changes.
    #[serde(skip)]
    held: Option<Vec<Arc<[InterfaceAddress]>>>,
    /// See [`Self::revision`].
    #[serde(skip)]
    revision: u64,
}

impl AddressBook {
    /// Every address, in the kernel's order.
    pub fn read(&mut self, addresses: Vec<ObservedAddress>) {
        self.touch();
        let mut before = std::mem::take(&mut self.seen);
        for ObservedAddress { key, ours } in addresses {
            let applied = before.remove(&key).and_then(|seen| seen.applied);
            self.insert(key, ours || applied.is_some(), applied);
        }
        self.lost.extend(before.into_iter().filter(|(_, seen)| seen.applied.is_some()).map(|(key, _)| key));
    }

    /// One address appeared or vanished. False if that was known: the kernel tells of what this process did as well.
    pub fn changed(&mut self, ObservedAddress { key, ours }: ObservedAddress, present: bool) -> bool {
        if !present {
            let Some(seen) = self.seen.remove(&key) else { return false };
            if seen.applied.is_some() {
                self.lost.insert(key);
            }
        } else if let Some(seen) = self.seen.get_mut(&key) {
            let ours = ours || seen.applied.is_some();
            if std::mem::replace(&mut seen.ours, ours) == ours {
                return false;
            }
        } else {
            self.insert(key, ours, None);
        }
        self.touch();
        true
    }

    /// What a predecessor put there and is there still is ours. `exact`: nothing has happened since, as if this process had
    /// put it there.
    pub fn inherit(&mut self, applied: Vec<InterfaceAddress>, exact: bool) {
        for address in applied {
            if let Some(seen) = self.seen.get_mut(&address.key()) {
                (seen.ours, seen.applied) = (true, exact.then_some(address));
            }
        }
        self.touch();
    }

    /// What this process put there, for [`Self::inherit`].
    pub fn applied(&self) -> impl Iterator<Item = &InterfaceAddress> {
        self.seen.values().filter_map(|seen| seen.applied.as_ref())
    }

    /// Whether it is there, whoever put it there.
    pub fn is_there(&self, key: &AddressKey) -> bool {
        self.seen.contains_key(key)
    }

    fn insert(&mut self, key: AddressKey, ours: bool, applied: Option<InterfaceAddress>) {
        self.touch();
        self.seen.insert(key, Seen { ours, applied, rank: self.next_rank });
        self.next_rank += 1;
    }

    /// `holder` is MASTER and wants these.
    pub fn want(&mut self, holder: Holder, addresses: Vec<InterfaceAddress>) {
        self.touch();
        self.wanted.insert(holder, addresses);
    }

    /// `holder` is not MASTER (any more).
    pub fn release(&mut self, holder: Holder) {
        self.touch();
        self.wanted.remove(&holder);
    }

    /// Emits what must change, and takes it as done: what fails comes back to [`Self::add_failed`], and what the kernel
    /// really has comes with the next [`Self::read`].
    pub fn settle(&mut self, now: Instant, out: &mut Outbox) {
        let desired: Vec<&InterfaceAddress> = self
            .wanted
            .values()
            .flatten()
            .filter(|address| self.failed.get(&address.key()).is_none_or(|retry_at| *retry_at <= now))
            .collect();
        let ops = reconcile(&desired, &self.seen);
        for op in ops {
            match op {
                AddressOp::Remove(key) => {
                    self.touch();
                    let left_behind = self.seen.remove(&key).is_some_and(|seen| seen.applied.is_none());
                    out.push(Effect::RemoveAddress(key.clone()));
                    if left_behind {
                        out.decide(Decision::LeftoverRemoved { address: key });
                    }
                }
                AddressOp::Add(address) => {
                    let key = address.key();
                    self.failed.remove(&key);
                    let restored = self.lost.remove(&key);
                    self.insert(key, true, Some(address.clone()));
                    out.push(Effect::AddAddress(address.clone()));
                    if restored {
                        // While it was gone nobody answered for it: neighbours may have given it up, and some wait for
                        // half a minute before they ask again.
                        let (interface, vip) = (address.interface.clone(), address.address);
                        out.push(Effect::Announce { interface, address: vip });
                        out.decide(Decision::AddressRestored { address });
                    }
                }
            }
        }
        let wanted: BTreeSet<AddressKey> = self.wanted.values().flatten().map(InterfaceAddress::key).collect();
        self.lost.retain(|key| wanted.contains(key));
        self.failed.retain(|key, _| wanted.contains(key));
    }

    /// An address could not be added; it is tried again after [`RETRY`].
    pub fn add_failed(&mut self, key: AddressKey, now: Instant) {
        self.touch();
        self.seen.remove(&key);
        self.failed.insert(key, now + RETRY);
    }

    /// Whether some router wants this address there now.
    pub fn holds(&self, interface: &InterfaceName, address: IpAddr) -> bool {
        self.wanted.values().flatten().any(|vip| vip.interface == *interface && vip.address == address)
    }

    fn touch(&mut self) {
        self.held = None;
        self.revision += 1;
    }

    /// What is wanted, is there and is ours: the addresses whose lifetime is renewed, in batches.
    pub fn held(&mut self) -> &[Arc<[InterfaceAddress]>] {
        let Self { seen, wanted, held, .. } = self;
        held.get_or_insert_with(|| {
            let mut once: BTreeMap<AddressKey, &InterfaceAddress> = BTreeMap::new();
            for address in wanted.values().flatten() {
                once.entry(address.key()).or_insert(address);
            }
            once.retain(|key, _| seen.get(key).is_some_and(|seen| seen.ours));
            lifetime::batches(&once.into_values().cloned().collect::<Vec<_>>())
        })
    }

    /// Goes up whenever what is wanted, or which addresses are ours, may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Which of these are there and ours.
    pub fn ours<'a>(&self, addresses: impl Iterator<Item = &'a InterfaceAddress>) -> Vec<AddressKey> {
        addresses.map(InterfaceAddress::key).filter(|key| self.seen.get(key).is_some_and(|seen| seen.ours)).collect()
    }

    /// When something that failed is due again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.failed.values().min().copied()
    }

    /// The first IPv4 address of an interface that is its own: neither ours nor one of `except`.
    pub fn primary(&self, interface: &InterfaceName, except: &[InterfaceAddress]) -> Option<Ipv4Addr> {
        let first = AddressKey { interface: interface.clone(), address: Ipv4Addr::UNSPECIFIED.into(), prefix_len: 0 };
        self.seen
            .range(first..)
            .take_while(|(key, _)| key.interface == *interface)
            .filter(|(_, seen)| !seen.ours)
            .filter_map(|(key, seen)| match key.address {
                IpAddr::V4(address) => Some((seen.rank, address)),
                IpAddr::V6(_) => None,
            })
            .filter(|(_, address)| !except.iter().any(|vip| vip.address == IpAddr::V4(*address)))
            .min()
            .map(|(_, address)| address)
    }

    /// Mentions, once each, the addresses of `vips` that somebody else put there.
    pub fn note_foreign<'a>(&mut self, vips: impl Iterator<Item = &'a InterfaceAddress>, out: &mut Outbox) {
        let foreign: BTreeSet<AddressKey> =
            vips.map(InterfaceAddress::key).filter(|key| self.seen.get(key).is_some_and(|seen| !seen.ours)).collect();
        for address in foreign.difference(&self.foreign) {
            out.decide(Decision::AddressNotOurs { address: address.clone() });
        }
        self.foreign = foreign;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::Scope;
    use crate::machine::Output;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn vip(last: u8) -> InterfaceAddress {
        InterfaceAddress {
            interface: InterfaceName::new("eth0"),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
            prefix_len: 24,
            broadcast: None,
            label: None,
            scope: Scope::Global,
            no_prefix_route: false,
        }
    }

    fn seen(ours: bool, applied: Option<InterfaceAddress>) -> Seen {
        Seen { ours, applied, rank: 0 }
    }

    fn observed(address: &InterfaceAddress, ours: bool) -> ObservedAddress {
        ObservedAddress { key: address.key(), ours }
    }

    fn settle(book: &mut AddressBook, now: u64) -> Vec<Output<Effect>> {
        let mut out = Outbox::default();
        book.settle(Instant::from_millis(now), &mut out);
        out.into_iter().collect()
    }

    #[test]
    fn adds_in_the_order_of_the_file_after_removing() {
        let observed = BTreeMap::from([(vip(9).key(), seen(true, None)), (vip(5).key(), seen(false, None))]);
        let ops = reconcile(&[&vip(3), &vip(1), &vip(5), &vip(3)], &observed);
        assert_eq!(
            ops,
            [AddressOp::Remove(vip(9).key()), AddressOp::Add(vip(3)), AddressOp::Add(vip(1))],
            "5 is somebody else's and there already; 3 is wanted twice and added once"
        );
    }

    #[test]
    fn a_changed_label_is_put_on_anew() {
        let labelled = InterfaceAddress { label: Some(Arc::from("eth0:1")), ..vip(1) };
        let observed = BTreeMap::from([(vip(1).key(), seen(true, Some(vip(1))))]);
        assert_eq!(reconcile(&[&vip(1)], &observed), []);
        let ops = reconcile(&[&labelled], &observed);
        assert_eq!(ops, [AddressOp::Remove(vip(1).key()), AddressOp::Add(labelled)]);
    }

    #[test]
    fn what_somebody_takes_off_comes_back_and_is_told() {
        let mut book = AddressBook::default();
        book.want(1, vec![vip(1)]);
        assert_eq!(settle(&mut book, 0), [Effect::AddAddress(vip(1)).into()]);
        assert_eq!(settle(&mut book, 0), []);
        let restored = [
            Effect::AddAddress(vip(1)).into(),
            Effect::Announce { interface: vip(1).interface, address: vip(1).address }.into(),
            Output::Decide(Decision::AddressRestored { address: vip(1) }),
        ];
        book.changed(observed(&vip(1), true), false);
        assert_eq!(settle(&mut book, 1), restored);
        book.read(vec![]);
        assert_eq!(settle(&mut book, 2), restored);
        book.release(1);
        assert_eq!(settle(&mut book, 3), [Effect::RemoveAddress(vip(1).key()).into()]);
        book.changed(observed(&vip(1), true), false);
        assert_eq!(settle(&mut book, 4), [], "our own removal is no loss");
    }

    #[test]
    fn what_a_predecessor_left_goes_and_what_is_not_ours_stays() {
        let mut book = AddressBook::default();
        book.read(vec![observed(&vip(1), true), observed(&vip(2), false)]);
        assert_eq!(
            settle(&mut book, 0),
            [
                Effect::RemoveAddress(vip(1).key()).into(),
                Output::Decide(Decision::LeftoverRemoved { address: vip(1).key() })
            ]
        );
        book.want(1, vec![vip(2)]);
        assert_eq!(settle(&mut book, 0), []);
        book.release(1);
        assert_eq!(settle(&mut book, 0), []);
    }

    /// Linux before 5.18 keeps no protocol number: what this process put there is still known to be ours.
    #[test]
    fn a_kernel_that_forgets_whose_an_address_is() {
        let mut book = AddressBook::default();
        book.want(1, vec![vip(1)]);
        settle(&mut book, 0);
        book.changed(observed(&vip(1), false), true);
        book.read(vec![observed(&vip(1), false)]);
        assert_eq!(settle(&mut book, 1), []);
        book.release(1);
        assert_eq!(settle(&mut book, 2), [Effect::RemoveAddress(vip(1).key()).into()]);
    }

    #[test]
    fn two_holders_of_one_address_share_it() {
        let mut book = AddressBook::default();
        book.want(1, vec![vip(1)]);
        book.want(2, vec![vip(1)]);
        assert_eq!(settle(&mut book, 0).len(), 1);
        book.release(1);
        assert_eq!(settle(&mut book, 0), []);
        book.release(2);
        assert_eq!(settle(&mut book, 0), [Effect::RemoveAddress(vip(1).key()).into()]);
    }

    #[test]
    fn a_failed_address_is_tried_again_after_a_second() {
        let mut book = AddressBook::default();
        book.want(1, vec![vip(1)]);
        settle(&mut book, 0);
        book.add_failed(vip(1).key(), Instant::from_millis(5));
        assert_eq!(book.retry_at(), Some(Instant::from_millis(1005)));
        assert_eq!(settle(&mut book, 1004), []);
        assert_eq!(settle(&mut book, 1005), [Effect::AddAddress(vip(1)).into()]);
        assert_eq!(book.retry_at(), None);
        book.add_failed(vip(1).key(), Instant::from_millis(1006));
        book.release(1);
        assert_eq!(settle(&mut book, 1006), []);
        assert_eq!(book.retry_at(), None, "nobody wants it any more");
    }

    #[test]
    fn the_primary_address_is_the_kernels_first_own_one() {
        let mut book = AddressBook::default();
        let eth0 = InterfaceName::new("eth0");
        assert_eq!(book.primary(&eth0, &[]), None);
        book.read(vec![observed(&vip(200), true), observed(&vip(9), false), observed(&vip(3), false)]);
        assert_eq!(book.primary(&eth0, &[]), Some(Ipv4Addr::new(10, 0, 0, 9)));
        assert_eq!(book.primary(&eth0, &[vip(9)]), Some(Ipv4Addr::new(10, 0, 0, 3)), "9 is a VIP");
        assert_eq!(book.primary(&InterfaceName::new("eth1"), &[]), None);
        book.changed(observed(&vip(9), false), false);
        assert_eq!(book.primary(&eth0, &[]), Some(Ipv4Addr::new(10, 0, 0, 3)));
    }

    proptest! {
        /// Carried out, the operations lead to what is desired; nothing of somebody else's is touched; a second
        /// reconcile finds nothing to do.
        #[test]
        fn reconcile_reaches_what_is_desired(
            desired in proptest::collection::vec((0u8..12, any::<bool>()), 0..8),
            there in proptest::collection::btree_map(0u8..12, (any::<bool>(), any::<bool>()), 0..12),
        ) {
            let address = |(n, label): (u8, bool)| InterfaceAddress { label: label.then(|| Arc::from("eth0:1")), ..vip(n) };
            let desired: Vec<_> = desired.into_iter().map(address).collect();
            let desired: Vec<_> = desired.iter().collect();
            let mut observed: BTreeMap<_, _> = there
                .iter()
                .map(|(n, (ours, known))| (vip(*n).key(), seen(*ours, (*ours && *known).then(|| vip(*n)))))
                .collect();
            let foreign: Vec<_> = observed.iter().filter(|(_, s)| !s.ours).map(|(k, _)| k.clone()).collect();
            for op in reconcile(&desired, &observed) {
                match op {
                    AddressOp::Remove(key) => {
                        prop_assert!(!foreign.contains(&key));
                        prop_assert!(observed.remove(&key).is_some());
                    }
                    AddressOp::Add(address) => {
                        prop_assert!(!foreign.contains(&address.key()));
                        prop_assert!(observed.insert(address.key(), seen(true, Some(address))).is_none());
                    }
                }
            }
            let wanted: BTreeSet<_> = desired.iter().map(|a| a.key()).collect();
            prop_assert!(wanted.iter().all(|key| observed.contains_key(key)));
            prop_assert!(observed.iter().all(|(key, seen)| wanted.contains(key) || !seen.ours));
            prop_assert_eq!(reconcile(&desired, &observed), []);
        }
    }
}
