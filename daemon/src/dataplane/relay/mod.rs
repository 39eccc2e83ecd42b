//! The embedded relay: serves the virtual servers in user space where the kernel has no IPVS (a container, a small
//! kernel). It keeps the same table and schedules the same way; TCP only.
//!
//! What differs from IPVS: a connection ends at the director and a second one goes on to the real server, so real
//! servers see the director's address, need no route back and no VIP on their loopback, and `lb_kind` makes no
//! difference. A real server that refuses a connection costs the client nothing: the next one is tried, once.
//!
//! The relay has threads of its own, one fewer than the machine has cores: bulk traffic must not delay an advert.
//!
//! It never uses up the descriptors of the process ([`room`]): probes, and whatever else needs some, have theirs.

mod carry;
mod complaints;
#[cfg(test)]
mod limits_tests;
mod listen;
mod room;
#[cfg(test)]
mod tests;
mod watch;

use complaints::{Complaint, Complaints};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use room::{Needs, Room};
use socket2::Socket;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::{info, warn};
use vipward_core::config::Config;
use vipward_core::ipvs::{Algorithm, Connections, Op, Picker, Protocol, Service, ServiceKey, Table, VirtualServerId};
use vipward_core::seam::Refusal;
use vipward_core::settings::{Relay as Settings, RelayLimits};
use vipward_core::time::Instant;

/// How often a port that another process still holds is asked for again, and how many times in the life of a relay: after a
/// predecessor's death that is a matter of moments, and whoever holds it longer is told of.
const ASK_AGAIN: Duration = Duration::from_millis(10);
const ASKED_AGAIN: u32 = 100;

/// A running relay. Dropping it closes every listener and cuts every connection. It can be handed over: what it had
/// accepted it carries to its end, what still waits to be accepted is the other process's ([`Relay::hand_over`]).
pub struct Relay {
    state: Arc<State>,
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
    /// How many times a port may still be asked for again.
    patience: AtomicU32,
}

/// Why an operation was refused.
struct Refused {
    why: Refusal,
    /// Another socket listens there.
    taken: bool,
}

impl Relay {
    /// Starts the relay's threads; its table is empty.
    pub fn start() -> io::Result<Self> {
        raise_descriptor_limit();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.saturating_sub(1).max(1))
            .thread_name("relay")
            .enable_all()
            .build()?;
        let state = Arc::new(State::new());
        runtime.spawn(complaints::tell_sums(Arc::downgrade(&state)));
        let relay = Self { state, runtime: Some(runtime), patience: AtomicU32::new(ASKED_AGAIN) };
        relay.allow(&Config::default(), &Settings::default());
        Ok(relay)
    }

    /// What holds from now on: limits, and how many connections there may be beside what `config` needs.
    pub fn allow(&self, config: &Config, settings: &Settings) {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        let needs = Needs::of(config);
        let most = needs.connections(descriptors);
        let mut tables = self.state.lock();
        tables.limits = settings.clone();
        tables.room.resize(most);
        drop(tables);
        self.state.freed.notify_waiters();
        if !config.services.is_empty() {
            let reserve = needs.reserve(descriptors);
            info!(
                "the relay carries {most} connections at most: of {descriptors} descriptors {reserve} are for the rest"
            );
        }
    }

    /// Changes the table, as IPVS would, with IPVS's errors. A new TCP service is listened to when this returns,
    /// whether its VIP is on this host already or comes later; a service that goes is closed when this returns, while
    /// the connections that it has go on to their end. A port that another process still holds is asked for again for a
    /// moment.
    pub async fn apply_in_time(&self, op: &Op) -> Result<(), Refusal> {
        loop {
            let Err(Refused { why, taken }) = self.try_apply(op) else { return Ok(()) };
            let left = self.patience.load(Ordering::Relaxed);
            if !taken || left == 0 {
                return Err(why);
            }
            if left == ASKED_AGAIN {
                info!("{why}; asking again for {} ms at most", (ASK_AGAIN * ASKED_AGAIN).as_millis());
            }
            self.patience.store(left - 1, Ordering::Relaxed);
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// The same at once.
    #[cfg(test)]
    pub fn apply(&self, op: &Op) -> Result<(), Refusal> {
        self.try_apply(op).map_err(|refused| refused.why)
    }

    fn try_apply(&self, op: &Op) -> Result<(), Refused> {
        let mut tables = self.state.lock();
        tables.table.apply(op).map_err(|refusal| Refused { why: refusal.to_string(), taken: false })?;
        match op {
            Op::AddService { key, service } => {
                let listener = carried(key).map(|address| self.open(*key, address)).transpose();
                match listener {
                    Ok(listener) => {
                        say_what_is_missing(key, service);
                        if listener.is_some() {
                            tables.room.open(*key);
                        }
                        tables.services.insert(*key, Serving { listener, ..Serving::default() });
                    }
                    Err(error) => {
                        tables.table.services.remove(key);
                        let taken = error.kind() == io::ErrorKind::AddrInUse;
                        return Err(Refused {
                            why: format!("cannot listen on {}: {error}", VirtualServerId::of_entry(*key).place()),
                            taken,
                        });
                    }
                }
            }
            Op::RemoveService { key } => {
                tables.services.remove(key);
                tables.room.close(*key);
            }
            Op::EditService { key, service } => say_what_is_missing(key, service),
            Op::AddDestination { .. } | Op::EditDestination { .. } | Op::RemoveDestination { .. } => {}
        }
        Ok(())
    }

    /// The whole table, as [`Relay::apply_in_time`] made it, with the connections of destinations of weight 0 that are carried
    /// here. What a process before this one goes on to carry is not among them.
    pub fn table(&self) -> Table {
        let tables = self.state.lock();
        let mut table = tables.table.clone();
        for (key, entry) in &table.services {
            let Some(serving) = tables.services.get(key) else { continue };
            let quiet = entry.destinations.iter().filter(|(_, destination)| destination.weight == 0);
            let counted = quiet.map(|(at, _)| ((*key, *at), count(&serving.tokens, *at).active));
            table.connections.extend(counted.filter(|(_, active)| *active > 0));
        }
        table
    }

    /// The connections that a destination of a service has now.
    #[cfg(test)]
    pub fn connections(&self, service: &ServiceKey, destination: SocketAddr) -> Connections {
        let tables = self.state.lock();
        tables.services.get(service).map(|serving| count(&serving.tokens, destination)).unwrap_or_default()
    }

    /// Ends accepting, without a client that notices: whoever has the sockets accepts. Connections go on here.
    pub fn hand_over(&self) -> (Table, Vec<(ServiceKey, OwnedFd)>) {
        let mut tables = self.state.lock();
        let mut listeners = Vec::new();
        for (key, serving) in &mut tables.services {
            if let Some(listener) = &mut serving.listener {
                listener.rest();
                match listener.socket.try_clone() {
                    Ok(socket) => listeners.push((*key, socket.into())),
                    // The successor opens one of its own; clients that wait in this one are refused.
                    Err(error) => warn!("{key}: its socket can't be handed over: {error}"),
                }
            }
        }
        (tables.table.clone(), listeners)
    }

    /// Nobody took what was handed over.
    pub fn take_back(&self) {
        let mut tables = self.state.lock();
        for (key, serving) in &mut tables.services {
            if let Some(listener) = &mut serving.listener {
                let again = listener.socket.try_clone().and_then(|socket| self.accept(socket, *key));
                match again {
                    Ok(task) => listener.task = Some(task),
                    Err(error) => warn!("{key}: can't accept again: {error}"),
                }
            }
        }
    }

    /// The successor accepts; what is carried here goes on.
    pub fn retire(&self) {
        let mut tables = self.state.lock();
        tables.services.values_mut().filter_map(|serving| serving.listener.take()).for_each(OpenListener::leave);
    }

    /// Waits until nothing is carried any more.
    pub async fn carried(&self) {
        while Arc::strong_count(&self.state.carrying) > 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Takes up what another process handed over, before anything else is done here.
    pub fn inherit(&self, table: Table, listeners: Vec<(ServiceKey, OwnedFd)>) {
        let mut tables = self.state.lock();
        tables.services = table.services.keys().map(|key| (*key, Serving::default())).collect();
        let listening = table.services.keys().filter(|key| carried(key).is_some());
        listening.for_each(|key| tables.room.open(*key));
        tables.table = table;
        for (key, socket) in listeners {
            let Some(serving) = tables.services.get_mut(&key) else { continue };
            match self.take(Socket::from(socket), key) {
                Ok(listener) => serving.listener = Some(listener),
                Err(error) => warn!("{key}: can't go on to accept: {error}"),
            }
        }
        // Those whose socket did not come are opened anew by whoever finds that they are missing.
        let Tables { table, services, .. } = &mut *tables;
        services.retain(|key, serving| {
            let whole = serving.listener.is_some() || carried(key).is_none();
            if !whole {
                table.services.remove(key);
            }
            whole
        });
    }

    fn open(&self, key: ServiceKey, address: SocketAddr) -> io::Result<OpenListener> {
        self.take(listen::bind(address)?, key)
    }

    fn take(&self, socket: Socket, key: ServiceKey) -> io::Result<OpenListener> {
        let task = self.accept(socket.try_clone()?, key)?;
        Ok(OpenListener { socket, task: Some(task), left: false })
    }

    fn accept(&self, socket: Socket, key: ServiceKey) -> io::Result<AbortHandle> {
        let Some(runtime) = &self.runtime else { return Err(io::Error::other("the relay is ending")) };
        let _context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(socket.into())?;
        Ok(runtime.spawn(listen::accept_all(listener, key, self.state.clone())).abort_handle())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.lock().services.clear();
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: the owner may itself be a task.
            runtime.shutdown_background();
        }
    }
}

/// A connection takes two descriptors; the usual soft limit of 1024 would mean five hundred connections. The hard limit
/// is the administrator's.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The address at which a service is carried; none: it isn't.
fn carried(key: &ServiceKey) -> Option<SocketAddr> {
    match key {
        ServiceKey::Address { protocol: Protocol::Tcp, address } => Some(*address),
        ServiceKey::Address { protocol: Protocol::Udp | Protocol::Sctp, .. } | ServiceKey::Mark { .. } => None,
    }
}

/// One line each for what the relay can't do; the kernel could.
fn say_what_is_missing(key: &ServiceKey, service: &Service) {
    if carried(key).is_none() {
        warn!("{key}: not served: the relay serves TCP only");
    } else if Algorithm::named(&service.scheduler).is_none() {
        warn!("{key}: the relay has no scheduler {}: wlc stands in for it", service.scheduler);
    }
}

/// What connections and the table's owner share. The lock is held for a choice or a count, never while waiting.
struct State {
    started: std::time::Instant,
    /// Each connection holds a clone.
    carrying: Arc<()>,
    tables: Mutex<Tables>,
    /// A connection has ended, or there is more room.
    freed: Notify,
    complaints: Complaints,
}

#[derive(Default)]
struct Tables {
    table: Table,
    services: BTreeMap<ServiceKey, Serving>,
    room: Room,
    limits: Settings,
}

/// A service while it is in the table.
#[derive(Default)]
struct Serving {
    picker: Picker,
    /// Connections by destination: each holds a clone of its token. Removed destinations stay until theirs have ended.
    tokens: BTreeMap<SocketAddr, Arc<()>>,
    /// Closes when the service goes; `None`: not TCP.
    listener: Option<OpenListener>,
}

fn count(tokens: &BTreeMap<SocketAddr, Arc<()>>, destination: SocketAddr) -> Connections {
    let held = tokens.get(&destination).map_or(0, |token| Arc::strong_count(token) - 1);
    Connections { active: u32::try_from(held).unwrap_or(u32::MAX), inactive: 0 }
}

/// Closes a listening socket when dropped: at once, whoever else still holds a descriptor of it, so that the same
/// service can be opened again in the next moment.
struct OpenListener {
    socket: Socket,
    /// Accepts; `None` while another process may.
    task: Option<AbortHandle>,
    /// Another process has it for good.
    left: bool,
}

impl OpenListener {
    /// Accepts no more. The task has a descriptor of its own, and gives it back; a connection that it has just accepted is
    /// carried, for it only ends where it waits.
    fn rest(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    fn leave(mut self) {
        self.rest();
        self.left = true;
    }
}

impl Drop for OpenListener {
    fn drop(&mut self) {
        if !self.left {
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            started: std::time::Instant::now(),
            carrying: Arc::new(()),
            tables: Mutex::new(Tables::default()),
            freed: Notify::new(),
            complaints: Complaints::default(),
        }
    }

    /// Since the relay was started.
    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn limits(&self, key: ServiceKey) -> RelayLimits {
        self.lock().limits.limits(key.address())
    }

    fn complain(&self, key: ServiceKey, complaint: &Complaint) {
        self.complaints.tell(key, complaint, self.now());
    }

    /// Waits until this service may take a connection.
    async fn room(&self, key: ServiceKey) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on nothing that is freed is missed.
            freed.as_mut().enable();
            let room = {
                let tables = self.lock();
                tables.room.has(key, tables.limits.limits(key.address()).connections)
            };
            let Err(full) = room else { return };
            self.complain(key, &Complaint::Full(full));
            freed.await;
        }
    }

    /// Counts a connection until what this returns is dropped.
    fn admit(self: &Arc<Self>, key: ServiceKey) -> Admitted {
        self.lock().room.enter(key);
        Admitted { state: self.clone(), key }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Schedules a connection of `client`, not to `avoid`, and counts it until the return value is dropped.
    fn schedule(&self, key: ServiceKey, client: IpAddr, avoid: Option<SocketAddr>) -> Option<Scheduled> {
        let now = self.now();
        let mut tables = self.lock();
        let Tables { table, services, .. } = &mut *tables;
        let entry = table.services.get(&key)?;
        let Serving { picker, tokens, .. } = services.get_mut(&key)?;
        tokens.retain(|address, token| entry.destinations.contains_key(address) || Arc::strong_count(token) > 1);
        let count = |address| count(tokens, address);
        let destination = match avoid {
            None => picker.pick(entry, client, count, now),
            Some(avoid) => {
                let mut others = entry.clone();
                others.destinations.remove(&avoid);
                picker.pick(&others, client, count, now)
            }
        }?;
        let counted = tokens.entry(destination).or_default().clone();
        Some(Scheduled { destination, _counted: counted })
    }
}

/// A connection that counts for its service until this is dropped.
struct Admitted {
    state: Arc<State>,
    key: ServiceKey,
}

impl Admitted {
    fn complain(&self, complaint: &Complaint) {
        self.state.complain(self.key, complaint);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.state.lock().room.leave(self.key);
        self.state.freed.notify_waiters();
    }
}

/// A connection that counts for its destination until this is dropped.
struct Scheduled {
    destination: SocketAddr,
    _counted: Arc<()>,
}
