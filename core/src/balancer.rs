//! placeholder
use crate::{
    effect::Effect,
    event::Event,
    machine::{Machine, Reason},
    time::Instant,
};
#[derive(Default)]
pub struct Balancer {}
impl Machine for Balancer {
    fn handle(&mut self, _event: Event, _now: Instant) -> Vec<Effect> {
        Vec::new()
    }
    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        None
    }
}
