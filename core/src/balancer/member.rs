//! One real server of a virtual server at work: its health, its files, and the destination that it calls for.

use super::Outbox;
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
        let member = Self::new(real, RealServer::new(place, &real.checkers, now), numbers);
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

    pub fn new(real: &config::RealServer, health: RealServer, numbers: &Numbers) -> Self {
        let files = Files::new(&real.files, numbers);
        let checker = health.answered(real.weight);
        Self {
            weight: Weight { checker, tracked: files.adds(), ..Weight::new(real.weight) },
            forwarding: real.forwarding,
            upper_threshold: real.upper_threshold,
            lower_threshold: real.lower_threshold,
            inhibit_on_failure: real.inhibit_on_failure,
            notify: real.notify.clone(),
            health,
            files,
        }
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

/// The weights of the live ones, as they are now, and of all, as they are configured.
pub(super) fn weights(members: &BTreeMap<SocketAddr, Member>) -> (u64, u64) {
    members.values().fold((0, 0), |(live, total), member| {
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
        let member = Member::new(real, health, numbers);
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
