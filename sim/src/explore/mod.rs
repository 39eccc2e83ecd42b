//! The explorer: random clusters or the user's own, random faults, every invariant on. A seed that breaks one is shrunk to
//! the few faults that it takes and written down as an ordinary scenario.
//!
//! - [`draft`]: random clusters, and [`files`] the configurations and the network that describe them
//! - [`schedule`]: random faults, mended in time for everything to settle
//! - [`case`]: both together; what a seed stands for
//! - [`shrink`]: less of it
//! - [`sweep`]: many seeds, and [`covered`] what they went through
//!
//! The same program draws, runs and shrinks the same from the same seed, on any machine: `docs/explorer.md`.

pub mod case;
pub mod covered;
pub mod dice;
pub mod draft;
pub mod files;
mod forger;
pub mod schedule;
pub mod shrink;
pub mod sweep;

pub use case::{Case, Clusters, Given, Ground};
pub use covered::Covered;
pub use sweep::{Found, Sweep, Swept};
