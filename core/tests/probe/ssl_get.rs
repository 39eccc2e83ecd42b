//! `SSL_GET`: what becomes of an attempt when TLS begins, or does not.

use super::*;
use vipward_core::check::ssl::{SecureGet, Wrong};

/// A world in which the name that is sent says how TLS goes.
pub async fn secure(stream: DuplexStream, tls: &Tls) -> io::Result<DuplexStream> {
    match tls.name.as_deref() {
        Some("old.example") => Err(io::Error::other("the server speaks neither TLS 1.2 nor 1.3")),
        Some("silent.example") => std::future::pending().await,
        Some("unread.example") => Err(io::ErrorKind::OutOfMemory.into()),
        Some(_) | None => Ok(stream),
    }
}

fn secure_get(name: &str) -> ProbeKind {
    let tls = Tls { name: Some(name.to_owned()), ..Tls::default() };
    ProbeKind::Ssl(SecureGet { get: Get { url: url(), version: HttpVersion::Http10 }, tls })
}

#[tokio::test(start_paused = true)]
async fn under_tls_it_is_http_get() {
    let ok = "HTTP/1.0 200 OK\r\n\r\nok";
    assert_eq!(verdict(answers(ok), secure_get("good.example")).await.0, Verdict::Passed);
    let failure = failure(answers("HTTP/1.0 503 No\r\n\r\n"), secure_get("good.example")).await;
    assert_eq!(failure.to_string(), "GET /health: status 503");
}

#[tokio::test(start_paused = true)]
async fn without_tls_the_reason_is_told() {
    let failed = failure(answers(""), secure_get("old.example")).await;
    assert_eq!(failed.to_string(), "no TLS: the server speaks neither TLS 1.2 nor 1.3");
    let late = verdict(answers(""), secure_get("silent.example")).await;
    assert_eq!(late, (Verdict::Failed(Wrong::Late.into()), TIMEOUT));
    assert_eq!(verdict(answers(""), secure_get("unread.example")).await.0, Verdict::NotAsked(Shortage::Memory));
    assert_eq!(failure(refuses(io::ErrorKind::ConnectionRefused), secure_get("x")).await, Failure::Refused);
}
