//! What a lease of the quorum service does to a virtual router.

use super::{Context, State, VirtualRouter};
use crate::decision::Decision;
use crate::lease::DirectorName;
use crate::time::Instant;
use crate::vrrp::announce::Announcements;

impl VirtualRouter {
    /// Whether its lease allows a MASTER the addresses, now. True if that changed something.
    pub fn allow(&mut self, allowed: bool, ctx: &mut Context<'_>) -> bool {
        if !matches!(&self.state, State::Master(master) if master.holds != allowed) {
            return false;
        }
        let announcements = if allowed {
            self.take_addresses(ctx)
        } else {
            ctx.book.release(self.holder());
            Announcements::default()
        };
        if let State::Master(master) = &mut self.state {
            (master.holds, master.announcements, master.held_since) = (allowed, announcements, None);
        }
        true
    }

    /// Another one has the lease of this MASTER: said once, when that lasts. For as long as a Master_Down_Interval (RFC 9568
    /// 6.1) it is what every takeover looks like: the other one hears the adverts, and gives the lease back.
    pub fn tell_held(&mut self, by: &DirectorName, ctx: &mut Context<'_>) {
        let down = self.master_down_interval(self.config.adverts.interval);
        if let State::Master(master) = &mut self.state
            && ctx.now.since(*master.held_since.get_or_insert(ctx.now)) >= down
            && !std::mem::replace(&mut master.told_held, true)
        {
            ctx.decide(Decision::LeaseHeld { router: self.config.name.clone(), by: by.clone() });
        }
    }

    /// This MASTER has its addresses without a lease (`on_loss = "keep"`), or has one again: said once.
    pub fn tell_kept(&mut self, kept: bool, ctx: &mut Context<'_>) {
        if let State::Master(master) = &mut self.state
            && !std::mem::replace(&mut master.told_kept, kept)
            && kept
        {
            ctx.decide(Decision::KeptWithoutQuorum { router: self.config.name.clone() });
        }
    }

    /// Whether a candidate's claim says that it preempts: `preempt_delay` is over.
    pub fn claims_preemption(&self, now: Instant) -> bool {
        match &self.state {
            State::Backup(backup) => self.preempts() && backup.preempt_at.is_none_or(|at| at <= now),
            State::Master(_) => self.preempts(),
            State::Init | State::Fault => false,
        }
    }
}
