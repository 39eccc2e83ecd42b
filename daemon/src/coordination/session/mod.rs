//! One session with ZooKeeper, over as many connections as it lasts.
//!
//! The proof that it lives is a write and not a read: a follower that has lost its leader goes on answering reads for a
//! while, out of a world in which nothing happens any more. A write is answered when a majority has it, and a session
//! that is over can't write. Every other director hears it, see [`super::lives`].
//!
//! The rest is level-triggered, as it is with the kernel's tables: a notification marks a [`Part`] of the tree, a marked
//! part is read anew, and from what is there and what was asked follow one step and what is told. After a reconnect the
//! tree is watched anew, and then all that was asked is marked: nothing hangs on answers and notifications that were lost.

mod leases;
mod members;

use super::access::Access;
use super::asked::{Asked, Stand};
use super::nodes::{Node, NodeError, Nodes, Read};
use super::place::Place;
use super::tree::{self, About};
use crate::system::clock::BootClock;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use vipward_core::lease::lives::Lives;
use vipward_core::lease::surely;
use vipward_core::lease::{LeaseEvent, LeaseKey, LeaseOp, Session};
use vipward_core::seam::Clock;
use vipward_core::time::{Duration, Instant};
use zookeeper_client::{EventType, PersistentWatcher, SessionState};

/// How long giving back may take: a session without a connection ends by itself.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a connection may be lost before it is spoken of: a server was restarted, another one is found at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a session's connection is no more.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client has given up: the session is over, or nothing was heard for too long.
    Lost,
    /// [`LeaseOp::Close`], or nobody is left who could ask: everything is given back.
    Closed,
}

/// What a session needs of the thread that it lives in.
pub struct Surroundings {
    pub clock: Rc<BootClock>,
    pub ops: UnboundedReceiver<LeaseOp>,
    pub events: UnboundedSender<LeaseEvent>,
    pub place: Arc<Place>,
}

impl Surroundings {
    pub fn tell(&self, event: LeaseEvent) {
        // Fails when the machine has ended; then nobody needs to know.
        let _ = self.events.send(event);
    }
}

/// A piece of the tree that is read, and decided about, as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What changes in it is told to us. The client (zookeeper-client 0.11) forgets to ask for that when it reconnects.
    Whole,
    Life,
    Lease(LeaseKey),
    Candidates(LeaseKey),
    Members,
    /// What a predecessor on this machine has left.
    Left,
    /// That the tree is new, which it is not any more.
    Young,
    /// `auth_file`, and the rights of the whole tree.
    Access,
}

/// What a piece of work has brought.
enum Found {
    Watched(PersistentWatcher),
    Lease(Read),
    Candidates(Vec<Node>),
    Members(Vec<Node>),
    /// If another one counts now.
    Access(Option<Rc<Access>>),
    /// Nothing to decide about.
    Done,
    /// Something was written: to be read again.
    Wrote,
}

type Work = LocalBoxFuture<'static, (u64, Part, Result<Found, NodeError>)>;
type Beat = LocalBoxFuture<'static, (Instant, Result<(), NodeError>)>;

/// A session that lives.
pub struct Live<'a> {
    around: &'a mut Surroundings,
    asked: &'a mut Asked,
    nodes: Nodes,
    watcher: PersistentWatcher,
    lives: Lives,
    timeout: Duration,
    /// Counts connections: what was asked in an earlier one may be overtaken.
    connection: u64,
    connected: bool,
    /// What changes is told to us. Until it is, nothing is read.
    watched: bool,
    /// The service doesn't let us watch.
    deaf: bool,
    /// When it is said that there is no connection.
    complain_at: Option<Instant>,
    /// When nothing of a predecessor can be left on this machine, and its leases are given back.
    sweep_at: Option<Instant>,
    /// Until when nobody takes a lease, since the tree is new.
    young_until: Option<Instant>,
    marked: BTreeSet<Part>,
    busy: BTreeSet<Part>,
    /// `auth_file` is to be read anew.
    authenticate: bool,
    /// Leases that somebody may still believe in, and until when.
    waiting: BTreeMap<LeaseKey, Instant>,
    /// What has not been read since the connection came back. Until all of it is, no proof of life is told: what the
    /// machine believes to hold may be another's since.
    unread: BTreeSet<Part>,
    /// The latest question whose answer is not told for that reason.
    proof: Option<Instant>,
    work: FuturesUnordered<Work>,
    beats: FuturesUnordered<Beat>,
    /// Until when everything is given back.
    closing: Option<Instant>,
    /// Nodes of others that the log has named.
    named: BTreeSet<String>,
}

impl<'a> Live<'a> {
    /// `watcher` watches the whole tree. `young`: for how long nobody takes a lease, since the tree is new.
    pub fn new(
        around: &'a mut Surroundings,
        asked: &'a mut Asked,
        nodes: Nodes,
        watcher: PersistentWatcher,
        (timeout, young): (Duration, Option<Duration>),
    ) -> Self {
        let now = around.clock.now();
        let mut live = Self {
            around,
            asked,
            nodes,
            watcher,
            lives: Lives::since(now),
            timeout,
            connection: 0,
            connected: true,
            watched: true,
            deaf: false,
            complain_at: None,
            sweep_at: None,
            young_until: young.map(|young| now + young),
            marked: BTreeSet::new(),
            busy: BTreeSet::new(),
            authenticate: false,
            waiting: BTreeMap::new(),
            unread: BTreeSet::new(),
            proof: None,
            work: FuturesUnordered::new(),
            beats: FuturesUnordered::new(),
            closing: None,
            named: BTreeSet::new(),
        };
        live.sweep_at = live.around.place.alone(now).map(|(_, since)| since + surely::KERNEL_HOLDS);
        live.read_all();
        live
    }

    /// Until it ends; and what the servers were shown last.
    pub async fn run(mut self) -> (Ended, Rc<Access>) {
        let ended = self.until_it_ends().await;
        (ended, self.nodes.access)
    }

    async fn until_it_ends(&mut self) -> Ended {
        loop {
            self.start_work();
            let given_back = self.busy.is_empty() && self.marked.is_empty();
            if self.closing.is_some_and(|until| given_back || self.around.clock.now() >= until) {
                return Ended::Closed;
            }
            if self.deaf {
                return Ended::Lost;
            }
            let wakeup = self
                .waiting
                .values()
                .copied()
                .chain(self.closing)
                .chain(self.complain_at)
                .chain(self.sweep_at)
                .chain(self.young_until)
                .min();
            let clock = self.around.clock.clone();
            let sleep = async {
                match wakeup {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // What is said of the connection comes before what was answered over it.
            tokio::select! {
                biased;
                event = self.watcher.changed() => {
                    if event.event_type != EventType::Session {
                        self.changed(event.event_type, &event.path);
                        continue;
                    }
                    match event.session_state {
                        SessionState::Disconnected => self.disconnected(),
                        SessionState::SyncConnected => self.connected(),
                        // Never asked for: a server without a leader proves nothing.
                        SessionState::ConnectedReadOnly => {}
                        SessionState::AuthFailed | SessionState::Expired | SessionState::Closed => return Ended::Lost,
                    }
                }
                Some((asked_at, answer)) = self.beats.next(), if !self.beats.is_empty() => self.answered(asked_at, answer),
                Some((connection, part, done)) = self.work.next(), if !self.work.is_empty() => {
                    self.done(connection, part, done);
                }
                op = self.around.ops.recv(), if self.closing.is_none() => self.asked(op),
                () = sleep => self.waited(),
            }
        }
    }

    // The connection.

    fn disconnected(&mut self) {
        self.connection += 1;
        self.connected = false;
        self.complain_at = Some(self.around.clock.now() + PATIENCE);
        self.proof = None;
    }

    /// Perhaps to another server. What happened meanwhile is not known.
    fn connected(&mut self) {
        self.connection += 1;
        self.connected = true;
        self.complain_at = None;
        self.watched = false;
        self.marked.insert(Part::Whole);
        self.unread = self.asked.leases.keys().cloned().map(Part::Lease).collect();
    }

    /// From now on we hear of everything that changes.
    fn watched(&mut self, watcher: PersistentWatcher) {
        self.watcher = watcher;
        self.watched = true;
        self.lives = Lives::since(self.around.clock.now());
        self.read_all();
    }

    fn read_all(&mut self) {
        self.unread = self.asked.leases.keys().cloned().map(Part::Lease).collect();
        self.marked.insert(Part::Life);
        self.marked.extend(self.unread.iter().cloned());
        self.marked.extend(self.asked.claims.keys().cloned().map(Part::Candidates));
        self.marked.extend(self.asked.member.as_ref().map(|_| Part::Members));
        self.marked.extend(self.authenticate.then_some(Part::Access));
    }

    // The machine.

    fn asked(&mut self, op: Option<LeaseOp>) {
        match op {
            Some(LeaseOp::Close) | None => self.close(),
            // It is.
            Some(LeaseOp::Open(_)) => {}
            Some(LeaseOp::Authenticate) => {
                self.authenticate = true;
                self.marked.insert(Part::Access);
            }
            Some(LeaseOp::Confirm { asked_at }) => {
                let nodes = self.nodes.clone();
                self.beats.push(Box::pin(async move { (asked_at, nodes.beat().await) }));
            }
            Some(op) => self.marked.extend(self.asked.note(op)),
        }
    }

    /// Gives back what we hold before the session ends: who takes over need not wait then. See [`Record`].
    fn close(&mut self) {
        self.closing = Some(self.around.clock.now() + CLOSING);
        self.marked.retain(|part| *part == Part::Whole);
        self.waiting.clear();
        self.asked.leases.values_mut().for_each(|lease| lease.stand = Stand::Releasing);
        self.marked.extend(self.asked.leases.keys().cloned().map(Part::Lease));
    }

    // Proofs of life.

    fn answered(&mut self, asked_at: Instant, answer: Result<(), NodeError>) {
        match answer {
            Ok(()) => {
                self.proof = self.proof.max(Some(asked_at));
                self.tell_proof();
            }
            // Somebody deleted our node.
            Err(failure) if failure.gone() => {
                self.marked.insert(Part::Life);
            }
            Err(failure) if failure.passing() => {}
            Err(failure) => self.unreachable(&failure),
        }
    }

    fn tell_proof(&mut self) {
        if self.unread.is_empty()
            && let Some(asked_at) = self.proof.take()
        {
            self.around.tell(LeaseEvent::Confirmed { session: self.session(), asked_at });
        }
    }

    fn unreachable(&self, failure: &NodeError) {
        self.around.tell(LeaseEvent::Unreachable { reason: failure.to_string() });
    }

    fn session(&self) -> Session {
        Session(self.nodes.session)
    }

    // What changes in the tree.

    fn changed(&mut self, what: EventType, path: &str) {
        match self.nodes.tree.about(path) {
            About::Life(session) if session == self.nodes.session => {
                if what == EventType::NodeDeleted {
                    self.marked.insert(Part::Life);
                }
            }
            About::Life(session) => {
                let now = self.around.clock.now();
                if what == EventType::NodeDeleted {
                    self.lives.forget(now);
                } else {
                    self.lives.heard(Session(session), now);
                }
            }
            About::Owner(name) => self.marked.extend(self.asked.lease_named(&name).map(Part::Lease)),
            About::Candidates(name) => self.marked.extend(self.asked.claim_named(&name).map(Part::Candidates)),
            About::Members => self.marked.extend(self.asked.member.as_ref().map(|_| Part::Members)),
            // Somebody has waited for long enough.
            About::Young if what == EventType::NodeDeleted => self.young_until = None,
            About::Young | About::Other => {}
        }
    }

    fn waited(&mut self) {
        let now = self.around.clock.now();
        if self.complain_at.is_some_and(|at| at <= now) {
            self.complain_at = None;
            self.around.tell(LeaseEvent::Unreachable { reason: "the connection is lost".to_owned() });
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep_at = None;
            self.marked.insert(Part::Left);
        }
        if self.young_until.is_some_and(|at| at <= now) {
            self.young_until = None;
            self.marked.insert(Part::Young);
        }
        self.waiting.retain(|key, until| {
            let over = *until <= now;
            if over {
                self.marked.insert(Part::Lease(key.clone()));
            }
            !over
        });
    }

    fn start_work(&mut self) {
        if !self.connected {
            return;
        }
        for part in std::mem::take(&mut self.marked) {
            // What is under way may have been read before the change.
            if self.busy.contains(&part) || !(self.watched || part == Part::Whole) {
                self.marked.insert(part);
                continue;
            }
            let nodes = self.nodes.clone();
            match part.clone() {
                Part::Whole => self.work(part, async move { nodes.watch().await.map(Found::Watched) }),
                Part::Life => self.work(part, async move { nodes.begin_life().await.map(|()| Found::Done) }),
                Part::Lease(key) => self.work(part, async move { nodes.lease(&key).await.map(Found::Lease) }),
                Part::Candidates(key) => {
                    self.work(part, async move { nodes.candidates(&key).await.map(Found::Candidates) });
                }
                Part::Members => self.work(part, async move { nodes.members().await.map(Found::Members) }),
                Part::Young => {
                    let path = nodes.tree.young();
                    self.work(part, async move { nodes.delete(&path).await.map(|()| Found::Done) });
                }
                Part::Access => self.work(part, async move { nodes.renew_access().await.map(Found::Access) }),
                Part::Left => {
                    let Some((place, _)) = self.around.place.alone(self.around.clock.now()) else { continue };
                    let wanted = self.asked.leases.keys().map(|key| tree::name(key)).collect();
                    self.work(part, async move { nodes.sweep(&place, &wanted).await.map(|()| Found::Done) });
                }
            }
        }
    }

    fn work(&mut self, part: Part, work: impl Future<Output = Result<Found, NodeError>> + 'static) {
        let connection = self.connection;
        self.busy.insert(part.clone());
        self.work.push(Box::pin(async move { (connection, part, work.await) }));
    }

    /// Writes something, after which the part is read again.
    fn write(&mut self, part: Part, work: impl Future<Output = Result<(), NodeError>> + 'static) {
        self.work(part, async move { work.await.map(|()| Found::Wrote) });
    }

    fn done(&mut self, connection: u64, part: Part, done: Result<Found, NodeError>) {
        self.busy.remove(&part);
        if connection != self.connection {
            // All that was asked has been marked since, or will be. What was not asked any more matters to nobody.
            return;
        }
        match done {
            Ok(found) => self.found(&part, found),
            Err(failure) if failure.passing() || failure.lost_race() => {
                self.marked.insert(part.clone());
            }
            Err(failure) => self.failed(&part, &failure),
        }
        if !self.busy.contains(&part) && !self.marked.contains(&part) {
            self.unread.remove(&part);
            self.tell_proof();
        }
    }

    fn found(&mut self, part: &Part, found: Found) {
        match (part, found) {
            (Part::Lease(key), Found::Lease(read)) => self.lease(key, read),
            (Part::Candidates(key), Found::Candidates(nodes)) => self.candidates(key, nodes),
            (Part::Members, Found::Members(nodes)) => self.members(nodes),
            (Part::Whole, Found::Watched(watcher)) => self.watched(watcher),
            (Part::Access, Found::Access(access)) => {
                self.authenticate = false;
                if let Some(access) = access {
                    self.nodes.access = access;
                }
            }
            (Part::Life | Part::Left | Part::Young, _) => {}
            (part, _) => {
                self.marked.insert(part.clone());
            }
        }
    }

    /// The service said no: the machine asks again after a while.
    fn failed(&mut self, part: &Part, failure: &NodeError) {
        let op = match part {
            Part::Whole => {
                self.deaf = true;
                return self.unreachable(failure);
            }
            Part::Life => return self.unreachable(failure),
            // Its session ends by itself; and others wait by their own clocks.
            Part::Left | Part::Young => None,
            Part::Access => {
                self.authenticate = false;
                tracing::error!("the access rights of the tree are not changed: {failure}");
                None
            }
            Part::Lease(key) => self.asked.leases.remove(key).map(|lease| match lease.stand {
                Stand::Releasing => LeaseOp::Release { key: key.clone() },
                Stand::Watching => LeaseOp::Watch { key: key.clone() },
                Stand::Asking | Stand::Ours | Stand::Theirs(_) => {
                    LeaseOp::Take { key: key.clone(), director: lease.director }
                }
            }),
            Part::Candidates(key) => self.asked.claims.remove(key).map(|claimed| match claimed.claim {
                Some(claim) => LeaseOp::Claim { key: key.clone(), claim },
                None => LeaseOp::Withdraw { key: key.clone() },
            }),
            Part::Members => self.asked.member.take().map(LeaseOp::Join),
        };
        if let Some(op) = op {
            self.around.tell(LeaseEvent::Refused { op: Box::new(op), reason: failure.to_string() });
        }
    }
}
