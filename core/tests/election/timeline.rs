//! One director under test: `t.at("3.5").wakes().gives(&["advert 100", ...])`.
//!
//! The director is 10.0.0.5 on eth0; its peers are 10.0.0.2 and 10.0.0.9, so that an equal priority can be tied either
//! way. It has one virtual router unless a test says otherwise: V, VRID 51, version 2, priority 100, 1 s, 10.0.0.100/24,
//! one gratuitous ARP and no second burst. A kernel stands behind it: what it adds is there when addresses are read.

use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use vipward_core::command::Command;
use vipward_core::command::ScriptOutcome;
use vipward_core::config::Vip;
use vipward_core::config::{
    Adverts, Config, Garp, InitialState, Interfaces, NotifyScripts, Preemption, TrackWeight, Tracked, TrackerId,
    Tracking, Transport, VirtualRouterConfig, VrrpScript,
};
use vipward_core::datagram::Datagram;
use vipward_core::estate::{Document, ElectionEstate, OfOne};
use vipward_core::interface::{AddressKey, Family, InterfaceAddress, InterfaceName, Link, ObservedAddress, Scope};
use vipward_core::machine::Machine;
use vipward_core::machine::Output;
use vipward_core::quantity::{AdvertInterval, Priority, Role, Version, Vrid};
use vipward_core::route::{RouteKey, Rule};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::packet::{AddressList, Advert, Authentication};
use vipward_core::vrrp::{Effect, Election, Event, Input};

pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
pub const ME: u8 = 5;

pub fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

pub fn eth(n: u8) -> InterfaceName {
    InterfaceName::new(&format!("eth{n}"))
}

pub fn vip(last: u8) -> InterfaceAddress {
    InterfaceAddress {
        interface: eth(0),
        address: ip(last).into(),
        prefix_len: 24,
        broadcast: None,
        label: None,
        scope: Scope::Global,
        no_prefix_route: false,
        permanent: false,
    }
}

pub fn observed(last: u8, ours: bool) -> ObservedAddress {
    ObservedAddress { key: vip(last).key(), ours }
}

pub fn command(line: &str) -> Command {
    Command { argv: line.split(' ').map(str::to_owned).collect(), user: None }
}

/// The one virtual router of most tests.
pub fn router() -> VirtualRouterConfig {
    VirtualRouterConfig {
        name: Arc::from("V"),
        initial_state: InitialState::Backup,
        interfaces: Interfaces::all(eth(0)),
        vrid: Vrid::new(51).unwrap(),
        family: Family::V4,
        version: Version::V2,
        priority: Priority::DEFAULT,
        preemption: Preemption { on: true, delay: Duration::ZERO },
        adverts: Adverts::every(AdvertInterval::DEFAULT),
        transport: Transport::Multicast { group: GROUP.into() },
        source: None,
        unicast_ttl: 255,
        password: None,
        ah: false,
        addresses: vec![vip(100)],
        excluded: vec![],
        routes: Vec::new(),
        rules: Vec::new(),
        tracking: Tracking::default(),
        announcements: Garp { repeat: 1, delay: Duration::ZERO, lower_prio_repeat: 1, ..Garp::default() },
        notify: NotifyScripts::default(),
        places: Default::default(),
    }
}

pub fn priority(priority: u8) -> VirtualRouterConfig {
    VirtualRouterConfig { priority: Priority::new(priority).unwrap(), ..router() }
}

pub fn v3(priority_: u8, centis: u16) -> VirtualRouterConfig {
    let advert_interval = AdvertInterval::from_centis(centis).unwrap();
    VirtualRouterConfig { version: Version::V3, adverts: Adverts::every(advert_interval), ..priority(priority_) }
}

pub fn unicast(config: VirtualRouterConfig, peers: &[u8]) -> VirtualRouterConfig {
    let peers = peers.iter().map(|last| IpAddr::V4(ip(*last))).collect();
    VirtualRouterConfig { transport: Transport::Unicast { peers }, ..config }
}

/// `vrrp_script chk`, interval 1 s.
pub fn script(fall: u32, rise: u32) -> VrrpScript {
    VrrpScript {
        name: Arc::from("chk"),
        command: command("/bin/check"),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        weight: TrackWeight::default(),
        rise,
        fall,
        init_fail: false,
        places: Default::default(),
    }
}

/// `track_script { chk weight WEIGHT }`.
pub fn tracking(config: VirtualRouterConfig, weight: i16, reverse: bool) -> VirtualRouterConfig {
    let tracked = Tracked { what: TrackerId::Script(Arc::from("chk")), weight: TrackWeight { weight, reverse } };
    VirtualRouterConfig { tracking: Tracking { list: vec![tracked] }, ..config }
}

/// Without `[vip] lifetime`: renewals come twice a second, and only the tests in `lifetime.rs` are about them.
pub fn config(routers: Vec<VirtualRouterConfig>, scripts: Vec<VrrpScript>) -> Config {
    let scripts = scripts.into_iter().map(|script| (script.name.clone(), script)).collect();
    Config { routers, scripts, vip: Vip { lifetime: false }, ..Config::default() }
}

pub fn with_lifetimes(config: Config) -> Config {
    Config { vip: Vip { lifetime: true }, ..config }
}

/// A peer's advert for router V; what a test is not about is right.
#[derive(Clone)]
pub struct Peer {
    pub source: u8,
    pub priority: u8,
    pub version: Version,
    pub vrid: u8,
    pub centis: u16,
    pub authentication: Authentication,
    pub addresses: Vec<u8>,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    pub interface: InterfaceName,
}

pub fn peer(source: u8, priority: u8) -> Peer {
    Peer {
        source,
        priority,
        version: Version::V2,
        vrid: 51,
        centis: 100,
        authentication: Authentication::None,
        addresses: vec![100],
        destination: GROUP,
        ttl: 255,
        interface: eth(0),
    }
}

impl Peer {
    pub fn v3(self, centis: u16) -> Self {
        Self { version: Version::V3, centis, ..self }
    }

    pub fn datagram(&self) -> Datagram {
        let wire: Vec<u8> = self.addresses.iter().flat_map(|last| ip(*last).octets()).collect();
        let advert = Advert {
            version: self.version,
            vrid: Vrid::new(self.vrid).unwrap(),
            priority: self.priority,
            interval: AdvertInterval::from_centis(self.centis).unwrap(),
            authentication: self.authentication,
            addresses: AddressList::from_wire(Family::V4, &wire),
        };
        let source = ip(self.source);
        self.carry(advert.encode(Some((source.into(), self.destination.into()))))
    }

    /// The same with the checksum of RFC 9568 5.2.8, without a pseudo header.
    pub fn plain(&self) -> Event {
        let with = self.datagram();
        let advert = Advert::decode(&with.payload, with.source, with.destination).unwrap();
        Event::AdvertReceived(self.carry(advert.encode(None)))
    }

    pub fn carry(&self, payload: Bytes) -> Datagram {
        Datagram {
            interface: self.interface.clone(),
            source: ip(self.source).into(),
            destination: self.destination.into(),
            ttl: self.ttl,
            payload,
        }
    }
}

/// `"3.609375"` seconds, exact.
pub fn instant(seconds: &str) -> Instant {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    assert!(fraction.len() <= 9, "{seconds}");
    let nanos: u64 = format!("{fraction:0<9}").parse().unwrap();
    Instant::from_nanos(whole.parse::<u64>().unwrap() * 1_000_000_000 + nanos)
}

pub struct Timeline {
    pub election: Election,
    now: Instant,
    /// What the kernel has.
    kernel: Vec<ObservedAddress>,
    /// The routes with our mark that it has.
    routes: Vec<RouteKey>,
    /// And the policy rules.
    rules: Vec<Rule>,
    last: Vec<Output<Effect>>,
}

impl Timeline {
    /// Started at 0 with its interface up.
    pub fn of(routers: Vec<VirtualRouterConfig>) -> Self {
        Self::with(config(routers, vec![]))
    }

    pub fn with(config: Config) -> Self {
        let mut t = Self::unstarted(&[observed(ME, false)]);
        t.tells_links(&[(0, true), (1, true)]);
        t.reads_addresses();
        t.loads(config);
        t
    }

    /// Nothing told yet; these addresses are in the kernel.
    pub fn unstarted(kernel: &[ObservedAddress]) -> Self {
        Self {
            election: Election::default(),
            now: Instant::ZERO,
            kernel: kernel.to_vec(),
            routes: vec![],
            rules: vec![],
            last: vec![],
        }
    }

    pub fn at(&mut self, seconds: &str) -> &mut Self {
        let at = instant(seconds);
        assert!(at >= self.now, "{at:?} is before {:?}", self.now);
        self.now = at;
        self
    }

    // What arrives.

    pub fn handles(&mut self, input: impl Into<Input>) -> &mut Self {
        self.last = self.election.handle(input.into(), self.now).into_iter().collect();
        for output in self.last.clone() {
            let Output::Effect(effect) = output else { continue };
            match effect {
                Effect::AddAddress(address) => self.kernel.push(ObservedAddress { key: address.key(), ours: true }),
                Effect::RemoveAddress(key) => self.kernel.retain(|there| there.key != key),
                Effect::ReadAddresses => {
                    let read = self.election.handle(Event::AddressesRead(self.kernel.clone()).into(), self.now);
                    let announces = |output: &Output<Effect>| matches!(output, Output::Effect(Effect::Announce { .. }));
                    assert!(read.iter().all(announces), "{read:?}: the kernel has just what was asked for");
                    self.last.extend(read);
                }
                Effect::AddRoute(route) => self.routes.push(route.key),
                Effect::RemoveRoute(key) => self.routes.retain(|there| *there != key),
                Effect::AddRule(rule) => self.rules.push(rule),
                Effect::RemoveRule(rule) => self.rules.retain(|there| *there != rule),
                Effect::ReadRoutes => self.reads_routes(),
                _ => {}
            }
        }
        self.last.retain(|output| *output != Output::Effect(Effect::ReadAddresses));
        self
    }

    /// The kernel's answer; what follows from it stands behind what came out before.
    fn reads_routes(&mut self) {
        let before = std::mem::take(&mut self.last);
        self.handles(Event::RoutesRead { routes: self.routes.clone(), rules: self.rules.clone() });
        let after = std::mem::replace(&mut self.last, before);
        self.last.extend(after);
    }

    /// Somebody else, or the kernel, takes a route out; `tells`: and the kernel says so.
    pub fn loses_route(&mut self, key: &RouteKey, tells: bool) -> &mut Self {
        self.routes.retain(|there| there != key);
        self.last.clear();
        if tells { self.handles(Event::RouteChanged { route: key.clone(), present: false }) } else { self }
    }

    /// A route with our mark is there, and nobody is told.
    pub fn has_route(&mut self, key: RouteKey) -> &mut Self {
        self.routes.push(key);
        self
    }

    /// Somebody takes a policy rule out.
    pub fn loses_rule(&mut self, rule: &Rule) -> &mut Self {
        self.rules.retain(|there| there != rule);
        self.handles(Event::RuleChanged { rule: Box::new(rule.clone()), present: false })
    }

    pub fn has_rule(&mut self, rule: Rule) -> &mut Self {
        self.rules.push(rule);
        self
    }

    pub fn routes(&self) -> &[RouteKey] {
        &self.routes
    }

    pub fn wakes(&mut self) -> &mut Self {
        self.handles(Input::Wakeup)
    }

    pub fn hears(&mut self, peer: Peer) -> &mut Self {
        self.handles(Event::AdvertReceived(peer.datagram()))
    }

    pub fn loads(&mut self, config: Config) -> &mut Self {
        self.handles(Input::ConfigLoaded { config: Arc::new(config), seed: 0 })
    }

    pub fn tells_links(&mut self, links: &[(u8, bool)]) -> &mut Self {
        let links = links.iter().map(|(n, running)| Link { name: eth(*n), running: *running }).collect();
        self.handles(Event::LinksRead(links))
    }

    pub fn link(&mut self, running: bool) -> &mut Self {
        self.handles(Event::LinkChanged(Link { name: eth(0), running }))
    }

    pub fn reads_addresses(&mut self) -> &mut Self {
        self.handles(Event::AddressesRead(self.kernel.clone()))
    }

    /// Somebody else puts an address on eth0 or takes it off.
    pub fn somebody(&mut self, last: u8, present: bool) -> &mut Self {
        let key = vip(last).key();
        let ours = self.kernel.iter().any(|there| there.key == key && there.ours);
        self.kernel.retain(|there| there.key != key);
        let address = ObservedAddress { key, ours };
        if present {
            self.kernel.push(address.clone());
        }
        self.handles(Event::AddressChanged { address, present })
    }

    /// An address with our protocol number appears on eth0.
    pub fn appears_marked(&mut self, last: u8) -> &mut Self {
        let address = ObservedAddress { key: vip(last).key(), ours: true };
        self.kernel.push(address.clone());
        self.handles(Event::AddressChanged { address, present: true })
    }

    /// Whether the kernel has it.
    pub fn has(&self, last: u8) -> bool {
        self.kernel.iter().any(|there| there.key == vip(last).key())
    }

    /// An address goes, and nobody is told.
    pub fn forgets(&mut self, last: u8) {
        self.kernel.retain(|there| there.key != vip(last).key());
    }

    pub fn script_exits(&mut self, status: i32) -> &mut Self {
        let outcome = ScriptOutcome::Exited(status);
        self.handles(Event::ScriptFinished { script: Arc::from("chk"), outcome })
    }

    pub fn fails(&mut self, effect: Effect) -> &mut Self {
        if let Effect::AddAddress(address) = &effect {
            let key = address.key();
            self.kernel.retain(|there| there.key != key);
        }
        if let Effect::AddRoute(route) = &effect {
            self.routes.retain(|there| *there != route.key);
        }
        self.handles(Input::Failed { effect: Box::new(effect), error: "no".to_owned() })
    }

    pub fn stops(&mut self) -> &mut Self {
        self.handles(Input::Stop)
    }

    /// A new process goes on with this one's estate: handed over, or as a copy. Its clock goes on, and the kernel stays as
    /// it is.
    pub fn successor(&mut self, handed_over: bool) -> Self {
        if handed_over {
            self.handles(Input::HandOver).nothing();
        }
        let estate = self.election.estate(self.now).unwrap();
        // As it travels.
        let document = Document::new("boot", estate.into());
        let document = Document::from_json(&document.to_json().unwrap(), "boot").unwrap();
        let mut successor =
            Self { routes: self.routes.clone(), rules: self.rules.clone(), ..Self::unstarted(&self.kernel) };
        successor.now = self.now;
        successor.tells_links(&[(0, true), (1, true)]);
        successor.reads_addresses();
        successor.handles(Input::Inherited(ElectionEstate::of(document.estate).unwrap()));
        successor
    }

    // What must come out.

    /// The adverts that came out.
    pub fn sent(&self) -> Vec<Datagram> {
        let sent = self.last.iter().filter_map(|output| match output {
            Output::Effect(Effect::SendAdvert(datagram)) => Some(datagram.clone()),
            _ => None,
        });
        sent.collect()
    }

    /// How many lines of what came out begin so.
    pub fn count(&self, kind: &str) -> usize {
        self.said().iter().filter(|line| line.starts_with(kind)).count()
    }

    #[track_caller]
    pub fn gives(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(self.said(), expected, "at {:?}", self.now);
        self
    }

    /// Nothing happens, and says so.
    #[track_caller]
    pub fn nothing(&mut self) -> &mut Self {
        self.gives(&[])
    }

    /// Only these of what came out, by their beginning.
    #[track_caller]
    pub fn gives_of(&mut self, kind: &str, expected: &[&str]) -> &mut Self {
        let of_kind: Vec<String> = self.said().into_iter().filter(|line| line.starts_with(kind)).collect();
        assert_eq!(of_kind, expected, "at {:?}", self.now);
        self
    }

    #[track_caller]
    pub fn is(&mut self, role: Role) -> &mut Self {
        assert_eq!(self.election.routers()[0].role(), role, "at {:?}", self.now);
        self
    }

    /// All that came out of the last event.
    pub fn last(&self) -> &[Output<Effect>] {
        &self.last
    }

    /// The same in words.
    pub fn said(&self) -> Vec<String> {
        say(&self.last)
    }

    /// Wakes the director whenever it asks for it, up to and including this instant. What comes out, with its time.
    pub fn until(&mut self, seconds: &str) -> Vec<String> {
        let end = instant(seconds);
        let mut lines = Vec::new();
        while let Some((at, _)) = self.election.next_wakeup().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.wakes();
            lines.extend(self.said().iter().map(|line| format!("{:.3} {line}", self.now)));
        }
        self.now = end;
        lines
    }

    /// Becomes MASTER at 3.609375 (priority 100), and that is not what the test is about.
    pub fn becomes_master(&mut self) -> &mut Self {
        while self.election.routers()[0].role() != Role::Master {
            let (at, _) = self.election.next_wakeup().unwrap();
            self.now = self.now.max(at);
            self.wakes();
        }
        self
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn kernel(&self) -> Vec<AddressKey> {
        self.kernel.iter().map(|there| there.key.clone()).collect()
    }
}

/// One line an effect; repeated ones are one line. News say of every new role what the decision beside them says; the
/// tests in `news.rs` are about them.
pub fn say<'a>(outputs: impl IntoIterator<Item = &'a Output<Effect>>) -> Vec<String> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for output in outputs {
        let line = match output {
            Output::Effect(effect) => effect_line(effect),
            Output::Notify { queue, command } => format!("notify {queue}: {}", command.argv.join(" ")),
            Output::Decide(decision) => decision.to_string(),
            Output::News(_) => continue,
            Output::Mail(mail) => format!("mail: {}", mail.subject),
            Output::Fifo { path, line } => format!("{path}: {line}"),
        };
        match lines.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => lines.push((line, 1)),
        }
    }
    lines.into_iter().map(|(line, n)| if n == 1 { line } else { format!("{line} x{n}") }).collect()
}

fn effect_line(effect: &Effect) -> String {
    match effect {
        Effect::Listen { interface, group } => match group {
            Some(group) => format!("listen {interface} {group}"),
            None => format!("listen {interface}"),
        },
        Effect::StopListening { interface, group } => match group {
            Some(group) => format!("stop listening {interface} {group}"),
            None => format!("stop listening {interface}"),
        },
        Effect::SendAdvert(datagram) => {
            let (source, destination) = (datagram.source, datagram.destination);
            let advert = Advert::decode(datagram.message(), source, destination).expect("we send what we read");
            if destination == GROUP {
                format!("advert {}", advert.priority)
            } else {
                format!("advert {} to {destination} ttl {}", advert.priority, datagram.ttl)
            }
        }
        Effect::Announce { address, .. } => format!("garp {address}"),
        Effect::AddAddress(address) => format!("add {}/{}", address.address, address.prefix_len),
        Effect::RenewAddresses { addresses } => {
            let renewed: Vec<String> = addresses.iter().map(|vip| vip.address.to_string()).collect();
            format!("renew {}", renewed.join(" "))
        }
        Effect::RemoveAddress(key) => format!("remove {}/{}", key.address, key.prefix_len),
        Effect::ReadAddresses => "read addresses".to_owned(),
        Effect::AddRoute(route) => format!("route {route}"),
        Effect::RemoveRoute(key) => format!("no route {key}"),
        Effect::AddRule(rule) => format!("rule {rule}"),
        Effect::RemoveRule(rule) => format!("no rule {rule}"),
        Effect::ReadRoutes => "read routes".to_owned(),
        Effect::RunScript { script, .. } => format!("run {script}"),
        Effect::Lease(op) => op.to_string(),
        Effect::WatchProcesses(processes) => {
            let commands: Vec<&str> = processes.iter().map(|process| &*process.pattern.command).collect();
            format!("watch {}", commands.join(" "))
        }
        Effect::WatchFiles(files) => {
            let paths: Vec<&str> = files.iter().map(|file| &*file.path).collect();
            format!("watch {}", paths.join(" "))
        }
    }
}
