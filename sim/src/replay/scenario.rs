//! The recordings of a cluster become a scenario file that `run` accepts: the same topology, the same configurations, the
//! faults that the records show. `docs/recording.md` lists what is inferred from what, and what can't be.

use super::check::walk;
use super::story::{SILENT, end};
use super::track::Track;
use super::words::decoded;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::check::{ProbeId, Shown, Verdict};
use vipward_core::command::ScriptOutcome;
use vipward_core::config::LIFETIME;
use vipward_core::config::{Config, cluster};
use vipward_core::datagram::Datagram;
use vipward_core::decision::Decision;
use vipward_core::interface::InterfaceName;
use vipward_core::machine::Input;
use vipward_core::quantity::Role;
use vipward_core::record::Step;
use vipward_core::text::Files;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::lifetime::RENEW;
use vipward_core::{balancer, vrrp};

/// A wakeup that comes so late means that the machine did not run.
const FROZEN: Duration = Duration::from_secs(1);

/// A role that lasted so long is expected again.
const LASTING: Duration = Duration::from_secs(1);

/// More cuts than this make no readable scenario.
const MOST_CUTS: usize = 200;

/// What is written: the scenario, and the files beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub scenario: String,
    /// Relative to the scenario.
    pub files: Vec<(PathBuf, String)>,
}

impl Written {
    /// Writes it to `path` and into the folder beside it that has its name.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new(""));
        for (file, text) in &self.files {
            let file = folder.join(file);
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(file, text)?;
        }
        std::fs::write(path, &self.scenario)
    }
}

/// Makes a scenario called `name` of these tracks. The error says what is missing.
pub fn scenario(tracks: &[Track], name: &str) -> Result<Written, String> {
    let mut directors: Vec<Director<'_>> = Vec::new();
    for track in tracks {
        match directors.iter_mut().find(|director| director.name == track.name) {
            Some(director) => director.runs.push(Life::of(track)),
            None => directors.push(Director { name: track.name.clone(), runs: vec![Life::of(track)] }),
        }
    }
    if directors.len() < 2 {
        return Err("a scenario needs the recordings of two or more directors".to_owned());
    }
    let end = end(tracks);
    let network = Network::of(&directors)?;
    let mut steps = Steps::default();
    directors.iter().for_each(|director| lives(director, &directors, end, name, &mut steps));
    cuts(&directors, &network, &mut steps);
    servers(&directors, &network, &mut steps);
    let mut files = Vec::new();
    let folder = PathBuf::from(name);
    for director in &directors {
        for (number, text) in director.configs().enumerate() {
            files.push((folder.join(file_name(&director.name, number)), text));
        }
    }
    files.extend([true, false].map(|lease| (folder.join(settings_name(lease)), format!("[vip]\nlease = {lease}\n"))));
    let mut text = format!(
        "title = {}\nabout = {}\nduration = {}\n",
        quoted(&format!("Recorded: {}", names(&directors))),
        quoted("Made of flight recordings. What is inferred is explained in docs/recording.md."),
        quoted(&millis(end.since_origin() + Duration::from_secs(1)))
    );
    text.push_str(&network.routed().unwrap_or_default());
    text.push_str(&mistakes(&directors));
    text.push_str(&steps.text());
    text.push_str(&expectations(&directors, end));
    text.push_str(&network.text(&directors, name));
    Ok(Written { scenario: text, files })
}

/// One director, all its runs.
struct Director<'a> {
    name: String,
    runs: Vec<Life<'a>>,
}

/// One run: what of it a scenario needs. Instants are on the common timeline.
struct Life<'a> {
    track: &'a Track,
    began: Instant,
    ended: Instant,
    stopped: bool,
    /// Configurations, with their text.
    configs: Vec<(Instant, Arc<Config>, String)>,
    sent: Vec<(Instant, Datagram)>,
    heard: Vec<(Instant, Datagram)>,
    /// From when until when it did not run.
    frozen: Vec<(Instant, Instant)>,
    /// When a link of the configuration went down (false) or up.
    links: Vec<(Instant, InterfaceName, bool)>,
    scripts: Vec<(Instant, Arc<str>, i32)>,
    deleted: Vec<(Instant, IpAddr)>,
    verdicts: Vec<(Instant, SocketAddr, bool, Verdict, Duration)>,
    /// Of each virtual router: since when, what.
    roles: BTreeMap<Arc<str>, Vec<(Instant, Role)>>,
    /// Addresses that are not ours, by interface.
    addresses: BTreeMap<String, (Ipv4Addr, u8)>,
    interfaces: BTreeSet<String>,
}

impl<'a> Life<'a> {
    fn of(track: &'a Track) -> Self {
        let (began, ended) = track.span();
        let mut life = Self {
            track,
            began: track.common(began),
            ended: track.common(ended),
            stopped: track.stopped(),
            configs: Vec::new(),
            sent: Vec::new(),
            heard: Vec::new(),
            frozen: Vec::new(),
            links: Vec::new(),
            scripts: Vec::new(),
            deleted: Vec::new(),
            verdicts: Vec::new(),
            roles: BTreeMap::new(),
            addresses: BTreeMap::new(),
            interfaces: BTreeSet::new(),
        };
        let mut probes: BTreeMap<ProbeId, (Instant, bool, Duration)> = BTreeMap::new();
        let mut last = BTreeMap::new();
        walk(track, |now| {
            let at = track.common(now.step.at());
            let before = last.insert(now.step.machine(), at).unwrap_or(at);
            match now.step {
                Step::Election(step) => {
                    if let Some((due, _)) = now.due
                        && track.common(due) > before
                        && step.at.since(due) >= FROZEN
                    {
                        life.frozen.push((track.common(due), at));
                    }
                    life.told(at, &step.input);
                    for effect in step.output.effects() {
                        if let vrrp::Effect::SendAdvert(advert) = effect {
                            life.sent.push((at, advert.clone()));
                        }
                    }
                }
                Step::Balancer(step) => {
                    if let Input::Event(balancer::Event::ProbeFinished { probe, verdict }) = &step.input
                        && let Some((started, http, timeout)) = probes.remove(probe)
                    {
                        life.verdicts.push((started, probe.server, http, verdict.clone(), timeout));
                    }
                    for effect in step.output.effects() {
                        if let balancer::Effect::StartProbe { id, probe } = effect {
                            let http = probe.kind.asks();
                            probes.insert(*id, (at, http, probe.timeout));
                        }
                    }
                }
            }
            for decision in now.step.decisions() {
                match decision {
                    Decision::RoleChanged { router, to, .. } | Decision::RoleInherited { router, role: to, .. } => {
                        life.roles.entry(router.clone()).or_default().push((at, *to));
                    }
                    // What a kernel took off in a director's sleep it takes off again.
                    Decision::AddressRestored { address } if !life.has_just_slept(at) => {
                        life.deleted.push((at, address.address));
                    }
                    _ => {} // Of no consequence for what a scenario says.
                }
            }
        });
        life
    }

    fn told(&mut self, at: Instant, input: &vrrp::Input) {
        match input {
            Input::ConfigLoaded { config, .. } => {
                let text = text_of(self.track, self.track.own(at));
                self.configs.push((at, config.clone(), text));
            }
            Input::Event(event) => self.event(at, event),
            _ => {} // Of no consequence for what a scenario says.
        }
    }

    fn event(&mut self, at: Instant, event: &vrrp::Event) {
        match event {
            vrrp::Event::AdvertReceived(advert) => self.heard.push((at, advert.clone())),
            vrrp::Event::LinksRead(links) => self.interfaces.extend(links.iter().map(|link| link.name.to_string())),
            vrrp::Event::LinkChanged(link) => self.link(at, &link.name, link.running),
            vrrp::Event::LinkGone(name) => self.link(at, name, false),
            // A scenario has one director on each node.
            vrrp::Event::NeighboursLive => {}
            vrrp::Event::AddressesRead(addresses) => {
                for address in addresses.iter().filter(|address| !address.ours) {
                    if let IpAddr::V4(ip) = address.key.address
                        && !ip.is_loopback()
                    {
                        let interface = address.key.interface.to_string();
                        self.addresses.entry(interface).or_insert((ip, address.key.prefix_len));
                    }
                }
            }
            vrrp::Event::ScriptFinished { script, outcome } => {
                let status = match outcome {
                    ScriptOutcome::Exited(status) => *status,
                    ScriptOutcome::Killed(_) | ScriptOutcome::TimedOut | ScriptOutcome::NotStarted(_) => 1,
                };
                let before = self.scripts.iter().rev().find(|(_, name, _)| name == script);
                if before.map_or(0, |(_, _, status)| *status) != status {
                    self.scripts.push((at, script.clone(), status));
                }
            }
            vrrp::Event::AddressChanged { .. } | vrrp::Event::Lease(_) => {}
        }
    }

    /// Whether an address may be gone because nobody renewed it.
    fn has_just_slept(&self, at: Instant) -> bool {
        let slept =
            |(from, until): &(Instant, Instant)| until.since(*from) + RENEW >= LIFETIME && at.since(*until) < RENEW;
        self.frozen.last().is_some_and(slept)
    }

    /// The interfaces on which virtual routers hear adverts.
    fn heard_on(&self) -> BTreeSet<&InterfaceName> {
        let routers = self.configs.iter().flat_map(|(_, config, _)| &config.routers);
        routers.map(|router| &router.interfaces.heard_on).collect()
    }

    /// The interfaces whose links decide about roles and priorities.
    fn uses(&self) -> BTreeSet<&InterfaceName> {
        let routers = self.configs.iter().flat_map(|(_, config, _)| &config.routers);
        let tracked = routers.flat_map(|router| router.interfaces.tracked.iter().chain(router.tracking.interfaces()));
        tracked.chain(self.heard_on()).collect()
    }

    fn link(&mut self, at: Instant, name: &InterfaceName, up: bool) {
        if self.uses().contains(name) {
            let before = self.links.iter().rev().find(|(_, other, _)| other == name).is_none_or(|(_, _, up)| *up);
            if before != up {
                self.links.push((at, name.clone(), up));
            }
        }
    }

    /// Whether it could hear an advert that was sent at `at`.
    fn listens(&self, at: Instant) -> bool {
        let configured = self.configs.first().is_some_and(|(from, _, _)| *from < at);
        let frozen = self.frozen.iter().any(|(from, until)| *from <= at && at <= *until);
        let mut heard_on = self.heard_on().into_iter();
        let plugged = heard_on.all(|name| {
            let last = self.links.iter().rev().find(|(from, other, _)| *from <= at && other == name);
            last.is_none_or(|(_, _, up)| *up)
        });
        configured && !frozen && plugged && at < self.ended
    }
}

impl Director<'_> {
    fn config(&self) -> Option<&Arc<Config>> {
        Some(&self.runs.first()?.configs.first()?.1)
    }

    /// The texts of all configurations, in order; the first is the one it starts with.
    fn configs(&self) -> impl Iterator<Item = String> {
        self.runs.iter().flat_map(|life| life.configs.iter().map(|(_, _, text)| text.clone()))
    }
}

/// The configuration as one text: `include` lines give way to what they included.
fn text_of(track: &Track, at: Instant) -> String {
    let sources = track.sources(at);
    let files: BTreeMap<PathBuf, Vec<u8>> =
        sources.ids().map(|id| (PathBuf::from(sources.name(id)), sources.text(id).as_bytes().to_vec())).collect();
    let mut whole = String::new();
    if let Some(first) = sources.ids().next() {
        expand(&files, Path::new(sources.name(first)), 0, &mut whole);
    }
    whole
}

fn expand(files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path, depth: usize, out: &mut String) {
    let Some(bytes) = files.get(path).filter(|_| depth < 16) else { return };
    let folder = path.parent().unwrap_or(Path::new(""));
    for line in String::from_utf8_lossy(bytes).lines() {
        match line.trim().strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
            Some(pattern) => {
                let pattern = folder.join(pattern.trim().trim_matches('"'));
                for included in files.glob(&pattern.to_string_lossy()) {
                    expand(files, &included, depth + 1, out);
                }
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
}

/// Segments, and who is on them.
struct Network {
    /// Network address and prefix length of each.
    segments: Vec<(Ipv4Addr, u8)>,
    /// Real servers, with their ports; which segment.
    servers: BTreeMap<Ipv4Addr, (BTreeSet<u16>, usize)>,
    /// Segments from here on are behind a router: no director is on them.
    behind: usize,
}

impl Network {
    fn of(directors: &[Director<'_>]) -> Result<Self, String> {
        let mut segments: Vec<(Ipv4Addr, u8)> = Vec::new();
        let mut own = BTreeSet::new();
        for director in directors {
            let addresses: Vec<_> = director.runs.iter().flat_map(|life| life.addresses.values()).collect();
            if addresses.is_empty() {
                return Err(format!("the record of {} does not say which addresses it has", director.name));
            }
            if director.config().is_none() {
                return Err(format!("the record of {} does not say which configuration it ran", director.name));
            }
            for (address, length) in addresses {
                own.insert(*address);
                let network = (masked(*address, *length), *length);
                if !segments.contains(&network) {
                    segments.push(network);
                }
            }
        }
        let behind = segments.len();
        let mut servers: BTreeMap<Ipv4Addr, (BTreeSet<u16>, usize)> = BTreeMap::new();
        let configs = directors.iter().flat_map(|director| &director.runs).flat_map(|life| &life.configs);
        let services = configs.flat_map(|(_, config, _)| &config.services);
        let addresses = services.flat_map(|service| {
            service.real_servers.iter().flat_map(|server| {
                std::iter::once(server.address).chain(server.checkers.iter().map(|checker| checker.target))
            })
        });
        for address in addresses {
            let IpAddr::V4(ip) = address.ip() else { continue };
            if own.contains(&ip) || ip.is_loopback() {
                continue;
            }
            let on = |(network, length): &(Ipv4Addr, u8)| masked(ip, *length) == *network;
            let segment = segments.iter().position(on).unwrap_or_else(|| {
                segments.push((masked(ip, 24), 24));
                segments.len() - 1
            });
            servers.entry(ip).or_insert((BTreeSet::new(), segment)).0.insert(address.port());
        }
        Ok(Self { segments, servers, behind })
    }

    fn text(&self, directors: &[Director<'_>], folder: &str) -> String {
        let mut text = String::new();
        for (at, (network, length)) in self.segments.iter().enumerate() {
            let _ = writeln!(text, "\n# {network}/{length}\n[segment.{}]", segment(at));
        }
        for director in directors {
            let config = PathBuf::from(folder).join(file_name(&director.name, 0));
            let _ = writeln!(
                text,
                "\n[director.{}]\nconfig = {}\nsettings = {}",
                quoted(&director.name),
                quoted(&config.to_string_lossy()),
                quoted(&settings(folder, director.config()))
            );
            if director.runs.first().is_some_and(|life| life.began > Instant::ZERO) {
                text.push_str("starts = false\n");
            }
            let mut interfaces = BTreeMap::new();
            for life in &director.runs {
                for (interface, (address, length)) in &life.addresses {
                    interfaces.entry(interface.as_str()).or_insert((*address, *length));
                }
            }
            let known: BTreeSet<&str> = interfaces.keys().copied().collect();
            for (interface, (address, length)) in interfaces {
                let network = (masked(address, length), length);
                let at = self.segments.iter().position(|segment| *segment == network).unwrap_or_default();
                let port = format!("{address}/{length} on {}", segment(at));
                let _ = writeln!(text, "interfaces.{} = {}", quoted(interface), quoted(&port));
            }
            // What is tracked may have no address.
            let used: BTreeSet<&InterfaceName> = director.runs.iter().flat_map(Life::uses).collect();
            for name in used.into_iter().filter(|name| !known.contains(name.as_str())) {
                let _ =
                    writeln!(text, "interfaces.{} = {}", quoted(name.as_str()), quoted(&format!("on {}", segment(0))));
            }
        }
        for (address, (ports, at)) in &self.servers {
            let length = self.segments.get(*at).map_or(24, |(_, length)| *length);
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            let _ = writeln!(
                text,
                "\n[real_server.{}]\naddress = {}\nlistens = [{}]",
                server(*address),
                quoted(&format!("{address}/{length} on {}", segment(*at))),
                ports.join(", ")
            );
        }
        text
    }

    /// `routed`, a word of the file's top.
    fn routed(&self) -> Option<String> {
        let names: Vec<String> = (0..self.segments.len()).map(|at| quoted(&segment(at))).collect();
        (self.behind < self.segments.len()).then(|| format!("routed = [{}]\n", names.join(", ")))
    }
}

fn masked(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask)
}

fn segment(at: usize) -> String {
    format!("net{}", at + 1)
}

fn server(address: Ipv4Addr) -> String {
    format!("rs-{}", address.to_string().replace('.', "-"))
}

fn file_name(director: &str, number: usize) -> String {
    let plain: String = director.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if number == 0 { format!("{plain}.conf") } else { format!("{plain}-{number}.conf") }
}

/// What of `vipward.toml` a machine decides by, as one of two files.
fn settings_name(lease: bool) -> &'static str {
    if lease { "lease.toml" } else { "lease-off.toml" }
}

fn settings(folder: &str, config: Option<&Arc<Config>>) -> String {
    let lease = config.is_none_or(|config| config.vip.lease);
    PathBuf::from(folder).join(settings_name(lease)).to_string_lossy().into_owned()
}

/// Steps, ordered by time when they are written.
#[derive(Default)]
struct Steps {
    steps: Vec<(Instant, String)>,
    /// What could not be taken in.
    left_out: Vec<String>,
}

impl Steps {
    fn add(&mut self, at: Instant, what: String) {
        self.steps.push((at, what));
    }

    fn text(mut self) -> String {
        self.steps.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        for line in &self.left_out {
            let _ = writeln!(text, "# left out: {line}");
        }
        text.push_str("\nsteps = [\n");
        for (at, what) in &self.steps {
            let _ = writeln!(text, "    {{ at = {}, {what} }},", quoted(&millis(at.since_origin())));
        }
        text.push_str("]\n");
        text
    }
}

/// Start, stop, kill, reload, links, scripts, sleeps.
fn lives(director: &Director<'_>, all: &[Director<'_>], end: Instant, folder: &str, steps: &mut Steps) {
    let name = quoted(&director.name);
    let mut file = 0;
    for (number, life) in director.runs.iter().enumerate() {
        if number > 0 || life.began > Instant::ZERO {
            steps.add(life.began, format!("start = {name}"));
        }
        for (number, (at, config, _)) in life.configs.iter().enumerate() {
            if number > 0 {
                let path = PathBuf::from(folder).join(file_name(&director.name, file));
                let (with, settings) = (quoted(&path.to_string_lossy()), quoted(&settings(folder, Some(config))));
                steps.add(*at, format!("reload = {name}, with = {with}, settings = {settings}"));
            }
            file += 1;
        }
        for (from, until) in &life.frozen {
            steps.add(*from, format!("freeze = {name}"));
            steps.add(*until, format!("resume = {name}"));
        }
        for (at, interface, up) in &life.links {
            let word = if *up { "plug" } else { "unplug" };
            steps.add(*at, format!("{word} = {name}, interface = {}", quoted(interface.as_str())));
        }
        for (at, script, status) in &life.scripts {
            // The scenario's script must fail before the run that failed.
            let at = *at - Duration::from_millis(1);
            steps.add(at, format!("script = {}, on = {name}, exits = {}", quoted(script), (*status).clamp(0, 255)));
        }
        for (at, address) in &life.deleted {
            steps.add(*at, format!("delete_address = {}, on = {name}", quoted(&address.to_string())));
        }
        let last = life.ended;
        if life.stopped {
            steps.add(last, format!("stop = {name}"));
        } else if last + SILENT < end || number + 1 < director.runs.len() {
            // It lived at least until others heard its last advert.
            let sources: BTreeSet<IpAddr> = life.sent.iter().map(|(_, advert)| advert.source).collect();
            let until = director.runs.get(number + 1).map_or(end, |next| next.began);
            let heard = all.iter().flat_map(|other| &other.runs).flat_map(|other| &other.heard);
            let heard = heard.filter(|(at, advert)| sources.contains(&advert.source) && *at < until);
            let alive = heard.map(|(at, _)| *at).max().unwrap_or(last).max(last);
            steps.add(alive + Duration::from_millis(1), format!("kill = {name}"));
        }
    }
}

/// Adverts that were sent and not heard, where somebody listened.
fn cuts(directors: &[Director<'_>], network: &Network, steps: &mut Steps) {
    let mut found = Vec::new();
    for from in directors {
        for to in directors.iter().filter(|to| to.name != from.name) {
            for sent in &from.runs {
                for heard in &to.runs {
                    found.extend(
                        lost(sent, heard, network).into_iter().map(|(a, b)| (a, b, from.name.clone(), to.name.clone())),
                    );
                }
            }
        }
    }
    if found.len() > MOST_CUTS {
        steps.left_out.push(format!("{} gaps between adverts: more than a scenario can show", found.len()));
        return;
    }
    for (at, until, from, to) in &found {
        steps.add(*at, format!("cut = {}, to = {}", quoted(from), quoted(to)));
        if let Some(until) = until {
            steps.add(*until, format!("heal = [{}, {}]", quoted(from), quoted(to)));
            // `heal` heals both directions; the other one may be cut still.
            let other = found
                .iter()
                .any(|(at, end, a, b)| (a, b) == (to, from) && at < until && end.is_none_or(|end| *until < end));
            if other {
                steps.add(*until, format!("cut = {}, to = {}", quoted(to), quoted(from)));
            }
        }
    }
}

/// When adverts from `from` to `to` were lost; no end: they were until one of the two ended.
fn lost(from: &Life<'_>, to: &Life<'_>, network: &Network) -> Vec<(Instant, Option<Instant>)> {
    let segment = |address: IpAddr| {
        let IpAddr::V4(ip) = address else { return None };
        network.segments.iter().position(|(network, length)| masked(ip, *length) == *network)
    };
    let own: Vec<Ipv4Addr> = to.addresses.values().map(|(address, _)| *address).collect();
    let reaches = |advert: &Datagram| match advert.destination {
        IpAddr::V4(ip) if ip.is_multicast() => {
            own.iter().any(|own| segment(IpAddr::V4(*own)) == segment(advert.source))
        }
        IpAddr::V4(ip) => own.contains(&ip),
        IpAddr::V6(_) => false,
    };
    let vrids: BTreeSet<u8> =
        to.configs.iter().flat_map(|(_, config, _)| config.routers.iter().map(|router| router.vrid.get())).collect();
    let sent: Vec<&(Instant, Datagram)> = from
        .sent
        .iter()
        .filter(|(_, advert)| reaches(advert) && decoded(advert).is_some_and(|(vrid, _)| vrids.contains(&vrid)))
        .collect();
    let same = |a: &Datagram, b: &Datagram| a.source == b.source && a.payload == b.payload;
    // Two clocks are never quite the same: what lies between sending and hearing most of the time is their difference.
    let mut offsets: Vec<i64> = Vec::new();
    // Another run of the same director sends the same adverts.
    let living = |at: Instant| from.began <= at + SILENT && at <= from.ended + SILENT;
    for (at, advert) in to.heard.iter().filter(|(at, _)| living(*at)) {
        let nearest = sent.iter().filter(|(_, other)| same(advert, other)).map(|(sent, _)| between(*sent, *at));
        offsets.extend(nearest.min_by_key(|distance| distance.unsigned_abs()));
    }
    if offsets.is_empty() {
        return Vec::new();
    }
    offsets.sort_unstable();
    let offset = offsets.get(offsets.len() / 2).copied().unwrap_or_default();
    let mut lost: Vec<(Instant, Option<Instant>)> = Vec::new();
    let mut open = false;
    for (at, advert) in sent {
        let arrives = Instant::from_nanos(at.as_nanos().saturating_add_signed(offset));
        let tolerance = Duration::from_millis(200).min(pace(&from.sent, advert) / 2);
        let heard = to.heard.iter().any(|(heard, other)| {
            same(advert, other) && between(arrives, *heard).unsigned_abs() <= tolerance.as_nanos() as u64
        });
        let instant = *at - Duration::from_millis(1);
        if heard {
            if std::mem::take(&mut open)
                && let Some((_, until)) = lost.last_mut()
            {
                *until = Some(instant);
            }
        } else if !open && to.listens(arrives) && to.listens(arrives + tolerance) {
            open = true;
            lost.push((instant, None));
        }
    }
    lost
}

/// The shortest time between two adverts like this one.
fn pace(sent: &[(Instant, Datagram)], advert: &Datagram) -> Duration {
    let like: Vec<Instant> = sent.iter().filter(|(_, other)| other == advert).map(|(at, _)| *at).take(8).collect();
    like.windows(2).filter_map(|pair| Some(pair.last()?.since(*pair.first()?))).min().unwrap_or(Duration::from_secs(1))
}

/// Nanoseconds from `a` to `b`.
fn between(a: Instant, b: Instant) -> i64 {
    i64::try_from(b.as_nanos()).unwrap_or(i64::MAX).saturating_sub(i64::try_from(a.as_nanos()).unwrap_or(i64::MAX))
}

/// What probes say about real servers.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Health {
    listening: bool,
    slow: bool,
    status: u16,
}

const WELL: Health = Health { listening: true, slow: false, status: 200 };

fn servers(directors: &[Director<'_>], network: &Network, steps: &mut Steps) {
    let mut verdicts: Vec<_> = directors.iter().flat_map(|it| &it.runs).flat_map(|life| &life.verdicts).collect();
    verdicts.sort_by_key(|(started, ..)| *started);
    let mut health: BTreeMap<Ipv4Addr, Health> = BTreeMap::new();
    let mut digests = false;
    for (started, address, http, verdict, timeout) in verdicts {
        let IpAddr::V4(ip) = address.ip() else { continue };
        if !network.servers.contains_key(&ip) {
            continue;
        }
        let before = health.get(&ip).copied().unwrap_or(WELL);
        let after = match verdict {
            Verdict::Passed if *http => WELL,
            // A connection says nothing about what is answered.
            Verdict::Passed => Health { listening: true, slow: false, ..before },
            // It tells of the director.
            Verdict::NotAsked(_) => before,
            Verdict::Failed(failure) => match failure.shows() {
                Shown::Absent => Health { listening: false, ..before },
                Shown::Late => Health { slow: true, ..before },
                Shown::Status(status) => Health { status, listening: true, slow: false },
                Shown::Content => {
                    digests = true;
                    before
                }
            },
        };
        if before == after {
            continue;
        }
        health.insert(ip, after);
        let at = *started - Duration::from_millis(1);
        let name = quoted(&server(ip));
        if after == WELL || (after.listening && !before.listening) {
            // It also ends `slow` and `status`.
            steps.add(at, format!("up = {name}"));
        }
        if !after.listening && before.listening {
            steps.add(at, format!("down = {name}"));
        }
        if after.slow && !before.slow {
            let by = quoted(&millis(*timeout + Duration::from_secs(1)));
            steps.add(at, format!("slow = {name}, by = {by}"));
        }
        if after.status != before.status && after.status != 200 {
            steps.add(at, format!("status = {name}, code = {}", after.status));
        }
    }
    if digests {
        steps.left_out.push("pages with another digest: simulated real servers have one page".to_owned());
    }
}

/// What the cluster's files are known to have wrong; they ran all the same.
fn mistakes(directors: &[Director<'_>]) -> String {
    let nodes: Vec<cluster::Node<'_>> = directors
        .iter()
        .filter_map(|director| Some(cluster::Node { name: &director.name, config: director.config()? }))
        .collect();
    let found = cluster::check(&nodes);
    let codes: BTreeSet<&str> = found.iter().filter(|found| found.is_error()).map(|found| found.code).collect();
    if codes.is_empty() {
        return String::new();
    }
    let codes: Vec<String> = codes.into_iter().map(quoted).collect();
    format!("mistakes = [{}]\n", codes.join(", "))
}

/// How it ended: the last role of each virtual router, if it lasted.
fn expectations(directors: &[Director<'_>], end: Instant) -> String {
    let mut text = "\nexpect = [\n".to_owned();
    for director in directors {
        let Some(life) = director.runs.last() else { continue };
        let at = match (life.stopped, life.ended + SILENT < end) {
            (true, _) => life.ended - Duration::from_millis(100),
            (false, true) => continue,
            (false, false) => end + Duration::from_millis(500),
        };
        for (router, roles) in &life.roles {
            let Some((since, role)) = roles.iter().rev().find(|(since, _)| *since < at) else { continue };
            if at.since(*since) >= LASTING {
                let (at, name, router) = (quoted(&millis(at.since_origin())), quoted(&director.name), quoted(router));
                let _ = writeln!(text, "    {{ at = {at}, role = \"{role}\", of = {name}, router = {router} }},");
            }
        }
    }
    text.push_str("]\n");
    text
}

fn names(directors: &[Director<'_>]) -> String {
    directors.iter().map(|director| director.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
