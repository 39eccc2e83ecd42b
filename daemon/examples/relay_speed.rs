//! How fast the embedded relay is on this machine, over loopback: `cargo run --release -p vipward --example
//! relay_speed`. Prints; asserts nothing.

#[path = "../src/dataplane/relay/mod.rs"]
#[allow(dead_code)] // the daemon uses all of it
mod relay;

/// What the relay stands on.
#[path = "../src/system"]
#[allow(dead_code)]
mod system {
    pub mod clock;
    pub mod quiet;
    pub mod shortage;
}

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use vipward_core::ipvs::{Destination, Forwarding, Op, Protocol, Scheduler, Service, ServiceKey};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let destination = server.local_addr()?;
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let virtual_server = SocketAddr::from(([127, 0, 0, 53], port));
    let key = ServiceKey::Address { protocol: Protocol::Tcp, address: virtual_server };
    let relay = relay::Relay::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(relay.apply_in_time(&Op::AddService {
        key,
        service: Service {
            scheduler: Scheduler(Arc::from("rr")),
            persistence: None,
            flags: Default::default(),
            persistence_engine: None,
        },
    }))?;
    runtime.block_on(relay.apply_in_time(&Op::AddDestination {
        service: key,
        address: destination,
        destination: Destination { weight: 1, forwarding: Forwarding::Nat, upper_threshold: 0, lower_threshold: 0 },
    }))?;
    println!("{:24}{:>14}{:>14}", "", "direct", "by the relay");
    let row = |what: &str, unit: &str, direct: f64, relayed: f64| {
        println!("{what:24}{direct:>10.1} {unit:3}{relayed:>10.1} {unit:3}");
    };
    row("one stream", "Gb/s", throughput(destination)?, throughput(virtual_server)?);
    let (direct, relayed) = (connections(destination)?, connections(virtual_server)?);
    row("new connection, median", "us", micros(median(&direct)), micros(median(&relayed)));
    row("new connection, p99", "us", micros(percentile(&direct, 99)), micros(percentile(&relayed, 99)));
    Ok(())
}

/// Reads one letter: `p` answers one letter, `t` takes everything to the end.
fn serve(mut stream: TcpStream) {
    let mut letter = [0];
    if stream.read_exact(&mut letter).is_err() {
        return;
    }
    if letter == *b"p" {
        let _ = stream.write_all(b"p");
        return;
    }
    let mut bytes = vec![0; 256 * 1024];
    while matches!(stream.read(&mut bytes), Ok(1..)) {}
    let _ = stream.write_all(b"t");
}

/// Gigabits a second over one connection, for two seconds.
fn throughput(target: SocketAddr) -> std::io::Result<f64> {
    let mut stream = TcpStream::connect(target)?;
    stream.write_all(b"t")?;
    let bytes = vec![0; 256 * 1024];
    let (start, mut sent) = (Instant::now(), 0.0);
    while start.elapsed() < Duration::from_secs(2) {
        stream.write_all(&bytes)?;
        sent += bytes.len() as f64;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read_exact(&mut [0])?;
    Ok(sent * 8.0 / start.elapsed().as_secs_f64() / 1e9)
}

/// How long a connection with one question and one answer takes, sorted.
fn connections(target: SocketAddr) -> std::io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..2000 {
        let start = Instant::now();
        let mut stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        stream.write_all(b"p")?;
        stream.read_exact(&mut [0])?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

fn median(sorted: &[Duration]) -> Duration {
    percentile(sorted, 50)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
