//! What the quorum service says, and what it refuses.

use super::{Asks, Concerned, Hold, LONGER_SESSION, Leases, Link, Live, RETRY, ask};
use crate::decision::Decision;
use crate::lease::surely;
use crate::lease::{LeaseEvent, LeaseOp, Session};
use crate::machine::Outbox;
use crate::time::{Duration, Instant};

impl Leases {
    /// The service said something.
    pub fn hear<F: Asks>(&mut self, event: LeaseEvent, now: Instant, out: &mut Outbox<F>) -> Concerned {
        match event {
            LeaseEvent::Opened { session, timeout } => {
                self.lose_session();
                self.away_since = None;
                if timeout < surely::SHORTEST_SESSION {
                    return self.too_short(timeout, now, out);
                }
                self.too_short = None;
                self.session = Some(Live { session, timeout, asked_at: None, ask_at: now });
                out.decide(Decision::SessionOpened { timeout });
                self.wake(now, out);
                Concerned::All
            }
            LeaseEvent::Confirmed { session, asked_at } => {
                // From an earlier session, or from the future: no proof of anything.
                if let Some(live) = self.current(session).filter(|_| asked_at <= now) {
                    live.asked_at = live.asked_at.max(Some(asked_at));
                    self.patient_until = None;
                    if let Some(since) = self.away_since.take() {
                        out.decide(Decision::ServiceAnswers { after: now.since(since) });
                    }
                }
                Concerned::Nothing
            }
            LeaseEvent::Lost { session } => {
                if self.current(session).is_none() {
                    return Concerned::Nothing;
                }
                self.lose_session();
                out.decide(Decision::SessionLost);
                Concerned::All
            }
            LeaseEvent::Unreachable { reason } => {
                if self.complaints.entry(reason.clone()).or_default().admits(now) {
                    self.away_since = self.away_since.or(Some(now));
                    out.decide(Decision::ServiceUnreachable { reason });
                }
                Concerned::Nothing
            }
            LeaseEvent::Granted { session, key, token } => {
                if self.current(session).is_none() {
                    return Concerned::Nothing;
                }
                self.vacancies.taken(&key);
                self.holds.insert(key.clone(), Hold::Ours { token, not_before: None });
                Concerned::Of(key)
            }
            LeaseEvent::Held { key, by } => {
                let Some(live) = &self.session else { return Concerned::Nothing };
                self.vacancies.taken_by_another(&key);
                self.holds.insert(key.clone(), Hold::Theirs { by, ask_at: now + live.timeout });
                Concerned::Of(key)
            }
            LeaseEvent::Vacant { key } => {
                if let Some(hold @ (Hold::Theirs { .. } | Hold::Looking)) = self.holds.get_mut(&key) {
                    *hold = Hold::Free;
                    self.vacancies.free(key.clone(), now);
                    if self.on_trial(now) {
                        self.vacant.insert(key.clone());
                    }
                }
                Concerned::Of(key)
            }
            LeaseEvent::Released { session, key } => {
                if self.current(session).is_some()
                    && let Some(hold @ Hold::Releasing { .. }) = self.holds.get_mut(&key)
                {
                    *hold = Hold::Unknown;
                }
                Concerned::Of(key)
            }
            LeaseEvent::Gone { session, key } => {
                if self.current(session).is_none() {
                    return Concerned::Nothing;
                }
                if let Some(hold @ (Hold::Ours { .. } | Hold::Releasing { .. })) = self.holds.get_mut(&key) {
                    *hold = Hold::Unknown;
                    out.decide(Decision::LeaseGone { router: key.clone() });
                }
                Concerned::Of(key)
            }
            LeaseEvent::Candidates { key, candidates } => {
                if self.claimed.contains_key(&key) {
                    self.candidates.insert(key.clone(), candidates);
                }
                Concerned::Of(key)
            }
            LeaseEvent::Members(mut members) => {
                members.sort();
                members.dedup_by(|a, b| a.director == b.director);
                self.members = members;
                self.respread();
                Concerned::All
            }
            LeaseEvent::Refused { op, reason } => self.refused(*op, reason, now, out),
            LeaseEvent::NotYet { key, wait } => {
                self.holds.insert(key.clone(), Hold::NotYet { ask_at: now + wait });
                if self.complaints.entry(format!("not yet {key}")).or_default().admits(now) {
                    out.decide(Decision::LeaseNotYet { router: key.clone(), wait });
                }
                Concerned::Of(key)
            }
        }
    }

    /// The service, or the way to it, refused: told, and asked again after a while.
    pub fn refused<F: Asks>(&mut self, op: LeaseOp, reason: String, now: Instant, out: &mut Outbox<F>) -> Concerned {
        let mut retry_in = RETRY;
        match &op {
            LeaseOp::Open(_) => self.link = Link::Closed,
            LeaseOp::Close => {
                self.link = Link::Closing;
                retry_in = surely::KERNEL_HOLDS;
            }
            // Asked again soon anyway.
            LeaseOp::Confirm { .. } => return Concerned::Nothing,
            // Told by whoever reads it; read again with the next session, or reload.
            LeaseOp::Authenticate => return Concerned::Nothing,
            LeaseOp::Take { key, .. } | LeaseOp::Watch { key } => {
                self.holds.insert(key.clone(), Hold::Unknown);
            }
            LeaseOp::Release { key } => {
                // An address may still be there: by then the kernel has taken it off.
                retry_in = surely::KERNEL_HOLDS;
                if let Some(hold @ Hold::Releasing { .. }) = self.holds.get_mut(key) {
                    *hold = match hold {
                        Hold::Releasing { token: Some(token) } => {
                            Hold::Ours { token: *token, not_before: Some(now + surely::KERNEL_HOLDS) }
                        }
                        _ => Hold::Unknown,
                    };
                }
            }
            LeaseOp::Claim { key, .. } => {
                self.claimed.remove(key);
            }
            LeaseOp::Withdraw { .. } => {}
            LeaseOp::Join(_) => self.joined = false,
        }
        if !matches!(op, LeaseOp::Release { .. }) {
            self.again_at = Some(now + retry_in);
        }
        let what = op.to_string();
        if self.complaints.entry(what.clone()).or_default().admits(now) {
            out.decide(Decision::EffectFailed { what, error: reason, retry_in });
        }
        Concerned::Nothing
    }

    /// A session of which nothing is left when the kernel's lifetimes are taken off. It is given up, and another one asked
    /// for after a while: the servers may have been mended.
    fn too_short<F: Asks>(&mut self, timeout: Duration, now: Instant, out: &mut Outbox<F>) -> Concerned {
        self.too_short = Some(timeout);
        self.patient_until = None;
        ask(LeaseOp::Close, out);
        self.link = Link::Closed;
        self.again_at = Some(now + LONGER_SESSION);
        if self.complaints.entry("session too short".to_owned()).or_default().admits(now) {
            out.decide(Decision::SessionTooShort { timeout, least: surely::SHORTEST_SESSION });
        }
        Concerned::All
    }

    fn current(&mut self, session: Session) -> Option<&mut Live> {
        self.session.as_mut().filter(|live| live.session == session)
    }

    /// Nothing of it is ours any more, or can be relied on.
    pub(super) fn lose_session(&mut self) {
        self.session = None;
        self.holds.clear();
        self.candidates.clear();
        self.claimed.clear();
        self.vacant.clear();
        self.vacancies.clear();
        self.joined = false;
    }
}
