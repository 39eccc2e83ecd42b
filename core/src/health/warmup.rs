//! `warmup`: the first probes of many checkers are spread, so that they don't all knock in the same millisecond.

use super::real_server::Place;
use crate::check::ProbeId;
use crate::time::Duration;

/// How long after the start the first probe of the checker at `position` comes: within [0, `warmup`), the same for the
/// same seed and identity. keepalived draws it anew at each start; drawn from the seed a run can be repeated.
pub fn offset(place: Place, position: usize, warmup: Duration) -> Duration {
    let identity = format!("{} {} {position}", place.service, place.server);
    let drawn = u128::from(mix(place.seed ^ hash(identity.as_bytes())));
    let nanos = (warmup.as_nanos().min(u128::from(u64::MAX)) * drawn) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A number for one attempt that nobody can guess who does not know the seed; the same for the same seed and attempt.
pub fn random(seed: u64, probe: ProbeId) -> u64 {
    let identity = format!("{} {} {} {}", probe.service, probe.server, probe.checker, probe.attempt);
    mix(mix(seed) ^ hash(identity.as_bytes()))
}

/// FNV-1a: short, and the same on every machine and in every release of the standard library.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finisher of splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators").
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Protocol, ServiceKey, VirtualServerId};
    use std::net::SocketAddr;

    fn place(seed: u64, host: u8) -> Place {
        let service = ServiceKey::Address { protocol: Protocol::Tcp, address: SocketAddr::from(([10, 0, 0, 1], 80)) };
        Place { service: VirtualServerId::of_entry(service), server: SocketAddr::from(([192, 0, 2, host], 80)), seed }
    }

    #[test]
    fn lies_within_and_depends_on_seed_server_and_position() {
        let minute = Duration::from_secs(60);
        let base = offset(place(1, 1), 0, minute);
        assert_eq!(base, offset(place(1, 1), 0, minute));
        let others = [offset(place(2, 1), 0, minute), offset(place(1, 2), 0, minute), offset(place(1, 1), 1, minute)];
        assert!(others.iter().all(|other| *other != base && *other < minute), "{base:?} {others:?}");
        assert_eq!(offset(place(1, 1), 0, Duration::ZERO), Duration::ZERO);
        assert!(offset(place(1, 1), 0, Duration::MAX) < Duration::MAX);
    }
}
