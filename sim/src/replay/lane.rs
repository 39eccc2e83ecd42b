//! One director is one lane, however many processes it had.
//!
//! A process that is upgraded hands over to the next: the two are one [`Chain`], in which at any moment one of them acts.
//! The new one records before it acts, while it prepares, and the old one may go on if nobody takes what it left. A stop
//! or a death ends a chain; the next start begins another one.

use super::track::Track;
use std::collections::BTreeSet;
use vipward_core::machine::Input;
use vipward_core::record::{MachineName, Step};
use vipward_core::time::{Duration, Instant};

/// A new process takes up what the one before handed over within this, or it was another hand-over.
const HAND_OVER: Duration = Duration::from_secs(60);

/// Epochs that differ by no more belong to one boot: each process reads the clock on the wall once, at its start. After
/// another boot they differ by the time that the machine was up.
const ONE_BOOT: Duration = Duration::from_secs(1);

/// What begins or ends the time in which a machine acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Loads,
    /// `handed`: from a process that had ended; otherwise it is a copy out of a state file.
    Inherits {
        handed: bool,
    },
    HandsOver,
    TakesBack,
    Stops,
}

impl Turn {
    pub fn of(step: &Step) -> Option<Self> {
        match step {
            Step::Election(step) => match &step.input {
                Input::Inherited(estate) => Some(Self::Inherits { handed: estate.handed_over }),
                input => turn(input),
            },
            Step::Balancer(step) => turn(&step.input),
        }
    }
}

fn turn<E, F, S>(input: &Input<E, F, S>) -> Option<Turn> {
    match input {
        Input::ConfigLoaded { .. } => Some(Turn::Loads),
        Input::Inherited(_) => Some(Turn::Inherits { handed: false }),
        Input::HandOver => Some(Turn::HandsOver),
        Input::TakeBack => Some(Turn::TakesBack),
        Input::Stop => Some(Turn::Stops),
        Input::Event(_) | Input::News(_) | Input::Failed { .. } | Input::Wakeup => None,
    }
}

/// All runs of one director.
#[derive(Clone, Debug)]
pub struct Lane<'a> {
    pub name: &'a str,
    /// In the order of time, never empty.
    pub chains: Vec<Chain<'a>>,
}

impl<'a> Lane<'a> {
    /// The processes that ran at this instant of the common timeline, or had just ended.
    pub fn at(&self, moment: Instant) -> Option<&Chain<'a>> {
        let chain = self.chains.iter().rfind(|chain| chain.span().0 <= moment)?;
        (moment <= chain.span().1 + Duration::from_secs(1)).then_some(chain)
    }
}

/// Processes of which each took up what the one before handed over.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    pub first: &'a Track,
    pub later: Vec<&'a Track>,
}

/// The lanes of these tracks, in the order in which they begin.
pub fn lanes(tracks: &[Track]) -> Vec<Lane<'_>> {
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    for track in tracks {
        let own = Chain { first: track, later: Vec::new() };
        let Some(lane) = lanes.iter_mut().find(|lane| lane.name == track.name) else {
            lanes.push(Lane { name: &track.name, chains: vec![own] });
            continue;
        };
        let joins = |chain: &&mut Chain<'_>| match track.before {
            Some(before) => chain.runs().any(|run| run.run == before),
            // It prepared, and nothing came of it.
            None => track.begins().is_none() && chain.span().0 <= track.common(track.span().0),
        };
        match lane.chains.iter_mut().rev().find(joins) {
            Some(chain) => chain.later.push(track),
            None => lane.chains.push(own),
        }
    }
    lanes
}

impl<'a> Chain<'a> {
    pub fn runs(&self) -> impl Iterator<Item = &'a Track> {
        std::iter::once(self.first).chain(self.later.iter().copied())
    }

    /// From its first step to its last, on the common timeline.
    pub fn span(&self) -> (Instant, Instant) {
        let ends = self.runs().map(|run| run.common(run.span().1));
        (self.first.common(self.first.span().0), ends.max().unwrap_or_default())
    }

    /// The run that acts at this instant of the common timeline, or acted last before it.
    pub fn acting(&self, machine: MachineName, at: Instant) -> &'a Track {
        let since = |run: &Track| {
            let acts = run.acts(machine).into_iter().map(|(from, _)| run.common(from));
            acts.filter(|from| *from <= at).max()
        };
        self.runs().filter(|run| since(run).is_some()).max_by_key(|run| since(run)).unwrap_or(self.first)
    }

    /// The run with which it ends.
    pub fn last(&self) -> &'a Track {
        self.acting(MachineName::Election, Instant::from_nanos(u64::MAX))
    }

    /// It ended with a stop.
    pub fn stopped(&self) -> bool {
        self.last().ends_with() == Some(Turn::Stops)
    }

    /// Upgrades that lasted: when the new process began to act, and its track.
    pub fn upgrades(&self) -> Vec<(Instant, &'a Track)> {
        let began = |run: &'a Track| Some((run.common(run.begins()?), run));
        let mut upgrades: Vec<_> =
            self.later.iter().filter_map(|run| began(run)).filter(|(at, run)| !self.taken_back(run, *at)).collect();
        upgrades.sort_by_key(|(at, _)| *at);
        upgrades
    }

    /// When the process before this one handed over to it.
    pub fn handed_over(&self, run: &Track, began: Instant) -> Instant {
        let before = self.runs().filter(|before| Some(before.run) == run.before);
        let steps = before.flat_map(|before| before.steps().map(|step| (before.common(step.at()), step)));
        let handed = steps.filter(|(at, step)| Turn::of(step) == Some(Turn::HandsOver) && *at <= began);
        handed.map(|(at, _)| at).max().unwrap_or(began)
    }

    /// Whether the process before this one went on after it.
    pub fn taken_back(&self, run: &Track, began: Instant) -> bool {
        let before = self.runs().find(|before| Some(before.run) == run.before);
        before.is_some_and(|before| {
            let mut steps = before.steps().filter(|step| Turn::of(step) == Some(Turn::TakesBack));
            steps.any(|step| before.common(step.at()) >= began)
        })
    }
}

impl Track {
    /// From when until when this machine acts, on the track's own clock.
    pub(super) fn acts(&self, machine: MachineName) -> Vec<(Instant, Instant)> {
        let (mut acts, mut open, mut last) = (Vec::new(), None, Instant::ZERO);
        for (number, step) in self.steps().filter(|step| step.machine() == machine).enumerate() {
            last = step.at();
            match Turn::of(step) {
                Some(Turn::Loads | Turn::TakesBack) => open = open.or(Some(last)),
                Some(Turn::HandsOver | Turn::Stops) => acts.extend(open.take().map(|from| (from, last))),
                Some(Turn::Inherits { .. }) | None if number == 0 && !self.whole => open = Some(last),
                Some(Turn::Inherits { .. }) | None => {}
            }
        }
        acts.extend(open.map(|from| (from, last)));
        acts
    }

    /// When it began to act.
    pub(super) fn begins(&self) -> Option<Instant> {
        let first = |machine| self.acts(machine).first().map(|(from, _)| *from);
        [MachineName::Election, MachineName::Balancer].into_iter().filter_map(first).min()
    }

    /// The last turn of its machines, if they did nothing after it.
    pub(super) fn ends_with(&self) -> Option<Turn> {
        let of = |machine| self.steps().filter(|step| step.machine() == machine).last().map(Turn::of);
        of(MachineName::Election).or_else(|| of(MachineName::Balancer)).flatten()
    }

    /// When its Election took up what a process before handed over.
    fn takes_up(&self) -> Option<Instant> {
        self.steps().find(|step| Turn::of(step) == Some(Turn::Inherits { handed: true })).map(Step::at)
    }
}

/// Finds out which process took up what which other one left. Both are on one machine, so they have one clock, and its
/// place on the wall is the one that the first of them read.
pub(super) fn join(tracks: &mut [Track]) {
    tracks.sort_by_key(|track| (track.name.clone(), track.epoch.saturating_add(track.span().0.as_nanos())));
    let mut taken: BTreeSet<(u64, Instant)> = BTreeSet::new();
    for at in 1..tracks.len() {
        let (before, rest) = tracks.split_at_mut(at);
        let (Some(track), Some(last)) = (rest.first_mut(), before.last()) else { continue };
        if last.name == track.name && u128::from(last.epoch.abs_diff(track.epoch)) <= ONE_BOOT.as_nanos() {
            track.epoch = last.epoch;
        }
        let Some(takes_up) = track.takes_up() else { continue };
        let own = before.iter().filter(|other| other.name == track.name && other.epoch == track.epoch);
        let handed = own.flat_map(|other| {
            let steps = other
                .steps()
                .filter(|step| step.machine() == MachineName::Election && Turn::of(step) == Some(Turn::HandsOver));
            steps.map(|step| (step.at(), other.run))
        });
        let fits = |(at, run): &(Instant, u64)| {
            *at <= takes_up && takes_up.since(*at) <= HAND_OVER && !taken.contains(&(*run, *at))
        };
        if let Some((at, run)) = handed.filter(fits).max() {
            taken.insert((run, at));
            track.before = Some(run);
        }
    }
}
