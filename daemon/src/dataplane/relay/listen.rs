//! The front of the relay: a listening socket for each TCP service.

use super::{State, carry};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use vipward_core::ipvs::ServiceKey;

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

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

/// Accepts until the service is gone.
pub async fn accept_all(listener: TcpListener, key: ServiceKey, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                tokio::spawn(carry::carry(stream, client.ip(), key, state.clone()));
            }
            // The socket was shut down: the service was removed.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            // The client gave up before we came to it, or descriptors are short: others must close first.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
