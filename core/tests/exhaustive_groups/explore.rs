//! Every state that can be reached, and how long each needs until it is right for good.

use super::*;

/// What was found.
pub struct Explored {
    pub states: usize,
    /// The longest from any state until it is right for good, without a further fault.
    pub settles: Ticks,
}

/// A rule, and the shortest way to break it.
pub type Broken = (String, Vec<String>);

pub fn explore(setup: &Setup) -> Result<Explored, Broken> {
    let empty = World {
        now: Instant::from_millis(10_000),
        directors: [None, None],
        cut: [false; 2],
        flying: vec![],
        faults: 0,
    };
    let mut places: BTreeMap<Vec<i64>, usize> = BTreeMap::from([(empty.key(), 0)]);
    let mut worlds = vec![(empty, None::<(usize, Action)>)];
    // Without a fault: from each state, and how long the step takes.
    let mut edges: Vec<Vec<(usize, Ticks)>> = Vec::new();
    let told = |worlds: &[(World, Option<(usize, Action)>)], mut place: usize| {
        let mut lines = Vec::new();
        loop {
            let (world, from) = &worlds[place];
            lines.push(world.line(from.map(|(_, action)| action)));
            match from {
                Some((before, _)) => place = *before,
                None => break,
            }
        }
        lines.reverse();
        lines
    };
    let mut place = 0;
    while place < worlds.len() {
        let world = worlds[place].0.clone();
        let mut steps: Vec<((Instant, Action), bool)> =
            world.steps(setup).into_iter().map(|step| (step, false)).collect();
        if world.faults < setup.faults {
            steps.extend(world.mishaps(setup).into_iter().map(|step| (step, true)));
        }
        let mut onwards = Vec::new();
        for (step, fault) in steps {
            let next = world.after(setup, step).map_err(|rule| {
                let mut lines = told(&worlds, place);
                lines.push(format!("{:?} {:?}", step.0, step.1));
                (rule, lines)
            })?;
            let count = worlds.len();
            let to = *places.entry(next.key()).or_insert(count);
            if to == count {
                worlds.push((next, Some((place, step.1))));
                assert!(count < 400_000, "{}: too many states", setup.name);
            }
            if !fault {
                onwards.push((to, ticks(step.0, world.now)));
            }
        }
        edges.push(onwards);
        place += 1;
    }
    let bad: Vec<bool> = worlds.iter().map(|(world, _)| !world.right(setup)).collect();
    let unsettled = leads_to(&edges, &bad);
    match longest(&edges, &unsettled) {
        Ok(settles) => Ok(Explored { states: worlds.len(), settles }),
        Err(cycle) => {
            let mut lines = told(&worlds, cycle[0]);
            lines.push("and from here, again and again:".to_owned());
            lines.extend(cycle.iter().map(|place| worlds[*place].0.line(worlds[*place].1.map(|(_, action)| action))));
            Err(("not settled for ever".to_owned(), lines))
        }
    }
}

/// States that are bad, or from which a bad one can be reached.
fn leads_to(edges: &[Vec<(usize, Ticks)>], bad: &[bool]) -> Vec<bool> {
    let mut back = vec![Vec::new(); edges.len()];
    edges.iter().enumerate().for_each(|(from, to)| to.iter().for_each(|(to, _)| back[*to].push(from)));
    let mut reached = bad.to_vec();
    let mut waiting: Vec<usize> = (0..bad.len()).filter(|place| bad[*place]).collect();
    while let Some(place) = waiting.pop() {
        for from in &back[place] {
            if !std::mem::replace(&mut reached[*from], true) {
                waiting.push(*from);
            }
        }
    }
    reached
}

/// The longest time in a row inside; an error is states that lead from one to the next, and back.
fn longest(edges: &[Vec<(usize, Ticks)>], inside: &[bool]) -> Result<Ticks, Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done(Ticks),
    }
    let mut marks = vec![Mark::New; edges.len()];
    for root in (0..edges.len()).filter(|place| inside[*place]) {
        let mut stack = vec![(root, 0)];
        while let Some((place, tried)) = stack.pop() {
            if let Mark::Done(_) = marks[place] {
                continue;
            }
            marks[place] = Mark::Open;
            match edges[place].get(tried) {
                Some((to, _)) => {
                    stack.push((place, tried + 1));
                    match marks[*to] {
                        Mark::Open => {
                            let open = stack.iter().map(|(place, _)| *place);
                            return Err(open.skip_while(|place| place != to).collect());
                        }
                        Mark::New if inside[*to] => stack.push((*to, 0)),
                        Mark::New | Mark::Done(_) => {}
                    }
                }
                None => {
                    let onwards = edges[place].iter().map(|(to, passes)| match marks[*to] {
                        Mark::Done(more) => passes + more,
                        Mark::New | Mark::Open => *passes,
                    });
                    marks[place] = Mark::Done(onwards.max().unwrap_or(0));
                }
            }
        }
    }
    let done = marks.iter().filter_map(|mark| match mark {
        Mark::Done(length) => Some(*length),
        Mark::New | Mark::Open => None,
    });
    Ok(done.max().unwrap_or(0))
}
