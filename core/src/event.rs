//! Everything that can happen to a director.

use crate::config::Config;
use crate::coordination::LeaseEvent;
use crate::effect::{Effect, ScriptId};
use crate::estate::Estate;
use crate::interface::{InterfaceName, Link, ObservedAddress};
use crate::ipvs::Table;
use crate::probe::{ProbeId, Verdict};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// The only way into a [`crate::machine::Machine`]. A machine ignores the events that are the other machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A configuration is in force from now on: the first one, or a reload. `seed` stands in for randomness (`warmup`).
    ConfigLoaded { config: Arc<Config>, seed: u64 },
    /// A packet of protocol 112 arrived. Nothing of it is checked yet.
    AdvertReceived(Datagram),
    /// The state of every link, read at start and after lost notifications.
    LinksRead(Vec<Link>),
    /// One link appeared or changed.
    LinkChanged(Link),
    /// One interface is gone.
    LinkGone(InterfaceName),
    /// Every address on every interface: at start, on [`Effect::ReadAddresses`], after lost notifications.
    AddressesRead(Vec<ObservedAddress>),
    /// One address appeared (`present`) or vanished.
    AddressChanged { address: ObservedAddress, present: bool },
    /// The answer to [`Effect::ReadIpvs`].
    IpvsRead(Table),
    /// The answer to [`Effect::StartProbe`].
    ProbeFinished { probe: ProbeId, verdict: Verdict },
    /// The answer to [`Effect::RunScript`].
    ScriptFinished { script: ScriptId, outcome: ScriptOutcome },
    /// The quorum service has something to say.
    Lease(LeaseEvent),
    /// An effect could not be carried out.
    EffectFailed { effect: Box<Effect>, error: String },
    /// Time passed; see [`crate::machine::Machine::next_wakeup`].
    Wakeup,
    /// Orderly end: give everything back. After its effects a machine is never asked again.
    Stop,
    /// The end of this machine, and not of what it does: it gives nothing back, and is asked for nothing but
    /// [`crate::machine::Machine::estate`].
    HandOver,
    /// After [`Event::HandOver`]: nobody took the estate, this machine goes on. It has missed nothing but time, and the
    /// results of what was under way.
    TakeBack,
    /// What a predecessor left; before the first [`Event::ConfigLoaded`], which decides what of it still fits.
    Inherited(Arc<Estate>),
}

/// An IP packet of protocol 112 without its header: what [`Event::AdvertReceived`] brings and [`Effect::SendAdvert`]
/// sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datagram {
    /// The interface that it came in by or leaves by.
    pub interface: InterfaceName,
    pub source: IpAddr,
    /// The multicast group, or one peer.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The VRRP message.
    pub payload: Bytes,
}

/// How one run of a tracked script ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScriptOutcome {
    /// Exit status; 0 is success (keepalived `vrrp_script`).
    Exited(i32),
    /// A signal ended it.
    Killed(i32),
    /// It ran longer than its `timeout` and was killed.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}
