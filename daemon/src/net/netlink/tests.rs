use super::*;
use crate::testing::{in_network_namespace, ip, on_local_set};
use std::net::Ipv4Addr;
use tokio::sync::mpsc;
use vipward_core::interface::{Link, Scope};
use vipward_core::vrrp::{Event, Input};

pub(super) struct World {
    pub(super) addresses: Addresses,
    events: mpsc::UnboundedReceiver<Input>,
}

impl World {
    pub(super) async fn start() -> Self {
        let links = Rc::new(Links::default());
        let addresses = Addresses::open(links.clone()).unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let monitor = Monitor::open(addresses.clone(), links, sender).await.unwrap();
        tokio::task::spawn_local(monitor.run());
        Self { addresses, events }
    }

    async fn next(&mut self) -> Event {
        let input = tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await.unwrap().unwrap();
        input.event().cloned().unwrap()
    }

    /// Waits for an event; what comes before it is of no interest here.
    pub(super) async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            if wanted(&event) {
                return event;
            }
        }
    }
}

fn vip(interface: &str) -> InterfaceAddress {
    InterfaceAddress {
        interface: InterfaceName::new(interface),
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100)),
        prefix_len: 24,
        broadcast: Some(Ipv4Addr::new(192, 0, 2, 255)),
        label: Some(format!("{interface}:vip").into()),
        scope: Scope::Link,
        no_prefix_route: true,
        permanent: false,
    }
}

#[test]
fn an_address_comes_with_all_that_was_asked_for_and_goes_again() {
    in_network_namespace("netlink::tests::an_address_comes_with_all_that_was_asked_for_and_goes_again", || {
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        on_local_set(async {
            let mut world = World::start().await;
            assert!(matches!(world.next().await, Event::LinksRead(links) if links.len() == 3));
            assert!(matches!(world.next().await, Event::AddressesRead(_)));

            world.addresses.add(&vip("v0")).unwrap();
            let shown = ip("-d addr show dev v0");
            assert!(
                shown.contains("inet 192.0.2.100/24 brd 192.0.2.255 scope link noprefixroute proto 112 v0:vip")
                    || shown.contains("inet 192.0.2.100/24 brd 192.0.2.255 scope link noprefixroute v0:vip")
                    || shown.contains("inet 192.0.2.100/24 brd 192.0.2.255 scope link proto 0x70 noprefixroute v0:vip"),
                "{shown}"
            );
            let ours = ObservedAddress { key: vip("v0").key(), ours: true };
            assert!(world.addresses.read().await.unwrap().contains(&ours));
            world.addresses.add(&vip("v0")).expect("adding twice is harmless");

            world.addresses.remove(&vip("v0").key()).unwrap();
            world.until(|event| *event == Event::AddressChanged { address: ours.clone(), present: false }).await;
            assert!(!ip("addr show dev v0").contains("192.0.2.100"));
            world.addresses.remove(&vip("v0").key()).expect("removing twice is harmless");
        });
    });
}

const LEASE: Option<Duration> = Some(Duration::from_secs(2));

/// One more in the subnet of [`vip`], and of its scope: the kernel takes no other.
fn bare(last: u8) -> InterfaceAddress {
    let address = Ipv4Addr::new(192, 0, 2, last).into();
    InterfaceAddress { address, label: None, no_prefix_route: false, ..vip("v0") }
}

/// The addresses of v0 in the kernel's order, as `ip` shows them but for what is left of their lifetimes.
fn shown() -> Vec<String> {
    let lines = ip("-o -4 addr show dev v0");
    lines.lines().filter_map(|line| Some(line.split_once('\\')?.0.trim().replace(" dynamic", ""))).collect()
}

pub(super) async fn rest(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[test]
fn an_address_goes_by_itself_when_nobody_renews_it_and_stays_while_somebody_does() {
    in_network_namespace(
        "netlink::tests::an_address_goes_by_itself_when_nobody_renews_it_and_stays_while_somebody_does",
        || {
            ip("link add v0 type veth peer name v1");
            on_local_set(async {
                let mut world = World::start().await;
                world.addresses.set_lifetime(LEASE);
                world.addresses.add(&vip("v0")).unwrap();
                world.addresses.set_lifetime(None);
                // In another subnet: a primary address takes its secondaries along.
                let lasting = InterfaceAddress { address: [198, 51, 100, 7].into(), label: None, ..vip("v0") };
                world.addresses.add(&lasting).unwrap();
                world.addresses.set_lifetime(LEASE);
                for _ in 0..12 {
                    rest(500).await;
                    world.addresses.renew(&[vip("v0")]).unwrap();
                }
                let ours = ObservedAddress { key: vip("v0").key(), ours: true };
                let gone = Event::AddressChanged { address: ours, present: false };
                while let Ok(event) = world.events.try_recv() {
                    assert_ne!(event.event(), Some(&gone), "three lifetimes, and never late by more than one");
                }
                let renewed = std::time::Instant::now();
                world.until(|event| *event == gone).await;
                // Less than its lifetime would be a fault; how much more depends on the machine.
                assert!(renewed.elapsed() >= Duration::from_millis(1_900), "{:?}", renewed.elapsed());
                let left = shown();
                assert!(left.len() == 1 && left[0].contains("198.51.100.7/24"), "what has no lifetime stays: {left:?}");
            });
        },
    );
}

#[test]
fn a_renewed_address_keeps_all_that_it_is_and_its_place() {
    in_network_namespace("netlink::tests::a_renewed_address_keeps_all_that_it_is_and_its_place", || {
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        ip("addr add 192.0.2.1/24 scope link dev v0");
        on_local_set(async {
            let world = World::start().await;
            world.addresses.set_lifetime(LEASE);
            let all = [bare(102), vip("v0"), bare(101)];
            for address in &all {
                world.addresses.add(address).unwrap();
            }
            let before = shown();
            assert_eq!(before.len(), 4, "{before:?}");
            assert!(before[0].contains("192.0.2.1/24") && before[1].contains("secondary"), "{before:?}");
            for _ in 0..3 {
                world.addresses.renew(&all).unwrap();
            }
            assert_eq!(shown(), before);
            assert!(ip("-d addr show dev v0").contains("192.0.2.100/24 brd 192.0.2.255 scope link"));
            // Off and on again, as a reload may want it.
            for lifetime in [None, LEASE] {
                world.addresses.set_lifetime(lifetime);
                world.addresses.renew(&all).unwrap();
                let forever = ip("addr show dev v0").matches("valid_lft forever").count();
                assert_eq!(forever, if lifetime.is_none() { 4 } else { 1 });
                assert_eq!(shown(), before);
            }
        });
    });
}

/// What was renewed is no news, and what is renewed although it is gone is put on again.
#[test]
fn the_monitor_sleeps_through_what_this_process_adds_and_renews() {
    in_network_namespace("netlink::tests::the_monitor_sleeps_through_what_this_process_adds_and_renews", || {
        ip("link add v0 type veth peer name v1");
        on_local_set(async {
            let mut world = World::start().await;
            world.addresses.set_lifetime(LEASE);
            world.addresses.add(&vip("v0")).unwrap();
            world.until(|event| matches!(event, Event::AddressesRead(_))).await;
            let address = ObservedAddress { key: vip("v0").key(), ours: true };
            let gone = Event::AddressChanged { address, present: false };
            for _ in 0..1_000 {
                world.addresses.renew(&[vip("v0")]).unwrap();
            }
            ip("addr del 192.0.2.100/24 dev v0");
            world.addresses.renew(&[vip("v0")]).unwrap();
            assert_eq!(shown().len(), 1);
            assert_eq!(world.next().await, gone, "nothing before it");
            ip("addr add 198.51.100.9/24 dev v0");
            let event = world.next().await;
            assert!(
                matches!(&event, Event::AddressChanged { address, present: true }
                if address.key.address == IpAddr::from([198, 51, 100, 9])),
                "{event:?}"
            );
        });
    });
}

#[test]
fn a_batch_says_what_of_it_failed_and_does_the_rest() {
    in_network_namespace("netlink::tests::a_batch_says_what_of_it_failed_and_does_the_rest", || {
        ip("link add v0 type veth peer name v1");
        on_local_set(async {
            let world = World::start().await;
            world.addresses.set_lifetime(LEASE);
            // The kernel takes no prefix longer than 32.
            let bad = |last| InterfaceAddress { prefix_len: 33, ..bare(last) };
            assert_eq!(world.addresses.renew(&[]), Ok(()));
            assert_eq!(
                world.addresses.renew(&[bare(1), bad(2), bare(3)]),
                Err("192.0.2.2/33 on v0: Invalid argument (os error 22)".to_owned())
            );
            assert_eq!(
                world.addresses.renew(&[vip("nix0"), bad(2), bare(4)]),
                Err("192.0.2.100/24 on nix0: interface nix0 does not exist; and 1 more".to_owned())
            );
            assert_eq!(shown().len(), 3);
            let all: Vec<InterfaceAddress> = (0..=255).map(bad).collect();
            let error = world.addresses.renew(&all).unwrap_err();
            assert!(error.ends_with("and 255 more"), "{error}");
        });
    });
}

#[test]
fn thousands_of_addresses_are_held_over_many_lifetimes_without_one_missing() {
    in_network_namespace(
        "netlink::tests::thousands_of_addresses_are_held_over_many_lifetimes_without_one_missing",
        || {
            ip("link add v0 type veth peer name v1");
            on_local_set(async {
                let mut world = World::start().await;
                world.addresses.set_lifetime(LEASE);
                let many: Vec<InterfaceAddress> = (0..5_000_u32)
                    .map(|n| InterfaceAddress {
                        address: Ipv4Addr::from(0x0a01_0000 + n).into(),
                        prefix_len: 32,
                        broadcast: None,
                        ..bare(0)
                    })
                    .collect();
                let batches: Vec<&[InterfaceAddress]> = many.chunks(vipward_core::vrrp::lifetime::BATCH).collect();
                batches.iter().for_each(|batch| world.addresses.renew(batch).unwrap());
                let mut pace = tokio::time::interval(Duration::from_millis(500) / batches.len() as u32);
                let end = std::time::Instant::now() + Duration::from_secs(7);
                let mut longest = Duration::ZERO;
                for batch in batches.iter().cycle() {
                    pace.tick().await;
                    let began = std::time::Instant::now();
                    world.addresses.renew(batch).unwrap();
                    longest = longest.max(began.elapsed());
                    if std::time::Instant::now() > end {
                        break;
                    }
                }
                println!("the longest of the batches took {longest:?}");
                assert_eq!(shown().len(), 5_000);
                let gone = std::iter::from_fn(|| world.events.try_recv().ok())
                    .filter(|input| matches!(input.event(), Some(Event::AddressChanged { present: false, .. })));
                assert_eq!(gone.count(), 0);
            });
        },
    );
}

#[test]
fn what_somebody_else_adds_is_not_ours() {
    in_network_namespace("netlink::tests::what_somebody_else_adds_is_not_ours", || {
        on_local_set(async {
            let mut world = World::start().await;
            ip("addr add 192.0.2.7/32 dev lo");
            let event = world.until(|event| matches!(event, Event::AddressChanged { .. })).await;
            let Event::AddressChanged { address, present: true } = event else { panic!("{event:?}") };
            assert_eq!(address.key.to_string(), "192.0.2.7/32 on lo");
            assert!(!address.ours);
        });
    });
}

#[test]
fn an_interface_comes_loses_its_carrier_changes_its_name_and_goes() {
    in_network_namespace("netlink::tests::an_interface_comes_loses_its_carrier_changes_its_name_and_goes", || {
        on_local_set(async {
            let mut world = World::start().await;
            let link = |name: &str, running| Event::LinkChanged(Link { name: InterfaceName::new(name), running });
            ip("link add v0 type veth peer name v1");
            world.until(|event| *event == link("v0", false)).await;
            ip("link set v1 up");
            ip("link set v0 up");
            world.until(|event| *event == link("v0", true)).await;
            ip("link set v1 down");
            world.until(|event| *event == link("v0", false)).await;
            // Before Linux 6.2 only an interface that is down can have a new name.
            ip("link set v0 down");
            ip("link set v0 name w0");
            assert_eq!(
                world.until(|event| matches!(event, Event::LinkGone(_))).await,
                Event::LinkGone(InterfaceName::new("v0"))
            );
            assert_eq!(world.next().await, link("w0", false));
            ip("link del w0");
            world.until(|event| *event == Event::LinkGone(InterfaceName::new("w0"))).await;
        });
    });
}

#[test]
fn a_port_that_leaves_its_bridge_is_still_there() {
    in_network_namespace("netlink::tests::a_port_that_leaves_its_bridge_is_still_there", || {
        ip("link add br0 type bridge");
        ip("link add v0 type veth peer name v1");
        ip("link set v0 master br0");
        on_local_set(async {
            let mut world = World::start().await;
            ip("link set v0 nomaster");
            ip("link del br0");
            let gone = world.until(|event| matches!(event, Event::LinkGone(_))).await;
            assert_eq!(gone, Event::LinkGone(InterfaceName::new("br0")));
        });
    });
}

#[test]
fn lost_notifications_are_made_up_for_by_reading_all_again() {
    in_network_namespace("netlink::tests::lost_notifications_are_made_up_for_by_reading_all_again", || {
        on_local_set(async {
            let mut world = World::start().await;
            assert!(matches!(world.next().await, Event::LinksRead(_)));
            // Nothing runs on this thread meanwhile, so the kernel's queue overflows.
            let flood: String =
                (0..12_000).map(|n| format!("addr add 10.1.{}.{}/32 dev lo\n", n / 250, n % 250)).collect();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), flood).unwrap();
            ip(&format!("-batch {}", file.path().display()));
            world.until(|event| matches!(event, Event::LinksRead(_))).await;
            let read = world.next().await;
            assert!(matches!(read, Event::AddressesRead(addresses) if addresses.len() >= 12_000));
        });
    });
}

#[test]
fn an_interface_that_does_not_exist_is_named() {
    in_network_namespace("netlink::tests::an_interface_that_does_not_exist_is_named", || {
        on_local_set(async {
            let world = World::start().await;
            assert_eq!(world.addresses.add(&vip("nix0")), Err("interface nix0 does not exist".to_owned()));
            assert_eq!(world.addresses.remove(&vip("nix0").key()), Ok(()));
        });
    });
}
