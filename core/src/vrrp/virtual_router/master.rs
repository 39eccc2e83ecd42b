//! RFC 9568 6.4.3 and RFC 3768 6.4.3: what a MASTER hears, whom it yields to and whom it does not.

use super::{Context, Heard, Proposal, Proposed, State, VirtualRouter};
use crate::decision::{Decision, RoleCause};
use crate::vrrp::Effect;
use crate::vrrp::announce::To;
use crate::vrrp::book::Holder;
use crate::vrrp::packet::Advert;
use std::net::IpAddr;

impl VirtualRouter {
    pub(super) fn hear_as_master(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        let ours = self.priority.get();
        if advert.priority == 0 {
            // Another MASTER stops: the addresses are ours alone, and everybody must hear that, the neighbours whom its
            // announcements drew away included.
            self.advertise(ctx);
            self.announce_again(ctx);
            return;
        }
        // "an unsigned integer comparison of the IPvX addresses in network byte order"
        if advert.priority > ours || advert.priority == ours && self.source.is_none_or(|ours| source > ours) {
            self.yield_to(advert, source, ctx);
        } else {
            self.assert_mastership(advert, source, ctx);
        }
    }

    fn yield_to(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        let (theirs, ours) = (advert.priority, self.priority.get());
        let cause = if theirs > ours {
            RoleCause::HigherPriority { source, theirs, ours }
        } else {
            RoleCause::SamePriorityGreaterAddress { source, priority: ours, ours: self.source.unwrap_or(source) }
        };
        if self.config.adverts.higher_prio_send_advert || self.took_it_for_dead(source, ctx) {
            self.advertise(ctx);
        }
        let to = Proposed::Backup { heard: Heard::Active { source, at: ctx.now }, learned: Some(advert.interval) };
        ctx.propose(Proposal { to, cause });
    }

    /// The MASTER that we took for dead was alive: its adverts were lost, and ours may have been as well. Then it never
    /// learns that our announcements drew the neighbours over, and they stay here, where nobody answers any more. One
    /// more advert, as with `higher_prio_send_advert`, makes it announce itself again.
    fn took_it_for_dead(&self, source: IpAddr, ctx: &Context<'_>) -> bool {
        match &self.state {
            State::Master(master) => master.presumed_dead.is_some_and(|(who, until)| who == source && ctx.now <= until),
            State::Init | State::Backup(_) | State::Fault => false,
        }
    }

    /// "Send an ADVERTISEMENT immediately to assert the Active state to the sending VRRP Router and to update any
    /// learning bridges" (RFC 9568 6.4.3); keepalived does so in version 2 as well, unless `lower_prio_no_advert`.
    fn assert_mastership(&mut self, advert: &Advert<'_>, source: IpAddr, ctx: &mut Context<'_>) {
        if !self.config.adverts.lower_prio_no_advert {
            self.advertise(ctx);
        }
        self.announce_again(ctx);
        let pause = self.master_down_interval(advert.interval);
        if self.limits.rival.admits_anew(ctx.now, pause) {
            let (router, priority) = (self.config.name.clone(), advert.priority);
            ctx.decide(Decision::RivalMaster { router, source, priority });
        }
    }

    /// `garp_lower_prio_repeat`, `garp_lower_prio_delay`.
    fn announce_again(&mut self, ctx: &mut Context<'_>) {
        if let State::Master(master) = &mut self.state
            && master.holds
        {
            let to = &mut To { holder: Holder::Router(self.id), book: ctx.book };
            master.announcements.lower_priority(&self.config.announcements, &self.addresses, ctx.now, to);
        }
    }

    pub(super) fn advertise(&mut self, ctx: &mut Context<'_>) {
        let State::Master(master) = &mut self.state else { return };
        ctx.out.extend(self.adverts.iter().cloned().map(Effect::SendAdvert));
        master.last_advert = ctx.now;
        master.advertise_at = ctx.now + self.config.adverts.interval.duration();
    }
}
