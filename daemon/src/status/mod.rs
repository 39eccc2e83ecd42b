//! How a running director is, for whoever asks.
//!
//! Who asks connects to the control socket. The supervisor answers nothing of this: it hands the connection to the worker
//! ([`vipward_core::supervisor::Order::Status`]), and a thread there ([`Desk`]) asks the two machines, which answer between
//! two events ([`vipward_core::status`]), and writes what they said. Neither machine waits for it, and one that does not
//! answer is told as that: nothing is shown of a machine that may be dead.
//!
//! The same thread takes orders about real servers (`vipward drain`), which the supervisor leaves in the connection: the Balancer
//! hears them as events, and its answer is an effect.

mod asked;
pub mod client;
mod desk;
pub mod dump;
pub mod lines;
mod orders;

pub use asked::{Audience, Questions, questions};
pub use desk::{About, Desk, Of};
pub use orders::{Answers, Orders, orders};
