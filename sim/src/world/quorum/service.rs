//! The ensemble's side: sessions and what belongs to them. All instants are of its own clock, except where it says so.

use super::{Ask, LinkId, Said};
use crate::scenario::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use vipward_core::lease::{
    Candidate, Claim, DirectorName, LeaseEvent, LeaseKey, LeaseOp, Member, Session, Token, surely,
};
use vipward_core::time::{Duration, Instant};

/// Who hears what.
type Out = Vec<(NodeId, LinkId, Said)>;

#[derive(Debug)]
pub(super) struct EnsembleState {
    tick: Duration,
    pub frozen: bool,
    /// There is no leader until then, by the world's clock.
    leader_at: Option<Instant>,
    sessions: BTreeMap<Session, Seat>,
    owners: BTreeMap<LeaseKey, Owner>,
    /// Leases whose holder's session ended, and until when it may have the addresses. See [`vipward_core::lease::lives`]:
    /// real directors wait for that each by itself, and begin to count no earlier than the service does here.
    left: BTreeMap<LeaseKey, Left>,
    candidates: BTreeMap<LeaseKey, BTreeMap<i64, (Session, Claim)>>,
    members: BTreeMap<Session, Member>,
    watches: BTreeSet<(LeaseKey, Session)>,
    /// The tree is new: nobody gets a lease before. Whoever waits does so for as long as its own sessions hold.
    new_since: Option<Instant>,
    /// Of the last transaction: sessions, tokens and sequences are counted with it.
    zxid: i64,
}

#[derive(Debug)]
struct Seat {
    director: NodeId,
    link: LinkId,
    timeout: Duration,
    /// When its server last heard of it, and what of that the leader knows.
    touched: Instant,
    counted: Instant,
    /// Its last sign of life that the others heard.
    wrote: Instant,
}

/// What a holder left whose session ended.
#[derive(Debug)]
struct Left {
    director: NodeId,
    name: DirectorName,
    until: Instant,
}

#[derive(Debug)]
struct Owner {
    session: Session,
    token: Token,
    director: DirectorName,
}

impl EnsembleState {
    pub fn new(tick: Duration) -> Self {
        Self {
            tick,
            frozen: false,
            leader_at: None,
            sessions: BTreeMap::new(),
            owners: BTreeMap::new(),
            left: BTreeMap::new(),
            candidates: BTreeMap::new(),
            members: BTreeMap::new(),
            watches: BTreeSet::new(),
            new_since: None,
            zxid: 0,
        }
    }

    /// Forgets all but how far it counted: a real server that does not is told from another by the session's password.
    pub fn wipe(&mut self, local: Instant) {
        *self = Self { zxid: self.zxid, frozen: self.frozen, new_since: Some(local), ..Self::new(self.tick) };
    }

    /// How long this session has to wait yet, since the tree is new.
    fn wait(&self, session: Session, local: Instant) -> Option<Duration> {
        let since = self.new_since?;
        let timeout = self.sessions.get(&session)?.timeout;
        let wait = surely::held_for(timeout).saturating_sub(local.since(since));
        (!wait.is_zero()).then_some(wait)
    }

    pub fn away(&self) -> bool {
        self.frozen || self.leader_at.is_some()
    }

    /// When there is a leader again, by the world's clock.
    pub fn leader_at(&self) -> Option<Instant> {
        self.leader_at.filter(|_| !self.frozen)
    }

    pub fn lose_leader(&mut self, until: Instant) {
        self.leader_at = self.leader_at.max(Some(until));
    }

    /// Ends what is overdue. `now` is the world's.
    pub fn advance(&mut self, now: Instant, local: Instant) -> Out {
        if self.frozen {
            return Out::new();
        }
        if let Some(at) = self.leader_at {
            if at > now {
                return Out::new();
            }
            // A new leader gives every session its whole time.
            self.leader_at = None;
            self.sessions.values_mut().for_each(|seat| (seat.touched, seat.counted) = (local, local));
        }
        let mut out = Out::new();
        if self.next_expiry().is_some_and(|at| at <= local) {
            let over = |seat: &Seat| seat.touched + seat.timeout <= local;
            let ended: Vec<Session> = self.sessions.iter().filter(|(_, seat)| over(seat)).map(|(id, _)| *id).collect();
            for session in ended {
                self.end(session, &mut out, local);
            }
        }
        for key in self.left.extract_if(.., |_, left| left.until <= local).map(|(key, _)| key).collect::<Vec<_>>() {
            self.tell_vacant(&key, &mut out);
        }
        out
    }

    /// What is heard is passed on long before a session ends, unless [`Self::forget_unheard`].
    pub fn next_expiry(&self) -> Option<Instant> {
        let sessions = self.sessions.values().map(|seat| seat.touched + seat.timeout);
        sessions.chain(self.left.values().map(|left| left.until)).min()
    }

    /// A follower dies with what it did not pass on.
    pub fn forget_unheard(&mut self, director: NodeId, local: Instant) {
        let half = self.tick / 2;
        for seat in self.sessions.values_mut().filter(|seat| seat.director == director) {
            seat.pass_on(half, local);
            seat.touched = seat.counted;
        }
    }

    pub fn end_sessions_of(&mut self, director: NodeId, local: Instant) -> Out {
        let mut out = Out::new();
        let its = self.sessions.iter().filter(|(_, seat)| seat.director == director).map(|(id, _)| *id);
        for session in its.collect::<Vec<_>>() {
            self.end(session, &mut out, local);
        }
        out
    }

    pub fn handle(&mut self, director: NodeId, link: LinkId, ask: Ask, local: Instant) -> Out {
        let mut out = Out::new();
        match ask {
            Ask::Open { timeout } => {
                let timeout = timeout.clamp(self.tick * 2, self.tick * 20);
                let session = Session(self.transaction());
                self.sessions
                    .insert(session, Seat { director, link, timeout, touched: local, counted: local, wrote: local });
                out.push((director, link, Said::Opened { session, timeout }));
            }
            Ask::Resume { session } => match self.sessions.get_mut(&session) {
                // TCP goes on for a while with what a closed connection had left; nobody hears the answer.
                Some(seat) if seat.link > link => seat.touch(self.tick / 2, local),
                Some(seat) => {
                    seat.link = link;
                    seat.touch(self.tick / 2, local);
                    out.push((director, link, Said::Resumed));
                    self.remind(session, &mut out);
                }
                None => out.push((director, link, Said::Lost { session })),
            },
            Ask::Op { session, op } => match self.sessions.get_mut(&session) {
                // From a connection that was given up meanwhile.
                Some(seat) if seat.link > link => {}
                Some(seat) => {
                    seat.touch(self.tick / 2, local);
                    seat.wrote = local;
                    self.carry_out(session, op, local, &mut out);
                }
                None => out.push((director, link, Said::Lost { session })),
            },
        }
        out
    }

    fn carry_out(&mut self, session: Session, op: LeaseOp, local: Instant, out: &mut Out) {
        let event = match &op {
            LeaseOp::Open(_) | LeaseOp::Authenticate => None,
            LeaseOp::Close => return self.close(session, local, out),
            LeaseOp::Confirm { asked_at } => Some(LeaseEvent::Confirmed { session, asked_at: *asked_at }),
            LeaseOp::Take { key, .. } | LeaseOp::Watch { key } if self.wait(session, local).is_some() => {
                let wait = self.wait(session, local).unwrap_or_default();
                Some(LeaseEvent::NotYet { key: key.clone(), wait })
            }
            LeaseOp::Take { key, director } => Some(self.take(session, key, director)),
            LeaseOp::Release { key } => {
                self.watches.remove(&(key.clone(), session));
                if self.owners.get(key).is_some_and(|owner| owner.session == session) {
                    self.vacate(key, out);
                }
                Some(LeaseEvent::Released { session, key: key.clone() })
            }
            LeaseOp::Claim { key, claim } => {
                let zxid = self.transaction();
                let candidates = self.candidates.entry(key.clone()).or_default();
                let before = candidates.iter().find(|(_, (other, _))| *other == session).map(|(at, _)| *at);
                candidates.insert(before.unwrap_or(zxid), (session, claim.clone()));
                self.tell_candidates(key, out);
                None
            }
            LeaseOp::Withdraw { key } => {
                self.withdraw(key, session, out);
                None
            }
            LeaseOp::Join(member) => {
                self.members.insert(session, member.clone());
                self.tell_members(out);
                None
            }
            LeaseOp::Watch { key } => Some(self.look(session, key)),
        };
        self.tell(session, Said::Answer { op, event }, out);
    }

    fn take(&mut self, session: Session, key: &LeaseKey, name: &DirectorName) -> LeaseEvent {
        if let Some(owner) = self.owners.get(key).filter(|owner| owner.session == session) {
            return LeaseEvent::Granted { session, key: key.clone(), token: owner.token };
        }
        if let Some(by) = self.holder(session, key) {
            self.watches.insert((key.clone(), session));
            return LeaseEvent::Held { key: key.clone(), by };
        }
        let token = Token(self.transaction());
        self.left.remove(key);
        self.owners.insert(key.clone(), Owner { session, token, director: name.clone() });
        LeaseEvent::Granted { session, key: key.clone(), token }
    }

    fn look(&mut self, session: Session, key: &LeaseKey) -> LeaseEvent {
        match self.holder(session, key) {
            Some(by) => {
                self.watches.insert((key.clone(), session));
                LeaseEvent::Held { key: key.clone(), by }
            }
            None => LeaseEvent::Vacant { key: key.clone() },
        }
    }

    /// Who else holds it, or may still do. What an earlier session of the same director held, nobody else has.
    fn holder(&self, session: Session, key: &LeaseKey) -> Option<DirectorName> {
        let here = self.sessions.get(&session).map(|seat| seat.director);
        let owner = self.owners.get(key).filter(|owner| owner.session != session).map(|owner| &owner.director);
        let left = self.left.get(key).filter(|left| Some(left.director) != here).map(|left| &left.name);
        owner.or(left).cloned()
    }

    /// Nobody holds it, or may still do.
    fn free(&self, key: &str) -> bool {
        !self.owners.contains_key(key) && !self.left.contains_key(key)
    }

    /// The same, and nobody has to wait for it.
    pub fn can_be_had(&self, key: &str, local: Instant) -> bool {
        self.free(key) && self.sessions.keys().all(|session| self.wait(*session, local).is_none())
    }

    fn transaction(&mut self) -> i64 {
        self.zxid += 1;
        self.zxid
    }

    /// Its director has given back what it held.
    fn close(&mut self, session: Session, local: Instant, out: &mut Out) {
        self.owned(session).iter().for_each(|key| self.vacate(key, out));
        self.end(session, out, local);
    }

    fn owned(&self, session: Session) -> Vec<LeaseKey> {
        self.owners.iter().filter(|(_, owner)| owner.session == session).map(|(key, _)| key.clone()).collect()
    }

    /// The session and all that belongs to it. What it held is free when its director has surely let go.
    fn end(&mut self, session: Session, out: &mut Out, local: Instant) {
        self.watches.retain(|(_, other)| *other != session);
        self.tell(session, Said::Lost { session }, out);
        let seat = self.sessions.remove(&session);
        for key in self.owned(session) {
            let (Some(seat), Some(owner)) = (&seat, self.owners.remove(&key)) else { continue };
            let until = seat.wrote + surely::held_for(seat.timeout);
            if until > local {
                self.left.insert(key, Left { director: seat.director, name: owner.director, until });
            } else {
                self.tell_vacant(&key, out);
            }
        }
        let keys: Vec<LeaseKey> = self.candidates.keys().cloned().collect();
        keys.iter().for_each(|key| self.withdraw(key, session, out));
        if self.members.remove(&session).is_some() {
            self.tell_members(out);
        }
    }

    fn vacate(&mut self, key: &LeaseKey, out: &mut Out) {
        self.owners.remove(key);
        self.tell_vacant(key, out);
    }

    fn tell_vacant(&self, key: &LeaseKey, out: &mut Out) {
        // Who is not there to hear it is told when it comes back ([`Self::remind`]).
        let watching = self.watches.iter().filter(|(other, _)| other == key).map(|(_, session)| *session);
        for session in watching.collect::<Vec<_>>() {
            self.tell(session, Said::Notice(LeaseEvent::Vacant { key: key.clone() }), out);
        }
    }

    fn withdraw(&mut self, key: &LeaseKey, session: Session, out: &mut Out) {
        let Some(candidates) = self.candidates.get_mut(key) else { return };
        let before = candidates.len();
        candidates.retain(|_, (other, _)| *other != session);
        if candidates.len() != before {
            self.tell_candidates(key, out);
        }
    }

    fn tell_candidates(&self, key: &LeaseKey, out: &mut Out) {
        let Some(candidates) = self.candidates.get(key) else { return };
        let list = candidates.iter().map(|(at, (_, claim))| Candidate { claim: claim.clone(), sequence: *at });
        let list: Vec<Candidate> = list.collect();
        for (session, _) in candidates.values() {
            let event = LeaseEvent::Candidates { key: key.clone(), candidates: list.clone() };
            self.tell(*session, Said::Notice(event), out);
        }
    }

    fn tell_members(&self, out: &mut Out) {
        let list: Vec<Member> = self.members.values().cloned().collect();
        for session in self.members.keys() {
            self.tell(*session, Said::Notice(LeaseEvent::Members(list.clone())), out);
        }
    }

    /// What may have been missed while nobody was connected.
    fn remind(&self, session: Session, out: &mut Out) {
        for (key, _) in self.watches.iter().filter(|(key, it)| *it == session && self.free(key)) {
            self.tell(session, Said::Notice(LeaseEvent::Vacant { key: key.clone() }), out);
        }
        for (key, candidates) in &self.candidates {
            if candidates.values().any(|(other, _)| *other == session) {
                self.tell_candidates(key, out);
            }
        }
        if self.members.contains_key(&session) {
            self.tell_members(out);
        }
    }

    fn tell(&self, session: Session, said: Said, out: &mut Out) {
        out.extend(self.sessions.get(&session).map(|seat| (seat.director, seat.link, said)));
    }
}

impl Seat {
    fn touch(&mut self, half_tick: Duration, local: Instant) {
        self.pass_on(half_tick, local);
        self.touched = local;
    }

    /// Twice a tick the leader hears of it.
    fn pass_on(&mut self, half_tick: Duration, local: Instant) {
        let half = u64::try_from(half_tick.as_nanos()).unwrap_or(u64::MAX).max(1);
        let last = Instant::from_nanos(local.as_nanos() / half * half);
        if self.touched <= last {
            self.counted = self.touched;
        }
    }
}
