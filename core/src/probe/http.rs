//! HTTP_GET's conversation: one request, one response, judged by its status and the MD5 of its body
//! (keepalived.conf(5): `url`, `status_code`, `digest`, `http_protocol`).
//!
//! Memory is bounded whatever comes: the head of a response is refused beyond [`MAX_HEAD`], and its body is digested
//! piece by piece, never kept. Time is bounded by the caller.

use super::Failure;
use crate::config::{HttpVersion, UrlCheck};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, Version};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use std::fmt::Write;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};

/// How many bytes status line and headers may have, and how many are read ahead.
const MAX_HEAD: usize = 64 * 1024;

/// How many pieces of a body are taken before others get their turn: a server that always has more to send must not
/// keep the time limit from being looked at.
const PIECES_PER_TURN: u32 = 64;

const OUR_NAME: &str = concat!("vipward/", env!("CARGO_PKG_VERSION"));

/// Fetches `url` over a stream that is connected to `target`.
pub async fn get<S>(stream: S, target: SocketAddr, url: &UrlCheck, version: HttpVersion) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let request = request(target, url, version)?;
    let (sender, connection) = Builder::new()
        .max_buf_size(MAX_HEAD)
        .title_case_headers(true)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| not_http(&error))?;
    let mut connection = Box::pin(connection);
    let mut exchange = Box::pin(exchange(sender, request, url));
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

fn request(target: SocketAddr, url: &UrlCheck, version: HttpVersion) -> Result<Request<Empty<Bytes>>, Failure> {
    // As keepalived sends it: the address with its port, even if that is 80; a `virtualhost` as it was written.
    let host = url.virtualhost.clone().unwrap_or_else(|| target.to_string());
    let builder = Request::get(&url.path).header(USER_AGENT, OUR_NAME).header(HOST, host);
    let builder = match version {
        HttpVersion::Http10 => builder.version(Version::HTTP_10),
        HttpVersion::Http10Close => builder.version(Version::HTTP_10).header(CONNECTION, "close"),
        HttpVersion::Http11 => builder.version(Version::HTTP_11).header(CONNECTION, "close"),
    };
    builder.body(Empty::new()).map_err(|error| Failure::Protocol(format!("{} can't be asked for: {error}", url.path)))
}

async fn exchange(
    mut sender: SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    url: &UrlCheck,
) -> Result<(), Failure> {
    let response = sender.send_request(request).await.map_err(|error| not_http(&error))?;
    let got = response.status().as_u16();
    if !url.status.iter().any(|(first, last)| (*first..=*last).contains(&got)) {
        return Err(Failure::Status { path: url.path.clone(), got });
    }
    let got = digest(response).await?;
    match url.digest {
        Some(expected) if expected != got => Err(Failure::Digest { path: url.path.clone(), got: hex(&got) }),
        Some(_) | None => Ok(()),
    }
}

/// The MD5 of the whole body; also without a `digest` to compare with, since a response that never ends is not one.
async fn digest(response: Response<Incoming>) -> Result<[u8; 16], Failure> {
    let mut body = response.into_body();
    let mut md5 = Md5::new();
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        if let Some(piece) = frame.map_err(|error| not_http(&error))?.data_ref() {
            md5.update(piece);
        }
        pieces += 1;
        if pieces % PIECES_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(md5.finalize().into())
}

/// hyper's words, with the reason behind them if there is one.
fn not_http(error: &hyper::Error) -> Failure {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        // Writing to a string can't fail.
        let _ = write!(words, ": {error}");
        source = error.source();
    }
    Failure::Protocol(words)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
