//! One connection through the relay.

use super::{Scheduled, State};
use socket2::{SockRef, TcpKeepalive};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use vipward_core::ipvs::ServiceKey;

/// How long one destination may take to answer a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// A silent connection is asked after so long whether its other end still lives; IPVS forgets an established one after
/// the same time (`ipvsadm --set`).
const KEEPALIVE: Duration = Duration::from_secs(900);
/// For each direction.
const BUFFER: usize = 64 * 1024;

/// Carries a client's connection to a destination and back until both sides are done.
pub async fn carry(mut client: TcpStream, address: IpAddr, key: ServiceKey, state: Arc<State>) {
    let _carried = state.carrying.clone();
    let Some((mut server, _counted)) = connect(address, key, &state).await else {
        reset(&client);
        return;
    };
    prepare(&client);
    prepare(&server);
    let copied = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await;
    if copied.is_err() {
        // A connection that broke must not look to either side like one that ended.
        reset(&client);
        reset(&server);
    }
}

/// The scheduled destination, or if that one does not answer the next one, once.
async fn connect(client: IpAddr, key: ServiceKey, state: &Arc<State>) -> Option<(TcpStream, Scheduled)> {
    let first = state.schedule(key, client, None)?;
    if let Some(stream) = try_connect(&first).await {
        return Some((stream, first));
    }
    let failed = first.destination;
    drop(first);
    let second = state.schedule(key, client, Some(failed))?;
    try_connect(&second).await.map(|stream| (stream, second))
}

async fn try_connect(scheduled: &Scheduled) -> Option<TcpStream> {
    tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(scheduled.destination)).await.ok()?.ok()
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
