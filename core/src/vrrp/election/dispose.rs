//! What becomes of a role that a virtual router proposes: what stands above a single router decides.

use crate::decision::RoleCause;
use crate::quantity::Role;
use crate::vrrp::VirtualRouter;
use crate::vrrp::virtual_router::{Context, DecidedBy, Proposal, Proposed};

/// Lets a router enter the role that it proposes, as far as its lease allows.
///
/// By adverts alone a MASTER has its addresses at once. With `fence` it has them when its lease is granted, and with
/// `elect` a router becomes MASTER by its lease only ([`super::coordinate::follow`]).
pub(super) fn dispose(router: &mut VirtualRouter, proposal: Proposal, ctx: &mut Context<'_>) {
    let proposal = match (router.decided_by(), &proposal.to) {
        (DecidedBy::Elected, Proposed::Master) => match router.role() {
            Role::Init => Proposal::backup(RoleCause::Startup),
            Role::Fault => Proposal::backup(RoleCause::Recovered),
            Role::Backup | Role::Master => return,
        },
        (DecidedBy::Adverts | DecidedBy::Fenced | DecidedBy::Elected, _) => proposal,
    };
    router.enter(proposal, router.decided_by() == DecidedBy::Adverts, ctx);
}
