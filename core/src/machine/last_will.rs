//! What a worker leaves to be done in its name.

use crate::datagram::Datagram;
use crate::interface::AddressKey;
use crate::route::{RouteKey, Rule};
use serde::{Deserialize, Serialize};

/// What an orderly stop would send, and then take off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWill {
    /// Ready to send.
    pub datagrams: Vec<Datagram>,
    /// One may be in several shares; that it is gone already is as good.
    pub addresses: Vec<AddressKey>,
    /// They go before the addresses.
    #[serde(default)]
    pub routes: Vec<RouteKey>,
    /// They go before the routes.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

impl LastWill {
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }

    pub fn append(&mut self, other: Self) {
        self.datagrams.extend(other.datagrams);
        self.addresses.extend(other.addresses);
        self.routes.extend(other.routes);
        self.rules.extend(other.rules);
    }
}

/// A machine that can say what it would leave.
pub trait LeavesWill {
    /// What [`super::Input::Stop`] would send and take off now, in shares that change one by one: those that may have
    /// changed since this was asked last, which is after every step. An empty one is no share any more.
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)>;
}

impl<T: LeavesWill + ?Sized> LeavesWill for Box<T> {
    fn changed_shares(&mut self) -> Vec<(u32, LastWill)> {
        (**self).changed_shares()
    }
}
