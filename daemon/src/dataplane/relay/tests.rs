//! The relay over loopback: real sockets, no time asserted but with generous deadlines.

use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;
use vipward_core::ipvs::{Destination, Forwarding, Persistence, Scheduler};

pub const SOON: Duration = Duration::from_secs(10);

/// A server that greets every connection with its letter and then echoes until the client has closed its half.
pub struct Server {
    pub address: SocketAddr,
    listener: Option<TcpListener>,
    _accepting: JoinHandle<()>,
}

impl Server {
    pub fn start(letter: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = listener.try_clone().unwrap();
        let accepting = std::thread::spawn(move || {
            for stream in accepting.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    stream.write_all(&[letter]).unwrap();
                    let mut bytes = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut bytes) {
                        stream.write_all(&bytes[..length]).unwrap();
                    }
                });
            }
        });
        Self { address, listener: Some(listener), _accepting: accepting }
    }

    /// From now on it refuses connections; those that it has go on.
    fn refuse(&mut self) {
        let socket = Socket::from(self.listener.take().unwrap());
        socket.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

pub struct Fixture {
    pub relay: Relay,
    pub key: ServiceKey,
}

impl Fixture {
    /// A relay with one service on a free port of a loopback address that nobody has configured.
    pub fn new(scheduler: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let key = ServiceKey::Address { protocol: Protocol::Tcp, address: SocketAddr::from(([127, 0, 0, 53], port)) };
        let fixture = Self { relay: Relay::start().unwrap(), key };
        fixture.relay.apply(&Op::AddService { key, service: service(scheduler) }).unwrap();
        fixture
    }

    pub fn add(&self, server: &Server, weight: u32) {
        let op = Op::AddDestination { service: self.key, address: server.address, destination: destination(weight) };
        self.relay.apply(&op).unwrap();
    }

    fn edit(&self, server: &Server, weight: u32) {
        let op = Op::EditDestination { service: self.key, address: server.address, destination: destination(weight) };
        self.relay.apply(&op).unwrap();
    }

    fn remove(&self, server: &Server) {
        self.relay.apply(&Op::RemoveDestination { service: self.key, address: server.address }).unwrap();
    }

    /// Opens a connection; the letter tells who has it.
    pub fn open(&self) -> Option<(TcpStream, char)> {
        let mut stream = TcpStream::connect_timeout(&self.key.address().unwrap(), SOON).ok()?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut letter = [0];
        stream.read_exact(&mut letter).ok()?;
        Some((stream, char::from(letter[0])))
    }

    /// Who has each of `n` connections, opened and closed one after the other.
    fn letters(&self, n: usize) -> String {
        (0..n).map(|_| self.open().map_or('-', |(_, letter)| letter)).collect()
    }

    pub fn active(&self, server: &Server) -> u32 {
        self.relay.connections(&self.key, server.address).active
    }

    pub fn wait_until_active(&self, server: &Server, wanted: u32) {
        let deadline = std::time::Instant::now() + SOON;
        while self.active(server) != wanted {
            assert!(std::time::Instant::now() < deadline, "{} connections, not {wanted}", self.active(server));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub fn service(scheduler: &str) -> Service {
    Service {
        scheduler: Scheduler(Arc::from(scheduler)),
        persistence: None,
        flags: Default::default(),
        persistence_engine: None,
    }
}

pub fn destination(weight: u32) -> Destination {
    Destination { weight, forwarding: Forwarding::Nat, upper_threshold: 0, lower_threshold: 0 }
}

pub fn echo(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    String::from_utf8(back).unwrap()
}

#[test]
fn round_robin_alternates() {
    let (a, b) = (Server::start(b'a'), Server::start(b'b'));
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    fixture.add(&b, 1);
    let letters = fixture.letters(6);
    assert!(letters == "ababab" || letters == "bababa", "{letters}");
}

#[test]
fn weights_share_the_connections() {
    let (a, b) = (Server::start(b'a'), Server::start(b'b'));
    let fixture = Fixture::new("wrr");
    fixture.add(&a, 3);
    fixture.add(&b, 1);
    assert_eq!(fixture.letters(8).matches('a').count(), 6);
}

#[test]
fn least_connections_counts_the_open_ones() {
    let (a, b) = (Server::start(b'a'), Server::start(b'b'));
    let fixture = Fixture::new("lc");
    fixture.add(&a, 1);
    let held: Vec<_> = (0..3).map(|_| fixture.open().unwrap()).collect();
    assert_eq!(fixture.active(&a), 3);
    fixture.add(&b, 1);
    let more: Vec<_> = (0..3).map(|_| fixture.open().unwrap()).collect();
    assert_eq!(more.iter().map(|(_, letter)| letter).collect::<String>(), "bbb");
    drop((held, more));
    fixture.wait_until_active(&a, 0);
    fixture.wait_until_active(&b, 0);
}

#[test]
fn weight_zero_takes_nothing_new_and_keeps_what_it_has() {
    let (a, b) = (Server::start(b'a'), Server::start(b'b'));
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    let (mut held, _) = fixture.open().unwrap();
    fixture.add(&b, 1);
    fixture.edit(&a, 0);
    assert_eq!(fixture.letters(4), "bbbb");
    assert_eq!(echo(&mut held, "still here"), "still here");
}

#[test]
fn a_removed_destination_keeps_its_connections() {
    let a = Server::start(b'a');
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    let (mut held, _) = fixture.open().unwrap();
    fixture.remove(&a);
    assert_eq!(fixture.letters(1), "-");
    assert_eq!(echo(&mut held, "still here"), "still here");
    drop(held);
    fixture.wait_until_active(&a, 0);
}

#[test]
fn a_refused_connection_goes_to_the_next_destination() {
    let (mut a, b) = (Server::start(b'a'), Server::start(b'b'));
    a.refuse();
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    fixture.add(&b, 1);
    assert_eq!(fixture.letters(4), "bbbb");
    assert_eq!(fixture.active(&a), 0);
}

#[test]
fn nobody_to_serve_is_a_reset_and_not_an_empty_answer() {
    let mut a = Server::start(b'a');
    a.refuse();
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    // On a busy machine the reset is there before the client has seen that it is connected.
    let answer = TcpStream::connect_timeout(&fixture.key.address().unwrap(), SOON).and_then(|mut stream| {
        stream.set_read_timeout(Some(SOON))?;
        stream.read(&mut [0])
    });
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_half_closed_connection_still_answers() {
    let a = Server::start(b'a');
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    let (mut stream, _) = fixture.open().unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let to_send = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&to_send).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == sent, "{} bytes came back of {}", back.len(), sent.len());
}

#[test]
fn a_server_that_breaks_off_resets_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fixture = Fixture::new("rr");
    let op = Op::AddDestination {
        service: fixture.key,
        address: listener.local_addr().unwrap(),
        destination: destination(1),
    };
    fixture.relay.apply(&op).unwrap();
    let breaking = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"a").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(); // ends with RST
    });
    let (mut stream, _) = fixture.open().unwrap();
    stream.write_all(b"x").unwrap();
    breaking.join().unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn persistence_keeps_a_client_where_it_was() {
    let (a, b) = (Server::start(b'a'), Server::start(b'b'));
    let fixture = Fixture::new("rr");
    let persistence = Persistence::each_client(60);
    let service = Service { persistence: Some(persistence), ..service("rr") };
    fixture.relay.apply(&Op::EditService { key: fixture.key, service }).unwrap();
    fixture.add(&a, 1);
    fixture.add(&b, 1);
    let letters = fixture.letters(4);
    assert!(letters == "aaaa" || letters == "bbbb", "{letters}");
}

#[test]
fn a_removed_service_is_closed_at_once_and_can_come_back_at_once() {
    let a = Server::start(b'a');
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    let (mut held, _) = fixture.open().unwrap();
    for _ in 0..50 {
        fixture.relay.apply(&Op::RemoveService { key: fixture.key }).unwrap();
        let refused = TcpStream::connect_timeout(&fixture.key.address().unwrap(), SOON).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        fixture.relay.apply(&Op::AddService { key: fixture.key, service: service("rr") }).unwrap();
    }
    fixture.add(&a, 1);
    assert_eq!(fixture.letters(2), "aa");
    assert_eq!(echo(&mut held, "still here"), "still here");
}

#[test]
fn an_address_of_another_host_can_be_listened_to() {
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: "192.0.2.100:80".parse().unwrap() };
    let relay = Relay::start().unwrap();
    relay.apply(&Op::AddService { key, service: service("rr") }).unwrap();
    assert!(relay.table().services.contains_key(&key));
}

#[test]
fn a_port_that_is_taken_is_a_refusal_and_leaves_the_table_as_it_was() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: taken.local_addr().unwrap() };
    let relay = Relay::start().unwrap();
    let refusal = relay.apply(&Op::AddService { key, service: service("rr") }).unwrap_err();
    assert!(refusal.contains("cannot listen on 127.0.0.1"), "{refusal}");
    assert_eq!(relay.table(), Table::default());
    drop(taken);
    relay.apply(&Op::AddService { key, service: service("rr") }).unwrap();
}

#[test]
fn refuses_what_the_kernel_refuses() {
    let fixture = Fixture::new("rr");
    let again = Op::AddService { key: fixture.key, service: service("rr") };
    assert!(fixture.relay.apply(&again).is_err());
    let other = ServiceKey::Address { protocol: Protocol::Udp, address: fixture.key.address().unwrap() };
    assert!(fixture.relay.apply(&Op::RemoveService { key: other }).is_err());
    // Other protocols stay in the table, so that nobody adds them again and again; they are not served.
    fixture.relay.apply(&Op::AddService { key: other, service: service("rr") }).unwrap();
    assert_eq!(fixture.relay.table().services.len(), 2);
}

#[tokio::test]
async fn a_task_may_drop_it() {
    drop(Relay::start().unwrap());
}

#[test]
fn dropping_it_cuts_what_it_carries() {
    let a = Server::start(b'a');
    let fixture = Fixture::new("rr");
    fixture.add(&a, 1);
    let (mut held, _) = fixture.open().unwrap();
    let address = fixture.key.address().unwrap();
    drop(fixture);
    assert!(TcpStream::connect_timeout(&address, SOON).is_err());
    assert!(matches!(held.read(&mut [0]), Ok(0) | Err(_)), "the connection is over");
}

#[test]
fn as_many_connections_as_the_administrator_allows() {
    let _relay = Relay::start().unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!(soft, hard);
}
