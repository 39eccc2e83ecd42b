//! What one director knows of its session and its leases, and what it asks for. Level-triggered: [`Leases::want`] is told
//! what should be, again and again, and asks for what is missing.

mod hear;
mod trust;

pub use trust::LONGEST_TRIAL;

use self::trust::Trust;
use super::candidates::{better, preempted_by};
use super::rendezvous::assign;
use super::vacancy::Vacancies;
use crate::lease::surely;
use crate::lease::{
    Candidate, Claim, Coordination, DirectorName, LeaseKey, LeaseOp, Member, Mode, OnLoss, Part, QuorumService,
    Session, Token,
};
use crate::limit::Limit;
use crate::machine::{Effect, Outbox};
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The effects of a machine that asks the quorum service for something.
pub trait Asks: Effect + From<LeaseOp> {}

impl<F: Effect + From<LeaseOp>> Asks for F {}

/// How long until something that was refused is asked again.
const RETRY: Duration = Duration::from_secs(2);

/// How long until another session is asked for, after one that was too short.
const LONGER_SESSION: Duration = Duration::from_secs(10);

/// The highest priority of a candidate by spreading.
const FIRST_CHOICE: u8 = 254;

/// Sessions and leases of one director.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Leases {
    coordination: Option<Coordination>,
    link: Link,
    session: Option<Live>,
    /// Until then a first answer is waited for before its absence means anything.
    patient_until: Option<Instant>,
    /// Since when it is said that the service can't be reached.
    away_since: Option<Instant>,
    holds: BTreeMap<LeaseKey, Hold>,
    candidates: BTreeMap<LeaseKey, Vec<Candidate>>,
    /// Claims as they were last made in this session.
    claimed: BTreeMap<LeaseKey, Claim>,
    members: Vec<Member>,
    /// For each router that is spread, who may have it.
    spread: BTreeMap<LeaseKey, Vec<DirectorName>>,
    joined: bool,
    /// The password is to be read anew: a configuration was.
    #[serde(default)]
    authenticate: bool,
    /// Something was refused: nothing is asked before.
    again_at: Option<Instant>,
    trust: Trust,
    /// Leases that nobody held while this director was on trial: for them the trial is over. See [`Trust`].
    #[serde(default)]
    vacant: BTreeSet<LeaseKey>,
    /// `elect`: leases that nobody holds, and candidates that left one free.
    #[serde(default)]
    vacancies: Vacancies,
    /// The service grants sessions of this timeout only, which is too short.
    #[serde(default)]
    too_short: Option<Duration>,
    complaints: BTreeMap<String, Limit>,
}

/// Whether a session was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Link {
    #[default]
    Closed,
    Open(Arc<QuorumService>),
    /// Closing it was refused.
    Closing,
}

/// The session that the service told of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Live {
    session: Session,
    timeout: Duration,
    /// When the latest question was asked that has been answered.
    asked_at: Option<Instant>,
    ask_at: Instant,
}

/// One lease as this session knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Hold {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It was asked who holds it.
    Looking,
    /// Nobody did when that was answered.
    Free,
    Asking,
    /// `not_before`: it can't be given back yet, an address may still be there.
    Ours {
        token: Token,
        not_before: Option<Instant>,
    },
    /// It is asked for again at `ask_at`, should the service have forgotten to tell that it is free.
    Theirs {
        by: DirectorName,
        ask_at: Instant,
    },
    Releasing {
        token: Option<Token>,
    },
    /// Nobody may have it before `ask_at`.
    NotYet {
        ask_at: Instant,
    },
}

/// What a router wants of its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// To hold it.
    Have,
    /// To know whether somebody holds it.
    Know,
    Nothing,
}

/// Which routers an event concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concerned {
    /// Of all coordinated routers something may be different.
    All,
    /// Of this one.
    Of(LeaseKey),
    Nothing,
}

impl Leases {
    /// What is in force for a router; none: VRRP alone.
    pub fn part(&self, router: &str) -> Option<Part> {
        self.coordination.as_ref()?.routers.get(router).copied()
    }

    /// Takes a configuration. Leases of routers that are not coordinated any more are given back by [`Self::forget`].
    pub fn load(&mut self, coordination: Option<Coordination>, now: Instant) {
        let wanted = coordination.as_ref().map(|it| &it.service);
        if let Link::Open(service) = &self.link
            && wanted != Some(service)
        {
            self.lose_session();
            self.away_since = None;
            self.link = Link::Closing;
            self.again_at = None;
        }
        self.authenticate = self.link != Link::Closing && wanted.is_some_and(|it| it.auth_file.is_some());
        if coordination.is_some() && self.link == Link::Closed {
            self.authenticate = false;
            self.patient_until = coordination.as_ref().map(|it| now + it.service.session_timeout);
        }
        // A director that calls itself otherwise is another candidate.
        let name = |it: &Option<Coordination>| it.as_ref().map(|it| (it.director.clone(), it.spread.clone()));
        if name(&self.coordination) != name(&coordination) {
            self.joined = false;
        }
        self.coordination = coordination;
        self.respread();
    }

    /// Gives back what no router of the configuration is coordinated by; after their addresses are gone.
    pub fn forget<F: Asks>(&mut self, now: Instant, out: &mut Outbox<F>) {
        let keys = self.holds.keys().chain(self.claimed.keys());
        let keys: Vec<LeaseKey> = keys.filter(|key| self.part(key).is_none()).cloned().collect();
        for key in keys {
            self.claim(&key, None, out);
            self.want(&key, Want::Nothing, now, out);
        }
    }

    /// Asks what is due: for a session, whether it lives, and its end.
    pub fn wake<F: Asks>(&mut self, now: Instant, out: &mut Outbox<F>) {
        self.again_at = self.again_at.filter(|at| *at > now);
        self.patient_until = self.patient_until.filter(|at| *at > now);
        match (&self.link, &self.coordination) {
            (Link::Closing, _) if self.again_at.is_none() => {
                ask(LeaseOp::Close, out);
                self.link = Link::Closed;
                // Opening another one is another turn: this one may not have been able to close it.
                self.again_at = self.coordination.as_ref().map(|_| now);
                return;
            }
            (Link::Closed, Some(coordination)) if self.again_at.is_none() => {
                let service = coordination.service.clone();
                ask(LeaseOp::Open(service.clone()), out);
                self.link = Link::Open(service);
            }
            (Link::Closed | Link::Closing | Link::Open(_), _) => {}
        }
        if std::mem::take(&mut self.authenticate) {
            ask(LeaseOp::Authenticate, out);
        }
        if let Some(live) = self.session.as_mut().filter(|live| live.ask_at <= now) {
            live.ask_at = now + surely::ASK_EVERY;
            ask(LeaseOp::Confirm { asked_at: now }, out);
        }
        for hold in self.holds.values_mut() {
            match hold {
                Hold::Theirs { ask_at, .. } | Hold::NotYet { ask_at } if *ask_at <= now => *hold = Hold::Unknown,
                Hold::Ours { not_before, .. } => *not_before = not_before.filter(|at| *at > now),
                Hold::Unknown
                | Hold::Free
                | Hold::Looking
                | Hold::Asking
                | Hold::Theirs { .. }
                | Hold::NotYet { .. }
                | Hold::Releasing { .. } => {}
            }
        }
        self.join(out);
    }

    /// Orderly end: everything is given back at once. After the addresses are gone.
    pub fn stop<F: Asks>(&mut self, out: &mut Outbox<F>) {
        if self.link != Link::Closed {
            ask(LeaseOp::Close, out);
        }
        *self = Self::default();
    }

    /// When something is due.
    pub fn next(&self) -> Option<Instant> {
        let opens = match (&self.link, &self.coordination) {
            (Link::Closing, _) | (Link::Closed, Some(_)) => Some(self.again_at.unwrap_or(Instant::ZERO)),
            (Link::Closed, None) | (Link::Open(_), _) => None,
        };
        let asks = self.session.as_ref().map(|live| live.ask_at);
        let ends = self.usable_until().filter(|_| self.trust.usable).map(|at| at + Duration::from_nanos(1));
        let patience = self.patient_until.into_iter().chain(self.trust.due);
        let holds = self.holds.values().filter_map(|hold| match hold {
            Hold::Ours { not_before, .. } => *not_before,
            Hold::Theirs { ask_at, .. } | Hold::NotYet { ask_at } => Some(*ask_at),
            Hold::Unknown | Hold::Free | Hold::Looking | Hold::Asking | Hold::Releasing { .. } => None,
        });
        let turns = self.vacancies.next();
        opens.into_iter().chain(asks).chain(ends).chain(patience).chain(self.again_at).chain(holds).chain(turns).min()
    }

    // What is so.

    /// The last instant at which an address may be added or renewed on the strength of this session.
    fn usable_until(&self) -> Option<Instant> {
        let live = self.session.as_ref()?;
        Some(surely::may_hold_until(live.asked_at?, live.timeout))
    }

    /// The session surely outlives an address that is added or renewed now.
    pub fn usable(&self, now: Instant) -> bool {
        self.usable_until().is_some_and(|until| now <= until)
    }

    /// The one predicate behind every address of a coordinated router that is added or renewed. `holding`: it is MASTER
    /// and has them already.
    pub fn may_hold(&self, key: &str, part: Part, holding: bool, now: Instant) -> bool {
        let hold = self.holds.get(key);
        match (self.usable(now), hold, part.on_loss) {
            (true, Some(Hold::Ours { .. }), _) => true,
            (true, Some(Hold::Theirs { .. }), _) | (_, _, OnLoss::Release) => false,
            // Undecided: what was kept while the service was away is kept until it has answered.
            (true, _, OnLoss::Keep) => holding,
            (false, _, OnLoss::Keep) => match part.mode {
                Mode::Off | Mode::Fence => !self.patient(now),
                Mode::Elect => holding,
            },
        }
    }

    /// The token, if the lease is ours.
    pub fn token(&self, key: &str) -> Option<Token> {
        let Some(Hold::Ours { token, .. }) = self.holds.get(key) else { return None };
        Some(*token)
    }

    /// Who holds it instead.
    pub fn held_by(&self, key: &str) -> Option<&DirectorName> {
        let Some(Hold::Theirs { by, .. }) = self.holds.get(key) else { return None };
        Some(by)
    }

    // Elect.

    /// The claim of a router with this effective priority; `None`: spreading leaves it to others. `configured`: without
    /// scripts' weights.
    pub fn claim_of(&self, key: &str, effective: u8, configured: u8, preempt: bool) -> Option<Claim> {
        let director = self.coordination.as_ref()?.director.clone();
        let priority = match self.spread.get(key) {
            None => effective,
            Some(order) => {
                let rank = order.iter().position(|it| *it == director)?;
                let rank = u8::try_from(rank).unwrap_or(u8::MAX);
                let lowered = configured.saturating_sub(effective);
                FIRST_CHOICE.saturating_sub(rank).saturating_sub(lowered).max(1)
            }
        };
        Some(Claim { director, priority, preempt })
    }

    /// Whether a candidate should ask for the lease: nobody has the better claim, or nobody with a better one takes it.
    pub fn should_take(&mut self, key: &str, claim: &Claim, now: Instant) -> bool {
        let Some(better) = self.candidates.get(key).and_then(|candidates| better(claim, candidates)) else {
            self.vacancies.ranked(key, None, now);
            return false;
        };
        self.vacancies.ranked(key, Some(better.len()), now);
        let passed_over = better.iter().all(|sequence| self.vacancies.is_passed_over(key, *sequence));
        passed_over || self.vacancies.our_turn(key)
    }

    /// It is a candidate, and knows of the others.
    pub fn knows_candidates(&self, key: &str) -> bool {
        self.claimed.contains_key(key) && self.candidates.contains_key(key)
    }

    /// To whom a holder must give way.
    pub fn preempted_by(&self, key: &str, claim: &Claim) -> Option<&Claim> {
        let passed_over = |it: &Candidate| self.vacancies.is_passed_over(key, it.sequence);
        preempted_by(claim, self.candidates.get(key)?, passed_over)
    }

    /// Notes whom we pass over by asking for a lease that they left free.
    fn pass_over(&mut self, key: &LeaseKey, now: Instant) {
        let better = self.claimed.get(key).and_then(|claim| better(claim, self.candidates.get(key)?));
        let timeout = self.session.as_ref().map_or(Duration::ZERO, |live| live.timeout);
        if let Some(better) = better.filter(|better| !better.is_empty()) {
            // Sessions end up to a tick late, which is half a timeout at the most.
            self.vacancies.pass_over(key.clone(), better, now + timeout * 3 / 2);
        }
    }

    /// Makes, changes or takes back a claim.
    pub fn claim<F: Asks>(&mut self, key: &LeaseKey, claim: Option<Claim>, out: &mut Outbox<F>) {
        if self.session.is_none() || self.again_at.is_some() || self.claimed.get(key) == claim.as_ref() {
            return;
        }
        match claim {
            Some(claim) => {
                self.claimed.insert(key.clone(), claim.clone());
                ask(LeaseOp::Claim { key: key.clone(), claim }, out);
            }
            None => {
                self.claimed.remove(key);
                self.candidates.remove(key);
                ask(LeaseOp::Withdraw { key: key.clone() }, out);
            }
        }
    }

    fn join<F: Asks>(&mut self, out: &mut Outbox<F>) {
        let Some(coordination) = self.coordination.as_ref().filter(|it| !it.spread.is_empty()) else { return };
        if self.session.is_none() || self.again_at.is_some() || self.joined {
            return;
        }
        self.joined = true;
        let limits = coordination.spread.iter().filter_map(|group| Some((group.name.clone(), group.limit?)));
        ask(LeaseOp::Join(Member { director: coordination.director.clone(), limits: limits.collect() }), out);
    }

    fn respread(&mut self) {
        self.spread.clear();
        for group in self.coordination.iter().flat_map(|it| &it.spread) {
            self.spread.extend(assign(&group.name, &group.routers, &self.members));
        }
    }

    // Fence and elect.

    /// A router should have its lease, or should know of it, or neither.
    pub fn want<F: Asks>(&mut self, key: &LeaseKey, wanted: Want, now: Instant, out: &mut Outbox<F>) {
        let Some(director) = self.coordination.as_ref().map(|it| it.director.clone()) else { return };
        if self.session.is_none() {
            return;
        }
        let hold = self.holds.entry(key.clone()).or_default();
        match (wanted, &*hold) {
            (Want::Have, Hold::Unknown | Hold::Free) if self.again_at.is_none() => {
                *hold = Hold::Asking;
                self.pass_over(key, now);
                ask(LeaseOp::Take { key: key.clone(), director }, out);
            }
            (Want::Know, Hold::Unknown) if self.again_at.is_none() => {
                *hold = Hold::Looking;
                ask(LeaseOp::Watch { key: key.clone() }, out);
            }
            (Want::Know | Want::Nothing, Hold::Ours { not_before, .. }) if not_before.is_some_and(|at| at > now) => {}
            (Want::Know | Want::Nothing, Hold::Ours { token, .. }) => {
                *hold = Hold::Releasing { token: Some(*token) };
                ask(LeaseOp::Release { key: key.clone() }, out);
            }
            (Want::Nothing, Hold::Theirs { .. }) => {
                *hold = Hold::Releasing { token: None };
                ask(LeaseOp::Release { key: key.clone() }, out);
            }
            (Want::Nothing, Hold::Unknown | Hold::Free) => {
                self.holds.remove(key);
                self.vacancies.taken(key);
            }
            (Want::Have, Hold::Ours { .. })
            | (Want::Have | Want::Know, Hold::Unknown | Hold::Free | Hold::Theirs { .. })
            | (
                Want::Have | Want::Know | Want::Nothing,
                Hold::Looking | Hold::Asking | Hold::NotYet { .. } | Hold::Releasing { .. },
            ) => {}
        }
    }
}

fn ask<F: Asks>(op: LeaseOp, out: &mut Outbox<F>) {
    out.push(F::from(op));
}
