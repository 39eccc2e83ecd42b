//! What both machines are told, and the envelope of what only one of them is.

use crate::config::Config;
use crate::door::News;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everything that can happen to a machine; the only way into it. `E` are its own events, `F` its own effects, `S` is its
/// estate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input<E, F, S> {
    /// A configuration is in force from now on: the first one, or a reload. `seed` stands in for randomness (`warmup`).
    ConfigLoaded { config: Arc<Config>, seed: u64 },
    /// Something that concerns this machine alone.
    Event(E),
    /// The other machine of this director has something to tell.
    News(News),
    /// An effect of its own could not be carried out.
    Failed { effect: Box<F>, error: String },
    /// Time passed; see [`super::Machine::next_wakeup`].
    Wakeup,
    /// Orderly end: give everything back. After its effects a machine is never asked again.
    Stop,
    /// The end of this machine, and not of what it does: it gives nothing back, and is asked for nothing but
    /// [`super::Machine::estate`].
    HandOver,
    /// After [`Self::HandOver`]: nobody took the estate, this machine goes on. It has missed nothing but time, and the
    /// results of what was under way.
    TakeBack,
    /// What a predecessor left; before the first [`Self::ConfigLoaded`], which decides what of it still fits.
    Inherited(S),
}

/// What both machines of a director are told alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToBoth {
    /// [`Input::ConfigLoaded`].
    ConfigLoaded {
        config: Arc<Config>,
        seed: u64,
    },
    Stop,
    HandOver,
    TakeBack,
}

impl ToBoth {
    /// For one of them.
    pub fn input<E, F, S>(self) -> Input<E, F, S> {
        match self {
            Self::ConfigLoaded { config, seed } => Input::ConfigLoaded { config, seed },
            Self::Stop => Input::Stop,
            Self::HandOver => Input::HandOver,
            Self::TakeBack => Input::TakeBack,
        }
    }
}

impl<E, F, S> From<E> for Input<E, F, S> {
    fn from(event: E) -> Self {
        Self::Event(event)
    }
}

impl<E, F, S> Input<E, F, S> {
    /// The machine's own event, if it is one.
    pub fn event(&self) -> Option<&E> {
        match self {
            Self::Event(event) => Some(event),
            Self::ConfigLoaded { .. }
            | Self::News(_)
            | Self::Failed { .. }
            | Self::Wakeup
            | Self::Stop
            | Self::HandOver
            | Self::TakeBack
            | Self::Inherited(_) => None,
        }
    }

    /// A machine is driven no further after this one.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Stop | Self::HandOver)
    }
}
