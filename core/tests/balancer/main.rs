//! The Balancer as timelines: real servers that die and come back, quorum, reload, and a kernel that others change too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails panics")]

mod checks;
mod drain;
mod estate;
mod files;
mod groups;
mod kernel;
mod notify;
mod quorum;
mod random;
mod reload;
mod settings;
mod slow_start;
mod weights;
mod world;
