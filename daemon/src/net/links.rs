//! The interfaces of this machine: name, number, hardware address. The netlink monitor keeps it current before it
//! tells the machine, so what the machine asks for is found here.

use std::cell::RefCell;
use std::collections::BTreeMap;
use vipward_core::interface::{InterfaceName, Link};

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub link: Link,
    /// Ethernet address; other kinds of link have none.
    pub mac: Option<[u8; 6]>,
}

/// All interfaces by number.
#[derive(Debug, Default)]
pub struct Links(RefCell<BTreeMap<u32, Interface>>);

impl Links {
    /// The number of the interface with this name; the words of the error are for the operator.
    pub fn index(&self, name: &InterfaceName) -> Result<u32, String> {
        let links = self.0.borrow();
        links
            .iter()
            .find(|(_, interface)| interface.link.name == *name)
            .map(|(index, _)| *index)
            .ok_or_else(|| format!("interface {name} does not exist"))
    }

    pub fn name(&self, index: u32) -> Option<InterfaceName> {
        self.0.borrow().get(&index).map(|interface| interface.link.name.clone())
    }

    pub fn mac(&self, index: u32) -> Option<[u8; 6]> {
        self.0.borrow().get(&index).and_then(|interface| interface.mac)
    }

    /// Every link, in the order of their numbers.
    pub fn all(&self) -> Vec<Link> {
        self.0.borrow().values().map(|interface| interface.link.clone()).collect()
    }

    /// Takes an interface in; what was known of this number before.
    pub fn put(&self, index: u32, interface: Interface) -> Option<Interface> {
        self.0.borrow_mut().insert(index, interface)
    }

    /// Forgets an interface.
    pub fn remove(&self, index: u32) -> Option<Interface> {
        self.0.borrow_mut().remove(&index)
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
