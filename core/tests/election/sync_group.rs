//! `vrrp_sync_group`: all members MASTER, or none.
//!
//! V1 is on eth0 with VRID 51 and 10.0.0.100, V2 on eth1 with VRID 52 and 10.0.0.101. This director is 10.0.0.5 on both.

use crate::timeline::{Peer, Timeline, command, config, eth, observed, peer, priority, router, vip};
use std::sync::Arc;
use vipward_core::config::{
    Adverts, Config, InitialState, Interfaces, NotifyScripts, Preemption, SyncGroup, VirtualRouterConfig,
};
use vipward_core::interface::{InterfaceAddress, ObservedAddress};
use vipward_core::machine::Machine;
use vipward_core::quantity::{AdvertInterval, Priority, Role, Vrid};
use vipward_core::time::Duration;
use vipward_core::vrrp::Event;

const OWN: u8 = 5;

fn member(n: u8, config: VirtualRouterConfig) -> VirtualRouterConfig {
    let address = InterfaceAddress { interface: eth(n - 1), ..vip(99 + n) };
    VirtualRouterConfig {
        name: Arc::from(format!("V{n}")),
        interfaces: Interfaces::all(eth(n - 1)),
        vrid: Vrid::new(50 + n).unwrap(),
        addresses: vec![address],
        ..config
    }
}

fn group(members: &[&str]) -> SyncGroup {
    SyncGroup {
        name: Arc::from("G"),
        members: members.iter().map(|name| Arc::from(*name)).collect(),
        notify: NotifyScripts { any: Some(command("/g")), ..NotifyScripts::default() },
        places: Default::default(),
    }
}

fn grouped(one: VirtualRouterConfig, two: VirtualRouterConfig) -> Config {
    Config { groups: vec![group(&["V1", "V2"])], ..config(vec![member(1, one), member(2, two)], vec![]) }
}

fn pair() -> Config {
    grouped(router(), router())
}

fn own(n: u8) -> ObservedAddress {
    ObservedAddress { key: InterfaceAddress { interface: eth(n), ..vip(OWN) }.key(), ours: false }
}

fn started(config: Config) -> Timeline {
    let mut t = Timeline::unstarted(&[observed(OWN, false), own(1)]);
    t.tells_links(&[(0, true), (1, true)]);
    t.reads_addresses();
    t.loads(config);
    t
}

/// An advert on the segment of V1 or V2.
fn on(n: u8, source: u8, priority: u8) -> Peer {
    Peer { interface: eth(n - 1), vrid: 50 + n, addresses: vec![99 + n], ..peer(source, priority) }
}

#[track_caller]
fn all_are(t: &Timeline, role: Role) {
    let roles: Vec<Role> = t.election.routers().iter().map(|router| router.role()).collect();
    assert!(roles.iter().all(|other| *other == role), "{roles:?}");
}

fn master() -> Timeline {
    let mut t = started(pair());
    t.until("3.609375");
    all_are(&t, Role::Master);
    t
}

fn link(t: &mut Timeline, n: u8, running: bool) {
    t.handles(Event::LinkChanged(vipward_core::interface::Link { name: eth(n), running }));
}

#[test]
fn the_group_becomes_master_in_one_event() {
    let mut t = started(pair());
    t.gives_of("V", &["V1 Init -> BACKUP: started", "V2 Init -> BACKUP: started"]);
    t.gives_of("notify", &["notify /g GROUP G BACKUP 0"]);
    let mut lines = t.until("3.60");
    assert_eq!(lines, [""; 0]);
    lines = t.until("3.609375");
    assert_eq!(
        lines,
        [
            "3.609 advert 100",
            "3.609 advert 100",
            "3.609 add 10.0.0.100",
            "3.609 add 10.0.0.101",
            "3.609 announce 10.0.0.100",
            "3.609 announce 10.0.0.101",
            "3.609 V2 BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)",
            "3.609 V1 BACKUP -> MASTER: with V2, in sync group G",
            "3.609 notify /g GROUP G MASTER 0",
        ]
    );
}
