//! What makes the weight of a real server less than its own: an operator's drain, and a slow start.

use super::LiveVirtualServer;
use crate::balancer::Outbox;
use crate::balancer::drain::Drain;
use crate::balancer::member::{Member, weights};
use crate::balancer::slow_start::{STEPS, step_at, steps_over};
use crate::decision::Decision;
use crate::health::weight::Ramp;
use crate::ipvs::{ServiceKey, VirtualServerId};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

impl LiveVirtualServer {
    /// Whether it has this real server.
    pub fn has(&self, server: SocketAddr) -> bool {
        self.members.contains_key(&server)
    }

    /// Whether another real server takes connections.
    pub fn serves_without(&self, server: SocketAddr) -> bool {
        let serves = |member: &Member| member.is_up() && member.weight.effective() > 0;
        self.members.iter().any(|(address, member)| *address != server && serves(member))
    }

    pub fn drain_of(&self, server: SocketAddr) -> Option<Drain> {
        self.members.get(&server)?.drain
    }

    /// Drains a real server, or not, by what it was. The quorum has to be updated after it.
    pub fn set_drain(&mut self, server: SocketAddr, change: impl FnOnce(Option<Drain>) -> Option<Drain>) {
        let Some(member) = self.members.get_mut(&server) else { return };
        member.set_drain(change(member.drain));
        self.quorum.set_limits(self.nominal_quorum, self.hysteresis, weights(&self.members).1);
    }

    /// Where a real server stands among the destinations of this entry.
    pub fn destination_of(&self, server: SocketAddr, key: &ServiceKey) -> SocketAddr {
        self.members.get(&server).map_or(server, |member| member.forwarding.destination(server, key))
    }

    /// How long a slow start takes from now on; zero: there is none, and one that is under way is over.
    pub fn start_slowly(&mut self, lasts: Duration, now: Instant) {
        self.slow_start = lasts;
        let servers: Vec<SocketAddr> = self.rising().collect();
        servers.into_iter().for_each(|server| self.take_steps(server, now));
    }

    /// Real servers whose slow start is under way.
    pub fn rising(&self) -> impl Iterator<Item = SocketAddr> {
        self.members.iter().filter(|(_, member)| member.rises.is_some()).map(|(server, _)| *server)
    }

    /// A real server was up or not, and may have changed that: a slow start begins, or ends with a fall. After what is said of
    /// the change itself.
    pub fn begin_rise(
        &mut self,
        service: VirtualServerId,
        server: SocketAddr,
        was_up: bool,
        now: Instant,
        effects: &mut Outbox,
    ) {
        let lasts = self.slow_start;
        let Some(member) = self.members.get_mut(&server) else { return };
        let weight = member.weight.whole();
        match (was_up, member.is_up()) {
            (false, true) => {
                let came_back = std::mem::replace(&mut member.served, true);
                if came_back && weight > 1 && !lasts.is_zero() {
                    member.rises = Some(now);
                    member.weight.ramp = Ramp { done: 0, of: STEPS };
                    effects.decide(Decision::SlowStart { service, server, weight, lasts });
                }
            }
            (true, false) => {
                member.rises = None;
                member.weight.ramp = Ramp::default();
            }
            (true, true) | (false, false) => {}
        }
    }

    /// When its next step is due; none: it has its whole weight.
    pub fn next_step(&self, server: SocketAddr) -> Option<Instant> {
        let member = self.members.get(&server)?;
        Some(step_at(member.rises?, self.slow_start, member.weight.ramp.done + 1))
    }

    /// It is as far as its time says.
    pub fn take_steps(&mut self, server: SocketAddr, now: Instant) {
        let lasts = self.slow_start;
        let Some(member) = self.members.get_mut(&server) else { return };
        let Some(since) = member.rises else { return };
        let done = steps_over(since, lasts, now);
        if done >= STEPS {
            member.rises = None;
            member.weight.ramp = Ramp::default();
        } else {
            member.weight.ramp = Ramp { done, of: STEPS };
        }
    }
}
