//! A director's connection to the quorum service: what a client library does, as far as a machine can notice.

use super::{Ask, LinkId, Said};
use std::collections::{BTreeSet, VecDeque};
use vipward_core::lease::{LeaseEvent, LeaseKey, LeaseOp, Session};
use vipward_core::time::{Duration, Instant};

/// Between two tries to connect.
const BACK_OFF: Duration = Duration::from_millis(500);

/// How long a try may take.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Client {
    link: LinkId,
    /// What to ask for.
    timeout: Duration,
    session: Option<Session>,
    state: State,
    /// Asked and not answered, oldest first.
    pending: VecDeque<Pending>,
    /// Something was lost on this connection: no more comes through, and nobody has noticed yet.
    broken: bool,
    /// The latest arrival of each direction: TCP keeps the order.
    last_there: Instant,
    last_here: Instant,
    /// It has been told that nobody answers.
    complained: bool,
    pub ready: VecDeque<LeaseEvent>,
}

/// A question without an answer.
#[derive(Clone, Debug)]
struct Pending {
    op: LeaseOp,
    asked: Instant,
    /// On this connection.
    sent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until then.
    Waiting(Instant),
    /// Given up then.
    Connecting(Instant),
    Connected,
}

impl Client {
    pub fn new(incarnation: u64, timeout: Duration, now: Instant) -> Self {
        Self {
            link: LinkId { incarnation, number: 0 },
            timeout,
            session: None,
            state: State::Waiting(now),
            pending: VecDeque::new(),
            broken: false,
            last_there: now,
            last_here: now,
            complained: false,
            ready: VecDeque::new(),
        }
    }

    pub fn session(&self) -> Option<Session> {
        self.session
    }

    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Takes a question; [`Self::tend`] sends it, after all that was asked before. One that proves something about time is
    /// asked now or never.
    pub fn takes(&mut self, op: &LeaseOp, now: Instant) {
        if self.state == State::Connected || !matches!(op, LeaseOp::Confirm { .. }) {
            self.pending.push_back(Pending { op: op.clone(), asked: now, sent: false });
        }
    }

    /// When a packet of this connection that would arrive at `arrives` really does.
    pub fn sends(&mut self, arrives: Option<Instant>) -> Option<Instant> {
        pass(arrives, &mut self.broken, &mut self.last_there)
    }

    pub fn receives(&mut self, arrives: Option<Instant>) -> Option<Instant> {
        pass(arrives, &mut self.broken, &mut self.last_here)
    }

    pub fn hear(&mut self, said: Said, now: Instant) {
        match said {
            Said::Opened { session, timeout } => {
                self.session = Some(session);
                self.connected();
                self.ready.push_back(LeaseEvent::Opened { session, timeout });
            }
            Said::Resumed => {
                self.pending.iter_mut().for_each(|pending| pending.asked = now);
                self.connected();
            }
            Said::Answer { op, event } => {
                if let Some(at) = self.pending.iter().position(|pending| pending.op == op) {
                    self.pending.remove(at);
                }
                self.ready.extend(event);
            }
            Said::Notice(event) => self.ready.push_back(event),
            Said::Lost { session } => {
                self.session = None;
                self.pending.clear();
                self.ready.push_back(LeaseEvent::Lost { session });
                self.disconnect(now);
                self.state = State::Waiting(now);
            }
        }
    }

    fn connected(&mut self) {
        self.state = State::Connected;
        self.complained = false;
    }

    /// The connection is given up; another one is tried soon.
    pub fn disconnect(&mut self, now: Instant) {
        self.link.number += 1;
        self.broken = false;
        (self.last_there, self.last_here) = (now, now);
        self.pending.retain(|pending| !matches!(pending.op, LeaseOp::Confirm { .. }));
        self.pending.iter_mut().for_each(|pending| pending.sent = false);
        self.forget_superseded();
        self.state = State::Waiting(now + BACK_OFF);
    }

    /// A claim that was changed or taken back before it was answered is not made again on the next connection: the daemon
    /// remembers what it claims, and not what it ever asked (`daemon/src/coordination/asked.rs`).
    fn forget_superseded(&mut self) {
        let mut later = BTreeSet::new();
        for at in (0..self.pending.len()).rev() {
            let key = self.pending.get(at).and_then(|pending| claimed(&pending.op)).cloned();
            if key.is_some_and(|key| !later.insert(key)) {
                self.pending.remove(at);
            }
        }
    }

    /// What it does by itself, and sends.
    pub fn tend(&mut self, now: Instant) -> Vec<Ask> {
        if self.next().is_none_or(|at| at > now) {
            return Vec::new();
        }
        match (self.state, self.session) {
            (State::Connected, Some(session)) if self.unsent() => self.send_all(session),
            (State::Connected, _) => {
                self.disconnect(now);
                Vec::new()
            }
            (State::Connecting(_), _) => {
                self.disconnect(now);
                if !std::mem::replace(&mut self.complained, true) {
                    self.ready.push_back(LeaseEvent::Unreachable { reason: "no server answers".to_owned() });
                }
                Vec::new()
            }
            (State::Waiting(_), session) => {
                self.state = State::Connecting(now + PATIENCE);
                let Some(session) = session else { return vec![Ask::Open { timeout: self.timeout }] };
                // What waits is sent when this is answered.
                vec![Ask::Resume { session }]
            }
        }
    }

    fn unsent(&self) -> bool {
        self.pending.iter().any(|pending| !pending.sent)
    }

    /// In their order.
    fn send_all(&mut self, session: Session) -> Vec<Ask> {
        let unsent = self.pending.iter_mut().filter(|pending| !pending.sent);
        let ask = |pending: &mut Pending| {
            pending.sent = true;
            Ask::Op { session, op: pending.op.clone() }
        };
        unsent.map(ask).collect()
    }

    /// When it does something by itself.
    pub fn next(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(at) | State::Connecting(at) => Some(at),
            State::Connected if self.unsent() => self.pending.front().map(|pending| pending.asked),
            State::Connected => self.pending.front().map(|pending| pending.asked + self.timeout / 8),
        }
    }
}

/// The router whose claim this makes, changes or takes back.
fn claimed(op: &LeaseOp) -> Option<&LeaseKey> {
    match op {
        LeaseOp::Claim { key, .. } | LeaseOp::Withdraw { key } => Some(key),
        LeaseOp::Open(_)
        | LeaseOp::Close
        | LeaseOp::Confirm { .. }
        | LeaseOp::Take { .. }
        | LeaseOp::Watch { .. }
        | LeaseOp::Release { .. }
        | LeaseOp::Join(_)
        | LeaseOp::Authenticate => None,
    }
}

fn pass(arrives: Option<Instant>, broken: &mut bool, last: &mut Instant) -> Option<Instant> {
    match arrives.filter(|_| !*broken) {
        Some(arrives) => {
            *last = (*last).max(arrives);
            Some(*last)
        }
        None => {
            *broken = true;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vipward_core::lease::Claim;

    /// Its answer was lost, and so was that of its end: others must not hear of it once more with each connection.
    #[test]
    fn a_claim_that_was_taken_back_is_not_made_again_on_the_next_connection() {
        let at = Instant::from_millis;
        let mut client = Client::new(1, Duration::from_secs(8), at(0));
        let claim = |priority| Claim { director: "lb1".into(), priority, preempt: true };
        let makes = |key: &str, priority| LeaseOp::Claim { key: key.into(), claim: claim(priority) };
        let withdraws = LeaseOp::Withdraw { key: "V".into() };
        assert_eq!(client.tend(at(0)).len(), 1, "it asks for a session");
        client.hear(Said::Opened { session: Session(1), timeout: Duration::from_secs(8) }, at(1));
        let ops =
            [makes("V", 100), makes("W", 100), LeaseOp::Watch { key: "V".into() }, makes("W", 50), withdraws.clone()];
        ops.iter().for_each(|op| client.takes(op, at(2)));
        assert_eq!(client.tend(at(2)).len(), 5, "in the connection that there is all is said in its order");
        client.disconnect(at(3));
        client.tend(at(503));
        client.hear(Said::Resumed, at(504));
        let again = client.tend(at(504)).into_iter().map(|ask| match ask {
            Ask::Op { op, .. } => op,
            other => panic!("{other:?}"),
        });
        let expected = vec![LeaseOp::Watch { key: "V".into() }, makes("W", 50), withdraws];
        assert_eq!(again.collect::<Vec<_>>(), expected);
    }
}
