//! Breadth-first over everything that can happen, fewest faults first.
//!
//! `depth` counts faults: lost adverts, starts, kills, stops, freezes. Between two faults everything that can happen
//! without one is followed to its end, however long that takes, so each layer is closed: what the states of a layer lead
//! to without a further fault is in the layer. A layer that finds nothing new ends the search: then every order of any
//! number of faults has been seen.

use super::director::Directors;
use super::setup::Setup;
use super::world::{Action, Standing, Step, World};
use std::collections::BTreeMap;

/// A state's place in the order of discovery.
pub type Place = u32;

#[derive(Clone, Copy, Debug)]
pub struct Node {
    pub parent: Place,
    pub step: Step,
    pub standing: Standing,
}

/// A step without a fault.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    pub from: Place,
    pub to: Place,
    pub step: Step,
}

/// All that was reached.
#[derive(Debug)]
pub struct Explored {
    pub nodes: Vec<Node>,
    /// In the order of `from`.
    pub edges: Vec<Edge>,
    /// How many states each further fault brought.
    pub layers: Vec<usize>,
    pub transitions: u64,
    /// States of single directors, and questions put to the production code.
    pub asked: (usize, usize),
    /// Nothing new at the last layer: more faults reach nothing else.
    pub complete: bool,
}

/// A path from the start to a broken rule.
#[derive(Debug)]
pub struct Counterexample {
    pub rule: String,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub enum Outcome {
    Explored(Explored),
    Broken(Counterexample),
    /// More states than asked for.
    TooMany(usize),
}

/// Explores with up to `depth` faults and at most `max_states` states.
pub fn explore(setup: &Setup, depth: u8, max_states: usize) -> Outcome {
    let mut known = Directors::new();
    let start = World::empty(setup);
    let mut places: BTreeMap<Box<[u8]>, Place> = BTreeMap::from([(start.key(setup, &known), 0)]);
    let nothing = Step { passes: 0, action: Action::Wake(0) };
    let mut explored = Explored {
        nodes: vec![Node { parent: 0, step: nothing, standing: start.standing(setup, &known) }],
        edges: vec![],
        layers: vec![],
        transitions: 0,
        asked: (0, 0),
        complete: false,
    };
    let mut layer = vec![(0, start)];
    for faults in 0..=depth {
        // Where one more fault may happen.
        let mut faulty: Vec<(Place, World)> = Vec::new();
        let before = explored.nodes.len() - layer.len();
        let mut next = 0;
        while next < layer.len() {
            let (place, world) = std::mem::replace(&mut layer[next], (0, World { directors: vec![], flying: vec![] }));
            next += 1;
            let mut has_faults = false;
            for step in world.steps(setup, &known) {
                if step.action.is_fault() {
                    has_faults = true;
                    continue;
                }
                match discover(setup, &mut known, &mut places, &mut explored, place, &world, step) {
                    Ok((to, found)) => {
                        explored.edges.push(Edge { from: place, to, step });
                        layer.extend(found.map(|found| (to, found)));
                    }
                    Err(counterexample) => return Outcome::Broken(counterexample),
                }
                if explored.nodes.len() > max_states {
                    return Outcome::TooMany(explored.nodes.len());
                }
            }
            if has_faults {
                faulty.push((place, world));
            }
        }
        explored.layers.push(explored.nodes.len() - before);
        layer.clear();
        if faults == depth {
            break;
        }
        for (place, world) in faulty {
            for step in world.steps(setup, &known).into_iter().filter(|step| step.action.is_fault()) {
                match discover(setup, &mut known, &mut places, &mut explored, place, &world, step) {
                    Ok((to, found)) => layer.extend(found.map(|found| (to, found))),
                    Err(counterexample) => return Outcome::Broken(counterexample),
                }
                if explored.nodes.len() > max_states {
                    return Outcome::TooMany(explored.nodes.len());
                }
            }
        }
        if layer.is_empty() {
            explored.complete = true;
            break;
        }
    }
    explored.asked = known.counts();
    explored.edges.sort_by_key(|edge| edge.from);
    Outcome::Explored(explored)
}

/// Takes a step. The place of where it leads, and the world there if it is new.
#[allow(clippy::too_many_arguments)] // The parts of one search, borrowed apart.
fn discover(
    setup: &Setup,
    known: &mut Directors,
    places: &mut BTreeMap<Box<[u8]>, Place>,
    explored: &mut Explored,
    parent: Place,
    world: &World,
    step: Step,
) -> Result<(Place, Option<World>), Counterexample> {
    explored.transitions += 1;
    let (after, broken) = world.after(setup, known, step);
    if let Some(rule) = broken {
        let mut steps = explored.path(parent);
        steps.push(step);
        return Err(Counterexample { rule, steps });
    }
    let new = Place::try_from(explored.nodes.len()).expect("fewer than 2^32 states");
    let place = *places.entry(after.key(setup, known)).or_insert(new);
    if place < new {
        return Ok((place, None));
    }
    explored.nodes.push(Node { parent, step, standing: after.standing(setup, known) });
    Ok((place, Some(after)))
}

impl Explored {
    /// The steps to a state, fewest faults first, then fewest steps.
    pub fn path(&self, mut place: Place) -> Vec<Step> {
        let mut steps = Vec::new();
        while place != 0 {
            let node = self.nodes[place as usize];
            steps.push(node.step);
            place = node.parent;
        }
        steps.reverse();
        steps
    }

    pub fn edges_of(&self, place: Place) -> &[Edge] {
        let start = self.edges.partition_point(|edge| edge.from < place);
        let end = self.edges.partition_point(|edge| edge.from <= place);
        &self.edges[start..end]
    }
}
