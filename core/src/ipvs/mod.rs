//! IPVS: the table that is wanted, the table that is there, the operations that lead from one to the other, and the
//! kernel's schedulers in user space for a machine whose kernel has no IPVS.

pub mod apply;
pub mod forwarding;
pub mod identity;
pub mod persistence;
pub mod reconcile;
pub mod schedule;
pub mod settings;
pub mod table;

pub use apply::ApplyError;
pub use forwarding::{Forwarding, TunnelChecksum};
pub use identity::{GroupName, VirtualServerId};
pub use persistence::Templates;
pub use reconcile::{reconcile, reconcile_service};
pub use schedule::{Algorithm, Connections, Picker};
pub use settings::{Setting, Settings, SyncDaemon, SyncRole, Timeouts};
pub use table::*;
