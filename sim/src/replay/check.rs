//! The machines walk through a track: from a recorded state, every event with its instant, and every effect must be the
//! one recorded, bit for bit.

use super::track::{Item, Track};
use super::words;
use std::collections::VecDeque;
use std::fmt;
use vipward_core::balancer::Balancer;
use vipward_core::machine::{InputOf, Machine, Reason};
use vipward_core::record::{MachineName, Recordable, Step, StepOf, Taken, from_state, has_state};
use vipward_core::time::Instant;
use vipward_core::vrrp::Election;

/// Steps that a [`Difference`] shows from before.
const BEFORE: usize = 5;

/// A director's machines as far as they are known.
#[derive(Debug, Default)]
pub struct Machines {
    pub election: Option<Election>,
    pub balancer: Option<Balancer>,
}

/// One step about to be taken.
#[derive(Debug)]
pub struct Moment<'a> {
    pub step: &'a Step,
    /// As they were before it.
    pub machines: &'a Machines,
    /// What the step's machine waited for.
    pub due: Option<(Instant, Reason)>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    pub steps: u64,
    /// Steps of which every effect was compared.
    pub checked: u64,
    /// The first difference of each machine since its last recorded state.
    pub differences: Vec<Difference>,
    /// Where something is missing, on the common timeline.
    pub breaks: Vec<(Instant, String)>,
}

/// A step that did not go as recorded.
#[derive(Clone, Debug)]
pub struct Difference {
    /// On the common timeline.
    pub at: Instant,
    pub director: String,
    pub machine: MachineName,
    pub what: Differs,
    /// The steps of this machine before it, in words.
    pub before: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Differs {
    /// Another effect, or one too many or too few.
    Effects { event: String, recorded: Box<Step>, replayed: Box<Step> },
    /// The effects were the same, but the machine's state is not the one recorded here.
    State,
    /// The recorded state can't be taken up.
    Unreadable(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, director, machine, what, before } = self;
        write!(f, "{at} s: the {machine} of {director}")?;
        match what {
            Differs::State => writeln!(f, " has another state than recorded here")?,
            Differs::Unreadable(why) => writeln!(f, ": the recorded state can't be taken up: {why}")?,
            Differs::Effects { event, recorded, replayed } => {
                writeln!(f, " does something else than recorded, on {event}")?;
                lines(f, recorded, replayed)?;
            }
        }
        if !before.is_empty() {
            writeln!(f, "    the steps before it:")?;
        }
        before.iter().try_for_each(|line| writeln!(f, "      {line}"))
    }
}

/// Both lists, what they share at both ends once.
fn lines(f: &mut fmt::Formatter<'_>, recorded: &Step, replayed: &Step) -> fmt::Result {
    let whole = asked(recorded);
    let (recorded, replayed) = (&whole[..], &asked(replayed)[..]);
    let ahead = recorded.iter().zip(replayed).take_while(|(a, b)| a == b).count();
    let (start, recorded) = recorded.split_at(ahead);
    let replayed = replayed.get(ahead..).unwrap_or_default();
    let behind = recorded.iter().rev().zip(replayed.iter().rev()).take_while(|(a, b)| a == b).count();
    let (recorded, end) = recorded.split_at(recorded.len() - behind);
    let replayed = replayed.get(..replayed.len() - behind).unwrap_or_default();
    start.iter().try_for_each(|(_, words)| writeln!(f, "      {words}"))?;
    recorded.iter().try_for_each(|(exact, _)| writeln!(f, "    - recorded: {exact}"))?;
    replayed.iter().try_for_each(|(exact, _)| writeln!(f, "    + replayed: {exact}"))?;
    end.iter().try_for_each(|(_, words)| writeln!(f, "      {words}"))
}

/// What a step asked for, exactly and in words.
fn asked(step: &Step) -> Vec<(String, String)> {
    let exact: Vec<String> = match step {
        Step::Election(step) => step.output.iter().map(|output| format!("{output:?}")).collect(),
        Step::Balancer(step) => step.output.iter().map(|output| format!("{output:?}")).collect(),
    };
    exact.into_iter().zip(words::asked(step)).collect()
}

/// Walks through a track, and shows every step on the way before it is taken.
pub fn walk(track: &Track, mut show: impl FnMut(&Moment<'_>)) -> Checked {
    let mut checked = Checked::default();
    let mut machines = Machines::default();
    let mut before: [VecDeque<String>; 2] = Default::default();
    for item in &track.items {
        match item {
            Item::Files { .. } => {}
            Item::Break { at, machine, why } => {
                if *machine != Some(MachineName::Balancer) {
                    machines.election = None;
                }
                if *machine != Some(MachineName::Election) {
                    machines.balancer = None;
                }
                let told = (track.common(*at), why.clone());
                if checked.breaks.last() != Some(&told) {
                    checked.breaks.push(told);
                }
            }
            Item::State { machine, at, state } => {
                let before = latest(&before, *machine);
                let wrong = match machine {
                    MachineName::Election => take_up(&mut machines.election, state),
                    MachineName::Balancer => take_up(&mut machines.balancer, state),
                };
                checked.differences.extend(wrong.map(|what| difference(track, *at, *machine, what, before)));
            }
            Item::Step(step) => {
                let step: &Step = step;
                let name = step.machine();
                let due = match name {
                    MachineName::Election => machines.election.as_ref().and_then(Machine::next_wakeup),
                    MachineName::Balancer => machines.balancer.as_ref().and_then(Machine::next_wakeup),
                };
                show(&Moment { step, machines: &machines, due });
                checked.steps += 1;
                let replayed = match step {
                    Step::Election(step) => take(&mut machines.election, step),
                    Step::Balancer(step) => take(&mut machines.balancer, step),
                };
                let lines = latest(&before, name);
                match replayed {
                    None => {}
                    Some(replayed) if replayed == *step => checked.checked += 1,
                    Some(replayed) => {
                        let (recorded, replayed) = (Box::new(step.clone()), Box::new(replayed));
                        let what = Differs::Effects { event: words::told(step), recorded, replayed };
                        checked.differences.push(difference(track, step.at(), name, what, lines));
                        // What follows would differ as well and explain nothing.
                        match name {
                            MachineName::Election => machines.election = None,
                            MachineName::Balancer => machines.balancer = None,
                        }
                    }
                }
                let [election, balancer] = &mut before;
                let lines = if name == MachineName::Election { election } else { balancer };
                if lines.len() == BEFORE {
                    lines.pop_front();
                }
                lines.push_back(format!("{} s  {}", track.common(step.at()), words::told(step)));
            }
        }
    }
    checked
}

fn latest([election, balancer]: &[VecDeque<String>; 2], machine: MachineName) -> Vec<String> {
    let lines = if machine == MachineName::Election { election } else { balancer };
    lines.iter().cloned().collect()
}

fn difference(track: &Track, at: Instant, machine: MachineName, what: Differs, before: Vec<String>) -> Difference {
    Difference { at: track.common(at), director: track.name.clone(), machine, what, before }
}

/// The machine goes on from a recorded state; if it ran until here, it must be in that state.
fn take_up<M: Recordable>(machine: &mut Option<M>, state: &[u8]) -> Option<Differs> {
    let same = machine.as_ref().is_none_or(|machine| has_state(machine, state) == Ok(true));
    match from_state(state) {
        Ok(recorded) => {
            *machine = Some(recorded);
            (!same).then_some(Differs::State)
        }
        Err(why) => {
            *machine = None;
            Some(Differs::Unreadable(why))
        }
    }
}

/// The same step, with what the machine asks for now.
fn take<M: Recordable>(machine: &mut Option<M>, step: &StepOf<M>) -> Option<Step>
where
    InputOf<M>: Clone,
{
    let output = machine.as_mut()?.handle(step.input.clone(), step.at);
    Some(M::step(Taken { at: step.at, input: step.input.clone(), output }))
}
