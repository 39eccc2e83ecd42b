//! The rules of `vipward_core::driver`, with a scripted machine in a small fake world on a paused clock.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

#[path = "driver/ends.rs"]
mod ends;

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use vipward_core::command::{Command, ScriptOutcome};
use vipward_core::datagram::Datagram;
use vipward_core::decision::Decision;
use vipward_core::door::News;
use vipward_core::driver::{MAX_WAITING, TAKEN_AT_LEAST, TURN, drive};
use vipward_core::estate::ElectionEstate;
use vipward_core::interface::{InterfaceAddress, InterfaceName, Link, Scope};
use vipward_core::lease::{LeaseEvent, LeaseOp};
use vipward_core::machine::{Machine, Output, Reason};
use vipward_core::mail::Mail;
use vipward_core::quantity::Role;
use vipward_core::seam::{Clock, Common, Done, Refusal, Source, WorkId, World};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{Effect, Election, Event, Input, Outbox};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));

fn eth0() -> InterfaceName {
    InterfaceName::new("eth0")
}

fn address() -> InterfaceAddress {
    InterfaceAddress {
        interface: eth0(),
        address: VIP,
        prefix_len: 24,
        broadcast: None,
        label: None,
        scope: Scope::Global,
        no_prefix_route: false,
        permanent: false,
    }
}

fn advert(n: u8) -> Datagram {
    let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
    Datagram { interface: eth0(), source, destination: VIP, ttl: 255, payload: Bytes::new() }
}

fn link(n: usize) -> Input {
    Event::LinkGone(InterfaceName::new(&format!("eth{n}"))).into()
}

fn run_script(name: &str) -> Output<Effect> {
    let command = Command { argv: vec!["/bin/true".to_owned()], user: None };
    Effect::RunScript { script: name.into(), command, timeout: Duration::from_secs(1) }.into()
}

/// What the machine heard and what the world was asked for, in order.
type Log = Rc<RefCell<Vec<String>>>;

fn word(input: &Input) -> String {
    match input {
        Input::Event(Event::AdvertReceived(advert)) => format!("hears {}", advert.source),
        Input::Event(Event::LinkGone(name)) => format!("{name} gone"),
        Input::Event(Event::AddressesRead(read)) => format!("read {}", read.len()),
        Input::Event(Event::ScriptFinished { script, outcome }) => format!("{script} {outcome:?}"),
        Input::Event(Event::LinksRead(links)) => format!("links {}", links.len()),
        Input::Event(Event::Lease(said)) => said.to_string(),
        Input::Failed { effect, error } => format!("failed {}: {error}", effect_word(effect)),
        Input::Wakeup => "wakes".to_owned(),
        Input::Stop => "stop".to_owned(),
        other => format!("{other:?}"),
    }
}

fn effect_word(effect: &Effect) -> &'static str {
    match effect {
        Effect::SendAdvert(_) => "send",
        Effect::AddAddress(_) => "add",
        Effect::RenewAddresses { .. } => "renew",
        Effect::RemoveAddress(_) => "remove",
        Effect::Announce { .. } => "announce",
        Effect::Listen { .. } => "listen",
        Effect::StopListening { .. } => "stop listening",
        Effect::ReadAddresses => "read",
        Effect::RunScript { .. } => "run",
        Effect::Lease(_) => "lease",
        Effect::WatchFiles(_) | Effect::WatchProcesses(_) => "watch",
        Effect::AddRoute(_) | Effect::AddRule(_) => "put in",
        Effect::RemoveRoute(_) | Effect::RemoveRule(_) => "take out",
        Effect::ReadRoutes => "read routes",
    }
}

/// Answers events by a script, and wakes at given instants, each once.
struct Scripted<F> {
    log: Log,
    answer: F,
    wakeups: VecDeque<Instant>,
    last: Instant,
}

impl<F: FnMut(&Input) -> Vec<Output<Effect>>> Machine for Scripted<F> {
    type Event = Event;
    type Effect = Effect;
    type Estate = ElectionEstate;

    fn handle(&mut self, input: Input, now: Instant) -> Outbox {
        assert!(now >= self.last, "now went back from {:?} to {now:?}", self.last);
        self.last = now;
        if input == Input::Wakeup {
            self.wakeups.pop_front();
        }
        self.log.borrow_mut().push(format!("{now:.1} {}", word(&input)));
        (self.answer)(&input).into_iter().collect()
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.wakeups.front().map(|at| (*at, Reason::Report))
    }

    fn estate(&self, _: Instant) -> Option<ElectionEstate> {
        None
    }
}

struct TestWorld {
    log: Log,
    start: tokio::time::Instant,
    /// Added to the clock, to let it jump back.
    skew_millis: Cell<i64>,
    waiting: [RefCell<VecDeque<Input>>; 3],
    arrived: tokio::sync::Notify,
    refuse: Cell<Option<&'static str>>,
    /// How long the kernel takes to add an address.
    slow: Cell<Duration>,
}

impl TestWorld {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            log: Log::default(),
            start: tokio::time::Instant::now(),
            skew_millis: Cell::new(0),
            waiting: Default::default(),
            arrived: tokio::sync::Notify::new(),
            refuse: Cell::new(None),
            slow: Cell::new(Duration::ZERO),
        })
    }

    fn queue(&self, source: Source) -> &RefCell<VecDeque<Input>> {
        let [host, lease, packets] = &self.waiting;
        match source {
            Source::Host => host,
            Source::Lease => lease,
            Source::Packets => packets,
        }
    }

    fn sends(&self, adverts: impl IntoIterator<Item = Datagram>) {
        let adverts = adverts.into_iter().map(|advert| Event::AdvertReceived(advert).into());
        self.queue(Source::Packets).borrow_mut().extend(adverts);
        self.arrived.notify_one();
    }

    fn says(&self, said: LeaseEvent) {
        self.queue(Source::Lease).borrow_mut().push_back(Event::Lease(said).into());
        self.arrived.notify_one();
    }

    fn tells(&self, inputs: impl IntoIterator<Item = Input>) {
        self.queue(Source::Host).borrow_mut().extend(inputs);
        self.arrived.notify_one();
    }

    /// Drives a machine that wakes at these milliseconds, until it is stopped or 100 seconds are over.
    async fn drives(
        self: &Rc<Self>,
        wakeups: &[u64],
        answer: impl FnMut(&Input) -> Vec<Output<Effect>>,
    ) -> Vec<String> {
        let wakeups = wakeups.iter().map(|ms| Instant::from_millis(*ms)).collect();
        let mut machine = Scripted { log: self.log.clone(), answer, wakeups, last: Instant::ZERO };
        let driving = drive::<Election, _, _>(&mut machine, self.clone());
        let _ = tokio::time::timeout(Duration::from_secs(100), driving).await;
        self.log.take()
    }
}

impl Clock for TestWorld {
    fn now(&self) -> Instant {
        let nanos = i64::try_from(self.start.elapsed().as_nanos()).unwrap() + self.skew_millis.get() * 1_000_000;
        Instant::from_nanos(u64::try_from(nanos.max(0)).unwrap())
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep(at.since(Clock::now(self))).await;
    }
}

impl Common for TestWorld {
    fn mail(&self, mail: &Mail) {
        self.log.borrow_mut().push(format!("  mail {}", mail.subject));
    }

    fn fifo(&self, _: &str, line: &str) {
        self.log.borrow_mut().push(format!("  fifo {line}"));
    }

    fn notify(&self, _: &str, _: &Command) {
        self.log.borrow_mut().push("  notify".to_owned());
    }

    fn record(&self, _: Instant, _: &Decision) {
        self.log.borrow_mut().push("  record".to_owned());
    }

    fn news(&self, _: &News) {
        self.log.borrow_mut().push("  news".to_owned());
    }
}

impl World<Election> for TestWorld {
    fn waiting(&self, source: Source) -> Option<Input> {
        self.queue(source).borrow_mut().pop_front()
    }

    async fn next(&self) -> Input {
        loop {
            if let Some(input) = Source::ALL.into_iter().find_map(|source| self.waiting(source)) {
                return input;
            }
            self.arrived.notified().await;
        }
    }

    async fn carry_out(&self, effect: &Effect) -> Result<Done<Input>, Refusal> {
        let what = effect_word(effect);
        if let (Effect::AddAddress(_), false) = (effect, self.slow.get().is_zero()) {
            tokio::time::sleep(self.slow.get()).await;
        }
        self.log.borrow_mut().push(format!("  {what}"));
        if self.refuse.get() == Some(what) {
            return Err("refused".to_owned());
        }
        Ok(match effect {
            Effect::ReadAddresses => Done::Answer(Event::AddressesRead(Vec::new()).into()),
            Effect::RunScript { script, .. } => {
                let script = script.clone();
                // As if it were a probe: one that has a name can be cancelled.
                let name = (&*script != "chk").then_some(PROBE);
                Done::Begun(
                    name,
                    Box::pin(async {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        Event::ScriptFinished { script, outcome: ScriptOutcome::Exited(0) }.into()
                    }),
                )
            }
            Effect::Lease(LeaseOp::Withdraw { .. }) => Done::Cancelled(PROBE),
            _ => Done::Quietly,
        })
    }
}

const PROBE: WorkId = WorkId(7);

fn nothing(_: &Input) -> Vec<Output<Effect>> {
    Vec::new()
}

/// The kernel takes five seconds over an address; meanwhile adverts arrive and the timer runs out.
#[tokio::test(start_paused = true)]
async fn a_director_that_was_held_up_hears_its_queue_before_its_timer() {
    let world = TestWorld::new();
    world.slow.set(Duration::from_secs(5));
    world.tells([link(0)]);
    let elsewhere = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.sends([advert(1), advert(2)]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.tells([Input::Stop]);
    };
    let adds = |input: &Input| match input {
        Input::Event(Event::LinkGone(_)) => vec![Effect::AddAddress(address()).into()],
        _ => vec![],
    };
    let (log, ()) = tokio::join!(world.drives(&[1000], adds), elsewhere);
    let heard = ["5.0 hears 10.0.0.1", "5.0 hears 10.0.0.2", "5.0 wakes", "13.0 stop"];
    assert_eq!(log, [&["0.0 eth0 gone", "  add"], &heard[..]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_packets_does_not_keep_a_timer_from_firing() {
    let world = TestWorld::new();
    world.sends((0..MAX_WAITING * 3).map(|_| advert(1)));
    let log = world.drives(&[0], nothing).await;
    assert_eq!(log.len(), MAX_WAITING * 3 + 1);
    assert_eq!(log.iter().position(|line| line == "0.0 wakes"), Some(MAX_WAITING));
}

/// What waits may be slow: each of these packets makes the machine do something that takes the kernel a millisecond.
#[tokio::test(start_paused = true)]
async fn a_flood_of_slow_packets_does_not_keep_a_timer_from_firing() {
    let world = TestWorld::new();
    world.slow.set(Duration::from_millis(1));
    world.sends((0..MAX_WAITING).map(|_| advert(1)));
    let adds = |input: &Input| match input {
        Input::Event(Event::AdvertReceived(_)) => vec![Effect::AddAddress(address()).into()],
        _ => vec![],
    };
    let log = world.drives(&[0], adds).await;
    let heard = log.iter().take_while(|line| !line.ends_with("wakes")).filter(|line| line.contains("hears")).count();
    assert_eq!(heard, TAKEN_AT_LEAST);
    // With faster ones it is the time that counts.
    let world = TestWorld::new();
    world.slow.set(Duration::from_millis(1));
    world.sends((0..MAX_WAITING).map(|n| advert(u8::try_from(n % 8).unwrap())));
    let adds = |input: &Input| match input {
        Input::Event(Event::AdvertReceived(packet)) if *packet == advert(1) => {
            vec![Effect::AddAddress(address()).into()]
        }
        _ => vec![],
    };
    let log = world.drives(&[0], adds).await;
    let heard = log.iter().take_while(|line| !line.ends_with("wakes")).filter(|line| line.contains("hears")).count();
    assert!((350..450).contains(&heard), "{heard} heard in {TURN:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_host_events_does_not_hide_an_advert_from_a_due_timer() {
    let world = TestWorld::new();
    world.tells((0..MAX_WAITING * 3).map(link));
    world.sends([advert(1)]);
    let log = world.drives(&[0], nothing).await;
    let heard = log.iter().position(|line| line == "0.0 hears 10.0.0.1");
    let woke = log.iter().position(|line| line == "0.0 wakes");
    assert_eq!((heard, woke), (Some(MAX_WAITING), Some(MAX_WAITING + 1)));
}

/// Whatever order they were put in.
#[tokio::test(start_paused = true)]
async fn effects_are_carried_out_lane_by_lane() {
    let world = TestWorld::new();
    world.tells([link(0), Input::Stop]);
    let command = Command { argv: vec!["/bin/true".to_owned()], user: None };
    let mut outputs: Vec<Output<Effect>> = vec![
        Output::Decide(Decision::LeftoverRemoved { address: address().key() }),
        Effect::RunScript { script: "chk".into(), command: command.clone(), timeout: Duration::ZERO }.into(),
        Effect::Announce { interface: eth0(), address: VIP }.into(),
        Output::Notify { queue: "V".into(), command },
        Effect::AddAddress(address()).into(),
        Output::News(News::RoleChanged { router: "V".into(), role: Role::Master }),
        Effect::Lease(LeaseOp::Close).into(),
        Effect::SendAdvert(advert(1)).into(),
        Effect::RemoveAddress(address().key()).into(),
        Effect::Listen { interface: eth0(), group: None }.into(),
    ];
    let log = world.drives(&[], |_| std::mem::take(&mut outputs)).await;
    let asked = ["  send", "  add", "  remove", "  listen", "  announce", "  run", "  lease"];
    assert_eq!(log, [&["0.0 eth0 gone"], &asked[..], &["  record", "  notify", "  news", "0.0 stop"]].concat());
}

/// Somebody else would have the lease, and this director still the address. The next turn may do it.
#[tokio::test(start_paused = true)]
async fn no_lease_is_given_back_by_a_turn_that_could_not_take_an_address_off() {
    let world = TestWorld::new();
    world.refuse.set(Some("remove"));
    world.tells([link(0), link(1), Input::Stop]);
    let release = || Effect::Lease(LeaseOp::Release { key: "V".into() }).into();
    let take = Effect::Lease(LeaseOp::Take { key: "W".into(), director: "lb1".into() });
    let remove = Effect::RemoveAddress(address().key());
    let mut outputs = VecDeque::from([vec![release(), take.into(), remove.into()], vec![], vec![], vec![release()]]);
    let log = world.drives(&[], |_| outputs.pop_front().unwrap_or_default()).await;
    let expected = [
        "0.0 eth0 gone",
        "  remove",
        "  lease",
        "0.0 failed remove: refused",
        "0.0 failed lease: an address could not be removed: the lease is not given back",
        "0.0 eth1 gone",
        "  lease",
        "0.0 stop",
    ];
    assert_eq!(log, expected);
}

/// RFC 9568 8.1.2: clients must not learn that the address is here.
#[tokio::test(start_paused = true)]
async fn an_address_that_is_refused_is_not_announced() {
    let world = TestWorld::new();
    world.refuse.set(Some("add"));
    world.tells([link(0), Input::Stop]);
    let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101));
    let announce = |address| Effect::Announce { interface: eth0(), address }.into();
    let mut outputs =
        vec![announce(VIP), announce(other), announce(VIP), Effect::AddAddress(address()).into(), run_script("chk")];
    let log = world.drives(&[], |_| std::mem::take(&mut outputs)).await;
    let expected = ["0.0 eth0 gone", "  add", "  announce", "  run", "0.0 failed add: refused"];
    assert_eq!(log[..5], expected, "{log:#?}");
}

/// A probe whose answer nobody wants any more ends without a word; a script goes on.
#[tokio::test(start_paused = true)]
async fn what_was_cancelled_is_not_heard_of() {
    let world = TestWorld::new();
    world.tells([link(0), link(1)]);
    let cancel = Effect::Lease(LeaseOp::Withdraw { key: "V".into() });
    let mut outputs = VecDeque::from([vec![run_script("chk"), run_script("probe")], vec![cancel.into()]]);
    let log = world.drives(&[], |_| outputs.pop_front().unwrap_or_default()).await;
    assert_eq!(log, ["0.0 eth0 gone", "  run", "  run", "0.0 eth1 gone", "  lease", "0.5 chk Exited(0)"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_effect_comes_back_before_anything_else_is_heard() {
    let world = TestWorld::new();
    for refused in ["send", "add", "remove", "announce", "listen", "stop listening", "read"] {
        world.refuse.set(Some(refused));
        world.tells([link(0), link(1), Input::Stop]);
        let interface = eth0();
        let effect = match refused {
            "send" => Effect::SendAdvert(advert(1)),
            "add" => Effect::AddAddress(address()),
            "remove" => Effect::RemoveAddress(address().key()),
            "announce" => Effect::Announce { interface, address: VIP },
            "listen" => Effect::Listen { interface, group: None },
            "stop listening" => Effect::StopListening { interface, group: None },
            _ => Effect::ReadAddresses,
        };
        let mut effects = vec![effect.into()];
        let log = world.drives(&[0], |_| std::mem::take(&mut effects)).await;
        let failed = format!("0.0 failed {refused}: refused");
        let asked = format!("  {refused}");
        assert_eq!(log, ["0.0 eth0 gone", &asked, &failed, "0.0 eth1 gone", "0.0 stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_read_back_is_the_next_event() {
    let world = TestWorld::new();
    world.tells([link(0), link(1), Input::Stop]);
    let mut effects = vec![Effect::ReadAddresses.into()];
    let log = world.drives(&[0], |_| std::mem::take(&mut effects)).await;
    assert_eq!(log, ["0.0 eth0 gone", "  read", "0.0 read 0", "0.0 eth1 gone", "0.0 stop"]);
}

/// Everything at one instant, while it sleeps: the host first, then the quorum service, packets, then what ended, then the timer.
#[tokio::test(start_paused = true)]
async fn what_happens_at_one_instant_has_one_order() {
    for _ in 0..20 {
        let world = TestWorld::new();
        world.tells([Event::LinksRead(vec![Link { name: eth0(), running: true }]).into()]);
        let mut effects = vec![run_script("chk")];
        let elsewhere = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.sends([advert(1)]);
            world.says(LeaseEvent::Vacant { key: "V".into() });
            world.tells([link(0)]);
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.tells([Input::Stop]);
        };
        let ((), log) = tokio::join!(biased; elsewhere, world.drives(&[500], |_| std::mem::take(&mut effects)));
        let at_once =
            ["0.5 eth0 gone", "0.5 the lease of V is free", "0.5 hears 10.0.0.1", "0.5 chk Exited(0)", "0.5 wakes"];
        assert_eq!(log, [&["0.0 links 1", "  run"], &at_once[..], &["1.5 stop"]].concat());
    }
}
