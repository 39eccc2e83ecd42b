//! Several directors on one segment under random faults.
//!
//! Each is compared, event by event, with a [`Reference`]: the RFCs' state machine once more, as plainly as it can be
//! written. And whatever happens, these hold:
//! - two that hear each other don't both own the address for longer than an advert interval and the delay;
//! - once nothing fails any more, each island has exactly one MASTER, nobody who preempts has a better priority, nothing
//!   changes again, and a kernel has the address exactly if its director is MASTER;
//! - roles don't flap: their changes are bounded by the faults and by the time.

mod reference;

use crate::timeline::*;
use proptest::prelude::*;
use reference::{RefBackup, RefState, Reference};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::config::{Adverts, Config, Preemption, VirtualRouterConfig};
use vipward_core::datagram::Datagram;
use vipward_core::interface::{Link, ObservedAddress};
use vipward_core::machine::Machine;
use vipward_core::quantity::{AdvertInterval, Priority, Role, Version};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::packet::Advert;
use vipward_core::vrrp::virtual_router::State;
use vipward_core::vrrp::{Effect, Election, Event, Input};

/// What a proptest case chooses for one director.
#[derive(Clone, Debug)]
struct Setup {
    priority: u8,
    slow: u8,
    preempt: bool,
    preempt_delay: u64,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// SIGKILL: the address stays in the kernel.
    Kill(usize),
    /// The kernel goes with it.
    PowerOff(usize),
    Stop(usize),
    Start(usize),
    Pause(usize),
    Resume(usize),
    /// One direction.
    Cut(usize, usize),
    Heal,
    /// Share of packets lost, in percent.
    Loss(u8),
    Link(usize, bool),
    /// A reload with another priority.
    Priority(usize, u8),
}

struct Node {
    setup: Setup,
    address: u8,
    running: Option<(Election, Reference)>,
    /// A link that is down: in FAULT, which the reference does not have.
    link: bool,
    paused: bool,
    /// What came while it was paused.
    queue: VecDeque<Datagram>,
    owns: bool,
    changes: usize,
}

impl Node {
    fn hears(&self) -> bool {
        self.running.is_some() && self.link && !self.paused
    }
}

struct Segment {
    v3: bool,
    now: Instant,
    nodes: Vec<Node>,
    cut: Vec<(usize, usize)>,
    loss: u8,
    max_delay: u64,
    random: u64,
    flying: BTreeMap<(Instant, u64), (usize, Datagram)>,
    sent: u64,
    /// Since when two that hear each other both own the address.
    both: BTreeMap<(usize, usize), Instant>,
}

const MILLI: u64 = 1_000_000;

impl Segment {
    fn new(v3: bool, setups: &[Setup], seed: u64) -> Self {
        let node = |(place, setup): (usize, &Setup)| Node {
            setup: setup.clone(),
            address: u8::try_from(place).unwrap() * 3 + 2,
            running: None,
            link: true,
            paused: false,
            queue: VecDeque::new(),
            owns: false,
            changes: 0,
        };
        Self {
            v3,
            now: Instant::ZERO,
            nodes: setups.iter().enumerate().map(node).collect(),
            cut: vec![],
            loss: 0,
            max_delay: 20 * MILLI,
            random: seed | 1,
            flying: BTreeMap::new(),
            sent: 0,
            both: BTreeMap::new(),
        }
    }

    /// A random number below `bound` (Knuth's MMIX generator).
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound.max(1)
    }

    fn centis(&self, slow: u8) -> u16 {
        let choices = if self.v3 { [10, 100, 300] } else { [100, 200, 300] };
        choices[usize::from(slow) % 3]
    }

    fn interval(&self, node: usize) -> Duration {
        Duration::from_millis(u64::from(self.centis(self.nodes[node].setup.slow)) * 10)
    }

    fn longest(&self) -> Duration {
        (0..self.nodes.len()).map(|node| self.interval(node)).max().unwrap()
    }

    /// Master_Down_Interval with the longest interval and a second of skew at least.
    fn patience(&self) -> Duration {
        self.longest() * 4 + Duration::from_secs(1)
    }

    fn connected(&self, a: usize, b: usize) -> bool {
        !self.cut.contains(&(a, b)) && self.nodes[a].link && self.nodes[b].link
    }

    fn start(&mut self, place: usize) {
        if self.nodes[place].running.is_some() {
            return;
        }
        let Setup { priority: p, preempt, preempt_delay, .. } = self.nodes[place].setup.clone();
        let config = self.config(place);
        let centis = config.routers[0].adverts.interval.centis();
        let interval = u64::from(centis) * 10 * MILLI;
        let mut reference = Reference {
            v3: self.v3,
            priority: p.into(),
            address: self.nodes[place].address,
            interval,
            preempt,
            preempt_delay,
            unsure: None,
            state: RefState::Master { advertise_at: 0, last: 0, answered: 0 },
        };
        reference.becomes_backup(self.now.as_nanos(), interval);
        self.nodes[place].paused = false;
        self.nodes[place].queue.clear();
        self.nodes[place].running = Some((Election::default(), reference));
        let link = Link { name: eth(0), running: self.nodes[place].link };
        let mut there = vec![observed(self.nodes[place].address, false)];
        if self.nodes[place].owns {
            there.push(observed(100, true));
        }
        self.handle(place, Event::LinksRead(vec![link]));
        self.handle(place, Event::AddressesRead(there));
        self.handle(place, Input::ConfigLoaded { config: Arc::new(config), seed: 0 });
    }

    fn config(&self, place: usize) -> Config {
        let Setup { priority: p, slow, preempt, preempt_delay } = self.nodes[place].setup;
        let config = VirtualRouterConfig {
            version: if self.v3 { Version::V3 } else { Version::V2 },
            priority: Priority::new(p).unwrap(),
            adverts: Adverts::every(AdvertInterval::from_centis(self.centis(slow)).unwrap()),
            preemption: Preemption { on: preempt, delay: Duration::from_nanos(preempt_delay) },
            ..router()
        };
        Config { routers: vec![config], ..Config::default() }
    }

    /// One event through one director, its effects onto the segment. How many adverts it sent.
    fn handle(&mut self, place: usize, input: impl Into<Input>) -> usize {
        let now = self.now;
        let Some((election, _)) = &mut self.nodes[place].running else { return 0 };
        let role = |election: &Election| election.routers().first().map_or(Role::Init, |router| router.role());
        let before = role(election);
        let outbox = election.handle(input.into(), now);
        if before != role(election) {
            self.nodes[place].changes += 1;
        }
        let mut adverts = 0;
        for effect in outbox.into_effects() {
            match effect {
                Effect::SendAdvert(datagram) => {
                    adverts += 1;
                    self.send(place, &datagram);
                }
                Effect::AddAddress(_) => {
                    assert!(!self.nodes[place].owns, "added twice");
                    self.nodes[place].owns = true;
                }
                Effect::RemoveAddress(_) => {
                    assert!(self.nodes[place].owns, "removed what is not there");
                    self.nodes[place].owns = false;
                }
                Effect::RenewAddresses { .. } => assert!(self.nodes[place].owns, "renewed what is not there"),
                Effect::ReadAddresses => {
                    let mut there = vec![observed(self.nodes[place].address, false)];
                    there.extend(self.nodes[place].owns.then(|| observed(100, true)) as Option<ObservedAddress>);
                    let (election, _) = self.nodes[place].running.as_mut().unwrap();
                    assert!(election.handle(Event::AddressesRead(there).into(), now).is_empty());
                }
                _ => {}
            }
        }
        adverts
    }

    fn send(&mut self, from: usize, datagram: &Datagram) {
        for to in 0..self.nodes.len() {
            if to == from || !self.connected(from, to) || self.below(100) < u64::from(self.loss) {
                continue;
            }
            let delay = self.below(self.max_delay);
            self.sent += 1;
            self.flying.insert((self.now + Duration::from_nanos(delay), self.sent), (to, datagram.clone()));
        }
    }

    fn deliver(&mut self, to: usize, datagram: Datagram) {
        if self.nodes[to].running.is_none() || !self.nodes[to].link {
            return;
        }
        if self.nodes[to].paused {
            self.nodes[to].queue.push_back(datagram);
            return;
        }
        let advert = Advert::decode(&datagram.payload, datagram.source, datagram.destination).unwrap();
        let IpAddr::V4(source) = datagram.source else { unreachable!() };
        let (priority, theirs) = (advert.priority.into(), u64::from(advert.interval.centis()) * 10 * MILLI);
        let now = self.now.as_nanos();
        let (_, reference) = self.nodes[to].running.as_mut().unwrap();
        let expected = reference.hear(now, priority, source.octets()[3], theirs);
        let sent = self.handle(to, Event::AdvertReceived(datagram));
        self.compare(to, sent, expected);
    }

    fn wake(&mut self, place: usize) {
        let now = self.now.as_nanos();
        let link = self.nodes[place].link;
        let (_, reference) = self.nodes[place].running.as_mut().unwrap();
        let expected = if link { reference.wake(now) } else { 0 };
        let sent = self.handle(place, Input::Wakeup);
        self.compare(place, sent, expected);
    }

    /// The machine and the reference are in the same state, with the same timers.
    fn compare(&self, place: usize, sent: usize, expected: usize) {
        if !self.nodes[place].link {
            return;
        }
        let (election, reference) = self.nodes[place].running.as_ref().unwrap();
        let is = match election.routers()[0].state() {
            State::Backup(backup) => ("BACKUP", backup.down_at.as_nanos()),
            State::Master(master) => ("MASTER", master.advertise_at.as_nanos()),
            State::Init | State::Fault => ("neither", 0),
        };
        let should = match reference.state {
            RefState::Backup(RefBackup { down_at, .. }) => ("BACKUP", down_at),
            RefState::Master { advertise_at, .. } => ("MASTER", advertise_at),
        };
        assert_eq!((is, sent), (should, expected), "node {place} at {:?}", self.now);
    }

    fn fault(&mut self, fault: Fault) {
        let n = self.nodes.len();
        match fault {
            Fault::Kill(i) => self.nodes[i % n].running = None,
            Fault::PowerOff(i) => {
                self.nodes[i % n].running = None;
                self.nodes[i % n].owns = false;
            }
            Fault::Stop(i) => {
                self.resume(i % n);
                self.handle(i % n, Input::Stop);
                if let Some((mut election, _)) = self.nodes[i % n].running.take() {
                    assert!(election.handle(Input::Wakeup, self.now).is_empty());
                    assert!(!self.nodes[i % n].owns, "stopped, but it still owns the address");
                }
            }
            Fault::Start(i) => self.start(i % n),
            Fault::Pause(i) => self.nodes[i % n].paused = self.nodes[i % n].running.is_some(),
            Fault::Resume(i) => self.resume(i % n),
            Fault::Cut(i, j) => self.cut.push((i % n, j % n)),
            Fault::Heal => self.cut.clear(),
            Fault::Loss(percent) => self.loss = percent,
            Fault::Link(i, up) => self.link(i % n, up),
            Fault::Priority(i, priority) => self.reload(i % n, priority),
        }
    }

    /// What waits is heard before the timer, as the driver does it.
    fn resume(&mut self, place: usize) {
        self.nodes[place].paused = false;
        while let Some(datagram) = self.nodes[place].queue.pop_front() {
            self.deliver(place, datagram);
        }
    }

    /// The role and the timers stay as they are.
    fn reload(&mut self, place: usize, priority: u8) {
        if self.nodes[place].paused {
            return;
        }
        self.nodes[place].setup.priority = priority;
        let config = Arc::new(self.config(place));
        if let Some((_, reference)) = &mut self.nodes[place].running {
            reference.oversleep(self.now.as_nanos());
            reference.priority = priority.into();
            let sent = self.handle(place, Input::ConfigLoaded { config, seed: 0 });
            self.compare(place, sent, 0);
        }
    }

    fn link(&mut self, place: usize, up: bool) {
        if self.nodes[place].link == up || self.nodes[place].paused {
            return;
        }
        self.nodes[place].link = up;
        self.handle(place, Event::LinkChanged(Link { name: eth(0), running: up }));
        let now = self.now.as_nanos();
        if let Some((_, reference)) = &mut self.nodes[place].running
            && up
        {
            reference.becomes_backup(now, reference.interval);
        }
    }

    fn run_until(&mut self, end: Instant) {
        loop {
            let wakeup = (0..self.nodes.len())
                .filter(|place| !self.nodes[*place].paused)
                .filter_map(|place| Some((self.nodes[place].running.as_ref()?.0.next_wakeup()?.0, place)))
                .min();
            let packet = self.flying.keys().next().copied();
            let next = packet.map(|(at, _)| at).into_iter().chain(wakeup.map(|(at, _)| at)).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            match (packet, wakeup) {
                (Some(key), _) if key.0 <= self.now => {
                    let (to, datagram) = self.flying.remove(&key).unwrap();
                    self.deliver(to, datagram);
                }
                (_, Some((_, place))) => self.wake(place),
                (_, None) => unreachable!(),
            }
            self.check_owners();
        }
        self.now = end;
        self.check_owners();
    }

    fn check_owners(&mut self) {
        let bound = self.longest() + Duration::from_nanos(self.max_delay);
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                let hear_each_other = self.loss == 0
                    && self.connected(a, b)
                    && self.connected(b, a)
                    && self.nodes[a].hears()
                    && self.nodes[b].hears();
                if hear_each_other && self.nodes[a].owns && self.nodes[b].owns {
                    let since = *self.both.entry((a, b)).or_insert(self.now);
                    assert!(
                        self.now.since(since) <= bound,
                        "{a} and {b} both own it since {since:?}, now {:?}",
                        self.now
                    );
                } else {
                    self.both.remove(&(a, b));
                }
            }
        }
    }

    /// Those who hear each other, directly or by others, if hearing is mutual everywhere; else there is no answer.
    fn islands(&self) -> Option<Vec<Vec<usize>>> {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|place| self.nodes[*place].hears()).collect();
        let hears = |a: usize, b: usize| a == b || self.connected(a, b);
        let mut islands: Vec<Vec<usize>> = Vec::new();
        for &a in &up {
            match islands.iter_mut().find(|island| island.iter().any(|b| hears(a, *b) || hears(*b, a))) {
                Some(island) => island.push(a),
                None => islands.push(vec![a]),
            }
        }
        let whole = islands.iter().all(|island| island.iter().all(|a| island.iter().all(|b| hears(*a, *b))));
        let apart = islands.iter().enumerate().all(|(i, one)| {
            islands
                .iter()
                .skip(i + 1)
                .all(|other| one.iter().all(|a| other.iter().all(|b| !hears(*a, *b) && !hears(*b, *a))))
        });
        (whole && apart).then_some(islands)
    }

    fn check_quiet(&self) {
        for node in self.nodes.iter().filter(|node| node.hears()) {
            let (election, _) = node.running.as_ref().unwrap();
            assert_eq!(node.owns, election.routers()[0].role() == Role::Master, "kernel and role differ");
        }
        for island in self.islands().unwrap_or_default() {
            let owners: Vec<usize> = island.iter().copied().filter(|place| self.nodes[*place].owns).collect();
            let [master] = owners[..] else { panic!("island {island:?} has owners {owners:?}") };
            let best = self.nodes[master].setup.priority;
            for place in island {
                let Setup { priority, preempt, .. } = self.nodes[place].setup;
                assert!(!preempt || priority <= best, "{place} with {priority} lets {master} with {best} be MASTER");
            }
        }
    }
}

fn setup() -> impl Strategy<Value = Setup> {
    let priority = prop_oneof![Just(1), Just(50), Just(100), Just(101), Just(254)];
    (priority, 0u8..3, prop::bool::weighted(0.7), prop_oneof![3 => Just(0), 1 => 1u64..6_000 * MILLI])
        .prop_map(|(priority, slow, preempt, preempt_delay)| Setup { priority, slow, preempt, preempt_delay })
}

fn fault() -> impl Strategy<Value = Fault> {
    let node = || 0usize..5;
    prop_oneof![
        1 => node().prop_map(Fault::Kill),
        1 => node().prop_map(Fault::PowerOff),
        1 => node().prop_map(Fault::Stop),
        3 => node().prop_map(Fault::Start),
        1 => node().prop_map(Fault::Pause),
        2 => node().prop_map(Fault::Resume),
        2 => (node(), node()).prop_map(|(a, b)| Fault::Cut(a, b)),
        2 => Just(Fault::Heal),
        1 => (0u8..60).prop_map(Fault::Loss),
        1 => Just(Fault::Loss(0)),
        1 => (node(), any::<bool>()).prop_map(|(node, up)| Fault::Link(node, up)),
        1 => (node(), 1u8..=254).prop_map(|(node, priority)| Fault::Priority(node, priority)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn random_faults_end_with_one_master(
        v3: bool,
        setups in prop::collection::vec(setup(), 1..5),
        faults in prop::collection::vec((1u64..15_000, fault()), 0..25),
        heal: bool,
        seed: u64,
    ) {
        let mut segment = Segment::new(v3, &setups, seed);
        for place in 0..setups.len() {
            segment.start(place);
        }
        for (gap, fault) in &faults {
            segment.run_until(segment.now + Duration::from_millis(*gap));
            segment.fault(*fault);
        }
        segment.fault(Fault::Loss(0));
        (0..setups.len()).for_each(|place| segment.fault(Fault::Resume(place)));
        if heal {
            segment.fault(Fault::Heal);
        }

        // A preempt_delay may have to pass, and after it a Master_Down_Interval.
        let quiet = segment.patience() * 3 + Duration::from_secs(6);
        segment.run_until(segment.now + quiet);
        segment.check_quiet();
        let changes: Vec<usize> = segment.nodes.iter().map(|node| node.changes).collect();
        segment.run_until(segment.now + quiet);
        segment.check_quiet();
        let after: Vec<usize> = segment.nodes.iter().map(|node| node.changes).collect();
        if segment.islands().is_some() {
            prop_assert_eq!(&changes, &after, "roles change though nothing happens");
        }
        // A BACKUP needs at least a Skew_Time to take over; loss alone takes three adverts at a time.
        let shortest = (0..setups.len()).map(|place| segment.interval(place)).min().unwrap();
        let bound = 2 * (faults.len() + setups.len() + 2) + 2 * (segment.now.since_origin().as_nanos() / (shortest * 3).as_nanos()) as usize;
        prop_assert!(after.iter().all(|changes| *changes <= bound), "{:?} role changes, bound {}", after, bound);
    }

    /// No faults but starts: preempting everywhere and different priorities, so it is known who ends as MASTER.
    #[test]
    fn the_best_of_all_is_master(v3: bool, n in 1usize..6, order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(), seed: u64) {
        let setups: Vec<Setup> = (0..n)
            .map(|place| Setup { priority: u8::try_from(50 + 40 * place).unwrap(), slow: 1, preempt: true, preempt_delay: 0 })
            .collect();
        let mut segment = Segment::new(v3, &setups, seed);
        for place in order.into_iter().filter(|place| *place < n) {
            segment.start(place);
            segment.run_until(segment.now + Duration::from_millis(700));
        }
        segment.run_until(segment.now + segment.patience() * 2);
        let owners: Vec<usize> = (0..n).filter(|place| segment.nodes[*place].owns).collect();
        prop_assert_eq!(owners, [n - 1]);
        prop_assert!(segment.nodes.iter().all(|node| node.changes <= 4));
    }
}
