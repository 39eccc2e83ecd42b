//! Own clocks of directors and of the quorum service: monotonic, set by nobody, and a little fast or slow.

use super::World;
use crate::scenario::{NodeId, NodeKind};
use vipward_core::time::{Duration, Instant};

impl World {
    /// What the director's own clock shows.
    pub fn local_time(&self, id: NodeId) -> Instant {
        shown(self.now, self.drift(id))
    }

    /// How long until the director's own clock shows `local`, at most one step of a nanosecond too long.
    pub fn until(&self, id: NodeId, local: Instant) -> Duration {
        let ppm = self.drift(id);
        if ppm == 0 {
            return local.since(self.now);
        }
        // How fast the clock runs is known, so the way back is a division; the rounding is made good below.
        let rate = u64::try_from(1_000_000 + i64::from(ppm)).unwrap_or(1_000_000);
        let nanos = local.as_nanos();
        let guess = nanos / rate * 1_000_000 + nanos % rate * 1_000_000 / rate;
        let mut at = Instant::from_nanos(guess.saturating_sub(1));
        while shown(at, ppm) < local {
            at = at + Duration::from_nanos(1);
        }
        at.since(self.now)
    }

    fn drift(&self, id: NodeId) -> i32 {
        match &self.plan.node(id).kind {
            NodeKind::Director(plan) => plan.drift_ppm,
            NodeKind::Quorum(plan) => plan.drift_ppm,
            NodeKind::RealServer(_) | NodeKind::Client(_) | NodeKind::Router => 0,
        }
    }
}

/// A clock that runs `ppm` parts in a million fast, at the world's `at`.
fn shown(at: Instant, ppm: i32) -> Instant {
    if ppm == 0 {
        return at;
    }
    let nanos = at.as_nanos();
    let gained = |ppm: u64| nanos / 1_000_000 * ppm + nanos % 1_000_000 * ppm / 1_000_000;
    let gain = gained(u64::from(ppm.unsigned_abs()));
    Instant::from_nanos(if ppm > 0 { nanos.saturating_add(gain) } else { nanos.saturating_sub(gain) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LB1, pair};
    use std::sync::Arc;

    #[test]
    fn a_clock_that_is_slow_shows_an_instant_later_and_never_early() {
        for ppm in [-1000, -500, -1, 0, 1, 37, 500, 1000] {
            let mut scenario = pair();
            if let NodeKind::Director(plan) = &mut scenario.nodes[LB1.0].kind {
                plan.drift_ppm = ppm;
            }
            let mut world = World::new(Arc::new(scenario), 1);
            for millis in [1, 999, 1_000_000, 3_600_000_000] {
                world.advance(Instant::from_millis(millis));
                let target = world.local_time(LB1) + Duration::from_nanos(1_234_567_891);
                let wait = world.until(LB1, target);
                assert!(shown(world.now() + wait, ppm) >= target, "{ppm} ppm");
                assert!(shown(world.now() + wait - Duration::from_nanos(2), ppm) < target, "{ppm} ppm");
            }
        }
    }
}
