//! The front of the relay: a listening socket for each TCP service.

use super::complaints::Complaint;
use super::{State, carry};
use crate::system::shortage;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use vipward_core::ipvs::ServiceKey;

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long nothing is accepted when nothing can be: at first, and at most. What is short does not come back sooner because
/// somebody asks all the time.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// A listening socket for `address`, which need not be on this host: a BACKUP listens too, and is ready when the VIP
/// comes.
pub fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_freebind_v6(true)?;
            socket.set_only_v6(true)?;
        }
    }
    // Connections of an earlier run may still be closing.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Accepts until the service is gone. While there is no room, clients wait in the kernel's queue: after a peak they are
/// served late, which hurts them less than to be turned away, and whoever has given up meanwhile is soon done with.
pub async fn accept_all(listener: TcpListener, key: ServiceKey, state: Arc<State>) {
    let [shortest, longest] = PAUSES;
    let mut pause = shortest;
    loop {
        state.room(key).await;
        match listener.accept().await {
            Ok((stream, client)) => {
                pause = shortest;
                tokio::spawn(carry::carry(stream, client.ip(), state.admit(key)));
            }
            // The socket was shut down: the service was removed.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            // The client gave up before we came to it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let reason = shortage::of(&error).map_or_else(|| error.to_string(), |shortage| shortage.to_string());
                state.complain(key, &Complaint::Accepting(reason));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
        }
    }
}
