//! Everything that can happen to a director.

use crate::command::{ScriptId, ScriptOutcome};
use crate::config::Config;
use crate::datagram::Datagram;
use crate::effect::Effect;
use crate::estate::Estate;
use crate::interface::{InterfaceName, Link, ObservedAddress};
use crate::ipvs::Table;
use crate::lease::LeaseEvent;
use crate::probe::{ProbeId, Verdict};
use serde::{Deserialize, Serialize};
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
