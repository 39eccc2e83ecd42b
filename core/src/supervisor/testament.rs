//! What a worker leaves to be done in its name.

use crate::event::Datagram;
use crate::interface::AddressKey;
use serde::{Deserialize, Serialize};

/// What an orderly stop would send, and then take off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testament {
    /// Ready to send.
    pub datagrams: Vec<Datagram>,
    /// One may be in several shares; that it is gone already is as good.
    pub addresses: Vec<AddressKey>,
}

impl Testament {
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.addresses.is_empty()
    }

    pub fn append(&mut self, other: Self) {
        self.datagrams.extend(other.datagrams);
        self.addresses.extend(other.addresses);
    }
}
