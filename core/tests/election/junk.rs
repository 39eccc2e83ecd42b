//! Random bytes and broken adverts: never a panic, never a role changed, every one counted.

use crate::timeline::*;
use bytes::Bytes;
use proptest::prelude::*;
use vipward_core::config::VirtualRouterConfig;
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;
use vipward_core::vrrp::Event;

/// BACKUP or MASTER, version 2 with a password or version 3.
fn director(master: bool, version_3: bool) -> Timeline {
    let config = match version_3 {
        true => v3(100, 100),
        false => VirtualRouterConfig { password: Some(*b"secret\0\0"), ..router() },
    };
    let mut t = Timeline::of(vec![config]);
    if master {
        t.becomes_master();
    }
    t
}

fn counted(t: &Timeline) -> u64 {
    t.election.ignored().map(|(_, _, n)| n).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_change_nothing(
        master: bool,
        version_3: bool,
        packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..8),
    ) {
        let mut t = director(master, version_3);
        let wakeup = t.election.next_wakeup();
        let role = t.election.routers()[0].role();
        for bytes in &packets {
            t.handles(Event::AdvertReceived(peer(2, 200).carry(Bytes::copy_from_slice(bytes))));
            prop_assert_eq!(t.election.routers()[0].role(), role);
        }
        prop_assert_eq!(counted(&t), packets.len() as u64);
        // At most the report of sums is new.
        let reports = t.election.next_wakeup().map(|(_, why)| why) == Some(vipward_core::machine::Reason::Report);
        prop_assert!(t.election.next_wakeup() == wakeup || reports);
    }

    /// The header of an advert for our own router, then anything: only the checksum stands in the way.
    #[test]
    fn almost_an_advert_changes_nothing(
        master: bool,
        version_3: bool,
        prefix in 0usize..24,
        rest in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut t = director(master, version_3);
        let role = t.election.routers()[0].role();
        let good = if version_3 { peer(2, 200).v3(100) } else { peer(2, 200) }.datagram().payload;
        let mut bytes = good[..prefix.min(good.len())].to_vec();
        bytes.extend(&rest);
        prop_assume!(bytes != good);
        // One in 65,536 has a right checksum by chance; version 2 then still lacks the password.
        let by_chance = vipward_core::vrrp::packet::Advert::decode(&bytes, ip(2).into(), GROUP.into()).is_ok();
        t.handles(Event::AdvertReceived(peer(2, 200).carry(Bytes::from(bytes))));
        if !(by_chance && version_3) {
            prop_assert_eq!(t.election.routers()[0].role(), role);
            prop_assert_eq!(counted(&t), 1);
        }
    }

    /// One changed bit: the checksum finds it, wherever it is.
    #[test]
    fn one_flipped_bit_changes_nothing(master: bool, version_3: bool, at in 0usize..8 * 20) {
        let mut t = director(master, version_3);
        let role = t.election.routers()[0].role();
        let secret = vipward_core::vrrp::packet::Authentication::Password(*b"secret\0\0");
        let good = match version_3 {
            true => peer(2, 200).v3(100),
            false => Peer { authentication: secret, ..peer(2, 200) },
        };
        let mut bytes = good.datagram().payload.to_vec();
        let at = at % (bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        t.handles(Event::AdvertReceived(peer(2, 200).carry(Bytes::from(bytes))));
        prop_assert_eq!(t.election.routers()[0].role(), role);
        prop_assert_eq!(counted(&t), 1);
    }

    /// Any events in any order, on time, late and early: nothing panics, the same events give the same effects, and only
    /// a MASTER has the address, and has it unless it was just taken off.
    #[test]
    fn any_events_are_survived_and_repeatable(
        steps in proptest::collection::vec((0usize..1000, 0u64..4000), 1..60),
    ) {
        let events = crate::states::events();
        let run = || {
            let mut t = Timeline::unstarted(&[observed(ME, false)]);
            t.tells_links(&[(0, true)]).reads_addresses();
            t.loads(config(vec![tracking(router(), 0, false)], vec![script(1, 1)]));
            let mut said = Vec::new();
            let (mut millis, mut taken_off) = (0, None);
            for (which, gap) in &steps {
                millis += gap;
                t.at(&format!("{}.{:03}", millis / 1000, millis % 1000));
                let (name, event) = events[which % events.len()].clone();
                // Here the kernel does as it is told, and tells what it has.
                match name {
                    "own address gone" => t.somebody(ME, false),
                    "second address" => t.somebody(ME, true),
                    name if name.starts_with("VIP") => t.somebody(100, false),
                    // After it nobody would put right what somebody does to the kernel.
                    "hand over" => t.wakes(),
                    name if name.starts_with("failed") => t.wakes(),
                    name if name.starts_with("addresses read") => t.reads_addresses(),
                    _ => t.handles(event),
                };
                said.push(t.said());
                if name.starts_with("VIP") {
                    taken_off = Some(millis);
                }
                let master = t.election.routers().iter().any(|router| router.role() == Role::Master);
                let there = t.kernel().contains(&vip(100).key());
                // What somebody takes off again and again comes back more slowly.
                let waits = master && !there && taken_off.is_some_and(|at| millis - at <= 5_000);
                assert!(there == master || waits, "after {name}");
            }
            said
        };
        prop_assert_eq!(run(), run());
    }

    /// The kernel's side of it as well: here only that it is survived.
    #[test]
    fn any_failures_are_survived(steps in proptest::collection::vec((0usize..1000, 0u64..4000), 1..60)) {
        let events = crate::states::events();
        let mut t = Timeline::of(vec![router()]);
        let mut now = vipward_core::time::Instant::ZERO;
        for (which, gap) in &steps {
            now = now + vipward_core::time::Duration::from_millis(*gap);
            t.election.handle(events[which % events.len()].1.clone(), now);
            t.election.next_wakeup();
        }
    }

    /// What would be heard with the right values, in a wrong envelope: interface, TTL, source, destination at random.
    #[test]
    fn any_envelope_is_survived(
        master: bool,
        source: [u8; 4],
        destination: [u8; 4],
        ttl: u8,
        interface in 0u8..3,
        six: bool,
    ) {
        let mut t = director(master, true);
        let mut datagram = peer(2, 200).v3(100).datagram();
        datagram.ttl = ttl;
        datagram.interface = eth(interface);
        if six {
            datagram.source = std::net::Ipv6Addr::LOCALHOST.into();
        } else {
            datagram.source = std::net::Ipv4Addr::from(source).into();
        }
        datagram.destination = std::net::Ipv4Addr::from(destination).into();
        let role = t.election.routers()[0].role();
        t.handles(Event::AdvertReceived(datagram));
        // Only one that came to the group may be heard, and then the pseudo header fits by no more than chance.
        if destination != [224, 0, 0, 18] {
            prop_assert_eq!(t.election.routers()[0].role(), role);
            prop_assert_eq!(counted(&t), 1);
        }
    }
}

/// A million packets a minute are a handful of log lines and no memory.
#[test]
fn a_flood_of_junk_is_told_in_a_handful_of_lines() {
    let mut t = director(false, true);
    let mut told = 0;
    for n in 0..20_000u32 {
        let bytes: Vec<u8> = n.wrapping_mul(2_654_435_761).to_be_bytes().repeat(4)[..(n % 17) as usize].to_vec();
        t.handles(Event::AdvertReceived(peer(2, 200).carry(Bytes::from(bytes))));
        told += t.said().len();
    }
    assert_eq!(counted(&t), 20_000);
    assert!(told < 20, "{told} lines");
    assert_eq!(t.election.routers()[0].role(), Role::Backup);
}
