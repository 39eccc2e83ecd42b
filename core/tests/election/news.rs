//! What goes through the door: every role, as it changes and as a successor takes it up.

use crate::timeline::{Timeline, router};
use vipward_core::door::News;
use vipward_core::machine::{Machine, Output};
use vipward_core::quantity::Role;
use vipward_core::vrrp::Input;

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
    let key = vipward_core::ipvs::ServiceKey { protocol: vipward_core::ipvs::Protocol::Tcp, address: service };
    let service = vipward_core::ipvs::VirtualServerId::of_address(key);
    t.handles(Input::News(News::QuorumChanged { service, quorum: false })).nothing();
    assert_eq!(t.election.next_wakeup(), before);
}
