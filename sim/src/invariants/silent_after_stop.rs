//! No effect after stop: a machine that has handled `Stop`, or whose process is gone, does nothing any more.

use super::Invariant;
use crate::world::World;

pub const NAME: &str = crate::scenario::invariant::SILENT_AFTER_STOP;

#[derive(Default)]
pub struct SilentAfterStop {
    seen: usize,
}

impl Invariant for SilentAfterStop {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        let new = world.acted_after_end.iter().skip(self.seen);
        let broken = new.map(|acted| format!("{} {} though its daemon has ended", world.name(acted.node), acted.what));
        let broken = broken.collect();
        self.seen = world.acted_after_end.len();
        broken
    }
}
