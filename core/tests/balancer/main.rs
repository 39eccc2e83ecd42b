//! The Balancer as timelines: real servers that die and come back, quorum, reload, and a kernel that others change too.

mod checks;
mod kernel;
mod quorum;
mod random;
mod reload;
mod world;
