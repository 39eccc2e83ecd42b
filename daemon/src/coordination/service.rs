//! The way to the service: sessions one after the other for as long as one is wanted, with back-off between attempts.

use super::access::{Access, DIGEST, UNTIL_THEN};
use super::asked::Asked;
use super::nodes::Nodes;
use super::session::{Ended, Live, Surroundings};
use super::tree::Tree;
use futures::future::join_all;
use std::rc::Rc;
use std::sync::Arc;
use vipward_core::lease::surely;
use vipward_core::lease::{LeaseEvent, LeaseOp, QuorumService, Session};
use vipward_core::seam::Clock;
use vipward_core::time::Duration;
use zookeeper_client::{Client, Error, PersistentWatcher, SessionInfo};

/// Between two attempts to connect: at first, and at most.
const AGAIN: Duration = Duration::from_millis(250);
const AT_MOST: Duration = Duration::from_secs(2);

/// How often each server stands in the list of the client.
const ROUNDS: usize = 8;

/// How long the look-up of a name may take before it is spoken of.
const LOOK_UP: Duration = Duration::from_secs(2);

/// How long each server has to tell whose tree it has, when a session begins.
const COMPARE: Duration = Duration::from_secs(1);

/// How long the end of a session may take to reach a server.
const GOODBYE: Duration = Duration::from_secs(1);

/// Lives until nobody can ask for anything any more.
pub async fn run(mut around: Surroundings) {
    while let Some(op) = around.ops.recv().await {
        // Everything else speaks of a session.
        if let LeaseOp::Open(service) = op {
            Way { around: &mut around, service, last: None, asked: Asked::default(), said: None, access: None }
                .go()
                .await;
        }
    }
}

/// The way to one service.
struct Way<'a> {
    around: &'a mut Surroundings,
    service: Arc<QuorumService>,
    /// The session that we had, which perhaps lives on.
    last: Option<SessionInfo>,
    /// What it was asked.
    asked: Asked,
    /// What the machine was told of why there is no session.
    said: Option<String>,
    /// What the servers were shown in the latest session.
    access: Option<Rc<Access>>,
}

/// A connection with a session, and the tree is as it should be.
struct Connected {
    nodes: Nodes,
    watcher: PersistentWatcher,
    /// The tree is new: for how long nobody takes a lease.
    young: Option<Duration>,
}

enum NotConnected {
    /// The session that was to be continued is over.
    Over,
    /// In words for people.
    Because(String),
}

impl Way<'_> {
    /// Until the service is wanted no more.
    async fn go(mut self) {
        let mut pause = AGAIN;
        loop {
            let mut attempt = std::pin::pin!(connect(self.service.clone(), self.last.clone(), self.access.clone()));
            // Servers that don't answer are tried again and again; people hear of it after the first round.
            let servers = u32::try_from(self.service.hosts.len()).unwrap_or(u32::MAX);
            let first_round = tokio::time::timeout(patience(&self.service) * servers, attempt.as_mut());
            let done = match self.unless_closed(first_round).await {
                Some(Err(_)) => {
                    self.unreachable(no_session(&self.service));
                    self.unless_closed(attempt).await
                }
                done => done.and_then(Result::ok),
            };
            match done {
                None => return,
                Some(Ok(connected)) => {
                    pause = AGAIN;
                    self.said = None;
                    if self.live(connected).await == Ended::Closed {
                        return;
                    }
                }
                Some(Err(NotConnected::Over)) => self.over(),
                Some(Err(NotConnected::Because(reason))) => {
                    self.unreachable(reason);
                    let clock = self.around.clock.clone();
                    let until = clock.now() + pause;
                    pause = (pause * 2).min(AT_MOST);
                    if self.unless_closed(async move { clock.sleep_until(until).await }).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Tells why there is no session, when that changes.
    fn unreachable(&mut self, reason: String) {
        if self.said.as_ref() != Some(&reason) {
            self.said = Some(reason.clone());
            self.around.tell(LeaseEvent::Unreachable { reason });
        }
    }

    /// Waits, and notes what is asked meanwhile. `None`: nothing is wanted any more.
    async fn unless_closed<T>(&mut self, waiting: impl Future<Output = T>) -> Option<T> {
        let mut waiting = std::pin::pin!(waiting);
        loop {
            tokio::select! {
                biased;
                op = self.around.ops.recv() => match op {
                    None | Some(LeaseOp::Close) => return None,
                    // The session may live on, and then all that it was asked holds.
                    Some(op) if self.last.is_some() => drop(self.asked.note(op)),
                    Some(_) => {}
                },
                done = &mut waiting => return Some(done),
            }
        }
    }

    async fn live(&mut self, Connected { nodes, watcher, young }: Connected) -> Ended {
        let info = nodes.client.session().clone();
        let timeout = nodes.client.session_timeout();
        if self.last.as_ref().map(SessionInfo::id) != Some(info.id()) {
            self.asked = Asked::default();
            self.around.tell(LeaseEvent::Opened { session: Session(info.id().0), timeout });
            if timeout != self.service.session_timeout {
                let (asked, granted) = (self.service.session_timeout.as_secs_f64(), timeout.as_secs_f64());
                tracing::warn!("asked for a session timeout of {asked} s, the servers grant {granted} s");
            }
        }
        self.last = Some(info);
        self.access = Some(nodes.access.clone());
        let mut state = nodes.client.state_watcher();
        let (ended, access) = Live::new(self.around, &mut self.asked, nodes, watcher, (timeout, young)).run().await;
        self.access = Some(access);
        if ended == Ended::Closed {
            // The client is gone, and its last word is on its way.
            let gone = async { while !state.changed().await.is_terminated() {} };
            if tokio::time::timeout(GOODBYE, gone).await.is_err() {
                tracing::warn!("the session could not be closed: it ends by itself {} s from now", timeout.as_secs());
            }
        }
        ended
    }

    fn over(&mut self) {
        self.asked = Asked::default();
        if let Some(last) = self.last.take() {
            self.around.tell(LeaseEvent::Lost { session: Session(last.id().0) });
        }
    }
}

/// How long a server may be silent before another one is asked: more than one has to be, while the lease still holds.
fn patience(service: &QuorumService) -> Duration {
    service.session_timeout / 8
}

fn no_session(service: &QuorumService) -> String {
    format!("no server of {} gives us a session", service.hosts.join(","))
}

/// The servers whose names lead nowhere, each with the reason.
async fn unknown_names(service: &QuorumService) -> Vec<String> {
    let looked_up = service.hosts.iter().map(|host| async move {
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        match tokio::time::timeout(LOOK_UP, tokio::net::lookup_host(host)).await {
            Ok(Ok(found)) => (found.count() == 0).then(|| format!("{name} has no address")),
            Ok(Err(error)) => Some(format!("{name} is not resolved ({error})")),
            Err(_) => Some(format!("{name} is not resolved within {} s", LOOK_UP.as_secs())),
        }
    });
    join_all(looked_up).await.into_iter().flatten().collect()
}

/// Asks every server by itself whose tree it has, and says which two have different ones: an ensemble each, and directors that
/// are connected to both would both hold. Who does not answer soon is left out.
async fn another_tree(service: &QuorumService, nodes: &Nodes) -> Option<String> {
    let ours = nodes.made().await.ok()?;
    let asked = service.hosts.iter().map(|host| async move {
        let mut connector = Client::connector().with_session_timeout(service.session_timeout).with_fail_eagerly();
        for line in nodes.access.lines() {
            connector = connector.with_auth(DIGEST, line.as_bytes());
        }
        let theirs = async {
            let client = Rc::new(connector.connect(host).await?);
            Nodes { client, ..nodes.clone() }.made().await
        };
        let theirs = tokio::time::timeout(COMPARE, theirs).await;
        matches!(theirs, Ok(Ok(theirs)) if theirs != ours).then_some(host)
    });
    let other = join_all(asked).await.into_iter().flatten().next()?;
    Some(format!(
        "{other} has another tree than the other servers of {}: they are no ensemble, and directors would hold leases of both",
        service.hosts.join(",")
    ))
}

/// One attempt, over all servers. `access`: what they let in the last time.
async fn connect(
    service: Arc<QuorumService>,
    last: Option<SessionInfo>,
    access: Option<Rc<Access>>,
) -> Result<Connected, NotConnected> {
    let because = |reason: &dyn std::fmt::Display| NotConnected::Because(reason.to_string());
    // Read anew for each attempt: who mends the file need not restart anything.
    let (now, before, unreadable) = match (Access::read(&service), access) {
        (Ok(now), before) => (Rc::new(now), before, None),
        (Err(reason), Some(before)) => (before, None, Some(reason)),
        (Err(reason), None) => return Err(because(&reason)),
    };
    let mut connector = Client::connector()
        .with_session_timeout(service.session_timeout)
        .with_connection_timeout(patience(&service))
        .with_fail_eagerly();
    for line in now.lines().chain(before.iter().flat_map(|it| it.lines())) {
        connector = connector.with_auth(DIGEST, line.as_bytes());
    }
    let continues = last.is_some();
    if let Some(last) = last {
        connector = connector.with_session(last);
    }
    let hosts = service.hosts.join(",");
    // The client pauses after each round over its list, twice as long after the next, up to seconds: too long where an
    // ensemble has just found a leader again. A list that names each server several times has short pauses for longer.
    let rounds = [hosts.as_str(); ROUNDS].join(",");
    let client = match connector.connect(&rounds).await {
        Ok(client) => client,
        Err(Error::SessionExpired) if continues => return Err(NotConnected::Over),
        Err(Error::AuthFailed) => return Err(because(&"the servers refuse the user and password of `auth_file`")),
        Err(Error::NoHosts | Error::Timeout | Error::ConnectionLoss) => {
            let unknown = unknown_names(&service).await;
            let because = if unknown.is_empty() { String::new() } else { format!(": {}", unknown.join(", ")) };
            return Err(NotConnected::Because(no_session(&service) + &because));
        }
        Err(error) => return Err(NotConnected::Because(format!("{hosts}: {error}"))),
    };
    let (client, tree) = (Rc::new(client), Rc::new(Tree::new(&service.path)));
    let session = client.session_id().0;
    let mut nodes = Nodes { client, tree, access: now, session };
    // Each of such servers has a tree of its own: two directors that are connected to different ones would both hold.
    if service.hosts.len() > 1 && nodes.servers().await == Some(0) {
        return Err(because(&format!(
            "a server of {hosts} runs alone, and is no member of an ensemble: its zoo.cfg needs the lines `server.1=…`, \
             `server.2=…` and so on"
        )));
    }
    let holds = surely::held_for(nodes.client.session_timeout());
    nodes.prepare(holds).await.map_err(|failure| because(&failure))?;
    if !continues
        && service.hosts.len() > 1
        && let Some(other) = another_tree(&service, &nodes).await
    {
        return Err(because(&other));
    }
    if let Some(reason) = unreadable {
        tracing::error!("{reason}: {UNTIL_THEN}");
    }
    nodes.settle_access(before).await.map_err(|failure| because(&failure))?;
    let watcher = nodes.watch().await.map_err(|failure| because(&failure))?;
    let young = nodes.young().await.map_err(|failure| because(&failure))?.map(|theirs| theirs.max(holds));
    Ok(Connected { nodes, watcher, young })
}
