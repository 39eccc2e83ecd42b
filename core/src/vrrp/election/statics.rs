//! Static addresses, routes and policy rules: they are there as long as the director runs, before all that moves, and longer.
//!
//! A virtual router may send from a static address, or need its network. So static addresses are settled before anybody
//! looks at how virtual routers stand: what somebody takes off is back before a virtual router could miss it.

use super::Election;
use crate::interface::{InterfaceAddress, InterfaceName};
use crate::route::{Route, VirtualRule};
use crate::time::Instant;
use crate::vrrp::Outbox;
use crate::vrrp::book::Holder;
use std::sync::Arc;

impl Election {
    /// Wants what the configuration says, where the interfaces that it names are there. An interface that is not there holds
    /// nothing; what belongs on it is wanted as soon as it appears.
    pub(super) fn want_statics(&mut self) {
        let statics = &self.config.statics;
        let there = |name: &InterfaceName| self.links.contains_key(name);
        let addresses = statics.addresses.iter().filter(|it| there(&it.interface));
        let addresses: Arc<[InterfaceAddress]> = addresses.cloned().collect();
        let routes: Arc<[Route]> = statics.routes.iter().filter(|it| it.interfaces().all(there)).cloned().collect();
        // A rule may name an interface that comes later: the kernel knows that.
        let rules: Arc<[VirtualRule]> = statics.rules.iter().cloned().collect();
        self.book.want(Holder::Static, addresses);
        self.book.routes.want(Holder::Static, routes);
        self.book.rules.want(Holder::Static, rules);
    }

    /// An interface appeared or went.
    pub(super) fn interfaces_changed(&mut self) {
        if !self.config.statics.is_empty() {
            self.want_statics();
        }
    }

    /// Puts static addresses on. Whether that changed anything.
    pub(super) fn settle_statics(&mut self, now: Instant, out: &mut Outbox) -> bool {
        let changes = self.book.settle_statics(now);
        let any = !changes.is_empty();
        // One that had been refused is announced by nobody: it was nowhere before.
        Self::carry_out(changes, out);
        any
    }
}
