//! A virtual router that goes on in a new process where the one before left it.

use super::{Backup, Context, Heard, Master, Standing, State, VirtualRouter};
use crate::decision::Decision;
use crate::door::News;
use crate::quantity::Priority;
use crate::time::Instant;
use crate::vrrp::intervals::master_down_interval;

/// The highest that is no owner's: who has it waits the shortest time.
const MOST_IMPATIENT: Priority = match Priority::new(254) {
    Some(priority) => priority,
    None => Priority::OWNER,
};

/// So many adverts may have left since a copy of an estate was made: more than a lifetime has room for.
const UNKNOWN: u32 = 1000;

impl VirtualRouter {
    /// Goes on in the sequence of `auth_type AH` behind a predecessor. A number that was used is nobody's advert.
    pub fn count_on(&mut self, left: u32, exact: bool) {
        let skipped = if exact || left == 0 { 0 } else { UNKNOWN };
        self.sequence = self.sequence.max(left.saturating_add(skipped));
    }

    /// Takes up the state in which a predecessor left it, if it still holds; otherwise it starts as ever. `exact`: nothing
    /// has happened since. It says so, and tells no script: the role is what it was. The addresses that a MASTER wants
    /// are for the caller to settle, when all routers have said what they want.
    pub fn take_up(&mut self, left: &State, exact: bool, standing: &Standing, ctx: &mut Context<'_>) {
        let mut silent = None;
        self.state = match (left, standing) {
            // What is wrong may be something else by now; the role is the same. After a crash it is said again.
            (State::Fault, Standing::Faulty(_)) if exact => State::Fault,
            (State::Init | State::Fault, _) | (State::Master(_) | State::Backup(_), Standing::Faulty(_)) => return,
            (State::Master(master), Standing::Well { .. } | Standing::Unknown { .. }) => {
                silent = Some(ctx.now.since(master.last_advert));
                let Some(master) = self.still_master(master, ctx.now) else { return };
                self.want_all(ctx);
                State::Master(master)
            }
            (State::Backup(backup), Standing::Well { .. } | Standing::Unknown { .. }) => {
                State::Backup(if exact { backup.clone() } else { self.backup_again(backup, ctx.now) })
            }
        };
        let (router, vrid, priority) = (self.config.name.clone(), self.config.vrid, self.priority.get());
        ctx.out.news(News::RoleChanged { router: router.clone(), role: self.role() });
        ctx.decide(Decision::RoleInherited { router, vrid, role: self.role(), priority, silent });
    }

    /// False for a MASTER that somebody may have taken over from meanwhile.
    pub fn goes_on(&self, left: &State, now: Instant) -> bool {
        match left {
            State::Master(master) => self.still_master(master, now).is_some(),
            State::Init | State::Backup(_) | State::Fault => true,
        }
    }

    /// Nobody can have taken over yet: the most impatient of the others still waits for the next advert, which leaves when
    /// it was due.
    fn still_master(&self, left: &Master, now: Instant) -> Option<Master> {
        let (version, interval) = (self.config.version, self.config.adverts.interval);
        let patience = master_down_interval(version, MOST_IMPATIENT, interval, self.config.adverts.down_timer);
        if left.last_advert > now || now.since(left.last_advert) > patience {
            return None;
        }
        let mut master = left.clone();
        // Only those that need no lease are left to anybody.
        master.holds = true;
        master.advertise_at = master.advertise_at.min(now + interval.duration());
        master.announcements.reconfigure(&self.config.announcements, now);
        Some(master)
    }

    /// A copy does not know what was heard after it was made, so the timer begins anew.
    fn backup_again(&self, left: &Backup, now: Instant) -> Backup {
        let waits = self.master_down_interval(left.active_interval);
        Backup { down_at: now + waits, waits, heard: Heard::Nobody, slept: false, ..left.clone() }
    }
}
