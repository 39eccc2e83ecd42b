//! Scenario files: a written outage. Nodes with their real configuration files, timed faults, and what must hold.

pub mod model;
mod read;
mod words;

pub use model::*;
pub use read::{Loaded, load, scenario_files};
pub use words::words_help;
