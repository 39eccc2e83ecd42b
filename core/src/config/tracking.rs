//! What readings of tracked things make of a virtual router's priority, and who takes over from a lower one.
//!
//! One formula for two: the Election reckons with what it has heard, `vipward check` with everything that it may hear.

use super::model::{InitialState, TrackWeight, Tracked, TrackerId, VirtualRouterConfig};
use crate::config::places::Places;
use crate::quantity::Priority;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// `track_file NAME`: a file that holds a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFile {
    pub name: Arc<str>,
    /// `file`.
    pub path: Arc<str>,
    /// `weight` -254..=254, default 1.
    pub weight: TrackWeight,
    /// `init_file`.
    pub init: Option<InitFile>,
    pub places: Places,
}

/// `init_file [VALUE] [overwrite]`: the number that is written at the start, where there is no file or over what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    pub number: i64,
    pub overwrite: bool,
}

/// A tracked file and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedFile {
    pub name: Arc<str>,
    pub path: Arc<str>,
}

/// What is known of a tracked thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reading {
    /// It has not said anything yet.
    #[default]
    Unknown,
    Up,
    Down,
    /// What a file holds.
    Number(i64),
}

impl Reading {
    pub fn of(up: bool) -> Self {
        if up { Self::Up } else { Self::Down }
    }

    fn up(self) -> Option<bool> {
        match self {
            Self::Unknown | Self::Number(_) => None,
            Self::Up => Some(true),
            Self::Down => Some(false),
        }
    }
}

/// What one reading means for one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// Weight 0, and it says no: FAULT.
    Fault,
    /// Weight 0, and nothing is known.
    Unknown,
    /// This is added to the priority.
    Adds(i16),
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Up => f.write_str("up"),
            Self::Down => f.write_str("down"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// `FILE_CHECK`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCheck {
    /// `track_file`.
    pub file: Arc<str>,
    /// `weight`, or that of the `track_file`.
    pub weight: FileWeight,
    pub places: Places,
}

/// `weight` of a FILE_CHECK: what a number in a file does to a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWeight {
    /// Its number times this is added to the weight. 0: any number but 0 takes the real server out.
    pub weight: i32,
    /// `reverse`: the change is turned round; with weight 0, 0 takes it out.
    pub reverse: bool,
}

impl From<TrackWeight> for FileWeight {
    fn from(TrackWeight { weight, reverse }: TrackWeight) -> Self {
        Self { weight: weight.into(), reverse }
    }
}

impl FileWeight {
    /// What is added to the weight; none: the real server is down. keepalived 2.2.7: there is no other number that takes it out
    /// than with weight 0, and one beyond all bounds (keepalived.conf(5): -2147483648 or less).
    pub fn weigh(self, number: i64) -> Option<i64> {
        if self.weight == 0 {
            return ((number != 0) == self.reverse).then_some(0);
        }
        let product = number.saturating_mul(self.weight.into());
        let added = if self.reverse { product.saturating_neg() } else { product };
        (added > i64::from(i32::MIN)).then_some(added)
    }
}

/// What a file takes off a priority at least when it means FAULT.
const FAULT: i64 = 254;

impl TrackWeight {
    /// A positive weight is added while it is up, a negative one while it is down; `reverse` turns the change round
    /// (keepalived 2.2.7: `weight 20 reverse` takes 20 off while it is up). Weight 0: down means FAULT, reversed: up does.
    /// `presumed`: what a weight other than 0 counts with as long as nothing is known.
    pub fn weigh(self, reading: Reading, presumed: Reading) -> Weighed {
        let Self { weight, reverse } = self;
        if let Reading::Number(number) = reading {
            return self.weigh_number(number);
        }
        match (weight, reading.up()) {
            (0, None) => Weighed::Unknown,
            (0, Some(up)) if up == reverse => Weighed::Fault,
            (0, Some(_)) => Weighed::Adds(0),
            (weight, known) => {
                let counts = known.or(presumed.up()).is_some_and(|up| up == (weight > 0));
                let added = if counts { weight } else { 0 };
                Weighed::Adds(if reverse { -added } else { added })
            }
        }
    }

    /// keepalived 2.2.7: the number times the weight is added, turned round by `reverse`; -254 or less is FAULT. With weight 0
    /// any number but 0 is; reversed, 0 is.
    fn weigh_number(self, number: i64) -> Weighed {
        if self.weight == 0 {
            return if (number != 0) != self.reverse { Weighed::Fault } else { Weighed::Adds(0) };
        }
        let product = number.saturating_mul(i64::from(self.weight));
        let added = if self.reverse { product.saturating_neg() } else { product };
        if added <= -FAULT {
            Weighed::Fault
        } else {
            Weighed::Adds(i16::try_from(added.min(FAULT)).unwrap_or_default())
        }
    }

    /// The reading that is bad for a priority, or means FAULT: down, or with `reverse` up.
    pub fn failure(self) -> Reading {
        Reading::of(self.reverse)
    }

    /// The reading that is not [`TrackWeight::failure`].
    pub fn success(self) -> Reading {
        Reading::of(!self.reverse)
    }
}

impl Tracked {
    /// The reading while all is well. Which numbers a file holds nobody knows; one that is not there counts as 0.
    pub fn success(&self) -> Reading {
        match &self.what {
            TrackerId::Script(_) | TrackerId::Interface(_) | TrackerId::Process(_) => self.weight.success(),
            TrackerId::File(_) => Reading::Number(i64::from(self.weight.weight == 0 && self.weight.reverse)),
        }
    }
}

impl Priority {
    /// The effective priority, after all that trackers add: 1..=254, unless it is the address owner's, whose 255 nothing
    /// changes.
    pub fn weighed(self, weighed: impl Iterator<Item = Weighed>) -> Self {
        if self == Self::OWNER {
            return Self::OWNER;
        }
        let added: i32 = weighed
            .map(|weighed| match weighed {
                Weighed::Adds(added) => i32::from(added),
                Weighed::Fault | Weighed::Unknown => 0,
            })
            .sum();
        let priority = (i32::from(self.get()) + added).clamp(1, 254);
        u8::try_from(priority).ok().and_then(Self::new).unwrap_or(self)
    }
}

impl VirtualRouterConfig {
    /// Whether it takes over from a MASTER of lower priority. The owner always does (RFC 9568 6.1); with `state MASTER`
    /// keepalived takes `nopreempt` back.
    pub fn preempts(&self) -> bool {
        self.preemption.on || self.initial_state == InitialState::Master || self.priority == Priority::OWNER
    }

    /// The effective priority while everything that it tracks is well.
    pub fn priority_when_well(&self) -> Priority {
        let well = |tracked: &Tracked| tracked.weight.weigh(tracked.success(), Reading::Unknown);
        self.priority.weighed(self.tracking.list.iter().map(well))
    }
}
