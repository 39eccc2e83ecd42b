//! Leases and virtual routers: what a router's role asks of the quorum service, and what a lease does to a router.
//!
//! The order matters. Whatever takes addresses off comes before the lease is given back, in the same turn; the driver
//! gives nothing back in a turn in which that failed.

use super::Election;
use crate::coordination::{Concerned, Leases, Want};
use crate::decision::{Decision, RoleCause};
use crate::lease::{Mode, OnLoss, Part};
use crate::quantity::Role;
use crate::time::Instant;
use crate::vrrp::Outbox;
use crate::vrrp::book::AddressBook;
use crate::vrrp::virtual_router::{Context, Proposal, Standing, VirtualRouter};
use std::net::IpAddr;

impl Election {
    /// Notices that the session became good enough, or is not any more, by our own clock alone.
    pub(super) fn check_session(&mut self, now: Instant, out: &mut Outbox) {
        if self.leases.look(now) {
            self.coordinate(&Concerned::All, now, out);
        }
    }

    /// Lets the routers that are concerned look again.
    pub(super) fn coordinate(&mut self, concerned: &Concerned, now: Instant, out: &mut Outbox) {
        for place in 0..self.routers.len() {
            let Some(router) = self.routers.get(place) else { continue };
            let looks = match concerned {
                Concerned::All => self.leases.part(router.name()).is_some(),
                Concerned::Of(key) => router.name() == key,
                Concerned::Nothing => false,
            };
            if looks {
                self.assess_one(place, now, out);
            }
        }
    }

    /// What the quorum service makes of a router that is well otherwise.
    pub(super) fn quorum_standing(&self, router: &VirtualRouter, source: IpAddr, now: Instant) -> Option<Standing> {
        let part = self.leases.part(router.name())?;
        if self.leases.trusted(router.name(), now) {
            return None;
        }
        if self.leases.patient(now) {
            return Some(Standing::Unknown { source });
        }
        match part.on_loss {
            // On trial: a MASTER can't be, for it was in FAULT when the session was of no use.
            OnLoss::Release => Some(Standing::Faulty(self.leases.why_unusable(now))),
            OnLoss::Keep => None,
        }
    }
}

/// Brings a router and its lease together, after anything that happened to either.
pub(super) fn follow(
    router: &mut VirtualRouter,
    leases: &mut Leases,
    book: &mut AddressBook,
    now: Instant,
    out: &mut Outbox,
) {
    let Some(part) = leases.part(router.name()) else { return };
    let key = router.name().clone();
    let wanted = match part.mode {
        Mode::Off => return,
        Mode::Fence => router.role() == Role::Master,
        Mode::Elect => stand(router, leases, part, now, &mut Context::new(now, out, book)),
    };
    let want = match (wanted, router.role()) {
        (true, _) => Want::Have,
        // Somebody may hold it who works; if nobody does, the trial is over.
        (false, Role::Fault) if leases.on_trial(now) => Want::Know,
        // A candidate that is not the best takes what the better ones leave free.
        (false, Role::Backup) if part.mode == Mode::Elect && leases.knows_candidates(&key) => Want::Know,
        (false, _) => Want::Nothing,
    };
    leases.want(&key, want, now, out);
    let allowed = leases.may_hold(&key, part, router.holds(), now);
    let mut ctx = Context::new(now, out, book);
    if let (Mode::Elect, Role::Backup, true, true, Some(token)) =
        (part.mode, router.role(), wanted, allowed, leases.token(&key))
    {
        router.enter(Proposal::master(RoleCause::Elected { token }), false, &mut ctx);
    }
    if router.allow(allowed, &mut ctx)
        && allowed
        && part.mode == Mode::Fence
        && let Some(token) = leases.token(&key)
    {
        ctx.out.decide(Decision::LeaseGranted { router: key.clone(), token });
    }
    router.tell_kept(allowed && !leases.usable(now), &mut ctx);
    if let Some(by) = leases.held_by(&key) {
        router.tell_held(by, &mut ctx);
    }
}

/// `elect`: makes the router's claim, and lets a MASTER go that has lost its. Whether it should have the lease.
fn stand(router: &mut VirtualRouter, leases: &mut Leases, part: Part, now: Instant, ctx: &mut Context<'_>) -> bool {
    let key = router.name().clone();
    let ours = router.priority().get();
    let claim = match router.role() {
        Role::Init | Role::Fault => None,
        Role::Backup | Role::Master => {
            leases.claim_of(&key, ours, router.config().priority.get(), router.claims_preemption(now))
        }
    };
    leases.claim(&key, claim.clone(), ctx.out);
    if router.role() == Role::Master {
        let outranked = claim.as_ref().and_then(|claim| {
            let by = leases.preempted_by(&key, claim)?;
            Some(RoleCause::Outranked { by: by.director.clone(), theirs: by.priority, ours: claim.priority })
        });
        let gone = (!leases.may_hold(&key, part, router.holds(), now))
            .then(|| RoleCause::LeaseElsewhere { by: leases.held_by(&key).cloned() });
        let cause = if claim.is_none() { Some(RoleCause::SpreadElsewhere) } else { gone.or(outranked) };
        match cause {
            Some(cause) => router.enter(Proposal::backup(cause), false, ctx),
            None => return true,
        }
    }
    router.role() == Role::Backup && claim.is_some_and(|claim| leases.should_take(&key, &claim, now))
}
