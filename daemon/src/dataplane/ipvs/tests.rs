//! Against the kernel itself.

use super::*;
use crate::testing::{in_network_namespace, ip, on_local_set, required};
use std::net::{IpAddr, Ipv4Addr};
use vipward_core::interface::{Family, InterfaceName};
use vipward_core::ipvs::{
    Forwarding, Persistence, Protocol, Scheduler, ServiceFlags, Setting, Settings, SyncDaemon, SyncRole, Timeouts,
    TunnelChecksum,
};

fn key(protocol: Protocol, address: &str) -> ServiceKey {
    ServiceKey::Address { protocol, address: address.parse().unwrap() }
}

fn service(scheduler: &str, persistence: Option<(u32, [u8; 4])>) -> Service {
    let persistence =
        persistence.map(|(secs, mask)| Persistence { netmask: Ipv4Addr::from(mask), ..Persistence::each_client(secs) });
    Service { scheduler: Scheduler(scheduler.into()), persistence, flags: Default::default(), persistence_engine: None }
}

/// IPv6, with the engine.
fn sip(prefix: u8) -> Service {
    let persistence = Some(Persistence { prefix, ..Persistence::each_client(60) });
    Service { persistence, persistence_engine: Some("sip".into()), ..service("wlc", None) }
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
                    with_the_kernel(&ipvs).await;
                    settings_with_the_kernel(&ipvs).await;
                }
                Err(why) => {
                    assert!(!required("ipvs"), "{why}");
                    eprintln!("NOT RUN: {why}");
                }
            }
        });
    });
}

async fn with_the_kernel(ipvs: &Ipvs) {
    let web = key(Protocol::Tcp, "192.0.2.1:80");
    let dns = key(Protocol::Udp, "192.0.2.1:53");
    let six = key(Protocol::Tcp, "[2001:db8::1]:443");
    let mark = ServiceKey::Mark { mark: 7, family: Family::V4 };
    let mark_of_six = ServiceKey::Mark { mark: 7, family: Family::V6 };
    let ops = [
        Op::AddService { key: web, service: service("wrr", Some((300, [255, 255, 255, 0]))) },
        Op::AddService { key: dns, service: Service { flags: ServiceFlags::ONE_PACKET, ..service("rr", None) } },
        Op::AddService { key: six, service: sip(48) },
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
        Op::AddDestination {
            service: web,
            address: "10.0.0.4:80".parse().unwrap(),
            destination: destination(1, Forwarding::Gue { port: 6080, checksum: TunnelChecksum::Remote }),
        },
        Op::AddDestination {
            service: web,
            address: "10.0.0.5:80".parse().unwrap(),
            destination: destination(1, Forwarding::Gre { checksum: true }),
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
    let wanted_nothing = Table { settings: Some(Settings::default()), ..Table::default() };
    let mut wanted = wanted_nothing.clone();
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
            "-A -t [2001:db8::1]:443 -s wlc -p 60 -M 48 --pe sip",
            "-A -u 192.0.2.1:53 -s rr -o",
            "-a -f 7 -6 -r [2001:db8::2]:443 -m -w 2",
            "-a -f 7 -r 10.0.0.1:0 -g -w 1",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0",
            "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -i -w 65535 --tun-type ipip",
            "-a -t 192.0.2.1:80 -r 10.0.0.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
            "-a -t 192.0.2.1:80 -r 10.0.0.5:80 -i -w 1 --tun-type gre --tun-csum",
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
        Op::EditDestination {
            service: web,
            address: "10.0.0.4:80".parse().unwrap(),
            destination: destination(1, Forwarding::Gue { port: 6081, checksum: TunnelChecksum::Absent }),
        },
        Op::EditDestination {
            service: web,
            address: "10.0.0.5:80".parse().unwrap(),
            destination: destination(1, Forwarding::Tun),
        },
        Op::EditService { key: six, service: Service { persistence_engine: None, ..sip(64) } },
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
    assert_eq!(ipvs.change(&[&edits[5], &edits[6], &ops[0]]), []);
    assert_eq!(ipvs.read().await.unwrap().services[&web].service, service("wrr", Some((300, [255, 255, 255, 0]))));
    let nonsense = Op::AddService { key: dns, service: service("nonsense", None) };
    let engine = Some("nonsense".into());
    let without_engine = Op::EditService { key: six, service: Service { persistence_engine: engine, ..sip(64) } };
    assert_eq!(
        ipvs.change(&[&without_engine]),
        [(
            0,
            "this kernel has no scheduler wlc (module ip_vs_wlc), or no persistence engine nonsense (module \
             ip_vs_pe_nonsense)"
                .to_owned()
        )]
    );
    // The others of a batch are carried out, before and after what is refused.
    let weight = |weight| Op::EditDestination {
        service: web,
        address: "10.0.0.1:8080".parse().unwrap(),
        destination: destination(weight, Forwarding::Nat),
    };
    assert_eq!(
        ipvs.change(&[&weight(8), &nonsense, &ops[8], &weight(9), &ops[3]]),
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
        assert_eq!(ipvs.read().await.unwrap().services[&web].destinations.len(), 5004);
    }

    for key in [web, six, mark, mark_of_six] {
        assert_eq!(ipvs.change(&[&Op::RemoveService { key }]), []);
    }
    assert_eq!(ipvs.read().await.unwrap(), wanted_nothing);
}

async fn settings_with_the_kernel(ipvs: &Ipvs) {
    ip("link add sync0 type dummy");
    ip("address add 192.0.2.1/24 dev sync0");
    ip("link set sync0 up multicast on");
    let mut wanted = Table { settings: Some(Settings::default()), ..Table::default() };
    let daemon = |interface: &str, group: &str| SyncDaemon {
        interface: InterfaceName::new(interface),
        id: 51,
        max_length: Some(1200),
        port: 9999,
        ttl: 4,
        group: group.parse().unwrap(),
    };
    let start = |role, daemon| Setting::StartDaemon { role, daemon };
    let settings = [
        Setting::Timeouts(Timeouts { tcp: 100, tcp_fin: 77, udp: 50 }),
        start(SyncRole::Master, daemon("sync0", "224.0.0.99")),
        start(SyncRole::Backup, daemon("sync0", "224.0.0.99")),
        Setting::StopDaemon { role: SyncRole::Master },
        start(SyncRole::Master, daemon("sync0", "ff02::99")),
        Setting::StopDaemon { role: SyncRole::Backup },
        // Gone already.
        Setting::StopDaemon { role: SyncRole::Backup },
        Setting::Timeouts(Timeouts::default()),
    ];
    for setting in &settings {
        assert_eq!(ipvs.set(setting), Ok(()), "{setting}");
        wanted.set(setting).unwrap();
        assert_eq!(ipvs.read().await.unwrap(), wanted, "after {setting}");
    }
    assert_eq!(ipvs.set(&settings[4]), Err("one runs already".to_owned()));
    let nowhere = start(SyncRole::Backup, daemon("sync1", "224.0.0.99"));
    assert_eq!(ipvs.set(&nowhere), Err("there is no interface sync1".to_owned()));
    assert_eq!(ipvs.set(&Setting::StopDaemon { role: SyncRole::Master }), Ok(()));
}
