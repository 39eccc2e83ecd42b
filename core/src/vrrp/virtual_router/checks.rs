//! The checks of a received advert that need a configuration (RFC 9568 7.1, RFC 3768 7.1), and what is only told.
//!
//! An advert is dropped if it can't be from a peer of this virtual router. One that is, but is set up differently, is told
//! about and heard: dropping it makes two MASTERs out of a difference between two files.

use super::{Context, VirtualRouter};
use crate::config::Transport;
use crate::decision::{Decision, IgnoreReason};
use crate::quantity::{Priority, Version};
use crate::vrrp::packet::{AddressList, Advert, Authentication};
use std::collections::BTreeSet;
use std::net::IpAddr;

impl VirtualRouter {
    pub(super) fn check(&self, advert: &Advert<'_>, source: IpAddr, destination: IpAddr) -> Result<(), IgnoreReason> {
        if advert.version != self.config.version {
            let number = |version| match version {
                Version::V2 => 2,
                Version::V3 => 3,
            };
            let (theirs, ours) = (number(advert.version), number(self.config.version));
            return Err(IgnoreReason::VersionDiffers { theirs, ours });
        }
        let ours = self.authentication();
        match (advert.authentication, ours) {
            (Authentication::None, Authentication::None) => {}
            (Authentication::Password(theirs), Authentication::Password(ours)) => {
                if theirs != ours {
                    return Err(IgnoreReason::PasswordDiffers);
                }
            }
            (theirs, ours) => {
                return Err(IgnoreReason::AuthTypeDiffers { theirs: theirs.kind(), ours: ours.kind() });
            }
        }
        if !self.takes(destination) {
            return Err(IgnoreReason::WrongDestination { destination });
        }
        if let Transport::Unicast { peers } = &self.config.transport
            && self.config.adverts.check_unicast_src
            && !peers.contains(&source)
        {
            return Err(IgnoreReason::NotAPeer);
        }
        Ok(())
    }

    /// A peer whose list shares an address with ours is told about and counts as alive: RFC 9568 7.1 asks for no more
    /// than a log line, and dropping it (RFC 3768 7.1, keepalived) makes two owners of the shared addresses for as long
    /// as two files differ. One that shares none speaks of another virtual router; yielding to it would leave ours to
    /// nobody. An empty list says nothing about who owns what, so it is not taken for a stranger's.
    pub(super) fn compare_addresses(
        &mut self,
        theirs: AddressList<'_>,
        source: IpAddr,
        ctx: &mut Context<'_>,
    ) -> Result<(), IgnoreReason> {
        if theirs.wire() == self.advertised {
            return Ok(());
        }
        let ours: BTreeSet<IpAddr> = AddressList::from_wire(self.config.family, &self.advertised).iter().collect();
        let theirs: BTreeSet<IpAddr> = theirs.iter().collect();
        if ours == theirs {
            return Ok(());
        }
        if !ours.is_empty() && !theirs.is_empty() && ours.is_disjoint(&theirs) {
            return Err(IgnoreReason::AddressListDiffers);
        }
        if self.limits.addresses.admits(ctx.now) {
            let list = |a: &BTreeSet<IpAddr>, b| a.difference(b).copied().collect();
            let (missing, extra) = (list(&ours, &theirs), list(&theirs, &ours));
            let router = self.config.name.clone();
            ctx.decide(Decision::AddressListDiffers { router, source, missing, extra });
        }
        Ok(())
    }

    /// Version 3 learns the MASTER's interval (RFC 9568 6.4.2). Version 2 should drop such an advert (RFC 3768 7.1), as
    /// keepalived does, and both become MASTER; we learn it there too, and say so.
    pub(super) fn compare_interval(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        let (theirs, ours) = (advert.interval, self.config.adverts.interval);
        if advert.version == Version::V2 && theirs != ours && self.limits.interval.admits(ctx.now) {
            let router = self.config.name.clone();
            ctx.decide(Decision::IntervalDiffers { router, source, theirs, ours });
        }
    }

    /// Two owners can't be. RFC 5798 7.1 had an owner drop all adverts; RFC 9568 with erratum 8298 asks for a log line.
    /// The election goes on, so that the greater address wins and one MASTER is left (keepalived: the other one wins).
    pub(super) fn compare_owner(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        let owner = Priority::OWNER;
        if self.priority == owner && advert.priority == owner.get() && self.limits.owner.admits(ctx.now) {
            ctx.decide(Decision::SecondOwner { router: self.config.name.clone(), source });
        }
    }
}
