//! The two machines' threads: each a runtime of its own, its world, and core's loop.

use crate::coordination::ZooKeeper;
use crate::dataplane::relay::Relay;
use crate::dataplane::{Choice, Dataplane};
use crate::host::files::Files;
use crate::host::processes::Processes;
use crate::host::scripts::fifos::Fifos;
use crate::host::scripts::{Means, Scripts};
use crate::host::{Balances, Door, Elects, LinuxWorld};
use crate::mail::Post;
use crate::net::links::Links;
use crate::net::netlink::{Addresses, Monitor, Routes};
use crate::net::network::ElectionNetwork;
use crate::process::supervise::wire::Line;
use crate::record::Tap;
use crate::state::Slot;
use crate::status::{Answers, Audience, Of, Questions};
use crate::system::clock::BootClock;
use crate::system::exit::Exit;
use crate::system::privileges::{Capability, raise_priority};
use crate::system::rights;
use futures::future::LocalBoxFuture;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc as std_mpsc};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use vipward_core::balancer::{self, Balancer, Carrier};
use vipward_core::decision::LogLevel;
use vipward_core::driver::drive;
use vipward_core::estate::{BALANCER_PAUSE, ELECTION_PAUSE, Estate, Kept};
use vipward_core::machine::{Input, InputOf, Like, Machine};
use vipward_core::record::Recorded;
use vipward_core::seam;
use vipward_core::status::{BalancerStatus, ElectionStatus, Shown};
use vipward_core::supervisor::Guarded;
use vipward_core::time::Duration;
use vipward_core::vrrp::Election;

/// How long a stopping machine's notify scripts may take. What runs then goes on without us; what waits never starts.
const LAST_SCRIPTS: Duration = Duration::from_secs(5);

/// The name of the Election's thread, by which the supervisor finds it.
pub const ELECTION: &str = "election";

/// Why a machine could not be started.
#[derive(Debug)]
pub enum NotStarted {
    Missing(Capability),
    Dataplane(String),
    Failed(String),
}

impl NotStarted {
    /// Says why, and tells how the process ends for it.
    pub fn exit(&self) -> Exit {
        let (why, exit) = match self {
            Self::Missing(capability) => (format!("missing {capability}"), Exit::Privilege),
            Self::Dataplane(why) => (why.clone(), Exit::Dataplane),
            Self::Failed(why) => (why.clone(), Exit::Failed),
        };
        tracing::error!("not started: {why}");
        exit
    }
}

/// How a machine tells people.
#[derive(Clone)]
pub struct Voice {
    pub means: Means,
    pub post: Post,
    pub fifos: Fifos,
}

/// A machine on its thread.
pub struct Thread<M: Machine> {
    /// The way in.
    pub inputs: UnboundedSender<InputOf<M>>,
    ready: oneshot::Receiver<Result<World, NotStarted>>,
    loaded: oneshot::Receiver<()>,
    /// After [`Input::HandOver`].
    estates: UnboundedReceiver<M::Estate>,
    decisions: UnboundedSender<AfterGiving>,
    done: oneshot::Receiver<()>,
}

/// What a machine's world has.
pub struct World {
    /// In words.
    pub uses: String,
    /// It matters only to virtual servers, and then it is this loud.
    pub carrier: Option<LogLevel>,
    /// What carries connections in this process.
    pub relay: Option<Arc<Relay>>,
}

/// What becomes of a machine that has handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterGiving {
    /// Nobody took its estate.
    GoesOn,
    Ends,
}

/// What a thread does, from its beginning to its end.
type Life = Box<dyn FnOnce() + Send>;

/// A thread that waits for its work. It was started while this process might still give it its priority.
pub struct Hired(std_mpsc::Sender<Life>);

impl Hired {
    /// One for the Election: it runs before all ordinary work of this computer, where that is permitted.
    pub fn for_the_election() -> io::Result<Self> {
        let (work, waits) = std_mpsc::channel::<Life>();
        std::thread::Builder::new().name(ELECTION.to_owned()).spawn(move || {
            raise_priority("the election");
            if let Err(error) = rights::drop_priority() {
                tracing::debug!("the election keeps rights that it does not need: {error}");
            }
            if let Ok(life) = waits.recv() {
                life();
            }
        })?;
        Ok(Self(work))
    }

    fn works(self, life: Life) -> io::Result<()> {
        self.0.send(life).map_err(|_| io::Error::other("its thread has ended"))
    }
}

impl Thread<Election> {
    /// The Election, on this thread.
    pub fn election(
        on: Hired,
        door: Door,
        tap: Option<Tap>,
        line: Line,
        copies: Slot,
        voice: Voice,
        audience: Audience<ElectionStatus>,
    ) -> io::Result<Self> {
        Self::start(
            |life| on.works(life),
            move |inputs, inside| election(inputs, inside, door, tap, (line, copies, audience), voice),
        )
    }
}

impl Thread<Balancer> {
    /// The Balancer.
    pub fn balancer(
        door: Door,
        dataplane: Choice,
        tap: Option<Tap>,
        copies: Slot,
        voice: Voice,
        (audience, answers): (Audience<BalancerStatus>, Answers),
    ) -> io::Result<Self> {
        let spawn = |life: Life| std::thread::Builder::new().name("balancer".to_owned()).spawn(life).map(drop);
        Self::start(spawn, move |_, inside| balancer(dataplane, inside, door, tap, (copies, audience, answers), voice))
    }
}

impl<M> Thread<M>
where
    M: Machine + 'static,
    InputOf<M>: Send,
    M::Estate: Send,
{
    /// How it is asked how it is.
    pub fn asked<S>(&self, questions: Questions<S>) -> Of<M, S> {
        Of { inputs: self.inputs.clone(), questions }
    }

    /// Waits until its world is there.
    pub async fn ready(&mut self) -> Result<World, NotStarted> {
        (&mut self.ready).await.unwrap_or_else(|_| Err(NotStarted::Failed("its thread ended".to_owned())))
    }

    /// Waits until its first configuration is in force. False: it has ended.
    pub async fn loaded(&mut self) -> bool {
        (&mut self.loaded).await.is_ok()
    }

    /// Waits for what it leaves after [`Input::HandOver`]; `None`: it had nothing to leave, and has ended.
    pub async fn estate(&mut self) -> Option<M::Estate> {
        self.estates.recv().await
    }

    /// Says what becomes of it then.
    pub fn decide(&self, decision: AfterGiving) {
        // One that has ended needs to know nothing.
        let _ = self.decisions.send(decision);
    }

    /// Waits until it has ended.
    pub async fn done(&mut self) {
        let _ = (&mut self.done).await;
    }

    fn start<F>(
        spawn: impl FnOnce(Life) -> io::Result<()>,
        set_up: impl FnOnce(UnboundedSender<InputOf<M>>, Inside<M>) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<Running, NotStarted>>,
    {
        let (inputs, inbox) = mpsc::unbounded_channel();
        let (tell_ready, ready) = oneshot::channel();
        let (tell_loaded, loaded) = oneshot::channel();
        let (tell_estate, estates) = mpsc::unbounded_channel();
        let (decide, decisions) = mpsc::unbounded_channel();
        let (tell_done, done) = oneshot::channel();
        let own_inputs = inputs.clone();
        let inside =
            Inside { inbox, loaded: tell_loaded, after_hand_over: AfterHandOver { estates: tell_estate, decisions } };
        spawn(Box::new(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = tell_ready.send(Err(NotStarted::Failed(error.to_string())));
                    return;
                }
            };
            LocalSet::new().block_on(&runtime, async move {
                match set_up(own_inputs, inside).await {
                    Ok(running) => {
                        let _ = tell_ready.send(Ok(running.world));
                        running.life.await;
                    }
                    Err(why) => {
                        let _ = tell_ready.send(Err(why));
                    }
                }
            });
            let _ = tell_done.send(());
        }))?;
        Ok(Self { inputs, ready, loaded, estates, decisions: decide, done })
    }
}

/// The machine's ends of the ways to it.
struct Inside<M: Machine> {
    inbox: UnboundedReceiver<InputOf<M>>,
    loaded: oneshot::Sender<()>,
    after_hand_over: AfterHandOver<M>,
}

struct AfterHandOver<M: Machine> {
    estates: UnboundedSender<M::Estate>,
    decisions: UnboundedReceiver<AfterGiving>,
}

/// A machine whose world is there.
struct Running {
    world: World,
    life: LocalBoxFuture<'static, ()>,
}

async fn election(
    inputs: UnboundedSender<InputOf<Election>>,
    inside: Inside<Election>,
    door: Door,
    tap: Option<Tap>,
    (line, copies, audience): (Line, Slot, Audience<ElectionStatus>),
    Voice { means, post, fifos }: Voice,
) -> Result<Running, NotStarted> {
    let Inside { inbox, loaded, after_hand_over } = inside;
    let links = Rc::new(Links::default());
    let network = ElectionNetwork::open(links.clone()).map_err(|error| missing(error, Capability::NetRaw))?;
    let addresses = Addresses::open(links.clone()).map_err(failed)?;
    addresses.may_change().await.map_err(|error| missing(error, Capability::NetAdmin))?;
    let files = Files::new(inputs.clone());
    let processes = Processes::new(inputs.clone());
    let routes = Routes::new(inputs.clone(), addresses.port());
    let monitor = Monitor::open(addresses.clone(), links.clone(), inputs).await.map_err(NotStarted::Failed)?;
    tokio::task::spawn_local(monitor.run());
    let clock = BootClock::start().map_err(failed)?;
    let scripts = Rc::new(Scripts::start(means).map_err(failed)?);
    let lease = Rc::new(ZooKeeper::new());
    let own = Elects { network, addresses, lease: lease.clone(), files, processes, routes };
    let lives_in = LinuxWorld::new(inbox, door, clock, (scripts.clone(), post, fifos), loaded, own);
    let names: Vec<String> = links.all().iter().map(|link| link.name.to_string()).collect();
    let machine: Box<dyn Like<Election>> = match tap {
        Some(tap) => Box::new(Shown::new(Guarded::new(Recorded::new(Election::default(), tap), line), audience)),
        None => Box::new(Shown::new(Guarded::new(Election::default(), line), audience)),
    };
    let world = World { uses: format!("interfaces here: {}", names.join(", ")), carrier: None, relay: None };
    let machine = Kept::new(machine, copies, ELECTION_PAUSE);
    let life = async move {
        live(machine, lives_in, after_hand_over).await;
        lease.end().await;
        last_scripts(&scripts).await;
    };
    Ok(Running { world, life: Box::pin(life) })
}

async fn balancer(
    dataplane: Choice,
    inside: Inside<Balancer>,
    door: Door,
    tap: Option<Tap>,
    (copies, audience, answers): (Slot, Audience<BalancerStatus>, Answers),
    Voice { means, post, fifos }: Voice,
) -> Result<Running, NotStarted> {
    let Inside { inbox, loaded, after_hand_over } = inside;
    let dataplane = Dataplane::open(dataplane).await.map_err(NotStarted::Dataplane)?;
    let clock = BootClock::start().map_err(failed)?;
    let carrier = dataplane.carrier();
    let level = match &carrier {
        Carrier::Relay { instead: Some(_) } => LogLevel::Warning,
        Carrier::Relay { instead: None } | Carrier::Ipvs => LogLevel::Info,
    };
    let world = World { uses: format!("dataplane: {dataplane}"), carrier: Some(level), relay: dataplane.as_relay() };
    let scripts = Rc::new(Scripts::start(means).map_err(failed)?);
    let own = Balances { dataplane, tls: Rc::default(), answers };
    let lives_in = LinuxWorld::new(inbox, door, clock, (scripts.clone(), post, fifos), loaded, own);
    lives_in.tell_first(balancer::Event::CarriedBy(carrier).into());
    let machine: Box<dyn Like<Balancer>> = match tap {
        Some(tap) => Box::new(Shown::new(Recorded::new(Balancer::default(), tap), audience)),
        None => Box::new(Shown::new(Balancer::default(), audience)),
    };
    let machine = Kept::new(machine, copies, BALANCER_PAUSE);
    let life = async move {
        live(machine, lives_in, after_hand_over).await;
        last_scripts(&scripts).await;
    };
    Ok(Running { world, life: Box::pin(life) })
}

/// A machine's life, and what comes after it if it hands over.
async fn live<K, T>(
    mut machine: Kept<Box<dyn Like<K>>, Slot>,
    world: LinuxWorld<K, T>,
    mut after_hand_over: AfterHandOver<K>,
) where
    K: Machine,
    K::Estate: Into<Estate>,
    LinuxWorld<K, T>: seam::World<K>,
{
    let world = Rc::new(world);
    loop {
        drive::<K, _, _>(&mut machine, world.clone()).await;
        let Some(estate) = machine.estate(seam::Clock::now(&*world)) else { return };
        if after_hand_over.estates.send(estate).is_err() {
            return;
        }
        match after_hand_over.decisions.recv().await {
            // Before all that the host has to tell since.
            Some(AfterGiving::GoesOn) => world.tell_first(Input::TakeBack),
            Some(AfterGiving::Ends) | None => return,
        }
    }
}

async fn last_scripts(scripts: &Scripts) {
    if tokio::time::timeout(LAST_SCRIPTS, scripts.idle()).await.is_err() {
        tracing::warn!("notify scripts still run after {} s: not waiting for them", LAST_SCRIPTS.as_secs());
    }
}

fn missing(error: io::Error, capability: Capability) -> NotStarted {
    match error.kind() {
        io::ErrorKind::PermissionDenied => NotStarted::Missing(capability),
        _ => failed(error),
    }
}

fn failed(error: io::Error) -> NotStarted {
    NotStarted::Failed(error.to_string())
}
