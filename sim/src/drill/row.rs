//! What came of one case: a row of the table.

use super::battery::Case;
use super::cost::Cost;
use super::findings::why_nothing_moves;
use super::no_quorum::because;
use super::quorum;
use super::words;
use crate::runner::Run;
use crate::scenario::{Action, NodeId, NodeKind, Step};
use crate::trace::{Outage, What};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use vipward_core::decision::Decision;
use vipward_core::interface::InterfaceName;
use vipward_core::quantity::Role;
use vipward_core::text::Diagnostic;
use vipward_core::time::{Duration, Instant};

/// A row of the table, and the run that it is about.
#[derive(Debug)]
pub struct Row {
    pub fault: String,
    /// When the fault struck.
    pub at: Instant,
    /// Who held the virtual addresses, from the fault on: `lb1 → lb2 → lb1`.
    pub holders: String,
    /// Changes between BACKUP, MASTER and FAULT, from the fault on.
    pub role_changes: usize,
    /// The longest outage that a client saw: no request of it was served.
    pub outage: Option<Longest>,
    /// The longest time in which requests of a client failed, some or all, with less than two seconds between two outages.
    pub degraded: Duration,
    /// A client was not served at the end, when all was mended.
    pub unserved: bool,
    /// How long two directors held one address, from the fault on.
    pub two_owners: Duration,
    /// By the protocol.
    pub cost: Cost,
    pub failed: u64,
    pub asked: u64,
    /// Connections that clients kept open when the fault struck, and how many of them broke.
    pub kept: usize,
    pub breaks: usize,
    /// The names of broken invariants, each once.
    pub broken: Vec<&'static str>,
    /// A service or a link of the holder fails, clients are not served, and nobody takes over: that, with the reason if it is
    /// known.
    pub nobody_takes_over: Option<String>,
    /// See [`Case::fails_on`].
    pub fails_on: Option<NodeId>,
    /// See [`Case::link`].
    pub link: Option<InterfaceName>,
    /// The longest outage was there because nobody could ask the quorum service: that, in words.
    pub no_quorum: Option<String>,
    pub run: Run,
}

/// See [`Row::outage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Longest {
    pub lasted: Duration,
    /// It was over before the case was.
    pub over: bool,
    pub client: String,
    pub cause: String,
}

/// An address that two hold, or nobody, for less than this is being handed over.
const HANDOVER: Duration = Duration::from_secs(1);

impl Row {
    /// What came of a case in this run of it.
    pub fn of(case: &Case, run: Run) -> Self {
        let end = Instant::ZERO + run.scenario.duration;
        let longest = run.outages.iter().max_by_key(|outage| outage.lasted(end));
        let no_quorum = longest.and_then(|outage| no_quorum(&run, outage));
        let outage = longest.map(|outage| Longest {
            lasted: outage.lasted(end),
            over: outage.ended.is_some(),
            client: run.scenario.node(outage.client).name.to_string(),
            cause: no_quorum.clone().unwrap_or_else(|| outage.cause.clone()),
        });
        let degraded = run.troubles.iter().map(|it| it.ended.unwrap_or(end).since(it.began)).max();
        let degraded: Duration = degraded.unwrap_or_default();
        // Where only some real servers were behind a lost link, checkers may have helped in time.
        let helped = case.link.is_some() && degraded <= case.cost.failing;
        let stuck = !helped && nobody_takes_over(case, &run);
        let (kept, breaks) = connections(&run, case.at);
        let broken: BTreeSet<&'static str> = run.violations.iter().map(|violation| violation.invariant).collect();
        Self {
            fault: case.fault.clone(),
            at: case.at,
            holders: holders(&run, case.at),
            role_changes: role_changes(&run, case.at),
            unserved: run.outages.iter().any(|outage| outage.ended.is_none()),
            outage,
            degraded,
            two_owners: two_owners(&run, case.at),
            cost: case.cost,
            failed: run.requests.iter().filter(|request| !request.outcome.good()).count() as u64,
            asked: run.requests.len() as u64,
            kept,
            breaks,
            broken: broken.into_iter().collect(),
            nobody_takes_over: stuck.then(|| "nobody takes over".to_owned()),
            fails_on: case.fails_on,
            link: case.link.clone(),
            no_quorum,
            run,
        }
    }

    /// Adds what the reader knows of the reason.
    pub(super) fn explain(&mut self, known: &[Diagnostic]) {
        let (Some(text), Some(node)) = (&mut self.nobody_takes_over, self.fails_on) else { return };
        let plan = self.run.scenario.node(node);
        let NodeKind::Director(director) = &plan.kind else { return };
        let tracked = |link: &InterfaceName| {
            let routers = director.config.config.iter().flat_map(|config| &config.routers);
            routers.flat_map(|router| router.tracking.interfaces()).any(|interface| interface == link)
        };
        let why = match &self.link {
            Some(link) if !tracked(link) => Some(format!("{link} is not tracked")),
            Some(link) => why_nothing_moves(known, &plan.name, link.as_str()).map(str::to_owned),
            None => {
                let config = director.config.config.iter();
                let processes = config.flat_map(|config| config.processes.values().map(|process| &process.name));
                let mut about = director.tracks.keys().chain(processes);
                about.find_map(|name| why_nothing_moves(known, &plan.name, name)).map(str::to_owned)
            }
        };
        if let Some(why) = why {
            *text = format!("{text}: {why}");
        }
    }

    /// What tells the worst of several plays of one case: broken invariants, an outage that does not end, the longest one,
    /// failed requests, changes of roles.
    pub(super) fn badness(&self) -> (usize, bool, Duration, u64, usize) {
        let lasted = self.outage.as_ref().map(|outage| outage.lasted).unwrap_or_default();
        let broken = self.broken.len() + usize::from(self.nobody_takes_over.is_some());
        (broken, self.unserved, lasted, self.failed, self.role_changes)
    }

    /// What clients and neighbours noticed of it.
    pub fn noticed(&self) -> Noticed {
        if !self.reasons().is_empty() {
            Noticed::Beyond
        } else if self.failed > 0 || self.breaks > 0 || self.two_owners >= TOLD {
            Noticed::ByProtocol
        } else {
            Noticed::Nothing
        }
    }

    /// Why it is more than the protocol must cost, in words; empty if it is not.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.broken.is_empty() {
            reasons.push(format!("broken: {}", words::list(&self.broken)));
        }
        if let Some(why) = &self.nobody_takes_over {
            reasons.push(why.clone());
        }
        if let Some(outage) = self.outage.as_ref().filter(|_| self.unserved) {
            reasons.push(format!("clients are not served at the end: {}", outage.cause));
        } else if self.degraded > self.cost.failing && self.nobody_takes_over.is_none() {
            let (lasted, cost) = (words::seconds(self.degraded), words::seconds(self.cost.failing));
            let bears = quorum::bears_too_little(&self.run.scenario).filter(|_| self.no_quorum.is_some());
            reasons.push(match (bears, self.cost.failing.is_zero()) {
                (Some(bears), _) => format!("requests failed for {lasted}: {bears}"),
                (None, true) => format!("requests failed for {lasted}, and none had to"),
                (None, false) => format!("requests failed for {lasted}; {cost} would do"),
            });
        }
        if self.breaks > 0 && self.cost.failing.is_zero() {
            let causes = self.run.breaks.iter().filter(|it| it.at >= self.at).map(|it| it.cause.as_str());
            reasons.push(format!("a kept connection broke, and none had to: {}", causes.take(1).collect::<String>()));
        }
        if self.two_owners > self.cost.two_owners {
            let (lasted, cost) = (words::seconds(self.two_owners), words::seconds(self.cost.two_owners));
            reasons.push(format!("two owners for {lasted}; {cost} would do"));
        }
        reasons
    }

    /// What a user should know besides, in words: why nobody had an address, where [`Self::reasons`] does not say it.
    pub fn remark(&self) -> Option<&str> {
        self.no_quorum.as_deref().filter(|_| !self.unserved)
    }

    /// Nothing was noticed beyond what the protocol must cost.
    pub fn held(&self) -> bool {
        self.noticed() < Noticed::Beyond
    }
}

/// See [`Row::noticed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noticed {
    /// No request failed, and there was one owner.
    Nothing,
    /// Requests failed, kept connections broke, or there were two owners, no longer than the protocol and the files make it.
    ByProtocol,
    /// More than that.
    Beyond,
}

/// Two owners for less are on a packet's way.
const TOLD: Duration = Duration::from_millis(100);

/// Connections that clients keep, and those that broke when the fault struck or later. Before that a cluster may start.
fn connections(run: &Run, from: Instant) -> (usize, usize) {
    let kept = run.scenario.nodes.iter().map(|node| match &node.kind {
        NodeKind::Client(client) => client.keeps as usize,
        NodeKind::Director(_) | NodeKind::RealServer(_) | NodeKind::Quorum(_) | NodeKind::Router => 0,
    });
    let later = run.breaks.iter().filter(|it| it.at >= from);
    let broke: BTreeSet<(NodeId, u32)> = later.map(|it| (it.client, it.number)).collect();
    (kept.sum(), broke.len())
}

/// The longest that any address had two owners in one go.
fn two_owners(run: &Run, from: Instant) -> Duration {
    let end = Instant::ZERO + run.scenario.duration;
    let mut longest = Duration::ZERO;
    for history in holdings(run).into_values() {
        let ends = history.iter().skip(1).map(|(at, _)| *at).chain([end]);
        let mut since = None;
        for ((at, held), until) in history.iter().zip(ends) {
            since = (held.len() > 1).then(|| since.unwrap_or((*at).max(from)));
            longest = longest.max(since.map(|since| until.since(since)).unwrap_or_default());
        }
    }
    longest
}

/// Whether a service or a link of the holder failed, and neither another director nor anything else helped its clients.
fn nobody_takes_over(case: &Case, run: &Run) -> bool {
    let Some(fails_on) = case.fails_on else { return false };
    let up = |step: &&Step| match &step.action {
        Action::Up(who) => who.node == fails_on,
        Action::Plug { node, .. } => *node == fails_on,
        _ => false,
    };
    let until = run.scenario.steps.iter().rfind(up).map_or(Instant::ZERO + run.scenario.duration, |step| step.at);
    let holdings = holdings(run);
    let keeps = |address: IpAddr| {
        let Some(history) = holdings.get(&address) else { return false };
        let ends = history.iter().skip(1).map(|(at, _)| *at).chain([Instant::ZERO + run.scenario.duration]);
        let meanwhile = history.iter().zip(ends).filter(|((at, _), end)| *end > case.at && *at < until);
        let mut holders = meanwhile.flat_map(|((_, held), _)| held);
        holders.all(|held| *held == fails_on)
    };
    run.requests.iter().any(|request| {
        let NodeKind::Client(client) = &run.scenario.node(request.client).kind else { return false };
        let meanwhile = (case.at..until).contains(&request.started);
        meanwhile && !request.outcome.good() && keeps(client.target.ip())
    })
}

fn no_quorum(run: &Run, outage: &Outage) -> Option<String> {
    quorum::node(&run.scenario)?;
    let NodeKind::Client(client) = &run.scenario.node(outage.client).kind else { return None };
    let address = client.target.ip();
    because(run, outage, address, holdings(run).get(&address)?)
}

fn role_changes(run: &Run, from: Instant) -> usize {
    let later = run.trace.iter().filter(|entry| entry.at >= from);
    later
        .filter(|entry| match &entry.what {
            What::Decided(Decision::RoleChanged { from, to, .. }) => *from != Role::Init && *to != Role::Init,
            _ => false,
        })
        .count()
}

/// Who held each virtual address; addresses with the same story are told once.
fn holders(run: &Run, from: Instant) -> String {
    let end = Instant::ZERO + run.scenario.duration;
    let mut stories: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for (address, history) in holdings(run) {
        let story = story(run, &history, from, end);
        stories.entry(story).or_default().push(address);
    }
    match stories.len() {
        0 => "nobody".to_owned(),
        1 => stories.into_keys().collect(),
        _ => {
            let mut told: Vec<(IpAddr, String)> = Vec::new();
            for (story, addresses) in stories {
                let Some(first) = addresses.first().copied() else { continue };
                let more = match addresses.len() {
                    1 => String::new(),
                    n => format!(" and {} more", n - 1),
                };
                told.push((first, format!("{first}{more}: {story}")));
            }
            told.sort();
            told.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("; ")
        }
    }
}

pub(super) type History = Vec<(Instant, BTreeSet<NodeId>)>;

/// Who held each virtual address from when on.
fn holdings(run: &Run) -> BTreeMap<IpAddr, History> {
    let mut histories: BTreeMap<IpAddr, History> = BTreeMap::new();
    for (_, director) in run.scenario.directors() {
        for router in director.config.config.iter().flat_map(|config| &config.routers) {
            for address in &router.addresses {
                histories.entry(address.address).or_insert_with(|| vec![(Instant::ZERO, BTreeSet::new())]);
            }
        }
    }
    let change = |history: &mut History, at: Instant, change: &dyn Fn(&mut BTreeSet<NodeId>)| {
        let Some((since, now)) = history.last_mut() else { return };
        let mut next = now.clone();
        change(&mut next);
        if *since == at {
            *now = next;
        } else if next != *now {
            history.push((at, next));
        }
    };
    for entry in &run.trace {
        let Some(node) = entry.node else { continue };
        match &entry.what {
            What::AddressAdded(key) => {
                if let Some(history) = histories.get_mut(&key.address) {
                    change(history, entry.at, &|held| _ = held.insert(node));
                }
            }
            What::AddressRemoved(key) | What::AddressExpired(key) => {
                if let Some(history) = histories.get_mut(&key.address) {
                    change(history, entry.at, &|held| _ = held.remove(&node));
                }
            }
            What::KernelForgot => {
                for history in histories.values_mut() {
                    change(history, entry.at, &|held| _ = held.remove(&node));
                }
            }
            // Nothing else moves an address.
            _ => {}
        }
    }
    histories
}

fn story(run: &Run, history: &History, from: Instant, end: Instant) -> String {
    let ends = history.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let mut told: Vec<String> = Vec::new();
    for ((at, held), until) in history.iter().zip(ends) {
        let lasted = until.since((*at).max(from));
        // What was before the fault opens the story; what is at the end closes it.
        let last = until == end;
        if until <= from || (lasted < HANDOVER && !last && held.len() != 1) || (held.is_empty() && !last) {
            continue;
        }
        let names: Vec<&str> = held.iter().map(|id| &*run.scenario.node(*id).name).collect();
        let text = if names.is_empty() { "nobody".to_owned() } else { words::list(&names) };
        if told.last() != Some(&text) {
            told.push(text);
        }
    }
    shorten(&told).join(" → ")
}

/// A story that goes on and on is told from both its ends.
fn shorten(told: &[String]) -> Vec<String> {
    const TOLD: usize = 6;
    match told {
        [first, second, .., last] if told.len() > TOLD => {
            vec![first.clone(), second.clone(), format!("… {} more …", told.len() - 3), last.clone()]
        }
        _ => told.to_vec(),
    }
}
