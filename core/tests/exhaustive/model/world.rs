//! The segment: directors, adverts on their way, and what can happen next.

use super::director::{Directors, Id, Message, Stimulus};
use super::setup::{Setup, Ticks};
use std::fmt;

/// Everything at one instant. Times are ticks from now.
#[derive(Clone, Debug)]
pub struct World {
    pub directors: Vec<State>,
    pub flying: Vec<Flight>,
}

#[derive(Clone, Copy, Debug)]
pub enum State {
    /// No process; `owns`: a killed one left the VIP in the kernel.
    /// `since`: for how long, up to what a restart takes at least.
    Down { owns: bool, since: Ticks },
    /// `age`: how long ago it was in the state `id`.
    Up { id: Id, age: Ticks, frozen: bool },
}

/// One advert on its way to one director.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flight {
    pub from: u8,
    pub to: u8,
    pub message: Message,
    /// Since it was sent; more than the delay: it waits in the queue of a director that is frozen, or was until now.
    pub age: Ticks,
}

/// Time passes, then something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub passes: Ticks,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// As it was when the step began, before time passed.
    Deliver(Flight),
    Wake(u8),
    // From here on faults.
    Lose(Flight),
    Start(u8),
    /// SIGKILL: the VIP stays where it is.
    Kill(u8),
    Stop(u8),
    Freeze(u8),
    Resume(u8),
}

impl Action {
    pub fn is_fault(self) -> bool {
        match self {
            Self::Deliver(_) | Self::Wake(_) => false,
            Self::Lose(_) | Self::Start(_) | Self::Kill(_) | Self::Stop(_) | Self::Freeze(_) | Self::Resume(_) => true,
        }
    }
}

/// A rule was broken by a step.
pub type Broken = String;

impl World {
    /// Nobody runs.
    pub fn empty(setup: &Setup) -> Self {
        Self {
            directors: setup.directors.iter().map(|_| State::Down { owns: false, since: setup.restart }).collect(),
            flying: vec![],
        }
    }

    /// Two worlds with the same key have the same future.
    pub fn key(&self, setup: &Setup, known: &Directors) -> Box<[u8]> {
        use super::director::Role;
        let mut key = Vec::with_capacity(self.directors.len() * 6 + self.flying.len() * 2);
        for state in &self.directors {
            match *state {
                State::Down { owns, since } => key.extend([u8::from(owns), u8::try_from(since).unwrap()]),
                State::Up { id, age, frozen } => {
                    let local = known.local(setup, id, age);
                    let flags = u8::from(local.owns) | u8::from(frozen) << 1;
                    let ticks = |at: Ticks| i16::try_from(at).unwrap().to_be_bytes();
                    match local.role {
                        Role::Backup { down, active, slept } => {
                            key.push(0x10 | flags | u8::from(slept) << 2);
                            key.push(u8::try_from(active).unwrap());
                            key.extend(ticks(down));
                        }
                        Role::Master { advertise, last } => {
                            key.push(0x20 | flags);
                            key.extend(ticks(advertise));
                            key.extend(ticks(last));
                        }
                    }
                }
            }
        }
        key.push(0xff);
        for Flight { from, to, message, age } in &self.flying {
            key.push(from << 4 | to << 1 | u8::from(*message == Message::Goodbye));
            key.push(u8::try_from(*age).unwrap());
        }
        key.into()
    }

    /// Everything that can happen next. Each thing happens as soon as it can, at the last moment at which whatever is
    /// pending is still on time, and on the grid between.
    pub fn steps(&self, setup: &Setup, known: &Directors) -> Vec<Step> {
        let mut steps = Vec::new();
        let last = self.last_moment(setup, known);
        let mut add = |soonest: Ticks, action| {
            if last.is_none_or(|last| soonest <= last) {
                let last = last.unwrap_or(soonest);
                let between = setup.grid.map_or(last + 1, |grid| soonest + grid);
                let grid = usize::try_from(setup.grid.unwrap_or(1)).unwrap();
                let moments = [soonest].into_iter().chain((between..last).step_by(grid));
                let moments = moments.chain((last > soonest).then_some(last));
                steps.extend(moments.map(|passes| Step { passes, action }));
            }
        };
        for flight in &self.flying {
            if !self.is_frozen(flight.to) {
                add(0, Action::Deliver(*flight));
            }
        }
        for (who, state) in (0u8..).zip(&self.directors) {
            match *state {
                State::Down { since, .. } => add(setup.restart - since, Action::Start(who)),
                State::Up { frozen: true, .. } => add(0, Action::Resume(who)),
                State::Up { id, age, frozen: false } => {
                    // The driver takes what waits before a timer.
                    if !self.flying.iter().any(|flight| flight.to == who && flight.age > setup.delay) {
                        add(known.local(setup, id, age).timer().max(0), Action::Wake(who));
                    }
                    add(0, Action::Stop(who));
                    if setup.freezes {
                        add(0, Action::Freeze(who));
                    }
                }
            }
        }
        // A process that is killed does nothing until then, so only the order of these matters.
        let running = (0u8..).zip(&self.directors).filter(|(_, state)| matches!(state, State::Up { .. }));
        steps.extend(running.map(|(who, _)| Step { passes: 0, action: Action::Kill(who) }));
        let sent_now = self.flying.iter().filter(|flight| setup.losses && flight.age == 0);
        steps.extend(sent_now.map(|flight| Step { passes: 0, action: Action::Lose(*flight) }));
        steps
    }

    /// How long nothing need happen; none: for ever.
    fn last_moment(&self, setup: &Setup, known: &Directors) -> Option<Ticks> {
        let arrivals = self.flying.iter().filter(|flight| !self.is_frozen(flight.to));
        let arrivals = arrivals.map(|flight| (setup.delay - flight.age).max(0));
        let timers = self.directors.iter().filter_map(|state| match *state {
            State::Up { id, age, frozen: false } => Some((known.local(setup, id, age).timer() + setup.slack).max(0)),
            State::Up { frozen: true, .. } | State::Down { .. } => None,
        });
        arrivals.chain(timers).min()
    }

    fn is_frozen(&self, who: u8) -> bool {
        matches!(self.directors[usize::from(who)], State::Up { frozen: true, .. })
    }

    /// The world after a step. A rule that the step broke comes with it.
    pub fn after(&self, setup: &Setup, known: &mut Directors, step: Step) -> (Self, Option<Broken>) {
        let mut world = self.clone();
        let mut action = step.action;
        if let Action::Deliver(flight) | Action::Lose(flight) = &mut action {
            let place = world.flying.iter().position(|other| other == flight).expect("it is flying");
            world.flying.remove(place);
        }
        world.pass(setup, step.passes);
        if let Action::Deliver(flight) = &mut action {
            flight.age += step.passes;
        }
        let broken = match action {
            Action::Lose(_) => None,
            Action::Deliver(flight) => {
                let stimulus = Stimulus::Hears { from: flight.from, message: flight.message };
                world.tell(setup, known, flight.to, stimulus)
            }
            Action::Wake(who) => world.tell(setup, known, who, Stimulus::Wakeup),
            Action::Stop(who) => world.tell(setup, known, who, Stimulus::Stop),
            Action::Start(who) => {
                let State::Down { owns, .. } = world.directors[usize::from(who)] else { unreachable!("it runs") };
                world.tell(setup, known, who, Stimulus::Start { owns })
            }
            Action::Kill(who) => {
                if let State::Up { id, age, .. } = world.directors[usize::from(who)] {
                    world.directors[usize::from(who)] =
                        State::Down { owns: known.local(setup, id, age).owns, since: 0 };
                    world.flying.retain(|flight| flight.to != who);
                }
                None
            }
            Action::Freeze(who) => world.set_frozen(who, true),
            Action::Resume(who) => world.set_frozen(who, false),
        };
        world.flying.sort_unstable();
        // What waits for a frozen director may be any number of the same; one of each kind is kept.
        world.flying.dedup_by(|a, b| a == b && a.age > setup.delay);
        (world, broken)
    }

    fn set_frozen(&mut self, who: u8, to: bool) -> Option<Broken> {
        if let State::Up { frozen, .. } = &mut self.directors[usize::from(who)] {
            *frozen = to;
        }
        None
    }

    fn pass(&mut self, setup: &Setup, by: Ticks) {
        for state in &mut self.directors {
            match state {
                State::Up { age, .. } => *age += by,
                State::Down { since, .. } => *since = (*since + by).min(setup.restart),
            }
        }
        for flight in &mut self.flying {
            flight.age = (flight.age + by).min(setup.delay + 1);
        }
    }

    fn tell(&mut self, setup: &Setup, known: &mut Directors, who: u8, stimulus: Stimulus) -> Option<Broken> {
        let place = usize::from(who);
        let state = match self.directors[place] {
            State::Up { id, age, .. } => Some((id, age)),
            State::Down { .. } if matches!(stimulus, Stimulus::Start { .. }) => None,
            State::Down { .. } => return None,
        };
        let answer = known.ask(setup, place, state, stimulus);
        self.directors[place] = match answer.next {
            Some(id) => State::Up { id, age: 0, frozen: false },
            None => State::Down { owns: answer.owns, since: 0 },
        };
        if answer.next.is_none() {
            self.flying.retain(|flight| flight.to != who);
        }
        for message in &answer.sent {
            for (to, other) in (0u8..).zip(&self.directors) {
                if to != who && matches!(other, State::Up { .. }) {
                    self.flying.push(Flight { from: who, to, message: *message, age: 0 });
                }
            }
        }
        answer.broken.clone()
    }

    /// How it stands between the directors.
    pub fn standing(&self, setup: &Setup, known: &Directors) -> Standing {
        let mut running = 0;
        let mut masters = Vec::new();
        let mut best = 0;
        for (who, state) in self.directors.iter().enumerate() {
            let State::Up { id, age, frozen: false } = *state else { continue };
            running += 1;
            if setup.directors[who].preempts() {
                best = best.max(setup.directors[who].priority);
            }
            if known.local(setup, id, age).is_master() {
                masters.push(who);
            }
        }
        let right = match masters[..] {
            [] => running == 0,
            [master] => setup.directors[master].priority >= best,
            [..] => false,
        };
        let mask = masters.iter().fold(0, |mask, who| mask | 1 << who);
        Standing { nobody: running > 0 && masters.is_empty(), several: masters.len() > 1, right, masters: mask }
    }
}

/// Who is MASTER, of the directors that run and are not frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Somebody runs, and nobody is MASTER.
    pub nobody: bool,
    pub several: bool,
    /// Exactly one MASTER, and nobody who preempts has a higher priority.
    pub right: bool,
    /// One bit a director.
    pub masters: u8,
}

/// A for the first director.
pub fn letter(who: u8) -> char {
    char::from(b'A' + who)
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = |message| match message {
            Message::Advert => "advert",
            Message::Goodbye => "priority 0",
        };
        match *self {
            Self::Deliver(Flight { from, to, message, .. }) => {
                write!(f, "{} hears {}'s {}", letter(to), letter(from), what(message))
            }
            Self::Lose(Flight { from, to, message, .. }) => {
                write!(f, "{}'s {} to {} is lost", letter(from), what(message), letter(to))
            }
            Self::Wake(who) => write!(f, "{}'s timer fires", letter(who)),
            Self::Start(who) => write!(f, "{} starts", letter(who)),
            Self::Kill(who) => write!(f, "{} is killed", letter(who)),
            Self::Stop(who) => write!(f, "{} is stopped", letter(who)),
            Self::Freeze(who) => write!(f, "{} freezes", letter(who)),
            Self::Resume(who) => write!(f, "{} runs again", letter(who)),
        }
    }
}
