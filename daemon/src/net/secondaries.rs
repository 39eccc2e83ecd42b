//! `promote_secondaries`: when the kernel takes the first address of a subnet off an interface, the next one of that subnet
//! takes its place, instead of going along.
//!
//! A host's own address that came after the virtual one (a lease that DHCP renewed, a network service that restarted) would
//! go with it, also when the kernel takes the virtual one off at the end of its lifetime. So it is set where such an
//! address is added, and again before one is removed: somebody may have unset it. It stays set, as systemd sets it for all
//! interfaces.

use netlink_packet_route::link::{AfSpecInet, AfSpecUnspec, InetDevConf, LinkAttribute, LinkMessage};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

/// What sets it on the interface of this index (RTM_SETLINK: it needs no writable /proc).
pub fn promote(index: u32) -> LinkMessage {
    let mut settings = InetDevConf::default();
    settings.promote_secondaries = 1;
    let of_ipv4 = AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(settings)]);
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![LinkAttribute::AfSpecUnspec(vec![of_ipv4])];
    message
}

/// Whether another address can be in the same subnet. IPv6 knows no secondary addresses.
pub fn may_have(address: IpAddr, prefix_len: u8) -> bool {
    address.is_ipv4() && prefix_len < 32
}

/// On which interfaces it was set, and where that was refused.
#[derive(Default)]
pub struct Secondaries {
    set: RefCell<BTreeSet<u32>>,
    told: RefCell<BTreeSet<u32>>,
}

impl Secondaries {
    /// True once for each interface.
    pub fn first(&self, index: u32) -> bool {
        self.set.borrow_mut().insert(index)
    }

    /// The kernel did not do it. That an interface is gone needs no word.
    pub fn refused(&self, index: u32, name: &str, error: &io::Error) {
        self.set.borrow_mut().remove(&index);
        if error.raw_os_error() != Some(libc::ENODEV) && self.told.borrow_mut().insert(index) {
            tracing::warn!(
                "{name}: promote_secondaries can't be set ({error}): when a virtual address goes, the host's own address of \
                 its subnet may go along"
            );
        }
    }
}
