//! A client that asks a web address all the time, each time over a fresh connection, and remembers every answer.

use crate::background::Background;
use crate::node::Node;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// One request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it began.
    pub asked: Instant,
    /// When the answer, or the error, was there.
    pub done: Instant,
    /// The body of an answer with status 200 without its line end, or what went wrong.
    pub answer: Result<String, String>,
}

/// A stretch of time in which no request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When the first request that failed began.
    pub from: Instant,
    /// When the next request that was answered began.
    pub to: Instant,
    /// How many requests failed.
    pub failed: usize,
}

impl Outage {
    pub fn length(&self) -> Duration {
        self.to.saturating_duration_since(self.from)
    }
}

/// Asks until it is dropped. A request that takes long does not keep the next one from starting.
pub struct Client {
    samples: Arc<Mutex<Vec<Sample>>>,
    _asking: Background,
}

impl Client {
    /// Asks `target` for `/` from `node`: a new request `every` so often, each for at most `limit`.
    pub fn start(node: &Node, target: SocketAddr, every: Duration, limit: Duration) -> io::Result<Self> {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let found = samples.clone();
        let asking = Background::start(node, "client", move || ask_on(target, every, limit, found))?;
        Ok(Self { samples, _asking: asking })
    }

    /// All requests that are over, in the order in which they began.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone();
        samples.sort_by_key(|sample| sample.asked);
        samples
    }

    /// The requests that began at `since` or later.
    pub fn samples_since(&self, since: Instant) -> Vec<Sample> {
        let mut samples = self.samples();
        samples.retain(|sample| sample.asked >= since);
        samples
    }
}

/// One request over a connection of its own, from `node`.
pub fn ask(node: &Node, target: SocketAddr, limit: Duration) -> Result<String, String> {
    let answer = node.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(request(target, limit)).answer)
    });
    answer.map_err(|error| error.to_string())?
}

/// The outages in `samples`, which are in the order in which they began. One that has not ended is not among them.
pub fn outages(samples: &[Sample]) -> Vec<Outage> {
    let mut found = Vec::new();
    let mut open: Option<(Instant, usize)> = None;
    for sample in samples {
        match (&sample.answer, open) {
            (Ok(_), Some((from, failed))) => {
                found.push(Outage { from, to: sample.asked, failed });
                open = None;
            }
            (Ok(_), None) => {}
            (Err(_), Some((from, failed))) => open = Some((from, failed + 1)),
            (Err(_), None) => open = Some((sample.asked, 1)),
        }
    }
    found
}

async fn ask_on(target: SocketAddr, every: Duration, limit: Duration, found: Arc<Mutex<Vec<Sample>>>) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let found = found.clone();
        tokio::spawn(async move {
            let sample = request(target, limit).await;
            found.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        });
    }
}

async fn request(target: SocketAddr, limit: Duration) -> Sample {
    let asked = Instant::now();
    let answer = match tokio::time::timeout(limit, exchange(target)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    };
    Sample { asked, done: Instant::now(), answer }
}

async fn exchange(target: SocketAddr) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/")
        .version(Version::HTTP_11)
        .header("host", target.to_string())
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status.as_u16() == 200 {
        Ok(String::from_utf8_lossy(&body).trim_end().to_owned())
    } else {
        Err(format!("status {}", status.as_u16()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(pattern: &str) -> Vec<Sample> {
        let start = Instant::now();
        let sample = |(n, mark): (usize, char)| {
            let asked = start + Duration::from_millis(10) * u32::try_from(n).unwrap();
            let answer = if mark == '+' { Ok("web1".to_owned()) } else { Err("refused".to_owned()) };
            Sample { asked, done: asked, answer }
        };
        pattern.chars().enumerate().map(sample).collect()
    }

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_next_answer() {
        let lengths: Vec<_> = outages(&samples("++---+-+")).iter().map(|one| (one.length(), one.failed)).collect();
        assert_eq!(lengths, [(Duration::from_millis(30), 3), (Duration::from_millis(10), 1)]);
    }

    #[test]
    fn no_failure_is_no_outage_and_an_open_end_is_not_counted() {
        assert_eq!(outages(&samples("++++")), []);
        assert_eq!(outages(&samples("++--")), []);
    }
}
