//! Probes against real servers of every temper, in memory and in simulated time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails panics")]

use proptest::prelude::*;
use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use vipward_core::check::http::{Get, Wrong};
use vipward_core::check::ssl::Tls;
use vipward_core::check::{
    self, Binding, Failure, HttpVersion, Probe, ProbeKind, Shortage, UrlCheck, Verdict, ping, tcp,
};
use vipward_core::command::{Command, ScriptOutcome};
use vipward_core::seam::{Clock, Streams};
use vipward_core::time::{Duration, Instant};

const RANDOM: u64 = 0x0102_0304_0506_0708;
const TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT: ProbeKind = ProbeKind::Tcp(tcp::Connect);
const ECHO: ProbeKind = ProbeKind::Ping(ping::Echo);

/// What comes back for a datagram that is sent, each a while after the one before.
type Answers = Rc<dyn Fn(&[u8]) -> Vec<(Duration, io::Result<Vec<u8>>)>>;
type Connecting = Pin<Box<dyn Future<Output = io::Result<DuplexStream>>>>;

/// A network of one real server, by tokio's clock, which is paused in these tests and jumps to the next timer.
struct OneServer {
    /// The first time that somebody asked.
    start: OnceCell<tokio::time::Instant>,
    connect: Box<dyn Fn() -> Connecting>,
    /// What comes back for a datagram.
    answers: Answers,
}

impl OneServer {
    fn new(connect: impl Fn() -> Connecting + 'static) -> Self {
        Self { start: OnceCell::new(), connect: Box::new(connect), answers: Rc::new(|_| Vec::new()) }
    }
}

impl Clock for OneServer {
    fn now(&self) -> Instant {
        Instant::ZERO + self.start.get_or_init(tokio::time::Instant::now).elapsed()
    }
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        tokio::time::sleep_until(*self.start.get_or_init(tokio::time::Instant::now) + at.since_origin())
    }
}

impl Streams for OneServer {
    type Stream = DuplexStream;

    fn connect(&self, _: SocketAddr, _: &Binding) -> impl Future<Output = io::Result<DuplexStream>> {
        (self.connect)()
    }

    /// Echoes where it would connect.
    async fn echo(&self, _: IpAddr, _: &Binding) -> io::Result<()> {
        (self.connect)().await.map(drop)
    }

    type Datagrams = udp_check::Wire;

    /// There is a way where it would connect.
    async fn datagrams(&self, _: SocketAddr, _: &Binding) -> io::Result<udp_check::Wire> {
        (self.connect)().await?;
        Ok(udp_check::Wire::new(self.answers.clone()))
    }

    type Secure = DuplexStream;

    async fn secure(&self, stream: DuplexStream, tls: &Tls) -> io::Result<DuplexStream> {
        ssl_get::secure(stream, tls).await
    }

    /// Programs are those of `misc_check`'s tests.
    async fn run(&self, command: &Command) -> Result<ScriptOutcome, Shortage> {
        misc_check::run(command).await
    }

    /// In this world memory is what one has not enough of.
    fn shortage(&self, error: &io::Error) -> Option<Shortage> {
        (error.kind() == io::ErrorKind::OutOfMemory).then_some(Shortage::Memory)
    }
}

/// A server that takes the connection and then does as `behave` says.
fn server<B, F>(behave: B) -> OneServer
where
    B: Fn(DuplexStream) -> F + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    OneServer::new(move || {
        let (ours, theirs) = tokio::io::duplex(4096);
        tokio::spawn(behave(theirs));
        Box::pin(async { Ok(ours) })
    })
}

/// A server that reads the request and answers with `response`, then closes.
fn answers(response: impl Into<Vec<u8>>) -> OneServer {
    let response = response.into();
    server(move |mut stream| {
        let response = response.clone();
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&response).await;
        }
    })
}

async fn read_request(stream: &mut DuplexStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}

fn refuses(kind: io::ErrorKind) -> OneServer {
    OneServer::new(move || Box::pin(async move { Err(io::Error::new(kind, "by the test")) }))
}

fn url() -> UrlCheck {
    UrlCheck { path: "/health".into(), status: vec![(200, 299)], digest: None, virtualhost: None, pattern: None }
}

fn get(url: UrlCheck) -> ProbeKind {
    ProbeKind::Http(Get { url, version: HttpVersion::Http10 })
}

/// The verdict, and how long it took.
async fn verdict(network: OneServer, kind: ProbeKind) -> (Verdict, Duration) {
    let network = Rc::new(network);
    let probe = Probe {
        target: "192.0.2.10:80".parse().unwrap(),
        from: Binding::default(),
        timeout: TIMEOUT,
        kind,
        random: RANDOM,
    };
    let verdict = check::run(probe, network.clone()).await;
    (verdict, network.now().since_origin())
}

async fn failure(network: OneServer, kind: ProbeKind) -> Failure {
    match verdict(network, kind).await.0 {
        Verdict::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn words(failure: Failure) -> String {
    match failure {
        Failure::Http(Wrong::Protocol(words)) => words,
        other => panic!("{other}"),
    }
}

/// A network whose every connection is one of `F`'s, by the clock and the shortages of [`OneServer`].
struct Over<F>(OneServer, F);

impl<F> Clock for Over<F> {
    fn now(&self) -> Instant {
        self.0.now()
    }
    fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        self.0.sleep_until(at)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static, F: Fn() -> S> Streams for Over<F> {
    type Stream = S;

    async fn connect(&self, _: SocketAddr, _: &Binding) -> io::Result<S> {
        Ok((self.1)())
    }

    async fn echo(&self, _: IpAddr, _: &Binding) -> io::Result<()> {
        Ok(())
    }

    type Datagrams = udp_check::Wire;

    async fn datagrams(&self, target: SocketAddr, from: &Binding) -> io::Result<udp_check::Wire> {
        self.0.datagrams(target, from).await
    }

    type Secure = S;

    async fn secure(&self, stream: S, _: &Tls) -> io::Result<S> {
        Ok(stream)
    }

    async fn run(&self, command: &Command) -> Result<ScriptOutcome, Shortage> {
        self.0.run(command).await
    }

    fn shortage(&self, error: &io::Error) -> Option<Shortage> {
        self.0.shortage(error)
    }
}

/// The verdict where each connection is one of these streams.
async fn over<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: impl Fn() -> S, kind: ProbeKind) -> Verdict {
    let probe = Probe {
        target: "192.0.2.10:80".parse().unwrap(),
        from: Binding::default(),
        timeout: TIMEOUT,
        kind,
        random: RANDOM,
    };
    check::run(probe, Rc::new(Over(refuses(io::ErrorKind::ConnectionRefused), stream))).await
}

/// Whatever the kind.
#[tokio::test(start_paused = true)]
async fn what_is_short_here_is_no_verdict_about_the_server() {
    for kind in [CONNECT, ECHO, get(url()), smtp_check::greet(), udp_check::send(None), dns_check::query()] {
        let verdict = verdict(refuses(io::ErrorKind::OutOfMemory), kind).await.0;
        assert_eq!(verdict, Verdict::NotAsked(Shortage::Memory));
    }
}

/// The connection is there, and then the kernel has no memory for the request.
#[tokio::test(start_paused = true)]
async fn what_is_short_in_the_middle_is_no_verdict_either() {
    struct NoRoom;
    impl AsyncRead for NoRoom {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }
    impl AsyncWrite for NoRoom {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    assert_eq!(over(|| NoRoom, get(url())).await, Verdict::NotAsked(Shortage::Memory));
}

mod tcp_check {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_when_the_connection_opens() {
        let accepts = server(|stream| async move { drop(stream) });
        assert_eq!(verdict(accepts, CONNECT).await, (Verdict::Passed, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn refused_and_unreachable_are_told_apart() {
        assert_eq!(failure(refuses(io::ErrorKind::ConnectionRefused), CONNECT).await, Failure::Refused);
        assert_eq!(failure(refuses(io::ErrorKind::TimedOut), CONNECT).await, Failure::ConnectTimeout);
        let unreachable = failure(refuses(io::ErrorKind::HostUnreachable), CONNECT).await;
        assert_eq!(unreachable, Failure::Unreachable("by the test".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_network_takes_connect_timeout_and_no_longer() {
        let silent = OneServer::new(|| Box::pin(std::future::pending()));
        let outcome = verdict(silent, CONNECT).await;
        assert_eq!(outcome, (Verdict::Failed(Failure::ConnectTimeout), TIMEOUT));
    }
}

mod ping_check {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_when_the_echo_comes() {
        let answers = server(|stream| async move { drop(stream) });
        assert_eq!(verdict(answers, ECHO).await, (Verdict::Passed, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_can_not_be_reached_is_said_so_and_is_never_refused() {
        for kind in [io::ErrorKind::HostUnreachable, io::ErrorKind::ConnectionRefused] {
            assert_eq!(failure(refuses(kind), ECHO).await, Failure::Unreachable("by the test".into()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_network_takes_connect_timeout_and_no_longer() {
        let silent = OneServer::new(|| Box::pin(std::future::pending()));
        let outcome = verdict(silent, ECHO).await;
        assert_eq!(outcome, (Verdict::Failed(Failure::ResponseTimeout), TIMEOUT));
    }
}

#[path = "probe/dns_check.rs"]
mod dns_check;
#[path = "probe/http_get.rs"]
mod http_get;
#[path = "probe/misc_check.rs"]
mod misc_check;
#[path = "probe/smtp_check.rs"]
mod smtp_check;
#[path = "probe/ssl_get.rs"]
mod ssl_get;
#[path = "probe/udp_check.rs"]
mod udp_check;
