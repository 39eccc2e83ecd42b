//! What carries the traffic of virtual servers on this host, and which of them it can't carry as their file asks.
//!
//! The relay in user space ends connections at the director, so it can stand in for NAT over TCP and for nothing else. A
//! service that asks for more is not served: another source address, or half of its packets, is not what was asked for. The
//! others are.

use crate::config::{Config, VirtualServer};
use crate::decision::Decision;
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
    /// Words about IPVS as a whole that it can do nothing about.
    pub(super) fn lacks_settings(&self, config: &Config) -> Vec<Decision> {
        let Self::Relay { instead } = self else { return Vec::new() };
        let global = &config.global;
        let said =
            [("lvs_timeouts", global.lvs_timeouts.is_some()), ("lvs_sync_daemon", global.lvs_sync_daemon.is_some())];
        let why = instead.clone().unwrap_or_else(|| "`--dataplane relay` was given".to_owned());
        let lacking = |word: &str| Decision::SettingNotServed { word: word.to_owned(), why: why.clone() };
        said.into_iter().filter(|(_, said)| *said).map(|(word, _)| lacking(word)).collect()
    }

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
        if let Some(engine) = &server.persistence_engine {
            return Some(needs(&format!("`persistence_engine {engine}`")));
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
