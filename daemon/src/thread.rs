//! The two machines' threads: each a runtime of its own, its world, and core's loop.

use crate::clock::BootClock;
use crate::dataplane::{Choice, Dataplane};
use crate::host::{LinuxHost, Tables};
use crate::links::Links;
use crate::netlink::{Addresses, Monitor};
use crate::network::{ElectionNetwork, ProbeNetwork};
use crate::privileges::{Capability, raise_priority};
use crate::record::Tap;
use crate::scripts::Scripts;
use crate::supervise::wire::Line;
use futures::future::LocalBoxFuture;
use std::future::Future;
use std::io;
use std::rc::Rc;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use vipward_core::balancer::Balancer;
use vipward_core::driver::drive;
use vipward_core::event::Event;
use vipward_core::record::Recorded;
use vipward_core::supervisor::Guarded;
use vipward_core::time::Duration;
use vipward_core::vrrp::Election;

/// How long a stopping machine's notify scripts may take. What runs then goes on without us; what waits never starts.
const LAST_SCRIPTS: Duration = Duration::from_secs(5);

/// Why a machine could not be started.
#[derive(Debug)]
pub enum NotStarted {
    Missing(Capability),
    Dataplane(String),
    Failed(String),
}

/// A machine on its thread.
pub struct Machine {
    /// The way in.
    pub events: UnboundedSender<Event>,
    ready: oneshot::Receiver<Result<String, NotStarted>>,
    done: oneshot::Receiver<()>,
}

impl Machine {
    /// The Election, before all ordinary work of this computer where that is permitted.
    pub fn election(tap: Option<Tap>, line: Line) -> io::Result<Self> {
        Self::start("election", |events, inbox| {
            raise_priority("the election");
            election(events, inbox, tap, line)
        })
    }

    /// The Balancer.
    pub fn balancer(dataplane: Choice, tap: Option<Tap>) -> io::Result<Self> {
        Self::start("balancer", move |_, inbox| balancer(dataplane, inbox, tap))
    }

    /// Waits until its world is there; what it uses, in words.
    pub async fn ready(&mut self) -> Result<String, NotStarted> {
        (&mut self.ready).await.unwrap_or_else(|_| Err(NotStarted::Failed("its thread ended".to_owned())))
    }

    /// Waits until it has ended.
    pub async fn done(&mut self) {
        let _ = (&mut self.done).await;
    }

    fn start<F>(
        name: &str,
        set_up: impl FnOnce(UnboundedSender<Event>, UnboundedReceiver<Event>) -> F + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<Running, NotStarted>>,
    {
        let (events, inbox) = mpsc::unbounded_channel();
        let (tell_ready, ready) = oneshot::channel();
        let (tell_done, done) = oneshot::channel();
        let own_events = events.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = tell_ready.send(Err(NotStarted::Failed(error.to_string())));
                    return;
                }
            };
            LocalSet::new().block_on(&runtime, async move {
                match set_up(own_events, inbox).await {
                    Ok(running) => {
                        let _ = tell_ready.send(Ok(running.uses));
                        running.life.await;
                    }
                    Err(why) => {
                        let _ = tell_ready.send(Err(why));
                    }
                }
            });
            let _ = tell_done.send(());
        })?;
        Ok(Self { events, ready, done })
    }
}

/// A machine whose world is there.
struct Running {
    /// What it uses, in words.
    uses: String,
    life: LocalBoxFuture<'static, ()>,
}

async fn election(
    events: UnboundedSender<Event>,
    inbox: UnboundedReceiver<Event>,
    tap: Option<Tap>,
    line: Line,
) -> Result<Running, NotStarted> {
    let links = Rc::new(Links::default());
    let network = ElectionNetwork::open(links.clone()).map_err(|error| missing(error, Capability::NetRaw))?;
    let addresses = Addresses::open(links.clone()).map_err(failed)?;
    addresses.may_change().await.map_err(|error| missing(error, Capability::NetAdmin))?;
    let monitor = Monitor::open(addresses.clone(), links.clone(), events).await.map_err(NotStarted::Failed)?;
    tokio::task::spawn_local(monitor.run());
    let clock = BootClock::start().map_err(failed)?;
    let scripts = Rc::new(Scripts::default());
    let host = LinuxHost::new(inbox, Tables::Addresses(addresses), scripts.clone());
    let names: Vec<String> = links.all().iter().map(|link| link.name.to_string()).collect();
    Ok(Running {
        uses: format!("interfaces here: {}", names.join(", ")),
        life: Box::pin(async move {
            let (network, host) = (Rc::new(network), Rc::new(host));
            let election = Election::default();
            match tap {
                Some(tap) => {
                    let recorded = Recorded::new(election, tap);
                    drive(&mut Guarded::new(recorded, line), clock, network, host).await;
                }
                None => drive(&mut Guarded::new(election, line), clock, network, host).await,
            }
            last_scripts(&scripts).await;
        }),
    })
}

async fn balancer(dataplane: Choice, inbox: UnboundedReceiver<Event>, tap: Option<Tap>) -> Result<Running, NotStarted> {
    let dataplane = Dataplane::open(dataplane).await.map_err(NotStarted::Dataplane)?;
    let clock = BootClock::start().map_err(failed)?;
    let uses = format!("dataplane: {dataplane}");
    let scripts = Rc::new(Scripts::default());
    let host = LinuxHost::new(inbox, Tables::Ipvs(dataplane), scripts.clone());
    Ok(Running {
        uses,
        life: Box::pin(async move {
            let (mut balancer, network, host) = (Balancer::default(), Rc::new(ProbeNetwork), Rc::new(host));
            match tap {
                Some(tap) => drive(&mut Recorded::new(balancer, tap), clock, network, host).await,
                None => drive(&mut balancer, clock, network, host).await,
            }
            last_scripts(&scripts).await;
        }),
    })
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
