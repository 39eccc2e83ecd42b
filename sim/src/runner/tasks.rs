//! Machines as tasks of turmoil: real sockets of its network, real streams to real servers, real sleeps.

use super::Shared;
use super::datagrams::SimDatagrams;
use super::director::PORT;
use super::seam::{Daemon, Runner};
use crate::scenario::NodeId;
use crate::world::{Envelope, Lost, World};
use futures::future::LocalBoxFuture;
use std::cell::{Ref, RefMut};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use turmoil::net::{TcpStream, UdpSocket};
use vipward_core::check::ssl::Tls;
use vipward_core::check::{self, Binding, Probe, Shortage, Verdict};
use vipward_core::command::{Command, ScriptOutcome};
use vipward_core::seam::{Refusal, Streams};
use vipward_core::time::{Duration, Instant};

/// Linux's first wait before it sends a lost SYN again; it doubles.
const SYN_TIMEOUT: Duration = Duration::from_secs(1);

/// The same for data in an open connection (`TCP_RTO_MIN`).
const DATA_TIMEOUT: Duration = Duration::from_millis(200);

/// Three tries of a second.
pub(super) const ARP_GIVES_UP: Duration = Duration::from_secs(3);

/// turmoil's hosts have one IPv4 address each: a group of IPv6 has a group of IPv4 that stands for it. What the envelope says
/// counts.
fn stand_in(group: IpAddr) -> Ipv4Addr {
    match group {
        IpAddr::V4(group) => group,
        IpAddr::V6(group) => {
            let [.., third, fourth] = group.octets();
            Ipv4Addr::new(239, 255, third, fourth)
        }
    }
}

/// One daemon's tasks.
pub(super) struct Tasks {
    pub shared: Rc<Shared>,
    pub socket: Rc<UdpSocket>,
}

impl Runner for Tasks {
    fn world(&self) -> Ref<'_, World> {
        self.shared.world()
    }

    fn world_mut(&self) -> RefMut<'_, World> {
        self.shared.world_mut()
    }

    async fn sleep_until(&self, id: NodeId, at: Instant) {
        let left = self.shared.world().until(id, at);
        sleep(left).await;
    }

    async fn bell(&self, id: NodeId) {
        self.shared.bell(id).await;
    }

    fn ring(&self, id: NodeId) {
        self.shared.ring(id);
    }

    /// Once for the host, whatever the interface: turmoil knows only one. A second time is harmless.
    fn join(&self, group: IpAddr) -> Result<(), Refusal> {
        self.socket.join_multicast_v4(stand_in(group), Ipv4Addr::UNSPECIFIED).map_err(|error| error.to_string())
    }

    fn carry(&self, envelope: Envelope) -> Result<(), Refusal> {
        let bytes = serde_json::to_vec(&envelope).map_err(|error| error.to_string())?;
        let destination = envelope.datagram.destination;
        let targets: Vec<IpAddr> = if destination.is_multicast() {
            vec![stand_in(destination).into()]
        } else {
            let to = self.shared.world().recipients(&envelope);
            to.into_iter().filter_map(|id| self.shared.address(id)).collect()
        };
        for target in targets {
            self.socket.try_send_to(&bytes, SocketAddr::new(target, PORT)).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn probe(daemon: &Daemon<Self>, probe: Probe) -> LocalBoxFuture<'static, Verdict> {
        Box::pin(check::run(probe, Rc::new(daemon.clone())))
    }
}

impl Streams for Daemon<Tasks> {
    type Stream = SimStream;

    async fn connect(&self, target: SocketAddr, from: &Binding) -> io::Result<SimStream> {
        drop(self.acts("starts a probe").await.map_err(io::Error::other)?);
        self.can_be_from(from)?;
        let mut wait = SYN_TIMEOUT;
        loop {
            self.thawed().await;
            let answered = {
                let mut world = self.runner.world_mut();
                world.holder_of_own(target.ip()).map(|server| (server, world.round_trip(self.id, server)))
            };
            match answered {
                // Nobody answers ARP.
                None => {
                    sleep(ARP_GIVES_UP).await;
                    return Err(io::Error::new(io::ErrorKind::HostUnreachable, "No route to host"));
                }
                Some((server, Ok(late))) => {
                    sleep(late).await;
                    let address = self.runner.shared.server(server).ok_or(io::ErrorKind::HostUnreachable)?;
                    let inner = TcpStream::connect((address, target.port())).await?;
                    let daemon = self.clone();
                    return Ok(SimStream { daemon, server, inner, answer_at: Instant::ZERO, pause: None });
                }
                Some((_, Err(Lost::NoWay(_) | Lost::Chance))) => {
                    sleep(wait).await;
                    wait = wait.saturating_mul(2);
                }
            }
        }
    }

    async fn echo(&self, target: IpAddr, from: &Binding) -> io::Result<()> {
        drop(self.acts("starts a probe").await.map_err(io::Error::other)?);
        self.can_be_from(from)?;
        let answered = {
            let mut world = self.runner.world_mut();
            world.holder_of_own(target).map(|node| world.round_trip(self.id, node))
        };
        match answered {
            // As for a connection.
            None => {
                sleep(ARP_GIVES_UP).await;
                Err(io::Error::new(io::ErrorKind::HostUnreachable, "No route to host"))
            }
            Some(Ok(late)) => {
                sleep(late).await;
                self.thawed().await;
                Ok(())
            }
            Some(Err(Lost::NoWay(_) | Lost::Chance)) => std::future::pending().await,
        }
    }

    type Datagrams = SimDatagrams;

    async fn datagrams(&self, target: SocketAddr, from: &Binding) -> io::Result<SimDatagrams> {
        drop(self.acts("starts a probe").await.map_err(io::Error::other)?);
        self.can_be_from(from)?;
        Ok(SimDatagrams::new(self.clone(), target))
    }

    type Secure = SimStream;

    /// A flag of the connection: what is said under it is the same.
    async fn secure(&self, stream: SimStream, _: &Tls) -> io::Result<SimStream> {
        Ok(stream)
    }

    async fn run(&self, command: &Command) -> Result<ScriptOutcome, Shortage> {
        self.thawed().await;
        Ok(self.runner.world().script_outcome(self.id, command))
    }

    /// Nothing is short in a simulated world, but for what a checker's `bindto` and `bind_if` name.
    fn shortage(&self, error: &io::Error) -> Option<Shortage> {
        let Missing(shortage) = error.get_ref()?.downcast_ref()?;
        Some(*shortage)
    }
}

impl Daemon<Tasks> {
    fn can_be_from(&self, from: &Binding) -> io::Result<()> {
        match self.runner.world().lacks(self.id, from) {
            Some(shortage) => Err(io::Error::other(Missing(shortage))),
            None => Ok(()),
        }
    }
}

/// What a director has not.
#[derive(Debug)]
struct Missing(Shortage);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Missing {}

/// A probe's connection. turmoil carries the bytes; the world says when they may move: not while the way is cut or the
/// director frozen, and answers come later by the way's delay and by what loss costs.
pub(super) struct SimStream {
    daemon: Daemon<Tasks>,
    server: NodeId,
    inner: TcpStream,
    answer_at: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl SimStream {
    /// Ready when bytes may move at `at`; looks again every millisecond.
    fn poll_open(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let open = {
                let world = self.daemon.runner.world();
                world.now() >= at && world.reachable(self.daemon.id, self.server) && !self.daemon.frozen()
            };
            if open {
                self.pause = None;
                return Poll::Ready(());
            }
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(1))));
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_open(this.answer_at, context));
        Pin::new(&mut this.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_open(Instant::ZERO, context));
        let written = ready!(Pin::new(&mut this.inner).poll_write(context, bytes))?;
        let mut world = this.daemon.runner.world_mut();
        let mut late = Duration::ZERO;
        let mut wait = DATA_TIMEOUT;
        // Ten in a row are a dead connection; the probe's own limit ends it long before.
        for _ in 0..10 {
            match world.round_trip(this.daemon.id, this.server) {
                Ok(round_trip) => {
                    late += round_trip;
                    break;
                }
                Err(Lost::NoWay(_) | Lost::Chance) => {
                    late += wait;
                    wait = wait.saturating_mul(2);
                }
            }
        }
        this.answer_at = world.now() + late;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}
