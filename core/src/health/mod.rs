//! The health of real servers: from verdicts of single probes to "this one may take connections" and "there is quorum".

pub mod checker;
pub mod estate;
pub mod files;
pub mod quorum;
pub mod real_server;
pub mod warmup;
pub mod weight;

pub use checker::{Checker, Outcome, Start};
pub use quorum::{Change, Quorum};
pub use real_server::RealServer;
pub use weight::Weight;
