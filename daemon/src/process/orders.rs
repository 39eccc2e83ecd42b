//! A worker's way to its supervisor: orders that come, reports that leave, and signals that are not the worker's.

use crate::process::supervise::wire;
use crate::process::supervise::wire::Line;
use crate::system::signals;
use nix::sys::signal::SigSet;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};
use vipward_core::supervisor::Order;

/// The line to the supervisor.
pub struct Supervisor {
    /// tokio knows no sockets of packets; its UDP socket waits for any descriptor, and the system call is ours.
    orders: UdpSocket,
    pub reports: Line,
}

/// What it may say, and that it is gone.
pub enum Told {
    /// With what came along.
    Order(Order, Option<OwnedFd>),
    Gone,
}

impl Supervisor {
    pub fn listen(socket: OwnedFd) -> io::Result<Self> {
        let orders = std::net::UdpSocket::from(socket.try_clone()?);
        orders.set_nonblocking(true)?;
        Ok(Self { orders: UdpSocket::from_std(orders)?, reports: Line::new(Arc::new(socket)) })
    }

    pub async fn next(&mut self) -> Told {
        let mut buffer = Box::new([0; wire::LONGEST]);
        loop {
            let receive = || {
                let received = wire::receive_packet_with(&self.orders, &mut buffer)?;
                Ok(received.map(|(packet, with)| wire::decode::<Order>(packet).map(|order| (order, with))))
            };
            match self.orders.async_io(Interest::READABLE, receive).await {
                Ok(Some(Ok((order, with)))) => return Told::Order(order, with),
                Ok(Some(Err(unreadable))) => tracing::error!("an order that makes no sense: {unreadable:?}"),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(None) | Err(_) => return Told::Gone,
            }
        }
    }
}

/// Signals are the supervisor's. Those that a terminal or a service manager sends to a whole group of processes arrive
/// here as well, and must not end a worker that has to stop in order. They are heard and not ignored, as scripts would
/// inherit that. Until now they were blocked.
pub fn leave_signals_to_the_supervisor() -> io::Result<()> {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        SignalKind::from_raw(signals::json()),
    ];
    for kind in kinds {
        // A handler stays for good.
        drop(signal(kind)?);
    }
    Ok(SigSet::empty().thread_set_mask()?)
}
