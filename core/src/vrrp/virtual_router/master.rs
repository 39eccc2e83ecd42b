//! RFC 9568 6.4.3 and RFC 3768 6.4.3: what a MASTER hears, whom it yields to and whom it does not.

use super::{Context, Heard, State, VirtualRouter};
use crate::decision::{Decision, RoleCause};
use crate::effect::Effect;
use crate::vrrp::Role;
use crate::vrrp::intervals::master_down_interval;
use crate::vrrp::packet::Advert;
use std::net::Ipv4Addr;

impl VirtualRouter {
    pub(super) fn hear_as_master(&mut self, advert: &Advert<'_>, source: Ipv4Addr, ctx: &mut Context<'_>) {
        let ours = self.priority.get();
        let address = self.source.unwrap_or(Ipv4Addr::UNSPECIFIED);
        if advert.priority == 0 {
            // Another MASTER stops: the addresses are ours alone, and everybody must hear that.
            self.advertise(ctx);
            return;
        }
        // "an unsigned integer comparison of the IPvX addresses in network byte order"
        if advert.priority > ours || advert.priority == ours && source > address {
            self.yield_to(advert, source, address, ctx);
        } else {
            self.assert_mastership(advert, source, ctx);
        }
    }

    fn yield_to(&mut self, advert: &Advert<'_>, source: Ipv4Addr, address: Ipv4Addr, ctx: &mut Context<'_>) {
        let (theirs, ours) = (advert.priority, self.priority.get());
        let cause = if theirs > ours {
            RoleCause::HigherPriority { source: source.into(), theirs, ours }
        } else {
            RoleCause::SamePriorityGreaterAddress { source: source.into(), priority: ours, ours: address.into() }
        };
        if self.config.higher_prio_send_advert {
            self.advertise(ctx);
        }
        self.leave(ctx);
        self.enter_backup(cause, Heard::Active { source, at: ctx.now }, Role::Master, ctx);
        if let State::Backup(backup) = &mut self.state {
            let adverts = self.config.down_timer_adverts;
            backup.active_interval = advert.interval;
            backup.waits = master_down_interval(self.config.version, self.priority, advert.interval, adverts);
            backup.down_at = ctx.now + backup.waits;
        }
    }

    /// "Send an ADVERTISEMENT immediately to assert the Active state to the sending VRRP Router and to update any
    /// learning bridges" (RFC 9568 6.4.3); keepalived does so in version 2 as well, unless `lower_prio_no_advert`.
    fn assert_mastership(&mut self, advert: &Advert<'_>, source: Ipv4Addr, ctx: &mut Context<'_>) {
        if !self.config.lower_prio_no_advert {
            self.advertise(ctx);
        }
        if let State::Master(master) = &mut self.state {
            master.announcements.lower_priority(&self.config.garp, &self.addresses, ctx.now, ctx.out);
        }
        if self.limits.rival.admits(ctx.now) {
            let (router, priority) = (self.config.name.clone(), advert.priority);
            ctx.decide(Decision::RivalMaster { router, source: source.into(), priority });
        }
    }

    pub(super) fn advertise(&mut self, ctx: &mut Context<'_>) {
        let State::Master(master) = &mut self.state else { return };
        ctx.out.extend(self.adverts.iter().cloned().map(Effect::SendAdvert));
        master.last_advert = ctx.now;
        master.advertise_at = ctx.now + self.config.advert_interval.duration();
    }
}
