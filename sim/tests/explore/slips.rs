//! Slips in the logic of leases, planted around the Election: each changes what goes in or comes out. Nothing of it is in
//! the machine itself.

use vipward_core::estate::ElectionEstate;
use vipward_core::interface::InterfaceAddress;
use vipward_core::lease::{LeaseEvent, LeaseOp, Session, Token};
use vipward_core::machine::{Input, LastWill, LeavesWill, Machine, Outbox, Output, Reason};
use vipward_core::quantity::Role;
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{self, Effect, Election, Event};
use vipward_sim::runner::events::{GuardedMachine, Make};
use vipward_sim::scenario::NodeId;

/// How late what comes too late comes.
const LATE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    WordOfTheService,
    LetsGoLate,
    RenewalsNotGated,
    ReleasedFirst,
    StaleGrant,
    GrantNotAwaited,
    VacantIsOurs,
    OrderReversed,
    TrialSatOut,
}

impl Slip {
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::WordOfTheService, "fencing on the service's word: the session lives until it says that it is over"),
        (Self::LetsGoLate, "lets go late: a session is believed in for twice its timeout after a question"),
        (Self::RenewalsNotGated, "renewals not gated: addresses are renewed for as long as nobody takes them off"),
        (Self::ReleasedFirst, "the lease given back first: addresses go half a second later"),
        (Self::StaleGrant, "a stale grant believed: what an earlier session had, the next one has as soon as it asks"),
        (Self::GrantNotAwaited, "the grant not waited for: whoever asks has it"),
        (Self::VacantIsOurs, "a lease that is free taken for ours: it is not asked for"),
        (Self::OrderReversed, "the order of candidates reversed: the lowest priority comes first"),
        (Self::TrialSatOut, "the trial sat out: after a failure of the service a lease is left free until it is over"),
    ];
}

impl Make for Slip {
    fn election(&self, _: NodeId) -> Box<dyn GuardedMachine<Election>> {
        Box::new(Slipping { slip: *self, ..Slipping::new() })
    }
}

struct Slipping {
    slip: Slip,
    inner: Election,
    session: Option<Session>,
    /// What was ever granted, and in which session.
    granted: Vec<(std::sync::Arc<str>, Session)>,
    held: Vec<InterfaceAddress>,
    renew_at: Instant,
    /// Effects that come later.
    late: Vec<(Instant, Effect)>,
}

impl Slipping {
    fn new() -> Self {
        Self {
            slip: Slip::WordOfTheService,
            inner: Election::default(),
            session: None,
            granted: Vec::new(),
            held: Vec::new(),
            renew_at: Instant::ZERO,
            late: Vec::new(),
        }
    }

    fn spoil(&mut self, said: LeaseEvent) -> LeaseEvent {
        match (self.slip, said) {
            (slip, LeaseEvent::Opened { session, timeout }) => {
                self.session = Some(session);
                let timeout = if slip == Slip::LetsGoLate { timeout * 2 } else { timeout };
                LeaseEvent::Opened { session, timeout }
            }
            (Slip::StaleGrant, LeaseEvent::Granted { session, key, token }) => {
                self.granted.push((key.clone(), session));
                LeaseEvent::Granted { session, key, token }
            }
            (Slip::VacantIsOurs, LeaseEvent::Vacant { key }) => match self.session {
                Some(session) => LeaseEvent::Granted { session, key, token: Token(1) },
                None => LeaseEvent::Vacant { key },
            },
            (Slip::OrderReversed, LeaseEvent::Candidates { key, mut candidates }) => {
                candidates.iter_mut().for_each(|it| it.claim.priority = u8::MAX - it.claim.priority);
                LeaseEvent::Candidates { key, candidates }
            }
            (Slip::TrialSatOut, LeaseEvent::Vacant { key }) if self.lost_the_quorum() => {
                LeaseEvent::Held { key, by: "somebody".into() }
            }
            (_, LeaseEvent::Lost { session }) => {
                self.session = None;
                LeaseEvent::Lost { session }
            }
            (_, said) => said,
        }
    }

    fn lost_the_quorum(&self) -> bool {
        self.inner.routers().iter().any(|router| router.role() == Role::Fault)
    }
}

impl Machine for Slipping {
    type Event = Event;
    type Effect = Effect;
    type Estate = ElectionEstate;

    fn handle(&mut self, input: vrrp::Input, now: Instant) -> vrrp::Outbox {
        let mut out = Outbox::default();
        let input = match input {
            Input::Event(Event::Lease(said)) => Event::Lease(self.spoil(said)).into(),
            other => other,
        };
        if let (Slip::WordOfTheService, Some(session)) = (self.slip, self.session) {
            let confirmed = Event::Lease(LeaseEvent::Confirmed { session, asked_at: now });
            out.append(self.inner.handle(confirmed.into(), now));
        }
        out.append(self.inner.handle(input, now));
        let asks: Vec<_> = out
            .effects()
            .filter_map(|it| match it {
                Effect::Lease(LeaseOp::Take { key, .. }) => Some(key.clone()),
                _ => None,
            })
            .collect();
        if let Some(session) = self.session {
            for key in asks {
                let stale = self.granted.iter().any(|(other, before)| *other == key && *before != session);
                if self.slip == Slip::GrantNotAwaited || (self.slip == Slip::StaleGrant && stale) {
                    let grant = LeaseEvent::Granted { session, key, token: Token(1) };
                    out.append(self.inner.handle(Event::Lease(grant).into(), now));
                }
            }
        }
        let releases = out.effects().any(|it| matches!(it, Effect::Lease(LeaseOp::Release { .. } | LeaseOp::Close)));
        let mut spoiled = Outbox::default();
        for output in out {
            let Output::Effect(effect) = output else {
                spoiled.put(output);
                continue;
            };
            match (&effect, self.slip) {
                (Effect::RemoveAddress(_), Slip::ReleasedFirst) if releases => {
                    self.late.push((now + LATE, effect));
                    continue;
                }
                (Effect::AddAddress(address), Slip::RenewalsNotGated) => self.held.push(address.clone()),
                (Effect::RemoveAddress(key), Slip::RenewalsNotGated) => {
                    if self.lost_the_quorum() {
                        continue;
                    }
                    self.held.retain(|held| held.key() != *key);
                }
                _ => {}
            }
            spoiled.push(effect);
        }
        if self.slip == Slip::RenewalsNotGated && !self.held.is_empty() && self.renew_at <= now {
            self.renew_at = now + LATE;
            spoiled.push(Effect::RenewAddresses { addresses: self.held.clone().into() });
        }
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        spoiled.extend(due.into_iter().map(|(_, effect)| effect));
        spoiled
    }

    fn next_wakeup(&self) -> Option<(Instant, Reason)> {
        let late = self.late.iter().map(|(at, _)| (*at, Reason::Retry));
        let renew = (!self.held.is_empty()).then_some((self.renew_at, Reason::Renew));
        self.inner.next_wakeup().into_iter().chain(late).chain(renew).min()
    }

    fn estate(&self, now: Instant) -> Option<ElectionEstate> {
        self.inner.estate(now)
    }
}

impl LeavesWill for Slipping {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        self.inner.changed_shares()
    }
}
