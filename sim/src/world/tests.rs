//! The rules of the world, each as a little story.

use super::*;
use crate::scenario::*;
use crate::testing::{LB1, LB2, VIP, VISITOR, WEB1, pair};
use crate::trace::Outcome;
use vipward_core::command::{Command, ScriptOutcome};
use vipward_core::config::VrrpScript;
use vipward_core::datagram::Datagram;
use vipward_core::interface::{InterfaceAddress, InterfaceName};
use vipward_core::ipvs::{Destination, Forwarding, Op, Protocol, Scheduler, Service, ServiceKey};
use vipward_core::time::Duration;

pub(crate) fn until(world: &mut World, millis: u64) {
    while world.now() < Instant::from_millis(millis) {
        world.advance(world.now() + Duration::from_millis(1));
    }
}

pub(crate) fn hold(world: &mut World, id: NodeId) {
    let address = crate::testing::config(100).routers[0].addresses[0].clone();
    world.add_address(id, &address).unwrap();
}

pub(crate) fn serve(world: &mut World, id: NodeId, forwarding: Forwarding) {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
    let service = Service {
        scheduler: Scheduler("rr".into()),
        persistence: None,
        flags: Default::default(),
        persistence_engine: None,
    };
    world.ipvs(id, &Op::AddService { key, service }).unwrap();
    let destination = Destination { weight: 1, forwarding, upper_threshold: 0, lower_threshold: 0 };
    world
        .ipvs(id, &Op::AddDestination { service: key, address: "192.0.2.21:80".parse().unwrap(), destination })
        .unwrap();
}

pub(crate) fn world(scenario: Scenario) -> World {
    let mut world = World::new(Arc::new(scenario), 1);
    world.start(LB1);
    world.start(LB2);
    world
}

/// What the visitor's last finished request came to.
fn owners(world: &World) -> Vec<NodeId> {
    world.owners(VIP.parse().unwrap()).collect()
}

fn last(world: &World) -> &Outcome {
    &world.requests.last().unwrap().outcome
}

fn cause(world: &World) -> String {
    last(world).cause()
}

fn server(scenario: &mut Scenario) -> &mut ServerPlan {
    match &mut scenario.nodes[WEB1.0].kind {
        NodeKind::RealServer(server) => server,
        _ => panic!("web1 is a real server"),
    }
}

#[test]
fn a_request_goes_over_the_vip_and_the_table_to_the_real_server() {
    let mut world = world(pair());
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    until(&mut world, 5_500);
    assert_eq!(*last(&world), Outcome::Answered { by: WEB1, status: 200 });
    assert_eq!(world.dispatches.last().unwrap().director, LB1);
}

#[test]
fn a_neighbour_cache_follows_gratuitous_arp_and_else_believes_the_dead_for_thirty_seconds() {
    let mut world = world(pair());
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    serve(&mut world, LB2, Forwarding::Dr);
    until(&mut world, 6_000);
    world.act(&Action::PowerOff(LB1));
    hold(&mut world, LB2);
    until(&mut world, 8_000);
    assert_eq!(cause(&world), "no answer: lb1 has no power", "nobody told the visitor");
    let eth0 = InterfaceName::new("eth0");
    world.announce(LB2, &eth0, VIP.parse().unwrap()).unwrap();
    until(&mut world, 9_500);
    assert!(last(&world).good(), "{}", cause(&world));

    // Without an announcement the entry is believed for 15 to 45 s after the last answer, and used for 8 s more.
    world.act(&Action::Start(LB1));
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    world.act(&Action::PowerOff(LB2));
    until(&mut world, 9_500 + 23_000);
    assert!(!last(&world).good());
    until(&mut world, 9_500 + 54_500);
    assert!(last(&world).good(), "{}", cause(&world));
}

#[test]
fn an_entry_that_is_doubted_is_used_until_its_holder_has_not_answered_three_times() {
    let mut world = world(pair());
    hold(&mut world, LB1);
    let (vip, lan) = (VIP.parse().unwrap(), crate::scenario::SegmentId(0));
    let mut when = Vec::new();
    world.resolve(VISITOR, vip, lan);
    world.act(&Action::PowerOff(LB1));
    hold(&mut world, LB2);
    let mut believed = Some(LB1);
    for at in 1..60_000 {
        until(&mut world, at);
        let holder = world.resolve(VISITOR, vip, lan);
        if holder != believed {
            when.push((at, holder));
            believed = holder;
        }
    }
    let [(at, Some(LB2))] = when[..] else { panic!("{when:?}") };
    assert!((15_000 + 8_000..45_000 + 8_000).contains(&at), "{at}");

    // One that answers when it is asked stays, though the other one is there too.
    hold(&mut world, LB1);
    world.act(&Action::Start(LB1));
    for at in (60_000..160_000).step_by(10) {
        until(&mut world, at);
        assert_eq!(world.resolve(VISITOR, vip, lan), Some(LB2), "{at}");
    }
}

#[test]
fn a_switch_that_drops_gratuitous_arp_leaves_clients_with_who_is_gone() {
    let mut world = world(pair());
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    serve(&mut world, LB2, Forwarding::Dr);
    until(&mut world, 6_000);
    world.act(&Action::DropGarp(crate::scenario::SegmentId(0)));
    world.act(&Action::PowerOff(LB1));
    hold(&mut world, LB2);
    world.announce(LB2, &InterfaceName::new("eth0"), VIP.parse().unwrap()).unwrap();
    until(&mut world, 8_000);
    assert_eq!(cause(&world), "no answer: lb1 has no power");
}

#[test]
fn directors_that_are_real_servers_of_each_other_lose_a_quarter_of_the_connections() {
    let mut scenario = pair();
    for id in [LB1, LB2] {
        if let NodeKind::Director(plan) = &mut scenario.nodes[id.0].kind {
            plan.loopback = vec![VIP.parse().unwrap()];
            plan.listens = vec![80];
        }
    }
    let mut world = world(scenario);
    hold(&mut world, LB1);
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
    for id in [LB1, LB2] {
        let service = Service {
            scheduler: Scheduler("rr".into()),
            persistence: None,
            flags: Default::default(),
            persistence_engine: None,
        };
        world.ipvs(id, &Op::AddService { key, service }).unwrap();
        for address in ["192.0.2.11:80", "192.0.2.12:80"] {
            let forwarding = Forwarding::Dr;
            let destination = Destination { weight: 1, forwarding, upper_threshold: 0, lower_threshold: 0 };
            let address = address.parse().unwrap();
            world.ipvs(id, &Op::AddDestination { service: key, address, destination }).unwrap();
        }
    }
    until(&mut world, 26_500);
    let failed = world.requests.iter().filter(|request| !request.outcome.good()).count();
    let share = failed * 100 / world.requests.len();
    assert!((23..=27).contains(&share), "{share} %");
    let lost = world.requests.iter().find(|request| !request.outcome.good()).unwrap();
    assert_eq!(lost.outcome.cause(), "no answer: it goes round between lb1 and lb2");
}

#[test]
fn gratuitous_arp_makes_no_entry_where_there_is_none() {
    let mut world = world(pair());
    world.announce(LB2, &InterfaceName::new("eth0"), VIP.parse().unwrap()).unwrap();
    assert!(world.neighbours.is_empty());
}

#[test]
fn if_two_answer_arp_the_nearer_counts_and_of_equals_the_first() {
    let mut first = world(pair());
    hold(&mut first, LB2);
    hold(&mut first, LB1);
    assert_eq!(first.resolve(VISITOR, VIP.parse().unwrap(), SegmentId(0)), Some(LB1));
    let mut nearer = world(pair());
    hold(&mut nearer, LB2);
    hold(&mut nearer, LB1);
    let (from, to) = (Party::Node(LB1), Party::Any);
    let impairment = Impairment::Delay(Duration::from_millis(5));
    nearer.act(&Action::Impair { from, to, both: false, impairment });
    assert_eq!(nearer.resolve(VISITOR, VIP.parse().unwrap(), SegmentId(0)), Some(LB2));
}

#[test]
fn dr_needs_the_vip_on_the_loopback_of_the_real_server() {
    let mut scenario = pair();
    server(&mut scenario).loopback.clear();
    let mut world = world(scenario);
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    until(&mut world, 6_500);
    assert_eq!(cause(&world), "no answer: web1 drops it: 192.0.2.100 is not on its loopback, and DR needs it there");
}

#[test]
fn dr_does_not_go_through_a_router_but_probes_do() {
    let mut scenario = pair();
    scenario.segments.push(SegmentPlan { name: "far".into(), delay: Duration::ZERO, loss: Share(0) });
    scenario.nodes[WEB1.0].ports[0].segment = SegmentId(1);
    let port = |name: &str, segment, address: &str| PortPlan {
        interface: InterfaceName::new(name),
        segment: SegmentId(segment),
        address: Some((address.parse().unwrap(), 24)),
    };
    let ports = vec![port("a", 0, "192.0.2.1"), port("b", 1, "198.51.100.1")];
    scenario.nodes.push(NodePlan { name: "router".into(), ports, kind: NodeKind::Router });
    let mut world = world(scenario);
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    until(&mut world, 6_500);
    assert_eq!(cause(&world), "no answer: DR can't reach web1: it is not on a segment of lb1");
    assert!(world.answers_probes(LB1, WEB1, 80, |status| status == 200));
}

#[test]
fn nat_answers_must_come_back_through_the_director() {
    let far = |scenario: &mut Scenario, gateway: Option<&str>| {
        scenario.segments.push(SegmentPlan { name: "inside".into(), delay: Duration::ZERO, loss: Share(0) });
        let port = |address: &str| PortPlan {
            interface: InterfaceName::new("eth1"),
            segment: SegmentId(1),
            address: Some((address.parse().unwrap(), 24)),
        };
        scenario.nodes[LB1.0].ports.push(port("192.0.2.129"));
        scenario.nodes[LB2.0].ports.push(port("192.0.2.130"));
        scenario.nodes[WEB1.0].ports = vec![port("192.0.2.21")];
        server(scenario).gateway = gateway.map(|gateway| gateway.parse().unwrap());
    };
    let outcome = |gateway| {
        let mut scenario = pair();
        far(&mut scenario, gateway);
        let mut world = world(scenario);
        hold(&mut world, LB1);
        serve(&mut world, LB1, Forwarding::Nat);
        until(&mut world, 6_500);
        last(&world).clone()
    };
    let why = |gateway| outcome(gateway).cause();
    assert_eq!(why(None), "no answer: web1 has no gateway, and NAT answers go through it");
    assert_eq!(why(Some("192.0.2.130")), "no answer: web1 answers through 192.0.2.130, which is lb2, past the NAT");
    assert_eq!(outcome(Some("192.0.2.129")), Outcome::Answered { by: WEB1, status: 200 });
}

#[test]
fn nat_fails_when_client_and_server_share_a_segment() {
    let mut world = world(pair());
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Nat);
    until(&mut world, 6_500);
    assert_eq!(cause(&world), "no answer: web1 answers the client directly, past the NAT: they share a segment");
}

#[test]
fn an_empty_table_refuses_and_a_slow_server_is_too_late() {
    let mut world = world(pair());
    hold(&mut world, LB1);
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
    let service = Service {
        scheduler: Scheduler("rr".into()),
        persistence: None,
        flags: Default::default(),
        persistence_engine: None,
    };
    world.ipvs(LB1, &Op::AddService { key, service }).unwrap();
    until(&mut world, 5_500);
    assert_eq!(cause(&world), "refused: lb1 has no destination for TCP 192.0.2.100:80");
    let destination = Destination { weight: 1, forwarding: Forwarding::Dr, upper_threshold: 0, lower_threshold: 0 };
    let address = "192.0.2.21:80".parse().unwrap();
    world.ipvs(LB1, &Op::AddDestination { service: key, address, destination }).unwrap();
    world.act(&Action::Slow { who: WEB1.into(), by: Duration::from_secs(2) });
    until(&mut world, 7_500);
    assert_eq!(cause(&world), "no answer: web1 answers too late");
}

/// Both directors of the pair listen on port 80 and check that with a script, which looks or asks.
fn with_services(asks: bool) -> (World, Command) {
    let command = Command { argv: vec!["check".to_owned()], user: None };
    let mut scenario = pair();
    for node in &mut scenario.nodes {
        let NodeKind::Director(director) = &mut node.kind else { continue };
        director.listens = vec![80];
        director.tracks.insert("chk".into(), Checks { port: 80, asks });
        let mut config = (**director.config.config.as_ref().unwrap()).clone();
        let second = Duration::from_secs(1);
        let script = VrrpScript {
            name: "chk".into(),
            command: command.clone(),
            interval: second,
            timeout: second,
            weight: Default::default(),
            rise: 1,
            fall: 1,
            init_fail: false,
            places: Default::default(),
        };
        config.scripts.insert("chk".into(), script);
        director.config.config = Some(Arc::new(config));
    }
    let mut world = world(scenario);
    hold(&mut world, LB1);
    (world, command)
}

#[test]
fn a_service_of_a_director_fails_by_itself_and_its_clients_and_its_check_see_it() {
    let who = Listener { node: LB1, port: Some(80) };
    let well = "answered by lb1 with status 200";
    let cases = [
        (Action::Down(who), "refused: lb1's service on port 80 is down", 1, 1),
        (Action::Hang(who), "no answer: lb1 accepts connections and never answers", 0, 1),
        (Action::Status { who, code: 503 }, "status 503", 0, 1),
        (Action::Slow { who, by: Duration::from_secs(2) }, "no answer: lb1 answers too late", 0, 0),
        (Action::Status { who, code: 302 }, well, 0, 0),
    ];
    for (action, expected, looks, asks) in cases {
        for (asked, exits) in [(false, looks), (true, asks)] {
            let (mut world, command) = with_services(asked);
            until(&mut world, 5_500);
            assert!(last(&world).good());
            world.act(&action);
            until(&mut world, 7_500);
            let seen = cause(&world);
            assert!(expected == well || seen.contains(expected), "{action:?}: {seen}");
            assert_eq!(world.script_outcome(LB1, &command), ScriptOutcome::Exited(exits), "{action:?}, asks: {asked}");
            assert_eq!(world.script_outcome(LB2, &command), ScriptOutcome::Exited(0), "lb2 has its own");
            world.act(&Action::Up(who));
            until(&mut world, 9_500);
            assert!(last(&world).good(), "{action:?}: {}", cause(&world));
            assert_eq!(world.script_outcome(LB1, &command), ScriptOutcome::Exited(0));
        }
    }
}

#[test]
fn what_a_step_says_of_a_script_holds_until_the_next_step_about_its_service() {
    let (mut world, command) = with_services(false);
    let who = Listener { node: LB1, port: Some(80) };
    let exits = |world: &World| world.script_outcome(LB1, &command);
    world.act(&Action::Script { script: "chk".into(), node: LB1, exits: 3 });
    assert_eq!(exits(&world), ScriptOutcome::Exited(3), "its service is well");
    world.act(&Action::Down(Listener { node: LB2, port: Some(80) }));
    assert_eq!(exits(&world), ScriptOutcome::Exited(3), "another director's");
    world.act(&Action::Up(who));
    assert_eq!(exits(&world), ScriptOutcome::Exited(0));
    world.act(&Action::Flap { who, every: Duration::from_secs(1), times: 1 });
    let mut seen = Vec::new();
    for millis in [500, 1_500, 2_500] {
        until(&mut world, millis);
        seen.push(exits(&world));
    }
    assert_eq!(seen, [1, 0, 0].map(ScriptOutcome::Exited));
}

#[test]
fn loss_is_drawn_for_each_direction_by_itself_and_by_the_seed() {
    let draw = |seed, rules: &[(NodeId, NodeId)]| {
        let mut world = World::new(Arc::new(pair()), seed);
        for (from, to) in rules {
            let (from, to) = (Party::Node(*from), Party::Node(*to));
            world.act(&Action::Impair { from, to, both: false, impairment: Impairment::Lose(Share(200)) });
        }
        let mut lost = Vec::new();
        for _ in 0..1000 {
            let way = world.link(LB2, LB1, SegmentId(0)).unwrap();
            let _ = world.send(LB2, LB1, way);
            let way = world.link(LB1, LB2, SegmentId(0)).unwrap();
            lost.push(world.send(LB1, LB2, way).is_err());
        }
        lost
    };
    let one = draw(1, &[(LB1, LB2)]);
    let share = one.iter().filter(|lost| **lost).count();
    assert!((150..250).contains(&share), "{share} of 1000");
    assert_eq!(one, draw(1, &[(LB1, LB2)]), "the same seed");
    assert_eq!(one, draw(1, &[(LB1, LB2), (LB2, LB1)]), "what is lost one way does not move the other");
    assert_ne!(one, draw(2, &[(LB1, LB2)]), "another seed");
}

#[test]
fn a_frozen_directors_socket_fills_and_then_loses() {
    let mut world = world(pair());
    let eth0 = InterfaceName::new("eth0");
    let group = Some("224.0.0.18".parse().unwrap());
    world.listen(LB2, &eth0, group).unwrap();
    world.act(&Action::Freeze(LB2));
    let advert = Datagram {
        interface: eth0,
        source: "192.0.2.11".parse().unwrap(),
        destination: "224.0.0.18".parse().unwrap(),
        ttl: 255,
        payload: vec![0x21, 51, 150].into(),
    };
    for _ in 0..1_000 {
        let envelope = world.send_advert(LB1, &advert).unwrap();
        world.carried(LB2, envelope);
    }
    until(&mut world, 1);
    assert_eq!(world.next_advert(LB2), None, "a frozen director reads nothing");
    world.act(&Action::Resume(LB2));
    let read = std::iter::from_fn(|| world.next_advert(LB2)).count();
    assert_eq!(read, RECEIVE_BUFFER / 768);
    let full = world.trace.iter().filter(|entry| entry.what == What::BufferFull).count();
    assert_eq!(full, 1, "said once");
}

#[test]
fn kernel_tables_survive_a_kill_and_not_a_power_cut() {
    let mut world = world(pair());
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    world.act(&Action::Kill(LB1));
    assert_eq!(owners(&world), [LB1]);
    assert_eq!(world.ipvs_table(LB1).services.len(), 1);
    world.act(&Action::PowerOff(LB1));
    assert_eq!(owners(&world), []);
    world.act(&Action::Start(LB1));
    assert_eq!(world.ipvs_table(LB1).services.len(), 0);
}

fn vip() -> InterfaceAddress {
    crate::testing::config(100).routers[0].addresses[0].clone()
}

/// When the address goes that lb1 added at 1 s.
fn gone_at(seed: u64, action: Option<Action>) -> u64 {
    let mut world = World::new(Arc::new(crate::testing::with_lifetimes()), seed);
    world.start(LB1);
    until(&mut world, 1_000);
    world.add_address(LB1, &vip()).unwrap();
    if let Some(action) = action {
        world.act(&action);
    }
    while !owners(&world).is_empty() {
        assert_eq!(world.next_expiry().map(|at| at > world.now()), Some(true));
        let now = world.now().as_nanos() / 1_000_000;
        until(&mut world, now + 1);
    }
    world.now().as_nanos() / 1_000_000
}

#[test]
fn the_kernel_takes_off_what_nobody_renews_whatever_has_become_of_the_daemon() {
    let mut moments = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let gone = gone_at(seed, None);
        assert!((3_000..=4_000).contains(&gone), "{gone}");
        for action in [Action::Kill(LB1), Action::Freeze(LB1)] {
            assert_eq!(gone_at(seed, Some(action)), gone);
        }
        moments.insert(gone);
    }
    assert!(moments.len() > 10, "{moments:?}");
}

#[test]
fn a_renewal_keeps_an_address_and_puts_one_on_that_is_gone() {
    let mut world = World::new(Arc::new(crate::testing::with_lifetimes()), 1);
    world.start(LB1);
    let entries = |world: &World| world.trace.len();
    world.add_address(LB1, &vip()).unwrap();
    let before = entries(&world);
    for second in 1..=20 {
        until(&mut world, second * 1_000);
        world.renew_addresses(LB1, &[vip()]).unwrap();
    }
    assert_eq!(owners(&world), [LB1]);
    assert_eq!(entries(&world), before, "renewals leave no trace");
    world.act(&Action::DeleteAddress { address: VIP.parse().unwrap(), node: LB1 });
    world.renew_addresses(LB1, &[vip()]).unwrap();
    assert_eq!(owners(&world), [LB1], "as Linux does it");
    let nowhere = InterfaceAddress { interface: InterfaceName::new("eth7"), ..vip() };
    assert_eq!(world.renew_addresses(LB1, &[nowhere, vip()]), Err("No such device".to_owned()));
}

#[test]
fn the_world_is_pure() {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/world")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    for path in files {
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for word in ["tokio", "turmoil", "std::time", "async ", "std::fs", "std::env"] {
            assert!(!text.contains(word), "{} has {word}: a runner's business", path.display());
        }
    }
}

/// The web servers of [`pair`] behind a scheduler.
fn behind(scheduler: &str) -> World {
    let mut world = world(pair());
    hold(&mut world, LB1);
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
    let service = Service {
        scheduler: Scheduler(scheduler.into()),
        persistence: None,
        flags: Default::default(),
        persistence_engine: None,
    };
    world.ipvs(LB1, &Op::AddService { key, service }).unwrap();
    for address in ["192.0.2.21:80", "192.0.2.22:80"] {
        let forwarding = Forwarding::Dr;
        let destination = Destination { weight: 1, forwarding, upper_threshold: 0, lower_threshold: 0 };
        world.ipvs(LB1, &Op::AddDestination { service: key, address: address.parse().unwrap(), destination }).unwrap();
    }
    world
}

/// Of the requests that ended since `from`: how many there are, and how many were refused.
fn refused_since(world: &World, from: u64) -> (usize, usize) {
    let since = world.requests.iter().filter(|request| request.started >= Instant::from_millis(from));
    let refused = since.clone().filter(|request| matches!(request.outcome, Outcome::Refused { .. })).count();
    (since.count(), refused)
}

#[test]
fn least_connection_counts_closed_connections_and_sends_to_a_server_that_refuses() {
    for scheduler in ["rr", "lc", "wlc"] {
        let mut world = behind(scheduler);
        until(&mut world, 8_000);
        let by = |world: &World, id| {
            let by =
                |request: &&crate::trace::Request| matches!(request.outcome, Outcome::Answered { by, .. } if by == id);
            world.requests.iter().filter(by).count()
        };
        let (one, other) = (by(&world, WEB1), by(&world, NodeId(WEB1.0 + 1)));
        assert!(one.abs_diff(other) <= 1, "{scheduler}: {one} and {other}");
        world.act(&Action::Down(WEB1.into()));
        until(&mut world, 12_000);
        let (all, refused) = refused_since(&world, 8_000);
        assert!((refused * 2).abs_diff(all) <= 1, "{scheduler}: {refused} of {all}");
    }
}

#[test]
fn entries_of_refused_connections_go_before_those_of_closed_ones_and_more_goes_to_who_refuses() {
    let mut world = behind("wlc");
    world.act(&Action::Down(WEB1.into()));
    // Nothing is forgotten yet.
    until(&mut world, 64_000);
    let (all, refused) = refused_since(&world, 5_000);
    assert!((refused * 2).abs_diff(all) <= 1, "{refused} of {all}");
    // web1's oldest entries end and web2's stay: web1 has to take as many more until both have the same.
    until(&mut world, 100_000);
    let (all, refused) = refused_since(&world, 66_000);
    assert!(refused * 10 >= all * 7, "{refused} of {all}");
}

#[test]
fn what_is_sent_again_goes_where_the_first_packet_went() {
    let mut scenario = pair();
    if let NodeKind::Client(client) = &mut scenario.nodes[VISITOR.0].kind {
        client.timeout = Duration::from_secs(8);
        client.every = Duration::from_secs(60);
    }
    let mut world = world(scenario);
    hold(&mut world, LB1);
    serve(&mut world, LB1, Forwarding::Dr);
    world.act(&Action::PowerOff(WEB1));
    until(&mut world, 6_500);
    // Its place is taken by another one before the client sends again.
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
    let destination = Destination { weight: 1, forwarding: Forwarding::Dr, upper_threshold: 0, lower_threshold: 0 };
    let address = "192.0.2.22:80".parse().unwrap();
    world.ipvs(LB1, &Op::AddDestination { service: key, address, destination }).unwrap();
    world.ipvs(LB1, &Op::RemoveDestination { service: key, address: "192.0.2.21:80".parse().unwrap() }).unwrap();
    until(&mut world, 14_000);
    assert_eq!(cause(&world), "no answer: lb1 has 192.0.2.21:80 no more, where the connection went");
}
