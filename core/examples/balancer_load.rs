//! How long the Balancer takes with the largest configuration that users of keepalived have told about: 2,284 virtual
//! servers with 37,298 real servers. Prints numbers, asserts nothing.
//!
//!     cargo run --release -p vipward-core --example balancer_load
#![allow(clippy::disallowed_types, clippy::expect_used, reason = "a stop watch needs the system's clock")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant as StopWatch;
use vipward_core::balancer::{Balancer, Effect, Event, Input, Outbox};
use vipward_core::check::{Failure, ProbeId, Verdict, tcp};
use vipward_core::config::{CheckerConfig, Config, Places, RealServer, VirtualServer};
use vipward_core::ipvs::{Forwarding, Protocol, Scheduler, ServiceKey, Table};
use vipward_core::machine::Machine;
use vipward_core::time::{Duration, Instant};

const SERVICES: u32 = 2_284;
const REAL_SERVERS: u32 = 37_298;
const DELAY_LOOP: Duration = Duration::from_secs(10);

fn main() {
    let config = Arc::new(config());
    let mut balancer = Balancer::default();
    let mut kernel = Table::default();

    let loaded = timed("first load", || balancer.handle(load(&config), Instant::ZERO));
    let read = timed("table read back: everything is new", || {
        balancer.handle(Event::IpvsRead(kernel.clone()).into(), Instant::ZERO)
    });
    apply(&mut kernel, &read);
    println!("{:>12} operations", read.len());
    timed("table read back: nothing to do", || {
        balancer.handle(Event::IpvsRead(kernel.clone()).into(), Instant::from_millis(1))
    });

    let mut now = Instant::from_millis(2);
    let mut waiting: Vec<ProbeId> = starts(&loaded).collect();
    let mut verdicts = 0_u32;
    let watch = StopWatch::now();
    while now < Instant::ZERO + DELAY_LOOP * 3 {
        for probe in std::mem::take(&mut waiting) {
            // One in a thousand fails for good, so that tables change too.
            let bad = probe.server.port() % 1000 == 7 && now > Instant::ZERO + DELAY_LOOP;
            let verdict = if bad { Verdict::Failed(Failure::Refused) } else { Verdict::Passed };
            let effects = balancer.handle(Event::ProbeFinished { probe, verdict }.into(), now);
            waiting.extend(starts(&effects));
            apply(&mut kernel, &effects);
            verdicts += 1;
        }
        now = balancer.next_wakeup().map_or(now, |(at, _)| at.max(now));
        let effects = balancer.handle(Input::Wakeup, now);
        waiting.extend(starts(&effects));
        if effects.effects().any(|effect| *effect == Effect::ReadIpvs) {
            balancer.handle(Event::IpvsRead(kernel.clone()).into(), now);
        }
    }
    let each = watch.elapsed() / verdicts;
    println!("{each:>12.1?} for each of {verdicts} verdicts with its probe's start, re-reads included");

    timed("reload: the same file", || balancer.handle(load(&config), now));
    let mut changed = Config::clone(&config);
    changed.services.reverse();
    if let Some(server) = changed.services.first_mut().and_then(|service| service.real_servers.first_mut()) {
        server.weight = 7;
    }
    let effects = timed("reload: moved about, one weight changed", || balancer.handle(load(&Arc::new(changed)), now));
    let changes = effects.effects().filter(|effect| matches!(effect, Effect::Ipvs(_))).count();
    println!("{changes:>12} operations");
    timed("stop", || balancer.handle(Input::Stop, now));
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let watch = StopWatch::now();
    let result = work();
    println!("{:>12.1?} {what}", watch.elapsed());
    result
}

fn load(config: &Arc<Config>) -> Input {
    Input::ConfigLoaded { config: config.clone(), seed: 1 }
}

fn starts(effects: &Outbox) -> impl Iterator<Item = ProbeId> {
    effects.effects().filter_map(|effect| match effect {
        Effect::StartProbe { id, .. } => Some(*id),
        _ => None,
    })
}

fn apply(kernel: &mut Table, effects: &Outbox) {
    for effect in effects.effects() {
        if let Effect::Ipvs(op) = effect {
            kernel.apply(op).expect("the kernel takes what is reconciled");
        }
    }
}

fn config() -> Config {
    let service = |n: u32| {
        let reals = (n * REAL_SERVERS / SERVICES)..((n + 1) * REAL_SERVERS / SERVICES);
        VirtualServer {
            entries: ServiceKey::Address { protocol: Protocol::Tcp, address: address(0x0a00_0000 + n, 80) }.into(),
            scheduler: Scheduler("wlc".into()),
            persistence_timeout: None,
            persistence_granularity: Ipv4Addr::BROADCAST,
            persistence_prefix: 128,
            persistence_engine: None,
            quorum: 1,
            hysteresis: 0,
            sorry_server: None,
            flags: Default::default(),
            ha_suspend: false,
            notify: None,
            omega: false,
            real_servers: reals.map(real_server).collect(),
            places: Places::default(),
        }
    };
    Config { services: (0..SERVICES).map(service).collect(), ..Config::default() }
}

fn real_server(n: u32) -> RealServer {
    let address = address(0xac10_0000 + n, u16::try_from(1024 + n % 60_000).unwrap_or(80));
    let checker = CheckerConfig {
        kind: tcp::Settings.into(),
        target: address,
        from: Default::default(),
        connect_timeout: Duration::from_secs(5),
        retry: 1,
        delay_before_retry: Duration::from_secs(1),
        delay_loop: DELAY_LOOP,
        warmup: DELAY_LOOP,
        alpha: false,
        places: Places::default(),
    };
    RealServer {
        address,
        weight: 1,
        forwarding: Forwarding::Nat,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        notify: None,
        checkers: vec![checker],
        files: Vec::new(),
        places: Places::default(),
    }
}

fn address(bits: u32, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(bits), port))
}
