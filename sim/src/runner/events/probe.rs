//! One attempt of a checker, modelled: what the turmoil runner speaks over simulated TCP, told from the state of the
//! world. A SYN that is lost is sent again after 1, 2, 4 s; a request after 0.2, 0.4 s and so on; nobody answering ARP
//! fails after 3 s; a closed port refuses at once; a server that dies resets what is open.

use crate::scenario::{NodeId, NodeKind};
use crate::world::World;
use vipward_core::probe::{Failure, Probe, ProbeKind, Verdict};
use vipward_core::time::{Duration, Instant};

const SYN_TIMEOUT: Duration = Duration::from_secs(1);
const DATA_TIMEOUT: Duration = Duration::from_millis(200);
const ARP_GIVES_UP: Duration = Duration::from_secs(3);
/// SYN and its answer, or a request and its answer, on a way without delay: one step of time.
const EXCHANGE: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Attempt {
    probe: Probe,
    /// By the world's clock.
    deadline: Instant,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A SYN leaves at `at`.
    Syn { at: Instant, wait: Duration },
    /// Nobody answers ARP.
    Nobody { at: Instant },
    /// The SYN is there, and its answer is back at `at`.
    Answered { at: Instant, server: NodeId },
    /// Connected; the request leaves as soon as the way is open.
    Asking { server: NodeId, closings: u64 },
    /// The answer is there at `at`, if the way is open then.
    Waiting { at: Instant, server: NodeId, closings: u64, status: u16 },
}

pub(super) enum Progress {
    Ended(Verdict),
    Waits,
}

impl Attempt {
    pub fn new(probe: Probe, world: &World, director: NodeId) -> Self {
        let deadline = world.now() + world.until(director, world.local_time(director) + probe.timeout);
        Self { probe, deadline, step: Step::Syn { at: world.now(), wait: SYN_TIMEOUT } }
    }

    /// When it goes on by itself; a closed way is looked at again when the world changes.
    pub fn due(&self) -> Option<Instant> {
        let at = match self.step {
            Step::Syn { at, .. } | Step::Nobody { at } | Step::Answered { at, .. } => at,
            Step::Asking { .. } => self.deadline,
            Step::Waiting { at, .. } => at,
        };
        Some(at.min(self.deadline))
    }

    /// As far as it comes now. What is there in time counts, also when the director looks late.
    pub fn advance(&mut self, world: &mut World, director: NodeId) -> Progress {
        loop {
            match self.next(world, director) {
                Ok(Some(step)) => self.step = step,
                Ok(None) => break,
                Err(verdict) => return Progress::Ended(verdict),
            }
        }
        if world.now() < self.deadline {
            return Progress::Waits;
        }
        Progress::Ended(Verdict::Failed(match self.step {
            Step::Syn { .. } | Step::Nobody { .. } | Step::Answered { .. } => Failure::ConnectTimeout,
            Step::Asking { .. } | Step::Waiting { .. } => Failure::ResponseTimeout,
        }))
    }

    /// The next step, nothing yet, or the end.
    fn next(&self, world: &mut World, director: NodeId) -> Result<Option<Step>, Verdict> {
        let now = world.now();
        match self.step {
            Step::Syn { at, wait } if at <= now => {
                let Some(server) = world.holder_of_own(self.probe.target.ip()) else {
                    return Ok(Some(Step::Nobody { at: now + ARP_GIVES_UP }));
                };
                Ok(Some(match world.round_trip(director, server) {
                    Ok(late) => Step::Answered { at: now + late + EXCHANGE, server },
                    Err(_) => Step::Syn { at: now + wait, wait: wait.saturating_mul(2) },
                }))
            }
            Step::Nobody { at } if at <= now => {
                Err(Verdict::Failed(Failure::Unreachable("No route to host".to_owned())))
            }
            Step::Answered { at, server } if at <= now => {
                let open = match &world.plan().node(server).kind {
                    NodeKind::RealServer(plan) => plan.listens.contains(&self.probe.target.port()),
                    NodeKind::Director(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => false,
                };
                match world.server(server) {
                    Some(state) if state.listening && open => match self.probe.kind {
                        ProbeKind::Connect => Err(Verdict::Passed),
                        ProbeKind::HttpGet { .. } => Ok(Some(Step::Asking { server, closings: state.closings })),
                    },
                    Some(_) | None => Err(Verdict::Failed(Failure::Refused)),
                }
            }
            Step::Asking { server, closings } => {
                if !world.reachable(director, server) {
                    return Ok(None);
                }
                let (mut late, mut wait) = (Duration::ZERO, DATA_TIMEOUT);
                for _ in 0..10 {
                    match world.round_trip(director, server) {
                        Ok(round_trip) => {
                            late += round_trip;
                            break;
                        }
                        Err(_) => {
                            late += wait;
                            wait = wait.saturating_mul(2);
                        }
                    }
                }
                let Some(state) = world.server(server) else { return Ok(None) };
                let at = now + late.max(state.slow + EXCHANGE);
                Ok(Some(Step::Waiting { at, server, closings, status: state.status }))
            }
            Step::Waiting { at, server, closings, status } => {
                let dead = world.server(server).is_none_or(|state| state.closings != closings);
                if !world.reachable(director, server) || (at > now && !dead) {
                    return Ok(None);
                }
                if dead {
                    let error = "connection closed before message completed".to_owned();
                    return Err(Verdict::Failed(Failure::Protocol(error)));
                }
                Err(self.judge(status))
            }
            Step::Syn { .. } | Step::Nobody { .. } | Step::Answered { .. } => Ok(None),
        }
    }

    /// As `vipward_core::probe` does it.
    fn judge(&self, got: u16) -> Verdict {
        let ProbeKind::HttpGet { url, .. } = &self.probe.kind else { return Verdict::Passed };
        if url.status.iter().any(|(first, last)| (*first..=*last).contains(&got)) {
            Verdict::Passed
        } else {
            Verdict::Failed(Failure::Status { path: url.path.clone(), got })
        }
    }
}
