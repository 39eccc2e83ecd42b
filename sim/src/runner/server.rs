//! A real server as a turmoil host: HTTP over hyper, obeying the world's state.

use super::Shared;
use crate::scenario::{NodeId, NodeKind};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::rc::Rc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};

/// Opens its ports while the world says so, and closes them and every connection when it says no more.
pub(super) async fn run(shared: Rc<Shared>, id: NodeId) -> turmoil::Result {
    let ports = match &shared.world().plan().node(id).kind {
        NodeKind::RealServer(plan) => plan.listens.clone(),
        NodeKind::Director(_) | NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => Vec::new(),
    };
    loop {
        wait_until(&shared, id, true).await;
        let mut listeners = JoinSet::new();
        for port in &ports {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).await?;
            listeners.spawn_local(listen(shared.clone(), id, listener));
        }
        wait_until(&shared, id, false).await;
        listeners.shutdown().await;
    }
}

async fn wait_until(shared: &Shared, id: NodeId, listening: bool) {
    while shared.world().server(id).is_some_and(|server| server.listening != listening) {
        shared.bell(id).await;
    }
}

async fn listen(shared: Rc<Shared>, id: NodeId, listener: TcpListener) {
    // Dropped together with the listener: a server that dies resets its connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn_local(serve(shared.clone(), id, stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(shared: Rc<Shared>, id: NodeId, stream: TcpStream) {
    let answer = service_fn(|_request| async {
        let (slow, status, name) = {
            let world = shared.world();
            let state = world.server(id).map(|server| (server.slow, server.status));
            let (slow, status) = state.unwrap_or_default();
            (slow, status, world.name(id).to_owned())
        };
        sleep(slow).await;
        let mut response = Response::new(Full::new(Bytes::from(format!("{name}\n"))));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok::<_, Infallible>(response)
    });
    // A probe that hangs up is no matter for the server.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
