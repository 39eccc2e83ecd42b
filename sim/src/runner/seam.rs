//! The seam on the simulator's side.
//!
//! A frozen director's futures do not complete: its packets wait in the world's socket buffer and its timers wait for
//! it to run again, as for a process that SIGSTOP holds.

use super::Shared;
use super::director::PORT;
use crate::scenario::NodeId;
use crate::world::{Half, Lost, Process};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use turmoil::net::{TcpStream, UdpSocket};
use vipward_core::command::Command;
use vipward_core::command::ScriptOutcome;
use vipward_core::datagram::Datagram;
use vipward_core::decision::Decision;
use vipward_core::event::Event;
use vipward_core::interface::{AddressKey, InterfaceAddress, InterfaceName, ObservedAddress};
use vipward_core::ipvs::{Op, Table};
use vipward_core::lease::{LeaseEvent, LeaseOp};
use vipward_core::seam::{Clock, Host, Lease, Network, Refusal};
use vipward_core::time::{Duration, Instant};

/// Linux's first wait before it sends a lost SYN again; it doubles.
const SYN_TIMEOUT: Duration = Duration::from_secs(1);

/// The same for data in an open connection (`TCP_RTO_MIN`).
const DATA_TIMEOUT: Duration = Duration::from_millis(200);

impl Shared {
    fn frozen(&self, id: NodeId) -> bool {
        self.world().director(id).is_some_and(|director| director.process == Process::Frozen)
    }

    async fn thawed(&self, id: NodeId) {
        while self.frozen(id) {
            self.bell(id).await;
        }
    }
}

pub(super) struct SimClock {
    pub shared: Rc<Shared>,
    pub id: NodeId,
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.shared.world().local_time(self.id)
    }

    async fn sleep_until(&self, at: Instant) {
        loop {
            self.shared.thawed(self.id).await;
            let now = self.now();
            if now >= at {
                return;
            }
            let left = self.shared.world().until(self.id, at);
            sleep(left).await;
        }
    }
}

pub(super) struct SimNetwork {
    pub shared: Rc<Shared>,
    pub id: NodeId,
    pub half: Half,
    pub incarnation: u64,
    pub socket: Rc<UdpSocket>,
}

impl SimNetwork {
    fn acts(&self, what: &str) -> Result<(), Refusal> {
        self.shared.world_mut().acts(self.id, self.half, self.incarnation, what)
    }
}

impl Network for SimNetwork {
    type Stream = SimStream;

    async fn advert(&self) -> Datagram {
        loop {
            if let Some(advert) = self.waiting_advert() {
                return advert;
            }
            self.shared.bell(self.id).await;
        }
    }

    fn waiting_advert(&self) -> Option<Datagram> {
        match self.half {
            Half::Election => self.shared.world_mut().next_advert(self.id),
            Half::Balancer => None,
        }
    }

    fn listen(&self, interface: &InterfaceName, group: Option<IpAddr>) -> Result<(), Refusal> {
        self.acts("listens for adverts")?;
        self.shared.world_mut().listen(self.id, interface, group)?;
        if let Some(IpAddr::V4(group)) = group {
            // Once for the host, whatever the interface: turmoil knows only one. A second time is harmless.
            let any = std::net::Ipv4Addr::UNSPECIFIED;
            self.socket.join_multicast_v4(group, any).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn stop_listening(&self, interface: &InterfaceName, group: Option<IpAddr>) -> Result<(), Refusal> {
        self.acts("stops listening")?;
        self.shared.world_mut().stop_listening(self.id, interface, group);
        Ok(())
    }

    fn send_advert(&self, advert: &Datagram) -> Result<(), Refusal> {
        self.acts("sends an advert")?;
        let envelope = self.shared.world_mut().send_advert(self.id, advert)?;
        let bytes = serde_json::to_vec(&envelope).map_err(|error| error.to_string())?;
        let targets: Vec<IpAddr> = if advert.destination.is_multicast() {
            vec![advert.destination]
        } else {
            let to = self.shared.world().recipients(&envelope);
            to.into_iter().filter_map(|id| self.shared.address(id)).collect()
        };
        for target in targets {
            self.socket.try_send_to(&bytes, SocketAddr::new(target, PORT)).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn announce(&self, interface: &InterfaceName, address: IpAddr) -> Result<(), Refusal> {
        self.acts("announces an address")?;
        self.shared.world_mut().announce(self.id, interface, address)
    }

    async fn connect(&self, target: SocketAddr) -> io::Result<SimStream> {
        self.acts("starts a probe").map_err(io::Error::other)?;
        let mut wait = SYN_TIMEOUT;
        loop {
            self.shared.thawed(self.id).await;
            let answered = {
                let mut world = self.shared.world_mut();
                world.holder_of_own(target.ip()).map(|server| (server, world.round_trip(self.id, server)))
            };
            match answered {
                // Nobody answers ARP: Linux gives up after three tries of a second.
                None => {
                    sleep(Duration::from_secs(3)).await;
                    return Err(io::Error::new(io::ErrorKind::HostUnreachable, "No route to host"));
                }
                Some((server, Ok(late))) => {
                    sleep(late).await;
                    let address = self.shared.address(server).ok_or(io::ErrorKind::HostUnreachable)?;
                    let inner = TcpStream::connect((address, target.port())).await?;
                    return Ok(SimStream {
                        shared: self.shared.clone(),
                        id: self.id,
                        server,
                        inner,
                        answer_at: Instant::ZERO,
                        pause: None,
                    });
                }
                Some((_, Err(Lost::NoWay(_) | Lost::Chance))) => {
                    sleep(wait).await;
                    wait = wait.saturating_mul(2);
                }
            }
        }
    }
}

/// A probe's connection. turmoil carries the bytes; the world says when they may move: not while the way is cut or the
/// director frozen, and answers come later by the way's delay and by what loss costs.
pub(super) struct SimStream {
    shared: Rc<Shared>,
    id: NodeId,
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
                let world = self.shared.world();
                world.now() >= at && world.reachable(self.id, self.server) && !self.shared.frozen(self.id)
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
        let mut world = this.shared.world_mut();
        let mut late = Duration::ZERO;
        let mut wait = DATA_TIMEOUT;
        // Ten in a row are a dead connection; the probe's own limit ends it long before.
        for _ in 0..10 {
            match world.round_trip(this.id, this.server) {
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

pub(super) struct SimHost {
    pub shared: Rc<Shared>,
    pub id: NodeId,
    pub half: Half,
    pub incarnation: u64,
}

impl SimHost {
    async fn acts(&self, what: &str) -> Result<(), Refusal> {
        self.shared.thawed(self.id).await;
        self.shared.world_mut().acts(self.id, self.half, self.incarnation, what)
    }
}

impl Host for SimHost {
    async fn event(&self) -> Event {
        loop {
            if let Some(event) = self.waiting_event() {
                return event;
            }
            self.shared.bell(self.id).await;
        }
    }

    fn waiting_event(&self) -> Option<Event> {
        self.shared.world_mut().next_event(self.id, self.half)
    }

    async fn add_address(&self, address: &InterfaceAddress) -> Result<(), Refusal> {
        self.acts("adds an address").await?;
        let added = self.shared.world_mut().add_address(self.id, address);
        self.shared.ring(self.id);
        added
    }

    async fn renew_addresses(&self, addresses: &[InterfaceAddress]) -> Result<(), Refusal> {
        self.acts("renews addresses").await?;
        self.shared.world_mut().renew_addresses(self.id, addresses)
    }

    async fn remove_address(&self, address: &AddressKey) -> Result<(), Refusal> {
        self.acts("removes an address").await?;
        let removed = self.shared.world_mut().remove_address(self.id, address);
        self.shared.ring(self.id);
        removed
    }

    async fn read_addresses(&self) -> Result<Vec<ObservedAddress>, Refusal> {
        self.acts("reads the addresses").await?;
        Ok(self.shared.world().addresses(self.id))
    }

    async fn ipvs(&self, op: &Op) -> Result<(), Refusal> {
        self.acts("changes the IPVS table").await?;
        self.shared.world_mut().ipvs(self.id, op)
    }

    async fn read_ipvs(&self) -> Result<Table, Refusal> {
        self.acts("reads the IPVS table").await?;
        Ok(self.shared.world().ipvs_table(self.id))
    }

    fn run_script(&self, command: &Command, _timeout: Duration) -> impl Future<Output = ScriptOutcome> + 'static {
        let (shared, id, command) = (self.shared.clone(), self.id, command.clone());
        async move {
            shared.thawed(id).await;
            shared.world_mut().script_outcome(id, &command)
        }
    }

    fn notify(&self, _queue: &str, command: &Command) {
        self.shared.world_mut().notified(self.id, command);
    }

    fn record(&self, _now: Instant, decision: &Decision) {
        self.shared.world_mut().decided(self.id, decision);
    }
}

/// The Election's way to the quorum service.
pub(super) struct SimLease {
    pub shared: Rc<Shared>,
    pub id: NodeId,
    pub incarnation: u64,
}

impl Lease for SimLease {
    async fn event(&self) -> LeaseEvent {
        loop {
            if let Some(event) = self.waiting_event() {
                return event;
            }
            self.shared.bell(self.id).await;
        }
    }

    fn waiting_event(&self) -> Option<LeaseEvent> {
        self.shared.world_mut().next_lease_event(self.id)
    }

    fn ask(&self, op: &LeaseOp) -> Result<(), Refusal> {
        let mut world = self.shared.world_mut();
        world.acts(self.id, Half::Election, self.incarnation, "asks the quorum service")?;
        world.ask_quorum(self.id, op)
    }
}
