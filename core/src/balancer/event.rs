//! What can happen to a Balancer alone.

use super::Carrier;
use super::drain::order::Order;
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
    /// An operator asks for this (`vipward drain`). The answer is [`super::Effect::Answer`] with the same number.
    Ordered { number: u64, order: Order },
}
