//! The number that would mend it: found by trying, with the same rules that found the fault.

use super::claims::{healthy_wins, taker};
use super::situation::{Failed, Situation, has};
use crate::config::TrackWeight;
use crate::quantity::Priority;

/// The greatest change that a weight can make.
const GREATEST: i16 = 253;

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mend {
    /// This weight; `more`: or one that takes off more.
    Weight { weight: TrackWeight, more: bool },
    /// This priority on this node, where no weight is enough.
    Priority { node: usize, priority: u8 },
    /// No number but weight 0.
    Fault,
}

/// Makes the failure of one tracker move the addresses from this node, which stays the MASTER while all is well.
pub fn moving(situation: &Situation, node: usize, tracker: usize, peer: usize) -> Mend {
    let Some(now) = weight_of(situation, node, tracker) else { return Mend::Fault };
    let enough = |weight: TrackWeight| {
        let mended = situation.with_weight(node, tracker, weight);
        mended.masters().contains(&node) && mended.moves(node, tracker)
    };
    smallest(now, enough).or_else(|| raised(situation, node, tracker, peer)).unwrap_or(Mend::Fault)
}

/// A weight instead of 0 for a tracker of all nodes: one failure still moves the addresses, and where all fail somebody
/// keeps them.
pub fn keeping_somebody(situation: &Situation, masters: &[usize], trackers: &[usize]) -> Option<Mend> {
    let first = *trackers.first()?;
    let now = weight_of(situation, 0, first)?;
    let enough = |weight: TrackWeight| {
        let mut mended = situation.clone();
        for (node, tracker) in mended.nodes.iter_mut().zip(trackers) {
            if let Some(it) = node.trackers.get_mut(*tracker) {
                it.weight = weight;
            }
        }
        let all_move = masters.iter().all(|node| trackers.get(*node).is_some_and(|it| mended.moves(*node, *it)));
        let owned = mended.nodes.iter().any(|node| node.priority == Priority::OWNER);
        !owned && all_move && mended.masters() == masters
    };
    smallest(now, enough)
}

/// Gives the addresses to a healthy node while these fail.
pub fn waking(situation: &Situation, failed: &[Failed], master: usize) -> Mend {
    let own = failed.get(master).copied().unwrap_or(0);
    let weighted = situation.nodes.get(master).and_then(|node| node.weighted().find(|place| has(own, *place)));
    let Some(tracker) = weighted else { return Mend::Fault };
    let Some(now) = weight_of(situation, master, tracker) else { return Mend::Fault };
    let before = situation.masters();
    let enough = |weight: TrackWeight| {
        let mended = situation.with_weight(master, tracker, weight);
        mended.masters() == before && healthy_wins(&mended, failed)
    };
    smallest(now, enough).unwrap_or(Mend::Fault)
}

/// This node's weight of a tracker, if with it on every node nobody takes over when all of them fail, and who is MASTER while
/// all is well stays so.
pub fn alike(situation: &Situation, node: usize, tracker: usize) -> Option<TrackWeight> {
    let ours = *situation.nodes.get(node)?.trackers.get(tracker)?;
    let mut mended = situation.clone();
    let all = mended.nodes.iter_mut().flat_map(|node| &mut node.trackers);
    all.filter(|it| it.what == ours.what).for_each(|it| it.weight = ours.weight);
    let moves = mended.moves(node, tracker) == situation.moves(node, tracker);
    (moves && mended.masters() == [node] && taker(&mended, node, ours.what).is_none()).then_some(ours.weight)
}

fn weight_of(situation: &Situation, node: usize, tracker: usize) -> Option<TrackWeight> {
    Some(situation.nodes.get(node)?.trackers.get(tracker)?.weight)
}

/// The smallest weight that is enough: of the same sign if there is one, else one that takes off.
fn smallest(now: TrackWeight, enough: impl Fn(TrackWeight) -> bool) -> Option<Mend> {
    let takes_off = if now.reverse { 1 } else { -1 };
    let least = now.weight.abs();
    let same = (least + 1..=GREATEST).map(|size| size * now.weight.signum());
    let other = (1..=GREATEST).map(|size| size * takes_off);
    let tried = same.filter(|_| now.weight != 0).chain(other).map(|weight| TrackWeight { weight, ..now });
    let weight = { tried }.find(|weight| enough(*weight))?;
    let next = TrackWeight { weight: weight.weight + weight.weight.signum(), ..weight };
    let more = weight.weight.signum() == takes_off && next.weight.abs() <= GREATEST && enough(next);
    Some(Mend::Weight { weight, more })
}

/// The least priority of the peer that the failure falls below, if that leaves it below the MASTER while all is well.
fn raised(situation: &Situation, node: usize, tracker: usize, peer: usize) -> Option<Mend> {
    let configured = situation.nodes.get(peer)?.priority.get();
    (configured.saturating_add(1)..=254).find_map(|priority| {
        let mut mended = situation.clone();
        mended.nodes.get_mut(peer)?.priority = Priority::new(priority)?;
        (mended.masters() == [node] && mended.moves(node, tracker)).then_some(Mend::Priority { node: peer, priority })
    })
}
