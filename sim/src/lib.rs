//! vipward-sim rehearses outages. The deciding half of vipward, `vipward-core`, runs unchanged in a deterministic
//! world: directors with their real configuration files, real servers, clients, and faults from a scenario file.
//!
//! - [`scenario`]: the files that say what happens and what must hold
//! - [`world`]: the network and the kernels, as a pure model
//! - [`runner`]: whole directors (driver, probes over hyper, adverts over UDP) in that world, on turmoil
//! - [`runner::events`]: the same machines from one event queue, without tasks and streams, for sweeps
//! - [`invariants`]: what must hold in every run
//! - [`expect`]: what must hold in this one
//! - [`drill`]: every outage of the standard battery, from the directors' files alone
//! - [`replay`]: recordings of real daemons, checked and explained
//! - [`timeline`], [`report`], [`html`]: what people and machines read
//! - [`progress`]: how far a long command is

pub mod drill;
pub mod expect;
pub mod explore;
pub mod html;
pub mod invariants;
pub mod junit;
pub mod progress;
pub mod replay;
pub mod report;
pub mod runner;
pub mod scenario;
#[cfg(test)]
mod testing;
pub mod timeline;
pub mod trace;
pub mod world;
