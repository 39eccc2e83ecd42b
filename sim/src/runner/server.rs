//! A real server, or the services of a director that others check, as a turmoil host, obeying the world's state: HTTP over hyper, and SMTP on the ports that an `SMTP_CHECK`
//! of any director asks.

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
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::task::JoinSet;
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};
use vipward_core::config::{CheckerConfig, CheckerKind};

/// Opens its ports while the world says so, and closes them and every connection when it says no more.
pub(super) async fn run(shared: Rc<Shared>, id: NodeId) -> turmoil::Result {
    let ports = match &shared.world().plan().node(id).kind {
        NodeKind::RealServer(plan) => plan.listens.clone(),
        NodeKind::Director(plan) => plan.listens.clone(),
        NodeKind::Client(_) | NodeKind::Quorum(_) | NodeKind::Router => Vec::new(),
    };
    let mut all = JoinSet::new();
    for port in ports {
        all.spawn_local(open_and_close(shared.clone(), id, port));
    }
    match all.join_next().await {
        Some(ended) => ended?.map_err(Into::into),
        None => Ok(()),
    }
}

async fn open_and_close(shared: Rc<Shared>, id: NodeId, port: u16) -> std::io::Result<()> {
    loop {
        wait_until(&shared, id, port, true).await;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        let mut listeners = JoinSet::new();
        listeners.spawn_local(listen(shared.clone(), id, port, listener));
        wait_until(&shared, id, port, false).await;
        listeners.shutdown().await;
    }
}

async fn wait_until(shared: &Shared, id: NodeId, port: u16, listening: bool) {
    while shared.world().listening(id, port).is_some() != listening {
        shared.bell(id).await;
    }
}

async fn listen(shared: Rc<Shared>, id: NodeId, port: u16, listener: TcpListener) {
    // Dropped together with the listener: a server that dies resets its connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if asked_for_mail(&shared, id, port) {
            connections.spawn_local(serve_mail(shared.clone(), id, port, stream));
        } else {
            connections.spawn_local(serve(shared.clone(), id, port, stream));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(shared: Rc<Shared>, id: NodeId, port: u16, stream: TcpStream) {
    let answer = service_fn(|_request| async {
        let (slow, status, name) = {
            let world = shared.world();
            let state = world.listening(id, port).map(|server| (server.slow, server.status));
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

/// Whether what listens there is a mail server to the directors.
fn asked_for_mail(shared: &Shared, id: NodeId, port: u16) -> bool {
    let world = shared.world();
    let asks = |checker: &CheckerConfig| {
        matches!(checker.kind, CheckerKind::Smtp(_))
            && checker.target.port() == port
            && world.holder_of_own(checker.target.ip()) == Some(id)
    };
    let configs = world.directors().filter_map(|(_, director)| director.config.as_ref());
    let mut servers = configs.flat_map(|config| &config.services).flat_map(|service| &service.real_servers);
    servers.any(|server| server.checkers.iter().any(asks))
}

/// Greets at once; HELO and QUIT have their answers as requests of HTTP have, with the status for a code if it is no good.
async fn serve_mail(shared: Rc<Shared>, id: NodeId, port: u16, stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    let mut reply = "220".to_owned();
    loop {
        let written = stream.write_all(format!("{reply}\r\n").as_bytes()).await;
        let mut line = String::new();
        // A probe that hangs up is no matter for the server.
        if written.is_err() || stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let (slow, status) =
            shared.world().listening(id, port).map(|server| (server.slow, server.status)).unwrap_or_default();
        sleep(slow).await;
        reply = match status {
            200..400 if line.starts_with("QUIT") => "221".to_owned(),
            200..400 => "250".to_owned(),
            status => status.to_string(),
        };
    }
}
