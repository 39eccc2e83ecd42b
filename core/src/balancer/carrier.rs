//! What carries the traffic of virtual servers on this host, and which of them it can't carry as their file asks.
//!
//! The relay in user space ends connections at the director, so it can stand in for NAT over TCP and for nothing else. A
//! service that asks for more is not served: another source address, or half of its packets, is not what was asked for. The
//! others are.

use crate::config::VirtualServer;
use crate::ipvs::{Forwarding, Protocol};
use serde::{Deserialize, Serialize};

/// `--dataplane`, as it came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carrier {
    /// The kernel's IPVS.
    #[default]
    Ipvs,
    /// The relay in user space, because the operator said so, or `instead` of an IPVS that is not there for this reason.
    Relay { instead: Option<String> },
}

impl Carrier {
    /// Why it can't serve this virtual server; none: it can.
    pub(super) fn lacks(&self, server: &VirtualServer) -> Option<String> {
        let Self::Relay { instead } = self else { return None };
        let needs = |what: &str| match instead {
            None => format!("{what} needs IPVS, and `--dataplane relay` was given"),
            Some(why) => format!("{what} needs IPVS: {why}"),
        };
        // Marks are on packets, and the relay sees connections.
        if let Some(mark) = server.entries.marks().next() {
            return Some(needs(&format!("fwmark {mark}")));
        }
        let mut methods = server.real_servers.iter().map(|real| real.forwarding);
        match (server.entries.protocol(), instead) {
            // Who chose the relay knows how it forwards.
            (Some(Protocol::Tcp) | None, None) => None,
            (Some(Protocol::Tcp) | None, Some(why)) => methods.find(|method| *method != Forwarding::Nat).map(|method| {
                format!(
                    "{method} needs IPVS: {why}; `--dataplane relay` would carry it, with this director's address as the \
                     client's"
                )
            }),
            (Some(protocol @ (Protocol::Udp | Protocol::Sctp)), _) => Some(needs(&protocol.to_string())),
        }
    }
}
