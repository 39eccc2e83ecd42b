//! RFC 9568 6.4.2 and RFC 3768 6.4.2: what a BACKUP hears, and why it takes over.

use super::{Heard, State, VirtualRouter};
use crate::config::InitialState;
use crate::decision::RoleCause;
use crate::time::{Duration, Instant};
use crate::vrrp::intervals::{master_down_interval, skew_time};
use crate::vrrp::packet::Advert;
use std::net::IpAddr;

impl VirtualRouter {
    pub(super) fn hear_as_backup(&mut self, advert: &Advert<'_>, source: IpAddr, now: Instant) {
        let preempts = self.preempts();
        let ours = self.priority;
        let (version, adverts) = (self.config.version, self.config.adverts.down_timer);
        let delay = self.preempt_delay();
        let learned = if advert.priority == 0 { advert.interval } else { self.learn(advert, source) };
        let State::Backup(backup) = &mut self.state else { return };
        if advert.priority == 0 {
            let skew = skew_time(version, ours, backup.active_interval);
            backup.down_at = now + skew;
            backup.waits = skew;
            backup.heard = Heard::Stopped { source, skew };
            backup.preempt_at = None;
            backup.slept = false;
            return;
        }
        if preempts && advert.priority < ours.get() {
            // The first such advert starts `preempt_delay`; while it runs, they count as alive (as in keepalived 2.2.7).
            let patience = (!delay.is_zero()).then(|| *backup.preempt_at.get_or_insert(now + delay));
            if patience.is_none_or(|until| until <= now) {
                backup.heard = Heard::Lower { source, priority: advert.priority };
                return;
            }
        } else {
            backup.preempt_at = None;
        }
        backup.heard = Heard::Active { source, at: now };
        backup.active_interval = learned;
        backup.waits = master_down_interval(version, ours, learned, adverts);
        backup.down_at = now + backup.waits;
        backup.slept = false;
    }

    /// Another member of its sync group heard priority 0: whoever is MASTER of a group stops being it everywhere.
    pub fn hear_group_stop(&mut self, source: IpAddr, now: Instant) {
        let (version, ours) = (self.config.version, self.priority);
        let State::Backup(backup) = &mut self.state else { return };
        let skew = skew_time(version, ours, backup.active_interval);
        if now + skew < backup.down_at {
            backup.down_at = now + skew;
            backup.waits = skew;
            backup.heard = Heard::Stopped { source, skew };
            backup.preempt_at = None;
            backup.slept = false;
        }
    }

    pub(super) fn takeover_cause(&self, now: Instant) -> RoleCause {
        let State::Backup(backup) = &self.state else { return RoleCause::Startup };
        match backup.heard {
            Heard::Nobody => RoleCause::MasterDown { interval: backup.waits, last_heard: None },
            Heard::Active { source, at } => {
                let last_heard = Some((source, now.since(at)));
                RoleCause::MasterDown { interval: backup.waits, last_heard }
            }
            Heard::Stopped { source, skew } => RoleCause::MasterStopped { source, skew },
            Heard::Lower { source, priority } => {
                RoleCause::Preempts { source, theirs: priority, ours: self.priority.get() }
            }
        }
    }

    /// Whether it takes over from a MASTER of lower priority.
    pub fn preempts(&self) -> bool {
        self.config.preempts()
    }

    /// As `nopreempt`, it does not go together with `state MASTER`.
    pub fn preempt_delay(&self) -> Duration {
        match self.config.initial_state {
            InitialState::Master => Duration::ZERO,
            InitialState::Backup => self.config.preemption.delay,
        }
    }
}
