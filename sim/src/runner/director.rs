//! A director as a turmoil host: the production driver around both machines, and the wire.

use super::Shared;
use super::seam::{SimClock, SimHost, SimNetwork};
use crate::scenario::NodeId;
use crate::world::{Envelope, Half};
use std::net::Ipv4Addr;
use std::rc::Rc;
use turmoil::net::UdpSocket;
use vipward_core::balancer::Balancer;
use vipward_core::driver::drive;
use vipward_core::supervisor::{Guarded, Report, Superior};
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
    let clock = Rc::new(SimClock { shared: shared.clone(), id });
    let view = |half| {
        let host = SimHost { shared: shared.clone(), id, half, incarnation };
        let network = SimNetwork { shared: shared.clone(), id, half, incarnation, socket: socket.clone() };
        (Rc::new(network), Rc::new(host))
    };
    let election = async {
        let (network, host) = view(Half::Election);
        if shared.world().supervises() {
            let superior = Post { shared: shared.clone(), id, incarnation };
            drive(&mut Guarded::new(Election::default(), superior), clock.clone(), network, host).await;
        } else {
            drive(&mut Election::default(), clock.clone(), network, host).await;
        }
        shared.world_mut().stopped(id, Half::Election);
    };
    let balancer = async {
        let (network, host) = view(Half::Balancer);
        drive(&mut Balancer::default(), clock.clone(), network, host).await;
        shared.world_mut().stopped(id, Half::Balancer);
    };
    tokio::select! {
        biased;
        result = receive(&shared, id, &socket) => result,
        _ = futures::future::join(election, balancer) => Ok(()),
    }
}

/// The way to the supervisor, which lives in the world.
struct Post {
    shared: Rc<Shared>,
    id: NodeId,
    incarnation: u64,
}

impl Superior for Post {
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
