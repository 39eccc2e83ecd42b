use super::tests::{World, rest};
use crate::testing::{in_network_namespace, ip, on_local_set};
use std::net::IpAddr;
use vipward_core::interface::{InterfaceAddress, InterfaceName, ObservedAddress, Scope};
use vipward_core::time::Duration;
use vipward_core::vrrp::Event;

const LEASE: Option<Duration> = Some(Duration::from_secs(2));

fn vip(address: &str, prefix_len: u8) -> InterfaceAddress {
    InterfaceAddress {
        interface: InterfaceName::new("v0"),
        address: address.parse().unwrap(),
        prefix_len,
        broadcast: None,
        label: None,
        scope: Scope::Global,
        no_prefix_route: false,
        permanent: false,
    }
}

/// The global addresses of v0 with their flags, but for what is left of their lifetimes.
fn shown() -> Vec<String> {
    let lines = ip("-o -6 addr show dev v0 scope global");
    lines.lines().filter_map(|line| Some(line.split_once('\\')?.0.trim().replace(" dynamic", ""))).collect()
}

fn pair() {
    ip("link add v0 type veth peer name v1");
    ip("link set v0 up");
    ip("link set v1 up");
}

#[test]
fn an_address_is_usable_at_once_and_goes_by_itself() {
    in_network_namespace("net::netlink::tests_ipv6::an_address_is_usable_at_once_and_goes_by_itself", || {
        pair();
        on_local_set(async {
            let mut world = World::start().await;
            world.addresses.set_lifetime(LEASE);
            let all = [vip("2001:db8::100", 64), vip("2001:db8::101", 128)];
            all.iter().for_each(|address| world.addresses.add(address).unwrap());
            let there = shown();
            assert!(there.len() == 2 && there.iter().all(|line| line.contains("nodad")), "{there:?}");
            assert!(there.iter().all(|line| !line.contains("tentative")), "{there:?}");
            assert!(there.iter().any(|line| line.contains("::101/128") && line.contains("deprecated")), "{there:?}");
            let ours = |address: &InterfaceAddress| ObservedAddress { key: address.key(), ours: true };
            let read = world.addresses.read().await.unwrap();
            assert!(all.iter().all(|address| read.contains(&ours(address))), "{read:?}");
            for _ in 0..8 {
                rest(500).await;
                world.addresses.renew(&all).unwrap();
            }
            assert_eq!(shown(), there, "two lifetimes later all that it was");
            let mut gone: Vec<Event> =
                all.iter().map(|address| Event::AddressChanged { address: ours(address), present: false }).collect();
            while !gone.is_empty() {
                let event = world.until(|event| gone.contains(event)).await;
                gone.retain(|other| *other != event);
            }
            assert!(shown().is_empty());
        });
    });
}

/// A renewal is no news, and the host's own address of the network keeps its route.
#[test]
fn a_renewal_restarts_nothing_tells_nothing_and_leaves_the_network_s_route_alone() {
    let name =
        "net::netlink::tests_ipv6::a_renewal_restarts_nothing_tells_nothing_and_leaves_the_network_s_route_alone";
    in_network_namespace(name, || {
        pair();
        ip("addr add 2001:db8::1/64 dev v0 nodad");
        on_local_set(async {
            let mut world = World::start().await;
            world.addresses.set_lifetime(LEASE);
            let address = vip("2001:db8::100", 64);
            world.addresses.add(&address).unwrap();
            let key = address.key();
            let present = |event: &Event, wanted: &InterfaceAddress| matches!(event, Event::AddressChanged { address, present: true } if address.key == wanted.key());
            world.until(|event| present(event, &address)).await;
            for _ in 0..200 {
                world.addresses.renew(std::slice::from_ref(&address)).unwrap();
            }
            ip("addr add 2001:db8::9/64 dev v0 nodad");
            world
                .until(|event| {
                    let again = matches!(event, Event::AddressChanged { address, .. } if address.key == key);
                    assert!(!again, "{event:?}");
                    present(event, &vip("2001:db8::9", 64))
                })
                .await;
            world.addresses.remove(&key).unwrap();
            rest(3_000).await;
            let routes = ip("-6 route show dev v0");
            assert!(routes.lines().any(|route| route.starts_with("2001:db8::/64")), "{routes}");
            assert!(!routes.contains("expires"), "{routes}");
        });
    });
}

/// Nothing can be sent from an address as long as it may be another host's.
#[test]
fn an_address_is_there_when_duplicate_address_detection_is_over() {
    let name = "net::netlink::tests_ipv6::an_address_is_there_when_duplicate_address_detection_is_over";
    in_network_namespace(name, || {
        pair();
        on_local_set(async {
            let mut world = World::start().await;
            world.until(|event| matches!(event, Event::AddressesRead(_))).await;
            ip("addr add 2001:db8::7/64 dev v0");
            let address: IpAddr = "2001:db8::7".parse().unwrap();
            let of = |event: &Event| match event {
                Event::AddressChanged { address: it, present } if it.key.address == address => Some(*present),
                _ => None,
            };
            // It is told of as absent for as long as it is tentative, and then as present.
            world.until(|event| of(event) == Some(true)).await;
            assert!(!shown().iter().any(|line| line.contains("tentative")), "{:?}", shown());
            // One that another host has never comes.
            ip("addr add 2001:db8::8/64 dev v1 nodad");
            ip("addr add 2001:db8::8/64 dev v0");
            let deadline = std::time::Instant::now() + Duration::from_secs(60);
            while !shown().iter().any(|line| line.contains("::8/64") && line.contains("dadfailed")) {
                assert!(std::time::Instant::now() < deadline, "{:?}", shown());
                rest(50).await;
            }
            let read = world.addresses.read().await.unwrap();
            let on_v0 = |it: &&ObservedAddress| it.key.interface == InterfaceName::new("v0");
            let own: Vec<String> = read.iter().filter(on_v0).map(|it| it.key.address.to_string()).collect();
            assert!(own.contains(&address.to_string()) && !own.contains(&"2001:db8::8".to_owned()), "{own:?}");
        });
    });
}
