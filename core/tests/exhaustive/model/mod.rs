//! A model checker for the election: every order of what can happen to two or three directors on one segment.
//!
//! The machines are the production code ([`vipward_core::vrrp::Election`]); only the segment, the kernels and time are
//! modelled. `docs/exhaustive.md` says what is explored and what that proves.

pub mod director;
pub mod liveness;
pub mod rules;
pub mod search;
pub mod setup;
pub mod timeline;
pub mod world;
