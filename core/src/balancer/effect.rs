//! What a Balancer alone can ask for. Effects say what, not how.

use crate::check::{Probe, ProbeId};
use crate::ipvs::{Op, Setting};
use crate::machine::{self, Lane};
use serde::{Deserialize, Serialize};

/// One of its own effects.
#[allow(clippy::large_enum_variant, reason = "most effects are probes, and each would be one more allocation")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Change the IPVS table.
    Ipvs(Op),
    /// Read the IPVS table; the answer is [`super::Event::IpvsRead`].
    ReadIpvs,
    /// Start one attempt of a checker; the answer is [`super::Event::ProbeFinished`] with the same id.
    StartProbe { id: ProbeId, probe: Probe },
    /// Nobody wants that answer any more.
    CancelProbe(ProbeId),
    /// Change what IPVS has once for all services.
    SetIpvs(Setting),
    /// Tell the operator whose order has this number what came of it. `refused`: why nothing, in one line.
    Answer { number: u64, refused: Option<String> },
}

impl machine::Effect for Effect {
    fn lane(&self) -> Lane {
        match self {
            Self::Ipvs(_) | Self::SetIpvs(_) => Lane::Change,
            Self::ReadIpvs | Self::StartProbe { .. } | Self::CancelProbe(_) => Lane::Ask,
            // When it is done.
            Self::Answer { .. } => Lane::Tell,
        }
    }
}
