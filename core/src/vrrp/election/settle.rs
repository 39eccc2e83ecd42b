//! What an event has changed of what is wanted or there, and what is asked of the kernel for it.

use super::{Election, Phase};
use crate::decision::Decision;
use crate::door::News;
use crate::interface::{Family, InterfaceAddress, InterfaceName};
use crate::time::Instant;
use crate::vrrp::announce::queue::AT_ONCE;
use crate::vrrp::book::{Change, MOST_ADDED};
use crate::vrrp::{Effect, Outbox};

impl Election {
    /// What this event has changed of what is wanted or there: the kernel's part of it, what is announced, what is told.
    /// First all routers have said what they want: a MASTER that lost its own address too puts nothing back.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Outbox) {
        let most = match self.phase {
            Phase::Starting { .. } => return,
            Phase::Running => MOST_ADDED,
            // What could not be added so far must not be added on the way out.
            Phase::Stopped | Phase::HandedOver => 0,
        };
        let late = self.change(now, most, out);
        self.ask_for_routes(now, out);
        for address in self.book.take_foreign() {
            out.decide(Decision::AddressNotOurs { address });
        }
        for (address, here) in self.book.take_news() {
            out.news(News::AddressHere { address, here });
        }
        for (file, number) in self.files.news() {
            out.news(News::FileNumber { file, number });
        }
        let global = &self.config.global;
        let pause = |interface: &InterfaceName, address| global.announcement_pause(interface, Family::of(address));
        for (interface, address) in self.book.take_announcements(now, AT_ONCE, pause) {
            out.push(Effect::Announce { interface, address });
        }
        // When the kernel has said whether it takes them this time.
        for address in &late {
            if let Some(holder) = self.book.holder(&address.key()) {
                self.book.announce(holder, std::iter::once(address), 1);
            }
        }
    }

    /// The kernel's part of it, with at most so many additions. Returns those that had been refused before.
    ///
    /// A route needs the address that it names as its source, so it comes after the addresses and goes before them.
    pub(super) fn change(&mut self, now: Instant, most: usize, out: &mut Outbox) -> Vec<InterfaceAddress> {
        let routes = self.remove_routes(now, most, out);
        let changes = self.book.settle(now, most);
        let late = Self::carry_out(changes, out);
        self.add_routes(routes, out);
        late
    }

    /// Asks the kernel for it. Returns what is added and had been refused before.
    pub(super) fn carry_out(changes: Vec<Change>, out: &mut Outbox) -> Vec<InterfaceAddress> {
        let mut late = Vec::new();
        for change in changes {
            match change {
                Change::Remove { key, left_behind } => {
                    out.push(Effect::RemoveAddress(key.clone()));
                    out.decide(left_behind.then_some(Decision::LeftoverRemoved { address: key }));
                }
                Change::Add { address, restored, retried } => {
                    out.push(Effect::AddAddress(address.clone()));
                    // While it was away nobody answered for it: neighbours may have given it up, and some wait for half a
                    // minute before they ask again.
                    if retried {
                        late.push(address.clone());
                    } else if restored {
                        let (interface, vip) = (address.interface.clone(), address.address);
                        out.push(Effect::Announce { interface, address: vip });
                    }
                    out.decide(restored.then_some(Decision::AddressRestored { address }));
                }
            }
        }
        late
    }
}
