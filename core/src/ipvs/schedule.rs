//! IPVS's schedulers in user space (`lb_algo`; ipvsadm(8), `--scheduler`): which destination takes a new connection.
//!
//! For a machine whose kernel has no IPVS, and for the simulator's. What they have in common: weight 0 takes no new
//! connection, and a destination that reached its `upper_threshold` takes none until it is below its
//! `lower_threshold` again (without one: below three quarters of the upper).

use super::persistence::Templates;
use super::table::{Destination, Scheduler, ServiceEntry};
use crate::time::Instant;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound::{Excluded, Unbounded};

/// The schedulers that work in user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connection.
    Lc,
    /// Weighted least connection.
    Wlc,
    /// Source hashing.
    Sh,
}

impl Algorithm {
    /// The algorithm of that name. `None`: only the kernel has it, and [`Algorithm::FALLBACK`] stands in; the caller
    /// should say so.
    pub fn named(scheduler: &Scheduler) -> Option<Self> {
        match &*scheduler.0 {
            "rr" => Some(Self::Rr),
            "wrr" => Some(Self::Wrr),
            "lc" => Some(Self::Lc),
            "wlc" => Some(Self::Wlc),
            "sh" => Some(Self::Sh),
            _ => None,
        }
    }

    /// Stands in for a scheduler that only the kernel has; keepalived's default too.
    pub const FALLBACK: Self = Self::Wlc;
}

/// A destination's connections, counted by whoever carries them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Established ones.
    pub active: u32,
    /// Those that are closed and not yet forgotten; the kernel remembers a closed TCP connection for two minutes.
    pub inactive: u32,
}

impl Connections {
    fn total(self) -> u64 {
        u64::from(self.active) + u64::from(self.inactive)
    }

    /// lc and wlc hold an active connection for 256 times as dear as an inactive one.
    fn overhead(self) -> u64 {
        u64::from(self.active) * 256 + u64::from(self.inactive)
    }
}

/// One service's scheduler with what it remembers from connection to connection.
///
/// The service may change from call to call: what is remembered are addresses, not positions. Only a new algorithm
/// starts afresh.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    algorithm: Option<Algorithm>,
    /// rr and wrr: the destination that was last in turn.
    last: Option<SocketAddr>,
    /// wrr: the weight that a destination needs in this round.
    current_weight: u32,
    /// Destinations that reached their upper threshold and are not below the lower one yet.
    overloaded: BTreeSet<SocketAddr>,
    templates: Templates,
}

impl Picker {
    /// The destination for a new connection of `client`; `None`: nobody can take it. The caller counts the connection
    /// from now on, and `connections` tells the counts before it.
    pub fn pick(
        &mut self,
        entry: &ServiceEntry,
        client: IpAddr,
        connections: impl Fn(SocketAddr) -> Connections,
        now: Instant,
    ) -> Option<SocketAddr> {
        let algorithm = Algorithm::named(&entry.service.scheduler).unwrap_or(Algorithm::FALLBACK);
        if self.algorithm.replace(algorithm).is_some_and(|before| before != algorithm) {
            self.last = None;
            self.current_weight = 0;
        }
        self.watch_thresholds(entry, &connections);
        let kept = self.kept(entry, client, now);
        let chosen = kept.or_else(|| self.schedule(algorithm, entry, client, &connections))?;
        if let Some(persistence) = entry.service.persistence {
            self.templates.set(persistence, client, chosen, now);
        }
        let upper = entry.destinations.get(&chosen).map_or(0, |destination| u64::from(destination.upper_threshold));
        if upper != 0 && connections(chosen).total() + 1 >= upper {
            self.overloaded.insert(chosen);
        }
        Some(chosen)
    }

    /// How many clients persistence remembers.
    pub fn templates(&self) -> usize {
        self.templates.len()
    }

    /// Where persistence sends this client. Its destination must still be there with a weight (the kernel's
    /// `expire_quiescent_template`: with `inhibit_on_failure` weight 0 means dead); a threshold does not break the bond.
    fn kept(&mut self, entry: &ServiceEntry, client: IpAddr, now: Instant) -> Option<SocketAddr> {
        let address = self.templates.get(entry.service.persistence?, client, now)?;
        entry.destinations.get(&address).is_some_and(|destination| destination.weight > 0).then_some(address)
    }

    fn watch_thresholds(&mut self, entry: &ServiceEntry, connections: &impl Fn(SocketAddr) -> Connections) {
        self.overloaded.retain(|address| {
            let Some(destination) = entry.destinations.get(address) else { return false };
            let (upper, lower) = (u64::from(destination.upper_threshold), u64::from(destination.lower_threshold));
            let total = connections(*address).total();
            match (upper, lower) {
                (0, _) => false,
                (_, 0) => total * 4 >= upper * 3,
                (_, _) => total >= lower,
            }
        });
        for (address, destination) in &entry.destinations {
            let upper = u64::from(destination.upper_threshold);
            if upper != 0 && connections(*address).total() >= upper {
                self.overloaded.insert(*address);
            }
        }
    }

    fn schedule(
        &mut self,
        algorithm: Algorithm,
        entry: &ServiceEntry,
        client: IpAddr,
        connections: &impl Fn(SocketAddr) -> Connections,
    ) -> Option<SocketAddr> {
        match algorithm {
            Algorithm::Rr => self.in_turn(entry, 1),
            Algorithm::Wrr => self.weighted_turn(entry),
            Algorithm::Lc => self.least(entry, |address, _| (connections(address).overhead(), 1)),
            Algorithm::Wlc => self
                .least(entry, |address, destination| (connections(address).overhead(), u64::from(destination.weight))),
            Algorithm::Sh => self.by_source(entry, client),
        }
    }

    fn usable(&self, address: &SocketAddr, destination: &Destination) -> bool {
        destination.weight > 0 && !self.overloaded.contains(address)
    }

    /// The next usable destination behind the last one with at least that weight.
    fn in_turn(&mut self, entry: &ServiceEntry, weight: u32) -> Option<SocketAddr> {
        let behind = self.last.map_or(Unbounded, Excluded);
        let round = entry.destinations.range((behind, Unbounded)).chain(&entry.destinations);
        let fits = |(address, destination): &(_, &Destination)| {
            self.usable(address, destination) && destination.weight >= weight
        };
        let chosen = round.map(|(address, destination)| (*address, destination)).find(fits)?.0;
        self.last = Some(chosen);
        Some(chosen)
    }

    /// Rounds with a falling bar: in each, those whose weight reaches it are served in turn; a round lowers the bar by
    /// the greatest common divisor of the weights (Linux Virtual Server, "Weighted Round-Robin Scheduling").
    fn weighted_turn(&mut self, entry: &ServiceEntry) -> Option<SocketAddr> {
        let weights = || entry.destinations.iter().filter(|(a, d)| self.usable(a, d)).map(|(_, d)| d.weight);
        let greatest = weights().max()?;
        let step = weights().fold(0, gcd);
        if self.current_weight == 0 || self.current_weight > greatest {
            self.current_weight = greatest;
        }
        let rest = (self.last.map_or(Unbounded, Excluded), Unbounded);
        let bar = self.current_weight;
        let in_this_round =
            entry.destinations.range(rest).find(|(a, d)| self.usable(a, d) && d.weight >= bar).map(|(a, _)| *a);
        if let Some(chosen) = in_this_round {
            self.last = Some(chosen);
            return Some(chosen);
        }
        // The round is over, unless this is the first.
        if self.last.take().is_some() {
            self.current_weight = bar.saturating_sub(step);
            if self.current_weight == 0 {
                self.current_weight = greatest;
            }
        }
        self.in_turn(entry, self.current_weight)
    }

    /// The usable destination with the smallest quotient of `cost`; of equal ones the first.
    fn least(&self, entry: &ServiceEntry, cost: impl Fn(SocketAddr, &Destination) -> (u64, u64)) -> Option<SocketAddr> {
        let costs = entry
            .destinations
            .iter()
            .filter(|(address, destination)| self.usable(address, destination))
            .map(|(address, destination)| (cost(*address, destination), *address));
        let smaller = |((a, per_a), x), ((b, per_b), y)| {
            // a / per_a <= b / per_b, without dividing.
            let keep = u128::from(a) * u128::from(per_b) <= u128::from(b) * u128::from(per_a);
            if keep { ((a, per_a), x) } else { ((b, per_b), y) }
        };
        costs.reduce(smaller).map(|(_, address)| address)
    }

    /// A table of 256 slots is dealt out, to each destination as many in a row as its weight, round after round; the
    /// source address chooses the slot. Without `sh-fallback` a slot whose destination can't take the connection
    /// refuses it.
    fn by_source(&self, entry: &ServiceEntry, client: IpAddr) -> Option<SocketAddr> {
        let slots = || entry.destinations.iter().map(|(a, d)| (a, d, u64::from(d.weight.max(1))));
        let round: u64 = slots().map(|(_, _, width)| width).sum();
        let mut slot = u64::from(source_slot(client)).checked_rem(round)?;
        for (address, destination, width) in slots() {
            if slot < width {
                return self.usable(address, destination).then_some(*address);
            }
            slot -= width;
        }
        None
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming 6.4) of the address into 8 bits; IPv6 addresses are
/// folded first.
fn source_slot(client: IpAddr) -> u8 {
    let folded = match client {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let [a, b, c, d] = [bits >> 96, bits >> 64, bits >> 32, bits].map(|word| word as u32);
            a ^ b ^ c ^ d
        }
    };
    (folded.wrapping_mul(2_654_435_761) >> 24) as u8
}
