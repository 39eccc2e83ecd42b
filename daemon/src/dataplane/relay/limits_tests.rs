//! Limits of the relay over loopback: connections beyond them, silence, and sides that take nothing.

use super::tests::{Fixture, SOON, Server, destination, echo, service};
use super::*;
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(1);

/// Nothing is cut, whatever the defaults say.
const PATIENT: RelayLimits = RelayLimits { connections: None, idle: LONG, half_close: LONG, stall: LONG };

fn fixture(limits: RelayLimits) -> Fixture {
    let fixture = Fixture::new("rr");
    let mut settings = Settings::default();
    settings.usual = limits;
    fixture.relay.allow(&Config::default(), &settings);
    fixture
}

/// A server that greets every connection with a letter, and then does with it as `behave` says.
fn server(fixture: &Fixture, behave: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let behave = behave.clone();
            std::thread::spawn(move || {
                stream.write_all(b"a").unwrap();
                behave(stream);
            });
        }
    });
    let op = Op::AddDestination { service: fixture.key, address, destination: destination(1) };
    fixture.relay.apply(&op).unwrap();
    address
}

/// Keeps a connection open, and takes nothing from it.
fn hold(stream: TcpStream) {
    std::thread::sleep(LONG);
    drop(stream);
}

fn wait_until_none_is_active(fixture: &Fixture, server: SocketAddr) {
    let deadline = std::time::Instant::now() + SOON;
    while fixture.relay.connections(&fixture.key, server).active > 0 {
        assert!(std::time::Instant::now() < deadline, "a connection is left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How a connection ended on which nothing is to come.
fn end(mut stream: &TcpStream) -> ErrorKind {
    stream.read(&mut [0]).unwrap_err().kind()
}

#[test]
fn beyond_its_limit_clients_wait_and_are_served_when_others_end() {
    let a = Server::start(b'a');
    let fixture = fixture(RelayLimits { connections: Some(2), ..PATIENT });
    fixture.add(&a, 1);
    let mut held: Vec<_> = (0..2).map(|_| fixture.open().unwrap().0).collect();
    let mut third = TcpStream::connect_timeout(&fixture.key.address().unwrap(), SOON).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(end(&third), ErrorKind::WouldBlock, "it waits, and was not turned away");
    assert!(held.iter_mut().all(|stream| echo(stream, "still here") == "still here"));
    drop(held.pop());
    third.set_read_timeout(Some(SOON)).unwrap();
    third.read_exact(&mut [0]).unwrap();
    assert_eq!(echo(&mut third, "at last"), "at last");
}

#[test]
fn a_greater_limit_lets_those_in_who_wait() {
    let a = Server::start(b'a');
    let fixture = fixture(RelayLimits { connections: Some(1), ..PATIENT });
    fixture.add(&a, 1);
    let _held = fixture.open().unwrap();
    let mut second = TcpStream::connect_timeout(&fixture.key.address().unwrap(), SOON).unwrap();
    second.set_read_timeout(Some(SOON)).unwrap();
    fixture.relay.allow(&Config::default(), &Settings::default());
    second.read_exact(&mut [0]).unwrap();
}

/// Two services, room for forty connections, and one of them is flooded.
#[test]
fn a_flooded_service_leaves_the_other_its_share() {
    let a = Server::start(b'a');
    let flooded = fixture(PATIENT);
    flooded.add(&a, 1);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let other = ServiceKey::Address { protocol: Protocol::Tcp, address: SocketAddr::from(([127, 0, 0, 54], port)) };
    flooded.relay.apply(&Op::AddService { key: other, service: service("rr") }).unwrap();
    let op = Op::AddDestination { service: other, address: a.address, destination: destination(1) };
    flooded.relay.apply(&op).unwrap();
    flooded.relay.state.lock().room.resize(40);
    let flood: Vec<_> =
        (0..60).map(|_| TcpStream::connect_timeout(&flooded.key.address().unwrap(), SOON).unwrap()).collect();
    flooded.wait_until_active(&a, 30);
    for _ in 0..20 {
        let mut stream = TcpStream::connect_timeout(&other.address().unwrap(), SOON).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    assert_eq!(flooded.active(&a), 30);
    drop(flood);
    flooded.wait_until_active(&a, 0);
}

#[test]
fn a_server_that_never_reads_loses_its_connection() {
    let fixture = fixture(RelayLimits { stall: SHORT, ..PATIENT });
    let server = server(&fixture, hold);
    let (mut stream, _) = fixture.open().unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    let bytes = vec![0; 1 << 20];
    let error = (0..1000).find_map(|_| stream.write_all(&bytes).err()).expect("it takes a gigabyte");
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    wait_until_none_is_active(&fixture, server);
}

/// All of it fits into what the kernels hold, so nobody waits to write: what is not taken is seen all the same.
#[test]
fn what_waits_in_the_kernel_waits_too() {
    let fixture = fixture(RelayLimits { stall: SHORT, ..PATIENT });
    server(&fixture, |stream| {
        // Less than is sent, so some of it stays with the relay's kernel.
        SockRef::from(&stream).set_recv_buffer_size(4096).unwrap();
        hold(stream);
    });
    let (mut stream, _) = fixture.open().unwrap();
    stream.write_all(&vec![0; 1 << 20]).unwrap();
    assert_eq!(end(&stream), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_never_reads_loses_its_connection() {
    let fixture = fixture(RelayLimits { stall: SHORT, ..PATIENT });
    let server = server(&fixture, |mut stream| while stream.write_all(&[0; 65_536]).is_ok() {});
    let _client = fixture.open().unwrap();
    wait_until_none_is_active(&fixture, server);
}

/// Never fast, but never still for as long as the limit.
#[test]
fn whoever_reads_slowly_keeps_its_connection() {
    let fixture = fixture(RelayLimits { stall: Duration::from_secs(4), ..PATIENT });
    server(&fixture, |mut stream| {
        let mut bytes = vec![0; 128 << 10];
        while matches!(stream.read(&mut bytes), Ok(1..)) {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let (mut stream, _) = fixture.open().unwrap();
    stream.set_write_timeout(Some(SOON)).unwrap();
    let began = std::time::Instant::now();
    let bytes = vec![0; 256 << 10];
    while began.elapsed() < Duration::from_secs(10) {
        stream.write_all(&bytes).unwrap();
    }
}

#[test]
fn a_silent_connection_is_cut_and_one_that_speaks_is_not() {
    let a = Server::start(b'a');
    let fixture = fixture(RelayLimits { idle: Duration::from_secs(3), ..PATIENT });
    fixture.add(&a, 1);
    let (silent, _) = fixture.open().unwrap();
    let (mut speaks, _) = fixture.open().unwrap();
    let waiting = std::thread::spawn(move || end(&silent));
    while !waiting.is_finished() {
        assert_eq!(echo(&mut speaks, "here"), "here");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(waiting.join().unwrap(), ErrorKind::ConnectionReset);
    assert_eq!(echo(&mut speaks, "here"), "here");
}

#[test]
fn once_one_side_has_ended_the_other_has_less_time() {
    let fixture = fixture(RelayLimits { half_close: SHORT, ..PATIENT });
    server(&fixture, hold);
    let (open, _) = fixture.open().unwrap();
    let (ended, _) = fixture.open().unwrap();
    ended.shutdown(Shutdown::Write).unwrap();
    assert_eq!(end(&ended), ErrorKind::ConnectionReset);
    open.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(end(&open), ErrorKind::WouldBlock, "it goes on");
}

/// As at a restart: whoever had the port is about to let go.
/// A port that somebody has, and a relay that is to listen there.
fn taken() -> (TcpListener, ServiceKey, Relay, Op) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: taken.local_addr().unwrap() };
    (taken, key, Relay::start().unwrap(), Op::AddService { key, service: service("rr") })
}

#[test]
fn a_port_that_is_let_go_soon_is_waited_for() {
    let (taken, key, relay, op) = taken();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let applied = relay.apply_in_time(&op);
        tokio::pin!(applied);
        assert!(futures::poll!(&mut applied).is_pending(), "it waits");
        drop(taken);
        applied.await.unwrap();
    });
    // Somebody listens there. Without a real server the connection is reset at once, maybe before this looks.
    let answer = TcpStream::connect_timeout(&key.address().unwrap(), SOON);
    let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
    assert!(answer.as_ref().err().is_none_or(reset), "{answer:?}");
}

#[test]
fn a_port_that_stays_taken_is_a_refusal_after_a_moment_and_then_at_once() {
    let (_taken, _, relay, op) = taken();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let refusal = relay.apply_in_time(&op).await.unwrap_err();
        assert!(refusal.contains("cannot listen on 127.0.0.1"), "{refusal}");
        let again = relay.apply_in_time(&op);
        tokio::pin!(again);
        assert!(futures::poll!(&mut again).is_ready(), "the patience is used up");
    });
    assert_eq!(relay.table(), Table::default());
}
