//! Connections that clients keep open: a client that `keeps` some asks over each of them as often as otherwise.
//!
//! Rules: one breaks at once when whoever gets a packet of it knows nothing of it and resets it: another director after a
//! takeover, a machine that was dark meanwhile, a service that ended. What gets lost is sent again by whoever sent it, after
//! 0.2, 0.4, 0.8, 1.6 s (measured of Linux: a tail loss probe, then retransmissions that double): the question by the client,
//! the answer by the service, and on both of a relay's connections each for itself. When the client's timeout is over, it
//! gives the connection up. IPVS drops in silence what belongs to a destination that its table has no more. A broken connection is opened again
//! at once, and then after half to one and a half times as long as the client waits between two questions.

use super::World;
use super::connections::Carrier;
use super::node::State;
use super::requests::{Connection, Pending};
use crate::scenario::{ClientPlan, NodeId, NodeKind, Scenario};
use crate::trace::{Break, Outcome, What};
use rand::RngExt as _;
use std::net::SocketAddr;
use vipward_core::time::{Duration, Instant};

/// The first retransmission, and the second so long after it, both after Linux's least time-out (`TCP_RTO_MIN`); each further
/// one waits twice as long.
const SENT_AGAIN: Duration = Duration::from_millis(200);

/// One of a client's.
#[derive(Debug)]
pub(super) struct Kept {
    client: NodeId,
    number: u32,
    at: Stage,
    /// Which of [`World::breaks`] is not over yet.
    broken: Option<usize>,
}

#[derive(Debug)]
enum Stage {
    /// Opens one then.
    Closed(Instant),
    Opening(Pending),
    /// Asks then.
    Open(Established, Instant),
    Asking(Established, Question),
}

/// What an established connection is made of.
#[derive(Clone, Debug)]
struct Established {
    target: SocketAddr,
    /// Who answers, on which port, and how often that port had been closed.
    by: NodeId,
    port: u16,
    closings: u64,
    /// How a director carries it; none: whoever has the address answers by itself.
    carried: Option<Connection>,
    /// How often each of them had lost its memory.
    forgot: [(NodeId, u64); 2],
}

#[derive(Clone, Debug)]
struct Question {
    began: Instant,
    deadline: Instant,
    leg: Leg,
    /// Of this leg.
    tries: u32,
    next_try: Instant,
    answered: Option<Instant>,
    cause: String,
}

/// A part of the way that has its own retransmissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    /// From the client to the service, or to the relay.
    Question,
    /// From a relay to the service, and back to it.
    RelayAsks,
    RelayHears,
    /// To the client.
    Answer,
}

/// A packet that was sent arrived, so much later.
enum Arrived {
    /// This is sent next.
    Next(Leg, Duration),
    Answer(Duration),
}

/// Why a packet of it has no answer.
enum Unanswered {
    Reset(String),
    Nothing(String),
}

/// Of every client that keeps one.
pub(super) fn first(plan: &Scenario) -> Vec<Kept> {
    let clients = plan.nodes.iter().enumerate().filter_map(|(at, node)| match &node.kind {
        NodeKind::Client(client) => Some((NodeId(at), client)),
        NodeKind::Director(_) | NodeKind::RealServer(_) | NodeKind::Quorum(_) | NodeKind::Router => None,
    });
    let first = |plan: &ClientPlan| Instant::ZERO + if plan.from.is_zero() { plan.every } else { plan.from };
    let each = |(client, plan): (NodeId, &ClientPlan)| {
        let at = first(plan);
        (0..plan.keeps).map(move |number| Kept { client, number, at: Stage::Closed(at), broken: None })
    };
    clients.flat_map(each).collect()
}

impl Kept {
    pub(super) fn opening(&mut self) -> Option<&mut Pending> {
        match &mut self.at {
            Stage::Opening(request) => Some(request),
            Stage::Closed(_) | Stage::Open(..) | Stage::Asking(..) => None,
        }
    }

    fn due(&self) -> Instant {
        match &self.at {
            Stage::Closed(at) | Stage::Open(_, at) => *at,
            Stage::Opening(request) => request.due(),
            Stage::Asking(_, question) => question.answered.unwrap_or_else(|| question.next_try.min(question.deadline)),
        }
    }
}

impl World {
    pub(super) fn advance_kept(&mut self) {
        if self.kept.is_empty() {
            return;
        }
        let plan = self.plan.clone();
        let mut all = std::mem::take(&mut self.kept);
        for kept in &mut all {
            let NodeKind::Client(client) = &plan.node(kept.client).kind else { continue };
            while kept.due() <= self.now {
                self.step_kept(kept, client);
            }
        }
        self.kept = all;
    }

    /// Some client keeps connections open.
    pub fn keeps_connections(&self) -> bool {
        !self.kept.is_empty()
    }

    /// When one of them has something to do.
    pub(super) fn next_kept(&self) -> Option<Instant> {
        self.kept.iter().map(Kept::due).min()
    }

    /// What is due: each step leads to something that is due later, or is the last of this instant.
    fn step_kept(&mut self, kept: &mut Kept, plan: &ClientPlan) {
        let now = self.now;
        let at = std::mem::replace(&mut kept.at, Stage::Closed(now + plan.every));
        kept.at = match at {
            Stage::Closed(_) => Stage::Opening(Pending::new(kept.client, plan, now)),
            Stage::Opening(mut request) => match self.advance_request(&mut request) {
                None => Stage::Opening(request),
                Some(Outcome::Answered { by, .. }) => {
                    if let Some(broken) = kept.broken.take().and_then(|place| self.breaks.get_mut(place)) {
                        broken.again = Some(now);
                        let after = now.since(broken.at);
                        self.note(Some(kept.client), What::ConnectedAgain { after });
                    }
                    Stage::Open(self.established(&request, by), later(request.started + plan.every, now))
                }
                Some(outcome @ (Outcome::Refused { .. } | Outcome::TimedOut { .. })) => {
                    self.close(&request, &outcome);
                    Stage::Closed(later(request.started + self.pause(kept, plan.every), now))
                }
            },
            Stage::Open(established, _) => {
                let question = Question {
                    began: now,
                    deadline: now + plan.timeout,
                    leg: Leg::Question,
                    tries: 0,
                    next_try: now,
                    answered: None,
                    cause: String::new(),
                };
                Stage::Asking(established, question)
            }
            Stage::Asking(established, question) if question.answered.is_some() => {
                Stage::Open(established, later(question.began + plan.every, now))
            }
            Stage::Asking(established, question) if question.deadline <= now => {
                let cause = format!("no answer for {} ms: {}", plan.timeout.as_millis(), question.cause);
                self.breaks_off(kept, &established, cause)
            }
            Stage::Asking(established, mut question) => match self.sent(kept.client, &established, question.leg) {
                Err(Unanswered::Reset(cause)) => self.breaks_off(kept, &established, cause),
                Err(Unanswered::Nothing(cause)) => {
                    question.cause = cause;
                    question.next_try = question.next_try + SENT_AGAIN * (1 << question.tries.saturating_sub(1).min(6));
                    question.tries += 1;
                    Stage::Asking(established, question)
                }
                Ok(Arrived::Next(leg, after)) if now + after <= question.deadline => {
                    (question.leg, question.tries, question.next_try) = (leg, 0, now + after);
                    Stage::Asking(established, question)
                }
                Ok(Arrived::Answer(after)) if now + after <= question.deadline => {
                    question.answered = Some(now + after);
                    Stage::Asking(established, question)
                }
                Ok(Arrived::Next(..) | Arrived::Answer(_)) => {
                    question.cause = format!("{} answers too late", self.name(established.by));
                    question.next_try = question.deadline;
                    Stage::Asking(established, question)
                }
            },
        };
    }

    /// How long a client waits that could not connect: never twice as long, or it and whatever else asks would take turns at a
    /// scheduler, and one of them meet the dead server each time.
    fn pause(&self, kept: &Kept, every: Duration) -> Duration {
        let about = self.now.as_nanos() ^ u64::from(kept.number) << 56;
        every * self.chance(kept.client, about).random_range(500..1500) / 1000
    }

    /// Ends it; the client opens another one at once.
    fn breaks_off(&mut self, kept: &mut Kept, established: &Established, cause: String) -> Stage {
        let now = self.now;
        self.close_established(established.carried);
        kept.broken = Some(self.breaks.len());
        self.note(Some(kept.client), What::ConnectionBroke { cause: cause.clone() });
        let through = established.carried.map(|it| (it.director, it.destination));
        self.breaks.push(Break { client: kept.client, number: kept.number, at: now, cause, through, again: None });
        Stage::Closed(now)
    }

    fn established(&self, request: &Pending, by: NodeId) -> Established {
        let (target, carried) = (request.target, request.connection);
        let port = match carried {
            Some(Connection { destination, carrier, .. }) => carrier.port(target, destination),
            None => target.port(),
        };
        let first = carried.map_or(by, |it| it.director);
        let forgot = [by, first].map(|id| (id, self.forgot(id)));
        Established { target, by, port, closings: self.closings(by, port), carried, forgot }
    }

    /// How often a machine, or the relay on it, has lost what it knew of connections.
    fn forgot(&self, id: NodeId) -> u64 {
        self.node(id).power_cuts + self.director(id).map_or(0, |director| director.relay_ends)
    }

    /// How often the port has been closed.
    fn closings(&self, id: NodeId, port: u16) -> u64 {
        match &self.node(id).state {
            State::Server(server) => server.closings,
            State::Director(director) => director.services.get(&port).map_or(0, |service| service.closings),
            State::Other => 0,
        }
    }

    /// One packet of it.
    fn sent(&mut self, client: NodeId, it: &Established, leg: Leg) -> Result<Arrived, Unanswered> {
        match leg {
            Leg::Question => return self.asks(client, it),
            Leg::RelayAsks | Leg::RelayHears | Leg::Answer => self.lives(it)?,
        }
        let director = it.carried.map_or(it.by, |carried| carried.director);
        let carrier = it.carried.map(|carried| (carried.carrier, carried.destination));
        match (leg, carrier) {
            (Leg::RelayAsks, Some((_, destination))) => {
                let server = self.holder_of_own(destination.ip()).unwrap_or(it.by);
                let way = self.back(director, server)?;
                Ok(Arrived::Next(Leg::RelayHears, way + self.served(it)?))
            }
            (Leg::RelayHears, _) => Ok(Arrived::Next(Leg::Answer, self.back(it.by, director)?)),
            (_, Some((Carrier::Ipvs(forwarding), _))) => {
                let way = self.way_back(client, director, it.by, forwarding)?;
                self.confirm_way(client, it.target.ip());
                Ok(Arrived::Answer(way))
            }
            (_, Some((Carrier::Relay, _)) | None) => {
                let way = self.back(director, client)?;
                self.confirm_way(client, it.target.ip());
                Ok(Arrived::Answer(way))
            }
        }
    }

    /// The question.
    fn asks(&mut self, client: NodeId, it: &Established) -> Result<Arrived, Unanswered> {
        let (director, there) = self.deliver(client, it.target.ip())?;
        let name = self.name(director).to_owned();
        if !self.takes(director, it.target.ip()) {
            return Err(Unanswered::Nothing(format!("{name} gets the packet and holds {} no more", it.target.ip())));
        }
        if director != it.carried.map_or(it.by, |carried| carried.director) {
            return Err(Unanswered::Reset(format!("{name} knows nothing of the connection and resets it")));
        }
        self.remembered(it)?;
        match it.carried {
            None => Ok(Arrived::Next(Leg::Answer, there + self.served(it)?)),
            Some(Connection { carrier: Carrier::Relay, .. }) => {
                self.lives(it)?;
                Ok(Arrived::Next(Leg::RelayAsks, there))
            }
            Some(Connection { key, destination, carrier: Carrier::Ipvs(forwarding), .. }) => {
                let entry = self.director(director).and_then(|director| director.kernel.ipvs.services.get(&key));
                if !entry.is_some_and(|entry| entry.destinations.contains_key(&destination)) {
                    return Err(Unanswered::Nothing(format!("{name} has {destination} no more, and drops it")));
                }
                let onward = self.onward(director, it.by, it.target, destination, forwarding)?;
                Ok(Arrived::Next(Leg::Answer, there + onward + self.served(it)?))
            }
        }
    }

    /// Whoever has a part in it still knows of it.
    fn remembered(&self, it: &Established) -> Result<(), Unanswered> {
        match it.forgot.iter().find(|(id, times)| self.forgot(*id) != *times) {
            Some((id, _)) => {
                Err(Unanswered::Reset(format!("{} has forgotten the connection and resets it", self.name(*id))))
            }
            None => Ok(()),
        }
    }

    /// The same, its service is the one that it was, and its relay, if it has one, runs.
    fn lives(&self, it: &Established) -> Result<(), Unanswered> {
        self.remembered(it)?;
        if self.closings(it.by, it.port) != it.closings {
            let (by, port) = (self.name(it.by), it.port);
            return Err(Unanswered::Reset(format!("{by}'s service on port {port} ended")));
        }
        match it.carried {
            Some(Connection { director, carrier: Carrier::Relay, .. })
                if self.director(director).is_some_and(|director| !director.running()) =>
            {
                Err(Unanswered::Nothing(format!("{}'s relay does not run", self.name(director))))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The service's answer: how long it takes.
    fn served(&mut self, it: &Established) -> Result<Duration, Unanswered> {
        self.lives(it)?;
        let (outcome, slow) = self.answer(it.by, SocketAddr::new(it.target.ip(), it.port));
        match outcome {
            Outcome::Answered { .. } => Ok(slow),
            Outcome::Refused { cause } => Err(Unanswered::Reset(cause)),
            Outcome::TimedOut { cause } => Err(Unanswered::Nothing(cause)),
        }
    }
}

/// A question that took longer than the time between two is followed at once.
fn later(planned: Instant, now: Instant) -> Instant {
    planned.max(now)
}

impl From<String> for Unanswered {
    fn from(cause: String) -> Self {
        Self::Nothing(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Action, Heal, Impairment, Party};
    use crate::testing::{LB1, LB2, VIP, VISITOR, WEB1, pair};
    use crate::world::tests::{hold, serve, until, world};
    use vipward_core::interface::InterfaceName;
    use vipward_core::ipvs::{Forwarding, Op, Protocol, ServiceKey};

    /// [`pair`], whose visitor keeps a connection over lb1 to web1, 6.05 s after the beginning: between two questions.
    fn kept() -> World {
        let mut scenario = pair();
        if let NodeKind::Client(client) = &mut scenario.nodes[VISITOR.0].kind {
            client.keeps = 1;
        }
        let mut world = world(scenario);
        hold(&mut world, LB1);
        serve(&mut world, LB1, Forwarding::Dr);
        serve(&mut world, LB2, Forwarding::Dr);
        until(&mut world, 6_050);
        world
    }

    fn gives_up(world: &mut World, id: NodeId) {
        let address = crate::testing::config(100).routers[0].addresses[0].clone();
        world.remove_address(id, &address.key()).unwrap();
    }

    fn takes(world: &mut World, id: NodeId) {
        hold(world, id);
        world.announce(id, &InterfaceName::new("eth0"), VIP.parse().unwrap()).unwrap();
    }

    /// When each break was, why, and after how many milliseconds there was another connection.
    fn breaks(world: &World) -> Vec<(u64, &str, Option<u128>)> {
        let millis = |at: Instant| u64::try_from(at.since_origin().as_millis()).unwrap();
        let each = |it: &'_ Break| (millis(it.at), it.again.map(|again| again.since(it.at).as_millis()));
        world.breaks.iter().map(|it| (each(it).0, it.cause.as_str(), each(it).1)).collect()
    }

    #[test]
    fn it_holds_while_nothing_happens_and_counts_as_active_all_the_time() {
        let mut world = kept();
        until(&mut world, 12_000);
        assert_eq!(breaks(&world), []);
        let key = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
        let table = &world.director(LB1).unwrap().kernel.connections;
        assert_eq!(table.of(key, "192.0.2.21:80".parse().unwrap()).active, 1);
    }

    #[test]
    fn another_director_resets_it_and_it_is_opened_again_at_once() {
        let mut world = kept();
        gives_up(&mut world, LB1);
        takes(&mut world, LB2);
        until(&mut world, 8_000);
        assert_eq!(breaks(&world), [(6_100, "lb2 knows nothing of the connection and resets it", Some(0))]);
    }

    #[test]
    fn an_address_that_comes_back_before_anybody_asks_costs_nothing() {
        let mut world = kept();
        gives_up(&mut world, LB1);
        takes(&mut world, LB2);
        until(&mut world, 6_080);
        gives_up(&mut world, LB2);
        takes(&mut world, LB1);
        until(&mut world, 8_000);
        assert_eq!(breaks(&world), []);
    }

    #[test]
    fn it_outlives_an_outage_that_is_shorter_than_the_clients_patience() {
        for (lasts, held) in [(600, true), (1_600, false)] {
            let mut world = kept();
            let cut = Action::Impair {
                from: Party::Node(VISITOR),
                to: Party::Node(LB1),
                both: true,
                impairment: Impairment::Cut,
            };
            world.act(&cut);
            until(&mut world, 6_050 + lasts);
            world.act(&Action::Heal(Heal::All));
            until(&mut world, 9_000);
            assert_eq!(breaks(&world).is_empty(), held, "{lasts}: {:?}", breaks(&world));
            if !held {
                assert_eq!(breaks(&world)[0].0, 7_100);
                assert!(breaks(&world)[0].1.starts_with("no answer for 1000 ms: "), "{:?}", breaks(&world));
            }
        }
    }

    #[test]
    fn a_service_that_ends_breaks_it_even_if_another_one_is_there_at_once() {
        let mut world = kept();
        world.act(&Action::Down(WEB1.into()));
        world.act(&Action::Up(WEB1.into()));
        until(&mut world, 8_000);
        assert_eq!(breaks(&world), [(6_100, "web1's service on port 80 ended", Some(0))]);
    }

    #[test]
    fn what_belongs_to_a_destination_that_is_taken_out_is_dropped() {
        let mut world = kept();
        let key = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
        let gone = Op::RemoveDestination { service: key, address: "192.0.2.21:80".parse().unwrap() };
        world.ipvs(LB1, &gone).unwrap();
        until(&mut world, 8_000);
        let cause = "no answer for 1000 ms: lb1 has 192.0.2.21:80 no more, and drops it";
        assert_eq!(breaks(&world), [(7_100, cause, None)], "nobody else is in the table");
    }

    #[test]
    fn a_machine_that_was_dark_has_forgotten_it() {
        let mut world = kept();
        world.act(&Action::PowerOff(LB1));
        world.act(&Action::Start(LB1));
        hold(&mut world, LB1);
        serve(&mut world, LB1, Forwarding::Dr);
        until(&mut world, 8_000);
        assert_eq!(breaks(&world), [(6_100, "lb1 has forgotten the connection and resets it", Some(0))]);
    }
}
