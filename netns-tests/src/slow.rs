//! A way through which every byte takes longer: what a far data centre is to a TCP connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};
use vipward_lab::Node;

/// Listens at `from` on a node and passes on what comes, to `to` and back, each direction `delay` later. It ends with
/// the process.
///
/// # Errors
/// The port can't be had.
pub fn slow_way(node: &Node, from: SocketAddr, to: SocketAddr, delay: Duration) -> io::Result<()> {
    let listener = node.run(move || TcpListener::bind(from))?;
    node.thread("slow way", move || {
        for near in listener.incoming().map_while(Result::ok) {
            // A thread begins in its parent's network namespace.
            spawn(move || {
                sleep(delay);
                let Ok(far) = TcpStream::connect(to) else { return };
                let Ok((near_too, far_too)) = near.try_clone().and_then(|near| Ok((near, far.try_clone()?))) else {
                    return;
                };
                carry(near, far, delay);
                carry(far_too, near_too, delay);
            });
        }
    })?;
    Ok(())
}

/// Two threads: one reads and notes when it did, the other writes when the time has come.
fn carry(mut from: TcpStream, to: TcpStream, delay: Duration) {
    let (sender, receiver): (Sender<(Instant, Vec<u8>)>, _) = channel();
    spawn(move || write_later(&receiver, to, delay));
    spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(got) = from.read(&mut buffer) {
            let read = buffer.get(..got).unwrap_or_default().to_vec();
            if sender.send((Instant::now(), read)).is_err() || got == 0 {
                break;
            }
        }
    });
}

fn write_later(receiver: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream, delay: Duration) {
    for (read, bytes) in receiver {
        sleep((read + delay).saturating_duration_since(Instant::now()));
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown(Shutdown::Write);
}
