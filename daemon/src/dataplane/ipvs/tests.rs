//! Against the kernel itself.

use super::*;
use crate::testing::{in_network_namespace, ip, on_local_set, required};
use std::net::{IpAddr, Ipv4Addr};
use vipward_core::interface::Family;
use vipward_core::ipvs::{Forwarding, Persistence, Protocol, Scheduler, ServiceFlags};

fn key(protocol: Protocol, address: &str) -> ServiceKey {
    ServiceKey::Address { protocol, address: address.parse().unwrap() }
}

fn service(scheduler: &str, persistence: Option<(u32, [u8; 4])>) -> Service {
    let persistence =
        persistence.map(|(timeout_secs, mask)| Persistence { timeout_secs, netmask: Ipv4Addr::from(mask) });
    Service { scheduler: Scheduler(scheduler.into()), persistence, flags: Default::default() }
}

fn destination(weight: u32, forwarding: Forwarding) -> Destination {
    Destination { weight, forwarding, upper_threshold: 0, lower_threshold: 0 }
}

fn ipvsadm() -> Vec<String> {
    let output = std::process::Command::new("ipvsadm").arg("-Sn").output().unwrap();
    // It does not save thresholds.
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Against the kernel itself. Runs where there is one with IPVS, so in the guest; with `ipvs` in
/// `VIPWARD_REQUIRE` it must.
#[test]
fn the_kernel_takes_every_operation_and_shows_it_again() {
    in_network_namespace("ipvs::tests::the_kernel_takes_every_operation_and_shows_it_again", || {
        on_local_set(async {
            match Ipvs::open().await {
                Ok(ipvs) => {
                    // Without any route the kernel takes every destination for a broadcast address.
                    ip("link set lo up");
                    with_the_kernel(ipvs).await;
                }
                Err(why) => {
                    assert!(!required("ipvs"), "{why}");
                    eprintln!("NOT RUN: {why}");
                }
            }
        });
    });
}

async fn with_the_kernel(ipvs: Ipvs) {
    let web = key(Protocol::Tcp, "192.0.2.1:80");
    let dns = key(Protocol::Udp, "192.0.2.1:53");
    let six = key(Protocol::Tcp, "[2001:db8::1]:443");
    let mark = ServiceKey::Mark { mark: 7, family: Family::V4 };
    let mark_of_six = ServiceKey::Mark { mark: 7, family: Family::V6 };
    let ops = [
        Op::AddService { key: web, service: service("wrr", Some((300, [255, 255, 255, 0]))) },
        Op::AddService { key: dns, service: Service { flags: ServiceFlags::ONE_PACKET, ..service("rr", None) } },
        Op::AddService { key: six, service: service("wlc", None) },
        Op::AddDestination {
            service: web,
            address: "10.0.0.1:8080".parse().unwrap(),
            destination: Destination { upper_threshold: 20, lower_threshold: 10, ..destination(3, Forwarding::Nat) },
        },
        Op::AddDestination {
            service: web,
            address: "10.0.0.2:80".parse().unwrap(),
            destination: destination(0, Forwarding::Dr),
        },
        Op::AddDestination {
            service: web,
            address: "10.0.0.3:80".parse().unwrap(),
            destination: destination(65535, Forwarding::Tun),
        },
        // The director itself: what is asked for comes back, and not "local".
        Op::AddDestination {
            service: dns,
            address: "127.0.0.1:53".parse().unwrap(),
            destination: destination(1, Forwarding::Nat),
        },
        Op::AddDestination {
            service: six,
            address: "[2001:db8::2]:443".parse().unwrap(),
            destination: destination(1, Forwarding::Dr),
        },
        Op::AddService { key: mark, service: service("rr", Some((60, [255, 255, 0, 0]))) },
        Op::AddService { key: mark_of_six, service: service("rr", None) },
        Op::AddDestination {
            service: mark,
            address: "10.0.0.1:0".parse().unwrap(),
            destination: destination(1, Forwarding::Dr),
        },
        Op::AddDestination {
            service: mark_of_six,
            address: "[2001:db8::2]:443".parse().unwrap(),
            destination: destination(2, Forwarding::Nat),
        },
    ];
    let mut wanted = Table::default();
    for op in &ops {
        assert_eq!(ipvs.change(&[op]), [], "{op:?}");
        wanted.apply(op).unwrap();
        assert_eq!(ipvs.read().await.unwrap(), wanted, "after {op:?}");
    }
    assert_eq!(
        ipvsadm(),
        [
            "-A -f 7 -6 -s rr",
            "-A -f 7 -s rr -p 60 -M 255.255.0.0",
            "-A -t 192.0.2.1:80 -s wrr -p 300 -M 255.255.255.0",
            "-A -t [2001:db8::1]:443 -s wlc",
            "-A -u 192.0.2.1:53 -s rr -o",
            "-a -f 7 -6 -r [2001:db8::2]:443 -m -w 2",
            "-a -f 7 -r 10.0.0.1:0 -g -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0",
            "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -i -w 65535 --tun-type ipip",
            "-a -t [2001:db8::1]:443 -r [2001:db8::2]:443 -g -w 1",
            "-a -u 192.0.2.1:53 -r 127.0.0.1:53 -m -w 1",
        ]
    );

    let flags = ServiceFlags::SCHEDULER_1.with(ServiceFlags::SCHEDULER_2);
    let edits = [
        Op::EditService { key: web, service: Service { flags, ..service("sh", None) } },
        Op::EditDestination {
            service: web,
            address: "10.0.0.1:8080".parse().unwrap(),
            destination: destination(7, Forwarding::Nat),
        },
        Op::RemoveDestination { service: web, address: "10.0.0.2:80".parse().unwrap() },
        Op::RemoveService { key: dns },
    ];
    for op in &edits {
        assert_eq!(ipvs.change(&[op]), [], "{op:?}");
        wanted.apply(op).unwrap();
        assert_eq!(ipvs.read().await.unwrap(), wanted, "after {op:?}");
    }

    let web_now = "-A -t 192.0.2.1:80 -s sh -b sh-fallback,sh-port";
    assert!(ipvsadm().iter().any(|line| line == web_now), "{:?}", ipvsadm());

    // What is as wanted already is no failure; what can't be is one, in words.
    assert_eq!(ipvs.change(&[&edits[2], &edits[3], &ops[0]]), []);
    assert_eq!(ipvs.read().await.unwrap().services[&web].service, service("wrr", Some((300, [255, 255, 255, 0]))));
    let nonsense = Op::AddService { key: dns, service: service("nonsense", None) };
    // The others of a batch are carried out, before and after what is refused.
    let weight = |weight| Op::EditDestination {
        service: web,
        address: "10.0.0.1:8080".parse().unwrap(),
        destination: destination(weight, Forwarding::Nat),
    };
    assert_eq!(
        ipvs.change(&[&weight(8), &nonsense, &ops[6], &weight(9), &ops[3]]),
        [
            (1, "this kernel has no scheduler nonsense (module ip_vs_nonsense)".to_owned()),
            (2, "there is no such service".to_owned()),
        ]
    );
    let entry = &ipvs.read().await.unwrap().services[&web];
    assert_eq!(entry.destinations[&"10.0.0.1:8080".parse().unwrap()].upper_threshold, 20, "set as wanted, last");

    // More than one call takes, and more than the kernel would have room to acknowledge.
    let many: Vec<Op> = (0..5000u32)
        .map(|n| Op::AddDestination {
            service: web,
            address: SocketAddr::new(IpAddr::from(Ipv4Addr::from(0x0a01_0000 + n)), 80),
            destination: destination(1, Forwarding::Nat),
        })
        .collect();
    for _ in 0..2 {
        assert_eq!(ipvs.change(&many.iter().collect::<Vec<_>>()), []);
        assert_eq!(ipvs.read().await.unwrap().services[&web].destinations.len(), 5002);
    }

    for key in [web, six, mark, mark_of_six] {
        assert_eq!(ipvs.change(&[&Op::RemoveService { key }]), []);
    }
    assert_eq!(ipvs.read().await.unwrap(), Table::default());
}
