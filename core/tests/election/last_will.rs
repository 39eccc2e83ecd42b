//! What an Election would leave is what an orderly stop would do, whatever happened before; and it says when that changes.

use crate::timeline::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::datagram::Datagram;
use vipward_core::interface::{AddressKey, Link};
use vipward_core::machine::{LastWill, LeavesWill};
use vipward_core::machine::{Machine, Reason};
use vipward_core::quantity::{Role, Vrid};
use vipward_core::supervisor::{Guarded, HEARTBEAT, Report, ReportSink};
use vipward_core::time::Instant;
use vipward_core::vrrp::{Effect, Election, Event, Input};

/// What the stop of this very director would send and take off.
fn stop(election: &Election, now: Instant) -> (Vec<Datagram>, BTreeSet<AddressKey>) {
    let effects = election.clone().handle(Input::Stop, now);
    let datagrams = effects.effects().filter_map(|effect| match effect {
        Effect::SendAdvert(datagram) => Some(datagram.clone()),
        _ => None,
    });
    let removed = effects.effects().filter_map(|effect| match effect {
        Effect::RemoveAddress(key) => Some(key.clone()),
        _ => None,
    });
    (datagrams.collect(), removed.collect())
}

fn whole(shares: &BTreeMap<u32, LastWill>) -> (Vec<Datagram>, BTreeSet<AddressKey>) {
    let mut whole = LastWill::default();
    shares.values().cloned().for_each(|share| whole.append(share));
    (whole.datagrams, whole.addresses.into_iter().collect())
}

#[test]
fn a_master_leaves_a_goodbye_and_its_addresses_and_a_backup_nothing() {
    let mut t = Timeline::of(vec![router()]);
    assert_eq!(t.election.last_will(), BTreeMap::new());
    t.becomes_master();
    let (datagrams, addresses) = whole(&t.election.last_will());
    assert_eq!(datagrams.iter().map(|datagram| datagram.payload[2]).collect::<Vec<_>>(), [0], "priority 0");
    assert_eq!(addresses, BTreeSet::from([vip(100).key()]));
    t.stops();
    assert_eq!(t.election.last_will(), BTreeMap::new());
}

#[test]
fn what_somebody_else_put_there_is_not_left_to_be_taken_off() {
    let mut t = Timeline::of(vec![VirtualRouterConfig { addresses: vec![vip(100), vip(101)], ..router() }]);
    t.somebody(101, true);
    t.becomes_master();
    let (_, addresses) = whole(&t.election.last_will());
    assert_eq!(addresses, BTreeSet::from([vip(100).key()]));
}

/// A second router, which shares an address with the first.
fn second() -> VirtualRouterConfig {
    let (name, vrid) = ("W".into(), Vrid::new(52).unwrap());
    VirtualRouterConfig { name, vrid, addresses: vec![vip(100), vip(102)], ..router() }
}

fn configured(two: bool, more: bool) -> Vec<VirtualRouterConfig> {
    let first =
        VirtualRouterConfig { addresses: if more { vec![vip(100), vip(101)] } else { vec![vip(100)] }, ..router() };
    if two { vec![first, second()] } else { vec![first] }
}

/// Anything that may change what is wanted or what is there, whether it makes sense or not.
fn input() -> impl Strategy<Value = Input> {
    let host = || prop_oneof![1 => Just(ME), 1 => Just(ME + 1), 4 => 100u8..104];
    let address = move || (host(), any::<bool>()).prop_map(|(host, ours)| observed(host, ours && host >= 100));
    let event = |event: Event| Input::from(event);
    prop_oneof![
        4 => Just(Input::Wakeup),
        2 => (address(), any::<bool>())
            .prop_map(move |(address, present)| event(Event::AddressChanged { address, present })),
        1 => proptest::collection::vec(address(), 0..6).prop_map(move |read| event(Event::AddressesRead(read))),
        1 => any::<bool>()
            .prop_map(move |running| event(Event::LinkChanged(Link { name: eth(0), running }))),
        1 => any::<bool>().prop_map(move |better| {
            let it = if better { peer(9, 200) } else { peer(2, 50) };
            event(Event::AdvertReceived(it.datagram()))
        }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(two, more)| {
            Input::ConfigLoaded { config: Arc::new(config(configured(two, more), vec![])), seed: 0 }
        }),
        1 => (100u8..104).prop_map(|host| Input::Failed {
            effect: Box::new(Effect::AddAddress(vip(host))),
            error: "no".to_owned(),
        }),
    ]
}

proptest! {
    #[test]
    fn a_last_will_is_what_a_stop_would_do_and_every_change_of_it_is_told(
        steps in proptest::collection::vec((1u64..1500, input()), 1..80)
    ) {
        let mut election = Timeline::of(configured(true, false)).election;
        let mut millis = 0;
        let mut told: BTreeMap<u32, LastWill> = election.changed_shares().into_iter().collect();
        told.retain(|_, share| !share.is_empty());
        for (pause, input) in steps {
            millis += pause;
            let now = Instant::from_millis(millis);
            election.handle(input, now);
            told.extend(election.changed_shares());
            told.retain(|_, share| !share.is_empty());
            let after = election.last_will();
            let (datagrams, addresses) = whole(&after);
            let (sent, removed) = stop(&election, now);
            prop_assert_eq!(datagrams, sent);
            prop_assert!(addresses.is_subset(&removed), "{:?} of {:?}", addresses, removed);
            // What was left behind, and what nobody wants any more, goes with the first settling, also at a stop.
            let wanted: BTreeSet<AddressKey> =
                election.routers().iter().filter(|it| it.role() == Role::Master).flat_map(|it| it.addresses()).map(|it| it.key()).collect();
            prop_assert!(removed.difference(&addresses).all(|key| !wanted.contains(key)));
            prop_assert_eq!(&told, &after, "what was told bit by bit");
        }
    }
}

/// A supervisor's ear that takes `room` reports.
#[derive(Clone)]
struct Ear(Rc<RefCell<(usize, Vec<Report>)>>);

impl ReportSink for Ear {
    fn report(&mut self, report: Report) -> bool {
        let (room, heard) = &mut *self.0.borrow_mut();
        let taken = *room > 0;
        if taken {
            *room -= 1;
            heard.push(report);
        }
        taken
    }
}

impl Ear {
    fn heard(&self) -> Vec<String> {
        let heard = std::mem::take(&mut self.0.borrow_mut().1);
        let say = |report| match report {
            Report::Alive { .. } => "alive".to_owned(),
            Report::LastWill { share, part, .. } => {
                format!("{share}: {} {}", part.datagrams.len(), part.addresses.len())
            }
            other => format!("{other:?}"),
        };
        heard.into_iter().map(say).collect()
    }
}

struct Guard {
    machine: Guarded<Election, Ear>,
    ear: Ear,
}

impl Guard {
    fn of(routers: Vec<VirtualRouterConfig>) -> Self {
        let t = Timeline::of(routers);
        let ear = Ear(Rc::new(RefCell::new((usize::MAX, Vec::new()))));
        Self { machine: Guarded::new(t.election, ear.clone()), ear }
    }

    /// Lives on to `seconds`, woken whenever it wants to be. What it then hears of.
    fn until(&mut self, seconds: &str) -> Vec<String> {
        while let Some((at, _)) = self.machine.next_wakeup().filter(|(at, _)| *at <= instant(seconds)) {
            self.machine.handle(Input::Wakeup, at);
        }
        self.ear.heard()
    }
}

#[test]
fn a_guarded_machine_shows_that_its_loop_turns_and_is_not_woken_for_it_itself() {
    let mut guard = Guard::of(vec![router()]);
    assert_eq!(guard.until("1"), ["alive"; 6]);
    let (at, reason) = guard.machine.next_wakeup().unwrap();
    assert_eq!((at, reason), (instant("1") + HEARTBEAT, Reason::Heartbeat));
}

#[test]
fn a_last_will_is_told_in_the_step_that_changes_it_and_not_again() {
    let mut guard = Guard::of(vec![router(), second()]);
    assert_eq!(guard.until("3").len(), 16);
    // Both become MASTER at 3.609 s and advertise from then on.
    let heard: Vec<String> = guard.until("9").into_iter().filter(|said| said != "alive").collect();
    assert_eq!(heard, ["1: 1 1", "2: 1 2"]);
    guard.machine.handle(Input::Stop, instant("9"));
    let heard: Vec<String> = guard.ear.heard().into_iter().filter(|said| said != "alive").collect();
    assert_eq!(heard, ["1: 0 0", "2: 0 0"]);
}

#[test]
fn what_finds_no_room_is_told_later_and_nothing_twice() {
    let mut guard = Guard::of(vec![router(), second()]);
    guard.until("3.6");
    guard.ear.0.borrow_mut().0 = 1;
    assert_eq!(guard.until("3.7"), ["1: 1 1"], "then the supervisor is slow");
    guard.ear.0.borrow_mut().0 = usize::MAX;
    let heard: Vec<String> = guard.until("5").into_iter().filter(|said| said != "alive").collect();
    assert_eq!(heard, ["2: 1 2"]);
}
