//! `lvs_timeouts`, `lvs_sync_daemon`: set, mended and given back, as keepalived 2.2.7 sets them and gives them back.

use crate::world::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::balancer::{Carrier, Event, Input};
use vipward_core::config::{Config, Options, load};
use vipward_core::door::News;
use vipward_core::interface::InterfaceName;
use vipward_core::ipvs::{Settings, SyncDaemon, SyncRole, Timeouts};
use vipward_core::quantity::Role;
use vipward_core::text::Sources;

/// With these lines in `global_defs`, and no virtual server.
fn configured(lines: &str) -> Config {
    let text = format!(
        "global_defs {{\n{lines}\n}}\nvrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id 51\n\
         virtual_ipaddress {{\n192.0.2.100/24\n}}\n}}\n"
    );
    let files = BTreeMap::from([(PathBuf::from("lb.conf"), text.into_bytes())]);
    let loaded = load(&mut Sources::default(), &files, Path::new("lb.conf"), &Options::default());
    loaded.config.unwrap()
}

/// A kernel with IPVS.
fn world() -> World {
    let mut world = World::new();
    world.kernel.settings = Some(Settings::default());
    world
}

fn role(world: &mut World, role: Role) {
    world.happens(Input::News(News::RoleChanged { router: Arc::from("VI_1"), role }));
}

fn there(world: &World) -> Settings {
    world.kernel.settings.clone().unwrap()
}

fn running(world: &World) -> Vec<SyncRole> {
    there(world).daemons.into_keys().collect()
}

#[test]
fn timeouts_are_set_mended_and_given_back() {
    let mut world = world();
    world.load_all(configured("lvs_timeouts tcp 100 udp 50"));
    world.until(secs(1));
    world.kernel.settings.as_mut().unwrap().timeouts.udp = 33;
    world.until(secs(12));
    // What the new line does not name is what it was before both.
    world.load_all(configured("lvs_timeouts tcpfin 77"));
    world.until(secs(13));
    world.load_all(configured(""));
    world.until(secs(14));
    world.load_all(configured("lvs_timeouts tcp 100 tcpfin 0"));
    world.until(secs(15));
    world.happens(Input::Stop);
    insta::assert_snapshot!(world.timeline(), @"
      0.000   setting the timeouts of IPVS to tcp 100 tcpfin 120 udp 50
     10.000   setting the timeouts of IPVS to tcp 100 tcpfin 120 udp 50
     10.000 the IPVS table was changed by somebody else: 1 change to mend it
     12.000   setting the timeouts of IPVS to tcp 900 tcpfin 77 udp 300
     13.000   setting the timeouts of IPVS to tcp 900 tcpfin 120 udp 300
     14.000   setting the timeouts of IPVS to tcp 100 tcpfin 120 udp 300
     15.000   setting the timeouts of IPVS to tcp 900 tcpfin 120 udp 300
    ");
    assert_eq!(there(&world).timeouts, Timeouts::default());
}

/// Nobody looks at the kernel, and what others set stays.
#[test]
fn without_the_words_nothing_is_touched() {
    let mut world = world();
    world.kernel.settings.as_mut().unwrap().timeouts.tcp = 5;
    world.load_all(configured(""));
    role(&mut world, Role::Master);
    world.until(secs(30));
    world.happens(Input::Stop);
    assert_eq!(world.timeline(), "");
    assert_eq!(there(&world).timeouts.tcp, 5);
}

#[test]
fn a_sync_daemon_follows_its_virtual_router() {
    let mut world = world();
    world.load_all(configured("lvs_sync_daemon eth1 VI_1"));
    world.until(secs(1));
    assert_eq!(running(&world), [], "its role is not known yet");
    role(&mut world, Role::Backup);
    assert_eq!(running(&world), [SyncRole::Backup]);
    world.until(secs(2));
    role(&mut world, Role::Master);
    assert_eq!(running(&world), [SyncRole::Master]);
    let interface = InterfaceName::new("eth1");
    let group = "224.0.0.81".parse().unwrap();
    let daemon = SyncDaemon { interface, id: 51, max_length: None, port: 8848, ttl: 1, group };
    assert_eq!(there(&world).daemons[&SyncRole::Master], daemon);
    world.until(secs(3));
    // Somebody stops it, and starts another one.
    let daemons = &mut world.kernel.settings.as_mut().unwrap().daemons;
    daemons.clear();
    daemons.insert(SyncRole::Backup, SyncDaemon { id: 9, ..daemon });
    world.until(secs(14));
    assert_eq!(running(&world), [SyncRole::Master]);
    role(&mut world, Role::Fault);
    assert_eq!(running(&world), [SyncRole::Backup]);
    // Both, with another id.
    world.load_all(configured("lvs_sync_daemon eth1 id 7 maxlen 1200"));
    assert_eq!(there(&world).daemons.values().map(|it| it.id).collect::<Vec<_>>(), [7, 7]);
    world.load_all(configured("lvs_sync_daemon eth1 VI_1"));
    assert_eq!(running(&world), [SyncRole::Backup], "the role is remembered");
    world.happens(Input::Stop);
    assert_eq!(running(&world), []);
    insta::assert_snapshot!(world.timeline(), @"
      1.000   starting the backup sync daemon on eth1
      2.000   stopping the backup sync daemon
      2.000   starting the master sync daemon on eth1
     10.000   stopping the backup sync daemon
     10.000   starting the master sync daemon on eth1
     10.000 the IPVS table was changed by somebody else: 2 changes to mend it
     14.000   stopping the master sync daemon
     14.000   starting the backup sync daemon on eth1
     14.000   stopping the backup sync daemon
     14.000   starting the master sync daemon on eth1
     14.000   starting the backup sync daemon on eth1
     14.000   stopping the master sync daemon
     14.000   stopping the backup sync daemon
     14.000   starting the backup sync daemon on eth1
     14.000   stopping the backup sync daemon
    ");
}

/// The kernel tells a length that it has cut, and its own where none was asked for.
#[test]
fn what_the_kernel_fills_in_is_no_reason_to_start_anew() {
    let mut world = world();
    world.load_all(configured("lvs_sync_daemon eth1 maxlen 9000"));
    world.until(secs(1));
    world.timeline();
    world.kernel.settings.as_mut().unwrap().daemons.values_mut().for_each(|it| it.max_length = Some(1472));
    world.until(secs(30));
    assert_eq!(world.timeline(), "");
}

/// A successor goes on, and still gives back what was there before the first.
#[test]
fn a_successor_gives_back_what_was_there_first() {
    let mut world = world();
    let config = configured("lvs_timeouts tcp 100\nlvs_sync_daemon eth1 VI_1");
    world.load_all(config.clone());
    role(&mut world, Role::Master);
    world.until(secs(1));
    world.timeline();
    world.succeed();
    world.load_all(config);
    role(&mut world, Role::Master);
    world.until(secs(12));
    assert!(!world.timeline().contains("IPVS"), "nothing is changed");
    assert_eq!(running(&world), [SyncRole::Master]);
    world.load_all(configured(""));
    assert_eq!((there(&world).timeouts, running(&world)), (Timeouts::default(), vec![]));
}

#[test]
fn what_the_kernel_refuses_is_tried_again() {
    let mut world = world();
    world.load_all(configured("lvs_sync_daemon eth1 VI_1"));
    role(&mut world, Role::Backup);
    world.until(secs(2));
    world.timeline();
    let before = world.kernel.settings.take();
    role(&mut world, Role::Master);
    world.kernel.settings = before;
    world.until(secs(14));
    insta::assert_snapshot!(world.timeline(), @"
      2.000 stopping the backup sync daemon failed: there is no IPVS; next try in 1.000 s
      2.000 starting the master sync daemon on eth1 failed: there is no IPVS; next try in 1.000 s
      3.000   stopping the backup sync daemon
      3.000   starting the master sync daemon on eth1
    ");
    assert_eq!(running(&world), [SyncRole::Master]);
}

/// It has neither.
#[test]
fn the_relay_says_that_it_can_not() {
    let mut world = World::new();
    world.happens(Event::CarriedBy(Carrier::Relay { instead: Some("no module ip_vs".to_owned()) }));
    world.load_all(configured("lvs_timeouts tcp 100\nlvs_sync_daemon eth1 VI_1"));
    role(&mut world, Role::Master);
    world.until(secs(30));
    insta::assert_snapshot!(world.timeline(), @"
      0.000 `lvs_timeouts` does nothing: it needs IPVS: no module ip_vs
      0.000 `lvs_sync_daemon` does nothing: it needs IPVS: no module ip_vs
    ");
}
