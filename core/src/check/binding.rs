//! Where the packets of a checker come from.

use crate::interface::InterfaceName;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the words of a checker say about its own end of a connection. The default leaves all of it to the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// `bindto`, of the target's family.
    pub address: Option<IpAddr>,
    /// `bind_port`; 0: whichever is free. An echo has none.
    pub port: u16,
    /// `bind_if`.
    pub interface: Option<InterfaceName>,
    /// `fwmark`; 0: none.
    pub mark: u32,
}
