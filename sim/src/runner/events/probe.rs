//! One attempt of a checker, modelled: what the turmoil runner speaks over simulated TCP, told from the state of the
//! world. Which exchanges there are each kind says ([`vipward_core::check::Exchange`]); this plays them.
//!
//! A SYN that is lost is sent again after 1, 2, 4 s, an echo or a datagram never; a request after 0.2, 0.4 s and so on; nobody answering
//! ARP fails after 3 s; a closed port refuses at once; a server that dies resets what is open.

use crate::scenario::NodeId;
use crate::world::World;
use vipward_core::check::{Answer, Exchange, Failure, Probe, Shortage, Verdict};
use vipward_core::time::{Duration, Instant};

const SYN_TIMEOUT: Duration = Duration::from_secs(1);
const DATA_TIMEOUT: Duration = Duration::from_millis(200);
const ARP_GIVES_UP: Duration = Duration::from_secs(3);
/// Something and its answer on a way without delay: one step of time.
const EXCHANGE: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Attempt {
    probe: Probe,
    /// By the world's clock.
    deadline: Instant,
    /// Exchanges that are over.
    done: usize,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A SYN or an echo leaves at `at`.
    Knocking { at: Instant, wait: Duration },
    /// Nobody answers ARP.
    Nobody { at: Instant },
    /// It is there, and its answer is back at `at`.
    Answered { at: Instant, server: NodeId },
    /// An echo or a datagram that is lost, or its answer.
    Lost,
    /// Connected; the request leaves as soon as the way is open.
    Asking { server: NodeId, closings: u64 },
    /// The answer to a datagram is there at `at`; it is lost if the way is cut, or the service gone, by then.
    Replying { at: Instant, server: NodeId, closings: u64, status: u16 },
    /// The answer is there at `at`, if the way is open then.
    Waiting { at: Instant, server: NodeId, closings: u64, status: u16 },
}

/// What comes of a step.
enum Next {
    Step(Step),
    /// This exchange is over; if there is another one it goes on over this connection.
    Exchanged(Option<(NodeId, u64)>),
    /// The program has ended, and this is what it means.
    Ended(Verdict),
    /// Nothing yet.
    Nothing,
    Failed(Failure),
    NotAsked(Shortage),
}

pub(super) enum Progress {
    Ended(Verdict),
    Waits,
}

impl Attempt {
    pub fn new(probe: Probe, world: &World, director: NodeId) -> Self {
        let deadline = world.now() + world.until(director, world.local_time(director) + probe.timeout);
        Self { probe, deadline, done: 0, step: Step::Knocking { at: world.now(), wait: SYN_TIMEOUT } }
    }

    /// When it goes on by itself; a closed way is looked at again when the world changes.
    pub fn due(&self) -> Option<Instant> {
        let at = match self.step {
            Step::Knocking { at, .. } | Step::Nobody { at } | Step::Answered { at, .. } => at,
            Step::Asking { .. } | Step::Lost => self.deadline,
            Step::Replying { at, .. } | Step::Waiting { at, .. } => at,
        };
        Some(at.min(self.deadline))
    }

    /// As far as it comes now. What is there in time counts, also when the director looks late.
    pub fn advance(&mut self, world: &mut World, director: NodeId) -> Progress {
        let exchanges = self.probe.kind.exchanges();
        while let Some(exchange) = exchanges.get(self.done) {
            match self.next(*exchange, world, director) {
                Next::Step(step) => self.step = step,
                Next::Exchanged(connection) => {
                    self.done += 1;
                    if let Some((server, closings)) = connection {
                        self.step = Step::Asking { server, closings };
                    }
                }
                Next::Nothing if world.now() < self.deadline => return Progress::Waits,
                Next::Nothing => {
                    let meant = self.probe.kind.overdue(*exchange);
                    return Progress::Ended(meant.map_or_else(Verdict::Failed, |()| Verdict::Passed));
                }
                Next::Failed(failure) => return Progress::Ended(Verdict::Failed(failure)),
                Next::Ended(verdict) => return Progress::Ended(verdict),
                Next::NotAsked(shortage) => return Progress::Ended(Verdict::NotAsked(shortage)),
            }
        }
        Progress::Ended(Verdict::Passed)
    }

    fn next(&self, exchange: Exchange, world: &mut World, director: NodeId) -> Next {
        let now = world.now();
        if let (Exchange::Command, Some(command)) = (exchange, self.probe.kind.command()) {
            // As scripts do that virtual routers track, it takes no time.
            return Next::Ended(match self.probe.kind.ended(&world.script_outcome(director, command)) {
                Ok(weight) => weight.map_or(Verdict::Passed, Verdict::Weighs),
                Err(failure) => Verdict::Failed(failure),
            });
        }
        if let (Exchange::Tls, Step::Asking { server, closings }) = (exchange, self.step) {
            return Next::Exchanged(Some((server, closings)));
        }
        match self.step {
            Step::Knocking { at, wait } if at <= now => {
                if let Some(shortage) = world.lacks(director, &self.probe.from).filter(|_| wait == SYN_TIMEOUT) {
                    return Next::NotAsked(shortage);
                }
                let Some(server) = world.holder_of_own(self.probe.target.ip()) else {
                    return Next::Step(Step::Nobody { at: now + ARP_GIVES_UP });
                };
                Next::Step(match world.round_trip(director, server) {
                    Ok(late) => Step::Answered { at: now + late + EXCHANGE, server },
                    Err(_) if matches!(exchange, Exchange::Echo | Exchange::Datagram) => Step::Lost,
                    Err(_) => Step::Knocking { at: now + wait, wait: wait.saturating_mul(2) },
                })
            }
            Step::Nobody { at } if at <= now => Next::Failed(Failure::Unreachable("No route to host".to_owned())),
            // Its kernel answers, whoever listens.
            Step::Answered { at, .. } if at <= now && exchange == Exchange::Echo => Next::Exchanged(None),
            Step::Answered { at, server } if at <= now => match world.listening(server, self.probe.target.port()) {
                Some(state) if exchange == Exchange::Datagram => {
                    let (closings, status) = (state.closings, state.status);
                    Next::Step(Step::Replying { at: now + state.slow, server, closings, status })
                }
                Some(state) => Next::Exchanged(Some((server, state.closings))),
                None => Next::Failed(Failure::Refused),
            },
            Step::Replying { at, server, closings, status } if at <= now => {
                let dead = world.closed_since(server, self.probe.target.port(), closings);
                if dead || !world.reachable(director, server) {
                    return Next::Step(Step::Lost);
                }
                match self.probe.kind.judge(Answer::Status(status)) {
                    Ok(()) => Next::Exchanged(None),
                    Err(failure) => Next::Failed(failure),
                }
            }
            Step::Asking { server, closings } => {
                if !world.reachable(director, server) {
                    return Next::Nothing;
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
                // One that is closed by now is told when it is time for the answer.
                let state = world.listening(server, self.probe.target.port());
                let (slow, status) = state.map_or((Duration::ZERO, 0), |state| (state.slow, state.status));
                Next::Step(Step::Waiting { at: now + late.max(slow + EXCHANGE), server, closings, status })
            }
            Step::Waiting { at, server, closings, status } => {
                let dead = world.closed_since(server, self.probe.target.port(), closings);
                if !world.reachable(director, server) || (at > now && !dead) {
                    return Next::Nothing;
                }
                let answer = if dead { Answer::Closed } else { Answer::Status(status) };
                match self.probe.kind.judge(answer) {
                    Ok(()) => Next::Exchanged(Some((server, closings))),
                    Err(failure) => Next::Failed(failure),
                }
            }
            Step::Knocking { .. }
            | Step::Nobody { .. }
            | Step::Answered { .. }
            | Step::Replying { .. }
            | Step::Lost => Next::Nothing,
        }
    }
}
