use super::*;
use crate::interface::Scope;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const ONE: Holder = Holder::Router(1);
const TWO: Holder = Holder::Router(2);

fn vip(last: u8) -> InterfaceAddress {
    InterfaceAddress {
        interface: InterfaceName::new("eth0"),
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
        prefix_len: 24,
        broadcast: None,
        label: None,
        scope: Scope::Global,
        no_prefix_route: false,
        permanent: false,
    }
}

fn observed(address: &InterfaceAddress, ours: bool) -> ObservedAddress {
    ObservedAddress { key: address.key(), ours }
}

fn add(address: InterfaceAddress) -> Change {
    Change::Add { address, restored: false, retried: false }
}

fn remove(address: &InterfaceAddress) -> Change {
    Change::Remove { key: address.key(), left_behind: false }
}

fn settle(book: &mut AddressBook, now: u64) -> Vec<Change> {
    book.settle(Instant::from_millis(now), usize::MAX)
}

#[test]
fn adds_in_the_order_of_the_file_after_removing() {
    let mut book = AddressBook::default();
    book.read(vec![observed(&vip(9), true), observed(&vip(5), false)]);
    book.want(ONE, [vip(3), vip(1), vip(5), vip(3)].into());
    assert_eq!(
        settle(&mut book, 0),
        [Change::Remove { key: vip(9).key(), left_behind: true }, add(vip(3)), add(vip(1))],
        "5 is somebody else's and there already; 3 is wanted twice and added once"
    );
    assert_eq!(settle(&mut book, 0), []);
}

#[test]
fn a_changed_label_is_put_on_anew() {
    let labelled = InterfaceAddress { label: Some(Arc::from("eth0:1")), ..vip(1) };
    let mut book = AddressBook::default();
    book.want(ONE, [vip(1)].into());
    settle(&mut book, 0);
    book.want(ONE, [labelled.clone()].into());
    assert_eq!(settle(&mut book, 1), [remove(&vip(1)), add(labelled)]);
}

#[test]
fn what_somebody_takes_off_comes_back_and_is_told() {
    let mut book = AddressBook::default();
    book.want(ONE, [vip(1)].into());
    assert_eq!(settle(&mut book, 0), [add(vip(1))]);
    let restored = [Change::Add { address: vip(1), restored: true, retried: false }];
    assert!(book.observe(observed(&vip(1), true), false));
    assert_eq!(settle(&mut book, 1), restored);
    book.read(vec![]);
    assert_eq!(settle(&mut book, 2), [], "whoever insists gets no storm");
    assert_eq!(book.next(), Some(Instant::from_millis(101)));
    book.wake(Instant::from_millis(101));
    assert_eq!(settle(&mut book, 101), restored);
    book.release(ONE);
    assert_eq!(settle(&mut book, 103), [remove(&vip(1))]);
    assert!(!book.observe(observed(&vip(1), true), false));
    assert_eq!(settle(&mut book, 104), [], "our own removal is no loss");
}

#[test]
fn what_a_predecessor_left_goes_and_what_is_not_ours_stays() {
    let mut book = AddressBook::default();
    book.read(vec![observed(&vip(1), true), observed(&vip(2), false)]);
    assert_eq!(settle(&mut book, 0), [Change::Remove { key: vip(1).key(), left_behind: true }]);
    book.want(ONE, [vip(2)].into());
    assert_eq!(settle(&mut book, 0), []);
    book.release(ONE);
    assert_eq!(settle(&mut book, 0), []);
}

/// Linux before 5.18 keeps no protocol number: what this process put there is still known to be ours.
#[test]
fn a_kernel_that_forgets_whose_an_address_is() {
    let mut book = AddressBook::default();
    book.want(ONE, [vip(1)].into());
    settle(&mut book, 0);
    book.observe(observed(&vip(1), false), true);
    book.read(vec![observed(&vip(1), false)]);
    assert_eq!(settle(&mut book, 1), []);
    book.release(ONE);
    assert_eq!(settle(&mut book, 2), [remove(&vip(1))]);
}

#[test]
fn two_holders_of_one_address_share_it() {
    let mut book = AddressBook::default();
    book.want(ONE, [vip(1)].into());
    book.want(TWO, [vip(1)].into());
    assert_eq!(settle(&mut book, 0), [add(vip(1))]);
    book.release(ONE);
    assert_eq!(settle(&mut book, 0), []);
    book.release(TWO);
    assert_eq!(settle(&mut book, 0), [remove(&vip(1))]);
}

#[test]
fn a_failed_address_is_tried_again_after_a_second() {
    let mut book = AddressBook::default();
    book.want(ONE, [vip(1)].into());
    settle(&mut book, 0);
    book.add_failed(vip(1).key(), Instant::from_millis(5));
    assert_eq!((book.next(), book.held()), (Some(Instant::from_millis(1005)), 0));
    book.wake(Instant::from_millis(1004));
    assert_eq!(settle(&mut book, 1004), []);
    book.wake(Instant::from_millis(1005));
    assert_eq!(settle(&mut book, 1005), [Change::Add { address: vip(1), restored: false, retried: true }]);
    assert_eq!(book.next(), None);
    book.add_failed(vip(1).key(), Instant::from_millis(1006));
    book.release(ONE);
    assert_eq!(settle(&mut book, 1006), []);
    assert_eq!(book.next(), None, "nobody wants it any more");
}

#[test]
fn many_additions_come_in_turns_and_none_is_lost() {
    let mut book = AddressBook::default();
    book.want(ONE, [vip(3), vip(1), vip(2)].into());
    assert_eq!(book.settle(Instant::ZERO, 2), [add(vip(3)), add(vip(1))]);
    assert_eq!((book.next(), book.held()), (Some(Instant::ZERO), 2));
    assert_eq!(book.settle(Instant::ZERO, 2), [add(vip(2))]);
    assert_eq!((book.next(), book.held()), (None, 3));
}

#[test]
fn what_is_held_is_renewed_in_turns() {
    let mut book = AddressBook::default();
    book.read(vec![observed(&vip(4), false)]);
    book.want(ONE, [vip(1), vip(2), vip(3), vip(4)].into());
    settle(&mut book, 0);
    let turn = |book: &AddressBook, last: Option<u8>| -> Vec<InterfaceAddress> {
        book.held_after(last.map(|last| vip(last).key()).as_ref(), 2).to_vec()
    };
    assert_eq!(turn(&book, None), [vip(1), vip(2)]);
    assert_eq!(turn(&book, Some(2)), [vip(3), vip(1)], "4 is somebody else's, and then from the beginning");
    assert_eq!(turn(&book, Some(3)), [vip(1), vip(2)]);
    book.observe(observed(&vip(1), true), false);
    assert_eq!(turn(&book, Some(9)), [vip(2), vip(3)]);
}

#[test]
fn holders_hear_of_what_came_and_went() {
    let mut book = AddressBook::default();
    book.want(ONE, [vip(1)].into());
    settle(&mut book, 0);
    assert_eq!(book.take_changed(), BTreeSet::from([ONE]));
    book.want(TWO, [vip(2)].into());
    assert_eq!(book.take_changed(), BTreeSet::from([TWO]));
    book.observe(observed(&vip(1), true), false);
    assert_eq!(book.take_changed(), BTreeSet::from([ONE]));
    assert_eq!(book.take_changed(), BTreeSet::new());
}

#[test]
fn an_address_of_somebody_elses_is_told_once_for_as_long_as_it_is_there() {
    let mut book = AddressBook::default();
    book.read(vec![observed(&vip(1), false), observed(&vip(2), false)]);
    book.name_vips([vip(1).key()].into_iter());
    assert_eq!(book.take_foreign(), [vip(1).key()]);
    book.read(vec![observed(&vip(1), false)]);
    book.name_vips([vip(1).key()].into_iter());
    assert_eq!(book.take_foreign(), []);
    book.observe(observed(&vip(1), false), false);
    book.observe(observed(&vip(1), false), true);
    assert_eq!(book.take_foreign(), [vip(1).key()]);
}

#[test]
fn the_primary_address_is_the_kernels_first_own_one() {
    let mut book = AddressBook::default();
    let eth0 = InterfaceName::new("eth0");
    let primary = |book: &AddressBook, except: &[InterfaceAddress]| book.primary(&eth0, except, Some);
    assert_eq!(primary(&book, &[]), None);
    book.read(vec![observed(&vip(200), true), observed(&vip(9), false), observed(&vip(3), false)]);
    assert_eq!(primary(&book, &[]), Some(vip(9).address));
    assert_eq!(primary(&book, &[vip(9)]), Some(vip(3).address), "9 is a VIP");
    assert_eq!(book.primary(&InterfaceName::new("eth1"), &[], Some), None);
    book.observe(observed(&vip(9), false), false);
    assert_eq!(primary(&book, &[]), Some(vip(3).address));
}

/// What may happen to a book.
#[derive(Clone, Debug)]
enum Happens {
    Want(u32, Vec<(u8, bool)>),
    Observe(u8, bool, bool),
    Read(Vec<(u8, bool)>),
    Fail(u8),
    Settle(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    let address = || 0u8..8;
    prop_oneof![
        (0u32..3, proptest::collection::vec((address(), any::<bool>()), 0..4))
            .prop_map(|(who, what)| Happens::Want(who, what)),
        (address(), any::<bool>(), any::<bool>()).prop_map(|(n, ours, present)| Happens::Observe(n, ours, present)),
        proptest::collection::vec((address(), any::<bool>()), 0..5).prop_map(Happens::Read),
        address().prop_map(Happens::Fail),
        (1usize..4).prop_map(Happens::Settle),
    ]
}

proptest! {
    /// Whatever happens: once settled, all that is wanted is there and all that is ours is wanted; nothing of somebody
    /// else's is touched; and what the book says is held is what a look at everything finds.
    #[test]
    fn settling_what_changed_is_as_good_as_settling_everything(steps in proptest::collection::vec(happens(), 0..24)) {
        let address = |n: u8, label: bool| InterfaceAddress { label: label.then(|| Arc::from("eth0:1")), ..vip(n) };
        let mut book = AddressBook::default();
        let mut wanted: BTreeMap<Holder, Vec<InterfaceAddress>> = BTreeMap::new();
        let mut now = Instant::from_millis(0);
        let carry_out = |changes: Vec<Change>, before: &AddressBook| -> Result<(), TestCaseError> {
            for change in changes {
                let key = match change {
                    Change::Remove { key, .. } => key,
                    Change::Add { address, .. } => address.key(),
                };
                prop_assert!(before.seen.get(&key).is_none_or(|seen| seen.ours), "somebody else's");
            }
            Ok(())
        };
        for step in steps {
            now = now + Duration::from_millis(10);
            match step {
                Happens::Want(who, what) => {
                    let list: Vec<_> = what.into_iter().map(|(n, label)| address(n, label)).collect();
                    book.want(Holder::Router(who), list.clone().into());
                    wanted.insert(Holder::Router(who), list);
                }
                Happens::Observe(n, ours, present) => {
                    book.observe(observed(&vip(n), ours), present);
                }
                Happens::Read(all) => {
                    let once: BTreeMap<u8, bool> = all.into_iter().collect();
                    book.read(once.into_iter().map(|(n, ours)| observed(&vip(n), ours)).collect());
                }
                Happens::Fail(n) => {
                    if book.seen.get(&vip(n).key()).is_some_and(|seen| seen.applied.is_some()) {
                        book.add_failed(vip(n).key(), now);
                    }
                }
                Happens::Settle(most) => {
                    let before = book.clone();
                    carry_out(book.settle(now, most), &before)?;
                }
            }
        }
        now = now + RETRY;
        book.wake(now);
        let before = book.clone();
        carry_out(book.settle(now, usize::MAX), &before)?;
        prop_assert_eq!(book.settle(now, usize::MAX), []);
        prop_assert_eq!(book.next(), None);
        let keys: BTreeSet<_> = wanted.values().flatten().map(InterfaceAddress::key).collect();
        prop_assert!(keys.iter().all(|key| book.seen.contains_key(key)));
        prop_assert!(book.seen.iter().all(|(key, seen)| keys.contains(key) || !seen.ours));
        let held: BTreeSet<_> = keys.iter().filter(|key| book.seen[*key].ours).cloned().collect();
        prop_assert_eq!(&held, &book.held);
        for (key, seen) in &book.seen {
            let first = wanted.values().flatten().find(|address| address.key() == *key);
            prop_assert!(seen.applied.is_none() || seen.applied.as_ref() == first);
        }
        let foreign: usize = book.foreign.values().map(BTreeSet::len).sum();
        prop_assert_eq!(foreign, book.seen.values().filter(|seen| !seen.ours).count());
    }
}
