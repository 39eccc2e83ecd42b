//! What a machine asks for, in lanes.
//!
//! The order of what one event leads to is the protocol's, and not that of the functions that handle the event: adverts
//! leave before the kernel is touched, goodbyes included (a peer that hears one waits for Skew_Time, which is longer than
//! a removal takes); an address is announced when it is there; a lease is given back when the addresses are gone; people
//! and scripts are told in the end. So whoever handles an event puts each effect into the outbox where it comes to mind,
//! and its [`Lane`] says when it is its turn, for all virtual routers of a director together.

use crate::command::Command;
use crate::decision::Decision;
use crate::door::News;
use crate::mail::Mail;
use serde::{Deserialize, Serialize};
use std::iter::Flatten;
use std::sync::Arc;

/// When an effect has its turn among those of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Adverts: others wait for them.
    Say,
    /// What the kernel holds: addresses, groups, the IPVS table.
    Change,
    /// Announcements of what is there by now.
    Announce,
    /// Leases, readings, probes, scripts. They find the kernel as this event leaves it.
    Ask,
    /// Decisions, notify scripts and FIFOs, mail, news.
    Tell,
}

impl Lane {
    /// Its effects have no answer but a refusal: they can leave as one batch.
    pub fn is_quiet(self) -> bool {
        match self {
            Self::Say | Self::Change | Self::Announce => true,
            Self::Ask | Self::Tell => false,
        }
    }
}

/// One of a machine's own effects.
pub trait Effect {
    fn lane(&self) -> Lane;

    /// It takes off what nobody else may have yet.
    fn takes_off(&self) -> bool {
        false
    }

    /// It lets somebody else have what [`Self::takes_off`] takes off. If that failed in the same turn, this is not
    /// carried out, and comes back for this reason.
    fn gives_away(&self) -> Option<&'static str> {
        None
    }

    /// It tells others that what `change` puts there is there. If that was refused in the same turn, this is left out.
    fn tells_of(&self, _change: &Self) -> bool {
        false
    }
}

/// What a machine asks for: what both can ask for, or an effect of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output<F> {
    /// It comes back as [`super::Input::Failed`] if it can't be carried out.
    Effect(F),
    /// Something was decided, with its cause. Logs, timelines and `explain` read this stream.
    Decide(Decision),
    /// Run a notify script (`notify_master` and its kin). Those of one `queue` run one after the other, in order.
    Notify { queue: Arc<str>, command: Command },
    /// For the other machine of this director.
    News(News),
    /// Tell people by mail (`smtp_alert`).
    Mail(Mail),
    /// Write a line into a notify FIFO (`notify_fifo` and its kin). It ends with no newline yet.
    Fifo { path: Arc<str>, line: String },
}

impl<F> From<F> for Output<F> {
    fn from(effect: F) -> Self {
        Self::Effect(effect)
    }
}

impl<F: Effect> Output<F> {
    pub fn lane(&self) -> Lane {
        match self {
            Self::Effect(effect) => effect.lane(),
            Self::Decide(_) | Self::Notify { .. } | Self::News(_) | Self::Mail(_) | Self::Fifo { .. } => Lane::Tell,
        }
    }
}

/// What one event leads to: lane by lane, and within a lane as it was put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbox<F> {
    say: Vec<Output<F>>,
    change: Vec<Output<F>>,
    announce: Vec<Output<F>>,
    ask: Vec<Output<F>>,
    tell: Vec<Output<F>>,
}

impl<F> Default for Outbox<F> {
    fn default() -> Self {
        let [say, change, announce, ask, tell] = [const { Vec::new() }; 5];
        Self { say, change, announce, ask, tell }
    }
}

impl<F: Effect> Outbox<F> {
    /// An effect of the machine's own.
    pub fn push(&mut self, effect: F) {
        self.put(Output::Effect(effect));
    }

    pub fn put(&mut self, output: Output<F>) {
        match output.lane() {
            Lane::Say => &mut self.say,
            Lane::Change => &mut self.change,
            Lane::Announce => &mut self.announce,
            Lane::Ask => &mut self.ask,
            Lane::Tell => &mut self.tell,
        }
        .push(output);
    }
}

impl<F> Outbox<F> {
    /// One decision, or none.
    pub fn decide(&mut self, decision: impl Into<Option<Decision>>) {
        self.tell.extend(decision.into().map(Output::Decide));
    }

    pub fn notify(&mut self, queue: Arc<str>, command: Command) {
        self.tell.push(Output::Notify { queue, command });
    }

    pub fn mail(&mut self, mail: Mail) {
        self.tell.push(Output::Mail(mail));
    }

    /// A line for each of these FIFOs.
    pub fn fifos(&mut self, paths: &[Arc<str>], line: &str) {
        self.tell.extend(paths.iter().map(|path| Output::Fifo { path: path.clone(), line: line.to_owned() }));
    }

    /// The same, before what `behind` says of the lines that are there.
    pub fn fifos_before(&mut self, paths: &[Arc<str>], line: &str, behind: impl Fn(&str) -> bool) {
        let follows = |output: &Output<F>| matches!(output, Output::Fifo { line, .. } if behind(line));
        let at = self.tell.iter().position(follows).unwrap_or(self.tell.len());
        let lines = paths.iter().map(|path| Output::Fifo { path: path.clone(), line: line.to_owned() });
        self.tell.splice(at..at, lines.collect::<Vec<_>>());
    }

    pub fn news(&mut self, news: News) {
        self.tell.push(Output::News(news));
    }

    /// Behind what is there already, lane by lane.
    pub fn append(&mut self, other: Self) {
        let Self { say, change, announce, ask, tell } = other;
        self.say.extend(say);
        self.change.extend(change);
        self.announce.extend(announce);
        self.ask.extend(ask);
        self.tell.extend(tell);
    }

    /// Each lane by itself, in their order.
    pub fn into_lanes(self) -> [Vec<Output<F>>; 5] {
        let Self { say, change, announce, ask, tell } = self;
        [say, change, announce, ask, tell]
    }

    fn lanes(&self) -> [&Vec<Output<F>>; 5] {
        [&self.say, &self.change, &self.announce, &self.ask, &self.tell]
    }

    pub fn iter(&self) -> Flatten<std::array::IntoIter<&Vec<Output<F>>, 5>> {
        self.lanes().into_iter().flatten()
    }

    /// The machine's own effects alone.
    pub fn effects(&self) -> impl Iterator<Item = &F> {
        self.iter().filter_map(|output| match output {
            Output::Effect(effect) => Some(effect),
            Output::Decide(_) | Output::Notify { .. } | Output::News(_) | Output::Mail(_) | Output::Fifo { .. } => None,
        })
    }

    /// The same, taken out.
    pub fn into_effects(self) -> impl Iterator<Item = F> {
        self.into_iter().filter_map(|output| match output {
            Output::Effect(effect) => Some(effect),
            Output::Decide(_) | Output::Notify { .. } | Output::News(_) | Output::Mail(_) | Output::Fifo { .. } => None,
        })
    }

    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.tell.iter().filter_map(|output| match output {
            Output::Decide(decision) => Some(decision),
            Output::Effect(_) | Output::Notify { .. } | Output::News(_) | Output::Mail(_) | Output::Fifo { .. } => None,
        })
    }

    /// Whether an advert leaves.
    pub fn says(&self) -> bool {
        !self.say.is_empty()
    }

    pub fn len(&self) -> usize {
        self.lanes().into_iter().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<F> IntoIterator for Outbox<F> {
    type Item = Output<F>;
    type IntoIter = Flatten<std::array::IntoIter<Vec<Output<F>>, 5>>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_lanes().into_iter().flatten()
    }
}

impl<'a, F> IntoIterator for &'a Outbox<F> {
    type Item = &'a Output<F>;
    type IntoIter = Flatten<std::array::IntoIter<&'a Vec<Output<F>>, 5>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<F: Effect> Extend<F> for Outbox<F> {
    fn extend<I: IntoIterator<Item = F>>(&mut self, effects: I) {
        effects.into_iter().for_each(|effect| self.push(effect));
    }
}

impl<F: Effect> FromIterator<Output<F>> for Outbox<F> {
    fn from_iter<I: IntoIterator<Item = Output<F>>>(outputs: I) -> Self {
        let mut outbox = Self::default();
        outputs.into_iter().for_each(|output| outbox.put(output));
        outbox
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Own(Lane, u8);

    impl Effect for Own {
        fn lane(&self) -> Lane {
            self.0
        }
    }

    #[test]
    fn lanes_have_their_turn_one_after_the_other_and_each_keeps_its_order() {
        let news = |up| News::BfdChanged { session: "s".into(), up };
        let mut outbox = Outbox::default();
        outbox.news(news(true));
        outbox.extend([Own(Lane::Ask, 1), Own(Lane::Change, 2), Own(Lane::Say, 3), Own(Lane::Change, 4)]);
        outbox.push(Own(Lane::Announce, 5));
        outbox.news(news(false));
        assert_eq!((outbox.len(), outbox.says()), (7, true));
        let own = |lane, n| Output::Effect(Own(lane, n));
        let expected = [
            own(Lane::Say, 3),
            own(Lane::Change, 2),
            own(Lane::Change, 4),
            own(Lane::Announce, 5),
            own(Lane::Ask, 1),
            Output::News(news(true)),
            Output::News(news(false)),
        ];
        assert!(outbox.iter().eq(&expected));
        assert_eq!(outbox.into_iter().collect::<Vec<_>>(), expected);
    }
}
