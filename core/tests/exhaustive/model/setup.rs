//! What is explored: the directors, the segment, and the bounds on time.

use std::net::Ipv4Addr;
use std::sync::Arc;
use vipward_core::config::Vip;
use vipward_core::config::{
    Adverts, Config, Garp, InitialState, Interfaces, NotifyScripts, Preemption, Tracking, Transport,
    VirtualRouterConfig,
};
use vipward_core::interface::{Family, InterfaceAddress, InterfaceName, ObservedAddress, Scope};
use vipward_core::quantity::{AdvertInterval, Priority, Version, Vrid};
use vipward_core::time::Duration;

/// Time in 256ths of a second: with intervals of whole seconds every Skew_Time is a whole number of them, in both
/// versions, so that nothing is rounded.
pub type Ticks = i32;
pub const TICK: Duration = Duration::from_nanos(3_906_250);
pub const SECOND: Ticks = 256;

pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// For people.
pub fn seconds(ticks: Ticks) -> f64 {
    f64::from(ticks) / f64::from(SECOND)
}

/// One exploration.
#[derive(Clone, Debug)]
pub struct Setup {
    pub name: &'static str,
    pub version: Version,
    pub directors: Vec<Director>,
    /// An advert arrives at most this much after it was sent, or never.
    pub delay: Ticks,
    /// A timer fires at most this much late: scheduling and the drift of clocks.
    pub slack: Ticks,
    /// A director that went down starts again after this much at the earliest. Zero, unless somebody starts as MASTER:
    /// then any number of adverts could be sent in no time.
    pub restart: Ticks,
    /// Things happen at every multiple of this at which they can, not only as soon as possible and at the last moment.
    pub grid: Option<Ticks>,
    /// Adverts get lost.
    pub losses: bool,
    /// Directors freeze and resume, for any time.
    pub freezes: bool,
    pub planted: Option<Planted>,
    /// Hold each step against [`crate::model::rules`]; otherwise only what holds between directors is checked.
    pub rules: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Director {
    pub priority: u8,
    /// `advert_int` in seconds.
    pub interval: Ticks,
    pub preempt: bool,
    /// `state MASTER`; means something for an owner only.
    pub state_master: bool,
}

/// A fault put between the machine and its world, to see that the checker finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// An advert of the same priority seems to come from the other side of our own address.
    TieBreakReversed,
    PriorityZeroIgnored,
    /// A MASTER advertises when it becomes one and never again.
    AdvertsWithheld,
    AddressKept,
    /// A MASTER of lower priority seems to have ours.
    NeverPreempts,
}

/// A, B, C have 10.0.0.2, .5 and .8: the later letter wins a tie.
pub fn address(who: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(2 + 3 * who).unwrap_or(u8::MAX))
}

impl Director {
    pub fn of(priority: u8) -> Self {
        Self { priority, interval: 1, preempt: true, state_master: false }
    }

    pub fn nopreempt(self) -> Self {
        Self { preempt: false, ..self }
    }

    pub fn every(self, interval: Ticks) -> Self {
        Self { interval, ..self }
    }

    pub fn state_master(self) -> Self {
        Self { state_master: true, ..self }
    }

    /// keepalived: `state MASTER` takes `nopreempt` back; an owner always preempts (RFC 9568 6.1).
    pub fn preempts(&self) -> bool {
        self.preempt || self.state_master || self.priority == 255
    }

    pub fn starts_as_master(&self) -> bool {
        self.priority == 255 && self.state_master
    }
}

impl Setup {
    pub fn new(name: &'static str, version: Version, directors: &[Director]) -> Self {
        let directors = directors.to_vec();
        let restart = if directors.iter().any(Director::starts_as_master) { 32 } else { 0 };
        Self {
            name,
            version,
            directors,
            delay: 32,
            slack: 16,
            restart,
            grid: None,
            losses: true,
            freezes: false,
            planted: None,
            rules: true,
        }
    }

    pub fn timing(self, delay: Ticks, slack: Ticks) -> Self {
        Self { delay, slack, ..self }
    }

    pub fn grid(self, grid: Ticks) -> Self {
        Self { grid: Some(grid), ..self }
    }

    pub fn nothing_lost(self) -> Self {
        Self { losses: false, ..self }
    }

    pub fn freezes(self) -> Self {
        Self { freezes: true, ..self }
    }

    pub fn planted(self, planted: Planted) -> Self {
        Self { planted: Some(planted), ..self }
    }

    pub fn without_rules(self) -> Self {
        Self { rules: false, ..self }
    }

    /// Skew_Time of a director when `interval` seconds are the MASTER's (RFC 9568 6.1, RFC 3768 6.1).
    pub fn skew(&self, who: usize, interval: Ticks) -> Ticks {
        let steps = 256 - Ticks::from(self.directors[who].priority);
        match self.version {
            Version::V2 => steps,
            Version::V3 => steps * interval,
        }
    }

    /// Master_Down_Interval.
    pub fn master_down(&self, who: usize, interval: Ticks) -> Ticks {
        3 * interval * SECOND + self.skew(who, interval)
    }

    pub fn longest_interval(&self) -> Ticks {
        self.directors.iter().map(|director| director.interval).max().unwrap_or_default()
    }

    /// The longest Master_Down_Interval that anybody can have learned.
    pub fn longest_wait(&self) -> Ticks {
        let interval = self.longest_interval();
        (0..self.directors.len()).map(|who| self.master_down(who, interval)).max().unwrap_or_default()
    }

    pub fn config(&self, who: usize) -> Arc<Config> {
        let Director { priority, interval, preempt, state_master } = self.directors[who];
        let router = VirtualRouterConfig {
            name: Arc::from("V"),
            initial_state: if state_master { InitialState::Master } else { InitialState::Backup },
            interfaces: Interfaces::all(interface()),
            vrid: Vrid::new(51).unwrap(),
            family: Family::V4,
            version: self.version,
            priority: Priority::new(priority).unwrap(),
            preemption: Preemption { on: preempt, delay: Duration::ZERO },
            adverts: Adverts {
                v3_checksum_as_v2: Some(true),
                ..Adverts::every(AdvertInterval::from_centis(u16::try_from(interval * 100).unwrap()).unwrap())
            },
            transport: Transport::Multicast { group: GROUP.into() },
            source: None,
            unicast_ttl: 255,
            password: None,
            ah: false,
            addresses: vec![vip()],
            excluded: vec![],
            routes: Vec::new(),
            rules: Vec::new(),
            tracking: Tracking::default(),
            // A planted fault writes adverts anew, and from another source.
            announcements: Garp {
                repeat: 1,
                delay: Duration::ZERO,
                lower_prio_delay: Duration::ZERO,
                ..Garp::default()
            },
            notify: NotifyScripts::default(),
            places: Default::default(),
        };
        // Renewals decide nothing about who is MASTER, and a timer twice a second would multiply the states.
        Arc::new(Config { routers: vec![router], vip: Vip { lifetime: false }, ..Config::default() })
    }
}

pub fn interface() -> InterfaceName {
    InterfaceName::new("eth0")
}

pub fn vip() -> InterfaceAddress {
    InterfaceAddress {
        interface: interface(),
        address: VIP.into(),
        prefix_len: 24,
        broadcast: None,
        label: None,
        scope: Scope::Global,
        no_prefix_route: false,
        permanent: false,
    }
}

/// What a director's kernel tells: its own address, and the VIP if that is there.
pub fn addresses(who: usize, owns: bool) -> Vec<ObservedAddress> {
    let own = InterfaceAddress { address: address(who).into(), ..vip() };
    let mut there = vec![ObservedAddress { key: own.key(), ours: false }];
    if owns {
        there.push(ObservedAddress { key: vip().key(), ours: true });
    }
    there
}

/// Two directors, every way in which it matters how they are set up.
pub fn two() -> Vec<Setup> {
    use Version::{V2, V3};
    let of = Director::of;
    vec![
        Setup::new("unequal", V3, &[of(192), of(128)]),
        Setup::new("equal", V3, &[of(128), of(128)]),
        Setup::new("unequal, nopreempt", V3, &[of(192).nopreempt(), of(128).nopreempt()]),
        Setup::new("equal, nopreempt", V3, &[of(128).nopreempt(), of(128).nopreempt()]),
        Setup::new("only the better nopreempt", V3, &[of(192).nopreempt(), of(128)]),
        Setup::new("neighbouring priorities", V3, &[of(129), of(128)]),
        Setup::new("owner, state MASTER", V3, &[of(255).state_master(), of(128)]),
        Setup::new("owner, state BACKUP", V3, &[of(255).nopreempt(), of(128)]),
        Setup::new("two owners", V3, &[of(255).state_master(), of(255).state_master()]),
        Setup::new("version 2, 2 s", V2, &[of(192).every(2), of(128).every(2)]),
        Setup::new("version 3, 2 s", V3, &[of(192).every(2), of(128).every(2)]),
        Setup::new("version 3, 2 s and 1 s", V3, &[of(192).every(2), of(128)]),
        Setup::new("version 2, 1 s and 2 s", V2, &[of(192), of(128).every(2)]),
        Setup::new("slow segment", V3, &[of(192), of(128)]).timing(128, 64),
        Setup::new("unequal, nothing lost", V3, &[of(192), of(128)]).nothing_lost(),
        Setup::new("equal, nothing lost", V3, &[of(128), of(128)]).nothing_lost(),
        Setup::new("unequal, at every 1/8 s", V3, &[of(192), of(128)]).timing(32, 32).grid(32),
        Setup::new("equal, at every 1/8 s", V3, &[of(128), of(128)]).timing(32, 32).grid(32),
        Setup::new("unequal, nopreempt, at every 1/8 s", V3, &[of(192).nopreempt(), of(128).nopreempt()])
            .timing(32, 32)
            .grid(32),
        Setup::new("unequal, freezing", V3, &[of(192), of(128)]).freezes(),
        Setup::new("equal, nopreempt, freezing", V3, &[of(128).nopreempt(), of(128).nopreempt()]).freezes(),
    ]
}

/// Three, who hear each other at once and whose timers are exact.
pub fn three_prompt() -> Vec<Setup> {
    use Version::{V2, V3};
    let of = Director::of;
    vec![
        Setup::new("three unequal, no delay", V3, &[of(192), of(128), of(64)]).timing(0, 0),
        Setup::new("three equal, no delay", V3, &[of(128), of(128), of(128)]).timing(0, 0),
        Setup::new("three nopreempt, no delay", V2, &[192, 128, 64].map(|p| of(p).nopreempt())).timing(0, 0),
        Setup::new("two equal and a better, no delay", V2, &[of(128), of(192), of(128)]).timing(0, 0),
    ]
}

/// Three, whose adverts and timers are late.
pub fn three() -> Vec<Setup> {
    use Version::{V2, V3};
    let of = Director::of;
    vec![
        Setup::new("three unequal", V3, &[of(192), of(128), of(64)]).timing(32, 32),
        Setup::new("three equal", V3, &[of(128), of(128), of(128)]).timing(32, 32),
        Setup::new("three unequal, nopreempt", V3, &[192, 128, 64].map(|p| of(p).nopreempt())).timing(32, 32),
        Setup::new("three equal, nopreempt", V2, &[of(128).nopreempt(); 3]).timing(32, 32),
        Setup::new("an owner and two equal", V2, &[of(255).state_master(), of(128), of(128)]).timing(32, 32),
    ]
}
