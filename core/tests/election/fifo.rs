//! Lines of notify FIFOs about virtual routers and sync groups, as keepalived 2.2.7 wrote them.

use crate::timeline::*;
use std::sync::Arc;
use vipward_core::config::{Config, NotifyScripts, SyncGroup, VirtualRouterConfig};
use vipward_core::quantity::Priority;

fn fifos(priority_changes: bool) -> NotifyScripts {
    let fifos = vec![Arc::from("/run/vrrp"), Arc::from("/run/all")];
    NotifyScripts { fifos, priority_changes, ..NotifyScripts::default() }
}

fn telling(config: VirtualRouterConfig) -> VirtualRouterConfig {
    VirtualRouterConfig { notify: fifos(true), ..config }
}

/// A group of one: it changes with its member.
fn grouped() -> Config {
    let group = SyncGroup {
        name: Arc::from("G"),
        members: vec![Arc::from("V")],
        notify: fifos(false),
        places: Default::default(),
    };
    Config { groups: vec![group], ..config(vec![telling(router())], vec![]) }
}

#[test]
fn each_fifo_gets_each_line_and_a_group_begins_before_its_members_and_changes_after_them() {
    let mut t = Timeline::with(grouped());
    t.gives_of(
        "/run",
        &[
            r#"/run/vrrp: GROUP "G" BACKUP 0"#,
            r#"/run/all: GROUP "G" BACKUP 0"#,
            r#"/run/vrrp: INSTANCE "V" BACKUP 100"#,
            r#"/run/all: INSTANCE "V" BACKUP 100"#,
        ],
    );
    t.becomes_master()
        .gives_of("/run/all", &[r#"/run/all: INSTANCE "V" MASTER 100"#, r#"/run/all: GROUP "G" MASTER 0"#]);
    t.at("5")
        .hears(peer(9, 150))
        .gives_of("/run/all", &[r#"/run/all: INSTANCE "V" BACKUP 100"#, r#"/run/all: GROUP "G" BACKUP 0"#]);
    t.at("6")
        .link(false)
        .gives_of("/run/vrrp", &[r#"/run/vrrp: INSTANCE "V" FAULT 100"#, r#"/run/vrrp: GROUP "G" FAULT 0"#]);
    t.at("7")
        .link(true)
        .gives_of("/run/vrrp", &[r#"/run/vrrp: INSTANCE "V" BACKUP 100"#, r#"/run/vrrp: GROUP "G" BACKUP 0"#]);
    t.at("8").stops().gives_of("/run/vrrp", &[r#"/run/vrrp: INSTANCE "V" STOP 100"#, r#"/run/vrrp: GROUP "G" STOP 0"#]);
}

#[test]
fn a_master_that_hears_a_lower_priority_says_so() {
    let mut t = Timeline::of(vec![telling(router())]);
    t.becomes_master();
    t.at("4").hears(peer(2, 50)).gives_of(
        "/run",
        &[r#"/run/vrrp: INSTANCE "V" MASTER_RX_LOWER_PRI 100"#, r#"/run/all: INSTANCE "V" MASTER_RX_LOWER_PRI 100"#],
    );
}

/// Who is not MASTER is BACKUP in such a line. Without the word there is none, and never one of a script.
#[test]
fn a_changed_priority_is_told_if_that_is_asked_for() {
    for asked in [true, false] {
        let tracking = tracking(router(), 5, false);
        let notify = NotifyScripts { any: Some(command("/n")), ..fifos(asked) };
        let router = VirtualRouterConfig { notify, ..tracking };
        let mut t = Timeline::with(config(vec![router], vec![script(1, 1)]));
        let of = |t: &mut Timeline, status: i32| -> Vec<String> {
            t.script_exits(status);
            t.said().into_iter().filter(|line| line.starts_with("/run/all") || line.starts_with("notify")).collect()
        };
        let expected = |line: &str| if asked { vec![format!("/run/all: INSTANCE \"V\" {line}")] } else { vec![] };
        assert_eq!(of(&mut t, 0), expected("BACKUP_PRIORITY 105"));
        t.becomes_master();
        assert_eq!(of(&mut t, 1), expected("MASTER_PRIORITY 100"));
        t.link(false);
        assert_eq!(of(&mut t, 0), expected("BACKUP_PRIORITY 105"));
    }
}

#[test]
fn a_reload_tells_of_a_new_priority_and_of_who_is_gone() {
    let mut t = Timeline::of(vec![telling(router())]);
    let other = VirtualRouterConfig { priority: Priority::new(120).unwrap(), ..telling(router()) };
    t.at("1").loads(config(vec![other], vec![]));
    t.gives_of("/run/all", &[r#"/run/all: INSTANCE "V" BACKUP_PRIORITY 120"#]);
    t.at("2").loads(config(vec![], vec![]));
    t.gives_of("/run/all", &[r#"/run/all: INSTANCE "V" FAULT 120"#]);
}
