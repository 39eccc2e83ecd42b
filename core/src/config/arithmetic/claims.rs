//! What can be said about a [`Situation`]. Every claim is about what the Election does; `core/tests/config/arithmetic.rs`
//! compares them.

use super::mend::{self, Mend};
use super::situation::{Failed, MOST, Numbers, Situation, has};
use crate::config::TrackWeight;
use crate::quantity::Priority;

/// Something that hardly anybody means. Nodes and trackers are places in the [`Situation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// While this node is MASTER, the failure of this tracker never takes the addresses from it.
    MovesNothing { node: usize, tracker: usize, peer: usize, mend: Mend },
    /// Only when these fail as well.
    NeedsOthers { node: usize, tracker: usize, peer: usize, others: Failed, mend: Mend },
    /// It does not, since the peer that would take over is told not to preempt.
    NoPreempt { node: usize, tracker: usize, peer: usize },
    /// Each node is in FAULT when these fail: for each node one of its trackers.
    NobodyLeft { trackers: Vec<usize>, mend: Option<Mend> },
    /// Every node tracks it. When it fails on all of them, the addresses move although nobody is better off.
    /// `same`: this weight on every node leaves them where they are.
    MovesForNothing { from: usize, to: usize, what: usize, same: Option<TrackWeight> },
    /// When these fail, one set for each node, `master` keeps the addresses although `healthy` has no failure.
    HealthyWaits { failed: Vec<Failed>, master: usize, healthy: usize, mend: Mend },
    /// There are too many trackers for every combination, or to tell each: of one kind at most [`MOST`] are.
    LeftOut { trackers: usize },
}

/// All claims about a virtual router on two nodes or more.
pub fn claims(situation: &Situation) -> Vec<Claim> {
    let mut found = Vec::new();
    let masters = situation.masters();
    for node in &masters {
        single_failures(situation, *node, &mut found);
    }
    nobody_left(situation, &masters, &mut found);
    moves_for_nothing(situation, &masters, &mut found);
    healthy_waits(situation, &mut found);
    left_out(situation, &mut found);
    found
}

fn single_failures(situation: &Situation, node: usize, found: &mut Vec<Claim>) {
    let Some(numbers) = situation.nodes.get(node) else { return };
    let preempting = situation.best_peer(node, |peer| peer.preempts);
    let patient = situation.best_peer(node, |peer| !peer.preempts);
    let stays = |ours: Option<Priority>| ours.is_some_and(|ours| preempting.is_none_or(|(theirs, _)| theirs <= ours));
    let failing = |tracker: usize| numbers.while_fails(|place| place == tracker);
    let weighted: Vec<usize> = numbers.weighted().collect();
    for &tracker in weighted.iter().filter(|tracker| stays(failing(**tracker))).take(MOST) {
        if let Some((theirs, peer)) = patient
            && (preempting.is_none() || failing(tracker).is_some_and(|ours| ours < theirs))
        {
            found.push(Claim::NoPreempt { node, tracker, peer });
            continue;
        }
        let Some((_, peer)) = preempting else { continue };
        let rest: Vec<usize> = weighted.iter().copied().filter(|other| *other != tracker).collect();
        let decides = |others: &Failed| {
            let without = numbers.while_fails(|place| has(*others, place));
            let with = numbers.while_fails(|place| place == tracker || has(*others, place));
            stays(without) && !stays(with)
        };
        let mend = mend::moving(situation, node, tracker, peer);
        let others = if rest.len() > MOST {
            with_the_lightest(numbers, tracker, rest, stays)
        } else {
            Numbers::combinations(&rest).into_iter().find(decides)
        };
        found.push(match others {
            None => Claim::MovesNothing { node, tracker, peer, mend },
            Some(others) => Claim::NeedsOthers { node, tracker, peer, others, mend },
        });
    }
}

/// Of too many for every combination: as many of these as fail without moving anything, the lightest first; if then this
/// tracker does.
fn with_the_lightest(
    numbers: &Numbers,
    tracker: usize,
    mut rest: Vec<usize>,
    stays: impl Fn(Option<Priority>) -> bool,
) -> Option<Failed> {
    rest.sort_by_key(|place| numbers.trackers.get(*place).map(|it| it.weight.weight.abs()));
    let mut ranks = vec![usize::MAX; numbers.trackers.len()];
    for (rank, place) in rest.iter().enumerate() {
        if let Some(it) = ranks.get_mut(*place) {
            *it = rank;
        }
    }
    let among = |first: usize, place: usize| ranks.get(place).is_some_and(|rank| *rank < first);
    let (mut fewest, mut most) = (0, rest.len());
    while fewest < most {
        let middle = fewest + (most - fewest).div_ceil(2);
        if stays(numbers.while_fails(|place| among(middle, place))) {
            fewest = middle;
        } else {
            most = middle - 1;
        }
    }
    let decides = !stays(numbers.while_fails(|place| place == tracker || among(fewest, place)));
    let failed = rest.get(..fewest).unwrap_or_default();
    decides.then(|| Numbers::combinations(failed).last().copied().unwrap_or(0))
}

/// With weight 0 on every node. The same tracker everywhere fails by one cause, so it goes before a combination.
fn nobody_left(situation: &Situation, masters: &[usize], found: &mut Vec<Claim>) {
    let fatal = |node: &Numbers, place: usize| node.trackers.get(place).is_some_and(|it| it.weight.weight == 0);
    let Some(first) = situation.nodes.first() else { return };
    let everywhere = |what: usize| -> Option<Vec<usize>> {
        let place = |node: &Numbers| node.place_of(what).filter(|place| fatal(node, *place));
        situation.nodes.iter().map(place).collect()
    };
    let shared: Vec<Vec<usize>> = first.trackers.iter().filter_map(|it| everywhere(it.what)).take(MOST).collect();
    if shared.is_empty() {
        let any = |node: &Numbers| (0..node.trackers.len()).find(|place| fatal(node, *place));
        let trackers: Option<Vec<usize>> = situation.nodes.iter().map(any).collect();
        found.extend(trackers.map(|trackers| Claim::NobodyLeft { trackers, mend: None }));
    }
    for trackers in shared {
        let mend = mend::keeping_somebody(situation, masters, &trackers);
        found.push(Claim::NobodyLeft { trackers, mend });
    }
}

fn moves_for_nothing(situation: &Situation, masters: &[usize], found: &mut Vec<Claim>) {
    let [from] = masters else { return };
    let Some(master) = situation.nodes.get(*from) else { return };
    let before = found.len();
    for place in master.weighted() {
        if found.len() - before == MOST {
            break;
        }
        let Some(what) = master.trackers.get(place).map(|it| it.what) else { continue };
        if let Some(to) = taker(situation, *from, what) {
            let same = mend::alike(situation, *from, place);
            found.push(Claim::MovesForNothing { from: *from, to, what, same });
        }
    }
}

/// Who takes over from this node when this tracker fails everywhere, if all of them weigh it.
pub(super) fn taker(situation: &Situation, from: usize, what: usize) -> Option<usize> {
    let failing = |node: &Numbers| {
        let place = node.weighted().find(|place| node.trackers.get(*place).is_some_and(|it| it.what == what))?;
        node.while_fails(|other| other == place)
    };
    let failing: Vec<Priority> = situation.nodes.iter().map(failing).collect::<Option<_>>()?;
    let ours = *failing.get(from)?;
    let takers = situation.nodes.iter().zip(&failing).enumerate().filter(|(_, (node, _))| node.preempts);
    let (to, (_, theirs)) = takers.max_by_key(|(to, (_, priority))| (**priority, usize::MAX - to))?;
    (*theirs > ours).then_some(to)
}

/// Failures on several nodes of three or more. Two have but one peer, and what one node's own failures do not move has been
/// said.
fn healthy_waits(situation: &Situation, found: &mut Vec<Claim>) {
    if situation.nodes.len() < 3 || !situation.nodes.iter().all(|node| node.preempts) {
        return;
    }
    for failed in combinations(situation) {
        if let Some((master, healthy)) = waits(situation, &failed) {
            let mend = mend::waking(situation, &failed, master);
            found.push(Claim::HealthyWaits { failed, master, healthy, mend });
            return;
        }
    }
}

/// The MASTER, if it has a failure that would move the addresses but for the failures of others, and the best node without
/// a failure.
fn waits(situation: &Situation, failed: &[Failed]) -> Option<(usize, usize)> {
    let nodes = || situation.nodes.iter().zip(failed).enumerate();
    let priorities = nodes().filter_map(|(at, (node, failed))| Some((node.while_fails(|it| has(*failed, it))?, at)));
    let (ours, master) = priorities.max()?;
    let own = *failed.get(master)?;
    // Of equal ones the greater address has it, which is not known here.
    let equal = nodes().filter(|(_, (node, failed))| node.while_fails(|it| has(**failed, it)) == Some(ours)).count();
    if own == 0 || equal > 1 || situation.stays(master, Some(ours)) {
        return None;
    }
    let healthy = nodes().filter(|(_, (_, failed))| **failed == 0).map(|(at, (node, _))| (node.well(), at));
    healthy.max().filter(|(theirs, _)| *theirs < ours).map(|(_, healthy)| (master, healthy))
}

/// Whether a node without a failure is above all that have one.
pub(super) fn healthy_wins(situation: &Situation, failed: &[Failed]) -> bool {
    let best = |healthy: bool| {
        let nodes = situation.nodes.iter().zip(failed).filter(|(_, failed)| (**failed == 0) == healthy);
        nodes.filter_map(|(node, failed)| node.while_fails(|place| has(*failed, place))).max()
    };
    best(true) > best(false)
}

/// Which trackers fail, for each node: every combination, those with the fewest first; or, where there are too many, each
/// tracker on all nodes but one.
fn combinations(situation: &Situation) -> Vec<Vec<Failed>> {
    let all = || situation.nodes.iter();
    if total(situation) > MOST {
        let whats = all().flat_map(|node| node.trackers.iter().map(|it| it.what)).max().map_or(0, |most| most + 1);
        let fails = |what: usize, spared: usize| -> Vec<Failed> {
            let of = |(at, node): (usize, &Numbers)| {
                let place = node.place_of(what).filter(|_| at != spared);
                place.map_or(0, |place| Numbers::combinations(&[place]).into_iter().max().unwrap_or(0))
            };
            all().enumerate().map(of).collect()
        };
        let spared = |what| (0..situation.nodes.len()).map(move |spared| fails(what, spared));
        return (0..whats).flat_map(spared).collect();
    }
    let mut combinations: Vec<Vec<Failed>> = vec![Vec::new()];
    for node in all() {
        let places: Vec<usize> = (0..node.trackers.len()).collect();
        let own = Numbers::combinations(&places);
        combinations = combinations
            .into_iter()
            .flat_map(|before| own.iter().map(move |own| before.iter().copied().chain([*own]).collect()))
            .collect();
    }
    combinations.sort_by_key(|failed| failed.iter().map(|failed| failed.count_ones()).sum::<u32>());
    combinations
}

fn total(situation: &Situation) -> usize {
    situation.nodes.iter().map(|node| node.trackers.len()).sum()
}

fn left_out(situation: &Situation, found: &mut Vec<Claim>) {
    let own = situation.nodes.iter().map(|node| node.trackers.len()).max().unwrap_or(0);
    let trackers = if situation.nodes.len() < 3 { own } else { total(situation) };
    if trackers > MOST {
        found.push(Claim::LeftOut { trackers });
    }
}
