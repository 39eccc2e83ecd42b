//! A director as a turmoil host: the production driver around both machines, and the wire.

use super::Shared;
use super::seam::Daemon;
use super::tasks::Tasks;
use crate::scenario::NodeId;
use crate::world::{Envelope, Half};
use std::net::Ipv4Addr;
use std::rc::Rc;
use turmoil::net::UdpSocket;
use vipward_core::balancer::Balancer;
use vipward_core::estate::{BALANCER_PAUSE, ELECTION_PAUSE};
use vipward_core::supervisor::Guarded;
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
    let runner = Rc::new(Tasks { shared: shared.clone(), socket: socket.clone() });
    let daemon = |half| Daemon { runner: runner.clone(), id, half, incarnation };
    let (voter, checker) = (daemon(Half::Election), daemon(Half::Balancer));
    let supervises = shared.world().supervises();
    let election = async {
        if supervises {
            let machine = Guarded::new(Election::default(), voter.clone());
            voter.lives::<Election, _>(machine, ELECTION_PAUSE).await;
        } else {
            voter.lives::<Election, _>(Election::default(), ELECTION_PAUSE).await;
        }
    };
    let balancer = checker.lives::<Balancer, _>(Balancer::default(), BALANCER_PAUSE);
    tokio::select! {
        biased;
        result = receive(&shared, id, &socket) => result,
        _ = futures::future::join(election, balancer) => Ok(()),
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
