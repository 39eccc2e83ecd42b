//! Sync groups, model-checked: two directors with a group of two virtual routers on two segments, in every order of what can
//! happen to them with a few faults. `docs/exhaustive.md` says what is explored and what that proves.
//!
//! As in `exhaustive`, the machines are the production code; segments, kernels and time are modelled.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // All of it is tests.

#[path = "exhaustive_groups/explore.rs"]
mod explore;

use explore::explore;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use vipward_core::config::{
    Adverts, Config, Garp, InitialState, Interfaces, NotifyScripts, Preemption, SyncGroup, Tracking, Transport, Vip,
    VirtualRouterConfig,
};
use vipward_core::datagram::Datagram;
use vipward_core::interface::{Family, InterfaceAddress, InterfaceName, Link, ObservedAddress, Scope};
use vipward_core::machine::{Input, Machine};
use vipward_core::quantity::{AdvertInterval, Priority, Role, Version, Vrid};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::virtual_router::State;
use vipward_core::vrrp::{Effect, Election, Event};

/// 256ths of a second, of which every Skew_Time is a whole number.
type Ticks = i64;
const TICK: Duration = Duration::from_nanos(3_906_250);
const SECOND: Ticks = 256;
/// An advert arrives at most so long after it was sent, or never.
const DELAY: Ticks = 32;
/// The longest that nothing may happen to matter: what is older than Master_Down_Interval is as good as nothing.
const LONG: Ticks = 4 * SECOND;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

#[derive(Clone, Debug)]
struct Setup {
    name: &'static str,
    /// Of each director, its members' priorities.
    priorities: [[u8; 2]; 2],
    /// The last octet of each director's address on each segment: the greater one wins a tie.
    addresses: [[u8; 2]; 2],
    preempt: bool,
    grouped: bool,
    faults: u8,
}

fn eth(n: usize) -> InterfaceName {
    InterfaceName::new(&format!("eth{n}"))
}

fn address(segment: usize, last: u8) -> InterfaceAddress {
    InterfaceAddress {
        interface: eth(segment),
        address: Ipv4Addr::new(10, 0, u8::try_from(segment).unwrap(), last).into(),
        prefix_len: 24,
        broadcast: None,
        label: None,
        scope: Scope::Global,
        no_prefix_route: false,
        permanent: false,
    }
}

impl Setup {
    fn config(&self, who: usize) -> Config {
        let router = |segment: usize| VirtualRouterConfig {
            name: Arc::from(format!("V{segment}")),
            initial_state: InitialState::Backup,
            interfaces: Interfaces::all(eth(segment)),
            vrid: Vrid::new(51 + u8::try_from(segment).unwrap()).unwrap(),
            family: Family::V4,
            version: Version::V3,
            priority: Priority::new(self.priorities[who][segment]).unwrap(),
            preemption: Preemption { on: self.preempt, delay: Duration::ZERO },
            adverts: Adverts { v3_checksum_as_v2: Some(true), ..Adverts::every(AdvertInterval::DEFAULT) },
            transport: Transport::Multicast { group: GROUP.into() },
            source: None,
            unicast_ttl: 255,
            password: None,
            ah: false,
            addresses: vec![address(segment, 100)],
            excluded: vec![],
            routes: Vec::new(),
            rules: Vec::new(),
            tracking: Tracking::default(),
            announcements: Garp {
                repeat: 1,
                delay: Duration::ZERO,
                lower_prio_delay: Duration::ZERO,
                ..Garp::default()
            },
            notify: NotifyScripts::default(),
            places: Default::default(),
        };
        let group = SyncGroup {
            name: Arc::from("G"),
            members: vec![Arc::from("V0"), Arc::from("V1")],
            notify: NotifyScripts::default(),
            places: Default::default(),
        };
        Config {
            routers: vec![router(0), router(1)],
            groups: if self.grouped { vec![group] } else { vec![] },
            vip: Vip { lifetime: false },
            ..Config::default()
        }
    }

    fn master_down(&self, who: usize) -> Ticks {
        let lowest = self.priorities[who].iter().min().unwrap();
        3 * SECOND + 256 - Ticks::from(*lowest)
    }
}

/// A running director.
#[derive(Clone, Debug)]
struct Director {
    election: Arc<Election>,
    links: [bool; 2],
    /// Which VIPs are in its kernel.
    owns: [bool; 2],
}

/// An advert on its way to the other director.
#[derive(Clone, Debug)]
struct Flight {
    to: usize,
    segment: usize,
    sent: Instant,
    datagram: Datagram,
}

#[derive(Clone, Debug)]
struct World {
    now: Instant,
    directors: [Option<Director>; 2],
    /// The switch of this segment is in two parts.
    cut: [bool; 2],
    flying: Vec<Flight>,
    faults: u8,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Deliver(usize),
    Wake(usize),
    // From here on faults.
    Lose(usize),
    Start(usize),
    Kill(usize),
    Stop(usize),
    Link(usize, usize),
    Cut(usize),
}

fn ticks(at: Instant, now: Instant) -> Ticks {
    let nanos = i128::from(at.as_nanos()) - i128::from(now.as_nanos());
    let tick = i128::try_from(TICK.as_nanos()).unwrap();
    assert_eq!(nanos % tick, 0, "{at:?} is between two ticks");
    Ticks::try_from(nanos / tick).unwrap()
}

impl Director {
    fn roles(&self) -> [Role; 2] {
        [self.election.routers()[0].role(), self.election.routers()[1].role()]
    }

    fn is_master(&self) -> bool {
        self.roles().contains(&Role::Master)
    }

    /// When its next timer of a virtual router is due; the reread of its addresses decides nothing.
    fn due(&self, grouped: bool) -> Option<Instant> {
        let timers = self.election.routers().iter().filter_map(|router| match router.state() {
            State::Backup(backup) => Some(backup.down_at),
            State::Master(master) => Some(master.advertise_at),
            State::Init | State::Fault => None,
        });
        let waits = self.roles() == [Role::Backup, Role::Backup] && grouped;
        if waits { timers.max() } else { timers.min() }
    }

    /// All that decides what it does next, relative to now.
    fn key(&self, now: Instant, key: &mut Vec<i64>) {
        let flags = [self.links[0], self.links[1], self.owns[0], self.owns[1]];
        key.push(flags.iter().fold(0, |sum, flag| sum << 1 | i64::from(*flag)));
        for router in self.election.routers() {
            match router.state() {
                State::Init => key.push(-1),
                State::Fault => key.push(-2),
                State::Backup(backup) => key.extend([1, ticks(backup.down_at, now).max(-1), i64::from(backup.slept)]),
                State::Master(master) => {
                    let since = router.equal_rival(now).map_or(-1, |at| ticks(now, at).min(SECOND));
                    let last = router.equal_rival_last(now).map_or(-1, |at| ticks(now, at).min(LONG));
                    key.extend([2, ticks(master.advertise_at, now), since, last]);
                }
            }
        }
    }
}

impl World {
    fn key(&self) -> Vec<i64> {
        let mut key = vec![i64::from(self.cut[0]), i64::from(self.cut[1]), i64::from(self.faults)];
        for director in &self.directors {
            match director {
                None => key.push(-9),
                Some(director) => director.key(self.now, &mut key),
            }
        }
        let mut flying: Vec<[i64; 4]> = self
            .flying
            .iter()
            .map(|it| {
                let [to, segment] = [it.to, it.segment].map(|n| i64::try_from(n).unwrap());
                [to, segment, i64::from(it.datagram.payload[2]), ticks(self.now, it.sent)]
            })
            .collect();
        flying.sort_unstable();
        key.extend(flying.into_iter().flatten());
        key
    }

    /// What can happen without a fault, each as soon as it can and at the last moment at which everything is on time.
    fn steps(&self, setup: &Setup) -> Vec<(Instant, Action)> {
        let arrives = |flight: &Flight| flight.sent + TICK * u32::try_from(DELAY).unwrap();
        let due = |who: usize| self.directors[who].as_ref().and_then(|director| director.due(setup.grouped));
        let wakes: Vec<(Instant, usize)> = (0..2).filter_map(|who| Some((due(who)?.max(self.now), who))).collect();
        let last = self.flying.iter().map(arrives).chain(wakes.iter().map(|(at, _)| *at)).min();
        let mut steps = Vec::new();
        let Some(last) = last else { return steps };
        for place in 0..self.flying.len() {
            steps.push((self.now, Action::Deliver(place)));
            if last > self.now {
                steps.push((last, Action::Deliver(place)));
            }
        }
        steps.extend(wakes.into_iter().filter(|(at, _)| *at <= last).map(|(at, who)| (at, Action::Wake(who))));
        steps
    }

    /// At the same moments.
    fn mishaps(&self, setup: &Setup) -> Vec<(Instant, Action)> {
        let mut actions: Vec<Action> = (0..self.flying.len()).map(Action::Lose).collect();
        for who in 0..2 {
            match &self.directors[who] {
                None => actions.push(Action::Start(who)),
                Some(_) => {
                    actions.extend([Action::Kill(who), Action::Stop(who), Action::Link(who, 0), Action::Link(who, 1)]);
                }
            }
        }
        actions.extend([Action::Cut(0), Action::Cut(1)]);
        let last = self.steps(setup).into_iter().map(|(at, _)| at).max();
        let moments: Vec<Instant> = [Some(self.now), last.filter(|at| *at > self.now)].into_iter().flatten().collect();
        moments.iter().flat_map(|at| actions.iter().map(move |action| (*at, *action))).collect()
    }

    /// The world after this, or the rule that it broke.
    fn after(&self, setup: &Setup, (at, action): (Instant, Action)) -> Result<Self, String> {
        let mut world = self.clone();
        world.now = at;
        match action {
            Action::Deliver(place) => {
                let flight = world.flying.remove(place);
                if world.directors[flight.to].as_ref().is_some_and(|it| it.links[flight.segment]) {
                    world.put(flight.to, Event::AdvertReceived(flight.datagram).into())?;
                }
                return Ok(world);
            }
            Action::Wake(who) => {
                world.put(who, Input::Wakeup)?;
                return Ok(world);
            }
            Action::Lose(place) => {
                world.flying.remove(place);
            }
            Action::Start(who) => {
                world.directors[who] = Some(Director { election: Arc::default(), links: [true; 2], owns: [false; 2] });
                let links = (0..2).map(|n| Link { name: eth(n), running: true }).collect();
                world.put(who, Event::LinksRead(links).into())?;
                let own = |n: usize| ObservedAddress { key: address(n, setup.addresses[who][n]).key(), ours: false };
                world.put(who, Event::AddressesRead(vec![own(0), own(1)]).into())?;
                world.put(who, Input::ConfigLoaded { config: Arc::new(setup.config(who)), seed: 0 })?;
            }
            Action::Kill(who) => world.directors[who] = None,
            Action::Stop(who) => {
                world.put(who, Input::Stop)?;
                world.directors[who] = None;
            }
            Action::Link(who, segment) => {
                let director = world.directors[who].as_mut().unwrap();
                director.links[segment] ^= true;
                let running = director.links[segment];
                world.put(who, Event::LinkChanged(Link { name: eth(segment), running }).into())?;
            }
            Action::Cut(segment) => {
                world.cut[segment] ^= true;
                world.flying.retain(|flight| flight.segment != segment);
            }
        }
        world.faults += 1;
        Ok(world)
    }

    /// One event through one director. At its end its group is whole.
    fn put(&mut self, who: usize, input: vipward_core::vrrp::Input) -> Result<(), String> {
        let director = self.directors[who].as_mut().unwrap();
        let segment_of = |interface: &InterfaceName| usize::from(*interface == eth(1));
        for effect in Arc::make_mut(&mut director.election).handle(input, self.now).into_effects() {
            match effect {
                Effect::SendAdvert(datagram) => {
                    let segment = segment_of(&datagram.interface);
                    if director.links[segment] && !self.cut[segment] {
                        self.flying.push(Flight { to: 1 - who, segment, sent: self.now, datagram });
                    }
                }
                Effect::AddAddress(vip) => director.owns[segment_of(&vip.interface)] = true,
                Effect::RemoveAddress(key) => director.owns[segment_of(&key.interface)] = false,
                Effect::Listen { .. } | Effect::Announce { .. } | Effect::ReadAddresses => {}
                other => return Err(format!("asks for {other:?}")),
            }
        }
        let Some(director) = &self.directors[who] else { return Ok(()) };
        if director.election.routers().is_empty() {
            return Ok(());
        }
        match director.roles() {
            [a, b] if a != b => Err(format!("V0 is {a} and V1 is {b}")),
            [a, _] if director.owns != [a == Role::Master; 2] => Err(format!("{a} with {:?}", director.owns)),
            _ => Ok(()),
        }
    }

    /// What has to be in the end: who is MASTER.
    fn right(&self, setup: &Setup) -> bool {
        let able: Vec<usize> =
            (0..2).filter(|who| self.directors[*who].as_ref().is_some_and(|it| it.links == [true; 2])).collect();
        let masters: Vec<usize> =
            (0..2).filter(|who| self.directors[*who].as_ref().is_some_and(Director::is_master)).collect();
        let apart = self.cut == [true; 2];
        if able.len() < 2 || apart {
            return masters == able;
        }
        let best = (0..2).max_by_key(|who| setup.priorities[*who].iter().min()).unwrap();
        let equal = setup.priorities[0].iter().min() == setup.priorities[1].iter().min();
        masters.len() == 1 && (equal || !setup.preempt || masters == [best])
    }

    fn line(&self, action: Option<Action>) -> String {
        let of = |director: &Option<Director>| match director {
            None => "-".to_owned(),
            Some(it) => format!("{:?}", it.roles()),
        };
        let action = action.map_or("begins".to_owned(), |action| format!("{action:?}"));
        format!("{:?} {action}: {} {}", self.now, of(&self.directors[0]), of(&self.directors[1]))
    }
}

const UNEQUAL: Setup = Setup {
    name: "unequal",
    priorities: [[192, 192], [128, 128]],
    addresses: [[2, 2], [5, 5]],
    preempt: true,
    grouped: true,
    faults: 4,
};

#[track_caller]
fn holds(setup: &Setup) {
    match explore(setup) {
        Ok(found) => {
            println!("{}: {} states, settles in {} ticks", setup.name, found.states, found.settles);
            // An advert that is heard last of all, a rival that is forgotten after a Master_Down_Interval, and another
            // one until somebody takes over.
            let wait = setup.master_down(0).max(setup.master_down(1));
            assert!(found.settles <= 2 * wait + SECOND + 4 * DELAY, "{} ticks", found.settles);
            assert!(found.states > 1_000);
        }
        Err((rule, lines)) => panic!("{}: {rule}\n{}", setup.name, lines.join("\n")),
    }
}

#[test]
fn of_unequal_directors() {
    holds(&UNEQUAL);
}

#[test]
fn of_unequal_directors_that_do_not_preempt() {
    holds(&Setup { name: "nopreempt", preempt: false, ..UNEQUAL });
}

#[test]
fn of_equal_directors() {
    holds(&Setup { name: "equal", priorities: [[128; 2]; 2], ..UNEQUAL });
}

/// Each would win the tie on one segment.
#[test]
fn of_equal_directors_with_crossed_addresses() {
    holds(&Setup { name: "crossed", priorities: [[128; 2]; 2], addresses: [[2, 5], [5, 2]], ..UNEQUAL });
}

/// The checker can fail: without the group each virtual router goes its own way.
#[test]
fn members_without_a_group_are_found() {
    let (rule, lines) = explore(&Setup { name: "planted", grouped: false, ..UNEQUAL }).err().expect("it is found");
    assert!(rule.contains("V0 is") || rule.contains("with ["), "{rule}");
    assert!(lines.len() < 12, "{lines:?}");
}
