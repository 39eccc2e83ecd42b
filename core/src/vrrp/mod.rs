//! The election: which director holds each virtual router (RFC 9568, RFC 3768).

pub mod types;

use crate::{
    effect::Effect,
    event::Event,
    machine::{Machine, Reason},
    time::Instant,
};
pub use types::*;
#[derive(Default)]
pub struct Election {}
impl Machine for Election {
    fn handle(&mut self, _event: Event, _now: Instant) -> Vec<Effect> {
        Vec::new()
    }
    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        None
    }
}
