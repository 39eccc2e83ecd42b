//! Calibration: every fault of the drill's battery is played twice, in the simulator and with real daemons, clients,
//! servers and kernels; what people would notice of both is compared. `docs/calibration.md` has the table.
//!
//! - [`catalogue`]: the clusters and their cases
//! - [`play`]: one case in namespaces (`network.rs` builds the machines, `machines.rs` runs what is on them, `impair.rs`
//!   spoils the ways between them); it gives the same [`Run`](vipward_sim::runner::Run) as a simulation
//! - [`model`]: the same case in the simulator, at every phase that the real one may have
//! - [`facts`]: what is compared, and how far it may be apart
//! - [`table`]: what people read

mod catalogue;
mod facts;
mod impair;
mod machines;
mod model;
mod network;
mod play;
mod table;

pub use catalogue::{Calibrated, Cluster, Kernel, Pace, all, cases};
pub use facts::{Facts, Figure, Noticed, contradictions};
pub use model::model;
pub use play::play;
pub use table::{Compared, HEAD, compare, row, summary};
