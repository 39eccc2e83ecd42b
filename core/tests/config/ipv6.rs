//! What makes a virtual router IPv6, and what follows from it. What keepalived 2.2.7 does is what it did in runs.

use crate::helpers::{good, instance, said};
use std::net::IpAddr;
use vipward_core::config::{Config, Options, Transport, VirtualRouterConfig, cluster};
use vipward_core::interface::Family;
use vipward_core::quantity::Version;
use vipward_core::time::Duration;

fn ipv6(more: &str) -> String {
    instance(more).replace("192.0.2.100/24", "fe80::100/64\n2001:db8::100")
}

#[track_caller]
fn router(text: &str) -> VirtualRouterConfig {
    good(text).routers.remove(0)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_addresses_make_it_ipv6_and_that_is_version_3_by_multicast_to_ff02_12() {
    let router = router(&ipv6(""));
    assert_eq!((router.family, router.version), (Family::V6, Version::V3));
    assert_eq!(router.transport, Transport::Multicast { group: ip("ff02::12") });
    let addresses: Vec<(IpAddr, u8)> = router.addresses.iter().map(|it| (it.address, it.prefix_len)).collect();
    assert_eq!(addresses, [(ip("fe80::100"), 64), (ip("2001:db8::100"), 128)]);
    assert_eq!(said(&ipv6("")), [""; 0]);
}

/// `vrrp_version 2` is for IPv4 only. `version 2` in the instance is not: keepalived sends version 2 then.
#[test]
fn vrrp_version_2_makes_no_ipv6_router_version_2_and_its_own_word_does() {
    let global = "global_defs {\n vrrp_version 2\n}\n";
    assert_eq!(router(&(global.to_owned() + &ipv6(""))).version, Version::V3);
    assert_eq!(router(&ipv6("version 2")).version, Version::V2);
}

#[test]
fn version_3_sets_the_bounds_of_its_interval() {
    assert_eq!(router(&ipv6("advert_int 0.25")).adverts.interval.duration(), Duration::from_millis(250));
    assert_eq!(said(&ipv6("advert_int 60")), ["E bad-value 9:12"]);
}

#[test]
fn excluded_addresses_are_of_any_family_and_decide_nothing() {
    let excluded = "virtual_ipaddress_excluded {\n 192.0.2.101/24\n 2001:db8::101/64\n}";
    assert_eq!(router(&ipv6(excluded)).excluded.len(), 2);
    let v4 = router(&instance(excluded));
    assert_eq!((v4.family, v4.version, v4.excluded.len()), (Family::V4, Version::V2, 2));
    let alone = router(&instance(excluded).replace("        192.0.2.100/24\n", ""));
    assert_eq!(alone.family, Family::V4, "as in keepalived");
}

#[test]
fn without_addresses_native_ipv6_or_a_peer_or_a_source_decides() {
    let without = |more: &str| instance(more).replace("        192.0.2.100/24\n", "");
    let family = |more: &str| router(&without(&format!("no_virtual_ipaddress\n{more}"))).family;
    assert_eq!(family(""), Family::V4);
    assert_eq!(family("native_ipv6"), Family::V6);
    assert_eq!(family("unicast_src_ip 2001:db8::1\nunicast_peer {\n 2001:db8::2\n}"), Family::V6);
    assert_eq!(family("mcast_src_ip fe80::1"), Family::V6);
}

#[test]
fn the_group_is_that_of_the_family() {
    let global = "global_defs {\n vrrp_mcast_group4 224.0.0.81\n vrrp_mcast_group6 ff02::81\n}\n";
    let group = |text: &str| match router(&(global.to_owned() + text)).transport {
        Transport::Multicast { group } => group,
        Transport::Unicast { .. } => panic!("no peers"),
    };
    assert_eq!(group(&instance("")), ip("224.0.0.81"));
    assert_eq!(group(&ipv6("")), ip("ff02::81"));
    assert_eq!(group(&ipv6("mcast_dst_ip ff12::82")), ip("ff12::82"));
}

#[test]
fn neighbour_advertisements_have_a_pace_of_their_own() {
    let pauses = good("global_defs {\n vrrp_garp_interval 0.1\n vrrp_gna_interval 0.25\n}").global.announcement_pauses;
    assert_eq!(pauses.of(Family::V4), Duration::from_millis(100));
    assert_eq!(pauses.of(Family::V6), Duration::from_millis(250));
}

/// On one interface a VRID is one router of each family, and on two interfaces a link-local address is two.
#[test]
fn what_is_the_same_in_two_families_or_on_two_segments_is_not_twice() {
    let other = |text: String| text.replace("VI_1", "VI_2");
    assert_eq!(said(&(instance("") + &other(ipv6("")))), [""; 0]);
    assert_eq!(
        said(&(ipv6("") + &other(ipv6("")))),
        ["E duplicate-vrid 13:5", "E duplicate-address 16:9", "E duplicate-address 17:1"]
    );
    let elsewhere = other(ipv6("")).replace("eth0", "eth1").replace("2001:db8::100", "2001:db8:1::100");
    assert_eq!(said(&(ipv6("") + &elsewhere)), [""; 0]);
}

fn check(nodes: &[&str]) -> Vec<&'static str> {
    let configs: Vec<Config> = nodes.iter().map(|text| good(text)).collect();
    let nodes: Vec<_> =
        configs.iter().zip(["lb1", "lb2"]).map(|(config, name)| cluster::Node { name, config }).collect();
    cluster::check(&nodes).iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn the_nodes_of_a_cluster_are_compared_family_by_family() {
    let backup = |text: String| text.replace("priority 100", "priority 50");
    let both = instance("") + &ipv6("").replace("VI_1", "VI_6");
    assert_eq!(check(&[&both, &backup(both.clone())]), [""; 0]);
    let changed = backup(both.replace("2001:db8::100", "2001:db8::200"));
    assert_eq!(check(&[&both, &changed]), ["addresses-differ"]);
    let grouped = backup(both.replace("fe80::100/64", "fe80::100/64\n}\nmcast_dst_ip ff02::33\nvirtual_ipaddress {"));
    assert_eq!(check(&[&both, &grouped]), ["group-differs"]);
    // The same link-local address on another segment is another virtual router's.
    let (here, there) = (ipv6(""), ipv6("").replace("eth0", "eth1").replace("router_id 51", "router_id 52"));
    let there = there.replace("VI_1", "VI_9").replace("2001:db8::100", "2001:db8:1::100");
    assert_eq!(check(&[&here, &there]), [""; 0]);
}

#[test]
fn options_of_the_reader_do_not_change_that() {
    let (_, loaded) = crate::helpers::load_bytes(ipv6("").as_bytes(), &Options::default());
    assert_eq!(loaded.config.map(|config| config.routers.len()), Some(1));
}
