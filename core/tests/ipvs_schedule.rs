//! The schedulers in user space.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use vipward_core::ipvs::{
    Algorithm, Connections, Destination, Forwarding, Persistence, Picker, Scheduler, Service, ServiceEntry,
};
use vipward_core::time::Instant;

fn real(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 80))
}

fn client(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0xc633_6400 + n))
}

/// A service of destinations 1, 2, 3 ... with these weights.
fn service(scheduler: &str, weights: &[u32]) -> ServiceEntry {
    let destinations = (1..).zip(weights).map(|(n, weight)| {
        let destination =
            Destination { weight: *weight, forwarding: Forwarding::Nat, upper_threshold: 0, lower_threshold: 0 };
        (real(n), destination)
    });
    ServiceEntry {
        service: Service {
            scheduler: Scheduler(scheduler.into()),
            persistence: None,
            flags: Default::default(),
            persistence_engine: None,
        },
        destinations: destinations.collect(),
    }
}

/// The last byte of each destination that is picked, for as many connections that all stay open.
struct Relay {
    entry: ServiceEntry,
    picker: Picker,
    open: BTreeMap<SocketAddr, Connections>,
}

impl Relay {
    fn new(entry: ServiceEntry) -> Self {
        Self { entry, picker: Picker::default(), open: BTreeMap::new() }
    }

    fn connect(&mut self, from: IpAddr, at: u64) -> Option<u8> {
        let open = &self.open;
        let count = |address| open.get(&address).copied().unwrap_or_default();
        let chosen = self.picker.pick(&self.entry, from, count, Instant::from_millis(at * 1000))?;
        self.open.entry(chosen).or_default().active += 1;
        let IpAddr::V4(address) = chosen.ip() else { panic!() };
        Some(address.octets()[3])
    }

    fn picks(&mut self, times: u32) -> Vec<u8> {
        (0..times).map(|n| self.connect(client(n), 0).unwrap_or(0)).collect()
    }

    fn close(&mut self, n: u8) {
        self.open.get_mut(&real(n)).unwrap().active -= 1;
    }
}

#[test]
fn rr_takes_turns_whatever_the_weights() {
    assert_eq!(Relay::new(service("rr", &[1, 5, 0, 1])).picks(7), [1, 2, 4, 1, 2, 4, 1]);
}

#[test]
fn rr_goes_on_behind_a_destination_that_vanished() {
    let mut relay = Relay::new(service("rr", &[1, 1, 1]));
    assert_eq!(relay.picks(2), [1, 2]);
    relay.entry.destinations.remove(&real(2));
    assert_eq!(relay.picks(3), [3, 1, 3]);
}

/// The example of the Linux Virtual Server documentation: weights 4, 3, 2 give AABABCABC.
#[test]
fn wrr_is_proportional_and_interleaved() {
    assert_eq!(
        Relay::new(service("wrr", &[4, 3, 2])).picks(18),
        [1, 1, 2, 1, 2, 3, 1, 2, 3, 1, 1, 2, 1, 2, 3, 1, 2, 3]
    );
}

#[test]
fn wrr_with_a_common_divisor_does_not_linger() {
    assert_eq!(Relay::new(service("wrr", &[200, 100])).picks(6), [1, 1, 2, 1, 1, 2]);
}

#[test]
fn wrr_follows_weights_that_change() {
    let mut relay = Relay::new(service("wrr", &[9, 1]));
    relay.picks(3);
    relay.entry = service("wrr", &[1, 3]);
    let picks = relay.picks(40);
    assert_eq!(picks.iter().filter(|n| **n == 2).count(), 30);
}

#[test]
fn lc_levels_active_connections_and_wlc_by_weight() {
    assert_eq!(Relay::new(service("lc", &[1, 9])).picks(4), [1, 2, 1, 2]);
    let picks = Relay::new(service("wlc", &[1, 3])).picks(40);
    assert_eq!(picks.iter().filter(|n| **n == 2).count(), 30);
}

/// An inactive connection counts as 1/256 of an active one.
#[test]
fn lc_minds_inactive_connections_last() {
    let mut relay = Relay::new(service("lc", &[1, 1]));
    relay.open.insert(real(1), Connections { active: 0, inactive: 255 });
    relay.open.insert(real(2), Connections { active: 1, inactive: 0 });
    assert_eq!(relay.connect(client(1), 0), Some(1));
    relay.open.insert(real(1), Connections { active: 0, inactive: 257 });
    assert_eq!(relay.connect(client(1), 0), Some(2));
}

#[test]
fn sh_sends_a_client_always_to_the_same_and_clients_by_weight() {
    let mut relay = Relay::new(service("sh", &[1, 3]));
    let mut to_second = 0;
    for n in 0..4000 {
        let first = relay.connect(client(n), 0);
        assert_eq!(relay.connect(client(n), 0), first);
        to_second += u32::from(first == Some(2));
    }
    assert!((2700..3300).contains(&to_second), "{to_second} of 4000, expected three quarters");
}

/// `sh-fallback` is off: the clients of a dead server are refused, the others are not moved about.
#[test]
fn sh_refuses_clients_of_a_destination_with_weight_0() {
    let before: Vec<_> = (0..200).map(|n| Relay::new(service("sh", &[1, 1])).connect(client(n), 0)).collect();
    let mut relay = Relay::new(service("sh", &[1, 0]));
    for (n, before) in (0..).zip(before) {
        let expected = before.filter(|n| *n == 1);
        assert_eq!(relay.connect(client(n), 0), expected);
    }
}

#[test]
fn a_full_destination_takes_none_until_it_is_below_its_lower_threshold() {
    let mut relay = Relay::new(service("rr", &[1, 1]));
    let first = relay.entry.destinations.get_mut(&real(1)).unwrap();
    (first.upper_threshold, first.lower_threshold) = (3, 2);
    assert_eq!(relay.picks(8), [1, 2, 1, 2, 1, 2, 2, 2]);
    relay.close(1);
    assert_eq!(relay.picks(2), [2, 2], "2 open, not below 2");
    relay.close(1);
    assert_eq!(relay.picks(2), [1, 2], "1 open");
}

/// It was full for a moment, and nobody asked meanwhile.
#[test]
fn a_destination_that_was_full_stays_closed_though_nobody_knocked() {
    let mut relay = Relay::new(service("rr", &[1]));
    let only = relay.entry.destinations.get_mut(&real(1)).unwrap();
    (only.upper_threshold, only.lower_threshold) = (3, 2);
    assert_eq!(relay.picks(3), [1, 1, 1]);
    relay.close(1);
    assert_eq!(relay.picks(1), [0]);
}

#[test]
fn without_a_lower_threshold_three_quarters_of_the_upper_count() {
    let mut relay = Relay::new(service("rr", &[1]));
    relay.entry.destinations.get_mut(&real(1)).unwrap().upper_threshold = 4;
    assert_eq!(relay.picks(5), [1, 1, 1, 1, 0]);
    relay.close(1);
    assert_eq!(relay.picks(1), [0], "3 of 4 is three quarters");
    relay.close(1);
    assert_eq!(relay.picks(1), [1]);
}

mod persistence {
    use super::*;

    fn sticky(weights: &[u32], netmask: Ipv4Addr) -> Relay {
        let mut entry = service("rr", weights);
        entry.service.persistence = Some(Persistence { netmask, ..Persistence::each_client(300) });
        Relay::new(entry)
    }

    #[test]
    fn a_client_keeps_its_destination_until_the_timeout_after_its_last_connection() {
        let mut relay = sticky(&[1, 1], Ipv4Addr::BROADCAST);
        let mut connect = |n, at| relay.connect(client(n), at).unwrap();
        assert_eq!([connect(1, 0), connect(2, 1), connect(1, 2)], [1, 2, 1]);
        assert_eq!([connect(1, 301), connect(2, 302)], [1, 1], "client 2 was forgotten at 301 s");
        assert_eq!(connect(1, 600), 1, "client 1 came again at 301 s");
        assert_eq!(connect(1, 900), 2, "and is forgotten at 900 s");
    }

    #[test]
    fn the_netmask_makes_neighbours_one_client() {
        let mut relay = sticky(&[1, 1], Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(relay.picks(3), [1, 1, 1]);
        assert_eq!(relay.connect(client(256), 0), Some(2));
    }

    #[test]
    fn a_prefix_makes_ipv6_neighbours_one_client() {
        let mut entry = service("rr", &[1, 1]);
        let mut picks = |prefix: u8, clients: [&str; 3]| {
            entry.service.persistence = Some(Persistence { prefix, ..Persistence::each_client(300) });
            let mut relay = Relay::new(entry.clone());
            clients.map(|client| relay.connect(client.parse().unwrap(), 0).unwrap())
        };
        assert_eq!(picks(64, ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]), [1, 1, 2]);
        assert_eq!(picks(128, ["2001:db8::1", "2001:db8::2", "2001:db8::1"]), [1, 2, 1]);
        assert_eq!(picks(1, ["2001:db8::1", "7fff::2", "8000::1"]), [1, 1, 2]);
    }

    #[test]
    fn a_destination_that_is_gone_or_quiescent_loses_its_clients() {
        let mut relay = sticky(&[1, 1], Ipv4Addr::BROADCAST);
        assert_eq!(relay.connect(client(1), 0), Some(1));
        relay.entry.destinations.get_mut(&real(1)).unwrap().weight = 0;
        assert_eq!(relay.connect(client(1), 1), Some(2));
        relay.entry.destinations.remove(&real(2));
        assert_eq!(relay.connect(client(1), 2), None);
    }

    #[test]
    fn templates_are_forgotten() {
        let mut relay = sticky(&[1], Ipv4Addr::BROADCAST);
        relay.picks(1000);
        assert_eq!(relay.picker.templates(), 1000);
        relay.connect(client(1), 300);
        assert_eq!(relay.picker.templates(), 1);
    }
}

#[test]
fn an_unknown_scheduler_falls_back_to_wlc_and_says_so() {
    assert_eq!(Algorithm::named(&Scheduler("mh".into())), None);
    assert_eq!(Algorithm::FALLBACK, Algorithm::Wlc);
    let picks = Relay::new(service("mh", &[1, 3])).picks(40);
    assert_eq!(picks, Relay::new(service("wlc", &[1, 3])).picks(40));
}

proptest! {
    /// Weight 0 and full destinations are never chosen; and if anybody can be chosen, somebody is (but not by sh, which
    /// has no fallback).
    #[test]
    fn never_a_destination_that_must_not_take_connections(
        scheduler in prop_oneof![Just("rr"), Just("wrr"), Just("lc"), Just("wlc"), Just("sh"), Just("fo")],
        weights in prop::collection::vec(prop_oneof![Just(0), 1..5_u32, Just(u32::MAX)], 0..6),
        upper in 0..4_u32,
        clients in prop::collection::vec(any::<u32>(), 0..60),
        closes: bool,
    ) {
        let mut entry = service(scheduler, &weights);
        entry.destinations.values_mut().for_each(|destination| destination.upper_threshold = upper);
        let mut relay = Relay::new(entry);
        for (n, from) in clients.into_iter().enumerate() {
            let full = |relay: &Relay, address: &SocketAddr| {
                upper != 0 && relay.open.get(address).is_some_and(|open| open.active >= upper)
            };
            let before: Vec<_> =
                relay.entry.destinations.iter().filter(|(a, d)| d.weight > 0 && !full(&relay, a)).map(|(a, _)| *a).collect();
            let chosen = relay.connect(IpAddr::V4(Ipv4Addr::from_bits(from)), n as u64);
            prop_assert!(chosen.is_none_or(|n| before.contains(&real(n))));
            if upper == 0 && scheduler != "sh" {
                prop_assert_eq!(chosen.is_none(), before.is_empty());
            }
            if let Some(n) = chosen.filter(|_| closes) {
                relay.close(n);
            }
        }
    }

    /// Over a whole round each destination gets exactly its share.
    #[test]
    fn wrr_shares_are_exact(weights in prop::collection::vec(0..6_u32, 1..6)) {
        let round: u32 = weights.iter().sum();
        let picks = Relay::new(service("wrr", &weights)).picks(round);
        for (n, weight) in (1..).zip(&weights) {
            prop_assert_eq!(picks.iter().filter(|pick| **pick == n).count(), *weight as usize);
        }
    }
}
