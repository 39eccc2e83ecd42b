//! A connection that a client keeps open breaks only where something happened that may break it.
//!
//! A reload, an upgrade and a drain may not, whatever the directors do meanwhile: what they hold goes on. All other steps may, for as
//! long as what follows from them may take: a takeover, and a client that believes its neighbour entry to the end; and so may
//! a change of roles, a real server that goes down, and what lasts: a way that loses packets, a machine that does not run, a
//! service that is down or slow. A destination that a reload takes out of the configuration takes its connections with it.

use super::{Invariant, MARGIN, secs, settles};
use crate::trace::{Break, Entry, What};
use crate::world::neighbours::LONGEST_BELIEF;
use crate::world::{Process, Server, State, World};
use vipward_core::decision::Decision;
use vipward_core::quantity::Role;
use vipward_core::time::Instant;

pub const NAME: &str = crate::scenario::invariant::CONNECTION_KEPT;

/// Steps that nobody may notice, by their word.
const UNNOTICED: [&str; 4] = ["UPGRADE", "RELOAD", "FORGED", "ORDER"];

#[derive(Default)]
pub struct ConnectionKept {
    entries: usize,
    breaks: usize,
    /// When something last happened that may break connections.
    shaken: Instant,
}

impl Invariant for ConnectionKept {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, world: &World) -> Vec<String> {
        if !world.keeps_connections() {
            return Vec::new();
        }
        let now = world.now();
        for entry in world.trace.iter().skip(self.entries) {
            if shakes(entry) {
                self.shaken = entry.at;
            }
        }
        self.entries = world.trace.len();
        let new = world.breaks.get(self.breaks..).unwrap_or_default();
        self.breaks = world.breaks.len();
        let quiet = now.since(self.shaken);
        if new.is_empty() || quiet <= settles::bound(world) + LONGEST_BELIEF + MARGIN || !well(world) {
            return Vec::new();
        }
        let spoken = |it: &Break| {
            let (client, quiet) = (world.name(it.client), secs(quiet));
            format!(
                "a connection of {client} broke though nothing happened for {quiet} that may break one: {}",
                it.cause
            )
        };
        new.iter().filter(|it| configured(world, it)).map(spoken).collect()
    }
}

/// It may break connections, or lead to what does.
fn shakes(entry: &Entry) -> bool {
    match &entry.what {
        What::Step { word, .. } => !UNNOTICED.contains(word),
        // A supervisor starts one anew.
        What::Started | What::Ended { .. } | What::KernelForgot | What::Stopped => true,
        What::Decided(decision) => match decision {
            // Of a fresh start.
            Decision::RoleChanged { from: Role::Init, .. } => false,
            Decision::RoleChanged { .. } | Decision::ServerUp { .. } | Decision::ServerDown { .. } => true,
            Decision::QuorumGained { .. } | Decision::QuorumLost { .. } => true,
            // The limit of a drain.
            Decision::ServerTakenOut { connections, .. } => *connections != Some(0),
            // What a machine says without doing anything to an address or a destination.
            _ => false,
        },
        What::ServerUp { .. } | What::ServerDown { .. } => true,
        // What a client or a table shows is not a cause.
        _ => false,
    }
}

/// Nothing lasts that may break connections.
fn well(world: &World) -> bool {
    let serves = |server: &Server| server.listening && server.slow.is_zero() && server.status < 500;
    let node_is_well = |id| {
        let node = world.node(id);
        let state = match &node.state {
            State::Director(it) => it.process == Process::Running && !it.still() && it.services.values().all(serves),
            State::Server(server) => serves(server),
            State::Other => true,
        };
        state && node.power && node.unplugged.is_empty()
    };
    !world.impaired() && !world.drops_garp() && world.ids().all(node_is_well)
}

/// The configuration of its director still names where it went; no director: nobody took it out.
fn configured(world: &World, it: &Break) -> bool {
    let Some((director, destination)) = it.through else { return true };
    let config = world.director(director).and_then(|director| director.config.as_ref());
    let services = config.into_iter().flat_map(|config| &config.services);
    let mut named = services.flat_map(|service| {
        let sorry = service.sorry_server.iter().map(|sorry| sorry.address);
        service.real_servers.iter().map(|server| server.address).chain(sorry)
    });
    named.any(|address| address.ip() == destination.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::tests::EventRun;
    use crate::scenario::{Action, NodeKind};
    use crate::testing::{LB1, VIP, VISITOR, WEB1, pair};
    use crate::world::tests::{hold, serve};
    use vipward_core::ipvs::{Forwarding, Op, Protocol, ServiceKey};

    /// A visitor keeps a connection over lb1 to web1, and nothing has happened for long at `quiet_until`.
    fn kept() -> EventRun {
        let mut scenario = pair();
        let NodeKind::Client(client) = &mut scenario.nodes[VISITOR.0].kind else { panic!("a client") };
        client.keeps = 1;
        let mut run = EventRun::new(scenario);
        hold(&mut run.world, LB1);
        serve(&mut run.world, LB1, Forwarding::Dr);
        run
    }

    fn takes_out(run: &mut EventRun, address: &str) {
        let service = ServiceKey::Address { protocol: Protocol::Tcp, address: format!("{VIP}:80").parse().unwrap() };
        run.world.ipvs(LB1, &Op::RemoveDestination { service, address: address.parse().unwrap() }).unwrap();
    }

    #[test]
    fn a_destination_that_is_taken_out_while_nothing_happens() {
        let mut run = kept();
        run.until(100_000);
        assert_eq!(run.broken_by(NAME), [""; 0]);
        takes_out(&mut run, "192.0.2.21:80");
        run.until(102_000);
        let broken = run.broken_by(NAME);
        assert_eq!(broken.len(), 1, "{broken:?}");
        assert!(broken[0].contains("broke though nothing happened for 10"), "{broken:?}");
        assert!(broken[0].ends_with("lb1 has 192.0.2.21:80 no more, and drops it"), "{broken:?}");
    }

    #[test]
    fn one_that_goes_soon_after_a_step() {
        let mut run = kept();
        run.until(100_000);
        run.world.act(&Action::Down(WEB1.into()));
        run.world.act(&Action::Up(WEB1.into()));
        takes_out(&mut run, "192.0.2.21:80");
        run.until(102_000);
        assert_eq!(run.world.breaks.len(), 1);
        assert_eq!(run.broken_by(NAME), [""; 0]);
    }

    #[test]
    fn one_that_goes_while_a_machine_does_not_run() {
        let mut run = kept();
        run.world.act(&Action::Freeze(crate::testing::LB2));
        run.until(200_000);
        takes_out(&mut run, "192.0.2.21:80");
        run.until(202_000);
        assert_eq!(run.world.breaks.len(), 1);
        assert_eq!(run.broken_by(NAME), [""; 0]);
    }
}
