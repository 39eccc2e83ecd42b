//! One real server: up while all its checkers are (keepalived: the logical AND of its checkers).

use super::checker::{Checker, Start};
use super::estate::{CheckerEstate, fingerprint};
use super::warmup;
use super::weight::Answered;
use crate::check::ProbeId;
use crate::config::CheckerConfig;
use crate::ipvs::VirtualServerId;
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The checkers of one real server of one virtual server. Without any it is always up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    pub checkers: Vec<Checker>,
}

/// Where a real server stands and what spreads its first probes.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub service: VirtualServerId,
    pub server: SocketAddr,
    pub seed: u64,
}

impl RealServer {
    /// A real server that was not known before: up, except for checkers with `alpha`.
    pub fn new(place: Place, configs: &[CheckerConfig], now: Instant) -> Self {
        let start = |config: &CheckerConfig| if config.alpha { Start::Down } else { Start::Assumed };
        let checkers =
            configs.iter().enumerate().map(|(at, config)| fresh(place, at, config, start(config), now)).collect();
        Self { checkers }
    }

    /// The same real server under a new configuration. A checker whose settings are unchanged goes on as it is, its
    /// verdict, its timing and its attempt under way included, wherever it now stands in the file. A checker with
    /// changed settings takes over what was known of the server, so that a reload neither lets a dead one in nor a
    /// live one out. Returns the attempts that nobody waits for any more.
    pub fn reload(self, place: Place, configs: &[CheckerConfig], now: Instant) -> (Self, Vec<ProbeId>) {
        let mut old: Vec<Option<Checker>> = self.checkers.into_iter().map(Some).collect();
        let kept: Vec<Option<Checker>> = configs
            .iter()
            .map(|config| old.iter_mut().find(|slot| slot.as_ref().is_some_and(|c| c.config() == config))?.take())
            .collect();
        let gone: Vec<Checker> = old.into_iter().flatten().collect();
        let start = if gone.iter().all(Checker::is_up) { Start::Proven } else { Start::Down };
        let checkers = kept
            .into_iter()
            .zip(configs)
            .enumerate()
            .map(|(at, (kept, config))| kept.unwrap_or_else(|| fresh(place, at, config, start, now)))
            .collect();
        (Self { checkers }, gone.iter().filter_map(Checker::under_way).collect())
    }

    /// A real server that a predecessor knew: as at a [`Self::reload`] from it. Returns how many checkers go on.
    pub fn take_up(place: Place, configs: &[CheckerConfig], left: &[CheckerEstate], now: Instant) -> (Self, usize) {
        let mut left: Vec<Option<&CheckerEstate>> = left.iter().map(Some).collect();
        let kept: Vec<Option<&CheckerEstate>> = configs
            .iter()
            .map(|config| {
                let settings = fingerprint(config);
                left.iter_mut().find(|slot| slot.is_some_and(|left| left.settings == settings))?.take()
            })
            .collect();
        let start = if left.iter().flatten().all(|gone| gone.up) { Start::Proven } else { Start::Down };
        let resumed = kept.iter().flatten().count();
        let checkers = kept
            .into_iter()
            .zip(configs)
            .enumerate()
            .map(|(at, (kept, config))| {
                let first = now + warmup::offset(place, at, config.warmup);
                match kept {
                    Some(left) => Checker::take_up(config.clone(), left, first, now),
                    None => Checker::new(config.clone(), start, first),
                }
            })
            .collect();
        (Self { checkers }, resumed)
    }

    /// Nobody has watched it for a while: first probes as at a start. No attempt may be under way.
    pub fn watch_again(&mut self, place: Place, now: Instant) {
        for (at, checker) in self.checkers.iter_mut().enumerate() {
            let first = now + warmup::offset(place, at, checker.config().warmup);
            checker.watch_again(first);
        }
    }

    /// Whether it may take connections.
    pub fn is_up(&self) -> bool {
        self.checkers.iter().all(Checker::is_up)
    }

    /// What its checkers make of its `configured` weight: as in keepalived each that says a weight adds how much that differs
    /// from it, so one alone sets it.
    pub fn answered(&self, configured: u32) -> Answered {
        let said = self.checkers.iter().filter_map(Checker::weight);
        let more = said.map(|weight| i64::from(weight) - i64::from(configured));
        more.reduce(i64::saturating_add).map_or(Answered::Nothing, Answered::Added)
    }

    /// Position of the checker that waits for this attempt. Usually it still is where it was when the attempt began.
    pub fn waiting_for(&self, id: ProbeId) -> Option<u32> {
        let waits = |at: &usize| self.checkers.get(*at).is_some_and(|checker| checker.under_way() == Some(id));
        let usual = usize::try_from(id.checker).ok().filter(waits);
        u32::try_from(usual.or_else(|| (0..self.checkers.len()).find(waits))?).ok()
    }
}

fn fresh(place: Place, position: usize, config: &CheckerConfig, start: Start, now: Instant) -> Checker {
    Checker::new(config.clone(), start, now + warmup::offset(place, position, config.warmup))
}
