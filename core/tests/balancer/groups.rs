//! Virtual servers with several entries in the table, and with entries by mark: one health, one quorum, every entry alike.

use crate::world::*;
use vipward_core::balancer::{Carrier, Event, Input};
use vipward_core::config::{Entries, Member, VirtualServer};
use vipward_core::door::News;
use vipward_core::interface::Family;
use vipward_core::ipvs::{Forwarding, GroupName, Protocol, ServiceKey, Table};

fn range(first: &str, last: &str, port: u16) -> Member {
    Member::Range { first: first.parse().unwrap(), last: last.parse().unwrap(), port }
}

const MARK: Member = Member::Mark { mark: 7, family: Family::V4 };

fn group(members: &[Member], reals: &[&str]) -> VirtualServer {
    let group = GroupName::new("web").unwrap();
    let entries = Entries::Group { group, protocol: Some(Protocol::Tcp), members: members.to_vec() };
    VirtualServer { entries, ..service(VIP, reals) }
}

/// Two addresses and a mark.
fn three() -> Vec<Member> {
    vec![range("10.0.0.1", "10.0.0.2", 80), MARK]
}

fn by_mark(mark: u32, reals: &[&str]) -> VirtualServer {
    VirtualServer { entries: ServiceKey::Mark { mark, family: Family::V4 }.into(), ..service(VIP, reals) }
}

/// `TCP 10.0.0.1:80: 192.0.2.1:80=1`, one for each entry.
fn shown(table: &Table) -> Vec<String> {
    let entry = |(key, entry): (&ServiceKey, &vipward_core::ipvs::ServiceEntry)| {
        let destinations: Vec<String> =
            entry.destinations.iter().map(|(at, destination)| format!("{at}={}", destination.weight)).collect();
        format!("{key}: {}", destinations.join(" "))
    };
    table.services.iter().map(entry).collect()
}

/// One checker for each real server, whatever the number of entries, and every entry has what it found.
#[test]
fn a_group_is_checked_once_and_all_its_entries_follow() {
    let mut server = group(&three(), &[WEB1, WEB2]);
    server.sorry_server = Some(sorry());
    let mut world = World::with(vec![server]);
    world.until(secs(5));
    assert_eq!(world.probes_started, 2);
    let all = |destinations: &str| {
        ["TCP 10.0.0.1:80", "TCP 10.0.0.2:80", "fwmark 7"].map(|entry| format!("{entry}: {destinations}"))
    };
    assert_eq!(shown(&world.kernel), all("192.0.2.1:80=1 192.0.2.2:80=1"));
    world.mood(WEB1, Mood::Refuses);
    world.until(secs(9));
    assert_eq!(shown(&world.kernel), all("192.0.2.2:80=1"));
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(20));
    assert_eq!(shown(&world.kernel), all("192.0.2.99:80=1"));
    let said = world.timeline();
    let lost: Vec<&str> = said.lines().filter(|line| line.contains("quorum lost")).collect();
    assert_eq!(lost, [" 14.000 TCP group web: quorum lost: live weight 0 of 1; sorry server 192.0.2.99:80 answers"]);
    world.happens(Input::Stop);
    assert_eq!(shown(&world.kernel), [] as [&str; 0], "a stop takes all of it away");
}

/// Members that come and go are all that changes: what is gone at once, what is new when the table has been looked at. The
/// other entries, checks and verdicts go on.
#[test]
fn a_reload_of_the_members_changes_only_those_entries() {
    let mut world = World::with(vec![group(&three(), &[WEB1, WEB2])]);
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(9));
    world.timeline();
    let members = [range("10.0.0.2", "10.0.0.3", 80), MARK];
    world.load(vec![group(&members, &[WEB1, WEB2])]);
    insta::assert_snapshot!(world.timeline(), @r"
    9.000   removing service TCP 10.0.0.1:80
    9.000 configuration applied; changed virtual_server TCP group web
    9.000   adding service TCP 10.0.0.3:80
    9.000   adding destination 192.0.2.1:80 to TCP 10.0.0.3:80, weight 1
    ");
    world.load(vec![group(&members, &[WEB1, WEB2])]);
    assert_eq!(world.timeline(), "", "the same again");
    assert_eq!(
        shown(&world.kernel),
        ["TCP 10.0.0.2:80", "TCP 10.0.0.3:80", "fwmark 7"].map(|it| format!("{it}: 192.0.2.1:80=1"))
    );
}

/// What a killed predecessor left of the group is taken up, and what is no member any more goes.
#[test]
fn a_successor_takes_up_every_entry() {
    let mut world = World::with(vec![group(&three(), &[WEB1, WEB2])]);
    world.mood(WEB2, Mood::Refuses);
    world.until(secs(9));
    world.succeed();
    world.timeline();
    world.load(vec![group(&[range("10.0.0.1", "10.0.0.1", 80)], &[WEB1, WEB2])]);
    world.until(secs(9));
    assert_eq!(shown(&world.kernel), ["TCP 10.0.0.1:80: 192.0.2.1:80=1"]);
    let said = world.timeline();
    let operations: Vec<&str> = said.lines().filter_map(|line| line.split_once("   ")).map(|(_, op)| op).collect();
    assert_eq!(operations, ["removing service TCP 10.0.0.2:80", "removing service fwmark 7"]);
}

/// Somebody takes one entry away: that one comes back.
#[test]
fn one_entry_of_a_group_is_mended_by_itself() {
    let mut world = World::with(vec![group(&three(), &[WEB1])]);
    world.until(secs(1));
    world.kernel.services.remove(&ServiceKey::Mark { mark: 7, family: Family::V4 }).unwrap();
    world.timeline();
    world.until(secs(11));
    let said = world.timeline();
    let operations: Vec<&str> = said.lines().filter(|line| line.contains("   ")).map(str::trim).collect();
    assert!(operations.iter().all(|line| line.contains("fwmark 7")), "{said}");
    assert_eq!(world.kernel.services.len(), 3);
}

/// Only NAT changes ports: with DR and TUN a destination has its entry's port, and behind a mark none.
#[test]
fn ports_of_destinations() {
    let mut server =
        group(&[range("10.0.0.1", "10.0.0.1", 80), range("10.0.0.1", "10.0.0.1", 443), MARK], &[WEB1, WEB2, WEB3]);
    server.real_servers[0].forwarding = Forwarding::Dr;
    server.real_servers[1].forwarding = Forwarding::Tun;
    let mut world = World::with(vec![server]);
    world.until(secs(1));
    assert_eq!(
        shown(&world.kernel),
        [
            "TCP 10.0.0.1:80: 192.0.2.1:80=1 192.0.2.2:80=1 192.0.2.3:80=1",
            "TCP 10.0.0.1:443: 192.0.2.1:443=1 192.0.2.2:443=1 192.0.2.3:80=1",
            "fwmark 7: 192.0.2.1:0=1 192.0.2.2:0=1 192.0.2.3:80=1",
        ]
    );
}

/// Marks are on packets, and the relay sees connections: that service alone is not served.
#[test]
fn the_relay_carries_no_marks() {
    let lacking = |server: VirtualServer| {
        let mut world = World::new();
        world.happens(Event::CarriedBy(Carrier::Relay { instead: Some("no module ip_vs".to_owned()) }));
        let VirtualServer { entries, .. } = service("10.0.0.9:80", &[]);
        world.load(vec![server, VirtualServer { entries, ..service(VIP, &[WEB1]) }]);
        world.until(secs(1));
        let served = shown(&world.kernel);
        let said = world.timeline();
        let said: Vec<String> =
            said.lines().filter(|line| line.contains("not served")).map(|it| it.trim().to_owned()).collect();
        (served, said)
    };
    let other = vec!["TCP 10.0.0.9:80: 192.0.2.1:80=1".to_owned()];
    let said = "0.000 virtual_server fwmark 3 is not served: fwmark 3 needs IPVS: no module ip_vs";
    assert_eq!(lacking(by_mark(3, &[WEB2])), (other.clone(), vec![said.to_owned()]));
    let said = "0.000 virtual_server TCP group web is not served: fwmark 7 needs IPVS: no module ip_vs";
    assert_eq!(lacking(group(&three(), &[WEB2])), (other, vec![said.to_owned()]));
    let (served, said) = lacking(group(&[range("10.0.0.1", "10.0.0.2", 80)], &[WEB2]));
    assert_eq!((served.len(), said.len()), (3, 0), "without marks it is carried");
}

fn here(at: &str, here: bool) -> Input {
    Input::News(News::AddressHere { address: at.parse().unwrap(), here })
}

/// `ha_suspend`: it is checked as long as any of its addresses is here. Marks have none to wait for.
#[test]
fn a_group_is_checked_where_any_of_its_addresses_is() {
    let mut world = World::with(vec![VirtualServer { ha_suspend: true, ..group(&three(), &[WEB1]) }]);
    world.until(secs(10));
    assert_eq!(world.probes_started, 0);
    world.happens(here("10.0.0.1", false));
    world.happens(here("10.0.0.2", false));
    world.happens(here("10.0.0.2", true));
    world.until(secs(11));
    world.happens(here("10.0.0.1", true));
    world.happens(here("10.0.0.2", false));
    world.until(secs(20));
    world.happens(here("10.0.0.1", false));
    let asked = world.probes_started;
    world.until(secs(60));
    assert_eq!((asked, world.probes_started), (2, 2));
    let said = world.timeline();
    let said: Vec<&str> = said.lines().filter(|line| line.contains("checked")).map(str::trim).collect();
    assert_eq!(
        said,
        [
            "10.000 TCP group web: not checked while this host has none of its addresses (ha_suspend)",
            "10.000 TCP group web: an address of it is here: checked again",
            "20.000 TCP group web: not checked while this host has none of its addresses (ha_suspend)",
        ]
    );
    let mut world = World::with(vec![VirtualServer { ha_suspend: true, ..by_mark(3, &[WEB1]) }]);
    world.until(secs(1));
    assert_eq!(world.probes_started, 1, "nothing to wait for");
}
