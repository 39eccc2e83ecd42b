//! Virtual routers of IPv6: RFC 9568 5.1.2, 6.4 and 7. The director is fe80::5; its peers are fe80::2 and fe80::9.

use crate::timeline::*;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use vipward_core::config::{AnnouncementPauses, Config, GlobalDefs, Transport, VirtualRouterConfig};
use vipward_core::datagram::Datagram;
use vipward_core::interface::{AddressKey, Family, InterfaceAddress, ObservedAddress};
use vipward_core::quantity::{AdvertInterval, Role, Vrid};
use vipward_core::time::Duration;
use vipward_core::vrrp::Event;
use vipward_core::vrrp::packet::{AddressList, Advert, Authentication};

const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

fn fe80(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
}

fn db8(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn vip6(address: Ipv6Addr) -> InterfaceAddress {
    InterfaceAddress { address: address.into(), prefix_len: 64, ..vip(100) }
}

fn own(address: Ipv6Addr) -> ObservedAddress {
    ObservedAddress { key: vip6(address).key(), ours: false }
}

/// Router V of IPv6: fe80::100 and 2001:db8::100.
fn router6(priority: u8) -> VirtualRouterConfig {
    VirtualRouterConfig {
        family: Family::V6,
        transport: Transport::Multicast { group: GROUP6.into() },
        addresses: vec![vip6(fe80(0x100)), vip6(db8(0x100))],
        ..v3(priority, 100)
    }
}

fn started(config: Config, kernel: &[ObservedAddress]) -> Timeline {
    let mut t = Timeline::unstarted(kernel);
    t.tells_links(&[(0, true), (1, true)]).reads_addresses();
    t.loads(config);
    t
}

fn of(routers: Vec<VirtualRouterConfig>) -> Timeline {
    started(config(routers, vec![]), &[observed(ME, false), own(db8(5)), own(fe80(5))])
}

fn heard(source: Ipv6Addr, priority: u8, hop_limit: u8) -> Event {
    let wire: Vec<u8> = [fe80(0x100), db8(0x100)].iter().flat_map(Ipv6Addr::octets).collect();
    let advert = Advert {
        version: vipward_core::quantity::Version::V3,
        vrid: Vrid::new(51).unwrap(),
        priority,
        interval: AdvertInterval::DEFAULT,
        authentication: Authentication::None,
        addresses: AddressList::from_wire(Family::V6, &wire),
    };
    let payload = advert.encode(Some((source.into(), GROUP6.into())));
    let (source, destination) = (source.into(), GROUP6.into());
    Event::AdvertReceived(Datagram { interface: eth(0), source, destination, ttl: hop_limit, payload })
}

fn appears(t: &mut Timeline, address: Ipv6Addr, present: bool) {
    t.handles(Event::AddressChanged { address: own(address), present });
}

#[test]
fn it_takes_over_from_its_link_local_address_and_announces_each_address() {
    let mut t = of(vec![router6(100)]);
    t.gives_of("listen", &["listen eth0 ff02::12"]);
    assert_eq!(t.until("3.609374999"), [""; 0]);
    t.at("3.609375").wakes().gives(&[
        "advert 100 to ff02::12 ttl 255",
        "add fe80::100/64",
        "add 2001:db8::100/64",
        "garp fe80::100",
        "garp 2001:db8::100",
        "V: BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)",
    ]);
    let sent = t.sent();
    assert_eq!((sent[0].source, sent[0].interface.clone()), (IpAddr::from(fe80(5)), eth(0)));
    let advert = Advert::decode(&sent[0].payload, sent[0].source, sent[0].destination).unwrap();
    assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), [IpAddr::from(fe80(0x100)), db8(0x100).into()]);
}

/// RFC 9568 7.1: hop limit 255.
#[test]
fn an_advert_that_came_over_a_router_is_not_heard() {
    let mut t = of(vec![router6(100)]);
    t.at("3").handles(heard(fe80(9), 200, 254));
    t.at("3.609375").wakes().is(Role::Master);
    let mut t = of(vec![router6(100)]);
    t.at("3").handles(heard(fe80(9), 200, 255));
    t.at("3.609375").wakes().is(Role::Backup);
}

#[test]
fn of_equal_priorities_the_greater_link_local_address_stays() {
    let mut t = of(vec![router6(100)]);
    t.becomes_master().at("4").handles(heard(fe80(2), 100, 255)).is(Role::Master);
    t.at("5").handles(heard(fe80(9), 100, 255)).is(Role::Backup);
}

/// keepalived is in FAULT as well then, whatever other addresses there are.
#[test]
fn without_a_link_local_address_it_is_in_fault_until_one_comes() {
    let mut t = started(config(vec![router6(100)], vec![]), &[observed(ME, false), own(db8(5))]);
    t.is(Role::Fault).gives_of("V:", &[
        "V: INIT -> FAULT: eth0 has no link-local IPv6 address to send from, or none that is past duplicate address detection",
    ]);
    appears(&mut t, fe80(5), true);
    t.is(Role::Backup);
    t.becomes_master();
    appears(&mut t, fe80(5), false);
    t.is(Role::Fault).gives_of("remove", &["remove 2001:db8::100/64", "remove fe80::100/64"]);
}

/// A configured source may be any address, of either router of a segment that has no link-local ones.
#[test]
fn a_configured_source_is_taken_as_it_is() {
    let routers = vec![VirtualRouterConfig { source: Some(db8(5).into()), ..router6(100) }];
    let mut t = started(config(routers, vec![]), &[own(db8(5))]);
    t.becomes_master();
    assert_eq!(t.sent()[0].source, IpAddr::from(db8(5)));
}

/// Its own virtual link-local address is no source, and neither is another router's.
#[test]
fn a_virtual_address_is_no_source() {
    let mut t = started(config(vec![router6(100)], vec![]), &[own(fe80(0x100))]);
    t.is(Role::Fault);
    appears(&mut t, fe80(5), true);
    t.is(Role::Backup);
}

#[test]
fn one_vrid_is_two_routers_that_do_not_hear_each_other() {
    let v4 = VirtualRouterConfig { name: Arc::from("V4"), ..priority(100) };
    let mut t = of(vec![router6(100), v4]);
    t.at("3").handles(heard(fe80(9), 200, 255));
    t.at("3.7").wakes();
    let roles: Vec<Role> = t.election.routers().iter().map(|router| router.role()).collect();
    assert_eq!(roles, [Role::Backup, Role::Master]);
    t.hears(peer(9, 200));
    t.at("7").wakes();
    let roles: Vec<Role> = t.election.routers().iter().map(|router| router.role()).collect();
    assert_eq!(roles, [Role::Master, Role::Backup]);
}

/// An excluded address of the other family moves along, and no advert lists it.
#[test]
fn an_excluded_ipv4_address_moves_along() {
    let mut t = of(vec![VirtualRouterConfig { excluded: vec![vip(101)], ..router6(100) }]);
    t.becomes_master().gives_of("add", &["add fe80::100/64", "add 2001:db8::100/64", "add 10.0.0.101/24"]);
    t.gives_of("garp", &["garp fe80::100", "garp 2001:db8::100", "garp 10.0.0.101"]);
    let sent = t.sent();
    let advert = Advert::decode(&sent[0].payload, sent[0].source, sent[0].destination).unwrap();
    assert_eq!(advert.addresses.len(), 2);
}

#[test]
fn vrrp_gna_interval_paces_neighbour_advertisements_and_nothing_else() {
    let announcement_pauses = AnnouncementPauses { garp: Duration::ZERO, gna: Duration::from_millis(100) };
    let global = GlobalDefs { announcement_pauses, ..GlobalDefs::default() };
    let mut t = started(Config { global, ..config(vec![router6(100)], vec![]) }, &[own(fe80(5))]);
    t.becomes_master().gives_of("garp", &["garp fe80::100"]);
    let later: Vec<String> = t.until("4").into_iter().filter(|line| line.contains("garp")).collect();
    assert_eq!(later, ["3.709 garp 2001:db8::100"]);
}

#[test]
fn lifetimes_are_renewed_in_one_batch_with_those_of_ipv4() {
    let v4 = VirtualRouterConfig { name: Arc::from("V4"), ..priority(100) };
    let mut t = started(with_lifetimes(config(vec![router6(100), v4], vec![])), &[observed(ME, false), own(fe80(5))]);
    t.becomes_master();
    let renewed: Vec<String> = t.until("4.2").into_iter().filter(|line| line.contains("renew")).collect();
    assert_eq!(renewed, ["4.109 renew 10.0.0.100 2001:db8::100 fe80::100"]);
}

#[test]
fn it_says_goodbye_over_ipv6_and_its_will_says_the_same() {
    let mut t = of(vec![router6(100)]);
    t.becomes_master();
    let wills = t.election.last_will();
    let [(_, will)] = wills.iter().collect::<Vec<_>>()[..] else { panic!("{wills:?}") };
    let keys: Vec<AddressKey> = [fe80(0x100), db8(0x100)].map(|address| vip6(address).key()).into();
    assert_eq!(will.addresses, keys);
    t.at("4").stops().gives_of("advert", &["advert 0 to ff02::12 ttl 255"]);
    assert_eq!(t.sent(), will.datagrams);
}

#[test]
fn unicast_peers_get_an_advert_each() {
    let peers = vec![db8(2).into(), db8(9).into()];
    let transport = Transport::Unicast { peers };
    let mut t = of(vec![VirtualRouterConfig { transport, source: Some(db8(5).into()), ..router6(100) }]);
    t.gives_of("listen", &["listen eth0"]);
    t.becomes_master().gives_of("advert", &["advert 100 to 2001:db8::2 ttl 255", "advert 100 to 2001:db8::9 ttl 255"]);
}
