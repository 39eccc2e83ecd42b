//! The kernel's table: adopted at start, mended when somebody else changes it, tried again when it refuses, given back.

use crate::world::*;
use std::net::Ipv4Addr;
use vipward_core::balancer::{Carrier, Effect, Event, Input};
use vipward_core::config::{Entries, Member, VirtualServer};
use vipward_core::ipvs::{Forwarding, GroupName, Op, Protocol, ServiceKey, Table, TunnelChecksum};
use vipward_core::time::Duration;

const STRANGER: &str = "10.96.0.1:443";

/// The table that this configuration makes, by a predecessor that was killed.
fn left_behind(reals: &[&str]) -> Table {
    let mut world = World::with(vec![service(VIP, reals)]);
    world.until(secs(1));
    world.kernel
}

fn add_stranger(kernel: &mut Table) {
    let mut theirs = left_behind(&[WEB3]).services.remove(&key(VIP)).unwrap();
    theirs.service.scheduler = vipward_core::ipvs::Scheduler("sed".into());
    kernel.services.insert(key(STRANGER), theirs);
}

#[test]
fn what_fits_is_adopted_untouched() {
    let mut world = World::new();
    world.quiet = true;
    world.kernel = left_behind(&[WEB1, WEB2]);
    world.load(vec![service(VIP, &[WEB1, WEB2])]);
    world.until(secs(60));
    insta::assert_snapshot!(world.timeline(), @"
      0.000 configuration applied; added virtual_server TCP 10.0.0.1:80
    ");
}

#[test]
fn what_a_predecessor_left_is_mended_without_a_gap() {
    let mut world = World::new();
    world.quiet = true;
    world.kernel = left_behind(&[WEB1, WEB3]);
    world.load(vec![service(VIP, &[WEB1, WEB2])]);
    insta::assert_snapshot!(world.timeline(), @r"
    0.000 configuration applied; added virtual_server TCP 10.0.0.1:80
    0.000   adding destination 192.0.2.2:80 to TCP 10.0.0.1:80, weight 1
    0.000   removing destination 192.0.2.3:80 from TCP 10.0.0.1:80
    ");
}

#[test]
fn what_somebody_else_takes_comes_back_within_ten_seconds() {
    let mut world = World::with(vec![service(VIP, &[WEB1, WEB2])]);
    world.quiet = true;
    world.until(secs(3));
    world.timeline();
    world.kernel.services.get_mut(&key(VIP)).unwrap().destinations.remove(&address(WEB2));
    world.until(secs(13));
    world.kernel = Table::default();
    world.until(secs(23));
    insta::assert_snapshot!(world.timeline());
    assert_eq!(world.table(VIP), "192.0.2.1:80=1 192.0.2.2:80=1");
}

#[test]
fn what_somebody_else_owns_is_never_touched() {
    let mut world = World::new();
    add_stranger(&mut world.kernel);
    let before = world.kernel.clone();
    world.load(vec![service(VIP, &[WEB1])]);
    world.until(secs(30));
    // They change what is theirs while we run, and we reload and stop.
    world.kernel.services.get_mut(&key(STRANGER)).unwrap().destinations.clear();
    world.until(secs(45));
    world.load(vec![service(VIP, &[WEB2])]);
    world.until(secs(60));
    assert!(!world.timeline().contains(STRANGER));
    world.kernel.services.get_mut(&key(STRANGER)).unwrap().destinations =
        before.services[&key(STRANGER)].destinations.clone();
    world.happens(Input::Stop);
    assert_eq!(world.kernel, before);
}

/// We took ours away; who made it anew is somebody else.
#[test]
fn a_service_that_was_given_up_and_made_anew_by_somebody_else_is_theirs() {
    let mut world = World::with(vec![service(VIP, &[WEB1]), service(STRANGER, &[WEB2])]);
    world.until(secs(3));
    world.load(vec![service(VIP, &[WEB1])]);
    add_stranger(&mut world.kernel);
    world.until(secs(60));
    assert_eq!(world.table(STRANGER), "192.0.2.3:80=1");
}

#[test]
fn a_refused_operation_is_tried_again_after_a_second_and_then_less_often() {
    let mut world = World::new();
    world.quiet = true;
    world.refuses = |op| matches!(op, Op::AddDestination { .. });
    world.load(vec![service(VIP, &[WEB1])]);
    world.until(secs(30));
    world.refuses = |_| false;
    world.until(secs(60));
    insta::assert_snapshot!(world.timeline());
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
}

/// While one destination of a service is refused, the others follow their verdicts within a second.
#[test]
fn a_refusal_does_not_keep_a_dead_server_in() {
    let mut world = World::new();
    world.refuses = |op| matches!(op, Op::AddDestination { address, .. } if *address == address_of(WEB3));
    fn address_of(text: &str) -> std::net::SocketAddr {
        text.parse().unwrap()
    }
    world.load(vec![service(VIP, &[WEB1, WEB2, WEB3])]);
    world.until(secs(65));
    world.mood(WEB1, Mood::Refuses);
    // Probed at 66 s, 67 s and 68 s.
    world.until(secs(69));
    assert_eq!(world.table(VIP), "192.0.2.2:80=1");
}

#[test]
fn a_kernel_without_ipvs_is_told_about_at_a_bounded_rate() {
    let reals: Vec<String> = (1..=100).map(|n| format!("192.0.2.{n}:80")).collect();
    let mut world = World::new();
    world.quiet = true;
    world.refuses = |_| true;
    world.load(vec![service(VIP, &reals.iter().map(String::as_str).collect::<Vec<_>>())]);
    world.until(secs(60));
    let timeline = world.timeline();
    let lines = timeline.lines().count();
    assert!((10..80).contains(&lines), "{lines} lines in a minute");
    assert!(timeline.contains("more failed: Operation not permitted"), "the others are counted:\n{timeline}");
}

#[test]
fn a_table_that_can_not_be_read_is_not_changed_but_servers_are_checked() {
    let mut balancer = vipward_core::balancer::Balancer::default();
    use vipward_core::machine::Machine;
    let loaded = Input::ConfigLoaded { config: std::sync::Arc::new(config(vec![service(VIP, &[WEB1])])), seed: 1 };
    let mut now = vipward_core::time::Instant::ZERO;
    let mut effects = balancer.handle(loaded, now);
    let mut asked = Vec::new();
    let mut probes = 0;
    for _ in 0..200 {
        let mut next = Input::Wakeup;
        for effect in effects.into_effects() {
            match effect {
                Effect::ReadIpvs => {
                    asked.push(now.to_string());
                    let error = "No such file or directory".to_owned();
                    next = Input::Failed { effect: Box::new(Effect::ReadIpvs), error };
                }
                Effect::StartProbe { .. } => probes += 1,
                other => panic!("{other:?}"),
            }
        }
        if next == Input::Wakeup {
            now = now.max(balancer.next_wakeup().unwrap().0);
            if now > vipward_core::time::Instant::ZERO + secs(50) {
                break;
            }
        }
        effects = balancer.handle(next, now);
    }
    assert_eq!(asked, ["0.000", "1.000", "3.000", "7.000", "15.000", "25.000", "35.000", "45.000"]);
    assert!(probes > 0);
}

/// The answer was read before our change reached the kernel. It is not somebody else's doing.
#[test]
fn an_answer_older_than_our_own_change_is_not_taken_for_a_repair() {
    let mut world = World::with(vec![service(VIP, &[WEB1, WEB2])]);
    world.quiet = true;
    world.until(secs(5));
    let old = world.kernel.clone();
    world.mood(WEB2, Mood::Refuses);
    // Out at 8 s; the table was read at 0 s last.
    world.until(secs(9));
    world.timeline();
    world.happens(Event::IpvsRead(old));
    assert_eq!(world.timeline(), "");
    world.until(secs(11));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
}

#[test]
fn stop_gives_everything_back_and_is_the_end() {
    let mut world = World::with(vec![service(VIP, &[WEB1, WEB2])]);
    world.mood(WEB2, Mood::Silent);
    world.until(secs(7));
    world.timeline();
    world.happens(Input::Stop);
    insta::assert_snapshot!(world.timeline(), @r"
    7.000   removing service TCP 10.0.0.1:80
    7.000 probe of 192.0.2.2:80 cancelled
    ");
    assert_eq!(world.next_wakeup(), None);
    assert_eq!(world.happens(Input::Wakeup), []);
}

/// Who only wants virtual routers may have a kernel without IPVS, and need not hear of it.
#[test]
fn without_virtual_servers_ipvs_is_left_alone() {
    let mut world = World::with(vec![]);
    assert_eq!((world.timeline(), world.next_wakeup()), (String::new(), None));
}

#[test]
fn a_removal_that_was_refused_is_done_later() {
    let mut world = World::with(vec![service(VIP, &[WEB1])]);
    world.quiet = true;
    world.until(secs(5));
    world.refuses = |_| true;
    world.load(vec![]);
    world.until(Duration::from_millis(5900));
    assert_eq!(world.table(VIP), "192.0.2.1:80=1");
    world.refuses = |_| false;
    world.until(secs(7));
    assert_eq!(world.table(VIP), "no service");
    world.until(secs(60));
    assert_eq!(world.next_wakeup(), None, "and nothing is left to watch");
}

/// The file changed twice before the refusal came back.
#[test]
fn a_late_refusal_of_a_removal_is_not_forgotten() {
    let mut world = World::with(vec![service(VIP, &[WEB1])]);
    world.until(secs(5));
    let left = world.kernel.clone();
    world.load(vec![]);
    world.load(vec![service("10.0.0.2:80", &[WEB2])]);
    world.kernel.services.extend(left.services);
    let effect = Box::new(Effect::Ipvs(Op::RemoveService { key: key(VIP) }));
    world.happens(Input::Failed { effect, error: "Device or resource busy".into() });
    world.until(secs(7));
    assert_eq!(world.table(VIP), "no service");
}

/// An old answer comes in between a refusal and the next try: the try still comes after a second.
#[test]
fn an_old_answer_does_not_cover_a_refusal() {
    let mut world = World::with(vec![service(VIP, &[WEB1, WEB2])]);
    world.quiet = true;
    world.until(secs(5));
    let old = world.kernel.clone();
    world.refuses = |_| true;
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(8));
    world.refuses = |_| false;
    world.timeline();
    world.happens(Event::IpvsRead(old));
    world.until(Duration::from_millis(9500));
    insta::assert_snapshot!(world.timeline(), @"
      9.000   removing destination 192.0.2.2:80 from TCP 10.0.0.1:80
    ");
}

/// The kernel changes a tunnel and what persistence goes by in place, so neither destination nor service goes.
#[test]
fn a_tunnel_and_a_persistence_are_changed_in_place_and_mended() {
    let gue = |port| Forwarding::Gue { port, checksum: TunnelChecksum::Absent };
    let tunnel = |forwarding, prefix, engine: Option<&str>| {
        let mut server = service("[2001:db8::1]:80", &["[2001:db8::21]:80"]);
        server.real_servers[0].forwarding = forwarding;
        (server.persistence_timeout, server.persistence_prefix) = (Some(60), prefix);
        server.persistence_engine = engine.map(Into::into);
        vec![server]
    };
    let mut world = World::with(tunnel(Forwarding::Tun, 64, None));
    world.quiet = true;
    world.until(secs(1));
    world.timeline();
    world.load(tunnel(gue(6080), 64, None));
    world.until(secs(2));
    world.load(tunnel(gue(6081), 48, Some("sip")));
    world.until(secs(3));
    insta::assert_snapshot!(world.timeline(), @"
      1.000   changing destination [2001:db8::21]:80 of TCP [2001:db8::1]:80, weight 1
      1.000 configuration applied; changed virtual_server TCP [2001:db8::1]:80
      2.000   changing service TCP [2001:db8::1]:80
      2.000   changing destination [2001:db8::21]:80 of TCP [2001:db8::1]:80, weight 1
      2.000 configuration applied; changed virtual_server TCP [2001:db8::1]:80
    ");
    let destination = |world: &World| {
        let entry = world.kernel.services.values().next().unwrap();
        (entry.destinations.values().next().unwrap().forwarding, entry.service.clone())
    };
    let (forwarding, settings) = destination(&world);
    assert_eq!((forwarding, settings.persistence.map(|it| it.prefix)), (gue(6081), Some(48)));
    assert_eq!(settings.persistence_engine.as_deref(), Some("sip"));

    // Somebody else makes another tunnel of it, and takes the engine away.
    let entry = world.kernel.services.values_mut().next().unwrap();
    entry.service.persistence_engine = None;
    entry.destinations.values_mut().next().unwrap().forwarding = Forwarding::Gre { checksum: true };
    world.until(secs(14));
    insta::assert_snapshot!(world.timeline(), @"
     10.000   changing service TCP [2001:db8::1]:80
     10.000   changing destination [2001:db8::21]:80 of TCP [2001:db8::1]:80, weight 1
     10.000 the IPVS table was changed by somebody else: 2 changes to mend it
    ");
    assert_eq!(destination(&world), (gue(6081), settings));
}

/// Without persistence nothing of it, and of another family what counts there: one group may have both.
#[test]
fn each_entry_has_the_granularity_of_its_own_family() {
    let mut server = service("[2001:db8::1]:80", &[WEB1]);
    server.real_servers[0].forwarding = Forwarding::Tun;
    (server.persistence_granularity, server.persistence_prefix) = (Ipv4Addr::new(255, 255, 255, 0), 24);
    server.persistence_timeout = Some(60);
    let shown = |entries: Entries| {
        let mut world = World::with(vec![VirtualServer { entries, ..server.clone() }]);
        world.until(secs(1));
        let persistence = world.kernel.services.values().map(|entry| entry.service.persistence.unwrap());
        persistence.map(|it| (it.netmask.to_string(), it.prefix)).collect::<Vec<_>>()
    };
    let members = ["10.0.0.1", "2001:db8::1"].map(|ip| Member::Range {
        first: ip.parse().unwrap(),
        last: ip.parse().unwrap(),
        port: 80,
    });
    let group = GroupName::new("web").unwrap();
    assert_eq!(
        shown(Entries::Group { group, protocol: Some(Protocol::Tcp), members: members.to_vec() }),
        [("255.255.255.0".to_owned(), 128), ("255.255.255.255".to_owned(), 24)]
    );
}

/// One of each kind: NAT over TCP, DR over TCP, NAT over UDP.
fn three_kinds() -> Vec<VirtualServer> {
    let mut services = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].map(|vip| service(vip, &[WEB1]));
    services[1].real_servers[0].forwarding = Forwarding::Dr;
    services[2].entries = ServiceKey::Address { protocol: Protocol::Udp, address: address("10.0.0.3:80") }.into();
    services.into()
}

/// What the relay can't do as the file says is an error for that service alone; who chose the relay knows how it forwards.
#[test]
fn a_service_that_can_not_be_had_as_it_is_asked_for_is_not_served_and_the_others_are() {
    let mut world = World::new();
    world.quiet = true;
    world.happens(Event::CarriedBy(Carrier::Relay { instead: Some("this kernel has no IPVS (module ip_vs)".into()) }));
    world.load(three_kinds());
    world.until(secs(20));
    insta::assert_snapshot!(world.timeline());
    assert_eq!(world.kernel.services.len(), 1);
    // A reload that asks for what can be had.
    let mut services = three_kinds();
    services[1].real_servers[0].forwarding = Forwarding::Nat;
    world.load(services);
    world.until(secs(40));
    assert_eq!(world.kernel.services.len(), 2);

    let mut world = World::new();
    world.quiet = true;
    world.happens(Event::CarriedBy(Carrier::Relay { instead: None }));
    world.load(three_kinds());
    world.until(secs(20));
    insta::assert_snapshot!(world.timeline());
    assert_eq!(world.kernel.services.len(), 2);

    // What tells clients apart by more than their addresses, nobody else does.
    world.timeline();
    let mut services = three_kinds();
    services[0].persistence_engine = Some("sip".into());
    world.load(services);
    world.until(secs(40));
    insta::assert_snapshot!(world.timeline(), @"
     20.000   removing service TCP 10.0.0.1:80
     20.000 virtual_server TCP 10.0.0.1:80 is not served: `persistence_engine sip` needs IPVS, and `--dataplane relay` was given
     20.000 virtual_server UDP 10.0.0.3:80 is not served: UDP needs IPVS, and `--dataplane relay` was given
     20.000 configuration applied; removed virtual_server TCP 10.0.0.1:80
    ");
    assert_eq!(world.kernel.services.len(), 1);
}
