//! `HTTP_GET` (keepalived.conf(5)): every URL answers as it should. One attempt fetches one URL, judged by its status and
//! the MD5 of its body (`url`, `status_code`, `digest`, `http_protocol`); the URLs are fetched in turn.
//!
//! Memory is bounded whatever comes: the head of a response is refused beyond [`MAX_HEAD`], and its body is digested
//! piece by piece, never kept. Time is bounded by the caller.

use super::after_request::AfterRequest;
use super::probe::not_connected;
use super::{Answer, Attempt, Binding, Exchange, Failure, Kind, Progress, Shown, Streams, Trouble};
use crate::time::Duration;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// How many bytes status line and headers may have, and how many are read ahead.
const MAX_HEAD: usize = 64 * 1024;

/// How many headers.
const MAX_HEADERS: usize = 1000;

/// How many pieces of a body are taken before others get their turn: a server that always has more to send must not
/// keep the time limit from being looked at.
const PIECES_PER_TURN: u32 = 64;

/// hyper's words for a connection that closed before there was a whole head.
const CUT_OFF: &str = "connection closed before message completed";

const OUR_NAME: &str = concat!("vipward/", env!("CARGO_PKG_VERSION"));

/// What the block says. `urls` is never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub urls: Vec<UrlCheck>,
    pub http_version: HttpVersion,
    pub fast_recovery: bool,
}

/// `http_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpVersion {
    /// `1.0`
    #[default]
    Http10,
    /// `1.0C`: with `Connection: close`.
    Http10Close,
    /// `1.1`
    Http11,
}

/// `url { }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlCheck {
    /// `path`, default `/`.
    pub path: String,
    /// `status_code`: inclusive ranges within 100..=599. Default 200-299 (when `digest` is absent or present alike).
    pub status: Vec<(u16, u16)>,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `virtualhost`: the Host header, from the URL, the checker, the real or the virtual server; none: the address.
    pub virtualhost: Option<String>,
}

/// Fetch one URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    pub url: UrlCheck,
    pub version: HttpVersion,
}

/// What was wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wrong {
    /// The status is not in `status_code`.
    Status { path: String, got: u16 },
    /// The body's MD5 is not `digest`.
    Digest { path: String, got: String },
    /// What came back is not HTTP, or ended early.
    Protocol(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { path, got } => write!(f, "GET {path}: status {got}"),
            Self::Digest { path, got } => write!(f, "GET {path}: digest {got} differs"),
            Self::Protocol(error) => write!(f, "not HTTP: {error}"),
        }
    }
}

impl Wrong {
    pub fn shows(&self) -> Shown {
        match self {
            Self::Status { got, .. } => Shown::Status(*got),
            Self::Digest { .. } => Shown::Content,
            // As a server that dies in the middle.
            Self::Protocol(_) => Shown::Absent,
        }
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Http(wrong)
    }
}

impl Default for UrlCheck {
    fn default() -> Self {
        Self { path: "/".to_owned(), status: vec![(200, 299)], digest: None, virtualhost: None }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { urls: vec![UrlCheck::default()], http_version: HttpVersion::default(), fast_recovery: false }
    }
}

impl Kind for Settings {
    type Attempt = Get;

    const WORD: &'static str = "HTTP_GET";

    fn attempt(&self, step: usize) -> Get {
        Get { url: self.urls.get(step).cloned().unwrap_or_default(), version: self.http_version }
    }

    fn steps(&self) -> usize {
        self.urls.len()
    }

    fn hurries(&self) -> bool {
        self.fast_recovery
    }

    /// (keepalived 2.2.7 gives `connect_timeout` to each of connection, request and response anew: a server that sends
    /// one byte in time after another passes.)
    fn longest(&self, connect_timeout: Duration) -> Duration {
        connect_timeout
    }
}

impl Attempt for Get {
    const EXCHANGES: &'static [Exchange] = &[Exchange::Handshake, Exchange::Request];

    async fn converse<S: Streams>(
        &self,
        target: SocketAddr,
        from: &Binding,
        streams: &S,
        progress: &Progress,
    ) -> Result<(), Trouble> {
        let stream = streams.connect(target, from).await.map_err(|error| not_connected(&error, streams))?;
        progress.next();
        self.fetch(stream, target, streams).await
    }

    fn judge(&self, answer: Answer) -> Result<(), Failure> {
        match answer {
            Answer::Status(got) => self.status(got)?,
            Answer::Closed => return Err(Wrong::Protocol(CUT_OFF.to_owned()).into()),
        }
        Ok(())
    }

    fn failures(&self) -> Vec<Failure> {
        let path = self.url.path.clone();
        let mut failures = vec![
            Failure::ConnectTimeout,
            Failure::Refused,
            Failure::Unreachable("No route to host".to_owned()),
            Failure::ResponseTimeout,
            Wrong::Status { path: path.clone(), got: 599 }.into(),
            Wrong::Protocol(CUT_OFF.to_owned()).into(),
        ];
        failures.extend(self.url.digest.map(|_| Wrong::Digest { path, got: hex(&[0; 16]) }.into()));
        failures
    }

    fn about(&self) -> &str {
        &self.url.path
    }
}

impl Get {
    /// Over a stream that is connected to `target`.
    async fn fetch<S: Streams>(&self, stream: S::Stream, target: SocketAddr, streams: &S) -> Result<(), Trouble> {
        let request = self.request(target)?;
        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            // What browsers and keepalived take from a server is no reason to call it dead.
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .title_case_headers(true)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(AfterRequest::new(stream)))
            .await
            .map_err(|error| not_http(&error, streams))?;
        let mut connection = Box::pin(connection);
        let mut exchange = Box::pin(self.exchange(sender, request, streams));
        // Nothing is spawned: the connection moves only while we wait for the exchange.
        tokio::select! {
            biased;
            result = &mut exchange => result,
            _ = &mut connection => {
                // Closed. What it had received is with the exchange, and why it closed is too.
                drop(connection);
                exchange.await
            }
        }
    }

    fn request(&self, target: SocketAddr) -> Result<Request<Empty<Bytes>>, Wrong> {
        let Self { url, version } = self;
        // As keepalived sends it: the address with its port, even if that is 80; a `virtualhost` as it was written.
        let host = url.virtualhost.clone().unwrap_or_else(|| target.to_string());
        let builder = Request::get(&url.path).header(USER_AGENT, OUR_NAME).header(HOST, host);
        let builder = match version {
            HttpVersion::Http10 => builder.version(Version::HTTP_10),
            HttpVersion::Http10Close => builder.version(Version::HTTP_10).header(CONNECTION, "close"),
            HttpVersion::Http11 => builder.version(Version::HTTP_11).header(CONNECTION, "close"),
        };
        builder.body(Empty::new()).map_err(|error| Wrong::Protocol(format!("{} can't be asked for: {error}", url.path)))
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<Empty<Bytes>>,
        request: Request<Empty<Bytes>>,
        streams: &impl Streams,
    ) -> Result<(), Trouble> {
        let response = sender.send_request(request).await.map_err(|error| not_http(&error, streams))?;
        self.status(response.status().as_u16())?;
        let got = digest(response, streams).await?;
        match self.url.digest {
            Some(expected) if expected != got => {
                Err(Wrong::Digest { path: self.url.path.clone(), got: hex(&got) }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn status(&self, got: u16) -> Result<(), Wrong> {
        let fits = self.url.status.iter().any(|(first, last)| (*first..=*last).contains(&got));
        if fits { Ok(()) } else { Err(Wrong::Status { path: self.url.path.clone(), got }) }
    }
}

/// The MD5 of the whole body; also without a `digest` to compare with, since a response that never ends is not one.
async fn digest(response: Response<Incoming>, streams: &impl Streams) -> Result<[u8; 16], Trouble> {
    let mut body = response.into_body();
    let mut md5 = Md5::new();
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame.map_err(|error| not_http(&error, streams))?.data_ref() {
            md5.update(piece);
        }
        pieces += 1;
        if pieces % PIECES_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(md5.finalize().into())
}

/// hyper's words, with the reason behind them if there is one; unless that reason is a shortage of ours.
fn not_http(error: &hyper::Error, streams: &impl Streams) -> Trouble {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(shortage) = error.downcast_ref().and_then(|error| streams.shortage(error)) {
            return Trouble::NotAsked(shortage);
        }
        // Writing to a string can't fail.
        let _ = write!(words, ": {error}");
        source = error.source();
    }
    Wrong::Protocol(words).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
