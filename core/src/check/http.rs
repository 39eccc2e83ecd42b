//! `HTTP_GET` (keepalived.conf(5)): every URL answers as it should. One attempt fetches one URL, judged by its status, the
//! MD5 of its body and what a regular expression finds there (`url`, `status_code`, `digest`, `regex`, `http_protocol`); the
//! URLs are fetched in turn.
//!
//! Memory and work are bounded whatever comes: the head of a response is refused beyond [`MAX_HEAD`] and its body beyond
//! [`MAX_BODY`]; the body is digested piece by piece, and of one that is searched [`MAX_SEARCHED`] bytes are kept. Time is
//! bounded by the caller.

use super::after_request::AfterRequest;
use super::pattern::{MAX_SEARCHED, Pattern};
use super::probe::not_connected;
use super::{Answer, Attempt, Exchange, Failure, Kind, Probe, Progress, Shown, Streams, Trouble};
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
use tokio::io::{AsyncRead, AsyncWrite};

/// How many bytes status line and headers may have, and how many are read ahead.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes of a body. A server that sends without end as fast as it is read costs no more than this an attempt.
const MAX_BODY: u64 = 64 << 20;

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
    /// `regex` and its kin. Left out where there is none: estates know a checker by a sum over its settings, and earlier
    /// versions had no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
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
    /// The body does not match `regex`, or does with `regex_no_match`: `found`.
    Regex { path: String, found: bool },
    /// The body has more than [`MAX_BODY`] bytes.
    Endless { path: String },
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { path, got } => write!(f, "GET {path}: status {got}"),
            Self::Digest { path, got } => write!(f, "GET {path}: digest {got} differs"),
            Self::Protocol(error) => write!(f, "not HTTP: {error}"),
            Self::Regex { path, found: false } => write!(f, "GET {path}: the body does not match regex"),
            Self::Regex { path, found: true } => write!(f, "GET {path}: the body matches regex (regex_no_match)"),
            Self::Endless { path } => write!(f, "GET {path}: the body has more than {} MiB", MAX_BODY >> 20),
        }
    }
}

impl Wrong {
    pub fn shows(&self) -> Shown {
        match self {
            Self::Status { got, .. } => Shown::Status(*got),
            Self::Digest { .. } | Self::Regex { .. } | Self::Endless { .. } => Shown::Content,
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
        Self { path: "/".to_owned(), status: vec![(200, 299)], digest: None, virtualhost: None, pattern: None }
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

    async fn converse<S: Streams>(&self, probe: &Probe, streams: &S, progress: &Progress) -> Result<(), Trouble> {
        let stream =
            streams.connect(probe.target, &probe.from).await.map_err(|error| not_connected(&error, streams))?;
        progress.next();
        self.fetch(stream, probe.target, streams).await
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
            Wrong::Endless { path: path.clone() }.into(),
        ];
        failures.extend(self.url.digest.map(|_| Wrong::Digest { path: path.clone(), got: hex(&[0; 16]) }.into()));
        let found = self.url.pattern.as_ref().map(|pattern| pattern.no_match);
        failures.extend(found.map(|found| Wrong::Regex { path, found }.into()));
        failures
    }

    fn about(&self) -> &str {
        &self.url.path
    }
}

impl Get {
    /// Over a stream that is connected to `target`.
    pub(super) async fn fetch<S: Streams>(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        target: SocketAddr,
        streams: &S,
    ) -> Result<(), Trouble> {
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
        let Body { digest, kept } = self.body(response, streams).await?;
        let path = || self.url.path.clone();
        if let (Some(expected), Some(got)) = (self.url.digest, digest)
            && expected != got
        {
            return Err(Wrong::Digest { path: path(), got: hex(&got) }.into());
        }
        match &self.url.pattern {
            Some(pattern) if !pattern.accepts(&kept) => {
                Err(Wrong::Regex { path: path(), found: pattern.no_match }.into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The whole body, also where nothing of it matters: a response that never ends is not one.
    async fn body(&self, response: Response<Incoming>, streams: &impl Streams) -> Result<Body, Trouble> {
        let mut body = response.into_body();
        let (mut md5, mut kept) = (self.url.digest.map(|_| Md5::new()), Vec::new());
        let (mut pieces, mut length) = (0, 0_u64);
        while let Some(frame) = body.frame().await {
            if let Some(piece) = frame.map_err(|error| not_http(&error, streams))?.data_ref() {
                length = length.saturating_add(piece.len().try_into().unwrap_or(u64::MAX));
                if length > MAX_BODY {
                    return Err(Wrong::Endless { path: self.url.path.clone() }.into());
                }
                if let Some(md5) = &mut md5 {
                    md5.update(piece);
                }
                if self.url.pattern.is_some() {
                    let room = MAX_SEARCHED.saturating_sub(kept.len());
                    kept.extend_from_slice(piece.get(..room).unwrap_or(piece));
                }
            }
            pieces += 1;
            if pieces % PIECES_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(Body { digest: md5.map(|md5| md5.finalize().into()), kept })
    }

    fn status(&self, got: u16) -> Result<(), Wrong> {
        let fits = self.url.status.iter().any(|(first, last)| (*first..=*last).contains(&got));
        if fits { Ok(()) } else { Err(Wrong::Status { path: self.url.path.clone(), got }) }
    }
}

/// What is known of a body at its end.
struct Body {
    /// Its MD5, if there is one to compare with.
    digest: Option<[u8; 16]>,
    /// Its first bytes, if they are searched.
    kept: Vec<u8>,
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
