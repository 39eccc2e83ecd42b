//! A small web server for a node: it answers every request with its own name.

use crate::background::Background;
use crate::node::Node;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// A web server on a thread of its node. Dropping it kills it: connections are cut, the port is closed.
pub struct Server {
    settings: Arc<Settings>,
    _serving: Background,
}

#[derive(Debug)]
struct Settings {
    body: Bytes,
    status: AtomicU16,
    delay_millis: AtomicU64,
    requests: AtomicU64,
}

impl Server {
    /// Listens on `address` when this returns.
    pub fn start(node: &Node, address: SocketAddr) -> io::Result<Self> {
        let settings = Arc::new(Settings {
            body: Bytes::from(format!("{}\n", node.name())),
            status: AtomicU16::new(200),
            delay_millis: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let for_thread = settings.clone();
        let listener = node.run(move || {
            let listener = std::net::TcpListener::bind(address)?; // Rust sets SO_REUSEADDR by itself
            listener.set_nonblocking(true)?;
            Ok(listener)
        })?;
        let serving = Background::start(node, "web server", move || serve(listener, for_thread))?;
        Ok(Self { settings, _serving: serving })
    }

    /// Answers with another status from now on.
    pub fn answer_with(&self, status: u16) {
        self.settings.status.store(status, Ordering::Relaxed);
    }

    /// Waits before each answer from now on.
    pub fn delay(&self, delay: Duration) {
        self.settings.delay_millis.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many requests came so far, probes included.
    pub fn requests(&self) -> u64 {
        self.settings.requests.load(Ordering::Relaxed)
    }
}

async fn serve(listener: std::net::TcpListener, settings: Arc<Settings>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await; // out of file descriptors: others must close first
            continue;
        };
        let settings = settings.clone();
        tokio::spawn(async move {
            let answer = service_fn(|_: Request<hyper::body::Incoming>| answer(&settings));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(settings: &Settings) -> Result<Response<Full<Bytes>>, Infallible> {
    settings.requests.fetch_add(1, Ordering::Relaxed);
    let delay = settings.delay_millis.load(Ordering::Relaxed);
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let mut response = Response::new(Full::new(settings.body.clone()));
    *response.status_mut() =
        StatusCode::from_u16(settings.status.load(Ordering::Relaxed)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(response)
}
