//! A supervisor kills nobody who would go on by itself: neither hangs, nor has waited for a processor for as long as a worker
//! may that holds addresses ([`vipward_core::supervisor::WAITS`]).

use super::Invariant;
use crate::world::World;

pub const NAME: &str = crate::scenario::invariant::WORKER_KEPT;

#[derive(Default)]
pub struct WorkerKept {
    seen: usize,
}

impl Invariant for WorkerKept {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let new = world.killed_alive.get(self.seen..).unwrap_or_default();
        self.seen = world.killed_alive.len();
        new.iter().map(|(id, why)| format!("{}'s supervisor kills its worker: {why}", world.name(*id))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Watch;
    use crate::scenario::{Action, Step};
    use crate::testing::{LB1, LB2, pair};
    use crate::world::World;
    use std::sync::Arc;
    use vipward_core::text::Span;
    use vipward_core::time::{Duration, Instant};

    /// Neither worker says a word here. One of them hangs, so that to kill it is right.
    #[test]
    fn a_worker_that_is_killed_though_it_does_not_hang() {
        let mut scenario = pair();
        let action = Action::StarveWorker { node: LB1, lasts: Duration::from_secs(1) };
        scenario.steps.push(Step { at: Instant::from_millis(60_000), action, span: Span::default() });
        let mut world = World::new(Arc::new(scenario), 1);
        world.start(LB1);
        world.start(LB2);
        world.act(&Action::HangWorker(LB1));
        let mut watch = Watch::default();
        while world.now() < Instant::from_millis(12_000) {
            world.advance(world.now() + Duration::from_millis(1));
            watch.observe(&mut world);
        }
        let kept = watch.violations.iter().filter(|it| it.invariant == super::NAME);
        let texts: Vec<&str> = kept.map(|it| it.text.as_str()).collect();
        let text = "lb2's supervisor kills its worker: it does not hang";
        assert_eq!(texts, [text]);
    }
}
