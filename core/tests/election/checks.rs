//! What is not taken as an advert (RFC 9568 7.1, RFC 3768 7.1): one row a reason. Nothing ignored changes a role or a
//! timer, and everything ignored is counted.

use crate::timeline::*;
use bytes::Bytes;
use vipward_core::config::{Adverts, Preemption, VirtualRouterConfig};
use vipward_core::machine::Machine;
use vipward_core::quantity::{Role, Version};
use vipward_core::vrrp::Event;
use vipward_core::vrrp::packet::{Advert, Authentication};

/// Hears it as BACKUP and as MASTER; in both it is told with these words, counted, and changes nothing.
#[track_caller]
fn ignored(config: VirtualRouterConfig, peer: &Peer, payload: Option<Bytes>, router: &str, why: &str) {
    for role in [Role::Backup, Role::Master] {
        let mut t = Timeline::of(vec![config.clone()]);
        if role == Role::Master {
            t.becomes_master();
        }
        let before = t.election.next_wakeup();
        let datagram = payload.clone().map_or_else(|| peer.datagram(), |payload| peer.carry(payload));
        for _ in 0..3 {
            t.handles(Event::AdvertReceived(datagram.clone()));
            t.is(role);
            assert_eq!(t.election.next_wakeup(), before, "{why}");
            if t.election.ignored().map(|(_, _, n)| n).sum::<u64>() == 1 {
                t.gives(&[&format!("{router}ignored an advert from 10.0.0.{}: {why}", peer.source)]);
            } else {
                t.nothing();
            }
        }
        let counted: Vec<_> = t.election.ignored().map(|(_, _, n)| n).collect();
        assert_eq!(counted, [3], "{why}");
    }
}

#[test]
fn each_reason_is_told_and_counted() {
    let with_password = || VirtualRouterConfig { password: Some(*b"secret\0\0"), ..router() };
    let password = |text: &[u8; 8]| Peer { authentication: Authentication::Password(*text), ..peer(2, 200) };
    let raw = |bytes: &[u8]| Some(Bytes::copy_from_slice(bytes));
    let good = peer(2, 200).datagram().payload;
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        raw(&bytes)
    };
    let p = || peer(2, 200);
    let group = std::net::Ipv4Addr::new(224, 0, 0, 99);

    ignored(router(), &Peer { ttl: 254, ..p() }, None, "V: ", "TTL 254 instead of 255: it came over a router");
    ignored(router(), &p(), raw(&[]), "", "truncated: 0 bytes, 8 needed");
    ignored(router(), &p(), raw(&good[..10]), "V: ", "truncated: 10 bytes, 12 needed");
    ignored(router(), &p(), changed(0, 0x41), "V: ", "unknown VRRP version 4");
    ignored(router(), &p(), changed(0, 0x25), "V: ", "unknown VRRP type 5");
    ignored(router(), &p(), changed(2, 201), "V: ", "wrong checksum");
    ignored(router(), &p().v3(100), None, "V: ", "VRRP version 3, configured is 2");
    ignored(v3(100, 100), &p(), None, "V: ", "VRRP version 2, configured is 3");
    ignored(router(), &Peer { vrid: 50, ..p() }, None, "", "virtual_router_id 50 is not configured on this interface");
    ignored(
        router(),
        &Peer { interface: eth(1), ..p() },
        None,
        "",
        "virtual_router_id 51 is not configured on this interface",
    );
    ignored(
        router(),
        &peer(ME, 200),
        None,
        "V: ",
        "it comes from our own address: does another node send from the same one (unicast_src_ip, mcast_src_ip), or does a switch loop our packets back?",
    );
    ignored(
        router(),
        &password(b"secret\0\0"),
        None,
        "V: ",
        "authentication type 1, configured is 0 (0 none, 1 PASS, 2 AH)",
    );
    ignored(with_password(), &p(), None, "V: ", "authentication type 0, configured is 1 (0 none, 1 PASS, 2 AH)");
    ignored(with_password(), &password(b"secreT\0\0"), None, "V: ", "auth_pass differs");
    ignored(
        router(),
        &Peer { addresses: vec![7, 8], ..p() },
        None,
        "V: ",
        "none of its addresses is in virtual_ipaddress here",
    );
    ignored(
        router(),
        &Peer { destination: ip(ME), ..p() },
        None,
        "V: ",
        "sent to 10.0.0.5: one side uses unicast_peer, the other multicast",
    );
    ignored(
        router(),
        &Peer { destination: group, ..p() },
        None,
        "V: ",
        "sent to 224.0.0.99: one side uses unicast_peer, the other multicast",
    );
    ignored(
        unicast(router(), &[2]),
        &p(),
        None,
        "V: ",
        "sent to 224.0.0.18: one side uses unicast_peer, the other multicast",
    );
    let strict = VirtualRouterConfig {
        adverts: Adverts { check_unicast_src: true, ..router().adverts },
        ..unicast(router(), &[2])
    };
    ignored(strict, &Peer { destination: ip(ME), ..peer(9, 200) }, None, "V: ", "the sender is not in unicast_peer");
    ignored(v3(100, 100), &p().v3(100), raw(&[0x31, 51, 200, 0, 0, 0, 0x6, 0xcc]), "V: ", "advert interval 0");
}

/// What a check is not to reject.
#[test]
fn what_is_right_is_heard() {
    let heard = |config: VirtualRouterConfig, peer: Peer| {
        let mut t = Timeline::of(vec![config]);
        t.at("3.5").hears(peer).nothing();
        t.at("4").wakes().is(Role::Backup);
    };
    heard(router(), peer(2, 200));
    heard(v3(100, 100), peer(2, 200).v3(100));
    let secret = Authentication::Password(*b"secret\0\0");
    let config = VirtualRouterConfig { password: Some(*b"secret\0\0"), ..router() };
    heard(config, Peer { authentication: secret, ..peer(2, 200) });
    // Version 3 has no authentication; a password in the file means nothing there.
    let config = VirtualRouterConfig { password: Some(*b"secret\0\0"), ..v3(100, 100) };
    heard(config, peer(2, 200).v3(100));
    // Unicast: any TTL, and strangers unless `check_unicast_src`.
    let to_me = |source| Peer { destination: ip(ME), ttl: 64, ..peer(source, 200) };
    heard(unicast(router(), &[2]), to_me(2));
    heard(unicast(router(), &[2]), to_me(9));
    heard(
        VirtualRouterConfig {
            adverts: Adverts { check_unicast_src: true, ..router().adverts },
            ..unicast(router(), &[2])
        },
        to_me(2),
    );
    // The order of the addresses does not matter.
    let config = VirtualRouterConfig { addresses: vec![vip(100), vip(101)], ..router() };
    heard(config, Peer { addresses: vec![101, 100], ..peer(2, 200) });
    assert_eq!(peer(2, 200).version, Version::V2);
}

/// A list that shares an address with ours: told at most once a minute, and obeyed. keepalived 2.2.7 drops it and
/// becomes MASTER beside it.
#[test]
fn a_peer_with_another_list_counts_as_alive() {
    let differs =
        "V: 10.0.0.2 advertises other addresses than configured here: it lacks 10.0.0.101; it adds 10.0.0.102";
    let config = VirtualRouterConfig { addresses: vec![vip(100), vip(101)], ..router() };
    let other = |priority| Peer { addresses: vec![100, 102], ..peer(2, priority) };
    let mut t = Timeline::of(vec![config.clone()]);
    t.at("0.5").hears(other(200)).gives(&[differs]);
    for second in 1..60 {
        t.at(&format!("{second}")).hears(other(200)).nothing();
        t.wakes().is(Role::Backup);
    }
    t.at("60.5").hears(other(200)).gives(&[differs]);
    t.at("61").hears(other(0)).nothing();
    t.at("61.609375").wakes().is(Role::Master);

    // A MASTER yields to it, and asserts itself against a lower one.
    let mut t = Timeline::of(vec![config]);
    t.becomes_master();
    t.at("4").hears(other(50)).gives_of("advert", &["advert 100"]);
    t.at("4.5").hears(other(200)).is(Role::Backup);
}

/// RFC 9568 5.2.5 with erratum 8299: an advert lists one address at least. Obeyed, five of them kept a director BACKUP while
/// nobody had the address.
#[test]
fn an_advert_without_addresses_is_ignored() {
    let empty = || Peer { addresses: vec![], ..peer(2, 200) };
    let mut t = Timeline::of(vec![router()]);
    t.at("3").hears(empty()).gives(&["V: ignored an advert from 10.0.0.2: it lists no address"]);
    t.at("3.609375").wakes().is(Role::Master);
    t.at("4").hears(empty()).is(Role::Master);
    // A router that has none here either, as one that only runs scripts, hears its like.
    let mut t = Timeline::of(vec![VirtualRouterConfig { addresses: vec![], ..router() }]);
    t.at("3").hears(empty()).nothing();
    t.at("4").wakes().is(Role::Backup);
}

/// A peer that leaves the pseudo header out of its checksum (RFC 9568 5.2.8) does not read ours with it. By unicast it is
/// answered as it speaks, by multicast in both forms, since those who only listen may need the other; said once.
#[test]
fn a_peer_is_answered_in_the_form_of_its_checksum() {
    let plain = |t: &Timeline| t.sent().iter().map(|sent| Advert::checksum_is_plain(&sent.payload)).collect::<Vec<_>>();
    let told = |how| {
        [format!(
            "V: 10.0.0.2 leaves the pseudo header out of its checksum (RFC 9568): our adverts go out {how}; \
             v3_checksum_as_v2 on or off settles it"
        )]
    };
    let from = |p: Peer| p.v3(100).plain();
    let mut t = Timeline::of(vec![v3(100, 100)]);
    t.becomes_master();
    assert_eq!(plain(&t), [false]);
    t.at("4").handles(from(peer(2, 50))).gives_of("V: 10.0.0.2 leaves", &[&told("in both forms")[0]]);
    assert_eq!(plain(&t), [false, true]);
    t.at("4.5").handles(from(peer(2, 50))).gives_of("V: 10.0.0.2 leaves", &[]);
    t.at("4.6").hears(peer(3, 50).v3(100));
    assert_eq!(plain(&t), [false, true], "there may be more of them");

    let pair = |config| unicast(config, &[2, 9]);
    let mut t = Timeline::of(vec![pair(v3(100, 100))]);
    t.becomes_master();
    let to_me = |p: Peer| Peer { destination: ip(ME), ..p };
    t.at("4").handles(from(to_me(peer(2, 50)))).gives_of("V: 10.0.0.2 leaves", &[&told("to it in that form")[0]]);
    assert_eq!(plain(&t), [true, false]);
    t.at("4.5").handles(from(to_me(peer(77, 50)))).gives_of("V: 10.0.0.77 leaves", &[]);
    assert_eq!(plain(&t), [true, false], "no peer of ours");
    t.at("5").hears(to_me(peer(2, 50).v3(100)));
    assert_eq!(plain(&t), [false, false], "it was mended there");

    // Settled by the configuration.
    for setting in [false, true] {
        let adverts = Adverts { v3_checksum_as_v2: Some(setting), ..v3(100, 100).adverts };
        let mut t = Timeline::of(vec![VirtualRouterConfig { adverts, ..v3(100, 100) }]);
        t.becomes_master();
        t.at("4").handles(from(peer(2, 50))).gives_of("V: 10.0.0.2 leaves", &[]);
        assert_eq!(plain(&t), [setting]);
    }
}

/// Two routers may share a VRID on one interface, in different groups: each hears its own.
#[test]
fn one_vrid_in_two_groups() {
    let group = std::net::Ipv4Addr::new(224, 0, 0, 99);
    let transport = vipward_core::config::Transport::Multicast { group: group.into() };
    let other = VirtualRouterConfig { name: "W".into(), addresses: vec![vip(101)], transport, ..router() };
    let mut t = Timeline::of(vec![router(), other]);
    t.until("4");
    t.hears(Peer { destination: group, addresses: vec![101], ..peer(2, 200) });
    t.gives_of("W:", &["W: MASTER -> BACKUP: 10.0.0.2 has the higher priority: 200 over 100"]).gives_of("V:", &[]);
}

/// Sums come by themselves after a minute.
#[test]
fn sums_are_told_once_a_minute() {
    let mut t = Timeline::of(vec![VirtualRouterConfig {
        preemption: Preemption { on: false, ..router().preemption },
        ..router()
    }]);
    let stranger = || Peer { vrid: 50, ..peer(2, 200) };
    t.at("1").hears(stranger());
    for second in 2..=5 {
        t.at(&format!("{second}")).hears(peer(2, 200)).hears(stranger()).nothing();
    }
    let told: Vec<_> = t.until("200").into_iter().filter(|line| line.contains("ignored")).collect();
    assert_eq!(
        told,
        ["61.000 ignored 4 adverts, the last from 10.0.0.2: virtual_router_id 50 is not configured on this interface"]
    );
}

/// RFC 9568 2.5: a peer, or who speaks in its name, can change it with every packet.
#[test]
fn a_checksum_that_changes_to_and_fro_is_told_at_a_limited_rate() {
    let mut t = Timeline::of(vec![unicast(v3(100, 100), &[2])]);
    t.becomes_master();
    let from = || Peer { destination: ip(ME), ..peer(2, 50).v3(100) };
    let mut told = 0;
    for n in 0..100 {
        t.until(&format!("{:.2}", 4.0 + f64::from(n) * 0.01));
        match n % 2 {
            0 => t.handles(from().plain()),
            _ => t.hears(from()),
        };
        told += t.count("V: 10.0.0.2 leaves");
    }
    assert_eq!(told, 1);
}
