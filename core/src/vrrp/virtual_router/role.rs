//! Roles: a virtual router proposes one with its cause, and enters the one that it is given.

use super::{Backup, Context, DecidedBy, Heard, Master, State, VirtualRouter};
use crate::decision::{Decision, RoleCause};
use crate::door::News;
use crate::limit::Allowance;
use crate::quantity::{AdvertInterval, Role};
use crate::time::Instant;
use crate::vrrp::announce::{Announcements, To};
use crate::vrrp::notify::{self, Told};

/// What a virtual router wants to be by what it has heard, waited for and been told, and why. The Election knows what stands
/// above one router, and decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub to: Proposed,
    pub cause: RoleCause,
}

/// The role that is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    Master,
    /// After an advert of a MASTER, or of nobody. `learned`: that MASTER's interval.
    Backup {
        heard: Heard,
        learned: Option<AdvertInterval>,
    },
    Fault,
}

impl Proposal {
    pub fn master(cause: RoleCause) -> Self {
        Self { to: Proposed::Master, cause }
    }

    /// BACKUP without having heard anybody.
    pub fn backup(cause: RoleCause) -> Self {
        Self { to: Proposed::Backup { heard: Heard::Nobody, learned: None }, cause }
    }

    pub fn fault(cause: RoleCause) -> Self {
        Self { to: Proposed::Fault, cause }
    }
}

impl VirtualRouter {
    /// Leaves its role and enters this one. `holds`: a MASTER has the addresses at once.
    pub fn enter(&mut self, Proposal { to, cause }: Proposal, holds: bool, ctx: &mut Context<'_>) {
        let from = self.role();
        match to {
            Proposed::Master => self.enter_master(cause, holds, ctx),
            Proposed::Backup { heard, learned } => self.enter_backup(cause, heard, learned, ctx),
            Proposed::Fault => {
                // A link other than the one that adverts leave by may be the one that is down.
                let mute = match &cause {
                    RoleCause::LinkDown { interface } | RoleCause::LinkGone { interface } => {
                        *interface == self.config.interfaces.sent_from
                    }
                    _ => false,
                };
                if !mute {
                    self.resign(ctx);
                }
                self.leave(ctx);
                self.state = State::Fault;
                self.changed(from, cause, Told::Role(self.role()), ctx);
            }
        }
    }

    fn enter_backup(&mut self, cause: RoleCause, heard: Heard, learned: Option<AdvertInterval>, ctx: &mut Context<'_>) {
        let from = self.role();
        self.leave(ctx);
        let active_interval = learned.unwrap_or(self.config.adverts.interval);
        let waits = self.master_down_interval(active_interval);
        self.state = State::Backup(Backup {
            down_at: ctx.now + waits,
            waits,
            active_interval,
            heard,
            preempt_at: self.elected_delay(ctx.now),
            slept: false,
        });
        self.changed(from, cause, Told::Role(self.role()), ctx);
    }

    /// Until when a candidate does not preempt. One that hears adverts counts from the first of a lower priority.
    fn elected_delay(&self, now: Instant) -> Option<Instant> {
        let delay = self.preempt_delay();
        (self.decided_by == DecidedBy::Elected && !delay.is_zero()).then(|| now + delay)
    }

    fn enter_master(&mut self, cause: RoleCause, holds: bool, ctx: &mut Context<'_>) {
        let from = self.role();
        self.master_since = ctx.now;
        self.say(self.adverts.clone(), ctx);
        let announcements = if holds { self.take_addresses(ctx) } else { Announcements::default() };
        let advertise_at = ctx.now + self.config.adverts.interval.duration();
        self.state = State::Master(Master {
            advertise_at,
            last_advert: ctx.now,
            announcements,
            holds,
            held_since: None,
            told_held: false,
            told_kept: false,
            answers: Allowance::default(),
        });
        self.changed(from, cause, Told::Role(self.role()), ctx);
    }

    pub(super) fn take_addresses(&self, ctx: &mut Context<'_>) -> Announcements {
        self.want_all(ctx);
        let to = &mut To { holder: self.holder(), book: ctx.book };
        Announcements::start(&self.config.announcements, &self.addresses, ctx.now, to)
    }

    /// Everything of the kernel that moves with the role.
    pub(super) fn want_all(&self, ctx: &mut Context<'_>) {
        ctx.book.want(self.holder(), self.addresses.clone());
        ctx.book.routes.want(self.holder(), self.routes.clone());
        ctx.book.rules.want(self.holder(), self.rules.clone());
    }

    /// Leaves the state that it is in: only a MASTER has something to give back.
    pub(super) fn leave(&mut self, ctx: &mut Context<'_>) {
        if let State::Master(_) = self.state {
            ctx.book.release(self.holder());
        }
    }

    /// Tells people and scripts. `told`: what scripts hear of it.
    pub(super) fn changed(&mut self, from: Role, cause: RoleCause, told: Told, ctx: &mut Context<'_>) {
        let (router, vrid, to) = (self.config.name.clone(), self.config.vrid, self.role());
        ctx.out.news(News::RoleChanged { router: router.clone(), role: to });
        let decision = Decision::RoleChanged { router, vrid, from, to, cause };
        notify::role_mail(&self.config.notify, &self.config.name, to, &decision, ctx.out);
        ctx.decide(decision);
        notify::role_changed(&self.config.notify, &self.config.name, told, self.priority, ctx.out);
    }
}
