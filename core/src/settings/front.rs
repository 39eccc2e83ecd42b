//! A lease keeps the addresses at a director that reaches the quorum service. Whether clients reach it, only a script can
//! tell, if the service is reached over another network than they come from.

use crate::config::{Config, VirtualRouterConfig};
use crate::lease::{LeaseKey, Part};
use crate::text::{Diagnostic, Span};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// How many routers the message names.
const NAMED: usize = 3;

/// Tells coordinated routers none of whose networks holds a server of the service, and that track no script. A server that
/// is written by name may be anywhere, and so may the network of an address without a prefix: then nothing is said. `place`: of `[coordination]`.
pub(super) fn check(
    config: &Config,
    parts: &BTreeMap<LeaseKey, Part>,
    hosts: &[String],
    place: Span,
) -> Option<Diagnostic> {
    let servers: Option<Vec<IpAddr>> =
        hosts.iter().map(|host| host.parse().ok().map(|at: SocketAddr| at.ip())).collect();
    let servers = servers.filter(|servers| !servers.is_empty())?;
    let unwatched = |router: &&VirtualRouterConfig| {
        let beside = |server: &IpAddr| router.addresses.iter().any(|it| in_network(*server, it.address, it.prefix_len));
        let networks = router.addresses.iter().all(|it| it.prefix_len < width(it.address));
        let coordinated = parts.contains_key(&router.name);
        coordinated && networks && router.tracking.scripts().next().is_none() && !servers.iter().any(beside)
    };
    let names: Vec<&str> = config.routers.iter().filter(unwatched).map(|router| &*router.name).collect();
    let first = names.get(..names.len().min(NAMED)).filter(|first| !first.is_empty())?;
    let more = names.len() - first.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("no script watches the network of clients of {}{more}", first.join(", "));
    let said = Diagnostic::info("front-not-watched", message)
        .at(place, "")
        .note(
            "the quorum service is in another network: where clients' network fails and the link stays up, the lease keeps \
             the addresses at a director that nobody reaches",
        )
        .help("track a `vrrp_script` that pings the gateway of that network");
    Some(said)
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// `address` is in the network of `of`; none of a single address is.
fn in_network(address: IpAddr, of: IpAddr, prefix_len: u8) -> bool {
    let bits: u128 = match (address, of) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let host = width(of).saturating_sub(prefix_len);
    host > 0 && bits.checked_shr(u32::from(host)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_network() {
        let is = |a: &str, b: &str, prefix| in_network(a.parse().unwrap(), b.parse().unwrap(), prefix);
        assert!(is("192.0.2.31", "192.0.2.100", 24) && is("10.0.0.1", "192.0.2.1", 0));
        assert!(!is("192.0.3.31", "192.0.2.100", 24) && !is("192.0.2.100", "192.0.2.100", 32));
        assert!(is("2001:db8::1", "2001:db8::2", 64) && !is("2001:db8:1::1", "2001:db8::2", 64));
        assert!(!is("2001:db8::1", "192.0.2.1", 0));
    }
}
