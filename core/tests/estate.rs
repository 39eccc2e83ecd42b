//! Estates as they travel and as they lie on a disk, and the copies that are kept while a machine lives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use vipward_core::balancer::{Effect, Event, Input, Outbox};
use vipward_core::decision::Decision;
use vipward_core::estate::{
    BalancerEstate, CheckerEstate, Document, ElectionEstate, Estate, FORMAT, IgnoredEstate, Keeper, Kept, OfOne,
    RealServerEstate, RouterEstate, ScriptEstate, Unusable, VirtualServerEstate,
};
use vipward_core::interface::{Family, InterfaceAddress, InterfaceName, Scope};
use vipward_core::ipvs::{Protocol, ServiceKey, VirtualServerId};
use vipward_core::machine::{Machine, Output, Reason};
use vipward_core::quantity::{AdvertInterval, Vrid};
use vipward_core::record::{Entry, Reader, Step, Taken, Writer};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp;
use vipward_core::vrrp::announce::{Announcements, To};
use vipward_core::vrrp::book::{AddressBook, Holder};
use vipward_core::vrrp::virtual_router::{Backup, Heard, Master, State};

/// One of everything.
fn election() -> Estate {
    let mut book = AddressBook::default();
    let garp = vipward_core::config::Garp { delay: Duration::from_secs(5), ..Default::default() };
    let at = Instant::from_millis(12_345);
    let states = [
        State::Master(Master {
            advertise_at: Instant::from_millis(13_000),
            last_advert: Instant::from_millis(12_000),
            announcements: Announcements::start(&garp, &[], at, &mut To { holder: Holder::Router(1), book: &mut book }),
            holds: false,
            held_since: None,
            told_held: false,
            told_kept: false,
            answers: Default::default(),
        }),
        State::Backup(Backup {
            down_at: Instant::from_nanos(15_609_375_000),
            waits: Duration::from_nanos(3_609_375_000),
            active_interval: AdvertInterval::DEFAULT,
            heard: Heard::Active { source: [10, 0, 0, 9].into(), at },
            preempt_at: None,
            slept: false,
        }),
        State::Backup(Backup {
            down_at: Instant::from_nanos(12_400_000_000),
            waits: Duration::from_millis(55),
            active_interval: AdvertInterval::from_centis(10).unwrap(),
            heard: Heard::Stopped { source: [10, 0, 0, 9].into(), skew: Duration::from_millis(55) },
            preempt_at: Some(at),
            slept: true,
        }),
        State::Fault,
        State::Init,
    ];
    let router = |(n, state): (u8, State)| RouterEstate {
        name: format!("VI_{n}").into(),
        interface: InterfaceName::new("eth0"),
        vrid: Vrid::new(n).unwrap(),
        family: Family::V4,
        state,
        sequence: 0,
    };
    Estate::Election(ElectionEstate {
        handed_over: true,
        routers: (1..).zip(states).map(router).collect(),
        addresses: vec![InterfaceAddress {
            interface: InterfaceName::new("eth0"),
            address: [10, 0, 0, 100].into(),
            prefix_len: 24,
            broadcast: None,
            label: Some("eth0:1".into()),
            scope: Scope::Global,
            no_prefix_route: false,
            permanent: false,
        }],
        scripts: vec![ScriptEstate { name: "chk".into(), up: Some(true), streak: 1, due: at }],
        ignored: vec![IgnoredEstate { router: Some("VI_1".into()), reason: "wrong_ttl".to_owned(), total: 3 }],
        files: Default::default(),
        processes: Default::default(),
        routes: Default::default(),
        rules: Default::default(),
    })
}

fn balancer() -> Estate {
    let checker = |up, count| CheckerEstate {
        settings: 0xdead_beef,
        up,
        count,
        url: 1,
        due: Instant::from_millis(7),
        weight: None,
    };
    let address = ([192, 0, 2, 1], 80).into();
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: ([10, 0, 0, 100], 80).into() };
    let (service, keys) = (VirtualServerId::of_entry(key), Vec::new());
    let servers = vec![RealServerEstate {
        address,
        checkers: vec![checker(true, 3), checker(false, 0)],
        drain: None,
        rises: None,
    }];
    Estate::Balancer(BalancerEstate {
        attempts: 9,
        services: vec![VirtualServerEstate { service, keys, quorum: true, servers }],
        ..BalancerEstate::default()
    })
}

fn written(estate: Estate) -> String {
    String::from_utf8(Document { vipward: "1.2.3".to_owned(), ..Document::new("b", estate) }.to_json().unwrap())
        .unwrap()
}

fn read(json: &str) -> Result<Estate, Unusable> {
    Document::from_json(json.as_bytes(), "b").map(|document| document.estate)
}

/// Whoever changes these bytes so that an older reader would misunderstand them raises [`FORMAT`]. What is merely new
/// has a default.
#[test]
fn the_format() {
    insta::assert_snapshot!(written(election()));
    insta::assert_snapshot!(written(balancer()));
    for estate in [election(), balancer()] {
        assert_eq!(read(&written(estate.clone())), Ok(estate));
    }
}

/// The words of format 1 as its first version wrote them. They are never edited.
#[test]
fn what_the_first_version_wrote_is_still_understood() {
    assert_eq!(FORMAT, 1);
    assert_eq!(read(include_str!("estate/election-1.json")), Ok(election()));
    assert_eq!(read(include_str!("estate/balancer-1.json")), Ok(balancer()));
}

/// Which entries of the kernel's table were a virtual server's: those that are listed, or the one that its name tells.
#[test]
fn entries_of_a_virtual_server() {
    let entries = |json: &str| match read(json) {
        Ok(Estate::Balancer(estate)) => estate.services[0].keys().iter().map(ToString::to_string).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let json = written(balancer());
    assert_eq!(entries(&json), ["TCP 10.0.0.100:80"]);
    let two = r#""keys":[{"protocol":"Tcp","address":"10.0.0.100:80"},{"protocol":"Udp","address":"10.0.0.101:80"}],"#;
    let json = json.replace("\"quorum\":true", &format!("{two}\"quorum\":true"));
    assert_eq!(entries(&json), ["TCP 10.0.0.100:80", "UDP 10.0.0.101:80"]);
}

#[test]
fn words_of_a_newer_version_are_passed_over_and_missing_ones_have_defaults() {
    let newer = written(balancer()).replace("\"attempts\":9", "\"attempts\":9,\"temper\":{\"mood\":[1]}");
    assert_eq!(read(&newer), Ok(balancer()));
    let newer = written(election()).replace("\"vrid\":1,", "\"vrid\":1,\"lease\":{\"held\":true},");
    assert_eq!(read(&newer), Ok(election()));
    let bare = r#"{"format":1,"boot":"b","estate":{"Election":{}}}"#;
    assert_eq!(read(bare), Ok(Estate::Election(ElectionEstate::default())));
}

#[test]
fn what_is_not_for_this_reader_is_refused_in_words() {
    let json = written(election());
    let reason = |json: &str, boot| Document::from_json(json.as_bytes(), boot).unwrap_err().to_string();
    assert_eq!(reason(&json, "c"), "it is from before the last boot");
    assert_eq!(
        reason(r#"{"format":2,"boot":"b","will":7}"#, "b"),
        "it has format 2, and this version of vipward reads format 1"
    );
    assert!(reason(json.split_at(json.len() / 2).0, "b").starts_with("it is damaged: "));
    assert!(reason("", "b").starts_with("it is damaged: "));
    assert!(reason(&json.replace("\"vrid\":1", "\"vrid\":0"), "b").contains("virtual_router_id 0 does not exist"));
}

/// Does what a script says, and leaves as many ignored packets as it has handled events.
struct Scripted {
    answers: VecDeque<Vec<Output<Effect>>>,
    handled: u64,
}

impl Machine for Scripted {
    type Event = Event;
    type Effect = Effect;
    type Estate = BalancerEstate;

    fn handle(&mut self, _: Input, _: Instant) -> Outbox {
        self.handled += 1;
        self.answers.pop_front().into_iter().flatten().collect()
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        Some((Instant::from_millis(10_000), Reason::Probe))
    }

    fn estate(&self, _: Instant) -> Option<BalancerEstate> {
        Some(BalancerEstate { attempts: self.handled, ..BalancerEstate::default() })
    }
}

#[derive(Clone, Default)]
struct Shelf(Rc<RefCell<Vec<u64>>>);

impl Keeper<BalancerEstate> for Shelf {
    fn keep(&mut self, BalancerEstate { attempts, .. }: BalancerEstate) {
        self.0.borrow_mut().push(attempts);
    }
}

/// The first change at once, the next ones together after the pause; and no copy where nothing changed.
#[test]
fn copies_follow_changes_but_not_more_often_than_the_pause() {
    let change = || vec![Output::Decide(Decision::TableRepaired { changes: 1 })];
    let answers = [change(), change(), vec![Effect::ReadIpvs.into()], change(), vec![], vec![]].into();
    let shelf = Shelf::default();
    let mut kept = Kept::new(Scripted { answers, handled: 0 }, shelf.clone(), Duration::from_secs(2));
    let mut copies = |millis, expected: &[u64]| {
        kept.handle(Input::Wakeup, Instant::from_millis(millis));
        assert_eq!(*shelf.0.borrow(), expected, "at {millis} ms");
        kept.next_wakeup().unwrap()
    };
    let idle = (Instant::from_millis(10_000), Reason::Probe);
    assert_eq!(copies(1_000, &[1]), idle);
    assert_eq!(copies(1_500, &[1]), (Instant::from_millis(3_000), Reason::Keep));
    assert_eq!(copies(2_000, &[1]), (Instant::from_millis(3_000), Reason::Keep));
    assert_eq!(copies(2_999, &[1]), (Instant::from_millis(3_000), Reason::Keep));
    assert_eq!(copies(3_000, &[1, 5]), idle);
    assert_eq!(copies(9_000, &[1, 5]), idle);
}

/// An estate is an event like any other: it is recorded and replayed.
#[test]
fn an_estate_survives_the_recording() {
    let input = vrrp::Input::Inherited(ElectionEstate::of(election()).unwrap());
    let step = Step::Election(Taken { at: Instant::ZERO, input, output: vrrp::Outbox::default() });
    let mut writer = Writer::default();
    writer.entry(&Entry::Step(step.clone()));
    assert_eq!(Reader::new(&writer.take()).next().unwrap().unwrap().entry, Entry::Step(step));
}
