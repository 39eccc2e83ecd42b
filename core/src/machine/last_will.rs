//! What a worker leaves to be done in its name.

use crate::datagram::Datagram;
use crate::interface::AddressKey;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an orderly stop would send, and then take off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWill {
    /// Ready to send.
    pub datagrams: Vec<Datagram>,
    /// One may be in several shares; that it is gone already is as good.
    pub addresses: Vec<AddressKey>,
}

impl LastWill {
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.addresses.is_empty()
    }

    pub fn append(&mut self, other: Self) {
        self.datagrams.extend(other.datagrams);
        self.addresses.extend(other.addresses);
    }
}

/// A machine that can say what it would leave.
pub trait LeavesWill {
    /// Goes up whenever [`Self::last_will`] may have changed. Asked after every step.
    fn revision(&self) -> u64;

    /// What [`super::Input::Stop`] would send and take off now, in shares that change one by one.
    fn last_will(&self) -> BTreeMap<u32, LastWill>;
}

impl<T: LeavesWill + ?Sized> LeavesWill for Box<T> {
    fn revision(&self) -> u64 {
        (**self).revision()
    }

    fn last_will(&self) -> BTreeMap<u32, LastWill> {
        (**self).last_will()
    }
}
