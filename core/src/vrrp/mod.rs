//! The election: which director holds each virtual router (RFC 9568, RFC 3768).
//!
//! [`Election`] is the machine; [`VirtualRouter`] is the RFCs' state machine, one for each `vrrp_instance`. They know
//! nothing of health checks and IPVS.

pub mod ah;
pub mod announce;
pub mod book;
pub mod counters;
mod effect;
pub mod election;
mod event;
pub mod intervals;
pub mod lifetime;
pub mod notify;
pub mod packet;
mod timers;
pub mod track;
pub mod virtual_router;

pub use effect::Effect;
pub use election::Election;
pub use event::Event;
pub use virtual_router::VirtualRouter;

use crate::machine::{InputOf, OutboxOf};

/// What an Election is told.
pub type Input = InputOf<Election>;

/// What it asks for.
pub type Outbox = OutboxOf<Election>;
