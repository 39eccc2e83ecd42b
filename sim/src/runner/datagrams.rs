//! Datagrams of probes. turmoil drops what nobody listens for and knows no ICMP, so the world carries these: lost or not, late,
//! refused by a kernel, answered by a service as slowly as it is.

use super::seam::{Daemon, Runner};
use super::tasks::{ARP_GIVES_UP, Tasks};
use crate::scenario::NodeId;
use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use tokio::time::sleep;
use vipward_core::check::dns::Query;
use vipward_core::check::{Datagrams, ProbeKind};
use vipward_core::config::{CheckerConfig, CheckerKind};
use vipward_core::time::Duration;

/// What it takes on a way without delay, as in the other runner.
const EXCHANGE: Duration = Duration::from_millis(1);

/// Between a checker and a real server.
pub(super) struct SimDatagrams {
    daemon: Daemon<Tasks>,
    target: SocketAddr,
    /// What was sent and not answered yet.
    sent: RefCell<Option<Vec<u8>>>,
}

impl SimDatagrams {
    pub(super) fn new(daemon: Daemon<Tasks>, target: SocketAddr) -> Self {
        Self { daemon, target, sent: RefCell::new(None) }
    }

    /// Whoever has the target's address, and how long the way there and back takes; no time: it is lost.
    fn way(&self) -> Option<(NodeId, Option<Duration>)> {
        let mut world = self.daemon.runner.world_mut();
        let server = world.holder_of_own(self.target.ip())?;
        Some((server, world.round_trip(self.daemon.id, server).ok()))
    }

    /// The answer of a service with this status, as the checker that asks wants it.
    fn answer(&self, asked: &[u8], status: u16) -> Vec<u8> {
        let world = self.daemon.runner.world();
        let configs = world.directors().filter_map(|(_, director)| director.config.as_ref());
        let servers = configs.flat_map(|config| &config.services).flat_map(|service| &service.real_servers);
        let mut checkers = servers.flat_map(|server| &server.checkers);
        let asks = |checker: &&CheckerConfig| {
            checker.target == self.target && matches!(checker.kind, CheckerKind::Udp(_) | CheckerKind::Dns(_))
        };
        match checkers.find(asks).map(|checker| checker.kind.attempt(0)) {
            Some(ProbeKind::Udp(send)) => send.sample(status),
            Some(ProbeKind::Dns(_)) => Query::sample(asked, status),
            _ => asked.to_vec(), // Of no other kind that sends datagrams.
        }
    }
}

impl Datagrams for SimDatagrams {
    async fn send(&self, payload: &[u8]) -> io::Result<()> {
        self.sent.replace(Some(payload.to_vec()));
        Ok(())
    }

    async fn receive(&self, room: usize) -> io::Result<Vec<u8>> {
        let Some(asked) = self.sent.take() else { return pending().await };
        let Some((server, late)) = self.way() else {
            // Nobody answers ARP.
            sleep(ARP_GIVES_UP).await;
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, "No route to host"));
        };
        let Some(late) = late else { return pending().await };
        sleep(late + EXCHANGE).await;
        let found = {
            let world = self.daemon.runner.world();
            world.listening(server, self.target.port()).map(|state| (state.slow, state.status, state.closings))
        };
        let Some((slow, status, closings)) = found else {
            self.daemon.thawed().await;
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        sleep(slow).await;
        let lost = {
            let world = self.daemon.runner.world();
            let dead = world.closed_since(server, self.target.port(), closings);
            dead || !world.reachable(self.daemon.id, server)
        };
        if lost {
            return pending().await;
        }
        self.daemon.thawed().await;
        let mut answer = self.answer(&asked, status);
        answer.truncate(room);
        Ok(answer)
    }
}
