//! What is compared of a case, and how far model and reality may be apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use vipward_core::time::Instant;
use vipward_sim::drill::Row;
use vipward_sim::scenario::{NodeId, NodeKind};
use vipward_sim::trace::Outcome;

/// A time may be off by this share of it in per cent, or by [`APART`], whichever is more.
const SHARE: u32 = 20;

/// See [`SHARE`].
const APART: Duration = Duration::from_millis(300);

/// So many failed requests, or [`SHARE`], may be between the two: what clients ask in [`APART`].
const REQUESTS: u64 = 3;

/// How long before a moment is looked who answers.
const LOOK: Duration = Duration::from_secs(2);

/// What clients would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noticed {
    NothingNoticed,
    Noticed,
    NeverServedAgain,
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NothingNoticed => "not noticed",
            Self::Noticed => "noticed",
            Self::NeverServedAgain => "never served again",
        })
    }
}

/// A time that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    Outage,
    Degraded,
    TwoOwners,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Outage => "outage",
            Self::Degraded => "degraded",
            Self::TwoOwners => "two owners",
        })
    }
}

/// What people notice of one play of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `lb1 → lb2 → lb1`.
    pub owners: String,
    pub verdict: Noticed,
    pub times: BTreeMap<Figure, Duration>,
    pub failed: u64,
    pub asked: u64,
    pub role_changes: usize,
    /// Kept connections that broke.
    pub breaks: usize,
    /// Who answered right before the last step, which mends, and at the end.
    pub served_by: [BTreeSet<String>; 2],
    /// Whom clients, or the router before them, take for the holder of what they ask, at the end.
    pub neighbours: BTreeMap<(String, IpAddr), String>,
}

impl Facts {
    pub fn of(row: &Row) -> Self {
        let scenario = &row.run.scenario;
        let end = Instant::ZERO + scenario.duration;
        let name = |id: &NodeId| scenario.node(*id).name.to_string();
        let verdict = match (row.unserved, row.failed) {
            (true, _) => Noticed::NeverServedAgain,
            (false, 0) => Noticed::NothingNoticed,
            (false, _) => Noticed::Noticed,
        };
        let answered_before = |moment: Instant| {
            let from = Instant::ZERO + moment.since_origin().saturating_sub(LOOK);
            let then = row.run.requests.iter().filter(|request| (from..moment).contains(&request.ended));
            let answered = then.filter_map(|request| match &request.outcome {
                Outcome::Answered { by, status: 200 } => Some(name(by)),
                Outcome::Answered { .. } | Outcome::Refused { .. } | Outcome::TimedOut { .. } => None,
            });
            answered.collect()
        };
        let targets: BTreeSet<IpAddr> = scenario
            .nodes
            .iter()
            .filter_map(|node| match &node.kind {
                NodeKind::Client(client) => Some(client.target.ip()),
                NodeKind::Director(_) | NodeKind::RealServer(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
            })
            .collect();
        let asks = |id: &NodeId| matches!(scenario.node(*id).kind, NodeKind::Client(_) | NodeKind::Router);
        let believed = row.run.neighbours.iter().filter(|((asker, ip), _)| asks(asker) && targets.contains(ip));
        Self {
            owners: row.holders.clone(),
            verdict,
            times: BTreeMap::from([
                (Figure::Outage, row.outage.as_ref().map(|outage| outage.lasted).unwrap_or_default()),
                (Figure::Degraded, row.degraded),
                (Figure::TwoOwners, row.two_owners),
            ]),
            failed: row.failed,
            asked: row.asked,
            role_changes: row.role_changes,
            breaks: row.breaks,
            served_by: [scenario.steps.last().map_or(end, |step| step.at), end].map(answered_before),
            neighbours: believed.map(|((asker, ip), holder)| ((name(asker), *ip), name(holder))).collect(),
        }
    }
}

/// How far a time is outside of what the model says, and whether that is too far.
pub fn deviation(model: &[Facts], real: &Facts, figure: Figure) -> (Duration, bool) {
    let of = |facts: &Facts| facts.times.get(&figure).copied().unwrap_or_default();
    let (real, all) = (of(real), || model.iter().map(of));
    let (Some(least), Some(most)) = (all().min(), all().max()) else { return (real, true) };
    let nearest = real.clamp(least, most);
    let apart = real.abs_diff(nearest);
    (apart, apart > APART.max(nearest * SHARE / 100))
}

/// Where reality contradicts the model, in words; empty if nowhere.
pub fn contradictions(model: &[Facts], real: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    let among = |what: &str, of: &dyn Fn(&Facts) -> String, found: &mut Vec<String>| {
        let said: BTreeSet<String> = model.iter().map(of).collect();
        let is = of(real);
        if !said.contains(&is) {
            let said: Vec<String> = said.into_iter().collect();
            found.push(format!("{what}: {is}; the model says {}", said.join(" or ")));
        }
    };
    among("owners", &|facts| facts.owners.clone(), &mut found);
    among("clients", &|facts| facts.verdict.to_string(), &mut found);
    among("role changes", &|facts| facts.role_changes.to_string(), &mut found);
    among("kept connections that broke", &|facts| facts.breaks.to_string(), &mut found);
    let names = |set: &BTreeSet<String>| {
        let names: Vec<&str> = set.iter().map(String::as_str).collect();
        if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") }
    };
    among("answers before it is mended", &|facts| names(&facts.served_by[0]), &mut found);
    among("answers at the end", &|facts| names(&facts.served_by[1]), &mut found);
    let believes = |facts: &Facts| {
        let each = facts.neighbours.iter().map(|((asker, ip), holder)| format!("{asker}: {ip} is {holder}"));
        each.collect::<Vec<_>>().join(", ")
    };
    among("neighbours", &believes, &mut found);
    for figure in [Figure::Outage, Figure::Degraded, Figure::TwoOwners] {
        if let (apart, true) = deviation(model, real, figure) {
            let of = |facts: &Facts| facts.times.get(&figure).copied().unwrap_or_default();
            let (least, most) = (model.iter().map(of).min(), model.iter().map(of).max());
            found.push(format!(
                "{figure}: {:.2} s, {:.2} s off; the model says {:.2} to {:.2} s",
                of(real).as_secs_f64(),
                apart.as_secs_f64(),
                least.unwrap_or_default().as_secs_f64(),
                most.unwrap_or_default().as_secs_f64()
            ));
        }
    }
    let failed = || model.iter().map(|facts| facts.failed);
    let (least, most) = (failed().min().unwrap_or_default(), failed().max().unwrap_or_default());
    let nearest = real.failed.clamp(least, most);
    if real.failed.abs_diff(nearest) > REQUESTS.max(nearest * u64::from(SHARE) / 100) {
        found.push(format!("failed requests: {}; the model says {least} to {most}", real.failed));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(outage: u64) -> Facts {
        Facts {
            owners: "lb1 → lb2".to_owned(),
            verdict: Noticed::Noticed,
            times: BTreeMap::from([(Figure::Outage, Duration::from_millis(outage))]),
            failed: 3,
            asked: 10,
            role_changes: 2,
            breaks: 1,
            served_by: [BTreeSet::new(), BTreeSet::from(["web1".to_owned()])],
            neighbours: BTreeMap::new(),
        }
    }

    #[test]
    fn a_time_may_be_off_by_a_fifth_or_by_300_ms() {
        let model = [facts(1000), facts(3000)];
        for (real, held) in [(1000, true), (2200, true), (701, true), (699, false), (3600, true), (3601, false)] {
            assert_eq!(contradictions(&model, &facts(real)).is_empty(), held, "{real}");
        }
    }

    #[test]
    fn another_owner_or_verdict_contradicts() {
        let model = [facts(1000)];
        let other = |change: &dyn Fn(&mut Facts)| {
            let mut real = facts(1000);
            change(&mut real);
            contradictions(&model, &real)
        };
        assert_eq!(other(&|_| {}), Vec::<String>::new());
        assert_eq!(other(&|it| it.owners = "lb1".to_owned()), ["owners: lb1; the model says lb1 → lb2"]);
        assert_eq!(other(&|it| it.verdict = Noticed::NeverServedAgain).len(), 1);
        assert_eq!(other(&|it| it.role_changes = 4).len(), 1);
        assert_eq!(other(&|it| it.breaks = 0), ["kept connections that broke: 0; the model says 1"]);
        assert_eq!(other(&|it| it.failed = 6), Vec::<String>::new());
        assert_eq!(other(&|it| it.failed = 7), ["failed requests: 7; the model says 3 to 3"]);
        let said = other(&|it| it.served_by[1].clear());
        assert_eq!(said, ["answers at the end: nobody; the model says web1"]);
    }
}
