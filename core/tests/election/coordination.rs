//! Leases of a quorum service (`[coordination]`): when they are asked for, what they allow, and until when.

use crate::timeline::*;
use std::sync::Arc;
use vipward_core::config::{Config, VirtualRouterConfig};
use vipward_core::lease::{
    Candidate, Claim, Coordination, LeaseEvent, LeaseOp, Mode, OnLoss, Part, QuorumService, Session, Token,
};
use vipward_core::machine::Machine;
use vipward_core::quantity::Role;
use vipward_core::time::Duration;
use vipward_core::vrrp::{Effect, Event};

const SESSION: Session = Session(7);

fn coordinated(router: VirtualRouterConfig, mode: Mode, on_loss: OnLoss) -> Config {
    let service = QuorumService {
        hosts: vec!["zk:2181".to_owned()],
        path: "/vipward".to_owned(),
        session_timeout: Duration::from_secs(10),
        auth_file: None,
    };
    let coordination = Coordination {
        service: Arc::new(service),
        director: "lb1".into(),
        routers: [(router.name.clone(), Part { mode, on_loss })].into(),
        spread: Vec::new(),
    };
    Config { coordination: Some(coordination), ..config(vec![router], vec![]) }
}

impl Timeline {
    fn told(&mut self, said: LeaseEvent) -> &mut Self {
        self.handles(Event::Lease(said))
    }

    fn opened(&mut self, session: Session) -> &mut Self {
        self.told(LeaseEvent::Opened { session, timeout: Duration::from_secs(10) })
    }

    fn confirmed(&mut self, asked: &str) -> &mut Self {
        self.told(LeaseEvent::Confirmed { session: SESSION, asked_at: instant(asked) })
    }

    fn granted(&mut self, session: Session) -> &mut Self {
        self.told(LeaseEvent::Granted { session, key: "V".into(), token: Token(16) })
    }

    fn held(&mut self) -> &mut Self {
        self.told(LeaseEvent::Held { key: "V".into(), by: "lb2".into() })
    }

    /// Up to and including this instant every question is answered at once. What comes out beside questions and adverts.
    fn answered(&mut self, seconds: &str) -> Vec<String> {
        self.passes(seconds, true)
    }

    /// The same, but nothing is answered any more.
    fn unanswered(&mut self, seconds: &str) -> Vec<String> {
        self.passes(seconds, false)
    }

    fn passes(&mut self, seconds: &str, answers: bool) -> Vec<String> {
        let (end, mut lines) = (instant(seconds), Vec::new());
        while let Some((at, _)) = self.election.next_wakeup().filter(|(at, _)| *at <= end) {
            let asked_at = at.max(self.now());
            self.at(&format!("{asked_at:.9}")).wakes();
            lines.extend(self.said());
            if answers && self.said().iter().any(|line| line.starts_with("ask whether")) {
                self.told(LeaseEvent::Confirmed { session: SESSION, asked_at });
                lines.extend(self.said());
            }
        }
        self.at(seconds);
        lines.retain(|line| !line.starts_with("ask whether") && !line.starts_with("advert"));
        lines
    }
}

/// With a session that is answered up to `seconds`.
fn connected(config: Config, seconds: &str) -> Timeline {
    let mut t = Timeline::with(config);
    t.opened(SESSION).confirmed("0");
    t.answered(seconds);
    t
}

/// MASTER since 3.609375, with the lease.
fn holder(on_loss: OnLoss) -> Timeline {
    let mut t = connected(coordinated(router(), Mode::Fence, on_loss), "4");
    t.granted(SESSION).gives(&[
        "add 10.0.0.100/24",
        "garp 10.0.0.100",
        "V: the lease is granted (token 0x10): it has the addresses",
    ]);
    t
}

#[test]
fn it_starts_with_a_session_and_takes_part_when_a_question_is_answered() {
    let mut t = Timeline::with(coordinated(router(), Mode::Fence, OnLoss::Release));
    t.gives_of("open", &["open a session at zk:2181/vipward"]).is(Role::Init);
    t.at("1").opened(SESSION);
    t.gives(&[
        "ask whether the session lives, at 1.000",
        "the quorum service opened a session of 10.000 s; it may be silent for 6.250 s",
    ])
    .is(Role::Init);
    t.at("1.2").confirmed("1").gives(&["V: INIT -> BACKUP: started"]);
    // Nobody heard for 3.609375 s, and it asks, without an address.
    let lines = t.answered("4.809375");
    assert_eq!(
        lines,
        ["take the lease of V", "V: BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)"]
    );
    assert_eq!(t.kernel(), [vip(ME).key()]);
}

#[test]
fn without_any_answer_it_is_in_fault_after_a_session_timeout() {
    let mut t = Timeline::with(coordinated(router(), Mode::Fence, OnLoss::Release));
    t.at("9.999999999").wakes().nothing();
    t.at("10").wakes().gives(&["V: INIT -> FAULT: no session with the quorum service"]);
}

/// The last question that was answered was asked at 4 s; the kernel may keep an address for 3.25 s.
#[test]
fn by_its_own_clock_it_lets_go_in_order_while_that_is_safe() {
    let mut t = connected(coordinated(router(), Mode::Fence, OnLoss::Release), "3.7");
    t.granted(SESSION);
    t.at("4").wakes().confirmed("4");
    // 4 + 10 - 3.25
    assert_eq!(t.unanswered("10.75"), [""; 0]);
    t.is(Role::Master);
    t.at("10.750000001").wakes().gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "give the lease of V back",
        "V: MASTER -> FAULT: no answer from the quorum service to anything asked in the last 6.750 s: another director \
         may get the lease",
    ]);
}

#[test]
fn a_late_answer_proves_what_was_so_when_it_was_asked_for() {
    let mut t = holder(OnLoss::Release);
    t.unanswered("6");
    t.confirmed("4.5").nothing();
    t.unanswered("11.25");
    t.is(Role::Master)
        .at("11.250000001")
        .confirmed("4.4")
        .gives_of("remove", &["remove 10.0.0.100/24"])
        .is(Role::Fault);
}

#[test]
fn what_another_session_says_proves_nothing() {
    let mut t = connected(coordinated(router(), Mode::Fence, OnLoss::Release), "4");
    t.granted(Session(6)).nothing();
    t.told(LeaseEvent::Confirmed { session: Session(6), asked_at: t.now() }).nothing();
    t.told(LeaseEvent::Confirmed { session: SESSION, asked_at: instant("5") }).nothing();
    assert_eq!(t.kernel(), [vip(ME).key()]);
    let last = t.answered("4.5");
    assert_eq!(last, [""; 0]);
    t.at("20").wakes().is(Role::Fault);
}

#[test]
fn a_session_that_is_lost_takes_its_leases_with_it() {
    let mut t = holder(OnLoss::Release);
    t.at("5").told(LeaseEvent::Lost { session: SESSION }).gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "the quorum service ended our session: its leases are not ours any more",
        "V: MASTER -> FAULT: no session with the quorum service",
    ]);
}

#[test]
fn a_master_whose_lease_another_one_has_says_so_once_and_announces_nothing() {
    let mut t = connected(coordinated(router(), Mode::Fence, OnLoss::Release), "4");
    // For as long as a Master_Down_Interval that may be a takeover on its way.
    t.held().nothing();
    assert_eq!(t.answered("7.609374999"), [""; 0]);
    assert_eq!(t.answered("8.1"), ["V: MASTER without addresses: lb2 has the lease and is not heard here"]);
    t.held().nothing();
    t.hears(peer(2, 50)).gives_of("garp", &[]);
    t.told(LeaseEvent::Vacant { key: "V".into() }).gives(&["take the lease of V"]);
    t.granted(SESSION).gives_of("add", &["add 10.0.0.100/24"]);
}

#[test]
fn the_lease_goes_back_after_the_addresses_and_not_while_one_may_still_be_there() {
    let mut t = holder(OnLoss::Release);
    t.at("4.2").hears(peer(2, 101)).gives(&[
        "advert 100",
        "remove 10.0.0.100/24",
        "give the lease of V back",
        "V: MASTER -> BACKUP: 10.0.0.2 has the higher priority: 101 over 100",
    ]);
    // The driver refuses to ask in a turn in which the removal failed. By then the kernel has let go.
    t.fails(Effect::Lease(LeaseOp::Release { key: "V".into() }));
    t.gives(&["give the lease of V back failed: no; next try in 3.250 s"]);
    t.at("7").hears(peer(2, 101));
    assert_eq!(t.answered("7.449999999"), [""; 0]);
    assert_eq!(t.answered("7.45"), ["give the lease of V back"]);
    t.told(LeaseEvent::Released { session: SESSION, key: "V".into() }).nothing();
}

#[test]
fn it_ends_in_order() {
    holder(OnLoss::Release).at("5").stops().gives(&[
        "advert 0",
        "remove 10.0.0.100/24",
        "end the session",
        "V: MASTER -> INIT: stopped",
    ]);
}

/// With a password in this file.
fn with_password() -> Config {
    let mut config = coordinated(router(), Mode::Fence, OnLoss::Release);
    if let Some(coordination) = &mut config.coordination {
        let mut service = QuorumService::clone(&coordination.service);
        service.auth_file = Some("/etc/keepalived/zookeeper.auth".into());
        coordination.service = Arc::new(service);
    }
    config
}

#[test]
fn a_reload_has_the_password_read_anew_and_a_start_has_not() {
    let mut t = connected(with_password(), "4");
    t.granted(SESSION);
    assert_eq!(t.at("4.1").loads(with_password()).said(), ["read the password anew"]);
    assert_eq!(t.answered("5"), [""; 0]);
    // Another file is another service: its session begins by reading it.
    let other = coordinated(router(), Mode::Fence, OnLoss::Release);
    let said = t.loads(other).said();
    assert!(
        said.contains(&"end the session".to_owned()) && !said.contains(&"read the password anew".to_owned()),
        "{said:?}"
    );
}

#[test]
fn after_a_loss_the_service_has_to_prove_itself_for_half_a_session() {
    let mut t = on_trial();
    t.held().nothing();
    assert_eq!(t.answered("16.999999999"), [""; 0]);
    t.is(Role::Fault);
    assert_eq!(t.answered("17"), ["give the lease of V back", "V: FAULT -> BACKUP: the fault is over"]);
}

/// It had the lease, the service was silent until 12 s and has answered since.
fn on_trial() -> Timeline {
    let mut t = holder(OnLoss::Release);
    t.at("12").wakes().is(Role::Fault);
    t.confirmed("12").is(Role::Fault);
    let released = LeaseEvent::Released { session: SESSION, key: "V".into() };
    t.told(released).gives(&["look who holds the lease of V"]).is(Role::Fault);
    t
}

#[test]
fn a_trial_keeps_no_lease_free() {
    let mut t = on_trial();
    t.told(LeaseEvent::Vacant { key: "V".into() }).gives(&["V: FAULT -> BACKUP: the fault is over"]);
    assert_eq!(
        t.answered("16"),
        ["take the lease of V", "V: BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)"]
    );
    t.granted(SESSION).gives_of("add", &["add 10.0.0.100/24"]);
}

#[test]
fn a_trial_ends_when_the_holder_that_it_spares_gives_up() {
    let mut t = on_trial();
    t.held().nothing();
    assert_eq!(t.answered("14"), [""; 0]);
    t.is(Role::Fault);
    t.told(LeaseEvent::Vacant { key: "V".into() }).is(Role::Backup);
    // The next loss is another trial.
    t.unanswered("30");
    t.is(Role::Fault).confirmed("30").is(Role::Fault);
}

#[test]
fn a_candidate_on_trial_takes_a_lease_that_nobody_holds() {
    let mut t = Timeline::with(coordinated(router(), Mode::Elect, OnLoss::Release));
    t.opened(SESSION).confirmed("0");
    t.at("12").wakes().is(Role::Fault);
    t.confirmed("12").gives_of("look", &["look who holds the lease of V"]).is(Role::Fault);
    t.told(LeaseEvent::Vacant { key: "V".into() });
    t.gives(&["be a candidate for V with priority 100", "V: FAULT -> BACKUP: the fault is over"]);
    t.told(candidates(&[("lb1", 100, true)])).gives(&["take the lease of V"]);
}

#[test]
fn a_session_that_is_too_short_is_given_up_and_asked_for_anew() {
    let mut t = Timeline::with(coordinated(router(), Mode::Fence, OnLoss::Release));
    t.at("1").told(LeaseEvent::Opened { session: SESSION, timeout: Duration::from_secs(4) });
    t.gives(&[
        "end the session",
        "the quorum service grants sessions of 4.000 s only, and 8.000 s are needed: no address is held by a lease; raise \
         maxSessionTimeout there",
        "V: INIT -> FAULT: the quorum service grants sessions of 4.000 s only, and 8.000 s are needed",
    ]);
    assert_eq!(t.answered("10.999999999"), [""; 0]);
    assert_eq!(t.answered("11"), ["open a session at zk:2181/vipward"]);
    t.opened(SESSION)
        .gives_of("the", &["the quorum service opened a session of 10.000 s; it may be silent for 6.250 s"]);
    t.confirmed("11").is(Role::Backup);
}

#[test]
fn it_says_once_that_the_service_can_not_be_reached_and_once_that_it_answers_again() {
    let mut t = holder(OnLoss::Release);
    let lost = || LeaseEvent::Unreachable { reason: "the connection is lost".to_owned() };
    t.at("5").told(lost()).gives(&["the quorum service can't be reached: the connection is lost"]);
    t.at("5.5").told(lost()).nothing();
    t.at("6.25").confirmed("6").gives(&["the quorum service answers again after 1.250 s"]);
    t.at("6.75").confirmed("6.5").nothing();
}

#[test]
fn with_keep_vrrp_alone_decides_until_the_service_has_answered() {
    let mut t = holder(OnLoss::Keep);
    let lines = t.unanswered("12");
    let said: Vec<&String> = lines.iter().filter(|line| line.starts_with("V:")).collect();
    assert_eq!(
        said,
        [
            "V: has its addresses without the quorum service (on_loss keep): a director that is not heard may have them too",
        ]
    );
    t.told(LeaseEvent::Lost { session: SESSION }).gives_of("remove", &[]);
    t.at("12.5").opened(SESSION).gives_of("remove", &[]);
    t.confirmed("12.5").is(Role::Master);
    assert!(t.kernel().contains(&vip(100).key()), "undecided is as before");
    t.held().gives_of("remove", &["remove 10.0.0.100/24"]).is(Role::Master);
}

fn candidates(list: &[(&str, u8, bool)]) -> LeaseEvent {
    let list = list.iter().zip(1..).map(|((director, priority, preempt), sequence)| Candidate {
        claim: Claim { director: (*director).into(), priority: *priority, preempt: *preempt },
        sequence,
    });
    LeaseEvent::Candidates { key: "V".into(), candidates: list.collect() }
}

#[test]
fn elected_it_is_master_by_its_lease_and_no_advert_is_sent_or_heard() {
    let mut t = Timeline::with(coordinated(router(), Mode::Elect, OnLoss::Release));
    t.gives_of("listen", &[]);
    t.opened(SESSION).confirmed("0");
    t.gives(&["be a candidate for V with priority 100", "V: INIT -> BACKUP: started"]);
    t.told(candidates(&[("lb2", 150, true), ("lb1", 100, true)])).gives(&["look who holds the lease of V"]);
    t.held().at("1").hears(peer(2, 255)).nothing();
    t.told(LeaseEvent::Vacant { key: "V".into() }).nothing();
    t.told(candidates(&[("lb1", 100, true)])).gives(&["take the lease of V"]);
    t.granted(SESSION).gives(&[
        "add 10.0.0.100/24",
        "garp 10.0.0.100",
        "V: BACKUP -> MASTER: the best candidate, and the lease is granted (token 0x10)",
    ]);
    t.told(candidates(&[("lb1", 100, true), ("lb2", 150, false)])).nothing();
    t.told(candidates(&[("lb1", 100, true), ("lb2", 150, true)])).gives(&[
        "remove 10.0.0.100/24",
        "give the lease of V back",
        "V: MASTER -> BACKUP: lb2 is the better candidate: priority 150 over 100",
    ]);
}

/// lb2, with the better claim, dies with the lease, and stays in the list until its session is over.
#[test]
fn elected_it_takes_what_a_better_candidate_leaves_free() {
    let mut t = Timeline::with(coordinated(router(), Mode::Elect, OnLoss::Release));
    t.opened(SESSION).confirmed("0");
    let both = || candidates(&[("lb2", 150, true), ("lb1", 100, true)]);
    t.told(both()).gives(&["look who holds the lease of V"]);
    t.held().nothing();
    t.answered("20");
    t.told(LeaseEvent::Vacant { key: "V".into() }).nothing();
    assert_eq!(t.answered("22.999999999"), [""; 0]);
    assert_eq!(t.answered("23"), ["take the lease of V"]);
    t.granted(SESSION).is(Role::Master);
    t.told(both()).is(Role::Master);
    // Whoever is in the list after one and a half sessions lives, and so does whoever makes a new claim.
    t.answered("37.999999999");
    t.is(Role::Master);
    t.answered("38");
    t.is(Role::Backup);
}

/// Of several that wait, one that asked out of turn and came too late has passed nobody over: the next time the better
/// candidate comes first again.
#[test]
fn elected_one_that_came_too_late_has_passed_nobody_over() {
    let mut t = Timeline::with(coordinated(router(), Mode::Elect, OnLoss::Release));
    t.opened(SESSION).confirmed("0");
    t.told(candidates(&[("lb3", 178, true), ("lb2", 150, true), ("lb1", 100, true)]))
        .gives(&["look who holds the lease of V"]);
    t.told(LeaseEvent::Vacant { key: "V".into() }).nothing();
    assert_eq!(t.answered("6"), ["take the lease of V"]);
    t.told(LeaseEvent::Held { key: "V".into(), by: "lb3".into() }).nothing();
    t.answered("8");
    t.told(candidates(&[("lb3", 30, true), ("lb2", 150, true), ("lb1", 100, true)])).nothing();
    t.told(LeaseEvent::Vacant { key: "V".into() }).nothing();
    assert_eq!(t.answered("10.999999999"), [""; 0]);
    t.told(LeaseEvent::Held { key: "V".into(), by: "lb2".into() }).nothing();
}

#[test]
fn elected_it_gives_way_to_a_new_claim_of_one_that_it_passed_over() {
    let mut t = Timeline::with(coordinated(router(), Mode::Elect, OnLoss::Release));
    t.opened(SESSION).confirmed("0");
    t.told(candidates(&[("lb2", 150, true), ("lb1", 100, true)])).held();
    t.told(LeaseEvent::Vacant { key: "V".into() });
    assert_eq!(t.answered("3"), ["take the lease of V"]);
    t.granted(SESSION).is(Role::Master);
    t.told(candidates(&[("lb3", 1, true), ("lb1", 100, true), ("lb2", 150, true)])).is(Role::Backup);
}

#[test]
fn elected_its_scripts_weigh_in_its_claim_and_a_fault_takes_it_back() {
    let with_script = Config {
        scripts: config(vec![], vec![script(1, 1)]).scripts,
        ..coordinated(tracking(router(), -30, false), Mode::Elect, OnLoss::Release)
    };
    let mut t = Timeline::with(with_script);
    t.opened(SESSION).confirmed("0");
    t.script_exits(1).gives_of("be a candidate", &["be a candidate for V with priority 70"]);
    t.link(false).gives_of("be no candidate", &["be no candidate for V"]).is(Role::Fault);
    t.link(true).gives_of("be a candidate", &["be a candidate for V with priority 70"]);
}
