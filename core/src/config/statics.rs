//! What is there for as long as the director runs, whatever any virtual router is: `static_ipaddress`, `static_routes`,
//! `static_rules`; and which virtual routers can't do without (`track_group`).

use super::places::Places;
use crate::interface::{AddressKey, InterfaceAddress};
use crate::route::{Route, RouteKey, Rule, VirtualRule};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The three lists, each in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statics {
    /// All of them [`InterfaceAddress::permanent`].
    pub addresses: Vec<InterfaceAddress>,
    pub routes: Vec<Route>,
    pub rules: Vec<VirtualRule>,
    /// Those with a `track_group`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tracked: Vec<TrackedStatic>,
    /// An address is found by its text (`192.0.2.1`), the others as those of a virtual router are.
    pub places: Places,
}

impl Statics {
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }
}

/// One of them, and the virtual routers that are in FAULT while it is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedStatic {
    pub what: StaticItem,
    /// `group` of its `track_group`.
    pub routers: Vec<Arc<str>>,
}

/// Which it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StaticItem {
    Address(AddressKey),
    Route(RouteKey),
    Rule(Rule),
}

impl fmt::Display for StaticItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(key) => write!(f, "address {key}"),
            Self::Route(key) => write!(f, "route {key}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}
