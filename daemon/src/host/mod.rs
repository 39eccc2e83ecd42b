//! The Linux world of each of the two machines: what a machine is told, and one function that carries out what it asks for.

pub mod files;
pub mod processes;
pub mod scripts;

use crate::coordination::ZooKeeper;
use crate::dataplane::Dataplane;
use crate::host::files::Files;
use crate::host::processes::Processes;
use crate::host::scripts::Scripts;
use crate::host::scripts::fifos::Fifos;
use crate::mail::Post;
use crate::net::connect::connect;
use crate::net::datagrams::Datagrams;
use crate::net::echo::echo;
use crate::net::netlink::{Addresses, Change, Routes};
use crate::net::network::ElectionNetwork;
use crate::net::tls::{Clients, Secure};
use crate::status::Answers;
use crate::system::clock::BootClock;
use crate::system::quiet::Limited;
use crate::system::shortage;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use vipward_core::balancer::notify::{quorum_queue, server_queue};
use vipward_core::balancer::{self, Balancer};
use vipward_core::check::ssl::Tls;
use vipward_core::check::{self, Binding, ProbeId, Shortage};
use vipward_core::command::{Command, ScriptOutcome};
use vipward_core::decision::{Decision, Kind};
use vipward_core::door::News;
use vipward_core::machine::{Input, InputOf, Machine};
use vipward_core::mail::Mail;
use vipward_core::quantity::Role;
use vipward_core::seam::{Clock, Common, Done, Refusal, Source, Streams, WorkId, World};
use vipward_core::time::{Duration, Instant};
use vipward_core::vrrp::{self, Election};

/// Longer than `misc_timeout` can be.
const LONGEST_PROBE: Duration = Duration::from_secs(1 << 23);

/// Decisions of one kind that are logged in a minute; then only the last one and how many there were. A link that goes up
/// and down in a loop makes thousands a second. The record has them all.
const MOST_OF_A_KIND: u32 = 20;

/// One machine's side of the door between the two.
pub struct Door {
    to_other: UnboundedSender<News>,
    from_other: RefCell<UnboundedReceiver<News>>,
}

impl Door {
    /// Both sides. Nobody waits at it: a machine that hears late is told all the same.
    pub fn pair() -> (Self, Self) {
        let (to_one, from_other) = mpsc::unbounded_channel();
        let (to_other, from_one) = mpsc::unbounded_channel();
        let one = Self { to_other, from_other: RefCell::new(from_other) };
        (one, Self { to_other: to_one, from_other: RefCell::new(from_one) })
    }
}

/// One machine's world. `T` is what it has for itself.
pub struct LinuxWorld<M: Machine, T> {
    /// What the kernel and the operator have to tell.
    inbox: RefCell<UnboundedReceiver<InputOf<M>>>,
    door: Door,
    clock: Rc<BootClock>,
    scripts: Rc<Scripts>,
    post: Post,
    fifos: Fifos,
    log: Rc<Limited<Kind>>,
    /// Hears when the machine has handled its first configuration.
    loaded: Cell<Option<oneshot::Sender<()>>>,
    loading: Cell<bool>,
    /// What the machine hears next, before anything else.
    first: Cell<Option<InputOf<M>>>,
    own: T,
}

/// An Election's: sockets, addresses, and a way to a quorum service.
pub struct Elects {
    pub network: ElectionNetwork,
    pub addresses: Addresses,
    pub lease: Rc<ZooKeeper>,
    pub files: Files,
    pub processes: Processes,
    pub routes: Routes,
}

/// A Balancer's: the table.
pub struct Balances {
    pub dataplane: Dataplane,
    pub tls: Rc<Clients>,
    /// To whoever gave an order.
    pub answers: Answers,
}

impl<M: Machine, T> LinuxWorld<M, T> {
    pub fn new(
        inbox: UnboundedReceiver<InputOf<M>>,
        door: Door,
        clock: Rc<BootClock>,
        (scripts, post, fifos): (Rc<Scripts>, Post, Fifos),
        loaded: oneshot::Sender<()>,
        own: T,
    ) -> Self {
        let loaded = Cell::new(Some(loaded));
        let (loading, first) = (Cell::new(false), Cell::new(None));
        let log = Limited::start();
        Self { inbox: RefCell::new(inbox), door, clock, scripts, post, fifos, log, loaded, loading, first, own }
    }

    /// Tells the machine something before all that waits.
    pub fn tell_first(&self, input: InputOf<M>) {
        self.first.set(Some(input));
    }

    /// Whoever asks for the next event has handled the one before.
    fn handled(&self) {
        if self.loading.take()
            && let Some(loaded) = self.loaded.take()
        {
            let _ = loaded.send(());
        }
    }

    /// What concerns the world itself.
    fn note(&self, input: InputOf<M>) -> InputOf<M> {
        if let Input::ConfigLoaded { config, .. } = &input {
            self.loading.set(true);
            self.scripts.loaded(config);
            self.post.loaded(config);
        }
        input
    }

    /// What the host or the other machine has to tell and is there already.
    fn waits(&self) -> Option<InputOf<M>> {
        self.handled();
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        if let Ok(input) = self.inbox.borrow_mut().try_recv() {
            return Some(self.note(input));
        }
        self.door.from_other.borrow_mut().try_recv().ok().map(Input::News)
    }

    /// The next of it.
    async fn told(&self) -> InputOf<M> {
        self.handled();
        poll_fn(|context| {
            // When nobody is left who could tell anything, nothing is told.
            if let Poll::Ready(Some(input)) = self.inbox.borrow_mut().poll_recv(context) {
                return Poll::Ready(self.note(input));
            }
            match self.door.from_other.borrow_mut().poll_recv(context) {
                Poll::Ready(Some(news)) => Poll::Ready(Input::News(news)),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}

impl<M: Machine, T> Clock for LinuxWorld<M, T> {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn sleep_until(&self, at: Instant) {
        self.clock.sleep_until(at).await;
    }
}

impl<M: Machine, T> Common for LinuxWorld<M, T> {
    fn notify(&self, queue: &str, command: &Command) {
        self.scripts.notify(queue, command);
    }

    fn mail(&self, mail: &Mail) {
        self.post.put(mail);
    }

    fn fifo(&self, path: &str, line: &str) {
        self.fifos.put(path, line);
    }

    fn record(&self, _: Instant, decision: &Decision) {
        if let Some((queue, state)) = notify_state(decision) {
            self.scripts.entered(queue, state);
        }
        self.log.say(decision.kind(), MOST_OF_A_KIND, decision.level(), || decision.to_string());
    }

    fn news(&self, news: &News) {
        // A machine that has ended needs to know nothing.
        let _ = self.door.to_other.send(news.clone());
    }
}

/// The state that a decision makes of a queue of notify scripts: what waits there for an older one is skipped.
fn notify_state(decision: &Decision) -> Option<(Arc<str>, &'static str)> {
    // Of the many decisions these are what scripts hear.
    match decision {
        Decision::RoleChanged { router, to, .. } => Some((
            router.clone(),
            match to {
                Role::Init => "STOP",
                Role::Backup => "BACKUP",
                Role::Master => "MASTER",
                Role::Fault => "FAULT",
            },
        )),
        Decision::ServerUp { service, server } => Some((server_queue(*service, *server), "up")),
        Decision::ServerDown { service, server, .. } => Some((server_queue(*service, *server), "down")),
        Decision::QuorumGained { service, .. } => Some((quorum_queue(*service), "up")),
        Decision::QuorumLost { service, .. } => Some((quorum_queue(*service), "down")),
        _ => None,
    }
}

impl LinuxWorld<Election, Elects> {
    /// Addresses get the lifetime of the configuration that is told from now on.
    fn lifetime(&self, input: vrrp::Input) -> vrrp::Input {
        if let Input::ConfigLoaded { config, .. } = &input {
            self.own.addresses.set_lifetime(config.vip.valid_lft());
        }
        input
    }
}

/// What an effect changes of the kernel's addresses and routes, if that is what it does.
fn change_of(effect: &vrrp::Effect) -> Option<Change<'_>> {
    match effect {
        vrrp::Effect::AddAddress(address) => Some(Change::Add(address)),
        vrrp::Effect::RemoveAddress(key) => Some(Change::Remove(key)),
        vrrp::Effect::AddRoute(route) => Some(Change::PutRoute(route)),
        vrrp::Effect::RemoveRoute(key) => Some(Change::TakeRoute(key)),
        vrrp::Effect::AddRule(rule) => Some(Change::PutRule(rule)),
        vrrp::Effect::RemoveRule(rule) => Some(Change::TakeRule(rule)),
        vrrp::Effect::Listen { .. }
        | vrrp::Effect::StopListening { .. }
        | vrrp::Effect::SendAdvert(_)
        | vrrp::Effect::Announce { .. }
        | vrrp::Effect::RenewAddresses { .. }
        | vrrp::Effect::ReadAddresses
        | vrrp::Effect::RunScript { .. }
        | vrrp::Effect::Lease(_)
        | vrrp::Effect::WatchFiles(_)
        | vrrp::Effect::WatchProcesses(_)
        | vrrp::Effect::ReadRoutes => None,
    }
}

impl World<Election> for LinuxWorld<Election, Elects> {
    fn waiting(&self, source: Source) -> Option<vrrp::Input> {
        match source {
            Source::Host => self.waits().map(|input| self.lifetime(input)),
            Source::Lease => self.own.lease.waiting().map(|said| vrrp::Event::Lease(said).into()),
            Source::Packets => self.own.network.waiting_advert().map(|it| vrrp::Event::AdvertReceived(it).into()),
        }
    }

    async fn next(&self) -> vrrp::Input {
        tokio::select! {
            biased;
            input = self.told() => self.lifetime(input),
            said = self.own.lease.says() => vrrp::Event::Lease(said).into(),
            advert = self.own.network.advert() => vrrp::Event::AdvertReceived(advert).into(),
        }
    }

    async fn carry_out_all(&self, effects: &[vrrp::Effect]) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        let mut effects = effects.iter().enumerate().peekable();
        while let Some((first, effect)) = effects.next() {
            let Some(change) = change_of(effect) else {
                refused.extend(self.carry_out(effect).await.err().map(|error| (first, error)));
                continue;
            };
            // Changes of addresses and routes in a row are one message to the kernel.
            let mut changes = vec![change];
            while let Some(next) = effects.peek().and_then(|(_, effect)| change_of(effect)) {
                changes.push(next);
                effects.next();
            }
            let of_these = self.own.addresses.change(&changes);
            for (place, change) in changes.iter().enumerate().filter(|_| tracing::enabled!(tracing::Level::DEBUG)) {
                if of_these.iter().any(|(refused, _)| *refused == place) {
                    continue;
                }
                match change {
                    Change::Add(address) => tracing::debug!("added {address}"),
                    Change::Remove(key) => tracing::debug!("removed {key}"),
                    Change::PutRoute(route) => tracing::debug!("put the route {route} in"),
                    Change::TakeRoute(key) => tracing::debug!("took the route {key} out"),
                    Change::PutRule(rule) => tracing::debug!("put the rule {rule} in"),
                    Change::TakeRule(rule) => tracing::debug!("took the rule {rule} out"),
                }
            }
            refused.extend(of_these.into_iter().map(|(place, error)| (first + place, error)));
        }
        refused
    }

    async fn carry_out(&self, effect: &vrrp::Effect) -> Result<Done<vrrp::Input>, Refusal> {
        let Elects { network, addresses, lease, files, processes, routes } = &self.own;
        match effect {
            vrrp::Effect::Listen { interface, group } => network.listen(interface, *group)?,
            vrrp::Effect::StopListening { interface, group } => network.stop_listening(interface, *group)?,
            vrrp::Effect::SendAdvert(advert) => network.send_advert(advert)?,
            vrrp::Effect::Announce { interface, address } => {
                network.announce(interface, *address)?;
                tracing::debug!("announced {address} on {interface}");
            }
            vrrp::Effect::AddAddress(address) => addresses.add(address)?,
            vrrp::Effect::RemoveAddress(key) => addresses.remove(key)?,
            vrrp::Effect::AddRoute(route) => addresses.put_route(route)?,
            vrrp::Effect::RemoveRoute(key) => addresses.take_route(key)?,
            vrrp::Effect::AddRule(rule) => addresses.put_rule(rule)?,
            vrrp::Effect::RemoveRule(rule) => addresses.take_rule(rule)?,
            vrrp::Effect::ReadRoutes => routes.ask().map_err(|error| error.to_string())?,
            vrrp::Effect::RenewAddresses { addresses: held } => addresses.renew(held)?,
            vrrp::Effect::ReadAddresses => {
                return Ok(Done::Answer(vrrp::Event::AddressesRead(addresses.read().await?).into()));
            }
            vrrp::Effect::RunScript { script, command, timeout } => {
                let (script, run) =
                    (script.clone(), self.scripts.run(&format!("script {script}").into(), command, *timeout));
                let result = async move { vrrp::Event::ScriptFinished { script, outcome: run.await }.into() };
                return Ok(Done::Begun(None, Box::pin(result)));
            }
            vrrp::Effect::Lease(op) => lease.ask(op)?,
            vrrp::Effect::WatchProcesses(list) => processes.watch(list).map_err(|error| error.to_string())?,
            vrrp::Effect::WatchFiles(list) => files.watch(list).map_err(|error| error.to_string())?,
        }
        Ok(Done::Quietly)
    }
}

impl LinuxWorld<Balancer, Balances> {
    /// A new configuration may come with new certificates.
    fn reloaded(&self, input: &balancer::Input) {
        if matches!(input, Input::ConfigLoaded { .. }) {
            self.own.tls.forget();
        }
    }
}

impl World<Balancer> for LinuxWorld<Balancer, Balances> {
    fn waiting(&self, source: Source) -> Option<balancer::Input> {
        match source {
            Source::Host => self.waits().inspect(|input| self.reloaded(input)),
            // It asks no quorum service and hears no packets.
            Source::Lease | Source::Packets => None,
        }
    }

    async fn next(&self) -> balancer::Input {
        let input = self.told().await;
        self.reloaded(&input);
        input
    }

    async fn carry_out_all(&self, effects: &[balancer::Effect]) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        let mut effects = effects.iter().enumerate().peekable();
        while let Some((first, effect)) = effects.next() {
            let balancer::Effect::Ipvs(op) = effect else {
                refused.extend(self.carry_out(effect).await.err().map(|error| (first, error)));
                continue;
            };
            // Changes of the table in a row are few calls of the kernel.
            let mut ops = vec![op];
            while let Some((_, balancer::Effect::Ipvs(op))) = effects.peek() {
                ops.push(op);
                effects.next();
            }
            let of_these = self.own.dataplane.change(&ops).await;
            refused.extend(of_these.into_iter().map(|(place, error)| (first + place, error)));
        }
        refused
    }

    async fn carry_out(&self, effect: &balancer::Effect) -> Result<Done<balancer::Input>, Refusal> {
        let Balances { dataplane, tls, answers } = &self.own;
        match effect {
            balancer::Effect::Ipvs(op) => {
                if let Some((_, why)) = dataplane.change(&[op]).await.pop() {
                    return Err(why);
                }
            }
            balancer::Effect::SetIpvs(setting) => dataplane.set(setting)?,
            balancer::Effect::ReadIpvs => {
                return Ok(Done::Answer(balancer::Event::IpvsRead(dataplane.read().await?).into()));
            }
            balancer::Effect::StartProbe { id, probe } => {
                let (clock, scripts, id) = (self.clock.clone(), self.scripts.clone(), *id);
                let streams = Rc::new(ProbeStreams { clock, scripts, tls: tls.clone(), probe: id });
                let attempt = check::run(probe.clone(), streams);
                let result = async move { balancer::Event::ProbeFinished { probe: id, verdict: attempt.await }.into() };
                return Ok(Done::Begun(Some(WorkId(id.attempt)), Box::pin(result)));
            }
            balancer::Effect::Answer { number, refused } => answers.tell(*number, refused.clone()),
            balancer::Effect::CancelProbe(id) => return Ok(Done::Cancelled(WorkId(id.attempt))),
        }
        Ok(Done::Quietly)
    }
}

/// What one probe needs.
struct ProbeStreams {
    clock: Rc<BootClock>,
    scripts: Rc<Scripts>,
    tls: Rc<Clients>,
    probe: ProbeId,
}

impl Clock for ProbeStreams {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn sleep_until(&self, at: Instant) {
        self.clock.sleep_until(at).await;
    }
}

impl Streams for ProbeStreams {
    type Stream = TcpStream;

    async fn connect(&self, target: SocketAddr, from: &Binding) -> io::Result<TcpStream> {
        connect(target, from).await
    }

    async fn echo(&self, target: IpAddr, from: &Binding) -> io::Result<()> {
        echo(target, from).await
    }

    type Datagrams = Datagrams;

    async fn datagrams(&self, target: SocketAddr, from: &Binding) -> io::Result<Datagrams> {
        Datagrams::open(target, from)
    }

    type Secure = Secure;

    async fn secure(&self, stream: TcpStream, tls: &Tls) -> io::Result<Secure> {
        self.tls.secure(stream, tls).await
    }

    async fn run(&self, command: &Command) -> Result<ScriptOutcome, Shortage> {
        let ProbeId { service, server, checker, .. } = self.probe;
        let name = format!("MISC_CHECK (checker {} of {server} of {service})", checker + 1).into();
        // The probe has a limit of its own, at which this is dropped.
        match self.scripts.run(&name, command, LONGEST_PROBE).await {
            ScriptOutcome::Short(why) => {
                tracing::debug!("{name}: not started: {why}");
                Err(Shortage::Processes)
            }
            ended @ (ScriptOutcome::Exited(_)
            | ScriptOutcome::Killed(_)
            | ScriptOutcome::TimedOut
            | ScriptOutcome::NotStarted(_)) => Ok(ended),
        }
    }

    fn shortage(&self, error: &io::Error) -> Option<Shortage> {
        shortage::of(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vipward_core::quantity::Role;

    #[test]
    fn what_one_machine_tells_the_other_hears_and_a_dead_one_keeps_nobody_waiting() {
        let news = |role| News::RoleChanged { router: "V".into(), role };
        let (one, other) = Door::pair();
        one.to_other.send(news(Role::Master)).unwrap();
        other.to_other.send(news(Role::Fault)).unwrap();
        assert_eq!(other.from_other.borrow_mut().try_recv(), Ok(news(Role::Master)));
        assert_eq!(one.from_other.borrow_mut().try_recv(), Ok(news(Role::Fault)));
        drop(other);
        assert!(one.to_other.send(news(Role::Backup)).is_err());
    }
}
