//! What can happen to a Balancer alone.

use crate::check::{ProbeId, Verdict};
use crate::ipvs::Table;
use serde::{Deserialize, Serialize};

/// One of its own events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The answer to [`super::Effect::ReadIpvs`].
    IpvsRead(Table),
    /// The answer to [`super::Effect::StartProbe`].
    ProbeFinished { probe: ProbeId, verdict: Verdict },
}
