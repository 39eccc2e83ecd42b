//! `vipward serve`: what a director answers, over HTTP: metrics, status, health. For reading only.
//!
//! A process of its own, which asks the director as `vipward status` does: whatever clients do to it, no advert and no
//! check waits for that. It asks once for all clients of half a second, keeps no more than [`MOST`] connections, and takes a
//! short request head and no body.

mod metrics;

use crate::options::cli::Serve;
use crate::options::listen::Listen;
use crate::status::client;
use crate::system::exit::Exit;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Mutex, Semaphore};
use vipward_core::status::Status;

/// Connections at the same time; others wait to be accepted.
const MOST: usize = 64;
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may last altogether.
const LONGEST: Duration = Duration::from_secs(30);
/// The longest request head, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// An answer of the director serves all who ask within this.
const FRESH: Duration = Duration::from_millis(500);

/// Runs until it is ended. Exit status 1: it can't listen there.
pub fn serve(options: &Serve) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let asked = Arc::new(Asked { control: options.control.clone(), last: Mutex::new(None) });
    let served = runtime.block_on(async {
        match &options.listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))?;
                let bound = listener.local_addr().map_err(|error| format!("{address}: {error}"))?;
                eprintln!("listening on http://{bound}");
                let only_local = bound.ip().is_loopback();
                accept(asked, only_local, async || listener.accept().await.map(|(stream, _)| stream)).await
            }
            Listen::Unix(path) => {
                let listener = listen_at(path).map_err(|error| format!("{}: {error}", path.display()))?;
                eprintln!("listening on {}", path.display());
                accept(asked, false, async || listener.accept().await.map(|(stream, _)| stream)).await
            }
        }
    });
    match served {
        Ok(never) => match never {},
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> Exit {
    eprintln!("not served: {why}");
    Exit::Failed
}

/// A socket that an earlier run left behind is replaced; anything else of that name stays.
fn listen_at(path: &Path) -> std::io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

async fn accept<S>(
    asked: Arc<Asked>,
    only_local: bool,
    next: impl AsyncFn() -> std::io::Result<S>,
) -> Result<Infallible, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let room = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return Err("no more connections".to_owned()) };
        let stream = match next().await {
            Ok(stream) => stream,
            // Short of descriptors, or the client has gone already.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let asked = asked.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let asked = asked.clone();
                async move { Ok::<_, Infallible>(asked.answer(&request, only_local).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(LONGEST_HEAD)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            // What goes wrong here is the client's.
            let _ = tokio::time::timeout(LONGEST, connection).await;
            drop(place);
        });
    }
}

/// What the director said last.
struct Asked {
    control: PathBuf,
    last: Mutex<Option<(Instant, Answered)>>,
}

type Answered = Arc<Result<Status, String>>;

impl Asked {
    async fn status(&self) -> Answered {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < FRESH
        {
            return answer.clone();
        }
        let control = self.control.clone();
        let asked = tokio::task::spawn_blocking(move || client::ask(&control).map_err(|why| why.to_string())).await;
        let answer = Arc::new(asked.unwrap_or_else(|_| Err("the question was not put".to_owned())));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn answer<B>(&self, request: &Request<B>, only_local: bool) -> Response<Full<Bytes>> {
        if only_local && !names_this_host(request) {
            let why = "this address is for this host: ask for it by an address, or as localhost\n";
            return plain(StatusCode::MISDIRECTED_REQUEST, why.to_owned());
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "everything here is for reading\n".to_owned());
            response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/metrics" => match metrics::of(self.status().await.as_ref().as_ref().ok()) {
                Ok(text) => of_type(StatusCode::OK, metrics::CONTENT_TYPE, text),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/v1/status" => match &*self.status().await {
                Ok(status) => match serde_json::to_string(status) {
                    Ok(json) => of_type(StatusCode::OK, "application/json", json + "\n"),
                    Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
                },
                Err(why) => nothing_known(why),
            },
            "/healthz" => match &*self.status().await {
                Ok(status) => said(unwell(status)),
                Err(why) => nothing_known(why),
            },
            "/readyz" => match &*self.status().await {
                Ok(status) => said(unwell(status).or_else(|| unready(status))),
                Err(why) => nothing_known(why),
            },
            "/" => plain(StatusCode::OK, "/metrics\n/v1/status\n/healthz\n/readyz\n".to_owned()),
            _ => plain(StatusCode::NOT_FOUND, "there are /metrics, /v1/status, /healthz and /readyz\n".to_owned()),
        }
    }
}

/// A page of somebody else whose name leads to this host's loopback address asks by that name.
fn names_this_host<B>(request: &Request<B>) -> bool {
    let Some(host) = request.headers().get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Why it is not well: a machine does not answer.
fn unwell(status: &Status) -> Option<String> {
    match (&status.election, &status.balancer) {
        (Some(_), Some(_)) => None,
        (None, Some(_)) => Some("the Election does not answer".to_owned()),
        (Some(_), None) => Some("the Balancer does not answer".to_owned()),
        (None, None) => Some("neither the Election nor the Balancer answers".to_owned()),
    }
}

/// Why it could not take over for another one: a virtual router is in FAULT.
fn unready(status: &Status) -> Option<String> {
    let routers = status.election.iter().flat_map(|it| &it.routers);
    let faulty: Vec<&str> = routers.filter(|it| it.role == "FAULT").map(|it| it.name.as_str()).collect();
    (!faulty.is_empty()).then(|| format!("in FAULT: {}", faulty.join(", ")))
}

fn said(trouble: Option<String>) -> Response<Full<Bytes>> {
    match trouble {
        None => plain(StatusCode::OK, "ok\n".to_owned()),
        Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

fn nothing_known(why: &str) -> Response<Full<Bytes>> {
    plain(StatusCode::SERVICE_UNAVAILABLE, format!("nothing is known of the director: {why}\n"))
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    of_type(status, "text/plain; charset=utf-8", text)
}

fn of_type(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
