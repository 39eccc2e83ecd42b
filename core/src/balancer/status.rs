//! What a Balancer answers when it is asked how it is.

use super::{Balancer, Carrier, Effect, Event, Outbox};
use crate::check::Verdict;
use crate::config::{CheckerConfig, Config, VirtualServer};
use crate::decision::Decision;
use crate::ipvs::{ServiceKey, VirtualServerId};
use crate::machine::{Input, InputOf};
use crate::status::{
    BalancerStatus, CheckerStatus, DrainStatus, History, QuorumStatus, RealServerStatus, ResultStatus, Shows, Since,
    VirtualServerStatus, age,
};
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// What goes by, and is shown.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    config: Arc<Config>,
    servers: BTreeMap<(VirtualServerId, SocketAddr), Since>,
    quorums: BTreeMap<VirtualServerId, Instant>,
    /// When the attempts that are under way began.
    began: BTreeMap<u64, Instant>,
    results: BTreeMap<(VirtualServerId, SocketAddr, u32), Ended>,
}

/// The last attempt of a checker that has ended.
#[derive(Clone, Debug)]
struct Ended {
    at: Instant,
    took: Option<Duration>,
    verdict: Verdict,
}

/// The checkers of each real server.
type Checked<'a> = BTreeMap<(VirtualServerId, SocketAddr), &'a [CheckerConfig]>;

fn checked(config: &Config) -> Checked<'_> {
    let mut all = Checked::new();
    for service in &config.services {
        all.extend(service.real_servers.iter().map(|server| ((service.id(), server.address), &*server.checkers)));
    }
    all
}

impl Seen {
    /// What is not there any more is forgotten, and results of checkers that are others now: they are known by their places.
    fn reload(&mut self, config: &Arc<Config>) {
        let (before, after) = (checked(&self.config), checked(config));
        self.servers.retain(|server, _| after.contains_key(server));
        self.results.retain(|(service, server, _), _| {
            let server = (*service, *server);
            after.contains_key(&server) && before.get(&server) == after.get(&server)
        });
        let services: BTreeSet<VirtualServerId> = config.services.iter().map(VirtualServer::id).collect();
        self.quorums.retain(|service, _| services.contains(service));
        self.config = config.clone();
    }
}

impl Shows for Balancer {
    type Status = BalancerStatus;
    type Seen = Seen;

    fn hears(seen: &mut Seen, input: &InputOf<Self>, now: Instant) {
        match input {
            Input::Event(Event::ProbeFinished { probe, verdict }) => {
                let took = seen.began.remove(&probe.attempt).map(|began| now.since(began));
                let ended = Ended { at: now, took, verdict: verdict.clone() };
                seen.results.insert((probe.service, probe.server, probe.checker), ended);
            }
            Input::ConfigLoaded { config, .. } => seen.reload(config),
            Input::Failed { effect, .. } => {
                if let Effect::StartProbe { id, probe: _ } = &**effect {
                    seen.began.remove(&id.attempt);
                }
            }
            // What was under way is asked again.
            Input::TakeBack => seen.began.clear(),
            Input::Event(_) | Input::News(_) | Input::Wakeup | Input::Stop | Input::HandOver | Input::Inherited(_) => {}
        }
    }

    fn asks_for(seen: &mut Seen, outbox: &Outbox, now: Instant) {
        for effect in outbox.effects() {
            match effect {
                Effect::StartProbe { id, probe: _ } => {
                    seen.began.insert(id.attempt, now);
                }
                Effect::CancelProbe(id) => {
                    seen.began.remove(&id.attempt);
                }
                Effect::Ipvs(_) | Effect::SetIpvs(_) | Effect::ReadIpvs | Effect::Answer { .. } => {}
            }
        }
        for decision in outbox.decisions() {
            match decision {
                Decision::ServerUp { service, server } => {
                    seen.servers.insert((*service, *server), Since { at: now, why: String::new() });
                }
                Decision::ServerDown { service, server, failure } => {
                    seen.servers.insert((*service, *server), Since { at: now, why: failure.to_string() });
                }
                Decision::ServerStartsDown { service, server } => {
                    let why = "not checked yet (alpha)".to_owned();
                    seen.servers.insert((*service, *server), Since { at: now, why });
                }
                Decision::QuorumGained { service, .. } | Decision::QuorumLost { service, .. } => {
                    seen.quorums.insert(*service, now);
                }
                // Of these nothing is shown but the sentence.
                _ => {}
            }
        }
    }

    fn status(&self, seen: &Seen, history: &History, now: Instant) -> BalancerStatus {
        let carrier = match &self.carrier {
            Carrier::Ipvs => "IPVS",
            Carrier::Relay { .. } => "relay",
        };
        let services = self.services.iter().map(|(id, service)| show(*id, service, seen, now));
        let known = self.settings.known();
        BalancerStatus {
            carrier: carrier.to_owned(),
            timeouts: known.filter(|_| self.config.global.lvs_timeouts.is_some()).map(|it| it.timeouts.to_string()),
            sync_daemons: known
                .into_iter()
                .flat_map(|it| &it.daemons)
                .map(|(role, it)| format!("{role} {it}"))
                .collect(),
            services: services.collect(),
            decisions: history.show(now),
        }
    }
}

fn show(
    id: VirtualServerId,
    service: &super::virtual_server::LiveVirtualServer,
    seen: &Seen,
    now: Instant,
) -> VirtualServerStatus {
    let entry = service.desired();
    let (live, total) = service.weights();
    let (quorum_up, needed) = service.quorum();
    let servers = service.servers().map(|server| {
        let since = seen.servers.get(&(id, server.address));
        let checkers = (0..).zip(server.checkers).map(|(position, checker)| CheckerStatus {
            kind: checker.config().kind.word().to_owned(),
            target: checker.config().target.to_string(),
            up: checker.is_up(),
            last: seen.results.get(&(id, server.address, position)).map(|ended| result(ended, now)),
            next_ms: checker.due().map(|at| age(now, at)),
        });
        RealServerStatus {
            address: server.address.to_string(),
            up: server.up,
            since_ms: since.map(|since| age(since.at, now)),
            why: since.filter(|since| !server.up && !since.why.is_empty()).map(|since| since.why.clone()),
            forwarding: server.forwarding.to_string(),
            weight: entry.destinations.get(&server.address).map(|destination| destination.weight),
            configured_weight: server.weight,
            drained: server.drain.map(|drain| DrainStatus {
                since_ms: age(drain.since, now),
                connections: drain.connections,
                remove: drain.remove,
                limit_ms: drain.until.filter(|_| !drain.out).map(|until| age(now, until)),
                out: drain.out,
            }),
            checkers: checkers.collect(),
        }
    });
    VirtualServerStatus {
        name: id.to_string(),
        scheduler: entry.service.scheduler.0.to_string(),
        persistence_s: entry.service.persistence.as_ref().map(|it| it.timeout_secs),
        quorum: QuorumStatus {
            up: quorum_up,
            needed,
            live,
            total,
            since_ms: seen.quorums.get(&id).map(|at| age(*at, now)),
        },
        sorry_server: service.sorry_server().map(|address| address.to_string()),
        suspended: service.is_suspended(),
        entries: entries(id, service.keys()),
        servers: servers.collect(),
    }
}

/// The entries of a group; of anything else its name says them.
fn entries(id: VirtualServerId, keys: &[ServiceKey]) -> Vec<String> {
    const MOST: usize = 16;
    match id {
        VirtualServerId::Entry(_) => Vec::new(),
        VirtualServerId::Group { .. } => {
            let mut entries: Vec<String> = keys.iter().take(MOST).map(ToString::to_string).collect();
            if keys.len() > MOST {
                entries.push(format!("and {} more", keys.len() - MOST));
            }
            entries
        }
    }
}

fn result(ended: &Ended, now: Instant) -> ResultStatus {
    let failure = match &ended.verdict {
        Verdict::Passed | Verdict::Weighs(_) => None,
        Verdict::Failed(failure) => Some(failure.to_string()),
        Verdict::NotAsked(shortage) => Some(format!("not asked: {shortage}")),
    };
    ResultStatus {
        ago_ms: age(ended.at, now),
        took_us: ended.took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
        passed: failure.is_none(),
        failure,
    }
}
