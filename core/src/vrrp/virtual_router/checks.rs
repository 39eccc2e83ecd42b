//! The checks of a received advert that need a configuration (RFC 9568 7.1, RFC 3768 7.1), and what is only told.
//!
//! An advert is dropped if it can't be from a peer of this virtual router. One that is, but is set up differently, is told
//! about and heard: dropping it makes two MASTERs out of a difference between two files.

use super::{Context, VirtualRouter};
use crate::config::Transport;
use crate::decision::{Decision, IgnoreReason};
use crate::interface::Family;
use crate::quantity::{AdvertInterval, Priority, Version};
use crate::vrrp::packet::{AddressList, Advert, Authentication};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How many times its own interval a router counts with at most, after one advert with a longer one.
pub const LEARNED: u16 = 3;

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
            (Authentication::None, Authentication::None) | (Authentication::Header, Authentication::Header) => {}
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
    /// nobody. An empty list is for a router without addresses only: anybody else's is no advert.
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
        // RFC 9568 5.2.5 with erratum 8299: it counts at least one.
        if theirs.is_empty() {
            return Err(IgnoreReason::NoAddresses);
        }
        if !ours.is_empty() && ours.is_disjoint(&theirs) {
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

    /// Another interval is told about: in version 2 again and again, since it must not be; in version 3 once for each peer
    /// and interval (RFC 9568 7.1).
    pub(super) fn compare_interval(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        let (version, theirs, ours) = (advert.version, advert.interval, self.config.adverts.interval);
        if theirs == ours {
            return;
        }
        let news = self.told_interval.replace((source, theirs)) != Some((source, theirs));
        if (news || version == Version::V2) && self.limits.interval.admits(ctx.now) {
            let router = self.config.name.clone();
            ctx.decide(Decision::IntervalDiffers { router, source, version, theirs, ours });
        }
    }

    /// The interval to count with after this advert.
    ///
    /// Version 3 learns the MASTER's (RFC 9568 6.4.2). Version 2 should drop an advert with another one (RFC 3768 7.1), as
    /// keepalived does, and both become MASTER; it is learned there too. But one packet must not take the addresses from
    /// everybody for minutes: version 2 counts with [`LEARNED`] times its own at most, and version 3 with more only when the
    /// same peer says it again. Nor must it make anybody take over from a MASTER that advertises as it should: a shorter one
    /// counts when the same peer says it again.
    pub(super) fn learn(&mut self, advert: &Advert<'_>, source: IpAddr) -> AdvertInterval {
        let own = self.config.adverts.interval;
        let most = own.times(LEARNED);
        if (own..=most).contains(&advert.interval) {
            return advert.interval;
        }
        let again = self.unsure_interval.replace((source, advert.interval)) == Some((source, advert.interval));
        match (advert.interval < own, advert.version) {
            (true, _) | (false, Version::V3) if again => advert.interval,
            (true, _) => own,
            (false, _) => most,
        }
    }

    /// Version 2 should drop an advert with another interval (RFC 3768 7.1). A MASTER does not yield to a long one before the
    /// same peer says it again: one packet must not take the addresses from the one that serves them.
    pub(super) fn doubts(&mut self, advert: &Advert<'_>, source: IpAddr) -> bool {
        let long = advert.interval > self.config.adverts.interval.times(LEARNED);
        let said = Some((source, advert.interval));
        long && advert.version == Version::V2 && std::mem::replace(&mut self.unsure_interval, said) != said
    }

    /// A peer of version 3 over IPv4 whose checksum leaves the pseudo header out (RFC 9568 5.2.8) can't read ours with it.
    /// By unicast it gets what it sends. By multicast both forms are sent: those who only listen may need the other.
    pub(super) fn learn_checksum(&mut self, plain: bool, source: IpAddr, ctx: &mut Context<'_>) {
        if self.config.version != Version::V3
            || self.config.family != Family::V4
            || self.config.adverts.v3_checksum_as_v2.is_some()
            || self.plain_checksum.contains(&source) == plain
        {
            return;
        }
        let beside = match &self.config.transport {
            Transport::Unicast { peers } if !peers.contains(&source) => return,
            Transport::Unicast { .. } => false,
            // Once is enough, and for as long as this configuration holds.
            Transport::Multicast { .. } if !plain || !self.plain_checksum.is_empty() => return,
            Transport::Multicast { .. } => true,
        };
        if plain {
            self.plain_checksum.insert(source);
            if self.limits.checksum.admits(ctx.now) {
                ctx.decide(Decision::ChecksumLearned { router: self.config.name.clone(), source, beside });
            }
        } else {
            self.plain_checksum.remove(&source);
        }
        self.prepare_adverts();
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
