//! A scenario's expectations, judged on the record of a run.

use crate::runner::Run;
use crate::scenario::{Count, Expect, Expectation, NodeId, NodeKind, Window};
use crate::trace::{Entry, Outcome, What};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use vipward_core::decision::Decision;
use vipward_core::interface::AddressKey;
use vipward_core::ipvs::Table;
use vipward_core::quantity::Role;
use vipward_core::text::Diagnostic;
use vipward_core::time::{Duration, Instant};

/// What did not hold: expectations that failed, at their lines, and invariants that broke though nobody expected it.
pub fn judge(run: &Run) -> Vec<Diagnostic> {
    let mut failures: Vec<Diagnostic> =
        run.scenario.expectations.iter().filter_map(|expectation| fails(run, expectation)).collect();
    let expected: BTreeSet<&str> = run
        .scenario
        .expectations
        .iter()
        .filter_map(|it| match &it.what {
            Expect::Violation { invariant, .. } => Some(&**invariant),
            _ => None,
        })
        .collect();
    for violation in run.violations.iter().filter(|violation| !expected.contains(violation.invariant)) {
        let message = format!("invariant {} broken at {} s: {}", violation.invariant, violation.at, violation.text);
        failures.push(Diagnostic::error("invariant", message));
    }
    failures
}

/// A sentence of what happened instead, at the expectation's line.
fn fails(run: &Run, expectation: &Expectation) -> Option<Diagnostic> {
    let instead = match &expectation.what {
        Expect::Owner { address, owners, window } => owner(run, *address, owners, *window),
        Expect::Role { node, router, role, window } => role_in(run, *node, router.as_deref(), *role, *window),
        Expect::RoleChanges { node, router, count, window } => {
            role_changes(run, *node, router.as_deref(), *count, *window)
        }
        Expect::Destinations { service, node, destinations, window } => {
            destinations_in(run, *node, *service, destinations, *window)
        }
        Expect::LongestOutage { client, most, window } => longest_outage(run, *client, *most, *window),
        Expect::FailedShare { client, most, window } => {
            let (failed, all) = failed(run, *client, *window);
            let too_many = failed.saturating_mul(1000) > u64::from(most.0).saturating_mul(all);
            (too_many || all == 0).then(|| format!("{failed} of {all} requests failed"))
        }
        Expect::ServedBy { client, servers, window } => served_by(run, *client, servers, *window),
        Expect::BrokenConnections { client, count, window } => broken_connections(run, *client, *count, *window),
        Expect::Decision { text, node, window, count } => decision(run, text, *node, *window, *count),
        Expect::Mail { text, node, window, count } => mails(run, text, *node, *window, *count),
        Expect::Violation { invariant, naming } => violation(run, invariant, naming),
        Expect::Diagnostic { code, node } => diagnostic(run, code, *node),
    }?;
    Some(Diagnostic::error("expectation", "this did not hold").at(expectation.span, instead))
}

/// A state that changes at instants, as it was from `window.from` to `window.until`: each value with the moment from
/// which it held.
fn within<T: Clone>(history: &[(Instant, T)], window: Window) -> Vec<(Instant, T)> {
    let before = history.iter().rev().find(|(at, _)| *at <= window.from).map(|(_, state)| (window.from, state.clone()));
    let later = history.iter().filter(|(at, _)| *at > window.from && *at <= window.until).cloned();
    before.into_iter().chain(later).collect()
}

/// Applies `change` to a state at every entry and keeps the state after each instant.
fn history<T: Clone + PartialEq>(
    trace: &[Entry],
    first: T,
    mut change: impl FnMut(&mut T, &Entry),
) -> Vec<(Instant, T)> {
    let mut history = vec![(Instant::ZERO, first)];
    for entry in trace {
        let Some((at, last)) = history.last().cloned() else { break };
        let mut state = last.clone();
        change(&mut state, entry);
        if state == last {
            continue;
        }
        if at == entry.at {
            history.pop();
        }
        history.push((entry.at, state));
    }
    history
}

fn owner(run: &Run, address: IpAddr, owners: &[NodeId], window: Window) -> Option<String> {
    let held = history(&run.trace, BTreeSet::<(NodeId, AddressKey)>::new(), |held, entry| {
        let Some(node) = entry.node else { return };
        match &entry.what {
            What::AddressAdded(key) if key.address == address => {
                held.insert((node, key.clone()));
            }
            What::AddressRemoved(key) | What::AddressExpired(key) => {
                held.remove(&(node, key.clone()));
            }
            What::KernelForgot => held.retain(|(holder, _)| *holder != node),
            _ => {}
        }
    });
    let expected: BTreeSet<NodeId> = owners.iter().copied().collect();
    within(&held, window).into_iter().find_map(|(at, held)| {
        let held: BTreeSet<NodeId> = held.into_iter().map(|(node, _)| node).collect();
        (held != expected).then(|| format!("at {at} s {} held {address}", names(run, held.into_iter())))
    })
}

fn role_in(run: &Run, node: NodeId, router: Option<&str>, role: Role, window: Window) -> Option<String> {
    let roles = history(&run.trace, BTreeMap::<Arc<str>, Role>::new(), |roles, entry| {
        if entry.node != Some(node) {
            return;
        }
        match &entry.what {
            What::Decided(
                Decision::RoleChanged { router: of, to, .. } | Decision::RoleInherited { router: of, role: to, .. },
            ) if router.is_none_or(|it| *it == **of) => {
                roles.insert(of.clone(), *to);
            }
            What::Started | What::Ended { .. } => roles.clear(),
            _ => {}
        }
    });
    within(&roles, window).into_iter().find_map(|(at, roles)| {
        if roles.is_empty() {
            return Some(format!("at {at} s {} had no role", run.scenario.node(node).name));
        }
        let other = roles.into_iter().find(|(_, it)| *it != role);
        other.map(|(router, it)| format!("at {at} s {router} was {it}"))
    })
}

fn role_changes(run: &Run, node: NodeId, router: Option<&str>, count: Count, window: Window) -> Option<String> {
    let changes = entries(run, window).filter(|entry| entry.node == Some(node)).filter(|entry| {
        matches!(&entry.what, What::Decided(Decision::RoleChanged { router: of, .. }) if router.is_none_or(|it| *it == **of))
    });
    outside(changes.count() as u64, count).map(|n| format!("it changed {n} times"))
}

fn broken_connections(run: &Run, client: NodeId, count: Count, window: Window) -> Option<String> {
    let breaks = || run.breaks.iter().filter(|it| it.client == client && it.at >= window.from && it.at <= window.until);
    let times = outside(breaks().count() as u64, count)?;
    let causes = breaks().map(|it| format!("at {} s: {}", it.at, it.cause)).collect::<Vec<_>>().join("; ");
    Some(if causes.is_empty() { "none broke".to_owned() } else { format!("{times} broke: {causes}") })
}

fn destinations_in(
    run: &Run,
    node: NodeId,
    service: SocketAddr,
    expected: &[SocketAddr],
    window: Window,
) -> Option<String> {
    let tables = history(&run.trace, Table::default(), |table, entry| {
        if entry.node != Some(node) {
            return;
        }
        match &entry.what {
            // The kernel took it, so this takes it too.
            What::Ipvs(op) => drop(table.apply(op)),
            What::KernelForgot | What::Ended { relay: true } => *table = Table::default(),
            _ => {}
        }
    });
    within(&tables, window).into_iter().find_map(|(at, table)| {
        let entry = table.services.iter().find(|(key, _)| key.address() == Some(service)).map(|(_, entry)| entry);
        let destinations = entry.into_iter().flat_map(|entry| &entry.destinations);
        let live: Vec<SocketAddr> =
            destinations.filter(|(_, destination)| destination.weight > 0).map(|(address, _)| *address).collect();
        let text = || live.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        (live != expected).then(|| match live.is_empty() {
            true => format!("at {at} s there was none"),
            false => format!("at {at} s there was {}", text()),
        })
    })
}

fn longest_outage(run: &Run, client: NodeId, most: Duration, window: Window) -> Option<String> {
    let end = Instant::ZERO + run.scenario.duration;
    let within = |at: Instant| at >= window.from && at <= window.until;
    let worst = run
        .outages
        .iter()
        .filter(|outage| outage.client == client && within(outage.began))
        .max_by_key(|outage| outage.lasted(end));
    if failed(run, client, window).1 == 0 {
        return Some("the client asked nothing".to_owned());
    }
    worst
        .filter(|outage| outage.lasted(end) > most)
        .map(|outage| format!("{} ms from {} s on: {}", outage.lasted(end).as_millis(), outage.began, outage.cause))
}

/// Failed requests and all, of those that started in the window.
fn failed(run: &Run, client: NodeId, window: Window) -> (u64, u64) {
    let asked = run.requests.iter().filter(|request| request.client == client);
    let asked = asked.filter(|request| request.started >= window.from && request.started <= window.until);
    asked.fold((0, 0), |(failed, all), request| (failed + u64::from(!request.outcome.good()), all + 1))
}

fn served_by(run: &Run, client: NodeId, servers: &[NodeId], window: Window) -> Option<String> {
    let requests = run.requests.iter().filter(|request| {
        request.client == client && request.started >= window.from && request.started <= window.until
    });
    let served: BTreeSet<NodeId> = requests
        .filter_map(|request| match request.outcome {
            Outcome::Answered { by, .. } => Some(by),
            Outcome::Refused { .. } | Outcome::TimedOut { .. } => None,
        })
        .collect();
    let expected: BTreeSet<NodeId> = servers.iter().copied().collect();
    (served != expected).then(|| format!("{} answered", names(run, served.into_iter())))
}

fn decision(run: &Run, text: &str, node: Option<NodeId>, window: Window, count: Count) -> Option<String> {
    let said = entries(run, window).filter(|entry| node.is_none() || entry.node == node);
    let said = said.filter(|entry| matches!(&entry.what, What::Decided(it) if it.to_string().contains(text)));
    outside(said.count() as u64, count).map(|n| match n {
        0 => "no decision says so".to_owned(),
        1 => "one decision says so".to_owned(),
        n => format!("{n} decisions say so"),
    })
}

fn mails(run: &Run, text: &str, node: Option<NodeId>, window: Window, count: Count) -> Option<String> {
    let all = entries(run, window).filter(|entry| node.is_none() || entry.node == node);
    let with = all.filter(|entry| matches!(&entry.what, What::Delivered { subject } if subject.contains(text)));
    outside(with.count() as u64, count).map(|n| format!("{n} such mails were delivered"))
}

fn violation(run: &Run, invariant: &str, naming: &[String]) -> Option<String> {
    let broken: Vec<&str> =
        run.violations.iter().filter(|it| it.invariant == invariant).map(|it| it.text.as_str()).collect();
    if broken.is_empty() {
        return Some("it was never broken".to_owned());
    }
    let unnamed = broken.iter().find(|text| !naming.iter().all(|name| text.contains(name.as_str())));
    unnamed.map(|text| format!("it was broken otherwise: {text}"))
}

fn diagnostic(run: &Run, code: &str, node: Option<NodeId>) -> Option<String> {
    let codes = match node.map(|node| &run.scenario.node(node).kind) {
        Some(NodeKind::Director(director)) => &director.config.codes,
        Some(NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router) | None => {
            &run.scenario.codes
        }
    };
    let codes: BTreeSet<&str> = codes.iter().map(String::as_str).collect();
    (!codes.contains(code)).then(|| match codes.is_empty() {
        true => "the reader says nothing".to_owned(),
        false => format!("the reader says {}", codes.into_iter().collect::<Vec<_>>().join(", ")),
    })
}

fn entries(run: &Run, window: Window) -> impl Iterator<Item = &Entry> {
    run.trace.iter().filter(move |entry| entry.at >= window.from && entry.at <= window.until)
}

fn outside(n: u64, count: Count) -> Option<u64> {
    (n < count.least || n > count.most).then_some(n)
}

fn names(run: &Run, nodes: impl Iterator<Item = NodeId>) -> String {
    let names: Vec<String> = nodes.map(|id| run.scenario.node(id).name.to_string()).collect();
    match names[..] {
        [] => "nobody".to_owned(),
        _ => names.join(" and "),
    }
}
