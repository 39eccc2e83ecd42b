//! What happens once no more faults come: every continuation of every state that was reached, exactly.
//!
//! The explored states are closed under steps without a fault, so they form a graph with all continuations in it. A path
//! that stays for ever among bad states is a cycle there; without one, the longest path says how long it takes at worst.

use super::search::{Counterexample, Edge, Explored, Node, Place};
use super::setup::{SECOND, Setup, Ticks, seconds};
use super::world::Step;

/// At worst, over every state and every continuation without a further fault.
#[derive(Clone, Copy, Debug)]
pub struct Worst {
    /// Until the right director is the only MASTER and no role changes any more.
    pub settles: Bounded,
    /// Nobody is MASTER, in a row.
    pub nobody: Bounded,
    /// Two or more are MASTER, in a row.
    pub several: Bounded,
}

/// What was found, and what the RFC's arithmetic allows.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    pub at_worst: Ticks,
    pub bound: Ticks,
}

/// Checks that the cluster settles, and how soon.
pub fn check(setup: &Setup, explored: &Explored) -> Result<Worst, Counterexample> {
    let Setup { delay, slack, .. } = *setup;
    let wait = setup.longest_wait();
    let standing = |place: Place| explored.nodes[place as usize].standing;
    let measure = |rule: &str, bound: Ticks, inside: &dyn Fn(Place) -> bool| {
        let broken = |why: String, steps| Counterexample { rule: format!("{rule} {why}"), steps };
        let lengths = match longest(explored, inside) {
            Ok(lengths) => lengths,
            Err((place, cycle)) => {
                let mut steps = explored.path(place);
                let why = format!("for ever, without a further fault (the last {} steps repeat)", cycle.len());
                steps.extend(cycle);
                return Err(broken(why, steps));
            }
        };
        let (from, at_worst) = lengths.iter().copied().zip(0..).map(|(t, p)| (p, t)).max_by_key(|(_, t)| *t).unwrap();
        if at_worst > bound {
            let mut steps = explored.path(from);
            steps.extend(follow(explored, &lengths, from, inside));
            return Err(broken(format!("for {:.3} s; the bound is {:.3} s", seconds(at_worst), seconds(bound)), steps));
        }
        Ok(Bounded { at_worst, bound })
    };
    // If its advert was lost, the best one sends the next within its interval; it is heard within the delay. Meanwhile
    // a still better one of three may have taken over, which is heard within another delay.
    let lost = if setup.losses { setup.longest_interval() * SECOND + slack } else { 0 };
    let takeovers = Ticks::try_from(setup.directors.len()).unwrap() - 1;
    let several = measure("several MASTERs", lost + takeovers * delay, &|place| standing(place).several)?;
    // An advert of one who is gone may still arrive; then a Master_Down_Interval passes.
    let nobody = measure("no MASTER", delay + wait + slack, &|place| standing(place).nobody)?;
    // An advert of one who is gone may arrive last of all, at a MASTER that has just answered another one and yields to
    // it: two delays until that answer has arrived, and one more for each further director that can do the same. Then
    // nobody is MASTER, and whoever takes over is heard within the delay.
    let unsettled = unsettled(explored);
    let settles =
        measure("not settled", (takeovers + 1) * delay + wait + slack + delay, &|place| unsettled[place as usize])?;
    Ok(Worst { settles, nobody, several })
}

/// States that are not right, or from which a role may still change or a wrong state be reached.
fn unsettled(explored: &Explored) -> Vec<bool> {
    let Explored { nodes, edges, .. } = explored;
    let changes = |edge: &Edge| nodes[edge.from as usize].standing.masters != nodes[edge.to as usize].standing.masters;
    let mut backwards: Vec<(Place, Place)> = edges.iter().map(|edge| (edge.to, edge.from)).collect();
    backwards.sort_unstable();
    let mut unsettled: Vec<bool> = nodes.iter().map(|Node { standing, .. }| !standing.right).collect();
    edges.iter().filter(|edge| changes(edge)).for_each(|edge| unsettled[edge.from as usize] = true);
    let mut waiting: Vec<Place> = (0..).zip(&unsettled).filter(|(_, is)| **is).map(|(place, _)| place).collect();
    while let Some(place) = waiting.pop() {
        let start = backwards.partition_point(|(to, _)| *to < place);
        for (_, from) in backwards[start..].iter().take_while(|(to, _)| *to == place) {
            if !std::mem::replace(&mut unsettled[*from as usize], true) {
                waiting.push(*from);
            }
        }
    }
    unsettled
}

/// For each state how long one can stay `inside`, in a row. An error is a state, and steps from it back to it that stay
/// inside.
fn longest(explored: &Explored, inside: &dyn Fn(Place) -> bool) -> Result<Vec<Ticks>, (Place, Vec<Step>)> {
    const UNKNOWN: Ticks = -1;
    const OPEN: Ticks = -2;
    let mut lengths = vec![UNKNOWN; explored.nodes.len()];
    let mut stack: Vec<(Place, usize)> = Vec::new();
    for root in 0..Place::try_from(lengths.len()).unwrap() {
        if lengths[root as usize] != UNKNOWN {
            continue;
        }
        stack.push((root, 0));
        while let Some((place, tried)) = stack.last_mut() {
            let (here, edges) = (*place as usize, explored.edges_of(*place));
            if *tried == 0 {
                lengths[here] = if inside(*place) { OPEN } else { 0 };
            }
            match edges.get(*tried).filter(|_| lengths[here] == OPEN) {
                Some(edge) => {
                    *tried += 1;
                    match lengths[edge.to as usize] {
                        UNKNOWN => stack.push((edge.to, 0)),
                        OPEN => {
                            let start = stack.iter().position(|(place, _)| *place == edge.to).unwrap();
                            let cycle =
                                stack[start..].iter().map(|(place, tried)| explored.edges_of(*place)[*tried - 1].step);
                            return Err((edge.to, cycle.collect()));
                        }
                        _ => {}
                    }
                }
                None => {
                    if lengths[here] == OPEN {
                        let onwards = edges.iter().map(|edge| edge.step.passes + lengths[edge.to as usize]);
                        lengths[here] = onwards.max().unwrap_or(0);
                    }
                    stack.pop();
                }
            }
        }
    }
    Ok(lengths)
}

/// The longest way out.
fn follow(explored: &Explored, lengths: &[Ticks], mut place: Place, inside: &dyn Fn(Place) -> bool) -> Vec<Step> {
    let mut steps = Vec::new();
    while inside(place) {
        let longest = |edge: &&Edge| edge.step.passes + lengths[edge.to as usize];
        let Some(edge) = explored.edges_of(place).iter().max_by_key(longest) else { break };
        steps.push(edge.step);
        place = edge.to;
    }
    steps
}
