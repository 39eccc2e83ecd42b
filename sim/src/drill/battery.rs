//! The standard battery: what is done to every cluster, each fault by itself, each as an ordinary scenario.

use super::cost::Cost;
use super::pace::{CALM, LONGEST, Pace};
use super::quorum::{self, LATE, LEADER_FROZEN};
use super::topology::Topology;
use super::words;
use crate::scenario::*;
use crate::world::neighbours::LONGEST_BELIEF;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vipward_core::check::{Answer, ProbeKind};
use vipward_core::config::{RealServer, TrackerId, VrrpScript};
use vipward_core::interface::InterfaceName;
use vipward_core::time::{Duration, Instant};

/// One fault, by itself.
#[derive(Clone, Debug)]
pub struct Case {
    /// In the user's words: `lb1 loses power`.
    pub fault: String,
    /// When it strikes.
    pub at: Instant,
    pub scenario: Arc<Scenario>,
    /// What it costs clients by the protocol alone.
    pub cost: Cost,
    /// The same with the last step a part of an advert interval later: what counts is the worst.
    pub later: Vec<Arc<Scenario>>,
    /// The director whose service fails, which its scripts are to see, or which loses a link: another one has to take over.
    pub fails_on: Option<NodeId>,
    /// The interface of that director that loses its link, and nothing else fails.
    pub link: Option<InterfaceName>,
}

/// At so many points of the advert interval a network heals: who hears whom first depends on it.
const PHASES: u32 = 4;

/// Real servers that are drilled one by one.
pub(super) const MOST_SERVERS: usize = 8;

/// Orders in which a cluster is started: all of three directors, the first of four and more.
const MOST_ORDERS: usize = 6;

/// How long a packet loss lasts, at least.
const LOSSY: Duration = Duration::from_secs(30);

/// A reboot is shorter than a takeover only in dreams; a restart of the daemon takes about this long.
const RESTART: Duration = Duration::from_secs(1);

/// What a file holds, or minus this, to take a priority as far as it goes without FAULT where its weight is 1.
const FILE: i64 = 253;

/// Requests of one client in one case, about: long cases ask less often.
const REQUESTS: u32 = 3000;

/// Every case, in the order of the table.
pub(super) fn battery(topology: &Topology) -> Vec<Case> {
    let base = &topology.scenario;
    let configs: Vec<_> = base.directors().filter_map(|(_, director)| director.config.config.as_deref()).collect();
    let battery = Battery { base, pace: Pace::of(&configs) };
    let mut cases = vec![battery.nothing()];
    for (id, _) in base.directors() {
        battery.director(id, &mut cases);
        battery.links(id, &mut cases);
        battery.scripts(id, &mut cases);
        battery.services(id, &mut cases);
        battery.files(id, &mut cases);
        battery.processes(id, &mut cases);
    }
    battery.network(&mut cases);
    battery.without_garp(&mut cases);
    if let Some(id) = quorum::node(base) {
        battery.quorum(id, &mut cases);
    }
    for id in topology.servers.iter().take(MOST_SERVERS) {
        battery.server(*id, &mut cases);
    }
    if topology.servers.len() > 1 {
        battery.all_servers(&topology.servers, &mut cases);
    }
    battery.cold_starts(&mut cases);
    cases
}

struct Battery<'a> {
    base: &'a Scenario,
    pace: Pace,
}

/// A step, and how long after the one before it.
type Then = (Duration, Vec<Action>);

impl Battery<'_> {
    /// A case from its steps, the first of which strikes once all is calm, and the rest after the last.
    fn case(&self, fault: String, steps: Vec<Then>, rest: Duration) -> Case {
        let at = Instant::ZERO + self.pace.settle + CALM;
        let mut when = at;
        let mut scripted = Vec::new();
        for (after, actions) in steps {
            when = when + after;
            scripted.extend(actions.into_iter().map(|action| Step { at: when, action, span: Default::default() }));
        }
        let duration = (when + rest).since_origin();
        self.finish(fault, at, scripted, duration, self.pace.settle)
    }

    /// `asks_from`: when clients begin.
    fn finish(&self, fault: String, at: Instant, steps: Vec<Step>, duration: Duration, asks_from: Duration) -> Case {
        // Whole milliseconds, as clients need them.
        let every = (duration / REQUESTS).max(Duration::from_millis(100));
        let every = Duration::from_millis(u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
        let from = Duration::from_millis(u64::try_from(asks_from.as_millis()).unwrap_or(u64::MAX));
        let mut scenario = Scenario { name: slug(&fault), title: fault.clone(), duration, steps, ..self.base.clone() };
        for node in &mut scenario.nodes {
            if let NodeKind::Client(client) = &mut node.kind {
                (client.from, client.every) = (from, every);
            }
        }
        let cost = Cost::of(&scenario, &self.pace);
        Case { fault, at, scenario: Arc::new(scenario), cost, later: Vec::new(), fails_on: None, link: None }
    }

    /// [`Self::case`] at every phase of the advert interval.
    fn phased(&self, fault: &str, steps: &[Then], rest: Duration) -> Case {
        self.phased_by(self.pace.interval, fault, steps, rest)
    }

    /// The same with the phases of another interval.
    fn phased_by(&self, interval: Duration, fault: &str, steps: &[Then], rest: Duration) -> Case {
        let mut phases = (0..PHASES).map(|phase| {
            let mut steps = steps.to_vec();
            if let Some((after, _)) = steps.last_mut() {
                *after += interval.min(LONGEST) * phase / PHASES;
            }
            self.case(fault.to_owned(), steps, rest)
        });
        let first = phases.next().unwrap_or_else(|| self.case(fault.to_owned(), steps.to_vec(), rest));
        Case { later: phases.map(|case| case.scenario).collect(), ..first }
    }

    fn name(&self, id: NodeId) -> &str {
        &self.base.node(id).name
    }

    fn nothing(&self) -> Case {
        self.case("nothing happens".to_owned(), Vec::new(), self.pace.takeover * 2 + CALM)
    }

    fn director(&self, id: NodeId, cases: &mut Vec<Case>) {
        let name = self.name(id).to_owned();
        let (node, any) = (Party::Node(id), Party::Any);
        let cut = |from, to, both| Action::Impair { from, to, both, impairment: Impairment::Cut };
        let whole = || vec![Action::Heal(Heal::Node(id))];
        let away = self.pace.away();
        let mut add = |what: &str, first: Action, last: Vec<Action>, away: Duration| {
            let heals = last.iter().any(|action| matches!(action, Action::Heal(_)));
            let steps = vec![(Duration::ZERO, vec![first]), (away, last)];
            let fault = format!("{name} {what}");
            cases.push(match heals {
                true => self.phased(&fault, &steps, self.pace.way_back),
                false => self.case(fault, steps, self.pace.way_back),
            });
        };
        add("is killed (SIGKILL)", Action::Kill(id), vec![Action::Start(id)], away);
        add("loses power", Action::PowerOff(id), vec![Action::Start(id)], away);
        add("is stopped in order", Action::Stop(id), vec![Action::Start(id)], away);
        add("is restarted", Action::Stop(id), vec![Action::Start(id)], RESTART);
        add("freezes", Action::Freeze(id), vec![Action::Resume(id)], away);
        add("is cut off, both ways", cut(node, any, true), whole(), away);
        add("can't send", cut(node, any, false), whole(), away);
        add("can't hear", cut(any, node, false), whole(), away);
    }

    /// Each interface. With a single one this is no cut: the director knows that it can't serve, so nobody takes it for a
    /// MASTER meanwhile, and with `nopreempt` it does not get its addresses back.
    fn links(&self, id: NodeId, cases: &mut Vec<Case>) {
        let away = self.pace.away();
        let interfaces: BTreeSet<&InterfaceName> =
            self.base.node(id).ports.iter().map(|port| &port.interface).collect();
        for interface in interfaces {
            let port = || Some(interface.clone());
            let unplug = Action::Unplug { node: id, interface: port() };
            let plug = Action::Plug { node: id, interface: port() };
            let fault = format!("{} loses the link of {interface}", self.name(id));
            let steps = vec![(Duration::ZERO, vec![unplug]), (away, vec![plug])];
            // Afterwards its checkers have to see the real servers again.
            let case = self.case(fault, steps, self.pace.way_back.max(self.pace.notice));
            cases.push(Case { fails_on: Some(id), link: port(), ..case });
        }
    }

    /// Each tracked script.
    fn scripts(&self, id: NodeId, cases: &mut Vec<Case>) {
        let NodeKind::Director(plan) = &self.base.node(id).kind else { return };
        let Some(config) = &plan.config.config else { return };
        let tracked: BTreeSet<_> = config.routers.iter().flat_map(|router| router.tracking.scripts()).collect();
        let away = self.pace.away();
        for script in config.scripts.values().filter(|script| tracked.contains(&script.name)) {
            let exits = |exits| vec![Action::Script { script: script.name.clone(), node: id, exits }];
            let away = away.saturating_add(seen_by(script)).min(LONGEST);
            let steps = vec![(Duration::ZERO, exits(1)), (away, exits(0))];
            let fault = format!("{} has script {} fail", self.name(id), script.name);
            cases.push(self.case(fault, steps, self.pace.way_back));
        }
    }

    /// Each service that tracked scripts check, or that a tracked process is.
    fn services(&self, id: NodeId, cases: &mut Vec<Case>) {
        let NodeKind::Director(plan) = &self.base.node(id).kind else { return };
        // For each: the time after which every script has seen it, and the longest interval of one.
        let mut services: BTreeMap<u16, (Duration, Duration)> = BTreeMap::new();
        for (name, checks) in &plan.tracks {
            let script = plan.config.config.as_ref().and_then(|config| config.scripts.get(name));
            let (seen, interval) = services.entry(checks.port).or_default();
            if let Some(script) = script {
                (*seen, *interval) = (seen_by(script).max(*seen), script.interval.max(*interval));
            }
        }
        for process in plan.config.config.iter().flat_map(|config| config.tracked_processes()) {
            if let Some(port) = serves(&process.pattern, &plan.listens) {
                let (seen, _) = services.entry(port).or_default();
                // A process is seen at once: what flaps has to stay away until somebody could take over.
                let delay = process.fork_delay.max(process.terminate_delay);
                *seen = delay.saturating_add(self.pace.takeover).max(*seen);
            }
        }
        for (port, (seen, interval)) in services {
            let interval = interval.max(self.pace.interval);
            let who = Listener { node: id, port: Some(port) };
            let away = self.pace.away().saturating_add(seen).min(LONGEST);
            let rest = self.pace.way_back.saturating_add(seen).min(LONGEST);
            let name = format!("{}'s service on port {port}", self.name(id));
            let down = || vec![Action::Down(who)];
            let up = || vec![Action::Up(who)];
            let dead = [(Duration::ZERO, down())];
            let dies = self.phased_by(interval, &format!("{name} dies"), &dead, away.saturating_add(rest));
            let back = [(Duration::ZERO, down()), (away, up())];
            let recovers = self.phased_by(interval, &format!("{name} dies and recovers"), &back, rest);
            // Slow enough that the scripts see each change.
            let (every, times) = (seen.saturating_add(Duration::from_secs(1)).min(LONGEST / 6), 3);
            let flaps = [(Duration::ZERO, vec![Action::Flap { who, every, times }]), (every * (2 * times), up())];
            let flaps = self.phased_by(interval, &format!("{name} flaps"), &flaps, rest);
            cases.extend([dies, recovers, flaps].map(|case| Case { fails_on: Some(id), ..case }));
        }
    }

    /// Each tracked file: the number whose weight takes most.
    fn files(&self, id: NodeId, cases: &mut Vec<Case>) {
        let NodeKind::Director(plan) = &self.base.node(id).kind else { return };
        let Some(config) = &plan.config.config else { return };
        for file in config.watched_files() {
            let weights = config.routers.iter().flat_map(|router| &router.tracking.list);
            let weights = weights.filter(|it| it.what == TrackerId::File(file.name.clone()));
            let Some(weight) = weights.map(|it| it.weight).min() else { continue };
            let fails = match (weight.weight, weight.reverse) {
                // It fails from the beginning, where files hold 0.
                (0, true) => continue,
                (0, false) => 1,
                (points, reverse) => {
                    if (points > 0) == reverse {
                        FILE
                    } else {
                        -FILE
                    }
                }
            };
            let holds = |holds| vec![Action::File { file: file.name.clone(), node: id, holds }];
            let steps = vec![(Duration::ZERO, holds(fails)), (self.pace.away(), holds(0))];
            let fault = format!("{} has {fails} in track_file {}", self.name(id), file.name);
            cases.push(self.case(fault, steps, self.pace.way_back));
        }
    }

    /// Each tracked process: it ends, and begins again; one of which none may run begins, and ends.
    fn processes(&self, id: NodeId, cases: &mut Vec<Case>) {
        let NodeKind::Director(plan) = &self.base.node(id).kind else { return };
        let Some(config) = &plan.config.config else { return };
        for process in config.tracked_processes() {
            let Some(enough) = process.enough() else { continue };
            let (fails, what) = match enough {
                0 => (1, "begin"),
                _ => (0, "end"),
            };
            let runs = |runs| vec![Action::Process { process: process.name.clone(), node: id, runs }];
            let seen = process.fork_delay.max(process.terminate_delay);
            let away = self.pace.away().saturating_add(seen).min(LONGEST);
            let rest = self.pace.way_back.saturating_add(seen).min(LONGEST);
            let fault = format!("{} has process {} {what}", self.name(id), process.name);
            cases.push(self.case(fault, vec![(Duration::ZERO, runs(fails)), (away, runs(enough))], rest));
        }
    }

    /// The director that is MASTER dies, and the switch drops gratuitous ARP, as some do that inspect it. Nobody starts it
    /// again meanwhile: it would cost the same once more.
    fn without_garp(&self, cases: &mut Vec<Case>) {
        let priority = |plan: &DirectorPlan| {
            let routers = plan.config.config.iter().flat_map(|config| &config.routers);
            routers.map(|router| router.priority.get()).max()
        };
        let directors: Vec<_> = self.base.directors().map(|(id, plan)| (priority(plan), id)).collect();
        let first = directors.iter().rev().max_by_key(|(priority, _)| *priority);
        let Some((Some(_), id)) = first.filter(|_| directors.len() > 1) else { return };
        let segments = (0..self.base.segments.len()).map(|at| Action::DropGarp(SegmentId(at)));
        let strikes = segments.chain([Action::PowerOff(*id)]).collect();
        let fault = format!("{} loses power, and no gratuitous ARP arrives", self.name(*id));
        let leases = self.pace.leases.map_or(Duration::ZERO, |leases| leases.session);
        let rest = self.pace.takeover.saturating_add(leases).saturating_add(LONGEST_BELIEF).saturating_add(CALM * 2);
        cases.push(self.case(fault, vec![(Duration::ZERO, strikes)], rest));
    }

    fn network(&self, cases: &mut Vec<Case>) {
        let directors: Vec<NodeId> = self.base.directors().map(|(id, _)| id).collect();
        let mut deaf = Vec::new();
        for (at, a) in directors.iter().enumerate() {
            for b in directors.iter().skip(at + 1) {
                let (from, to) = (Party::Node(*a), Party::Node(*b));
                deaf.push(Action::Impair { from, to, both: true, impairment: Impairment::Cut });
            }
        }
        let whole = || vec![Action::Heal(Heal::All)];
        let away = self.pace.away();
        let steps = vec![(Duration::ZERO, deaf), (away, whole())];
        cases.push(self.phased("the directors can't hear each other", &steps, self.pace.way_back));
        for share in [Share(100), Share(300)] {
            let lossy =
                Action::Impair { from: Party::Any, to: Party::Any, both: false, impairment: Impairment::Lose(share) };
            let steps = vec![(Duration::ZERO, vec![lossy]), (LOSSY.max(self.pace.takeover * 4), whole())];
            cases.push(self.case(format!("{share} of all packets are lost"), steps, self.pace.way_back));
        }
    }

    /// The quorum service, whole and as each director that takes part sees it.
    fn quorum(&self, service: NodeId, cases: &mut Vec<Case>) {
        let name = self.name(service);
        let frozen = Action::LeaderChange { node: service, lasts: LEADER_FROZEN };
        let rest = LEADER_FROZEN + self.pace.way_back;
        cases.push(self.case(format!("{name}'s leader freezes"), vec![(Duration::ZERO, vec![frozen])], rest));
        let away = self.pace.away();
        let gone = [(Duration::ZERO, vec![Action::Freeze(service)]), (away, vec![Action::Resume(service)])];
        cases.push(self.phased(&format!("{name} answers nobody"), &gone, self.pace.way_back));
        let coordinates = |plan: &DirectorPlan| plan.config.config.iter().any(|config| config.coordination.is_some());
        for (id, _) in self.base.directors().filter(|(_, plan)| coordinates(plan)) {
            let director = self.name(id);
            let (from, to) = (Party::Node(id), Party::Node(service));
            let cut = Action::Impair { from, to, both: true, impairment: Impairment::Cut };
            let heal = Action::Heal(Heal::Between(id, service));
            let steps = [(Duration::ZERO, vec![cut]), (away, vec![heal])];
            cases.push(self.phased(&format!("{director} can't reach {name}"), &steps, self.pace.way_back));
            let dies = vec![(Duration::ZERO, vec![Action::ServerDies(id)])];
            cases.push(self.case(format!("{director}'s server of {name} dies"), dies, self.pace.way_back));
        }
    }

    fn server(&self, id: NodeId, cases: &mut Vec<Case>) {
        let name = self.name(id).to_owned();
        let wait = self.pace.notice;
        let mut add = |what: &str, action: Action, during: Duration| {
            let steps = vec![(Duration::ZERO, vec![action]), (during, vec![Action::Up(id.into())])];
            cases.push(self.case(format!("{name} {what}"), steps, wait));
        };
        add("is dead", Action::Down(id.into()), wait);
        // Slow enough that some probes meet it down and some meet it up.
        let every = (wait / 8).clamp(Duration::from_secs(1), Duration::from_secs(30));
        let times = 4;
        add("flaps", Action::Flap { who: id.into(), every, times }, every * (2 * times));
        let own: Vec<&RealServer> = self.configured(id);
        let patience = own.iter().flat_map(|server| &server.checkers).map(|checker| checker.connect_timeout).max();
        let by = patience
            .unwrap_or(Duration::from_secs(5))
            .saturating_add(Duration::from_secs(1))
            .min(Duration::from_secs(60));
        add(&format!("answers {} late", words::seconds(by)), Action::Slow { who: id.into(), by }, wait);
        let code = wrong_status(&own);
        add(&format!("answers with status {code}"), Action::Status { who: id.into(), code }, wait);
    }

    /// Every `real_server` that means this node.
    fn configured(&self, id: NodeId) -> Vec<&RealServer> {
        let here = |server: &&RealServer| {
            self.base.node(id).ports.iter().any(|port| port.address.is_some_and(|(own, _)| own == server.address.ip()))
        };
        let configs = self.base.directors().filter_map(|(_, director)| director.config.config.as_deref());
        configs.flat_map(|config| &config.services).flat_map(|service| &service.real_servers).filter(here).collect()
    }

    fn all_servers(&self, servers: &[NodeId], cases: &mut Vec<Case>) {
        let each = |action: fn(Listener) -> Action| servers.iter().map(|id| action((*id).into())).collect::<Vec<_>>();
        let wait = self.pace.notice;
        let steps = vec![(Duration::ZERO, each(Action::Down)), (wait, each(Action::Up))];
        cases.push(self.case("all real servers are dead".to_owned(), steps, wait));
    }

    /// The whole cluster from dark, in each order, and all at once. Clients ask from the first start on.
    fn cold_starts(&self, cases: &mut Vec<Case>) {
        let directors: Vec<NodeId> = self.base.directors().map(|(id, _)| id).collect();
        let dark = {
            let mut dark = self.base.clone();
            for node in &mut dark.nodes {
                if let NodeKind::Director(director) = &mut node.kind {
                    director.starts = false;
                }
            }
            dark
        };
        let cold = Battery { base: &dark, pace: self.pace };
        let first = Duration::from_secs(1);
        let mut add = |fault: String, order: &[NodeId], gap: Duration| {
            let starts = (0_u32..).zip(order).map(|(at, id)| Step {
                at: Instant::ZERO + first + gap * at,
                action: Action::Start(*id),
                span: Default::default(),
            });
            let steps: Vec<Step> = starts.collect();
            let last = steps.last().map_or(first, |step| step.at.since_origin());
            let duration = last + self.pace.settle + self.pace.way_back;
            cases.push(cold.finish(fault, Instant::ZERO + first, steps, duration, first));
        };
        add("cold start, all at once".to_owned(), &directors, Duration::ZERO);
        for order in orders(&directors).into_iter().take(MOST_ORDERS) {
            let names: Vec<&str> = order.iter().map(|id| self.name(*id)).collect();
            add(format!("cold start: {}", names.join(", then ")), &order, self.pace.settle);
        }
        if let Some(service) = quorum::node(self.base) {
            cases.push(cold.without_service(service, &directors, first));
        }
    }

    /// All directors at once, from dark, while the quorum service comes later.
    fn without_service(&self, service: NodeId, directors: &[NodeId], first: Duration) -> Case {
        let at = Instant::ZERO + first;
        let step = |at: Instant, action: Action| Step { at, action, span: Default::default() };
        let mut steps = vec![step(at, Action::Freeze(service))];
        steps.extend(directors.iter().map(|id| step(at, Action::Start(*id))));
        steps.push(step(at + LATE, Action::Resume(service)));
        let fault = format!("cold start, {} {} later", self.name(service), words::seconds(LATE));
        let duration = first + LATE + self.pace.settle + self.pace.way_back;
        self.finish(fault, at, steps, duration, first)
    }
}

/// Until a tracked script has said for certain that something is down, or up again.
fn seen_by(script: &VrrpScript) -> Duration {
    script.interval.saturating_mul(script.rise.max(script.fall)).saturating_add(script.timeout)
}

/// Every order of the directors, the given one first.
fn orders(directors: &[NodeId]) -> Vec<Vec<NodeId>> {
    let Some((first, rest)) = directors.split_first() else { return vec![Vec::new()] };
    // Longer lists are cut by the caller anyway; what is built here stays small.
    let rest: Vec<Vec<NodeId>> = orders(rest).into_iter().take(MOST_ORDERS).collect();
    let places = 0..directors.len();
    places
        .flat_map(|place| {
            rest.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place.min(order.len()), *first);
                order
            })
        })
        .collect()
}

/// A status that no checker of the server takes for good; 503 says "not now" to clients as well.
fn wrong_status(servers: &[&RealServer]) -> u16 {
    let accepted = |code: u16| {
        let checkers = servers.iter().flat_map(|server| &server.checkers);
        let mut asked = checkers.flat_map(|checker| checker.kind.attempts()).filter(ProbeKind::asks);
        asked.any(|attempt| attempt.judge(Answer::Status(code)).is_ok())
    };
    [503, 500, 502].into_iter().find(|code| !accepted(*code)).unwrap_or(503)
}

/// `lb1-loses-power`.
fn slug(text: &str) -> String {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_')).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_of_three_is_there_once() {
        let ids = [0, 1, 2].map(NodeId);
        let mut all = orders(&ids);
        assert_eq!(all[0], ids);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
        assert!(orders(&(0..40).map(NodeId).collect::<Vec<_>>()).len() < 1000, "bounded, however many there are");
    }

    #[test]
    fn names_of_cases_are_names_of_files() {
        assert_eq!(slug("lb1 is killed (SIGKILL)"), "lb1-is-killed-sigkill");
        assert_eq!(slug("10 % of all packets are lost"), "10-of-all-packets-are-lost");
    }
}
