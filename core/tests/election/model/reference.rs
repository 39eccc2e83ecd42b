//! One virtual router as the RFCs have it, to compare with.

use super::MILLI;

/// RFC 3768 6.4 and RFC 9568 6.4 in nanoseconds and nothing else.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) v3: bool,
    pub(super) priority: u64,
    pub(super) address: u8,
    pub(super) interval: u64,
    pub(super) preempt: bool,
    pub(super) preempt_delay: u64,
    /// Who said last that it has an interval that is not believed at once, and which.
    pub(super) unsure: Option<(u8, u64)>,
    pub(super) state: RefState,
}

#[derive(Clone, Debug)]
pub(super) enum RefState {
    Backup(RefBackup),
    Master { advertise_at: u64, last: u64, answered: u64 },
}

#[derive(Clone, Debug)]
pub(super) struct RefBackup {
    pub(super) down_at: u64,
    pub(super) interval: u64,
    pub(super) preempt_at: Option<u64>,
    pub(super) slept: bool,
}

impl Reference {
    pub(super) fn skew(&self, interval: u64) -> u64 {
        let unit = if self.v3 { interval } else { 1_000_000_000 };
        ((256 - self.priority) * unit).div_ceil(256)
    }

    pub(super) fn master_down(&self, interval: u64) -> u64 {
        3 * interval + self.skew(interval)
    }

    /// From its own interval to three times that is believed at once. More is believed by version 3 alone, less by both, and
    /// both when it is said again.
    pub(super) fn learn(&mut self, source: u8, theirs: u64) -> u64 {
        if (self.interval..=3 * self.interval).contains(&theirs) {
            return theirs;
        }
        let again = self.unsure.replace((source, theirs)) == Some((source, theirs));
        let short = theirs < self.interval;
        match (short, again && (short || self.v3)) {
            (_, true) => theirs,
            (true, false) => self.interval,
            (false, false) => 3 * self.interval,
        }
    }

    pub(super) fn waits(&mut self, now: u64, waits: u64, interval: u64) -> usize {
        let down_at = now + waits;
        self.state = RefState::Backup(RefBackup { down_at, interval, preempt_at: None, slept: false });
        0
    }

    pub(super) fn becomes_backup(&mut self, now: u64, interval: u64) -> usize {
        self.waits(now, self.master_down(interval), interval)
    }

    pub(super) fn advertises(&mut self, now: u64, answered: u64) -> usize {
        self.state = RefState::Master { advertise_at: now + self.interval, last: now, answered };
        1
    }

    pub(super) fn oversleep(&mut self, now: u64) {
        match self.state.clone() {
            RefState::Master { last, .. } if now - last > self.master_down(self.interval) => {
                self.becomes_backup(now, self.interval);
            }
            RefState::Backup(backup) if !backup.slept && now > backup.down_at + backup.interval => {
                let waits = backup.interval + self.skew(backup.interval);
                self.state = RefState::Backup(RefBackup { down_at: now + waits, slept: true, ..backup });
            }
            RefState::Master { .. } | RefState::Backup(_) => {}
        }
    }

    /// How many adverts it sends.
    pub(super) fn wake(&mut self, now: u64) -> usize {
        self.oversleep(now);
        match self.state.clone() {
            RefState::Backup(backup) if now >= backup.down_at => self.advertises(now, 0),
            RefState::Master { advertise_at, answered, .. } if now >= advertise_at => self.advertises(now, answered),
            RefState::Backup(_) | RefState::Master { .. } => 0,
        }
    }

    pub(super) fn hear(&mut self, now: u64, priority: u64, source: u8, theirs: u64) -> usize {
        self.oversleep(now);
        match self.state.clone() {
            RefState::Backup(backup) if priority == 0 => self.waits(now, self.skew(backup.interval), backup.interval),
            RefState::Backup(backup) if self.preempt && priority < self.priority => {
                let theirs = self.learn(source, theirs);
                let until = backup.preempt_at.unwrap_or(now + self.preempt_delay);
                let preempt_at = (self.preempt_delay > 0).then_some(until);
                if now < until {
                    self.becomes_backup(now, theirs);
                } else {
                    self.state = RefState::Backup(backup);
                }
                if let RefState::Backup(backup) = &mut self.state {
                    backup.preempt_at = preempt_at;
                }
                0
            }
            RefState::Backup(_) => {
                let theirs = self.learn(source, theirs);
                self.becomes_backup(now, theirs)
            }
            RefState::Master { .. }
                if priority > self.priority || priority == self.priority && source > self.address =>
            {
                let long = !self.v3 && theirs > 3 * self.interval;
                if long && self.unsure.replace((source, theirs)) != Some((source, theirs)) {
                    return 0;
                }
                let theirs = self.learn(source, theirs);
                self.becomes_backup(now, theirs);
                1
            }
            // Eight at once, then four a second.
            RefState::Master { answered, .. } if answered.max(now) - now > 7 * 250 * MILLI => 0,
            RefState::Master { answered, .. } => self.advertises(now, answered.max(now) + 250 * MILLI),
        }
    }
}
