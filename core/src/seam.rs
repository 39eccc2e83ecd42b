//! The seam: every trait that the simulator and the daemon each implement. Nothing else joins core with a world.
//!
//! Methods take `&self`: a world is shared between the driver's turn and the probes that it has under way, all on one
//! thread. Futures are cancelled by dropping them; a dropped `advert()` or `event()` must not lose anything.

use crate::command::Command;
use crate::command::ScriptOutcome;
use crate::datagram::Datagram;
use crate::decision::Decision;
use crate::event::Event;
use crate::interface::{AddressKey, InterfaceAddress, InterfaceName, ObservedAddress};
use crate::ipvs::{Op, Table};
use crate::lease::{LeaseEvent, LeaseOp};
use crate::time::{Duration, Instant};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};

/// What could not be done, in words for the operator. It comes back to the machine as
/// [`Event::EffectFailed`].
pub type Refusal = String;

/// A monotonic clock that goes on while the machine is suspended (`CLOCK_BOOTTIME`).
pub trait Clock {
    fn now(&self) -> Instant;
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()>;
}

/// Packets and streams.
pub trait Network {
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;

    /// The next packet of protocol 112.
    fn advert(&self) -> impl Future<Output = Datagram>;
    /// A packet that is already there.
    fn waiting_advert(&self) -> Option<Datagram>;
    fn listen(&self, interface: &InterfaceName, group: Option<IpAddr>) -> Result<(), Refusal>;
    fn stop_listening(&self, interface: &InterfaceName, group: Option<IpAddr>) -> Result<(), Refusal>;
    fn send_advert(&self, advert: &Datagram) -> Result<(), Refusal>;
    /// One gratuitous ARP or unsolicited neighbour advertisement.
    fn announce(&self, interface: &InterfaceName, address: IpAddr) -> Result<(), Refusal>;
    /// A TCP connection to a real server, for a probe. No time limit of its own.
    fn connect(&self, target: SocketAddr) -> impl Future<Output = std::io::Result<Self::Stream>>;
}

/// The machine that a director runs on: kernel tables, links, scripts; and what its operator wants of it.
///
/// Addresses are added and renewed with the lifetime that the last [`Event::ConfigLoaded`] told says.
pub trait Host {
    /// The next thing that the host has to tell: a link or address changed, a configuration was loaded, stop.
    /// The first ones are [`Event::LinksRead`], [`Event::AddressesRead`] and [`Event::ConfigLoaded`].
    fn event(&self) -> impl Future<Output = Event>;
    /// One that is already there.
    fn waiting_event(&self) -> Option<Event>;
    fn add_address(&self, address: &InterfaceAddress) -> impl Future<Output = Result<(), Refusal>>;
    /// All or some of them failed: one refusal.
    fn renew_addresses(&self, addresses: &[InterfaceAddress]) -> impl Future<Output = Result<(), Refusal>>;
    fn remove_address(&self, address: &AddressKey) -> impl Future<Output = Result<(), Refusal>>;
    fn read_addresses(&self) -> impl Future<Output = Result<Vec<ObservedAddress>, Refusal>>;
    fn ipvs(&self, op: &Op) -> impl Future<Output = Result<(), Refusal>>;
    fn read_ipvs(&self) -> impl Future<Output = Result<Table, Refusal>>;
    /// Runs a command to its end; kills it after `timeout`.
    fn run_script(&self, command: &Command, timeout: Duration) -> impl Future<Output = ScriptOutcome> + 'static;
    /// Starts a notify script behind those that its `queue` still holds; does not wait.
    fn notify(&self, queue: &str, command: &Command);
    /// Takes one decision into the log, the timeline, the metrics.
    fn record(&self, now: Instant, decision: &Decision);
}

/// A quorum service: ZooKeeper, one day etcd. It decides nothing: [`LeaseOp`] and [`LeaseEvent`] say what it owes.
pub trait Lease {
    /// The next thing that it has to say.
    fn event(&self) -> impl Future<Output = LeaseEvent>;
    /// One that is already there.
    fn waiting_event(&self) -> Option<LeaseEvent>;
    /// Asks and does not wait. An error: it can't even be asked.
    fn ask(&self, op: &LeaseOp) -> Result<(), Refusal>;
}

/// For a machine that needs none, and a director that has none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLease;

impl Lease for NoLease {
    fn event(&self) -> impl Future<Output = LeaseEvent> {
        std::future::pending()
    }

    fn waiting_event(&self) -> Option<LeaseEvent> {
        None
    }

    fn ask(&self, _: &LeaseOp) -> Result<(), Refusal> {
        Err("no quorum service was set up".to_owned())
    }
}
