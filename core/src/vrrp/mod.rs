//! The election: which director holds each virtual router (RFC 9568, RFC 3768).
//!
//! [`Election`] is the machine; [`VirtualRouter`] is the RFCs' state machine, one for each `vrrp_instance`. They know
//! nothing of health checks and IPVS.

pub mod addresses;
pub mod announce;
pub mod counters;
pub mod election;
pub mod intervals;
pub mod lifetime;
pub mod notify;
pub mod packet;
mod timers;
pub mod tracker;
pub mod virtual_router;

pub use election::Election;
pub use virtual_router::VirtualRouter;
