//! What goes through the door: every role, as it changes and as a successor takes it up.

use crate::timeline::{Timeline, config, ip, router, vip};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use vipward_core::config::{Config, FileCheck, FileWeight, Places, RealServer, TrackFile, TrackWeight, VirtualServer};
use vipward_core::door::News;
use vipward_core::interface::ObservedAddress;
use vipward_core::ipvs::{Forwarding, Protocol, Scheduler, ServiceKey};
use vipward_core::machine::{Machine, Output};
use vipward_core::quantity::Role;
use vipward_core::vrrp::{Event, Input};

fn news(t: &Timeline) -> Vec<Role> {
    let role = |output: &Output<_>| match output {
        Output::News(News::RoleChanged { router, role }) => {
            assert_eq!(&**router, "V");
            Some(*role)
        }
        _ => None,
    };
    t.last().iter().filter_map(role).collect()
}

#[test]
fn the_other_machine_hears_of_every_role() {
    let mut t = Timeline::of(vec![router()]);
    assert_eq!(news(&t), [Role::Backup]);
    t.becomes_master();
    assert_eq!(news(&t), [Role::Master]);
    t.link(false);
    assert_eq!(news(&t), [Role::Fault]);
    t.link(true);
    assert_eq!(news(&t), [Role::Backup]);
    t.stops();
    assert_eq!(news(&t), [Role::Init]);
}

/// The one in the successor's process knows nothing yet.
#[test]
fn a_role_that_is_taken_up_is_news() {
    let mut t = Timeline::of(vec![router()]);
    let mut successor = t.becomes_master().successor(true);
    successor.loads(crate::timeline::config(vec![router()], vec![]));
    assert_eq!(news(&successor), [Role::Master]);
}

#[test]
fn news_of_the_other_machine_change_nothing() {
    let mut t = Timeline::of(vec![router()]);
    let before = t.election.next_wakeup();
    let service = "10.0.0.1:80".parse().unwrap();
    let key = vipward_core::ipvs::ServiceKey::Address { protocol: vipward_core::ipvs::Protocol::Tcp, address: service };
    let service = vipward_core::ipvs::VirtualServerId::of_entry(key);
    t.handles(Input::News(News::QuorumChanged { service, quorum: false })).nothing();
    assert_eq!(t.election.next_wakeup(), before);
}

fn service(last: u8) -> VirtualServer {
    VirtualServer {
        entries: ServiceKey::Address { protocol: Protocol::Tcp, address: SocketAddr::new(ip(last).into(), 80) }.into(),
        scheduler: Scheduler("rr".into()),
        persistence_timeout: None,
        persistence_granularity: Ipv4Addr::BROADCAST,
        persistence_prefix: 128,
        persistence_engine: None,
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        flags: Default::default(),
        ha_suspend: true,
        notify: None,
        omega: false,
        real_servers: vec![],
        places: Places::default(),
    }
}

/// `ha_suspend` asks for an address: whether it is here is told at the start, and as it comes and goes, whosever it is.
#[test]
fn addresses_that_are_asked_for_are_told_of() {
    let loaded = || Config { services: vec![service(100), service(9)], ..config(vec![router()], vec![]) };
    let told = |t: &Timeline| -> Vec<(IpAddr, bool)> {
        let address = |output: &Output<_>| match output {
            Output::News(News::AddressHere { address, here }) => Some((*address, *here)),
            _ => None,
        };
        t.last().iter().filter_map(address).collect()
    };
    let at = |last: u8, here: bool| (IpAddr::from(ip(last)), here);
    let mut t = Timeline::with(loaded());
    assert_eq!(told(&t), [at(9, false), at(100, false)]);
    t.becomes_master();
    assert_eq!(told(&t), [at(100, true)]);
    let foreign =
        |present| Event::AddressChanged { address: ObservedAddress { key: vip(9).key(), ours: false }, present };
    t.handles(foreign(true));
    assert_eq!(told(&t), [at(9, true)]);
    // The same file again is no news; without the word nobody is told.
    t.loads(loaded());
    assert_eq!(told(&t), []);
    t.handles(foreign(false));
    assert_eq!(told(&t), [at(9, false)]);
    let mut successor = t.successor(true);
    successor.loads(loaded());
    assert_eq!(told(&successor), [at(9, false), at(100, true)]);
    successor.loads(config(vec![router()], vec![]));
    successor.stops();
    assert_eq!(told(&successor), []);
}

/// A FILE_CHECK asks for a tracked file: what it holds is told once it is known, as it changes, and by a successor.
#[test]
fn numbers_of_files_that_real_servers_ask_for_are_told() {
    let asking = |asks: bool| {
        let check = FileCheck { file: "F".into(), weight: FileWeight::default(), places: Places::default() };
        let real = RealServer {
            address: SocketAddr::new(ip(30).into(), 80),
            weight: 1,
            forwarding: Forwarding::Nat,
            inhibit_on_failure: false,
            upper_threshold: 0,
            lower_threshold: 0,
            notify: None,
            checkers: vec![],
            files: if asks { vec![check] } else { vec![] },
            places: Places::default(),
        };
        let service = VirtualServer { ha_suspend: false, real_servers: vec![real], ..service(100) };
        let file = |name: &str| TrackFile {
            name: name.into(),
            path: "/f".into(),
            weight: TrackWeight::default(),
            init: None,
            places: Places::default(),
        };
        let files = ["F", "G"].map(|name| (name.into(), file(name))).into();
        Config { services: vec![service], files, ..config(vec![router()], vec![]) }
    };
    const NOTHING: [i64; 0] = [];
    let told = |t: &Timeline| -> Vec<i64> {
        let number = |output: &Output<_>| match output {
            Output::News(News::FileNumber { file, number }) => (**file == *"F").then_some(*number),
            _ => None,
        };
        t.last().iter().filter_map(number).collect()
    };
    let read = |file: &str, number| Event::FilesRead(vec![(file.into(), number)]);
    let mut t = Timeline::with(asking(true));
    assert_eq!(told(&t), NOTHING, "nothing is known yet");
    assert_eq!(told(t.handles(read("F", 0))), [0]);
    assert_eq!(told(t.handles(read("F", 0))), NOTHING);
    assert_eq!(told(t.handles(read("G", 3))), NOTHING, "nobody asks");
    assert_eq!(told(t.handles(read("F", 5))), [5]);
    t.loads(asking(true));
    assert_eq!(told(&t), NOTHING);
    let mut successor = t.successor(true);
    successor.loads(asking(true));
    assert_eq!(told(&successor), [5], "its other machine is new too");
    assert_eq!(told(successor.handles(read("F", 5))), NOTHING);
    successor.loads(asking(false));
    assert_eq!(told(successor.handles(read("F", 6))), NOTHING);
}
