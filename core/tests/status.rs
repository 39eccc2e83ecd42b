//! What a machine answers when it is asked how it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use vipward_core::balancer::{self, Balancer};
use vipward_core::check::{Failure, Verdict};
use vipward_core::command::ScriptOutcome;
use vipward_core::config::{self, Config, Options};
use vipward_core::datagram::Datagram;
use vipward_core::interface::{AddressKey, InterfaceName, Link, ObservedAddress};
use vipward_core::ipvs::Table;
use vipward_core::machine::{Input, InputOf, Machine, Outbox, OutboxOf};
use vipward_core::record::{Entry, Recorded, Recorder};
use vipward_core::status::{Audience, BalancerStatus, ElectionStatus, KEPT, Shown, Shows};
use vipward_core::text::Sources;
use vipward_core::time::Instant;
use vipward_core::vrrp::{self, Election};

/// Somebody who asks, and what he was told.
struct Asker<S> {
    waits: bool,
    told: Vec<S>,
}

type Shared<S> = Rc<RefCell<Asker<S>>>;

struct Ear<S>(Shared<S>);

impl<S> Audience<S> for Ear<S> {
    fn waits(&self) -> bool {
        self.0.borrow().waits
    }

    fn tell(&mut self, status: S) {
        let mut asker = self.0.borrow_mut();
        asker.waits = false;
        asker.told.push(status);
    }
}

/// A machine by the clock that can be asked.
struct Timeline<M: Shows> {
    machine: Shown<M, Ear<M::Status>>,
    asker: Shared<M::Status>,
    now: Instant,
}

impl<M: Shows> Timeline<M> {
    fn new(machine: M) -> Self {
        let asker = Rc::new(RefCell::new(Asker { waits: false, told: Vec::new() }));
        Self { machine: Shown::new(machine, Ear(asker.clone())), asker, now: Instant::ZERO }
    }

    fn at(&mut self, millis: u64) -> &mut Self {
        self.now = Instant::from_millis(millis);
        self
    }

    fn told(&mut self, input: impl Into<InputOf<M>>) -> OutboxOf<M> {
        self.machine.handle(input.into(), self.now)
    }

    /// Asks, and wakes the machine as whoever asks does.
    fn asked(&mut self) -> M::Status {
        self.asker.borrow_mut().waits = true;
        let nothing = self.machine.handle(Input::Wakeup, self.now);
        assert!(nothing.is_empty(), "a question is no event");
        self.asker.borrow_mut().told.pop().unwrap()
    }
}

fn config(text: &str) -> Arc<Config> {
    let files = BTreeMap::from([(PathBuf::from("a.conf"), text.as_bytes().to_vec())]);
    let loaded = config::load(&mut Sources::default(), &files, Path::new("a.conf"), &Options::default());
    assert!(!loaded.has_errors(), "{:#?}", loaded.diagnostics);
    Arc::new(loaded.config.unwrap())
}

const ROUTER: &str = "
vrrp_script chk {
    script /bin/true
    interval 2
    weight 50
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    version 3
    track_script { chk }
    virtual_ipaddress { 192.0.2.100/24 }
}";

fn own_address() -> ObservedAddress {
    let key = AddressKey { interface: InterfaceName::new("eth0"), address: [192, 0, 2, 1].into(), prefix_len: 24 };
    ObservedAddress { key, ours: false }
}

fn started(text: &str) -> Timeline<Election> {
    let mut t = Timeline::new(Election::default());
    t.told(vrrp::Event::LinksRead(vec![Link { name: InterfaceName::new("eth0"), running: true }]));
    t.told(vrrp::Event::AddressesRead(vec![own_address()]));
    t.at(1_000).told(Input::ConfigLoaded { config: config(text), seed: 1 });
    t
}

fn only(status: &ElectionStatus) -> &vipward_core::status::RouterStatus {
    let [router] = status.routers.as_slice() else { panic!("{status:#?}") };
    router
}

#[test]
fn a_router_says_what_it_is_since_when_and_why() {
    let mut t = started(ROUTER);
    let status = t.at(1_500).asked();
    let router = only(&status);
    assert_eq!((router.role.as_str(), router.since_ms, router.why.as_deref()), ("BACKUP", Some(500), Some("started")));
    assert_eq!((router.priority, router.configured_priority), (100, 100));
    assert_eq!(router.heard, None);
    // Master_Down_Interval of priority 100: 3.609 s, half a second ago.
    let next = router.next.as_ref().unwrap();
    assert_eq!((next.what.as_str(), next.in_ms), ("takes over", 3_109));
    assert_eq!(status.trackers.first().map(|it| (it.reading.as_str(), it.since_ms)), Some(("unknown", None)));

    t.at(2_000).told(vrrp::Event::ScriptFinished { script: "chk".into(), outcome: ScriptOutcome::Exited(0) });
    let status = t.at(3_000).asked();
    let router = only(&status);
    assert_eq!(router.priority, 150);
    let tracked = router.tracked.first().unwrap();
    assert_eq!((tracked.what.as_str(), tracked.reading.as_str(), tracked.adds), ("script chk", "up", 50));
    assert_eq!(status.trackers.first().and_then(|it| it.since_ms), Some(1_000));

    t.at(4_700).told(Input::Wakeup);
    let status = t.at(5_000).asked();
    let router = only(&status);
    assert_eq!((router.role.as_str(), router.since_ms), ("MASTER", Some(300)));
    assert_eq!(router.why.as_deref(), Some("no MASTER heard in 3.609 s (Master_Down_Interval)"));
    assert_eq!((router.packets.sent, router.packets.zero_sent), (1, 0));
    assert_eq!((router.roles.became_master, router.roles.left_master), (1, 0));
    let texts: Vec<&str> = status.decisions.iter().map(|it| it.text.as_str()).collect();
    assert_eq!(
        texts.last().copied(),
        Some("VI_1: BACKUP -> MASTER: no MASTER heard in 3.609 s (Master_Down_Interval)")
    );
    assert_eq!(status.decisions.last().map(|it| (it.ago_ms, it.code.as_str())), Some((300, "role-changed")));
}

#[test]
fn an_address_that_somebody_took_off_is_shown_as_missing() {
    let mut t = started(ROUTER);
    t.at(4_700).told(Input::Wakeup);
    let key = AddressKey { interface: InterfaceName::new("eth0"), address: [192, 0, 2, 100].into(), prefix_len: 24 };
    let vip = || ObservedAddress { key: key.clone(), ours: true };
    t.told(vrrp::Event::AddressChanged { address: vip(), present: true });
    assert_eq!(only(&t.asked()).addresses.first().map(|it| it.there), Some(true));
    // It is put back at once, as it is wanted; the kernel refuses.
    let outbox = t.told(vrrp::Event::AddressChanged { address: vip(), present: false });
    let add = outbox.effects().find(|effect| matches!(effect, vrrp::Effect::AddAddress(_))).unwrap().clone();
    t.told(Input::Failed { effect: Box::new(add), error: "no".to_owned() });
    assert_eq!(only(&t.asked()).addresses.first().map(|it| it.there), Some(false));
}

#[test]
fn packets_are_counted_by_router_and_what_was_ignored_by_its_reason() {
    let mut t = started(ROUTER);
    let packet = |ttl| Datagram {
        interface: InterfaceName::new("eth0"),
        source: [192, 0, 2, 2].into(),
        destination: [224, 0, 0, 18].into(),
        ttl,
        payload: vec![0x31, 51, 200, 1, 0, 100, 0, 0, 192, 0, 2, 100].into(),
    };
    for _ in 0..3 {
        t.told(vrrp::Event::AdvertReceived(packet(7)));
    }
    let status = t.asked();
    assert_eq!((only(&status).packets.heard, only(&status).packets.zero_heard), (3, 0));
    let ignored = status.ignored.first().unwrap();
    assert_eq!((ignored.router.as_deref(), ignored.reason.as_str(), ignored.packets), (Some("VI_1"), "wrong_ttl", 3));
}

/// A MASTER that stops says so, and another one that does is heard.
#[test]
fn adverts_of_priority_0_and_changes_to_and_from_master_are_counted() {
    let mut t = started(ROUTER);
    t.at(4_700).told(Input::Wakeup);
    let advert = |priority| Datagram {
        interface: InterfaceName::new("eth0"),
        source: [192, 0, 2, 2].into(),
        destination: [224, 0, 0, 18].into(),
        ttl: 255,
        payload: vec![0x21, 51, priority, 1, 0, 1, 0, 0, 192, 0, 2, 100].into(),
    };
    t.told(vrrp::Event::AdvertReceived(advert(0)));
    t.told(vrrp::Event::AdvertReceived(advert(200)));
    let status = t.asked();
    assert_eq!((only(&status).packets.heard, only(&status).packets.zero_heard), (2, 1));
    t.at(5_000).told(Input::Stop);
    let status = t.asked();
    let (packets, roles) = (only(&status).packets, only(&status).roles);
    assert_eq!((packets.zero_sent, roles.became_master, roles.left_master), (1, 1, 1));
}

#[test]
fn while_nobody_asks_nothing_is_told_and_an_event_answers_as_well() {
    let mut t = started(ROUTER);
    t.at(2_000).told(Input::Wakeup);
    assert_eq!(t.asker.borrow().told.len(), 0);
    t.asker.borrow_mut().waits = true;
    t.at(2_100).told(vrrp::Event::LinkGone(InterfaceName::new("eth0")));
    let status = t.asker.borrow_mut().told.pop().unwrap();
    assert_eq!(only(&status).role, "FAULT", "what that event made of it");
}

#[test]
fn so_many_decisions_are_kept_and_no_more() {
    let mut t = started(ROUTER);
    for round in 0..u64::try_from(KEPT).unwrap() {
        let running = round % 2 == 1;
        t.at(2_000 + round).told(vrrp::Event::LinkChanged(Link { name: InterfaceName::new("eth0"), running }));
    }
    let decisions = t.asked().decisions;
    assert_eq!(decisions.len(), KEPT);
    assert!(decisions.is_sorted_by_key(|it| std::cmp::Reverse(it.ago_ms)), "the oldest first");
    assert!(!decisions.iter().any(|it| it.code == "config-applied"), "the first ones are forgotten");
}

const SERVICE: &str = "
virtual_server 192.0.2.100 80 {
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    quorum 2
    real_server 10.0.0.1 80 {
        weight 3
        TCP_CHECK {
        }
    }
    real_server 10.0.0.2 80 {
        weight 1
        inhibit_on_failure
        TCP_CHECK {
        }
    }
}";

#[test]
fn a_real_server_says_what_its_checker_found_and_how_long_that_took() {
    let mut t: Timeline<Balancer> = Timeline::new(Balancer::default());
    t.told(Input::ConfigLoaded { config: config(SERVICE), seed: 1 });
    let status = t.asked();
    let [service] = status.services.as_slice() else { panic!("{status:#?}") };
    assert_eq!((service.name.as_str(), service.scheduler.as_str()), ("TCP 192.0.2.100:80", "wrr"));
    assert_eq!((service.quorum.up, service.quorum.needed, service.quorum.live, service.quorum.total), (true, 2, 4, 4));
    assert!(service.servers.iter().all(|server| server.up && server.checkers[0].last.is_none()));

    let mut begun = Vec::new();
    let mut now = 0;
    while begun.len() < 2 {
        now += 100;
        let outbox = t.at(now).told(Input::Wakeup);
        begun.extend(outbox.into_effects().filter_map(|effect| match effect {
            balancer::Effect::StartProbe { id, .. } => Some((id, now)),
            _ => None,
        }));
    }
    let second: SocketAddr = ([10, 0, 0, 2], 80).into();
    for (id, _) in &begun {
        let verdict = if id.server == second { Verdict::Failed(Failure::Refused) } else { Verdict::Passed };
        t.at(now + 7).told(balancer::Event::ProbeFinished { probe: *id, verdict });
    }
    let status: BalancerStatus = t.at(now + 1_007).asked();
    let servers = &status.services[0].servers;
    let took = |at: usize| servers[at].checkers[0].last.as_ref().unwrap();
    assert!(servers[0].up && took(0).passed && took(0).ago_ms == 1_000);
    let began = begun.iter().find(|(id, _)| id.server == second).unwrap().1;
    assert_eq!(took(1).took_us, Some((now + 7 - began) * 1_000));
    assert_eq!(took(1).failure.as_deref(), Some("connection refused"));
    assert!(!servers[1].up);
    assert_eq!((servers[1].since_ms, servers[1].why.as_deref()), (Some(1_000), Some("connection refused")));
    assert_eq!(servers[1].weight, Some(0), "inhibit_on_failure leaves it in the table");
    assert_eq!(status.services[0].quorum.live, 3);

    // Of a real server whose checkers are others now the last result says nothing, and of the other one it still does.
    let others = SERVICE.replacen("TCP_CHECK {\n        }", "TCP_CHECK {\n            connect_timeout 3\n        }", 1);
    t.told(Input::ConfigLoaded { config: config(&others), seed: 1 });
    let servers = t.asked().services.remove(0).servers;
    assert_eq!(servers.iter().map(|it| it.checkers[0].last.is_some()).collect::<Vec<_>>(), [false, true]);

    // A reload without it forgets it.
    let without = SERVICE.replace("10.0.0.2", "10.0.0.3");
    t.told(Input::ConfigLoaded { config: config(&without), seed: 1 });
    t.told(Input::ConfigLoaded { config: config(SERVICE), seed: 1 });
    let status = t.asked();
    assert_eq!(status.services[0].servers[1].since_ms, None);
    assert_eq!(status.services[0].servers[1].checkers[0].last, None);
}

/// Counts what is recorded.
#[derive(Default)]
struct Tape(Rc<RefCell<usize>>);

impl Recorder for Tape {
    fn take(&mut self, entry: Entry) -> bool {
        *self.0.borrow_mut() += usize::from(matches!(entry, Entry::Step(_)));
        true
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// Neither when the question's own wakeup answers it, nor when an event was faster and the wakeup finds nothing to do.
#[test]
fn a_question_is_in_no_record() {
    let steps = Rc::new(RefCell::new(0));
    let mut t = Timeline::new(Recorded::new(Balancer::default(), Tape(steps.clone())));
    t.told(Input::ConfigLoaded { config: config(SERVICE), seed: 1 });
    assert_eq!(*steps.borrow(), 1);
    t.asked();
    t.asker.borrow_mut().waits = true;
    t.told(balancer::Event::IpvsRead(Table::default()));
    assert_eq!((t.asker.borrow().told.len(), *steps.borrow()), (1, 2));
    t.told(Input::Wakeup);
    assert_eq!(*steps.borrow(), 2);
}

#[test]
fn a_question_asks_for_nothing() {
    let mut t = started(ROUTER);
    t.at(4_700).asked();
    let late: Outbox<vrrp::Effect> = t.told(Input::Wakeup);
    assert!(late.says(), "what was due is done with the next event, as if nobody had asked");
}
