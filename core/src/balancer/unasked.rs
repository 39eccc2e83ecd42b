//! Attempts that this host could not make, told without a flood: the first at once, the sum when none came for a while.

use crate::check::Shortage;
use crate::decision::Decision;
use crate::ipvs::VirtualServerId;
use crate::limit::QUIET;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Stretches of time in which something was short here, by what it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Unasked(BTreeMap<Shortage, Episode>);

/// It is over when [`QUIET`] passed since the last one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Episode {
    since: Instant,
    last: Instant,
    times: u64,
}

impl Unasked {
    /// One more; told if an episode begins with it.
    pub fn note(
        &mut self,
        service: VirtualServerId,
        server: SocketAddr,
        shortage: Shortage,
        now: Instant,
    ) -> Option<Decision> {
        let episode = self.0.entry(shortage).or_insert(Episode { since: now, last: now, times: 0 });
        episode.last = now;
        episode.times = episode.times.saturating_add(1);
        (episode.times == 1).then_some(Decision::ProbeNotAsked { service, server, shortage })
    }

    /// The sum of an episode that is over.
    pub fn over(&mut self, now: Instant) -> Option<Decision> {
        let is_over = |(_, episode): &(&Shortage, &Episode)| now.since(episode.last) >= QUIET;
        let shortage = self.0.iter().find(is_over).map(|(shortage, _)| *shortage)?;
        let Episode { since, last, times } = self.0.remove(&shortage)?;
        let lasted: Duration = last.since(since);
        Some(Decision::ProbesAskedAgain { shortage, times, lasted })
    }
}
