//! How a running director is, for whoever asks.
//!
//! Who asks connects to the control socket. The supervisor answers nothing of this: it hands the connection to the worker
//! ([`vipward_core::supervisor::Order::Status`]), and a thread there ([`Desk`]) asks the two machines, which answer between
//! two events ([`vipward_core::status`]), and writes what they said. Neither machine waits for it, and one that does not
//! answer is told as that: nothing is shown of a machine that may be dead.

mod asked;
pub mod client;
mod desk;
pub mod dump;

pub use asked::{Audience, Questions, questions};
pub use desk::{About, Desk, Of};
