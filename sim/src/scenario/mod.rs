//! Scenario files: a written outage. Nodes with their real configuration files, timed faults, and what must hold.

mod expectations;
mod forgery;
pub mod invariant;
pub mod model;
mod nodes;
mod read;
mod steps;
mod tracked;
mod values;
pub(crate) mod words;

pub use model::*;
pub use read::{Disk, Loaded, load, load_from, scenario_files};
pub(crate) use tracked::{Clue, guess, program, serves};
pub use values::parse_duration;
pub use words::words_help;
