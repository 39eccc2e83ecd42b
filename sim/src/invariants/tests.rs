//! Every invariant is shown to fail: directors that no machine drives do the wrong thing by hand, and the boundary on
//! the right side stays silent.

use super::*;
use crate::scenario::{Action, Impairment, NodeId, Party, Scenario, Share};
use crate::testing::{LB1, LB2, VIP, WEB1, pair};
use crate::world::Half;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vipward_core::check::Failure;
use vipward_core::datagram::Datagram;
use vipward_core::decision::{Decision, RoleCause};
use vipward_core::estate::{BalancerEstate, ElectionEstate, Estate};
use vipward_core::interface::{AddressKey, InterfaceName};
use vipward_core::ipvs::{Destination, Forwarding, Op, Protocol, Scheduler, Service, ServiceKey, VirtualServerId};
use vipward_core::quantity::{Role, Vrid};

/// A world whose directors do only what the test says.
pub(super) struct EventRun {
    pub world: World,
    watch: Watch,
}

impl EventRun {
    pub fn new(scenario: Scenario) -> Self {
        let mut world = World::new(Arc::new(scenario), 1);
        world.start(LB1);
        world.start(LB2);
        Self { world, watch: Watch::default() }
    }

    pub fn until(&mut self, millis: u64) {
        while self.world.now() < Instant::from_millis(millis) {
            self.world.advance(self.world.now() + Duration::from_millis(1));
            self.watch.observe(&mut self.world);
        }
    }

    pub fn role(&mut self, id: NodeId, from: Role, to: Role) {
        self.caused(id, from, to, RoleCause::Startup);
    }

    fn caused(&mut self, id: NodeId, from: Role, to: Role, cause: RoleCause) {
        let (router, vrid) = ("VI_1".into(), Vrid::new(51).unwrap());
        self.world.decided(id, &Decision::RoleChanged { router, vrid, from, to, cause });
    }

    fn hold(&mut self, id: NodeId) {
        let address = crate::testing::config(100).routers[0].addresses[0].clone();
        self.world.add_address(id, &address).unwrap();
    }

    fn release(&mut self, id: NodeId) {
        self.world.remove_address(id, &vip_key()).unwrap();
    }

    fn master(&mut self, id: NodeId) {
        self.role(id, Role::Backup, Role::Master);
        self.hold(id);
    }

    /// Real servers in the director's table, all of them up.
    fn serve(&mut self, id: NodeId) {
        let service = Service {
            scheduler: Scheduler("rr".into()),
            persistence: None,
            flags: Default::default(),
            persistence_engine: None,
        };
        self.world.ipvs(id, &Op::AddService { key: key(), service }).unwrap();
        for address in ["192.0.2.21:80", "192.0.2.22:80"].map(|text| text.parse().unwrap()) {
            let destination =
                Destination { weight: 1, forwarding: Forwarding::Dr, upper_threshold: 0, lower_threshold: 0 };
            self.world.ipvs(id, &Op::AddDestination { service: key(), address, destination }).unwrap();
        }
    }

    pub fn broken_by(&self, invariant: &str) -> Vec<&str> {
        self.broken().into_iter().filter(|(name, _)| *name == invariant).map(|(_, text)| text).collect()
    }

    fn broken(&self) -> Vec<(&'static str, &str)> {
        self.watch.violations.iter().map(|it| (it.invariant, it.text.as_str())).collect()
    }
}

fn vip() -> IpAddr {
    VIP.parse().unwrap()
}

fn vip_key() -> AddressKey {
    AddressKey { interface: InterfaceName::new("eth0"), address: vip(), prefix_len: 24 }
}

fn key() -> ServiceKey {
    ServiceKey::Address { protocol: Protocol::Tcp, address: SocketAddr::new(vip(), 80) }
}

/// Of lb1.
fn advert(priority: u8) -> Datagram {
    Datagram {
        interface: InterfaceName::new("eth0"),
        source: "192.0.2.11".parse().unwrap(),
        destination: "224.0.0.18".parse().unwrap(),
        ttl: 255,
        payload: vec![0x21, 51, priority].into(),
    }
}

/// Without services, so that only the election is looked at.
pub(super) fn electors() -> Scenario {
    let mut scenario = pair();
    for node in &mut scenario.nodes {
        if let crate::scenario::NodeKind::Director(director) = &mut node.kind {
            let mut config = director.config.config.as_deref().unwrap().clone();
            config.services.clear();
            director.config.config = Some(Arc::new(config));
        }
    }
    scenario.nodes.truncate(4);
    scenario
}

#[test]
fn two_owners_that_hear_each_other_for_more_than_an_advert_interval() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.master(LB2);
    run.until(1_100);
    assert_eq!(run.broken(), [], "one advert may pass: 1 s, and 100 ms for the turn");
    run.until(1_200);
    let text = "lb1 and lb2 both hold 192.0.2.100 since 0.001 s though they hear each other; 1.100 s is allowed";
    assert_eq!(run.broken(), [("one-owner", text)]);
}

#[test]
fn two_owners_may_be_when_one_way_between_them_is_cut() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.master(LB2);
    let (from, to) = (Party::Node(LB1), Party::Node(LB2));
    run.world.act(&Action::Impair { from, to, both: false, impairment: Impairment::Cut });
    run.until(10_000);
    assert_eq!(run.broken(), []);
}

#[test]
fn an_advert_that_a_fault_swallows_buys_two_owners_one_more_interval() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.master(LB2);
    let (from, to) = (Party::Node(LB1), Party::Node(LB2));
    run.world.act(&Action::Impair { from, to, both: false, impairment: Impairment::Lose(Share(1000)) });
    run.until(500);
    run.world.listen(LB1, &InterfaceName::new("eth0"), None).unwrap();
    let envelope = run.world.send_advert(LB1, &advert(150)).unwrap();
    run.world.carried(LB2, envelope);
    run.until(2_000);
    assert_eq!(run.broken(), []);
    run.until(2_200);
    assert_eq!(run.broken().len(), 1);
}

#[test]
fn what_a_killed_daemon_leaves_in_its_kernel_is_no_claim() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.until(500);
    run.world.act(&Action::Kill(LB1));
    run.until(3_000);
    run.master(LB2);
    run.until(20_000);
    assert_eq!(run.broken(), []);
}

#[test]
fn an_address_that_goes_while_its_director_runs() {
    let mut run = EventRun::new(crate::testing::with_lifetimes());
    run.master(LB1);
    run.until(1_999);
    assert_eq!(run.broken_by("lifetime"), [""; 0]);
    run.until(3_100);
    let [text] = run.broken_by("lifetime").try_into().unwrap();
    assert!(text.starts_with("the kernel takes 192.0.2.100/24 on eth0 off lb1, which has been running for "), "{text}");
}

#[test]
fn a_director_that_does_not_run_and_still_holds_an_address() {
    for action in [Action::Kill(LB1), Action::Freeze(LB1)] {
        let mut run = EventRun::new(crate::testing::with_lifetimes());
        run.until(500);
        run.master(LB1);
        run.until(1_000);
        run.world.act(&action);
        // As if something else on that machine renewed it.
        let address = crate::testing::config(100).routers[0].addresses[0].clone();
        while run.world.now() < Instant::from_millis(4_100) {
            run.world.renew_addresses(LB1, std::slice::from_ref(&address)).unwrap();
            let now = run.world.now().as_nanos() / 1_000_000;
            run.until(now + 100);
        }
        assert_eq!(run.broken_by("lifetime"), [""; 0]);
        run.until(4_200);
        assert_eq!(run.broken_by("lifetime"), ["lb1 does not run since 1.000 s and still holds 192.0.2.100"]);
    }
}

#[test]
fn without_a_lease_the_dead_may_hold_what_they_held() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.until(1_000);
    run.world.act(&Action::Kill(LB1));
    run.until(60_000);
    assert_eq!(run.broken_by("lifetime"), [""; 0]);
    assert_eq!(run.world.owners(VIP.parse().unwrap()).collect::<Vec<_>>(), [LB1]);
}

#[test]
fn an_address_that_nobody_takes_though_a_director_could() {
    let mut run = EventRun::new(electors());
    run.role(LB1, Role::Init, Role::Fault);
    run.role(LB2, Role::Init, Role::Backup);
    run.until(4_100);
    assert_eq!(run.broken_by("address-served"), [""; 0], "3 adverts, at most a second of skew, and 100 ms");
    run.until(4_200);
    let text = "nobody that lb2 hears holds 192.0.2.100 since 0.001 s, and it does not take it; 4.100 s is allowed";
    assert_eq!(run.broken_by("address-served"), [text]);
}

#[test]
fn a_farewell_sets_the_others_patience_to_the_skew_from_there() {
    let mut run = EventRun::new(electors());
    run.role(LB1, Role::Init, Role::Fault);
    run.role(LB2, Role::Init, Role::Backup);
    run.until(3_900);
    run.world.send_advert(LB1, &advert(0)).unwrap();
    run.until(4_900);
    assert_eq!(run.broken_by("address-served"), [""; 0]);
    run.until(5_100);
    let text = "nobody that lb2 hears holds 192.0.2.100 since 0.001 s, and it does not take it; 4.999 s is allowed";
    assert_eq!(run.broken_by("address-served"), [text]);
}

/// lb1 is upgraded, and its virtual router, which was in FAULT, begins anew.
fn upgraded_in_fault(meanwhile: Option<Action>) -> EventRun {
    let mut run = EventRun::new(electors());
    run.role(LB1, Role::Init, Role::Fault);
    run.until(1_000);
    run.world.act(&Action::Upgrade(LB1));
    run.world.handed_over(LB1, Half::Election, Estate::Election(ElectionEstate::default()));
    run.world.handed_over(LB1, Half::Balancer, Estate::Balancer(BalancerEstate::default()));
    run.world.advance(Instant::from_nanos(1_000_500_000));
    if let Some(action) = meanwhile {
        run.world.act(&action);
    }
    while run.world.takeovers.is_empty() {
        run.world.advance(run.world.now() + Duration::from_micros(500));
    }
    run.role(LB1, Role::Init, Role::Backup);
    run.until(1_100);
    run
}

#[test]
fn a_router_in_fault_that_an_upgrade_heals() {
    let text = "lb1 was upgraded and its VI_1, which was FAULT, begins anew as BACKUP";
    assert_eq!(upgraded_in_fault(None).broken_by("upgrade-unnoticed"), [text]);
    // Its cable is in again when the new process looks.
    assert_eq!(
        upgraded_in_fault(Some(Action::Plug { node: LB1, interface: None })).broken_by("upgrade-unnoticed"),
        [""; 0]
    );
}

/// Also where the advert that it owes leaves in the same instant.
#[test]
fn a_master_that_goes_on_after_too_long_a_silence() {
    let mut run = EventRun::new(electors());
    let goes_on = |run: &mut EventRun| {
        let (router, vrid) = ("VI_1".into(), Vrid::new(51).unwrap());
        let inherited = Decision::RoleInherited { router, vrid, role: Role::Master, priority: 150, silent: None };
        run.world.decided(LB1, &inherited);
        run.world.send_advert(LB1, &advert(150)).unwrap();
    };
    run.master(LB1);
    run.until(1_000);
    run.world.send_advert(LB1, &advert(150)).unwrap();
    run.until(4_000);
    goes_on(&mut run);
    run.until(7_100);
    assert_eq!(run.broken_by("upgrade-unnoticed"), [""; 0]);
    goes_on(&mut run);
    run.until(7_200);
    let text = "lb1 goes on as MASTER of VI_1 though its last advert left 3.100 s ago; others wait 3.007 s";
    assert_eq!(run.broken_by("upgrade-unnoticed"), [text]);
}

#[test]
fn nobody_blames_a_frozen_director_for_an_address_that_it_can_not_take() {
    let mut run = EventRun::new(electors());
    run.world.act(&Action::Freeze(LB1));
    run.world.act(&Action::Unplug { node: LB2, interface: None });
    run.until(20_000);
    assert_eq!(run.broken(), []);
}

#[test]
fn a_connection_to_a_destination_whose_death_the_checker_must_have_seen() {
    let mut run = EventRun::new(pair());
    run.master(LB1);
    run.serve(LB1);
    run.serve(LB2);
    run.until(5_500);
    run.world.act(&Action::Down(WEB1.into()));
    // delay_loop 2 s, three tries of 1 s (one may have passed just before), 1 s between two, 200 ms margin.
    run.until(11_700);
    assert_eq!(run.broken(), []);
    run.until(11_950);
    let text = "lb1 sends visitor's connection to 192.0.2.21:80, dead since 5.501 s; its checker needs 6.200 s";
    assert_eq!(run.broken_by("no-dead-destination"), [text]);
    // And both tables are wrong, whether somebody asks or not.
    assert_eq!(run.broken_by("health-settles").len(), 2);
}

#[test]
fn a_server_that_comes_back_in_time_is_not_known_dead() {
    let mut run = EventRun::new(pair());
    run.master(LB1);
    run.serve(LB1);
    run.serve(LB2);
    run.until(5_500);
    for round in 0..4 {
        run.world.act(&Action::Down(WEB1.into()));
        run.until(8_500 + round * 4_000);
        run.world.act(&Action::Up(WEB1.into()));
        run.until(9_500 + round * 4_000);
    }
    assert_eq!(run.broken(), []);
}

#[test]
fn a_backup_that_keeps_the_address() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.until(500);
    run.role(LB1, Role::Master, Role::Backup);
    run.role(LB2, Role::Backup, Role::Master);
    run.world.act(&Action::Impair { from: Party::Node(LB1), to: Party::Any, both: true, impairment: Impairment::Cut });
    run.hold(LB2);
    run.until(3_400);
    assert_eq!(run.broken(), [], "not quiet for three seconds yet");
    run.until(3_600);
    assert_eq!(run.broken(), [("tables-settle", "lb1's addresses stays wrong: still has 192.0.2.100")]);
}

#[test]
fn a_dead_server_that_stays_in_the_table() {
    let mut run = EventRun::new(pair());
    run.master(LB1);
    run.serve(LB1);
    run.serve(LB2);
    let service = VirtualServerId::of_entry(key());
    let down = |failure| Decision::ServerDown { service, server: "192.0.2.21:80".parse().unwrap(), failure };
    run.world.decided(LB2, &down(Failure::Refused));
    run.until(4_000);
    let text = "lb2's IPVS table stays wrong: still has TCP 192.0.2.100:80 -> 192.0.2.21:80";
    assert_eq!(run.broken(), [("tables-settle", text)]);
}

#[test]
fn an_address_left_behind_by_an_orderly_stop() {
    let mut run = EventRun::new(electors());
    run.master(LB2);
    run.hold(LB1);
    for half in [Half::Election, Half::Balancer] {
        run.world.stopped(LB1, half);
    }
    run.until(4_000);
    let text = "lb1's kernel after its orderly stop stays wrong: still has 192.0.2.100";
    assert_eq!(run.broken(), [("tables-settle", text)]);
}

#[test]
fn a_virtual_router_that_can_not_decide() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    for turn in 0..3 {
        run.until(1_000 * (turn + 1));
        run.role(LB2, Role::Backup, Role::Fault);
        run.role(LB2, Role::Fault, Role::Backup);
    }
    run.until(10_000);
    assert_eq!(run.broken(), [], "six by itself are allowed");
    run.role(LB2, Role::Backup, Role::Fault);
    run.until(10_100);
    let text = "lb2's VI_1 changed its role 7 times within a minute; 6 are allowed";
    assert_eq!(run.broken(), [("bounded-role-changes", text)]);
}

/// Each loss of the quorum service is a way to FAULT, BACKUP and MASTER; a fourth one in a minute is one too many.
#[test]
fn a_virtual_router_that_loses_the_quorum_service_again_and_again() {
    let mut run = EventRun::new(electors());
    let changes = |run: &mut EventRun, millis: u64| {
        run.caused(LB2, Role::Master, Role::Fault, RoleCause::NoQuorum { silent: None });
        run.role(LB2, Role::Fault, Role::Backup);
        run.role(LB2, Role::Backup, Role::Master);
        run.until(millis);
    };
    for turn in 1..=3 {
        changes(&mut run, 1_000 * turn);
    }
    assert_eq!(run.broken_by("bounded-role-changes"), [""; 0]);
    changes(&mut run, 4_000);
    let text = "lb2's VI_1 changed its role 10 times within a minute; 9 are allowed";
    assert_eq!(run.broken_by("bounded-role-changes"), [text]);
}

/// lb1 says goodbye; lb2, which is the only other one, has half a second for a change of its role.
/// `meanwhile`: the roles that it has after that.
fn after_a_goodbye(meanwhile: &[Role]) -> EventRun {
    let mut run = EventRun::new(electors());
    run.role(LB2, Role::Init, Role::Backup);
    run.master(LB1);
    run.until(11_000);
    run.world.send_advert(LB1, &advert(0)).unwrap();
    run.role(LB1, Role::Master, Role::Backup);
    run.release(LB1);
    run.until(11_300);
    let mut from = Role::Backup;
    for to in meanwhile {
        run.role(LB2, std::mem::replace(&mut from, *to), *to);
    }
    run.until(12_000);
    run
}

#[test]
fn a_goodbye_that_nobody_follows() {
    let text = "lb1 said goodbye for virtual router 51 at 11.001 s, and after 0.710 s nobody has taken it";
    assert_eq!(after_a_goodbye(&[]).broken_by("takeover-in-order"), [text]);
    let fault = after_a_goodbye(&[Role::Fault]);
    assert_eq!(fault.broken_by("takeover-in-order"), [""; 0], "who could has gone to FAULT");
    let back = after_a_goodbye(&[Role::Fault, Role::Backup]);
    assert_eq!(back.broken_by("takeover-in-order"), [""; 0], "and is back, and waits anew");
}

#[test]
fn a_machine_that_acts_after_its_stop() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.until(100);
    run.world.stopped(LB2, Half::Election);
    assert!(run.world.acts(LB2, Half::Balancer, 1, "reads the IPVS table").is_ok(), "the other one may go on");
    assert!(run.world.acts(LB2, Half::Election, 1, "sends an advert").is_err());
    run.until(200);
    assert_eq!(run.broken(), [("silent-after-stop", "lb2 sends an advert though its daemon has ended")]);
}

#[test]
fn an_address_that_moves_in_order_breaks_nothing() {
    let mut run = EventRun::new(electors());
    run.master(LB1);
    run.until(5_000);
    run.role(LB1, Role::Master, Role::Backup);
    run.release(LB1);
    run.until(5_600);
    run.master(LB2);
    // Later than that lb1 would have to preempt it.
    run.until(9_900);
    assert_eq!(run.broken(), []);
}

#[test]
fn a_lesser_owner_that_the_better_one_does_not_preempt() {
    let mut run = EventRun::new(electors());
    run.role(LB1, Role::Init, Role::Backup);
    run.master(LB2);
    // Two Master_Down_Intervals of at most 4 s, two adverts, 100 ms.
    run.until(10_000);
    assert_eq!(run.broken(), []);
    run.until(10_200);
    let text = "virtual router 51 is lb2's with priority 100 10.100 s after the last step or start; lb1 has 150 and \
                does not preempt it";
    assert_eq!(run.broken(), [("settles", text)]);
}

#[test]
fn an_announcement_long_after_anything_happened() {
    let mut run = EventRun::new(electors());
    run.role(LB2, Role::Init, Role::Backup);
    run.master(LB1);
    run.until(11_000);
    run.world.announce(LB1, &InterfaceName::new("eth0"), vip()).unwrap();
    run.until(11_001);
    assert_eq!(run.broken(), [], "5 s of garp_master_delay, an interval, 5 s");
    run.until(11_100);
    run.world.announce(LB1, &InterfaceName::new("eth0"), vip()).unwrap();
    run.until(11_200);
    let text = "lb1 announces 192.0.2.100 though nothing has changed for 11.100 s";
    assert_eq!(run.broken(), [("quiet-announcements", text)]);
}
