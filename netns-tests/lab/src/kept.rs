//! A client that keeps one connection open and asks over it all the time.

use crate::background::Background;
use crate::node::Node;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Its connection broke.
#[derive(Clone, Debug)]
pub struct Break {
    pub at: Instant,
    pub cause: String,
    /// When it had another one.
    pub again: Option<Instant>,
}

/// Keeps a connection until it is dropped. One that breaks is opened again at once, and then after half to one and a half times
/// as long as it asks: clients that kept the same step would take turns at a scheduler.
pub struct Kept {
    breaks: Arc<Mutex<Vec<Break>>>,
    tried: Receiver<()>,
    _asking: Background,
}

impl Kept {
    /// Asks `target` for `/` from `node`, over one connection, `every` so often; a connection whose answer takes longer than
    /// `limit` is given up.
    pub fn start(node: &Node, target: SocketAddr, every: Duration, limit: Duration) -> io::Result<Self> {
        let breaks = Arc::new(Mutex::new(Vec::new()));
        let found = breaks.clone();
        let (tell, tried) = channel();
        let asking = Background::start(node, "kept client", move || keep(target, every, limit, found, tell))?;
        Ok(Self { breaks, tried, _asking: asking })
    }

    /// Waits until it has tried to connect for the first time, and for `limit` at most: whoever asks after that asks a scheduler
    /// that has seen it.
    pub fn tried(&self, limit: Duration) -> bool {
        self.tried.recv_timeout(limit).is_ok()
    }

    /// Each time that it broke, in the order of time.
    pub fn breaks(&self) -> Vec<Break> {
        self.breaks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn keep(target: SocketAddr, every: Duration, limit: Duration, breaks: Arc<Mutex<Vec<Break>>>, tried: Sender<()>) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let lock = || breaks.lock().unwrap_or_else(PoisonError::into_inner);
    let mut open: Option<Connection> = None;
    loop {
        ticks.tick().await;
        if let Some(mut connection) = open.take() {
            match within(limit, exchange(&mut connection.sender, target)).await {
                Ok(()) => {
                    open = Some(connection);
                    continue;
                }
                Err(cause) => lock().push(Break { at: Instant::now(), cause, again: None }),
            }
            connection.close().await;
        }
        let began = tokio::time::Instant::now();
        open = within(limit, opened(target)).await.ok();
        // Nobody may wait for it.
        let _ = tried.send(());
        if open.is_none() {
            tokio::time::sleep_until(began + pause(every)).await;
            ticks.reset_immediately();
        } else if let Some(last) = lock().last_mut()
            && last.again.is_none()
        {
            last.again = Some(Instant::now());
        }
    }
}

/// After an attempt that failed.
fn pause(every: Duration) -> Duration {
    // Each hasher of the standard library begins with other keys.
    let thousandths = RandomState::new().build_hasher().finish() % 1000 + 500;
    every * u32::try_from(thousandths).unwrap_or(1000) / 1000
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failed>>) -> Result<T, String> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer for {} ms", limit.as_millis())),
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// An open connection, and what reads from it and writes to it.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Closes it. When this is done the kernel has: whoever balances sees the end of this one before the next one.
    async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A new connection over which one question was answered.
async fn opened(target: SocketAddr) -> Result<Connection, Failed> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (sender, served) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let task = tokio::spawn(async move {
        let _ = served.await;
    });
    let mut connection = Connection { sender, task };
    exchange(&mut connection.sender, target).await?;
    Ok(connection)
}

/// One question over it. Whatever its status, an answer is an answer.
async fn exchange(sender: &mut SendRequest<Empty<Bytes>>, target: SocketAddr) -> Result<(), Failed> {
    sender.ready().await?;
    let request = Request::get("/").header("host", target.to_string()).body(Empty::<Bytes>::new())?;
    sender.send_request(request).await?.into_body().collect().await?;
    Ok(())
}
