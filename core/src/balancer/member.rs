//! One real server of a virtual server at work: its health, its files, and the destination that it calls for.

use super::Outbox;
use super::drain::Drain;
use super::estate::RealServerEstate;
use crate::config::{self, UpDownScripts};
use crate::decision::Decision;
use crate::health::files::{Files, Numbers};
use crate::health::real_server::Place;
use crate::health::{RealServer, Weight};
use crate::ipvs::{Destination, Forwarding, VirtualServerId};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Member {
    pub weight: Weight,
    pub forwarding: Forwarding,
    pub upper_threshold: u32,
    pub lower_threshold: u32,
    pub inhibit_on_failure: bool,
    /// `notify_up`, `notify_down`.
    #[serde(default)]
    pub notify: Option<Arc<UpDownScripts>>,
    pub health: RealServer,
    /// `FILE_CHECK`.
    #[serde(default)]
    pub files: Files,
    /// An operator has drained it.
    #[serde(default)]
    pub drain: Option<Drain>,
    /// Since when it rises: a slow start.
    #[serde(default)]
    pub rises: Option<Instant>,
    /// It was up before, or may have been.
    #[serde(default)]
    pub served: bool,
}

impl Member {
    /// A real server that was not there before.
    pub fn begin(
        place: Place,
        real: &config::RealServer,
        numbers: &Numbers,
        now: Instant,
        effects: &mut Outbox,
    ) -> Self {
        let member = Self::new(real, RealServer::new(place, &real.checkers, now), numbers, None);
        if member.files.failure().is_some() {
            member.say(place.service, place.server, effects);
        } else if !member.is_up() {
            effects.decide(Decision::ServerStartsDown { service: place.service, server: place.server });
        }
        // The Election may have read the file before this machine had its configuration.
        let (from, to) = (Weight::new(real.weight).effective(), member.weight.effective());
        if from != to {
            let (Place { service, server, .. }, file) = (place, member.files.counted());
            effects.decide(Decision::WeightChanged { service, server, from, to, file });
        }
        member
    }

    /// `drain`: it is, and stays so.
    pub fn new(real: &config::RealServer, health: RealServer, numbers: &Numbers, drain: Option<Drain>) -> Self {
        let files = Files::new(&real.files, numbers);
        let checker = health.answered(real.weight);
        let served = health.is_up() && files.failure().is_none();
        Self {
            weight: Weight { checker, tracked: files.adds(), drained: drain.is_some(), ..Weight::new(real.weight) },
            forwarding: real.forwarding,
            upper_threshold: real.upper_threshold,
            lower_threshold: real.lower_threshold,
            inhibit_on_failure: real.inhibit_on_failure,
            notify: real.notify.clone(),
            health,
            files,
            drain,
            rises: None,
            served,
        }
    }

    /// A slow start that was under way goes on, if it is up.
    pub fn go_on(&mut self, rises: Option<Instant>, served: bool) {
        self.served |= served;
        self.rises = rises.filter(|_| self.is_up());
    }

    pub fn set_drain(&mut self, drain: Option<Drain>) {
        self.weight.drained = drain.is_some();
        self.drain = drain;
    }

    /// It is drained, and keeps the connections that it has.
    pub fn lets_go_on(&self) -> bool {
        self.is_up() && self.drain.is_some_and(|drain| !drain.out)
    }

    /// It was drained, and has been taken out.
    pub fn is_out(&self) -> bool {
        self.drain.is_some_and(|drain| drain.out)
    }

    /// Whether it may take connections.
    pub fn is_up(&self) -> bool {
        self.health.is_up() && self.files.failure().is_none()
    }

    /// That a file, or a new configuration, has taken it out or let it in again; returns what is said.
    pub fn say(&self, service: VirtualServerId, server: SocketAddr, effects: &mut Outbox) -> String {
        let decision = match self.files.failure() {
            Some(failure) => Decision::ServerDown { service, server, failure },
            None => Decision::ServerUp { service, server },
        };
        let said = decision.to_string();
        effects.decide(decision);
        said
    }

    /// As it is in the table, taking connections or, `inhibited`, only keeping those that it has.
    pub fn destination(&self, inhibited: bool) -> Destination {
        let weight = Weight { drained: self.weight.drained || inhibited, ..self.weight };
        Destination {
            weight: weight.effective(),
            forwarding: self.forwarding,
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        }
    }
}

/// The weights of the live ones, as they are now, and of all, as they are configured. Drained ones weigh nothing, as real
/// servers that are configured so.
pub(super) fn weights(members: &BTreeMap<SocketAddr, Member>) -> (u64, u64) {
    members.values().filter(|member| member.drain.is_none()).fold((0, 0), |(live, total), member| {
        let now = if member.is_up() { u64::from(member.weight.whole()) } else { 0 };
        (live + now, total + u64::from(member.weight.configured))
    })
}

/// Counts what was taken up.
#[derive(Debug, Default)]
pub struct TakenUp {
    pub(super) checkers: usize,
    pub(super) of: usize,
    pub(super) down: Vec<(VirtualServerId, SocketAddr)>,
    pub(super) without_quorum: Vec<VirtualServerId>,
}

impl TakenUp {
    pub(super) fn real_server(
        &mut self,
        place: Place,
        real: &config::RealServer,
        known: &RealServerEstate,
        numbers: &Numbers,
        now: Instant,
    ) -> Member {
        let (health, checkers) = RealServer::take_up(place, &real.checkers, &known.checkers, now);
        self.checkers += checkers;
        let drain = known.drain.map(|drain| drain.take_up(now));
        let mut member = Member::new(real, health, numbers, drain);
        member.go_on(known.rises.map(|since| since.min(now)), true);
        if !member.is_up() {
            self.down.push((place.service, place.server));
        }
        member
    }

    pub fn decision(self) -> Decision {
        let Self { checkers, of, down, without_quorum } = self;
        Decision::VerdictsInherited { checkers, of, down, without_quorum }
    }
}
