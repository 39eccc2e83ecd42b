//! Reconciling tables: the way from any table to any other, step by step.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use vipward_core::ipvs::{
    ApplyError, Destination, Forwarding, Op, Persistence, Protocol, Scheduler, Service, ServiceEntry, ServiceFlags,
    ServiceKey, Table, TunnelChecksum, reconcile,
};

fn key(n: u8) -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: SocketAddr::from(([10, 0, 0, n], 80)) }
}

fn real(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 80))
}

fn destination(weight: u32) -> Destination {
    Destination { weight, forwarding: Forwarding::Nat, upper_threshold: 0, lower_threshold: 0 }
}

fn rr() -> Service {
    Service {
        scheduler: Scheduler("rr".into()),
        persistence: None,
        flags: Default::default(),
        persistence_engine: None,
    }
}

fn table(services: &[(u8, &[(u8, u32)])]) -> Table {
    let entry = |destinations: &[(u8, u32)]| ServiceEntry {
        service: rr(),
        destinations: destinations.iter().map(|(n, weight)| (real(*n), destination(*weight))).collect(),
    };
    Table {
        services: services.iter().map(|(n, destinations)| (key(*n), entry(destinations))).collect(),
        ..Table::default()
    }
}

fn lines(ops: &[Op]) -> String {
    ops.iter().map(|op| format!("{op}\n")).collect()
}

#[test]
fn what_is_new_comes_first_and_what_is_gone_goes_last() {
    let desired = table(&[(1, &[(1, 1), (2, 0), (3, 1)]), (2, &[(1, 1)])]);
    let observed = table(&[(1, &[(1, 2), (2, 1), (4, 1)]), (3, &[(1, 1)])]);
    let owned = [key(1), key(2), key(3)].into();
    insta::assert_snapshot!(lines(&reconcile(&desired, &observed, &owned)), @r"
    changing destination 192.0.2.1:80 of TCP 10.0.0.1:80
    adding destination 192.0.2.3:80 to TCP 10.0.0.1:80
    changing destination 192.0.2.2:80 of TCP 10.0.0.1:80
    adding service TCP 10.0.0.2:80
    adding destination 192.0.2.1:80 to TCP 10.0.0.2:80
    removing destination 192.0.2.4:80 from TCP 10.0.0.1:80
    removing service TCP 10.0.0.3:80
    ");
}

#[test]
fn what_is_not_owned_is_left_alone() {
    let desired = table(&[(1, &[(1, 1)])]);
    let observed = table(&[(2, &[(1, 1)])]);
    assert_eq!(reconcile(&desired, &observed, &BTreeSet::new()), []);
}

#[test]
fn the_kernel_refuses_what_it_refuses() {
    let before = table(&[(1, &[(1, 1)])]);
    let add = |address, weight| Op::AddDestination { service: key(1), address, destination: destination(weight) };
    let too_low = Destination { lower_threshold: 5, ..destination(1) };
    for (op, error) in [
        (Op::AddService { key: key(1), service: rr() }, ApplyError::ServiceExists),
        (Op::EditService { key: key(2), service: rr() }, ApplyError::NoSuchService),
        (Op::RemoveService { key: key(2) }, ApplyError::NoSuchService),
        (
            Op::AddService { key: key(2), service: Service { scheduler: Scheduler("x".into()), ..rr() } },
            ApplyError::NoSuchScheduler,
        ),
        (add(real(1), 1), ApplyError::DestinationExists),
        (add(real(2), 1 << 31), ApplyError::OutOfRange),
        (Op::EditDestination { service: key(1), address: real(1), destination: too_low }, ApplyError::OutOfRange),
        (
            Op::EditDestination { service: key(1), address: real(2), destination: destination(1) },
            ApplyError::NoSuchDestination,
        ),
        (Op::RemoveDestination { service: key(1), address: real(2) }, ApplyError::NoSuchDestination),
        (Op::RemoveDestination { service: key(2), address: real(1) }, ApplyError::NoSuchService),
    ] {
        let mut table = before.clone();
        assert_eq!(table.apply(&op), Err(error), "{op}");
        assert_eq!(table, before, "a refused operation changes nothing");
    }
}

fn forwardings() -> impl Strategy<Value = Forwarding> {
    prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Dr),
        Just(Forwarding::Gre { checksum: true }),
        (1..3_u16).prop_map(|port| Forwarding::Gue { port, checksum: TunnelChecksum::Remote }),
    ]
}

fn destinations() -> impl Strategy<Value = BTreeMap<SocketAddr, Destination>> {
    let destination = (0..3_u32, forwardings(), 0..3_u32).prop_map(|(weight, forwarding, upper_threshold)| {
        Destination { weight, forwarding, upper_threshold, lower_threshold: 0 }
    });
    prop::collection::btree_map((1..5_u8).prop_map(real), destination, 0..4)
}

fn tables() -> impl Strategy<Value = Table> {
    let service = (prop_oneof![Just("rr"), Just("wlc")], prop::option::of(1..3_u32), any::<u32>(), any::<bool>())
        .prop_map(|(scheduler, timeout, bits, engine)| {
            let persistence = timeout.map(Persistence::each_client);
            let (scheduler, flags) = (Scheduler(scheduler.into()), ServiceFlags::from_bits(bits));
            Service { scheduler, persistence, flags, persistence_engine: engine.then(|| "sip".into()) }
        });
    let entry = (service, destinations()).prop_map(|(service, destinations)| ServiceEntry { service, destinations });
    prop::collection::btree_map((1..4_u8).prop_map(key), entry, 0..4)
        .prop_map(|services| Table { services, ..Table::default() })
}

fn owned() -> impl Strategy<Value = BTreeSet<ServiceKey>> {
    prop::collection::btree_set((1..4_u8).prop_map(key), 0..4)
}

/// Whether there is anybody, and whether there is anybody who takes new connections.
fn service_level(table: &Table, key: &ServiceKey) -> (bool, bool) {
    let Some(entry) = table.services.get(key) else { return (false, false) };
    (!entry.destinations.is_empty(), entry.destinations.values().any(|destination| destination.weight > 0))
}

proptest! {
    #[test]
    fn leads_from_any_table_to_any_other(desired in tables(), observed in tables(), owned in owned()) {
        let mut table = observed.clone();
        for op in reconcile(&desired, &observed, &owned) {
            prop_assert!(owned.contains(&op.service()), "not ours: {op}");
            let before = table.clone();
            prop_assert_eq!(table.apply(&op), Ok(()), "{}", op);
            prop_assert_ne!(&table, &before, "an operation that changes nothing: {}", op);
            for key in &owned {
                let (from, now, to) =
                    (service_level(&observed, key), service_level(&table, key), service_level(&desired, key));
                prop_assert!(now.0 || !(from.0 && to.0), "nobody is left between: {op}");
                prop_assert!(now.1 || !(from.1 && to.1), "nobody takes connections between: {op}");
            }
        }
        for key in (1..4).map(key) {
            let expected = if owned.contains(&key) { &desired } else { &observed };
            prop_assert_eq!(table.services.get(&key), expected.services.get(&key));
        }
        prop_assert_eq!(reconcile(&desired, &table, &owned), [], "the second time there is nothing to do");
    }

    /// Services and destinations that stay or come are ready before any that goes is gone.
    #[test]
    fn removals_come_last(desired in tables(), observed in tables(), owned in owned()) {
        let removes = |op: &Op| matches!(op, Op::RemoveService { .. } | Op::RemoveDestination { .. });
        let ops = reconcile(&desired, &observed, &owned);
        let first = ops.iter().position(removes).unwrap_or(ops.len());
        prop_assert!(ops[first..].iter().all(removes));
    }
}
