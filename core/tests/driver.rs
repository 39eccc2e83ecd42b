//! The rules of `vipward_core::driver`, with a scripted machine in a small fake world on a paused clock.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use vipward_core::command::Command;
use vipward_core::command::ScriptOutcome;
use vipward_core::datagram::Datagram;
use vipward_core::decision::Decision;
use vipward_core::driver::{MAX_WAITING, drive};
use vipward_core::effect::Effect;
use vipward_core::estate::Estate;
use vipward_core::event::Event;
use vipward_core::interface::{AddressKey, InterfaceAddress, InterfaceName, Link, ObservedAddress, Scope};
use vipward_core::ipvs::{Op, Table};
use vipward_core::machine::{Machine, Reason};
use vipward_core::seam::{Clock, Host, Network, NoLease, Refusal};
use vipward_core::time::{Duration, Instant};

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
    }
}

fn advert(n: u8) -> Datagram {
    let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
    Datagram { interface: eth0(), source, destination: VIP, ttl: 255, payload: Bytes::new() }
}

fn link(n: usize) -> Event {
    Event::LinkGone(InterfaceName::new(&format!("eth{n}")))
}

fn run_script() -> Effect {
    let command = Command { argv: vec!["/bin/true".to_owned()], user: None };
    Effect::RunScript { script: "chk".into(), command, timeout: Duration::from_secs(1) }
}

/// What the machine heard and what the world was asked for, in order.
type Log = Rc<RefCell<Vec<String>>>;

fn word(event: &Event) -> String {
    match event {
        Event::AdvertReceived(advert) => format!("hears {}", advert.source),
        Event::LinkGone(name) => format!("{name} gone"),
        Event::AddressesRead(read) => format!("read {}", read.len()),
        Event::EffectFailed { effect, error } => format!("failed {}: {error}", effect_word(effect)),
        Event::ScriptFinished { script, outcome } => format!("{script} {outcome:?}"),
        Event::Wakeup => "wakes".to_owned(),
        Event::Stop => "stop".to_owned(),
        Event::LinksRead(links) => format!("links {}", links.len()),
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
        _ => "other",
    }
}

/// Answers events by a script, and wakes at given instants, each once.
struct Scripted<F> {
    log: Log,
    answer: F,
    wakeups: VecDeque<Instant>,
    last: Instant,
}

impl<F: FnMut(&Event) -> Vec<Effect>> Machine for Scripted<F> {
    fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        assert!(now >= self.last, "now went back from {:?} to {now:?}", self.last);
        self.last = now;
        if event == Event::Wakeup {
            self.wakeups.pop_front();
        }
        self.log.borrow_mut().push(format!("{now:.1} {}", word(&event)));
        (self.answer)(&event)
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        self.wakeups.front().map(|at| (*at, Reason::Report))
    }

    fn estate(&self, _: Instant) -> Option<Estate> {
        None
    }
}

struct World {
    log: Log,
    start: tokio::time::Instant,
    /// Added to the clock, to let it jump back.
    skew_millis: Cell<i64>,
    adverts: RefCell<VecDeque<Datagram>>,
    events: RefCell<VecDeque<Event>>,
    packet_arrived: tokio::sync::Notify,
    event_arrived: tokio::sync::Notify,
    refuse: Cell<Option<&'static str>>,
    /// How long the kernel takes to add an address.
    slow: Cell<Duration>,
}

impl World {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            log: Log::default(),
            start: tokio::time::Instant::now(),
            skew_millis: Cell::new(0),
            adverts: RefCell::default(),
            events: RefCell::default(),
            packet_arrived: tokio::sync::Notify::new(),
            event_arrived: tokio::sync::Notify::new(),
            refuse: Cell::new(None),
            slow: Cell::new(Duration::ZERO),
        })
    }

    fn sends(&self, adverts: impl IntoIterator<Item = Datagram>) {
        self.adverts.borrow_mut().extend(adverts);
        self.packet_arrived.notify_one();
    }

    fn tells(&self, events: impl IntoIterator<Item = Event>) {
        self.events.borrow_mut().extend(events);
        self.event_arrived.notify_one();
    }

    fn asked(&self, what: &str) -> Result<(), Refusal> {
        self.log.borrow_mut().push(format!("  {what}"));
        match self.refuse.get() {
            Some(refused) if refused == what => Err("refused".to_owned()),
            _ => Ok(()),
        }
    }

    /// Drives a machine that wakes at these milliseconds, until it is stopped or 100 seconds are over.
    async fn drives(self: &Rc<Self>, wakeups: &[u64], answer: impl FnMut(&Event) -> Vec<Effect>) -> Vec<String> {
        let wakeups = wakeups.iter().map(|ms| Instant::from_millis(*ms)).collect();
        let mut machine = Scripted { log: self.log.clone(), answer, wakeups, last: Instant::ZERO };
        let driving = drive(&mut machine, self.clone(), self.clone(), self.clone(), Rc::new(NoLease));
        let _ = tokio::time::timeout(Duration::from_secs(100), driving).await;
        self.log.take()
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        let nanos = i64::try_from(self.start.elapsed().as_nanos()).unwrap() + self.skew_millis.get() * 1_000_000;
        Instant::from_nanos(u64::try_from(nanos.max(0)).unwrap())
    }

    async fn sleep_until(&self, at: Instant) {
        tokio::time::sleep(at.since(Clock::now(self))).await;
    }
}

impl Network for World {
    type Stream = tokio::io::DuplexStream;

    async fn advert(&self) -> Datagram {
        loop {
            if let Some(advert) = self.waiting_advert() {
                return advert;
            }
            self.packet_arrived.notified().await;
        }
    }

    fn waiting_advert(&self) -> Option<Datagram> {
        self.adverts.borrow_mut().pop_front()
    }

    fn listen(&self, _: &InterfaceName, _: Option<IpAddr>) -> Result<(), Refusal> {
        self.asked("listen")
    }

    fn stop_listening(&self, _: &InterfaceName, _: Option<IpAddr>) -> Result<(), Refusal> {
        self.asked("stop listening")
    }

    fn send_advert(&self, _: &Datagram) -> Result<(), Refusal> {
        self.asked("send")
    }

    fn announce(&self, _: &InterfaceName, _: IpAddr) -> Result<(), Refusal> {
        self.asked("announce")
    }

    async fn connect(&self, _: SocketAddr) -> std::io::Result<Self::Stream> {
        Err(std::io::ErrorKind::ConnectionRefused.into())
    }
}

impl Host for World {
    async fn event(&self) -> Event {
        loop {
            if let Some(event) = self.waiting_event() {
                return event;
            }
            self.event_arrived.notified().await;
        }
    }

    fn waiting_event(&self) -> Option<Event> {
        self.events.borrow_mut().pop_front()
    }

    async fn add_address(&self, _: &InterfaceAddress) -> Result<(), Refusal> {
        if !self.slow.get().is_zero() {
            tokio::time::sleep(self.slow.get()).await;
        }
        self.asked("add")
    }

    async fn renew_addresses(&self, _: &[InterfaceAddress]) -> Result<(), Refusal> {
        self.asked("renew")
    }

    async fn remove_address(&self, _: &AddressKey) -> Result<(), Refusal> {
        self.asked("remove")
    }

    async fn read_addresses(&self) -> Result<Vec<ObservedAddress>, Refusal> {
        self.asked("read").map(|()| Vec::new())
    }

    async fn ipvs(&self, _: &Op) -> Result<(), Refusal> {
        self.asked("ipvs")
    }

    async fn read_ipvs(&self) -> Result<Table, Refusal> {
        Err("no ipvs".to_owned())
    }

    fn run_script(&self, _: &Command, _: Duration) -> impl Future<Output = ScriptOutcome> + 'static {
        self.log.borrow_mut().push("  run".to_owned());
        async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            ScriptOutcome::Exited(0)
        }
    }

    fn notify(&self, _: &str, _: &Command) {
        self.log.borrow_mut().push("  notify".to_owned());
    }

    fn record(&self, _: Instant, _: &Decision) {
        self.log.borrow_mut().push("  record".to_owned());
    }
}

fn nothing(_: &Event) -> Vec<Effect> {
    Vec::new()
}

/// The kernel takes five seconds over an address; meanwhile adverts arrive and the timer runs out.
#[tokio::test(start_paused = true)]
async fn a_director_that_was_held_up_hears_its_queue_before_its_timer() {
    let world = World::new();
    world.slow.set(Duration::from_secs(5));
    world.tells([link(0)]);
    let elsewhere = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.sends([advert(1), advert(2)]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        world.tells([Event::Stop]);
    };
    let adds = |event: &Event| match event {
        Event::LinkGone(_) => vec![Effect::AddAddress(address())],
        _ => vec![],
    };
    let (log, ()) = tokio::join!(world.drives(&[1000], adds), elsewhere);
    let heard = ["5.0 hears 10.0.0.1", "5.0 hears 10.0.0.2", "5.0 wakes", "13.0 stop"];
    assert_eq!(log, [&["0.0 eth0 gone", "  add"], &heard[..]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_packets_does_not_keep_a_timer_from_firing() {
    let world = World::new();
    world.sends((0..MAX_WAITING * 3).map(|_| advert(1)));
    let log = world.drives(&[0], nothing).await;
    assert_eq!(log.len(), MAX_WAITING * 3 + 1);
    assert_eq!(log.iter().position(|line| line == "0.0 wakes"), Some(MAX_WAITING));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_host_events_does_not_hide_an_advert_from_a_due_timer() {
    let world = World::new();
    world.tells((0..MAX_WAITING * 3).map(link));
    world.sends([advert(1)]);
    let log = world.drives(&[0], nothing).await;
    let heard = log.iter().position(|line| line == "0.0 hears 10.0.0.1");
    let woke = log.iter().position(|line| line == "0.0 wakes");
    assert_eq!((heard, woke), (Some(MAX_WAITING), Some(MAX_WAITING + 1)));
}

#[tokio::test(start_paused = true)]
async fn effects_are_carried_out_in_order() {
    let world = World::new();
    world.tells([link(0), Event::Stop]);
    let mut effects = vec![
        Effect::SendAdvert(advert(1)),
        Effect::AddAddress(address()),
        Effect::Announce { interface: eth0(), address: VIP },
        Effect::Decide(Decision::LeftoverRemoved { address: address().key() }),
        Effect::RemoveAddress(address().key()),
        Effect::Listen { interface: eth0(), group: None },
    ];
    let log = world.drives(&[], |_| std::mem::take(&mut effects)).await;
    let asked = ["  send", "  add", "  announce", "  record", "  remove", "  listen"];
    assert_eq!(log, [&["0.0 eth0 gone"], &asked[..], &["0.0 stop"]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_failed_effect_comes_back_before_anything_else_is_heard() {
    let world = World::new();
    for refused in ["send", "add", "remove", "announce", "listen", "stop listening", "read"] {
        world.refuse.set(Some(refused));
        world.tells([link(0), link(1), Event::Stop]);
        let interface = eth0();
        let mut effects = vec![match refused {
            "send" => Effect::SendAdvert(advert(1)),
            "add" => Effect::AddAddress(address()),
            "remove" => Effect::RemoveAddress(address().key()),
            "announce" => Effect::Announce { interface, address: VIP },
            "listen" => Effect::Listen { interface, group: None },
            "stop listening" => Effect::StopListening { interface, group: None },
            _ => Effect::ReadAddresses,
        }];
        let log = world.drives(&[0], |_| std::mem::take(&mut effects)).await;
        let failed = format!("0.0 failed {refused}: refused");
        let asked = format!("  {refused}");
        assert_eq!(log, ["0.0 eth0 gone", &asked, &failed, "0.0 eth1 gone", "0.0 stop"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_read_back_is_the_next_event() {
    let world = World::new();
    world.tells([link(0), link(1), Event::Stop]);
    let mut effects = vec![Effect::ReadAddresses];
    let log = world.drives(&[0], |_| std::mem::take(&mut effects)).await;
    assert_eq!(log, ["0.0 eth0 gone", "  read", "0.0 read 0", "0.0 eth1 gone", "0.0 stop"]);
}

/// Everything at one instant, while it sleeps: the host first, then packets, then what ended, then the timer.
#[tokio::test(start_paused = true)]
async fn what_happens_at_one_instant_has_one_order() {
    for _ in 0..20 {
        let world = World::new();
        world.tells([Event::LinksRead(vec![Link { name: eth0(), running: true }])]);
        let mut effects = vec![run_script()];
        let elsewhere = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.sends([advert(1)]);
            world.tells([link(0)]);
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.tells([Event::Stop]);
        };
        let ((), log) = tokio::join!(biased; elsewhere, world.drives(&[500], |_| std::mem::take(&mut effects)));
        let at_once = ["0.5 eth0 gone", "0.5 hears 10.0.0.1", "0.5 chk Exited(0)", "0.5 wakes"];
        assert_eq!(log, [&["0.0 links 1", "  run"], &at_once[..], &["1.5 stop"]].concat());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_heard_after_stop_but_its_effects_are_carried_out() {
    let world = World::new();
    world.tells([Event::Stop, link(0)]);
    world.sends([advert(1)]);
    world.refuse.set(Some("remove"));
    let goodbye = |_: &Event| vec![Effect::SendAdvert(advert(1)), Effect::RemoveAddress(address().key())];
    assert_eq!(world.drives(&[0], goodbye).await, ["0.0 stop", "  send", "  remove"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_its_socket_is_heard_before_it_hands_over() {
    let world = World::new();
    world.tells([Event::HandOver, link(0)]);
    world.sends([advert(1), advert(2)]);
    let heard = ["0.0 hears 10.0.0.1", "0.0 hears 10.0.0.2", "0.0 HandOver"];
    assert_eq!(world.drives(&[0], nothing).await, heard);
}

#[tokio::test(start_paused = true)]
async fn a_director_without_timers_sleeps_until_something_happens() {
    let world = World::new();
    let elsewhere = async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        world.sends([advert(1)]);
        tokio::time::sleep(Duration::from_secs(7)).await;
        world.tells([Event::Stop]);
    };
    let (log, ()) = tokio::join!(world.drives(&[], nothing), elsewhere);
    assert_eq!(log, ["7.0 hears 10.0.0.1", "14.0 stop"]);
}

#[tokio::test(start_paused = true)]
async fn timers_fire_when_they_are_due() {
    let world = World::new();
    let log = world.drives(&[1000, 1500, 90_000], nothing).await;
    assert_eq!(log, ["1.0 wakes", "1.5 wakes", "90.0 wakes"]);
}

/// The machine itself asserts that `now` never decreases.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_back_does_not_take_the_machine_along() {
    let world = World::new();
    let elsewhere = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.sends([advert(1)]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.skew_millis.set(-4000);
        world.tells([link(0), Event::Stop]);
    };
    let (log, ()) = tokio::join!(world.drives(&[], nothing), elsewhere);
    assert_eq!(log, ["5.0 hears 10.0.0.1", "5.0 eth0 gone", "5.0 stop"]);
}

/// Dropping the driver is a crash: a script that is under way ends with it, nothing more is asked for.
#[tokio::test(start_paused = true)]
async fn a_dropped_driver_does_nothing_more() {
    let world = World::new();
    world.tells([link(0)]);
    let driving = world.drives(&[2000], |_| vec![run_script()]);
    assert!(tokio::time::timeout(Duration::from_millis(100), driving).await.is_err());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.log.take(), ["0.0 eth0 gone", "  run"]);
}

/// A machine that always wants to be woken, and one that is flooded without end, let other tasks run.
#[tokio::test(start_paused = true)]
async fn other_tasks_get_their_turn() {
    let stops = |world: Rc<World>| async move {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        world.tells([Event::Stop]);
    };

    let world = World::new();
    let (log, ()) = tokio::join!(biased; world.drives(&[0; 10_000], nothing), stops(world.clone()));
    assert!(log.len() < 100, "{} turns before the stop was heard", log.len());

    let world = World::new();
    world.sends([advert(1)]);
    let flooding = |event: &Event| {
        if matches!(event, Event::AdvertReceived(_)) {
            world.sends([advert(1)]);
        }
        vec![]
    };
    let (log, ()) = tokio::join!(biased; world.drives(&[], flooding), stops(world.clone()));
    assert!(log.len() < MAX_WAITING * 10, "{} packets before the stop was heard", log.len());
}
