//! Runs a path through fresh machines, without anything remembered, and prints it.

use super::director::{Directors, Local, Message, Process, Stimulus};
use super::setup::{Setup, TICK, Ticks, seconds};
use super::world::{Action, State, Step, World, letter};
use vipward_core::time::Instant;

/// The path as a timeline: one line a step, one column a director.
///
/// The machines are new ones that live through the whole path; whatever they differ in from what the search remembers is
/// an error.
pub fn replay(setup: &Setup, steps: &[Step]) -> Result<String, String> {
    let mut known = Directors::new();
    let mut world = World::empty(setup);
    let mut processes: Vec<Option<Process>> = setup.directors.iter().map(|_| None).collect();
    let mut now = Instant::from_millis(10_000);
    let mut elapsed: Ticks = 0;
    let mut lines = String::new();
    for step in steps {
        let (after, broken) = world.after(setup, &mut known, *step);
        elapsed += step.passes;
        now = now + TICK * u32::try_from(step.passes).unwrap();
        let sent = act(setup, &world, &mut processes, step.action, now);
        let said = match &sent {
            Ok(sent) => sent.iter().map(|message| match message {
                Message::Advert => ", sends an advert",
                Message::Goodbye => ", sends priority 0",
            }),
            Err(problem) => return Ok(format!("{lines}{}{}: {problem}\n", clock(elapsed), step.action)),
        };
        let event = format!("{}{}", step.action, said.collect::<String>());
        let columns: Vec<String> = processes.iter().map(|process| column(process.as_ref(), now)).collect();
        lines += &format!("{}{event:<44} {}\n", clock(elapsed), columns.join(" ").trim_end());
        if let Some(broken) = broken {
            return Ok(lines + &format!("          {broken}\n"));
        }
        world = after;
        compare(setup, &known, &world, &processes, now).map_err(|why| format!("{lines}{why}"))?;
    }
    Ok(lines)
}

fn clock(elapsed: Ticks) -> String {
    format!("{:>8.3}  ", seconds(elapsed))
}

fn act(
    setup: &Setup,
    world: &World,
    processes: &mut [Option<Process>],
    action: Action,
    now: Instant,
) -> Result<Vec<Message>, String> {
    let (who, stimulus) = match action {
        Action::Deliver(flight) => (flight.to, Stimulus::Hears { from: flight.from, message: flight.message }),
        Action::Wake(who) => (who, Stimulus::Wakeup),
        Action::Stop(who) => (who, Stimulus::Stop),
        Action::Start(who) => {
            let owns = matches!(world.directors[usize::from(who)], State::Down { owns: true, .. });
            processes[usize::from(who)] = Some(Process::new(usize::from(who), owns));
            (who, Stimulus::Start { owns })
        }
        Action::Kill(who) => {
            processes[usize::from(who)] = None;
            return Ok(vec![]);
        }
        Action::Lose(_) | Action::Freeze(_) | Action::Resume(_) => return Ok(vec![]),
    };
    let Some(process) = &mut processes[usize::from(who)] else { return Ok(vec![]) };
    let sent = process.meets(setup, stimulus, now)?;
    if stimulus == Stimulus::Stop {
        processes[usize::from(who)] = None;
    }
    Ok(sent)
}

fn column(process: Option<&Process>, now: Instant) -> String {
    let text = match process.map(|process| process.local(now)) {
        None => "-".to_owned(),
        Some(Ok(Local { role, owns, .. })) => format!("{role}{}", if owns { " VIP" } else { "" }),
        Some(Err(problem)) => problem,
    };
    format!("{text:<16}")
}

/// The machines that lived through it all are in the states that the search has put together.
fn compare(
    setup: &Setup,
    known: &Directors,
    world: &World,
    processes: &[Option<Process>],
    now: Instant,
) -> Result<(), String> {
    for ((who, state), process) in (0u8..).zip(&world.directors).zip(processes) {
        let lived =
            process.as_ref().map(|process| process.local(now).map(|local| local.later(setup, 0))).transpose()?;
        let remembered = match *state {
            State::Up { id, age, .. } => Some(known.local(setup, id, age)),
            State::Down { .. } => None,
        };
        if lived != remembered {
            return Err(format!("{} is {lived:?} and not {remembered:?}", letter(who)));
        }
    }
    Ok(())
}
