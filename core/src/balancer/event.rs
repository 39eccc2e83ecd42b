//! What can happen to a Balancer alone.

use super::Carrier;
use crate::check::{ProbeId, Verdict};
use crate::ipvs::Table;
use serde::{Deserialize, Serialize};

/// One of its own events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// What carries the traffic; told before the first configuration. Untold: IPVS.
    CarriedBy(Carrier),
    /// The answer to [`super::Effect::ReadIpvs`].
    IpvsRead(Table),
    /// The answer to [`super::Effect::StartProbe`].
    ProbeFinished { probe: ProbeId, verdict: Verdict },
}
