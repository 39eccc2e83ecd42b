//! Findings that only arithmetic shows: what the failures that the nodes of a cluster track do to each virtual router,
//! counted out by the rules of the election.
//!
//! A virtual router becomes a [`situation::Situation`], which is nothing but numbers; [`claims`] says what is wrong with
//! those, [`mend`] which number is right, and [`text`] says it of the lines of the files. Virtual routers in the same
//! situation are counted out once, and what has one cause is one finding.

mod claims;
mod mend;
mod situation;
mod text;

use super::cluster::{Member, Node};
use super::model::{TrackWeight, Tracked, TrackerId};
use crate::lease::Mode;
use crate::text::Diagnostic;
use claims::Claim;
use mend::Mend;
use situation::{Numbers, Situation, Weight};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Instead of a node's number.
const EVERY_NODE: usize = usize::MAX;

/// What has been found so far of one cluster.
pub(super) struct Arithmetic<'a> {
    nodes: &'a [Node<'a>],
    known: BTreeMap<Arc<Situation>, Arc<[Claim]>>,
    found: BTreeMap<Cause, Cases<'a>>,
    routers: usize,
}

/// What makes several claims one finding. Warnings stand before infos.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    MovesNothing(TrackerId, TrackWeight),
    NoPreempt,
    NeedsOthers,
    MovesForNothing(TrackerId),
    HealthyWaits,
    NobodyLeft,
    LeftOut,
}

/// One claim about one virtual router.
struct Case<'a> {
    members: Vec<Member<'a>>,
    situation: Arc<Situation>,
    claim: Claim,
}

/// All claims with one cause.
struct Cases<'a> {
    /// The one that is shown.
    shown: Case<'a>,
    /// The virtual routers, by number and name.
    routers: BTreeMap<usize, Arc<str>>,
    shown_router: usize,
    /// All trackers that this is said of, each with its node.
    trackers: BTreeSet<(usize, TrackerId)>,
}

impl<'a> Arithmetic<'a> {
    pub(super) fn new(nodes: &'a [Node<'a>]) -> Self {
        Self { nodes, known: BTreeMap::new(), found: BTreeMap::new(), routers: 0 }
    }

    /// Looks at one virtual router on its nodes, which hear each other.
    pub(super) fn look_at(&mut self, members: &[Member<'a>]) {
        self.routers += 1;
        let mut members = members.to_vec();
        members.sort_by_key(|member| member.index);
        let nodes: BTreeSet<usize> = members.iter().map(|member| member.index).collect();
        let tracks = members.iter().any(|member| !member.router.tracking.list.is_empty());
        if !tracks || nodes.len() != members.len() || members.iter().any(|member| !self.counts(member)) {
            return;
        }
        let situation = Arc::new(situation(&members));
        let known = self.known.entry(situation.clone());
        let claims = known.or_insert_with_key(|situation| claims::claims(situation).into()).clone();
        for claim in claims.iter() {
            self.add(Case { members: members.clone(), situation: situation.clone(), claim: claim.clone() });
        }
    }

    /// Whether adverts elect it, and what it says about weights was understood.
    fn counts(&self, member: &Member<'_>) -> bool {
        let Some(node) = self.nodes.get(member.index) else { return false };
        let part = node.config.coordination.as_ref().and_then(|it| it.routers.get(&member.router.name));
        let elected = part.is_some_and(|part| part.mode == Mode::Elect);
        let sound = |word: &str| member.router.places.sound(word);
        let mut scripts = member.router.tracking.scripts().filter_map(|name| node.config.scripts.get(name));
        let mut processes = member.router.tracking.processes().filter_map(|name| node.config.processes.get(name));
        // Which numbers a file will hold, nobody knows.
        let any_number = |tracked: &Tracked| matches!(tracked.what, TrackerId::File(_)) && tracked.weight.weight != 0;
        !elected
            && !member.router.tracking.list.iter().any(any_number)
            && ["priority", "track_script", "track_interface", "track_file", "track_process"].into_iter().all(sound)
            && scripts.all(|script| script.places.sound("weight"))
            && processes.all(|process| process.places.sound("weight"))
    }

    fn add(&mut self, case: Case<'a>) {
        let router = self.routers;
        let Some(name) = case.members.first().map(|member| member.router.name.clone()) else { return };
        let trackers = case.trackers();
        let Some(cause) = case.cause() else { return };
        match self.found.get_mut(&cause) {
            None => {
                let routers = BTreeMap::from([(router, name)]);
                self.found.insert(cause, Cases { shown: case, routers, shown_router: router, trackers });
            }
            Some(cases) => {
                cases.routers.insert(router, name);
                cases.trackers.extend(trackers);
                // What mends the worst mends all.
                if case.size() > cases.shown.size() {
                    (cases.shown, cases.shown_router) = (case, router);
                }
            }
        }
    }

    pub(super) fn findings(self) -> Vec<Diagnostic> {
        self.found.into_values().map(|cases| text::finding(self.nodes, &cases)).collect()
    }
}

fn situation(members: &[Member<'_>]) -> Situation {
    let mut numbers: BTreeMap<&TrackerId, usize> = BTreeMap::new();
    let mut nodes = Vec::new();
    for member in members {
        let mut trackers = Vec::new();
        for tracked in &member.router.tracking.list {
            let next = numbers.len();
            let what = *numbers.entry(&tracked.what).or_insert(next);
            trackers.push(Weight { what, weight: tracked.weight });
        }
        nodes.push(Numbers::of(member.router, trackers));
    }
    Situation { nodes }
}

impl<'a> Case<'a> {
    fn member(&self, node: usize) -> Option<&Member<'a>> {
        self.members.get(node)
    }

    fn tracked(&self, node: usize, tracker: usize) -> Option<&'a Tracked> {
        self.member(node)?.router.tracking.list.get(tracker)
    }

    fn cause(&self) -> Option<Cause> {
        Some(match &self.claim {
            Claim::MovesNothing { node, tracker, .. } => {
                let tracked = self.tracked(*node, *tracker)?;
                Cause::MovesNothing(tracked.what.clone(), tracked.weight)
            }
            Claim::NoPreempt { .. } => Cause::NoPreempt,
            Claim::NeedsOthers { .. } => Cause::NeedsOthers,
            Claim::MovesForNothing { from, what, .. } => {
                let place = self.situation.nodes.get(*from)?.place_of(*what)?;
                Cause::MovesForNothing(self.tracked(*from, place)?.what.clone())
            }
            Claim::HealthyWaits { .. } => Cause::HealthyWaits,
            Claim::NobodyLeft { .. } => Cause::NobodyLeft,
            Claim::LeftOut { .. } => Cause::LeftOut,
        })
    }

    /// The tracker that a claim about one is about, with its node's number in the cluster; [`EVERY_NODE`].
    fn trackers(&self) -> BTreeSet<(usize, TrackerId)> {
        let one = match &self.claim {
            Claim::NobodyLeft { trackers, .. } => {
                let all = trackers.iter().enumerate().map(|(node, tracker)| self.tracked(node, *tracker));
                let mut all = all.map(|tracked| tracked.map(|it| &it.what));
                let first = all.next().flatten();
                first.filter(|first| all.all(|other| other == Some(*first))).map(|first| (EVERY_NODE, first.clone()))
            }
            Claim::MovesNothing { node, tracker, .. }
            | Claim::NeedsOthers { node, tracker, .. }
            | Claim::NoPreempt { node, tracker, .. } => {
                self.member(*node).and_then(|member| Some((member.index, self.tracked(*node, *tracker)?.what.clone())))
            }
            Claim::MovesForNothing { .. } | Claim::HealthyWaits { .. } | Claim::LeftOut { .. } => None,
        };
        one.into_iter().collect()
    }

    /// How far the number that mends it is from none.
    fn size(&self) -> i16 {
        let mend = match &self.claim {
            Claim::MovesNothing { mend, .. } | Claim::NeedsOthers { mend, .. } | Claim::HealthyWaits { mend, .. } => {
                Some(*mend)
            }
            Claim::NobodyLeft { mend, .. } => *mend,
            Claim::NoPreempt { .. } | Claim::MovesForNothing { .. } | Claim::LeftOut { .. } => None,
        };
        match mend {
            None => 0,
            Some(Mend::Weight { weight, .. }) => weight.weight.abs(),
            Some(Mend::Priority { .. }) => i16::MAX - 1,
            Some(Mend::Fault) => i16::MAX,
        }
    }
}
