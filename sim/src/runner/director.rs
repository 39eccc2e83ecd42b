//! A director as a turmoil host: the production driver around both machines, and the wire.

use super::Shared;
use super::seam::{SimClock, SimHost, SimLease, SimNetwork};
use crate::scenario::NodeId;
use crate::world::{Envelope, Half};
use std::net::Ipv4Addr;
use std::rc::Rc;
use turmoil::net::UdpSocket;
use vipward_core::balancer::Balancer;
use vipward_core::driver::drive;
use vipward_core::estate::{BALANCER_PAUSE, ELECTION_PAUSE, Estate, Keeper, Kept};
use vipward_core::machine::Machine;
use vipward_core::seam::{Clock, Lease, NoLease};
use vipward_core::supervisor::{Guarded, Report, ReportSink};
use vipward_core::time::Duration;
use vipward_core::vrrp::Election;

/// Adverts travel in UDP to this port; VRRP's protocol number stands in for one.
pub(super) const PORT: u16 = 112;

/// The largest envelope: an advert of 255 addresses, as JSON.
const ENVELOPE_BYTES: usize = 16 * 1024;

/// Runs one daemon to its end.
pub(super) async fn run(shared: Rc<Shared>, id: NodeId) -> turmoil::Result {
    let incarnation = match shared.world().director(id) {
        Some(director) if director.running() => director.incarnation,
        Some(_) | None => return Ok(()),
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    socket.set_multicast_loop_v4(false)?;
    let socket = Rc::new(socket);
    let director = Rc::new(Director { shared: shared.clone(), id, incarnation, socket: socket.clone() });
    let reports = Post { shared: shared.clone(), id, incarnation };
    let lease = SimLease { shared: shared.clone(), id, incarnation };
    let supervises = shared.world().supervises();
    let voter: Box<dyn Machine> =
        if supervises { Box::new(Guarded::new(Election::default(), reports)) } else { Box::new(Election::default()) };
    let election = director.live(voter, Half::Election, ELECTION_PAUSE, lease);
    let balancer = director.live(Balancer::default(), Half::Balancer, BALANCER_PAUSE, NoLease);
    tokio::select! {
        biased;
        result = receive(&shared, id, &socket) => result,
        _ = futures::future::join(election, balancer) => Ok(()),
    }
}

struct Director {
    shared: Rc<Shared>,
    id: NodeId,
    incarnation: u64,
    socket: Rc<UdpSocket>,
}

impl Director {
    /// One machine's life.
    async fn live<M: Machine, L: Lease + 'static>(self: &Rc<Self>, machine: M, half: Half, pause: Duration, lease: L) {
        let Self { shared, id, incarnation, socket } = &**self;
        let (id, incarnation) = (*id, *incarnation);
        let clock = Rc::new(SimClock { shared: shared.clone(), id });
        let host = SimHost { shared: shared.clone(), id, half, incarnation };
        let network = SimNetwork { shared: shared.clone(), id, half, incarnation, socket: socket.clone() };
        let mut machine = Kept::new(machine, Copies { director: self.clone(), half }, pause);
        drive(&mut machine, clock.clone(), Rc::new(network), Rc::new(host), Rc::new(lease)).await;
        match machine.estate(clock.now()) {
            Some(estate) => shared.world_mut().handed_over(id, half, estate),
            None => shared.world_mut().stopped(id, half),
        }
    }
}

/// Where a machine's copies go.
struct Copies {
    director: Rc<Director>,
    half: Half,
}

impl Keeper for Copies {
    fn keep(&mut self, estate: Estate) {
        self.director.shared.world_mut().keep(self.director.id, self.half, estate);
    }
}

/// The way to the supervisor, which lives in the world.
struct Post {
    shared: Rc<Shared>,
    id: NodeId,
    incarnation: u64,
}

impl ReportSink for Post {
    fn report(&mut self, report: Report) -> bool {
        self.shared.world_mut().reported(self.id, self.incarnation, report);
        true
    }
}

/// The wire's end: hands what comes to the world, which decides about loss, delay and the socket's buffer.
async fn receive(shared: &Shared, id: NodeId, socket: &UdpSocket) -> turmoil::Result {
    let mut buffer = vec![0; ENVELOPE_BYTES];
    loop {
        let (len, _) = socket.recv_from(&mut buffer).await?;
        let envelope: Envelope = serde_json::from_slice(buffer.get(..len).unwrap_or_default())?;
        shared.world_mut().carried(id, envelope);
        if shared.world().has_mail(id) {
            shared.ring(id);
        }
    }
}
