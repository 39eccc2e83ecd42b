//! What is there for as long as the director runs, whatever any virtual router is: `static_ipaddress`, `static_routes`,
//! `static_rules`.

use super::places::Places;
use crate::interface::InterfaceAddress;
use crate::route::{Route, VirtualRule};
use serde::{Deserialize, Serialize};

/// The three lists, each in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Statics {
    /// All of them [`InterfaceAddress::permanent`].
    pub addresses: Vec<InterfaceAddress>,
    pub routes: Vec<Route>,
    pub rules: Vec<VirtualRule>,
    /// An address is found by its text (`192.0.2.1`), the others as those of a virtual router are.
    pub places: Places,
}

impl Statics {
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }
}
