//! What can happen to an Election alone.

use crate::command::{ScriptId, ScriptOutcome};
use crate::datagram::Datagram;
use crate::interface::{InterfaceName, Link, ObservedAddress};
use crate::lease::LeaseEvent;
use crate::route::{RouteKey, Rule};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One of its own events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A packet of protocol 112 arrived. Nothing of it is checked yet.
    AdvertReceived(Datagram),
    /// The state of every link, read at start and after lost notifications.
    LinksRead(Vec<Link>),
    /// One link appeared or changed.
    LinkChanged(Link),
    /// One interface is gone.
    LinkGone(InterfaceName),
    /// Every address on every interface: at start, on [`super::Effect::ReadAddresses`], after lost notifications.
    AddressesRead(Vec<ObservedAddress>),
    /// Other directors live on this host, in the same network: told before the first configuration. Without it, every address
    /// with our protocol number was left behind by a dead one.
    NeighboursLive,
    /// One address appeared (`present`) or vanished.
    AddressChanged { address: ObservedAddress, present: bool },
    /// The answer to [`super::Effect::RunScript`].
    ScriptFinished { script: ScriptId, outcome: ScriptOutcome },
    /// The quorum service has something to say.
    Lease(LeaseEvent),
    /// Numbers of tracked files, after [`super::Effect::WatchFiles`] and whenever one changes.
    FilesRead(Vec<(Arc<str>, i64)>),
    /// How many processes there are of each that is tracked, after [`super::Effect::WatchProcesses`] and whenever it changes.
    ProcessesCounted(Vec<(Arc<str>, u32)>),
    /// Every route and policy rule with our mark, after [`super::Effect::ReadRoutes`] and after lost notifications.
    RoutesRead { routes: Vec<RouteKey>, rules: Vec<Rule> },
    /// One of them appeared (`present`) or vanished, and this process did not do it. Linux does not tell of all that vanish: an
    /// interface that goes down takes its IPv4 routes along without a word.
    RouteChanged { route: RouteKey, present: bool },
    /// The same of a policy rule. Linux takes none out by itself.
    RuleChanged { rule: Box<Rule>, present: bool },
}
