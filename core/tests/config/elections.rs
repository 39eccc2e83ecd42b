//! A few directors on one segment, each with the real Election: what the findings of `vipward check` are compared with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use vipward_core::command::ScriptOutcome;
use vipward_core::config::{Config, Vip};
use vipward_core::interface::{AddressKey, InterfaceName, Link, ObservedAddress};
use vipward_core::machine::{Machine, Output};
use vipward_core::quantity::Role;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{Effect, Election, Event, Input};

/// How long a packet or a script is under way.
const DELAY: Duration = Duration::from_millis(1);

/// The directors, in the order of their files; director N has the address 192.0.2.(11 + N).
#[derive(Clone)]
pub struct Cluster {
    now: Instant,
    directors: Vec<Director>,
    /// What is under way, by when it arrives and the order in which it left.
    under_way: BTreeMap<(Instant, usize), (usize, Event)>,
    sent: usize,
}

#[derive(Clone)]
struct Director {
    config: Arc<Config>,
    election: Election,
    started: bool,
    kernel: Vec<ObservedAddress>,
    /// Exit status of each script; 0 if it is not here.
    statuses: BTreeMap<String, i32>,
}

impl Cluster {
    /// Nobody runs yet.
    pub fn of(configs: Vec<Config>) -> Self {
        let director = |(number, config): (usize, Config)| {
            let own = IpAddr::from([192, 0, 2, 11 + u8::try_from(number).unwrap()]);
            let key = AddressKey { interface: InterfaceName::new("eth0"), address: own, prefix_len: 24 };
            Director {
                config: Arc::new(Config { vip: Vip { lifetime: false }, ..config }),
                election: Election::default(),
                started: false,
                kernel: vec![ObservedAddress { key, ours: false }],
                statuses: BTreeMap::new(),
            }
        };
        let directors = configs.into_iter().enumerate().map(director).collect();
        Self { now: Instant::ZERO, directors, under_way: BTreeMap::new(), sent: 0 }
    }

    pub fn start(&mut self, director: usize) {
        self.directors[director].started = true;
        let link = |name: &str| Link { name: InterfaceName::new(name), running: true };
        self.handle(director, Event::LinksRead(vec![link("eth0"), link("eth1")]).into());
        let there = self.directors[director].kernel.clone();
        self.handle(director, Event::AddressesRead(there).into());
        let config = self.directors[director].config.clone();
        self.handle(director, Input::ConfigLoaded { config, seed: 0 });
    }

    /// From its next run on, this script ends so.
    pub fn script(&mut self, director: usize, name: &str, passes: bool) {
        self.directors[director].statuses.insert(name.to_owned(), i32::from(!passes));
    }

    /// Time goes by.
    pub fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let wakeup = |(number, it): (usize, &Director)| Some((it.election.next_wakeup()?.0, number));
            let wakeup = self.directors.iter().enumerate().filter(|(_, it)| it.started).filter_map(wakeup).min();
            let arrival = self.under_way.keys().next().copied();
            match (arrival, wakeup) {
                (Some((at, order)), other) if at <= end && other.is_none_or(|(wakes, _)| at <= wakes) => {
                    self.now = self.now.max(at);
                    let (director, event) = self.under_way.remove(&(at, order)).unwrap();
                    self.handle(director, event.into());
                }
                (_, Some((at, director))) if at <= end => {
                    self.now = self.now.max(at);
                    self.handle(director, Input::Wakeup);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Who is MASTER.
    pub fn masters(&self) -> Vec<usize> {
        let master = |it: &Director| it.election.routers().iter().any(|router| router.role() == Role::Master);
        (0..self.directors.len()).filter(|number| master(&self.directors[*number])).collect()
    }

    fn handle(&mut self, number: usize, input: Input) {
        let now = self.now;
        let outputs: Vec<Output<Effect>> = self.directors[number].election.handle(input, now).into_iter().collect();
        for output in outputs {
            let Output::Effect(effect) = output else { continue };
            match effect {
                Effect::SendAdvert(datagram) => {
                    let others: Vec<usize> =
                        (0..self.directors.len()).filter(|it| *it != number && self.directors[*it].started).collect();
                    for other in others {
                        self.send(other, Event::AdvertReceived(datagram.clone()));
                    }
                }
                Effect::AddAddress(address) => {
                    self.directors[number].kernel.push(ObservedAddress { key: address.key(), ours: true });
                }
                Effect::RemoveAddress(key) => self.directors[number].kernel.retain(|there| there.key != key),
                Effect::ReadAddresses => {
                    let there = self.directors[number].kernel.clone();
                    self.handle(number, Event::AddressesRead(there).into());
                }
                Effect::RunScript { script, .. } => {
                    let status = self.directors[number].statuses.get(&*script).copied().unwrap_or(0);
                    self.send(number, Event::ScriptFinished { script, outcome: ScriptOutcome::Exited(status) });
                }
                Effect::ReadRoutes => {
                    self.handle(number, Event::RoutesRead { routes: Vec::new(), rules: Vec::new() }.into())
                }
                Effect::WatchFiles(_)
                | Effect::WatchProcesses(_)
                | Effect::AddRoute(_)
                | Effect::RemoveRoute(_)
                | Effect::AddRule(_)
                | Effect::RemoveRule(_)
                | Effect::Listen { .. }
                | Effect::StopListening { .. }
                | Effect::Announce { .. }
                | Effect::RenewAddresses { .. }
                | Effect::Lease(_) => {}
            }
        }
    }

    fn send(&mut self, director: usize, event: Event) {
        self.sent += 1;
        self.under_way.insert((self.now + DELAY, self.sent), (director, event));
    }
}
