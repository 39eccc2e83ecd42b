//! One connection through the relay.

use super::complaints::Complaint;
use super::watch::{Side, watch};
use super::{Admitted, Scheduled};
use crate::system::shortage;
use socket2::{SockRef, TcpKeepalive};
use std::net::IpAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long one destination may take to answer a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A silent connection is asked after so long whether its other end still lives; IPVS forgets an established one after
/// the same time (`ipvsadm --set`).
const KEEPALIVE: Duration = Duration::from_secs(900);
/// For each direction.
const BUFFER: usize = 64 * 1024;

/// Carries a client's connection to a destination and back until both sides are done, or one of its limits is exceeded.
pub async fn carry(client: TcpStream, address: IpAddr, admitted: Admitted) {
    let _carried = admitted.state.carrying.clone();
    let limits = admitted.state.limits(admitted.key);
    let Some((server, _counted)) = connect(address, &admitted).await else {
        reset(&client);
        return;
    };
    prepare(&client);
    prepare(&server);
    let (client, server) = (Side::new(client), Side::new(server));
    let (mut front, mut back) = (&client, &server);
    let broke = tokio::select! {
        biased;
        copied = tokio::io::copy_bidirectional_with_sizes(&mut front, &mut back, BUFFER, BUFFER) => copied.is_err(),
        overdue = watch(&client, &server, &limits) => {
            admitted.complain(&Complaint::Cut(overdue));
            true
        }
    };
    if broke {
        // A connection that broke must not look to either side like one that ended.
        reset(&client.stream);
        reset(&server.stream);
    }
}

/// The scheduled destination, or if that one does not answer the next one, once.
async fn connect(client: IpAddr, admitted: &Admitted) -> Option<(TcpStream, Scheduled)> {
    let state = &admitted.state;
    let first = state.schedule(admitted.key, client, None)?;
    if let Some(stream) = try_connect(&first, admitted).await {
        return Some((stream, first));
    }
    let failed = first.destination;
    drop(first);
    let second = state.schedule(admitted.key, client, Some(failed))?;
    try_connect(&second, admitted).await.map(|stream| (stream, second))
}

async fn try_connect(scheduled: &Scheduled, admitted: &Admitted) -> Option<TcpStream> {
    let connecting = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(scheduled.destination));
    match connecting.await.ok()? {
        Ok(stream) => Some(stream),
        Err(error) => {
            if let Some(shortage) = shortage::of(&error) {
                admitted.complain(&Complaint::Connecting(shortage));
            }
            None
        }
    }
}

fn prepare(stream: &TcpStream) {
    // Neither can fail on a connected socket in a way that matters: it would only be slower.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE));
}

/// Makes the socket say RST instead of FIN when it is dropped.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
